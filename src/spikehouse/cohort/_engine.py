"""Where sessions are computed: here one by one, or by the workers of a Dask cluster."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import threading
import time
import traceback
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from spikehouse.cohort._functions import pack
from spikehouse.cohort._script import hide_script
from spikehouse.cohort._task import Outcome, Work, compute_packed, compute_session
from spikehouse.errors import InvalidArgumentError, SourceError, describe_value
from spikehouse.transfer.progress import PROGRESS_VARIABLE, say

__all__ = ["Engine"]

# duration up to which sessions are computed as one task, and how many at most
TOGETHER_S = 0.1
MOST_TOGETHER = 50
# tasks submitted to a client of the user's, whose workers may come later; each holds a lock open
MOST_AHEAD = 256
CLUSTER_LOST = (
    "the Dask cluster was lost: connect a new client and make the same call; it goes on where this "
    "one stopped"
)
_TURN = threading.Lock()
# one thread each, also of the libraries
THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)  # fmt: skip
SETTINGS: dict[str, Any] = {
    # a session whose worker died is a failure; a second worker would die of it too
    "distributed.scheduler.allowed-failures": 0,
    "distributed.worker.multiprocessing-method": "spawn",
    # results leave at once, so there is nothing to spill; a paused worker would wait for ever
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.comm.timeouts.connect": "60s",
    "distributed.admin.tick.limit": "1h",
}
# a worker's own lines would go between ours; the terminal sends Ctrl-C to the workers as well
PRELOAD = """
import logging, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
logging.getLogger("distributed").setLevel(logging.CRITICAL)
def dask_setup(worker):
    pass
"""


@dataclass(frozen=True)
class Engine:
    """Where sessions are computed, checked before anything is."""

    workers: int | None
    client: Any
    memory_limit: str | float

    def __post_init__(self) -> None:
        if self.workers is None and self.client is None:
            return
        if self.workers is not None and self.client is not None:
            raise InvalidArgumentError("workers= starts a cluster and client= is one: pass one")
        workers = self.workers
        if workers is not None and (
            isinstance(workers, bool) or not isinstance(workers, int) or workers < 1
        ):
            raise InvalidArgumentError(
                f"workers={workers!r}; valid: a number of processes from 1, or None to compute here"
            )
        if importlib.util.find_spec("distributed") is None:
            raise InvalidArgumentError(
                "workers need Dask distributed: pip install 'spikehouse[cluster]'. Without "
                "workers= and client= sessions are computed here, one by one"
            )
        if self.client is not None:
            _check_client(self.client)
        else:
            self.count_workers(1)

    def count_workers(self, n_sessions: int) -> int:
        """Return how many workers there is work, cores and memory for."""
        from dask.utils import parse_bytes
        from distributed.system import MEMORY_LIMIT

        try:
            limit = parse_bytes(self.memory_limit)
        except (ValueError, TypeError, AttributeError, OverflowError):
            limit = 0
        if limit < 100e6:
            raise InvalidArgumentError(
                f"memory_limit={self.memory_limit!r}; valid: the memory of one worker, at least "
                "100 MB, such as '3GB'"
            )
        if limit > MEMORY_LIMIT:
            raise InvalidArgumentError(
                f"memory_limit={self.memory_limit!r} is more than this machine has "
                f"({MEMORY_LIMIT / 1e9:.1f} GB)"
            )
        wanted = min(self.workers or 1, n_sessions)
        # what this process may use; a batch system gives it a part of the node
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        n_workers = min(wanted, cores or 1, int(MEMORY_LIMIT // limit))
        if n_workers < wanted:
            say(
                f"{n_workers} workers instead of {wanted}: there are {cores} cores, and "
                f"{MEMORY_LIMIT / 1e9:.0f} GB of memory for workers of {self.memory_limit}"
            )
        return n_workers

    def compute(self, work: Work, session_ids: Iterator[int], n: int) -> Generator[Outcome]:
        """Compute sessions and yield their outcomes in any order."""
        if self.workers is None and self.client is None:
            yield from (compute_session(work, session_id) for session_id in session_ids)
            return
        # first, because it fails for what cannot be sent
        packed = pack(work, work.function)
        limit = str(self.memory_limit)
        if self.client is not None:
            _check_client(self.client)
            yield from _compute_on(self.client, packed, session_ids, limit, MOST_AHEAD)
            return
        n_workers = self.count_workers(n)
        with _start(n_workers, self.memory_limit) as client:
            yield from _compute_on(client, packed, session_ids, limit, n_workers)


def _check_client(client: Any) -> None:  # noqa: ANN401
    from distributed import Client

    if not isinstance(client, Client):
        raise InvalidArgumentError(f"client is {describe_value(client)}: pass a distributed.Client")
    if client.asynchronous:
        raise InvalidArgumentError("the client is asynchronous: pass one without asynchronous=True")
    if client.status != "running":
        raise InvalidArgumentError(
            f"the client is {client.status}: connect a new one, or pass workers= instead"
        )


@contextlib.contextmanager
def _start(n_workers: int, memory_limit: str | float) -> Iterator[Any]:
    """Start a cluster on this machine, and end all of its processes."""
    import dask
    from distributed import Client, LocalCluster

    has_dashboard = importlib.util.find_spec("bokeh") is not None
    environment = {**dict.fromkeys(THREAD_VARIABLES, "1"), PROGRESS_VARIABLE: "0"}
    with contextlib.ExitStack() as stack:
        # what follows changes the process: clusters of several threads take turns
        stack.enter_context(_TURN)
        stack.enter_context(_keep_environment())
        stack.enter_context(hide_script())
        stack.enter_context(dask.config.set(SETTINGS))
        stack.enter_context(_silence())
        cluster = stack.enter_context(
            LocalCluster(
                n_workers=n_workers,
                threads_per_worker=1,
                memory_limit=memory_limit,
                # a free port also without a dashboard, or two clusters would want the same one
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
                env=environment,
                preload=[PRELOAD],
            )
        )
        client = stack.enter_context(Client(cluster, set_as_default=False))
        if has_dashboard:
            say(f"dashboard: {cluster.dashboard_link}")
        yield client


@contextlib.contextmanager
def _keep_environment() -> Iterator[None]:
    # Dask sets variables for its workers in this process
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    logger = logging.getLogger("distributed")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _compute_on(
    client: Any,  # noqa: ANN401
    packed: bytes,
    session_ids: Iterator[int],
    memory_limit: str,
    n_ahead: int,
) -> Iterator[Outcome]:
    from distributed import as_completed

    futures: dict[str, tuple[tuple[int, ...], Any]] = {}
    # sessions of workers that died with several; each is computed again with nothing beside it
    suspects: list[int] = []
    unclear: set[str | None] = set()
    n_done, seconds = 0, 0.0
    arriving = as_completed(loop=client.loop)

    def submit(ids: tuple[int, ...] = ()) -> None:
        # handing a session over takes milliseconds: those that take less go together
        n = max(1, min(int(TOGETHER_S * n_done / max(seconds, 1e-9)), MOST_TOGETHER))
        ids = ids or tuple(islice(session_ids, n))
        if ids:
            future = client.submit(compute_packed, packed, ids, pure=False)
            futures[future.key] = ids, future
            arriving.add(future)

    try:
        for _ in range(n_ahead):
            submit()
        while futures:
            future = next(arriving)
            ids, _ = futures.pop(future.key)
            worker = _name_dead_worker(future)
            if worker is not None:
                # what else it had arrives with this
                time.sleep(0.1)
                if any(_name_dead_worker(other) == worker for _, other in futures.values()):
                    unclear.add(worker)
            if worker is not None and (worker in unclear or len(ids) > 1):
                suspects += ids
            else:
                for outcome in _take(client, future, ids, memory_limit):
                    n_done, seconds = n_done + 1, seconds + outcome.seconds
                    yield outcome
            submit()
            if suspects and not futures:
                submit((suspects.pop(),))
    except Exception as error:
        # a client can be lost between any two calls, and each has its own error for it
        if client.status == "running" or isinstance(error, SourceError):
            raise
        raise SourceError(CLUSTER_LOST) from error
    finally:
        with contextlib.suppress(Exception):
            client.cancel([future for _, future in futures.values()], force=True)


def _name_dead_worker(future: Any) -> str | None:  # noqa: ANN401
    """Return the address of the worker that died with a task; None if none did."""
    from distributed.scheduler import KilledWorker

    error = future.exception() if future.status == "error" else None
    return str(error.last_worker.address) if isinstance(error, KilledWorker) else None


def _take(
    client: Any,  # noqa: ANN401
    future: Any,  # noqa: ANN401
    session_ids: tuple[int, ...],
    memory_limit: str,
) -> list[Outcome]:
    from distributed.scheduler import KilledWorker

    if future.status == "finished":
        outcomes: list[Outcome] = future.result()
        return outcomes
    if future.status != "error":
        raise SourceError(CLUSTER_LOST)
    error = future.exception()
    message, text = str(error), "".join(traceback.format_exception(error))
    if isinstance(error, KilledWorker):
        text = ""
        address = getattr(error.last_worker, "address", "")
        message = (
            f"its process was ended from outside (kill, or the system had no memory left). Each "
            f"worker may use memory_limit={memory_limit}"
        )
        events = client.get_events("worker-restart-memory") or ()
        if any(event.get("worker") == address for _, event in events):
            message = (
                f"its process needed more memory than memory_limit={memory_limit} and was ended: "
                "raise the limit, or have the function take fewer units at a time"
            )
    facts = {"type": type(error).__name__, "message": message, "traceback": text}
    return [Outcome(session_id, error=facts) for session_id in session_ids]
