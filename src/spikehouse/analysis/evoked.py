"""Test which units respond: spikes after onsets compared with spikes before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis.checks import divide, is_flat
from spikehouse.analysis.responses import check_window
from spikehouse.errors import InvalidArgumentError, describe_choices
from spikehouse.labelled import Ids, Onsets, to_ids
from spikehouse.spikes import Spikes, compute_time_domain, count_spikes

Floats = npt.NDArray[np.float64]

Test = Literal["wilcoxon", "t", "sign-flip"]

# sign flips are done in parts of about this many bytes
PART_BYTES = 32 * 1024 * 1024


def compute_evoked_responses(
    spikes_or_session: Spikes,
    unit_ids: Ids,
    onsets: Onsets,
    *,
    window: tuple[float, float] = (0.0, 0.25),
    baseline: tuple[float, float] = (-0.25, 0.0),
    test: Test = "wilcoxon",
    alpha: float = 0.05,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Test for every unit whether it fires differently after onsets than before.

    Parameters
    ----------
    spikes_or_session, unit_ids
        Unit id → sorted times [s], or a session; and the ids of the units.
    onsets
        Times [s], shape (n_presentations,).
    window, baseline
        First and last time of response and baseline from the onset [s], half-open.
    test
        ``"wilcoxon"``: signed ranks, zeros left out, normal approximation with ties corrected.
        ``"t"``: paired t-test. ``"sign-flip"``: the sign of each presentation's difference drawn
        at random, which is exact for any distribution that is symmetric without a response.
        All are two-sided.
    alpha
        The false discovery rate that ``is_responsive`` keeps.
    n_resamples, seed
        Number and seed of the sign flips; the smallest p-value is 1 / (n_resamples + 1).

    Returns
    -------
    DataFrame
        Index unit_id: baseline_rate, evoked_rate, rate_change [spikes/s]; effect_size, the mean
        difference divided by the standard deviation of differences; statistic (the sum of signed
        ranks divided by its standard deviation, t, or the mean difference in spikes); p_value;
        p_adjusted across these units; is_responsive (p_adjusted ≤ alpha). Silent units and one
        presentation have no effect size, statistic and p-value: NaN, and are not responsive.
        Where all differences are equal but not zero, effect size and t are ±inf.

    Notes
    -----
    Ranks and signs assume differences that are symmetric about zero without a response; counts of
    windows of different length are not, however they are scaled, so only the t-test takes those
    (on rates). The baseline should be free of other stimuli: where presentations follow each other
    without a pause, it holds the response to the one before.

    References
    ----------
    Wilcoxon (1945), Biometrics Bull. 1, 80, doi:10.2307/3001968. Phipson & Smyth (2010), Stat.
    Appl. Genet. Mol. Biol. 9, 39, doi:10.2202/1544-6115.1585, for p-values of shuffles. Benjamini
    & Hochberg (1995), doi:10.1111/j.2517-6161.1995.tb02031.x, for the adjustment.

    Examples
    --------
    >>> onsets = session.get_stimulus_table("flashes")["start_time"]
    >>> tested = compute_evoked_responses(session, session.units.index, onsets, test="t")
    >>> columns = ["baseline_rate", "evoked_rate", "p_value", "is_responsive"]
    >>> tested.sort_values("p_value")[columns].round(3).head(3)
               baseline_rate  evoked_rate  p_value  is_responsive
    unit_id
    950100539            0.0          3.0    0.003           True
    950100383            0.0          3.5    0.021          False
    950100610           34.5         49.5    0.036          False
    """
    tests: dict[str, Callable[[Floats], _Tested]] = {
        "wilcoxon": _rank_signs,
        "t": _test_mean,
        "sign-flip": lambda change: _flip_signs(change, n_resamples, seed),
    }
    if test not in tests:
        raise InvalidArgumentError(f"test={test!r}; {describe_choices(test, tests)}")
    bounds = [check_window(window), check_window(baseline)]
    seconds = [stop - start for start, stop in bounds]
    if test != "t" and not np.isclose(seconds[0], seconds[1], rtol=1e-9, atol=0):
        raise InvalidArgumentError(
            f"window lasts {seconds[0]:g} s and baseline {seconds[1]:g} s: test={test!r} needs "
            "equally long ones; change one of them, or use test='t'"
        )
    units = to_ids(unit_ids, "unit_id")
    evoked, before = (
        count_spikes(spikes_or_session, units, compute_time_domain(bound, onsets))[:, 0].astype(
            np.float64
        )
        for bound in bounds
    )
    # differences of counts are whole numbers: ranks and shuffles see ties as such
    change = evoked - before if test != "t" else evoked / seconds[0] - before / seconds[1]
    statistic, p_value = tests[test](change)
    rates = [_mean(counts) / time for counts, time in zip((evoked, before), seconds, strict=True)]
    p_adjusted = adjust_p_values(p_value)
    table = pd.DataFrame(
        {
            "baseline_rate": rates[1],
            "evoked_rate": rates[0],
            "rate_change": rates[0] - rates[1],
            "effect_size": _scale_mean(change),
            "statistic": statistic,
            "p_value": p_value,
            "p_adjusted": p_adjusted,
            "is_responsive": p_adjusted <= alpha,
        },
        index=pd.Index(units, name="unit_id", dtype=np.int64),
    )
    table.attrs = {"test": test, "alpha": alpha, "window": bounds[0], "baseline": bounds[1]}
    return table


_Tested = tuple[Floats, Floats]


def _mean(values: Floats) -> Floats:
    if not len(values):
        return np.full(values.shape[1], np.nan)
    return np.asarray(values.mean(axis=0))


def _scale_mean(change: Floats) -> Floats:
    """Divide the mean difference by the standard deviation of differences."""
    if len(change) < 2:
        return np.full(change.shape[1], np.nan)
    spread = np.where(is_flat(change, axis=0), 0.0, change.std(axis=0, ddof=1))
    return divide(change.mean(axis=0), spread)


def _test_mean(change: Floats) -> _Tested:
    from scipy.special import stdtr

    statistic = _scale_mean(change) * np.sqrt(len(change))
    p_value = 2 * stdtr(max(len(change) - 1, 1), -np.abs(statistic))
    return statistic, np.asarray(p_value)


def _rank_signs(change: Floats) -> _Tested:
    from scipy.special import ndtr
    from scipy.stats import rankdata

    if len(change) < 2:
        nothing = np.full(change.shape[1], np.nan)
        return nothing, nothing.copy()
    n_zero = (change == 0).sum(axis=0)
    # zeros have the smallest ranks: without them, all others move down by their number
    ranks = np.where(change == 0, 0.0, rankdata(np.abs(change), axis=0) - n_zero)
    # the variance of the sum of signed ranks given the ranks: ties are in it
    statistic = divide((np.sign(change) * ranks).sum(axis=0), np.sqrt((ranks**2).sum(axis=0)))
    return statistic, np.asarray(2 * ndtr(-np.abs(statistic)))


def _flip_signs(change: Floats, n_resamples: int, seed: int) -> _Tested:
    if n_resamples < 1:
        raise InvalidArgumentError(f"n_resamples is {n_resamples}; give one or more")
    n_rows, n_units = change.shape
    nothing = np.full(n_units, np.nan)
    if n_rows < 2:
        return nothing, nothing.copy()
    rng = np.random.default_rng(seed)
    total = change.sum(axis=0)
    n_as_large = np.zeros(n_units)
    n_part = max(PART_BYTES // (8 * (n_rows + n_units)), 1)
    for start in range(0, n_resamples, n_part):
        n_here = min(n_part, n_resamples - start)
        signs = rng.integers(0, 2, size=(n_here, n_rows), dtype=np.int8) * 2.0 - 1.0
        n_as_large += (np.abs(signs @ change) >= np.abs(total)).sum(axis=0)
    is_tested = (change != 0).any(axis=0)
    p_value = np.where(is_tested, (n_as_large + 1) / (n_resamples + 1), np.nan)
    return np.where(is_tested, total / n_rows, np.nan), p_value


def adjust_p_values(p_values: npt.ArrayLike, *, axis: int = -1) -> Floats:
    """Adjust p-values of many tests so that a limit on them limits the false discovery rate.

    Parameters
    ----------
    p_values
        Any shape, in [0, 1]; NaN where there was no test.
    axis
        Axis along which the tests belong together, usually that of the units.

    Returns
    -------
    ndarray of float64, same shape
        q(k) = min over j ≥ k of p(j) · m / j, with p sorted and m tests: calling those with
        q ≤ 0.05 discoveries, at most 5 % of them are false on average. NaN stays NaN and does not
        count as a test.

    Notes
    -----
    The procedure of Benjamini and Hochberg, for tests that are independent or positively
    dependent. The p-values of the published tables are not adjusted.

    References
    ----------
    Benjamini & Hochberg (1995), J. R. Stat. Soc. B 57, 289,
    doi:10.1111/j.2517-6161.1995.tb02031.x.

    Examples
    --------
    >>> adjust_p_values([0.01, 0.04, float("nan"), 0.03]).round(3).tolist()
    [0.03, 0.04, nan, 0.04]
    """
    given = np.asarray(p_values, dtype=np.float64)
    if not given.ndim:
        raise InvalidArgumentError(
            f"p_values is the single number {given:g}; give those of all tests together, for "
            "instance [0.01, 0.2]"
        )
    is_wrong = (given < 0) | (given > 1)
    if is_wrong.any():
        raise InvalidArgumentError(
            f"{int(is_wrong.sum())} p-values lie outside [0, 1], the first is "
            f"{given[is_wrong].ravel()[0]:g}"
        )
    from scipy.stats import false_discovery_control

    adjusted = np.full(given.shape, np.nan)
    rows, adjusted_rows = np.moveaxis(given, axis, -1), np.moveaxis(adjusted, axis, -1)
    for place in np.ndindex(rows.shape[:-1]):
        is_test = np.isfinite(rows[place])
        adjusted_rows[place][is_test] = false_discovery_control(rows[place][is_test])
    return adjusted
