"""Fits the folds and predicts them, on all cores, with the answer of a plain loop.

Measured on 5950 presentations × 93 units and 119 classes, 2 cores: an SVC needs about 2 s to
fit one fold and 1.7 s to predict it, and lets other Python threads run in both. Threads reach
nearly twice the speed of a loop; worker processes first spend about as long on starting and
importing as they then save.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from spikehouse.decoding._inputs import Fold
from spikehouse.decoding._notes import collect_convergence, convergence_notes
from spikehouse.errors import InvalidArgumentError, describe_value

Predictions = npt.NDArray[Any]

# Starting worker processes and importing scikit-learn in each takes 2 to 5 s: folds that are
# done sooner than that are done here.
WORTH_A_PROCESS_SECONDS = 2.0


def predict_folds(
    estimator: Any,  # noqa: ANN401 - whatever fits and predicts as scikit-learn's do
    design: npt.NDArray[np.float64],
    targets: npt.NDArray[Any],
    folds: Sequence[Fold],
    *,
    n_jobs: int | None,
) -> tuple[list[Predictions], tuple[str, ...]]:
    """Fit a fresh copy of the estimator to each fold and predict the rows it has not seen.

    Parameters
    ----------
    estimator
        Is cloned for every fold and left as it is.
    design
        Presentations × units.
    targets
        One label a presentation.
    folds
        Pairs of (training, test) positions.
    n_jobs
        How many cores to use; None or -1 for all.

    Returns
    -------
    tuple of list and tuple
        The predicted labels of each fold's test rows; notes about fits that did not converge.

    Notes
    -----
    Linear algebra runs on one thread a fold, however many folds run at once: the order in which
    a threaded product adds its terms depends on the number of threads, and so would the answer.
    """
    from threadpoolctl import threadpool_limits

    n_workers = count_workers(n_jobs)
    messages: list[str] = []
    with threadpool_limits(limits=1), collect_convergence(messages):
        if n_workers == 1 or (len(folds) == 1 and not is_libsvm(estimator)):
            found = [predict_fold(estimator, design, targets, fold) for fold in folds]
        elif is_libsvm(estimator):
            found = _predict_in_threads(estimator, design, targets, folds, n_workers)
        else:
            found, elsewhere = _predict_in_processes(estimator, design, targets, folds, n_workers)
            messages += elsewhere
    return found, convergence_notes(messages, n_fits=len(folds))


def count_workers(n_jobs: int | None) -> int:
    """Say how many cores are meant.

    Parameters
    ----------
    n_jobs
        A number of cores, or None or -1 for all.

    Returns
    -------
    int
        At least one.

    Raises
    ------
    InvalidArgumentError
        If the number is not positive.
    """
    from joblib import cpu_count

    if n_jobs is None or n_jobs == -1:
        return int(cpu_count())
    if n_jobs < 1:
        raise InvalidArgumentError(
            f"n_jobs={n_jobs}; valid: a number of cores from 1, or None (or -1) for all of them"
        )
    return n_jobs


def _fit(
    estimator: Any,  # noqa: ANN401
    design: npt.NDArray[np.float64],
    targets: npt.NDArray[Any],
    rows: npt.NDArray[np.intp],
) -> Any:  # noqa: ANN401
    from sklearn.base import clone

    return clone(estimator).fit(design[rows], targets[rows])


def predict_fold(
    estimator: Any,  # noqa: ANN401
    design: npt.NDArray[np.float64],
    targets: npt.NDArray[Any],
    fold: Fold,
) -> Predictions:
    """Fit a fresh copy of the estimator to the training rows of a fold and predict its test rows.

    Parameters
    ----------
    estimator
        Is cloned.
    design
        Presentations × units.
    targets
        One label a presentation.
    fold
        Training and test positions.

    Returns
    -------
    ndarray
        One label a test row.

    Raises
    ------
    InvalidArgumentError
        If it is no classifier: it predicts something else than labels.
    """
    train, test = fold
    predicted = np.asarray(_fit(estimator, design, targets, train).predict(design[test]))
    is_label = np.isin(predicted, targets)
    if predicted.shape != test.shape or not is_label.all():
        raise InvalidArgumentError(
            f"{type(estimator).__name__} does not predict one of the labels for each presentation, "
            f"but {describe_value(predicted[~is_label].tolist()[:3] or predicted)}: give a "
            "classifier, such as SVC() or LogisticRegression()"
        )
    return predicted


def is_libsvm(estimator: Any) -> bool:  # noqa: ANN401
    """Say whether an estimator runs libsvm and draws no random numbers.

    Parameters
    ----------
    estimator
        Any model.

    Returns
    -------
    bool
        Whether threads may fit it.

    Notes
    -----
    libsvm frees the interpreter while it works and treats every row by itself, so threads are
    both quick and exact. Its probabilities, like liblinear, draw from one generator that all
    threads would share: those go to processes of their own.
    """
    from sklearn.svm import SVC, NuSVC

    if type(estimator) not in (SVC, NuSVC):
        return False
    parameters = estimator.get_params()
    return parameters.get("probability") is not True and not callable(parameters["kernel"])


def _predict_in_threads(
    estimator: Any,  # noqa: ANN401
    design: npt.NDArray[np.float64],
    targets: npt.NDArray[Any],
    folds: Sequence[Fold],
    n_workers: int,
) -> list[Predictions]:
    pool = ThreadPoolExecutor(n_workers, thread_name_prefix="decode")
    try:
        fits = [pool.submit(_fit, estimator, design, targets, train) for train, _ in folds]
        # Five folds on two cores leave one idle in the third round. Predictions are handed out
        # in parts behind the fits, so that every core has work to the end.
        parts: list[list[Future[Predictions]]] = []
        for fit, (_, test) in zip(fits, folds, strict=True):
            predict: Callable[[npt.NDArray[np.float64]], Predictions] = fit.result().predict
            pieces = np.array_split(test, min(n_workers, test.size))
            parts.append([pool.submit(predict, design[piece]) for piece in pieces])
        return [np.concatenate([part.result() for part in fold]) for fold in parts]
    finally:
        # after Ctrl-C or an error only the folds under way are waited for
        pool.shutdown(wait=True, cancel_futures=True)


def is_worth_processes(seconds: float, n_workers: int) -> bool:
    """Say whether work takes longer than starting processes for it.

    Parameters
    ----------
    seconds
        What is left to do, on one core.
    n_workers
        How many processes would share it.

    Returns
    -------
    bool
        Whether to start them.
    """
    return seconds >= WORTH_A_PROCESS_SECONDS * n_workers


def _predict_in_processes(
    estimator: Any,  # noqa: ANN401
    design: npt.NDArray[np.float64],
    targets: npt.NDArray[Any],
    folds: Sequence[Fold],
    n_workers: int,
) -> tuple[list[Predictions], list[str]]:
    from joblib import Parallel, delayed

    start = time.perf_counter()
    first = predict_fold(estimator, design, targets, folds[0])
    rest = folds[1:]
    if not is_worth_processes((time.perf_counter() - start) * len(rest), n_workers):
        return [first, *(predict_fold(estimator, design, targets, fold) for fold in rest)], []
    run = Parallel(n_jobs=min(n_workers, len(rest)), backend="loky", max_nbytes=None)
    found = run(delayed(_predict_fold_alone)(estimator, design, targets, f) for f in rest)
    messages = [message for _, warned in found for message in warned]
    return [first, *(predicted for predicted, _ in found)], messages


def _predict_fold_alone(
    estimator: Any,  # noqa: ANN401
    design: npt.NDArray[np.float64],
    targets: npt.NDArray[Any],
    fold: Fold,
) -> tuple[Predictions, list[str]]:
    """Predict one fold in a process of its own, again with one thread of linear algebra."""
    from threadpoolctl import threadpool_limits

    messages: list[str] = []
    with threadpool_limits(limits=1), collect_convergence(messages):
        predicted = predict_fold(estimator, design, targets, fold)
    return predicted, messages
