"""One recording session: lazily read tables and spikes, with AllenSDK's names."""

from __future__ import annotations

import datetime as dt
import os
import warnings
from collections.abc import Collection, Mapping
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.catalogue import UnitFilter, join_units
from spikehouse.errors import InvalidArgumentError, NotFoundError, describe_choices
from spikehouse.io import NwbSessionFile, Selection
from spikehouse.spikes import (
    align_spikes,
    check_bin_edges,
    count_spikes,
    time_domain,
    warn_overlaps,
)
from spikehouse.stimuli import (
    Presentations,
    build_presentations,
    condition_table,
    intervals_with_tag,
    presentation_table,
    stimulus_names,
)
from spikehouse.stimuli.presentations import Missing

_FILE_OPTIONS = ("external_channel_columns", "additional_unit_metrics", "probe_lfp_paths")


class EcephysSession:
    """One session's recordings.

    Opening costs a millisecond; each member reads what it needs when it is first asked for.

    Parameters
    ----------
    api
        Where the data come from: an object with AllenSDK's adapter methods
        (``get_units``, ``get_spike_times``, …). Only what is asked for is called.
    test
        Have the adapter test itself now.

    Examples
    --------
    >>> from spikehouse.demo import Survey
    >>> survey = Survey(size="tiny")
    >>> session = EcephysSession.from_nwb_path(survey.session_file(900000001))
    >>> session.ecephys_session_id
    900000001
    """

    def __init__(self, api: Any, *, test: bool = False) -> None:  # noqa: ANN401 - duck-typed
        self.api = api
        if test:
            api.test()

    @classmethod
    def from_nwb_path(
        cls,
        path: str | os.PathLike[str],
        nwb_version: int = 2,
        api_kwargs: Mapping[str, Any] | None = None,
        *,
        test: bool = False,
    ) -> Self:
        """Open a session file.

        Parameters
        ----------
        path
            A ``session_<id>.nwb``.
        nwb_version
            2; files of NWB 1 are not read.
        api_kwargs
            Filters (amplitude_cutoff_maximum=0.1, presence_ratio_minimum=0.95,
            isi_violations_maximum=0.5; None is no limit; filter_by_validity=True,
            filter_out_of_brain_units=True), and what a cache adds to the file:
            external_channel_columns, additional_unit_metrics, probe_lfp_paths.
        test
            Check the file's id now.

        Returns
        -------
        EcephysSession
            The session, nothing but the file's header read.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        InvalidFileError
            If it is not an HDF5 file.
        InvalidArgumentError
            If an option is unknown or the version is not 2.
        """
        if int(nwb_version) != 2:
            raise InvalidArgumentError(
                f"nwb_version {nwb_version} is not read here; the released files are version 2"
            )
        options = dict(api_kwargs or {})
        sources = {name: options.pop(name) for name in _FILE_OPTIONS if name in options}
        filters = UnitFilter.from_arguments(**options)
        return cls(NwbSessionFile(path, filters=filters, **sources), test=test)

    def close(self) -> None:
        """Close the file behind the session, if its adapter has one."""
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

    # ---- who, when, where

    @cached_property
    def ecephys_session_id(self) -> int:
        """The session's id."""
        return int(self.api.get_ecephys_session_id())

    @cached_property
    def session_start_time(self) -> dt.datetime:
        """When it began, with the offset from UTC."""
        start: dt.datetime = self.api.get_session_start_time()
        return start

    @cached_property
    def _metadata(self) -> dict[str, Any]:
        return dict(self.api.get_metadata())

    @property
    def specimen_name(self) -> str:
        """The animal's name."""
        return str(self._metadata["specimen_name"])

    @property
    def age_in_days(self) -> float:
        """The animal's age [d]."""
        return float(self._metadata["age_in_days"])

    @property
    def sex(self) -> str:
        """M or F."""
        return str(self._metadata["sex"])

    @property
    def full_genotype(self) -> str:
        """The animal's genotype."""
        return str(self._metadata["full_genotype"])

    @property
    def session_type(self) -> str:
        """The name of the stimulus set."""
        return str(self._metadata["stimulus_name"])

    @cached_property
    def _rig_metadata(self) -> dict[str, Any] | None:
        rig: dict[str, Any] | None = self.api.get_rig_metadata()
        return rig

    @property
    def rig_geometry_data(self) -> pd.DataFrame | None:
        """Positions [mm] and rotations [deg] of monitor, camera and lamp; None without them."""
        return self._rig_metadata["geometry"] if self._rig_metadata else None

    @property
    def rig_equipment_name(self) -> str | None:
        """The rig's name; None without eye tracking."""
        return str(self._rig_metadata["equipment"]) if self._rig_metadata else None

    @property
    def metadata(self) -> dict[str, Any]:
        """What is in the session, at a glance."""
        return {
            "specimen_name": self.specimen_name,
            "session_type": self.session_type,
            "full_genotype": self.full_genotype,
            "sex": self.sex,
            "age_in_days": self.age_in_days,
            "rig_equipment_name": self.rig_equipment_name,
            "num_units": self.num_units,
            "num_channels": self.num_channels,
            "num_probes": self.num_probes,
            "num_stimulus_presentations": self.num_stimulus_presentations,
            "session_start_time": self.session_start_time,
            "ecephys_session_id": self.ecephys_session_id,
            "structure_acronyms": self.structure_acronyms,
            "stimulus_names": self.stimulus_names,
        }

    # ---- probes, channels, units

    @cached_property
    def probes(self) -> pd.DataFrame:
        """One row a probe; see ``schema.PROBES``."""
        table: pd.DataFrame = self.api.get_probes()
        return table

    @cached_property
    def channels(self) -> pd.DataFrame:
        """One row a valid channel; see ``schema.CHANNELS``."""
        table: pd.DataFrame = self.api.get_channels()
        return table

    @cached_property
    def units(self) -> pd.DataFrame:
        """One row a unit that passes the filters, with its channel and probe; ``schema.UNITS``."""
        return join_units(self.api.get_units(), self.channels, self.probes)

    @cached_property
    def units_with_metrics(self) -> pd.DataFrame:
        """The units with their published tuning metrics, NaN where a unit has none.

        Needs the session to come from a cache; opened by path there are no metrics to join.
        """
        metrics: pd.DataFrame = self.api.get_unit_metrics()
        return self.units.join(metrics[[name for name in metrics if name not in self.units]])

    @property
    def structure_acronyms(self) -> list[Any]:
        """The structures of the channels, in their order; a missing value outside the brain."""
        found: list[Any] = self.channels["ecephys_structure_acronym"].unique().tolist()
        return found

    @property
    def structurewise_unit_counts(self) -> pd.Series[int]:
        """How many units lie in each structure, the most first."""
        return self.units["ecephys_structure_acronym"].value_counts()

    @property
    def num_units(self) -> int:
        """Number of units that pass the filters."""
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
    def _spike_times(self) -> Mapping[int, npt.NDArray[np.float64]]:
        names = {"all_probes", *self.probes["description"]}
        if len(intervals_with_tag(self.invalid_times, names)):
            warnings.warn(
                "spikes are missing or wrong in some intervals of this session: see "
                "session.invalid_times, and leave them out where it matters",
                stacklevel=4,
            )
        return Selection(self.api.get_spike_times(), self.units.index.tolist())

    @property
    def spike_times(self) -> Mapping[int, npt.NDArray[np.float64]]:
        """Unit id → spike times [s], sorted; each unit is one read of the file when asked for."""
        return self._spike_times

    # ---- stimuli

    @cached_property
    def invalid_times(self) -> pd.DataFrame:
        """Intervals in which something was wrong: start_time, stop_time [s], tags."""
        table: pd.DataFrame = self.api.get_invalid_times()
        return table

    @cached_property
    def optogenetic_stimulation_epochs(self) -> pd.DataFrame:
        """Laser pulses; see ``schema.OPTOGENETIC_EPOCHS``."""
        table: pd.DataFrame = self.api.get_optogenetic_stimulation()
        return table

    @cached_property
    def _presentations(self) -> Presentations:
        return build_presentations(self.api.get_stimulus_presentations(), self.invalid_times)

    @cached_property
    def stimulus_presentations(self) -> pd.DataFrame:
        """One row a presentation in order of start time, "null" where a parameter does not apply.

        Presentations that touch an invalid interval are named ``invalid_presentation``.
        """
        return presentation_table(self._presentations)

    @property
    def num_stimulus_presentations(self) -> int:
        """Number of presentations."""
        return len(self._presentations)

    @cached_property
    def stimulus_conditions(self) -> pd.DataFrame:
        """One row a distinct set of parameters, numbered in order of first appearance."""
        return condition_table(self._presentations)

    @property
    def stimulus_names(self) -> list[str]:
        """The stimuli in order of first appearance."""
        return stimulus_names(self._presentations)

    def get_stimulus_table(
        self,
        stimulus_names: str | Collection[str] | None = None,
        include_detailed_parameters: bool = False,
        include_unused_parameters: bool = False,
        *,
        missing: Missing = "null",
    ) -> pd.DataFrame:
        """Get the presentations of some stimuli.

        Parameters
        ----------
        stimulus_names
            One name or several; all stimuli if None.
        include_detailed_parameters
            Include settings of the display that hardly ever vary.
        include_unused_parameters
            Include parameters that none of these presentations has.
        missing
            What stands where a parameter does not apply: "null" (the word, as existing notebooks
            expect) or "nan" (typed columns).

        Returns
        -------
        DataFrame
            Index ``stimulus_presentation_id``; start_time, stop_time, duration [s],
            stimulus_name, stimulus_block, the parameters, stimulus_condition_id. A table of one
            stimulus has numbers in every column without a "null".

        Raises
        ------
        NotFoundError
            If a name is not a stimulus of this session; the message says which are.
        """
        names = [stimulus_names] if isinstance(stimulus_names, str) else stimulus_names
        return presentation_table(
            self._presentations,
            names=names,
            detailed=include_detailed_parameters,
            unused=include_unused_parameters,
            missing=missing,
            numeric=names is not None and len(names) == 1,
        )

    # ---- spikes aligned to stimuli

    def presentationwise_spike_counts(
        self,
        bin_edges: npt.ArrayLike,
        stimulus_presentation_ids: npt.ArrayLike | None = None,
        unit_ids: npt.ArrayLike | None = None,
        binarize: bool = False,
        dtype: npt.DTypeLike | None = None,
        large_bin_size_threshold: float = 0.001,
        time_domain_callback: Any = None,  # noqa: ANN401 - array in, array out
    ) -> xr.DataArray:
        """Count spikes in bins around the onset of presentations.

        Parameters
        ----------
        bin_edges
            Shape (n_bins + 1,) [s] relative to onset, not decreasing; bins are [a, b).
        stimulus_presentation_ids
            Which presentations, in the order of the result; all if None.
        unit_ids
            Which units, in the order of the result; all if None.
        binarize
            One where there is a spike, zero where there is none.
        dtype
            Of the counts; chosen to hold the largest if None, uint16 at least.
        large_bin_size_threshold
            Binarizing bins wider than this [s] gives a warning.
        time_domain_callback
            Given the absolute edges (presentations × edges), gives them back changed.

        Returns
        -------
        DataArray, shape (n_presentations, n_bins, n_units)
            ``spike_counts`` (stimulus_presentation_id, time_relative_to_stimulus_onset = bin
            centres [s], unit_id).

        Raises
        ------
        InvalidArgumentError
            If edges are out of order, not finite or fewer than two, or an id comes twice.
        NotFoundError
            If an id is not in this session.
        """
        edges = check_bin_edges(bin_edges)
        presentations = self._select_presentations(stimulus_presentation_ids)
        units = self._select_units(unit_ids)
        widest = float(np.diff(edges).max())
        if binarize and widest > large_bin_size_threshold:
            warnings.warn(
                f"binarizing bins of up to {widest:g} s says only whether there was a spike; "
                f"use bins of {large_bin_size_threshold:g} s or less to lose none",
                stacklevel=2,
            )
        onsets = self._presentations.start_time[presentations]
        domain = time_domain(edges, onsets, callback=time_domain_callback)
        warn_overlaps(domain)
        counts = count_spikes(self.spike_times, units, domain, dtype=dtype, binarize=binarize)
        return xr.DataArray(
            counts,
            dims=["stimulus_presentation_id", "time_relative_to_stimulus_onset", "unit_id"],
            coords={
                "stimulus_presentation_id": presentations,
                "time_relative_to_stimulus_onset": edges[:-1] + np.diff(edges) / 2,
                "unit_id": np.asarray(units, dtype=np.int64),
            },
            name="spike_counts",
        )

    def presentationwise_spike_times(
        self,
        stimulus_presentation_ids: npt.ArrayLike | None = None,
        unit_ids: npt.ArrayLike | None = None,
    ) -> pd.DataFrame:
        """List the spikes that fall into presentations.

        Parameters
        ----------
        stimulus_presentation_ids
            Which presentations, in any order; all if None.
        unit_ids
            Which units; all if None.

        Returns
        -------
        DataFrame
            Index ``spike_time`` [s], sorted; stimulus_presentation_id, unit_id,
            time_since_stimulus_presentation_onset [s]. A spike belongs to [start, stop).

        Raises
        ------
        NotFoundError
            If an id is not in this session.
        InvalidArgumentError
            If an id comes twice.
        """
        presentations = self._select_presentations(stimulus_presentation_ids)
        return align_spikes(
            self.spike_times,
            self._select_units(unit_ids),
            start_time=self._presentations.start_time[presentations],
            stop_time=self._presentations.stop_time[presentations],
            presentation_ids=presentations,
        )

    def _select_presentations(self, ids: npt.ArrayLike | None) -> npt.NDArray[np.int64]:
        n_presentations = len(self._presentations)
        if ids is None:
            return np.arange(n_presentations)
        return _check_ids(
            ids,
            pd.RangeIndex(n_presentations),
            what="stimulus_presentation_ids",
            one="presentation",
        )

    def _select_units(self, ids: npt.ArrayLike | None) -> list[int]:
        if ids is None:
            return [int(unit) for unit in self.units.index]
        found = _check_ids(ids, self.units.index, what="unit_ids", one="unit")
        return [int(unit) for unit in found]


def _check_ids(
    ids: npt.ArrayLike, known: pd.Index[Any], *, what: str, one: str
) -> npt.NDArray[np.int64]:
    given = np.atleast_1d(np.asarray(ids))
    if given.size == 0:
        return np.empty(0, dtype=np.int64)
    absent = ~pd.Index(given).isin(known)
    if absent.any():
        first = given[absent][0]
        value = first.item() if isinstance(first, np.generic) else first
        raise NotFoundError(
            f"{int(absent.sum())} of {given.size} {what} are not in this session; there is no "
            f"{one} {value!r}: {describe_choices(value, known.tolist())}"
        )
    repeated = pd.Index(given).duplicated()
    if repeated.any():
        raise InvalidArgumentError(
            f"{what} holds {given[repeated][0]} more than once; pass each id once"
        )
    return given.astype(np.int64)
