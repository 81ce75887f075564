"""Are the files of a cache folder what they were when they came? And replacing those that are not.

Reading never deletes a file, and neither does looking at it here. Only :func:`repair_file`
replaces one, and only when its successor is complete.
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
from spikehouse.remote.cache.store import Store, Target
from spikehouse.remote.disk import explain_storage_errors, hold_lock
from spikehouse.remote.protocol import RemoteFile
from spikehouse.remote.transfer.checks import HDF5_SIGNATURE
from spikehouse.remote.transfer.records import FileRecord, find_record, read_record, write_record

if TYPE_CHECKING:
    from spikehouse.remote.cache.folder import CacheFolder
    from spikehouse.remote.progress import FileProgress, Progress

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
    """What was found out about a file.

    Attributes
    ----------
    target
        The file.
    n_bytes
        Its length.
    state
        "sound": as recorded or published. "no record": its structure is right, and no digest of
        it is known. "changed": its structure is right, its bytes are not those that came.
        "cut short", "not HDF5", "damaged": it cannot be what its name says. "unreadable": the
        system does not let it be read, or it is a folder.
    reason
        What was compared, in words.
    advice
        What to do; empty for a file that is sound.
    """

    target: Target
    n_bytes: int
    state: FileState
    reason: str
    advice: str

    @property
    def is_bad(self) -> bool:
        """Whether it should be fetched again."""
        return self.state not in ("sound", "no record")


def find_targets(store: Store, *, suffix: str = "") -> list[Target]:
    """List the files of the survey that are in a cache folder.

    Parameters
    ----------
    store
        The folder.
    suffix
        List the files for which there is one with this behind its name, such as ".part".

    Returns
    -------
    list of Target
        In the order of their paths; folders in their place, too. Files the manifest has no name
        for are not looked at.
    """
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
    """Find the files that are named like an example with other ids."""
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
        # session_1/session_2.nwb is nobody's file, and session_01 not the one of session 1
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
    """Look whether files are what they were when they came.

    Parameters
    ----------
    store
        The folder; its sources are asked only if ``published``.
    targets
        Files that are there, as of :func:`find_targets`.
    published
        Whether to ask the sources for published digests of files without a record.
    bar
        Is told of every byte that was looked at.

    Yields
    ------
    FileReport
        One a file, in the same order.

    Notes
    -----
    Every file with a record is read once from beginning to end. Nothing is changed.
    """
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
        raise OSError(f"{target.path} is no file")
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
    """Give the published digest of a file and who published it, or "" and why there is none."""
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
    """Compute the digest of a file.

    Parameters
    ----------
    path
        The file.
    bar
        Is told of every byte.

    Returns
    -------
    str
        64 lower-case hexadecimal digits.
    """
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
    """Write down the digest of a file that was not fetched by this package.

    Parameters
    ----------
    folder
        The cache folder.
    path
        The file, in it.
    sha256
        Its digest.
    source
        Where it comes from, in a word.
    url
        Where it was.

    Returns
    -------
    FileRecord
        What was written down.

    Raises
    ------
    CacheError
        If it cannot be written, or the file lies outside the folder.
    """
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
    """Fetch a bad file again, and replace it when the new one is complete.

    Parameters
    ----------
    store
        The folder and its sources.
    report
        Of a file that is bad.
    progress
        Where to show how far it is.

    Returns
    -------
    Path or None
        Where the old file is kept: ``<name>.bad-<n>`` beside the new one, if its bytes differ
        from the new ones and it may be somebody's own: its structure is right, or there is no
        record that this package fetched it. None if it is gone.

    Raises
    ------
    CacheError
        If nothing may be fetched, the folder cannot be written to, or the file lies outside it.
    SourceError, TransferError, NotFoundError
        If no source delivers it. The old file is where it was.

    Notes
    -----
    At every moment there is a file under the name, the old one or the new. A fetch that is
    interrupted goes on from there when it is tried again.
    """
    target, folder = report.target, store.folder
    staged = folder.own / "repair" / folder.lock_for(target.path).stem / target.path.name
    for path in (target.path, staged):
        folder.check_inside(path)
    # an older new one was never looked at again: it is fetched anew
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
    """List the files that a repair kept beside a file of the cache folder.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    list of Path
        ``<name>.bad-<n>``, by number.
    """
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
        log.info("%s cannot have a second name (%s): it is moved", old, error)
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
