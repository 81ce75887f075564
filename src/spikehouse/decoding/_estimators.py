"""The named classifiers, and the check of other models."""

from __future__ import annotations

from typing import Any, Literal, get_args

from spikehouse.errors import InvalidArgumentError, describe_choices

EstimatorName = Literal["svc", "linear-svc", "lda", "ridge", "poisson-naive-bayes"]

DEFAULT_ESTIMATOR = "SVC(kernel='rbf', gamma='scale')"


def make_estimator(estimator: object, *, seed: int) -> tuple[Any, str]:
    """Return the unfitted model for an estimator argument, and its description."""
    if estimator is None or (isinstance(estimator, str) and estimator == "svc"):
        from sklearn.svm import SVC

        return SVC(kernel="rbf", gamma="scale"), DEFAULT_ESTIMATOR
    if isinstance(estimator, str):
        model = _make_named(estimator, seed)
    else:
        _check_model(estimator)
        model = estimator
    return model, " ".join(str(model).split())


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
