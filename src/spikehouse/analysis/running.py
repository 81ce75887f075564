"""Modulation of firing by running."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spikehouse.analysis.checks import TOLERANCE, Definition, check_not_negative
from spikehouse.analysis.variability import moments
from spikehouse.errors import InvalidArgumentError, guard_public
from spikehouse.labelled import align

__all__ = ["RunningModulation", "running_modulation"]

Floats = npt.NDArray[np.float64]


class RunningModulation(NamedTuple):
    """The result of `running_modulation`; both arrays of shape (…)."""

    p_value: Floats
    run_mod: Floats


def running_modulation(
    counts: npt.ArrayLike,
    speeds: npt.ArrayLike,
    *,
    speed_threshold: float = 1.0,
    is_trial: npt.ArrayLike | None = None,
    definition: Definition = "corrected",
) -> RunningModulation:
    """Compare the spike counts (n_trials, …) of running and stationary trials.

    - run_mod: (R − S) / max(R, S) with the mean counts R of running and S of stationary trials,
      from −1 to 1;
    - p_value: Welch's t test, two-sided: t = (R − S) / √(s²_R/n_R + s²_S/n_S) (Welch 1947,
      doi:10.1093/biomet/34.1-2.28).

    Both are NaN with fewer than two running or two stationary trials, or without spikes. A trial is
    a running one from ``speed_threshold`` [cm/s] on. Entries where ``is_trial`` is False are
    ignored, and trials of unknown speed; ``definition="published"`` takes those for stationary
    ones.

    Examples
    --------
    >>> result = running_modulation([4, 6, 5, 1, 2, 3], [9, 8, 7, 0, 0, 0])
    >>> float(result.run_mod.round(3)), float(result.p_value.round(3))
    (0.6, 0.021)
    """
    counts, speeds, is_trial = align(counts=counts, speeds=speeds, is_trial=is_trial)
    values = np.asarray(counts, dtype=np.float64)
    if definition == "corrected":
        check_not_negative(values, "counts")
    speed = _shape_speeds(np.asarray(speeds, dtype=np.float64), values.shape)
    known = np.isfinite(speed) | (definition == "published")
    if is_trial is not None:
        known = known & np.asarray(is_trial, dtype=bool)
    runs = known & (speed >= speed_threshold)
    run = moments(values, np.broadcast_to(runs, values.shape))
    rest = moments(values, np.broadcast_to(known & ~runs, values.shape))
    larger = np.maximum(run[1], rest[1])
    is_defined = (run[0] >= 2) & (rest[0] >= 2) & (larger > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        run_mod = np.where(is_defined, (run[1] - rest[1]) / larger, np.nan)
        p_value = np.where(is_defined, _test_welch(run, rest), np.nan)
    return RunningModulation(p_value, run_mod)


def _shape_speeds(speed: Floats, shape: tuple[int, ...]) -> Floats:
    if speed.shape == shape:
        return speed
    if speed.shape == shape[:1]:
        return speed.reshape(shape[:1] + (1,) * (len(shape) - 1))
    raise InvalidArgumentError(
        f"speeds has the shape {speed.shape} and the counts {shape}; give one speed for every "
        "trial, the first axis of the counts"
    )


def _test_welch(a: tuple[Floats, Floats, Floats], b: tuple[Floats, Floats, Floats]) -> Floats:
    """Return the two-sided p-value of Welch's test from (number, mean, summed squares)."""
    from scipy.stats import ttest_ind_from_stats

    change = a[1] - b[1]
    # the means of equal numbers may be a rounding apart
    change = np.where(np.abs(change) > TOLERANCE * np.maximum(a[1], b[1]), change, 0.0)
    spread_a, spread_b = (np.sqrt(group[2] / (group[0] - 1)) for group in (a, b))
    test = ttest_ind_from_stats(change, spread_a, a[0], 0.0, spread_b, b[0], equal_var=False)
    return np.asarray(test.pvalue, dtype=np.float64)


guard_public(globals())
