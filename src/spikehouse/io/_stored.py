"""How much may be read: the budget that every dataset is charged to before it is read."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import h5py
from h5py import h5d, h5f, h5i, h5z

from spikehouse.errors import InvalidFileError, SourceError, SpikehouseError, TransferError

# what the HDF5 library and h5py raise on structures they cannot make sense of
LIBRARY_ERRORS = (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError)

# what may be declared without being stored
FLOOR_BYTES = 64 * 1024 * 1024
# recordings shrink to a third; templates that are mostly zeros, to a fiftieth
LARGEST_RATIO = 100
# a parameter of a stimulus has 100 characters, the longest namespace of NWB a few 100 kB
LARGEST_STRING = 1024 * 1024
# not worth looking: HDF5 itself does not read beyond the file's end
_SMALL_BYTES = 1024 * 1024
# tables may share a column, such as their times
_MOST_AGAIN = 1000
_HARMLESS_FILTERS = (h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32)


class Budget:
    """What datasets that are read together may take.

    They are different datasets of one file, but for a few that tables share, so they cannot store
    more than the file holds. What they declare beyond what is stored, or beyond ``LARGEST_RATIO``
    times that where it is compressed, may be ``FLOOR_BYTES`` in all.
    """

    def __init__(self) -> None:
        self._size = 0
        self._seen: set[int] = set()
        self._n_again = 0
        self._declared = 0
        self._stored = 0
        self._excess = 0

    def charge(self, dataset: h5py.Dataset, plan: Any) -> None:  # noqa: ANN401 - of h5py
        """Charge a dataset; ``plan`` is how it was created, which takes 9 µs to get.

        Raises
        ------
        InvalidFileError
            If it, or all that was charged, is more than the budget; if it has no values at all
            (a null dataspace) or is compressed twice.
        """
        with reading(dataset):
            # the array that reading makes may be somewhat larger, by converting
            item = int(dataset.id.get_type().get_size())
            declared = math.prod(dataset.shape or ()) * item
            offset, filters, chunk = dataset.id.get_offset(), [], 0
            stored = declared if offset is not None else 0
            if plan.get_layout() == h5d.CHUNKED:
                filters = [plan.get_filter(n)[0] for n in range(plan.get_nfilters())]
                stored = dataset.id.get_storage_size() if declared else 0
                chunk = item * math.prod(plan.get_chunk())
        if dataset.shape is None:
            raise InvalidFileError(f"{where(dataset)} has no values: its dataspace is null")
        if len([found for found in filters if found not in _HARMLESS_FILTERS]) > 1:
            raise InvalidFileError(f"{where(dataset)} is compressed twice: it is not read")
        # the place of the values is at hand; h5py takes 11 µs to find that of the header
        place = hash(dataset.id) if offset is None else offset
        self._n_again += place in self._seen
        self._seen.add(place)
        if self._n_again > _MOST_AGAIN:
            raise InvalidFileError(
                f"{where(dataset)} and {_MOST_AGAIN} columns before it stand in the file under "
                "several names: they are not read again and again"
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
                "the source's and fetch it again"
            )
        # chunks may be declared to lie in the same place
        largest = (LARGEST_RATIO if filters else 1) * min(stored, size)
        self._excess += max(declared - largest, 0)
        if self._excess > FLOOR_BYTES:
            raise InvalidFileError(
                f"{where(dataset)} declares {declared} bytes for its shape "
                f"{dataset.shape}, but the file holds {stored}: it is not read, for "
                f"{FLOOR_BYTES} more than {LARGEST_RATIO if filters else 1} times what is stored "
                "is the most that is unpacked"
            )
        if self._stored > size:
            raise InvalidFileError(
                f"{where(dataset)} and what was read before it would be {self._stored} bytes, but "
                f"the file has {size}: the same values stand there under several names"
            )


_SHARED: ContextVar[Budget | None] = ContextVar("_SHARED", default=None)


@contextlib.contextmanager
def one_budget() -> Iterator[None]:
    """Charge all datasets that are found within to one budget, the outermost one."""
    token = _SHARED.set(_SHARED.get() or Budget())
    try:
        yield
    finally:
        _SHARED.reset(token)


def charge(dataset: h5py.Dataset, plan: Any) -> None:  # noqa: ANN401 - of h5py
    """Charge a dataset to the budget of what is being read, or to one of its own."""
    (_SHARED.get() or Budget()).charge(dataset, plan)


def to_text(value: bytes | str) -> str:
    """Make text of what h5py gives for a string; it puts lone surrogates for damaged UTF-8."""
    raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "replace")


def file_name(node: h5py.HLObject) -> str:
    """Give the name that the file was opened under."""
    name = bytes(h5f.get_name(node.id))
    # a ``View`` escapes what is not ASCII, of which h5py would make question marks
    return name.decode("unicode_escape" if name.isascii() else "utf-8", "replace")


def file_size(node: h5py.HLObject) -> int:
    """Give the length [bytes] of the file that something is in."""
    return int(h5i.get_file_id(node.id).get_filesize())


def user_block(node: h5py.HLObject) -> int:
    """Return the bytes before the HDF5 part of the file, from which the addresses in it count."""
    return int(h5i.get_file_id(node.id).get_create_plist().get_userblock())


def where(node: h5py.HLObject, suffix: str = "") -> str:
    """Name something, or what ``suffix`` adds to its path, for a message."""
    path = str(node.name)
    return f"{file_name(node)}: {path.rstrip('/') if suffix.startswith('/') else path}{suffix}"


class reading:
    """Name what is read in the error where the library fails or remote bytes do not come.

    A class, because it is entered for everything that is opened.
    """

    __slots__ = ("_node", "_suffix", "_verb")

    def __init__(self, node: h5py.HLObject, suffix: str = "", *, verb: str = "read") -> None:
        self._node, self._suffix, self._verb = node, suffix, verb

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (SourceError, TransferError)):
            raise type(error)(
                f"{where(self._node, self._suffix)} did not arrive: {error}. The session can go on "
                "being used: what is asked for again is fetched again"
            ) from error
        if isinstance(error, LIBRARY_ERRORS) and not isinstance(error, SpikehouseError):
            raise InvalidFileError(
                f"{where(self._node, self._suffix)} cannot be {self._verb} ({error}); the rest of "
                "the file may still be good. Nothing was deleted"
            ) from error
