"""Decoding: known answers, the same answer however it is computed, and clear refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from spikehouse import decoding
from spikehouse.decoding import _engine, decode
from spikehouse.errors import InvalidArgumentError


class FirstCount(ClassifierMixin, BaseEstimator):
    """Predicts the count of the first unit: its answers can be written down by hand."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return X[:, 0].astype(int)


def tuned_counts(rng, n_repeats=12, n_classes=4, n_units=10):
    targets = np.tile(np.arange(n_classes), n_repeats)
    rates = rng.uniform(1, 9, (n_classes, n_units))
    return rng.poisson(rates[targets]), targets


def plain_loop(design, targets, n_folds=5):
    """What the data set's quick start does."""
    accuracies, confusions = [], []
    for train, test in KFold(n_folds).split(design):
        predicted = SVC(gamma="scale", kernel="rbf").fit(design[train], targets[train])
        predicted = predicted.predict(design[test])
        accuracies.append(np.mean(predicted == targets[test]))
        labels = np.unique(targets)
        confusions.append(confusion_matrix(targets[test], predicted, labels=labels))
    return accuracies, sum(confusions)


def test_decode__counts_what_is_right_by_hand():
    #                 fold 0        fold 1
    targets = np.array([0, 1, 2, 0, 1, 2])
    first = np.array([[0, 1, 1, 0, 0, 2]]).T
    result = decode(first, targets, estimator=FirstCount(), cv=2)

    np.testing.assert_array_equal(result.accuracies, [2 / 3, 2 / 3])
    assert result.mean_accuracy == pytest.approx(2 / 3)
    assert result.chance == pytest.approx(1 / 3)
    np.testing.assert_array_equal(result.confusion, [[2, 0, 0], [1, 1, 0], [0, 1, 1]])
    assert result.confusion.dims == ("actual", "predicted")
    np.testing.assert_array_equal(result.confusion.predicted, [0, 1, 2])
    assert result.per_class_accuracy.to_dict() == {0: 1.0, 1: 0.5, 2: 0.5}
    assert result.labels.tolist() == [0, 1, 2]
    assert result.predictions["predicted"].tolist() == [0, 1, 1, 0, 0, 2]
    assert result.predictions["fold"].tolist() == [0, 0, 0, 1, 1, 1]
    assert (result.n_presentations, result.n_units) == (6, 1)


def test_decode__gives_the_answer_of_the_tutorials_loop(rng):
    design, targets = tuned_counts(rng)
    accuracies, confusion = plain_loop(design.astype(float), targets)
    result = decode(design, targets)
    np.testing.assert_array_equal(result.accuracies, accuracies)
    np.testing.assert_array_equal(result.confusion, confusion)


@pytest.mark.parametrize(
    "estimator",
    [None, SVC(kernel="linear", C=0.1), make_pipeline(StandardScaler(), SVC())],
    ids=["default", "linear", "pipeline"],
)
@pytest.mark.parametrize("n_jobs", [2, 3, None, -1])
def test_decode__n_jobs_does_not_change_a_bit(rng, estimator, n_jobs):
    design, targets = tuned_counts(rng)
    alone = decode(design, targets, estimator=estimator, n_jobs=1)
    together = decode(design, targets, estimator=estimator, n_jobs=n_jobs)
    np.testing.assert_array_equal(together.accuracies, alone.accuracies)
    pd.testing.assert_frame_equal(together.predictions, alone.predictions)


@pytest.mark.parametrize("estimator", [LinearDiscriminantAnalysis(), LinearSVC(random_state=3)])
def test_decode__processes_do_not_change_a_bit(rng, monkeypatch, estimator):
    design, targets = tuned_counts(rng)
    alone = decode(design, targets, estimator=estimator, n_jobs=1)
    monkeypatch.setattr(_engine, "WORTH_A_PROCESS_SECONDS", 0.0)
    apart = decode(design, targets, estimator=estimator, n_jobs=2)
    pd.testing.assert_frame_equal(apart.predictions, alone.predictions)


@given(
    n_classes=st.integers(2, 5),
    n_folds=st.integers(2, 6),
    seed=st.integers(0, 2**32 - 1),
)
def test_decode__confusion_conserves_presentations(n_classes, n_folds, seed):
    design, targets = tuned_counts(np.random.default_rng(seed), n_repeats=6, n_classes=n_classes)
    result = decode(design, targets, cv=n_folds)
    accuracies, confusion = plain_loop(design.astype(float), targets, n_folds)
    np.testing.assert_array_equal(result.accuracies, accuracies)
    np.testing.assert_array_equal(result.confusion, confusion)
    assert result.confusion.sum() == len(targets)
    np.testing.assert_array_equal(result.confusion.sum("predicted"), np.bincount(targets))
    right = np.diag(result.confusion)
    np.testing.assert_allclose(result.per_class_accuracy, right / np.bincount(targets))


def test_decode__takes_labelled_input_and_leaves_it_alone(rng):
    counts, targets = tuned_counts(rng)
    ids = np.arange(51355, 51355 + len(targets))
    design = xr.DataArray(
        counts,
        coords={"stimulus_presentation_id": ids, "unit_id": np.arange(10) + 951061537},
        dims=("stimulus_presentation_id", "unit_id"),
    )
    frames = pd.Series(targets, index=pd.Index(ids, name="stimulus_presentation_id"), name="frame")
    before = design.copy(deep=True), frames.copy(deep=True)

    result = decode(design, frames)
    assert result.predictions.index.name == "stimulus_presentation_id"
    np.testing.assert_array_equal(result.predictions.index, ids)
    for same in (design.T, design.to_pandas()):
        np.testing.assert_array_equal(decode(same, frames).accuracies, result.accuracies)
    np.testing.assert_array_equal(decode(counts, targets).accuracies, result.accuracies)
    xr.testing.assert_identical(design, before[0])
    pd.testing.assert_series_equal(frames, before[1])


@pytest.mark.parametrize(
    "labels",
    [
        [0.02, 0.04, 0.08, 0.16],
        ["LGd", "VISp", "VISl", "VISam"],
        [-1.0, 0.0, 45.0, 90.0],
        np.array([0, 45, 90, 135], dtype=object),
    ],
    ids=["fractions", "words", "whole floats", "object"],
)
def test_decode__labels_may_be_fractions_words_or_objects(rng, labels):
    design, codes = tuned_counts(rng)
    values = np.sort(np.asarray(labels))
    by_code = decode(design, codes)
    by_label = decode(design, values[codes])
    assert by_label.labels.tolist() == values.tolist()
    np.testing.assert_array_equal(by_label.confusion.values, by_code.confusion.values)
    assert set(by_label.predictions["predicted"]) <= set(values.tolist())


def test_decode__takes_splitters_and_given_folds(rng):
    design, targets = tuned_counts(rng)
    splitter = StratifiedKFold(4, shuffle=True, random_state=0)
    by_splitter = decode(design, targets, cv=splitter)
    by_pairs = decode(design, targets, cv=splitter.split(design, targets))
    assert by_splitter.accuracies.shape == (4,)
    pd.testing.assert_frame_equal(by_splitter.predictions, by_pairs.predictions)
    masks = [(np.arange(48) < 24, np.arange(48) >= 24)]
    assert len(decode(design, targets, cv=masks).predictions) == 24
    assert by_splitter.cv == "StratifiedKFold(n_splits=4, random_state=0, shuffle=True)"


def test_decode__a_class_that_is_never_tested_has_no_accuracy(rng):
    design, targets = tuned_counts(rng)
    test = np.flatnonzero(targets < 2)[:6]
    result = decode(design, targets, cv=[(np.setdiff1d(np.arange(48), test), test)])
    assert result.per_class_accuracy.isna().tolist() == [False, False, True, True]
    assert "best decoded" in str(result)


def test_decode__overlapping_test_parts_count_each_time(rng):
    design, targets = tuned_counts(rng)
    result = decode(design, targets, cv=ShuffleSplit(10, test_size=12, random_state=0))
    assert int(result.confusion.sum()) == 120


def test_decode__leaves_the_estimator_unfitted(rng):
    design, targets = tuned_counts(rng)
    estimator = SVC()
    decode(design, targets, estimator=estimator)
    assert not hasattr(estimator, "support_")


def test_decode__shows_itself(rng):
    design, targets = tuned_counts(rng)
    result = decode(design, targets)
    text = str(result)
    assert text.startswith("DecodingResult: 48 presentations × 10 units, 4 classes")
    assert f"{result.mean_accuracy:.4f}" in text
    assert "0.2500 (1 / 4)" in text
    assert "SVC(kernel='rbf', gamma='scale')" in text
    assert repr(result) == text
    page = result._repr_html_()
    assert "<table>" in page
    assert "SVC(kernel=&#x27;rbf&#x27;" in page


def test_decode__result_cannot_be_changed(rng):
    result = decode(*tuned_counts(rng))
    with pytest.raises(AttributeError):
        result.chance = 1.0
    with pytest.raises(ValueError, match="read-only"):
        result.accuracies[0] = 1.0


@pytest.mark.parametrize(
    ("design", "targets", "options", "message"),
    [
        (np.ones((4, 2)), [0, 1, 0], {}, r"4 rows \(presentations\) and targets 3 values"),
        (
            np.ones((4, 2)),
            [7, 7, 7, 7],
            {},
            "all 4 targets are 7; decoding needs at least two classes",
        ),
        (np.ones((4, 2)), [0, 1, 0, 1], {}, "cv=5 folds of 4 presentations; valid: 2 to 4"),
        (np.ones((4, 2)), [0, 1, 0, 1], {"cv": 1}, "cv=1 folds of 4 presentations"),
        (np.ones((4, 2)), [0, 1, 0, 1], {"cv": "5"}, "cv='5' is not a valid name"),
        (np.ones((4, 2)), [0, 1, 0, 1], {"cv": []}, "gives no folds"),
        (np.ones((4, 2)), [0, 1, 0, 1], {"cv": [([], [1])]}, "fold 0 has 0 presentations to train"),
        (np.ones((4, 2)), [0, 0, 1, 1], {"cv": 2}, r"fold 0 would train on one class only \(1\)"),
        (np.ones((4, 2)), [0, 1, 0, 1], {"cv": 2, "n_jobs": 0}, "n_jobs=0; valid"),
        (np.ones((4, 2)), [0, 1, 0, 1], {"estimator": "svm"}, "estimator='svm' cannot be used"),
        (np.ones((4, 2)), [0, 1, 0, 1], {"estimator": "LDA"}, "did you mean 'lda'. Valid: 'svc'"),
        (np.ones((4, 2)), [0, 1, 0, 1], {"cv": "stratfied"}, "did you mean 'stratified'"),
        (np.ones((4, 2)), [0, 1, 0, 1], {"cv": True}, "cv=True is not valid: a number of folds"),
        (np.ones((4, 2)), [0, 1, 0, 1], {"estimator": SVC}, "must be an object with fit"),
        (np.ones((4, 0)), [0, 1, 0, 1], {}, "design is empty: 4 presentations × 0 units"),
        (np.ones((0, 3)), [], {}, "design is empty: 0 presentations × 3 units"),
        (np.ones(4), [0, 1, 0, 1], {}, r"presentations × units, but has the shape \(4,\)"),
        (np.ones((4, 3, 2)), [0, 1, 0, 1], {}, "sum counts over time first"),
        ([["a", "b"]] * 4, [0, 1, 0, 1], {}, "design must hold numbers"),
        (np.ones((4, 2)), np.ones((4, 2)), {}, r"one label per presentation, but have the shape"),
        (
            np.ones((4, 2)),
            [0, None, np.nan, 1],
            {},
            "targets are missing in 2 of 4 rows .rows 1, 2",
        ),
        (np.ones((4, 2)), [0, 1, 0, 1], {"cv": [([0, 1], [4])]}, "positions 4 to 4; valid: 0 to 3"),
        (np.ones((4, 2)), [0, 1, 0, 1], {"cv": [([0, 1], ["a"])]}, "must be pairs of .training"),
        (np.ones((3, 2)), np.array([0.0, "null", 1], object), {}, "mix text and numbers"),
    ],
)
def test_decode__refuses_invalid_arguments(design, targets, options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        decode(design, targets, **options)


def test_decode__says_which_rows_hold_nan():
    design = pd.DataFrame(np.ones((8, 2)), index=np.arange(8) + 500)
    design.iloc[[1, 6], 0] = [np.nan, np.inf]
    message = r"NaN or infinite values in 2 of 8 rows \(presentations 501, 506\)"
    with pytest.raises(InvalidArgumentError, match=message):
        decode(design, [0, 1] * 4)
    with pytest.raises(InvalidArgumentError, match=r"\(rows 1, 6\)"):
        decode(design.to_numpy(), [0, 1] * 4)
    with pytest.raises(InvalidArgumentError, match=r"\(rows 0, 1, 2, 3, 4, …\)"):
        decode(design.to_numpy() * np.nan, [0, 1] * 4)


def test_decode__refuses_targets_of_other_presentations():
    design = pd.DataFrame(np.ones((4, 2)), index=[10, 11, 12, 13])
    targets = pd.Series([0, 1, 0, 1], index=[10, 12, 11, 14])
    with pytest.raises(InvalidArgumentError, match="design has 13 and targets has not"):
        decode(design, targets)


def test_decode__refuses_folds_that_test_what_they_train_on(rng):
    noise, labels = rng.poisson(3, (40, 30)), np.tile([0, 1], 20)
    with pytest.raises(InvalidArgumentError, match="fold 0 tests 40 of its 40 presentations on a"):
        decode(noise, labels, cv=[(range(40), range(40))])


def test_decode__a_splitter_that_cannot_is_explained():
    with pytest.raises(InvalidArgumentError, match=r"StratifiedKFold.*cannot split these rows"):
        decode(np.ones((4, 2)), [0, 1, 0, 1], cv=StratifiedKFold(3))


def test_decode__an_error_in_a_fold_is_raised_not_hidden(rng):
    design, targets = tuned_counts(rng)
    with pytest.raises(ValueError, match="'C' parameter of SVC must be"):
        decode(design, targets, estimator=SVC(C=-1), n_jobs=2)


def test_room__names_are_public():
    assert decoding.__all__ == [
        "BlockedKFold",
        "ChanceResult",
        "DecodingResult",
        "PoissonNaiveBayes",
        "decode",
        "decode_against_chance",
        "decode_by_area",
        "decode_by_unit_count",
        "decode_over_time",
    ]
    assert all(hasattr(decoding, name) for name in decoding.__all__)
    with pytest.raises(AttributeError, match="no attribute 'decoder'"):
        decoding.decoder  # noqa: B018
