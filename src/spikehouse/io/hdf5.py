"""Open an HDF5 file and read tables from it; the errors a broken file gives are made here."""

from __future__ import annotations

import contextlib
import itertools
import os
import weakref
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.errors import (
    InvalidArgumentError,
    InvalidFileError,
)
from spikehouse.io import _remote
from spikehouse.io._attributes import Scalar, read_names, read_value
from spikehouse.io._guard import (
    describe_members,
    find_dataset,
    find_group,
    list_names,
    member,
)
from spikehouse.io._heap import read_factorized, read_references
from spikehouse.io._kinds import (
    check_column,
    check_ends,
    check_numbers,
    check_table,
    check_unique,
)
from spikehouse.io._opening import close_file, find_source, open_file
from spikehouse.io._stored import LIBRARY_ERRORS, one_budget, reading, user_block
from spikehouse.io._views import LocalBytes
from spikehouse.io.rows import RowReader, read_whole
from spikehouse.remote.protocol import Span
from spikehouse.remote.streaming.ranges import RemoteBytes

NwbPath: TypeAlias = str | os.PathLike[str] | RemoteBytes | IO[Any] | h5py.File
"""What a file can be opened from."""


class Hdf5File:
    """An open HDF5 file and random access to its bytes.

    Parameters
    ----------
    path
        A path, the address of a remote file, an open file that has a path, or an open remote
        file, which is then closed with this one. It is opened for reading only and without a
        lock, so that other packages can open it at the same time.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InvalidFileError
        If it is not an HDF5 file, or one cut short.
    SourceError
        If it is remote and the server fails.

    Notes
    -----
    Of a remote file, ``path`` is the name only; ``source`` is what it was opened from.
    """

    def __init__(self, path: NwbPath) -> None:
        self._begun: dict[str, set[str]] = {}
        source = find_source(path)
        self.remote = source if isinstance(source, RemoteBytes) else None
        self.path = Path(source.name) if isinstance(source, RemoteBytes) else source
        self._bytes = source if isinstance(source, RemoteBytes) else LocalBytes(source)
        try:
            self._file = open_file(self._bytes)
        except BaseException:
            if isinstance(self._bytes, LocalBytes):
                self._bytes.close()
            raise
        self._base = user_block(self._file)
        # a session that is simply forgotten must not keep its file open
        self._closing = weakref.finalize(self, close_file, self._file, self._bytes)
        self.prefetch_members(self._file)

    def __reduce__(self) -> tuple[type[Hdf5File], tuple[Path | RemoteBytes]]:
        return Hdf5File, (self.source,)

    @property
    def source(self) -> Path | RemoteBytes:
        """What the file was opened from; opening that again gives the same file."""
        return self.path if self.remote is None else self.remote

    @property
    def identity(self) -> tuple[str | int, ...]:
        """What tells this version of this file from any other."""
        if self.remote is not None:
            return self.remote.url, str(self.remote.remote.etag), self.remote.size
        facts = self.path.stat()
        return str(self.path.resolve()), facts.st_size, facts.st_mtime_ns

    @property
    def is_open(self) -> bool:
        """Whether the file can be read from."""
        return self._closing.alive

    @property
    def root(self) -> h5py.File:
        """The file's root group.

        Raises
        ------
        InvalidArgumentError
            If the file was closed.
        """
        if not self._file:
            raise self._explain_closed()
        return self._file

    def close(self) -> None:
        """Close the file; reading from it afterwards raises."""
        self._closing()

    @contextlib.contextmanager
    def closing_told(self) -> Iterator[None]:
        """Raise the package's error where another thread closes the file while the block reads.

        Yields
        ------
        None
            Nothing; the body reads.

        Raises
        ------
        InvalidArgumentError
            If the file was closed.
        """
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
        return self._bytes.read_into(offset, buffer)

    def prefetch(self, spans: Iterable[Span]) -> None:
        """Begin to fetch byte ranges that will be read; nothing to do for a file on disk.

        Parameters
        ----------
        spans
            First byte and the one after the last of each.
        """
        if self.remote is not None:
            self.remote.prefetch(spans)

    def prefetch_rows(self, dataset: h5py.Dataset, *runs: tuple[int, int]) -> None:
        """Begin to fetch rows that will be read; nothing to do for a file on disk.

        Parameters
        ----------
        dataset
            One of this file's.
        *runs
            First row and the one after the last of every run.
        """
        if self.remote is not None:
            spans = [span for run in runs for span in _remote.data_spans(dataset, *run)]
            self.remote.prefetch(spans)

    def prefetch_members(self, *groups: h5py.Group) -> None:
        """Begin to fetch the headers of what groups hold; nothing to do for a file on disk.

        Parameters
        ----------
        *groups
            Groups of this file.
        """
        if self.remote is not None:
            self.remote.prefetch(_remote.header_spans(groups), is_metadata=True)

    def prefetch_tables(self, tables: Sequence[_remote.Table]) -> None:
        """Begin to fetch columns of tables, all together; nothing to do for a file on disk.

        Parameters
        ----------
        tables
            DynamicTables and the names of their columns.
        """
        if self.remote is None:
            return
        # columns that were fetched with others are not looked up again
        new = [t for t in tables if not self._begun.get(str(t[0].name), set()) >= set(t[1])]
        self._begun.update({str(group.name): set(names) for group, names in new})
        if not new:
            return
        key = "\n".join(f"{group.name}: {', '.join(names)}" for group, names in new)
        known = self.remote.recall_spans(key)
        if known is not None:
            self.remote.prefetch(known)
            return
        self.prefetch_members(*(group for group, _ in new))
        plan = _remote.plan_tables(new)
        self.remote.prefetch(plan.columns)
        heaps: list[Span] = []
        for start, stop in plan.references:
            block = self.read_bytes(start, stop - start)
            heaps.extend(_remote.heap_spans(block, self._base))
        self.remote.prefetch(heaps)
        self.remote.keep_spans(key, [*plan.columns, *heaps])

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
        found = find_group(self.root, path)
        if found is None:
            raise InvalidFileError(
                f"{self.path} has no group /{path}, so it is not an NWB session file as the Allen "
                f"Brain Observatory writes them; it holds {describe_members(self.root)}"
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
        return find_group(self.root, path)

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
        found = find_dataset(self.root, path)
        return None if found is None else str(self.read_scalar(found))

    def read_scalar(self, dataset: h5py.Dataset) -> Scalar:
        """Read a dataset that holds one number or one text.

        Parameters
        ----------
        dataset
            One of this file's.

        Returns
        -------
        str, int, float or bool
            Its value.

        Raises
        ------
        InvalidFileError
            If it holds anything else, or cannot be read.
        """
        with reading(dataset):
            read_references(
                dataset, self.read_bytes, base=self._base
            )  # raises where a text is too long
        return read_value(dataset)

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
        found = find_dataset(self.root, path)
        if found is None:
            raise InvalidFileError(f"{self.path} has no dataset /{path}")
        check_numbers(found)
        return self._read_numbers(found)

    def _read_numbers(self, dataset: h5py.Dataset) -> npt.NDArray[Any]:
        if dataset.ndim:
            # past the library, which would read through one lock and keep what it read
            self.prefetch_rows(dataset, (0, len(dataset)))
            return RowReader(self, dataset).read(0, len(dataset))
        return read_whole(dataset)

    def _split(
        self,
        group: h5py.Group,
        name: str,
        values: Any,  # noqa: ANN401
    ) -> list[npt.NDArray[Any]]:
        ends = member(group, f"{name}_index")
        flat = np.asarray(values)
        bounds = check_ends(ends, read_whole(ends), len(flat))
        return [flat[start:stop] for start, stop in itertools.pairwise(bounds)]

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

    def read_table(
        self, group: h5py.Group, *, columns: Collection[str] | None = None
    ) -> dict[str, Any]:
        """Read the columns of a table, and its ids under ``"id"``.

        Parameters
        ----------
        group
            A DynamicTable.
        columns
            Which of its columns; all if None. Those it does not have are left out, and those a
            frame has no place for: references, several dimensions, lists of lists.

        Returns
        -------
        dict
            Column name → values: numbers as an array, strings as a Categorical (which is how they
            repeat in these files), ragged columns (with ``<name>_index`` beside them) as a list
            of arrays.
        """
        with one_budget():
            return self._read_columns(group, columns)

    def _read_columns(self, group: h5py.Group, columns: Collection[str] | None) -> dict[str, Any]:
        # one listing of the members instead of a look-up for every column that may be ragged
        members = set(list_names(group))
        names = column_names(group) if columns is None else columns
        if self.remote is not None:
            wanted = {"id", *names, *(f"{name}_index" for name in names)}
            self.prefetch_tables([(group, sorted(wanted & members))])
        table: dict[str, Any] = {}
        if "id" in members:
            table["id"] = self._read_column(group, "id")
        for name in names:
            if name not in members or f"{name}_index_index" in members:
                continue
            values = self._read_column(group, name)
            if values is not None:
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
        check_table(group, table)
        index = pd.Index(check_unique(group, table.pop("id")), name="id")
        plain = {
            name: np.asarray(values, dtype=object) if isinstance(values, pd.Categorical) else values
            for name, values in table.items()
        }
        return pd.DataFrame(plain, index=index)


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
    members = list_names(group)
    named = read_names(group, "colnames")
    known = set(members)
    # a name that stands twice would be read twice
    return [name for name in dict.fromkeys(members if named is None else named) if name in known]
