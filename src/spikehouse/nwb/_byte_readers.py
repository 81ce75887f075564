"""The bytes of a file, on disk or on a server, behind one interface."""

from __future__ import annotations

import io
import os
import re
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlsplit

import h5py

from spikehouse.errors import InvalidArgumentError, InvalidFileError
from spikehouse.transfer.byte_ranges import ByteRange
from spikehouse.transfer.remote_bytes import RemoteBytes
from spikehouse.transfer.remote_file import RemoteFile

_WHAT_TO_PASS = (
    "pass the path of a session file, its address (https://…, http://… or "
    "s3://allen-brain-observatory/…) as a string, or an open file that has a path"
)
_PUBLIC_BUCKET = "s3://allen-brain-observatory/"


class ByteReader(Protocol):
    """Random access to the bytes of a file, shared by threads: LocalBytes or RemoteBytes."""

    # what is read ahead of time is only downloaded: a local reader does not iterate over ``ranges``

    @property
    def name(self) -> str:
        """Name of the file in messages: its path, or the last part of its URL."""

    @property
    def url(self) -> str:
        """Path or URL of the file."""

    @property
    def size(self) -> int:
        """Length of the file [bytes]."""

    @property
    def identity(self) -> tuple[str | int, ...]:
        """Path or URL, size and version: differs between any two files."""

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill a buffer with bytes from an offset; return their number, fewer at the end."""

    def read_metadata_into(self, offset: int, buffer: memoryview) -> int:
        """Fill a buffer with HDF5 metadata, which lies close to more of it."""

    def prefetch(self, ranges: Iterable[ByteRange], *, is_metadata: bool = False) -> None:
        """Begin to download byte ranges [start, stop) that will be read."""

    def recall_ranges(self, key: str) -> list[ByteRange] | None:
        """Return the byte ranges that were kept under a key, or None."""

    def keep_ranges(self, key: str, ranges: Iterable[ByteRange]) -> None:
        """Keep byte ranges under a key, to save a later opening the search for them."""

    def close(self) -> None:
        """Close the file; reading afterwards raises."""


class _Handle(io.FileIO):
    """A file that is closed with the last reference to it."""

    # A reading thread holds a reference: if the descriptor were closed meanwhile, the system could
    # give its number to another file.

    def __del__(self) -> None:
        self.close()


class LocalBytes:
    """Random access to the bytes of a file on disk, shared by threads."""

    def __init__(self, path: Path) -> None:
        self.name = self.url = str(path)
        if path.is_dir():
            raise InvalidFileError(f"{path} is a folder: pass the session file in it")
        if path.exists() and not path.is_file():  # opening a pipe would block
            raise InvalidFileError(f"{path} is not a regular file")
        handle = _Handle(path)
        self._handle: _Handle | None = handle
        self._lock = threading.Lock()
        self.size = handle.seek(0, io.SEEK_END)

    @property
    def identity(self) -> tuple[str | int, ...]:
        facts = Path(self.name).stat()
        return str(Path(self.name).resolve()), facts.st_size, facts.st_mtime_ns

    def close(self) -> None:
        self._handle = None

    def prefetch(self, ranges: Iterable[ByteRange], *, is_metadata: bool = False) -> None:
        pass

    def recall_ranges(self, key: str) -> list[ByteRange]:  # noqa: ARG002 - nothing to download
        return []

    def keep_ranges(self, key: str, ranges: Iterable[ByteRange]) -> None:
        pass

    def read_into(self, offset: int, buffer: memoryview) -> int:
        handle = self._handle
        if handle is None:
            raise InvalidArgumentError(f"{self.url} was closed; open the session again")
        n_filled = self._read_some(handle, offset, buffer)
        # one system call returns two gigabytes at most
        while n_filled < len(buffer):
            n_read = self._read_some(handle, offset + n_filled, buffer[n_filled:])
            if not n_read:
                break
            n_filled += n_read
        return n_filled

    read_metadata_into = read_into

    if hasattr(os, "preadv"):

        def _read_some(self, handle: _Handle, offset: int, buffer: memoryview) -> int:
            return os.preadv(handle.fileno(), [buffer], offset)

    else:

        def _read_some(self, handle: _Handle, offset: int, buffer: memoryview) -> int:
            with self._lock:  # on Windows threads share one file position
                handle.seek(offset)
                return handle.readinto(buffer) or 0


def find_reader(given: object) -> ByteReader:
    """Open the bytes of a file on this machine or on a server."""
    if isinstance(given, RemoteBytes):
        return given
    if isinstance(given, h5py.File) or hasattr(given, "read"):
        return LocalBytes(_find_path(given))
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
    return LocalBytes(Path(text).expanduser().absolute())


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
