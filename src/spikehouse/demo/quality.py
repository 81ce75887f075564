"""Draw the quality metrics and waveform metrics of units."""

from __future__ import annotations

import numpy as np

__all__ = [
    "CSV_METRICS",
    "FILE_NAMES",
    "Columns",
    "compute_contamination",
    "draw_quality",
    "draw_waveform_shape",
]

# Column name → one value per unit.
Columns = dict[str, np.ndarray]
# The metric columns of units.csv, in its order, without ids and epoch names.
CSV_METRICS = (
    "PT_ratio",
    "amplitude",
    "amplitude_cutoff",
    "cumulative_drift",
    "d_prime",
    "duration",
    "firing_rate",
    "halfwidth",
    "isi_violations",
    "isolation_distance",
    "l_ratio",
    "max_drift",
    "nn_hit_rate",
    "nn_miss_rate",
    "presence_ratio",
    "quality",
    "recovery_slope",
    "repolarization_slope",
    "silhouette_score",
    "snr",
    "spread",
    "velocity_above",
    "velocity_below",
)
# Names in the session file that differ.
FILE_NAMES = {"duration": "waveform_duration", "halfwidth": "waveform_halfwidth"}
MAX_CONTAMINATION = 0.9


def compute_contamination(isi_violations: np.ndarray) -> np.ndarray:
    """Compute the share of spikes of other neurons that explains a rate of ISI violations."""
    # With a share f of independent spikes among clean ones, f·(1 − f) + f²/2 of the expected
    # coincidences happen, so f = 1 − sqrt(1 − 2·v). Rates from 0.5 need bursts as well; here they
    # get the largest share.
    share = 1 - np.sqrt(np.clip(1 - 2 * isi_violations, 0, None))
    return np.asarray(np.minimum(share, MAX_CONTAMINATION))


def draw_quality(rng: np.random.Generator, units: Columns, *, is_outside: np.ndarray) -> None:
    """Add quality metrics with which exactly the units marked as passing pass the filters."""
    n = units["is_passing"].size
    fails = ~units["is_passing"]
    reasons = rng.random((4, n)) < np.array([0.17, 0.62, 0.27, 0.26])[:, None]
    reasons &= fails
    without = fails & ~reasons.any(axis=0) & ~is_outside
    reasons[1] |= without
    is_noise, is_cut, is_absent, is_mixed = reasons
    units["quality"] = np.where(is_noise, "noise", "good")
    cut = np.minimum(0.5, 0.1005 + rng.exponential(0.25, size=n))
    units["amplitude_cutoff"] = np.where(is_cut, cut, 0.0004 + 0.0995 * rng.beta(0.6, 1.6, size=n))
    present = np.where(rng.random(n) < 0.8, 0.99, np.round(rng.uniform(0.95, 0.985, size=n), 2))
    absent = np.round(rng.uniform(0.3, 0.94, size=n), 2)
    units["presence_ratio"] = np.where(is_absent, absent, present)
    mixed = 0.505 + rng.exponential(0.6, size=n)
    units["isi_violations"] = np.where(is_mixed, mixed, 0.499 * rng.beta(0.5, 3.0, size=n))
    units["contamination"] = compute_contamination(units["isi_violations"])
    good = np.where(fails, 0.6, 1.0)
    units["snr"] = np.exp(rng.normal(np.log(2.6), 0.35, size=n)) * good
    units["d_prime"] = np.clip(rng.normal(4.4, 1.4, size=n) * good, 0.1, None)
    isolation = np.exp(rng.normal(np.log(60), 0.5, size=n)) * good
    units["isolation_distance"] = np.where(rng.random(n) < 0.01, np.nan, isolation)
    units["l_ratio"] = rng.exponential(0.03, size=n) / good**3
    units["nn_hit_rate"] = np.clip(rng.beta(5, 1.5, size=n) * good, 0, 1)
    units["nn_miss_rate"] = rng.exponential(0.01, size=n) / good
    score = rng.uniform(0.02, 0.25, size=n)
    units["silhouette_score"] = np.where(rng.random(n) < 0.03, np.nan, score)
    units["max_drift"] = np.round(rng.gamma(3.0, 9.0, size=n), 2)
    units["cumulative_drift"] = np.round(rng.gamma(5.0, 60.0, size=n), 2)


def draw_waveform_shape(rng: np.random.Generator, units: Columns) -> None:
    """Add the waveform metrics: duration, halfwidth, slopes, spread, velocities."""
    n = units["is_passing"].size
    narrow = units["is_narrow"]
    duration = np.where(narrow, rng.normal(0.26, 0.045, size=n), rng.normal(0.58, 0.1, size=n))
    noise = units["quality"] == "noise"
    duration = np.where(noise, rng.uniform(0.1, 1.4, size=n), duration)
    # measured on a grid of 1/200 of the 2.73 ms window
    step = 82 / 30 / 199
    units["duration"] = step * np.rint(np.clip(duration, 0.14, 1.6) / step)
    half = np.where(narrow, rng.normal(0.13, 0.02, size=n), rng.normal(0.21, 0.035, size=n))
    units["halfwidth"] = step * np.rint(np.clip(half, 0.05, 0.6) / step)
    units["PT_ratio"] = np.clip(rng.normal(np.where(narrow, 0.62, 0.45), 0.12), 0.08, 1.4)
    amplitude = np.exp(rng.normal(np.log(45), 0.3, size=n)) * units["snr"]
    units["amplitude"] = amplitude
    repolarization = 0.0045 * amplitude * np.where(narrow, 1.5, 1.0)
    units["repolarization_slope"] = repolarization * np.exp(rng.normal(0, 0.15, size=n))
    recovery = -0.09 * repolarization / units["PT_ratio"] * np.exp(rng.normal(0, 0.3, size=n))
    units["recovery_slope"] = np.where(rng.random(n) < 0.01, np.nan, recovery)
    units["spread"] = 10.0 * rng.integers(3, 12, size=n)
    for side in ("above", "below"):
        speed = np.round(rng.normal(0.35 if side == "above" else -0.25, 0.45, size=n) / 0.1717)
        units[f"velocity_{side}"] = np.where(rng.random(n) < 0.08, np.nan, speed * 0.1717)
