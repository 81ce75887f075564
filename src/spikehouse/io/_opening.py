"""Opening HDF5 files, on disk and over the network, and the errors a broken one gives."""

from __future__ import annotations

from io import FileIO
from pathlib import Path

import h5py

from spikehouse.errors import InvalidFileError, SourceError, TransferError
from spikehouse.io._remote import RemoteView
from spikehouse.remote.streaming.ranges import RemoteBytes
from spikehouse.remote.transfer.checks import HDF5_SIGNATURE


def open_file(path: Path) -> h5py.File:
    """Open for reading, without locks unless someone in this process holds the file with them.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    h5py.File
        The open file.

    Raises
    ------
    InvalidFileError
        If it cannot be opened.
    """
    try:
        try:
            return h5py.File(path, mode="r", locking=False)
        except OSError as error:
            if "locking flag" not in str(error):
                raise
            # HDF5 wants all handles of one process to agree
            return h5py.File(path, mode="r")
    except OSError as error:
        raise InvalidFileError(
            f"{path} begins like an HDF5 file but cannot be opened: {error}. "
            "It may have been cut short; compare its size with the source's and fetch it again"
        ) from error


def open_remote(remote: RemoteBytes) -> h5py.File:
    head = bytearray(len(HDF5_SIGNATURE))
    n_read = remote.read_metadata_into(0, memoryview(head))
    if head != HDF5_SIGNATURE:
        looks = f"it begins with {bytes(head[:n_read])!r}" if n_read else "it is empty"
        raise InvalidFileError(f"{remote.url} is not an HDF5 file: {looks} ({remote.size} bytes)")
    try:
        return h5py.File(RemoteView(remote), mode="r")
    except (SourceError, TransferError):
        raise
    except OSError as error:
        raise InvalidFileError(
            f"{remote.url} begins like an HDF5 file but cannot be opened: {error}. It may have "
            "been cut short at the server; fetch it from another source"
        ) from error


def close_file(file: h5py.File, handle: FileIO | RemoteBytes) -> None:
    file.close()
    handle.close()


def check_signature(path: Path) -> None:
    with path.open("rb") as handle:
        head = handle.read(len(HDF5_SIGNATURE))
    if head == HDF5_SIGNATURE:
        return
    size = path.stat().st_size
    looks = "it is empty" if not head else f"it begins with {head!r}"
    raise InvalidFileError(f"{path} is not an HDF5 file: {looks} ({size} bytes)")
