"""What a session needs from the adapter that reads its data."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, NoReturn, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr


class SessionSource(Protocol):
    """The methods with which a session reads its data."""

    # Any object with these methods works; a session calls only those that it needs. An adapter
    # that subclasses this overrides the methods for which the recording has data. Three more are
    # called if they are there: ``close``, ``count_out_of_brain_units``, ``count_filtered_units``.
    # The attribute ``has_survey_stimuli``, if False, says that names and values of the
    # presentations are to be left as they are.

    def test(self) -> object:
        """Check the source; called when a session is made with ``test=True``."""
        _lack(self, "test")

    def get_ecephys_session_id(self) -> int | None:
        """Return the session's id, None without one."""
        _lack(self, "get_ecephys_session_id")

    def get_session_start_time(self) -> dt.datetime | None:
        """Return the start time of the session, with its offset from UTC, None if unknown."""
        _lack(self, "get_session_start_time")

    def get_metadata(self) -> Mapping[str, Any]:
        """Return specimen_name, age_in_days, sex, full_genotype, stimulus_name."""
        _lack(self, "get_metadata")

    def get_rig_metadata(self) -> Mapping[str, Any] | None:
        """Return ``geometry`` (a table) and ``equipment`` (a name), or None."""
        _lack(self, "get_rig_metadata")

    def get_probes(self) -> pd.DataFrame:
        """Return one row per probe."""
        _lack(self, "get_probes")

    def get_channels(self) -> pd.DataFrame:
        """Return one row per channel."""
        _lack(self, "get_channels")

    def get_units(self) -> pd.DataFrame:
        """Return one row per unit, with its peak_channel_id."""
        _lack(self, "get_units")

    def get_unit_metrics(self) -> pd.DataFrame:
        """Return the published tuning metrics by unit id."""
        _lack(self, "get_unit_metrics")

    def get_spike_times(self) -> Mapping[int, npt.NDArray[np.float64]]:
        """Return the sorted spike times [s] by unit id."""
        _lack(self, "get_spike_times")

    def get_spike_amplitudes(self) -> Mapping[int, npt.NDArray[np.float64]]:
        """Return the amplitude of each spike [V] by unit id."""
        _lack(self, "get_spike_amplitudes")

    def get_mean_waveforms(self) -> Mapping[int, npt.NDArray[np.floating[Any]]]:
        """Return the mean waveform (channels, samples) [µV] by unit id."""
        _lack(self, "get_mean_waveforms")

    def get_stimulus_presentations(self) -> pd.DataFrame | None:
        """Return one row per presentation: start_time, stop_time [s], stimulus_name, parameters."""
        _lack(self, "get_stimulus_presentations")

    def get_optogenetic_stimulation(self) -> pd.DataFrame:
        """Return one row per light pulse."""
        _lack(self, "get_optogenetic_stimulation")

    def get_invalid_times(self) -> pd.DataFrame:
        """Return start_time, stop_time [s] and tags of invalid intervals."""
        _lack(self, "get_invalid_times")

    def get_running_speed(self) -> pd.DataFrame | None:
        """Return start_time, end_time [s] and velocity [cm/s], or None."""
        _lack(self, "get_running_speed")

    def get_pupil_data(self) -> pd.DataFrame | None:
        """Return the ellipses fitted to the eye over time, or None."""
        _lack(self, "get_pupil_data")

    def get_screen_gaze_data(self, include_filtered_data: bool = False) -> pd.DataFrame | None:  # noqa: ARG002
        """Return where on the screen the animal looked, or None."""
        _lack(self, "get_screen_gaze_data")

    def get_lfp(
        self,
        probe_id: int,  # noqa: ARG002
        *,
        chunks: int | str | Mapping[str, Any] | None = None,  # noqa: ARG002
    ) -> xr.DataArray:
        """Return a probe's LFP (time, channel); ``chunks`` is passed only if it is given."""
        _lack(self, "get_lfp")

    def get_current_source_density(self, probe_id: int) -> xr.DataArray:  # noqa: ARG002
        """Return a probe's CSD (virtual_channel_index, time)."""
        _lack(self, "get_current_source_density")

    def get_nwbfile(self) -> Any:  # noqa: ANN401 - a class of a package that may be absent
        """Return the session file as a pynwb object."""
        _lack(self, "get_nwbfile")


def _lack(source: object, method: str) -> NoReturn:
    raise NotImplementedError(
        f"{type(source).__name__} does not override {method}, which the session needs for this; "
        "add the method to the adapter"
    )
