"""Intrinsic timescales: how long the fluctuations of a unit's firing last."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis.checks import TOLERANCE, divide, is_flat
from spikehouse.analysis.inputs import StimulusResponses
from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import align
from spikehouse.spikes import compute_time_domain, count_spikes

Floats = npt.NDArray[np.float64]
# Units whose counts in bins are held at a time.
N_UNITS_AT_ONCE = 64
# Fewer lags than this cannot tell an exponential with an offset from a straight line.
MIN_LAGS = 4
# The timescales tried, relative to the distance of two lags and to the longest lag.
SHORTEST, LONGEST, N_TRIED = 0.25, 10.0, 200
GOLDEN = (5**0.5 - 1) / 2
# Autocorrelations of noise that a fit is compared with; p-values are multiples of 1/1000.
N_DRAWS = 999
# Parts of the presentations that are left out in turn for a standard error.
N_PARTS = 10


class TimescaleFit(NamedTuple):
    """The result of `fit_timescale`; arrays of shape (n_units,)."""

    timescale: Floats
    amplitude: Floats
    offset: Floats
    r_squared: Floats
    p_value: Floats


def delayed_correlations(counts: npt.ArrayLike, *, is_active_only: bool = False) -> Floats:
    """Correlate counts (n_units, n_trials, n_bins) in each bin with those in each later bin.

    Pearson's correlation over trials, at [unit, i, j] for i < j; NaN elsewhere, and where a bin has
    the same count in all trials (Murray et al. 2014, doi:10.1038/nn.3862). ``is_active_only`` uses
    only the trials with spikes in both bins, which removes most of the fluctuation to be measured.
    """
    # with units and trials swapped in memory the products take sixty times as long
    values = np.ascontiguousarray(counts, dtype=np.float64)
    n_trials, n_bins = values.shape[1:]
    from threadpoolctl import threadpool_limits

    # thousands of small products: threads only wait for each other (measured 1.8 s against 7 to 26)
    with threadpool_limits(limits=1, user_api="blas"):
        if is_active_only:
            correlation, n = _correlate_active(values)
        else:
            correlation, n = _correlate(values), np.full((1, n_bins, n_bins), float(n_trials))
    is_later = np.triu(np.ones((n_bins, n_bins), dtype=bool), k=1)
    return np.where(is_later & (n >= 2), correlation, np.nan)


def _correlate(values: Floats) -> Floats:
    """Correlate bins over all trials."""
    if not values.shape[1]:
        return np.full((len(values), values.shape[2], values.shape[2]), np.nan)
    centred = values - values.mean(axis=1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    z = np.where(is_flat(values, axis=1)[:, None], np.nan, divide(centred, length))
    correlation: Floats = z.transpose(0, 2, 1) @ z
    return correlation


def _correlate_active(values: Floats) -> tuple[Floats, Floats]:
    """Correlate bins over the trials with spikes in both; also return how many there are."""
    chosen = (values > 0).astype(np.float64)
    flipped = values.transpose(0, 2, 1)
    n = chosen.transpose(0, 2, 1) @ chosen
    # sums over the common trials; counts are small integers, so all of this is exact
    sums = flipped @ chosen
    squares = (flipped**2) @ chosen
    covariance = n * (flipped @ values) - sums * sums.transpose(0, 2, 1)
    variance = n * squares - sums**2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(covariance / np.sqrt(variance * variance.transpose(0, 2, 1))), n


def average_lags(correlations: Floats) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Average correlations of bins that are equally far apart; also count the pairs, by lag."""
    n_units, n_bins = correlations.shape[:2]
    means = np.full((n_units, max(n_bins - 1, 0)), np.nan)
    n_pairs = np.zeros(means.shape, dtype=np.intp)
    for lag in range(1, n_bins):
        pairs = np.diagonal(correlations, offset=lag, axis1=1, axis2=2)
        is_known = np.isfinite(pairs)
        n_pairs[:, lag - 1] = is_known.sum(axis=1)
        means[:, lag - 1] = divide(np.where(is_known, pairs, 0.0).sum(axis=1), n_pairs[:, lag - 1])
    return means, n_pairs


def fit_timescale(
    lags: npt.ArrayLike,
    autocorrelation: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    alpha: float = 0.05,
) -> TimescaleFit:
    """Fit R(t) ≈ a exp(−t / τ) + c, a > 0, to autocorrelations (n_units, n_lags).

    Weighted least squares: for a given τ the best a and c are those of a line in exp(−t / τ), so
    only τ is searched, on a logarithmic grid and then by golden section (Murray et al. 2014,
    doi:10.1038/nn.3862). τ, a and c are NaN where p_value > ``alpha``, where the autocorrelation
    does not fall, and where τ is shorter than a quarter of the distance of two ``lags`` [s] or
    longer than ten times the longest. All are NaN with fewer than four known lags or without
    variance.

    p_value is the share of 999 draws of normal noise, with a variance inverse to the weights, of
    which the best curve explains as much (r_squared): without that test 37 of 100 Poisson trains
    had a timescale.

    Examples
    --------
    >>> lags = np.arange(1, 20) * 0.05
    >>> fit = fit_timescale(lags, [0.3 * np.exp(-lags / 0.2) + 0.1])
    >>> fit.timescale.round(6).tolist()
    [0.2]
    """
    times, y, w = _check_fit(lags, autocorrelation, weights)
    tried = np.geomspace(
        SHORTEST * (times[-1] - times[0]) / (len(times) - 1), LONGEST * times[-1], N_TRIED
    )
    n_known = (w > 0).sum(axis=1)
    tau, is_inside = search_timescale(times, y, w, tried)
    curve = np.exp(-times / tau[:, None])
    gain, amplitude, offset, total = project_curve(curve, y, w)
    # what rounding leaves of equal numbers is no variance
    has_varied = total > TOLERANCE**2 * (w * y**2).sum(axis=1)
    r_squared = np.where((n_known >= MIN_LAGS) & has_varied, divide(gain, total), np.nan)
    p_value = _compare_with_noise(r_squared, np.exp(-times / tried[:, None]), w)
    is_found = (p_value <= alpha) & is_inside
    tau, amplitude, offset = (np.where(is_found, a, np.nan) for a in (tau, amplitude, offset))
    return TimescaleFit(tau, amplitude, offset, r_squared, p_value)


def _compare_with_noise(r_squared: Floats, curves: Floats, w: Floats) -> Floats:
    """Compute how likely noise is explained as well by the best of the curves, for each unit."""
    noise = np.random.default_rng(0).standard_normal((N_DRAWS, w.shape[1]))
    p_value = np.full(len(w), np.nan)
    is_tested = np.isfinite(r_squared)
    patterns, pattern_of = np.unique(w[is_tested], axis=0, return_inverse=True)
    for number, weights in enumerate(patterns):
        # in units of the standard deviation, without what a constant explains
        scale = np.sqrt(weights)
        shapes = scale * (curves - np.average(curves, weights=weights, axis=1)[:, None])
        shapes /= np.linalg.norm(shapes, axis=1)[:, None]
        draws = np.where(weights > 0, noise, 0.0)
        draws -= (draws @ scale)[:, None] * scale / weights.sum()
        # a curve falls: those that rise explain nothing
        gain = np.maximum(draws @ shapes.T, 0).max(axis=1) ** 2
        chance = np.sort(gain / (draws**2).sum(axis=1))
        units = np.flatnonzero(is_tested)[pattern_of.ravel() == number]
        n_as_large = N_DRAWS - np.searchsorted(chance, r_squared[units])
        p_value[units] = (n_as_large + 1) / (N_DRAWS + 1)
    return p_value


def _check_fit(
    lags: npt.ArrayLike, autocorrelation: npt.ArrayLike, weights: npt.ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    autocorrelation, weights = align(autocorrelation=autocorrelation, weights=weights)
    times = np.asarray(lags, dtype=np.float64)
    y = np.asarray(autocorrelation, dtype=np.float64)
    w = np.ones(y.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    if times.ndim != 1 or y.ndim != 2 or y.shape[1] != len(times) or w.shape != y.shape:
        raise InvalidArgumentError(
            f"lags has the shape {times.shape}, autocorrelation {y.shape} and weights {w.shape}; "
            "give (n_lags,), (n_units, n_lags) and (n_units, n_lags)"
        )
    if len(times) < MIN_LAGS or not (times > 0).all() or not (np.diff(times) > 0).all():
        raise InvalidArgumentError(
            f"lags must be at least {MIN_LAGS} increasing positive times, not {times.tolist()}; "
            "use shorter bins or longer trials"
        )
    is_known = np.isfinite(y) & (w > 0)
    return times, np.where(is_known, y, 0.0), np.where(is_known, w, 0.0)


def project_curve(curve: Floats, y: Floats, w: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Fit y by a × curve + c; return the explained sum of squares, a, c and the total sum."""
    with np.errstate(invalid="ignore", divide="ignore"):
        n = w.sum(axis=-1)
        mean_x, mean_y = (w * curve).sum(axis=-1) / n, (w * y).sum(axis=-1) / n
        x, z = curve - mean_x[..., None], y - mean_y[..., None]
        covariance = (w * x * z).sum(axis=-1)
        slope = covariance / (w * x**2).sum(axis=-1)
    gain = np.where(slope > 0, slope * covariance, 0.0)
    return gain, slope, mean_y - slope * mean_x, (w * z**2).sum(axis=-1)


def search_timescale(
    times: Floats, y: Floats, w: Floats, tried: Floats
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Search the timescale that fits best, and say whether it lies between those tried."""
    gain = project_curve(np.exp(-times / tried[:, None])[None], y[:, None], w[:, None])[0]
    best = gain.argmax(axis=1)
    is_inside = (best > 0) & (best < len(tried) - 1)
    best = np.clip(best, 1, len(tried) - 2)
    return _refine(times, y, w, np.log(tried[best - 1]), np.log(tried[best + 1])), is_inside


def _refine(times: Floats, y: Floats, w: Floats, low: Floats, high: Floats) -> Floats:
    """Search the best timescale between two logarithms of it, by golden section."""

    def gain(log_tau: Floats) -> Floats:
        return project_curve(np.exp(-times / np.exp(log_tau)[:, None]), y, w)[0]

    inner, outer = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    gain_inner, gain_outer = gain(inner), gain(outer)
    for _ in range(40):
        is_left = gain_inner >= gain_outer
        low, high = np.where(is_left, low, inner), np.where(is_left, outer, high)
        new = np.where(is_left, high - GOLDEN * (high - low), low + GOLDEN * (high - low))
        gain_new = gain(new)
        inner, outer = np.where(is_left, new, outer), np.where(is_left, inner, new)
        gain_inner, gain_outer = (
            np.where(is_left, gain_new, gain_outer),
            np.where(is_left, gain_inner, gain_new),
        )
    answer: Floats = np.exp((low + high) / 2)
    return answer


def compute_timescales(
    responses: StimulusResponses,
    *,
    bin_width: float = 0.025,
    duration: float | None = None,
    alpha: float = 0.05,
) -> pd.DataFrame:
    """Compute the intrinsic timescale of every unit.

    Parameters
    ----------
    responses
        Responses to one stimulus; trials of a second or more, such as drifting gratings.
    bin_width
        Width of the bins in which spikes are counted [s].
    duration
        How long spikes are counted from the onset [s]; the trial's duration if None.
    alpha
        A timescale is given where p_value is no larger.

    Returns
    -------
    DataFrame
        Index ``unit_id``; float64 columns timescale [s], amplitude, offset, r_squared,
        standard_error [s], p_value, as `fit_timescale` returns.

    Notes
    -----
    Counts in bins, minus their mean over the presentations of the same condition (else the tuning
    of the unit would be taken for a slow fluctuation), `delayed_correlations` over all
    presentations, `average_lags`, `fit_timescale` weighted by the number of pairs.

    About 5 of 100 Poisson trains have a timescale at the default alpha (up to 8 with less than a
    spike a trial). The standard error is from a jackknife [1]_ over tenths of the presentations,
    because the errors of neighbouring lags are correlated. It is NaN where a tenth decides
    whether there is a timescale.

    References
    ----------
    .. [1] Efron, B. and Stein, C. (1981). The jackknife estimate of variance. Annals of
       Statistics 9, 586–596. https://doi.org/10.1214/aos/1176345462

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> events = rng.uniform(0, 2000, 4000)
    >>> spikes = np.sort((events + rng.exponential(0.1, (10, 4000))).ravel())
    >>> starts = np.arange(1000) * 2.0
    >>> shown = pd.DataFrame(
    ...     {"start_time": starts, "stop_time": starts + 1, "stimulus_condition_id": 0}
    ... )
    >>> responses = StimulusResponses("noise", shown, [7], {7: spikes}, trial_duration=1.0)
    >>> compute_timescales(responses)[["timescale", "p_value"]].round(3)
             timescale  p_value
    unit_id
    7            0.103    0.001
    """
    if not len(responses.onsets):
        raise InvalidArgumentError(
            f"{responses.stimulus_name} has no presentations here; timescales need some"
        )
    length = responses.trial_duration if duration is None else duration
    edges = np.arange(int(length / bin_width + 1e-9) + 1) * bin_width
    if len(edges) < MIN_LAGS + 2:
        raise InvalidArgumentError(
            f"{length} s hold {len(edges) - 1} bins of {bin_width} s; an exponential needs "
            f"{MIN_LAGS + 1}. Use shorter bins or longer trials"
        )
    domain = compute_time_domain(edges, responses.onsets)
    units = np.asarray(responses.unit_ids).tolist()
    lags = np.asarray(edges[1:-1], dtype=np.float64)
    fits = [TimescaleFit(*np.empty((5, 0)))]
    errors = [np.empty(0)]
    for first in range(0, len(units), N_UNITS_AT_ONCE):
        some = units[first : first + N_UNITS_AT_ONCE]
        counts = count_spikes(responses.spike_times, some, domain).transpose(2, 0, 1)
        residuals = _subtract_condition_means(counts.astype(np.float64), responses)
        means, n_pairs = average_lags(delayed_correlations(residuals))
        fits.append(fit_timescale(lags, means, weights=n_pairs, alpha=alpha))
        errors.append(_jackknife(lags, residuals, np.isfinite(fits[-1].timescale)))
    columns = {name: np.concatenate([getattr(f, name) for f in fits]) for name in fits[0]._fields}
    columns["standard_error"] = np.concatenate(errors)
    return pd.DataFrame(columns, index=pd.Index(units, name="unit_id", dtype=np.int64))


def _jackknife(lags: Floats, residuals: Floats, is_found: npt.NDArray[np.bool_]) -> Floats:
    """Compute the standard error of timescales by leaving out successive parts of the trials."""
    without = []
    for part in np.array_split(np.arange(residuals.shape[1]), N_PARTS):
        rest = np.delete(residuals[is_found], part, axis=1)
        means, n_pairs = average_lags(delayed_correlations(rest))
        without.append(fit_timescale(lags, means, weights=n_pairs, alpha=1).timescale)
    error = np.full(len(residuals), np.nan)
    error[is_found] = np.std(without, axis=0) * np.sqrt(N_PARTS - 1)
    return error


def _subtract_condition_means(counts: Floats, responses: StimulusResponses) -> Floats:
    """Subtract from counts (n_units, n_trials, n_bins) the mean of each condition."""
    order = np.argsort(responses.condition_of, kind="stable")
    first = np.r_[0, np.cumsum(responses.n_shown)[:-1]]
    means = np.add.reduceat(counts[:, order], first, axis=1) / responses.n_shown[None, :, None]
    residuals: Floats = counts - means[:, responses.condition_of]
    return residuals
