"""Find out about files before downloading them: on the disk and at the sources."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from spikehouse.errors import CacheError, NotFoundError, SourceError, TransferError
from spikehouse.project.plan import FileFacts
from spikehouse.survey.protocol import HasTableFiles
from spikehouse.survey.sources.fallback import name_source
from spikehouse.survey.store import Store, Target
from spikehouse.transfer.remote_file import RemoteFile
from spikehouse.transfer.threads import call_at_once

__all__ = ["gather_facts", "measure_free_space"]

N_AT_ONCE = 8


def gather_facts(store: Store, targets: Sequence[Target]) -> list[FileFacts]:
    """Find out the state, source and size of every file."""
    # At most one small request per file, several at once. The failure of a source becomes the
    # `problem` of that file, so that the others are still planned.
    jobs = [partial(_look, store, target) for target in targets]
    return call_at_once(jobs, n_threads=N_AT_ONCE)


def _look(store: Store, target: Target) -> FileFacts:
    state, n_there = store.state(target)
    if state == "cached":
        return FileFacts(target, state, n_there)
    if store.source is not None and _is_made_anew(store, target):
        # a table that a source puts together from queries: its length is known at the end
        return FileFacts(target, state, n_there, source=name_source(store.source))
    try:
        found = store.locate(target)
    except (CacheError, NotFoundError, SourceError, TransferError) as error:
        return FileFacts(target, state, n_there, problem=error.message)
    if isinstance(found, RemoteFile):
        return FileFacts(target, state, n_there, found.source, found.url, found.size)
    url, n_bytes = found.path.absolute().as_uri(), _size_of(found.path)
    return FileFacts(target, state, n_there, found.source, url, n_bytes)


def _size_of(path: Path) -> int | None:
    return path.stat().st_size if path.exists() else None


def _is_made_anew(store: Store, target: Target) -> bool:
    return target.kind == "table" and not isinstance(store.source, HasTableFiles)


def measure_free_space(folder: Path) -> int:
    """Return the free space of the disk of an existing or future folder."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
