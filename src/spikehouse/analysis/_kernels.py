"""Compiled loops: spikes by position under many orders of the presentations, and Gaussians."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spikehouse.spikes.compiling import compiled, n_threads

__all__ = [
    "contrast_residuals",
    "count_as_large",
    "gaussian_residuals",
    "n_threads",
    "sum_resampled",
]

Floats = npt.NDArray[np.float64]


@compiled
def count_as_large(
    counts: npt.NDArray[Any],
    orders: npt.NDArray[np.int32],
    first: npt.NDArray[np.int64],
    weights: Floats,
    least: Floats,
    sums: npt.NDArray[Any],
) -> npt.NDArray[np.int64]:
    """Count for every unit the permutations whose statistic is at least a given one.

    Parameters
    ----------
    counts
        Spikes, shape (n_presentations, n_units), of the smallest unsigned type that holds them.
    orders
        Permutations of the presentations, shape (n_resamples, n_presentations).
    first
        Where each group begins in an order, and the end; shape (n_groups + 1,).
    weights
        Of the groups, shape (n_groups,).
    least
        Shape (n_units,).
    sums
        Room for a group's sums, shape (n_units,), of an unsigned type that holds them.

    Returns
    -------
    ndarray, shape (n_units,)
        In how many permutations Σ weight · (sum of a group)² ≥ least.

    Notes
    -----
    Rows of ``counts`` are added whole, so that the loops over units become vector instructions;
    three at a time, because what limits them is reading and writing ``sums``.
    """
    n_units, n_groups = counts.shape[1], len(weights)
    statistic = np.empty(n_units)
    n_as_large = np.zeros(n_units, np.int64)
    for order in orders:
        statistic[:] = 0.0
        for group in range(n_groups):
            place, stop = first[group], first[group + 1]
            sums[:] = 0
            while place + 3 <= stop:
                row_a = counts[order[place]]
                row_b = counts[order[place + 1]]
                row_c = counts[order[place + 2]]
                for unit in range(n_units):
                    sums[unit] += row_a[unit] + row_b[unit] + row_c[unit]
                place += 3
            while place < stop:
                row = counts[order[place]]
                for unit in range(n_units):
                    sums[unit] += row[unit]
                place += 1
            weight = weights[group]
            for unit in range(n_units):
                total = np.float64(sums[unit])
                statistic[unit] += weight * total * total
        for unit in range(n_units):
            n_as_large[unit] += statistic[unit] >= least[unit]
    return n_as_large


@compiled
def sum_resampled(
    counts: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    group_of: npt.NDArray[np.intp],
    sums: npt.NDArray[np.int64],
) -> None:
    """Add ``counts[rows[i, k]]`` to ``sums[i, group_of[k]]``, for one unit.

    Shapes: counts and group_of (n_presentations,), rows (n_resamples, n_presentations), sums
    (n_resamples, n_groups).
    """
    for sample in range(len(rows)):
        for place in range(len(group_of)):
            sums[sample, group_of[place]] += counts[rows[sample, place]]


@compiled
def gaussian_residuals(parameters: Floats, y: Floats, x: Floats, values: Floats) -> Floats:
    """Give how far a Gaussian is above each value.

    Parameters
    ----------
    parameters
        Height, centre along y and x, width along y and x, and a baseline or not; shape (5,) or
        (6,).
    y, x, values
        The pixels, shape (n_pixels,).

    Returns
    -------
    ndarray, shape (n_pixels,)
        Gaussian minus value.
    """
    height, center_y, center_x = parameters[0], parameters[1], parameters[2]
    width_y, width_x = parameters[3], parameters[4]
    baseline = parameters[5] if parameters.size > 5 else 0.0
    off = np.empty(values.size)
    for pixel in range(values.size):
        apart_y = (center_y - y[pixel]) / width_y
        apart_x = (center_x - x[pixel]) / width_x
        gaussian = np.exp(-(apart_y * apart_y + apart_x * apart_x) / 2)
        off[pixel] = height * gaussian - values[pixel] + baseline
    return off


@compiled
def contrast_residuals(parameters: Floats, log_contrasts: Floats, responses: Floats) -> Floats:
    """Return how far a hyperbolic-ratio curve (`contrast_curve`) lies above each response."""
    slope, last, first, middle = parameters[0], parameters[1], parameters[2], parameters[3]
    # the logarithm of a negative contrast is NaN, and the search takes no step there
    log_middle = np.log(middle) if middle >= 0 else np.nan
    off = np.empty(responses.size)
    for place in range(responses.size):
        fall = 1 + np.exp(slope * (log_contrasts[place] - log_middle))
        off[place] = last + (first - last) / fall - responses[place]
    return off
