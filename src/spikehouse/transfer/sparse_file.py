"""A partly fetched file on the disk, shared by downloads and streams, threads and processes.

`<name>.part` has the bytes at their final positions. `<name>.part.json`, its journal, says which
bytes those are: the first line is a JSON object, the header (version of the remote file, and
whether a download or a stream began the file); then comes one line per byte range that was
written, `[start, stop, checksum, is_metadata]`, and a line `{"key": …, "ranges": …}` for byte
ranges that a later opening will need.

Invariants.

- A line is appended in one call (O_APPEND), after its bytes were written, by any thread or process
  without a lock: one that is killed loses only what it has not yet recorded.
- Lines do not wait for their bytes to be on the disk: a flush per range would cost its latency
  3 000 times in a file of 1.7 GB. After a power loss lines may be there without their bytes, or the
  reverse, or torn. A byte range therefore counts only if its bytes, read back, have its checksum,
  which covers its position, too. A line that cannot be read, or of other bytes, counts as absent.
- Ranges may overlap: they are of one version of the remote file, hence the same bytes.
- The pair is created and replaced only under the lock of the target. A new version gets new files,
  and the journal comes last: a process that still has the old pair open writes into files without
  a name, never into the new ones.
- A journal without a name (its link count is 0) means that the file is complete or was replaced:
  nothing more is written.

The modification time of the journal is the time at which the server last confirmed the version,
its access time that of the last use.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import logging
import os
import re
import shutil
import stat
import threading
import time
import weakref
import zlib
from bisect import bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from spikehouse.errors import CacheError, TransferError
from spikehouse.transfer.byte_ranges import ByteRange, count_bytes, unite
from spikehouse.transfer.disk import (
    NO_FOLLOW,
    OWN_FOLDER,
    check_inside,
    explain_storage_errors,
    lock_of,
    make_folder,
    try_lock,
    write_whole,
)
from spikehouse.transfer.remote_file import Version

__all__ = [
    "Header",
    "Line",
    "SparseFile",
    "count_kept",
    "discard_old_blocks",
    "evict",
    "find_for_stream",
    "forget_part",
    "journal_of",
    "open_for_download",
    "open_for_stream",
    "part_of",
    "read_header",
    "seal",
    "touch",
]

log = logging.getLogger(__name__)

BegunBy: TypeAlias = Literal["download", "stream"]

FORMAT = 2
# a longer range in a journal is not one of ours: it would be read into memory at once
LARGEST_RANGE = 32 << 20
MAX_JOURNAL_BYTES = 64 << 20
_SHOWN = "[%d,%d,%d,%d]"
# what reading a header raises
_UNUSABLE = (OSError, ValueError, KeyError, TypeError, RecursionError)
_LINE = re.compile(rb"\[(\d{1,15}),(\d{1,15}),(\d{1,10}),([01])\]")


class Line(NamedTuple):
    """A byte range of the file, with the checksum of its bytes and position."""

    start: int
    stop: int
    checksum: int
    # 1 for HDF5 metadata, which stays in memory once it was read
    is_pinned: int


@dataclasses.dataclass(frozen=True)
class Header:
    """What the bytes of a sparse file are of."""

    version: Version
    begun_by: BegunBy
    # when the server last confirmed the version [s since 1970]
    confirmed_at: float = 0.0
    # when the file was last opened [s since 1970]
    used_at: float = 0.0


def part_of(target: Path) -> Path:
    """Return the path of the bytes of a partly fetched file."""
    return target.with_name(f"{target.name}.part")


def journal_of(target: Path) -> Path:
    """Return the path of the journal of a partly fetched file."""
    return target.with_name(f"{target.name}.part.json")


def forget_part(target: Path) -> None:
    """Delete what was fetched of a file."""
    with explain_storage_errors(target):
        # the journal first: bytes without one are not used
        journal_of(target).unlink(missing_ok=True)
        part_of(target).unlink(missing_ok=True)


def read_header(target: Path) -> Header | None:
    """Read what the bytes of a partly fetched file are of; None if there is nothing usable."""
    try:
        part, journal = _open_files(target, os.O_RDONLY)
    except OSError:
        return None
    try:
        return _read_header(journal)[0]
    except _UNUSABLE:
        return None
    finally:
        _close(part, journal)


def count_kept(target: Path) -> int:
    """Count the bytes that a later download would resume from."""
    found = None
    with contextlib.suppress(CacheError):
        found = _open(target, is_silent=True)
    if found is None:
        return 0
    length = os.fstat(found._part).st_size
    found.close()
    # one by one: of ranges that touch, only the last may lie beyond the end
    whole = [(line.start, line.stop) for line in found._lines.values() if line.stop <= length]
    return count_bytes(unite(whole))


def touch(target: Path, *, confirmed_at: float | None = None) -> None:
    """Note that a file is used, and when the server confirmed its version, if that has changed."""
    path = journal_of(target)
    with contextlib.suppress(OSError):
        now = time.time_ns()
        until = path.stat().st_mtime_ns if confirmed_at is None else int(confirmed_at * 1e9)
        os.utime(path, ns=(now, until))


def seal(start: int, stop: int, checksum: int) -> int:
    """Extend the CRC-32 of some bytes to their position."""
    # bytes that were never written read as zeros: those must not pass for zeros from elsewhere
    return zlib.crc32(b"%d-%d" % (start, stop), checksum)


class SparseFile:
    """A partly fetched file that is open."""

    # `changed` guards all attributes; close() waits until `_n_busy` is 0, because the number of a
    # closed descriptor may be reused by another file. The ranges in `_lines` are not known to be
    # right, unless a download opened the file: then each was checked. `front` is the end of the
    # bytes that are there without a gap from the beginning.

    def __init__(self, target: Path, version: Version, part: int, journal: int) -> None:
        self.target = target
        self.path = part_of(target)
        self.version = version
        self.changed = threading.Condition()
        self.is_complete = False
        self.front = 0
        # bytes recorded since it was opened
        self.n_recorded = 0
        self._flush_error: CacheError | None = None
        self._part = part
        self._journal = journal
        self._n_parsed = 0
        self._n_busy = 0
        # by their starts, which `_starts` has in order; no range is longer than `_longest`
        self._lines: dict[int, Line] = {}
        self._starts: list[int] = []
        self._longest = 0
        self._useful: dict[str, list[ByteRange]] = {}
        self._closing = weakref.finalize(self, _close, part, journal)

    # ---- which bytes are there

    def list_present(self) -> list[ByteRange]:
        """List the byte ranges that are there, increasing and disjoint."""
        with self.changed:
            return unite((line.start, line.stop) for line in self._lines.values())

    def find(self, start: int, stop: int) -> Line | None:
        """Return the line of a range that contains these bytes, or None."""
        with self.changed:
            place = bisect_right(self._starts, start)
            # ranges may overlap: a longer one that begins earlier may have them, too
            while place and start - self._starts[place - 1] < self._longest:
                line = self._lines[self._starts[place - 1]]
                if stop <= line.stop:
                    return line
                place -= 1
        return None

    def refresh(self) -> bool:
        """Take in the lines that others appended to the journal; return whether there were any."""
        with self._busy():
            length = os.fstat(self._journal).st_size - self._n_parsed
            if not 0 < length <= MAX_JOURNAL_BYTES:
                return False
            try:
                block = bytes(_read_at(self._journal, bytearray(length), self._n_parsed))
            except OSError:
                return False
        # another process may be writing the last line
        block = block[: block.rfind(b"\n") + 1]
        with self.changed:
            self._n_parsed += len(block)
            n_known = len(self._lines)
            for line in block.split(b"\n"):
                self._parse(line)
            return len(self._lines) > n_known

    def _parse(self, text: bytes) -> None:
        match = _LINE.fullmatch(text)
        if match is not None:
            line = Line(*map(int, match.groups()))
            if line.start < line.stop <= min(self.version.size or 0, line.start + LARGEST_RANGE):
                self._take_in(line)
        elif text.startswith(b"{"):
            with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                found = json.loads(text)
                ranges = [(int(start), int(stop)) for start, stop in found["ranges"]]
                self._useful[str(found["key"])] = ranges

    def _take_in(self, line: Line) -> None:
        known = self._lines.get(line.start)
        if known is None:
            insort(self._starts, line.start)
        elif known.stop > line.stop:
            return
        self._lines[line.start] = line
        self._longest = max(self._longest, line.stop - line.start)
        while (found := self.find(self.front, self.front + 1)) is not None:
            self.front = found.stop

    # ---- bytes

    def read(self, offset: int, buffer: memoryview) -> memoryview:
        """Read bytes, unchecked; return the filled beginning of the buffer."""
        with self._busy():
            return _read_at(self._part, buffer, offset)

    def read_line(self, line: Line) -> memoryview | None:
        """Read the bytes of a range; None, and the range is forgotten, if they are not right."""
        with contextlib.suppress(OSError):
            data = self.read(line.start, memoryview(bytearray(line.stop - line.start)))
            if line.checksum == seal(line.start, line.stop, zlib.crc32(data)):
                return data
        with self.changed:
            if self._lines.get(line.start) == line:
                del self._lines[line.start]
                self._starts.remove(line.start)
        return None

    def write(self, offset: int, data: memoryview) -> None:
        """Write bytes; they count once they are recorded."""
        with self._busy(), explain_storage_errors(self.target):
            while data:
                n_written = _write_at(self._part, data, offset)
                offset, data = offset + n_written, data[n_written:]

    def record(
        self,
        start: int,
        stop: int,
        checksum: int,
        *,
        is_pinned: bool = False,
        is_new: bool = True,
    ) -> None:
        """Record that a range was written, with the CRC-32 of its bytes."""
        line = Line(start, stop, seal(start, stop, checksum), int(is_pinned))
        self._append(_SHOWN % line, is_new=is_new)
        with self.changed:
            self._take_in(line)
            self.n_recorded += stop - start
            self.changed.notify_all()

    def settle(self, size: int) -> None:
        """Mark the file as complete, and cut off what a longer earlier one left behind it."""
        with self._busy(), explain_storage_errors(self.target):
            if os.fstat(self._part).st_size != size:
                os.ftruncate(self._part, size)
        with self.changed:
            self.is_complete = True
            self.changed.notify_all()

    def sync(self) -> None:
        """Wait until all bytes are on the disk."""
        try:
            with self._busy(), explain_storage_errors(self.target):
                os.fsync(self._part)
        except CacheError as error:
            self._flush_error = error
        # the system reports it once
        if self._flush_error is not None:
            raise self._flush_error

    # ---- the journal

    def is_current(self) -> bool:
        """Return whether the file is neither complete nor replaced."""
        with self._busy():
            return os.fstat(self._journal).st_nlink > 0

    def recall(self, key: str) -> list[ByteRange] | None:
        """Return the byte ranges that were kept under a key, or None."""
        return self._useful.get(key)

    def keep(self, key: str, ranges: Iterable[ByteRange]) -> None:
        """Keep byte ranges under a key, for a later opening."""
        self._useful[key] = unite(ranges)
        self._append(json.dumps({"key": key, "ranges": self._useful[key]}), is_new=False)

    def _append(self, line: str, *, is_new: bool) -> None:
        with self._busy(), explain_storage_errors(self.target):
            confirmed_at = os.fstat(self._journal).st_mtime
            # one call for one line: appended whole even if this process is killed now
            os.write(self._journal, f"{line}\n".encode())
            if not is_new:
                # nothing of it came from the server just now
                touch(self.target, confirmed_at=confirmed_at)

    def end_line(self) -> None:
        """End a line that was torn, so that the next one stands for itself."""
        with self._busy(), contextlib.suppress(OSError):
            facts = os.fstat(self._journal)
            if facts.st_size > self._n_parsed:
                os.write(self._journal, b"\n")
                # nothing of it came from the server just now
                touch(self.target, confirmed_at=facts.st_mtime)

    @contextlib.contextmanager
    def _busy(self) -> Iterator[None]:
        with self.changed:
            if not self._closing.alive:
                raise CacheError(f"{self.path} is closed")
            self._n_busy += 1
        try:
            yield
        finally:
            with self.changed:
                self._n_busy -= 1
                if self._n_busy == 0:
                    self.changed.notify_all()

    def close(self) -> None:
        """Close the files and keep them."""
        with self.changed:
            self.changed.wait_for(lambda: self._n_busy == 0)
            self._closing()

    def discard(self) -> None:
        """Close and delete the files."""
        self.close()
        forget_part(self.target)


def open_for_download(
    target: Path, version: Version, *, is_stopped: Callable[[], bool] = lambda: False
) -> SparseFile:
    """Open what is there of a file, keeping the ranges that are right, or begin it anew."""
    # the caller holds the lock of the target
    found = _open(target)
    if found is not None and not version.continues(found.version):
        log.warning("%s is of another version of the file, starting over", found.path)
        found.close()
        found = None
    if found is None:
        return _begin(target, Header(version, "download"))
    lines = list(found._lines.values())
    good = []
    for line in lines:
        if is_stopped():
            found.close()
            raise TransferError(f"the download of {target.name} was stopped")
        if found.read_line(line) is not None:
            good.append(line)
    if len(good) < len(lines):
        n_bad = len(lines) - len(good)
        log.warning("%s: %d ranges are damaged and are fetched again", found.path, n_bad)
    found.close()
    # a digest that was published for these bytes goes on counting for the whole
    version = dataclasses.replace(version, sha256=version.sha256 or found.version.sha256)
    # a stream beside finds that its journal has been replaced, and opens the new one
    again = _write_journal(target, Header(version, "download"), good)
    log.info("%s: going on from %d bytes", again.path, count_bytes(again.list_present()))
    return again


def open_for_stream(target: Path, version: Version, folder: Path | None) -> SparseFile | None:
    """Open what is there of a file, or begin it; None if the stream may not write to it."""
    if (found := find_for_stream(target, version)) is not None:
        return found
    lock = lock_of(target, folder)
    if folder is not None:
        check_inside(lock, folder)
    with try_lock(lock) as is_held:
        # a download is under way, or has ended
        if not is_held or target.exists():
            return None
        # begun by another process meanwhile, of another version, or from another URL
        found = _open(target)
        if found is not None:
            found.close()
            if found.version.url != version.url:
                return None
            if (again := find_for_stream(target, version)) is not None:
                return again
        make_folder(target.parent)
        return _begin(target, Header(version, "stream"))


def find_for_stream(target: Path, version: Version) -> SparseFile | None:
    """Open what is there of a file if it came from the same URL and has the same strong ETag."""
    found = None
    # read without it then
    with contextlib.suppress(CacheError):
        found = _open(target, is_silent=True)
    if found is None:
        return None
    here = found.version
    if (here.url, here.size, here.strong_etag) == (version.url, version.size, version.etag):
        touch(target)
        found.end_line()
        return found
    found.close()
    return None


def evict(folder: Path, own: Path, *, limit: int) -> bool:
    """Delete the files that streams used least recently; return whether `own` fits the limit."""
    # only files that a stream began, and no download went on with, count and are deleted
    streamed = []
    for journal in [*folder.glob("*.part.json"), *folder.glob("*/*.part.json")]:
        target = journal.with_name(journal.name.removesuffix(".part.json"))
        header = read_header(target)
        if header is not None and header.begun_by == "stream":
            with contextlib.suppress(OSError):
                facts = part_of(target).lstat()
                n_bytes = min(facts.st_size, getattr(facts, "st_blocks", facts.st_size) * 512)
                streamed.append((target != own, -header.used_at, n_bytes, target))
    left = limit
    for is_other, _, n_bytes, target in sorted(streamed):
        left -= n_bytes
        if is_other and left < 0:
            lock = lock_of(target, folder)
            with contextlib.suppress(CacheError), try_lock(check_inside(lock, folder)) as is_held:
                header = read_header(target)
                if is_held and header is not None and header.begun_by == "stream":
                    check_inside(part_of(target), folder)
                    forget_part(target)
                    left += n_bytes
    return sum(n_bytes for is_other, _, n_bytes, _ in streamed if not is_other) <= limit


def discard_old_blocks(folder: Path) -> None:
    """Delete the bytes that version 0.1 kept of streams, in a format of their own."""
    blocks = folder / OWN_FOLDER / "blocks"
    check_inside(blocks, folder)
    if blocks.is_dir() and not blocks.is_symlink():
        log.warning("%s is of version 0.1 and is deleted: it is not used any more", blocks)
        shutil.rmtree(blocks, ignore_errors=True)


# ---- files


def _open(target: Path, *, is_silent: bool = False) -> SparseFile | None:
    """Open what is there of a file; None if there is nothing, or nothing that can be used."""
    # What cannot be read just now (too many open files, a disk in trouble) may be good: that is a
    # CacheError, so that nobody begins the file anew over it.
    try:
        try:
            part, journal = _open_files(target, os.O_RDWR | os.O_APPEND)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            # what is kept in a read-only folder can be used
            part, journal = _open_files(target, os.O_RDONLY)
    except FileNotFoundError:
        return None
    except OSError as error:
        # those without a number say that it is no file of ours
        if error.errno not in (None, errno.ELOOP):
            with explain_storage_errors(part_of(target)):
                raise
        if not is_silent:
            log.warning("%s cannot be used, starting over: %s", part_of(target), error)
        return None
    try:
        header, n_parsed = _read_header(journal)
    except OSError:
        _close(part, journal)
        with explain_storage_errors(journal_of(target)):
            raise
    except _UNUSABLE as error:
        if not is_silent:
            log.warning("%s cannot be used, starting over: %s", journal_of(target), error)
        _close(part, journal)
        return None
    found = SparseFile(target, header.version, part, journal)
    found._n_parsed = n_parsed
    found.refresh()
    return found


def _begin(target: Path, header: Header) -> SparseFile:
    forget_part(target)
    with explain_storage_errors(target):
        # always a new file: what stands there may be a link to another one
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_FOLLOW
        os.close(os.open(part_of(target), flags, 0o666))
    try:
        return _write_journal(target, header, [])
    except BaseException:
        # of no use without its journal
        with contextlib.suppress(OSError):
            part_of(target).unlink()
        raise


def _write_journal(target: Path, header: Header, lines: Iterable[Line]) -> SparseFile:
    document = {"format": FORMAT, "begun_by": header.begun_by, **dataclasses.asdict(header.version)}
    document["checksum"] = zlib.crc32(json.dumps(document).encode())
    text = [json.dumps(document)]
    text += [_SHOWN % line for line in lines]
    with write_whole(journal_of(target)) as file:
        file.write("".join(f"{line}\n" for line in text).encode())
    with explain_storage_errors(target):
        part, journal = _open_files(target, os.O_RDWR | os.O_APPEND)
    opened = SparseFile(target, header.version, part, journal)
    opened._n_parsed = len(text[0]) + 1
    opened.refresh()
    return opened


def _open_files(target: Path, flags: int) -> tuple[int, int]:
    """Open a pair of files that belong together, neither of them a link."""
    paths = journal_of(target), part_of(target)
    with contextlib.ExitStack() as stack:
        opened = []
        for path in paths:
            if not stat.S_ISREG(path.lstat().st_mode):  # to open a pipe would wait for ever
                raise OSError("it is not a regular file")
            # positions in the part are ours to choose
            mode = flags | NO_FOLLOW if path == paths[0] else flags & ~os.O_APPEND | NO_FOLLOW
            opened.append(os.open(path, mode))
            stack.callback(os.close, opened[-1])
        for path, descriptor in zip(paths, opened, strict=True):
            facts = os.fstat(descriptor)
            if facts.st_nlink != 1 or not os.path.samestat(facts, path.lstat()):
                raise OSError("it is a link, or was replaced just now")
        stack.pop_all()
    return opened[1], opened[0]


def _read_header(journal: int) -> tuple[Header, int]:
    """Read the first line of a journal, and return it with its length."""
    facts = os.fstat(journal)
    block = bytes(_read_at(journal, bytearray(min(facts.st_size, 1 << 16)), 0))
    line, newline, _ = block.partition(b"\n")
    document = json.loads(line)
    if isinstance(document, dict) and document.get("format") == 1:
        raise ValueError("version 0.1 of this package wrote it")
    if not newline or not isinstance(document, dict):
        raise ValueError("it has no header")
    checksum = document.pop("checksum", None)
    if document.pop("format", None) != FORMAT or checksum != zlib.crc32(
        json.dumps({"format": FORMAT, **document}).encode()
    ):
        raise ValueError("its header is damaged, or another version of this package wrote it")
    begun_by = document.pop("begun_by")
    version = Version(**document)
    texts = (version.etag, version.modified, version.sha256)
    is_valid = all(isinstance(text, str | None) for text in texts) and all(
        isinstance(text, str) for text in (version.url, version.source, begun_by)
    )
    if type(version.size) is not int or version.size < 0 or not is_valid:
        raise ValueError("its header is not valid")
    if not version.is_resumable:
        raise ValueError("its header names no version of the file")
    return Header(version, begun_by, facts.st_mtime, facts.st_atime), len(line) + 1


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        # nothing is buffered here, and fsync has reported write errors
        with contextlib.suppress(OSError):
            os.close(descriptor)


_seeking = threading.Lock()


def _write_at(descriptor: int, data: memoryview, offset: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, data, offset)
    with _seeking:  # Windows has one position a file
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.write(descriptor, data)


def _read_at(descriptor: int, space: bytearray | memoryview, offset: int) -> memoryview:
    """Read bytes at an offset until the space is full or the file ends."""
    buffer, filled = memoryview(space), 0
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
