"""Whether a unit fires more or less when the animal runs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spikehouse.analysis._ranges import TOLERANCE, check_not_negative
from spikehouse.analysis.definitions import Definition
from spikehouse.analysis.variability import moments
from spikehouse.errors import InvalidArgumentError, guard_public
from spikehouse.labelled import align

__all__ = ["RunningModulation", "running_modulation"]

Floats = npt.NDArray[np.float64]


class RunningModulation(NamedTuple):
    """The answer of `running_modulation`; both arrays of shape (...)."""

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
    """Compare the spike counts of running and stationary trials.

    Parameters
    ----------
    counts
        Spike counts, shape (n_trials, ...), such as (n_trials, n_units).
    speeds
        Mean speed of the animal in a trial [cm/s], shape (n_trials,) or that of ``counts``; NaN
        where it is not known.
    speed_threshold
        The animal runs from this speed on [cm/s].
    is_trial
        Which entries of ``counts`` are trials, same shape; the others are ignored. All if None.
    definition
        ``"published"`` takes a trial of unknown speed for a stationary one; otherwise it is left
        out.

    Returns
    -------
    p_value : ndarray, shape (...)
        Of Welch's t test, two-sided. NaN with fewer than two running or two stationary trials,
        without any spike, or where every trial has the same count.
    run_mod : ndarray, shape (...)
        (R − S) / max(R, S) with the mean counts R of running and S of stationary trials: 1 for a
        unit that fires only when the animal runs, −1 for the opposite. NaN with fewer than two
        running or two stationary trials, or without any spike.

    Raises
    ------
    InvalidArgumentError
        If ``speeds`` or ``is_trial`` do not have the shape of the counts, or a count is negative.

    Notes
    -----
    t = (R − S) / √(s²_R/n_R + s²_S/n_S), with n − 1 in the denominators of the variances and the
    degrees of freedom of [1]_: the result of ``scipy.stats.ttest_ind(…, equal_var=False)``.
    As there, p is 0 where the counts differ between the two groups and not within them.

    References
    ----------
    .. [1] Welch, B. L. (1947). The generalization of 'Student's' problem when several different
       population variances are involved. Biometrika 34, 28–35.
       https://doi.org/10.1093/biomet/34.1-2.28

    Examples
    --------
    >>> answer = running_modulation([4, 6, 5, 1, 2, 3], [9, 8, 7, 0, 0, 0])
    >>> float(answer.run_mod.round(3)), float(answer.p_value.round(3))
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
