"""Exponential timescales as Siegle et al. (2021) measured them: of responses, and of firing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis.checks import Definition, check_definition, divide
from spikehouse.analysis.timescale import (
    average_lags,
    delayed_correlations,
    project_curve,
    search_timescale,
)
from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import Ids, Onsets, to_ids
from spikehouse.spikes import Spikes, compute_time_domain, count_spikes

Floats = npt.NDArray[np.float64]

N_UNITS_AT_ONCE = 64
# The timescales that the paper's fit allows [s].
SHORTEST, LONGEST = 0.001, 1.0
N_TRIED = 400
N_PARAMETERS = 3


def compute_decay_timescales(
    spikes_or_session: Spikes,
    unit_ids: Ids,
    onsets: Onsets,
    *,
    window: tuple[float, float] = (0.04, 0.29),
    bin_width: float = 0.01,
    definition: Definition = "corrected",
) -> pd.DataFrame:
    """Compute how fast the response to onsets decays, by correlating each trial with the others.

    Parameters
    ----------
    spikes_or_session, unit_ids
        Unit id → sorted times [s], or a session; and the ids of the units.
    onsets
        Times [s], shape (n_presentations,); two or more. The paper used all flashes.
    window
        First and last time from the onset [s].
    bin_width
        Width of the bins [s].
    definition
        ``"corrected"``: lags are multiples of ``bin_width``. ``"published"``: the lags of the
        paper, which are stretched: with 25 bins of 10 ms the longest, 120 ms, is called 125 ms, and
        timescales come out 4 % longer.

    Returns
    -------
    DataFrame
        Index unit_id: timescale [s], its standard_error [s] by the curvature of the fit, amplitude
        and offset of the curve, and n_spikes in the window. All but n_spikes are NaN where the
        curve does not fall, or the best timescale is not between 1 ms and 1 s.

    Notes
    -----
    With x the counts (n_presentations, n_bins), A(s, l) = Σ x(n + s, k + l) x(n, k), the
    autocorrelation in trials and bins. Its mean over the shifts s ≠ 0 of at most half the trials
    is a function of the lag l ≥ 0, and a exp(−l / τ) + c with a ≥ 0 is fitted to it by least
    squares. It has what trials share, the response, and not the fluctuations of one trial. The sums
    have fewer terms at longer lags, so that flat responses fall, too.

    In the paper units count with 1 < τ < 300 ms, a standard error below 20 ms and more than 50
    spikes.

    References
    ----------
    Siegle et al. (2021), Nature 592, 86, doi:10.1038/s41586-020-03171-x, Fig. 3.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> onsets = np.arange(1000) * 1.0
    >>> spikes = np.sort((onsets + 0.04 + rng.exponential(0.05, (5, 1000))).ravel())
    >>> compute_decay_timescales({7: spikes}, [7], onsets)[["timescale", "n_spikes"]].round(2)
             timescale  n_spikes
    unit_id
    7             0.05      4962
    """

    def correlate(counts: Floats) -> tuple[Floats, Floats]:
        n_bins = counts.shape[2]
        n_lags = n_bins - n_bins // 2
        longest = n_bins / 2 if definition == "published" else n_lags - 1
        return np.linspace(0.0, longest * bin_width, n_lags), _correlate_trials(counts)

    return _compute(spikes_or_session, unit_ids, onsets, window, bin_width, definition, correlate)


def compute_intrinsic_timescales(
    spikes_or_session: Spikes,
    unit_ids: Ids,
    onsets: Onsets,
    *,
    window: tuple[float, float] = (1.0, 2.0),
    bin_width: float = 0.01,
    max_lag: float = 0.5,
    definition: Definition = "corrected",
) -> pd.DataFrame:
    """Compute how long fluctuations of firing last, as in the survey's paper.

    Parameters
    ----------
    spikes_or_session, unit_ids
        Unit id → sorted times [s], or a session; and the ids of the units.
    onsets
        Times [s], shape (n_presentations,); two or more. The paper used all flashes, of which the
        default window is the grey screen after the response.
    window
        First and last time from the onset [s].
    bin_width
        Width of the bins [s].
    max_lag
        Lags shorter than this are fitted [s].
    definition
        ``"corrected"``: the lags from one bin to below ``max_lag``. ``"published"``: as many lags,
        each a bin later, and called a little less than they are, as the paper's.

    Returns
    -------
    DataFrame
        As `compute_decay_timescales` returns. NaN as well for units with a lag at which no pair of
        bins varies.

    Notes
    -----
    Pearson's correlation over trials of the counts in every pair of bins, averaged over the pairs
    of equal lag l, and fitted by a exp(−l / τ) + c. In the paper units count with 5 < τ < 400 ms,
    a standard error below 100 ms and more than 100 spikes. Correlations of single units are noisy:
    `compute_timescales` has a test against noise, and removes the tuning to conditions.

    References
    ----------
    Murray et al. (2014), Nat. Neurosci. 17, 1661, doi:10.1038/nn.3862. Siegle et al. (2021),
    Nature 592, 86, doi:10.1038/s41586-020-03171-x, Extended Data Fig. 9f, g.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> events = rng.uniform(0, 2000, 4000)
    >>> spikes = np.sort((events + rng.exponential(0.1, (10, 4000))).ravel())
    >>> found = compute_intrinsic_timescales({7: spikes}, [7], np.arange(1000) * 2.0)
    >>> found[["timescale", "n_spikes"]].round(2)
             timescale  n_spikes
    unit_id
    7             0.09     19980
    """
    n_lags = round(max_lag / bin_width) - 1 if bin_width > 0 else 0

    def correlate(counts: Floats) -> tuple[Floats, Floats]:
        means, _ = average_lags(delayed_correlations(counts))
        is_published = definition == "published"
        first = 1 if is_published else 0
        if n_lags <= N_PARAMETERS or first + n_lags > means.shape[1]:
            raise InvalidArgumentError(
                f"max_lag={max_lag:g} s makes {n_lags} lags of {bin_width:g} s, and the window has "
                f"{counts.shape[2]} bins; give more than {N_PARAMETERS} lags, and fewer than bins"
            )
        longest = max_lag if is_published else n_lags * bin_width
        lags = np.linspace(bin_width, longest, n_lags)
        return lags, means[:, first : first + n_lags]

    return _compute(spikes_or_session, unit_ids, onsets, window, bin_width, definition, correlate)


def _compute(
    spikes_or_session: Spikes,
    unit_ids: Ids,
    onsets: Onsets,
    window: tuple[float, float],
    bin_width: float,
    definition: Definition,
    correlate: Callable[[Floats], tuple[Floats, Floats]],
) -> pd.DataFrame:
    """Count in bins, correlate counts (n_units, n_trials, n_bins), and fit what comes back."""
    check_definition(definition)
    start, stop = (float(bound) for bound in window)
    n_bins = round((stop - start) / bin_width) if bin_width > 0 and np.isfinite(stop - start) else 0
    # the correlation has about half as many lags as bins
    if n_bins < 2 * N_PARAMETERS + 1:
        raise InvalidArgumentError(
            f"window=({start:g}, {stop:g}) s and bin_width={bin_width:g} s make {max(n_bins, 0)} "
            f"bins; an exponential needs {2 * N_PARAMETERS + 1} or more"
        )
    domain = compute_time_domain(start + np.arange(n_bins + 1) * bin_width, onsets)
    if len(domain) < 2:
        raise InvalidArgumentError(
            f"{len(domain)} onsets are given; correlating trials needs two or more"
        )
    units = to_ids(unit_ids, "unit_id").tolist()
    tables = []
    for first in range(0, max(len(units), 1), N_UNITS_AT_ONCE):
        some = units[first : first + N_UNITS_AT_ONCE]
        counts = count_spikes(spikes_or_session, some, domain).transpose(2, 0, 1)
        lags, means = correlate(counts.astype(np.float64))
        table = _fit_exponential(lags, means)
        table["n_spikes"] = counts.sum(axis=(1, 2), dtype=np.int64)
        tables.append(table)
    index = pd.Index(units, name="unit_id", dtype=np.int64)
    return pd.concat(tables).set_index(index)


def _correlate_trials(counts: Floats) -> Floats:
    """Correlate counts (n_units, n_trials, n_bins) of different trials; at [unit, lag ≥ 0]."""
    n_units, n_trials, n_bins = counts.shape
    # sums over the trials that are shifted by −(n // 2) … n − 1 − n // 2 and are not the same one
    place = np.arange(n_trials)
    low = np.maximum(place - n_trials // 2, 0)
    high = np.minimum(place + n_trials - n_trials // 2, n_trials)
    cumulated = np.zeros((n_units, n_trials + 1, n_bins))
    np.cumsum(counts, axis=1, out=cumulated[:, 1:])
    others = cumulated[:, high] - cumulated[:, low] - counts
    lags = range(n_bins - n_bins // 2)
    sums = [np.einsum("unk,unk->u", others[..., lag:], counts[..., : n_bins - lag]) for lag in lags]
    means: Floats = np.stack(sums, axis=1) / (n_trials - 1)
    return means


def _fit_exponential(lags: Floats, y: Floats) -> pd.DataFrame:
    """Fit a exp(−t / τ) + c, a ≥ 0, to y (n_units, n_lags) by least squares."""
    y = np.where(np.isfinite(y).all(axis=1, keepdims=True), y, 0.0)
    weights = np.ones(y.shape)
    tried = np.geomspace(SHORTEST, LONGEST, N_TRIED)
    tau, is_inside = search_timescale(lags, y, weights, tried)
    curve = np.exp(-lags / tau[:, None])
    gain, amplitude, offset, total = project_curve(curve, y, weights)
    is_found = is_inside & (gain > 0)
    slopes = amplitude[:, None] * curve * lags / tau[:, None] ** 2
    jacobian = np.stack([curve, slopes, np.ones_like(curve)], axis=2)[is_found]
    squares = jacobian.transpose(0, 2, 1) @ jacobian
    variance = np.full(len(y), np.nan)
    # in units of the size of each column: amplitudes and seconds differ by orders of magnitude
    scale = np.sqrt(np.diagonal(squares, axis1=1, axis2=2))
    inverse = np.linalg.pinv(squares / (scale[:, :, None] * scale[:, None, :]), hermitian=True)
    left = np.maximum(total - gain, 0.0)[is_found] / max(len(lags) - N_PARAMETERS, 1)
    variance[is_found] = left * divide(inverse[:, 1, 1], scale[:, 1] ** 2)
    columns = {
        "timescale": tau,
        "standard_error": np.sqrt(variance),
        "amplitude": amplitude,
        "offset": offset,
    }
    return pd.DataFrame({key: np.where(is_found, a, np.nan) for key, a in columns.items()})
