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
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from spikehouse.errors import (
    InvalidFileError,
    NotFoundError,
    SourceError,
    TransferError,
    printable,
)
from spikehouse.survey.store import Store, Target
from spikehouse.transfer.checks import HDF5_SIGNATURE
from spikehouse.transfer.disk import explain_storage_errors, hold_lock
from spikehouse.transfer.records import FileRecord, find_record, read_record, write_record
from spikehouse.transfer.remote_file import RemoteFile

if TYPE_CHECKING:
    from spikehouse.survey.folder import CacheFolder
    from spikehouse.transfer.progress import FileProgress, Progress

__all__ = [
    "FileReport",
    "FileState",
    "compute_sha256",
    "find_targets",
    "record_file",
    "repair_file",
    "verify_files",
]

log = logging.getLogger(__name__)

FileState: TypeAlias = Literal[
    "sound", "changed", "cut short", "not HDF5", "damaged", "unreadable", "no record"
]
BLOCK_BYTES = 4 << 20
# to find the place of ids in the names that a manifest gives: no real id has 17 digits
_FIRST, _SECOND = 11111111122222223, 33333333344444445
N_DIGITS_SHOWN = 12


@dataclass(frozen=True)
class FileReport:
    """Result of verifying a file."""

    target: Target
    # length
    n_bytes: int
    # "sound": as recorded or published. "no record": right structure, unknown digest. "changed":
    # right structure, other bytes than recorded. "cut short", "not HDF5", "damaged": wrong
    # structure. "unreadable": not readable, or a folder.
    state: FileState
    # what was compared
    reason: str
    # what to do, empty for a sound file
    advice: str

    @property
    def is_bad(self) -> bool:
        """Whether the file should be downloaded again."""
        return self.state not in ("sound", "no record")


def find_targets(store: Store, *, suffix: str = "") -> list[Target]:
    """List the files of the data set that are in a cache folder."""
    # With `suffix` (such as ".part"), the files beside which there is a file with that suffix.
    # Files that the manifest has no name for are left out.
    kinds: list[tuple[Target, Callable[[list[int]], Target]]] = [
        (store.target_session(_FIRST), lambda ids: store.target_session(ids[0])),
        (store.target_lfp(_FIRST, _SECOND), lambda ids: store.target_lfp(ids[0], ids[-1])),
        (store.target_scene(_FIRST), lambda ids: store.target_scene(ids[0])),
        (store.target_movie(_FIRST), lambda ids: store.target_movie(ids[0])),
        (store.target_session_metrics(_FIRST), lambda ids: store.target_session_metrics(ids[0])),
    ]
    found = {
        target.path: target for example, make in kinds for target in _find(example, make, suffix)
    }
    tables = [
        store.target_table("sessions"),
        store.target_table("probes"),
        store.target_table("channels"),
        store.target_table("units"),
        store.target_type_metrics("brain_observatory_1.1"),
        store.target_type_metrics("functional_connectivity"),
    ]
    found.update(
        {target.path: target for target in tables if Path(f"{target.path}{suffix}").exists()}
    )
    return [found[path] for path in sorted(found)]


def _find(example: Target, make: Callable[[list[int]], Target], suffix: str) -> Iterator[Target]:
    """Find the files with the name pattern of an example, and the ids in their names."""
    # never a glob: the folders above may have names that are patterns
    found: list[tuple[Path, list[int]]] = [(Path(), [])]
    for part in Path(f"{example.path}{suffix}").parts:
        pattern = re.escape(part).replace(str(_FIRST), r"(\d+)").replace(str(_SECOND), r"(\d+)")
        if pattern == re.escape(part):
            found = [(folder / part, ids) for folder, ids in found]
            continue
        found = [
            (folder / name, ids + [int(number) for number in match.groups()])
            for folder, ids in found
            for name in _list_names(folder)
            if (match := re.fullmatch(pattern, name))
        ]
    for path, ids in found:
        target = make(ids) if path.exists() else None
        # session_1/session_2.nwb and session_01/... are no files of the data set
        if target is not None and f"{target.path}{suffix}" == str(path):
            yield target


def _list_names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are all that is wanted
    except OSError:
        return []


def verify_files(
    store: Store,
    targets: Sequence[Target],
    *,
    published: bool = False,
    bar: FileProgress | None = None,
) -> Iterator[FileReport]:
    """Yield a report for each file, in order; nothing is changed."""
    # Every file with a record is read once from beginning to end.
    for target in targets:
        yield _verify(store, target, published=published, bar=bar)


def _verify(
    store: Store, target: Target, *, published: bool, bar: FileProgress | None
) -> FileReport:
    try:
        return _compare(store, target, published=published, bar=bar)
    except InvalidFileError as error:
        state, reason = _name_damage(target), str(error)
    except OSError as error:
        state, reason = "unreadable", str(error)
    return FileReport(target, _measure(target.path), state, reason, _ADVICE["broken"])


def _compare(
    store: Store, target: Target, *, published: bool, bar: FileProgress | None
) -> FileReport:
    if not target.path.is_file():  # to open a pipe would wait for ever
        raise OSError(f"{target.path} is not a regular file")
    target.check(target.path)
    n_bytes = target.path.stat().st_size
    record = read_record(store.folder.records, target.path)
    expected = origin = ""
    if record is not None:
        expected, origin = record.sha256, f"recorded {record.fetched_at[:10]}"
        if record.size != n_bytes:
            reason = f"it has {n_bytes} bytes, {record.size} were {origin}"
            return FileReport(target, n_bytes, "changed", reason, _ADVICE["changed"])
    elif published:
        expected, origin = _ask_for_digest(store, target)
    if not expected:
        reason = origin or "its structure is right; no digest of it is known"
        return FileReport(target, n_bytes, "no record", reason, _ADVICE["no record"])
    digest = compute_sha256(target.path, bar=bar)
    if digest != expected:
        reason = f"sha256 {_shorten(digest)} instead of {_shorten(expected)}, {origin}"
        return FileReport(target, n_bytes, "changed", reason, _ADVICE["changed"])
    return FileReport(target, n_bytes, "sound", f"sha256 as {origin}", "")


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


def _name_damage(target: Target) -> FileState:
    if target.kind not in ("session", "lfp"):
        return "damaged"
    with target.path.open("rb") as file:
        return "cut short" if file.read(8) == HDF5_SIGNATURE else "not HDF5"


def _ask_for_digest(store: Store, target: Target) -> tuple[str, str]:
    """Return the published digest and who published it, or "" and why there is none."""
    reasons = []
    for source in store.sources:
        try:
            content = target.find(source)
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


def record_file(
    folder: CacheFolder, path: Path, *, sha256: str, source: str, url: str = ""
) -> FileRecord:
    """Record the digest of a file that this package did not download."""
    folder.check_inside(path)
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
    write_record(folder.records, path, record)
    return record


def repair_file(
    store: Store, report: FileReport, *, progress: Progress | None = None
) -> Path | None:
    """Download a bad file again and replace it when the new one is complete."""
    # At every moment the name stands for one of the two files. An interrupted repair resumes when
    # it is called again. Returns the path `<name>.bad-<n>` of the old file if it was kept: its
    # bytes differ from the new ones, and its structure is right or it has no record, so it may be
    # the user's own.
    target, folder = report.target, store.folder
    staged = folder.own / "repair" / folder.lock_for(target.path).stem / target.path.name
    for path in (target.path, staged):
        folder.check_inside(path)
    # the leftover of an older repair was not verified: download it again
    with explain_storage_errors(staged):
        staged.unlink(missing_ok=True)
    store.fetch(dataclasses.replace(target, path=staged), progress=progress)
    with hold_lock(folder.lock_for(target.path)), explain_storage_errors(target.path):
        is_ours = read_record(folder.records, target.path) is not None
        may_go = is_ours and report.state not in ("changed", "unreadable")
        kept = None if may_go else _set_aside(target.path, staged)
        staged.replace(target.path)
        _move_record(folder, staged, target.path)
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


def _move_record(folder: CacheFolder, old: Path, new: Path) -> None:
    record = read_record(folder.records, old)
    if record is None:
        digest = compute_sha256(new)
        record_file(folder, new, sha256=digest, source="repair")
        return
    write_record(folder.records, new, dataclasses.replace(record, mtime_ns=new.stat().st_mtime_ns))
    find_record(folder.records, old).unlink(missing_ok=True)
