"""Run functions in threads that never block the end of the interpreter."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from functools import partial
from typing import Any, TypeVar

__all__ = ["DaemonPool", "call_at_once", "run_at_once"]

T = TypeVar("T")

# how long after Ctrl-C the threads may take to notice
STOP_S = 0.8
# a wait without end would not let Ctrl-C through on Windows
_TICK_S = 0.2


class DaemonPool:
    """A pool of daemon threads, started on demand."""

    # The threads of concurrent.futures keep the interpreter alive until the last one ends: one
    # that waits for a silent server would delay Ctrl-C by minutes.

    def __init__(self, n_threads: int) -> None:
        self._n_threads = n_threads
        self._threads: list[threading.Thread] = []
        self._waiting: queue.SimpleQueue[tuple[Callable[[], object], Future[Any]] | None]
        self._waiting = queue.SimpleQueue()
        self._is_open = True
        self._lock = threading.Lock()

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Schedule a function and return its future."""
        future: Future[T] = Future()
        with self._lock:
            if not self._is_open:
                raise RuntimeError("the pool was shut down")
            self._waiting.put((job, future))
            if len(self._threads) < self._n_threads:
                thread = threading.Thread(target=_work, args=(self._waiting,), daemon=True)
                self._threads.append(thread)
                thread.start()
        return future

    def shutdown(self, *, farewell_s: float = 0.0) -> None:
        """Cancel the functions not yet begun, and end each thread after its current one."""
        with self._lock:
            self._is_open = False
            while not self._waiting.empty():
                with contextlib.suppress(queue.Empty):
                    if (item := self._waiting.get_nowait()) is not None:
                        item[1].cancel()
            for _ in self._threads:
                self._waiting.put(None)
        deadline = time.monotonic() + farewell_s
        for thread in self._threads:
            if farewell_s > 0:
                thread.join(max(deadline - time.monotonic(), 0))


def _work(
    waiting: queue.SimpleQueue[tuple[Callable[[], object], Future[Any]] | None],
) -> None:
    while (item := waiting.get()) is not None:
        job, future = item
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(job())
            except BaseException as error:  # noqa: BLE001 - raised again by who asks for the result
                future.set_exception(error)
        # what it holds may be waiting to be forgotten
        del item, job, future


def run_at_once(
    jobs: Sequence[Callable[[], T]], *, n_threads: int, stop: threading.Event | None = None
) -> list[Future[T]]:
    """Run functions in several threads and wait for all of them."""
    # `stop` is set when this function ends, also by Ctrl-C; a job that sets it ends the wait
    stop = stop or threading.Event()
    pool = DaemonPool(n_threads)
    try:
        futures = [pool.submit(job) for job in jobs]
        pending = set(futures)
        while pending and not stop.is_set():
            _, pending = wait(pending, timeout=_TICK_S)
    finally:
        stop.set()
        pool.shutdown(farewell_s=STOP_S)
    return futures


def call_at_once(
    jobs: Sequence[Callable[[], T]], *, n_threads: int, stop: threading.Event | None = None
) -> list[T]:
    """Run functions in several threads; return all results or raise the first failure."""
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
