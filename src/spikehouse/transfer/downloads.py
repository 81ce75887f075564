"""Download or copy one file: resumed, checked, and renamed when it is complete."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from spikehouse.errors import (
    CacheError,
    ChecksumError,
    InvalidFileError,
    SpikehouseError,
    TransferError,
    printable,
)
from spikehouse.transfer.byte_ranges import count_bytes
from spikehouse.transfer.disk import (
    check_space,
    explain_storage_errors,
    hold_lock,
    lock_of,
    make_folder,
    sync_folder,
    write_whole,
)
from spikehouse.transfer.downloader import RangeDownloader, RangesIgnoredError
from spikehouse.transfer.http import (
    Answer,
    ChangedError,
    HttpClient,
    NoBytesError,
    read_body,
)
from spikehouse.transfer.progress import FileProgress, Progress
from spikehouse.transfer.records import FileRecord, write_record
from spikehouse.transfer.remote_file import Content, LocalFile, RemoteFile, Version
from spikehouse.transfer.retry import HttpOptions, retry
from spikehouse.transfer.sparse_file import (
    SparseFile,
    count_kept,
    forget_part,
    journal_of,
    open_for_download,
    part_of,
    read_header,
)

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

__all__ = ["download"]

log = logging.getLogger(__name__)

T = TypeVar("T")

# the first request brings so much, so that a small file takes one
FIRST_BYTES = 4 << 20
FLUSH_BYTES = 32 << 20
COPY_BYTES = 1 << 20
MAX_VERSIONS = 4
WATCH_S = 0.2


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
    # the part and its journal stay, and the next call resumes from them if the server still has
    # the same version. Only bytes known to be wrong are deleted. The lock makes threads and
    # processes that ask for the same file download it once. `records` None skips the digest
    # unless one was published.
    if target.exists():
        return target
    make_folder(target.parent)
    stop = stop or threading.Event()
    with hold_lock(lock or lock_of(target, None), is_stopped=stop.is_set):
        # while we waited for the lock, another process may have finished the job
        if target.exists():
            return target
        bars = progress if isinstance(progress, Progress) else Progress(progress)
        if isinstance(content, RemoteFile):
            with bars.file(target.name, content.size) as bar:
                client = HttpClient(options)
                _Download(content, target, check, records, client, bar, stop).run()
        else:
            if isinstance(content, LocalFile):
                content.ready()
            with bars.file(target.name, _size_of(content)) as bar:
                _copy(content, target, check, records, bar, stop)
    log.info("fetched %s", target)
    return target


def _check_arrival(check: Callable[[Path], None], path: Path, target: Path, origin: str) -> None:
    """Check the complete bytes, and delete what is there of the file if they are not valid."""
    try:
        check(path)
    except InvalidFileError as error:
        forget_part(target)
        raise InvalidFileError(
            f"the file from {origin} for {target.name} is not valid and was not kept: {error}"
        ) from error


def _record(records: Path | None, target: Path, version: Version, sha256: str | None) -> None:
    """Record the digest of a file under its final name."""
    if records is None or sha256 is None:
        return
    status = target.stat()
    record = FileRecord(
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        sha256=sha256,
        source=version.source,
        url=printable(version.url),
        etag=version.etag,
        fetched_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_record(records, target, record)


class _Download:
    """Download one remote file, starting over where the server makes that necessary."""

    # Three loops, one in the other. `run` starts over where bytes of another version, or wrong
    # bytes, have come, or the server stops serving ranges. `retry` repeats what may pass: the
    # first request, and in RangeDownloader that of a byte range. A version without a validator
    # cannot be resumed, because the bytes of two answers must not be combined: there the whole
    # try is repeated. HttpClient.open follows redirects.

    def __init__(
        self,
        remote: RemoteFile,
        target: Path,
        check: Callable[[Path], None],
        records: Path | None,
        client: HttpClient,
        bar: FileProgress,
        stop: threading.Event,
    ) -> None:
        self._remote = remote
        self._target = target
        self._check = check
        self._records = records
        self._client = client
        self._bar = bar
        self._stop = stop
        self._is_ranged = True
        self._can_try_again = True
        self._part: SparseFile | None = None

    def run(self) -> None:
        """Download the file; what is kept after a failure is said in its message."""
        try:
            self._run()
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

    def _run(self) -> None:
        n_versions, has_been_wrong = 1, False
        while True:
            try:
                retry(
                    self._try,
                    options=self._client.options,
                    sleep=self._sleep,
                    may_retry=lambda: self._can_try_again and not self._stop.is_set(),
                )
            except RangesIgnoredError as error:
                log.warning("%s: one stream instead", error)
                self._is_ranged = False
            except ChangedError as error:
                forget_part(self._target)
                if n_versions == MAX_VERSIONS:
                    raise TransferError(f"{error}, for the {n_versions}th time") from error
                log.warning("%s: starting over with the new version", error)
                n_versions += 1
                # the last try is one stream: nothing to put together
                self._is_ranged = n_versions < MAX_VERSIONS
            except ChecksumError as error:
                if has_been_wrong:
                    raise
                has_been_wrong = True
                log.warning("%s: downloading the whole file again", error)
            else:
                return

    def _try(self) -> None:
        """Download all that is missing of the version that the server has now."""
        self._can_try_again = True
        self._part = None
        with contextlib.ExitStack() as stack:
            try:
                response, answer = self._unless_stopped(self._contact)
            except ChangedError as error:
                # another length than the source knows: the existing part may still be right, and
                # is kept
                self._can_try_again = False
                raise TransferError(str(error)) from error
            if response is not None:
                stack.callback(response.close)
            version = answer.version
            self._can_try_again = not version.is_resumable
            part = open_for_download(self._target, version, is_stopped=self._stop.is_set)
            self._part = part
            stack.callback(part.close)
            n_there = count_bytes(part.list_present()) if answer.is_range else part.front
            self._bar.begin(version.size, n_there)
            if version.size is not None:
                check_space(self._target, version.size - n_there)
            digest = None
            if self._records is not None or part.version.sha256 is not None:
                digest = _FrontDigest(part)
                stack.callback(digest.close)
            downloader = RangeDownloader(
                part,
                self._remote,
                self._client,
                progress=self._bar,
                is_stopped=self._stop.is_set,
                has_ranges=answer.is_range,
            )
            with _flushing(part):
                downloader.run(response, (answer.start, answer.stop))
            self._finish(part, digest)

    def _contact(self) -> tuple[BaseHTTPResponse | None, Answer]:
        """Ask for the first bytes, or for one byte if a part is there, and learn the version."""
        n_asked = FIRST_BYTES if read_header(self._target) is None else 1
        if self._is_ranged:
            # a file of no bytes has no range either
            with contextlib.suppress(NoBytesError):
                response, answer = self._client.get(self._remote, (0, n_asked))
                if not answer.is_range or answer.stop == answer.version.size:
                    return response, answer
                if answer.version.is_resumable and n_asked > 1:
                    return response, answer
                with response:
                    if answer.version.is_resumable:
                        read_body(response, url=self._remote.url, most=1)
                        return None, answer
                log.info("%s does not tell versions apart: one stream", self._remote.url)
        return self._client.get(self._remote)

    def _finish(self, part: SparseFile, digest: _FrontDigest | None) -> None:
        size = part.version.size
        if size not in (None, part.front):
            raise TransferError(f"{self._remote.url}: {part.front} of {size} bytes have come")
        part.settle(part.front)
        # the digest is finished meanwhile
        part.sync()
        sha256 = None
        if digest is not None:
            with explain_storage_errors(self._target):
                sha256 = digest.result()
        published = part.version.sha256
        if published is not None and sha256 != published.casefold():
            part.discard()
            raise ChecksumError(
                f"the file from {self._remote.url} for {self._target.name} has the sha256 {sha256} "
                f"instead of the published {published}; it was discarded"
            )
        _check_arrival(self._check, part.path, self._target, self._remote.url)
        with explain_storage_errors(self._target):
            part.path.replace(self._target)
            # only now: a part without its journal would be started over
            journal_of(self._target).unlink(missing_ok=True)
            sync_folder(self._target.parent)
        part.close()
        _record(self._records, self._target, part.version, sha256)

    def _describe_kept(self) -> str:
        """Describe what a later call can resume from, and delete what this one began in vain."""
        header, n_kept = read_header(self._target), count_kept(self._target)
        if header is None or n_kept == 0:
            part = self._part
            # what was not opened, or cannot be read just now, may be good
            if part is not None and not (part.version.is_resumable and part.list_present()):
                with contextlib.suppress(CacheError):
                    forget_part(self._target)
            return ""
        return (
            f"{n_kept} of {header.version.size} bytes are kept in {part_of(self._target).name}: "
            "the same call resumes from there"
        )

    def _unless_stopped(self, action: Callable[[], T]) -> T:
        """Run a function that may block in a daemon thread, and abandon it when stopped."""
        future: Future[T] = Future()

        def act() -> None:
            try:
                future.set_result(action())
            except BaseException as error:  # noqa: BLE001 - raised again by result()
                future.set_exception(error)

        threading.Thread(target=act, daemon=True).start()
        while not wait([future], timeout=WATCH_S).done:
            self._check_stopped()
        return future.result()

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._check_stopped()
            time.sleep(min(left, WATCH_S))

    def _check_stopped(self) -> None:
        if self._stop.is_set():
            raise TransferError(f"the download of {self._remote.name} was stopped")


class _FrontDigest:
    """Hash the contiguous beginning of a file while its byte ranges arrive in any order."""

    # SHA-256 needs the bytes in order. A thread of its own reads back what was just written, which
    # is still in the page cache, so that little is left to hash when the last byte arrives.

    def __init__(self, part: SparseFile) -> None:
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
        part, buffer = self._part, memoryview(bytearray(COPY_BYTES))
        try:
            while True:
                with part.changed:
                    part.changed.wait_for(
                        lambda: self._is_stopped or part.is_complete or part.front > self._offset
                    )
                    n_bytes = 0 if self._is_stopped else part.front - self._offset
                if n_bytes == 0:
                    return
                some = part.read(self._offset, buffer[: min(n_bytes, COPY_BYTES)])
                if not some:
                    raise OSError(f"{part.path} was cut while it was read")
                self._sha256.update(some)
                self._offset += len(some)
        except OSError as error:
            self._error = error


@contextlib.contextmanager
def _flushing(part: SparseFile) -> Iterator[None]:
    """Flush to the disk in the background, so that little is left for the last flush."""
    # that of 400 MB at once took 40 % longer, on loopback
    has_ended = threading.Event()

    def flush() -> None:
        n_flushed = 0
        while True:
            with part.changed:
                while not has_ended.is_set() and part.n_recorded < n_flushed + FLUSH_BYTES:
                    part.changed.wait()
                n_flushed = part.n_recorded
            if has_ended.is_set():
                return
            # the last flush raises it again
            with contextlib.suppress(CacheError):
                part.sync()

    thread = threading.Thread(target=flush, name="flush", daemon=True)
    thread.start()
    try:
        yield
    finally:
        with part.changed:
            has_ended.set()
            part.changed.notify_all()
        thread.join()


# ---- files that are not on a server


def _copy(
    content: LocalFile | Iterable[bytes],
    target: Path,
    check: Callable[[Path], None],
    records: Path | None,
    bar: FileProgress,
    stop: threading.Event,
) -> None:
    """Write a local file or an iterable of blocks to the target."""
    origin = str(content.path) if isinstance(content, LocalFile) else "the source"
    is_recorded = records is not None

    def check_arrival(path: Path) -> None:
        _check_arrival(check, path, target, origin)

    size = _size_of(content)
    if size is not None:
        check_space(target, size)
    # bytes of a server do not go together with these
    forget_part(target)
    sha256 = hashlib.sha256()
    if (
        isinstance(content, LocalFile)
        and content.is_immutable
        and _link(content, target, check_arrival)
    ):
        bar.update(size or 0)
        if is_recorded:
            with target.open("rb") as linked:
                sha256 = hashlib.file_digest(linked, "sha256")
    else:
        blocks = _read_blocks(content) if isinstance(content, LocalFile) else content
        with write_whole(target, check=check_arrival) as file:
            for block in blocks:
                if stop.is_set():
                    raise TransferError(f"the copy of {origin} was stopped; nothing was kept")
                with explain_storage_errors(target):
                    file.write(block)
                if is_recorded:
                    sha256.update(block)
                bar.update(len(block))
    source = content.source if isinstance(content, LocalFile) else ""
    _record(records, target, Version(size, source=source), sha256.hexdigest())


def _link(content: LocalFile, target: Path, check: Callable[[Path], None]) -> bool:
    """Hard-link the file; return False where that is not possible, as between disks."""
    check(content.path)
    try:
        # of a symbolic link the file it leads to: the link may go away
        os.link(content.path.resolve(), target)
    except OSError as error:
        log.info("%s cannot be linked, it is copied: %s", content.path, error)
        return False
    return True


def _size_of(content: LocalFile | Iterable[bytes]) -> int | None:
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
