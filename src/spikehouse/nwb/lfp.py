"""Read the LFP file of a probe: the potential, of which only selections are read, and the CSD."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from xarray.core import indexing
from xarray.indexes import PandasIndex

from spikehouse.errors import InvalidArgumentError, InvalidFileError
from spikehouse.lfp.lazy_times import LazyTimes, UnreadTimes
from spikehouse.lfp.masking import LazyArray
from spikehouse.nwb._check_size import reading
from spikehouse.nwb._safe_open import list_names, member, reopen
from spikehouse.nwb._searchsorted import SortedDataset
from spikehouse.nwb._validate_columns import check_numbers, check_whole
from spikehouse.nwb.hdf5 import Hdf5File, NwbPath, read_whole
from spikehouse.nwb.metadata import ELECTRODES
from spikehouse.nwb.timeseries import (
    find_even_times,
    find_scale,
    is_unscaled,
    read_times,
    read_values,
)

ACQUISITION = "acquisition"
CSD = "processing/current_source_density/ecephys_csd"

# one call into HDF5 costs about as much as copying this many bytes from the page cache
GAP_BYTES = 64 * 1024
# bytes held besides the result while channels are selected from whole rows
BLOCK_BYTES = 8 * 1024 * 1024

_SERIES = re.compile(r"probe_([0-9]{1,18})_lfp(_data)?")

Rows = range | npt.NDArray[np.int64]
Restore = int | slice | npt.NDArray[np.int64]


class DatasetArray(LazyArray):
    """A two-dimensional HDF5 dataset for xarray that is read when it is indexed."""

    # Rows closer than 64 kB are read together with those between them, others one by one.
    # Channels are selected from whole rows, 8 MB at a time, or from those of whole chunks:
    # memory is that of the result and one such block. Unpickling opens the file again.

    def __init__(self, file: Hdf5File, name: str) -> None:
        self._file = file
        self._name = name
        dataset = self._dataset()
        self.shape: tuple[int, ...] = dataset.shape
        self._factors, self._offset = find_scale(dataset, file.group(name.rpartition("/")[0]))
        self._is_scaled = not is_unscaled(self._factors, self._offset)
        stored = dataset.dtype.newbyteorder("=")
        self.dtype: np.dtype[Any] = (
            np.result_type(stored, np.float32) if self._is_scaled else stored
        )

    def _dataset(self) -> h5py.Dataset:
        return reopen(self._file.root, self._name)

    def __setitem__(self, key: object, value: object) -> None:
        raise InvalidArgumentError(
            f"{self._file.path} is open for reading only; select what you need, call .load() on "
            "it and assign to that"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> DatasetArray:
        # immutable, and an open file cannot be copied
        return self

    def __reduce__(self) -> tuple[type[DatasetArray], tuple[Hdf5File, str]]:
        return DatasetArray, (self._file, self._name)

    def __dask_tokenize__(self) -> tuple[str | int, ...]:
        return *self._file.reader.identity, self._name

    def close(self) -> None:
        """Close the file; reading afterwards raises."""
        self._file.close()

    def _read(self, key: tuple[Any, ...]) -> npt.NDArray[Any]:
        rows, restore_rows = _increasing(key[0], self.shape[0])
        columns, restore_columns = _increasing(key[1], self.shape[1])
        values = np.empty((len(rows), len(columns)), dtype=self.dtype)
        if values.size:
            with self._file.closing_told():
                dataset = self._dataset()
                spans = plan_spans(rows, largest_gap=GAP_BYTES // _row_bytes(dataset))
                self._file.prefetch_rows(dataset, *spans)
                _fill(values, dataset, rows, columns, spans=spans)
            if self._is_scaled:
                values *= self._factors[columns] if self._factors.ndim else self._factors
                values += self._offset
        return np.asarray(values[:, restore_columns][restore_rows])


def _increasing(key: Any, length: int) -> tuple[Rows, Restore]:  # noqa: ANN401
    """Return the distinct positions of an index in order, and the index that restores its order."""
    if isinstance(key, slice):
        asked = range(*key.indices(length))
        return (asked, slice(None)) if asked.step > 0 else (asked[::-1], slice(None, None, -1))
    positions = np.asarray(key, dtype=np.int64)
    positions = np.where(positions < 0, positions + length, positions)
    if positions.size and not 0 <= positions.min() <= positions.max() < length:
        raise IndexError(f"position {key} is beyond the {length} there are")
    if positions.ndim == 0:
        return range(int(positions), int(positions) + 1), 0
    unique, inverse = np.unique(positions, return_inverse=True)
    return unique, slice(None) if np.array_equal(unique, positions) else inverse


def plan_spans(rows: Rows, *, largest_gap: int) -> list[tuple[int, int]]:
    """Group increasing row numbers into ranges [start, stop) to read together."""
    if isinstance(rows, range) and rows.step - 1 <= largest_gap:
        return [(rows[0], rows[-1] + 1)]
    numbers = np.asarray(rows, dtype=np.int64)
    cuts = np.flatnonzero(np.diff(numbers) - 1 > largest_gap)
    starts = numbers[np.r_[0, cuts + 1]]
    stops = numbers[np.r_[cuts, -1]] + 1
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def _blocks(spans: list[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    for start, stop in spans:
        # aligned with row 0, so that no chunk is decompressed for two blocks
        cuts = range((start // size + 1) * size, stop, size)
        yield from zip((start, *cuts), (*cuts, stop), strict=True)


def _within(rows: Rows, start: int, stop: int) -> slice | npt.NDArray[np.int64]:
    if isinstance(rows, range):
        return slice((rows[0] - start) % rows.step if start > rows[0] else 0, None, rows.step)
    first, last = np.searchsorted(rows, (start, stop))
    return rows[first:last] - start


def _row_bytes(dataset: h5py.Dataset) -> int:
    return max(int(dataset.shape[1]) * int(dataset.dtype.itemsize), 1)


def _fill(
    values: npt.NDArray[Any],
    dataset: h5py.Dataset,
    rows: Rows,
    columns: Rows,
    *,
    spans: list[tuple[int, int]],
) -> None:
    chunk_rows = dataset.chunks[0] if dataset.chunks else 1
    size = max(BLOCK_BYTES // _row_bytes(dataset) // chunk_rows, 1) * chunk_rows
    # without chunks, HDF5 would ask for the channels of every row by themselves: 12 times slower
    is_cut = dataset.chunks is not None
    left, right = (int(columns[0]), int(columns[-1]) + 1) if is_cut else (0, dataset.shape[1])
    picked = (
        slice(columns[0] - left, columns[-1] + 1 - left, columns.step)
        if isinstance(columns, range)
        else columns - left
    )
    filled = 0
    with reading(dataset):
        for start, stop in _blocks(spans, size):
            wanted = _within(rows, start, stop)
            picked_rows = range(stop - start)[wanted] if isinstance(wanted, slice) else wanted
            into = slice(filled, filled + len(picked_rows))
            if values[into].shape == (stop - start, right - left):
                dataset.read_direct(values, np.s_[start:stop, left:right], np.s_[into, :])
            else:
                values[into] = dataset[start:stop, left:right][wanted][:, picked]
            filled = into.stop


def open_lfp(
    path: NwbPath,
    probe_id: int | None = None,
    *,
    chunks: int | str | Mapping[str, Any] | None = None,
) -> xr.DataArray:
    """Open the LFP (time, channel) [V] of a probe without reading it; chunks make a Dask array."""
    # Opening reads the channel ids; .sel and .isel read only the times that they need (about 100
    # kB to find the ends of a selection); .values, .load() and arithmetic read the selected rows.
    # The file is stored sample by sample, so one channel has to pass over all of it, but only that
    # channel is kept in memory. What was read is not cached. The times of long recordings (96 MB
    # for a released probe) are read when something needs all of them: see LazyTimes.
    if chunks is not None:
        _require_dask(chunks)
    file = Hdf5File(path)
    probe_id, series = _find_series(file, probe_id)
    data = _member(series, "data")
    if data.ndim != 2:
        raise InvalidFileError(
            f"{file.path}: {data.name} has shape {data.shape} where (time, channel) was expected"
        )
    times = _open_times(file, series)
    channels = _channel_ids(file, series)
    if data.shape != (len(times), len(channels)):
        raise InvalidFileError(
            f"{file.path}: {data.name} has shape {data.shape}, but there are {len(times)} "
            f"timestamps and {len(channels)} electrodes"
        )
    lazy = DatasetArray(file, data.name)
    values = indexing.LazilyIndexedArray(lazy)
    # given an array, xarray would import all of Dask to check whether it is one of Dask's
    time, channel = PandasIndex(times, "time"), PandasIndex(pd.Index(channels), "channel")
    unread = xr.IndexVariable("time", UnreadTimes(times))  # type: ignore[no-untyped-call]
    variables = {"time": unread, **channel.create_variables()}
    coords = xr.Coordinates(variables, {"time": time, "channel": channel})
    attrs = {"units": "V", "probe_id": probe_id, "source": f"{file.path}:{data.name}"}
    lfp = xr.DataArray(values, coords, ("time", "channel"), "LFP", attrs)
    if chunks is not None:
        # a new array, because a copy would read the times when it is shown as HTML
        lfp = xr.DataArray(lfp.chunk(chunks).data, coords, lfp.dims, lfp.name, attrs)
    lfp.set_close(lazy.close)
    return lfp


def _open_times(file: Hdf5File, series: h5py.Group) -> pd.Index:
    even = find_even_times(series)
    if even is not None:
        return pd.Index(even, copy=False, name="time")
    dataset = _member(series, "timestamps")
    if SortedDataset.fits(dataset):
        return LazyTimes(SortedDataset(file, dataset.name), name="time")
    # making the index here avoids a copy of the times
    times: pd.Index = pd.Index(read_whole(dataset), copy=False, name="time")
    return times


def _require_dask(chunks: object) -> None:
    try:
        importlib.import_module("dask.array")
    except ImportError as error:
        raise InvalidArgumentError(
            f"chunks={chunks!r} needs Dask, which is not installed: "
            "pip install dask. Without chunks= the LFP is read on selection and needs no Dask"
        ) from error


def _find_series(file: Hdf5File, probe_id: int | None) -> tuple[int, h5py.Group]:
    group = file.find(ACQUISITION)
    names = [] if group is None else [name for name in list_names(group) if _SERIES.fullmatch(name)]
    # the probe's id occurs at most twice: in the LFP group and in the series
    found = sorted({int(name.split("_")[1]) for name in names})
    if probe_id is None and len(found) > 1:
        raise InvalidArgumentError(
            f"{file.path} has the LFP of {len(found)} probes; pass probe_id, one of "
            f"{', '.join(map(str, found))}"
        )
    if not found or (probe_id is not None and probe_id not in found):
        wanted = "<probe id>" if probe_id is None else str(int(probe_id))
        held = f"LFP of probe {', '.join(map(str, found))}" if found else "no LFP"
        raise InvalidFileError(
            f"{file.path} has no group /{ACQUISITION}/probe_{wanted}_lfp: it holds {held}"
        )
    chosen = found[0] if probe_id is None else int(probe_id)
    inside = f"{ACQUISITION}/probe_{chosen}_lfp/probe_{chosen}_lfp_data"
    beside = f"{ACQUISITION}/probe_{chosen}_lfp_data"
    series = file.find(inside) or file.find(beside)
    if series is None:
        raise InvalidFileError(f"{file.path} has neither /{inside} nor /{beside}")
    return chosen, series


def _member(group: h5py.Group, name: str) -> h5py.Dataset:
    found = member(group, name)
    check_numbers(found)
    return found


def _channel_ids(file: Hdf5File, series: h5py.Group) -> npt.NDArray[np.int64]:
    ids = check_whole(file.group(ELECTRODES), file.read_array(f"{ELECTRODES}/id"))
    if "electrodes" not in list_names(series):
        return ids
    rows = check_whole(series, read_whole(_member(series, "electrodes")))
    if rows.size and not 0 <= rows.min() <= rows.max() < len(ids):
        raise InvalidFileError(
            f"{file.path}: {series.name}/electrodes points at rows {rows.min()} to {rows.max()} "
            f"of /{ELECTRODES}, which has {len(ids)}"
        )
    return ids[rows]


def read_current_source_density(path: NwbPath) -> xr.DataArray:
    """Read the current source density [V/cm²] around the onset of flashes from an LFP file."""
    # The second spatial derivative of the mean response, not smoothed in space; 2.7 MB for a
    # released probe. Times are in s from the onset, positions in µm.
    with closing(Hdf5File(path)) as file:
        name = f"{CSD}/current_source_density"
        values = read_values(file, name).T
        times = read_times(file, name)
        vertical = file.read_array(f"{CSD}/virtual_electrode_y_positions")
        horizontal = file.read_array(f"{CSD}/virtual_electrode_x_positions")
    if values.shape != (len(vertical), len(times)) or len(vertical) != len(horizontal):
        raise InvalidFileError(
            f"{file.path}: /{name}/data has shape {values.shape[::-1]}, but there are "
            f"{len(times)} timestamps, {len(vertical)} vertical and {len(horizontal)} horizontal "
            "positions"
        )
    return xr.DataArray(
        name="CSD",
        data=values,
        dims=("virtual_channel_index", "time"),
        coords={
            "virtual_channel_index": np.arange(len(vertical)),
            "time": times,
            "vertical_position": ("virtual_channel_index", vertical),
            "horizontal_position": ("virtual_channel_index", horizontal),
        },
        attrs={"units": "V/cm^2", "source": f"{file.path}:/{name}"},
    )
