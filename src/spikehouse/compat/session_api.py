"""The adapter class that labs derive from to feed their own recordings to a session."""

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
    """What a session may ask of its source; derive from it and give what the recording has.

    Only the methods that are needed for what is asked of the session are called; those that are
    not overridden raise NotImplementedError with their name. Deriving from this class is not
    needed: any object with the methods will do.

    Parameters
    ----------
    *args, **kwargs
        Whatever the derived class passes on; nothing is done with it.

    Examples
    --------
    >>> from spikehouse.session import EcephysSession
    >>> class OurRecording(EcephysSessionApi):
    ...     def get_ecephys_session_id(self):
    ...         return 7
    >>> EcephysSession(api=OurRecording()).ecephys_session_id
    7
    """

    session_na = -1

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - what a subclass takes
        del args, kwargs

    def _lack(self, method: str) -> NoReturn:
        raise NotImplementedError(
            f"{type(self).__name__} has no {method}: this recording cannot answer what was asked "
            "of the session; override the method to make it"
        )

    def test(self) -> bool:
        """Check the source, when the session is made with ``test=True``."""
        self._lack("test")

    def get_ecephys_session_id(self) -> int:
        """Give the session's id."""
        self._lack("get_ecephys_session_id")

    def get_session_start_time(self) -> dt.datetime:
        """Give when it began, with the offset from UTC."""
        self._lack("get_session_start_time")

    def get_metadata(self) -> Mapping[str, Any]:
        """Give specimen_name, age_in_days, sex, full_genotype, stimulus_name."""
        self._lack("get_metadata")

    def get_rig_metadata(self) -> Mapping[str, Any] | None:
        """Give ``geometry`` (a table) and ``equipment`` (a name), or None."""
        self._lack("get_rig_metadata")

    def get_probes(self) -> pd.DataFrame:
        """Give one row a probe."""
        self._lack("get_probes")

    def get_channels(self) -> pd.DataFrame:
        """Give one row a channel."""
        self._lack("get_channels")

    def get_units(self) -> pd.DataFrame:
        """Give one row a unit, with its peak_channel_id."""
        self._lack("get_units")

    def get_spike_times(self) -> Mapping[int, npt.NDArray[np.float64]]:
        """Give unit id → spike times [s], sorted."""
        self._lack("get_spike_times")

    def get_spike_amplitudes(self) -> Mapping[int, npt.NDArray[np.float64]]:
        """Give unit id → the amplitude of each of its spikes [V]."""
        self._lack("get_spike_amplitudes")

    def get_mean_waveforms(self) -> Mapping[int, npt.NDArray[np.float64]]:
        """Give unit id → mean waveform, channels × samples [µV]."""
        self._lack("get_mean_waveforms")

    def get_stimulus_presentations(self) -> pd.DataFrame:
        """Give one row a presentation: start_time, stop_time [s], stimulus_name, parameters."""
        self._lack("get_stimulus_presentations")

    def get_optogenetic_stimulation(self) -> pd.DataFrame:
        """Give one row a light pulse."""
        self._lack("get_optogenetic_stimulation")

    def get_invalid_times(self) -> pd.DataFrame:
        """Give start_time, stop_time [s] and tags of the intervals to be left out."""
        self._lack("get_invalid_times")

    def get_running_speed(self) -> pd.DataFrame:
        """Give start_time, end_time [s], velocity [cm/s]."""
        self._lack("get_running_speed")

    def get_pupil_data(self) -> pd.DataFrame | None:
        """Give the ellipses of the eye over time, or None."""
        self._lack("get_pupil_data")

    def get_screen_gaze_data(self, include_filtered_data: bool = False) -> pd.DataFrame | None:  # noqa: ARG002
        """Give where on the screen the animal looked, or None.

        Parameters
        ----------
        include_filtered_data
            Include what was taken out as an artefact.
        """
        self._lack("get_screen_gaze_data")

    def get_lfp(self, probe_id: int) -> xr.DataArray:  # noqa: ARG002
        """Give a probe's LFP (time, channel).

        Parameters
        ----------
        probe_id
            Which probe.
        """
        self._lack("get_lfp")

    def get_current_source_density(self, probe_id: int) -> xr.DataArray:  # noqa: ARG002
        """Give a probe's CSD (virtual_channel_index, time).

        Parameters
        ----------
        probe_id
            Which probe.
        """
        self._lack("get_current_source_density")
