"""A Poisson naive Bayes classifier that needs two matrix products."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, check_non_negative

from spikehouse.errors import InvalidArgumentError

NAME = "PoissonNaiveBayes"


class PoissonNaiveBayes(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Tell the class from counts, each unit an independent Poisson variable of its own rate.

    Parameters
    ----------
    smoothing
        How many presentations at a unit's mean count are added to every class; above zero. It
        keeps a unit that never fired in a class from forbidding that class.
    priors
        One probability a class, in the order of ``classes_``, adding up to one. Default (None):
        how frequent each class is in the training rows.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        The different labels, sorted.
    rates_ : ndarray, shape (n_classes, n_units)
        Smoothed mean count λ of every unit in every class.
    log_rates_ : ndarray, shape (n_classes, n_units)
        log λ; zero for units without a spike in the training rows.
    class_log_prior_ : ndarray, shape (n_classes,)
        Log probability of the classes before a spike is seen.
    n_features_in_ : int
        The number of units.

    Notes
    -----
    The log-likelihood of counts x under class c is, but for terms that are the same for every
    class (log x! among them), ::

        log p(x | c) + log p(c) = Σ_u x_u log λ_cu − Σ_u λ_cu + log p(c)

    with ``λ_cu = (S_cu + smoothing · m_u) / (n_c + smoothing)``: ``S_cu`` spikes of unit u in the
    ``n_c`` training rows of class c, ``m_u`` its mean over all training rows. That is the mean of
    the posterior of λ where its prior is a gamma distribution with mean ``m_u`` that weighs as
    much as ``smoothing`` rows.

    A unit without a spike in the training rows says nothing of any class and is left out. Labels
    of one class only are allowed: that class is then the answer.

    Rows may be a sparse matrix. Time: one product of classes × rows × units to fit, one of rows ×
    units × classes to predict. The counts are summed exactly (they are whole numbers), so neither
    the order of the rows nor the number of threads changes the rates.

    References
    ----------
    Naive Bayes decoding of spike counts: Zhang et al. 1998, doi:10.1152/jn.1998.79.2.1017.

    Examples
    --------
    >>> import numpy as np
    >>> model = PoissonNaiveBayes().fit(np.array([[9, 1], [7, 2], [1, 8], [2, 9]]), [0, 0, 90, 90])
    >>> model.predict(np.array([[6, 1], [0, 4]]))
    array([ 0, 90])
    """

    def __init__(self, *, smoothing: float = 1.0, priors: npt.ArrayLike | None = None) -> None:
        self.smoothing = smoothing
        self.priors = priors

    def fit(self, X: Any, y: npt.ArrayLike) -> Self:  # noqa: ANN401 - array, frame, sparse
        """Learn the rate of every unit in every class.

        Parameters
        ----------
        X
            Counts, rows × units, not negative; may be sparse.
        y
            One label a row.

        Returns
        -------
        PoissonNaiveBayes
            Itself.

        Raises
        ------
        InvalidArgumentError
            If ``smoothing`` is not above zero, or ``priors`` are not probabilities of the classes.
        ValueError
            If a count is negative or missing, or ``y`` are not labels, as scikit-learn words it.
        """
        from scipy.sparse import csr_array

        if not (np.isfinite(self.smoothing) and self.smoothing > 0):
            raise InvalidArgumentError(
                f"smoothing={self.smoothing!r}; valid: a number above zero, such as 1.0"
            )
        X, y = _validate(self, X, y=y)
        check_non_negative(X, NAME)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        n_rows, n_classes = len(codes), len(self.classes_)
        n_of_class = np.bincount(codes, minlength=n_classes).astype(np.float64)
        self.class_log_prior_ = self._log_prior(n_of_class)
        member = csr_array((np.ones(n_rows), (codes, np.arange(n_rows))), shape=(n_classes, n_rows))
        sums = safe_sparse_dot(member, X, dense_output=True)
        mean = sums.sum(axis=0) / n_rows
        self.rates_ = (sums + self.smoothing * mean) / (n_of_class[:, None] + self.smoothing)
        self.log_rates_ = np.log(np.where(self.rates_ > 0, self.rates_, 1.0))
        return self

    def predict_joint_log_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: ANN401
        """Give the log-likelihood of every class plus its log prior.

        Parameters
        ----------
        X
            Counts, rows × units; may be sparse.

        Returns
        -------
        ndarray of float64, shape (n_rows, n_classes)
            ``X @ log λ − Σ λ + log prior``; terms that are the same for every class are left out.
        """
        check_is_fitted(self)
        X = _validate(self, X, reset=False)
        check_non_negative(X, NAME)
        likelihood = safe_sparse_dot(X, self.log_rates_.T, dense_output=True)
        return np.asarray(likelihood - self.rates_.sum(axis=1) + self.class_log_prior_)

    def predict_log_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: ANN401
        """Give the log of the probability of every class.

        Parameters
        ----------
        X
            Counts, rows × units; may be sparse.

        Returns
        -------
        ndarray of float64, shape (n_rows, n_classes)
            Log probabilities; their exponentials add up to one in every row.
        """
        from scipy.special import logsumexp

        joint = self.predict_joint_log_proba(X)
        return np.asarray(joint - logsumexp(joint, axis=1, keepdims=True))

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: ANN401
        """Give the probability of every class.

        Parameters
        ----------
        X
            Counts, rows × units; may be sparse.

        Returns
        -------
        ndarray of float64, shape (n_rows, n_classes)
            Probabilities in the order of ``classes_``.
        """
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: ANN401
        """Give the most probable class; of equally probable ones the first.

        Parameters
        ----------
        X
            Counts, rows × units; may be sparse.

        Returns
        -------
        ndarray, shape (n_rows,)
            Labels.
        """
        joint = self.predict_joint_log_proba(X)
        return np.asarray(self.classes_[joint.argmax(axis=1)])

    def _log_prior(self, n_of_class: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if self.priors is None:
            return np.asarray(np.log(n_of_class / n_of_class.sum()))
        priors = np.asarray(self.priors, dtype=np.float64)
        is_meant = priors.shape == n_of_class.shape and bool((priors > 0).all())
        if not is_meant or not np.isclose(priors.sum(), 1.0):
            raise InvalidArgumentError(
                f"priors={self.priors!r} for {n_of_class.size} classes; valid: one probability "
                "above zero a class, adding up to 1, or None for the frequencies in the data"
            )
        return np.asarray(np.log(priors))

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401 - scikit-learn's own class, since 1.6
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.input_tags.sparse = True
        # a Poisson model of the checks' normal variables need not tell them apart
        tags.classifier_tags.poor_score = True
        return tags


def _validate(estimator: PoissonNaiveBayes, X: Any, **options: Any) -> Any:  # noqa: ANN401
    """Check an input as scikit-learn does, whose name for that moved in 1.6."""
    options |= {"accept_sparse": ("csr", "csc"), "dtype": np.float64}
    try:
        from sklearn.utils.validation import validate_data
    except ImportError:
        return estimator._validate_data(X, **options)
    return validate_data(estimator, X, **options)
