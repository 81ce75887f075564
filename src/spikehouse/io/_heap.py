"""Variable-length strings straight from HDF5's global heap.

The HDF5 library resolves one string at a time, about a microsecond each; the stimulus tables
of one session hold 400 000 of them, nearly all equal to their neighbour. Here a column's
references are read as one block, the heap collections they point into as a few, and the
strings are compared as arrays. Every object's length is checked against its reference; a column
that does not agree is read through the library instead.

Layout: HDF5 File Format Specification, III.E "Disk Format: Level 1E - Global Heap".
"""

from __future__ import annotations

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
_HEADER_SIZE = 16
_OBJECT_HEADER = 16
_USUAL_COLLECTION = 1 << 16
_LARGEST_GAP = 1 << 18
_LARGEST_SPAN = 1 << 26
_WORTHWHILE = 64
_RUN = 8192
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
    codes = np.zeros(len(references), dtype=np.int32)
    filled = np.flatnonzero(references["length"] > 0)
    values: list[bytes] = []
    if len(filled) < len(references):
        values.append(b"")
    if len(filled):
        wanted = references if len(filled) == len(references) else references[filled]
        members, met = pd.factorize(wanted["address"].astype(np.int64))
        order = np.argsort(met)
        addresses = met[order]
        members = np.argsort(order)[members]
        buffer, starts = _read_collections(addresses, read_bytes)
        words = buffer.view("<u8")
        places = _locate(wanted, members, words, starts // 8)
        lengths = np.ascontiguousarray(wanted["length"])
        for length in pd.unique(lengths):
            same = np.flatnonzero(lengths == length)
            found, inverse = _distinct(words, places[same], int(length))
            codes[filled[same]] = len(values) + inverse
            values.extend(found)
    # the same text can come once with and once without a closing zero byte
    stripped, merged = np.unique([v.rstrip(b"\0") for v in values], return_inverse=True)
    return merged.astype(np.int32)[codes], _decode(list(stripped))


def _read_collections(
    addresses: npt.NDArray[np.int64], read_bytes: ByteReader
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Read the collections at these sorted addresses; give the bytes and each one's start."""
    breaks = np.flatnonzero(np.diff(addresses) > _LARGEST_GAP) + 1
    pieces, starts, filled = [], np.empty(len(addresses), dtype=np.int64), 0
    for group in np.split(np.arange(len(addresses)), breaks):
        low, high = int(addresses[group[0]]), int(addresses[group[-1]])
        if high - low > _LARGEST_SPAN:
            raise _Unreadable
        piece = read_bytes(low, high - low + _USUAL_COLLECTION)
        size = _collection_size(piece, high - low)
        if high - low + size > len(piece):
            piece = read_bytes(low, high - low + size)
        # heap positions are read as 8-byte words further on
        piece = piece[: len(piece) // 8 * 8]
        starts[group] = filled + addresses[group] - low
        pieces.append(piece)
        filled += len(piece)
    return np.frombuffer(b"".join(pieces), dtype=np.uint8), starts


def _collection_size(piece: bytes | npt.NDArray[np.uint8], start: int) -> int:
    head = bytes(piece[start : start + _HEADER_SIZE])
    size = int.from_bytes(head[8:16], "little")
    if not head.startswith(_SIGNATURE) or start % 8 or not _HEADER_SIZE <= size <= _LARGEST_SPAN:
        raise _Unreadable
    return size


def _locate(
    references: npt.NDArray[Any],
    members: npt.NDArray[np.int64],
    words: npt.NDArray[np.uint64],
    starts: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Where each referenced object's data begin in ``words``."""
    # one row a collection, one column an index: place of the object's header
    table = np.full((len(starts), int(references["index"].max()) + 1), -1, dtype=np.int64)
    for row, start in enumerate(starts):
        headers = _walk(words, int(start))
        indices = (words[headers] & 0xFFFF).astype(np.int64)
        known = indices < table.shape[1]
        table[row, indices[known]] = headers[known]
    headers = table[members, references["index"]]
    if (headers < 0).any() or (words[headers + 1] != references["length"]).any():
        raise _Unreadable
    places: npt.NDArray[np.int64] = headers + _OBJECT_HEADER // 8
    if int((places * 8 + references["length"]).max()) > words.nbytes:
        raise _Unreadable
    return places


def _walk(words: npt.NDArray[np.uint64], start: int) -> npt.NDArray[np.int64]:
    """Follow one collection from object to object; gives the places of their headers.

    Columns repeat themselves, so objects come in runs of one length, which stand at equal
    distances; where they do not, they are followed one by one.
    """
    size = _collection_size(words[start : start + 2].tobytes(), 0)
    place, end = start + _HEADER_SIZE // 8, min(start + size // 8, len(words))
    pieces = []
    while place + 2 <= end:
        run = _follow_run(words[place : min(end, place + _RUN)])
        step = int(run[-1] + run[1]) if len(run) >= _SHORT_RUN else 0
        if not step:
            run, step = _follow_singly(words[place : min(end, place + _SINGLY)].tolist())
        if not step:
            break
        pieces.append(place + run)
        place += step
    return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int64)


def _follow_run(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Where the headers of the first objects stand, as long as they are equally long."""
    padded = (int(words[1]) + 7) // 8
    headers = np.arange(0, len(words) - 1, _OBJECT_HEADER // 8 + padded)
    same = ((words[headers + 1] + 7) // 8 == padded) & (words[headers] & 0xFFFF != 0)
    return headers if same.all() else headers[: int(np.argmin(same))]


def _follow_singly(words: list[int]) -> tuple[npt.NDArray[np.int64], int]:
    """Where the headers of objects stand, and where the next one will; 0 at the end."""
    headers, place = [], 0
    while place + 2 <= len(words):
        length = words[place + 1]
        if words[place] & 0xFFFF:
            headers.append(place)
            place += _OBJECT_HEADER // 8 + (length + 7) // 8
        elif length >= _OBJECT_HEADER:  # free space, whose length counts its own header
            place += length // 8
        else:
            place = 0
            break
    return np.array(headers, dtype=np.int64), place


def _distinct(
    words: npt.NDArray[np.uint64], positions: npt.NDArray[np.int64], length: int
) -> tuple[list[bytes], npt.NDArray[np.int64]]:
    """Find the distinct strings of one length; positions and words count in eights of bytes."""
    texts = words[positions[:, None] + np.arange((length + 7) // 8)]
    if length % 8:  # what pads a string to whole words need not be zero
        texts[:, -1] &= np.uint64((1 << 8 * (length % 8)) - 1)
    if (texts == texts[0]).all():
        return [texts[0].tobytes()[:length]], np.zeros(len(positions), dtype=np.int64)
    found, inverse = np.unique(texts.view(f"S{8 * texts.shape[1]}")[:, 0], return_inverse=True)
    return [bytes(text) for text in found], inverse
