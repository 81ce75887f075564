"""Decoding against brute force: the Poisson model, blocked folds, shuffles within blocks."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikehouse.decoding import BlockedKFold, PoissonNaiveBayes, decode
from spikehouse.decoding._chance import _shuffle

COUNTS = hnp.arrays(np.int64, st.tuples(st.integers(4, 16), st.integers(1, 4)),
                    elements=st.integers(0, 9))  # fmt: skip


def log_joint(train, labels, row, label, smoothing):
    """Write the model down for one row and one class, as it would be on paper."""
    members = [counts for counts, own in zip(train, labels, strict=True) if own == label]
    total = math.log(len(members) / len(train))
    for unit in range(train.shape[1]):
        mean = sum(int(counts[unit]) for counts in train) / len(train)
        if mean == 0:
            continue
        spikes = sum(int(counts[unit]) for counts in members)
        rate = (spikes + smoothing * mean) / (len(members) + smoothing)
        total += int(row[unit]) * math.log(rate) - rate
    return total


@given(counts=COUNTS, data=st.data(), smoothing=st.sampled_from([0.01, 0.5, 1.0, 3.0]))
def test_poisson_naive_bayes__is_the_formula(counts, data, smoothing):
    n_rows = len(counts)
    labels = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n_rows, max_size=n_rows)))
    model = PoissonNaiveBayes(smoothing=smoothing).fit(counts, labels)
    expected = [
        [log_joint(counts, labels, row, label, smoothing) for label in np.unique(labels)]
        for row in counts
    ]
    np.testing.assert_allclose(
        model.predict_joint_log_proba(counts), expected, rtol=1e-10, atol=1e-10
    )
    assert np.isfinite(model.predict_log_proba(counts)).all()


@given(seed=st.integers(0, 2**32 - 1))
def test_decode__order_of_units_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    design, targets = rng.poisson(3, (40, 6)), np.tile([0, 1, 2, 3], 10)
    order = rng.permutation(6)
    one = PoissonNaiveBayes().fit(design, targets).predict_log_proba(design)
    two = PoissonNaiveBayes().fit(design[:, order], targets).predict_log_proba(design[:, order])
    np.testing.assert_allclose(one, two, rtol=1e-9)
    result = decode(design, targets, estimator="poisson-naive-bayes")
    assert result.confusion.sum() == 40


@given(data=st.data(), gap=st.integers(0, 4))
def test_blocked_k_fold__tests_every_row_once_and_no_block_in_part(data, gap):
    blocks = np.array(data.draw(st.lists(st.integers(0, 6), min_size=4, max_size=40)))
    n_blocks = np.unique(blocks).size
    if n_blocks < 2:
        blocks[0] = 7
        n_blocks = np.unique(blocks).size
    n_splits = data.draw(st.integers(2, n_blocks))
    folds = list(BlockedKFold(n_splits, gap=gap).split(np.zeros((blocks.size, 1)), None, blocks))
    assert len(folds) == n_splits
    tested = np.concatenate([test for _, test in folds])
    assert np.sort(tested).tolist() == list(range(blocks.size))
    for train, test in folds:
        assert not set(blocks[train]) & set(blocks[test])
        for row in range(blocks.size):
            is_near = min(abs(row - other) for other in test) <= gap
            assert (row in train) == (not is_near)


@given(
    blocks=st.lists(st.integers(0, 3), min_size=1, max_size=30),
    seed=st.integers(0, 2**32 - 1),
)
def test_shuffle__moves_rows_within_their_block_only(blocks, seed):
    groups = np.array(blocks)
    order = _shuffle(np.random.default_rng(seed), groups, len(blocks))
    assert np.sort(order).tolist() == list(range(len(blocks)))
    np.testing.assert_array_equal(groups[order], groups)
