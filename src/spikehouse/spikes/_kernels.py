"""Compiled loops over sorted spikes; imported only where the work is large."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spikehouse.spikes.compiling import compiled

Floats = npt.NDArray[np.float64]


@compiled
def measure_rows(domain: Floats) -> tuple[float, Floats]:
    """Return by how much of a bin edges are off even ones, and each row's (first, last, bins/s)."""
    n_rows, n_edges = domain.shape
    windows = np.empty((n_rows, 3))
    slack = 0.0  # infinite if more than one bin
    for row in range(n_rows):
        start, stop = domain[row, 0], domain[row, n_edges - 1]
        per_second = (n_edges - 1) / (stop - start)
        windows[row, 0], windows[row, 1], windows[row, 2] = start, stop, per_second
        for edge in range(1, n_edges):
            off = abs((domain[row, edge] - start) * per_second - edge)
            if start < stop and not off <= slack:
                slack = off if off <= 1 else np.inf
    return slack, windows


@compiled
def _first_not_before(times: Floats, time: float, low: int, high: int) -> int:
    """Return the first place in [low, high) whose time is not before ``time``, else high."""
    while low < high:
        middle = (low + high) >> 1
        if times[middle] < time:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _seek(times: Floats, time: float, place: int) -> int:
    """Return the first spike not before ``time``, given that all before ``place`` are."""
    # steps double: the next row, mostly a few spikes on, costs a few comparisons, and one far away
    # their logarithm
    low, step = place, 1
    while low + step <= times.size and times[low + step - 1] < time:
        low += step
        step *= 2
    return _first_not_before(times, time, low, min(low + step, times.size))


@compiled
def _bin_near(domain: Floats, row: int, time: float, guess: int) -> int:
    """Find the bin of a spike inside a row from one nearby."""
    found = guess
    while time < domain[row, found]:
        found -= 1
    while time >= domain[row, found + 1]:
        found += 1
    return found


@compiled
def count_unit(
    times: Floats,
    domain: Floats,
    windows: Floats,
    slack: float,
    binarize: bool,
    targets: npt.NDArray[np.int64],
    limit: Any,  # noqa: ANN401 - of the dtype of counts
    counts: npt.NDArray[Any],
) -> bool:
    """Add a unit's spikes in row ``i`` to ``counts[targets[i]]``; False if one would overflow."""
    # Where edges are about even, a multiplication says which bin a spike is in. It never decreases
    # with time, also when rounded, and ``slack`` was measured with it: a spike further than that
    # from both ends of the bin is inside for certain, and for the few others the edges themselves
    # are asked. Uneven bins are walked, which costs no more than to write them. Pages of counts
    # without a spike are not touched.
    n_times, last_bin = times.size, domain.shape[1] - 2
    one = counts.dtype.type(1)
    is_even = slack <= 1
    # places known from the row before: all spikes in front of them are before these times
    first_place, first_time, next_place, next_time = 0, -np.inf, 0, -np.inf
    for row in range(len(domain)):
        start, stop, per_second = windows[row, 0], windows[row, 1], windows[row, 2]
        if start >= next_time:
            place = _seek(times, start, next_place)
        elif start >= first_time:
            place = _seek(times, start, first_place)
        else:
            place = _first_not_before(times, start, 0, first_place)
        first_place, first_time = place, start
        target, found = targets[row], 0
        while place < n_times and times[place] < stop:
            if is_even:
                exact = (times[place] - start) * per_second
                found = min(int(exact), last_bin)
                beyond = exact - found
            if not is_even or beyond <= slack or 1 - beyond <= slack:
                found = _bin_near(domain, row, times[place], found)
            if binarize:
                counts[target, found] = one
            elif counts[target, found] >= limit:
                return False
            else:
                counts[target, found] += one
            place += 1
        next_place, next_time = place, stop
    return True
