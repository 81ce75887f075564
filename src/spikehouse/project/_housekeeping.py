"""Find and remove what is not part of the data set in a cache folder."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from spikehouse.errors import CacheError, NotFoundError, describe_choices
from spikehouse.survey.store import Store, Target
from spikehouse.survey.verify import find_set_aside, find_targets
from spikehouse.transfer.disk import check_inside, explain_storage_errors, try_lock
from spikehouse.transfer.records import find_record
from spikehouse.transfer.sparse_file import read_header

__all__ = ["Leftover", "find_files_of_session", "find_leftovers", "measure", "remove_leftovers"]

Kind: TypeAlias = Literal["part", "streamed", "repair", "replaced", "session"]
# an interrupted download is usually resumed on the same day [s]
STALE_S = 86_400.0


@dataclass(frozen=True)
class Leftover:
    """Files that may be removed together."""

    # "part": unfinished download. "streamed": what streams keep. "repair": unfinished replacement.
    # "replaced": changed file that a repair kept as `<name>.bad-<n>`. "session": file of a session
    # to remove.
    kind: Kind
    # files, and folders with all their content
    paths: tuple[Path, ...]
    # size on the disk
    n_bytes: int
    # whether it was written within a day, or is being written now
    is_recent: bool
    # lock of its writer, None if there is none
    lock: Path | None = None


def measure(path: Path) -> int:
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


def find_leftovers(store: Store) -> list[Leftover]:
    """List what may be removed without losing a file of the data set."""
    parts = [_describe_part(store, target) for target in find_targets(store, suffix=".part")]
    own = store.folder.own
    folders: list[tuple[Kind, Path]] = [("streamed", own / "blocks"), ("repair", own / "repair")]
    caches = [
        Leftover(kind, (path,), measure(path), is_recent=False)
        for kind, path in folders
        if path.exists()
    ]
    replaced = [
        Leftover("replaced", (path,), measure(path), is_recent=False)
        for target in find_targets(store)
        for path in find_set_aside(target.path)
    ]
    return [*parts, *(cache for cache in caches if cache.n_bytes), *replaced]


def _describe_part(store: Store, target: Target) -> Leftover:
    paths = [Path(f"{target.path}{suffix}") for suffix in (".part", ".part.json")]
    paths = [path for path in paths if path.exists()]
    written_at = max((path.stat().st_mtime for path in paths), default=0.0)
    lock = store.folder.lock_for(target.path)
    header = read_header(target.path)
    # a cache: it may be removed at any time
    is_streamed = header is not None and header.begun_by == "stream"
    is_fresh = not is_streamed and abs(time.time() - written_at) < STALE_S
    return Leftover(
        "streamed" if is_streamed else "part",
        tuple(paths),
        sum(measure(path) for path in paths),
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
    targets = find_targets(store)
    found = []
    for session_id in session_ids:
        names = {store.target_session_metrics(session_id).path}
        own = [
            target
            for target in targets
            if (target.kind in ("session", "lfp") and target.ids[0] == session_id)
            or target.path in names
        ]
        if not own:
            there = sorted(int(t.ids[0]) for t in targets if t.kind == "session")
            raise NotFoundError(
                f"no file of session {session_id} is here: {describe_choices(session_id, there)}"
            )
        found += [_describe_file(store, target) for target in own]
    return found


def _describe_file(store: Store, target: Target) -> Leftover:
    # the record goes with the file: the next one has its own
    paths = (target.path, find_record(store.folder.records, target.path))
    return Leftover("session", paths, measure(target.path), is_recent=False)


def remove_leftovers(store: Store, leftovers: Iterable[Leftover]) -> int:
    """Remove leftovers, except downloads that a process is writing now."""
    leftovers = list(leftovers)
    for path in (path for leftover in leftovers for path in leftover.paths):
        check_inside(path, store.folder.manifest.folder)
    n_bytes = 0
    for leftover in leftovers:
        if leftover.lock is not None and _is_held(leftover.lock):
            continue
        for path in leftover.paths:
            with explain_storage_errors(path):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        n_bytes += leftover.n_bytes
    return n_bytes
