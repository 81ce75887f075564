"""The base class of adapters, with which labs open their own recordings as sessions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

__all__ = ["EcephysSessionApi"]


class EcephysSessionApi:
    """Base class of adapters: override the methods for which the recording has data."""

    # A session calls only the methods that it needs; those that are not overridden raise
    # NotImplementedError. Any object with these methods works, also of another class.

    session_na = -1

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - what a subclass takes
        del args, kwargs

    def _lack(self, method: str) -> NoReturn:
        raise NotImplementedError(
            f"{type(self).__name__} does not override {method}, which the session needs for "
            "this; add the method to the adapter"
        )

    def test(self) -> bool:
        """Check the source; called when a session is made with ``test=True``."""
        self._lack("test")

    def get_ecephys_session_id(self) -> int:
        """Return the session's id."""
        self._lack("get_ecephys_session_id")

    def get_session_start_time(self) -> dt.datetime:
        """Return the start time of the session, with its offset from UTC."""
        self._lack("get_session_start_time")

    def get_metadata(self) -> Mapping[str, Any]:
        """Return specimen_name, age_in_days, sex, full_genotype, stimulus_name."""
        self._lack("get_metadata")

    def get_rig_metadata(self) -> Mapping[str, Any] | None:
        """Return ``geometry`` (a table) and ``equipment`` (a name), or None."""
        self._lack("get_rig_metadata")

    def get_probes(self) -> pd.DataFrame:
        """Return one row per probe."""
        self._lack("get_probes")

    def get_channels(self) -> pd.DataFrame:
        """Return one row per channel."""
        self._lack("get_channels")

    def get_units(self) -> pd.DataFrame:
        """Return one row per unit, with its peak_channel_id."""
        self._lack("get_units")

    def get_spike_times(self) -> Mapping[int, npt.NDArray[np.float64]]:
        """Return the sorted spike times [s] by unit id."""
        self._lack("get_spike_times")

    def get_spike_amplitudes(self) -> Mapping[int, npt.NDArray[np.float64]]:
        """Return the amplitude of each spike [V] by unit id."""
        self._lack("get_spike_amplitudes")

    def get_mean_waveforms(self) -> Mapping[int, npt.NDArray[np.float64]]:
        """Return the mean waveform (channels, samples) [µV] by unit id."""
        self._lack("get_mean_waveforms")

    def get_stimulus_presentations(self) -> pd.DataFrame:
        """Return one row per presentation: start_time, stop_time [s], stimulus_name, parameters."""
        self._lack("get_stimulus_presentations")

    def get_optogenetic_stimulation(self) -> pd.DataFrame:
        """Return one row per light pulse."""
        self._lack("get_optogenetic_stimulation")

    def get_invalid_times(self) -> pd.DataFrame:
        """Return start_time, stop_time [s] and tags of invalid intervals."""
        self._lack("get_invalid_times")

    def get_running_speed(self) -> pd.DataFrame:
        """Return start_time, end_time [s] and velocity [cm/s]."""
        self._lack("get_running_speed")

    def get_pupil_data(self) -> pd.DataFrame | None:
        """Return the ellipses fitted to the eye over time, or None."""
        self._lack("get_pupil_data")

    def get_screen_gaze_data(self, include_filtered_data: bool = False) -> pd.DataFrame | None:  # noqa: ARG002
        """Return where on the screen the animal looked, or None."""
        self._lack("get_screen_gaze_data")

    def get_lfp(self, probe_id: int) -> xr.DataArray:  # noqa: ARG002
        """Return a probe's LFP (time, channel)."""
        self._lack("get_lfp")

    def get_current_source_density(self, probe_id: int) -> xr.DataArray:  # noqa: ARG002
        """Return a probe's CSD (virtual_channel_index, time)."""
        self._lack("get_current_source_density")
