"""Latencies of responses: change points of the firing rate, and first spikes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import Ids, Onsets, to_ids
from spikehouse.spikes import Spikes, compute_mean_counts, compute_time_domain, count_spikes

# counts of all presentations are held for so many bytes of units at a time
PART_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class LatencyOptions:
    """Where the beginning of a response is searched.

    Attributes
    ----------
    window
        First and last time from the onset [s]; what lies before 0 is baseline.
    bin_width
        Width of the bins, which is the resolution [s].
    earliest, latest
        First and last time at which a response may begin [s].
    shortest
        Shortest duration of a response [s].
    alpha
        A latency is given where the p-value is no larger.

    Examples
    --------
    >>> onsets = np.arange(20.0)
    >>> late = {7: np.sort(np.concatenate([onsets + after for after in (0.31, 0.32, 0.33)]))}
    >>> compute_onset_latency(late, [7], onsets)["latency"].tolist()
    [nan]
    >>> options = LatencyOptions(window=(-0.2, 0.5), latest=0.4)
    >>> compute_onset_latency(late, [7], onsets, options=options)["latency"].round(3).tolist()
    [0.31]
    """

    window: tuple[float, float] = (-0.2, 0.25)
    bin_width: float = 0.001
    earliest: float = 0.01
    latest: float = 0.15
    shortest: float = 0.005
    alpha: float = 0.01

    def __post_init__(self) -> None:
        start, stop = self.window
        if not (self.bin_width > 0 and start <= -self.bin_width and np.isfinite(stop - start)):
            raise InvalidArgumentError(
                f"window=({start:g}, {stop:g}), bin_width={self.bin_width:g}: the window must "
                "begin a bin or more before the onset, to have a baseline; for instance "
                "(-0.2, 0.25) with bins of 0.001 s"
            )
        if not 0 <= self.earliest <= self.latest <= stop - self.shortest or self.shortest <= 0:
            raise InvalidArgumentError(
                f"earliest={self.earliest:g}, latest={self.latest:g}, "
                f"shortest={self.shortest:g}: a response must be able to begin at 0 s or later "
                f"and to last its shortest time before the window ends at {stop:g} s"
            )


@dataclass(frozen=True)
class _Bins:
    """The bin edges, and the first and last of them at which a response may begin."""

    edges: npt.NDArray[np.float64]
    first: int
    last: int
    n_shortest: int

    @property
    def n_candidates(self) -> int:
        """Count the pairs of a beginning and an end."""
        n_after = len(self.edges) - self.n_shortest - np.arange(self.first, self.last + 1)
        return int(n_after.sum())


def compute_onset_latency(
    spikes_or_session: Spikes,
    unit_ids: Ids,
    onsets: Onsets,
    *,
    options: LatencyOptions | None = None,
    n_resamples: int = 0,
    seed: int = 0,
) -> pd.DataFrame:
    """Find for every unit when its response to onsets begins.

    Parameters
    ----------
    spikes_or_session, unit_ids
        Unit id → sorted times [s], or a session; and the ids of the units.
    onsets
        Times [s], shape (n_presentations,): those of the conditions that drive the units.
    options
        Window, resolution and limits. If None, the defaults, which suit visual responses.
    n_resamples
        Number of bootstrap resamples of the presentations, for a confidence interval; 0 for none.
    seed
        Seed of the resamples.

    Returns
    -------
    DataFrame
        Index unit_id: latency [s] from the onset, NaN where p_value > alpha; stop [s], when the
        strongest part of the response ends; baseline_rate and evoked_rate [spikes/s], outside
        and inside that part; p_value. With resamples, latency_low and latency_high [s], which
        hold 95 % of the draws. Silent units, and all units without presentations, have NaN.

    Notes
    -----
    The spikes of all presentations are summed in bins. Of all pairs of a beginning and an end,
    the one is taken for which "rate a inside, rate b outside, a > b" is most likely compared with
    "one rate", spikes being Poisson: with n of N spikes inside, and the share T of the time,
    n ln(n / (N T)) + (N − n) ln((N − n) / (N (1 − T))). Latency is the edge of a bin at which the
    response begins; the end keeps a response that fades from diluting itself. The rate is not
    corrected for running or drift: windows are short.

    p_value is the binomial probability of n or more of N spikes inside, times the number of pairs
    looked at (Bonferroni), which is cautious: neighbouring pairs are almost the same.

    Where a response rises slowly its beginning is placed where it is about half-way up. On the
    simulated neurons, whose latencies are known, half of those found are right to 0.4 ms with
    1190 natural scenes and to 2 ms with 44 flashes.

    Time: 0.5 s for 660 units, and as much for every two resamples. The metric ``time_to_peak`` is
    another time: when the response is largest.

    References
    ----------
    Friedman & Priebe (1998), J. Neurosci. Methods 83, 185, doi:10.1016/S0165-0270(98)00075-2, for
    maximum likelihood of a change point; Olshen et al. (2004), Biostatistics 5, 557,
    doi:10.1093/biostatistics/kxh008, for segments with a beginning and an end.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> onsets = np.arange(100) * 1.0
    >>> spikes = np.sort(np.r_[rng.uniform(0, 100, 200), onsets + rng.uniform(0.05, 0.09, 100)])
    >>> compute_onset_latency({7: spikes}, [7], onsets)[["latency", "stop"]].round(3)
             latency  stop
    unit_id
    7           0.05  0.09
    """
    chosen = LatencyOptions() if options is None else options
    if n_resamples < 0:
        raise InvalidArgumentError(f"n_resamples is {n_resamples}; give 0 or more")
    units = to_ids(unit_ids, "unit_id").tolist()
    bins = _make_bins(chosen)
    domain = compute_time_domain(bins.edges, onsets)
    means = compute_mean_counts(spikes_or_session, units, domain) if len(domain) else None
    n_bins = len(bins.edges) - 1
    sums = np.zeros((len(units), n_bins), dtype=np.int64)
    if means is not None:
        # sums of integers, divided and multiplied by the same number
        sums = np.rint(means.T * len(domain)).astype(np.int64)
    table = _describe(sums, bins, chosen, len(domain))
    table.index = pd.Index(units, name="unit_id", dtype=np.int64)
    if n_resamples:
        is_found = table["latency"].notna()
        found = table.index[is_found].tolist()
        low, high = _bootstrap(spikes_or_session, found, domain, bins, n_resamples, seed)
        for name, bound in (("latency_low", low), ("latency_high", high)):
            table[name] = np.nan
            table.loc[is_found, name] = bound
    table.attrs = {"method": "Poisson change point", "alpha": chosen.alpha, "units": "s"}
    return table


def compute_time_to_first_spike(
    spikes_or_session: Spikes,
    unit_ids: Ids,
    onsets: Onsets,
    *,
    window: tuple[float, float] = (0.03, 0.2),
    bin_width: float = 0.001,
) -> pd.DataFrame:
    """Compute the median time from onsets to the first spike.

    Parameters
    ----------
    spikes_or_session, unit_ids
        Unit id → sorted times [s], or a session; and the ids of the units.
    onsets
        Times [s], shape (n_presentations,). The survey's paper used all flashes.
    window
        First and last time from the onset at which a spike is looked for [s].
    bin_width
        Resolution [s].

    Returns
    -------
    DataFrame
        Index unit_id: time_to_first_spike [s], NaN without a spike in any trial; n_trials, the
        number of trials with a spike.

    Notes
    -----
    The median, over the trials with a spike in the window, of the beginning of the first bin that
    has one; of the two middle trials of an even number the earlier, so that the result is a whole
    number of bins, as in the authors' file. Their code takes the mean of the two, which may be half
    a millisecond more. Also a unit that does not respond has one, the earlier the
    higher its rate: `compute_onset_latency` tells when a response begins.

    References
    ----------
    Siegle et al. (2021), Nature 592, 86, doi:10.1038/s41586-020-03171-x, Fig. 3: units with a time
    below 0.1 s.

    Examples
    --------
    >>> spikes = {7: [0.05, 0.07, 1.06, 2.08]}
    >>> compute_time_to_first_spike(spikes, [7], onsets=[0.0, 1.0, 2.0, 3.0]).round(3)
             time_to_first_spike  n_trials
    unit_id
    7                       0.06         3
    """
    start, stop = (float(bound) for bound in window)
    n_bins = round((stop - start) / bin_width) if bin_width > 0 and np.isfinite(stop - start) else 0
    if n_bins < 1:
        raise InvalidArgumentError(
            f"window=({start:g}, {stop:g}) s and bin_width={bin_width:g} s make no bin; give a "
            "window that is longer than a bin, such as (0.03, 0.2) with bins of 0.001 s"
        )
    edges = start + np.arange(n_bins + 1) * bin_width
    domain = compute_time_domain(edges, onsets)
    units = to_ids(unit_ids, "unit_id").tolist()
    medians = np.full(len(units), np.nan)
    n_trials = np.zeros(len(units), dtype=np.int64)
    n_part = max(PART_BYTES // max(domain.size, 1), 1)
    for begin in range(0, len(units), n_part):
        some = units[begin : begin + n_part]
        counts = count_spikes(spikes_or_session, some, domain, binarize=True)
        first, has_spike = counts.argmax(axis=1).T, counts.max(axis=1).T > 0
        for row in range(len(some)):
            found = np.sort(first[row, has_spike[row]])
            n_trials[begin + row] = len(found)
            if len(found):
                medians[begin + row] = edges[found[(len(found) - 1) // 2]]
    columns = {"time_to_first_spike": medians, "n_trials": n_trials}
    return pd.DataFrame(columns, index=pd.Index(units, name="unit_id", dtype=np.int64))


def _make_bins(options: LatencyOptions) -> _Bins:
    width = options.bin_width
    n_before = round(-options.window[0] / width)
    n_after = max(round(options.window[1] / width), 1)
    # the onset is an edge, exactly
    edges = np.arange(-n_before, n_after + 1, dtype=np.float64) * width
    n_shortest = max(round(options.shortest / width), 1)
    first = n_before + round(options.earliest / width)
    last = min(n_before + round(options.latest / width), len(edges) - 1 - n_shortest)
    return _Bins(edges, first, max(last, first), n_shortest)


def _describe(
    sums: npt.NDArray[np.int64], bins: _Bins, options: LatencyOptions, n_presentations: int
) -> pd.DataFrame:
    from scipy.stats import binom

    begin, end = _find_segments(sums, bins)
    total = sums.sum(axis=1)
    cumulated = _cumulate(sums)
    rows = np.arange(len(sums))
    inside = cumulated[rows, end] - cumulated[rows, begin]
    seconds = bins.edges[end] - bins.edges[begin]
    duration = bins.edges[-1] - bins.edges[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        evoked = inside / (seconds * n_presentations)
        baseline = (total - inside) / ((duration - seconds) * n_presentations)
    chance = binom.sf(inside - 1, total, seconds / duration)
    p_value = np.where(evoked > baseline, np.minimum(chance * bins.n_candidates, 1.0), 1.0)
    p_value[total == 0] = np.nan
    is_found = p_value <= options.alpha
    table = {
        "latency": np.where(is_found, bins.edges[begin], np.nan),
        "stop": np.where(is_found, bins.edges[end], np.nan),
        "baseline_rate": np.where(total > 0, baseline, np.nan),
        "evoked_rate": np.where(total > 0, evoked, np.nan),
        "p_value": p_value,
    }
    return pd.DataFrame(table)


def _cumulate(sums: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.pad(np.cumsum(sums, axis=1), ((0, 0), (1, 0)))


def _find_segments(
    sums: npt.NDArray[np.int64], bins: _Bins
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Find the most likely first and one-after-last bin of the response of every row."""
    cumulated = _cumulate(sums)
    total = cumulated[:, -1:]
    n_bins = len(bins.edges) - 1
    # n ln n of every number of spikes there can be: looking up is faster than the logarithm
    numbers = np.arange(int(total.max(initial=0)) + 1, dtype=np.float64)
    n_log_n = numbers * np.log(np.maximum(numbers, 1))
    best = np.full(len(sums), -np.inf)
    begin = np.full(len(sums), bins.first, dtype=np.intp)
    end = np.full(len(sums), bins.first + bins.n_shortest, dtype=np.intp)
    for start in range(bins.first, bins.last + 1):
        stops = np.arange(start + bins.n_shortest, n_bins + 1)
        length = (stops - start).astype(np.float64)
        inside = cumulated[:, stops] - cumulated[:, start : start + 1]
        outside = total - inside
        likelihood = n_log_n[inside] - inside * np.log(length)
        likelihood += n_log_n[outside] - outside * np.log(n_bins - length)
        is_higher = inside * (n_bins - length) > outside * length
        likelihood[~is_higher] = -np.inf
        place = likelihood.argmax(axis=1)
        value = likelihood[np.arange(len(sums)), place]
        # of equally likely ones the last: it does not begin with empty bins
        is_better = value >= best
        best[is_better] = value[is_better]
        begin[is_better] = start
        end[is_better] = stops[place[is_better]]
    return begin, end


def _bootstrap(
    spikes_or_session: Spikes,
    units: list[int],
    domain: npt.NDArray[np.float64],
    bins: _Bins,
    n_resamples: int,
    seed: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the 2.5th and 97.5th percentile of the latency over resampled presentations."""
    n_rows, n_bins = len(domain), domain.shape[1] - 1
    low, high = np.full(len(units), np.nan), np.full(len(units), np.nan)
    if not n_rows:
        return low, high
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n_rows, np.full(n_rows, 1 / n_rows), size=n_resamples)
    weights = drawn.astype(np.float64)
    n_part = max(PART_BYTES // (8 * n_bins * (n_rows + n_resamples)), 1)
    for start in range(0, len(units), n_part):
        here = units[start : start + n_part]
        counts = count_spikes(spikes_or_session, here, domain, dtype=np.float64)
        # draws × (bins · units), one matrix product
        sums = weights @ counts.reshape(n_rows, -1)
        rows = np.rint(sums).astype(np.int64).reshape(n_resamples, n_bins, len(here))
        begin, _ = _find_segments(rows.transpose(0, 2, 1).reshape(-1, n_bins), bins)
        latency = bins.edges[begin].reshape(n_resamples, len(here))
        low[start : start + n_part], high[start : start + n_part] = np.quantile(
            latency, [0.025, 0.975], axis=0
        )
    return low, high
