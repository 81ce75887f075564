"""Blank out intervals of a recording without reading it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from spikehouse.errors import InvalidArgumentError
from spikehouse.lfp._times import time_index


class MaskedArray(BackendArray):
    """An array of which some rows are NaN once they are read.

    Parameters
    ----------
    variable
        What is read, lazily.
    axis
        Which of its axes is time.
    is_invalid
        For each sample along that axis, whether it becomes NaN.
    """

    def __init__(self, variable: xr.Variable, axis: int, is_invalid: npt.NDArray[np.bool_]) -> None:
        self._variable = variable
        self._axis = axis
        self._is_invalid = is_invalid
        self.shape: tuple[int, ...] = variable.shape
        # integers have no NaN; small ones fit into float32, as in DataArray.where
        self.dtype: np.dtype[Any] = np.result_type(variable.dtype, np.float16)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:  # noqa: ANN401 - xarray's word
        if not isinstance(key, indexing.VectorizedIndexer):
            # the adapter fails on empty slices with a negative step
            return self._read(key.tuple)
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._read
        )

    def __setitem__(self, key: object, value: object) -> None:
        raise InvalidArgumentError(
            "a masked recording is read on selection and cannot be assigned to; select what you "
            "need, call .load() on it and assign to that"
        )

    def _read(self, key: tuple[Any, ...]) -> npt.NDArray[Any]:
        values = self._variable[key].to_numpy()
        is_invalid = self._is_invalid[key[self._axis]]
        if not is_invalid.any():
            return np.asarray(values, dtype=self.dtype)
        values = np.array(values, dtype=self.dtype)
        # an axis indexed by one number is gone
        before = sum(not isinstance(part, (int, np.integer)) for part in key[: self._axis])
        values[(*(slice(None),) * before, is_invalid)] = np.nan
        return values


def mask_intervals(
    lfp: xr.DataArray, start_times: npt.ArrayLike, stop_times: npt.ArrayLike
) -> xr.DataArray:
    """Make a recording NaN within intervals, without reading it.

    Parameters
    ----------
    lfp
        A recording with a dimension ``time`` [s]; it is not changed.
    start_times
        Begin of each interval [s].
    stop_times
        End of each interval [s].

    Returns
    -------
    DataArray
        The same name, dimensions, coordinates and attributes. Where ``lfp`` is read on
        selection (or computed by Dask) so is this; where it is in memory, it is a copy.

    Raises
    ------
    InvalidArgumentError
        If there are not as many starts as stops, or ``lfp`` has no times.

    Notes
    -----
    Samples with start <= time <= stop are masked: both ends belong to the interval, which is how
    the Allen Institute's tools read ``invalid_times``. Intervals may overlap and be in any order;
    one that ends before it starts, or has NaN for an end, masks nothing. Costs one byte of memory
    a sample.
    """
    starts = np.atleast_1d(np.asarray(start_times, dtype=np.float64))
    stops = np.atleast_1d(np.asarray(stop_times, dtype=np.float64))
    if starts.ndim != 1 or starts.shape != stops.shape:
        raise InvalidArgumentError(
            f"{starts.size} start_times and {stops.size} stop_times: intervals need one of each"
        )
    is_invalid = _find_samples(time_index(lfp), starts, stops)
    # xarray has no public word for "in memory": .data would read a lazy array to answer
    if lfp.chunks is not None or lfp.variable._in_memory:
        return lfp.where(xr.DataArray(~is_invalid, dims="time"))
    lazy = MaskedArray(lfp.variable, lfp.get_axis_num("time"), is_invalid)
    masked = lfp.copy(deep=False, data=indexing.LazilyIndexedArray(lazy))
    masked.set_close(lfp.close)
    return masked


def _find_samples(
    times: pd.Index, starts: npt.NDArray[np.float64], stops: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    values = times.to_numpy()
    is_inside = np.zeros(len(values), dtype=bool)
    for start, stop in zip(starts, stops, strict=True):
        if not start <= stop:
            continue
        if times.is_monotonic_increasing:
            first = np.searchsorted(values, start, side="left")
            is_inside[first : np.searchsorted(values, stop, side="right")] = True
        else:
            is_inside |= (values >= start) & (values <= stop)
    return is_inside
