"""Verify the files of a cache folder, and replace bad ones.

Neither reading nor verifying deletes a file. Only `repair_file` replaces one, and only when the
new file is complete.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import itertools
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import pandas as pd

from spikehouse.errors import (
    CacheError,
    InvalidFileError,
    NotFoundError,
    SourceError,
    TransferError,
    printable,
)
from spikehouse.survey.file_kinds import PlannedFile
from spikehouse.survey.store import Store
from spikehouse.transfer.checks import HDF5_SIGNATURE
from spikehouse.transfer.disk import explain_storage_errors, hold_lock
from spikehouse.transfer.progress import FileProgress, Progress
from spikehouse.transfer.records import FileRecord, find_record, read_record, write_record
from spikehouse.transfer.remote_file import RemoteFile

__all__ = [
    "FileReport",
    "FileState",
    "compute_sha256",
    "record_file",
    "repair_file",
    "verify_files",
    "verify_folder",
]

log = logging.getLogger(__name__)

FileState: TypeAlias = Literal[
    "ok", "changed", "cut short", "not HDF5", "damaged", "unreadable", "no record"
]
BLOCK_BYTES = 4 << 20
N_DIGITS_SHOWN = 12


@dataclass(frozen=True)
class FileReport:
    """Result of verifying a file."""

    file: PlannedFile
    # length
    n_bytes: int
    # "ok": as recorded or published. "no record": right structure, unknown digest. "changed":
    # right structure, other bytes than recorded. "cut short", "not HDF5", "damaged": wrong
    # structure. "unreadable": not readable, or a folder.
    state: FileState
    # what was compared
    reason: str
    # what to do, empty for a file that is ok
    advice: str

    @property
    def is_bad(self) -> bool:
        """Whether the file should be downloaded again."""
        return self.state not in ("ok", "no record")


def verify_files(
    store: Store,
    files: Sequence[PlannedFile],
    *,
    published: bool = False,
    bar: FileProgress | None = None,
) -> Iterator[FileReport]:
    """Yield a report for each file, in order; nothing is changed."""
    # Every file with a record is read once from beginning to end.
    for file in files:
        yield _verify(store, file, published=published, bar=bar)


def verify_folder(store: Store, *, repair: bool, published: bool) -> pd.DataFrame:
    """Verify, and if asked for repair, the files of a cache folder; return a row for each."""
    rows = []
    files = store.manifest.find_files()
    n_bytes = sum(file.path.stat().st_size for file in files)
    progress = Progress(store.progress)
    with progress, progress.file("verifying", n_bytes) as bar:
        for report in verify_files(store, files, published=published, bar=bar):
            path, state, advice = report.file.path, str(report.state), report.advice
            n_bytes = report.n_bytes
            if repair and report.is_bad:
                try:
                    kept = repair_file(store, report, progress=progress)
                except (CacheError, NotFoundError, SourceError, TransferError) as error:
                    if isinstance(error, CacheError) and store.sources:
                        raise  # the folder cannot be written to
                    # the other files are still verified and repaired
                    advice = f"could not be repaired: {error}"
                else:
                    n_bytes, state = path.stat().st_size, "repaired"
                    advice = "" if kept is None else f"the old one is {kept.name}"
            rows.append((store.name_path(path), n_bytes, state, report.reason, advice))
    return pd.DataFrame(rows, columns=["file", "n_bytes", "state", "reason", "advice"])


def _verify(
    store: Store, file: PlannedFile, *, published: bool, bar: FileProgress | None
) -> FileReport:
    try:
        return _compare(store, file, published=published, bar=bar)
    except InvalidFileError as error:
        state, reason = _name_damage(file), str(error)
    except OSError as error:
        state, reason = "unreadable", str(error)
    return FileReport(file, _measure(file.path), state, reason, _ADVICE["broken"])


def _compare(
    store: Store, file: PlannedFile, *, published: bool, bar: FileProgress | None
) -> FileReport:
    if not file.path.is_file():  # to open a pipe would wait for ever
        raise OSError(f"{file.path} is not a regular file")
    file.kind.check(file.path)
    n_bytes = file.path.stat().st_size
    record = read_record(store.records, file.path)
    expected = origin = ""
    if record is not None:
        expected, origin = record.sha256, f"recorded {record.fetched_at[:10]}"
        if record.size != n_bytes:
            reason = f"it has {n_bytes} bytes, {record.size} were {origin}"
            return FileReport(file, n_bytes, "changed", reason, _ADVICE["changed"])
    elif published:
        expected, origin = _ask_for_digest(store, file)
    if not expected:
        reason = origin or "its structure is right; no digest of it is known"
        return FileReport(file, n_bytes, "no record", reason, _ADVICE["no record"])
    digest = compute_sha256(file.path, bar=bar)
    if digest != expected:
        reason = f"sha256 {_shorten(digest)} instead of {_shorten(expected)}, {origin}"
        return FileReport(file, n_bytes, "changed", reason, _ADVICE["changed"])
    return FileReport(file, n_bytes, "ok", f"sha256 as {origin}", "")


_ADVICE = {
    "broken": "spikehouse verify --repair fetches it again",
    "changed": "spikehouse verify --repair fetches it again and keeps this one beside it",
    "no record": "spikehouse cache adopt FOLDER, with this folder, records its digest as it is now",
}


def _measure(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _name_damage(file: PlannedFile) -> FileState:
    if file.kind.name not in ("session", "lfp"):
        return "damaged"
    with file.path.open("rb") as opened:
        return "cut short" if opened.read(8) == HDF5_SIGNATURE else "not HDF5"


def _ask_for_digest(store: Store, file: PlannedFile) -> tuple[str, str]:
    """Return the published digest and who published it, or "" and why there is none."""
    reasons = []
    for source in store.sources:
        try:
            content = source.locate(file)
        except (NotFoundError, SourceError, TransferError) as error:
            reasons.append(str(error))
            continue
        if isinstance(content, RemoteFile) and content.sha256:
            return content.sha256, f"published by {content.source or content.url}"
    return "", "; ".join(["no source publishes a digest of it", *reasons])


def _shorten(digest: str) -> str:
    return f"{digest[:N_DIGITS_SHOWN]}…"


def compute_sha256(path: Path, *, bar: FileProgress | None = None) -> str:
    """Compute the SHA-256 of a file."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(BLOCK_BYTES))
    with path.open("rb", buffering=0) as file:
        while n_bytes := file.readinto(buffer):
            digest.update(buffer[:n_bytes])
            if bar is not None:
                bar.update(n_bytes)
    return digest.hexdigest()


def record_file(store: Store, path: Path, *, sha256: str, source: str, url: str = "") -> FileRecord:
    """Record the digest of a file that this package did not download."""
    store.check_inside(path)
    facts = path.stat()
    record = FileRecord(
        size=facts.st_size,
        mtime_ns=facts.st_mtime_ns,
        sha256=sha256,
        source=source,
        url=printable(url),
        etag=None,
        fetched_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    )
    write_record(store.records, path, record)
    return record


def repair_file(
    store: Store, report: FileReport, *, progress: Progress | None = None
) -> Path | None:
    """Download a bad file again and replace it when the new one is complete."""
    # At every moment the name stands for one of the two files. An interrupted repair resumes when
    # it is called again. Returns the path `<name>.bad-<n>` of the old file if it was kept: its
    # bytes differ from the new ones, and its structure is right or it has no record, so it may be
    # the user's own.
    file = report.file
    staged = store.own / "repair" / store.lock_for(file.path).stem / file.path.name
    for path in (file.path, staged):
        store.check_inside(path)
    # the leftover of an older repair was not verified: download it again
    with explain_storage_errors(staged):
        staged.unlink(missing_ok=True)
    store.fetch(dataclasses.replace(file, path=staged), progress=progress)
    with hold_lock(store.lock_for(file.path)), explain_storage_errors(file.path):
        is_ours = read_record(store.records, file.path) is not None
        may_go = is_ours and report.state not in ("changed", "unreadable")
        kept = None if may_go else _set_aside(file.path, staged)
        staged.replace(file.path)
        _move_record(store, staged, file.path)
        with contextlib.suppress(OSError):
            staged.parent.rmdir()
    return kept


def find_set_aside(path: Path) -> list[Path]:
    """List the changed files that repairs kept beside a file."""
    return list(itertools.takewhile(Path.is_file, _names_aside(path)))


def _names_aside(path: Path) -> Iterator[Path]:
    return (path.with_name(f"{path.name}.bad-{number}") for number in itertools.count(1))


def _set_aside(old: Path, new: Path) -> Path | None:
    with contextlib.suppress(OSError):  # what cannot be read is kept
        if old.stat().st_size == new.stat().st_size and compute_sha256(old) == compute_sha256(new):
            # the record was wrong, not the file
            return None
    kept = next(name for name in _names_aside(old) if not name.exists())
    try:
        # a second name: the first stays until the new file takes it
        os.link(old, kept)
    except OSError as error:
        log.info("%s cannot be hard-linked (%s): it is moved", old, error)
        old.rename(kept)
    return kept


def _move_record(store: Store, old: Path, new: Path) -> None:
    record = read_record(store.records, old)
    if record is None:
        digest = compute_sha256(new)
        record_file(store, new, sha256=digest, source="repair")
        return
    write_record(store.records, new, dataclasses.replace(record, mtime_ns=new.stat().st_mtime_ns))
    find_record(store.records, old).unlink(missing_ok=True)
