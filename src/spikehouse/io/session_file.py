"""One session file, behind the interface that every data adapter has."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.catalogue import UnitFilter, filter_units
from spikehouse.io.electrodes import read_channels, read_probes
from spikehouse.io.hdf5 import Hdf5File
from spikehouse.io.intervals import (
    read_invalid_times,
    read_optogenetic_epochs,
    read_stimulus_presentations,
)
from spikehouse.io.metadata import read_rig, read_session_id, read_start_time, read_subject
from spikehouse.io.units import RaggedColumn, SpikeTimes, read_units

TableGiver = Callable[[], pd.DataFrame]


class NwbSessionFile:
    """What a session file holds, read when asked for.

    Parameters
    ----------
    path
        A ``session_<id>.nwb``.
    filters
        Which units and channels to show.
    external_channel_columns
        Gives a table by channel id whose columns replace or complete the file's; asked for with
        the channels. A cache passes its channels.csv, which has the right left–right coordinate.
    additional_unit_metrics
        Gives a table by unit id of tuning metrics; asked for by ``get_unit_metrics``.
    probe_lfp_paths
        Probe id → what gives the path of that probe's LFP file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InvalidFileError
        If it is not an HDF5 file; later, if a group that is asked for is missing.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        filters: UnitFilter | None = None,
        external_channel_columns: TableGiver | None = None,
        additional_unit_metrics: TableGiver | None = None,
        probe_lfp_paths: Mapping[int, Callable[[], Any]] | None = None,
    ) -> None:
        self.file = Hdf5File(path)
        self.filters = filters or UnitFilter()
        self.probe_lfp_paths = dict(probe_lfp_paths or {})
        self._additional_unit_metrics = additional_unit_metrics
        self._external_channel_columns = external_channel_columns

    @property
    def path(self) -> str:
        """Where the file is."""
        return str(self.file.path)

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def test(self) -> None:
        """Check that the file has a session id.

        Raises
        ------
        InvalidFileError
            If it has none.
        """
        self.get_ecephys_session_id()

    def get_ecephys_session_id(self) -> int:
        """Read the session's id.

        Returns
        -------
        int
            The id.
        """
        return read_session_id(self.file)

    def get_session_start_time(self) -> dt.datetime:
        """Read when the session began.

        Returns
        -------
        datetime
            With its offset from UTC.
        """
        return read_start_time(self.file)

    def get_metadata(self) -> dict[str, Any]:
        """Read what is known of the animal.

        Returns
        -------
        dict
            See ``read_subject``.
        """
        return read_subject(self.file)

    def get_rig_metadata(self) -> dict[str, Any] | None:
        """Read the rig's geometry.

        Returns
        -------
        dict or None
            See ``read_rig``; None without eye tracking.
        """
        return read_rig(self.file)

    def get_probes(self) -> pd.DataFrame:
        """Read the probes.

        Returns
        -------
        DataFrame
            See ``read_probes``.
        """
        return read_probes(self.file)

    @cached_property
    def _all_channels(self) -> pd.DataFrame:
        channels = read_channels(self.file)
        if self._external_channel_columns is None:
            return channels
        external = self._external_channel_columns()
        known = external.loc[external.index.intersection(channels.index)]
        for name in known.columns:
            channels[name] = known[name].reindex(channels.index)
        return channels

    def get_channels(self) -> pd.DataFrame:
        """Read the channels, the invalid ones left out if the filters say so.

        Returns
        -------
        DataFrame
            The columns of ``schema.CHANNELS``.
        """
        channels = self._all_channels
        if self.filters.filter_by_validity:
            channels = channels[channels["valid_data"].astype(bool)].drop(columns="valid_data")
        if "ecephys_structure_acronym" not in channels:
            channels = channels.assign(
                ecephys_structure_id=np.nan,
                ecephys_structure_acronym=channels["structure_acronym"],
            )
        return channels

    def get_units(self) -> pd.DataFrame:
        """Read the units that pass the filters.

        Returns
        -------
        DataFrame
            Index ``id``; the file's columns without the ragged ones; ``quality`` is dropped when
            it was filtered by.
        """
        channels = self.get_channels()
        return filter_units(
            read_units(self.file),
            filters=self.filters,
            brain_channel_ids=channels.index[channels["structure_acronym"].notna()],
            channel_column="peak_channel_id",
        )

    def get_unit_metrics(self) -> pd.DataFrame:
        """Get the tuning metrics that the survey publishes for these units.

        Returns
        -------
        DataFrame
            By unit id; no rows and no columns for a file opened without a cache.
        """
        if self._additional_unit_metrics is None:
            return pd.DataFrame(index=pd.Index([], name="unit_id", dtype=np.int64))
        return self._additional_unit_metrics()

    def get_spike_times(self) -> Mapping[int, npt.NDArray[np.float64]]:
        """Give access to spike times; nothing is read yet.

        Returns
        -------
        Mapping
            Unit id → times [s]; one contiguous read a unit.
        """
        return SpikeTimes(self.file)

    def get_spike_amplitudes(self) -> Mapping[int, npt.NDArray[np.float64]]:
        """Give access to spike amplitudes; nothing is read yet.

        Returns
        -------
        Mapping
            Unit id → amplitudes [V].
        """
        return RaggedColumn(self.file, "spike_amplitudes")

    def get_mean_waveforms(self) -> Mapping[int, npt.NDArray[np.floating[Any]]]:
        """Give access to mean waveforms; nothing is read yet.

        Returns
        -------
        Mapping
            Unit id → array (probe channel number, sample) [V].
        """
        return RaggedColumn(self.file, "waveform_mean")

    def get_stimulus_presentations(self) -> pd.DataFrame:
        """Read every stimulus table as one.

        Returns
        -------
        DataFrame
            See ``read_stimulus_presentations``.
        """
        return read_stimulus_presentations(self.file)

    def get_invalid_times(self) -> pd.DataFrame:
        """Read the intervals in which something was wrong.

        Returns
        -------
        DataFrame
            See ``read_invalid_times``.
        """
        return read_invalid_times(self.file)

    def get_optogenetic_stimulation(self) -> pd.DataFrame:
        """Read the laser pulses.

        Returns
        -------
        DataFrame
            See ``read_optogenetic_epochs``.
        """
        return read_optogenetic_epochs(self.file)
