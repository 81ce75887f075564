"""The file object that HDF5 reads through, on disk or remote: it checks what it hands over."""

from __future__ import annotations

import io
import os
import threading
import zlib
from pathlib import Path

from spikehouse.errors import InvalidArgumentError, InvalidFileError
from spikehouse.nwb._check_size import FLOOR_BYTES, LARGEST_RATIO
from spikehouse.nwb._vlen_strings import SIGNATURE, check_collection
from spikehouse.transfer.remote_bytes import RemoteBytes

# bytes: the library reads metadata in smaller pieces than this, and data in larger ones
_LARGEST_METADATA = 16 << 10
# bytes: a string heap has at least 4 kB, and a smaller chunk unpacks to at most a megabyte
_SMALLEST = 1 << 10
_PIECE = 1 << 16


class _Handle(io.FileIO):
    """A file that is closed with the last reference to it."""

    # A reading thread holds a reference: if the descriptor were closed meanwhile, the system could
    # give its number to another file.

    def __del__(self) -> None:
        self.close()


class LocalBytes:
    """Random access to a file on disk with the interface of ``RemoteBytes``; thread-safe."""

    def __init__(self, path: Path) -> None:
        self.url = str(path)
        if path.is_dir():
            raise InvalidFileError(f"{path} is a folder: pass the session file in it")
        if path.exists() and not path.is_file():  # opening a pipe would block
            raise InvalidFileError(f"{path} is not a regular file")
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


class View(io.RawIOBase):
    """The file object that h5py reads through."""

    # Every byte that the library sees passes ``readinto``, whoever asks for it: so this is where
    # two structures are checked that the library trusts. It loops for ever in a string heap with a
    # gap, and it allocates whatever a heap or a compressed chunk claims to hold. Both are
    # recognised by their first bytes; what only looks like one passes. An offset that was found
    # valid is not checked again. Unlike the budget, which sees what is declared, this sees what is
    # stored.

    def __init__(self, source: LocalBytes | RemoteBytes) -> None:
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
        n_read = read(start, target)
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


def _check_packed(source: LocalBytes | RemoteBytes, start: int, packed: memoryview) -> None:
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
