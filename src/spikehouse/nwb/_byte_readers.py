"""The bytes of a file, on disk or on a server, and the file object that HDF5 reads them through."""

from __future__ import annotations

import gc
import io
import os
import re
import threading
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlsplit

import h5py

from spikehouse.errors import InvalidArgumentError, InvalidFileError, SpikehouseError
from spikehouse.nwb._check_size import FLOOR_BYTES, LARGEST_RATIO, LIBRARY_ERRORS
from spikehouse.nwb._vlen_strings import SIGNATURE, check_collection
from spikehouse.schema.addresses import BUCKET_HOST, BUCKET_NAME, DANDI_HOSTS
from spikehouse.transfer.byte_count import add_bytes
from spikehouse.transfer.byte_ranges import ByteRange
from spikehouse.transfer.checks import HDF5_SIGNATURE
from spikehouse.transfer.remote_bytes import RemoteBytes
from spikehouse.transfer.remote_file import RemoteFile

_WHAT_TO_PASS = (
    "pass the path of a session file, its address (https://…, http://… or "
    "s3://allen-brain-observatory/…) as a string, or an open file that has a path"
)
_PUBLIC_BUCKET = f"s3://{BUCKET_NAME}/"


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
        add_bytes(n_filled)
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
    scheme, _, rest = text.partition(":")
    if not rest.startswith("//"):
        raise InvalidArgumentError(
            f"{text!r} is an address with a missing slash, as pathlib.Path returns it: pass the "
            "address as a string"
        )
    url = text
    if text.startswith(_PUBLIC_BUCKET):
        key = quote(text.removeprefix(_PUBLIC_BUCKET))
        url = f"https://{BUCKET_HOST}/{key}"
    elif scheme.lower() not in ("http", "https"):
        raise InvalidArgumentError(f"{text!r} cannot be streamed: {_WHAT_TO_PASS}")
    name = urlsplit(url).path.rpartition("/")[2] or url
    # downloads from the DANDI archive are redirected to its bucket
    return RemoteFile(url, name, hosts=DANDI_HOSTS)


# ---- the file object that HDF5 reads through: it checks what it hands over

# bytes: the library reads metadata in smaller pieces than this, and data in larger ones
_LARGEST_METADATA = 16 << 10
# bytes: a string heap has at least 4 kB, and a smaller chunk unpacks to at most a megabyte
_SMALLEST = 1 << 10
_PIECE = 1 << 16
# HDF5 sets no limit; MATLAB's user block has 512 bytes
_LARGEST_USER_BLOCK = 1 << 20


def open_file(source: ByteReader) -> h5py.File:
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


def close_file(file: h5py.File, source: ByteReader) -> None:
    """Close the bytes and the HDF5 file."""
    # the bytes first, so that no thread waits for a server while it holds HDF5's lock
    source.close()
    file.close()


def _check_signature(source: ByteReader) -> None:
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


class View(io.RawIOBase):
    """The file object that h5py reads through."""

    # Every byte that the library sees passes ``readinto``, whoever asks for it: so this is where
    # two structures are checked that the library trusts. It loops for ever in a string heap with a
    # gap, and it allocates whatever a heap or a compressed chunk claims to hold. Both are
    # recognised by their first bytes; what only looks like one passes. An offset that was found
    # valid is not checked again. Unlike the budget, which sees what is declared, this sees what is
    # stored.

    def __init__(self, source: ByteReader) -> None:
        super().__init__()
        self._source = source
        self._position = 0
        # offsets where a heap or a chunk was found valid
        self._checked: set[int] = set()

    def __repr__(self) -> str:  # h5py's name of the file, in ASCII: see ``file_name``
        return ascii(self._source.url)[1:-1]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET:
            offset += self._position if whence == io.SEEK_CUR else self._source.size
        self._position = offset
        return offset

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read at the current position; behind the file's end come zeros, as in HDF5's drivers."""
        target = memoryview(buffer).cast("B")
        start, length = self._position, len(target)
        is_small = length <= _LARGEST_METADATA
        read = self._source.read_metadata_into if is_small else self._source.read_into
        # HDF5's lock is held. A thread that fetches would wait for it for ever, and this one for
        # that thread, if it collected garbage with an object of h5py.
        is_collecting = gc.isenabled()
        gc.disable()
        try:
            n_read = read(start, target)
        finally:
            if is_collecting:
                gc.enable()
        if n_read < length:
            target[n_read:] = bytes(length - n_read)
        self._position = start + length
        if length >= _SMALLEST and start not in self._checked:
            self._check(start, target)
        return length

    def _check(self, start: int, target: memoryview) -> None:
        head = bytes(target[:4])
        if head == SIGNATURE:
            try:
                check_collection(self._read_at, start)
            except ValueError as error:
                raise InvalidFileError(
                    f"{self._source.url} cannot be read at {start}: {error}. The rest of the "
                    "file may still be readable. Nothing was deleted"
                ) from error
        elif head[0] & 0x8F == 8 and not int.from_bytes(head[:2], "big") % 31:  # zlib's header
            _check_packed(self._source, start, target)
        else:
            return
        self._checked.add(start)

    def _read_at(self, offset: int, length: int) -> bytes:
        block = bytearray(length)
        return bytes(block[: self._source.read_metadata_into(offset, memoryview(block))])


def _check_packed(source: ByteReader, start: int, packed: memoryview) -> None:
    unpacker, n_bytes = zlib.decompressobj(), 0
    largest = FLOOR_BYTES + LARGEST_RATIO * len(packed)
    for first in range(0, len(packed), _PIECE):
        try:
            n_bytes += len(unpacker.decompress(packed[first : first + _PIECE]))
        except zlib.error:
            return  # other data with the same first bytes, or damaged: the library reports that
        if n_bytes > largest:
            raise InvalidFileError(
                f"{source.url}: the {len(packed)} compressed bytes at {start} unpack to more than "
                f"{largest} bytes, the limit ({FLOOR_BYTES} and {LARGEST_RATIO} times the "
                "stored bytes)"
            )
        if unpacker.eof:
            return
