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

Floats = npt.NDArray[np.float64]

NAME = "PoissonNaiveBayes"


class PoissonNaiveBayes(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Naive Bayes classifier of spike counts: units are independent Poisson variables.

    Parameters
    ----------
    smoothing
        Number of presentations with a unit's mean count that are added to every class; above
        zero. Without it, a unit that never fired in a class would rule out that class.
    priors
        Probability of each class, in the order of ``classes_``, adding up to one. Default: the
        frequency of each class in the training rows.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        Distinct labels, sorted.
    rates_ : ndarray, shape (n_classes, n_units)
        Smoothed mean count λ of each unit in each class.
    log_rates_ : ndarray, shape (n_classes, n_units)
        log λ; zero for units without spikes in the training rows.
    class_log_prior_ : ndarray, shape (n_classes,)
        Log prior probability of each class.
    n_features_in_ : int
        Number of units.

    Notes
    -----
    The log likelihood of counts x under class c is, apart from terms that are equal for all
    classes (such as log x!), ::

        log p(x | c) + log p(c) = Σ_u x_u log λ_cu − Σ_u λ_cu + log p(c)

    with ``λ_cu = (S_cu + smoothing · m_u) / (n_c + smoothing)``, where ``S_cu`` is the number of
    spikes of unit u in the ``n_c`` training rows of class c, and ``m_u`` its mean over all
    training rows. This is the posterior mean of λ for a gamma prior with mean ``m_u`` and the
    weight of ``smoothing`` rows.

    Units without spikes in the training rows are ignored. With a single class, that class is
    always predicted.

    Counts may be a sparse matrix. Fitting takes one matrix product of classes × rows × units,
    predicting one of rows × units × classes. Counts are whole numbers and summed exactly, so
    neither the order of the rows nor the number of threads changes the rates.

    References
    ----------
    Zhang et al. 1998, doi:10.1152/jn.1998.79.2.1017.

    Examples
    --------
    >>> model = PoissonNaiveBayes().fit(np.array([[9, 1], [7, 2], [1, 8], [2, 9]]), [0, 0, 90, 90])
    >>> model.predict(np.array([[6, 1], [0, 4]]))
    array([ 0, 90])
    """

    def __init__(self, *, smoothing: float = 1.0, priors: npt.ArrayLike | None = None) -> None:
        self.smoothing = smoothing
        self.priors = priors

    def fit(self, X: Any, y: npt.ArrayLike) -> Self:  # noqa: ANN401 - array, frame, sparse
        """Estimate the rate of every unit in every class.

        Parameters
        ----------
        X
            Spike counts, presentations × units, not negative; may be sparse.
        y
            Label of each presentation.

        Returns
        -------
        PoissonNaiveBayes
            The fitted classifier.

        Raises
        ------
        ValueError
            If a count is negative or missing, or ``y`` are not class labels.
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

    def predict_joint_log_proba(self, X: Any) -> Floats:  # noqa: ANN401
        """Compute the log likelihood plus the log prior of every class.

        Parameters
        ----------
        X
            Spike counts, presentations × units; may be sparse.

        Returns
        -------
        ndarray of float64, shape (n_rows, n_classes)
            ``X @ log λ − Σ λ + log prior``, without terms that are equal for all classes.
        """
        check_is_fitted(self)
        X = _validate(self, X, reset=False)
        check_non_negative(X, NAME)
        likelihood = safe_sparse_dot(X, self.log_rates_.T, dense_output=True)
        return np.asarray(likelihood - self.rates_.sum(axis=1) + self.class_log_prior_)

    def predict_log_proba(self, X: Any) -> Floats:  # noqa: ANN401
        """Compute the log probability of every class.

        Parameters
        ----------
        X
            Spike counts, presentations × units; may be sparse.

        Returns
        -------
        ndarray of float64, shape (n_rows, n_classes)
            Log probabilities; their exponentials add up to one in every row.
        """
        from scipy.special import logsumexp

        joint = self.predict_joint_log_proba(X)
        return np.asarray(joint - logsumexp(joint, axis=1, keepdims=True))

    def predict_proba(self, X: Any) -> Floats:  # noqa: ANN401
        """Compute the probability of every class.

        Parameters
        ----------
        X
            Spike counts, presentations × units; may be sparse.

        Returns
        -------
        ndarray of float64, shape (n_rows, n_classes)
            Probabilities in the order of ``classes_``.
        """
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: ANN401
        """Return the most probable class of each presentation.

        Parameters
        ----------
        X
            Spike counts, presentations × units; may be sparse.

        Returns
        -------
        ndarray, shape (n_rows,)
            Label of each row; the first of equally probable ones.
        """
        joint = self.predict_joint_log_proba(X)
        return np.asarray(self.classes_[joint.argmax(axis=1)])

    def _log_prior(self, n_of_class: Floats) -> Floats:
        if self.priors is None:
            return np.asarray(np.log(n_of_class / n_of_class.sum()))
        priors = np.asarray(self.priors, dtype=np.float64)
        is_valid = priors.shape == n_of_class.shape and bool((priors > 0).all())
        if not is_valid or not np.isclose(priors.sum(), 1.0):
            raise InvalidArgumentError(
                f"priors={self.priors!r} for {n_of_class.size} classes; valid: one probability "
                "above zero per class, adding up to 1, or None for the frequencies in the data"
            )
        return np.asarray(np.log(priors))

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401 - scikit-learn's own class, since 1.6
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.input_tags.sparse = True
        # scikit-learn's checks use normal variables, which a Poisson model need not separate
        tags.classifier_tags.poor_score = True
        return tags


def _validate(estimator: PoissonNaiveBayes, X: Any, **options: Any) -> Any:  # noqa: ANN401
    """Check an input with scikit-learn's function, which was renamed in version 1.6."""
    options |= {"accept_sparse": ("csr", "csc"), "dtype": np.float64}
    try:
        from sklearn.utils.validation import validate_data
    except ImportError:
        return estimator._validate_data(X, **options)
    return validate_data(estimator, X, **options)
