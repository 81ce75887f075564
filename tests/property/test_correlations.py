"""Correlations of every pair at once are those of each pair by itself."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikehouse.analysis.correlations import compute_noise_correlations, compute_signal_correlations

COUNTS = hnp.arrays(
    np.int64,
    st.tuples(st.integers(2, 14), st.integers(1, 4)),
    elements=st.integers(0, 3),
)


def conditions_of(counts: np.ndarray, data: st.DataObject) -> np.ndarray:
    n = len(counts)
    return np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))


def pearson(one: np.ndarray, other: np.ndarray) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return np.nan
    return float(np.corrcoef(one, other)[0, 1])


def score(counts: np.ndarray, conditions: np.ndarray) -> list[float]:
    scores = np.full(len(counts), np.nan)
    for condition in set(conditions.tolist()):
        here = conditions == condition
        values = counts[here]
        if np.ptp(values):
            scores[here] = (values - values.mean()) / values.std(ddof=1)
    return scores


@given(COUNTS, st.data())
def test_noise_correlations__equal_those_of_each_pair(
    counts: np.ndarray, data: st.DataObject
) -> None:
    conditions = conditions_of(counts, data)
    found = compute_noise_correlations(counts, conditions).values
    scores = [score(counts[:, unit], conditions) for unit in range(counts.shape[1])]
    for one, first in enumerate(scores):
        for other, second in enumerate(scores):
            both = np.isfinite(first) & np.isfinite(second)
            if not both.any():
                assert np.isnan(found[one, other])
                continue
            a, b = first[both], second[both]
            expected = (a @ b) / np.sqrt((a @ a) * (b @ b))
            np.testing.assert_allclose(found[one, other], expected, atol=1e-12)


@given(COUNTS, st.data())
def test_signal_correlations__equal_those_of_each_pair(
    counts: np.ndarray, data: st.DataObject
) -> None:
    conditions = conditions_of(counts, data)
    found = compute_signal_correlations(counts, conditions).values
    ids = np.unique(conditions)
    means = np.array([counts[conditions == condition].mean(axis=0) for condition in ids])
    expected = [[pearson(a, b) for b in means.T] for a in means.T]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@given(COUNTS, st.data())
def test_correlations__order_of_presentations_and_units_does_not_matter(
    counts: np.ndarray, data: st.DataObject
) -> None:
    conditions = conditions_of(counts, data)
    rows = data.draw(st.permutations(range(len(counts))))
    units = data.draw(st.permutations(range(counts.shape[1])))
    for function in (compute_noise_correlations, compute_signal_correlations):
        found = function(counts, conditions).values
        mixed = function(counts[rows][:, units], conditions[rows]).values
        np.testing.assert_allclose(mixed, found[units][:, units], atol=1e-12)
        np.testing.assert_array_equal(found, found.T)
