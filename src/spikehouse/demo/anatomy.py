"""Structures along the probes, and the average responses of their units.

Structure ids are those of the Allen Mouse Brain Common Coordinate Framework. What follows the
hierarchy of the mouse visual system (Siegle et al. 2021, doi:10.1038/s41586-020-03171-x) is planted
here: latencies, receptive-field widths, decay times and lags grow along it, modulation falls.
docs/explanation/simulated-survey.md has the measures they lead to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from spikehouse.demo.sessions import make_rng

N_CHANNELS = 384
# Reference electrodes of a Neuropixels phase 3A probe, which record no signal of the brain.
REFERENCE_CHANNELS = (36, 75, 112, 151, 188, 227, 264, 303, 340, 379)
COLUMNS_UM = (43, 11, 59, 27)
ROW_UM = 20


@dataclass(frozen=True)
class Structure:
    """A brain structure and the average response of its units."""

    id: int
    # mean onset latency
    latency_ms: float = 0.0
    # mean standard deviation of receptive fields
    rf_width_deg: float = 0.0
    # share of units with a visual response
    p_visual: float = 0.0
    # median of the log-normal distribution of firing rates
    median_rate_hz: float = 2.0
    # mean time constant with which responses decay
    decay_ms: float = 25.0
    # median modulation at the temporal frequency of drifting gratings
    f1_modulation: float = 0.4
    # mean delay behind the events that coupled units fire with; only the visual cortex is coupled
    lag_ms: float = 0.0


STRUCTURES = {
    "LGd": Structure(170, 41.0, 6.5, 0.95, 4.0, 14.0, 0.9),
    "VISp": Structure(385, 49.0, 8.5, 0.94, 3.1, 19.0, 0.65),
    "VISl": Structure(409, 54.0, 11.0, 0.85, 2.5, 20.0, 0.45, 2.0),
    "VISrl": Structure(417, 56.0, 11.5, 0.75, 2.4, 23.0, 0.4, 2.5),
    "VISal": Structure(402, 62.0, 14.0, 0.8, 2.5, 22.0, 0.25, 4.0),
    "VISpm": Structure(533, 66.0, 14.5, 0.75, 2.3, 27.0, 0.15, 5.5),
    "VISam": Structure(394, 74.0, 17.0, 0.75, 2.3, 27.0, 0.1, 6.5),
    "LP": Structure(218, 59.0, 12.5, 0.6, 3.0, 22.0, 0.3),
    "LGv": Structure(178, 52.0, 13.0, 0.5, 3.0),
    "CA1": Structure(382, 110.0, 30.0, 0.05, 1.6),
    "CA3": Structure(463, 110.0, 30.0, 0.03, 1.4),
    "DG": Structure(726, 110.0, 30.0, 0.03, 1.5),
    "SUB": Structure(502, 95.0, 30.0, 0.08, 2.2),
    "ProS": Structure(484682470, 95.0, 30.0, 0.05, 2.0),
    "TH": Structure(549, 80.0, 25.0, 0.1, 2.2),
    "PO": Structure(1020, 80.0, 25.0, 0.1, 2.4),
    "APN": Structure(215, 60.0, 20.0, 0.25, 4.0),
    "MB": Structure(313, 70.0, 20.0, 0.1, 3.0),
    "VPM": Structure(733, 90.0, 25.0, 0.03, 2.5),
}

# From the surface down, with the average share of the channels in the brain.
PROBE_AREAS: dict[str, tuple[tuple[str, float], ...]] = {
    "A": (("VISam", 0.28), ("CA1", 0.18), ("DG", 0.2), ("LP", 0.2), ("TH", 0.14)),
    "B": (("VISpm", 0.3), ("SUB", 0.17), ("ProS", 0.1), ("DG", 0.13), ("APN", 0.2), ("MB", 0.1)),
    "C": (("VISp", 0.3), ("CA1", 0.16), ("CA3", 0.12), ("DG", 0.12), ("LP", 0.08), ("LGd", 0.22)),
    "D": (("VISl", 0.3), ("CA1", 0.16), ("CA3", 0.16), ("DG", 0.12), ("LGd", 0.16), ("LGv", 0.1)),
    "E": (("VISal", 0.3), ("CA1", 0.16), ("CA3", 0.16), ("DG", 0.12), ("LGd", 0.1), ("VPM", 0.16)),
    "F": (("VISrl", 0.3), ("CA1", 0.16), ("CA3", 0.12), ("DG", 0.12), ("LP", 0.16), ("PO", 0.14)),
}
# Where each probe enters the brain: anterior–posterior, dorsal–ventral, left–right [µm, CCF].
ENTRY_UM = {
    "A": (7700, 680, 7600),
    "B": (8400, 620, 7250),
    "C": (8900, 900, 8400),
    "D": (8500, 1450, 9250),
    "E": (7900, 1250, 9050),
    "F": (7500, 1020, 8700),
}
# Unit vectors from the tip to the entry.
DIRECTION = {
    "A": (-0.22, -0.93, -0.29),
    "B": (-0.05, -0.95, -0.31),
    "C": (0.1, -0.93, 0.35),
    "D": (0.12, -0.87, 0.48),
    "E": (-0.14, -0.87, 0.47),
    "F": (-0.2, -0.9, 0.39),
}
NOT_REGISTERED = -1000


def get_positions(channels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return horizontal and vertical positions [µm] of channels on a Neuropixels 1.0 probe."""
    # a staggered layout of four columns; channel 0 is at the tip, the first row at 20 µm
    channels = np.asarray(channels, dtype=np.int64)
    horizontal = np.asarray(COLUMNS_UM, dtype=np.int64)[channels % 4]
    return horizontal, ROW_UM * (channels // 2 + 1)


def draw_channels(seed: int, session_id: int, letter: str) -> tuple[pd.DataFrame, int]:
    """Draw the recording channels of a probe, from the tip up, and the channel at the surface."""
    rng = make_rng(seed, session_id, "anatomy", letter)
    surface = int(rng.integers(318, 348))
    names = [name for name, _ in PROBE_AREAS[letter]]
    shares = np.array([share for _, share in PROBE_AREAS[letter]])
    shares = shares * rng.uniform(0.88, 1.12, size=shares.size)
    bounds = surface - np.rint(surface * np.cumsum(shares) / shares.sum()).astype(int)
    number = np.arange(N_CHANNELS)
    # bounds decreases from the lower edge of the first structure to 0, the tip
    which = len(names) - 1 - np.searchsorted(bounds[::-1], number, side="right") + 1
    outside = number >= surface
    acronyms = np.array([*names, None], dtype=object)[np.where(outside, len(names), which)]
    depth = ROW_UM / 2 * (surface - number)
    start = np.array(ENTRY_UM[letter]) + rng.normal(0, 120, size=3)
    position = start[:, None] - np.array(DIRECTION[letter])[:, None] * depth
    ccf = np.where(outside, NOT_REGISTERED, np.rint(position)).astype(np.int64)
    horizontal, vertical = get_positions(number)
    ids = [np.nan if name is None else float(STRUCTURES[name].id) for name in acronyms]
    frame = pd.DataFrame(
        {
            "local_index": number,
            "probe_horizontal_position": horizontal,
            "probe_vertical_position": vertical,
            "anterior_posterior_ccf_coordinate": ccf[0],
            "dorsal_ventral_ccf_coordinate": ccf[1],
            "left_right_ccf_coordinate": ccf[2],
            "ecephys_structure_id": ids,
            "ecephys_structure_acronym": pd.Series(acronyms, dtype=object),
        }
    )
    recording = ~np.isin(number, REFERENCE_CHANNELS)
    return frame[recording].reset_index(drop=True), surface
