"""Variable-length strings straight from HDF5's global heap.

The HDF5 library resolves one string at a time, about a microsecond each; the stimulus tables
of one session hold 400 000 of them, nearly all equal to their neighbour. Here a column's
references are read as one block, the heap collections they point into as a few, and the
strings are compared as arrays. Every object's length is checked against its reference; a column
that does not agree is read through the library instead, if its references ask for no more than
the file can hold.

Layout: HDF5 File Format Specification, III.E "Disk Format: Level 1E - Global Heap".
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.errors import InvalidFileError
from spikehouse.io._attributes import LARGEST_STRING
from spikehouse.io._stored import FLOOR_BYTES, file_name, file_size, user_block

ByteReader = Callable[[int, int], bytes]
"""Gives ``length`` bytes of the file from ``offset`` on; fewer at its end."""

_REFERENCE = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])
_SIGNATURE = b"GCOL"
# in words of eight bytes: what precedes the objects of a collection, and the data of an object
_HEADER = 2
_OBJECT_HEADER = 2
# the two lowest bytes of an object's header are its index; the reference count follows
_INDEX = 0xFFFF
_USUAL_COLLECTION = 1 << 16
_LARGEST_GAP = 1 << 18
_LARGEST_SPAN = 1 << 26
_WORTHWHILE = 64
_SINGLY = 256
_SHORT_RUN = 8
_PROBED = 64
# wider or more varied texts than these are told apart one by one, or after sorting by length
_WIDEST = 64
_FEW_LENGTHS = 16

Factorized = tuple[npt.NDArray[np.int32], npt.NDArray[np.object_]]


class _Unreadable(Exception):
    """The heap is not laid out as expected; the library must read it."""


def read_factorized(dataset: h5py.Dataset, read_bytes: ByteReader | None) -> Factorized:
    """Read a column of variable-length strings as codes into its distinct values.

    Parameters
    ----------
    dataset
        One-dimensional, of variable-length strings.
    read_bytes
        Random access to the file's bytes; None leaves everything to the HDF5 library.

    Returns
    -------
    codes : ndarray of int32, shape (n,)
        Positions in ``values``.
    values : ndarray of object, shape (n_distinct,)
        The distinct strings.

    Raises
    ------
    InvalidFileError
        If a string is longer than a megabyte, or all of them longer than the file.
    """
    references = None if read_bytes is None else read_references(dataset, read_bytes)
    if read_bytes is None or references is None or len(references) < _WORTHWHILE:
        return _read_by_library(dataset)
    try:
        return _resolve(references, read_bytes, file_size(dataset))
    except _Unreadable:
        return _read_by_library(dataset)


def read_references(dataset: h5py.Dataset, read_bytes: ByteReader) -> npt.NDArray[Any] | None:
    """Read where a dataset's strings are, and make sure that they can be.

    Parameters
    ----------
    dataset
        Any dataset.
    read_bytes
        Random access to the file's bytes.

    Returns
    -------
    ndarray or None
        "length" [bytes], "address" of the collection and "index" in it of each string; None
        where the dataset is not of variable-length strings in one piece.

    Raises
    ------
    InvalidFileError
        If a string is longer than a megabyte, or all of them longer than the file.

    Notes
    -----
    The HDF5 library makes room for as many bytes as a reference asks for, up to 4 GB, before it
    looks whether there are so many.
    """
    if not _has_references(dataset):
        return None
    asked = dataset.size * _REFERENCE.itemsize
    block = read_bytes(dataset.id.get_offset(), asked)
    if len(block) != asked:
        raise InvalidFileError(
            f"{file_name(dataset)}: {dataset.name} cannot be read: the file ends "
            f"{asked - len(block)} bytes too soon"
        )
    references = np.frombuffer(bytearray(block), dtype=_REFERENCE)
    references["address"] += user_block(dataset)
    _check_lengths(dataset, references["length"], file_size(dataset))
    return references


def _has_references(dataset: h5py.Dataset) -> bool:
    """Whether references of 16 bytes lie one after the other, and what they point at is text."""
    text = h5py.check_string_dtype(dataset.dtype)
    return (
        text is not None
        and text.length is None
        and dataset.id.get_offset() is not None
        and dataset.id.get_storage_size() == dataset.size * _REFERENCE.itemsize
    )


def _check_lengths(dataset: h5py.Dataset, lengths: npt.NDArray[np.uint32], size: int) -> None:
    longest = int(lengths.max(initial=0))
    if longest > LARGEST_STRING:
        raise InvalidFileError(
            f"{file_name(dataset)}: {dataset.name} has a string of {longest} bytes; at most "
            f"{LARGEST_STRING} are read"
        )
    # written one by one they fit into the file; only references to the same text again do not
    together = int(lengths.sum(dtype=np.int64))
    if together > size + FLOOR_BYTES:
        raise InvalidFileError(
            f"{file_name(dataset)}: {dataset.name} has strings of {together} bytes in all, more "
            f"than the file's {size}"
        )


def _read_by_library(dataset: h5py.Dataset) -> Factorized:
    codes, values = pd.factorize(dataset[()])
    return codes.astype(np.int32), _decode(values)


def _decode(values: Any) -> npt.NDArray[np.object_]:  # noqa: ANN401 - bytes or str, as h5py likes
    decoded = np.empty(len(values), dtype=object)
    decoded[:] = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values]
    return decoded


def _resolve(references: npt.NDArray[Any], read_bytes: ByteReader, size: int) -> Factorized:
    addresses = references["address"].astype(np.int64)
    # a column is written in one go: its strings lie collection after collection
    edges = np.flatnonzero(np.diff(addresses)) + 1
    if len(edges) > len(references) // 8:
        raise _Unreadable
    bounds = [0, *edges.tolist(), len(references)]
    runs = list(itertools.pairwise(bounds))
    lengths = np.ascontiguousarray(references["length"])
    indices = references["index"].astype(np.int64)
    filled = [run for run in runs if lengths[run[0]]]
    heap = _Heap(np.unique(addresses[[start for start, _ in filled]]), read_bytes, size)
    codes = np.zeros(len(references), dtype=np.int32)
    code_of: dict[bytes, int] = {}
    for start, stop in runs:
        if not lengths[start]:
            if lengths[start:stop].any():
                raise _Unreadable
            found, inverse = [b""], None
        else:
            found, inverse = heap.look_up(
                int(addresses[start]), indices[start:stop], lengths[start:stop]
            )
        # the same text can come once with and once without a closing zero byte
        new = [code_of.setdefault(text.rstrip(b"\0"), len(code_of)) for text in found]
        codes[start:stop] = new[0] if inverse is None else np.array(new)[inverse]
    return codes, _decode(list(code_of))


Found = tuple[list[bytes], npt.NDArray[np.int64] | None]
"""Distinct strings, and for each reference which of them; None where there is but one."""


class _Heap:
    """Collections of the global heap, as 8-byte words."""

    def __init__(
        self, addresses: npt.NDArray[np.int64], read_bytes: ByteReader, file_size: int
    ) -> None:
        self._collections: dict[int, npt.NDArray[np.uint64]] = {}
        self._tables: dict[int, npt.NDArray[np.int64]] = {}
        # collections that overlap would let a small file be read many times over
        self._end = 0
        if addresses.size and not 0 < addresses[0] <= addresses[-1] < file_size:
            raise _Unreadable
        breaks = np.flatnonzero(np.diff(addresses) > _LARGEST_GAP) + 1
        for group in np.split(addresses, breaks):
            if len(group):
                self._read(group.tolist(), read_bytes)

    def _read(self, addresses: list[int], read_bytes: ByteReader) -> None:
        low, high = addresses[0], addresses[-1]
        if high - low > _LARGEST_SPAN:
            raise _Unreadable
        piece = read_bytes(low, high - low + _USUAL_COLLECTION)
        size = _collection_size(piece, high - low)
        if high - low + size > len(piece):
            piece = read_bytes(low, high - low + size)
        for address in addresses:
            offset = address - low
            size = _collection_size(piece, offset)
            if size % 8 or offset + size > len(piece) or address < self._end:
                raise _Unreadable
            self._end = address + size
            words = np.frombuffer(piece, dtype="<u8", offset=offset, count=size // 8)
            self._collections[address] = words

    def look_up(
        self, address: int, indices: npt.NDArray[np.int64], lengths: npt.NDArray[np.uint32]
    ) -> Found:
        words = self._collections[address]
        only = _only_text(words, indices, lengths)
        if only is not None:
            return [only], None
        table = self._tables.get(address)
        if table is None:
            table = self._tables[address] = _tabulate(words)
        if indices.max() >= len(table):
            raise _Unreadable
        places = table[indices]
        if (places < 0).any() or (words[places + 1] != lengths).any():
            raise _Unreadable
        return _distinct(words, places + _OBJECT_HEADER, lengths)


def _tabulate(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Give the place of each object's header by the object's index, -1 where there is none."""
    headers = _walk(words)
    known = (words[headers] & _INDEX).astype(np.int64)
    # the library numbers the objects of a collection from 1 on
    if known.max(initial=0) > len(words):
        raise _Unreadable
    table = np.full(int(known.max(initial=0)) + 1, -1, dtype=np.int64)
    table[known] = headers
    return table


def _collection_size(piece: bytes, offset: int) -> int:
    head = piece[offset : offset + 8 * _HEADER]
    size = int.from_bytes(head[8:16], "little")
    smallest = 8 * (_HEADER + _OBJECT_HEADER)
    if not head.startswith(_SIGNATURE) or not smallest <= size <= _LARGEST_SPAN:
        raise _Unreadable
    return size


def _only_text(
    words: npt.NDArray[np.uint64], indices: npt.NDArray[np.int64], lengths: npt.NDArray[np.uint32]
) -> bytes | None:
    """Give the text if all references are to the same one, in equally long objects in a row.

    That is how a column of one value is written, and most columns are.
    """
    length = int(words[_HEADER + 1])
    if (lengths != length).any():
        return None
    stride = _OBJECT_HEADER + (length + 7) // 8
    n_objects = int(indices.max())
    if not 0 < n_objects <= (len(words) - _HEADER) // stride:
        return None
    objects = words[_HEADER : _HEADER + n_objects * stride].reshape(n_objects, stride)
    in_order = (objects[:, 0] & _INDEX == np.arange(1, n_objects + 1)).all()
    if not in_order or (objects[:, 1] != length).any():
        return None
    texts = _masked(objects[:, _OBJECT_HEADER:], length)
    # the index 0 is that of free space
    is_one = (texts == texts[0]).all() and indices.all()
    return texts[0].tobytes()[:length] if is_one else None


def _masked(texts: npt.NDArray[np.uint64], length: int) -> npt.NDArray[np.uint64]:
    """Blank what pads strings to whole words: it need not be zero."""
    if length % 8:
        texts = texts.copy()
        texts[:, -1] &= np.uint64((1 << 8 * (length % 8)) - 1)
    return texts


def _walk(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Follow a collection from object to object; gives the places of their headers.

    Objects come in runs of one length, which stand at equal distances; where they do not, they
    are followed one by one.
    """
    place, pieces, n_found = _HEADER, [], 0
    while place + _OBJECT_HEADER <= len(words) and n_found <= _INDEX:
        run = _follow_run(words[place:])
        step = int(run[-1] + run[1]) if len(run) >= _SHORT_RUN else 0
        if not step:
            run, step = _follow_singly(words[place : place + _SINGLY].tolist())
        pieces.append(place + run)
        n_found += len(run)
        place += step
    return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int64)


def _follow_run(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Where the headers of the first objects stand, as long as they are equally long."""
    padded = (int(words[1]) + 7) // 8
    step = _OBJECT_HEADER + padded
    if len(words) > 8 * _PROBED * step:
        # going through all of a large collection for every few objects would take hours
        few = np.arange(0, _PROBED * step, step)
        words = words if _runs(words, few, padded).all() else words[: _PROBED * step]
    words = words[: (_INDEX + 1) * step]
    headers = np.arange(0, len(words) - 1, step)
    same = _runs(words, headers, padded)
    return headers if same.all() else headers[: int(np.argmin(same))]


def _runs(
    words: npt.NDArray[np.uint64], headers: npt.NDArray[np.int64], padded: int
) -> npt.NDArray[np.bool_]:
    """Say of each place whether an object as long as the first begins there."""
    same: npt.NDArray[np.bool_] = words[headers] & _INDEX != 0
    same &= (words[headers + 1] + 7) // 8 == padded
    return same


def _follow_singly(words: list[int]) -> tuple[npt.NDArray[np.int64], int]:
    """Where the headers of objects stand, and where the next one will."""
    headers, place = [], 0
    while place + _OBJECT_HEADER <= len(words):
        if not words[place] & _INDEX:
            # free space, which the library keeps behind all objects
            place = _LARGEST_SPAN
            break
        headers.append(place)
        place += _OBJECT_HEADER + (words[place + 1] + 7) // 8
    return np.array(headers, dtype=np.int64), place


def _distinct(
    words: npt.NDArray[np.uint64], places: npt.NDArray[np.int64], lengths: npt.NDArray[np.uint32]
) -> Found:
    codes = np.empty(len(places), dtype=np.int64)
    found: list[bytes] = []
    for length, here in _by_length(lengths):
        n_words = (length + 7) // 8
        if int(places[here].max()) + n_words > len(words):
            raise _Unreadable
        texts = _masked(words[places[here][:, None] + np.arange(n_words)], length)
        inverse, first = _number_rows(texts)
        codes[here] = len(found) + inverse
        found.extend(row.tobytes()[:length] for row in texts[first])
    return found, codes


def _by_length(lengths: npt.NDArray[np.uint32]) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    unique = pd.unique(lengths)
    if len(unique) <= _FEW_LENGTHS:
        for length in unique.tolist():
            yield length, np.flatnonzero(lengths == length)
        return
    order = np.argsort(lengths, kind="stable")
    cuts = np.flatnonzero(np.diff(lengths[order])) + 1
    for here in np.split(order, cuts):
        yield int(lengths[here[0]]), here


def _number_rows(
    texts: npt.NDArray[np.uint64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Give equal rows the same number, and say where each is met first."""
    if (texts == texts[0]).all():
        return np.zeros(len(texts), dtype=np.int64), np.zeros(1, dtype=np.int64)
    if texts.shape[1] > _WIDEST:
        whole = pd.Series([row.tobytes() for row in texts])
        texts = pd.factorize(whole)[0].astype(np.uint64)[:, None]
    numbers = np.zeros(len(texts), dtype=np.int64)
    for column in texts.T:
        codes, values = pd.factorize(column)
        numbers, _ = pd.factorize(numbers * len(values) + codes)
    _, first = np.unique(numbers, return_index=True)
    return numbers, first
