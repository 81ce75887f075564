"""Variability of spike counts: over trials, conditions, repeats of a stimulus, and with running."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis.checks import TOLERANCE, Definition, check_not_negative, divide, is_flat
from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import Ids, align, to_ids
from spikehouse.spikes import count_spikes
from spikehouse.spikes.counting import check_windows

Floats = npt.NDArray[np.float64]


def compute_fano_factor(
    counts: npt.ArrayLike,
    *,
    is_trial: npt.ArrayLike | None = None,
    ddof: int = 0,
    definition: Definition = "corrected",
) -> Floats:
    """Compute the Fano factor: the variance of spike counts over trials, divided by their mean.

    Parameters
    ----------
    counts
        Spike counts k, shape (n_trials, …), usually (n_trials, n_units).
    is_trial
        Which entries of ``counts`` to use, of the same shape; all if None.
    ddof
        The variance is Σ(k − mean)² / (n − ddof). With 0, as published, the factor is too small by
        (n − 1) / n on average.
    definition
        ``"corrected"``: NaN for a single trial. ``"published"``: 0.

    Returns
    -------
    ndarray of float64, shape (…)
        1 for a Poisson process. NaN without spikes and with fewer than two trials.

    References
    ----------
    Fano (1947), Phys. Rev. 72, 26, doi:10.1103/PhysRev.72.26.

    Examples
    --------
    >>> float(compute_fano_factor([2, 4, 6]).round(3))
    0.667
    """
    counts, is_trial = align(counts=counts, is_trial=is_trial)
    values = np.asarray(counts, dtype=np.float64)
    if definition == "corrected":
        check_not_negative(values, "counts")
    n, mean, squares = moments(values, is_trial)
    factor = divide(divide(squares, n - ddof), mean)
    fewest = 1 if definition == "published" else 2
    return np.where((n >= max(fewest, ddof + 1)) & (mean != 0), factor, np.nan)


def moments(values: Floats, is_trial: npt.ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    """Return number, mean and summed squared deviations of the chosen entries of each column."""
    chosen = np.ones(values.shape, bool) if is_trial is None else np.asarray(is_trial, bool)
    if chosen.shape != values.shape:
        raise InvalidArgumentError(
            f"is_trial has the shape {chosen.shape} and the counts {values.shape}; give one truth "
            "value for every count"
        )
    n = chosen.sum(axis=0).astype(np.float64)
    mean = divide(np.where(chosen, values, 0.0).sum(axis=0), n)
    # two passes: what is left of equal values is rounding
    squares: Floats = (np.where(chosen, values - mean, 0.0) ** 2).sum(axis=0)
    return n, mean, np.where(squares > n * (TOLERANCE * mean) ** 2, squares, 0.0)


def compute_lifetime_sparseness(responses: npt.ArrayLike) -> Floats:
    """Compute how few of the conditions evoke a response.

    Parameters
    ----------
    responses
        Mean responses r, shape (n_conditions, …), not negative. (Published tables use the summed
        spikes of each condition, which favours conditions that were shown more often.)

    Returns
    -------
    ndarray of float64, shape (…)
        (1 − (Σ rᵢ / n)² / (Σ rᵢ² / n)) / (1 − 1 / n): 0 where all responses are equal, 1 where only
        one condition evokes any. NaN without a response and with fewer than two conditions.

    References
    ----------
    Vinje & Gallant (2000), doi:10.1126/science.287.5456.1273; Olsen & Wilson (2008),
    doi:10.1038/nature06864.

    Examples
    --------
    >>> compute_lifetime_sparseness([[3, 1], [0, 1], [0, 1]]).tolist()
    [1.0, 0.0]
    """
    values = np.asarray(responses, dtype=np.float64)
    check_not_negative(values, "responses")
    n = len(values)
    if n < 2:
        return np.full(values.shape[1:], np.nan)
    evenness = divide(values.sum(axis=0) ** 2, n * (values**2).sum(axis=0))
    # equal responses are even but for rounding
    sparseness: Floats = np.maximum(1 - evenness, 0) / (1 - 1 / n)
    return sparseness


def stimulus_blocks(
    start_time: npt.ArrayLike, stop_time: npt.ArrayLike, *, longest_interval: float
) -> Floats:
    """Join presentations whose onsets are at most ``longest_interval`` [s] apart into blocks.

    Returns the start of each block and the end of its last presentation, shape (n_blocks, 2). The
    limit of the tables, published and corrected, is twice the trial's duration: flashes, 0.25 s
    long and 2 s apart, are blocks of one presentation, while the rates of other stimuli include the
    grey in between.
    """
    start_time, stop_time = align(start_time=start_time, stop_time=stop_time)
    windows = check_windows(pd.DataFrame({"start_time": start_time, "stop_time": stop_time}))
    if not len(windows):
        return np.empty((0, 2))
    starts, stops = windows[np.argsort(windows[:, 0], kind="stable")].T
    is_last = np.r_[np.diff(starts) > longest_interval, True]
    is_first = np.r_[True, is_last[:-1]]
    return np.column_stack([starts[is_first], stops[is_last]])


def firing_rate(spike_times: Mapping[int, Floats], unit_ids: Ids, blocks: npt.ArrayLike) -> Floats:
    """Divide each unit's spikes in intervals [start, stop) by their length [spikes/s]."""
    intervals = check_windows(np.reshape(blocks, (-1, 2)), noun="block")
    seconds = float((intervals[:, 1] - intervals[:, 0]).sum())
    units = to_ids(unit_ids, "unit_id")
    if not seconds > 0:
        return np.full(len(units), np.nan)
    counts = count_spikes(spike_times, units, intervals)
    rates: Floats = counts.sum(axis=(0, 1), dtype=np.int64) / seconds
    return rates


def reliability(rates: npt.ArrayLike) -> Floats:
    """Average the correlations between the responses (…, n_trials, n_bins) of all pairs of trials.

    Mean Pearson correlation, from −1 / (n_trials − 1) to 1. Trials whose response does not vary are
    left out; NaN where fewer than two are left.

    Examples
    --------
    >>> float(reliability([[0, 1, 2], [0, 2, 4], [5, 5, 5]]).round(12))
    1.0
    """
    values = np.asarray(rates, dtype=np.float64)
    centred = values - values.mean(axis=-1, keepdims=True) if values.shape[-1] else values
    length = np.sqrt((centred**2).sum(axis=-1, keepdims=True))
    varies = ~is_flat(values, axis=-1)[..., None]
    z = np.where(varies, divide(centred, length), 0.0)
    # With z the standardized responses, of length 1, Σ_{i≠j} zᵢ·zⱼ = |Σ zᵢ|² − n: time and memory
    # are linear in the size of rates, not in the number of pairs.
    n = varies.sum(axis=(-2, -1))
    total = (z.sum(axis=-2) ** 2).sum(axis=-1)
    return np.where(n >= 2, divide(total - n, n * (n - 1)), np.nan)


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
