"""Differences between presentations of one condition, and correlations of pairs of units."""

from __future__ import annotations

from numbers import Number
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from pandas.api.types import is_numeric_dtype

from spikehouse.analysis.checks import TOLERANCE, divide, is_flat
from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import COLUMN_NAME, ROW_NAMES, Ids, align, labels_of, rows_first, to_ids

Floats = npt.NDArray[np.float64]
# the coordinate of residual counts
CONDITION = "condition"


def compute_residual_counts(
    counts: xr.DataArray | pd.DataFrame | npt.ArrayLike,
    conditions: npt.ArrayLike,
    *,
    unit_ids: Ids | None = None,
    slower_than: float | None = None,
    is_scored: bool = False,
) -> xr.DataArray:
    """Subtract from every response the mean of its condition: what differs from trial to trial.

    Parameters
    ----------
    counts
        Responses, shape (n_presentations, n_units): spike counts or rates, such as
        :func:`~spikehouse.compute_design_matrix` and ``StimulusResponses.counts`` give.
    conditions
        The condition of each presentation, shape (n_presentations,); a missing one, such as the
        orientation of a blank screen, is a condition as well.
    unit_ids
        Ids of the units. If None, those of ``counts``, or 0, 1, 2, … without labels.
    slower_than
        Remove fluctuations of each unit that are slower than so many presentations, such as 40.
        The order is that of the presentations' ids, or of the rows without ids. Nothing is removed
        if None.
    is_scored
        Divide by the standard deviation within the condition (n − 1 in the denominator).

    Returns
    -------
    DataArray, shape (n_presentations, n_units)
        ``residual`` (stimulus_presentation_id, unit_id), rows as in ``counts``; in the unit of the
        counts, 0 where a unit did not vary within a condition. With ``is_scored`` without a unit,
        and NaN there. The coordinate ``condition`` has the condition of each presentation.

    Notes
    -----
    Where both have labels, conditions are put in the order of the counts.

    ``slower_than`` fits the mean of each condition and cosines of up to
    2 n_presentations / slower_than half periods together, and subtracts both. Memory: four times
    the counts.

    Residuals of one condition sum to 0: those of one presentation tell what those of the others
    are, with two presentations exactly. Before you cross-validate them, subtract the mean of the
    training presentations instead, as :func:`compute_communication` and
    :func:`compute_shared_variance` do.

    References
    ----------
    Bair, Zohary & Newsome (2001), J. Neurosci. 21, 1676,
    doi:10.1523/JNEUROSCI.21-05-01676.2001, for slow drift.

    Examples
    --------
    >>> counts = [[3, 5], [5, 7], [9, 4], [7, 4]]
    >>> compute_residual_counts(counts, ["a", "a", "b", "b"]).values
    array([[-1., -1.],
           [ 1.,  1.],
           [ 1.,  0.],
           [-1.,  0.]])
    """
    values, units, rows, (given,) = read_counts(counts, unit_ids, conditions=conditions)
    numbers = number_labels(given)
    if given.dtype.kind == "O":  # mixed, could not be written to a file
        given = np.where(pd.isna(given), "nan", given).astype(str)
    if slower_than is not None:
        order = find_order(rows, len(values))
        values = _remove_drift(values[order], numbers[order], slower_than)[np.argsort(order)]
    residual, has_varied, spread = _subtract_means(values, numbers)
    if is_scored:
        residual = np.where(has_varied, divide(residual, spread), np.nan)
    return xr.DataArray(
        residual,
        dims=(ROW_NAMES[0], COLUMN_NAME),
        coords={
            COLUMN_NAME: units,
            CONDITION: (ROW_NAMES[0], given),
        }
        | ({} if rows is None else {ROW_NAMES[0]: rows}),
        name="residual",
        attrs={"units": "1"} if is_scored else {},
    )


def compute_noise_correlations(
    counts: xr.DataArray | pd.DataFrame | npt.ArrayLike,
    conditions: npt.ArrayLike,
    *,
    unit_ids: Ids | None = None,
    slower_than: float | None = None,
) -> xr.DataArray:
    """Correlate the differences between presentations of one condition, for every pair of units.

    Parameters
    ----------
    counts, conditions, unit_ids, slower_than
        As for :func:`compute_residual_counts`.

    Returns
    -------
    DataArray, shape (n_units, n_units)
        ``noise_correlation`` (unit_id, other_unit_id), in [-1, 1]; symmetric, 1 on the diagonal.
        NaN where the two units never varied together: a silent or constant unit, or one
        presentation of each condition.

    Notes
    -----
    Slow drift of the responses that units have in common (arousal, movement of the probe) counts
    as noise correlation: two independent units whose rates rise to five times as much together
    have 0.7. Give ``slower_than`` to leave that out, as Bair et al. do.

    With z the scored residual counts, r = Σ z_i z_j / √(Σ z_i² · Σ z_j²) over the presentations of
    all conditions in which both units varied. Three matrix products; memory: four times the counts
    and five times the result.

    References
    ----------
    Cohen & Kohn (2011), Nat. Neurosci. 14, 811, doi:10.1038/nn.2842; Bair, Zohary & Newsome
    (2001), J. Neurosci. 21, 1676, doi:10.1523/JNEUROSCI.21-05-01676.2001, for slow drift.

    Examples
    --------
    >>> counts = [[3, 5, 4], [5, 7, 4], [9, 1, 4], [7, 0, 6]]
    >>> compute_noise_correlations(counts, ["a", "a", "b", "b"]).values.round(2)
    array([[ 1.,  1., -1.],
           [ 1.,  1., -1.],
           [-1., -1.,  1.]])
    """
    residual = compute_residual_counts(
        counts, conditions, unit_ids=unit_ids, slower_than=slower_than, is_scored=True
    )
    scores = residual.to_numpy()
    has_varied = np.isfinite(scores).astype(np.float64)
    scores = np.nan_to_num(scores)
    # what of one unit's variation falls where the other varied as well
    seen = (scores**2).T @ has_varied
    correlation = divide(scores.T @ scores, np.sqrt(seen * seen.T))
    units = residual[COLUMN_NAME].to_numpy()
    return _label(correlation, units, "noise_correlation", seen.diagonal() > 0)


def compute_signal_correlations(
    counts: xr.DataArray | pd.DataFrame | npt.ArrayLike,
    conditions: npt.ArrayLike,
    *,
    unit_ids: Ids | None = None,
) -> xr.DataArray:
    """Correlate the tuning of every pair of units.

    Parameters
    ----------
    counts, conditions, unit_ids
        As for :func:`compute_residual_counts`.

    Returns
    -------
    DataArray, shape (n_units, n_units)
        ``signal_correlation`` (unit_id, other_unit_id), in [-1, 1]; symmetric, 1 on the diagonal.
        NaN for a unit whose mean response is the same to all conditions, such as a silent one,
        and for all with fewer than two conditions.

    Notes
    -----
    Pearson's correlation of the mean responses to the conditions, each condition counting once.
    With few presentations of a condition, noise that two units share moves their means together
    and the correlation is biased towards the noise correlation.

    References
    ----------
    Cohen & Kohn (2011), Nat. Neurosci. 14, 811, doi:10.1038/nn.2842.

    Examples
    --------
    >>> counts = [[1, 2, 9], [1, 4, 7], [5, 8, 2], [9, 16, 0]]
    >>> compute_signal_correlations(counts, ["a", "a", "b", "c"]).values.round(2)
    array([[ 1.  ,  0.99, -0.96],
           [ 0.99,  1.  , -0.92],
           [-0.96, -0.92,  1.  ]])
    """
    values, labels, _, (given,) = read_counts(counts, unit_ids, conditions=conditions)
    sums, sizes = sum_by_condition(values, number_labels(given))
    means = sums / sizes
    centred = means - means.mean(axis=0) if len(means) else means
    is_constant = is_flat(means, axis=0)
    centred[:, is_constant] = 0
    norms = np.sqrt((centred**2).sum(axis=0))
    correlation = divide(centred.T @ centred, norms[:, None] * norms)
    return _label(correlation, labels, "signal_correlation", ~is_constant)


def read_counts(
    counts: xr.DataArray | pd.DataFrame | npt.ArrayLike,
    unit_ids: Ids | None = None,
    **by_row: npt.ArrayLike | None,
) -> tuple[Floats, npt.NDArray[Any], pd.Index | None, list[Any]]:
    """Return counts, ids of the units, labels of the rows, and what belongs to the rows, aligned.

    What is None stays None.
    """
    counts, *others = align(counts=rows_first(counts), **by_row)
    values = np.asarray(counts, dtype=np.float64)
    if values.ndim != 2:
        raise InvalidArgumentError(
            f"counts needs the shape (n_presentations, n_units), not {values.shape}"
        )
    if not np.isfinite(values).all():
        n_wrong = int((~np.isfinite(values)).any(axis=1).sum())
        raise InvalidArgumentError(
            f"the responses of {n_wrong} presentations are not finite; leave those out"
        )
    known = None
    if isinstance(counts, xr.DataArray) and COLUMN_NAME in counts.coords:
        known = counts[COLUMN_NAME].to_numpy()
    elif isinstance(counts, pd.DataFrame):
        known = counts.columns.to_numpy()
    labels = to_ids(unit_ids, COLUMN_NAME) if unit_ids is not None else known
    if labels is None:
        labels = np.arange(values.shape[1])
    if labels.shape != values.shape[1:]:
        raise InvalidArgumentError(
            f"counts has {values.shape[1]} units, but unit_ids has the shape {labels.shape}"
        )
    if isinstance(counts, xr.DataArray) and known is not None and not np.array_equal(known, labels):
        raise InvalidArgumentError(
            "counts has unit ids of its own, and those of unit_ids are others or in another order; "
            "leave unit_ids out, or select counts.sel(unit_id=unit_ids)"
        )
    for place, name in enumerate(by_row):
        given = others[place] = None if others[place] is None else np.asarray(others[place])
        if given is not None and given.shape != values.shape[:1]:
            raise InvalidArgumentError(
                f"counts has {len(values)} presentations, but {name} has the shape {given.shape}; "
                f"give the {name.removesuffix('s')} of each"
            )
    return values, labels, labels_of(counts, 0), others


def check_known(labels: npt.NDArray[Any] | None, name: str) -> None:
    """Raise InvalidArgumentError if a presentation belongs nowhere."""
    is_unknown = np.asarray(pd.isna([] if labels is None else labels))
    if is_unknown.any():
        raise InvalidArgumentError(
            f"{name} is missing for {is_unknown.sum()} of {len(is_unknown)} presentations; leave "
            "those presentations out, or give them a number of their own"
        )


def find_order(rows: pd.Index | None, n_rows: int) -> npt.NDArray[np.intp]:
    """Return the order in time: that of the presentations' ids, or of the rows without ids."""
    if rows is None or rows.nlevels > 1 or not is_numeric_dtype(rows):
        return np.arange(n_rows)
    return np.argsort(rows.to_numpy(), kind="stable")


def number_labels(labels: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Return numbers of labels in sorted order: numbers, others as text, all that are missing."""
    if labels.dtype.kind != "O":
        numbers: npt.NDArray[np.intp] = np.unique(labels, return_inverse=True)[1]
        return numbers
    codes, found = pd.factorize(labels)
    keys = [(0, each) if isinstance(each, Number) else (1, str(each)) for each in found]
    place = np.empty(len(keys) + 1, dtype=np.intp)
    # the code of a missing label is -1
    place[[*sorted(range(len(keys)), key=keys.__getitem__), -1]] = np.arange(len(keys) + 1)
    return place[codes]


def sum_by_condition(
    values: Floats, numbers: npt.NDArray[np.intp], n_conditions: int = 0
) -> tuple[Floats, Floats]:
    """Sum responses by condition (n_conditions, n_units), and count the rows (n_conditions, 1)."""
    from scipy.sparse import csr_array

    sizes = np.bincount(numbers, minlength=n_conditions).astype(np.float64)
    rows = np.arange(len(values))
    # a product, as sorting the rows would copy them
    is_of = csr_array((np.ones(len(values)), (numbers, rows)), shape=(sizes.size, len(values)))
    return np.asarray(is_of @ values), sizes[:, None]


def _remove_drift(values: Floats, numbers: npt.NDArray[np.intp], slower_than: float) -> Floats:
    """Subtract the slow cosines that fit best together with the mean of each condition."""
    n_rows = len(values)
    n_waves = int(2 * n_rows / slower_than) if slower_than > 0 else n_rows
    n_conditions = len(np.unique(numbers))
    if n_waves + n_conditions >= max(n_rows, 1):
        raise InvalidArgumentError(
            f"slower_than={slower_than:g} removes all that {n_rows} presentations of "
            f"{n_conditions} conditions differ by; give more presentations, for instance 40"
        )
    half_periods = np.arange(1, n_waves + 1)
    waves = np.cos(np.pi * (np.arange(n_rows)[:, None] + 0.5) / n_rows * half_periods)
    within = []
    for columns in (waves, values):
        sums, sizes = sum_by_condition(columns, numbers)
        within.append(columns - (sums / sizes)[numbers])
    weights = np.linalg.lstsq(within[0], within[1], rcond=None)[0]
    return np.asarray(values - waves @ weights, dtype=np.float64)


def _subtract_means(
    values: Floats, numbers: npt.NDArray[np.intp]
) -> tuple[Floats, npt.NDArray[np.bool_], Floats]:
    """Return residuals, 0 where a unit did not vary in a condition, where it did, and the SD."""
    if not len(values):
        return values, np.zeros(values.shape, dtype=np.bool_), values
    sums, sizes = sum_by_condition(values, numbers)
    # a mean that cannot be written exactly must not make noise of a constant
    first = values[np.unique(numbers, return_index=True)[1]][numbers]
    is_other = np.abs(values - first) > TOLERANCE * np.abs(values).max(axis=0)
    has_varied = (sum_by_condition(is_other.astype(np.float64), numbers)[0] > 0)[numbers]
    residual = np.where(has_varied, values - (sums / sizes)[numbers], 0.0)
    squares, _ = sum_by_condition(residual**2, numbers)
    return residual, has_varied, np.sqrt(squares / np.maximum(sizes - 1, 1))[numbers]


def _label(
    correlation: Floats,
    labels: npt.NDArray[np.generic],
    name: str,
    is_defined: npt.NDArray[np.bool_],
) -> xr.DataArray:
    correlation = np.clip(correlation, -1, 1)
    np.fill_diagonal(correlation, np.where(is_defined, 1.0, np.nan))
    return xr.DataArray(
        correlation,
        dims=("unit_id", "other_unit_id"),
        coords={"unit_id": labels, "other_unit_id": labels},
        name=name,
        attrs={"units": "1", "source": "doi:10.1038/nn.2842"},
    )
