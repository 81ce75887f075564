"""The engine of all decoding functions: cross-validations on all cores.

Measured on 5950 presentations × 93 units and 119 classes, 2 cores: an SVC needs 2 s to fit one
fold and 1.7 s to predict it, and releases the interpreter lock in both. Threads are nearly twice as
fast as a loop; worker processes need about as long to start and import as they then save.
"""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spikehouse.decoding._inputs import Fold
from spikehouse.errors import InvalidArgumentError, describe_value

Progress = Callable[[int, int], None]
Predictions = npt.NDArray[Any]

# Starting worker processes and importing scikit-learn in each takes 2 to 5 s.
WORTH_A_PROCESS_SECONDS = 2.0
# enough work for every worker, without holding the counts of all jobs in memory
N_AHEAD = 2


@dataclass(frozen=True)
class Job:
    """One cross-validation, of all units or of some columns of the design."""

    design: npt.NDArray[np.float64]
    targets: npt.NDArray[Any]
    folds: list[Fold]
    columns: npt.NDArray[np.intp] | None = None

    def rows(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """Return the design of some presentations."""
        if self.columns is None:
            return self.design[rows]
        # always C-contiguous: the memory layout may change the last bits of a sum
        return np.ascontiguousarray(self.design[np.ix_(rows, self.columns)])


Outcomes = Generator[tuple[Job, list[Predictions]], None, None]


@dataclass(frozen=True)
class Scores:
    """Results of several jobs: accuracies (n_jobs, n_folds), notes, predictions if kept."""

    accuracies: npt.NDArray[np.float64]
    notes: tuple[str, ...]
    predictions: list[list[Predictions]]


def run_jobs(
    model: Any,  # noqa: ANN401 - any classifier with the interface of scikit-learn
    jobs: Iterable[Job],
    *,
    n: int,
    n_jobs: int | None,
    progress: Progress | None = None,
    keep_predictions: bool = False,
) -> Scores:
    """Fit a clone of the model to every fold of n jobs, and predict the test rows."""
    from threadpoolctl import threadpool_limits

    n_workers = count_workers(n_jobs)
    messages: list[str] = []
    accuracies: list[list[float]] = []
    kept: list[list[Predictions]] = []
    # One thread of linear algebra per fold, however many folds run at once: the order in which a
    # threaded product adds its terms depends on the number of threads, and so would the result.
    with (
        threadpool_limits(limits=1),
        _collect_convergence(messages),
        # closed before the other two, so that an error in `progress` first stops the workers
        closing(_predict(model, iter(jobs), n, n_workers, messages)) as outcomes,
    ):
        for job, predicted in outcomes:
            _check_labels(model, job, predicted)
            accuracies.append(
                [
                    float(np.mean(found == job.targets[test]))
                    for found, (_, test) in zip(predicted, job.folds, strict=True)
                ]
            )
            if keep_predictions:
                kept.append(predicted)
            if progress is not None:
                progress(len(accuracies), n)
    scores = np.array(accuracies)
    return Scores(scores, _convergence_notes(messages, n_fits=scores.size), kept)


def _check_labels(model: Any, job: Job, predicted: list[Predictions]) -> None:  # noqa: ANN401
    """Check that a model predicts a label for each presentation, as regressors do not."""
    for found, (_, test) in zip(predicted, job.folds, strict=True):
        is_label = np.isin(found, job.targets)
        if found.shape != test.shape or not is_label.all():
            raise InvalidArgumentError(
                f"{type(model).__name__} does not predict one of the labels for each presentation, "
                f"but {describe_value(found[~is_label].tolist()[:3] or found)}: use a classifier, "
                "such as SVC() or LogisticRegression()"
            )


def count_workers(n_jobs: int | None) -> int:
    """Return the number of cores to use; None and -1 are all."""
    from joblib import cpu_count

    if n_jobs is None or n_jobs == -1:
        return int(cpu_count())
    # NaN is not below 1, and a pool of NaN threads starts none
    if not isinstance(n_jobs, int | np.integer) or n_jobs < 1:
        raise InvalidArgumentError(
            f"n_jobs={n_jobs}; valid: a number of cores from 1, or None (or -1) for all of them"
        )
    return int(n_jobs)


def _predict(
    model: Any,  # noqa: ANN401
    jobs: Iterator[Job],
    n: int,
    n_workers: int,
    messages: list[str],
) -> Outcomes:
    is_threaded = _is_libsvm(model)
    if n_workers == 1 or (n == 1 and not is_threaded):
        return ((job, _predict_job(model, job)) for job in jobs)
    if is_threaded:
        return _predict_in_threads(model, jobs, n, n_workers)
    return _predict_in_processes(model, jobs, n, n_workers, messages)


def _is_libsvm(model: Any) -> bool:  # noqa: ANN401
    """Check whether threads may fit a model: one of libsvm that draws no random numbers."""
    # libsvm releases the interpreter lock and treats every row by itself, so threads are fast and
    # exact. Its probabilities, like liblinear, draw from one generator shared by all threads.
    from sklearn.svm import SVC, NuSVC

    if type(model) not in (SVC, NuSVC):
        return False
    parameters = model.get_params()
    return parameters.get("probability") is not True and not callable(parameters["kernel"])


def _fit(model: Any, job: Job, train: npt.NDArray[np.intp]) -> Any:  # noqa: ANN401
    from sklearn.base import clone

    return clone(model).fit(job.rows(train), job.targets[train])


def _predict_job(model: Any, job: Job) -> list[Predictions]:  # noqa: ANN401
    return [
        np.asarray(_fit(model, job, train).predict(job.rows(test))) for train, test in job.folds
    ]


def _predict_in_threads(
    model: Any,  # noqa: ANN401
    jobs: Iterator[Job],
    n: int,
    n_workers: int,
) -> Outcomes:
    pool = ThreadPoolExecutor(n_workers, thread_name_prefix="decode")
    Parts = tuple[Predictions, list[Future[Predictions]]]

    def predict(fitted: Any, job: Job, rows: npt.NDArray[np.intp]) -> Predictions:  # noqa: ANN401
        return np.asarray(fitted.predict(job.rows(rows)))

    def run_fold(job: Job, fold: Fold) -> Parts:
        # Five folds on two cores leave one idle in the third round. With few folds, each task
        # therefore submits all but the first part of its predictions, behind the other fits.
        train, test = fold
        n_parts = n_workers if n * len(job.folds) < 4 * n_workers else 1
        first, *others = np.array_split(test, min(n_parts, test.size))
        fitted = _fit(model, job, train)
        rest = [pool.submit(predict, fitted, job, part) for part in others]
        return predict(fitted, job, first), rest

    def collect(job: Job, folds: list[Future[Parts]]) -> tuple[Job, list[Predictions]]:
        parts = [fold.result() for fold in folds]
        return job, [
            np.concatenate([first, *(part.result() for part in rest)]) for first, rest in parts
        ]

    waiting: deque[tuple[Job, list[Future[Parts]]]] = deque()
    try:
        for job in jobs:
            waiting.append((job, [pool.submit(run_fold, job, fold) for fold in job.folds]))
            if len(waiting) >= N_AHEAD * n_workers:
                yield collect(*waiting.popleft())
        while waiting:
            yield collect(*waiting.popleft())
    finally:
        # after Ctrl-C or an error only the folds that are running are waited for
        pool.shutdown(wait=True, cancel_futures=True)


def _predict_in_processes(
    model: Any,  # noqa: ANN401
    jobs: Iterator[Job],
    n: int,
    n_workers: int,
    messages: list[str],
) -> Outcomes:
    from joblib import Parallel, delayed

    start = time.perf_counter()
    first = next(jobs)
    outcome = first, _predict_job(model, first)
    seconds_left = (time.perf_counter() - start) * (n - 1)
    yield outcome
    if seconds_left < WORTH_A_PROCESS_SECONDS * n_workers:
        yield from ((job, _predict_job(model, job)) for job in jobs)
        return
    sent: deque[Job] = deque()

    def send() -> Iterator[Any]:
        for job in jobs:
            sent.append(job)
            yield delayed(_predict_alone)(model, _narrow(job))

    run = Parallel(
        n_jobs=min(n_workers, n - 1), backend="loky", max_nbytes=None, return_as="generator"
    )
    for predicted, warned in run(send()):
        messages += warned
        yield sent.popleft(), predicted


def _narrow(job: Job) -> Job:
    """Drop the unused units before a job is sent to another process."""
    if job.columns is None:
        return job
    return Job(np.ascontiguousarray(job.design[:, job.columns]), job.targets, job.folds)


def _predict_alone(model: Any, job: Job) -> tuple[list[Predictions], list[str]]:  # noqa: ANN401
    """Predict a job in a worker process, which needs its own limit of threads."""
    from threadpoolctl import threadpool_limits

    messages: list[str] = []
    with threadpool_limits(limits=1), _collect_convergence(messages):
        predicted = _predict_job(model, job)
    return predicted, messages


@contextmanager
def _collect_convergence(messages: list[str]) -> Iterator[None]:
    """Collect warnings that a fit did not converge, and pass on all others."""
    from sklearn.exceptions import ConvergenceWarning

    # filters of warnings belong to the process: one collector around all threads
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        yield
    for item in caught:
        if issubclass(item.category, ConvergenceWarning):
            messages.append(" ".join(str(item.message).split()))
        else:
            warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)


def _convergence_notes(messages: Sequence[str], *, n_fits: int) -> tuple[str, ...]:
    if not messages:
        return ()
    return (
        f"{len(messages)} warnings in {n_fits} fits that a model did not converge "
        f"({messages[0].rstrip('.')}); the accuracy may be too low: allow more iterations "
        "(max_iter) or bring the counts to one scale (StandardScaler)",
    )
