"""Download the files of a plan, several at once, stoppable at any time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from spikehouse.errors import CacheError, InvalidArgumentError, SpikehouseError, TransferError
from spikehouse.survey.file_kinds import PlannedFile
from spikehouse.survey.plan import FetchPlan, describe_bytes, measure_free_space
from spikehouse.survey.store import Store
from spikehouse.transfer.progress import FileProgress, Progress
from spikehouse.transfer.threads import run_at_once

__all__ = ["run_plan"]

# a large file has several connections of its own; of small ones most of the time is waiting
N_AT_ONCE = 4
N_SMALL_AT_ONCE = 8
SMALL_BYTES = 16_000_000
STOPPED = "stopped; what has arrived of each file is kept, and call again to resume"


class _Stoppable(FileProgress):
    """Pass the progress of a file on, and raise KeyboardInterrupt once stopped."""

    def __init__(self, inner: FileProgress, stop: threading.Event) -> None:
        self._inner = inner
        self._stop = stop
        self.total = inner.total
        self.done = 0

    def update(self, n: int) -> None:
        # what Ctrl-C raises in the main thread: a download keeps its part for it
        if self._stop.is_set():
            raise KeyboardInterrupt
        self._inner.update(n)

    def begin(self, total: int | None, done: int) -> None:
        self.update(0)
        self._inner.begin(total, done)


class StoppableProgress(Progress):
    """Progress bars that can stop the downloads they follow."""

    def __init__(
        self, shown: bool | None = None, *, n_files: int = 1, n_bytes: int | None = None
    ) -> None:
        super().__init__(shown, n_files=n_files, n_bytes=n_bytes)
        self.stop = threading.Event()

    @contextlib.contextmanager
    def file(self, name: str, total: int | None, initial: int = 0) -> Iterator[FileProgress]:
        """Yield the progress of one file; its `update` raises once stopped."""
        with super().file(name, total, initial) as inner:
            yield _Stoppable(inner, self.stop)


def run_plan(store: Store, plan: FetchPlan) -> list[Path]:
    """Download the missing files of a plan; Ctrl-C stops all and keeps what has arrived."""
    files = _check_plan(store, plan)
    missing = [file for file in files if not file.path.exists()]
    if missing:
        # the bars show whole files, with the bytes that are there already counted as done
        lengths = [item.n_bytes for item in plan.items if item.state != "cached"]
        known = [length for length in lengths if length is not None]
        n_bytes = sum(known) if len(known) == len(lengths) else None
        _fetch_missing(store, missing, n_asked=len(files), n_bytes=n_bytes)
    return [file.path for file in files]


def _check_plan(store: Store, plan: FetchPlan) -> list[PlannedFile]:
    if not isinstance(plan, FetchPlan):
        raise InvalidArgumentError(
            f"{plan!r} is not a plan: create one with plan(), as in "
            "cache.fetch(cache.plan([791319847]))"
        )
    if plan.folder != store.folder:
        raise InvalidArgumentError(
            f"this plan is for {plan.folder}, but this cache is {store.folder}: create a new plan"
        )
    paths = [store.folder / item.file for item in plan.items]
    n_free = measure_free_space(store.folder)
    # what an old plan lists may have been fetched since
    if plan.n_bytes_missing > n_free and not all(path.exists() for path in paths):
        raise CacheError(
            f"{describe_bytes(plan.n_bytes_missing)} must be downloaded, but {store.folder} has "
            f"{describe_bytes(n_free)} free: plan fewer files, free some space, or choose "
            "another folder with manifest=…; nothing was downloaded"
        )
    files = []
    for path in paths:
        file = store.manifest.parse(path)
        if file is None:
            raise InvalidArgumentError(
                f"the plan contains {path}, which is no file of the data set"
            )
        files.append(file)
    return files


def _fetch_missing(
    store: Store,
    files: Sequence[PlannedFile],
    *,
    n_asked: int,
    n_bytes: int | None,
) -> None:
    progress = StoppableProgress(store.progress, n_files=len(files), n_bytes=n_bytes)
    with progress:
        jobs = [partial(store.fetch, file, progress=progress) for file in files]
        try:
            outcomes = run_at_once(
                jobs, n_threads=_choose_number(len(files), n_bytes), stop=progress.stop
            )
        except KeyboardInterrupt:
            raise KeyboardInterrupt(STOPPED) from None
    failures: dict[str, SpikehouseError] = {}
    for file, outcome in zip(files, outcomes, strict=True):
        try:
            outcome.result()
        except SpikehouseError as error:
            failures[file.name] = error
    if failures:
        raise _sum_up(failures, n_asked=n_asked)


def _choose_number(n_files: int, n_bytes: int | None) -> int:
    is_small = n_bytes is not None and n_bytes < SMALL_BYTES * n_files
    return N_SMALL_AT_ONCE if is_small else N_AT_ONCE


def _sum_up(failures: dict[str, SpikehouseError], *, n_asked: int) -> SpikehouseError:
    lines = [f"{name}: {error.message}" for name, error in failures.items()]
    n_files = "1 file" if n_asked == 1 else f"{n_asked} files"
    return TransferError(
        "\n  ".join([f"{len(failures)} of {n_files} could not be downloaded:", *lines])
        + "\nWhat has arrived is kept; call again to download what is missing"
    )
