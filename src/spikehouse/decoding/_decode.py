"""One decoding of one table of counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.decoding._estimators import make_estimator
from spikehouse.decoding._folds import predict_folds
from spikehouse.decoding._inputs import (
    ROW_DIMENSION,
    Design,
    Fold,
    Problem,
    Targets,
    check_groups,
    check_problem,
)
from spikehouse.decoding._notes import problem_notes
from spikehouse.decoding._result import DecodingResult, collect_result
from spikehouse.decoding._splitting import check_folds


def decode(
    design: Design,
    targets: Targets,
    *,
    estimator: object = None,
    cv: object = None,
    groups: Targets | None = None,
    seed: int = 0,
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
        ``"svc"``, ``"linear-svc"``, ``"lda"``, ``"ridge"``, ``"poisson-naive-bayes"``, or any
        classifier with ``fit`` and ``predict`` as in scikit-learn; a pipeline too. It is copied
        for every fold. Default: ``"svc"``, ``SVC(kernel="rbf", gamma="scale")``, as in the data
        set's own quick start.
    cv
        A number of folds, cut in the order of the presentations and not shuffled; a name; a
        splitter of scikit-learn; or pairs of (training, test) positions. Default: 5 folds.
        Names: ``"kfold"`` (the default), ``"stratified"`` (5 folds, mixed, each with the same
        share of every class), ``"repeated-stratified"`` (that 10 times), ``"blocked"`` (at most
        5 folds of whole blocks, see ``BlockedKFold``).
    groups
        The stimulus block of each presentation, in the same order
        (``presentations["stimulus_block"]``), for ``cv="blocked"`` and for splitters that keep
        groups together; other splitters do not look at it.
    seed
        For what is named and draws random numbers: the mixing of rows, ``"linear-svc"``.
    n_jobs
        How many cores to use; default (None) all. The answer does not depend on it.

    Returns
    -------
    DecodingResult
        Accuracy of each fold, their mean, chance, confusion, accuracy of each class.

    Raises
    ------
    InvalidArgumentError
        If design and targets differ in length or have other row labels, a value is missing, there
        is nothing to decode (no rows, no units, one class), a name is unknown, there are more
        folds than rows, blocks or members of a class, or a fold would train on one class only or
        test rows that it trains on.

    Notes
    -----
    Folds that are not shuffled test each stretch of the session with a model of the others, so
    a slow drift of the recording lowers the accuracy; that is what a decoder meets in use.
    ``cv="stratified"`` hides the drift. ``cv="blocked"`` goes furthest: no block is both trained
    on and tested.

    The named ``"linear-svc"`` and ``"ridge"`` bring every unit to mean 0 and variance 1 first, by
    the training rows alone; ``"lda"`` shrinks its covariance (Ledoit & Wolf 2004,
    doi:10.1016/S0047-259X(03)00096-4), so it may have more units than presentations.

    Units that are constant or silent are allowed; they tell nothing, and ``notes`` says how many
    there are. A model that did not converge is a note too, not a warning.

    ``chance`` is one over the number of classes. Where classes are not equally frequent, always
    guessing the commonest does better than that.

    Where both are labelled (a Series and a DataArray or DataFrame, with an index that is more
    than a row count), targets and groups are put in the order of the design.

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
    model, estimator_name = make_estimator(estimator, seed=seed)
    folds, cv_name = check_folds(cv, problem, groups=check_groups(groups, problem), seed=seed)
    predicted, notes = predict_folds(
        model, problem.design, problem.fitted_targets, folds, n_jobs=n_jobs
    )
    return collect_result(
        _predictions_table(problem, folds, predicted),
        problem.labels,
        n_presentations=problem.design.shape[0],
        n_units=problem.design.shape[1],
        estimator=estimator_name,
        cv=cv_name,
        notes=problem_notes(problem, folds) + notes,
    )


def _predictions_table(
    problem: Problem, folds: list[Fold], predicted: list[npt.NDArray[Any]]
) -> pd.DataFrame:
    tests = [test for _, test in folds]
    rows = np.concatenate(tests)
    found = np.concatenate(predicted)
    if problem.is_fractional:
        found = problem.labels[found]
    return pd.DataFrame(
        {
            "fold": np.repeat(np.arange(len(folds)), [test.size for test in tests]),
            "actual": problem.targets[rows],
            "predicted": found,
        },
        index=problem.row_ids[rows].rename(problem.row_ids.name or ROW_DIMENSION),
    )
