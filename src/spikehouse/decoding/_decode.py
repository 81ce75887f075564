"""The one function of this room."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.decoding._folds import predict_folds
from spikehouse.decoding._inputs import (
    ROW_DIMENSION,
    Design,
    Fold,
    Problem,
    Targets,
    check_folds,
    check_problem,
)
from spikehouse.decoding._result import DecodingResult, collect_result
from spikehouse.errors import InvalidArgumentError

DEFAULT_ESTIMATOR = "SVC(kernel='rbf', gamma='scale')"


def decode(
    design: Design,
    targets: Targets,
    *,
    estimator: object = None,
    cv: object = None,
    n_jobs: int | None = None,
) -> DecodingResult:
    """Tell from the spikes of a population which stimulus was shown, with cross-validation.

    Parameters
    ----------
    design
        Spike counts (or any other numbers), presentations × units: an array, a DataFrame, or a
        DataArray such as ``spikehouse.spikes.design_matrix`` makes.
    targets
        What was shown in each presentation (image number, orientation …), in the same order.
    estimator
        Any classifier with ``fit`` and ``predict`` as in scikit-learn; a pipeline too. It is
        copied for every fold. Default: ``SVC(kernel="rbf", gamma="scale")``, as in the data
        set's own quick start.
    cv
        A number of folds, cut in the order of the presentations and not shuffled; a splitter
        of scikit-learn; or pairs of (training, test) positions. Default: 5 folds.
    n_jobs
        How many cores to use; default (None) all. The answer does not depend on it.

    Returns
    -------
    DecodingResult
        Accuracy of each fold, their mean, chance, confusion, accuracy of each class.

    Raises
    ------
    InvalidArgumentError
        If design and targets differ in length or in their row labels, a value is missing, there
        is nothing to decode (no rows, no units, one class), there are more folds than rows, or a
        fold would train on one class only.

    Notes
    -----
    Folds that are not shuffled test each stretch of the session with a model of the others, so
    a slow drift of the recording lowers the accuracy; that is what a decoder meets in use.
    ``StratifiedKFold(5, shuffle=True, random_state=0)`` hides the drift.

    ``chance`` is one over the number of classes. Where classes are not equally frequent, always
    guessing the commonest does better than that.

    Where labels are indexed (a Series and a DataArray or DataFrame, with an index that is more
    than a row count), the two indexes must agree.

    Memory: one copy of the training rows of each fold under way, and what the estimator needs
    (an SVC 200 MB of kernel cache). Estimators other than SVC run in processes of their own when
    the first fold shows that starting those is worth it.

    Examples
    --------
    Two units that fire for one orientation each:

    >>> import numpy as np
    >>> orientation = np.tile([0, 90], 50)
    >>> rng = np.random.default_rng(0)
    >>> counts = rng.poisson(np.where(orientation[:, None] == [0, 90], 12, 2))
    >>> result = decode(counts, orientation)
    >>> result.confusion.values
    array([[50,  0],
           [ 0, 50]])
    >>> result.chance
    0.5
    """
    problem = check_problem(design, targets)
    model = _check_estimator(estimator)
    folds, cv_name = check_folds(cv, problem)
    predicted = predict_folds(model, problem.design, _encode(problem), folds, n_jobs=n_jobs)
    return collect_result(
        _predictions_table(problem, folds, predicted),
        problem.labels,
        n_presentations=problem.design.shape[0],
        n_units=problem.design.shape[1],
        estimator=_describe(estimator),
        cv=cv_name,
    )


def _check_estimator(estimator: object) -> object:
    from sklearn.base import BaseEstimator
    from sklearn.svm import SVC

    if estimator is None:
        return SVC(kernel="rbf", gamma="scale")
    is_model = isinstance(estimator, BaseEstimator) or hasattr(estimator, "get_params")
    if isinstance(estimator, type) or not is_model or not hasattr(estimator, "predict"):
        raise InvalidArgumentError(
            f"estimator={estimator!r} cannot be used: it must be an object with fit, predict and "
            "get_params, as scikit-learn's classifiers are, such as SVC()"
        )
    return estimator


def _describe(estimator: object) -> str:
    """Give the model in one line; scikit-learn leaves out of its own text what is default."""
    return DEFAULT_ESTIMATOR if estimator is None else " ".join(str(estimator).split())


def _is_fractional(labels: npt.NDArray[Any]) -> bool:
    return labels.dtype.kind == "f" and not np.array_equal(labels, np.round(labels))


def _encode(problem: Problem) -> npt.NDArray[Any]:
    """Replace labels that are fractions by their numbers in order.

    scikit-learn takes 0.02 and 0.04 for values of a regression. Whole labels stay as they are:
    an estimator may have been given weights by label.
    """
    if _is_fractional(problem.labels):
        return np.searchsorted(problem.labels, problem.targets)
    return problem.targets


def _predictions_table(
    problem: Problem, folds: list[Fold], predicted: list[npt.NDArray[Any]]
) -> pd.DataFrame:
    tests = [test for _, test in folds]
    rows = np.concatenate(tests)
    found = np.concatenate(predicted)
    if _is_fractional(problem.labels):
        found = problem.labels[found]
    return pd.DataFrame(
        {
            "fold": np.repeat(np.arange(len(folds)), [test.size for test in tests]),
            "actual": problem.targets[rows],
            "predicted": found,
        },
        index=problem.row_ids[rows].rename(problem.row_ids.name or ROW_DIMENSION),
    )
