"""Download or copy one file into the cache folder: resumed, checked, renamed when complete."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from spikehouse.errors import ChecksumError, InvalidFileError, TransferError, printable
from spikehouse.transfer.client import HttpClient, HttpOptions
from spikehouse.transfer.digest import FrontDigest
from spikehouse.transfer.disk import (
    check_space,
    explain_storage_errors,
    hold_lock,
    make_folder,
    sync_folder,
    write_whole,
)
from spikehouse.transfer.fetching import Fetch
from spikehouse.transfer.part_state import forget_part
from spikehouse.transfer.parts import Part
from spikehouse.transfer.progress import FileProgress, Progress, is_progress_shown
from spikehouse.transfer.records import FileRecord, write_record
from spikehouse.transfer.remote_file import Content, LocalFile, RemoteFile
from spikehouse.transfer.versions import Version

__all__ = ["download", "is_progress_shown"]

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
