"""Responses to repeats of the same conditions: drift of populations, reliability of units."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.analysis.checks import TOLERANCE, check_whole, divide, is_flat
from spikehouse.analysis.correlations import (
    check_known,
    find_order,
    number_labels,
    read_counts,
    sum_by_condition,
)
from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import Ids, to_seconds

Floats = npt.NDArray[np.float64]


def compute_representational_drift(
    counts: xr.DataArray | pd.DataFrame | npt.ArrayLike,
    conditions: npt.ArrayLike,
    *,
    repeats: npt.ArrayLike | None = None,
    blocks: npt.ArrayLike | None = None,
    times: npt.ArrayLike | None = None,
) -> pd.DataFrame:
    """Correlate the responses of a population to every two repeats of the same conditions.

    Parameters
    ----------
    counts
        Responses, shape (n_presentations, n_units); in order of time, unless there are times or
        the presentations have ids.
    conditions
        The condition of each presentation, such as the second of a movie; shape
        (n_presentations,).
    repeats
        The number of the repeat that each presentation is part of; presentations of one repeat and
        one condition are averaged. If None, the first presentation of every condition (in each
        block) is the first repeat, the second the second, and so on, with a warning if that is not
        the order of time because presentations are missing. Repeats that lack a condition are left
        out.
    blocks
        The block of each presentation. Repeats do not go across blocks.
    times
        Start of each presentation [s].

    Returns
    -------
    DataFrame, one row per pair of repeats
        repeat and other_repeat, numbered from 0 in order of their first presentations, those that
        are left out as well; lag, the difference of these, and lag_s, that of their mean times [s];
        is_same_block;
        population_vector, ensemble_rate and tuning_curve, three correlations in [-1, 1].

    Notes
    -----
    population_vector: for every condition, the correlation over units of the responses in the two
    repeats; then the mean over conditions. ensemble_rate: the correlation over units of the mean
    responses of the two repeats. tuning_curve: for every unit, the correlation over conditions;
    then the mean over units. Means leave out what did not vary in one of the repeats.

    All three are below 1 without any drift, because responses are noisy: drift is what they lose
    as the lag grows. None of them says why. Units whose rates differ much let population_vector be
    high when nothing is tuned, and let it fall when only rates change, which is why the other two
    are beside it. Running, pupil and arousal that change during the session, and a probe that
    moves along the units (``cumulative_drift``, ``presence_ratio``), lower all three as a change
    of the code does: compare repeats of one behavioural state, and stable units.

    Memory: a copy of counts that are no float64, four times their means, three times n_repeats².

    References
    ----------
    Deitch, Rubin & Ziv (2021), Curr. Biol. 31, 4327, doi:10.1016/j.cub.2021.07.062.

    Examples
    --------
    >>> counts = [[9, 1, 3], [2, 8, 4], [8, 2, 3], [1, 9, 4], [1, 7, 4], [9, 2, 4]]
    >>> drift = compute_representational_drift(counts, [0, 1, 0, 1, 0, 1])
    >>> drift[["lag", "population_vector", "ensemble_rate", "tuning_curve"]].round(2)
       lag  population_vector  ensemble_rate  tuning_curve
    0    1               1.00            0.5           1.0
    1    2              -0.93            1.0          -1.0
    2    1              -0.93            0.5          -1.0
    """
    values, _, number, start, block_of = _stack_repeats(
        counts, conditions, repeats, blocks, times, is_warned=True
    )
    vectors = _correlate_repeats(values.transpose(1, 0, 2))
    rates = _correlate_repeats(values.mean(axis=1)[None])
    curves = _correlate_repeats(values.transpose(2, 0, 1))
    one, other = np.triu_indices(len(values), 1)
    return pd.DataFrame(
        {
            "repeat": number[one],
            "other_repeat": number[other],
            "lag": number[other] - number[one],
            "lag_s": start[other] - start[one],
            "is_same_block": block_of[one] == block_of[other],
            "population_vector": vectors[one, other],
            "ensemble_rate": rates[one, other],
            "tuning_curve": curves[one, other],
        }
    )


def compute_split_half_reliability(
    counts: xr.DataArray | pd.DataFrame | npt.ArrayLike,
    conditions: npt.ArrayLike,
    *,
    repeats: npt.ArrayLike | None = None,
    blocks: npt.ArrayLike | None = None,
    unit_ids: Ids | None = None,
    n_splits: int = 50,
    n_resamples: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Correlate the mean responses of each unit in random halves of the repeats.

    Parameters
    ----------
    counts, conditions, repeats, blocks
        As for :func:`compute_representational_drift`.
    unit_ids
        Ids of the units. If None, those of ``counts``, or 0, 1, 2, … without labels.
    n_splits, n_resamples, seed
        Number of random halvings and of data sets without reliability, and the seed of both.

    Returns
    -------
    DataFrame
        Index unit_id: split_half, the correlation of two halves; reliability, that of all repeats
        with as many others (Spearman–Brown); chance, the mean of split_half without reliability,
        and chance_95, its 95th percentile; p_value. NaN for a unit that does not vary over
        conditions in any repeat.

    Notes
    -----
    split_half is the mean over ``n_splits`` halvings of Pearson's correlation over conditions
    between the mean responses of the halves; with an odd number of repeats each halving leaves out
    one, drawn anew. A half that does not vary counts as a correlation of 0.
    reliability = g split_half / (1 + (g − 1) split_half), where g is n_repeats by those of
    a half: 2, or more with an odd number, 3 for three. NaN where that is below −1.

    For chance, every repeat is shifted by a random number of conditions, in sorted order and around
    the end, and split_half computed again from the same halvings. This keeps the rate of each
    repeat and how responses to neighbouring conditions (seconds of a movie) go together, and loses
    only what repeats share. p_value = (1 + number of shifts with as much or more) / (1 +
    ``n_resamples``). All units get the same halvings and shifts.

    Time of a unit: n_repeats² · (n_conditions + n_splits · n_resamples); memory: four times the
    counts.

    References
    ----------
    Spearman (1910), Br. J. Psychol. 3, 271, doi:10.1111/j.2044-8295.1910.tb00206.x; Brown (1910),
    ibid., 296, doi:10.1111/j.2044-8295.1910.tb00207.x.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> second = np.tile(np.arange(30), 10)
    >>> counts = rng.poisson(np.transpose([3 + 2 * np.sin(second / 3), np.full(300, 3)]))
    >>> found = compute_split_half_reliability(counts, second, unit_ids=[7, 8])
    >>> found[["split_half", "reliability", "chance_95", "p_value"]].round(2)
             split_half  reliability  chance_95  p_value
    unit_id
    7              0.74         0.85       0.28     0.00
    8              0.07         0.13       0.22     0.28
    """
    check_whole(n_splits, "n_splits")
    check_whole(n_resamples, "n_resamples")
    if n_splits < 1 or n_resamples < 1:
        raise InvalidArgumentError(
            f"n_splits is {n_splits} and n_resamples {n_resamples}; give 1 or more of each, such "
            "as 50 and 200"
        )
    values, units, *_ = _stack_repeats(counts, conditions, repeats, blocks, None, unit_ids)
    n_repeats, n_conditions, n_units = values.shape
    rng = np.random.default_rng(seed)
    size = n_repeats // 2
    order = rng.permuted(np.tile(np.arange(n_repeats), (n_splits, 1)), axis=1)
    halves = np.zeros((2, n_splits, n_repeats))
    for number in range(2):
        members = order[:, number * size : (number + 1) * size]
        np.put_along_axis(halves[number], members, 1.0, axis=1)
    # products of sums over halves are sums of products of repeats
    of_one, of_other, of_both = (
        (one[:, :, None] * other[:, None]).reshape(n_splits, -1).T
        for one, other in ((halves[0], halves[0]), (halves[1], halves[1]), (halves[0], halves[1]))
    )
    # the first is not shifted
    shifts = rng.integers(0, n_conditions, (n_resamples + 1, n_repeats))
    shifts[0] = 0
    lags = ((shifts[:, None] - shifts[:, :, None]) % n_conditions).reshape(n_resamples + 1, -1)
    pairs = np.arange(n_repeats**2)
    found = np.full((n_units, n_resamples + 1), np.nan)
    varies = ~is_flat(values, axis=1).all(axis=0)
    for unit in np.flatnonzero(varies):
        own = values[:, :, unit] - values[:, :, unit].mean(axis=1, keepdims=True)
        spectra = np.fft.rfft(own)
        # products of all pairs of repeats at all lags
        products = np.fft.irfft(spectra.conj()[:, None] * spectra, n_conditions)
        gram = products.reshape(-1, n_conditions)[pairs, lags]
        power = (gram @ of_one) * (gram @ of_other)
        is_defined = power > (TOLERANCE * (own**2).sum()) ** 2
        r = np.where(is_defined, divide(gram @ of_both, np.sqrt(np.abs(power))), 0.0)
        found[unit] = r.mean(axis=1)
    split_half, null = found[:, 0], found[:, 1:]
    # a half of three repeats has one of them
    longer = n_repeats / size
    n_more = (null >= split_half[:, None] - 1e-12).sum(axis=1)
    return pd.DataFrame(
        {
            "split_half": split_half,
            "reliability": np.where(
                split_half > -1 / (2 * longer - 1),
                divide(longer * split_half, 1 + (longer - 1) * split_half),
                np.nan,
            ),
            "chance": null.mean(axis=1),
            "chance_95": np.quantile(null, 0.95, axis=1),
            "p_value": np.where(varies, (1 + n_more) / (1 + n_resamples), np.nan),
        },
        index=pd.Index(units, name="unit_id"),
    )


def _stack_repeats(
    counts: xr.DataArray | pd.DataFrame | npt.ArrayLike,
    conditions: npt.ArrayLike,
    repeats: npt.ArrayLike | None,
    blocks: npt.ArrayLike | None,
    times: npt.ArrayLike | None = None,
    unit_ids: Ids | None = None,
    *,
    is_warned: bool = False,
) -> tuple[Floats, npt.NDArray[np.generic], npt.NDArray[np.intp], Floats, npt.NDArray[np.intp]]:
    """Return counts (n_repeats, n_conditions, n_units), unit ids, and repeats' number, time, block.

    For reliability the order of repeats is nothing to warn of.
    """
    values, units, rows, given = read_counts(
        counts, unit_ids, conditions=conditions, repeats=repeats, blocks=blocks, times=times
    )
    check_known(given[1], "repeats")
    check_known(given[2], "blocks")
    order = find_order(rows, len(values))
    if times is not None:
        given[3] = to_seconds(given[3], "times")
        if not np.isfinite(given[3]).all():
            raise InvalidArgumentError(
                f"times of {np.sum(~np.isfinite(given[3]))} of {len(values)} presentations are not "
                "finite; leave those presentations out"
            )
        order = np.argsort(given[3], kind="stable")
    values, given = values[order], [None if each is None else each[order] for each in given]
    condition, repeat, block = (
        np.zeros(len(values), dtype=np.intp) if labels is None else number_labels(labels)
        for labels in given[:3]
    )
    if given[1] is None:
        shown = pd.DataFrame({"block": block, "condition": condition})
        repeat = np.asarray(shown.groupby(["block", "condition"]).cumcount(), dtype=np.intp)
        sizes_of = shown.value_counts()
        is_mixed = pd.Series(repeat).groupby(block).diff().lt(0).any()
        if is_warned and is_mixed and (sizes_of.groupby("block").nunique() > 1).any():
            warnings.warn(
                f"the conditions have {sizes_of.min()} to {sizes_of.max()} presentations, so the "
                "second of one may be shown with the third of another; give the number of the "
                "repeat of each presentation as repeats",
                stacklevel=4,
            )
    number = pd.factorize(block * (repeat.max(initial=0) + 1) + repeat)[0]
    n_conditions, n_found = condition.max(initial=-1) + 1, number.max(initial=-1) + 1
    sums, sizes = sum_by_condition(
        values, number * n_conditions + condition, n_found * n_conditions
    )
    sizes = sizes.reshape(n_found, n_conditions, 1)
    is_complete = np.all(sizes > 0, axis=(1, 2))
    n_repeats = int(is_complete.sum())
    if n_repeats < 2:
        raise InvalidArgumentError(
            f"{n_repeats} of the {n_found} repeats have all {n_conditions} conditions, and two are "
            "needed; give the conditions that all repeats share, or the number of the repeat of "
            "each presentation as repeats"
        )
    stacked = sums.reshape(n_found, n_conditions, -1)[is_complete] / sizes[is_complete]
    block_of = block[np.unique(number, return_index=True)[1]][is_complete]
    start = np.full(n_repeats, np.nan)
    if given[3] is not None:
        start = (np.bincount(number, given[3]) / np.bincount(number))[is_complete]
    return stacked, units, np.flatnonzero(is_complete), start, block_of


def _correlate_repeats(responses: Floats) -> Floats:
    """Average correlations between repeats: (n_items, n_repeats, n_places) to a square matrix."""
    n_items, n_repeats, n_places = responses.shape
    varies = ~is_flat(responses, axis=2)
    centred = responses - divide(responses.sum(axis=2, keepdims=True), n_places)
    length = np.sqrt((centred**2).sum(axis=2, keepdims=True))
    z = np.where(varies[:, :, None], divide(centred, length), 0.0)
    z = z.transpose(1, 0, 2).reshape(n_repeats, n_items * n_places)
    n_defined = varies.T.astype(np.float64) @ varies
    return np.clip(divide(z @ z.T, n_defined), -1, 1)
