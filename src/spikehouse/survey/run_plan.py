"""Download the files of a plan, several at once, stoppable at any time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from spikehouse.errors import CacheError, InvalidArgumentError, SpikehouseError, TransferError
from spikehouse.survey.file_kinds import PlannedFile
from spikehouse.survey.plan import FetchPlan, describe_bytes, measure_free_space
from spikehouse.survey.store import Store
from spikehouse.transfer.progress import Progress
from spikehouse.transfer.threads import run_at_once

__all__ = ["run_plan"]

# a large file has several connections of its own; of small ones most of the time is waiting
N_AT_ONCE = 4
N_SMALL_AT_ONCE = 8
SMALL_BYTES = 16_000_000
STOPPED = "stopped; what has arrived of each file is kept, and call again to resume"


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
    store: Store, files: Sequence[PlannedFile], *, n_asked: int, n_bytes: int | None
) -> None:
    is_small = n_bytes is not None and n_bytes < SMALL_BYTES * len(files)
    stop = threading.Event()
    with Progress(store.progress, n_files=len(files), n_bytes=n_bytes) as progress:
        jobs = [partial(store.fetch, file, progress=progress, stop=stop) for file in files]
        try:
            outcomes = run_at_once(
                jobs, n_threads=N_SMALL_AT_ONCE if is_small else N_AT_ONCE, stop=stop
            )
        except KeyboardInterrupt:
            raise KeyboardInterrupt(STOPPED) from None
    failures = []
    for file, outcome in zip(files, outcomes, strict=True):
        try:
            outcome.result()
        except SpikehouseError as error:
            failures.append(f"{file.name}: {error.message}")
    if failures:
        n_files = "1 file" if n_asked == 1 else f"{n_asked} files"
        raise TransferError(
            "\n  ".join([f"{len(failures)} of {n_files} could not be downloaded:", *failures])
            + "\nWhat has arrived is kept; call again to download what is missing"
        )
