"""Variance that units share, and what one population tells of another, by cross-validation."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.analysis.checks import TOLERANCE, check_whole, divide, is_flat
from spikehouse.analysis.correlations import (
    CONDITION,
    check_known,
    find_order,
    number_labels,
    read_counts,
    sum_by_condition,
)
from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import COLUMN_NAME, align

Floats = npt.NDArray[np.float64]
Counts = xr.DataArray | pd.DataFrame | npt.ArrayLike
# of the shared variance, which the dimensions d_shared explain
SHARED_PART = 0.95
# smallest part of a unit's variance that is its own: a silent unit would have none
MIN_OWN = 1e-3
# least gain in likelihood of a further iteration, and their largest number
MIN_GAIN, MAX_ITERATIONS = 1e-6, 1000
# penalties tried, in parts of the largest squared singular value of the source
RIDGES = np.logspace(-6, 3, 19)


def compute_shared_variance(
    counts: Counts,
    *,
    n_factors: int | Iterable[int] | None = None,
    n_folds: int = 4,
    groups: npt.ArrayLike | None = None,
    conditions: npt.ArrayLike | None = None,
) -> xr.Dataset:
    """Split the variance of each unit into what it shares with the others and its own.

    Parameters
    ----------
    counts
        Residual counts, shape (n_presentations, n_units), such as
        :func:`compute_residual_counts` gives; without that, tuning counts as shared. In order of
        time, unless the presentations have ids.
    n_factors
        Numbers of factors to try; one number is used as it is. If None, 0, 1, 2, 4, … until twice
        as many are no better, and then numbers between, to within a quarter of the best.
    n_folds, groups
        Number of folds, and what of the presentations must not be split, such as the block of
        each; folds are runs of consecutive presentations or groups.
    conditions
        The condition of each presentation, whose mean is subtracted. If None, the coordinate
        ``condition`` of residual counts. Without that, one condition: give them with residuals in
        a table or in an array without coordinates.

    Returns
    -------
    Dataset
        percent_shared (unit_id), 0 to 100, NaN for a unit that does not vary; log_likelihood
        (n_factors), of the presentations left out, the mean of one [nat]; d_shared, the number of
        dimensions that explain 95 % of the shared variance. ``attrs`` has n_factors, the best.

    Notes
    -----
    Factor analysis: counts of one presentation are normal with the covariance L Lᵀ + Ψ, Ψ
    diagonal, found by expectation maximization from the covariance alone;
    percent_shared = 100 (L Lᵀ)_k / (L Lᵀ + Ψ)_k for unit k, and d_shared
    counts eigenvalues of L Lᵀ, with counts in units of their standard deviation. The number of
    factors has the largest likelihood in cross-validation, 0 included: all independent.
    What is left out is compared with the means of the training presentations: residuals about the
    means of all would tell of each other, and independent units would share variance.
    Normal noise is a poor model of counts below about one spike per presentation; use longer
    windows, or units that fire more. More presentations find more factors.

    Time grows with n_presentations · n_units² and, by number tried, n_factors · n_units²; memory:
    three times the counts and 4 n_folds · n_units².

    References
    ----------
    Williamson et al. (2016), PLOS Comput. Biol. 12, e1005141,
    doi:10.1371/journal.pcbi.1005141; Rubin & Thayer (1982), Psychometrika 47, 69,
    doi:10.1007/BF02293851, for the iterations.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> counts = rng.normal(size=(400, 1)) + rng.normal(size=(400, 6))  # half is shared
    >>> shared = compute_shared_variance(counts)
    >>> shared.attrs["n_factors"], int(shared.d_shared), round(float(shared.percent_shared.mean()))
    (1, 1, 51)
    """
    from threadpoolctl import threadpool_limits

    values, units, rows, (group_of, given) = read_counts(
        counts, groups=groups, conditions=_find_conditions(counts, conditions)
    )
    order = find_order(rows, len(values))
    values, numbers = values[order], None if given is None else number_labels(given[order])
    folds = _split_rows(order, n_folds, group_of)
    centred = _subtract_mean(values, numbers)
    varies = centred.any(axis=0)
    spread = np.sqrt((centred[:, varies] ** 2).sum(axis=0) / max(len(centred), 1))
    scaled, centred = values[:, varies] / spread, centred[:, varies] / spread
    n_units = scaled.shape[1]
    if n_factors is None:
        wanted = [0]
    else:
        wanted = list(n_factors) if isinstance(n_factors, Iterable) else [n_factors]
        for n in wanted:
            check_whole(n, "n_factors")
        wanted = sorted({int(n) for n in wanted})
    found: dict[int, float] = {}
    # small products: threads of BLAS would wait for each other
    with threadpool_limits(limits=1, user_api="blas"):
        parts = [_describe_fold(scaled, test, numbers) for test in folds]
        while wanted:
            n = wanted.pop(0)
            if not 0 <= n <= n_units:
                raise InvalidArgumentError(
                    f"n_factors={n}: {n_units} units vary; valid: 0 to {n_units} factors"
                )
            found[n] = float(
                np.mean([_score_factors(*_fit_factors(train, n), test) for train, test in parts])
            )
            best = max(found, key=lambda key: found[key])
            if n_factors is None:
                wanted = _list_next(sorted(found), best, n_units - 1)
        if not found:
            raise InvalidArgumentError(
                "n_factors is empty; give one number or more, such as range(6)"
            )
        loadings, own = _fit_factors(_decompose(centred.T @ centred / len(centred)), best)
    shared = (loadings**2).sum(axis=1)
    percent = np.full(len(units), np.nan)
    percent[varies] = 100 * shared / (shared + own)
    spectrum = np.sort(np.linalg.svd(loadings, compute_uv=False) ** 2)[::-1]
    explained = divide(np.cumsum(spectrum), spectrum.sum())
    d_shared = int((explained < SHARED_PART).sum()) + 1 if spectrum.sum() > 0 else 0
    return xr.Dataset(
        {
            "percent_shared": (COLUMN_NAME, percent),
            "log_likelihood": ("n_factors", [found[n] for n in sorted(found)]),
            "d_shared": d_shared,
        },
        coords={COLUMN_NAME: units, "n_factors": sorted(found)},
        attrs={"n_factors": best},
    )


def compute_communication(
    source: Counts,
    target: Counts,
    *,
    n_dimensions: int | None = None,
    ridge: float | None = None,
    n_folds: int = 10,
    groups: npt.ArrayLike | None = None,
    conditions: npt.ArrayLike | None = None,
) -> xr.Dataset:
    """Predict one population from another through few dimensions: reduced-rank regression.

    Parameters
    ----------
    source, target
        Residual counts of two areas, shapes (n_presentations, n_source) and
        (n_presentations, n_target), of different units, such as ``residual.sel(unit_id=ids)`` of
        :func:`compute_residual_counts`. In order of time, unless the presentations have ids.
    n_dimensions
        Largest number of dimensions to try; as many as the smaller population has units if None.
    ridge
        Penalty of the squared weights; 0 is ordinary least squares, as the authors use for reduced
        rank. If None, chosen in every fold by leave-one-out within the training presentations.
    n_folds, groups, conditions
        As for :func:`compute_shared_variance`.

    Returns
    -------
    Dataset
        performance (n_dimensions, fold): R² of presentations left out, at most 1, below 0 where
        the mean is better; 0 dimensions predict that mean. full (fold): that of regression without
        reduced rank. source_weights (unit_id, dimension) and target_weights (target_unit_id,
        dimension), of all presentations and n_dimensions: the prediction of the target is
        source · source_weights · target_weightsᵀ about the means. ``attrs`` has n_dimensions, the
        smallest number within one standard error of the best; and ridge.

    Notes
    -----
    With B = (XᵀX + ridge)⁻¹ XᵀY, the prediction with r dimensions is X B V Vᵀ, where V are the
    first r right singular vectors of X B (of X B with √ridge B below it, where that is not 0).
    R² = 1 − Σ (y − ŷ)² / Σ (y − ȳ)² over all target units and presentations of a fold, ȳ the mean
    of the training presentations of the same condition. Folds are runs of presentations, as
    responses near in time are alike: with folds of conditions, whose neighbours are in the
    training, independent units that drift slowly predicted each other with an R² of 0.2.

    A prediction is no proof of a connection: a third area, running or arousal that both follow
    predict one from the other as well; compare with a part of the source area as the target, as
    the authors do, and with residuals within one state. One standard error is a lenient rule:
    areas of independent units got 0 dimensions in 107 of 144 simulations (100 conditions shown
    twice, or 40 shown 15 times), and otherwise an R² below 0.008.

    Memory: five times the counts.

    References
    ----------
    Semedo et al. (2019), Neuron 102, 249, doi:10.1016/j.neuron.2019.01.026; Mukherjee & Zhu
    (2011), Stat. Anal. Data Min. 4, 612, doi:10.1002/sam.10138, for ridge with reduced rank.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> source = rng.normal(size=(500, 8))
    >>> target = source[:, :2] @ rng.normal(size=(2, 5)) + rng.normal(size=(500, 5))
    >>> found = compute_communication(source, target)
    >>> found.attrs["n_dimensions"]
    2
    >>> found.performance.mean("fold").values[:4].round(2)
    array([0.  , 0.39, 0.56, 0.56])
    """
    from threadpoolctl import threadpool_limits

    x, source_ids, rows, (group_of, given) = read_counts(
        source, groups=groups, conditions=_find_conditions(source, conditions)
    )
    y, target_ids, target_rows, _ = read_counts(target)
    if len(x) != len(y):
        raise InvalidArgumentError(
            f"source has {len(x)} presentations and target {len(y)}; give the same of both"
        )
    is_named = (
        isinstance(part, pd.DataFrame) or COLUMN_NAME in getattr(part, "coords", ())
        for part in (source, target)
    )
    both = pd.Index(source_ids).intersection(pd.Index(target_ids))
    if all(is_named) and both.size:
        raise InvalidArgumentError(
            f"{both.size} units are in both source and target, such as {both[0]}, and would "
            "predict themselves; give different units, such as counts[:, ::2] and counts[:, 1::2]"
        )
    if rows is not None and target_rows is not None:
        place = pd.Series(np.arange(len(y)), target_rows)
        y = y[align(source=pd.Series(0, rows), target=place)[1].to_numpy()]
    order = find_order(target_rows if rows is None else rows, len(x))
    x, y = x[order], y[order]
    numbers = None if given is None else number_labels(given[order])
    largest = min(x.shape[1], y.shape[1])
    if n_dimensions is not None:
        check_whole(n_dimensions, "n_dimensions")
    if n_dimensions is not None and not 0 <= n_dimensions <= largest:
        raise InvalidArgumentError(
            f"n_dimensions={n_dimensions}: source has {x.shape[1]} units and target {y.shape[1]}; "
            f"valid: 0 to {largest}"
        )
    if ridge is not None and not (np.isfinite(ridge) and ridge >= 0):
        raise InvalidArgumentError(f"ridge is {ridge}; give a penalty from 0 up, or None")
    largest = largest if n_dimensions is None else int(n_dimensions)
    folds = _split_rows(order, n_folds, group_of)
    performance, full = np.zeros((largest + 1, len(folds))), np.zeros(len(folds))
    # small products: threads of BLAS would wait for each other
    with threadpool_limits(limits=1, user_api="blas"):
        for number, test in enumerate(folds):
            (seen, left), (asked, wanted) = (_part(each, test, numbers) for each in (x, y))
            weights, axes, _ = _fit_reduced_rank(seen, asked, ridge)
            scores = left @ weights
            total = (wanted**2).sum()
            full[number] = 1 - divide(((wanted - scores) ** 2).sum(), total)
            # in the orthogonal axes of the target every dimension takes its own part off the error
            seen, asked = scores @ axes[:, :largest], wanted @ axes[:, :largest]
            gained = (asked**2 - (asked - seen) ** 2).sum(axis=0)
            performance[1:, number] = divide(np.cumsum(gained), total)
        weights, axes, penalty = _fit_reduced_rank(
            _subtract_mean(x, numbers), _subtract_mean(y, numbers), ridge
        )
    mean = performance.mean(axis=1)
    best = int(np.argmax(mean))
    error = performance[best].std(ddof=1) / np.sqrt(len(folds))
    chosen = int(np.argmax(mean >= mean[best] - error))
    return xr.Dataset(
        {
            "performance": (("n_dimensions", "fold"), performance),
            "full": ("fold", full),
            "source_weights": ((COLUMN_NAME, "dimension"), weights @ axes[:, :chosen]),
            "target_weights": ((f"target_{COLUMN_NAME}", "dimension"), axes[:, :chosen]),
        },
        coords={
            "n_dimensions": np.arange(largest + 1),
            COLUMN_NAME: source_ids,
            f"target_{COLUMN_NAME}": target_ids,
        },
        attrs={"n_dimensions": chosen, "ridge": penalty},
    )


def _split_rows(
    order: npt.NDArray[np.intp], n_folds: int, groups: npt.NDArray[np.generic] | None
) -> list[npt.NDArray[np.intp]]:
    """Return the places in the order of each fold: runs of them, or of whole groups."""
    check_whole(n_folds, "n_folds")
    check_known(groups, "groups")
    number = np.arange(len(order)) if groups is None else pd.factorize(groups[order])[0]
    n_groups = int(number.max(initial=-1)) + 1
    if not 2 <= n_folds <= n_groups:
        what = "presentations" if groups is None else "groups"
        raise InvalidArgumentError(
            f"n_folds={n_folds} of {n_groups} {what}; valid: 2 to {n_groups} folds"
        )
    parts = np.array_split(np.arange(n_groups), n_folds)
    return [np.flatnonzero(np.isin(number, part)) for part in parts]


def _list_next(found: list[int], best: int, largest: int) -> list[int]:
    """Return the next number of factors to try: twice the best, or between it and a neighbour."""
    place = found.index(best)
    if best == found[-1]:
        return [min(max(2 * best, 1), largest)] if best < largest else []
    for other in (found[place + 1], found[max(place - 1, 0)]):
        if abs(other - best) > max(best // 4, 1):
            return [(other + best) // 2]
    return []


def _find_conditions(counts: Counts, conditions: npt.ArrayLike | None) -> npt.ArrayLike | None:
    """Return the conditions that are given, or those of residual counts."""
    if conditions is None and CONDITION in getattr(counts, "coords", ()):
        return np.asarray(counts[CONDITION])  # type: ignore[index,call-overload]
    return conditions


def _subtract_mean(values: Floats, numbers: npt.NDArray[np.intp] | None) -> Floats:
    """Return what differs from the mean, or from that of earlier rows of one condition.

    The latter are as many as there are independent differences within the conditions, and have
    the same covariance; residuals about the mean would be more, and sum to 0. 0 in constant units.
    """
    if numbers is None:
        return np.where(is_flat(values, axis=0), 0.0, values - values.mean(axis=0))
    order = np.argsort(numbers, kind="stable")
    sizes = np.bincount(numbers)
    sizes = sizes[sizes > 0]
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    place = np.arange(len(values)) - first
    sums = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values[order], axis=0, out=sums[1:])
    later = np.flatnonzero(place)
    n = place[later, None]
    differences = values[order[later]] - (sums[later] - sums[first[later]]) / n
    limit = TOLERANCE * np.abs(values).max(axis=0, initial=0.0)
    is_constant = np.abs(differences).max(axis=0, initial=0.0) <= limit
    return np.where(is_constant, 0.0, differences * np.sqrt(n / (n + 1)))


def _part(
    values: Floats, test: npt.NDArray[np.intp], numbers: npt.NDArray[np.intp] | None
) -> tuple[Floats, Floats]:
    """Return training and test, without the means of the training and with the same variance."""
    is_train = np.ones(len(values), dtype=np.bool_)
    is_train[test] = False
    if numbers is None:
        mean = values[is_train].mean(axis=0)
        return _subtract_mean(values[is_train], None), values[test] - mean
    train = _subtract_mean(values[is_train], numbers[is_train])
    sums, sizes = sum_by_condition(values[is_train], numbers[is_train], numbers.max() + 1)
    n = sizes[numbers[test]]
    is_known = n[:, 0] > 0
    known, others, n = test[is_known], test[~is_known], n[is_known]
    left = (values[known] - sums[numbers[known]] / n) * np.sqrt(n / (n + 1))
    # conditions that are in no other fold tell nothing of the training
    left = np.vstack([left, _subtract_mean(values[others], numbers[others])])
    if not (len(train) and len(left)):
        raise InvalidArgumentError(
            f"a fold leaves {len(train)} differences within conditions to train on and {len(left)} "
            "to test, and needs some of each; show conditions more than once, and give another "
            "n_folds, or the conditions as groups"
        )
    return train, left


def _describe_fold(
    values: Floats, test: npt.NDArray[np.intp], numbers: npt.NDArray[np.intp] | None = None
) -> tuple[tuple[Floats, Floats, Floats], Floats]:
    """Return the decomposed covariance of training, and that of the test about the same mean."""
    train, left = _part(values, test, numbers)
    return _decompose(train.T @ train / len(train)), left.T @ left / len(left)


def _decompose(covariance: Floats) -> tuple[Floats, Floats, Floats]:
    """Return a covariance with its eigenvalues and eigenvectors, largest first."""
    eigenvalues, axes = np.linalg.eigh(covariance)
    return covariance, eigenvalues[::-1], axes[:, ::-1]


def _fit_factors(train: tuple[Floats, Floats, Floats], n: int) -> tuple[Floats, Floats]:
    """Return loadings (n_units, n) and the variances of the units' own noise."""
    covariance, eigenvalues, axes = train
    variance = np.maximum(np.diag(covariance), MIN_OWN)
    # begins with principal components above the mean variance of the others
    noise = eigenvalues[n:].mean() if n < len(eigenvalues) else 0.0
    loadings = axes[:, :n] * np.sqrt(np.maximum(eigenvalues[:n] - noise, MIN_OWN))
    own = np.maximum(variance - (loadings**2).sum(axis=1), 0.05 * variance)
    before = -np.inf
    for _ in range(MAX_ITERATIONS if n else 0):
        weighted = loadings / own[:, None]
        precision = np.eye(n) + loadings.T @ weighted
        expected = weighted @ np.linalg.inv(precision)
        # covariances of units with factors, and of factors
        crossed = covariance @ expected
        log_likelihood = (weighted * crossed).sum() - np.linalg.slogdet(precision)[1]
        log_likelihood -= np.log(own).sum() + (np.diag(covariance) / own).sum()
        if log_likelihood - before < MIN_GAIN * len(own):
            break
        before = log_likelihood
        loadings = crossed @ np.linalg.inv(np.linalg.inv(precision) + expected.T @ crossed)
        own = np.maximum(variance - (loadings * crossed).sum(axis=1), MIN_OWN)
    return loadings, own


def _score_factors(loadings: Floats, own: Floats, covariance: Floats) -> float:
    """Return the mean log-likelihood of presentations with this covariance."""
    weighted = loadings / own[:, None]
    # by the matrix inversion lemma, only as large as the number of factors
    precision = np.eye(loadings.shape[1]) + loadings.T @ weighted
    explained = np.trace(np.linalg.solve(precision, weighted.T @ covariance @ weighted))
    log_det = np.log(own).sum() + np.linalg.slogdet(precision)[1]
    squares = (np.diag(covariance) / own).sum() - explained
    return float(-0.5 * (squares + log_det + len(own) * np.log(2 * np.pi)))


def _fit_reduced_rank(x: Floats, y: Floats, ridge: float | None) -> tuple[Floats, Floats, float]:
    """Return weights of full rank, axes of the target in order of importance, and the penalty."""
    squares, components = np.linalg.eigh(x.T @ x)
    squares = np.maximum(squares, 0)
    products = components.T @ (x.T @ y)
    if ridge is None:
        ridge = _choose_ridge(x @ components, squares, y, products)
    is_used = squares > squares.max(initial=0) * max(x.shape) * np.finfo(float).eps
    shrunk = np.where(is_used, divide(1, squares + ridge), 0.0)[:, None] * products
    # the squares of X B and √ridge B together: what each axis explains
    explained = shrunk.T @ ((squares + ridge)[:, None] * shrunk)
    axes = np.linalg.eigh(explained)[1][:, ::-1]
    return components @ shrunk, axes, float(ridge)


def _choose_ridge(scores: Floats, squares: Floats, y: Floats, products: Floats) -> float:
    """Return the penalty with the smallest error of presentations left out one by one."""
    penalties = RIDGES * (float(squares.max(initial=0)) or 1.0)
    length, crossed = (y**2).sum(axis=1), scores * (y @ products.T)
    power, between = scores**2, products @ products.T
    errors = []
    for penalty in penalties:
        kept = 1 / (squares + penalty)
        # the mean takes 1 / n of every presentation's weight
        weight = (1 - power @ kept - 1 / len(y)) ** -2.0
        scaled = scores * np.sqrt(weight)[:, None] * kept
        # Σ weight (y − ŷ)², multiplied out: ŷ of all presentations would take twice the time
        fitted = ((scaled.T @ scaled) * between).sum() - 2 * (weight @ crossed) @ kept
        errors.append(weight @ length + fitted)
    return float(penalties[int(np.argmin(errors))])
