"""Cross-validated decoding of one table of counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.decoding._engine import Job, run_jobs
from spikehouse.decoding._inputs import ROW_DIMENSION, Design, Targets
from spikehouse.decoding._plans import Plan, make_plan
from spikehouse.decoding._result import DecodingResult


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
    """Decode the stimulus of each presentation from spike counts, with cross-validation.

    Parameters
    ----------
    design
        Spike counts (or other numbers), presentations × units: an array, a DataFrame, or a
        DataArray as returned by ``spikehouse.spikes.compute_design_matrix``.
    targets
        Label of each presentation (image number, orientation …), in the order of the design.
    estimator
        ``"svc"``, ``"linear-svc"``, ``"lda"``, ``"ridge"``, ``"poisson-naive-bayes"``, or any
        classifier or pipeline with the interface of scikit-learn. It is cloned for every fold.
        Default: ``"svc"``, ``SVC(kernel="rbf", gamma="scale")``, as in the published quick start.
    cv
        Number of folds (consecutive presentations, not shuffled); a name; a splitter of
        scikit-learn; or pairs of (training, test) positions. Default: 5 folds.
        Names: ``"kfold"`` (the default), ``"stratified"`` (5 shuffled folds with equal shares of
        every class), ``"repeated-stratified"`` (10 times ``"stratified"``), ``"blocked"`` (at most
        5 folds of whole blocks, see :class:`~spikehouse.decoding.BlockedKFold`).
    groups
        Stimulus block of each presentation (``presentations["stimulus_block"]``), for
        ``cv="blocked"`` and splitters that keep groups together; other splitters ignore it.
    seed
        Seed of shuffled folds and of ``"linear-svc"``.
    n_jobs
        Number of cores; None or -1 for all. It does not change the result.

    Returns
    -------
    DecodingResult
        Accuracy of each fold, mean accuracy, chance, confusion, and accuracy of each class.

    Notes
    -----
    Folds of consecutive presentations test each part of the session with a model of the others, so
    slow drift of the recording lowers the accuracy, as it does in practice. ``cv="stratified"``
    hides drift. ``cv="blocked"`` is the strictest: no block is used for both training and test.

    ``"linear-svc"`` and ``"ridge"`` first standardize every unit to mean 0 and variance 1, based
    on the training rows. ``"lda"`` shrinks its covariance (Ledoit & Wolf 2004,
    doi:10.1016/S0047-259X(03)00096-4), so there may be more units than presentations.

    Constant and silent units are allowed; ``notes`` says how many there are. A model that did not
    converge is a note, too, not a warning.

    ``chance`` is one over the number of classes. If classes are not equally frequent, always
    guessing the most frequent one is more accurate than that.

    If targets or groups and the design have row labels (an index that does not only count the
    rows), targets and groups are put in the order of the design.

    Memory: a copy of the training rows of each running fold, and the needs of the estimator (200
    MB of kernel cache for an SVC). Estimators other than SVC run in worker processes if the time
    of the first fold shows that this is faster.

    Examples
    --------
    Two units that respond to one orientation each:

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
    plan = make_plan(design, targets, estimator=estimator, cv=cv, groups=groups, seed=seed)
    problem, labels = plan.problem, plan.problem.labels
    # one job per fold: all folds run at once
    jobs = [Job(problem.design, problem.fitted_targets, [fold]) for fold in plan.folds]
    scores = run_jobs(plan.model, jobs, n=len(jobs), n_jobs=n_jobs, keep_predictions=True)
    predictions = _predictions_table(plan, [predicted for (predicted,) in scores.predictions])
    notes = plan.notes() + scores.notes
    is_right = predictions["actual"] == predictions["predicted"]
    accuracies = np.asarray(is_right.groupby(predictions["fold"]).mean(), dtype=np.float64)
    accuracies.setflags(write=False)
    places = [np.searchsorted(labels, predictions[name]) for name in ("actual", "predicted")]
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(counts, tuple(places), 1)
    attrs = {"estimator": plan.estimator, "cv": plan.cv, "notes": "; ".join(notes)}
    confusion = xr.DataArray(
        counts,
        coords={"actual": labels, "predicted": labels},
        dims=("actual", "predicted"),
        name="confusion",
        attrs={"long_name": "presentations", **attrs},
    )
    with np.errstate(invalid="ignore"):
        per_class = np.diag(counts) / counts.sum(axis=1)
    return DecodingResult(
        accuracies=accuracies,
        mean_accuracy=float(accuracies.mean()),
        chance=1 / len(labels),
        confusion=confusion,
        per_class_accuracy=pd.Series(per_class, pd.Index(labels, name="label"), name="accuracy"),
        labels=labels,
        predictions=predictions,
        n_presentations=problem.design.shape[0],
        n_units=problem.design.shape[1],
        estimator=plan.estimator,
        cv=plan.cv,
        notes=notes,
    )


def _predictions_table(plan: Plan, predicted: list[npt.NDArray[Any]]) -> pd.DataFrame:
    problem, tests = plan.problem, [test for _, test in plan.folds]
    rows = np.concatenate(tests)
    found = np.concatenate(predicted)
    if problem.is_fractional:
        found = problem.labels[found]
    return pd.DataFrame(
        {
            "fold": np.repeat(np.arange(len(tests)), [test.size for test in tests]),
            "actual": problem.targets[rows],
            "predicted": found,
        },
        index=problem.row_ids[rows].rename(problem.row_ids.name or ROW_DIMENSION),
    )
