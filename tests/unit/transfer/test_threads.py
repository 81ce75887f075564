"""Several things at once: all of them, in order, and stopped at once."""

from __future__ import annotations

import _thread
import subprocess
import sys
import threading
import time
from functools import partial

import pytest

from spikehouse.transfer.threads import DaemonPool, call_at_once, run_at_once


def test_run_at_once__gives_results_in_order() -> None:
    jobs = [lambda n=n: n * n for n in range(20)]
    assert [future.result() for future in run_at_once(jobs, n_threads=4)] == [
        n * n for n in range(20)
    ]
    assert run_at_once([], n_threads=4) == []


def test_run_at_once__runs_as_many_as_it_may() -> None:
    together = threading.Barrier(3, timeout=10)
    assert all(
        future.result() is not None for future in run_at_once([together.wait] * 3, n_threads=3)
    )


def test_run_at_once__an_error_is_that_jobs_own() -> None:
    def fail() -> int:
        raise ZeroDivisionError("mine")

    first, second = run_at_once([fail, lambda: 2], n_threads=2)
    assert second.result() == 2
    with pytest.raises(ZeroDivisionError, match="mine"):
        first.result()


def test_run_at_once__ctrl_c_waits_for_nobody() -> None:
    released = threading.Event()
    begun: list[int] = []

    def hang() -> None:
        begun.append(1)
        released.wait(60)

    stop = threading.Event()
    timer = threading.Timer(0.3, _thread.interrupt_main)
    timer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_at_once([hang] * 5, n_threads=2, stop=stop)
    assert time.monotonic() - began < 3
    assert stop.is_set()
    released.set()
    time.sleep(0.1)
    # those that waited for their turn never began
    assert len(begun) == 2


def test_call_at_once__gives_results_in_order_or_the_first_failure() -> None:
    released = threading.Event()
    begun: list[int] = []

    def act(n: int) -> int:
        begun.append(n)
        if n == 2:
            raise ZeroDivisionError("the third")
        if n > 2:
            released.wait(60)
        return n

    assert call_at_once([lambda: 7, lambda: 8], n_threads=2) == [7, 8]
    began = time.monotonic()
    with pytest.raises(ZeroDivisionError, match="the third"):
        call_at_once([partial(act, n) for n in range(100)], n_threads=2)
    assert time.monotonic() - began < 10
    released.set()
    # one may have been under way
    assert len(begun) <= 5


def test_daemon_pool__the_interpreter_does_not_wait_for_it() -> None:
    code = (
        "import time; from spikehouse.transfer.threads import DaemonPool\n"
        "pool = DaemonPool(2); began = pool.submit(time.monotonic); began.result()\n"
        "pool.submit(lambda: time.sleep(300)); time.sleep(0.2); raise KeyboardInterrupt"
    )
    ended = subprocess.run([sys.executable, "-c", code], timeout=60, capture_output=True, text=True)
    assert "KeyboardInterrupt" in ended.stderr


def test_daemon_pool__shut_down__nothing_more_begins() -> None:
    released, begun = threading.Event(), threading.Event()
    pool = DaemonPool(1)

    def hang() -> bool:
        begun.set()
        return released.wait(60)

    first, second = pool.submit(hang), pool.submit(hang)
    assert begun.wait(60)
    pool.shutdown()
    assert second.cancelled()
    with pytest.raises(RuntimeError, match="was shut down"):
        pool.submit(hang)
    released.set()
    assert first.result(60)
