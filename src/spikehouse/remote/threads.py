"""Some things at once, in threads that nobody has to wait for."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from functools import partial
from typing import TypeVar

__all__ = ["call_at_once", "run_at_once"]

T = TypeVar("T")

# how long after Ctrl-C the threads may take to notice
STOP_S = 0.8
# a wait without end would not let Ctrl-C through on Windows
_TICK_S = 0.2


def run_at_once(
    jobs: Sequence[Callable[[], T]], *, n_threads: int, stop: threading.Event | None = None
) -> list[Future[T]]:
    """Call functions in several threads and wait for all of them.

    Parameters
    ----------
    jobs
        What to call, in order.
    n_threads
        How many at once.
    stop
        Is set when this function ends, be it by Ctrl-C; a job that sets it ends the waiting.

    Returns
    -------
    list of Future
        In the order of ``jobs``; all done, each with a result or an exception, unless a job has
        set ``stop``.

    Notes
    -----
    A pool of the standard library keeps the interpreter from ending until its last thread has
    ended; one that waits for a silent server would hold up Ctrl-C for minutes. These threads
    are daemons: after Ctrl-C they get a moment to put away what they have, and are left behind.
    """
    stop = stop or threading.Event()
    waiting: queue.SimpleQueue[tuple[Callable[[], T], Future[T]]] = queue.SimpleQueue()
    futures: list[Future[T]] = [Future() for _ in jobs]
    for pair in zip(jobs, futures, strict=True):
        waiting.put(pair)
    threads = [
        threading.Thread(target=_work, args=(waiting, stop), name=f"spikehouse-{n}", daemon=True)
        for n in range(min(n_threads, len(jobs)))
    ]
    try:
        for thread in threads:
            thread.start()
        pending = set(futures)
        while pending and not stop.is_set():
            _, pending = wait(pending, timeout=_TICK_S)
    finally:
        stop.set()
        deadline = time.monotonic() + STOP_S
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))
    return futures


def call_at_once(
    jobs: Sequence[Callable[[], T]], *, n_threads: int, stop: threading.Event | None = None
) -> list[T]:
    """Call functions in several threads and return all results, or raise the first failure.

    Parameters
    ----------
    jobs, n_threads, stop
        As for :func:`run_at_once`; after a failure no further job is begun.

    Returns
    -------
    list
        The results in the order of ``jobs``.
    """
    is_over = stop or threading.Event()
    failures: list[BaseException] = []

    def call(job: Callable[[], T]) -> T:
        try:
            return job()
        except BaseException as error:
            failures.append(error)
            is_over.set()
            raise

    calls = [partial(call, job) for job in jobs]
    futures = run_at_once(calls, n_threads=n_threads, stop=is_over)
    if failures:
        raise failures[0]
    return [future.result() for future in futures]


def _work(
    waiting: queue.SimpleQueue[tuple[Callable[[], T], Future[T]]], stop: threading.Event
) -> None:
    while not stop.is_set():
        try:
            job, future = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            future.set_result(job())
        except BaseException as error:  # noqa: BLE001 - raised again by who asks for the result
            future.set_exception(error)
