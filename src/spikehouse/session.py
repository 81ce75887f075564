"""One recording session: tables and spikes that are read when needed, with AllenSDK's names."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import datetime as dt
import html
import logging
import os
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from pickle import dumps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse import conversions
from spikehouse.array_source import ArraySource, SpikeTimes, TableOrCsv
from spikehouse.catalogue import UnitFilter, join_units
from spikehouse.errors import (
    InvalidArgumentError,
    NotFoundError,
    SpikehouseError,
    copying,
    describe_choices,
    describe_value,
    printable,
)
from spikehouse.labelled import Ids, to_id, to_ids
from spikehouse.lfp import mask_intervals
from spikehouse.nwb import NwbPath, NwbSessionFile
from spikehouse.schema import (
    CHANNELS,
    INVALID_TIMES,
    OPTOGENETIC_EPOCHS,
    PROBES,
    list_data_notes,
    require_columns,
)
from spikehouse.schema.cache_tables import UNIT_RENAMES
from spikehouse.schema.data_notes import explaining_missing_lfp
from spikehouse.session_source import SessionSource
from spikehouse.spikes import (
    align_spikes,
    compute_condition_statistics,
    compute_design_matrix,
    compute_mean_counts,
    compute_time_domain,
    count_spikes,
)
from spikehouse.spikes.counting import TIME, Bins, read_bins, warn_overlaps, warn_wide_bins
from spikehouse.spikes.trains import Selection
from spikehouse.spikes.waveforms import LabelledWaveforms
from spikehouse.stimuli import (
    Missing,
    Presentations,
    build_presentations,
    compute_inter_presentation_intervals,
    find_run_bounds,
    find_stimulus_epochs,
    list_conditions,
    list_parameter_values,
    list_presentations,
    list_stimulus_names,
    select_tagged_intervals,
)

if TYPE_CHECKING:
    from spikehouse.analysis import MetricOptions, StimulusResponses
    from spikehouse.analysis.checks import Definition
    from spikehouse.explore import Explorer

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

log = logging.getLogger(__name__)

_FILE_OPTIONS = ("external_channel_columns", "additional_unit_metrics", "probe_lfp_paths")


MeanOver = Literal["presentations", "conditions"]
# what asking an adapter for something it does not have may raise
_LACKING = (AttributeError, NotImplementedError)
_ABSENT = (SpikehouseError, *_LACKING, KeyError)


class EcephysSession:
    """The data of one recording session.

    Opening a session takes a millisecond: tables, spikes and LFP are read when they are first
    accessed. A pickled session holds its path or URL and options, and opens the file again.

    An id or a name that is not in the session raises NotFoundError, an argument that is not valid
    InvalidArgumentError; the message says what is valid.

    Parameters
    ----------
    api
        The adapter that reads the data: an object with the methods of
        ``spikehouse.session_source.SessionSource`` (``get_units``, ``get_spike_times``, …). Only
        those that are needed are called.
    test
        Call the adapter's ``test`` method now.

    Examples
    --------
    >>> from spikehouse.demo import Survey
    >>> path = Survey(size="tiny").session_file(900000001)
    >>> session = EcephysSession.from_nwb_path(path)
    >>> session.ecephys_session_id, session.session_type, session.num_units
    (900000001, 'brain_observatory_1.1', 16)
    """

    def __init__(self, api: SessionSource, *, test: bool = False) -> None:
        if isinstance(api, str | os.PathLike | Mapping | Sequence | np.ndarray | pd.DataFrame):
            raise InvalidArgumentError(
                f"EcephysSession takes an adapter, not {describe_value(api)}: "
                "EcephysSession.from_nwb_path opens a file, EcephysSession.from_arrays takes spike "
                "times and tables"
            )
        self.api = api
        self._warned_of_eyes = False
        if test:
            api.test()

    def __copy__(self) -> Self:
        return type(self)(self.api)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        with copying("this session", self.api):
            return type(self)(copy.deepcopy(self.api, memo))

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        with copying("this session", self.api):
            dumps(self.api)
        return type(self), (self.api,)

    @classmethod
    def from_nwb_path(
        cls,
        path: NwbPath,
        nwb_version: int = 2,
        api_kwargs: Mapping[str, Any] | None = None,
        *,
        test: bool = False,
    ) -> Self:
        """Open a session from its NWB file.

        Parameters
        ----------
        path
            Path of a ``session_<id>.nwb`` file, or of any other NWB file with spike times in its
            table of units, whose tables of intervals then are the stimuli (see Notes); its
            address (``https://``, ``http://`` or
            ``s3://allen-brain-observatory/…``), from which only what is needed is downloaded and
            kept in memory; or an open file or ``h5py.File`` that has a path.
        nwb_version
            Version of the NWB format; only 2 is supported.
        api_kwargs
            Options by name. Filters: amplitude_cutoff_maximum (default 0.1),
            presence_ratio_minimum (0.95) and isi_violations_maximum (0.5), where None means no
            limit; filter_by_validity (True) and filter_out_of_brain_units (True). Additions to the
            file: external_channel_columns and additional_unit_metrics (functions that return a
            table by channel id or unit id), probe_lfp_paths (paths of LFP files by probe id).
        test
            Check now that the file has a session id.

        Returns
        -------
        EcephysSession
            The session; only the header of the file was read.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        InvalidFileError
            If it is not an HDF5 file.
        SourceError
            If it is remote and the server fails.

        Notes
        -----
        In a file that is not of the survey, every table of intervals (trials, epochs, …) is a
        stimulus: its name is in a column ``stimulus_name``, else it is that of the table, and
        columns with one number, text or truth value in each row are parameters. Only filters that
        are given in ``api_kwargs`` apply. A unit's peak channel is the electrode with the largest
        mean waveform, else the first that the file names for it; what the file lacks has no rows or
        is None.

        Examples
        --------
        >>> from spikehouse.demo import Survey
        >>> path = Survey(size="tiny").session_file(900000001)
        >>> options = {"amplitude_cutoff_maximum": None}
        >>> with EcephysSession.from_nwb_path(path, api_kwargs=options) as unfiltered:
        ...     unfiltered.num_units, session.num_units
        (23, 16)
        """
        # AllenSDK takes 2, 2.0 and "2"
        if str(nwb_version).partition(".")[0] != "2":
            raise InvalidArgumentError(
                f"nwb_version is {nwb_version}; only 2 is supported, as in the released files"
            )
        if not isinstance(api_kwargs, Mapping | None):
            raise InvalidArgumentError(
                f"api_kwargs is {describe_value(api_kwargs)}; pass a dictionary of options, for "
                "instance {'filter_by_validity': False}"
            )
        options = dict(api_kwargs or {})
        sources = {name: options.pop(name) for name in _FILE_OPTIONS if name in options}
        checked = UnitFilter.from_arguments(**options)
        filters = {name: getattr(checked, name) for name in options}
        return cls(NwbSessionFile(path, filters=filters, **sources), test=test)

    @classmethod
    def from_arrays(
        cls,
        spike_times: SpikeTimes,
        units: TableOrCsv | None = None,
        presentations: TableOrCsv | None = None,
        *,
        channels: TableOrCsv | None = None,
        probes: TableOrCsv | None = None,
        running_speed: TableOrCsv | None = None,
        invalid_times: TableOrCsv | None = None,
        mean_waveforms: Mapping[int, npt.ArrayLike] | None = None,
        session_id: int | None = None,
    ) -> Self:
        """Make a session from spike times of your own, and tables.

        Tables are DataFrames or paths of CSV files, and all but ``spike_times`` may be left out.
        Everything is checked now; no quality filter applies to the units.

        Parameters
        ----------
        spike_times
            Times [s] by unit id, a sequence of arrays (one for each row of ``units``, else with
            the ids 0, 1, …), or a pynapple TsGroup, whose metadata are columns of the units.
        units
            One row per unit; ids are the index or a column ``unit_id``. Any columns; those of
            ``schema.UNITS`` are shown where a recording of the survey has them, for instance
            ecephys_structure_acronym, probe_description and probe_vertical_position [µm].
        presentations
            One row per presentation: start_time and stop_time (or duration) [s], stimulus_name
            (default "stimulus"), and the parameters: any other columns of numbers, texts or truth
            values. Ids are the index or a column ``stimulus_presentation_id``. Like the other
            tables, a DataFrame, a dictionary of columns or the path of a CSV file.
        channels, probes
            Places of the units, which then have a ``peak_channel_id``; columns as in
            ``schema.CHANNELS`` and ``schema.PROBES``, all optional.
        running_speed
            start_time [s], velocity [cm/s] and, if samples do not follow each other, end_time.
        invalid_times
            start_time, stop_time [s]. Presentations in them are named ``invalid_presentation``.
        mean_waveforms
            Array (channels of the probe, samples) by unit id; needs channels, and probes with a
            sampling_rate [Hz].
        session_id
            A number for the session, to tell it from others.

        Returns
        -------
        EcephysSession
            The session. What was not given has no rows or is None.

        Warns
        -----
        UserWarning
            If spike times were not in order (they are sorted) or do not look like seconds, or if
            most presentations are before or after all spikes.

        Examples
        --------
        >>> tones = pd.DataFrame({"start_time": [1.0, 2.0], "duration": 0.5, "pitch": [440, 880]})
        >>> spikes = {7: np.array([1.1, 1.2, 2.3])}
        >>> session = EcephysSession.from_arrays(spikes, presentations=tones)
        >>> session.presentationwise_spike_counts([0.0, 0.5]).squeeze().values
        array([2, 1], dtype=int16)
        """
        source = ArraySource(
            spike_times,
            units,
            presentations,
            channels=channels,
            probes=probes,
            running_speed=running_speed,
            invalid_times=invalid_times,
            mean_waveforms=mean_waveforms,
            session_id=session_id,
        )
        return cls(source)

    def close(self) -> None:
        """Close the file of the session, if its adapter has one; reading afterwards raises."""
        closing = getattr(self.api, "close", None)
        if closing is not None:
            closing()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _at_a_glance(self) -> dict[str, str]:
        """Summarize the session in a few lines, without what the adapter does not have."""
        facts: dict[str, Callable[[], str]] = {
            "specimen": lambda: ", ".join(filter(None, [self.specimen_name, self.full_genotype])),
            "recorded": lambda: str(self.session_start_time or ""),
            "probes": lambda: ", ".join(self.probes["description"]),
            "units": self._describe_units,
            "stimuli": lambda: ", ".join(self.stimulus_names),
            "presentations": lambda: f"{self.num_stimulus_presentations:,}",
            "known faults": lambda: "; ".join(
                note if pd.isna(probe) else f"probe {probe}: {note}"
                for probe, note in zip(self.notes["probe_id"], self.notes["note"], strict=True)
            ),
        }
        lines = {}
        for name, fact in facts.items():
            # a session with a broken table must still have a repr
            with contextlib.suppress(*_ABSENT):
                lines[name] = printable(fact())
        return {name: text for name, text in lines.items() if text}

    def _describe_units(self) -> str:
        counts = self.structurewise_unit_counts.items()
        places = ", ".join(f"{name} {count}" for name, count in counts)
        units = f"{self.num_units}{places and ': '}{places}"
        left_out = getattr(self.api, "count_out_of_brain_units", lambda: 0)()
        if not left_out:
            return units
        return f"{units} ({left_out} more outside the brain, which unit_count includes)"

    def _title(self) -> str:
        try:
            kind = f" ({self.session_type})" if self.session_type else ""
            number = self.ecephys_session_id
            name = f"EcephysSession{'' if number is None else f' {number}'}{kind}"
            return printable(f"{name}: simulated data" if self.is_simulated else name)
        except _ABSENT:
            return "EcephysSession"

    def __repr__(self) -> str:
        lines = [f"  {name:<13}  {text}" for name, text in self._at_a_glance().items()]
        return "\n".join([self._title(), *lines])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{name}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for name, text in self._at_a_glance().items()
        )
        return f"<b>{html.escape(self._title())}</b><table>{rows}</table>"

    def explore(self, **options: Any) -> Explorer:  # noqa: ANN401 - those of explore
        """Show this session in the browser, served by a thread of this process.

        Parameters
        ----------
        **options
            Those of :func:`spikehouse.explore.explore`.

        Returns
        -------
        Explorer
            The running server: open its ``url``, or click on the link that a notebook shows.

        Examples
        --------
        >>> with session.explore(port=0) as explorer:
        ...     print(explorer.url.partition("?")[0].rpartition(":")[0])
        http://127.0.0.1
        """
        from spikehouse.explore import explore

        return explore(self, **options)

    # ---- metadata

    @cached_property
    def ecephys_session_id(self) -> int | None:
        """The session's id; None for data of another source that has no number."""
        found = self.api.get_ecephys_session_id()
        return None if found is None else int(found)

    @cached_property
    def session_start_time(self) -> dt.datetime | None:
        """The start time of the recording, with its offset from UTC; None if unknown."""
        return self.api.get_session_start_time()

    @cached_property
    def _metadata(self) -> dict[str, Any]:
        return dict(self.api.get_metadata())

    def _fact(self, name: str) -> str | None:
        # files written before June 2020 have no metadata of the animal
        value = self._metadata.get(name)
        return None if value is None else str(value)

    @property
    def specimen_name(self) -> str | None:
        """The animal's name; None if unknown."""
        return self._fact("specimen_name")

    @property
    def age_in_days(self) -> float:
        """The animal's age [d]; NaN if unknown."""
        age = self._metadata.get("age_in_days")
        return np.nan if age is None else float(age)

    @property
    def sex(self) -> str | None:
        """The animal's sex, "M" or "F"; None if unknown."""
        return self._fact("sex")

    @property
    def full_genotype(self) -> str | None:
        """The animal's genotype; None if unknown."""
        return self._fact("full_genotype")

    @property
    def session_type(self) -> str | None:
        """The name of the stimulus set; None if unknown."""
        return self._fact("stimulus_name")

    @property
    def is_simulated(self) -> bool:
        """Whether the file says that its data are simulated, not recorded from an animal."""
        return bool(self._metadata.get("is_simulated", False))

    @cached_property
    def _rig_metadata(self) -> Mapping[str, Any] | None:
        return self.api.get_rig_metadata()

    @property
    def rig_geometry_data(self) -> pd.DataFrame | None:
        """Positions [mm], rotations [deg] of monitor, camera and LED; None without eye tracking."""
        return self._rig_metadata["geometry"] if self._rig_metadata else None

    @property
    def rig_equipment_name(self) -> str | None:
        """The rig's name; None without eye tracking."""
        return str(self._rig_metadata["equipment"]) if self._rig_metadata else None

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata of the session and the number of its units, probes and presentations."""
        names = (
            "specimen_name", "session_type", "full_genotype", "sex", "age_in_days",
            "rig_equipment_name", "num_units", "num_channels", "num_probes",
            "num_stimulus_presentations", "session_start_time", "ecephys_session_id",
            "structure_acronyms", "stimulus_names",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}

    @cached_property
    def notes(self) -> pd.DataFrame:
        """The known faults of this recording: probe_id (NA: the whole session), note, source."""
        ids: list[int] = []
        with contextlib.suppress(*_ABSENT):
            ids = list(filter(None, [self.ecephys_session_id]))
        return list_data_notes(ids).drop(columns="session_id")

    # ---- probes, channels, units

    @cached_property
    def probes(self) -> pd.DataFrame:
        """The probes, one row each; columns are described in ``schema.PROBES``.

        Examples
        --------
        >>> session.probes[["description", "sampling_rate"]].round(1)
                  description  sampling_rate
        id
        910001000      probeA        30000.0
        910001004      probeC        30000.0
        """
        return _or_empty(self.api.get_probes(), PROBES.empty())

    @cached_property
    def channels(self) -> pd.DataFrame:
        """The valid channels, one row each; columns are described in ``schema.CHANNELS``.

        Examples
        --------
        >>> session.channels[["probe_vertical_position", "ecephys_structure_acronym"]].head(3)
                   probe_vertical_position ecephys_structure_acronym
        id
        920010000                       20                        TH
        920010002                       20                        TH
        920010004                       40                        TH
        """
        table = _or_empty(self.api.get_channels(), CHANNELS.empty())
        # adapters written for AllenSDK have only the older name of this column
        if "ecephys_structure_acronym" not in table and "structure_acronym" in table:
            table = table.assign(ecephys_structure_acronym=table["structure_acronym"])
        return table

    @cached_property
    def units(self) -> pd.DataFrame:
        """The units that pass the filters, with channel and probe; columns: ``schema.UNITS``.

        Examples
        --------
        >>> session.units[["ecephys_structure_acronym", "firing_rate", "snr"]].round(2).head(3)
                  ecephys_structure_acronym  firing_rate   snr
        unit_id
        950100383                        LP         0.85  2.09
        950100404                        LP        12.88  2.63
        950100393                        LP         2.94  1.62
        """
        units = _or_empty(self.api.get_units(), _no_rows("peak_channel_id"))
        # the survey's columns have names that another table may use for something else
        renames = UNIT_RENAMES if self._is_survey else {}
        return join_units(units, self.channels, self.probes, renames=renames)

    @property
    def _is_survey(self) -> bool:
        return getattr(self.api, "has_survey_stimuli", True)

    @cached_property
    def units_with_metrics(self) -> pd.DataFrame:
        """The units with their published tuning metrics; NaN if a unit has none.

        Only a session from a project cache has metrics; one opened by path has none.
        """
        metrics = self.api.get_unit_metrics()
        return self.units.join(metrics[[name for name in metrics if name not in self.units]])

    def count_filtered_units(self) -> pd.DataFrame:
        """Count the units that the filters of this session leave out.

        Returns
        -------
        DataFrame
            Index ``filter``: the keyword of each limit in force, after a first row "" of all units
            of the file. Columns condition (in words), failing_count (units that fail it) and
            remaining_count (units that meet it and those before it). An adapter that does not
            filter has the first row alone.

        Examples
        --------
        >>> session.count_filtered_units()["remaining_count"]
        filter
                                     40
        amplitude_cutoff_maximum     23
        presence_ratio_minimum       18
        isi_violations_maximum       17
        filter_by_validity           16
        filter_out_of_brain_units    16
        Name: remaining_count, dtype: int64
        """
        if hasattr(self.api, "count_filtered_units"):
            counts: pd.DataFrame = self.api.count_filtered_units()
            return counts
        columns = {"condition": ["sorted"], "failing_count": [0], "remaining_count": self.num_units}
        return pd.DataFrame(columns, index=pd.Index([""], name="filter"))

    @property
    def structure_acronyms(self) -> list[Any]:
        """The brain structures of the channels in order of channels; missing outside the brain."""
        return list(_structures(self.channels).unique())

    @property
    def structurewise_unit_counts(self) -> pd.Series[int]:
        """The number of units in each structure, in decreasing order.

        Examples
        --------
        >>> session.structurewise_unit_counts.sort_index().to_dict()
        {'CA3': 1, 'DG': 1, 'LGd': 2, 'LP': 4, 'VISam': 2, 'VISp': 6}
        """
        return _structures(self.units).value_counts()

    @property
    def num_units(self) -> int:
        """Number of units that pass the filters.

        ``unit_count`` in the session table may be larger: it includes units outside the brain.
        """
        return len(self.units)

    @property
    def num_channels(self) -> int:
        """Number of valid channels."""
        return len(self.channels)

    @property
    def num_probes(self) -> int:
        """Number of probes."""
        return len(self.probes)

    # ---- spikes

    @cached_property
    def _spike_times(self) -> Mapping[int, Floats]:
        unit_ids = self.units.index.tolist()
        names = {"all_probes", *self.probes["description"]}
        if len(select_tagged_intervals(self.invalid_times, names)):
            warnings.warn(
                "spikes are missing or wrong in some intervals of this session: see "
                "session.invalid_times, and exclude these intervals where it matters",
                stacklevel=4,
            )
        return Selection(self.api.get_spike_times() or {}, unit_ids)

    @property
    def spike_times(self) -> Mapping[int, Floats]:
        """The sorted spike times [s] by unit id; a unit is read when it is accessed.

        Examples
        --------
        >>> session.spike_times[950100404][:3].round(3)
        array([0.121, 0.339, 0.489])
        """
        return self._spike_times

    @cached_property
    def spike_amplitudes(self) -> Mapping[int, Floats]:
        """The amplitude of each spike [V] by unit id; a unit is read when it is accessed."""
        return Selection(self.api.get_spike_amplitudes() or {}, self.units.index.tolist())

    @cached_property
    def mean_waveforms(self) -> Mapping[int, xr.DataArray]:
        """The mean waveform (channel_id, time [s]) by unit id; a unit is read when it is accessed.

        Values are those of the file: µV in the released files, although their attribute says volts.

        Examples
        --------
        >>> dict(session.mean_waveforms[950100404].sizes)
        {'channel_id': 374, 'time': 82}
        """
        return LabelledWaveforms(
            Selection(self.api.get_mean_waveforms() or {}, self.units.index.tolist()),
            units=self.units,
            channels=self.channels,
            probes=self.probes,
        )

    # ---- behaviour

    @cached_property
    def _running(self) -> pd.DataFrame | None:
        return self.api.get_running_speed()

    @cached_property
    def running_speed(self) -> pd.DataFrame:
        """The running speed: start_time, end_time [s] and velocity [cm/s] of each interval.

        No rows if it was not measured, with a warning.

        Examples
        --------
        >>> session.running_speed.head(2).round(3)
           start_time  end_time  velocity
        0       0.350     0.367    -0.268
        1       0.367     0.383    -0.061
        """
        if self._running is None:
            warnings.warn(
                "this session has no running speed: running_speed has no rows", stacklevel=3
            )
        return _or_empty(self._running, _no_rows("start_time", "end_time", "velocity"))

    def get_pupil_data(self) -> pd.DataFrame | None:
        """Return the ellipses fitted to pupil, eye and corneal reflection.

        Returns
        -------
        DataFrame or None
            Index ``Time (s)``; for each, center_x, center_y, height, width [px], phi [rad]. None
            without eye tracking, with a warning the first time.

        Examples
        --------
        >>> session.get_pupil_data()[["pupil_width", "pupil_height"]].head(2).round(1)
                  pupil_width  pupil_height
        Time (s)
        0.400000         59.0          61.4
        0.433333         60.2          59.0
        """
        return self._warn_if_none(self.api.get_pupil_data())

    def get_screen_gaze_data(self, include_filtered_data: bool = False) -> pd.DataFrame | None:
        """Return where on the screen the animal looked.

        Parameters
        ----------
        include_filtered_data
            Add the same columns with blinks and jumps set to NaN.

        Returns
        -------
        DataFrame or None
            Index ``Time (s)``; areas, screen coordinates [cm] and angles [deg]. None without eye
            tracking, with a warning the first time.

        Examples
        --------
        >>> gaze = session.get_screen_gaze_data()
        >>> gaze[["raw_screen_coordinates_x_cm", "raw_screen_coordinates_y_cm"]].head(2).round(1)
                  raw_screen_coordinates_x_cm  raw_screen_coordinates_y_cm
        Time (s)
        0.400000                         -0.1                          0.1
        0.433333                         -0.1                          0.0
        """
        return self._warn_if_none(
            self.api.get_screen_gaze_data(include_filtered_data=include_filtered_data)
        )

    def _warn_if_none(self, eye_tracking: pd.DataFrame | None) -> pd.DataFrame | None:
        if eye_tracking is None and not self._warned_of_eyes:
            self._warned_of_eyes = True
            warnings.warn(
                "this session has no eye tracking: get_pupil_data() and get_screen_gaze_data() "
                "return None",
                stacklevel=3,
            )
        return eye_tracking

    # ---- local field potential

    def get_lfp(
        self,
        probe_id: int,
        mask_invalid_intervals: bool = True,
        *,
        chunks: int | str | Mapping[str, Any] | None = None,
    ) -> xr.DataArray:
        """Return the local field potential of a probe; only selections are read.

        Parameters
        ----------
        probe_id
            Id of a probe with an LFP file, from the index of ``session.probes``.
        mask_invalid_intervals
            Set values to NaN in the invalid intervals of this probe and of all probes.
        chunks
            Chunks of a Dask array, as for ``DataArray.chunk``, for instance "auto". If None, the
            result is not a Dask array: values are read when they are selected.

        Returns
        -------
        DataArray
            ``LFP`` (time [s], channel) [V]. It holds the file open; ``.close()`` closes it.

        Notes
        -----
        ``session.get_lfp(probe_id).sel(time=slice(100, 101))`` reads one second, ``.load()`` reads
        everything, and ``spikehouse.lfp.align_lfp`` reads windows around stimuli. What was read is
        not cached: call ``.load()`` on a selection that is used more than once. Samples of all
        channels are stored together, so reading one passes over the whole file. Arithmetic on
        ``lfp.time`` reads all times, 96 MB for a released probe.

        Selecting by time assumes that times increase. This is checked on all times that are read,
        and on nine blocks spread over the recording;
        ``lfp.indexes["time"].is_monotonic_increasing`` checks all of them.

        Examples
        --------
        >>> lfp = session.get_lfp(session.probes.index[0])
        >>> dict(lfp.sel(time=slice(30, 31)).sizes)  # only this second is read
        {'time': 1250, 'channel': 24}
        """
        probe_id = to_id(probe_id, "probe_id")
        options: dict[str, Any] = {} if chunks is None else {"chunks": chunks}
        with explaining_missing_lfp(probe_id):
            lfp = self.api.get_lfp(probe_id, **options)
        if not mask_invalid_intervals:
            return lfp
        names = {"all_probes", str(self.probes.loc[probe_id, "description"])}
        wrong = select_tagged_intervals(self.invalid_times, names)
        return mask_intervals(lfp, wrong["start_time"], wrong["stop_time"]) if len(wrong) else lfp

    def get_current_source_density(self, probe_id: int) -> xr.DataArray:
        """Return the current source density of the response to flashes, from the LFP file.

        Parameters
        ----------
        probe_id
            Id of the probe, from the index of ``session.probes``.

        Returns
        -------
        DataArray
            ``CSD`` (virtual_channel_index, time [s] from flash onset) [V/cm²], with
            vertical_position and horizontal_position [µm].

        Examples
        --------
        >>> csd = session.get_current_source_density(session.probes.index[0])
        >>> dict(csd.sizes)
        {'virtual_channel_index': 384, 'time': 875}
        """
        probe_id = to_id(probe_id, "probe_id")
        with explaining_missing_lfp(probe_id):
            return self.api.get_current_source_density(probe_id)

    # ---- invalid times

    @cached_property
    def invalid_times(self) -> pd.DataFrame:
        """The intervals in which data are invalid: start_time, stop_time [s], tags."""
        if not hasattr(self.api, "get_invalid_times"):
            return INVALID_TIMES.empty()
        return _or_empty(self.api.get_invalid_times(), INVALID_TIMES.empty())

    def get_invalid_times(self) -> pd.DataFrame:
        """Return the intervals in which data are invalid.

        Returns
        -------
        DataFrame
            start_time, stop_time [s], tags: scope (EcephysSession or EcephysProbe), id, label
            (all_probes, stimulus, optotagging or the probe's name).

        Examples
        --------
        >>> list(session.get_invalid_times())
        ['start_time', 'stop_time', 'tags']
        """
        return self.invalid_times

    # ---- other packages

    def to_pynapple(self, *, lfp: Ids = ()) -> dict[str, Any]:
        """Convert spikes, epochs, behavior and LFP to pynapple's objects, by name.

        Parameters
        ----------
        lfp
            Ids of the probes whose LFP is included.

        Returns
        -------
        dict
            What the session has of: ``"units"``, a TsGroup by unit id, whose metadata are the
            columns of ``units`` (``rate`` is pynapple's, a column rate ``unit_rate``);
            ``"<stimulus>_presentations"`` of each stimulus,
            ``"stimulus_epochs"`` and ``"optogenetic_stimulation"``, IntervalSets with the other
            columns as metadata; ``"running_speed"`` [cm/s], a Tsd at the middle of each sample;
            ``"pupil_data"`` and ``"screen_gaze"``, TsdFrames with the columns of
            `get_pupil_data` and `get_screen_gaze_data`; ``"<probe>_lfp"`` [V], TsdFrames by
            channel id, read where they are selected or restricted.

        Raises
        ------
        ModuleNotFoundError
            If pynapple is not installed.
        NotFoundError
            If nothing in the session has a duration.

        Warns
        -----
        UserWarning
            If intervals of a table have no duration or begin together, and are left out.

        Notes
        -----
        Units and behavior have one time support, from the first to the last time in the session,
        without the intervals that are invalid for all probes: what is in these is left out. In
        those of one probe, its spikes are kept. LFP is NaN in both. Intervals of pynapple cannot
        touch: one that lasts until the next begins, or longer, ends 1 µs before it.

        Reads the spikes of all units into memory: 0.7 GB for a session of 700 units. LFP takes
        96 MB for the times of a released probe, and 4 bytes for each value that is selected.
        """
        intervals: dict[str, pd.DataFrame] = {}
        traces: dict[str, Any] = {}
        # an adapter may lack any of these
        with contextlib.suppress(*_LACKING):
            for name in self.stimulus_names:
                shown = self.get_stimulus_table(name, missing="nan")
                intervals[f"{name}_presentations"] = shown
            intervals["stimulus_epochs"] = self.get_stimulus_epochs()
        with contextlib.suppress(*_LACKING):
            intervals["optogenetic_stimulation"] = self.optogenetic_stimulation_epochs
        running = self._running_if_measured
        if running is not None and len(running.columns):
            needed = ("start_time", "end_time", "velocity")
            require_columns(running, *needed, what="the table of running speed")
            middle = (running["start_time"] + running["end_time"]) / 2
            traces["running_speed"] = running["velocity"].set_axis(middle)
        with contextlib.suppress(*_LACKING):
            traces["pupil_data"] = self.api.get_pupil_data()
            traces["screen_gaze"] = self.api.get_screen_gaze_data()
        probes = to_ids(lfp, "probe_id")
        return conversions.make_pynapple(
            self.spike_times,
            self.units,
            {name: table for name, table in intervals.items() if len(table)},
            {name: trace for name, trace in traces.items() if trace is not None},
            {f"{self.probes.loc[i, 'description']}_lfp": self.get_lfp(i) for i in probes},
            channels=self.channels,
            invalid_times=select_tagged_intervals(self.invalid_times, {"all_probes"}),
        )

    def to_dataset(
        self,
        stimulus_name: str,
        bin_edges: npt.ArrayLike | None = None,
        unit_ids: Ids | None = None,
        *,
        behavior: bool = False,
    ) -> xr.Dataset:
        """Put the responses to a stimulus, its parameters and the units into one labelled Dataset.

        Parameters
        ----------
        stimulus_name
            One of :attr:`stimulus_names`.
        bin_edges
            Edges of bins [s] relative to onset; if None, spikes are counted from the start to the
            stop of each presentation.
        unit_ids
            Ids of the units; all if None.
        behavior
            Add running speed, pupil and gaze: variables by presentation, with the names of
            :func:`spikehouse.analysis.summarize_behavior`.

        Returns
        -------
        Dataset
            ``spike_counts`` (stimulus_presentation_id, [time_relative_to_stimulus_onset,]
            unit_id). Coordinates of presentations are start_time, stop_time and the other columns
            of :meth:`get_stimulus_table`; of units, those of :attr:`units`. Where another part of
            the result has the name of a column, ``stimulus_presentation_`` or ``unit_`` is put
            before that of the column. A missing number is NaN, a missing text empty.

        Examples
        --------
        >>> flashes = session.to_dataset("flashes")
        >>> visp = flashes.sel(unit_id=flashes["ecephys_structure_acronym"] == "VISp")
        >>> visp["spike_counts"].groupby("color").mean().mean("unit_id").to_series().round(2)
        color
        -1.0    3.08
         1.0    1.54
        Name: spike_counts, dtype: float64
        """
        from spikehouse.analysis import summarize_behavior

        shown = self.get_stimulus_table(stimulus_name, missing="nan")
        ids = self._select_units(unit_ids)
        if bin_edges is None:
            counts = compute_design_matrix(self, ids, shown)
        else:
            counts = self.presentationwise_spike_counts(bin_edges, shown.index, ids)
        summary = summarize_behavior(self, shown) if behavior else None
        return conversions.make_dataset(counts, shown, self.units.loc[ids], summary)

    def to_spikeinterface(
        self, probe_id: int | None = None, *, sampling_frequency: float | None = None
    ) -> Any:  # noqa: ANN401 - a class of a package that may be absent
        """Convert the spikes to a sorting of SpikeInterface.

        Parameters
        ----------
        probe_id
            Id of a probe, from the index of :attr:`probes`; the units of all if None.
        sampling_frequency
            Samples per second [Hz]; if None, the largest sampling rate of the probes.

        Returns
        -------
        spikeinterface.NumpySorting
            One segment, the unit ids, and the columns of :attr:`units` as properties.

        Raises
        ------
        ModuleNotFoundError
            If SpikeInterface is not installed.

        Notes
        -----
        Samples are counted on the session's clock, common to all probes, from its zero (from a
        whole second before the first spike if that is negative): their times are within half a
        sample of :attr:`spike_times`, 17 µs at 30 kHz. They are not samples of the raw recording of
        a probe, whose clock drifts and begins at another time. Takes 24 bytes a spike, and three
        times that while it is made: 2 GB for the 28 million spikes of 700 units.
        """
        if probe_id is None:
            probes, units = self.probes, self.units
        else:
            ids = _check_ids(
                to_id(probe_id, "probe_id"), self.probes.index, name="probe_id", one="probe"
            )
            probes = self.probes.loc[ids]
            units = self.units[self.units["probe_id"].isin(ids)]
        if sampling_frequency is None:
            sampling_frequency = float(probes["sampling_rate"].max())
        if not 0 < sampling_frequency < np.inf:
            raise InvalidArgumentError(
                f"the sampling frequency is {sampling_frequency}: give it in Hz, for instance "
                "to_spikeinterface(sampling_frequency=30_000); the probes of this session "
                f"{'have none' if probes['sampling_rate'].isna().all() else 'have others'}"
            )
        return conversions.make_sorting(self.spike_times, units, sampling_frequency)

    @cached_property
    def nwbfile(self) -> Any:  # noqa: ANN401 - a class of a package that may be absent
        """The session file as a pynwb object, which takes seconds to create."""
        return self.api.get_nwbfile()

    # ---- stimuli

    @cached_property
    def optogenetic_stimulation_epochs(self) -> pd.DataFrame:
        """The laser pulses; columns are described in ``schema.OPTOGENETIC_EPOCHS``.

        Examples
        --------
        >>> session.optogenetic_stimulation_epochs[["stimulus_name", "level", "duration"]].head(3)
           stimulus_name  level  duration
        id
        0          pulse    1.3      0.01
        1    fast_pulses    1.7      1.00
        2    fast_pulses    2.0      1.00
        """
        return _or_empty(self.api.get_optogenetic_stimulation(), OPTOGENETIC_EPOCHS.empty())

    @cached_property
    def _presentations(self) -> Presentations:
        table = _or_empty(
            self.api.get_stimulus_presentations(),
            _no_rows("start_time", "stop_time", "stimulus_name"),
        )
        return build_presentations(table, self.invalid_times, standardize=self._is_survey)

    @cached_property
    def stimulus_presentations(self) -> pd.DataFrame:
        """The presentations in order of start time; "null" if a parameter does not apply.

        Presentations that overlap an invalid interval have the name ``invalid_presentation``.

        Examples
        --------
        >>> session.stimulus_presentations[["stimulus_name", "start_time"]].head(3).round(3)
                                 stimulus_name  start_time
        stimulus_presentation_id
        0                          spontaneous        2.00
        1                               gabors        5.00
        2                               gabors        5.25
        """
        return self._list_presentations()

    @property
    def num_stimulus_presentations(self) -> int:
        """Number of presentations."""
        return len(self._presentations)

    @cached_property
    def stimulus_conditions(self) -> pd.DataFrame:
        """The distinct sets of parameters, numbered in order of first appearance.

        Examples
        --------
        >>> session.stimulus_conditions.query("stimulus_name == 'flashes'")["color"]
        stimulus_condition_id
        82   -1.0
        83    1.0
        Name: color, dtype: object
        """
        return list_conditions(self._presentations)

    @property
    def stimulus_names(self) -> list[str]:
        """The names of the stimuli in order of first appearance.

        Examples
        --------
        >>> session.stimulus_names[:3]
        ['spontaneous', 'gabors', 'flashes']
        """
        return list_stimulus_names(self._presentations)

    def get_stimulus_table(
        self,
        stimulus_names: str | Collection[str] | None = None,
        include_detailed_parameters: bool = False,
        include_unused_parameters: bool = False,
        *,
        missing: Missing = "null",
    ) -> pd.DataFrame:
        """Return the presentations of stimuli.

        Parameters
        ----------
        stimulus_names
            One or several of ``session.stimulus_names``; all stimuli if None.
        include_detailed_parameters
            Include settings of the display that rarely vary, such as ``colorSpace``.
        include_unused_parameters
            Include parameters that none of these presentations has.
        missing
            Value where a parameter does not apply: "null" (this text, which notebooks written for
            AllenSDK expect) or "nan" (missing values in typed columns).

        Returns
        -------
        DataFrame
            Index ``stimulus_presentation_id``; start_time, stop_time, duration [s],
            stimulus_name, stimulus_block, the parameters, stimulus_condition_id. In a table of one
            stimulus, columns without "null" are numeric.

        Examples
        --------
        >>> flashes = session.get_stimulus_table("flashes")
        >>> flashes[["start_time", "duration", "color"]].round(3).head(3)
                                  start_time  duration  color
        stimulus_presentation_id
        83                            28.250      0.25   -1.0
        84                            30.251      0.25    1.0
        85                            32.253      0.25   -1.0
        """
        names = [stimulus_names] if isinstance(stimulus_names, str) else stimulus_names
        if names is not None and not isinstance(names, Collection):
            raise InvalidArgumentError(
                f"stimulus_names is {describe_value(names)}; pass a name, a list of "
                "names, or None for all"
            )
        return self._list_presentations(
            names=names,
            detailed=include_detailed_parameters,
            unused=include_unused_parameters,
            missing=missing,
            numeric=names is not None and len(names) == 1,
        )

    def get_stimulus_epochs(
        self, duration_thresholds: Mapping[str, float] | None = None
    ) -> pd.DataFrame:
        """Return the epochs in which one stimulus was shown.

        Parameters
        ----------
        duration_thresholds
            Shortest duration [s] of an epoch by stimulus name; shorter ones are left out. If None,
            90 s for spontaneous_activity.

        Returns
        -------
        DataFrame
            start_time, stop_time, duration [s], stimulus_name, stimulus_block.

        Examples
        --------
        >>> epochs = session.get_stimulus_epochs()
        >>> epochs[["start_time", "duration", "stimulus_name"]].head(3).round(2)
           start_time  duration stimulus_name
        0        2.00      3.00   spontaneous
        1        5.00     20.25        gabors
        2       25.25      3.00   spontaneous
        """
        return find_stimulus_epochs(self._presentations, duration_thresholds=duration_thresholds)

    @cached_property
    def inter_presentation_intervals(self) -> pd.DataFrame:
        """Intervals [s] between presentations by (from_presentation_id, to_presentation_id)."""
        return compute_inter_presentation_intervals(self._presentations)

    def get_inter_presentation_intervals_for_stimulus(
        self, stimulus_names: str | Collection[str]
    ) -> pd.DataFrame:
        """Return the intervals between successive presentations of stimuli.

        Parameters
        ----------
        stimulus_names
            One or several of ``session.stimulus_names``.

        Returns
        -------
        DataFrame
            ``interval`` [s] by (from_presentation_id, to_presentation_id).

        Examples
        --------
        >>> session.get_inter_presentation_intervals_for_stimulus("flashes").head(2).round(2)
                                                 interval
        from_presentation_id to_presentation_id
        83                   84                      1.75
        84                   85                      1.75
        """
        shown = self.get_stimulus_table(stimulus_names).index
        intervals = self.inter_presentation_intervals
        before = intervals.index.isin(shown, level="from_presentation_id")
        after = intervals.index.isin(shown, level="to_presentation_id")
        return intervals[before & after]

    def get_stimulus_parameter_values(
        self, stimulus_presentation_ids: Ids | None = None, drop_nulls: bool = True
    ) -> dict[str, npt.NDArray[Any]]:
        """Return the values of each stimulus parameter.

        Parameters
        ----------
        stimulus_presentation_ids
            Ids of the presentations; all presentations if None.
        drop_nulls
            Leave out "null"; otherwise it is the last value if a parameter does not always apply.

        Returns
        -------
        dict
            Values by parameter, in order of first appearance.

        Examples
        --------
        >>> session.get_stimulus_parameter_values()["temporal_frequency"]
        array([ 4.,  8., 15.,  2.])
        """
        rows = self._select_presentations(stimulus_presentation_ids)
        return list_parameter_values(self._presentations, rows, drop_nulls=drop_nulls)

    def get_parameter_values_for_stimulus(
        self, stimulus_name: str, drop_nulls: bool = True
    ) -> dict[str, npt.NDArray[Any]]:
        """Return the values of each parameter of one stimulus.

        Parameters
        ----------
        stimulus_name
            One of ``session.stimulus_names``.
        drop_nulls
            Leave out "null".

        Returns
        -------
        dict
            Values by parameter, in order of first appearance.

        Examples
        --------
        >>> session.get_parameter_values_for_stimulus("flashes")["color"]
        array([-1.,  1.])
        """
        shown = self.get_stimulus_table([stimulus_name]).index
        return self.get_stimulus_parameter_values(shown, drop_nulls=drop_nulls)

    def channel_structure_intervals(self, channel_ids: Ids) -> tuple[npt.NDArray[Any], Ints]:
        """Find the runs of successive channels that are in the same structure.

        Parameters
        ----------
        channel_ids
            Ids of channels of one probe, in their order along it.

        Returns
        -------
        labels : ndarray, shape (n_runs,)
            Structure of each run; missing outside the brain.
        intervals : ndarray, shape (n_runs + 1,)
            Position in ``channel_ids`` where each run begins, followed by the number of channels.

        Examples
        --------
        >>> acronyms, edges = session.channel_structure_intervals(session.channels.index[:300])
        >>> dict(zip(acronyms, edges.tolist()))
        {'TH': 0, 'LP': 45, 'DG': 109, 'CA1': 175, 'VISam': 224}
        """
        ids = _check_ids(channel_ids, self.channels.index, name="channel_id", one="channel")
        table = self.channels.loc[ids]
        require_columns(
            table, "probe_id", "ecephys_structure_acronym", what="the table of channels"
        )
        if table["probe_id"].nunique() > 1:
            warnings.warn(
                "the channels belong to several probes: intervals may extend from one to the next",
                stacklevel=2,
            )
        acronyms = table["ecephys_structure_acronym"].to_numpy(dtype=object)
        intervals = find_run_bounds(acronyms)
        return acronyms[intervals[:-1]], intervals

    # ---- spikes aligned to stimuli

    def presentationwise_spike_counts(
        self,
        bin_edges: npt.ArrayLike,
        stimulus_presentation_ids: Ids | None = None,
        unit_ids: Ids | None = None,
        binarize: bool = False,
        dtype: npt.DTypeLike | None = None,
        large_bin_size_threshold: float = 0.001,
        time_domain_callback: Any = None,  # noqa: ANN401 - array in, array out
        *,
        mean_over: MeanOver | None = None,
    ) -> xr.DataArray:
        """Count spikes in bins around the onset of presentations.

        Parameters
        ----------
        bin_edges
            Edges of the bins [s] relative to onset, shape (n_bins + 1,), not decreasing; or, with
            gaps between the bins, first and last time of each, shape (n_bins, 2), in order. Bins
            are half-open: [left, right).
        stimulus_presentation_ids, unit_ids
            Ids of the presentations and units, in the order of the result; all if None.
        binarize
            Return 1 for bins with spikes and 0 for bins without.
        dtype
            Data type of the counts. If None, the smallest signed integer type, at least int16, that
            holds the largest count.
        large_bin_size_threshold
            Bin width [s] above which ``binarize`` gives a warning.
        time_domain_callback
            Function that takes the absolute edges [s], shape (n_presentations, n_bins + 1), and
            returns changed ones of the same shape; of bins with gaps (n_presentations, 2 n_bins).
        mean_over
            Average over all "presentations", or over those of each of the "conditions" (without
            invalid presentations). The counts of single presentations are then not stored: memory
            is that of the result. Cannot be combined with ``binarize`` and ``dtype``.

        Returns
        -------
        DataArray, shape (n_presentations, n_bins, n_units)
            ``spike_counts`` (stimulus_presentation_id, time_relative_to_stimulus_onset = bin
            centres [s], unit_id); or ``mean_spike_counts`` ([stimulus_condition_id,]
            time_relative_to_stimulus_onset, unit_id). Bins with gaps have ``window_start`` and
            ``window_stop`` [s].

        Examples
        --------
        >>> counts = session.presentationwise_spike_counts(
        ...     bin_edges=[0.0, 0.05, 0.1, 0.25],
        ...     stimulus_presentation_ids=session.get_stimulus_table("flashes").index,
        ...     unit_ids=[950100404, 950100393],
        ... )
        >>> counts.sum("stimulus_presentation_id").values
        array([[ 8,  2],
               [ 5,  2],
               [20,  7]])
        """
        bins = edges, step, times = read_bins(bin_edges)
        presentations = self._select_presentations(stimulus_presentation_ids)
        units = self._select_units(unit_ids)
        if mean_over is not None:
            if binarize or dtype is not None:
                raise InvalidArgumentError(
                    "mean_over returns means as floats: it excludes binarize and dtype"
                )
            return self._mean_spike_counts(
                bins, presentations, units, mean_over=mean_over, callback=time_domain_callback
            )
        if binarize:
            warn_wide_bins(bin_edges, threshold=large_bin_size_threshold)
        onsets = self._windows(presentations)["start_time"]
        domain = compute_time_domain(edges, onsets, callback=time_domain_callback)
        if step == 1:
            warn_overlaps(domain)
        else:
            warn_overlaps(domain.reshape(len(onsets), -1, 2))
            domain = domain.reshape(-1, 2)
        counts = self._count_spikes(units, domain, dtype=dtype, binarize=binarize)
        coords: dict[str, Any] = {
            "stimulus_presentation_id": self._presentations.ids[presentations],
            **times,
            "unit_id": np.asarray(units, dtype=np.int64),
        }
        return xr.DataArray(
            counts.reshape(len(onsets), len(times[TIME][1]), len(units)),
            dims=["stimulus_presentation_id", TIME, "unit_id"],
            coords=coords,
            name="spike_counts",
        )

    def presentationwise_spike_times(
        self, stimulus_presentation_ids: Ids | None = None, unit_ids: Ids | None = None
    ) -> pd.DataFrame:
        """List the spikes during presentations.

        Parameters
        ----------
        stimulus_presentation_ids, unit_ids
            Ids of the presentations and units, in any order; all if None.

        Returns
        -------
        DataFrame
            Index ``spike_time`` [s], sorted; stimulus_presentation_id, unit_id,
            time_since_stimulus_presentation_onset [s]. Presentations are half-open: [start, stop).

        Examples
        --------
        >>> flashes = session.get_stimulus_table("flashes")
        >>> spikes = session.presentationwise_spike_times(flashes.index, [950100404])
        >>> spikes["time_since_stimulus_presentation_onset"].head(3).round(3)
        spike_time
        28.266569    0.017
        28.306665    0.057
        28.404692    0.155
        Name: time_since_stimulus_presentation_onset, dtype: float64
        """
        return align_spikes(
            self.spike_times,
            self._select_units(unit_ids),
            self._windows(self._select_presentations(stimulus_presentation_ids)),
        )

    def conditionwise_spike_statistics(
        self,
        stimulus_presentation_ids: Ids | None = None,
        unit_ids: Ids | None = None,
        use_rates: bool = False,
    ) -> pd.DataFrame:
        """Summarize spike counts over the presentations of each condition.

        Parameters
        ----------
        stimulus_presentation_ids, unit_ids
            Ids of the presentations and units; all if None. Invalid presentations have no condition
            and are left out.
        use_rates
            Summarize firing rates [spikes/s] instead of counts.

        Returns
        -------
        DataFrame
            Index (unit_id, stimulus_condition_id); spike_count (not with rates),
            stimulus_presentation_count, spike_mean, spike_std (ddof 1), spike_sem. Every unit has
            a row for every condition, also if it has no spikes.

        Examples
        --------
        >>> flashes = session.get_stimulus_table("flashes")
        >>> statistics = session.conditionwise_spike_statistics(flashes.index, [950100404])
        >>> statistics[["spike_count", "spike_mean", "spike_sem"]].round(2)
                                         spike_count  spike_mean  spike_sem
        unit_id   stimulus_condition_id
        950100404 82                              18        4.50       1.26
                  83                              15        3.75       1.31
        """
        rows = self._select_presentations(stimulus_presentation_ids)
        rows = rows[~self._presentations.is_invalid[rows]]
        conditions = self._presentations.condition[rows]
        return compute_condition_statistics(
            self.spike_times,
            self._select_units(unit_ids),
            self._windows(rows).assign(stimulus_condition_id=conditions),
            use_rates=use_rates,
        )

    def get_responses(
        self,
        stimulus_name: str,
        trial_duration: float,
        unit_ids: Ids | None = None,
        *,
        stimulus_presentation_ids: Ids | None = None,
    ) -> StimulusResponses:
        """Return the responses to one stimulus, for the functions of :mod:`spikehouse.analysis`.

        Parameters
        ----------
        stimulus_name
            One of :attr:`stimulus_names`.
        trial_duration
            Duration over which spikes are counted, from the onset [s].
        unit_ids
            Ids of the units; all if None.
        stimulus_presentation_ids
            Only these presentations of the stimulus, such as those of one state of the animal; all
            if None.

        Returns
        -------
        StimulusResponses
            Presentations, spikes and running speed; spikes are counted when needed.

        Examples
        --------
        >>> responses = session.get_responses("static_gratings", trial_duration=0.25)
        >>> responses.counts.shape  # presentations × units
        (26, 16)
        """
        from spikehouse.analysis import StimulusResponses

        shown = self.get_stimulus_table(stimulus_name, missing="nan")
        if stimulus_presentation_ids is not None:
            rows = self._select_presentations(stimulus_presentation_ids)
            shown = shown[shown.index.isin(self._presentations.ids[rows])]
            if shown.empty:
                raise InvalidArgumentError(
                    f"none of the {len(rows)} stimulus_presentation_ids is of {stimulus_name}; "
                    "its table of presentations has the valid ones"
                )
        return StimulusResponses(
            stimulus_name,
            shown,
            self._select_units(unit_ids),
            self.spike_times,
            trial_duration,
            self._running_if_measured,
        )

    def analyze(
        self,
        stimulus: str | Sequence[str] | None = None,
        *,
        unit_ids: Ids | None = None,
        stimulus_presentation_ids: Ids | None = None,
        definition: Definition | None = None,
        options: MetricOptions | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> pd.DataFrame:
        """Compute the tuning metrics of the published unit tables.

        Parameters
        ----------
        stimulus
            ``"drifting_gratings"``, ``"static_gratings"``, ``"natural_scenes"``, ``"flashes"``,
            ``"gabors"``, ``"dot_motion"``, ``"natural_movie_one"``, ``"natural_movie_three"``, or
            a list of them; all stimuli of the session if None.
        unit_ids
            Ids of the units; all if None.
        stimulus_presentation_ids
            Only these presentations, such as those of one state of the animal; all if None. A
            warning says how many conditions are not among them.
        definition
            ``"corrected"``, or ``"published"`` to compute every column as in the released tables;
            if None, the definition of ``options``.
        options
            The definition, and number of permutations and seed of the test of receptive fields;
            ``spikehouse.analysis.MetricOptions()`` if None. Equal seeds give equal p-values.
        progress
            Function that is called after every stimulus with the number done and the total.

        Returns
        -------
        DataFrame
            Index ``unit_id``; AllenSDK's column names, which end in the stimulus (dg, sg, ns, fl,
            rf, dm; nm1, nm3 for the movies). NaN if a metric is not defined for a unit: see the
            functions ``compute_…_metrics`` of :mod:`spikehouse.analysis`.

        Notes
        -----
        Spikes are read once or twice for each stimulus and not kept in memory. Also with
        ``stimulus_presentation_ids``, firing_rate includes what is between onsets that are at most
        two trials apart.

        Examples
        --------
        >>> session.analyze("drifting_gratings")[["pref_ori_dg", "firing_rate_dg"]].round(1).head(3)
                   pref_ori_dg  firing_rate_dg
        unit_id
        950100383        135.0             0.7
        950100404        270.0            16.9
        950100393        315.0             3.5
        """
        from spikehouse.analysis import MetricOptions, compute_metrics

        options = options or MetricOptions()
        if definition is not None:
            options = dataclasses.replace(options, definition=definition)
        units = self._select_units(unit_ids)
        chosen, shown = stimulus_presentation_ids, self.stimulus_names
        if chosen is not None:
            chosen = self._presentations.ids[self._select_presentations(chosen)]
            names = self.stimulus_presentations.loc[chosen, "stimulus_name"]
            shown = [name for name in shown if (names == name).any()]

        def respond(name: str, trial_duration: float) -> StimulusResponses:
            responses = self.get_responses(
                name, trial_duration, units, stimulus_presentation_ids=chosen
            )
            if chosen is None:
                return responses
            is_shown = self.stimulus_presentations["stimulus_name"] == name
            n_all = self.stimulus_presentations.loc[is_shown, "stimulus_condition_id"].nunique()
            n_missing = n_all - len(responses.conditions)
            if n_missing:
                warnings.warn(
                    f"{n_missing} of {n_all} conditions of {name} are not among the presentations "
                    "given: metrics are of the others, and NaN where they need these",
                    stacklevel=6,
                )
            return responses

        return compute_metrics(
            stimulus,
            respond,
            shown=shown,
            options=options,
            progress=progress,
        )

    @property
    def _running_if_measured(self) -> pd.DataFrame | None:
        try:
            return self._running
        except _ABSENT as error:
            log.info("no running speed, so metrics of running are not computed: %s", error)
            return None

    def _mean_spike_counts(
        self,
        bins: Bins,
        rows: Ints,
        units: list[int],
        *,
        mean_over: MeanOver,
        callback: Any,  # noqa: ANN401 - array in, array out
    ) -> xr.DataArray:
        edges, step, times = bins
        coords: dict[str, Any] = {}
        groups = None
        if mean_over == "conditions":
            rows = rows[~self._presentations.is_invalid[rows]]
            conditions, groups = np.unique(self._presentations.condition[rows], return_inverse=True)
            coords["stimulus_condition_id"] = conditions
        elif mean_over != "presentations":
            raise InvalidArgumentError(
                f"mean_over is {mean_over!r}; {describe_choices(mean_over, get_args(MeanOver))}"
            )
        domain = compute_time_domain(edges, self._windows(rows)["start_time"], callback=callback)
        dims = [*coords, TIME, "unit_id"]
        coords |= {**times, "unit_id": np.asarray(units, dtype=np.int64)}
        means = compute_mean_counts(self.spike_times, units, domain, groups=groups)
        means = means[..., ::step, :]
        return xr.DataArray(means, dims=dims, coords=coords, name="mean_spike_counts")

    # the next two are overridden in compat
    def _count_spikes(
        self,
        units: list[int],
        domain: Floats,
        **options: Any,  # noqa: ANN401 - of count_spikes
    ) -> npt.NDArray[Any]:
        return count_spikes(self.spike_times, units, domain, **options)

    def _list_presentations(self, **options: Any) -> pd.DataFrame:  # noqa: ANN401
        return list_presentations(self._presentations, **options)

    def _windows(self, rows: Ints) -> pd.DataFrame:
        """Return start and stop [s] of presentations by id."""
        shown = self._presentations
        columns = {"start_time": shown.start_time[rows], "stop_time": shown.stop_time[rows]}
        return pd.DataFrame(columns, index=shown.ids[rows])

    def _select_presentations(self, ids: Ids | None) -> Ints:
        """Return the positions of presentations from their ids."""
        known = pd.Index(self._presentations.ids)
        if ids is None:
            return np.arange(len(known))
        given = _check_ids(ids, known, name="stimulus_presentation_id", one="presentation")
        return known.get_indexer(pd.Index(given)).astype(np.int64)

    def _select_units(self, ids: Ids | None) -> list[int]:
        known: Any = self.units.index
        found = known if ids is None else _check_ids(ids, known, name="unit_id", one="unit")
        return [int(unit) for unit in found]


def _or_empty(table: pd.DataFrame | None, no_rows: pd.DataFrame) -> pd.DataFrame:
    """Return a table of the adapter, or ``no_rows`` if it is None or has no columns."""
    return no_rows if table is None or not len(table.columns) else table


def _no_rows(*columns: str) -> pd.DataFrame:
    return pd.DataFrame({name: np.empty(0) for name in columns})


def _structures(table: pd.DataFrame) -> pd.Series[Any]:
    # without registration to an atlas there is no such column
    return table.get("ecephys_structure_acronym", pd.Series(dtype=object))


def _check_ids(ids: Ids, known: pd.Index[Any], *, name: str, one: str) -> Ints:
    given = to_ids(ids, name)
    if given.size == 0:
        return np.empty(0, dtype=np.int64)
    absent = ~pd.Index(given).isin(known)
    if absent.any():
        first = given[absent][0]
        value = first.item() if isinstance(first, np.generic) else first
        raise NotFoundError(
            f"{int(absent.sum())} of {given.size} {name}s are not in this session; there is no "
            f"{one} {value!r}: {describe_choices(value, known.tolist())}"
        )
    repeated = pd.Index(given).duplicated()
    if repeated.any():
        raise InvalidArgumentError(
            f"{name}s holds {given[repeated][0]} more than once; pass each id once"
        )
    return given.astype(np.int64)
