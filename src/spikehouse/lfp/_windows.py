"""Read the windows around many events, each sample once, about 16 MB at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import Ids, to_ids
from spikehouse.lfp.alignment import OUT_OF_ORDER
from spikehouse.lfp.lazy_times import search_times
from spikehouse.spikes.trains import ReadAhead, Spikes, get_spike_times

BATCH_BYTES = 16 * 1024 * 1024
# samples further apart than this many intervals have a gap between them
GAP = 1.5

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Windows(NamedTuple):
    """The samples of the windows of some events, one after the other; overlaps are there once."""

    events: slice
    # where each event's row is in values
    places: Ints
    times: Floats
    # (samples, channels), NaN replaced by 0
    values: npt.NDArray[np.float32]
    # per event and channel: no NaN and no gap in its window
    is_whole: npt.NDArray[np.bool_]


def read_units(unit_ids: Ids) -> npt.NDArray[np.int64]:
    """Return ids of units; raise InvalidArgumentError if one is there several times."""
    units = to_ids(unit_ids, "unit_id")
    repeated = pd.Index(units).duplicated()
    if repeated.any():
        raise InvalidArgumentError(
            f"unit_id {units[repeated][0]} is asked for several times; give each unit once"
        )
    return units


def list_spikes(
    spikes_or_session: Spikes, unit_ids: Ids, samples: pd.Index, margin: tuple[float, float]
) -> tuple[npt.NDArray[np.int64], Floats, npt.NDArray[np.int32]]:
    """Return the units, and times and unit numbers of their spikes with room around, in order."""
    units = read_units(unit_ids)
    trains = ReadAhead(get_spike_times(spikes_or_session), units.tolist())
    first, last = float(samples[0]) + margin[0], float(samples[-1]) - margin[1]
    times: list[Floats] = [np.empty(0)]
    for position in range(len(units)):
        train = np.asarray(trains[position], dtype=np.float64)
        low, high = np.searchsorted(train, [first, last])
        times.append(train[low : max(low, high)])
    numbers = np.repeat(np.arange(len(units), dtype=np.int32), [len(train) for train in times[1:]])
    joined = np.concatenate(times)
    order = np.argsort(joined, kind="stable")
    return units, joined[order], numbers[order]


def find_rows(samples: pd.Index, times: Floats) -> Ints:
    """Return the row of the last sample not after each time."""
    found = search_times(samples, times, "right")
    if found is None:
        raise InvalidArgumentError(OUT_OF_ORDER)
    return found - 1


def iterate_windows(
    lfp: xr.DataArray, samples: pd.Index, rows: Ints, *, before: int, after: int, interval: float
) -> Iterator[Windows]:
    """Go through windows [row − before, row + after] around rows, which are in order."""
    if not len(rows):
        return
    lfp = lfp.transpose("time", "channel")
    width = before + after + 1
    n_new = np.minimum(np.diff(rows, prepend=rows[0] - width), width)
    most = max(BATCH_BYTES // (4 * lfp.sizes["channel"]), width)
    cuts = np.flatnonzero(np.diff(np.cumsum(n_new) // most)) + 1
    for low, high in zip((0, *cuts), (*cuts, len(rows)), strict=True):
        # the first event of a batch brings its whole window
        fresh = n_new[low:high].copy()
        fresh[0] = width
        ends = np.cumsum(fresh)
        at = np.repeat(rows[low:high] + after + 1 - ends, fresh) + np.arange(ends[-1])
        index = slice(at[0], at[-1] + 1) if at[-1] - at[0] == len(at) - 1 else at
        values = lfp.isel(time=index).to_numpy()
        times = samples[index].to_numpy()
        places = ends - 1 - after
        is_whole = find_whole(values, times, places - before, places + after, interval)
        cleaned = np.nan_to_num(values, nan=0, posinf=0, neginf=0).astype(np.float32, copy=False)
        yield Windows(slice(low, high), places, times, cleaned, is_whole)


def find_whole(
    values: npt.NDArray[Any], times: Floats, first: Ints, last: Ints, interval: float
) -> npt.NDArray[np.bool_]:
    """Return for each window and channel whether it has neither a NaN nor a gap in its times."""
    is_bad = ~np.isfinite(values)
    n_bad = np.zeros((len(values) + 1, values.shape[1]), dtype=np.int32)
    np.cumsum(is_bad, axis=0, dtype=np.int32, out=n_bad[1:])
    # a window's first sample may come after a gap
    n_gaps = np.cumsum(np.diff(times, prepend=times[0]) > GAP * interval)
    is_whole: npt.NDArray[np.bool_] = n_bad[last + 1] == n_bad[first]
    is_whole &= (n_gaps[last] == n_gaps[first])[:, np.newaxis]
    return is_whole
