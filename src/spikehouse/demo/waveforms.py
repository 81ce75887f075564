"""Mean waveforms: a spike's shape in time and across the channels of its probe."""

from __future__ import annotations

import numpy as np

from spikehouse.demo.anatomy import N_CHANNELS, REFERENCE_CHANNELS, get_positions
from spikehouse.demo.rates import Unit
from spikehouse.demo.streams import make_rng

__all__ = ["N_SAMPLES", "SAMPLING_HZ", "make_waveform"]

N_SAMPLES = 82
SAMPLING_HZ = 30_000.0
TROUGH_SAMPLE = 20
NOISE_UV = 0.35
# A velocity of 1 s/m would delay the spike by a hundredth of a millisecond over 10 µm.
MAX_DELAY_MS = 0.4


def _make_shape(unit: Unit, delay_ms: np.ndarray) -> np.ndarray:
    """Give the spike in time: a trough, then a slower peak."""
    ms = 1000 / SAMPLING_HZ * (np.arange(N_SAMPLES) - TROUGH_SAMPLE) - delay_ms[:, None]
    half = max(unit["halfwidth"], 0.08) / 2.355
    trough = -np.exp(-0.5 * (ms / half) ** 2)
    after = ms - unit["duration"]
    width = np.where(after < 0, 0.45, 0.9) * max(unit["duration"], 0.15)
    peak = unit["PT_ratio"] * np.exp(-0.5 * (after / width) ** 2)
    # the peak only builds up once the trough is over
    peak *= 1 / (1 + np.exp(-np.clip((ms - half) / 0.03, -60, 60)))
    before = 0.08 * np.exp(-0.5 * ((ms + 3 * half) / (1.4 * half)) ** 2)
    return np.asarray(trough + peak + before)


def make_waveform(unit: Unit, unit_id: int, *, seed: int, session_id: int) -> np.ndarray:
    """Make the mean waveform of a unit on all channels of its probe.

    Parameters
    ----------
    unit
        Its parameters: duration, halfwidth, PT_ratio, amplitude, spread, velocities.
    unit_id, seed, session_id
        Name the random stream of the residual noise.

    Returns
    -------
    numpy.ndarray
        (384, 82) [µV]; zero on the reference channels.
    """
    rng = make_rng(seed, session_id, unit_id, "waveform")
    wave = NOISE_UV * rng.standard_normal((N_CHANNELS, N_SAMPLES))
    horizontal, vertical = get_positions(np.arange(N_CHANNELS))
    peak = int(unit["peak_index"])
    above = (vertical - vertical[peak]).astype(float)
    apart = np.hypot(0.7 * (horizontal - horizontal[peak]), above)
    near = np.flatnonzero(apart < 320)
    # the amplitude falls to 12 % at the edge of the spread, as the metric defines it
    size = unit["amplitude"] * np.exp(-apart[near] / (0.5 * unit["spread"] + 8))
    speed = np.where(above[near] > 0, unit["velocity_above"], unit["velocity_below"])
    delay = np.clip(np.nan_to_num(speed) * above[near] / 1000, -MAX_DELAY_MS, MAX_DELAY_MS)
    wave[near] += size[:, None] * _make_shape(unit, delay) / (1 + unit["PT_ratio"])
    wave[list(REFERENCE_CHANNELS)] = 0
    return np.asarray(wave)
