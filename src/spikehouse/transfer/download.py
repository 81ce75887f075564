"""Download or copy one file into the cache folder: resumed, checked, renamed when complete."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import socket
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from spikehouse.errors import (
    CacheError,
    ChecksumError,
    InvalidFileError,
    SourceError,
    SpikehouseError,
    TransferError,
    printable,
)
from spikehouse.transfer.byte_ranges import ByteRange, halve, plan_download
from spikehouse.transfer.disk import (
    check_space,
    explain_storage_errors,
    hold_lock,
    make_folder,
    sync_folder,
    write_whole,
)
from spikehouse.transfer.http import (
    Answer,
    ChangedError,
    HttpClient,
    check_head,
    check_same,
    iterate_blocks,
    read_answer,
)
from spikehouse.transfer.progress import FileProgress, Progress
from spikehouse.transfer.records import FileRecord, write_record
from spikehouse.transfer.remote_file import Content, LocalFile, RemoteFile, Version
from spikehouse.transfer.retry import HttpOptions, RetryState, TransientError, retry
from spikehouse.transfer.sparse_file import (
    LARGEST_BLOCK,
    Part,
    count_kept,
    forget_part,
    open_part,
    part_of,
    read_state,
)

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

__all__ = ["Fetch", "FrontDigest", "InFlight", "RangeDownloader", "RangesIgnoredError", "download"]

log = logging.getLogger(__name__)

COPY_BYTES = 1 << 20


def download(
    content: Content,
    target: Path,
    *,
    check: Callable[[Path], None],
    options: HttpOptions | None = None,
    lock: Path | None = None,
    progress: Progress | bool | None = None,
    records: Path | None = None,
    stop: threading.Event | None = None,
) -> Path:
    """Download or copy a file to `target` unless it exists, resuming an earlier download."""
    # An existing file is neither checked nor replaced. The bytes go to `<name>.part`, which is
    # flushed to the disk, checked and renamed. After any failure (Ctrl-C and power loss included)
    # the part and its state `<name>.part.json` stay, and the next call resumes from them if the
    # server still has the same version. Only bytes known to be wrong are deleted. The lock makes
    # threads and processes that ask for the same file download it once. `records` None skips the
    # digest unless one was published.
    if target.exists():
        return target
    make_folder(target.parent)
    is_stopped = stop.is_set if stop is not None else _never
    with hold_lock(lock or target.with_name(f".{target.name}.lock"), is_stopped=is_stopped):
        # while we waited for the lock, another process may have finished the job
        if target.exists():
            return target
        bars = progress if isinstance(progress, Progress) else Progress(progress)
        if isinstance(content, RemoteFile):
            client = HttpClient(options)
            carry = _Carry(target, check, records, is_stopped)
            with bars.file(target.name, content.size) as bar:
                carry.fetch(content, client, bar)
        else:
            carry = _Carry(target, check, records, is_stopped)
            if isinstance(content, LocalFile):
                content.ready()
            with bars.file(target.name, _size_of(content)) as bar:
                carry.copy(content, bar)
    log.info("fetched %s", target)
    return target


def _never() -> bool:
    return False


class _Carry:
    """Bring one file to its target and record its digest."""

    def __init__(
        self,
        target: Path,
        check: Callable[[Path], None],
        records: Path | None,
        is_stopped: Callable[[], bool],
    ) -> None:
        self._target = target
        self._check = check
        self._records = records
        self._is_stopped = is_stopped

    def fetch(self, remote: RemoteFile, client: HttpClient, bar: FileProgress) -> None:
        try:
            self._fetch_once(remote, client, bar)
        except ChecksumError as error:
            log.warning("%s: downloading the whole file again", error)
            self._fetch_once(remote, client, bar)

    def _fetch_once(self, remote: RemoteFile, client: HttpClient, bar: FileProgress) -> None:
        fetch = Fetch(
            remote,
            self._target,
            client,
            progress=bar,
            is_stopped=self._is_stopped,
            has_digest=self._records is not None,
        )
        with fetch.run() as (part, digest):
            # the digest is finished meanwhile
            part.sync()
            sha256 = self._compare(part, digest)
            self._check_arrival(part.path, origin=remote.url)
            part.close()
            with explain_storage_errors(self._target):
                part.path.replace(self._target)
                # only now: a part without its state would be started over
                part.forget_state()
                sync_folder(self._target.parent)
        self._record(part.version, sha256)

    def _compare(self, part: Part, digest: FrontDigest | None) -> str | None:
        if digest is None:
            return None
        with explain_storage_errors(self._target):
            found = digest.result()
        published = part.version.sha256
        if published is not None and found != published.casefold():
            part.discard()
            raise ChecksumError(
                f"the file from {part.version.url} for {self._target.name} has the sha256 {found} "
                f"instead of the published {published}; it was discarded"
            )
        return found

    def _check_arrival(self, part: Path, *, origin: str) -> None:
        try:
            self._check(part)
        except InvalidFileError as error:
            forget_part(self._target)
            raise InvalidFileError(
                f"the file from {origin} for {self._target.name} is not valid and was not kept: "
                f"{error}"
            ) from error

    def copy(self, content: LocalFile | Iterable[bytes], bar: FileProgress) -> None:
        """Write a local file or an iterable of blocks to the target."""
        origin = str(content.path) if isinstance(content, LocalFile) else "the source"
        source = content.source if isinstance(content, LocalFile) else ""
        size = _size_of(content)
        if size is not None:
            check_space(self._target, size)
        # bytes of a server do not go together with these
        forget_part(self._target)
        if isinstance(content, LocalFile) and content.is_immutable and self._link(content, bar):
            return
        sha256 = hashlib.sha256()

        def check(part: Path) -> None:
            self._check_arrival(part, origin=origin)

        blocks = _read_blocks(content) if isinstance(content, LocalFile) else content
        with write_whole(self._target, check=check) as file:
            for block in blocks:
                if self._is_stopped():
                    raise TransferError(f"the copy of {origin} was stopped; nothing was kept")
                with explain_storage_errors(self._target):
                    file.write(block)
                if self._records is not None:
                    sha256.update(block)
                bar.update(len(block))
        digest = sha256.hexdigest() if self._records is not None else None
        self._record(Version(size, source=source), digest)

    def _link(self, content: LocalFile, bar: FileProgress) -> bool:
        """Hard-link the file; return False where that is not possible, as between disks."""
        self._check_arrival(content.path, origin=str(content.path))
        try:
            # of a symbolic link the file it leads to: the link may go away
            os.link(content.path.resolve(), self._target)
        except OSError as error:
            log.info("%s cannot be linked, it is copied: %s", content.path, error)
            return False
        if self._records is not None:
            with self._target.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            self._record(Version(content.path.stat().st_size, source=content.source), digest)
        bar.update(content.path.stat().st_size)
        return True

    def _record(self, version: Version, sha256: str | None) -> None:
        if self._records is None or sha256 is None:
            return
        status = self._target.stat()
        record = FileRecord(
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            sha256=sha256,
            source=version.source,
            url=printable(version.url),
            etag=version.etag,
            fetched_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_record(self._records, self._target, record)


def _size_of(content: Content) -> int | None:
    if not isinstance(content, LocalFile):
        return None
    with _explain_reading(content):
        return content.path.stat().st_size


def _read_blocks(content: LocalFile) -> Iterator[bytes]:
    with _explain_reading(content), content.path.open("rb") as file:
        before = content.path.stat()
        n_bytes = 0
        while block := file.read(COPY_BYTES):
            n_bytes += len(block)
            yield block
        after = content.path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or (
        n_bytes != after.st_size
    ):
        raise TransferError(f"{content.path} changed while it was copied; nothing was kept")


@contextlib.contextmanager
def _explain_reading(content: LocalFile) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise TransferError(
            f"{content.name} cannot be read from {content.path} ({error.strerror})"
        ) from error


T = TypeVar("T")

# the first request brings so much, so that a small file takes one; it ends where a block does
FIRST_BYTES = LARGEST_BLOCK
MAX_VERSIONS = 4
WATCH_S = 0.2


class _LostError(Exception):
    """A failed attempt that left nothing to resume from."""

    def __init__(self, reason: TransientError | TransferError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Fetch:
    """Download one remote file, starting over where the server makes that necessary."""

    # `_run` loops over whole attempts, RangeDownloader inside it over byte ranges. A new attempt
    # begins when (1) the server stops serving ranges: one stream instead; (2) the file changed:
    # its part is deleted, and after MAX_VERSIONS versions the download fails; (3) the version has
    # no validator and the connection broke: the bytes of two answers must not be combined, so
    # everything starts over.

    def __init__(
        self,
        remote: RemoteFile,
        target: Path,
        client: HttpClient,
        *,
        progress: FileProgress,
        is_stopped: Callable[[], bool],
        has_digest: bool,
    ) -> None:
        self._remote = remote
        self._target = target
        self._client = client
        self._progress = progress
        self._is_stopped = is_stopped
        self._has_digest = has_digest

    @contextlib.contextmanager
    def run(self) -> Iterator[tuple[Part, FrontDigest | None]]:
        """Download what is missing and yield the complete part (not yet synced) and its digest."""
        try:
            with self._run() as fetched:
                yield fetched
        except InvalidFileError:
            # the bytes were wrong and were deleted
            raise
        except SpikehouseError as error:
            if kept := self._describe_kept():
                error.args = (f"{error.message}; {kept}", *error.args[1:])
            raise
        except KeyboardInterrupt as error:
            if kept := self._describe_kept():
                log.warning("interrupted: %s", kept)
                error.add_note(kept)
            raise

    @contextlib.contextmanager
    def _run(self) -> Iterator[tuple[Part, FrontDigest | None]]:
        is_ranged = True
        n_versions = 1
        retries = RetryState(self._client.options)
        while True:
            try:
                with self._begin(is_ranged) as (part, digest, response, answer):
                    self._fetch_all(part, response, answer)
                    yield part, digest
                return
            except RangesIgnoredError as error:
                log.warning("%s: one stream instead", error)
                is_ranged = False
            except ChangedError as error:
                if n_versions == MAX_VERSIONS:
                    raise TransferError(f"{error}, for the {n_versions}th time") from error
                log.warning("%s: starting over with the new version", error)
                forget_part(self._target)
                n_versions += 1
                # the last try is one stream: nothing to put together
                is_ranged = n_versions < MAX_VERSIONS
            except _LostError as error:
                wait = retries.next_wait(error.reason)
                self._unless_stopped(partial(threading.Event.wait, timeout=wait))

    def _fetch_all(self, part: Part, response: BaseHTTPResponse | None, answer: Answer) -> None:
        downloader = RangeDownloader(
            part,
            self._remote,
            self._client,
            progress=self._progress,
            is_stopped=self._is_stopped,
            has_ranges=answer.is_range,
        )
        try:
            with part.flushing():
                downloader.run(response, (answer.start, answer.stop))
        except (TransientError, TransferError) as error:
            if part.version.is_resumable or self._is_stopped():
                raise
            raise _LostError(error) from error
        part.settle()

    def _describe_kept(self) -> str:
        """Describe what a later call can resume from, and delete what it cannot use."""
        state = read_state(self._target)
        n_kept = count_kept(self._target)
        if state is None or n_kept == 0:
            with contextlib.suppress(CacheError):
                forget_part(self._target)
            return ""
        return (
            f"{n_kept} of {state.version.size} bytes are kept in {part_of(self._target).name}: "
            "the same call resumes from there"
        )

    @contextlib.contextmanager
    def _begin(
        self, is_ranged: bool
    ) -> Iterator[tuple[Part, FrontDigest | None, BaseHTTPResponse | None, Answer]]:
        contact = self._contact_ranged if is_ranged else self._contact_plain
        with contextlib.ExitStack() as stack:
            response, answer = self._meet(contact)
            if response is not None:
                stack.callback(response.close)
            part = open_part(self._target, answer.version, is_stopped=self._is_stopped)
            stack.callback(part.close)
            n_present = part.count_present()
            self._progress.begin(answer.version.size, n_present)
            if answer.version.size is not None:
                check_space(self._target, answer.version.size - n_present)
            digest = None
            if self._has_digest or part.version.sha256 is not None:
                digest = FrontDigest(part)
                stack.callback(digest.close)
            yield part, digest, response, answer

    def _meet(
        self, contact: Callable[[], tuple[BaseHTTPResponse | None, Answer]]
    ) -> tuple[BaseHTTPResponse | None, Answer]:
        options = self._client.options
        try:
            return self._unless_stopped(
                lambda stopped: retry(contact, options=options, sleep=stopped.wait)
            )
        except ChangedError as error:
            # another length than the source knows: the existing part may still be right, and
            # is kept
            raise TransferError(str(error)) from error

    def _contact_ranged(self) -> tuple[BaseHTTPResponse | None, Answer]:
        # if a part exists its first bytes are not needed, only the version on the server
        asked = (0, FIRST_BYTES if read_state(self._target) is None else 1)
        response = self._client.ask_range(self._remote, *asked)
        try:
            if response.status == 416:
                # a file of no bytes has no range either
                response.close()
                return self._contact_plain()
            answer = read_answer(response, self._remote, asked=asked)
            if not answer.is_range or answer.stop == answer.version.size:
                return response, answer
            if not answer.version.is_resumable:
                log.info("%s does not tell versions apart: one stream", self._remote.url)
                response.close()
                return self._contact_plain()
            if asked[1] > 1:
                return response, answer
            for _ in iterate_blocks(response, url=self._remote.url, most=1):
                pass  # one byte: read, so that the connection can be used again
            return None, answer
        except BaseException:
            response.close()
            raise

    def _contact_plain(self) -> tuple[BaseHTTPResponse, Answer]:
        timeout = self._client.options.answer_timeout
        response = self._client.open(self._remote.url, timeout=timeout, hosts=self._remote.hosts)
        try:
            answer = read_answer(response, self._remote)
        except BaseException:
            response.close()
            raise
        return response, Answer(answer.version, 0, answer.version.size, is_range=False)

    def _unless_stopped(self, action: Callable[[threading.Event], T]) -> T:
        """Run a function that may block in a daemon thread, and abandon it when stopped."""
        results: list[T] = []
        failures: list[BaseException] = []
        stopped = threading.Event()

        def act() -> None:
            try:
                results.append(action(stopped))
            except BaseException as error:  # noqa: BLE001 - raised again below
                failures.append(error)

        thread = threading.Thread(target=act, daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                thread.join(WATCH_S)
                if thread.is_alive() and self._is_stopped():
                    raise TransferError(f"the download of {self._remote.name} was stopped")
        finally:
            stopped.set()
        if failures:
            raise failures[0]
        return results[0]


# limit for a file of unknown length; the largest of the data set has 3.3 GB
MAX_FILE_BYTES = 4 << 30
WATCH_S = 0.2
JOIN_S = 0.8


class RangesIgnoredError(SourceError):
    """The server now ignores range requests and sends the whole file, of the same version."""


class _StoppedError(Exception):
    """Ends a worker thread when the download stops."""


class RangeDownloader:
    """Download the missing byte ranges of a part with one thread per connection."""

    # Invariants. Every byte range is in exactly one place: in `_waiting` (nobody has begun it), in
    # one InFlight of `_active` (one thread fetches it), or finished in the part. All three change
    # only while `_state` is held; InFlight.position alone is advanced by its own thread without
    # the lock, since only that thread writes it and a stale value makes `_steal` cut a little too
    # early, no more. Byte ranges begin at block boundaries of the part, so a block is written and
    # its CRC-32 computed by one thread, except after a steal or a restart, where has_block() makes
    # the second copy of a block a no-op.
    #
    # An idle thread takes the next waiting range, else the second half of the slowest active one.
    # A failing connection puts its range back (from the beginning of the unfinished block) and
    # ends; the download fails when the last connection does, or at once when the file changed. The
    # calling thread only waits: it stays responsive to Ctrl-C, and on leaving shuts the sockets of
    # all active threads. Memory: one block of 512 KiB per connection.

    def __init__(
        self,
        part: Part,
        remote: RemoteFile,
        client: HttpClient,
        *,
        progress: FileProgress,
        is_stopped: Callable[[], bool],
        has_ranges: bool,
    ) -> None:
        self._part = part
        self._remote = remote
        self._client = client
        self._progress = progress
        self._is_stopped = is_stopped
        self._has_ranges = has_ranges
        self._stopping = threading.Event()
        self._state = threading.Condition()
        self._waiting: deque[ByteRange] = deque()
        self._active: list[InFlight] = []
        self._n_threads = 0
        self._failure: BaseException | None = None
        self._high_water = 0

    def run(self, response: BaseHTTPResponse | None, span: tuple[int, int | None]) -> None:
        """Download what is missing; `response` is an open answer with the bytes `span`, or None."""
        threads = self._start(response, span)
        try:
            self._watch()
        finally:
            # a thread that waits for the headers of an answer has no socket to shut yet: it ends
            # later, and must not delay the caller
            self._stopping.set()
            self._hang_up()
            deadline = time.monotonic() + JOIN_S
            for thread in threads:
                thread.join(max(deadline - time.monotonic(), 0.0))

    def _start(
        self, response: BaseHTTPResponse | None, span: tuple[int, int | None]
    ) -> list[threading.Thread]:
        jobs: list[tuple[InFlight | None, BaseHTTPResponse | None]] = []
        present = self._part.list_present()
        if response is not None:
            jobs.append((InFlight(*span), response))
            present.append((span[0], span[1] or span[0]))
        if self._has_ranges:
            self._waiting.extend(self._plan(present))
        elif response is None:
            self._waiting.append((0, self._part.version.size or 0))
        most = self._client.options.connections if self._has_ranges else 1
        jobs += [(None, None)] * min(len(self._waiting), max(most, 1) - len(jobs))
        self._active.extend(piece for piece, _ in jobs if piece is not None)
        threads = [threading.Thread(target=self._work, args=job, daemon=True) for job in jobs]
        self._n_threads = len(threads)
        for thread in threads:
            thread.start()
        return threads

    def _plan(self, present: list[ByteRange]) -> list[ByteRange]:
        return plan_download(
            self._part.version.size or 0,
            present,
            connections=self._client.options.connections,
            smallest=self._part.block_bytes,
        )

    def _watch(self) -> None:
        with self._state:
            while self._n_threads > 0 and self._failure is None:
                self._state.wait(WATCH_S)
                if self._is_stopped():
                    raise TransferError(f"the download of {self._remote.name} was stopped")
            if self._failure is not None:
                raise self._failure

    def _hang_up(self) -> None:
        with self._state:
            for piece in self._active:
                piece.shut()
            self._state.notify_all()

    def _work(self, piece: InFlight | None, response: BaseHTTPResponse | None) -> None:
        try:
            while (piece := piece or self._take()) is not None:
                self._fetch(piece, response)
                self._put_away(piece)
                piece = response = None
        except _StoppedError:
            pass
        except (SourceError, TransferError) as error:
            self._leave(piece, error)
        except BaseException as error:  # noqa: BLE001 - raised again by the calling thread
            self._fail(error)
        finally:
            with self._state:
                self._n_threads -= 1
                self._state.notify_all()

    def _take(self) -> InFlight | None:
        with self._state:
            while not self._stopping.is_set():
                span = self._waiting.popleft() if self._waiting else self._steal()
                if span is not None:
                    piece = InFlight(*span)
                    self._active.append(piece)
                    return piece
                if not self._active:
                    return None
                self._state.wait(WATCH_S)
        return None

    def _steal(self) -> ByteRange | None:
        """Take the second half of the longest remaining range of a slow connection."""
        now = time.monotonic()
        slow = [piece for piece in self._active if piece.stop is not None and piece.is_slow(now)]
        if not self._has_ranges or not slow:
            return None
        piece = max(slow, key=lambda piece: (piece.stop or 0) - piece.position)
        halves = halve((piece.position, piece.stop or 0), smallest=self._part.block_bytes)
        if halves is None:
            return None
        piece.stop = halves[1][0]
        return halves[1]

    def _put_away(self, piece: InFlight) -> None:
        with self._state:
            self._active.remove(piece)
            self._state.notify_all()

    def _leave(self, piece: InFlight | None, error: SpikehouseError) -> None:
        """End this thread, and the download too if no other connection is left."""
        with self._state:
            others = [other for other in self._active if other is not piece]
            if isinstance(error, ChangedError | RangesIgnoredError) or not others:
                self._failure = self._failure or error
                return
            # a server may not like as many connections as we opened
            log.warning("going on with one connection less: %s", error)
            if piece is not None:
                self._active.remove(piece)
                start = piece.position - piece.position % self._part.block_bytes
                self._progress.update(start - piece.position)
                self._waiting.appendleft((start, piece.stop or start))

    def _fail(self, error: BaseException) -> None:
        with self._state:
            self._failure = self._failure or error

    # --- one piece

    def _fetch(self, piece: InFlight, response: BaseHTTPResponse | None) -> None:
        retries = RetryState(self._client.options, has_met=True)
        while not piece.is_done():
            before = self._mark_of(piece)
            try:
                self._fetch_once(piece, response)
            except (TransientError, TransferError) as error:
                if not self._part.version.is_resumable:
                    # what the next answer brings may be of another version: see Fetch
                    raise
                if self._mark_of(piece) > before:
                    retries.restart()
                self._pause(retries, error)
            response = None

    def _mark_of(self, piece: InFlight) -> int:
        # a stream that starts over makes progress only beyond the furthest earlier position
        self._high_water = max(self._high_water, piece.position) if not self._has_ranges else 0
        return piece.position if self._has_ranges else self._high_water

    def _pause(self, retries: RetryState, error: TransientError | TransferError) -> None:
        if self._stopping.is_set() or self._stopping.wait(retries.next_wait(error)):
            raise _StoppedError

    def _fetch_once(self, piece: InFlight, response: BaseHTTPResponse | None) -> None:
        if response is None:
            response = self._ask(piece)
        try:
            with self._reachable(piece, response):
                self._receive(piece, response)
        finally:
            # not release_conn: what is left of a body must not reach the next request; one that
            # was read to its end is back in the pool already
            response.close()

    def _ask(self, piece: InFlight) -> BaseHTTPResponse:
        if self._stopping.is_set():
            raise _StoppedError
        if self._has_ranges:
            return self._ask_range(piece)
        remote = self._remote
        timeout = self._client.options.answer_timeout
        response = self._client.open(remote.url, timeout=timeout, hosts=remote.hosts)
        self._check(response, None)
        # a whole file begins at its beginning
        piece.position = piece.checksum = 0
        self._progress.begin(self._part.version.size, self._part.count_present())
        return response

    def _ask_range(self, piece: InFlight) -> BaseHTTPResponse:
        version = self._part.version
        start, stop = piece.position, piece.stop or 0
        response = self._client.ask_range(self._remote, start, stop, validator=version.validator)
        if response.status == 416:
            response.close()
            raise ChangedError(f"{self._remote.url} has no bytes {start} to {stop - 1} any more")
        self._check(response, (start, stop))
        return response

    def _check(self, response: BaseHTTPResponse, asked: ByteRange | None) -> None:
        try:
            answer = read_answer(response, self._remote, asked=asked)
            check_same(answer, self._part.version)
            if asked is not None and not answer.is_range:
                raise RangesIgnoredError(f"{self._remote.url} serves no ranges any more")
        except BaseException:
            response.close()
            raise

    @contextlib.contextmanager
    def _reachable(self, piece: InFlight, response: BaseHTTPResponse) -> Iterator[None]:
        """Let other threads end a blocking read of the body by shutting down its socket."""
        try:
            # a duplicate descriptor: that of the response may be closed and reused meanwhile
            line = socket.fromfd(response.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        except (OSError, ValueError, AttributeError):
            # the body is empty or was read with the headers
            line = None
        with self._state:
            piece.line, piece.last_byte = line, time.monotonic()
        try:
            yield
        finally:
            with self._state:
                piece.line = None
            if line is not None:
                line.close()

    def _receive(self, piece: InFlight, response: BaseHTTPResponse) -> None:
        before = piece.position
        most = (piece.stop or MAX_FILE_BYTES) - before
        for block in iterate_blocks(response, url=self._remote.url, most=most):
            if self._stopping.is_set():
                raise _StoppedError
            if piece.position == 0:
                check_head(block, self._remote.url, self._remote.name)
            self._take_in(piece, memoryview(block))
            piece.last_byte = time.monotonic()
            if piece.is_done():
                return
        if piece.stop is None:
            self._end_of_unknown(piece)
        elif not self._has_ranges or piece.position == before:
            raise TransferError(
                f"{self._remote.url} promised the bytes up to {piece.stop} and sent them up to "
                f"{piece.position}"
            )

    def _take_in(self, piece: InFlight, data: memoryview) -> None:
        part = self._part
        while data and not piece.is_done():
            start = piece.position - piece.position % part.block_bytes
            stop = min(start + part.block_bytes, part.version.size or start + part.block_bytes)
            end = stop if piece.stop is None else min(stop, piece.stop)
            some = data[: end - piece.position]
            data = data[len(some) :]
            is_new = not part.has_block(start)
            if is_new:
                part.write(piece.position, some)
                self._progress.update(len(some))
            piece.checksum = zlib.crc32(some, piece.checksum)
            piece.position += len(some)
            if piece.position == stop:
                if is_new:
                    part.finish_block((start, stop), piece.checksum)
                piece.checksum = 0

    def _end_of_unknown(self, piece: InFlight) -> None:
        start = piece.position - piece.position % self._part.block_bytes
        if piece.position > start:
            self._part.finish_block((start, piece.position), piece.checksum)
        piece.stop = piece.position


# bytes expected to arrive sooner than this are not worth another request [s]
STEAL_S = 1.0


@dataclass
class InFlight:
    """The byte range that one connection is downloading, and its progress."""

    # next byte to receive
    position: int
    # end of the range (exclusive), None for a file of unknown length; another connection may lower
    # it
    stop: int | None
    # CRC-32 of the received bytes of the current block
    checksum: int = 0
    # time at which the range was begun [s]
    begun: float = field(default_factory=time.monotonic)
    # position at which it was begun
    begun_at: int = 0
    # time of the last received byte [s]
    last_byte: float = field(default_factory=time.monotonic)
    # socket of the answer, for other threads to shut down
    line: socket.socket | None = None

    def __post_init__(self) -> None:
        self.begun_at = self.position

    def is_done(self) -> bool:
        """Return whether every byte of the range has arrived."""
        return self.stop is not None and self.position >= self.stop

    def is_slow(self, now: float) -> bool:
        """Return whether another connection should take over a part of the range."""
        if now - self.last_byte > STEAL_S:
            return True
        if self.stop is None or now - self.begun < STEAL_S:
            return False
        rate = (self.position - self.begun_at) / (now - self.begun)
        return self.stop - self.position > rate * STEAL_S

    def shut(self) -> None:
        """Shut down the socket, which ends the read in the other thread."""
        if self.line is not None:
            # it may be closed by now
            with contextlib.suppress(OSError):
                self.line.shutdown(socket.SHUT_RDWR)


READ_BYTES = 1 << 20


class FrontDigest:
    """Hash the contiguous beginning of a part while its blocks arrive in any order."""

    # SHA-256 needs the bytes in order. A thread of its own reads back what was just written, which
    # is still in the page cache, so that little is left to hash when the last byte arrives.

    def __init__(self, part: Part) -> None:
        self._part = part
        self._sha256 = hashlib.sha256()
        self._offset = 0
        self._is_stopped = False
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._follow, name="sha256", daemon=True)
        self._thread.start()

    def result(self) -> str:
        """Wait until the part is complete and return its SHA-256 as 64 hexadecimal digits."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Stop hashing; `result` must not be called afterwards."""
        with self._part.changed:
            self._is_stopped = True
            self._part.changed.notify_all()
        self._thread.join()

    def _follow(self) -> None:
        buffer = memoryview(bytearray(READ_BYTES))
        try:
            while (n_bytes := self._wait()) > 0:
                some = self._part.read(self._offset, buffer[: min(n_bytes, READ_BYTES)])
                if not some:
                    raise OSError(f"{self._part.path} was cut while it was read")
                self._sha256.update(some)
                self._offset += len(some)
        except OSError as error:
            self._error = error

    def _wait(self) -> int:
        part = self._part
        with part.changed:
            part.changed.wait_for(
                lambda: self._is_stopped or part.is_complete or part.front > self._offset
            )
            return 0 if self._is_stopped else part.front - self._offset
