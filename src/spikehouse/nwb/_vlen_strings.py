"""Read columns of variable-length strings directly from HDF5's global heap.

The HDF5 library resolves one string at a time, about a microsecond each; the stimulus tables
of one session hold 400 000 of them, nearly all equal to their neighbour. Here the references
of a column are read as one block, the heap collections they point into as a few more, and the
strings are compared as arrays.
"""

# Layout: HDF5 File Format Specification, III.E "Disk Format: Level 1E - Global Heap".
#
# Invariants. A reference is (length, address of a collection, index within it). A collection
# starts with a header of two words (signature and size), followed by objects without gaps: two
# words of header (index and reference count, length in bytes), then the text padded to whole
# words. Free space, with the index 0, can only come last. Whatever breaks these rules raises
# ValueError (``reading`` adds the name of the dataset) before the library sees it: the library
# allocates what a reference asks for, up to 4 GB, without looking whether the file has that much,
# and never returns from a collection with a gap. Collections of one column must not overlap, so
# that a small file cannot be read many times over.

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.nwb._check_size import FLOOR_BYTES, LARGEST_STRING, file_size

ByteReader = Callable[[int, int], bytes]
"""Takes an offset and a length, and returns these bytes of the file; fewer at its end."""

REFERENCE = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])
SIGNATURE = b"GCOL"
# in words of eight bytes: the header of a collection, and that of an object in it
_HEADER = 2
_OBJECT_HEADER = 2
# the two lowest bytes of an object's header are its index; the reference count follows
_INDEX = 0xFFFF
# bytes of a collection, unless one string is larger
_USUAL_COLLECTION = 1 << 16
_LARGEST_COLLECTION = LARGEST_STRING + _USUAL_COLLECTION
# collections closer than this many bytes are read together, up to this many bytes at once
_LARGEST_GAP = 1 << 18
_LARGEST_SPAN = 1 << 26
# shorter columns are left to the library
_WORTHWHILE = 64
# words that are followed one object at a time, where fewer objects than this have equal length
_SINGLY = 256
_SHORT_RUN = 8
# objects that are compared before all of a collection is
_PROBED = 64
# wider texts [words] are compared one by one; more lengths than these are sorted first
_WIDEST = 64
_FEW_LENGTHS = 16
# texts that the library reads in one call
_PIECE = 256

Factorized = tuple[npt.NDArray[np.int32], npt.NDArray[np.object_]]


def read_factorized(dataset: h5py.Dataset, read_bytes: ByteReader, *, base: int = 0) -> Factorized:
    """Read a column of variable-length strings as codes into its distinct values."""
    references = read_references(dataset, read_bytes, base=base)
    # A column is written at once, so that neighbours share a collection. Where they do not, this
    # way has no advantage over the library.
    if (
        references is None
        or len(references) < _WORTHWHILE
        or np.count_nonzero(np.diff(references["address"])) > len(references) // 8
    ):
        return _read_by_library(dataset)
    return _resolve(references, read_bytes, file_size(dataset))


def read_references(
    dataset: h5py.Dataset, read_bytes: ByteReader, *, base: int = 0
) -> npt.NDArray[Any] | None:
    """Read and check the references of a dataset of variable-length strings."""
    # None if the dataset is of another type, or not stored in one piece. ``base`` is the size of
    # the file's user block: addresses in the file count from its end.
    if not has_references(dataset):
        return None
    asked = dataset.size * REFERENCE.itemsize
    block = read_bytes(dataset.id.get_offset(), asked)
    if len(block) != asked:
        raise ValueError(f"the file ends {asked - len(block)} bytes too soon")
    references = np.frombuffer(bytearray(block), dtype=REFERENCE)
    references["address"] += np.uint64(base)
    lengths = references["length"]
    _check_lengths(
        int(lengths.max(initial=0)), int(lengths.sum(dtype=np.int64)), file_size(dataset)
    )
    return references


def has_references(dataset: h5py.Dataset) -> bool:
    """Check that a dataset consists of contiguous references of 16 bytes to text."""
    text = h5py.check_string_dtype(dataset.dtype)
    return (
        text is not None
        and text.length is None
        and dataset.id.get_offset() is not None
        and dataset.id.get_storage_size() == dataset.size * REFERENCE.itemsize
    )


def _check_lengths(longest: int, together: int, size: int) -> None:
    if longest > LARGEST_STRING:
        raise ValueError(f"it has a string of {longest} bytes; at most {LARGEST_STRING} are read")
    # strings that were written once each fit into the file; many references to one text may not
    if together > size + FLOOR_BYTES:
        raise ValueError(
            f"it has strings of {together} bytes together, more than the file's {size}"
        )


def _read_by_library(dataset: h5py.Dataset) -> Factorized:
    """Read a column with the library in pieces, checking the total length after each."""
    codes = np.zeros(len(dataset), dtype=np.int32)
    code_of: dict[bytes, int] = {}
    size, together = file_size(dataset), 0
    for first in range(0, len(dataset), _PIECE):
        texts = [_encode(text) for text in dataset[first : first + _PIECE]]
        together += sum(map(len, texts))
        _check_lengths(max(map(len, texts)), together, size)
        codes[first : first + _PIECE] = [code_of.setdefault(t, len(code_of)) for t in texts]
    return codes, _decode(list(code_of))


def _encode(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def _decode(values: list[bytes]) -> npt.NDArray[np.object_]:
    decoded = np.empty(len(values), dtype=object)
    decoded[:] = [value.decode("utf-8", "replace") for value in values]
    return decoded


def _resolve(references: npt.NDArray[Any], read_bytes: ByteReader, size: int) -> Factorized:
    codes = np.zeros(len(references), dtype=np.int32)
    code_of: dict[bytes, int] = {}
    filled = references["length"] > 0
    if not filled.all():
        codes[~filled] = code_of.setdefault(b"", 0)
        references = references[filled]
    addresses = references["address"].astype(np.int64)
    lengths = np.ascontiguousarray(references["length"])
    indices = references["index"].astype(np.int64)
    heap = _Heap(np.unique(addresses), read_bytes, size)
    found_codes = np.empty(len(references), dtype=np.int32)
    edges = (np.flatnonzero(np.diff(addresses)) + 1).tolist()
    for start, stop in itertools.pairwise([0, *edges, len(references)] if len(references) else []):
        found, inverse = heap.look_up(
            int(addresses[start]), indices[start:stop], lengths[start:stop]
        )
        # the same text can come once with and once without a closing zero byte
        new = [code_of.setdefault(text.rstrip(b"\0"), len(code_of)) for text in found]
        found_codes[start:stop] = new[0] if inverse is None else np.array(new)[inverse]
    codes[filled] = found_codes
    return codes, _decode(list(code_of))


def check_collection(read_bytes: ByteReader, address: int) -> None:
    """Check that a collection has no gap, on which the library would loop for ever."""
    size = _collection_size(read_bytes(address, 8 * _HEADER), 0)
    block = read_bytes(address, size)
    if len(block) < size:
        raise ValueError(f"the string heap at {address} ends beyond the file")
    _walk(np.frombuffer(block, dtype="<u8"))


Found = tuple[list[bytes], npt.NDArray[np.int64] | None]
"""Distinct strings, and the position in them for each reference (None if there is only one)."""


class _Heap:
    """Hold the collections that a column refers to, as arrays of 8-byte words."""

    def __init__(
        self, addresses: npt.NDArray[np.int64], read_bytes: ByteReader, file_size: int
    ) -> None:
        self._collections: dict[int, npt.NDArray[np.uint64]] = {}
        self._tables: dict[int, npt.NDArray[np.int64]] = {}
        # where the last collection ended: they must not overlap
        self._end = 0
        if addresses.size and not 0 < addresses[0] <= addresses[-1] < file_size:
            raise ValueError("its strings lie outside the file")
        is_apart = np.diff(addresses) > _LARGEST_GAP
        is_apart |= np.diff(addresses // _LARGEST_SPAN) > 0
        for group in np.split(addresses, np.flatnonzero(is_apart) + 1):
            if len(group):
                self._read(group.tolist(), read_bytes)

    def _read(self, addresses: list[int], read_bytes: ByteReader) -> None:
        low, high = addresses[0], addresses[-1]
        piece = read_bytes(low, high - low + _USUAL_COLLECTION)
        size = _collection_size(piece, high - low)
        if high - low + size > len(piece):
            piece = read_bytes(low, high - low + size)
        for address in addresses:
            offset = address - low
            size = _collection_size(piece, offset)
            if offset + size > len(piece) or address < self._end:
                raise ValueError(f"its string heap at {address} is damaged")
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
        places = table[np.minimum(indices, len(table) - 1)]
        if (places < 0).any() or (words[places + 1] != lengths).any():
            raise ValueError(f"its references do not fit its string heap at {address}")
        return _distinct(words, places + _OBJECT_HEADER, lengths)


def _tabulate(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return the positions of the objects' headers by index; -1 if absent, and as last entry."""
    headers = _walk(words)
    known = (words[headers] & _INDEX).astype(np.int64)
    table = np.full(int(known.max(initial=0)) + 2, -1, dtype=np.int64)
    table[known] = headers
    return table


def _collection_size(piece: bytes, offset: int) -> int:
    head = piece[offset : offset + 8 * _HEADER]
    size = int.from_bytes(head[8:16], "little")
    smallest = 8 * (_HEADER + _OBJECT_HEADER)
    if not head.startswith(SIGNATURE) or not smallest <= size <= _LARGEST_COLLECTION or size % 8:
        raise ValueError("its string heap is damaged")
    return size


def _only_text(
    words: npt.NDArray[np.uint64], indices: npt.NDArray[np.int64], lengths: npt.NDArray[np.uint32]
) -> bytes | None:
    """Return the text if all references have the same one; None if that is not sure."""
    # The fast path: most columns of a stimulus table have one value, and are written as objects
    # of equal length with the indices 1, 2, 3, …
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
    # index 0 is free space
    is_one = (texts == texts[0]).all() and indices.all()
    return texts[0].tobytes()[:length] if is_one else None


def _masked(texts: npt.NDArray[np.uint64], length: int) -> npt.NDArray[np.uint64]:
    """Set the padding behind the strings to zero, which the format does not require."""
    if length % 8:
        texts = texts.copy()
        texts[:, -1] &= np.uint64((1 << 8 * (length % 8)) - 1)
    return texts


def _walk(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Follow a collection from object to object; return the positions of their headers."""
    # Objects of equal length stand at equal distances: a run of them is found with array
    # operations. Where runs are short, objects are followed one by one, _SINGLY words at a time.
    place, pieces, n_found = _HEADER, [], 0
    while place + _OBJECT_HEADER <= len(words) and n_found <= _INDEX:
        run = _follow_run(words[place:])
        step = int(run[-1] + run[1]) if len(run) >= _SHORT_RUN else 0
        if not step:
            run, step = _follow_singly(words[place : place + _SINGLY].tolist())
        if not step:
            break
        pieces.append(place + run)
        n_found += len(run)
        place += step
    rest = len(words) - place
    is_free = rest >= _OBJECT_HEADER and not int(words[place]) & _INDEX
    # a remainder too short for a header is unused
    if int(words[place + 1]) != 8 * rest if is_free else not 0 <= rest < _OBJECT_HEADER:
        raise ValueError("its string heap is damaged: it has a gap")
    headers = np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int64)
    if np.unique(words[headers] & _INDEX).size < len(headers):
        raise ValueError("its string heap is damaged: two strings have the same index")
    return headers


def _follow_run(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return the positions of the headers of the first objects that have equal length."""
    padded = (int(words[1]) + 7) // 8
    step = _OBJECT_HEADER + padded
    if len(words) > 8 * _PROBED * step:
        # probe before scanning all of a large collection: doing that for every short run of objects
        # would take hours
        few = np.arange(0, _PROBED * step, step)
        words = words if _runs(words, few, padded).all() else words[: _PROBED * step]
    words = words[: (_INDEX + 1) * step]
    headers = np.arange(0, len(words) - 1, step)
    same = _runs(words, headers, padded)
    return headers if same.all() else headers[: int(np.argmin(same))]


def _runs(
    words: npt.NDArray[np.uint64], headers: npt.NDArray[np.int64], padded: int
) -> npt.NDArray[np.bool_]:
    """Check for each position whether an object as long as the first begins there."""
    same: npt.NDArray[np.bool_] = words[headers] & _INDEX != 0
    lengths = words[headers + 1]
    # rounding up overflows to zero for the greatest lengths
    same &= (lengths + 7) // 8 == padded if padded else lengths == 0
    return same


def _follow_singly(words: list[int]) -> tuple[npt.NDArray[np.int64], int]:
    """Return the positions of the headers of objects, and where the next would be."""
    headers, place = [], 0
    while place + _OBJECT_HEADER <= len(words):
        if not words[place] & _INDEX:
            break  # free space, which comes after all objects
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
    """Return a number for each row, equal for equal rows, and the first row of each number."""
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
