"""A partly downloaded file and its state, from which a later download resumes.

`<name>.part` has the bytes at their final positions. `<name>.part.json` describes them: one
line for the file (a JSON object: length, validators, URL), then one line for every finished
block (`[number, crc32]`).

Why one line per block and no fsync: a line is appended in one call after its block was written,
so a killed process loses only unfinished blocks. After a power loss lines may be on the disk
without their blocks, or the reverse, or the last line may be torn. Therefore a block counts
only after it was read back and its checksum is right, on every resumption, and a line that does
not parse ends the list. That costs one read of the part (which the digest needs anyway); an
fsync per block would cost the latency of the disk 1700 times a session.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import stat
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from spikehouse.errors import CacheError
from spikehouse.transfer.byte_ranges import ByteRange
from spikehouse.transfer.disk import NO_FOLLOW, explain_storage_errors, write_whole
from spikehouse.transfer.remote_file import Version

__all__ = [
    "LARGEST_BLOCK",
    "Part",
    "PartState",
    "count_kept",
    "forget_part",
    "open_part",
    "part_of",
    "read_state",
    "state_of",
    "write_state",
]

log = logging.getLogger(__name__)

SMALLEST_BLOCK = 1 << 19
LARGEST_BLOCK = 4 << 20
MAX_BLOCKS = 1 << 16
FLUSH_S = 0.05


class Part:
    """A part that is open for writing; created by :func:`open_part`."""

    # Threads write to it concurrently, each at its own position. `changed` guards `_done`,
    # `_front`, `_n_writing` and the descriptors: `_front` is the end of the contiguous run of
    # finished blocks from byte 0, and close() waits until `_n_writing` is 0 because the number of
    # a closed descriptor may be reused by another file.

    def __init__(self, target: Path, version: Version, block_bytes: int) -> None:
        self.target = target
        self.path = part_of(target)
        self.version = version
        self.block_bytes = block_bytes
        self.changed = threading.Condition()
        self._done: dict[int, ByteRange] = {}
        self._front = 0
        self._file = -1
        self._lines = -1
        self._n_writing = 0
        self._flush_error: OSError | None = None
        self._is_complete = False

    @property
    def is_complete(self) -> bool:
        """Whether the whole file is there."""
        return self._is_complete

    @property
    def front(self) -> int:
        """End of the contiguous finished bytes from the beginning of the file."""
        return self._front

    def list_present(self) -> list[ByteRange]:
        """List the byte ranges of the finished blocks."""
        with self.changed:
            return list(self._done.values())

    def count_present(self) -> int:
        """Count the bytes in finished blocks."""
        return sum(stop - start for start, stop in self.list_present())

    def has_block(self, offset: int) -> bool:
        """Return whether the block that contains a byte is finished."""
        return offset // self.block_bytes in self._done

    def write(self, offset: int, data: memoryview) -> None:
        """Write bytes at an offset."""
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

    def finish_block(self, span: ByteRange, checksum: int) -> None:
        """Record that a block is completely written, with its CRC-32."""
        number = span[0] // self.block_bytes
        with self.changed, explain_storage_errors(self.target):
            if self._lines >= 0:
                # one call for one line: appended whole even if this process is killed now
                os.write(self._lines, b"[%d,%d]\n" % (number, checksum))
            self._mark(number, span)
            self.changed.notify_all()

    def settle(self) -> None:
        """Mark the file as complete, and truncate what a longer earlier part left behind it."""
        with explain_storage_errors(self.target):
            if os.fstat(self._file).st_size != self._front:
                os.ftruncate(self._file, self._front)
        with self.changed:
            self._is_complete = True
            self.changed.notify_all()

    def read(self, offset: int, buffer: memoryview) -> memoryview:
        """Read bytes back; return the filled beginning of the buffer."""
        return _read_at(self._file, buffer, offset)

    @contextlib.contextmanager
    def flushing(self) -> Iterator[None]:
        """Flush to the disk in the background, so that little is left for the final sync."""
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
                # the system reports this once: sync() raises it
                self._flush_error = error
                return

    def sync(self) -> None:
        """Wait until all bytes are on the disk."""
        with explain_storage_errors(self.target):
            os.fsync(self._file)
            if self._flush_error is not None:
                raise self._flush_error

    def close(self) -> None:
        """Close the files and keep them."""
        with self.changed:
            self.changed.wait_for(lambda: self._n_writing == 0)
            descriptors = self._file, self._lines
            self._file = self._lines = -1
        for descriptor in descriptors:
            if descriptor >= 0:
                # nothing is buffered here, and fsync has reported write errors
                with contextlib.suppress(OSError):
                    os.close(descriptor)

    def discard(self) -> None:
        """Close and delete the part and its state."""
        self.close()
        forget_part(self.target)

    def forget_state(self) -> None:
        """Delete the state only: the part is complete and is renamed to its target."""
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

    def _mark(self, number: int, span: ByteRange) -> None:
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
    """Open the part of a file, keeping the blocks that are intact, or create one."""
    # Bytes of a version that `version` does not continue are discarded, with a warning in the log.
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
    """Read bytes at an offset until the buffer is full or the file ends."""
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


FORMAT = 1
MAX_STATE_BYTES = 64 << 20


@dataclass(frozen=True)
class PartState:
    """The content of a state file, not yet compared with the bytes of the part."""

    # version of the remote file that the bytes belong to
    version: Version
    # length of a block [bytes]; the last one may be shorter
    block_bytes: int
    # block number → CRC-32
    blocks: dict[int, int]

    def span_of(self, number: int) -> ByteRange:
        """Return the byte range of a block."""
        start = number * self.block_bytes
        return start, min(start + self.block_bytes, self.version.size or 0)


def part_of(target: Path) -> Path:
    """Return the path of the part of a file."""
    return target.with_name(f"{target.name}.part")


def state_of(target: Path) -> Path:
    """Return the path of the state of a part."""
    return target.with_name(f"{target.name}.part.json")


def count_kept(target: Path) -> int:
    """Count the bytes that a later download would resume from."""
    state = read_state(target)
    if state is None:
        return 0
    length = part_of(target).stat().st_size
    spans = [state.span_of(number) for number in state.blocks]
    return sum(stop - start for start, stop in spans if stop <= length)


def forget_part(target: Path) -> None:
    """Delete the part of a file and its state."""
    with explain_storage_errors(target):
        # the state first: a part without one is started over
        state_of(target).unlink(missing_ok=True)
        part_of(target).unlink(missing_ok=True)


def read_state(target: Path) -> PartState | None:
    """Read the state of a part; None if there is no usable one."""
    place = state_of(target)
    if not _is_ours(part_of(target)) or not place.is_file():
        return None
    try:
        with place.open("rb") as file:
            lines = file.read(MAX_STATE_BYTES).split(b"\n")
        header = _parse_header(lines[0])
    except (OSError, ValueError, RecursionError) as error:
        log.warning("%s cannot be used, starting over: %s", place, error)
        return None
    # the last line has no end: it is empty, or torn
    return PartState(*header, blocks=_parse_blocks(lines[1:-1], *header))


def _is_ours(part: Path) -> bool:
    """Return whether writing to the part changes no other file (it is no link)."""
    try:
        facts = part.lstat()
    except OSError:
        return False
    return stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1


def _parse_header(line: bytes) -> tuple[Version, int]:
    document = json.loads(line)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"it is not the state of a part in format {FORMAT}")
    size, block_bytes = document.get("size"), document.get("block_bytes")
    if type(size) is not int or type(block_bytes) is not int or size < 0 or block_bytes < 1:
        raise ValueError(f"its size is {size!r} and its block_bytes {block_bytes!r}")
    names = [field.name for field in dataclasses.fields(Version) if field.name != "size"]
    texts = {name: document.get(name) for name in names}
    for name, value in texts.items():
        if not isinstance(value, str) and (value is not None or name in {"url", "source"}):
            raise ValueError(f"its {name} is {value!r}")
    return Version(size=size, **texts), block_bytes  # type: ignore[arg-type]


def _parse_blocks(lines: list[bytes], version: Version, block_bytes: int) -> dict[int, int]:
    n_blocks = -(-(version.size or 0) // block_bytes)
    blocks: dict[int, int] = {}
    for line in lines:
        try:
            number, checksum = (int(text) for text in line.strip(b"[]").split(b","))
        except ValueError:
            # torn by a power loss: what follows cannot be told from rubbish
            break
        if 0 <= number < n_blocks:
            blocks[number] = checksum
    return blocks


def write_state(target: Path, state: PartState) -> None:
    """Write the state of a part, replacing the previous one."""
    version = dataclasses.asdict(state.version)
    document = {"format": FORMAT, "block_bytes": state.block_bytes, **version}
    lines = [json.dumps(document).encode()]
    lines += [b"[%d,%d]" % block for block in state.blocks.items()]
    with write_whole(state_of(target)) as file:
        file.write(b"\n".join(lines) + b"\n")
