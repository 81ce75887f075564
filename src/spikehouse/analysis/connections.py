"""Connections between units and areas: what the peaks of correlograms say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.analysis.checks import divide
from spikehouse.analysis.correlograms import (
    N_PAIRS_A_TASK,
    Progress,
    choose_pairs,
    place_trains,
)
from spikehouse.errors import InvalidArgumentError, describe_value
from spikehouse.labelled import Ids, Onsets, look_up
from spikehouse.schema import require_columns
from spikehouse.spikes import Spikes

# pairs whose correlograms `compute_connections` holds at a time, 26 MB of them at 201 lags
N_PAIRS_AT_ONCE = 64 * N_PAIRS_A_TASK


def compute_connections(
    spikes_or_session: Spikes,
    unit_ids: Ids,
    onsets: Onsets,
    *,
    conditions: npt.ArrayLike | None = None,
    pairs: npt.ArrayLike | None = None,
    duration: float = 2.0,
    max_lag: float = 0.1,
    bin_width: float = 0.001,
    jitter_window: float | None = 0.025,
    limit: float = 0.01,
    flank: tuple[float, float] = (0.05, 0.1),
    n_sd: float = 7.0,
    min_rate: float | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Find the peaks of the correlograms of many pairs without keeping the correlograms.

    Parameters
    ----------
    spikes_or_session, unit_ids, onsets, conditions, pairs
        As for :func:`compute_correlograms`.
    duration, max_lag, bin_width, jitter_window
        As for :func:`compute_correlograms`.
    limit, flank, n_sd
        As for :func:`find_connections`.
    min_rate
        Only pairs of two units that fire more than this during the trials [spikes/s]; 2 in Siegle
        et al. None: all pairs.
    n_jobs, progress
        As for :func:`compute_correlograms`.

    Returns
    -------
    DataFrame
        What :func:`find_connections` gives for :func:`compute_correlograms` of the same arguments.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> first = np.sort(rng.uniform(0, 200, 4000))
    >>> found = compute_connections({1: first, 2: first + 0.004}, [1, 2], np.arange(100) * 2.0)
    >>> found[["source_unit_id", "target_unit_id", "peak_lag", "is_significant"]].round(6)
       source_unit_id  target_unit_id  peak_lag  is_significant
    0               1               2     0.004            True
    """
    trains = place_trains(
        spikes_or_session, unit_ids, onsets, conditions,
        duration=duration, max_lag=max_lag, bin_width=bin_width, jitter_window=jitter_window,
    )  # fmt: skip
    chosen = choose_pairs(trains.unit_ids, pairs)
    if min_rate is not None:
        if not 0 <= min_rate < np.inf:
            raise InvalidArgumentError(
                f"min_rate is {min_rate}; give it in spikes/s, for instance 2, or None for all"
            )
        chosen = chosen[(trains.rates[chosen] > min_rate).all(axis=1)]
    tables = []
    for start in range(0, max(len(chosen), 1), N_PAIRS_AT_ONCE):

        def report(n_done: int, _: int, start: int = start) -> object:
            return None if progress is None else progress(start + n_done, len(chosen))

        part = chosen[start : start + N_PAIRS_AT_ONCE]
        correlograms = trains.correlate(part, n_jobs=n_jobs, progress=report)
        tables.append(find_connections(correlograms, limit=limit, flank=flank, n_sd=n_sd))
    return pd.concat(tables, ignore_index=True)


def find_connections(
    correlograms: xr.DataArray,
    *,
    limit: float = 0.01,
    flank: tuple[float, float] = (0.05, 0.1),
    n_sd: float = 7.0,
) -> pd.DataFrame:
    """Find the peak of each correlogram, and whether it stands out from the flanks.

    Parameters
    ----------
    correlograms
        What :func:`compute_correlograms` gives.
    limit
        Lags up to this, to either side, may hold the peak [s].
    flank
        Smallest and largest lag of the flanks, to either side [s].
    n_sd
        A peak higher than this many standard deviations of the flanks is significant.

    Returns
    -------
    DataFrame
        One row a pair: source_unit_id, target_unit_id, peak_lag [s] (positive: the target fires
        after the source), peak (its height, in the unit of the correlograms), flank_sd (same
        unit), is_significant. peak_lag is NaN and is_significant False where the correlogram is
        NaN.

    Notes
    -----
    The height counts from 0, not from the mean of the flanks, as published; the correction leaves
    that near 0. Bounds of ``limit`` and ``flank`` belong to them. No correction is made for the
    number of pairs. Where the flanks hold few coincidences their distribution is skewed, and single
    coincidences pass: 6 to 10 of 10 000 pairs of independent units when slow units are kept, none
    of 18 078 among units with more than 2 spikes/s, which is the limit of Siegle et al. Flanks
    without any coincidence are no measure, and nothing passes.

    References
    ----------
    Siegle et al. (2021), Nature 592, 86, doi:10.1038/s41586-020-03171-x.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> first = np.sort(rng.uniform(0, 200, 4000))
    >>> trains = {1: first, 2: first + 0.004}
    >>> found = find_connections(compute_correlograms(trains, [1, 2], np.arange(100) * 2.0))
    >>> found[["source_unit_id", "target_unit_id", "peak_lag", "is_significant"]].round(6)
       source_unit_id  target_unit_id  peak_lag  is_significant
    0               1               2     0.004            True
    """
    _check_correlograms(correlograms)
    values = correlograms.transpose("pair", "time_lag").to_numpy()
    lags = correlograms["time_lag"].to_numpy()
    is_near, is_flank = select_lags(lags, limit, flank)
    near = values[:, is_near]
    is_known = np.isfinite(values).all(axis=1)
    at = np.where(is_known[:, None], near, 0.0).argmax(axis=1)
    peak = near[np.arange(len(near)), at]
    spread = values[:, is_flank].std(axis=1)
    return pd.DataFrame(
        {
            "source_unit_id": correlograms["source_unit_id"].to_numpy(),
            "target_unit_id": correlograms["target_unit_id"].to_numpy(),
            "peak_lag": np.where(is_known, lags[is_near][at], np.nan),
            "peak": np.where(is_known, peak, np.nan),
            "flank_sd": spread,
            "is_significant": is_known & (spread > 0) & (peak > n_sd * spread),
        }
    )


def compute_directionality(
    connections: pd.DataFrame, structures: pd.Series | Mapping[int, str]
) -> pd.DataFrame:
    """Count, for every pair of areas, in which direction the significant peaks point.

    Parameters
    ----------
    connections
        What :func:`find_connections` gives, of one session or of several below each other.
    structures
        Unit id → acronym of its area, such as ``session.units["ecephys_structure_acronym"]``.

    Returns
    -------
    DataFrame
        Index source_structure, target_structure: both orders of every pair of areas, and each area
        with itself. n_pairs, n_significant and fraction (n_significant / n_pairs); n_positive and
        n_negative (significant pairs whose target fires after, before the source); score and
        median_lag [s], over the significant pairs.

    Notes
    -----
    score = (n_positive − n_negative) / (n_positive + n_negative), in [−1, 1], lag 0 left out; 1:
    the source always leads. NaN without any such pair. ``table["score"].unstack(0)`` is the matrix
    as published, with a row for each target.

    Swapping the areas turns the signs of score and median_lag. Within one area a pair of units has
    no direction: each pair counts in both, as published, and both are 0 for that reason alone.

    References
    ----------
    Siegle et al. (2021), Nature 592, 86, doi:10.1038/s41586-020-03171-x.

    Examples
    --------
    >>> peaks = pd.DataFrame(
    ...     {
    ...         "source_unit_id": [1, 1, 2],
    ...         "target_unit_id": [3, 4, 4],
    ...         "peak_lag": [0.004, 0.003, -0.001],
    ...         "is_significant": [True, True, False],
    ...     }
    ... )
    >>> table = compute_directionality(peaks, {1: "VISp", 2: "VISp", 3: "VISl", 4: "VISl"})
    >>> table.loc[("VISp", "VISl"), ["n_pairs", "fraction", "score"]].round(2).to_dict()
    {'n_pairs': 3.0, 'fraction': 0.67, 'score': 1.0}
    """
    columns = ("source_unit_id", "target_unit_id", "peak_lag", "is_significant")
    require_columns(connections, *columns, what="the table of connections")
    areas = structures if isinstance(structures, pd.Series) else pd.Series(dict(structures))
    # both orders of every pair: those of two areas are then once in each order of the areas
    forth = pd.DataFrame(
        {
            "source_structure": _areas_of(connections["source_unit_id"], areas),
            "target_structure": _areas_of(connections["target_unit_id"], areas),
            "lag": connections["peak_lag"].to_numpy(dtype=np.float64),
            # a pair without a peak has no significant one
            "is_significant": connections["is_significant"].to_numpy(dtype=bool)
            & connections["peak_lag"].notna().to_numpy(),
        }
    )
    swapped = {"source_structure": "target_structure", "target_structure": "source_structure"}
    back = forth.rename(columns=swapped).assign(lag=-forth["lag"])
    both = pd.concat([forth, back], ignore_index=True)
    keys = ["source_structure", "target_structure"]
    found = both[both["is_significant"]]
    found = found.assign(is_positive=found["lag"] > 0, is_negative=found["lag"] < 0)
    table = both.groupby(keys).agg(n_pairs=("lag", "size"), n_significant=("is_significant", "sum"))
    lags = found.groupby(keys).agg(
        n_positive=("is_positive", "sum"),
        n_negative=("is_negative", "sum"),
        median_lag=("lag", "median"),
    )
    table = table.join(lags)
    counts = ["n_positive", "n_negative"]
    table[counts] = table[counts].fillna(0).astype(np.int64)
    is_same = table.index.get_level_values(0) == table.index.get_level_values(1)
    table.loc[is_same, ["n_pairs", "n_significant"]] //= 2
    table["fraction"] = table["n_significant"] / table["n_pairs"]
    above, below = table["n_positive"] - table["n_negative"], table[counts].sum(axis=1)
    table["score"] = divide(above, below)
    # a median of −0.0 would be printed as such
    table["median_lag"] += 0.0
    order = ["n_pairs", "n_significant", "fraction", *counts, "score", "median_lag"]
    return table[order]


def compute_directionality_correlation(
    matrix: pd.DataFrame, hierarchy: Mapping[str, float], *, with_diagonal: bool = True
) -> pd.Series[float]:
    """Correlate a directed measure of pairs of areas with how far apart they are in the hierarchy.

    Parameters
    ----------
    matrix
        The measure: a row for each target and a column for each source, such as
        ``compute_directionality(…)["score"].unstack(0)``, in order of the hierarchy. Areas without
        a hierarchy score are left out.
    hierarchy
        Acronym of an area → its hierarchy score.
    with_diagonal
        Count each area with itself as well, at a difference of 0, as published. By construction a
        directed measure is about 0 there, which alone raises the correlation.

    Returns
    -------
    Series
        n, pearson_r, pearson_p, spearman_r, spearman_p, over what is below the diagonal of the
        matrix: every pair of areas once. Pairs whose measure is NaN are left out.

    Notes
    -----
    p-values take the pairs as independent, which they are not: each area is in several. Neighbours
    in the hierarchy may be put in either order, and r depends on it: the published matrix has VISrl
    before VISl, without its diagonal r is 0.51, and 0.64 in order of the hierarchy scores.

    References
    ----------
    Siegle et al. (2021), Nature 592, 86, doi:10.1038/s41586-020-03171-x.

    Examples
    --------
    >>> hierarchy = {"VISp": 0.0, "VISl": 1.0, "VISam": 3.0}
    >>> score = [[0.0, -0.2, -0.6], [0.2, 0.0, -0.4], [0.6, 0.4, 0.0]]
    >>> matrix = pd.DataFrame(score, index=list(hierarchy), columns=list(hierarchy))
    >>> compute_directionality_correlation(matrix, hierarchy)[["n", "pearson_r"]].round(3).to_dict()
    {'n': 6.0, 'pearson_r': 1.0}
    """
    from scipy.stats import pearsonr, spearmanr

    areas = [area for area in matrix.index if area in matrix.columns and area in hierarchy]
    values = matrix.loc[areas, areas].to_numpy(dtype=np.float64)
    scores = np.array([hierarchy[area] for area in areas], dtype=np.float64)
    target, source = np.tril_indices(len(areas), 0 if with_diagonal else -1)
    y = values[target, source]
    is_known = np.isfinite(y)
    x, y = (scores[target] - scores[source])[is_known], y[is_known]
    if len(y) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        raise InvalidArgumentError(
            f"matrix has {len(y)} pairs of areas with a value and a hierarchy score, which are "
            f"known of {sorted(hierarchy)}; a correlation needs three that differ"
        )
    r, p = pearsonr(x, y)
    rank_r, rank_p = spearmanr(x, y)
    found = {"pearson_r": r, "pearson_p": p, "spearman_r": rank_r, "spearman_p": rank_p}
    return pd.Series({"n": float(len(y)), **found}, dtype=np.float64)


def select_lags(
    lags: npt.ArrayLike, limit: float, flank: tuple[float, float]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which lags may hold the peak, and which are the flanks."""
    distance = np.abs(np.asarray(lags, dtype=np.float64))
    low, high = (float(bound) for bound in flank)
    # lags are multiples of a width that cannot be written exactly
    slack = 1e-9
    is_near = distance <= limit + slack
    is_flank = (distance >= low - slack) & (distance <= high + slack)
    if not (is_near.any() and is_flank.sum() > 1):
        raise InvalidArgumentError(
            f"limit={limit:g} and flank=({low:g}, {high:g}) hold {is_near.sum()} and "
            f"{is_flank.sum()} of the {distance.size} lags, which go up to "
            f"{distance.max(initial=0.0):g} s; the peak needs one and the flanks two, for instance "
            "limit=0.01, flank=(0.05, 0.1)"
        )
    return is_near, is_flank


def _check_correlograms(correlograms: xr.DataArray) -> None:
    """Check that an array has the dims and coords that `compute_correlograms` gives."""
    if not isinstance(correlograms, xr.DataArray):
        raise InvalidArgumentError(
            f"correlograms is {describe_value(correlograms)}; give what compute_correlograms gives"
        )
    needed = {"time_lag", "source_unit_id", "target_unit_id"}
    if set(correlograms.dims) != {"pair", "time_lag"} or not needed <= set(correlograms.coords):
        raise InvalidArgumentError(
            f"correlograms has the dimensions {tuple(correlograms.dims)} and the coordinates "
            f"{sorted(map(str, correlograms.coords))}; needed are ('pair', 'time_lag') and "
            f"{sorted(needed)}: what compute_correlograms gives"
        )


def _areas_of(unit_ids: pd.Series[int], areas: pd.Series[str]) -> npt.NDArray[Any]:
    return look_up(unit_ids, areas, name="structures").to_numpy()
