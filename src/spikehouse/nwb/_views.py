"""The file object that HDF5 reads through: it checks what it hands over."""

from __future__ import annotations

import io
import zlib

import h5py

from spikehouse.errors import InvalidFileError, SpikehouseError
from spikehouse.nwb._byte_readers import ByteReader
from spikehouse.nwb._check_size import FLOOR_BYTES, LARGEST_RATIO, LIBRARY_ERRORS
from spikehouse.nwb._vlen_strings import SIGNATURE, check_collection
from spikehouse.transfer.checks import HDF5_SIGNATURE

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
