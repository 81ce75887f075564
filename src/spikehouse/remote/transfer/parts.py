"""The part of a file that is there so far, and its state: what a later call goes on from.

``<name>.part`` has the bytes at their places. ``<name>.part.json`` says what they are: a line
for the file (a JSON object: length, validators, address), then a line for every block that is
there (``[number, crc32]``).

Why a line a block, and no fsync. A line is written in one call after its block was: a process
that is killed loses the blocks in the making and nothing else, because the system has the rest.
After a power loss the lines may be on the disk and their blocks not, or the other way round, or
the last line may be torn. So a block counts only when it was *read* and its checksum is right,
which is done on every resumption; a line that does not parse ends the list. That costs reading
what is there once (and the digest needs that anyway), where an fsync per block would cost the
disk's full latency 1700 times a session.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from spikehouse.errors import CacheError
from spikehouse.remote.disk import NO_FOLLOW, explain_storage_errors
from spikehouse.remote.http.versions import Version
from spikehouse.remote.protocol import Span
from spikehouse.remote.transfer.part_state import (
    PartState,
    forget_part,
    part_of,
    read_state,
    state_of,
    write_state,
)

__all__ = ["LARGEST_BLOCK", "Part", "open_part"]

log = logging.getLogger(__name__)

SMALLEST_BLOCK = 1 << 19
LARGEST_BLOCK = 4 << 20
MAX_BLOCKS = 1 << 16
FLUSH_S = 0.05


class Part:
    """A part that is being written; made by :func:`open_part`.

    Parameters
    ----------
    target
        The file it will become.
    version
        What its bytes are of.
    block_bytes
        Length of a block.

    Notes
    -----
    May be written from several threads, each at a place of its own.
    """

    def __init__(self, target: Path, version: Version, block_bytes: int) -> None:
        self.target = target
        self.path = part_of(target)
        self.version = version
        self.block_bytes = block_bytes
        self.changed = threading.Condition()
        self._done: dict[int, Span] = {}
        self._front = 0
        self._file = -1
        self._lines = -1
        self._n_writing = 0
        self._flush_error: OSError | None = None
        self._is_complete = False

    @property
    def is_complete(self) -> bool:
        """Whether all of the file is there."""
        return self._is_complete

    @property
    def front(self) -> int:
        """Up to which byte everything is there."""
        return self._front

    def list_present(self) -> list[Span]:
        """List the byte ranges that are there.

        Returns
        -------
        list of tuple
            Half-open, one a block, in no order.
        """
        with self.changed:
            return list(self._done.values())

    def count_present(self) -> int:
        """Count the bytes that are there in whole blocks.

        Returns
        -------
        int
            The bytes a later call would go on from.
        """
        return sum(stop - start for start, stop in self.list_present())

    def has_block(self, offset: int) -> bool:
        """Tell whether the block around a byte is there.

        Parameters
        ----------
        offset
            The byte.

        Returns
        -------
        bool
            True if it is there and right.
        """
        return offset // self.block_bytes in self._done

    def write(self, offset: int, data: memoryview) -> None:
        """Write bytes at their place.

        Parameters
        ----------
        offset
            Their place.
        data
            The bytes.

        Raises
        ------
        CacheError
            If the disk is full or must not be written to.
        """
        with self.changed:
            if self._file < 0:
                raise CacheError(f"{self.path} is closed")
            # keeps close() waiting: a number of a file that was closed may mean another one
            self._n_writing += 1
        try:
            while data:
                written = _write_at(self._file, data, offset)
                offset += written
                data = data[written:]
        except OSError:
            with explain_storage_errors(self.target):
                raise
        finally:
            with self.changed:
                self._n_writing -= 1
                if self._n_writing == 0:
                    self.changed.notify_all()

    def finish_block(self, span: Span, checksum: int) -> None:
        """Remember that a block was written.

        Parameters
        ----------
        span
            Its bytes: a whole block, or what is left for the last one.
        checksum
            Their CRC-32.

        Raises
        ------
        CacheError
            If the state cannot be written.
        """
        number = span[0] // self.block_bytes
        with self.changed, explain_storage_errors(self.target):
            if self._lines >= 0:
                # one call for one line: appended whole even if this process is killed now
                os.write(self._lines, b"[%d,%d]\n" % (number, checksum))
            self._mark(number, span)
            self.changed.notify_all()

    def settle(self) -> None:
        """Say that all of the file is there, and cut off what an older part had behind it.

        Raises
        ------
        CacheError
            If it cannot be cut.
        """
        with explain_storage_errors(self.target):
            if os.fstat(self._file).st_size != self._front:
                os.ftruncate(self._file, self._front)
        with self.changed:
            self._is_complete = True
            self.changed.notify_all()

    def read(self, offset: int, buffer: memoryview) -> memoryview:
        """Read what was written.

        Parameters
        ----------
        offset
            From where.
        buffer
            Where to put it.

        Returns
        -------
        memoryview
            The beginning of ``buffer``, as far as the file goes.
        """
        return _read_at(self._file, buffer, offset)

    @contextlib.contextmanager
    def flushing(self) -> Iterator[None]:
        """Bring the bytes to the disk in the background, so that little is left at the end.

        Yields
        ------
        None
            For the time of the ``with`` block.
        """
        ended = threading.Event()
        thread = threading.Thread(target=self._flush, args=(ended,), name="flush", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _flush(self, ended: threading.Event) -> None:
        while not ended.wait(FLUSH_S):
            try:
                _flush_data(self._file)
            except OSError as error:
                # the system tells this once: sync() passes it on
                self._flush_error = error
                return

    def sync(self) -> None:
        """Wait until the bytes are on the disk.

        Raises
        ------
        CacheError
            If they cannot be brought there.
        """
        with explain_storage_errors(self.target):
            os.fsync(self._file)
            if self._flush_error is not None:
                raise self._flush_error

    def close(self) -> None:
        """Close the files; what was written stays."""
        with self.changed:
            self.changed.wait_for(lambda: self._n_writing == 0)
            descriptors = self._file, self._lines
            self._file = self._lines = -1
        for descriptor in descriptors:
            if descriptor >= 0:
                # nothing is buffered here: what the system could not write, fsync has told
                with contextlib.suppress(OSError):
                    os.close(descriptor)

    def discard(self) -> None:
        """Close and remove part and state."""
        self.close()
        forget_part(self.target)

    def forget_state(self) -> None:
        """Remove the state alone: the part is complete and gets its name."""
        with explain_storage_errors(self.target):
            state_of(self.target).unlink(missing_ok=True)

    def _open(self, blocks: dict[int, int] | None) -> None:
        flags = os.O_RDWR | NO_FOLLOW
        with explain_storage_errors(self.target):
            if self.version.is_resumable:
                # before the part is emptied: a state must never speak of bytes of another file
                write_state(self.target, PartState(self.version, self.block_bytes, blocks or {}))
            else:
                state_of(self.target).unlink(missing_ok=True)
            if blocks is None:
                # always a new file: what stands there may be a link to another one
                self.path.unlink(missing_ok=True)
                flags |= os.O_CREAT | os.O_EXCL
            self._file = os.open(self.path, flags, 0o666)
            if self.version.is_resumable:
                self._lines = os.open(state_of(self.target), os.O_WRONLY | os.O_APPEND | NO_FOLLOW)

    def _mark(self, number: int, span: Span) -> None:
        self._done[number] = span
        while (block := self._done.get(self._front // self.block_bytes)) is not None:
            if block[1] <= self._front:
                break
            self._front = block[1]

    def _keep_good_blocks(self, state: PartState, is_stopped: Callable[[], bool]) -> None:
        buffer = bytearray(state.block_bytes)
        bad = 0
        for number, checksum in sorted(state.blocks.items()):
            if is_stopped():
                return
            span = state.span_of(number)
            with explain_storage_errors(self.target):
                data = _read_at(self._file, memoryview(buffer)[: span[1] - span[0]], span[0])
            if len(data) == span[1] - span[0] and zlib.crc32(data) == checksum:
                self._mark(number, span)
            else:
                bad += 1
        if bad:
            log.warning("%s: %d blocks are damaged and are fetched again", self.path, bad)


def open_part(
    target: Path, version: Version, *, is_stopped: Callable[[], bool] = lambda: False
) -> Part:
    """Go on with the part of a file, or begin one.

    Parameters
    ----------
    target
        The file.
    version
        What the server has now.
    is_stopped
        Asked between blocks while what is there is checked.

    Returns
    -------
    Part
        Open; its blocks that are there were read and are right.

    Raises
    ------
    CacheError
        If it cannot be written.

    Notes
    -----
    Bytes of a version that ``version`` does not continue are thrown away, with a log line.
    """
    state = read_state(target) if version.is_resumable else None
    if state is not None and not version.continues(state.version):
        log.warning("%s is of another version of the file, starting over", part_of(target))
        state = None
    if state is None:
        part = Part(target, version, _choose_block(version.size))
        part._open(None)
        return part
    # a digest that was published for these bytes goes on counting for the whole
    digest = version.sha256 or state.version.sha256
    part = Part(target, dataclasses.replace(version, sha256=digest), state.block_bytes)
    part._open(state.blocks)
    part._keep_good_blocks(state, is_stopped)
    log.info("%s: going on from %d bytes", part.path, part.count_present())
    return part


def _choose_block(size: int | None) -> int:
    block = SMALLEST_BLOCK
    while size is not None and size // block > MAX_BLOCKS and block < LARGEST_BLOCK:
        block *= 2
    return block


def _flush_data(descriptor: int) -> None:
    if hasattr(os, "fdatasync"):
        os.fdatasync(descriptor)


_seeking = threading.Lock()


def _write_at(descriptor: int, data: memoryview, offset: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, data, offset)
    with _seeking:  # Windows has one position a file
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.write(descriptor, data)


def _read_at(descriptor: int, buffer: memoryview, offset: int) -> memoryview:
    """Read as much as is there, at most the length of the buffer."""
    filled = 0
    while filled < len(buffer):
        if hasattr(os, "preadv"):
            n = os.preadv(descriptor, [buffer[filled:]], offset + filled)
        else:
            with _seeking:
                os.lseek(descriptor, offset + filled, os.SEEK_SET)
                some = os.read(descriptor, len(buffer) - filled)
            n = len(some)
            buffer[filled : filled + n] = some
        if n == 0:
            break
        filled += n
    return buffer[:filled]
