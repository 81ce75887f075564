"""Functions that AllenSDK's session module has beside the session, with its arguments."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.labelled import Ids
from spikehouse.spikes import count_spikes, time_domain
from spikehouse.spikes.counting import TimeDomainCallback
from spikehouse.stimuli import run_bounds

__all__ = [
    "array_intervals",
    "build_spike_histogram",
    "build_time_window_domain",
    "nan_intervals",
    "removed_unused_stimulus_presentation_columns",
]

_SAYS_NOTHING = ("", "null")


# the arguments keep AllenSDK's names: inside, `time_domain` is the edges, not the function
def build_spike_histogram(
    time_domain: npt.ArrayLike,
    spike_times: Mapping[int, npt.NDArray[np.float64]],
    unit_ids: Ids,
    dtype: npt.DTypeLike | None = None,
    binarize: bool = False,
) -> npt.NDArray[Any]:
    """Count the spikes of units in every bin of every row.

    Parameters
    ----------
    time_domain
        Shape (n_rows, n_bins + 1) [s]; the edges of each row do not decrease.
    spike_times
        Unit id → sorted times [s].
    unit_ids
        Which units, in the order of the result.
    dtype
        Of the counts; if None, uint16, or wider where a count needs it; uint8 when binarized.
    binarize
        One where there is a spike, zero where there is none.

    Returns
    -------
    ndarray, shape (n_rows, n_bins, n_units)
        Counts; bins are [a, b).

    Raises
    ------
    InvalidArgumentError
        If a given dtype cannot hold the largest count, or a row's edges are not finite or
        decrease.
    """
    edges = np.atleast_2d(np.asarray(time_domain, dtype=np.float64))
    counts = count_spikes(spike_times, unit_ids, edges, dtype=dtype, binarize=binarize)
    return counts if dtype is not None else as_unsigned(counts)


def as_unsigned(counts: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return counts in the unsigned type AllenSDK has; of two bytes at most without a copy."""
    if counts.itemsize <= np.dtype(np.int16).itemsize:
        return counts.view(f"u{counts.itemsize}")
    return counts.astype(np.min_scalar_type(int(counts.max(initial=0))))


def build_time_window_domain(
    bin_edges: npt.ArrayLike,
    offsets: npt.ArrayLike,
    callback: TimeDomainCallback | None = None,
) -> npt.NDArray[np.float64]:
    """Lay bin edges out around every offset.

    Parameters
    ----------
    bin_edges
        Shape (n_bins + 1,) [s], relative to an offset.
    offsets
        Shape (n_rows,) [s].
    callback
        Given the absolute edges, shape (n_rows, n_bins + 1); gives them back changed.

    Returns
    -------
    ndarray of float64, shape (n_rows, n_bins + 1)
        Absolute edges [s].

    Raises
    ------
    InvalidArgumentError
        If the callback gives another shape, or edges of a row are out of order.
    """
    return time_domain(bin_edges, offsets, callback=callback)


def removed_unused_stimulus_presentation_columns(
    stimulus_presentations: pd.DataFrame,
) -> pd.DataFrame:
    """Leave out the columns that say nothing about any of these presentations.

    Parameters
    ----------
    stimulus_presentations
        Some rows of a stimulus table.

    Returns
    -------
    DataFrame
        The same rows, without the columns in which every value is "null", empty or missing. A
        table without rows keeps its columns.
    """
    if stimulus_presentations.empty:
        return stimulus_presentations.copy()
    unused = [
        name
        for name in stimulus_presentations.columns
        if all(_says_nothing(value) for value in stimulus_presentations[name])
    ]
    return stimulus_presentations.drop(columns=unused)


def _says_nothing(value: Any) -> bool:  # noqa: ANN401 - a cell of a table
    if isinstance(value, str):
        return value in _SAYS_NOTHING
    # of a list or an array, isna would answer for each element
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


def array_intervals(array: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Find the runs of equal consecutive values.

    Parameters
    ----------
    array
        One-dimensional array without missing values.

    Returns
    -------
    ndarray of int64, shape (n_runs + 1,)
        Start of each run, and the length of the array.
    """
    values = np.asarray(array)
    return np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1, [len(values)]])


def nan_intervals(
    array: npt.ArrayLike, nan_like: Collection[str] = ("null",)
) -> npt.NDArray[np.int64]:
    """Find the runs of equal consecutive values in an array with missing values.

    Parameters
    ----------
    array
        One-dimensional array; missing values are equal to each other.
    nan_like
        No effect, as in AllenSDK: "null" is a value like any other.

    Returns
    -------
    ndarray of int64, shape (n_runs + 1,)
        Start of each run, and the length of the array; only 0 for an empty array.
    """
    del nan_like
    return run_bounds(array)
