"""Measures of units against the anatomical hierarchy of their areas."""

from __future__ import annotations

from collections.abc import Mapping
from math import factorial, prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis.checks import TOLERANCE
from spikehouse.analysis.evoked import adjust_p_values
from spikehouse.errors import InvalidArgumentError, describe_choices
from spikehouse.labelled import align

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

HIERARCHY_SCORES: Mapping[str, float] = {
    "LGd": -0.51503, "VISp": -0.35733, "VISl": -0.09389, "VISrl": -0.05987,
    "LP": 0.10525, "VISal": 0.15222, "VISpm": 0.32767, "VISam": 0.44099,
}  # fmt: skip
"""Anatomical hierarchy scores of areas, from the layers in which projections end: of cortex by
Harris et al. (2019), Nature 575, 195, doi:10.1038/s41586-019-1716-z; extended to LGd and LP by
Siegle et al. (2021), Nature 592, 86, doi:10.1038/s41586-020-03171-x."""

# Fewer areas than this have no correlation worth a number.
MIN_AREAS = 3


def compute_area_statistics(
    values: npt.ArrayLike,
    areas: npt.ArrayLike,
    sessions: npt.ArrayLike | None = None,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute the mean of a measure in every area, with confidence intervals.

    Parameters
    ----------
    values
        The measure of each unit, shape (n_units,); NaN where there is none.
    areas
        Acronym of the area of each unit, shape (n_units,); units with a missing one are left out.
    sessions
        Id of the session of each unit, shape (n_units,), for intervals over sessions.
    n_resamples, seed
        Number and seed of the resamples.

    Returns
    -------
    DataFrame
        Index area, those of ``HIERARCHY_SCORES`` first and in its order: n; mean; half_width, the
        paper's; ci_low and ci_high, which hold 95 % of the means of units drawn with replacement.
        With sessions also n_sessions, and ci_low and ci_high hold 95 % of the means when sessions
        are drawn with replacement, then units within each; NaN of one session.

    Notes
    -----
    The paper's half width is the 97.5th percentile of the means of ``n_resamples`` halves, drawn
    without replacement, minus the mean of those means. The mean of half of n units varies around
    that of all by as much as a mean of n varies around its expectation.

    Both take units for independent draws. They are not: units of a session share a mouse, a probe
    and a state. Give their sessions for an interval that allows for it.

    References
    ----------
    Siegle et al. (2021), Nature 592, 86, doi:10.1038/s41586-020-03171-x, Fig. 3.

    Examples
    --------
    >>> latency = [48, 50, 52, 51, 61, 63, 60, 64]  # ms
    >>> compute_area_statistics(latency, ["VISp"] * 4 + ["VISam"] * 4)[["n", "mean"]]
           n   mean
    area
    VISp   4  50.25
    VISam  4  62.00
    """
    data = _check_units(values, areas, sessions)
    _check_resamples(n_resamples, least=1)
    rng = np.random.default_rng(seed)
    rows = []
    for code in range(len(data.names)):
        here = data.codes == code
        own = data.values[here]
        half = len(own) // 2
        halves = [own[rng.permutation(len(own))[:half]].mean() if half else np.nan
                  for _ in range(n_resamples)]  # fmt: skip
        numbers = np.unique(data.sessions[here], return_inverse=True)[1]
        if sessions is None:
            drawn = [own[rng.integers(0, len(own), len(own))].mean() for _ in range(n_resamples)]
        elif numbers.max() > 0:
            order = np.argsort(numbers, kind="stable")
            draws = (_draw_units(np.bincount(numbers), rng) for _ in range(n_resamples))
            drawn = [own[order[units]].mean() for units in draws]
        else:
            drawn = [np.nan]
        low, high = np.quantile(drawn, [0.025, 0.975])
        width = np.quantile(halves, 0.975) - np.mean(halves)
        rows.append((len(own), own.mean(), width, low, high, numbers.max() + 1))
    table = pd.DataFrame(
        rows,
        columns=["n", "mean", "half_width", "ci_low", "ci_high", "n_sessions"],
        index=pd.Index(data.names, name="area", dtype=object),
    )
    return table if sessions is not None else table.drop(columns="n_sessions")


def compute_area_comparisons(values: npt.ArrayLike, areas: npt.ArrayLike) -> pd.DataFrame:
    """Test for every pair of areas whether a measure differs between their units.

    Parameters
    ----------
    values, areas
        As in `compute_area_statistics`.

    Returns
    -------
    DataFrame
        One row a pair: area, other_area; statistic, positive where ``area`` has the larger values;
        p_value of Wilcoxon's two-sided rank-sum test; p_adjusted over all pairs by
        `adjust_p_values`.

    Notes
    -----
    Normal approximation, ties not corrected, as ``scipy.stats.ranksums`` and the paper. Units are
    taken for independent, which they are not within a session: p-values are too small.

    References
    ----------
    Siegle et al. (2021), Nature 592, 86, doi:10.1038/s41586-020-03171-x, Extended Data Fig. 9.

    Examples
    --------
    >>> latency = [48, 50, 52, 51, 61, 63, 60, 64]  # ms
    >>> compute_area_comparisons(latency, ["VISp"] * 4 + ["VISam"] * 4).round(3)
       area other_area  statistic  p_value  p_adjusted
    0  VISp      VISam     -2.309    0.021       0.021
    """
    from scipy.stats import ranksums

    data = _check_units(values, areas)
    groups = [data.values[data.codes == code] for code in range(len(data.names))]
    rows = [
        (data.names[i], data.names[j], *ranksums(groups[i], groups[j]))
        for i in range(len(groups))
        for j in range(i + 1, len(groups))
    ]
    columns = ["area", "other_area", "statistic", "p_value"]
    table = pd.DataFrame(rows, columns=columns).astype({"statistic": float, "p_value": float})
    return table.assign(p_adjusted=adjust_p_values(table["p_value"]))


def compute_hierarchy_correlation(
    values: npt.ArrayLike,
    areas: npt.ArrayLike,
    sessions: npt.ArrayLike | None = None,
    *,
    scores: Mapping[str, float] = HIERARCHY_SCORES,
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.Series[float]:
    """Correlate the means of areas with their hierarchy scores, and resample sessions.

    Parameters
    ----------
    values, areas
        As in `compute_area_statistics`; areas without a score are left out.
    sessions
        Id of the session of each unit, shape (n_units,). If None, there is nothing to resample.
    scores
        Area → hierarchy score.
    n_resamples, seed
        Number and seed of the hierarchical bootstrap; 0 for none.

    Returns
    -------
    Series of float
        n_units, n_areas, n_sessions; pearson_r, pearson_p, spearman_r, spearman_p over the means
        of the areas; slope and intercept of the line through these means.

        With sessions also pearson_r_low and pearson_r_high, slope_low and slope_high, which hold
        95 % of the resamples; omega_squared, area_f and area_p, the effect of the area at the level
        of sessions. NaN where there are too few areas (three for a correlation) or sessions (two).

    Notes
    -----
    The p-values are of a t distribution, as the paper's; for ranks in perfect order, of which t is
    infinite, spearman_p is exact: 2 / n! without ties, and with ties the part of all orders that
    are perfect. They treat the means of the areas as independent points,
    n = 8 in the paper, and say nothing about how well each mean is known. The resamples do:
    sessions are drawn with replacement, then units within each drawn session, and the means and
    their correlation are computed anew; an area that no drawn session has is left out.

    slope_low to slope_high is a confidence interval of the slope. pearson_r_low to pearson_r_high
    is none of r: noise in the means pulls r towards 0, and resampling adds as much noise again. It
    is pulled towards 0 with both ends, may lie below the true r as a whole, and shows only how much
    r varies when sessions are resampled.

    For omega_squared every session and area has one number, the mean of its units. Area and session
    are factors without interaction: F = (SS_area / df_area) / MS_error, where SS_area is what areas
    explain beyond sessions, and the partial ω² = df_area (F − 1) / (df_area (F − 1) + N), with N
    such means of sessions that have two areas or more; others say nothing of areas. It is negative
    where areas explain less than chance would.

    References
    ----------
    Saravanan, Berman & Sober (2020), Neurons Behav. Data Anal. Theory 3, arXiv:2007.07797, for the
    hierarchical bootstrap. Olejnik & Algina (2003), Psychol. Methods 8, 434,
    doi:10.1037/1082-989X.8.4.434, for ω².

    Examples
    --------
    >>> areas = ["LGd", "VISp", "VISl", "VISam"]
    >>> found = compute_hierarchy_correlation([45.0, 50.0, 58.0, 66.0], areas)
    >>> found[["n_areas", "pearson_r", "spearman_p"]].round(3).to_dict()
    {'n_areas': 4.0, 'pearson_r': 0.981, 'spearman_p': 0.083}
    """
    from scipy.stats import pearsonr, spearmanr

    _check_resamples(n_resamples, least=0)
    data = _check_units(values, areas, sessions, known=pd.Index(list(scores)))
    x = np.asarray([scores[name] for name in data.names], dtype=np.float64)
    means = np.bincount(data.codes, data.values, len(x)) / np.bincount(data.codes, minlength=len(x))
    answer: dict[str, Any] = dict.fromkeys(
        ("pearson_r", "pearson_p", "spearman_r", "spearman_p", "slope", "intercept"), np.nan
    )
    if len(x) >= MIN_AREAS and np.ptp(means) > 0 and np.ptp(x) > 0:
        answer["pearson_r"], answer["pearson_p"] = pearsonr(x, means)
        answer["spearman_r"], answer["spearman_p"] = spearmanr(x, means)
        if abs(answer["spearman_r"]) > 1 - TOLERANCE:
            ties = np.unique(x, return_counts=True)[1]
            # the reversed order is as perfect where ties are in the same places
            n_ends = 2 if (ties == ties[::-1]).all() else 1
            n_perfect = n_ends * prod(factorial(n) for n in ties)
            answer["spearman_p"] = n_perfect / factorial(len(x))
        answer["slope"], answer["intercept"] = np.polyfit(x, means, 1)
    n_sessions = np.nan if sessions is None else len(np.unique(data.sessions))
    answer = {
        "n_units": len(data.values), "n_areas": len(x), "n_sessions": n_sessions, **answer
    }  # fmt: skip
    if sessions is not None:
        r, slope = _resample_sessions(data, x, n_resamples, seed)
        for name, draws in (("pearson_r", r), ("slope", slope)):
            # one session is no sample of sessions
            known = draws[np.isfinite(draws)] if n_sessions > 1 else draws[:0]
            low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
            answer[f"{name}_low"], answer[f"{name}_high"] = low, high
        answer |= _compare_areas_within_sessions(data)
    return pd.Series(answer, dtype=np.float64)


class _Units(NamedTuple):
    """The units with a measure and an area; codes number the names, sessions those given."""

    values: Floats
    codes: Ints
    names: list[str]
    sessions: Ints


def _check_units(
    values: npt.ArrayLike,
    areas: npt.ArrayLike,
    sessions: npt.ArrayLike | None = None,
    *,
    known: pd.Index[Any] | None = None,
) -> _Units:
    values, areas, sessions = align(values=values, areas=areas, sessions=sessions)
    measured = np.asarray(values, dtype=np.float64)
    named = np.asarray(areas, dtype=object)
    given = np.zeros(measured.shape) if sessions is None else np.asarray(sessions)
    if measured.ndim != 1 or named.shape != measured.shape or given.shape != measured.shape:
        raise InvalidArgumentError(
            f"values has the shape {measured.shape}, areas {named.shape} and sessions "
            f"{given.shape}; give one of each for every unit"
        )
    if np.isinf(measured).any():
        raise InvalidArgumentError(
            f"{int(np.isinf(measured).sum())} of {measured.size} values are infinite and have no "
            "mean; leave those units out (the logarithm of 0 is -inf)"
        )
    has_area = pd.notna(named) if known is None else np.isin(named, known.to_numpy())
    chosen = np.isfinite(measured) & has_area & pd.notna(given)
    if not chosen.any():
        wanted = "" if known is None else f" ({describe_choices('', known)})"
        raise InvalidArgumentError(
            f"none of the {measured.size} units has both a value and an area{wanted}"
        )
    found = list(pd.unique(named[chosen]))
    order = {name: place for place, name in enumerate(HIERARCHY_SCORES)}
    names = sorted(found, key=lambda name: (order.get(name, len(order)), str(name)))
    codes = pd.Index(names).get_indexer(pd.Index(named[chosen]))
    numbered = pd.factorize(given[chosen])[0]
    return _Units(measured[chosen], codes, names, numbered)


def _check_resamples(n_resamples: int, *, least: int) -> None:
    if n_resamples < least:
        raise InvalidArgumentError(f"n_resamples is {n_resamples}; give {least} or more")


def _resample_sessions(
    data: _Units, x: Floats, n_resamples: int, seed: int
) -> tuple[Floats, Floats]:
    """Return the correlation and the slope of resampled means."""
    rng = np.random.default_rng(seed)
    order = np.argsort(data.sessions, kind="stable")
    values, codes = data.values[order], data.codes[order]
    size = np.bincount(data.sessions)
    means = np.full((n_resamples, len(x)), np.nan)
    for row in means:
        units = _draw_units(size, rng)
        n = np.bincount(codes[units], minlength=len(x))
        np.divide(np.bincount(codes[units], values[units], len(x)), n, out=row, where=n > 0)
    return _fit_lines(np.where(np.isnan(means), np.nan, x), means)


def _draw_units(size: Ints, rng: np.random.Generator) -> Ints:
    """Draw sessions of these sizes with replacement, then units within each: places of units."""
    first = np.cumsum(size) - size
    drawn = rng.integers(0, len(size), len(size))
    n_each = size[drawn]
    within = (rng.random(n_each.sum()) * np.repeat(n_each, n_each)).astype(np.intp)
    return np.asarray(np.repeat(first[drawn], n_each) + within)


def _fit_lines(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return correlation and slope of every row; NaN with fewer than three known areas."""
    known = np.isfinite(y)
    n = known.sum(axis=1)
    is_enough = n >= MIN_AREAS
    x, y, n = np.where(known, x, 0.0)[is_enough], np.where(known, y, 0.0)[is_enough], n[is_enough]
    known = known[is_enough]
    dx = np.where(known, x - (x.sum(axis=1) / n)[:, None], 0.0)
    dy = np.where(known, y - (y.sum(axis=1) / n)[:, None], 0.0)
    r, slope = np.full(len(is_enough), np.nan), np.full(len(is_enough), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        product = (dx * dy).sum(axis=1)
        slope[is_enough] = product / (dx**2).sum(axis=1)
        r[is_enough] = product / np.sqrt((dx**2).sum(axis=1) * (dy**2).sum(axis=1))
    return r, slope


def _compare_areas_within_sessions(data: _Units) -> dict[str, float]:
    """Return the effect of the area on the means of sessions, with sessions as blocks."""
    from scipy.stats import f as f_distribution

    cell = pd.DataFrame({"area": data.codes, "session": data.sessions, "value": data.values})
    means = cell.groupby(["area", "session"])["value"].mean()
    area = means.index.get_level_values("area").to_numpy()
    session = means.index.get_level_values("session").to_numpy()
    # less the means of the sessions, areas are all that is left to explain
    is_area = np.eye(area.max() + 1)[area]
    columns = np.column_stack([means.to_numpy(), is_area])
    n_each = np.bincount(session)[:, None]
    sums = np.zeros((len(n_each), columns.shape[1]))
    np.add.at(sums, session, columns)
    centred = columns - (sums / n_each)[session]
    y, design = centred[:, 0], centred[:, 1:]
    fitted, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    left_blocks, left = float((y**2).sum()), float(((y - design @ fitted) ** 2).sum())
    df_area, df_error = int(rank), len(y) - len(n_each) - int(rank)
    if not df_area or not df_error or left <= TOLERANCE**2 * (means**2).sum():
        return {"omega_squared": np.nan, "area_f": np.nan, "area_p": np.nan}
    f = (left_blocks - left) / df_area / (left / df_error)
    effect = df_area * (f - 1)
    return {
        "omega_squared": effect / (effect + n_each[n_each > 1].sum()),
        "area_f": f,
        "area_p": float(f_distribution.sf(f, df_area, df_error)),
    }
