"""Estimators and folds by name, blocks, notes: what decode takes beyond the tutorial's."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GroupKFold,
    LeaveOneGroupOut,
    RepeatedStratifiedKFold,
    StratifiedKFold,
)
from sklearn.svm import SVC, LinearSVC

from spikehouse.decoding import BlockedKFold, _engine, decode
from spikehouse.errors import InvalidArgumentError

NAMES = ["svc", "linear-svc", "lda", "ridge", "poisson-naive-bayes"]


def tuned_counts(rng, n_repeats=12, n_classes=4, n_units=10):
    targets = np.tile(np.arange(n_classes), n_repeats)
    rates = rng.uniform(1, 9, (n_classes, n_units))
    return rng.poisson(rates[targets]), targets


@pytest.mark.parametrize("name", NAMES)
def test_decode__every_name_tells_tuned_units(rng, name):
    design, targets = tuned_counts(rng)
    result = decode(design, targets, estimator=name, cv="stratified")
    assert result.mean_accuracy > 0.6
    assert result.notes == ()
    again = decode(design, targets, estimator=name, cv="stratified", n_jobs=1)
    pd.testing.assert_frame_equal(again.predictions, result.predictions)


def test_decode__svc_by_name_is_the_tutorials(rng):
    design, targets = tuned_counts(rng)
    default, named = decode(design, targets), decode(design, targets, estimator="svc")
    pd.testing.assert_frame_equal(named.predictions, default.predictions)
    assert named.estimator == default.estimator == "SVC(kernel='rbf', gamma='scale')"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("labels", [[0.02, 0.04, 0.08, 0.16], ["a", "b", "c", "d"]])
def test_decode__every_name_takes_fractions_and_words(rng, name, labels):
    design, codes = tuned_counts(rng)
    by_code = decode(design, codes, estimator=name)
    by_label = decode(design, np.asarray(labels)[codes], estimator=name)
    np.testing.assert_array_equal(by_label.confusion.values, by_code.confusion.values)


@pytest.mark.parametrize("name", NAMES)
def test_decode__constant_and_silent_units_are_a_note(rng, name):
    design, targets = tuned_counts(rng)
    dull = np.column_stack([design, np.zeros(48), np.full(48, 3)])
    result = decode(dull, targets, estimator=name)
    assert result.notes == ("2 of 12 units are constant (1 silent): they carry no information",)
    assert "note" in str(result)
    assert result.notes[0] in str(result)
    assert result.confusion.attrs["notes"] == result.notes[0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, 3])
def test_decode__nothing_but_constant_units_is_chance(name, value):
    design, targets = np.full((20, 3), value), np.tile([0, 1], 10)
    result = decode(design, targets, estimator=name, cv="stratified")
    assert result.mean_accuracy == 0.5
    assert result.notes[0].startswith("3 of 3 units are constant")


def test_decode__a_unit_silent_in_training_only(rng):
    design, targets = tuned_counts(rng)
    late = np.zeros(48)
    late[-2:] = 5
    for name in NAMES:
        assert decode(np.column_stack([design, late]), targets, estimator=name).notes == ()


def test_decode__what_was_not_trained_on_is_a_note(rng):
    design = rng.poisson(3, (30, 4))
    result = decode(design, np.repeat([0, 1, 2], 10), cv=3)
    assert result.mean_accuracy == 0
    assert result.notes == (
        "30 of 30 tested presentations are of a class that their fold was not trained on: they "
        "cannot be right",
    )


@pytest.mark.parametrize(
    ("estimator", "n_jobs"),
    [
        (LogisticRegression(max_iter=1), 1),
        (LogisticRegression(max_iter=1), 2),
        (LinearSVC(max_iter=1, dual=True), 1),
        (SVC(max_iter=1), 1),
        (SVC(max_iter=1), 2),
    ],
)
def test_decode__no_convergence_is_one_note(rng, estimator, n_jobs):
    design, targets = tuned_counts(rng)
    result = decode(design, targets, estimator=estimator, n_jobs=n_jobs)
    (note,) = result.notes
    assert note.startswith("5 warnings in 5 fits that a model did not converge (")
    assert "max_iter" in note
    assert note in str(result)


def test_decode__no_convergence_in_processes_is_a_note(rng, monkeypatch):
    design, targets = tuned_counts(rng)
    monkeypatch.setattr(_engine, "WORTH_A_PROCESS_SECONDS", 0.0)
    result = decode(design, targets, estimator=LinearSVC(max_iter=1, dual=True), n_jobs=2)
    assert result.notes[0].startswith("5 warnings in 5 fits")


class Grumbler(ClassifierMixin, BaseEstimator):
    """Warns of two things."""

    def fit(self, X, y):
        warnings.warn("not there yet", ConvergenceWarning, stacklevel=1)
        warnings.warn("the disk is full", RuntimeWarning, stacklevel=1)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


def test_decode__other_warnings_come_through(rng):
    design, targets = tuned_counts(rng)
    with pytest.warns(RuntimeWarning, match="the disk is full"):
        result = decode(design, targets, estimator=Grumbler())
    assert "not there yet" in result.notes[0]


def test_decode__names_of_folds(rng):
    design, targets = tuned_counts(rng)
    assert decode(design, targets, cv="kfold").cv == decode(design, targets).cv
    mixed = StratifiedKFold(5, shuffle=True, random_state=3)
    repeated = RepeatedStratifiedKFold(n_splits=5, n_repeats=10, random_state=3)
    for name, splitter in (("stratified", mixed), ("repeated-stratified", repeated)):
        named = decode(design, targets, cv=name, seed=3, estimator="poisson-naive-bayes")
        given = decode(design, targets, cv=splitter, estimator="poisson-naive-bayes")
        pd.testing.assert_frame_equal(named.predictions, given.predictions)
    assert named.accuracies.shape == (50,)
    assert "RepeatedStratifiedKFold(" in named.cv
    assert "random_state=3" in named.cv


def test_decode__blocked_tests_whole_blocks(rng):
    design, targets = tuned_counts(rng)
    blocks = pd.Series(np.repeat([2, 5, 9], 16))
    result = decode(design, targets, cv="blocked", groups=blocks)
    assert result.cv == "BlockedKFold(n_splits=3, gap=0)"
    assert result.predictions["fold"].tolist() == np.repeat([0, 1, 2], 16).tolist()


def test_decode__drift_between_blocks_leaks_only_into_mixed_folds(rng):
    # rates depend on the block alone, and so does which label is the more frequent
    block = np.repeat(np.arange(6), 40)
    targets = (rng.random(240) < np.where(block % 2, 0.95, 0.05)).astype(int)
    design = rng.poisson(rng.uniform(2, 12, (6, 20))[block])
    mixed = decode(design, targets, cv="stratified")
    blocked = decode(design, targets, cv="blocked", groups=block)
    assert mixed.mean_accuracy > 0.8
    assert blocked.mean_accuracy < 0.6


@pytest.mark.parametrize("splitter", [LeaveOneGroupOut(), GroupKFold(3)])
def test_decode__splitters_that_want_groups_get_them(rng, splitter):
    design, targets = tuned_counts(rng)
    result = decode(design, targets, cv=splitter, groups=np.repeat([2, 5, 9], 16))
    tested = result.predictions.sort_index()["fold"].to_numpy().reshape(3, 16)
    assert (tested == tested[:, :1]).all()
    with pytest.raises(InvalidArgumentError, match="'groups' parameter should not be None"):
        decode(design, targets, cv=splitter)


def test_decode__other_splitters_do_not_mind_groups(rng):
    design, targets = tuned_counts(rng)
    groups = np.repeat([2, 5, 9], 16)
    for cv in (None, "stratified", "repeated-stratified"):
        assert decode(design, targets, cv=cv, groups=groups, estimator="ridge").mean_accuracy > 0.5


class Halves:
    """A splitter that is not scikit-learn's."""

    def split(self, X, y=None, groups=None):
        assert groups is not None
        yield np.flatnonzero(groups == groups[0]), np.flatnonzero(groups != groups[0])


def test_decode__foreign_splitters_get_groups_by_name(rng):
    design, targets = tuned_counts(rng)
    assert len(decode(design, targets, cv=Halves(), groups=np.repeat([0, 1], 24)).predictions) == 24


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cv": "blocked"}, r"needs the block of every presentation: groups=presentations\['stim"),
        (
            {"cv": "blocked", "groups": [1] * 12},
            "needs at least two blocks, but all 12 .* block 1;",
        ),
        ({"groups": [1, 2]}, r"design has 12 rows \(presentations\) and groups 2 values"),
        ({"groups": [1.0] * 11 + [np.nan]}, r"groups are missing in 1 of 12 rows \(row 11\)"),
        ({"groups": np.ones((12, 2))}, "groups must be one label per presentation"),
        ({"cv": BlockedKFold(5), "groups": [1, 2] * 6}, "of 2 blocks; valid: 2 to 2 folds"),
        ({"cv": BlockedKFold(3, gap=-1)}, "gap=-1. of 12 rows; valid: .* a gap from 0"),
        ({"cv": BlockedKFold(2, gap=6)}, "fold 0 has 0 presentations to train on"),
        ({"cv": "stratified"}, r"class 2 has 2 presentations, fewer than the 5 folds \(2 of 3"),
        ({"cv": "repeated-stratified"}, "class 2 has 2 presentations, fewer than the 5 folds"),
        ({"cv": StratifiedKFold(3)}, r"StratifiedKFold\(n_splits=3.* use fewer folds or leave"),
    ],
)
def test_decode__refuses_blocks_and_invalid_folds(options, message):
    targets = [0] * 4 + [1] * 6 + [2] * 2
    if options.get("cv") == "stratified":
        targets = [0] * 8 + [1] * 2 + [2] * 2
        message = message.replace("class 2", "class 1")
    with pytest.raises(InvalidArgumentError, match=message):
        decode(np.arange(24).reshape(12, 2), targets, **options)


def test_decode__groups_of_other_presentations_are_refused():
    design = pd.DataFrame(np.ones((4, 2)), index=[10, 11, 12, 13])
    groups = pd.Series([0, 1, 0, 1], index=[10, 12, 11, 14])
    message = r"labelled differently: design has 13 and groups has not; .* groups.to_numpy\(\) if"
    with pytest.raises(InvalidArgumentError, match=message):
        decode(design, [0, 1, 0, 1], cv=2, groups=groups)


def test_blocked_k_fold__leaves_out_the_neighbours_of_what_is_tested():
    blocks = np.repeat([3, 1, 3, 8], 3)
    folds = list(BlockedKFold(3, gap=2).split(np.zeros((12, 1)), groups=blocks))
    # block 3 comes first though 1 is smaller, and is tested in both its stretches
    assert [test.tolist() for _, test in folds] == [[0, 1, 2, 6, 7, 8], [3, 4, 5], [9, 10, 11]]
    assert [train.tolist() for train, _ in folds] == [[11], [0, 8, 9, 10, 11], list(range(7))]
    assert BlockedKFold(3).get_n_splits() == 3


def test_confusion_table__is_labelled_and_normalized(rng):
    design, targets = tuned_counts(rng)
    test = np.flatnonzero(targets < 3)
    # every presentation twice: once to learn from, once to test
    design, targets = np.tile(design, (2, 1)), np.tile(targets, 2)
    result = decode(design, targets * 10, cv=[(np.arange(48), 48 + test)])
    counts = result.confusion_table()
    assert counts.index.tolist() == counts.columns.tolist() == [0, 10, 20, 30]
    assert (counts.index.name, counts.columns.name) == ("actual", "predicted")
    assert counts.to_numpy().sum() == 36
    shares = result.confusion_table(is_normalized=True)
    np.testing.assert_allclose(shares.loc[:20].sum(axis=1), 1)
    assert shares.loc[30].isna().all()
    np.testing.assert_allclose(np.diag(shares), result.per_class_accuracy)
    counts.loc[0, 0] = -1
    assert result.confusion.sel(actual=0, predicted=0) >= 0


def test_room__is_imported_without_scikit_learn():
    code = "import sys, spikehouse.decoding; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
