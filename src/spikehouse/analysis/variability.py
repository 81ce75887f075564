"""How spike counts vary: over trials, over conditions, over repeats of the same stimulus."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis._ranges import TOLERANCE, check_not_negative, is_flat
from spikehouse.analysis.definitions import Definition
from spikehouse.errors import InvalidArgumentError, guard_public
from spikehouse.labelled import Ids, align, to_ids
from spikehouse.spikes import check_windows, count_spikes

__all__ = [
    "binary_rate",
    "fano_factor",
    "firing_rate",
    "lifetime_sparseness",
    "reliability",
    "stimulus_blocks",
]

Floats = npt.NDArray[np.float64]


def fano_factor(
    counts: npt.ArrayLike,
    *,
    is_trial: npt.ArrayLike | None = None,
    ddof: int = 0,
    definition: Definition = "corrected",
) -> Floats:
    """Divide the variance of spike counts over trials by their mean.

    Parameters
    ----------
    counts
        Spike counts, shape (n_trials, ...), such as (n_trials, n_units).
    is_trial
        Which entries of ``counts`` are trials, same shape; the others are ignored. All if None.
    ddof
        The variance is the sum of squared deviations over n_trials − ddof.
    definition
        ``"published"`` gives 0 for a single trial with spikes.

    Returns
    -------
    ndarray, shape (...)
        1 for a Poisson process, 0 where every trial has the same count. NaN where there are no
        spikes or fewer than two trials.

    Raises
    ------
    InvalidArgumentError
        If ``is_trial`` has another shape than ``counts``, or a count is negative.

    Notes
    -----
    F = Σ(kᵢ − k̄)² / (n − ddof) / k̄ [1]_. With the default, n stands in the denominator of the
    variance, as in AllenSDK: F is then too small by the factor (n − 1) / n on average; ``ddof=1``
    is without that bias. One trial says nothing about variability: NaN, in published tables 0.

    References
    ----------
    .. [1] Fano, U. (1947). Ionization yield of radiations. II. The fluctuations of the number of
       ions. Physical Review 72, 26. https://doi.org/10.1103/PhysRev.72.26

    Examples
    --------
    >>> float(fano_factor([2, 4, 6]).round(3))
    0.667
    """
    counts, is_trial = align(counts=counts, is_trial=is_trial)
    values = np.asarray(counts, dtype=np.float64)
    if definition == "corrected":
        check_not_negative(values, "counts")
    n, mean, squares = moments(values, is_trial)
    with np.errstate(invalid="ignore", divide="ignore"):
        factor: Floats = squares / (n - ddof) / mean
    fewest = 1 if definition == "published" else 2
    return np.where((n >= max(fewest, ddof + 1)) & (mean != 0), factor, np.nan)


def moments(values: Floats, is_trial: npt.ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    """Give the number, mean and summed squared deviations of the chosen entries of a column.

    Parameters
    ----------
    values
        Shape (n_trials, ...).
    is_trial
        Which entries count, same shape; all if None.

    Returns
    -------
    tuple of three ndarray, shape (...)
        Number, mean, Σ(x − mean)²; mean NaN where nothing is chosen.

    Raises
    ------
    InvalidArgumentError
        If ``is_trial`` has another shape than ``values``.
    """
    chosen = np.ones(values.shape, bool) if is_trial is None else np.asarray(is_trial, bool)
    if chosen.shape != values.shape:
        raise InvalidArgumentError(
            f"is_trial has the shape {chosen.shape} and the counts {values.shape}; give one truth "
            "value for every count"
        )
    n = chosen.sum(axis=0).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Floats = np.where(chosen, values, 0.0).sum(axis=0) / n
    # two passes: what is left of equal values is rounding
    squares: Floats = (np.where(chosen, values - mean, 0.0) ** 2).sum(axis=0)
    return n, mean, np.where(squares > n * (TOLERANCE * mean) ** 2, squares, 0.0)


def lifetime_sparseness(responses: npt.ArrayLike) -> Floats:
    """Measure how few of the conditions a unit answers.

    Parameters
    ----------
    responses
        Mean response to every condition, shape (n_conditions, ...), such as
        (n_conditions, n_units); not negative.

    Returns
    -------
    ndarray, shape (...)
        0 where all conditions are answered alike, 1 where only one is. NaN where there are fewer
        than two conditions or no response at all.

    Raises
    ------
    InvalidArgumentError
        If a response is negative.

    Notes
    -----
    S = (1 − (Σ rᵢ / n)² / (Σ rᵢ² / n)) / (1 − 1 / n), [1]_ and [2]_; any unit of r gives the same.
    Published tables hand it the *summed* spikes of each condition, which makes a condition that
    was shown more often look better liked; corrected ones the means. The two agree where all
    conditions were shown equally often.

    References
    ----------
    .. [1] Vinje, W. E. and Gallant, J. L. (2000). Sparse coding and decorrelation in primary
       visual cortex during natural vision. Science 287, 1273–1276.
       https://doi.org/10.1126/science.287.5456.1273
    .. [2] Olsen, S. R. and Wilson, R. I. (2008). Lateral presynaptic inhibition mediates gain
       control in an olfactory circuit. Nature 452, 956–960. https://doi.org/10.1038/nature06864

    Examples
    --------
    >>> lifetime_sparseness([[3, 1], [0, 1], [0, 1]]).tolist()
    [1.0, 0.0]
    """
    values = np.asarray(responses, dtype=np.float64)
    check_not_negative(values, "responses")
    n = len(values)
    if n < 2:
        return np.full(values.shape[1:], np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        evenness = values.sum(axis=0) ** 2 / (n * (values**2).sum(axis=0))
    # equal responses are even but for rounding
    sparseness: Floats = np.maximum(1 - evenness, 0) / (1 - 1 / n)
    return sparseness


def stimulus_blocks(
    start_time: npt.ArrayLike, stop_time: npt.ArrayLike, *, longest_interval: float
) -> Floats:
    """Join presentations that follow each other into blocks.

    Parameters
    ----------
    start_time, stop_time
        Presentations in any order, shape (n_presentations,) [s].
    longest_interval
        From one onset to the next within a block [s]; a longer one begins a new block.

    Returns
    -------
    ndarray, shape (n_blocks, 2)
        From the first onset of a block to the end of its last presentation [s].

    Notes
    -----
    AllenSDK sets the limit to twice the trial's duration, and so do the tables here. Flashes, 2 s
    apart and 0.25 s long, are then blocks of one presentation each: their firing rate is the
    rate during flashes; that of the other stimuli includes the grey in between.
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
    """Divide the spikes in some intervals by the length of these intervals.

    Parameters
    ----------
    spike_times
        Unit id → sorted times [s].
    unit_ids
        Which units.
    blocks
        Intervals [start, stop) [s], shape (n_blocks, 2), as from `stimulus_blocks`.

    Returns
    -------
    ndarray, shape (n_units,)
        Rates [spikes/s]; 0 for a unit without spikes. NaN if the intervals last no time.

    Notes
    -----
    AllenSDK's number is the same, except that a unit without spikes has 0 there even where the
    intervals last no time. Cost: the spikes of the units are read once.
    """
    intervals = check_windows(np.reshape(blocks, (-1, 2)), noun="block")
    seconds = float((intervals[:, 1] - intervals[:, 0]).sum())
    units = to_ids(unit_ids, "unit_id")
    if not seconds > 0:
        return np.full(len(units), np.nan)
    counts = count_spikes(spike_times, units, intervals)
    rates: Floats = counts.sum(axis=(0, 1), dtype=np.int64) / seconds
    return rates


def binary_rate(
    spikes: npt.ArrayLike,
    *,
    num_timestep_second: float = 30,
    sweep_length: float = 3.1,
    filter_width: float = 0.1,
) -> Floats:
    """Smooth where there were spikes, as AllenSDK's ``get_fr`` does.

    Parameters
    ----------
    spikes
        Times of the spikes [s] from the beginning of the sweep, shape (n_spikes,).
    num_timestep_second
        Bins a second [Hz].
    sweep_length
        Length of the sweep [s].
    filter_width
        Standard deviation of the Gaussian [s]; rounded down to whole bins.

    Returns
    -------
    ndarray, shape (int(sweep_length × num_timestep_second),)
        Smoothed train of zeros and ones; without unit, not a rate.

    Raises
    ------
    InvalidArgumentError
        If a spike lies outside the sweep.

    Notes
    -----
    For comparison with AllenSDK, whose number is the same. It is not a rate: several spikes in a
    bin count as one and the sum is not divided by the bin's length. AllenSDK lets a negative time
    wrap around to the end of the sweep; here it is an error.
    """
    times = np.asarray(spikes, dtype=np.float64)
    train = np.zeros(int(sweep_length * num_timestep_second))
    places = np.floor(times * num_timestep_second)
    outside = ~((places >= 0) & (places < len(train)))
    if outside.any():
        raise InvalidArgumentError(
            f"a spike at {times[outside][0]:g} s is outside the sweep of {sweep_length:g} s; give "
            "times from its beginning, or a longer sweep_length"
        )
    train[places.astype(np.intp)] = 1
    from scipy.ndimage import gaussian_filter

    smooth: Floats = gaussian_filter(train, int(filter_width * num_timestep_second))
    return smooth


def reliability(rates: npt.ArrayLike) -> Floats:
    """Average the correlation of the response to one trial with that to another.

    Parameters
    ----------
    rates
        Response over time in every trial, shape (..., n_trials, n_bins), such as
        (n_units, n_trials, n_bins); usually smooth rates.

    Returns
    -------
    ndarray, shape (...)
        Mean Pearson correlation of all pairs of different trials, from −1 / (n_trials − 1) to 1.
        Trials whose response does not vary are left out; NaN where fewer than two are left.

    Notes
    -----
    AllenSDK's ``reliability`` gives the same number when it is fed the same rates. The n(n − 1)/2
    correlations are not made one by one: with z the standardized responses, of length 1,
    Σ_{i≠j} zᵢ·zⱼ = |Σ zᵢ|² − n. Time and memory are linear in the size of ``rates``.

    Examples
    --------
    >>> float(reliability([[0, 1, 2], [0, 2, 4], [5, 5, 5]]).round(12))
    1.0
    """
    values = np.asarray(rates, dtype=np.float64)
    centred = values - values.mean(axis=-1, keepdims=True) if values.shape[-1] else values
    length = np.sqrt((centred**2).sum(axis=-1, keepdims=True))
    varies = ~is_flat(values, axis=-1)[..., None]
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(varies, centred / length, 0.0)
    n = varies.sum(axis=(-2, -1))
    total = (z.sum(axis=-2) ** 2).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Floats = (total - n) / (n * (n - 1))
    return np.where(n >= 2, mean, np.nan)


guard_public(globals())
