"""Import files into a cache folder, and find and remove what is not part of the data set."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import pandas as pd

from spikehouse.errors import (
    CacheError,
    InvalidFileError,
    NotFoundError,
    SpikehouseError,
    describe_choices,
)
from spikehouse.survey.file_kinds import PlannedFile
from spikehouse.survey.store import Store
from spikehouse.survey.verify import compute_sha256, find_set_aside, record_file
from spikehouse.transfer.disk import explain_storage_errors, try_lock
from spikehouse.transfer.records import OWN_FOLDER, find_record, read_record
from spikehouse.transfer.remote_file import LocalFile
from spikehouse.transfer.sparse_file import read_header

if TYPE_CHECKING:
    from spikehouse.transfer.progress import FileProgress

__all__ = [
    "Imported",
    "Leftover",
    "find_files_of_session",
    "find_leftovers",
    "import_files",
    "list_files",
    "remove_leftovers",
]

log = logging.getLogger(__name__)

Outcome: TypeAlias = Literal["linked", "copied", "recorded", "there already", "refused"]
LeftoverKind: TypeAlias = Literal["part", "streamed", "repair", "replaced", "session"]
# an interrupted download is usually resumed on the same day [s]
STALE_S = 86_400.0
# the bytes of an unfinished download, its journal, and a journal that is being written
PART_SUFFIXES = (".part", ".part.json", ".part.json.part")


# --- import files


@dataclass(frozen=True)
class Imported:
    """Result of importing a file."""

    # path at which it was found
    origin: Path
    # path in the cache folder, None if it was refused
    path: Path | None
    # "linked": hard-linked, no second copy. "copied". "recorded": already in the cache folder, its
    # digest is now recorded. "there already": nothing was done. "refused".
    outcome: Outcome
    # why it was refused, otherwise empty
    reason: str = ""


def import_files(
    store: Store, folder: Path, *, bar: FileProgress | None = None
) -> Iterator[Imported]:
    """Import the files of the data set in a folder; yield the result for each."""
    # Nothing in the other folder is changed, and no file of the cache folder replaced. Every file
    # is read once from beginning to end for its digest.
    folder = folder.expanduser().absolute()
    if not folder.is_dir():
        raise CacheError(f"there is no folder {folder}: pass a folder with files of the data set")
    if folder.samefile(store.folder):
        yield from (_record_in_place(store, file, bar) for file in store.manifest.find_files())
        return
    for origin in sorted(folder.rglob("*")):
        file: PlannedFile | None = None
        try:
            file = None if OWN_FOLDER in origin.parts else _recognise(store, origin)
            result = None if file is None else _import_file(store, file, origin, folder, bar)
        except (SpikehouseError, OSError) as error:
            # a cache folder that cannot be written to is no fault of this file
            if file is not None and isinstance(error, CacheError):
                raise
            result = Imported(origin, None, "refused", str(error))
        if result is not None:
            yield result


def _recognise(store: Store, path: Path) -> PlannedFile | None:
    """Return the file that a path may hold, judged by its name; None for other files."""
    found = store.manifest.files.parse(path)
    if found is None:
        return None
    kind, ids = found
    if set(ids) != set(kind.ids):
        # a loose LFP file does not say of which session it is, the table of probes does
        probes = store.read_table("probes")
        if ids["probe_id"] not in probes.index:
            return None
        ids["session_id"] = int(probes["ecephys_session_id"].loc[ids["probe_id"]])
    return store.file(kind.name, *(ids[name] for name in kind.ids))


def _record_in_place(store: Store, file: PlannedFile, bar: FileProgress | None) -> Imported:
    path = file.path
    if read_record(store.records, path) is not None:
        return Imported(path, path, "there already")
    try:
        digest = _check_file(file, path, bar)
    except OSError as error:  # of the system, or ours for what is not what its name says
        return Imported(path, None, "refused", str(error))
    record_file(store, path, sha256=digest, source="adopted")
    return Imported(path, path, "recorded")


def _import_file(
    store: Store, file: PlannedFile, origin: Path, folder: Path, bar: FileProgress | None
) -> Imported:
    path = file.path
    if path.exists() and not path.is_file():
        return Imported(origin, None, "refused", f"{path} is not a regular file: remove it first")
    if path.exists():
        return Imported(origin, path, "there already")
    store.check_inside(path)
    digest = _check_file(file, origin, bar)
    record = read_record(folder / OWN_FOLDER / "records", origin)
    if record is not None and record.sha256 != digest:
        reason = f"it has changed since it was fetched ({record.fetched_at[:10]})"
        return Imported(origin, None, "refused", reason)
    # tables are small, and somebody may edit theirs: no second name for those
    content = LocalFile(origin, file.name, source="adopted", is_immutable=file.kind.table is None)
    arrived: list[Path] = []

    def check(part: Path) -> None:
        arrived.append(part)
        file.kind.check(part)

    store.keep(file, content, progress=False, check=check)
    # another process put it there while the digest was computed: it is not ours to judge
    if not arrived:
        return Imported(origin, path, "there already")
    is_linked = path.samefile(origin)
    if not is_linked:
        # copying reads the file again: check that the copy has the verified digest
        copied = read_record(store.records, path)
        if (compute_sha256(path) if copied is None else copied.sha256) != digest:
            path.unlink()
            raise InvalidFileError(f"the copy {path} differs from its original; it was removed")
    record_file(store, path, sha256=digest, source="adopted", url=origin.as_uri())
    return Imported(origin, path, "linked" if is_linked else "copied")


def _check_file(file: PlannedFile, path: Path, bar: FileProgress | None) -> str:
    """Check that a path holds a file of the expected kind, and compute its digest."""
    if not path.is_file():  # to open a pipe would wait for ever
        raise InvalidFileError(f"{path} is not a regular file")
    file.kind.check(path)
    return compute_sha256(path, bar=bar)


# --- leftovers


@dataclass(frozen=True)
class Leftover:
    """Files that may be removed together."""

    # "part": unfinished download. "streamed": what streams keep. "repair": unfinished replacement.
    # "replaced": changed file that a repair kept as `<name>.bad-<n>`. "session": file of a session
    # to remove.
    kind: LeftoverKind
    # files, and folders with all their content
    paths: tuple[Path, ...]
    # size on the disk
    n_bytes: int
    # whether it was written within a day, or is being written now
    is_recent: bool = False
    # lock of its writer, None if there is none
    lock: Path | None = None


def find_leftovers(store: Store) -> list[Leftover]:
    """List what may be removed without losing a file of the data set."""
    # a journal may be left without its part, and so may the unfinished file of a journal
    unfinished = {
        file.path: file
        for suffix in PART_SUFFIXES
        for file in store.manifest.find_files(suffix=suffix)
    }
    parts = [_describe_part(store, unfinished[path]) for path in sorted(unfinished)]
    # "blocks": what the streams of version 0.1 kept
    own: dict[LeftoverKind, str] = {"streamed": "blocks", "repair": "repair"}
    caches = [
        Leftover(kind, (store.own / name,), _measure(store.own / name))
        for kind, name in own.items()
    ]
    replaced = [
        Leftover("replaced", (path,), _measure(path))
        for file in store.manifest.find_files()
        for path in find_set_aside(file.path)
    ]
    return [*parts, *(cache for cache in caches if cache.n_bytes), *replaced]


def _measure(path: Path) -> int:
    """Return the disk space used by a file or folder, 0 if it does not exist."""
    # of a sparse file the bytes that were written count
    total = 0
    for part in [path, *path.rglob("*")]:
        # another process may delete it between listing and looking
        with contextlib.suppress(OSError):
            facts = part.lstat()
            if not part.is_dir():
                total += min(facts.st_size, getattr(facts, "st_blocks", facts.st_size) * 512)
    return total


def _describe_part(store: Store, file: PlannedFile) -> Leftover:
    paths = [Path(f"{file.path}{suffix}") for suffix in PART_SUFFIXES]
    paths = [path for path in paths if path.exists()]
    written_at = max((path.stat().st_mtime for path in paths), default=0.0)
    lock = store.lock_for(file.path)
    header = read_header(file.path)
    # a cache: it may be removed at any time
    is_streamed = header is not None and header.begun_by == "stream"
    is_fresh = not is_streamed and abs(time.time() - written_at) < STALE_S
    return Leftover(
        "streamed" if is_streamed else "part",
        tuple(paths),
        sum(_measure(path) for path in paths),
        is_recent=is_fresh or _is_held(lock),
        lock=lock,
    )


def _is_held(lock: Path) -> bool:
    if not lock.exists():
        return False
    # in a read-only folder no lock can be held
    with contextlib.suppress(CacheError), try_lock(lock) as is_free:
        return not is_free
    return False


def find_files_of_session(store: Store, session_ids: Iterable[int]) -> list[Leftover]:
    """List the files of some sessions."""
    sessions = [
        (dict(zip(file.kind.ids, file.ids, strict=True)).get("session_id"), file.path)
        for file in store.manifest.find_files()
    ]
    found = []
    for session_id in session_ids:
        paths = [path for owner, path in sessions if owner == session_id]
        if not paths:
            there = sorted({owner for owner, _ in sessions if owner is not None})
            raise NotFoundError(
                f"no file of session {session_id} is here: {describe_choices(session_id, there)}"
            )
        # the record goes with the file: the next one has its own
        found += [
            Leftover("session", (path, find_record(store.records, path)), _measure(path))
            for path in paths
        ]
    return found


def list_files(store: Store) -> pd.DataFrame:
    """List the files of the data set in a cache folder, then the leftovers."""
    rows: list[tuple[str, int, str, str, str]] = []
    for file in store.manifest.find_files():
        record = read_record(store.records, file.path)
        known = ("", "") if record is None else (record.source, record.fetched_at)
        size = file.path.stat().st_size
        rows.append((store.name_path(file.path), size, file.kind.group, *known))
    for found in find_leftovers(store):
        rows.append((store.name_path(found.paths[0]), found.n_bytes, found.kind, "", ""))
    return pd.DataFrame(rows, columns=["file", "n_bytes", "kind", "source", "fetched_at"])


def remove_leftovers(store: Store, leftovers: Iterable[Leftover]) -> int:
    """Remove leftovers, except downloads that a process is writing now."""
    leftovers = list(leftovers)
    for path in (path for leftover in leftovers for path in leftover.paths):
        store.check_inside(path)
    n_bytes = 0
    for leftover in leftovers:
        with contextlib.ExitStack() as stack:
            paths = leftover.paths
            if leftover.lock is not None:
                # held until all is removed: a download may begin at any moment
                if not stack.enter_context(try_lock(leftover.lock)):
                    continue
                # the journal before the part: bytes without one are not used
                paths = paths[::-1]
            for path in paths:
                _remove(path)
        n_bytes += leftover.n_bytes
    return n_bytes


def _remove(path: Path) -> None:
    with explain_storage_errors(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
