"""Find the byte ranges of a remote HDF5 file that the library is going to read.

The library follows HDF5's metadata one small read after another, and each would be a request. Here
the object headers of all members of a group are found before any of them is opened: the group's
links hold their addresses. Then come the columns of a table, all together, and last the string
heaps that their references point into.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from spikehouse.errors import InvalidFileError
from spikehouse.nwb._check_size import user_block
from spikehouse.nwb._safe_open import find, list_links, list_names
from spikehouse.nwb._vlen_strings import REFERENCE, has_references
from spikehouse.transfer.byte_ranges import ByteRange

# an object header and the index of a group, which the library allocates together
_HEADER_BYTES = 4 << 10
# a collection of the string heap, unless it has a larger string
_HEAP_BYTES = 64 << 10
# strings take at most this many times the bytes of the references, which are stored before them
_STRINGS_PER_REFERENCE = 8
_MOST_CHUNKS = 4096

Table: TypeAlias = tuple[h5py.Group, Sequence[str]]
"""A DynamicTable and the names of the columns to read."""


def header_ranges(groups: Iterable[h5py.Group]) -> Iterator[ByteRange]:
    """Find the byte ranges of the object headers of the groups' members, without opening them."""
    for group in groups:
        base = user_block(group)
        for address in list_links(group, addresses=True).values():
            if address is not None:
                yield base + address, base + address + _HEADER_BYTES


def data_ranges(dataset: h5py.Dataset, start: int, stop: int) -> list[ByteRange]:
    """Find the byte ranges of rows of a dataset; none if only the library knows them."""
    if not dataset.shape or start >= stop:
        return []
    row_bytes = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64))
    offset = dataset.id.get_offset()
    if offset is not None:
        return [(offset + start * row_bytes, offset + stop * row_bytes)]
    # chunks that divide the rows, or very many chunks: left to the library
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


def plan_tables(tables: Sequence[Table]) -> tuple[list[ByteRange], list[ByteRange]]:
    """Find the byte ranges of the columns of tables, and those of references among them."""
    # Behind a column of references come the strings it probably refers to; reading the references
    # tells where the strings are.
    # of all members: a column's strings end where the next member begins
    members = [dict(_datasets(group)) for group, _ in tables]
    offsets = (dataset.id.get_offset() for found in members for dataset in found.values())
    starts = sorted(offset for offset in offsets if offset is not None)
    columns: list[ByteRange] = []
    references: list[ByteRange] = []
    for found, (_, names) in zip(members, tables, strict=True):
        for dataset in (found[name] for name in names if name in found):
            here = data_ranges(dataset, 0, len(dataset))
            columns.extend(here)
            if has_references(dataset):
                references.extend(here)
                columns.extend(_strings_after(span, starts) for span in here)
    return columns, references


def _strings_after(span: ByteRange, starts: list[int]) -> ByteRange:
    """Guess the byte range of the strings that were written with a column of references."""
    start, stop = span
    place = bisect_left(starts, stop)
    following = starts[place] if place < len(starts) else stop
    is_likely = following - stop <= _STRINGS_PER_REFERENCE * (stop - start) + _HEAP_BYTES
    return (stop, following) if is_likely else (stop, stop)


def heap_ranges(block: bytes, base: int) -> list[ByteRange]:
    """Find the byte ranges of the collections that references point into; they may overlap."""
    n_bytes = len(block) // REFERENCE.itemsize * REFERENCE.itemsize
    references = np.frombuffer(block[:n_bytes], dtype=REFERENCE)
    addresses: npt.NDArray[np.uint64] = np.unique(references["address"][references["length"] > 0])
    return [(base + at, base + at + _HEAP_BYTES) for at in addresses.tolist()]


def _datasets(group: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
    for name in list_names(group):
        # a broken member raises when it is read
        with contextlib.suppress(InvalidFileError):
            found = find(group, name)
            if isinstance(found, h5py.Dataset) and found.ndim:
                yield name, found
