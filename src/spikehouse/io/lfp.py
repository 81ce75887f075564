"""The local field potential of a probe, read on selection, and its current source density."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from spikehouse.errors import InvalidArgumentError, InvalidFileError
from spikehouse.io.electrodes import ELECTRODES
from spikehouse.io.hdf5 import Hdf5File, reading

ACQUISITION = "acquisition"
CSD = "processing/current_source_density/ecephys_csd"

# one call into HDF5 costs about as much as copying this many bytes out of the page cache
GAP_BYTES = 64 * 1024
# what is held besides the result while channels are picked out of whole rows
BLOCK_BYTES = 8 * 1024 * 1024

_SERIES = re.compile(r"probe_(\d+)_lfp(_data)?")

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
        self.dtype: np.dtype[Any] = dataset.dtype

    def _dataset(self) -> h5py.Dataset:
        return self._file.root[self._name]

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

    def __reduce__(self) -> tuple[Callable[[Path, str], DatasetArray], tuple[Path, str]]:
        return _reopen, (self._file.path, self._name)

    def __dask_tokenize__(self) -> tuple[str, str, int, int]:
        facts = self._file.path.stat()
        return str(self._file.path.resolve()), self._name, facts.st_size, facts.st_mtime_ns

    def close(self) -> None:
        """Close the file; reading afterwards raises."""
        self._file.close()

    def _read(self, key: tuple[Any, ...]) -> npt.NDArray[Any]:
        rows, restore_rows = _increasing(key[0], self.shape[0])
        columns, restore_columns = _increasing(key[1], self.shape[1])
        values = np.empty((len(rows), len(columns)), dtype=self.dtype)
        if values.size:
            _fill(values, self._dataset(), rows, columns)
        return np.asarray(values[:, restore_columns][restore_rows])


def _reopen(path: Path, name: str) -> DatasetArray:
    return DatasetArray(Hdf5File(path), name)


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


def _fill(values: npt.NDArray[Any], dataset: h5py.Dataset, rows: Rows, columns: Rows) -> None:
    row_bytes = dataset.shape[1] * dataset.dtype.itemsize
    chunk_rows = dataset.chunks[0] if dataset.chunks else 1
    size = max(BLOCK_BYTES // row_bytes // chunk_rows, 1) * chunk_rows
    left, right = int(columns[0]), int(columns[-1]) + 1
    picked = _within(columns, left, right)
    filled = 0
    with reading(dataset):
        for start, stop in _blocks(plan_spans(rows, largest_gap=GAP_BYTES // row_bytes), size):
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
    path: str | os.PathLike[str],
    probe_id: int | None = None,
    *,
    chunks: int | str | Mapping[str, Any] | None = None,
) -> xr.DataArray:
    """Open the local field potential of a probe without reading it.

    Parameters
    ----------
    path
        An LFP file.
    probe_id
        Whose; may be left out where the file has one probe.
    chunks
        None: numpy arrays, read where the result is selected from. Anything else is what
        ``DataArray.chunk`` takes, ``"auto"`` for instance, and makes it an array of Dask.

    Returns
    -------
    DataArray
        ``LFP`` (time, channel), float32 [V]; time [s] and the channel ids as coordinates.
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
    Opening reads the timestamps (8 bytes a sample, 96 MB for the 12 M samples of a released
    probe) and the channel ids. ``.sel`` and ``.isel`` read nothing by themselves; ``.values``,
    ``.load()``, arithmetic and plots read the rows that were selected. The file is stored sample
    by sample: one channel of the whole recording has to pass over all of it, but is all that is
    kept in memory. What was read is not kept: ``.load()`` a selection that is used twice.
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
    timestamps = _read(_member(file, series, "timestamps"))
    channels = _channel_ids(file, series)
    if data.shape != (len(timestamps), len(channels)):
        raise InvalidFileError(
            f"{file.path}: {data.name} has shape {data.shape}, but there are {len(timestamps)} "
            f"timestamps and {len(channels)} electrodes"
        )
    lazy = DatasetArray(file, data.name)
    lfp = xr.DataArray(
        name="LFP",
        data=indexing.LazilyIndexedArray(lazy),
        dims=("time", "channel"),
        # an index made here spares a copy of the timestamps
        coords={"time": pd.Index(timestamps, copy=False), "channel": channels},
        attrs={"units": "V", "probe_id": probe_id, "source": f"{file.path}:{data.name}"},
    )
    chunked = lfp if chunks is None else lfp.chunk(chunks)
    chunked.set_close(lazy.close)
    return chunked


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
    names = [] if group is None else [name for name in group if _SERIES.fullmatch(name)]
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
    found = group.get(name)
    if not isinstance(found, h5py.Dataset):
        raise InvalidFileError(
            f"{file.path} has no dataset {group.name}/{name}; the group holds "
            f"{', '.join(group) or 'nothing'}"
        )
    return found


def _read(dataset: h5py.Dataset) -> npt.NDArray[Any]:
    with reading(dataset):
        return np.asarray(dataset[()])


def _channel_ids(file: Hdf5File, series: h5py.Group) -> npt.NDArray[np.int64]:
    ids = file.read_array(f"{ELECTRODES}/id").astype(np.int64)
    if "electrodes" not in series:
        return ids
    rows = _read(series["electrodes"]).astype(np.int64)
    if rows.size and not 0 <= rows.min() <= rows.max() < len(ids):
        raise InvalidFileError(
            f"{file.path}: {series.name}/electrodes points at rows {rows.min()} to {rows.max()} "
            f"of /{ELECTRODES}, which has {len(ids)}"
        )
    return ids[rows]


def read_current_source_density(path: str | os.PathLike[str]) -> xr.DataArray:
    """Read the current source density around flashes that comes with the LFP.

    Parameters
    ----------
    path
        An LFP file.

    Returns
    -------
    DataArray
        ``CSD`` (virtual_channel_index, time), float64 [V/cm²]; time [s] since the flash,
        vertical_position and horizontal_position [µm] of the virtual channels.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InvalidFileError
        If it has no current source density, or one whose parts do not fit together.

    Notes
    -----
    Reads all of it, 2.7 MB for a released probe. It is the second spatial derivative of the mean
    response, not smoothed in space.
    """
    file = Hdf5File(path)
    try:
        return _read_csd(file)
    finally:
        file.close()


def _read_csd(file: Hdf5File) -> xr.DataArray:
    name = f"{CSD}/current_source_density"
    values = file.read_array(f"{name}/data").T
    times = file.read_array(f"{name}/timestamps")
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
