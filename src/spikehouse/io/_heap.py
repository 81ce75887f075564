"""Variable-length strings straight from HDF5's global heap.

The HDF5 library resolves one string at a time, about a microsecond each; the stimulus tables
of one session hold 400 000 of them, nearly all equal to their neighbour. Here a column's
references are read as one block, the heap collections they point into as a few, and the
strings are compared as arrays. Every object's length is checked against its reference; a column
that does not agree is read through the library instead.

Layout: HDF5 File Format Specification, III.E "Disk Format: Level 1E - Global Heap".
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

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
    """
    offset = dataset.id.get_offset()
    if read_bytes is None or offset is None or dataset.shape[0] < _WORTHWHILE:
        return _read_by_library(dataset)
    try:
        block = read_bytes(offset, dataset.shape[0] * _REFERENCE.itemsize)
        if len(block) != dataset.shape[0] * _REFERENCE.itemsize:
            raise _Unreadable
        return _resolve(np.frombuffer(block, dtype=_REFERENCE), read_bytes)
    except _Unreadable:
        return _read_by_library(dataset)


def _read_by_library(dataset: h5py.Dataset) -> Factorized:
    raw = dataset[()]
    codes, values = pd.factorize(raw)
    return codes.astype(np.int32), _decode(values)


def _decode(values: Any) -> npt.NDArray[np.object_]:  # noqa: ANN401 - bytes or str, as h5py likes
    decoded = np.empty(len(values), dtype=object)
    decoded[:] = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values]
    return decoded


def _resolve(references: npt.NDArray[Any], read_bytes: ByteReader) -> Factorized:
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
    heap = _Heap(np.unique(addresses[[start for start, _ in filled]]), read_bytes)
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

    def __init__(self, addresses: npt.NDArray[np.int64], read_bytes: ByteReader) -> None:
        self._collections: dict[int, npt.NDArray[np.uint64]] = {}
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
            if size % 8 or offset + size > len(piece):
                raise _Unreadable
            words = np.frombuffer(piece, dtype="<u8", offset=offset, count=size // 8)
            self._collections[address] = words

    def look_up(
        self, address: int, indices: npt.NDArray[np.int64], lengths: npt.NDArray[np.uint32]
    ) -> Found:
        words = self._collections[address]
        only = _only_text(words, indices, lengths)
        if only is not None:
            return [only], None
        headers = _walk(words)
        # place of the header by index; a collection has at most 65 535 objects
        table = np.full(int(indices.max()) + 1, -1, dtype=np.int64)
        known = (words[headers] & _INDEX).astype(np.int64)
        headers, known = headers[known < len(table)], known[known < len(table)]
        table[known] = headers
        places = table[indices]
        if (places < 0).any() or (words[places + 1] != lengths).any():
            raise _Unreadable
        return _distinct(words, places + _OBJECT_HEADER, lengths)


def _collection_size(piece: bytes, offset: int) -> int:
    head = piece[offset : offset + 8 * _HEADER]
    size = int.from_bytes(head[8:16], "little")
    if not head.startswith(_SIGNATURE) or not 8 * _HEADER < size <= _LARGEST_SPAN:
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
    if _HEADER + n_objects * stride > len(words):
        return None
    objects = words[_HEADER : _HEADER + n_objects * stride].reshape(n_objects, stride)
    in_order = (objects[:, 0] & _INDEX == np.arange(1, n_objects + 1)).all()
    if not in_order or (objects[:, 1] != length).any():
        return None
    texts = _masked(objects[:, _OBJECT_HEADER:], length)
    return texts[0].tobytes()[:length] if (texts == texts[0]).all() else None


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
    place, pieces = _HEADER, []
    while place + _OBJECT_HEADER <= len(words):
        run = _follow_run(words[place:])
        step = int(run[-1] + run[1]) if len(run) >= _SHORT_RUN else 0
        if not step:
            run, step = _follow_singly(words[place : place + _SINGLY].tolist())
        if not step:
            break
        pieces.append(place + run)
        place += step
    return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int64)


def _follow_run(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Where the headers of the first objects stand, as long as they are equally long."""
    padded = (int(words[1]) + 7) // 8
    headers = np.arange(0, len(words) - 1, _OBJECT_HEADER + padded)
    same = ((words[headers + 1] + 7) // 8 == padded) & (words[headers] & _INDEX != 0)
    return headers if same.all() else headers[: int(np.argmin(same))]


def _follow_singly(words: list[int]) -> tuple[npt.NDArray[np.int64], int]:
    """Where the headers of objects stand, and where the next one will; 0 at the end."""
    headers, place = [], 0
    while place + _OBJECT_HEADER <= len(words):
        length = words[place + 1]
        if words[place] & _INDEX:
            headers.append(place)
            place += _OBJECT_HEADER + (length + 7) // 8
        elif length >= 8 * _OBJECT_HEADER:  # free space, whose length counts its own header
            place += length // 8
        else:
            place = 0
            break
    return np.array(headers, dtype=np.int64), place


def _distinct(
    words: npt.NDArray[np.uint64], places: npt.NDArray[np.int64], lengths: npt.NDArray[np.uint32]
) -> Found:
    codes = np.empty(len(places), dtype=np.int64)
    found: list[bytes] = []
    for length in pd.unique(lengths).tolist():
        here = np.flatnonzero(lengths == length)
        n_words = (length + 7) // 8
        if int(places[here].max()) + n_words > len(words):
            raise _Unreadable
        texts = _masked(words[places[here][:, None] + np.arange(n_words)], length)
        inverse, first = _number_rows(texts)
        codes[here] = len(found) + inverse
        found.extend(row.tobytes()[:length] for row in texts[first])
    return found, codes


def _number_rows(
    texts: npt.NDArray[np.uint64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Give equal rows the same number, and say where each is met first."""
    if (texts == texts[0]).all():
        return np.zeros(len(texts), dtype=np.int64), np.zeros(1, dtype=np.int64)
    numbers = np.zeros(len(texts), dtype=np.int64)
    for column in texts.T:
        codes, values = pd.factorize(column)
        numbers, _ = pd.factorize(numbers * len(values) + codes)
    _, first = np.unique(numbers, return_index=True)
    return numbers, first
