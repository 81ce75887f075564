"""Several things at once: all of them, in order, and stopped at once."""

from __future__ import annotations

import _thread
import threading
import time

import pytest

from spikehouse.project._executing import StoppableProgress
from spikehouse.project._threads import run_at_once


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


def test_stoppable_progress__ends_who_reports() -> None:
    progress = StoppableProgress(shown=False)
    with progress.file("a", 10) as bar:
        bar.update(5)
        progress.stop.set()
        with pytest.raises(KeyboardInterrupt):
            bar.update(5)
        with pytest.raises(KeyboardInterrupt):
            bar.begin(10, 0)
