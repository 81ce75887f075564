"""Whether a dataset declares no more than its file can hold, asked before it is read."""

from __future__ import annotations

import math
from typing import Any

import h5py
from h5py import h5d, h5f, h5i

from spikehouse.errors import InvalidFileError, SpikehouseError

# what the HDF5 library and h5py raise on structures they cannot make sense of
LIBRARY_ERRORS = (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError)

# what may be declared without being stored; also what a header costs a compressed dataset
FLOOR_BYTES = 64 * 1024 * 1024
# of deflate, the most there is among HDF5's common filters: 258 bytes from two bits
LARGEST_RATIO = 1032


def file_name(node: h5py.HLObject) -> str:
    """Say which file something is in.

    Parameters
    ----------
    node
        A group, a dataset or a file.

    Returns
    -------
    str
        The name it was opened under.
    """
    return bytes(h5f.get_name(node.id)).decode("utf-8", "replace")


def file_size(node: h5py.HLObject) -> int:
    """Say how long the file is that something is in.

    Parameters
    ----------
    node
        A group, a dataset or a file.

    Returns
    -------
    int
        Bytes.
    """
    return int(h5i.get_file_id(node.id).get_filesize())


def user_block(node: h5py.HLObject) -> int:
    """Return the bytes before the HDF5 part of the file, from which the addresses in it count."""
    return int(h5i.get_file_id(node.id).get_create_plist().get_userblock())


def where(node: h5py.HLObject) -> str:
    """Name something for a message.

    Parameters
    ----------
    node
        A group, a dataset or a file.

    Returns
    -------
    str
        The file and the path in it.
    """
    return f"{file_name(node)}: {node.name}"


def check_stored(dataset: h5py.Dataset) -> None:
    """Make sure that a dataset declares no more values than the file can hold.

    Parameters
    ----------
    dataset
        Any dataset.

    Raises
    ------
    InvalidFileError
        If a contiguous one reaches beyond the end of the file; if more than 64 MB are declared
        of one that nothing is stored of; if a chunked one, or one of its chunks, declares more
        than 64 MB and 1032 times (the limit of deflate) what is stored. If it has no values at
        all (a null dataspace).

    Notes
    -----
    Less than 64 MB need no more than a look at shape and type: HDF5 itself refuses to read
    beyond the file. Of a larger chunked dataset HDF5 goes through the index of its chunks once.
    """
    check_size(dataset, dataset.id.get_create_plist())


def check_size(dataset: h5py.Dataset, plan: Any) -> None:  # noqa: ANN401 - of h5py
    """Do what :func:`check_stored` does, for a dataset whose creation properties are at hand.

    Parameters
    ----------
    dataset
        Any dataset.
    plan
        Its creation properties; to get them takes 9 µs.

    Raises
    ------
    InvalidFileError
        As :func:`check_stored` does.
    """
    try:
        # the array that reading makes may be somewhat larger, by converting
        item = int(dataset.id.get_type().get_size())
        declared = math.prod(dataset.shape or ()) * item
        layout = plan.get_layout()
        chunk = item * math.prod(plan.get_chunk()) if layout == h5d.CHUNKED else 0
        stored = dataset.id.get_storage_size() if max(declared, chunk) > FLOOR_BYTES else 0
        offset = dataset.id.get_offset()
    except SpikehouseError:
        raise
    except LIBRARY_ERRORS as error:
        raise InvalidFileError(
            f"{where(dataset)} cannot be read ({error}); the rest of the file may still be good. "
            "Nothing was deleted"
        ) from error
    if dataset.shape is None:
        raise InvalidFileError(f"{where(dataset)} has no values: its dataspace is null")
    if max(declared, chunk) <= FLOOR_BYTES:
        return
    size = file_size(dataset)
    largest = FLOOR_BYTES
    if layout == h5d.CONTIGUOUS and offset is not None:
        if offset + stored > size:
            raise InvalidFileError(
                f"{where(dataset)} cannot be read: its {stored} bytes from {offset} on end beyond "
                f"the file, which has {size}. It may have been cut short; compare its size with "
                "the source's and fetch it again"
            )
        largest += stored
    elif layout == h5d.CHUNKED:
        # chunks may be declared to lie in the same place
        largest += (LARGEST_RATIO if plan.get_nfilters() else 1) * min(stored, size)
    if max(declared, chunk) > largest:
        raise InvalidFileError(
            f"{where(dataset)} declares {max(declared, chunk)} bytes for its shape "
            f"{dataset.shape}, but the file holds {stored}: it is not read, for {largest} is the "
            "most that can come of that"
        )
