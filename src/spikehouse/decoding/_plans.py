"""Settings shared by several decodings of the same presentations: folds, model, attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from spikehouse.decoding._inputs import Design, Fold, Problem, Targets, check_groups, check_problem
from spikehouse.decoding._splitting import check_folds
from spikehouse.errors import InvalidArgumentError, describe_choices


@dataclass(frozen=True)
class Plan:
    """Checked arguments of one or several decodings; all use the same folds and model."""

    problem: Problem
    model: Any
    folds: list[Fold]
    groups: npt.NDArray[Any] | None
    estimator: str
    cv: str
    seed: int

    def attributes(self, notes: tuple[str, ...]) -> dict[str, Any]:
        """Return the attributes of a curve of accuracies, in types that NetCDF can store."""
        return {
            "long_name": "decoding accuracy",
            "units": "fraction right",
            "chance": 1 / len(self.problem.labels),
            "n_classes": len(self.problem.labels),
            "n_presentations": len(self.problem.targets),
            "n_folds": len(self.folds),
            "estimator": self.estimator,
            "cv": self.cv,
            "seed": self.seed,
            "notes": "; ".join(notes),
        }

    def notes(self) -> tuple[str, ...]:
        """Describe properties of the data that limit the accuracy."""
        notes = []
        design, targets = self.problem.design, self.problem.targets
        is_constant = (design == design[0]).all(axis=0)
        if is_constant.any():
            n_silent = int((design[0, is_constant] == 0).sum())
            notes.append(
                f"{is_constant.sum()} of {design.shape[1]} units are constant ({n_silent} silent): "
                "they carry no information"
            )
        n_tested = sum(test.size for _, test in self.folds)
        n_unknown = sum(
            int((~np.isin(targets[test], targets[train])).sum()) for train, test in self.folds
        )
        if n_unknown:
            notes.append(
                f"{n_unknown} of {n_tested} tested presentations are of a class that their fold "
                "was not trained on: they cannot be right"
            )
        return tuple(notes)


def make_plan(
    design: Design,
    targets: Targets,
    *,
    estimator: object,
    cv: object,
    groups: Targets | None,
    seed: int,
) -> Plan:
    """Check the arguments of a decoding before any model is fitted."""
    problem = check_problem(design, targets)
    model, name = make_estimator(estimator, seed=seed)
    blocks = check_groups(groups, problem)
    folds, cv_name = check_folds(cv, problem, groups=blocks, seed=seed)
    return Plan(problem, model, folds, blocks, name, cv_name, seed)


def check_repeats(name: str, value: int) -> int:
    """Check that a number of repeats is a positive integer."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InvalidArgumentError(f"{name}={value!r}; valid: a whole number from 1")
    return int(value)


def spawn(seed: int, n: int) -> list[np.random.Generator]:
    """Return n independent generators; the first ones do not depend on n."""
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(n)]


EstimatorName = Literal["svc", "linear-svc", "lda", "ridge", "poisson-naive-bayes"]

DEFAULT_ESTIMATOR = "SVC(kernel='rbf', gamma='scale')"


def make_estimator(estimator: object, *, seed: int) -> tuple[Any, str]:
    """Return the unfitted model for an estimator argument, and its description."""
    if estimator is None or (isinstance(estimator, str) and estimator == "svc"):
        from sklearn.svm import SVC

        return SVC(kernel="rbf", gamma="scale"), DEFAULT_ESTIMATOR
    if isinstance(estimator, str):
        estimator = _make_named(estimator, seed)
    _check_model(estimator)
    return estimator, " ".join(str(estimator).split())


def _make_named(name: str, seed: int) -> object:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if name == "linear-svc":
        from sklearn.svm import LinearSVC

        return make_pipeline(StandardScaler(), LinearSVC(dual="auto", random_state=seed))
    if name == "lda":
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        # the shrunk covariance stays invertible where there are more units than presentations
        return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    if name == "ridge":
        from sklearn.linear_model import RidgeClassifier

        return make_pipeline(StandardScaler(), RidgeClassifier())
    if name == "poisson-naive-bayes":
        from spikehouse.decoding._poisson import PoissonNaiveBayes

        return PoissonNaiveBayes()
    raise InvalidArgumentError(
        f"estimator={name!r} cannot be used; {describe_choices(name, get_args(EstimatorName))}, or "
        "an object with fit and predict, such as scikit-learn's classifiers"
    )


def _check_model(estimator: object) -> None:
    from sklearn.base import BaseEstimator, is_regressor

    is_model = isinstance(estimator, BaseEstimator) or hasattr(estimator, "get_params")
    if isinstance(estimator, type) or not is_model or not hasattr(estimator, "predict"):
        raise InvalidArgumentError(
            f"estimator={estimator!r} cannot be used: it must be an object with fit, predict and "
            "get_params, such as scikit-learn's SVC()"
        )
    if isinstance(estimator, BaseEstimator) and is_regressor(estimator):
        raise InvalidArgumentError(
            f"estimator={estimator!r} is a regressor: give a classifier, such as SVC() or "
            "LogisticRegression()"
        )
