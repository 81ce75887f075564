"""Opening HDF5 files, on disk and over the network, and the errors a broken one gives."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from urllib.parse import quote, urlsplit

import h5py

from spikehouse.errors import InvalidArgumentError, InvalidFileError, SourceError, TransferError
from spikehouse.io._remote import RemoteView
from spikehouse.remote.protocol import RemoteFile
from spikehouse.remote.streaming.ranges import RemoteBytes
from spikehouse.remote.transfer.checks import HDF5_SIGNATURE

_WHAT_TO_PASS = (
    "pass the path of a session file, its address (https://…, http://… or "
    "s3://allen-brain-observatory/…) as a string, or an open file that has a path"
)
_PUBLIC_BUCKET = "s3://allen-brain-observatory/"
# HDF5 sets no limit; MATLAB's user block has 512 bytes
_LARGEST_USER_BLOCK = 1 << 20


def find_source(given: object) -> Path | RemoteBytes:
    """Find the file that is meant: a path on this machine, or a remote file.

    Parameters
    ----------
    given
        A path, an address, a remote file, an open file, or an open ``h5py.File``.

    Returns
    -------
    Path or RemoteBytes
        The path is absolute, so that it means the same in another working directory.

    Raises
    ------
    InvalidArgumentError
        If it is none of these, or an open file that has no path.
    SourceError
        If it is an address and the server fails.
    """
    if isinstance(given, RemoteBytes):
        return given
    if isinstance(given, h5py.File) or hasattr(given, "read"):
        return _find_path(given)
    if not isinstance(given, str | os.PathLike):
        hint = ""
        if isinstance(given, int):
            hint = "; a session is opened by its id with EcephysProjectCache().get_session_data(id)"
        raise InvalidArgumentError(
            f"a session cannot be opened from an object of type {type(given).__name__}: "
            f"{_WHAT_TO_PASS}{hint}"
        )
    text = os.fsdecode(given)
    if re.match(r"(?i)[a-z][a-z0-9+.-]+:/", text):
        return RemoteBytes(_find_address(text))
    return Path(text).expanduser().absolute()


def _find_path(given: h5py.File | object) -> Path:
    if isinstance(given, h5py.File):
        if not given:
            raise InvalidArgumentError(f"the h5py.File is closed: {_WHAT_TO_PASS}")
        given.flush()
        name = given.filename if given.driver != "fileobj" else None
    else:
        name = getattr(given, "name", None)
    if isinstance(name, str | os.PathLike) and Path(name).is_file():
        return Path(name).absolute()
    raise InvalidArgumentError(
        f"{given!r} has no path on this machine, and a session is read from a file: "
        f"{_WHAT_TO_PASS}. Write what is in memory to a file first"
    )


def _find_address(text: str) -> RemoteFile:
    from spikehouse.remote.sources import dandi, s3

    scheme, _, rest = text.partition(":")
    if not rest.startswith("//"):
        raise InvalidArgumentError(
            f"{text!r} is an address that lost a slash, as pathlib.Path makes of one: pass the "
            "address as a string"
        )
    url = text
    if text.startswith(_PUBLIC_BUCKET):
        key = quote(text.removeprefix(_PUBLIC_BUCKET))
        url = f"https://{urlsplit(s3.DEFAULT_URL).netloc}/{key}"
    elif scheme.lower() not in ("http", "https"):
        raise InvalidArgumentError(f"{text!r} cannot be streamed: {_WHAT_TO_PASS}")
    name = urlsplit(url).path.rpartition("/")[2] or url
    # the archive's downloads are redirected to its bucket
    return RemoteFile(url, name, hosts=dandi.DOWNLOAD_HOSTS)


def open_file(path: Path) -> h5py.File:
    """Open a file for reading, with HDF5's own locking wherever that is possible.

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

    Notes
    -----
    HDF5 wants all handles of a process to agree on locking, so the default is what lets other
    packages open the same file. The other ways are for a file that is open already in one of them,
    and the last one for file systems that refuse locks.
    """
    for locking in (None, True, False):
        try:
            return h5py.File(path, mode="r", locking=locking)
        except OSError as error:
            failure = error
            if "lock" not in str(error):
                break
    raise InvalidFileError(
        f"{path} begins like an HDF5 file but cannot be opened: {failure}. "
        "It may have been cut short; compare its size with the source's and fetch it again"
    ) from failure


def open_remote(remote: RemoteBytes) -> h5py.File:
    def read(offset: int) -> bytes:
        head = bytearray(len(HDF5_SIGNATURE))
        return bytes(head[: remote.read_metadata_into(offset, memoryview(head))])

    check_signature(read, remote.url, remote.size)
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


def check_file(path: Path) -> None:
    if path.is_dir():
        raise InvalidFileError(f"{path} is a folder: pass the session file in it")
    with path.open("rb") as handle:

        def read(offset: int) -> bytes:
            handle.seek(offset)
            return handle.read(len(HDF5_SIGNATURE))

        check_signature(read, str(path), path.stat().st_size)


def check_signature(read: Callable[[int], bytes], name: str, size: int) -> None:
    head = read(0)
    # a user block may come first, of 512 bytes or a power of two times that
    place, found = 512, head
    while found != HDF5_SIGNATURE and place <= min(_LARGEST_USER_BLOCK, size):
        found = read(place)
        place *= 2
    if found == HDF5_SIGNATURE:
        return
    looks = "it is empty" if not head else f"it begins with {head!r}"
    raise InvalidFileError(f"{name} is not an HDF5 file: {looks} ({size} bytes)")
