"""Functions of AllenSDK's session module, with its arguments."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.labelled import Ids
from spikehouse.spikes import compute_time_domain, count_spikes
from spikehouse.spikes.counting import TimeDomainCallback
from spikehouse.stimuli import find_run_bounds

_EMPTY_TEXTS = ("", "null")


def build_spike_histogram(
    time_domain: npt.ArrayLike,
    spike_times: Mapping[int, npt.NDArray[np.float64]],
    unit_ids: Ids,
    dtype: npt.DTypeLike | None = None,
    binarize: bool = False,
) -> npt.NDArray[Any]:
    """Count spikes in every bin [a, b) of every row; returns (rows, bins, units)."""
    edges = np.atleast_2d(np.asarray(time_domain, dtype=np.float64))
    counts = count_spikes(spike_times, unit_ids, edges, dtype=dtype, binarize=binarize)
    return counts if dtype is not None else as_unsigned(counts)


def as_unsigned(counts: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return counts as unsigned integers, as AllenSDK does; without a copy up to two bytes."""
    if counts.itemsize <= np.dtype(np.int16).itemsize:
        return counts.view(f"u{counts.itemsize}")
    return counts.astype(np.min_scalar_type(int(counts.max(initial=0))))


def build_time_window_domain(
    bin_edges: npt.ArrayLike, offsets: npt.ArrayLike, callback: TimeDomainCallback | None = None
) -> npt.NDArray[np.float64]:
    """Add bin edges [s] to every offset [s]; returns (offsets, edges)."""
    return compute_time_domain(bin_edges, offsets, callback=callback)


def removed_unused_stimulus_presentation_columns(
    stimulus_presentations: pd.DataFrame,
) -> pd.DataFrame:
    """Return presentations without the columns that are empty, missing or "null" in every row."""
    if stimulus_presentations.empty:
        return stimulus_presentations.copy()
    unused = [
        name
        for name in stimulus_presentations.columns
        if all(_is_empty(value) for value in stimulus_presentations[name])
    ]
    return stimulus_presentations.drop(columns=unused)


def _is_empty(value: Any) -> bool:  # noqa: ANN401 - a cell of a table
    if isinstance(value, str):
        return value in _EMPTY_TEXTS
    # of a list or an array, isna would answer for each element
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


def array_intervals(array: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Find the runs of equal consecutive values."""
    values = np.asarray(array)
    return np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1, [len(values)]])


def nan_intervals(
    array: npt.ArrayLike, nan_like: Collection[str] = ("null",)
) -> npt.NDArray[np.int64]:
    """Find the runs of equal consecutive values in an array with missing values."""
    del nan_like  # has no effect in AllenSDK either: "null" is a value like any other
    return find_run_bounds(array)
