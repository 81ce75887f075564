"""What HDF5 reads a file through, on disk or remote: every byte the library sees passes here.

HDF5 never ends in a string heap with a hole, and makes room for whatever a heap or a compressed
chunk claims to hold. Both are checked here before the library gets them, whoever asks.
"""

from __future__ import annotations

import io
import os
import threading
import zlib
from pathlib import Path

from spikehouse.errors import InvalidArgumentError, InvalidFileError
from spikehouse.io._heap import SIGNATURE, check_collection
from spikehouse.io._stored import FLOOR_BYTES, LARGEST_RATIO
from spikehouse.remote.streaming.ranges import RemoteBytes

# the library reads its metadata in pieces smaller than this, and data in larger ones
_LARGEST_METADATA = 16 << 10
# a collection of strings has 4 kB, and a compressed chunk of less unpacks to a megabyte at most
_SMALLEST = 1 << 10
_PIECE = 1 << 16


class _Handle(io.FileIO):
    """A file that is closed with the last reference to it.

    A thread that reads holds one: the number of a closed file may soon be another file's.
    """

    def __del__(self) -> None:
        self.close()


class LocalBytes:
    """Random access to a file on disk, as ``RemoteBytes`` gives it; threads may share it."""

    def __init__(self, path: Path) -> None:
        self.url = str(path)
        if path.is_dir():
            raise InvalidFileError(f"{path} is a folder: pass the session file in it")
        if path.exists() and not path.is_file():  # to open a pipe would wait for ever
            raise InvalidFileError(f"{path} is no file")
        handle = _Handle(path)
        self._handle: _Handle | None = handle
        self._lock = threading.Lock()
        self.size = handle.seek(0, io.SEEK_END)

    def close(self) -> None:
        self._handle = None

    def read_into(self, offset: int, buffer: memoryview) -> int:
        handle = self._handle
        if handle is None:
            raise InvalidArgumentError(f"{self.url} was closed; open the session again")
        n_filled = self._read_some(handle, offset, buffer)
        # one call of the operating system gives two gigabytes at most
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
            with self._lock:  # Windows has one position for all threads
                handle.seek(offset)
                return handle.readinto(buffer) or 0


class View(io.RawIOBase):
    """The file object that h5py reads through."""

    def __init__(self, source: LocalBytes | RemoteBytes) -> None:
        super().__init__()
        self._source = source
        self._position = 0
        # where something was checked already
        self._sound: set[int] = set()

    def __repr__(self) -> str:  # what h5py calls the file, in ASCII; see ``file_name``
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
        """Read from here on; behind the file's end come zeros, as in HDF5's own drivers."""
        target = memoryview(buffer).cast("B")
        start, length = self._position, len(target)
        is_small = length <= _LARGEST_METADATA
        read = self._source.read_metadata_into if is_small else self._source.read_into
        n_read = read(start, target)
        if n_read < length:
            target[n_read:] = bytes(length - n_read)
        self._position = start + length
        if length >= _SMALLEST and start not in self._sound:
            self._check(start, target)
        return length

    def _check(self, start: int, target: memoryview) -> None:
        head = bytes(target[:4])
        if head == SIGNATURE:
            try:
                check_collection(self._read_at, start)
            except ValueError as error:
                raise InvalidFileError(
                    f"{self._source.url} cannot be read at {start}: {error}. Texts of other parts "
                    "of the file may still be good. Nothing was deleted"
                ) from error
        elif head[0] & 0x8F == 8 and not int.from_bytes(head[:2], "big") % 31:  # as zlib begins
            _check_packed(self._source, start, target)
        else:
            return
        self._sound.add(start)

    def _read_at(self, offset: int, length: int) -> bytes:
        block = bytearray(length)
        return bytes(block[: self._source.read_metadata_into(offset, memoryview(block))])


def _check_packed(source: LocalBytes | RemoteBytes, start: int, packed: memoryview) -> None:
    unpacker, n_bytes = zlib.decompressobj(), 0
    largest = FLOOR_BYTES + LARGEST_RATIO * len(packed)
    for first in range(0, len(packed), _PIECE):
        try:
            n_bytes += len(unpacker.decompress(packed[first : first + _PIECE]))
        except zlib.error:
            return  # other data that begins like it, or damaged: the library will say
        if n_bytes > largest:
            raise InvalidFileError(
                f"{source.url}: the {len(packed)} compressed bytes at {start} unpack to more than "
                f"{largest}: at most {FLOOR_BYTES} and {LARGEST_RATIO} times what is stored are "
                "unpacked"
            )
        if unpacker.eof:
            return
