"""Noise and signal correlations of pairs of units."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.analysis.checks import TOLERANCE, divide, is_flat
from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import Ids, align, rows_first, to_ids

Floats = npt.NDArray[np.float64]


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
    counts
        Responses, shape (n_presentations, n_units): spike counts or rates, such as
        :func:`~spikehouse.compute_design_matrix` and ``StimulusResponses.counts`` give.
    conditions
        The condition of each presentation, shape (n_presentations,).
    unit_ids
        Ids of the units. If None, those of ``counts``, or 0, 1, 2, … without labels.
    slower_than
        Remove fluctuations of each unit that are slower than so many presentations, such as 40.
        The presentations must be in order of time. Nothing is removed if None.

    Returns
    -------
    DataArray, shape (n_units, n_units)
        ``noise_correlation`` (unit_id, other_unit_id), in [-1, 1]; symmetric, 1 on the diagonal.
        NaN where the two units never varied together: a silent or constant unit, or one
        presentation of each condition.

    Notes
    -----
    Where both have labels, conditions are put in the order of the counts.

    Slow drift of the responses that units have in common (arousal, movement of the probe) counts
    as noise correlation: two independent units whose rates rise to five times as much together
    have 0.7. Give ``slower_than`` to leave that out, as Bair et al. do; it fits the mean of each
    condition and cosines of up to 2 n_presentations / slower_than half periods together.

    z = (response − mean of its condition) / standard deviation within its condition (n − 1 in the
    denominator), and r = Σ z_i z_j / √(Σ z_i² · Σ z_j²) over the presentations of all conditions
    in which both units varied. Three matrix products; memory: twice the counts and five times the
    result.

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
    values, numbers, labels = _check(counts, conditions, unit_ids)
    if slower_than is not None:
        values = _remove_drift(values, numbers, slower_than)
    scores, has_varied = _score_within(values, numbers)
    squares = scores**2
    products = scores.T @ scores
    # what of one unit's variation falls where the other varied as well
    seen = squares.T @ has_varied
    correlation = divide(products, np.sqrt(seen * seen.T))
    return _label(correlation, labels, "noise_correlation", seen.diagonal() > 0)


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
        As for :func:`compute_noise_correlations`.

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
    values, numbers, labels = _check(counts, conditions, unit_ids)
    sums, sizes = _sum_by_condition(values, numbers)
    means = sums / sizes
    centred = means - means.mean(axis=0) if len(means) else means
    is_constant = is_flat(means, axis=0)
    centred[:, is_constant] = 0
    norms = np.sqrt((centred**2).sum(axis=0))
    correlation = divide(centred.T @ centred, norms[:, None] * norms)
    return _label(correlation, labels, "signal_correlation", ~is_constant)


def _check(
    counts: xr.DataArray | pd.DataFrame | npt.ArrayLike,
    conditions: npt.ArrayLike,
    unit_ids: Ids | None,
) -> tuple[Floats, npt.NDArray[np.intp], npt.NDArray[np.generic]]:
    """Return counts, the number of each row's condition, and the labels of the units."""
    counts, conditions = align(counts=rows_first(counts), conditions=conditions)
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
    if isinstance(counts, xr.DataArray) and "unit_id" in counts.coords:
        known = counts["unit_id"].to_numpy()
    elif isinstance(counts, pd.DataFrame):
        known = counts.columns.to_numpy()
    labels = to_ids(unit_ids, "unit_id") if unit_ids is not None else known
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
    given = np.asarray(conditions)
    if given.shape != values.shape[:1]:
        raise InvalidArgumentError(
            f"counts has {len(values)} presentations, but conditions has the shape {given.shape}; "
            "give the condition of each"
        )
    return values, np.unique(given, return_inverse=True)[1], labels


def _sum_by_condition(values: Floats, numbers: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Sum responses by condition (n_conditions, n_units), and count the rows (n_conditions, 1)."""
    if not len(values):
        return np.zeros((0, values.shape[1])), np.zeros((0, 1))
    sizes = np.bincount(numbers).astype(np.float64)
    order = np.argsort(numbers, kind="stable")
    first = np.r_[0, np.cumsum(sizes[:-1]).astype(np.intp)]
    return np.add.reduceat(values[order], first, axis=0), sizes[:, None]


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
        sums, sizes = _sum_by_condition(columns, numbers)
        within.append(columns - (sums / sizes)[numbers])
    weights = np.linalg.lstsq(within[0], within[1], rcond=None)[0]
    return np.asarray(values - waves @ weights, dtype=np.float64)


def _score_within(values: Floats, numbers: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Return z-scores within conditions, 0 where a unit did not vary, and where it did (0 or 1)."""
    if not len(values):
        return values, values.copy()
    sums, sizes = _sum_by_condition(values, numbers)
    means = sums / sizes
    deviations = values - means[numbers]
    # a mean that cannot be written exactly must not make noise of a constant
    first = values[np.unique(numbers, return_index=True)[1]][numbers]
    is_other = np.abs(values - first) > TOLERANCE * np.abs(values).max(axis=0)
    differs, _ = _sum_by_condition(is_other.astype(np.float64), numbers)
    has_varied = (differs > 0)[numbers].astype(np.float64)
    squares, _ = _sum_by_condition(deviations**2, numbers)
    spread = np.sqrt(squares / np.maximum(sizes - 1, 1))
    spread[differs == 0] = 1
    return deviations / spread[numbers] * has_varied, has_varied


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
