"""Times of a laboratory's own data: warn where they are hardly seconds of one clock."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import pandas as pd

# spikes later than this are hardly in seconds
LONGEST_RECORDING_S = 172_800
# times that differ by this factor are hardly in one unit
UNIT_FACTOR = 20


def warn_of_late_spikes(last: float, *, stacklevel: int) -> None:
    """Warn if the last spike [s] is days after the start."""
    if last > LONGEST_RECORDING_S:
        warnings.warn(
            f"spike times reach {last:g} s, {last / 86_400:.0f} days: they are taken as seconds; "
            "divide milliseconds by 1000, sample numbers by the sampling rate",
            stacklevel=stacklevel + 1,
        )


def warn_of_other_clock(
    intervals: pd.DataFrame | None, noun: str, first: float, last: float, *, stacklevel: int
) -> None:
    """Warn if most intervals are before the first spike [s] or after the last."""
    if intervals is None or intervals.empty:
        return
    start = intervals["start_time"].to_numpy()
    n_outside = int(((start > last) | (intervals["stop_time"].to_numpy() < first)).sum())
    if n_outside > len(start) / 2:
        warnings.warn(
            f"{n_outside} of {len(start)} {noun} are outside the times of the spikes, {first:g} to "
            f"{last:g} s: they start at {start.min():g} to {start.max():g} s. Give all times in "
            "seconds of one clock",
            stacklevel=stacklevel + 1,
        )


def warn_of_long_durations(presentations: pd.DataFrame | None, *, stacklevel: int) -> None:
    """Warn if the presentations of a stimulus last far longer than the interval between onsets."""
    if presentations is None:
        return
    for name, shown in presentations.groupby("stimulus_name", observed=True):
        interval = np.median(np.diff(shown["start_time"])) if len(shown) > 1 else np.inf
        duration = float((shown["stop_time"] - shown["start_time"]).median())
        if duration > UNIT_FACTOR * interval > 0:
            warnings.warn(
                f"presentations of {name!r} last {duration:g} s, and begin every {interval:g} s: "
                "duration and stop_time are taken as seconds; divide milliseconds by 1000",
                stacklevel=stacklevel + 1,
            )


def find_sample_ends(start: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return when samples end [s]: each where the next starts, the last after the usual time."""
    steps = np.diff(start)
    return np.append(start[1:], start[-1:] + (np.median(steps) if steps.size else 0.0))
