"""Reading HDF5 over a network: a file object for the library, and what to fetch ahead of it.

The library follows HDF5's metadata one small read after another, and each would be a request. Here
the object headers of all members of a group are fetched together before any of them is opened: a
group's links say where they are. Then the columns of a table, as one plan; then the string heaps
that its references point into.
"""

from __future__ import annotations

import contextlib
import io
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from spikehouse.errors import InvalidFileError
from spikehouse.io._guard import find_dataset, list_links, list_names
from spikehouse.io._stored import user_block
from spikehouse.remote.protocol import Span
from spikehouse.remote.streaming.ranges import RemoteBytes

# the library reads its metadata in pieces smaller than this, and data in larger ones
_LARGEST_METADATA = 16 << 10
# an object header with the group's index beside it, as the library allocates them
_HEADER_BYTES = 4 << 10
# a collection of the string heap, unless one string is larger
_HEAP_BYTES = 64 << 10
# strings take up to so many times the room of the references to them, which come before them
_STRINGS_PER_REFERENCE = 8
# length, address of the collection, index within it: HDF5 File Format Specification, III.E
_REFERENCE = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])
_MOST_CHUNKS = 4096

Table: TypeAlias = tuple[h5py.Group, Sequence[str]]
"""A DynamicTable and the names of its columns."""


class RemoteView(io.RawIOBase):
    """What h5py reads a remote file through.

    Parameters
    ----------
    remote
        The file.
    """

    def __init__(self, remote: RemoteBytes) -> None:
        super().__init__()
        self._remote = remote
        self._position = 0

    def __repr__(self) -> str:  # what h5py calls the file
        return self._remote.url

    def readable(self) -> bool:
        """Say that it can be read.

        Returns
        -------
        bool
            True.
        """
        return True

    def seekable(self) -> bool:
        """Say that reading may begin anywhere.

        Returns
        -------
        bool
            True.
        """
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position.

        Parameters
        ----------
        offset
            How far from where ``whence`` says.
        whence
            The beginning, here, or the end.

        Returns
        -------
        int
            The position.
        """
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._remote.size}
        self._position = origin[whence] + offset
        return self._position

    def tell(self) -> int:
        """Say where the next read begins.

        Returns
        -------
        int
            The position.
        """
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read from here on.

        Parameters
        ----------
        buffer
            Bytes to fill.

        Returns
        -------
        int
            How many were filled.
        """
        target = memoryview(buffer).cast("B")
        is_small = len(target) <= _LARGEST_METADATA
        read = self._remote.read_metadata_into if is_small else self._remote.read_into
        n_read = read(self._position, target)
        self._position += n_read
        return n_read


def header_spans(groups: Iterable[h5py.Group]) -> list[Span]:
    """Find where the object headers of the members of groups lie, without opening them.

    Parameters
    ----------
    groups
        Open groups.

    Returns
    -------
    list of Span
        One a member that is linked directly.
    """
    spans = []
    for group in groups:
        base = user_block(group)
        for address in list_links(group, addresses=True).values():
            if address is not None:
                spans.append((base + address, base + address + _HEADER_BYTES))
    return spans


def data_spans(dataset: h5py.Dataset, start: int, stop: int) -> list[Span]:
    """Find where rows of a dataset lie.

    Parameters
    ----------
    dataset
        An open dataset.
    start, stop
        First row and the one after the last.

    Returns
    -------
    list of Span
        One range, or that of every chunk; none where the library alone can tell.
    """
    if not dataset.shape or start >= stop:
        return []
    row_bytes = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64))
    offset = dataset.id.get_offset()
    if offset is not None:
        return [(offset + start * row_bytes, offset + stop * row_bytes)]
    # a grid over other dimensions too, or very many chunks: left to the library
    if not dataset.chunks or dataset.chunks[1:] != dataset.shape[1:]:
        return []
    rows = dataset.chunks[0]
    if (stop - start) // rows > _MOST_CHUNKS:
        return []
    spans = []
    for first in range(start // rows * rows, stop, rows):
        info = dataset.id.get_chunk_info_by_coord((first, *(0 for _ in dataset.shape[1:])))
        if info.byte_offset is not None:
            spans.append((info.byte_offset, info.byte_offset + info.size))
    return spans


def is_strings(dataset: h5py.Dataset) -> bool:
    """Say whether a dataset holds references to strings elsewhere.

    Parameters
    ----------
    dataset
        An open dataset.

    Returns
    -------
    bool
        Whether its type is a string of variable length.
    """
    found = h5py.check_string_dtype(dataset.dtype)
    return found is not None and found.length is None


@dataclass(frozen=True)
class TablePlan:
    """Where tables lie.

    Attributes
    ----------
    columns
        At least one span a column, with the strings that probably follow it.
    references
        One span a column of strings that is stored in one piece: its references.
    """

    columns: list[Span]
    references: list[Span]


def plan_tables(tables: Sequence[Table]) -> TablePlan:
    """Find where the columns of tables lie.

    Parameters
    ----------
    tables
        Tables and the names of their columns.

    Returns
    -------
    TablePlan
        What to fetch, and what to look into then.
    """
    # of the other members too: the next one is where a column's strings end
    members = [dict(_datasets(group)) for group, _ in tables]
    offsets = (dataset.id.get_offset() for found in members for dataset in found.values())
    starts = sorted(offset for offset in offsets if offset is not None)
    columns: list[Span] = []
    references: list[Span] = []
    for found, (_, names) in zip(members, tables, strict=True):
        for dataset in (found[name] for name in names if name in found):
            here = data_spans(dataset, 0, len(dataset))
            columns.extend(here)
            if is_strings(dataset) and dataset.id.get_offset() is not None:
                references.extend(here)
                columns.extend(_strings_after(span, starts) for span in here)
    return TablePlan(columns, references)


def _strings_after(span: Span, starts: list[int]) -> Span:
    """Guess where the strings lie that were written with a column of references."""
    start, stop = span
    place = bisect_left(starts, stop)
    following = starts[place] if place < len(starts) else stop
    is_likely = following - stop <= _STRINGS_PER_REFERENCE * (stop - start) + _HEAP_BYTES
    return (stop, following) if is_likely else (stop, stop)


def heap_spans(block: bytes, base: int) -> list[Span]:
    """Find where the strings of a column lie.

    Parameters
    ----------
    block
        The column's references.
    base
        Bytes of the user block.

    Returns
    -------
    list of Span
        Of the heap's collections; neighbouring ones may overlap.
    """
    n_bytes = len(block) // _REFERENCE.itemsize * _REFERENCE.itemsize
    references = np.frombuffer(block[:n_bytes], dtype=_REFERENCE)
    addresses: npt.NDArray[np.uint64] = np.unique(references["address"][references["length"] > 0])
    return [(base + at, base + at + _HEAP_BYTES) for at in addresses.tolist()]


def _datasets(group: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
    for name in list_names(group):
        # reading it will say what is wrong with it
        with contextlib.suppress(InvalidFileError):
            found = find_dataset(group, name)
            if found is not None and found.ndim:
                yield name, found
