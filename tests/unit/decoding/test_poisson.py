"""The Poisson naive Bayes: its formula by hand, and scikit-learn's own checks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csc_array, csr_matrix
from scipy.stats import poisson
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import estimator_checks

from spikehouse.decoding import PoissonNaiveBayes
from spikehouse.errors import InvalidArgumentError

COUNTS = np.array([[4, 0, 0], [2, 1, 0], [0, 5, 0]])
LABELS = np.array(["left", "left", "right"])
# scikit-learn has it from version 1.6 on
list_checks = getattr(estimator_checks, "estimator_checks_generator", lambda _: ())


@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        pytest.param(estimator, check, id=getattr(check, "func", check).__name__)
        for estimator, check in list_checks(PoissonNaiveBayes())
        if getattr(check, "func", check).__name__ != "check_array_api_input"
    ],
)
def test_poisson_naive_bayes__passes_scikit_learns_checks(estimator, check):
    check(estimator)


def test_fit__rates_by_hand():
    model = PoissonNaiveBayes(smoothing=1.0).fit(COUNTS, LABELS)
    assert model.classes_.tolist() == ["left", "right"]
    # unit means 2, 2, 0: one row of those is added to the two and the one
    np.testing.assert_allclose(model.rates_, [[8 / 3, 3 / 3, 0], [2 / 2, 7 / 2, 0]])
    np.testing.assert_allclose(model.class_log_prior_, np.log([2 / 3, 1 / 3]))
    np.testing.assert_array_equal(model.log_rates_[:, 2], 0)


def test_predict_log_proba__is_the_poisson_model_of_scipy(rng):
    counts, labels = rng.poisson(3, (60, 7)), rng.integers(0, 4, 60)
    model = PoissonNaiveBayes(smoothing=0.3).fit(counts, labels)
    log_joint = poisson.logpmf(counts[:, None, :], model.rates_[None]).sum(axis=2)
    expected = np.exp(log_joint) * np.bincount(labels) / 60
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(counts), expected, rtol=1e-10)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(counts)).sum(axis=1), 1)
    np.testing.assert_array_equal(model.predict(counts), expected.argmax(axis=1))


@pytest.mark.parametrize("kind", [csr_matrix, csc_array])
def test_predict__sparse_counts_give_the_same_answer(rng, kind):
    counts, labels = rng.poisson(0.4, (80, 9)), rng.integers(0, 3, 80)
    dense = PoissonNaiveBayes().fit(counts, labels)
    sparse = PoissonNaiveBayes().fit(kind(counts), labels)
    np.testing.assert_array_equal(sparse.rates_, dense.rates_)
    np.testing.assert_allclose(
        sparse.predict_log_proba(kind(counts)), dense.predict_log_proba(counts), rtol=1e-12
    )


def test_predict__a_unit_that_was_silent_in_training_says_nothing():
    model = PoissonNaiveBayes().fit(COUNTS, LABELS)
    probabilities = model.predict_proba(np.array([[1, 1, 0], [1, 1, 50]]))
    np.testing.assert_allclose(probabilities[0], probabilities[1])


def test_predict__priors_decide_where_counts_do_not():
    rows, labels = np.ones((4, 1)), [0, 0, 0, 1]
    assert PoissonNaiveBayes().fit(rows, labels).predict([[1]]) == 0
    given = PoissonNaiveBayes(priors=[0.1, 0.9]).fit(rows, labels)
    assert given.predict([[1]]) == 1
    np.testing.assert_allclose(given.predict_proba([[1]]), [[0.1, 0.9]])


def test_fit__order_of_rows_does_not_change_a_bit(rng):
    counts, labels = rng.poisson(3, (60, 7)), rng.integers(0, 4, 60)
    order = rng.permutation(60)
    one = PoissonNaiveBayes().fit(counts, labels)
    other = PoissonNaiveBayes().fit(counts[order], labels[order])
    np.testing.assert_array_equal(one.rates_, other.rates_)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smoothing": 0}, "smoothing=0; valid: a number above zero"),
        ({"smoothing": np.nan}, "smoothing=nan; valid"),
        ({"priors": [1.0]}, r"priors=\[1.0\] for 2 classes; valid"),
        ({"priors": [0.5, 0.6]}, "adding up to 1"),
        ({"priors": [0.0, 1.0]}, "above zero per class"),
    ],
)
def test_fit__refuses_what_is_no_prior(options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        PoissonNaiveBayes(**options).fit(COUNTS, LABELS)


def test_poisson_naive_bayes__refuses_negative_counts_and_predicting_unfitted():
    with pytest.raises(ValueError, match="Negative values in data passed to PoissonNaiveBayes"):
        PoissonNaiveBayes().fit(-COUNTS, LABELS)
    with pytest.raises(NotFittedError):
        clone(PoissonNaiveBayes().fit(COUNTS, LABELS)).predict(COUNTS)
