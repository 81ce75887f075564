"""Open an HDF5 file and read its tables, with errors that name the file and the dataset."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import warnings
import weakref
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.errors import InvalidArgumentError, InvalidFileError
from spikehouse.labelled import fits_int64
from spikehouse.nwb import _remote
from spikehouse.nwb._byte_readers import close_file, find_reader, open_file
from spikehouse.nwb._check_size import (
    LIBRARY_ERRORS,
    one_budget,
    reading,
    to_text,
    user_block,
    where,
)
from spikehouse.nwb._safe_open import describe_members, find_dataset, find_group, list_names, member
from spikehouse.nwb._validate_columns import (
    Scalar,
    check_column,
    check_ends,
    check_numbers,
    check_table,
    check_unique,
    check_whole,
    describe_type,
    is_plain,
    kind_of,
    read_names,
    read_value,
)
from spikehouse.nwb._vlen_strings import read_factorized, read_references
from spikehouse.transfer.byte_ranges import ByteRange
from spikehouse.transfer.remote_bytes import RemoteBytes

NwbPath: TypeAlias = str | os.PathLike[str] | RemoteBytes | IO[Any] | h5py.File
"""A path, an address, an open remote file, an open file with a path, or an h5py.File."""

# columns that NWB names and no table here has
_KNOWN_OTHERS = {
    "electrodes", "electrode_group", "obs_intervals", "waveform_sd", "waveforms",  # of units
    "group",  # of electrodes
    "tags", "timeseries",  # of intervals
}  # fmt: skip


class Hdf5File:
    """An open HDF5 file with random access to its bytes; threads may share it."""

    def __init__(self, path: NwbPath) -> None:
        # columns by table whose download has begun
        self._begun: dict[str, set[str]] = {}
        self.reader = find_reader(path)
        # of a remote file the name only; see ``source``
        self.path = Path(self.reader.name)
        try:
            self._file = open_file(self.reader)
        except BaseException:
            if self.reader is not path:
                self.reader.close()
            raise
        self._base = user_block(self._file)
        # a session that is not closed explicitly must not keep its file open
        self._closing = weakref.finalize(self, close_file, self._file, self.reader)
        self.prefetch_members(self._file)

    def __reduce__(self) -> tuple[type[Hdf5File], tuple[Path | RemoteBytes]]:
        return Hdf5File, (self.source,)

    @property
    def is_remote(self) -> bool:
        """Whether the file is on a server."""
        return isinstance(self.reader, RemoteBytes)

    @property
    def source(self) -> Path | RemoteBytes:
        """The path or remote file that opens this file again."""
        return self.reader if isinstance(self.reader, RemoteBytes) else self.path

    @property
    def is_open(self) -> bool:
        """Whether the file can be read from."""
        return self._closing.alive

    @property
    def root(self) -> h5py.File:
        """The file's root group; raises if the file was closed."""
        if not self._file:
            raise self._explain_closed()
        return self._file

    def close(self) -> None:
        """Close the file; reading from it afterwards raises."""
        self._closing()

    @contextlib.contextmanager
    def closing_told(self) -> Iterator[None]:
        """Raise InvalidArgumentError if another thread closes the file while the block reads."""
        try:
            yield
        except InvalidArgumentError:
            raise
        except (*LIBRARY_ERRORS, AttributeError) as error:
            if self.is_open:
                raise
            raise self._explain_closed() from error

    def _explain_closed(self) -> InvalidArgumentError:
        return InvalidArgumentError(f"{self.path} was closed; open the session again")

    def read_bytes(self, offset: int, length: int) -> bytes:
        """Read bytes at an offset; fewer at the end of the file."""
        block = bytearray(length)
        return bytes(block[: self.reader.read_into(offset, memoryview(block))])

    def prefetch_rows(self, dataset: h5py.Dataset, *runs: tuple[int, int]) -> None:
        """Begin to download rows [start, stop) of a dataset of a remote file."""
        self.reader.prefetch(span for run in runs for span in _remote.data_ranges(dataset, *run))

    def prefetch_members(self, *groups: h5py.Group) -> None:
        """Begin to download the object headers of the groups' members."""
        self.reader.prefetch(_remote.header_ranges(groups), is_metadata=True)

    def prefetch_tables(self, tables: Sequence[_remote.Table]) -> None:
        """Begin to download columns of tables together, and the strings they refer to."""
        # columns whose download has begun are not looked up again
        new = [t for t in tables if not self._begun.get(str(t[0].name), set()) >= set(t[1])]
        self._begun.update({str(group.name): set(names) for group, names in new})
        if not new:
            return
        key = "\n".join(f"{group.name}: {', '.join(names)}" for group, names in new)
        known = self.reader.recall_ranges(key)
        if known is not None:
            self.reader.prefetch(known)
            return
        self.prefetch_members(*(group for group, _ in new))
        columns, references = _remote.plan_tables(new)
        self.reader.prefetch(columns)
        heaps: list[ByteRange] = []
        for start, stop in references:
            heaps += _remote.heap_ranges(self.read_bytes(start, stop - start), self._base)
        self.reader.prefetch(heaps)
        self.reader.keep_ranges(key, [*columns, *heaps])

    def group(self, path: str) -> h5py.Group:
        """Open a required group."""
        found = find_group(self.root, path)
        if found is None:
            raise InvalidFileError(
                f"{self.path} has no group /{path}, which is needed here; it holds "
                f"{describe_members(self.root)}"
            )
        return found

    def find(self, path: str) -> h5py.Group | None:
        """Open a group; return None if it is absent."""
        return find_group(self.root, path)

    def read_text(self, path: str) -> str | None:
        """Read a dataset of one string; return None if it is absent."""
        found = find_dataset(self.root, path)
        return None if found is None else str(self.read_scalar(found))

    def read_scalar(self, dataset: h5py.Dataset) -> Scalar:
        """Read a dataset of one number or one string."""
        with reading(dataset):
            # raises if a text is too long
            read_references(dataset, self.read_bytes, base=self._base)
        return read_value(dataset)

    def read_array(self, path: str) -> npt.NDArray[Any]:
        """Read a required numeric dataset."""
        found = find_dataset(self.root, path)
        if found is None:
            raise InvalidFileError(f"{self.path} has no dataset /{path}")
        check_numbers(found)
        return self._read_numbers(found)

    def _read_numbers(self, dataset: h5py.Dataset) -> npt.NDArray[Any]:
        if dataset.ndim:
            # not through the library, which would hold its lock and cache what it read
            self.prefetch_rows(dataset, (0, len(dataset)))
            return RowReader(self, dataset).read(0, len(dataset))
        return read_whole(dataset)

    def _read_column(self, group: h5py.Group, name: str) -> Any:  # noqa: ANN401
        dataset = member(group, name)
        kind = check_column(dataset, name)
        if kind == "neither":
            return None
        if kind == "numbers":
            return self._read_numbers(dataset)
        with reading(dataset):
            codes, values = read_factorized(dataset, self.read_bytes, base=self._base)
        return pd.Categorical.from_codes(codes, categories=pd.Index(values, dtype=object))

    @one_budget()
    def read_table(
        self, group: h5py.Group, *, columns: Collection[str] | None = None
    ) -> dict[str, Any]:
        """Read the columns of a DynamicTable, all if None, and its ids as ``"id"``."""
        # numbers as arrays, strings as Categoricals (they repeat), ragged columns as lists of
        # arrays; absent columns and those that do not fit into a data frame are left out
        # one listing instead of one look-up per column, each of which may be ragged
        members = set(list_names(group))
        names = column_names(group) if columns is None else columns
        wanted = {"id", *names, *(f"{name}_index" for name in names)}
        self.prefetch_tables([(group, sorted(wanted & members))])
        table: dict[str, Any] = {}
        if "id" in members:
            table["id"] = self._read_column(group, "id")
        for name in names:
            if name not in members or f"{name}_index_index" in members:
                continue
            values = self._read_column(group, name)
            if values is not None and f"{name}_index" in members:
                ends, flat = member(group, f"{name}_index"), np.asarray(values)
                bounds = check_ends(ends, read_whole(ends), len(flat))
                values = [flat[start:stop] for start, stop in itertools.pairwise(bounds)]
            if values is not None:
                table[name] = values
        return table

    def read_frame(self, group: h5py.Group, *, columns: Collection[str]) -> pd.DataFrame:
        """Read columns of a DynamicTable as a data frame, strings as plain strings."""
        table = self.read_table(group, columns=columns)
        check_table(group, table)
        index = pd.Index(check_unique(group, table.pop("id")), name="id")
        plain = {
            name: np.asarray(values, dtype=object) if isinstance(values, pd.Categorical) else values
            for name, values in table.items()
        }
        return pd.DataFrame(plain, index=index)

    @one_budget()
    def read_plain_frame(
        self, group: h5py.Group, *, skip: Collection[str] = (), keep_repeated_ids: bool = False
    ) -> pd.DataFrame:
        """Read the columns of any DynamicTable that hold one number, text or truth value a row."""
        # MATLAB writes a column as a matrix of one column or one row
        members = set(list_names(group))
        names = [name for name in column_names(group) if name not in {"id", *skip}]
        self.prefetch_tables([(group, ["id", *names])])
        found = flatten_whole(self._read_numbers(member(group, "id")))
        ids = (check_whole if keep_repeated_ids else check_unique)(group, found)
        frame, left_out = {}, []
        for name in names:
            dataset = find_dataset(group, name)
            kind = "neither" if dataset is None else kind_of(dataset)
            is_ragged = f"{name}_index" in members
            is_column = dataset is not None and len(ids) == dataset.size == max(
                dataset.shape, default=0
            )  # fmt: skip
            if dataset is None or is_ragged or kind == "neither" or not is_column:
                if dataset is not None and name not in _KNOWN_OTHERS:
                    why = "ragged" if is_ragged else f"{describe_type(dataset)}, {dataset.shape}"
                    left_out.append(f"{name} ({why})")
                continue
            values = self._read_numbers(dataset) if kind == "numbers" else self._read_texts(dataset)
            frame[name] = flatten(values)
        if left_out:
            warnings.warn(
                f"{where(group)} has {len(ids)} rows; columns without one number, text or truth "
                f"value in each are left out: {', '.join(left_out)}",
                stacklevel=4,
            )
        return pd.DataFrame(frame, index=pd.Index(ids, name="id"))

    def _read_texts(self, dataset: h5py.Dataset) -> npt.NDArray[np.object_]:
        with reading(dataset):
            if dataset.ndim == 1:
                codes, values = read_factorized(dataset, self.read_bytes, base=self._base)
                return np.asarray(values, dtype=object)[codes]
            read_references(dataset, self.read_bytes, base=self._base)
            texts = np.asarray(dataset[()]).reshape(-1)
            return np.array([to_text(text) for text in texts], dtype=object)


def flatten(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a matrix of one column or one row as one dimension; return others unchanged."""
    return values.reshape(-1) if values.ndim == 2 and 1 in values.shape else values


def flatten_whole(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Flatten whole numbers of any writer: MATLAB's are floats. Return others unchanged."""
    flat = flatten(values)
    return flat.astype(np.int64) if flat.dtype.kind == "f" and fits_int64(flat).all() else flat


def column_names(group: h5py.Group) -> list[str]:
    """List the existing columns of a DynamicTable in their order."""
    members = list_names(group)
    named = read_names(group, "colnames")
    known = set(members)
    # a repeated name would be read twice
    return [name for name in dict.fromkeys(members if named is None else named) if name in known]


class RowReader:
    """Read consecutive rows of one dataset from any thread."""

    # Contiguous datasets, as in the released files, are read without HDF5, whose lock lets only
    # one thread read at a time.

    # ``is_flat`` reads a matrix of one column or one row as one dimension.

    def __init__(self, file: Hdf5File, dataset: h5py.Dataset, *, is_flat: bool = False) -> None:
        self._file = file
        self._dataset = dataset
        self._dtype = dataset.dtype
        self._is_row = is_flat and dataset.ndim == 2 and len(dataset) == 1
        self.row_shape = () if is_flat and 1 in dataset.shape[:2] else dataset.shape[1:]
        self.row_bytes = self._dtype.itemsize * math.prod(self.row_shape)
        self._offset: int | None = dataset.id.get_offset() if is_plain(dataset) else None

    def prefetch(self, spans: Iterable[tuple[int, int]]) -> None:
        """Begin to download rows [start, stop) of a remote file."""
        if self._offset is not None:
            offset, length = self._offset, self.row_bytes
            self._file.reader.prefetch((offset + a * length, offset + b * length) for a, b in spans)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Read rows [start, stop)."""
        with self._file.closing_told(), reading(self._dataset):
            if self._offset is None:
                at: Any = (0, slice(start, stop)) if self._is_row else slice(start, stop)
                values = np.asarray(self._dataset[at])
                return _native(values.reshape(len(values), *self.row_shape))
            values = np.empty((stop - start, *self.row_shape), dtype=self._dtype)
            if values.size:
                first, into = self._offset + start * self.row_bytes, memoryview(values.data)
                n_read = self._file.reader.read_into(first, into.cast("B"))
                if n_read < values.nbytes:
                    raise OSError(f"the file ends {values.nbytes - n_read} bytes too soon")
            return _native(values)


def read_whole(dataset: h5py.Dataset) -> npt.NDArray[Any]:
    """Read all values of a dataset of numbers, in this machine's byte order."""
    with reading(dataset):
        return _native(np.asarray(dataset[()]))


def _native(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    # pandas and compiled loops take only the machine's byte order
    return values.astype(values.dtype.newbyteorder("="), copy=False)
