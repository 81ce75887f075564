"""Limit how much is read: every dataset is charged to a budget before it is read."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import h5py
from h5py import h5d, h5f, h5i, h5z

from spikehouse.errors import InvalidFileError, SourceError, SpikehouseError, TransferError

# what the HDF5 library and h5py raise on damaged structures
LIBRARY_ERRORS = (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError)

# bytes that may be declared without being stored
FLOOR_BYTES = 64 * 1024 * 1024
# compression ratio at most: recordings reach 3, templates that are mostly zeros 50
LARGEST_RATIO = 100
# bytes: a stimulus parameter has 100 characters, the longest namespace of NWB a few 100 kB
LARGEST_STRING = 1024 * 1024
# too small to check: HDF5 itself does not read beyond the file's end
_SMALL_BYTES = 1024 * 1024
# datasets that may be read again: tables may share a column, such as their times
_MOST_AGAIN = 1000
_HARMLESS_FILTERS = (h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32)


class Budget:
    """Limit the bytes of the datasets that are read together."""

    # A small file can declare huge datasets: by a shape without stored values, by compression, by
    # chunks or datasets that share bytes, or by many links to one dataset. Two sums stop all of
    # these. Different datasets of a file cannot store more than the file holds, so the stored
    # bytes may not exceed its size. What the shapes declare beyond the stored bytes (beyond
    # LARGEST_RATIO times these if compressed) may add up to FLOOR_BYTES.

    def __init__(self) -> None:
        self._size = 0
        self._seen: set[int] = set()
        self._n_again = 0
        self._declared = 0
        self._stored = 0
        self._excess = 0

    def charge(self, dataset: h5py.Dataset, creation: Any) -> None:  # noqa: ANN401 - of h5py
        """Charge a dataset to the budget; raise if that exceeds it."""
        with reading(dataset):
            # ``creation``, the property list, takes 9 µs to get: the caller has it already
            item = int(dataset.id.get_type().get_size())
            declared = math.prod(dataset.shape or ()) * item
            offset, filters, chunk = dataset.id.get_offset(), [], 0
            stored = declared if offset is not None else 0
            if creation.get_layout() == h5d.CHUNKED:
                filters = [creation.get_filter(n)[0] for n in range(creation.get_nfilters())]
                stored = dataset.id.get_storage_size() if declared else 0
                chunk = item * math.prod(creation.get_chunk())
        if dataset.shape is None:
            raise InvalidFileError(f"{where(dataset)} has no values: its dataspace is null")
        if len([found for found in filters if found not in _HARMLESS_FILTERS]) > 1:
            raise InvalidFileError(f"{where(dataset)} is compressed twice, which is not supported")
        # the address of the values identifies the dataset; that of its header takes 11 µs to get
        place = hash(dataset.id) if offset is None else offset
        self._n_again += place in self._seen
        self._seen.add(place)
        if self._n_again > _MOST_AGAIN:
            raise InvalidFileError(
                f"{where(dataset)} and {_MOST_AGAIN} columns before it are stored once but have "
                "several names in the file, more than are read"
            )
        declared = max(declared, chunk)
        self._stored += stored
        self._declared += declared
        if max(self._stored, self._declared) <= _SMALL_BYTES:
            return
        size = self._size = self._size or file_size(dataset)
        if offset is not None and offset + stored > size:
            raise InvalidFileError(
                f"{where(dataset)} cannot be read: its {stored} bytes from {offset} on end beyond "
                f"the file, which has {size}. It may have been cut short; compare its size with "
                "the source's and download it again"
            )
        # several chunks may be declared at the same address, so count at most the file's size
        largest = (LARGEST_RATIO if filters else 1) * min(stored, size)
        self._excess += max(declared - largest, 0)
        if self._excess > FLOOR_BYTES:
            raise InvalidFileError(
                f"{where(dataset)} declares {declared} bytes for its shape "
                f"{dataset.shape}, but the file holds {stored}: it is not read, because "
                f"at most {FLOOR_BYTES} bytes more than {LARGEST_RATIO if filters else 1} times "
                "the stored bytes are read"
            )
        if self._stored > size:
            raise InvalidFileError(
                f"{where(dataset)} and what was read before it would be {self._stored} bytes, but "
                f"the file has {size}: several datasets share the same stored values"
            )


_SHARED: ContextVar[Budget | None] = ContextVar("_SHARED", default=None)


@contextlib.contextmanager
def one_budget() -> Iterator[None]:
    """Charge all datasets that are opened in the block to one budget, the outermost block's."""
    token = _SHARED.set(_SHARED.get() or Budget())
    try:
        yield
    finally:
        _SHARED.reset(token)


def charge(dataset: h5py.Dataset, creation: Any) -> None:  # noqa: ANN401 - of h5py
    """Charge a dataset to the current shared budget, or to one of its own."""
    (_SHARED.get() or Budget()).charge(dataset, creation)


def to_text(value: bytes | str) -> str:
    """Convert a string from h5py to text, with replacement characters for invalid UTF-8."""
    # h5py decodes invalid UTF-8 to lone surrogates, which cannot be printed
    raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "replace")


def file_name(node: h5py.HLObject) -> str:
    """Return the name that the file was opened under."""
    name = bytes(h5f.get_name(node.id))
    # ``View`` escapes non-ASCII characters, which h5py would replace by question marks
    return name.decode("unicode_escape" if name.isascii() else "utf-8", "replace")


def file_size(node: h5py.HLObject) -> int:
    """Return the size [bytes] of the file that contains an object."""
    return int(h5i.get_file_id(node.id).get_filesize())


def user_block(node: h5py.HLObject) -> int:
    """Return the size [bytes] of the user block; addresses in the file count from its end."""
    return int(h5i.get_file_id(node.id).get_create_plist().get_userblock())


def where(node: h5py.HLObject, suffix: str = "") -> str:
    """Return file and path of an object, or of its member ``suffix``, for an error message."""
    path = str(node.name)
    return f"{file_name(node)}: {path.rstrip('/') if suffix.startswith('/') else path}{suffix}"


class reading:
    """Turn errors of the library and of the network into ones that name the object."""

    # a class rather than a generator, because it is entered for everything that is opened

    __slots__ = ("_node", "_suffix", "_verb")

    def __init__(self, node: h5py.HLObject, suffix: str = "", *, verb: str = "read") -> None:
        self._node, self._suffix, self._verb = node, suffix, verb

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (SourceError, TransferError)):
            raise type(error)(
                f"{where(self._node, self._suffix)} could not be downloaded: {error}. The session "
                "stays usable: asking again downloads again"
            ) from error
        if isinstance(error, LIBRARY_ERRORS) and not isinstance(error, SpikehouseError):
            raise InvalidFileError(
                f"{where(self._node, self._suffix)} cannot be {self._verb} ({error}); the rest of "
                "the file may still be readable. Nothing was deleted"
            ) from error
