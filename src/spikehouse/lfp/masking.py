"""Mask intervals of a recording without reading it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import align
from spikehouse.lfp.lazy_times import search_times, time_index

Spans = npt.NDArray[np.int64]


class LazyArray(BackendArray):
    """An array for xarray that a subclass reads when it is indexed."""

    shape: tuple[int, ...]

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:  # noqa: ANN401 - xarray's word
        if not isinstance(key, indexing.VectorizedIndexer):
            # the adapter fails on empty slices with a negative step
            return self._read(key.tuple)
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> npt.NDArray[Any]:
        """Read a selection: integers, slices and arrays along each axis."""
        raise NotImplementedError


class MaskedArray(LazyArray):
    """A lazy array of which the rows in ``spans`` (first, one after the last) are read as NaN."""

    def __init__(self, variable: xr.Variable, axis: int, spans: Spans) -> None:
        self._variable = variable
        self._axis = axis
        self._spans = spans
        self.shape: tuple[int, ...] = variable.shape
        # integers have no NaN; small ones fit into float32, as in DataArray.where
        self.dtype: np.dtype[Any] = np.result_type(variable.dtype, np.float16)

    def __setitem__(self, key: object, value: object) -> None:
        raise InvalidArgumentError(
            "a masked recording is read on selection and cannot be assigned to; select what you "
            "need, call .load() on it and assign to that"
        )

    def _read(self, key: tuple[Any, ...]) -> npt.NDArray[Any]:
        values = self._variable[key].to_numpy()
        invalid = _rows_within(key[self._axis], self.shape[self._axis], self._spans)
        if not invalid:
            return np.asarray(values, dtype=self.dtype)
        values = np.array(values, dtype=self.dtype)
        # an axis indexed by one number is gone
        before = sum(not isinstance(part, (int, np.integer)) for part in key[: self._axis])
        for rows in invalid:
            values[(*(slice(None),) * before, rows)] = np.nan
        return values


def _rows_within(
    key: Any,  # noqa: ANN401
    length: int,
    spans: Spans,
) -> list[slice | npt.NDArray[np.bool_]]:
    """Return those of the rows an index asks for that lie within spans, as indices of them."""
    if not isinstance(key, slice):
        positions = np.asarray(key, dtype=np.int64)
        is_inside = _is_within(np.where(positions < 0, positions + length, positions), spans)
        return [is_inside] if is_inside.any() else []
    asked = range(*key.indices(length))
    is_reversed = asked.step < 0
    rows = asked[::-1] if is_reversed else asked
    # the first of the rows that is not below a position
    places = np.clip(-((rows.start - spans) // rows.step), 0, len(rows)).tolist()
    if is_reversed:
        places = [(len(rows) - stop, len(rows) - start) for start, stop in places]
    return [slice(start, stop) for start, stop in places if start < stop]


def _is_within(positions: npt.NDArray[np.int64], spans: Spans) -> npt.NDArray[np.bool_]:
    # starts and stops alternate: an odd number of them below a position has it inside
    return np.asarray(np.searchsorted(spans.ravel(), positions, "right") % 2 == 1)


def mask_intervals(
    lfp: xr.DataArray, start_time: npt.ArrayLike, stop_time: npt.ArrayLike
) -> xr.DataArray:
    """Set a recording to NaN within intervals, without reading it.

    Parameters
    ----------
    lfp
        A recording with a dimension ``time`` [s]; it is not changed.
    start_time, stop_time
        Start and end of each interval [s].

    Returns
    -------
    DataArray
        The same name, dimensions, coordinates and attributes. Where ``lfp`` is read on
        selection (or computed by Dask) so is this; where it is in memory, it is a copy.

    Notes
    -----
    Samples with start <= time <= stop are masked: both ends belong to the interval, which is how
    the Allen Institute's tools read ``invalid_times``. Intervals may overlap and be in any order.
    Of a time axis that is read on selection only what decides where the intervals begin and end
    is read; nothing is kept for each sample.

    Examples
    --------
    >>> import xarray as xr
    >>> lfp = xr.DataArray(np.ones(5), {"time": np.arange(5.0)})
    >>> mask_intervals(lfp, start_time=[1.0], stop_time=[2.5]).values
    array([ 1., nan, nan,  1.,  1.])
    """
    start_time, stop_time = align(start_time=start_time, stop_time=stop_time)
    starts = np.atleast_1d(np.asarray(start_time, dtype=np.float64))
    stops = np.atleast_1d(np.asarray(stop_time, dtype=np.float64))
    if starts.ndim != 1 or starts.shape != stops.shape:
        raise InvalidArgumentError(
            f"{starts.size} start times and {stops.size} stop times: intervals need one of each"
        )
    wrong = np.flatnonzero(~(starts <= stops))
    if wrong.size:
        first = wrong[0]
        raise InvalidArgumentError(
            f"interval {first} goes from {starts[first]:g} to {stops[first]:g} s: an interval must "
            "not stop before it starts, and neither end may be NaN"
        )
    spans = _find_spans(time_index(lfp), starts, stops)
    values: Any
    # xarray has no public word for "in memory": .data would read a lazy array to answer
    if lfp.chunks is not None or lfp.variable._in_memory:
        is_valid = ~_is_within(np.arange(lfp.sizes["time"]), spans)
        values = lfp.where(xr.DataArray(is_valid, dims="time")).data
    else:
        lazy = MaskedArray(lfp.variable, lfp.get_axis_num("time"), spans)
        values = indexing.LazilyIndexedArray(lazy)
    # made anew: a copy would read a lazy time axis when it is shown as HTML
    masked = xr.DataArray(values, lfp.coords, lfp.dims, lfp.name, dict(lfp.attrs))
    masked.set_close(lfp.close)
    return masked


def _find_spans(
    times: pd.Index, starts: npt.NDArray[np.float64], stops: npt.NDArray[np.float64]
) -> Spans:
    first = search_times(times, starts, "left")
    last = search_times(times, stops, "right")
    if first is None or last is None:
        return _find_scattered(times.to_numpy(), starts, stops)
    order = np.argsort(first, kind="stable")
    spans: list[list[int]] = []
    for start, stop in zip(first[order].tolist(), last[order].tolist(), strict=True):
        if spans and start <= spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], stop)
        elif start < stop:
            spans.append([start, stop])
    return np.array(spans, dtype=np.int64).reshape(-1, 2)


def _find_scattered(
    times: npt.NDArray[Any], starts: npt.NDArray[np.float64], stops: npt.NDArray[np.float64]
) -> Spans:
    is_inside = np.zeros(len(times) + 2, dtype=np.int8)
    for start, stop in zip(starts, stops, strict=True):
        is_inside[1:-1] |= (times >= start) & (times <= stop)
    return np.flatnonzero(np.diff(is_inside)).reshape(-1, 2)
