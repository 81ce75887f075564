"""Runs many small decodings (windows, draws of units, shuffles) on all cores."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spikehouse.decoding._folds import (
    count_workers,
    is_libsvm,
    is_worth_processes,
    predict_fold,
)
from spikehouse.decoding._inputs import Fold
from spikehouse.decoding._notes import collect_convergence, convergence_notes

Progress = Callable[[int, int], None]
Outcome = tuple[npt.NDArray[np.float64], list[str]]

# enough work behind the job under way, without holding the counts of all that are to come
N_AHEAD = 2


@dataclass(frozen=True)
class Job:
    """One cross-validation of which only the accuracy is wanted.

    Attributes
    ----------
    design
        Presentations × units.
    targets
        One label a presentation.
    folds
        Pairs of (training, test) positions.
    columns
        Which units are looked at; None for all.
    """

    design: npt.NDArray[np.float64]
    targets: npt.NDArray[Any]
    folds: list[Fold]
    columns: npt.NDArray[np.intp] | None = None


@dataclass(frozen=True)
class Scores:
    """What many jobs gave.

    Attributes
    ----------
    accuracies
        Shape (n_jobs, n_folds): the fraction of right predictions.
    notes
        About fits that did not converge.
    """

    accuracies: npt.NDArray[np.float64]
    notes: tuple[str, ...]


def run_jobs(
    model: Any,  # noqa: ANN401 - whatever fits and predicts as scikit-learn's do
    jobs: Iterable[Job],
    *,
    n: int,
    n_jobs: int | None,
    progress: Progress | None,
) -> Scores:
    """Cross-validate every job, in the order given, whatever runs at once.

    Parameters
    ----------
    model
        Is cloned for every fold.
    jobs
        What to decode; taken one after the other, so that they need not all exist at once.
    n
        How many jobs there are, at least one.
    n_jobs
        How many cores to use; None or -1 for all.
    progress
        Is called in this thread after each job with the number done and the number of all.

    Returns
    -------
    Scores
        One row of accuracies a job.

    Notes
    -----
    Linear algebra runs on one thread a job, as in ``predict_folds``.
    """
    from threadpoolctl import threadpool_limits

    n_workers = count_workers(n_jobs)
    messages: list[str] = []
    rows: list[npt.NDArray[np.float64]] = []
    # closed here, so that an error in ``progress`` stops the threads before it is raised
    outcomes = closing(_run(model, iter(jobs), n, n_workers, messages))
    with threadpool_limits(limits=1), outcomes as running:
        for row, warned in running:
            rows.append(row)
            messages += warned
            if progress is not None:
                progress(len(rows), n)
    accuracies = np.stack(rows)
    return Scores(accuracies, convergence_notes(messages, n_fits=accuracies.size))


def _run(
    model: Any,  # noqa: ANN401
    jobs: Iterator[Job],
    n: int,
    n_workers: int,
    messages: list[str],
) -> Generator[Outcome, None, None]:
    if n_workers == 1 or n == 1:
        return _run_here(model, jobs)
    if is_libsvm(model):
        return _run_in_threads(model, jobs, n_workers, messages)
    return _run_in_processes(model, jobs, n, n_workers)


def _run_here(model: Any, jobs: Iterator[Job]) -> Generator[Outcome, None, None]:  # noqa: ANN401
    for job in jobs:
        yield _score_alone(model, job)


def _score(model: Any, job: Job) -> npt.NDArray[np.float64]:  # noqa: ANN401
    design = job.design if job.columns is None else job.design[:, job.columns]
    targets = job.targets
    return np.array(
        [
            np.mean(predict_fold(model, design, targets, fold) == targets[fold[1]])
            for fold in job.folds
        ]
    )


def _score_alone(model: Any, job: Job) -> Outcome:  # noqa: ANN401
    messages: list[str] = []
    with collect_convergence(messages):
        accuracies = _score(model, job)
    return accuracies, messages


def _score_in_process(model: Any, job: Job) -> Outcome:  # noqa: ANN401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        return _score_alone(model, job)


def _run_in_threads(
    model: Any,  # noqa: ANN401
    jobs: Iterator[Job],
    n_workers: int,
    messages: list[str],
) -> Generator[Outcome, None, None]:
    pool = ThreadPoolExecutor(n_workers, thread_name_prefix="decode")
    waiting: deque[Future[npt.NDArray[np.float64]]] = deque()
    try:
        # filters of warnings belong to the process: one collector around all threads
        with collect_convergence(messages):
            for job in jobs:
                waiting.append(pool.submit(_score, model, job))
                if len(waiting) >= N_AHEAD * n_workers:
                    yield waiting.popleft().result(), []
            while waiting:
                yield waiting.popleft().result(), []
    finally:
        # after Ctrl-C or an error only the jobs under way are waited for
        pool.shutdown(wait=True, cancel_futures=True)


def _run_in_processes(
    model: Any,  # noqa: ANN401
    jobs: Iterator[Job],
    n: int,
    n_workers: int,
) -> Generator[Outcome, None, None]:
    import time

    from joblib import Parallel, delayed

    start = time.perf_counter()
    first = _score_alone(model, next(jobs))
    seconds = time.perf_counter() - start
    yield first
    if not is_worth_processes(seconds * (n - 1), n_workers):
        yield from (_score_alone(model, job) for job in jobs)
        return
    run = Parallel(
        n_jobs=min(n_workers, n - 1), backend="loky", max_nbytes=None, return_as="generator"
    )
    yield from run(delayed(_score_in_process)(model, _narrow(job)) for job in jobs)


def _narrow(job: Job) -> Job:
    """Leave out the units that are not looked at, before the job is sent to another process."""
    if job.columns is None:
        return job
    return Job(np.ascontiguousarray(job.design[:, job.columns]), job.targets, job.folds)
