"""The local field potential of a probe, read on selection."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing
from xarray.indexes import PandasIndex

from spikehouse.errors import InvalidArgumentError, InvalidFileError
from spikehouse.io._guard import describe_members, find_dataset, list_names, reopen
from spikehouse.io._kinds import check_numbers, check_whole
from spikehouse.io._series import find_even_times, find_scale, is_unscaled
from spikehouse.io._sorted import SortedDataset
from spikehouse.io._stored import reading
from spikehouse.io.electrodes import ELECTRODES
from spikehouse.io.hdf5 import Hdf5File, NwbPath
from spikehouse.io.lazy_times import LazyTimes, UnreadTimes
from spikehouse.io.rows import read_whole

ACQUISITION = "acquisition"

# one call into HDF5 costs about as much as copying this many bytes out of the page cache
GAP_BYTES = 64 * 1024
# what is held besides the result while channels are picked out of whole rows
BLOCK_BYTES = 8 * 1024 * 1024

_SERIES = re.compile(r"probe_([0-9]{1,18})_lfp(_data)?")

Rows = range | npt.NDArray[np.int64]
Restore = int | slice | npt.NDArray[np.int64]


class DatasetArray(BackendArray):
    """A two-dimensional HDF5 dataset that is read where it is indexed.

    Parameters
    ----------
    file
        The open file; it stays open as long as this array is used.
    name
        Path of the dataset from the root.

    Notes
    -----
    Rows that are far apart are read one by one, rows closer than 64 kB with what lies between
    them. Channels that are not neighbours are picked out of the span that holds them, 8 MB at a
    time: the memory used is the result and one such block. Pickling keeps the path, and opens
    the file again where it is unpickled.
    """

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

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:  # noqa: ANN401 - xarray's word
        if not isinstance(key, indexing.VectorizedIndexer):
            # the adapter fails on empty slices with a negative step
            return self._read(key.tuple)
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._read
        )

    def __setitem__(self, key: object, value: object) -> None:
        raise InvalidArgumentError(
            f"{self._file.path} is open for reading only; select what you need, call .load() on "
            "it and assign to that"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> DatasetArray:
        # nothing here can change, and an open file cannot be copied
        return self

    def __reduce__(self) -> tuple[type[DatasetArray], tuple[Hdf5File, str]]:
        return DatasetArray, (self._file, self._name)

    def __dask_tokenize__(self) -> tuple[str | int, ...]:
        return *self._file.identity, self._name

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
    """Give the positions an index asks for, sorted and once each, and how to undo that."""
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
    """Decide which runs of rows are read in one go.

    Parameters
    ----------
    rows
        Row numbers, increasing; not empty.
    largest_gap
        As many rows that nobody asked for are read rather than skipped.

    Returns
    -------
    list of (int, int)
        First row and the one after the last of every run.
    """
    if isinstance(rows, range) and rows.step - 1 <= largest_gap:
        return [(rows[0], rows[-1] + 1)]
    numbers = np.asarray(rows, dtype=np.int64)
    cuts = np.flatnonzero(np.diff(numbers) - 1 > largest_gap)
    starts = numbers[np.r_[0, cuts + 1]]
    stops = numbers[np.r_[cuts, -1]] + 1
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def _blocks(spans: list[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    for start, stop in spans:
        # counted from row 0, so that a chunked file has no chunk decompressed for two blocks
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
    left, right = int(columns[0]), int(columns[-1]) + 1
    picked = _within(columns, left, right)
    filled = 0
    with reading(dataset):
        for start, stop in _blocks(spans, size):
            wanted = _within(rows, start, stop)
            into = slice(filled, filled + _count(wanted, stop - start))
            if values[into].shape == (stop - start, right - left):
                dataset.read_direct(values, np.s_[start:stop, left:right], np.s_[into, :])
            else:
                values[into] = dataset[start:stop, left:right][wanted][:, picked]
            filled = into.stop


def _count(wanted: slice | npt.NDArray[np.int64], length: int) -> int:
    return len(range(*wanted.indices(length))) if isinstance(wanted, slice) else len(wanted)


def open_lfp(
    path: NwbPath,
    probe_id: int | None = None,
    *,
    chunks: int | str | Mapping[str, Any] | None = None,
) -> xr.DataArray:
    """Open the local field potential of a probe without reading it.

    Parameters
    ----------
    path
        An LFP file, or a remote one.
    probe_id
        Whose; may be left out where the file has one probe.
    chunks
        None: numpy arrays, read where the result is selected from. Anything else is what
        ``DataArray.chunk`` takes, ``"auto"`` for instance, and makes it an array of Dask.

    Returns
    -------
    DataArray
        ``LFP`` (time, channel) [V]; time [s] and the channel ids as coordinates.
        ``.close()`` closes the file; otherwise it is closed with the last array that reads
        from it.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InvalidFileError
        If it is not an LFP file, has none of this probe, or its parts do not fit together.
    InvalidArgumentError
        If the file has several probes and none was named, or Dask is asked for and missing.

    Notes
    -----
    Values are multiplied by the ``conversion`` and ``channel_conversion`` of the series and its
    ``offset`` is added: the released files hold volts. Times are those stored, or computed where
    the series has a ``starting_time`` and a rate.

    Opening reads the channel ids. ``.sel`` and ``.isel`` read only times: those that decide where
    a selection begins and ends (about 100 kB in all), and those of the selection. ``.values``,
    ``.load()``, arithmetic and plots read the rows that were selected. The file is stored sample
    by sample: one channel of the whole recording has to pass over all of it, but is all that is
    kept in memory. What was read is not kept: ``.load()`` a selection that is used twice.

    All times (8 bytes a sample, 96 MB for the 12 M samples of a released probe) are read, once,
    when something needs them: ``lfp.time.values``, arithmetic on ``lfp.time``, labels all over
    the recording. Recordings of up to 37 000 samples have theirs read when they are opened.

    Selecting by time takes the times to increase. That is checked on nine stretches spread over
    the recording and on all that is read; found wrong, selecting reads all times and gives what
    pandas gives. In what was never read it goes unnoticed, until
    ``lfp.indexes["time"].is_monotonic_increasing`` reads everything and tells.
    """
    if chunks is not None:
        _require_dask(chunks)
    file = Hdf5File(path)
    probe_id, series = _find_series(file, probe_id)
    data = _member(file, series, "data")
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
    coords = _coordinates(times, channels)
    attrs = {"units": "V", "probe_id": probe_id, "source": f"{file.path}:{data.name}"}
    lfp = xr.DataArray(values, coords, ("time", "channel"), "LFP", attrs)
    if chunks is not None:
        # made anew: a copy would read the times when it is shown as HTML
        lfp = xr.DataArray(lfp.chunk(chunks).data, coords, lfp.dims, lfp.name, attrs)
    lfp.set_close(lazy.close)
    return lfp


def _open_times(file: Hdf5File, series: h5py.Group) -> pd.Index:
    even = find_even_times(series)
    if even is not None:
        return pd.Index(even, copy=False, name="time")
    dataset = _member(file, series, "timestamps")
    if SortedDataset.fits(dataset):
        return LazyTimes(SortedDataset(file, dataset.name), name="time")
    # an index made here spares a copy of the timestamps
    times: pd.Index = pd.Index(read_whole(dataset), copy=False, name="time")
    return times


def _coordinates(times: pd.Index, channels: npt.NDArray[np.int64]) -> xr.Coordinates:
    # of an array xarray would find out whether it is Dask's, and import all of Dask for that
    time, channel = PandasIndex(times, "time"), PandasIndex(pd.Index(channels), "channel")
    unread = xr.IndexVariable("time", UnreadTimes(times))  # type: ignore[no-untyped-call]
    variables = {"time": unread, **channel.create_variables()}
    return xr.Coordinates(variables, {"time": time, "channel": channel})


def _require_dask(chunks: object) -> None:
    try:
        importlib.import_module("dask.array")
    except ImportError as error:
        raise InvalidArgumentError(
            f"chunks={chunks!r} makes an array of Dask, which is not installed: "
            "pip install dask. Without chunks= the LFP is read on selection and needs no Dask"
        ) from error


def _find_series(file: Hdf5File, probe_id: int | None) -> tuple[int, h5py.Group]:
    group = file.find(ACQUISITION)
    names = [] if group is None else [name for name in list_names(group) if _SERIES.fullmatch(name)]
    # a released file names the probe at most twice: the LFP group and the series
    found = sorted({int(name.split("_")[1]) for name in names})
    if probe_id is None and len(found) > 1:
        raise InvalidArgumentError(
            f"{file.path} has the LFP of {len(found)} probes; say which: probe_id={found[0]}, "
            f"of {', '.join(map(str, found))}"
        )
    if not found or (probe_id is not None and probe_id not in found):
        wanted = "<probe id>" if probe_id is None else str(int(probe_id))
        held = f"LFP of probe {', '.join(map(str, found))}" if found else "no LFP at all"
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


def _member(file: Hdf5File, group: h5py.Group, name: str) -> h5py.Dataset:
    found = find_dataset(group, name)
    if found is None:
        raise InvalidFileError(
            f"{file.path} has no dataset {group.name}/{name}; the group holds "
            f"{describe_members(group)}"
        )
    check_numbers(found)
    return found


def _channel_ids(file: Hdf5File, series: h5py.Group) -> npt.NDArray[np.int64]:
    ids = check_whole(file.group(ELECTRODES), file.read_array(f"{ELECTRODES}/id"))
    if "electrodes" not in list_names(series):
        return ids
    rows = check_whole(series, read_whole(_member(file, series, "electrodes")))
    if rows.size and not 0 <= rows.min() <= rows.max() < len(ids):
        raise InvalidFileError(
            f"{file.path}: {series.name}/electrodes points at rows {rows.min()} to {rows.max()} "
            f"of /{ELECTRODES}, which has {len(ids)}"
        )
    return ids[rows]
