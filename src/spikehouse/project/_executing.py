"""Download the files of a plan, several at once, stoppable at any time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from spikehouse.errors import SpikehouseError, TransferError
from spikehouse.survey.store import Store, Target
from spikehouse.transfer.progress import FileProgress, Progress
from spikehouse.transfer.threads import run_at_once

__all__ = ["fetch_targets"]

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


def fetch_targets(
    store: Store, targets: Sequence[Target], *, n_bytes: int | None, shown: bool | None
) -> list[Path]:
    """Download several files at once; Ctrl-C stops all and keeps what has arrived."""
    missing = [target for target in targets if not target.path.exists()]
    if missing:
        _fetch_missing(store, missing, n_asked=len(targets), n_bytes=n_bytes, shown=shown)
    return [target.path for target in targets]


def _fetch_missing(
    store: Store,
    targets: Sequence[Target],
    *,
    n_asked: int,
    n_bytes: int | None,
    shown: bool | None,
) -> None:
    progress = StoppableProgress(shown, n_files=len(targets), n_bytes=n_bytes)
    with progress:
        jobs = [partial(store.fetch, target, progress=progress) for target in targets]
        try:
            outcomes = run_at_once(
                jobs, n_threads=_choose_number(len(targets), n_bytes), stop=progress.stop
            )
        except KeyboardInterrupt:
            raise KeyboardInterrupt(STOPPED) from None
    failures: dict[str, SpikehouseError] = {}
    for target, outcome in zip(targets, outcomes, strict=True):
        try:
            outcome.result()
        except SpikehouseError as error:
            failures[target.name] = error
    if failures:
        raise _sum_up(failures, n_asked=n_asked)


def _choose_number(n_files: int, n_bytes: int | None) -> int:
    is_small = n_bytes is not None and n_bytes < SMALL_BYTES * n_files
    return N_SMALL_AT_ONCE if is_small else N_AT_ONCE


def _sum_up(failures: dict[str, SpikehouseError], *, n_asked: int) -> SpikehouseError:
    lines = [f"{name}: {error.message}" for name, error in failures.items()]
    files = "1 file" if n_asked == 1 else f"{n_asked} files"
    return TransferError(
        "\n  ".join([f"{len(failures)} of {files} could not be downloaded:", *lines])
        + "\nWhat has arrived is kept; call again to download what is missing"
    )
