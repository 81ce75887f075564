"""Compiled loops of the analysis; imported only where one is about to run."""

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
Ints = npt.NDArray[np.int64]


@compiled
def count_as_large(
    counts: npt.NDArray[Any],
    orders: npt.NDArray[np.int32],
    first: Ints,
    weights: Floats,
    least: Floats,
    sums: npt.NDArray[Any],
) -> Ints:
    """Count per unit the permutations with Σ weight · (sum of a group)² ≥ ``least``."""
    n_units, n_groups = counts.shape[1], len(weights)
    statistic = np.empty(n_units)
    n_as_large = np.zeros(n_units, np.int64)
    # Rows of counts are added whole, so that the loops over units become vector instructions, and
    # three at a time, because reading and writing the sums is what limits them.
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
def sum_resampled(counts: Ints, rows: Ints, group_of: npt.NDArray[np.intp], sums: Ints) -> None:
    """Add ``counts[rows[i, k]]`` to ``sums[i, group_of[k]]``, for one unit."""
    for sample in range(len(rows)):
        for place in range(len(group_of)):
            sums[sample, group_of[place]] += counts[rows[sample, place]]


@compiled
def gaussian_residuals(parameters: Floats, y: Floats, x: Floats, values: Floats) -> Floats:
    """Return how far a Gaussian (five parameters, or six with a baseline) lies above each pixel."""
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
