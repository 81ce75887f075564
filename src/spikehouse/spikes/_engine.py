"""Choose between numpy and the compiled loops, and run these unit by unit on all cores."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from spikehouse.spikes.trains import ReadAhead, SpikeTimes, is_thread_safe

Floats = npt.NDArray[np.float64]

Result = TypeVar("Result")

# numpy needs about 60 ns an edge and unit; loading the compiled loops takes as long as 5 million,
# and starting the threads, once they are loaded, as long as 20 thousand
LARGE = 4_000_000
LARGE_ONCE_LOADED = 20_000
# handing a task over costs about as much as counting a quiet unit
MOST_UNITS_A_TASK = 16


@dataclass(frozen=True)
class Rows:
    """Rows of edges for the compiled loops; ``slack`` as `_kernels.measure_rows` returns it."""

    domain: Floats
    windows: Floats
    slack: float


def compiled_rows(domain: Floats, n_units: int) -> Rows | None:
    """Return rows for the compiled loops, or None where the work is small and numpy is faster."""
    is_loaded = "spikehouse.spikes._kernels" in sys.modules
    least = min(LARGE, LARGE_ONCE_LOADED) if is_loaded else LARGE
    if domain.size * n_units <= least or domain.shape[1] < 2:
        return None
    from spikehouse.spikes import _kernels

    edges = np.ascontiguousarray(domain, dtype=np.float64)
    slack, windows = _kernels.measure_rows(edges)
    return Rows(edges, windows, slack)


def run_units(
    spike_times: SpikeTimes, unit_ids: Sequence[int], job: Callable[[int, Floats], Result]
) -> list[Result]:
    """Run a compiled job on every unit, on all cores, and return the results in order."""
    # in memory: at most one unit's spikes a core, and one more where only this thread reads
    from spikehouse.spikes.compiling import n_threads as count_threads

    n_threads = count_threads()
    trains = ReadAhead(spike_times, unit_ids)
    if is_thread_safe(spike_times):
        return _run_everywhere(trains, job, n_threads)
    return _run_beside(trains, job, n_threads)


def _run_everywhere(
    trains: ReadAhead, job: Callable[[int, Floats], Result], n_threads: int
) -> list[Result]:
    """Read and count in every thread."""

    def run(positions: range) -> list[Result]:
        return [
            job(position, np.ascontiguousarray(trains[position], dtype=np.float64))
            for position in positions
        ]

    n_units = len(trains)
    # several tasks a core, so that none waits long for the last
    n_each = min(max(n_units // (4 * n_threads), 1), MOST_UNITS_A_TASK)
    tasks = [range(n_units)[start : start + n_each] for start in range(0, n_units, n_each)]
    with ThreadPoolExecutor(n_threads) as pool:
        return [result for results in pool.map(run, tasks) for result in results]


def _run_beside(
    trains: ReadAhead, job: Callable[[int, Floats], Result], n_threads: int
) -> list[Result]:
    """Read in this thread, count in the others."""
    results: list[Result] = []
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(n_threads) as pool:
        for position in range(len(trains)):
            train = np.ascontiguousarray(trains[position], dtype=np.float64)
            if len(waiting) >= n_threads:
                results.append(waiting.popleft().result())
            waiting.append(pool.submit(job, position, train))
        results.extend(future.result() for future in waiting)
    return results
