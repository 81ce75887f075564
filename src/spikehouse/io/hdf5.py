"""Open an HDF5 file and read tables from it; the errors a broken file gives are made here."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import threading
import weakref
from collections.abc import Collection, Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.errors import InvalidArgumentError, InvalidFileError
from spikehouse.io._heap import read_factorized

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


class Hdf5File:
    """An open HDF5 file and random access to its bytes.

    Parameters
    ----------
    path
        The file; it is opened for reading only, without locks, so that a read-only or a network
        folder will do. To open the same file with h5py beside it, write
        ``h5py.File(path, locking=False)``: HDF5 wants all handles of a process to agree.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InvalidFileError
        If it is not an HDF5 file, or one cut short.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        _check_signature(self.path)
        self._file = _open(self.path)
        self._handle = self.path.open("rb", buffering=0)
        self._lock = threading.Lock()
        # a session that is simply forgotten must not keep its file open
        self._closing = weakref.finalize(self, _close, self._file, self._handle)

    @property
    def is_open(self) -> bool:
        """Whether the file can be read from."""
        return not self._handle.closed

    @property
    def root(self) -> h5py.File:
        """The file's root group.

        Raises
        ------
        InvalidArgumentError
            If the file was closed.
        """
        if not self._file:
            raise InvalidArgumentError(f"{self.path} was closed; open the session again")
        return self._file

    def close(self) -> None:
        """Close the file; reading from it afterwards raises."""
        self._closing()

    def read_bytes(self, offset: int, length: int) -> bytes:
        """Read bytes at a position; threads may share the file.

        Parameters
        ----------
        offset
            First byte.
        length
            How many; fewer come back at the end of the file.

        Returns
        -------
        bytes
            What stands there.
        """
        block = bytearray(length)
        return bytes(block[: self.read_into(offset, memoryview(block))])

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Read bytes at a position into memory that is there; threads may share the file.

        Parameters
        ----------
        offset
            First byte.
        buffer
            Bytes to fill.

        Returns
        -------
        int
            How many were filled; fewer than asked for at the end of the file.
        """
        n_filled = 0
        while n_filled < len(buffer):
            n_read = self._read_some(offset + n_filled, buffer[n_filled:])
            if n_read == 0:
                break
            n_filled += n_read
        return n_filled

    def _read_some(self, offset: int, buffer: memoryview) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._handle.fileno(), [buffer], offset)
        with self._lock:  # Windows has one position for all threads
            self._handle.seek(offset)
            return self._handle.readinto(buffer) or 0

    def group(self, path: str) -> h5py.Group:
        """Find a group that must be there.

        Parameters
        ----------
        path
            Its path from the root.

        Returns
        -------
        h5py.Group
            The group.

        Raises
        ------
        InvalidFileError
            If the file has no such group.
        """
        found = self.root.get(path)
        if not isinstance(found, h5py.Group):
            raise InvalidFileError(
                f"{self.path} has no group /{path}, so it is not an NWB session file as the Allen "
                f"Brain Observatory writes them; it holds {', '.join(self._file) or 'nothing'}"
            )
        return found

    def find(self, path: str) -> h5py.Group | None:
        """Find a group that may be absent.

        Parameters
        ----------
        path
            Its path from the root.

        Returns
        -------
        h5py.Group or None
            The group, None where the file has none.
        """
        found = self.root.get(path)
        return found if isinstance(found, h5py.Group) else None

    def read_text(self, path: str) -> str | None:
        """Read one string.

        Parameters
        ----------
        path
            Path of a scalar dataset.

        Returns
        -------
        str or None
            The text, None where there is no such dataset.
        """
        found = self.root.get(path)
        return decode(found[()]) if isinstance(found, h5py.Dataset) else None

    def read_array(self, path: str) -> npt.NDArray[Any]:
        """Read a whole numeric dataset.

        Parameters
        ----------
        path
            Its path from the root.

        Returns
        -------
        ndarray
            Its values.

        Raises
        ------
        InvalidFileError
            If it is missing or cannot be read.
        """
        found = self.root.get(path)
        if not isinstance(found, h5py.Dataset):
            raise InvalidFileError(f"{self.path} has no dataset /{path}")
        with reading(found):
            return np.asarray(found[()])

    def _split(
        self,
        group: h5py.Group,
        name: str,
        values: Any,  # noqa: ANN401
    ) -> list[npt.NDArray[Any]]:
        ends = group[f"{name}_index"]
        flat = np.asarray(values)
        with reading(ends):
            bounds = np.r_[0, ends[()].astype(np.int64)]
        return [flat[start:stop] for start, stop in itertools.pairwise(bounds)]

    def _read_whole(self, dataset: h5py.Dataset) -> Any:  # noqa: ANN401
        with reading(dataset):
            if h5py.check_string_dtype(dataset.dtype) is None:
                return np.asarray(dataset[()])
            codes, values = read_factorized(dataset, self.read_bytes)
        return pd.Categorical.from_codes(codes, categories=pd.Index(values, dtype=object))

    def read_table(
        self, group: h5py.Group, *, columns: Collection[str] | None = None
    ) -> dict[str, Any]:
        """Read the columns of a table, and its ids under ``"id"``.

        Parameters
        ----------
        group
            A DynamicTable.
        columns
            Which of its columns; all if None. Those it does not have are left out.

        Returns
        -------
        dict
            Column name → values: numbers as an array, strings as a Categorical (which is how they
            repeat in these files), ragged columns (with ``<name>_index`` beside them) as a list
            of arrays.
        """
        # one listing of the members instead of a look-up for every column that may be ragged
        members = set(group)
        names = column_names(group) if columns is None else columns
        table: dict[str, Any] = {}
        if "id" in members:
            table["id"] = self._read_whole(group["id"])
        for name in names:
            if name in members:
                values = self._read_whole(group[name])
                ragged = f"{name}_index" in members
                table[name] = self._split(group, name, values) if ragged else values
        return table

    def read_frame(self, group: h5py.Group, *, columns: Collection[str]) -> pd.DataFrame:
        """Read columns of a table as a frame.

        Parameters
        ----------
        group
            A DynamicTable.
        columns
            Which of its columns; those it does not have are left out.

        Returns
        -------
        DataFrame
            Index ``id``; strings as plain strings.
        """
        table = self.read_table(group, columns=columns)
        index = pd.Index(table.pop("id").astype(np.int64), name="id")
        plain = {
            name: np.asarray(values, dtype=object) if isinstance(values, pd.Categorical) else values
            for name, values in table.items()
        }
        return pd.DataFrame(plain, index=index)


class RowReader:
    """Runs of rows of one dataset, from any thread.

    Parameters
    ----------
    file
        The open file.
    dataset
        A dataset of numbers, of one dimension or more.

    Notes
    -----
    Where the rows lie one after the other in the file, as they do in released ones, their bytes
    are read without HDF5, which would let one thread read at a time; else HDF5 reads them.
    """

    def __init__(self, file: Hdf5File, dataset: h5py.Dataset) -> None:
        self._file = file
        self._dataset = dataset
        self._dtype = dataset.dtype
        self._row_shape = dataset.shape[1:]
        self._row_bytes = self._dtype.itemsize * math.prod(self._row_shape)
        self._offset: int | None = dataset.id.get_offset()

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Read rows.

        Parameters
        ----------
        start, stop
            First row and the one after the last; both within the dataset.

        Returns
        -------
        ndarray, shape (stop - start, …)
            Their values.

        Raises
        ------
        InvalidFileError
            If they cannot be read, or the file ends before them.
        InvalidArgumentError
            If the file was closed.
        """
        if self._offset is None:
            with reading(self._dataset):
                return np.asarray(self._dataset[start:stop])
        values = np.empty((stop - start, *self._row_shape), dtype=self._dtype)
        if values.size:
            first = self._offset + start * self._row_bytes
            with reading(self._dataset):
                self._fill(values, first)
        return values

    def _fill(self, values: npt.NDArray[Any], first: int) -> None:
        if not self._file.is_open:
            raise InvalidArgumentError(f"{self._file.path} was closed; open the session again")
        n_read = self._file.read_into(first, memoryview(values.data).cast("B"))
        if n_read < values.nbytes:
            raise OSError(f"the file ends {values.nbytes - n_read} bytes too soon")


def _open(path: Path) -> h5py.File:
    """Open for reading, without locks unless someone in this process holds the file with them."""
    try:
        try:
            return h5py.File(path, mode="r", locking=False)
        except OSError as error:
            if "locking flag" not in str(error):
                raise
            # HDF5 wants all handles of one process to agree
            return h5py.File(path, mode="r")
    except OSError as error:
        raise InvalidFileError(
            f"{path} begins like an HDF5 file but cannot be opened: {error}. "
            "It may have been cut short; compare its size with the source's and fetch it again"
        ) from error


def _close(file: h5py.File, handle: FileIO) -> None:
    file.close()
    handle.close()


def column_names(group: h5py.Group) -> list[str]:
    """List a table's columns in their order.

    Parameters
    ----------
    group
        A DynamicTable.

    Returns
    -------
    list of str
        The attribute ``colnames``, as far as the columns exist.
    """
    members = list(group)
    named = [decode(name) for name in group.attrs.get("colnames", members)]
    return [name for name in named if name in set(members)]


def decode(value: Any) -> str:  # noqa: ANN401 - h5py gives bytes or str
    """Make text of what h5py gives for a string.

    Parameters
    ----------
    value
        Bytes or str.

    Returns
    -------
    str
        The text.
    """
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


@contextlib.contextmanager
def reading(dataset: h5py.Dataset) -> Iterator[None]:
    """Name the dataset in the error when its bytes cannot be read.

    Parameters
    ----------
    dataset
        What is being read.

    Yields
    ------
    None
        Nothing; the body reads.

    Raises
    ------
    InvalidFileError
        If reading fails.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise InvalidFileError(
            f"{dataset.file.filename}: {dataset.name} cannot be read ({error}); the rest of the "
            "file may still be good. Nothing was deleted"
        ) from error


def _check_signature(path: Path) -> None:
    with path.open("rb") as handle:
        head = handle.read(len(HDF5_SIGNATURE))
    if head == HDF5_SIGNATURE:
        return
    size = path.stat().st_size
    looks = "it is empty" if not head else f"it begins with {head!r}"
    raise InvalidFileError(f"{path} is not an HDF5 file: {looks} ({size} bytes)")
