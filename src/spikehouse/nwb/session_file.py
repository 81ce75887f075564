"""The adapter that reads a session from its NWB file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import cached_property, partial, wraps
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.catalogue import UnitFilter, count_filtered, filter_units
from spikehouse.catalogue.filters import NO_FILTER, is_limit
from spikehouse.errors import InvalidArgumentError, NotFoundError, describe_choices, describe_value
from spikehouse.nwb import other_files
from spikehouse.nwb._validate_columns import check_table
from spikehouse.nwb.hdf5 import Hdf5File, NwbPath
from spikehouse.nwb.intervals import (
    read_invalid_times,
    read_optogenetic_epochs,
    read_stimulus_presentations,
)
from spikehouse.nwb.lfp import open_lfp, read_current_source_density
from spikehouse.nwb.metadata import (
    mask_repeated_axis,
    read_channels,
    read_probes,
    read_rig,
    read_session_id,
    read_start_time,
    read_subject,
)
from spikehouse.nwb.timeseries import read_gaze, read_pupil, read_running_speed
from spikehouse.nwb.units import UNITS, RaggedColumn, SpikeTimes, read_units
from spikehouse.schema import CHANNELS

TableGiver = Callable[[], pd.DataFrame]
LfpPath = NwbPath | Callable[[], NwbPath]
Read = TypeVar("Read")


def _report_closing(cls: type[NwbSessionFile]) -> type[NwbSessionFile]:
    """Make every reading method raise a clear error if another thread closes the file meanwhile."""

    def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(self: NwbSessionFile, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            with self.file.closing_told():
                return method(self, *args, **kwargs)

        return call

    for name in [name for name in vars(cls) if name.startswith("get_")]:
        setattr(cls, name, wrap(getattr(cls, name)))
    return cls


def _reads(
    read: Callable[[Hdf5File], Read], other: Callable[[Hdf5File], Read] | None = None
) -> Callable[[NwbSessionFile], Read]:
    """Return a method that reads from the session's file, with the docstring of the function.

    Files of other writers are read by ``other``, if it is given.
    """

    def method(self: NwbSessionFile) -> Read:
        return (read if other is None or self.has_survey_stimuli else other)(self.file)

    method.__doc__ = read.__doc__
    return method


@_report_closing
class NwbSessionFile:
    """The adapter of a session file: each method reads what it returns."""

    # The tables that a cache adds are callables, so that nothing is downloaded or read before it
    # is asked for. The channel columns replace or complete those of the file: the cache's
    # channels.csv has the right left–right coordinate.

    def __init__(
        self,
        path: NwbPath,
        *,
        filters: UnitFilter | Mapping[str, Any] | None = None,
        external_channel_columns: TableGiver | None = None,
        additional_unit_metrics: TableGiver | None = None,
        probe_lfp_paths: Mapping[int, LfpPath] | None = None,
    ) -> None:
        self.file = Hdf5File(path)
        # a mapping leaves the others as they usually are
        given = asdict(filters) if isinstance(filters, UnitFilter) else filters or {}
        self._asked_filters: dict[str, Any] = dict(given)
        self.probe_lfp_paths = dict(probe_lfp_paths or {})
        self._additional_unit_metrics = additional_unit_metrics
        self._external_channel_columns = external_channel_columns

    def __reduce__(self) -> tuple[Callable[..., NwbSessionFile], tuple[Any, ...]]:
        make = partial(
            type(self),
            filters=self._asked_filters,
            external_channel_columns=self._external_channel_columns,
            additional_unit_metrics=self._additional_unit_metrics,
            probe_lfp_paths=self.probe_lfp_paths,
        )
        return make, (self.file.source,)

    @property
    def path(self) -> str:
        """The path or address of the file."""
        return self.file.reader.url

    @property
    def additions(self) -> dict[str, Any]:
        """What was added to the file: the arguments for tables and LFP files that were given."""
        given = {
            "external_channel_columns": self._external_channel_columns,
            "additional_unit_metrics": self._additional_unit_metrics,
            "probe_lfp_paths": self.probe_lfp_paths,
        }
        return {name: value for name, value in given.items() if value}

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def test(self) -> None:
        """Check that the file has a session id."""
        self.get_ecephys_session_id()

    def get_nwbfile(self) -> Any:  # noqa: ANN401 - a class of a package that may be absent
        """Open the file with pynwb, for packages that need its objects."""
        # not used for reading here: pynwb builds its whole tree of objects, which takes seconds
        if self.file.is_remote:
            raise InvalidArgumentError(
                f"pynwb would read all of {self.path} in small pieces, one request "
                "each; download the file and open it from disk"
            )
        try:
            import pynwb
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "pynwb is needed for this: pip install 'spikehouse[nwb]'"
            ) from error
        return pynwb.NWBHDF5IO(file=self.file.root, mode="r", load_namespaces=True).read()

    @cached_property
    def has_survey_stimuli(self) -> bool:
        """Whether this is a file of the survey, by what it has: other files have other rules."""
        return other_files.is_survey_file(self.file)

    @cached_property
    def usual_filters(self) -> UnitFilter:
        """The filters that apply unless others are asked for; none in files of other writers."""
        return UnitFilter() if self.has_survey_stimuli else NO_FILTER

    @cached_property
    def filters(self) -> UnitFilter:
        """The filters in force."""
        return replace(self.usual_filters, **self._asked_filters)

    get_ecephys_session_id = _reads(read_session_id, other_files.read_identifier)
    get_session_start_time = _reads(read_start_time)
    get_metadata = _reads(read_subject, other_files.read_animal)
    get_rig_metadata = _reads(read_rig)
    get_probes = _reads(read_probes, other_files.read_probes)
    get_spike_times = _reads(SpikeTimes, other_files.read_spike_times)
    get_stimulus_presentations = _reads(read_stimulus_presentations, other_files.read_presentations)
    get_running_speed = _reads(read_running_speed, other_files.read_running_if_any)
    get_pupil_data = _reads(read_pupil)
    get_invalid_times = _reads(read_invalid_times, other_files.read_invalid_times)
    get_optogenetic_stimulation = _reads(read_optogenetic_epochs)

    @cached_property
    def _all_channels(self) -> pd.DataFrame:
        is_survey = self.has_survey_stimuli
        channels = (read_channels if is_survey else other_files.read_channels)(self.file)
        if self._external_channel_columns is not None:
            external = self._external_channel_columns()
            known = external.loc[external.index.intersection(channels.index)]
            for name in known.columns:
                channels[name] = known[name].reindex(channels.index)
        if not is_survey:
            return channels
        channels = mask_repeated_axis(channels, self.file.path.name)
        if "ecephys_structure_acronym" not in channels:
            channels["ecephys_structure_id"] = np.nan
            channels["ecephys_structure_acronym"] = channels["structure_acronym"]
        return CHANNELS.conform(channels, origin=self.path)

    def get_channels(self) -> pd.DataFrame:
        """Read the channels; the filters decide whether invalid ones are included."""
        channels = self._all_channels
        if self.filters.filter_by_validity and "valid_data" in channels:
            channels = channels[channels["valid_data"].astype(bool)].drop(columns="valid_data")
        return channels

    def get_units(self) -> pd.DataFrame:
        """Read the units that pass the filters."""
        return self._select_units(self.filters)

    def count_out_of_brain_units(self) -> int:
        """Count the units that are excluded only because their channel is outside the brain."""
        if not self.filters.filter_out_of_brain_units:
            return 0
        everywhere = replace(self.filters, filter_out_of_brain_units=False)
        return len(self._select_units(everywhere)) - len(self.get_units())

    def count_filtered_units(self) -> pd.DataFrame:
        """Count the units that each filter leaves out."""
        units, where = self._read_units(self.filters)
        return count_filtered(units, filters=self.filters, **where)

    def _select_units(self, filters: UnitFilter) -> pd.DataFrame:
        units, where = self._read_units(filters)
        return filter_units(units, filters=filters, **where)

    def _read_units(self, filters: UnitFilter) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Read all units, checked for the columns that the filters need, and how to place them."""
        channels = self.get_channels()
        needed = {
            "amplitude_cutoff_maximum": "amplitude_cutoff",
            "presence_ratio_minimum": "presence_ratio",
            "isi_violations_maximum": "isi_violations",
            "filter_out_of_brain_units": "peak_channel_id",
        }
        asked = {name: column for name, column in needed.items() if is_limit(filters, name)}
        if self.has_survey_stimuli:
            units = read_units(self.file)
            check_table(self.file.group(UNITS), units, required=asked.values())
        else:
            units = other_files.read_units(self.file)
            if filters.filter_by_validity:
                asked["filter_by_validity"] = "quality"
            other_files.check_filters(asked, units, self.path)
        in_brain = channels.index[channels["structure_acronym"].notna()]
        return units, {"brain_channel_ids": in_brain, "channel_column": "peak_channel_id"}

    def get_unit_metrics(self) -> pd.DataFrame:
        """Return the published tuning metrics by unit id; no columns without a cache."""
        if self._additional_unit_metrics is None:
            return pd.DataFrame(index=pd.Index([], name="unit_id", dtype=np.int64))
        return self._additional_unit_metrics()

    def get_spike_amplitudes(self) -> Mapping[int, npt.NDArray[np.float64]]:
        """Return the spike amplitudes [V] by unit id, read when accessed."""
        if self.has_survey_stimuli:
            return RaggedColumn(self.file, "spike_amplitudes")
        return other_files.read_spike_amplitudes(self.file)

    def get_mean_waveforms(self) -> Mapping[int, npt.NDArray[np.floating[Any]]]:
        """Return the mean waveforms (channel, sample) by unit id, read when accessed."""
        if self.has_survey_stimuli:
            return RaggedColumn(self.file, "waveform_mean")
        return other_files.MeanWaveforms(self.file)

    def get_screen_gaze_data(self, include_filtered_data: bool = False) -> pd.DataFrame | None:
        """Read where on the screen the animal looked."""
        return read_gaze(self.file, include_filtered_data=include_filtered_data)

    def get_lfp(
        self, probe_id: int, *, chunks: int | str | Mapping[str, Any] | None = None
    ) -> xr.DataArray:
        """Open the local field potential of a probe without reading it."""
        return open_lfp(self._find_lfp_file(probe_id), int(probe_id), chunks=chunks)

    def get_current_source_density(self, probe_id: int) -> xr.DataArray:
        """Read the current source density stored in a probe's LFP file."""
        return read_current_source_density(self._find_lfp_file(probe_id))

    def _find_lfp_file(self, probe_id: int) -> NwbPath:
        if not self.has_survey_stimuli:
            raise NotFoundError(
                f"LFP is read from the survey's LFP files; {self.path} is of another writer. Open "
                "its ElectricalSeries with pynwb (session.nwbfile): the functions of "
                "spikehouse.lfp take an xarray.DataArray (time [s], channel)"
            )
        probes = self.get_probes()
        if np.ndim(probe_id) or probe_id not in probes.index:
            raise NotFoundError(
                f"there is no probe {describe_value(probe_id)} in this session: "
                f"{describe_choices(probe_id, probes.index.tolist())}"
            )
        if probe_id in self.probe_lfp_paths:
            given = self.probe_lfp_paths[probe_id]
            return given() if callable(given) else given
        # the place of LFP files in a cache
        beside = self.file.path.parent / f"probe_{probe_id}_lfp.nwb"
        if not self.file.is_remote and beside.exists():
            return beside
        recorded = "" if probes.loc[probe_id, "has_lfp_data"] else "; none was released"
        raise NotFoundError(
            f"there is no LFP file of probe {probe_id}{recorded}. Get the session from a cache, "
            f"put {beside.name} beside {self.file.path.name}, or pass its path: "
            "api_kwargs={'probe_lfp_paths': {" + f"{probe_id}: path" + "}}"
        )
