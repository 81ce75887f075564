"""Open HDF5 files on disk or over the network, with clear errors for broken ones."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote, urlsplit

import h5py

from spikehouse.errors import InvalidArgumentError, InvalidFileError, SpikehouseError
from spikehouse.nwb._check_size import LIBRARY_ERRORS
from spikehouse.nwb._views import LocalBytes, View
from spikehouse.transfer.checks import HDF5_SIGNATURE
from spikehouse.transfer.remote_bytes import RemoteBytes
from spikehouse.transfer.remote_file import RemoteFile

_WHAT_TO_PASS = (
    "pass the path of a session file, its address (https://…, http://… or "
    "s3://allen-brain-observatory/…) as a string, or an open file that has a path"
)
_PUBLIC_BUCKET = "s3://allen-brain-observatory/"
# HDF5 sets no limit; MATLAB's user block has 512 bytes
_LARGEST_USER_BLOCK = 1 << 20


def find_source(given: object) -> Path | RemoteBytes:
    """Return the absolute path of a file on this machine, or a remote file."""
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
    from spikehouse.survey.sources import dandi, s3

    scheme, _, rest = text.partition(":")
    if not rest.startswith("//"):
        raise InvalidArgumentError(
            f"{text!r} is an address with a missing slash, as pathlib.Path returns it: pass the "
            "address as a string"
        )
    url = text
    if text.startswith(_PUBLIC_BUCKET):
        key = quote(text.removeprefix(_PUBLIC_BUCKET))
        url = f"https://{urlsplit(s3.DEFAULT_URL).netloc}/{key}"
    elif scheme.lower() not in ("http", "https"):
        raise InvalidArgumentError(f"{text!r} cannot be streamed: {_WHAT_TO_PASS}")
    name = urlsplit(url).path.rpartition("/")[2] or url
    # downloads from the DANDI archive are redirected to its bucket
    return RemoteFile(url, name, hosts=dandi.DOWNLOAD_HOSTS)


def open_file(source: LocalBytes | RemoteBytes) -> h5py.File:
    """Open a file for reading, without a lock: others may have it open at the same time."""
    _check_signature(source)
    try:
        return h5py.File(View(source), mode="r")
    except SpikehouseError:
        raise
    except LIBRARY_ERRORS as error:
        raise InvalidFileError(
            f"{source.url} begins like an HDF5 file but cannot be opened: {error}. "
            "It may have been cut short; compare its size with the source's and download it again"
        ) from error


def close_file(file: h5py.File, source: LocalBytes | RemoteBytes) -> None:
    """Close the bytes and the HDF5 file."""
    # the bytes first, so that no thread waits for a server while it holds HDF5's lock
    source.close()
    file.close()


def _check_signature(source: LocalBytes | RemoteBytes) -> None:
    def read(offset: int) -> bytes:
        head = bytearray(len(HDF5_SIGNATURE))
        return bytes(head[: source.read_metadata_into(offset, memoryview(head))])

    head = read(0)
    # a user block of 512, 1024, 2048, … bytes may come first
    place, found = 512, head
    while found != HDF5_SIGNATURE and place <= min(_LARGEST_USER_BLOCK, source.size):
        found = read(place)
        place *= 2
    if found == HDF5_SIGNATURE:
        return
    looks = "it is empty" if not head else f"it begins with {head!r}"
    raise InvalidFileError(f"{source.url} is not an HDF5 file: {looks} ({source.size} bytes)")
