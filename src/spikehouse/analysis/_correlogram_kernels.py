"""Compiled loops of the cross-correlograms; imported only where one is about to run."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spikehouse.spikes.compiling import compiled, n_threads

__all__ = ["correlate", "n_threads", "place_spikes"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@compiled
def place_spikes(
    train: Floats, starts: Floats, edges: Floats, bins: npt.NDArray[np.int32], first: Ints
) -> int:
    """Write the bin of every spike, start by start, and where each start's spikes begin.

    The bin is that of ``start + edges``, to the last bit; returns the number of spikes, also if
    ``bins`` is too short for them.
    """
    n_bins = len(edges) - 1
    width = edges[n_bins] / n_bins
    n = 0
    for row in range(len(starts)):
        start = starts[row]
        first[row] = n
        at = np.searchsorted(train, start + edges[0])
        while at < len(train) and train[at] < start + edges[n_bins]:
            place = min(max(int((train[at] - start) / width), 0), n_bins - 1)
            while train[at] < start + edges[place]:
                place -= 1
            while train[at] >= start + edges[place + 1]:
                place += 1
            if n < len(bins):
                bins[n] = place
            n += 1
            at += 1
    first[len(starts)] = n
    return n


@compiled
def correlate(
    pairs: Ints,
    bins: npt.NDArray[np.int32],
    first: Ints,
    sums: npt.NDArray[np.uint32],
    group_first: Ints,
    window: int,
    max_lag: int,
    observed: Floats,
    expected: Floats,
) -> None:
    """Count coincidences of pairs of units by lag, and those expected of the jittered trains.

    ``bins`` holds the spikes of all units, ``first[unit, trial]`` where those of a trial begin;
    trials are in the order of their groups. ``sums[unit, group, bin]`` are the spikes of a group.
    With a ``window`` of 0 nothing is expected.
    """
    n_bins, n_lags = sums.shape[2], 2 * max_lag + 1
    is_jittered = window > 0
    size = window if is_jittered else max_lag
    # windows so far apart have a pair of bins at the largest lag
    reach = (max_lag - 1) // size + 1
    n_windows = (n_bins - 1) // size + 1
    n_near = 2 * reach + 1
    # a table is many times faster than a division
    window_of = np.arange(max(n_bins, n_near * size)) // size
    # spikes of one unit in a window times those of the other in a window near it, summed over
    # trials: all that jittering leaves of the trials
    together = np.zeros((n_windows, n_near))
    source_sums, target_sums = np.zeros(n_windows), np.zeros(n_windows)
    around = np.zeros(n_near * size)
    starts, n_spikes = np.zeros(size + 3, np.int64), np.zeros(size + 3)
    for row in range(len(pairs)):
        source, target = pairs[row]
        counted, by_chance = observed[row], expected[row]
        for group in range(len(group_first) - 1):
            together[:] = 0.0
            for trial in range(group_first[group], group_first[group + 1]):
                low, stop = first[target, trial], first[target, trial + 1]
                for spike in range(first[source, trial], first[source, trial + 1]):
                    at = bins[spike]
                    here = window_of[at]
                    begin = (here - reach) * size
                    end = begin + n_near * size
                    while low < stop and bins[low] < begin:
                        low += 1
                    other = low
                    while other < stop and bins[other] < end:
                        lag = bins[other] - at
                        if -max_lag <= lag <= max_lag:
                            counted[lag + max_lag] += 1.0
                        if is_jittered:
                            together[here, window_of[bins[other] - begin]] += 1.0
                        other += 1
            if not is_jittered:
                continue
            source_psth, target_psth = sums[source, group], sums[target, group]
            for here in range(n_windows):
                source_sums[here] = source_psth[here * size : (here + 1) * size].sum()
                target_sums[here] = target_psth[here * size : (here + 1) * size].sum()
            for here in range(n_windows):
                # the other unit's PSTH around this window, each window weighted by what is
                # expected in both
                is_any = False
                around[:] = 0.0
                for near in range(n_near):
                    if together[here, near] > 0.0:
                        is_any = True
                        there = here + near - reach
                        weight = together[here, near] / (source_sums[here] * target_sums[there])
                        part = target_psth[there * size : (there + 1) * size]
                        to = around[near * size : (near + 1) * size]
                        for k in range(len(part)):
                            to[k] = weight * part[k]
                if not is_any:
                    continue
                part = source_psth[here * size : (here + 1) * size]
                n_fired = 0
                for k in range(len(part)):
                    if part[k] > 0:
                        # where the first lag of this bin is
                        starts[n_fired] = k + reach * size - max_lag
                        n_spikes[n_fired] = part[k]
                        n_fired += 1
                while n_fired % 4 > 0:
                    starts[n_fired], n_spikes[n_fired] = 0, 0.0
                    n_fired += 1
                # four bins at a time, because reading and writing the sums is what limits it, and
                # views that begin at the first lag: the loop becomes vector instructions
                for k in range(0, n_fired, 4):
                    one = around[starts[k] : starts[k] + n_lags]
                    two = around[starts[k + 1] : starts[k + 1] + n_lags]
                    three = around[starts[k + 2] : starts[k + 2] + n_lags]
                    four = around[starts[k + 3] : starts[k + 3] + n_lags]
                    for lag in range(n_lags):
                        by_chance[lag] += (
                            n_spikes[k] * one[lag]
                            + n_spikes[k + 1] * two[lag]
                            + n_spikes[k + 2] * three[lag]
                            + n_spikes[k + 3] * four[lag]
                        )
