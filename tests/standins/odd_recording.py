"""A session of a recording whose spikes, structures and stimuli a test gives."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from spikehouse.session import EcephysSession


class OddRecording:
    """A recording of any units on probes of 384 channels."""

    def __init__(
        self,
        spike_times: Mapping[int, np.ndarray],
        *,
        structures: tuple[str | None, ...] = ("VISp",),
        presentations: pd.DataFrame | None = None,
    ) -> None:
        self.spike_times = dict(spike_times)
        self.structures = structures
        self.presentations = presentations

    def get_ecephys_session_id(self) -> int:
        return 42

    def get_probes(self) -> pd.DataFrame:
        names = {"description": ["probeA", "probeB"], "has_lfp_data": [False, False]}
        return pd.DataFrame(names, index=pd.Index([7, 8], name="id"))

    def get_channels(self) -> pd.DataFrame:
        numbers = np.arange(2 * 384)
        return pd.DataFrame(
            {
                "probe_id": np.where(numbers < 384, 7, 8),
                "probe_channel_number": numbers % 384,
                "probe_vertical_position": 20 * (numbers % 384) // 2,
                "probe_horizontal_position": 43,
                "structure_acronym": [self.structures[n % len(self.structures)] for n in numbers],
            },
            index=pd.Index(numbers, name="id"),
        )

    def get_units(self) -> pd.DataFrame:
        ids = list(self.spike_times)
        return pd.DataFrame(
            {"peak_channel_id": np.arange(len(ids)) * 37 % 768}, index=pd.Index(ids, name="id")
        )

    def get_spike_times(self) -> dict[int, np.ndarray]:
        return self.spike_times

    def get_stimulus_presentations(self) -> pd.DataFrame | None:
        return self.presentations


def open_recording(spike_times: Mapping[int, np.ndarray], **options: object) -> EcephysSession:
    """Open a session of such a recording."""
    return EcephysSession(api=OddRecording(spike_times, **options))  # type: ignore[arg-type]
