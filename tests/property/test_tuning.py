"""Tuning by array against tuning unit by unit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spikehouse.analysis.tuning import (
    compute_direction_selectivity,
    compute_orientation_selectivity,
    has_ties,
    mean_by_value,
    preferred_value,
)

COUNTS = arrays(
    np.int64, st.tuples(st.integers(1, 8), st.integers(1, 4)), elements=st.integers(0, 9)
)


@given(counts=COUNTS, data=st.data())
def test_mean_by_value__is_the_mean_of_each_group(
    counts: npt.NDArray[np.int64], data: st.DataObject
) -> None:
    values = data.draw(
        arrays(np.float64, len(counts), elements=st.sampled_from([1.0, 2.0, 15.0, np.nan]))
    )
    found, means = mean_by_value(counts, values)
    expected = sorted({value for value in values.tolist() if value == value})
    assert found.tolist() == expected
    for value, row in zip(found, means, strict=True):
        np.testing.assert_allclose(row, counts[values == value].mean(axis=0))


@given(counts=COUNTS)
def test_preferred_value__is_the_first_largest(counts: npt.NDArray[np.int64]) -> None:
    values = np.arange(len(counts)) * 45.0
    # sevenths round, so that equal means must be found equal
    preferred, several = preferred_value(values, counts / 7), has_ties(counts / 7)
    for unit in range(counts.shape[1]):
        column = counts[:, unit].tolist()
        best = [values[i] for i in range(len(column)) if column[i] == max(column)]
        assert several[unit] == (len(best) > 1)
        assert preferred[unit] == best[0] if max(column) else np.isnan(preferred[unit])


@given(
    counts=arrays(np.int64, (8, 3), elements=st.integers(0, 50)),
    turn=st.integers(0, 7),
    gain=st.floats(0.01, 100),
)
def test_selectivity__does_not_depend_on_gain_or_direction(
    counts: npt.NDArray[np.int64], turn: int, gain: float
) -> None:
    angles = np.arange(0, 360, 45)
    for index in (compute_orientation_selectivity, compute_direction_selectivity):
        here = index(angles, counts)
        np.testing.assert_array_equal(np.isnan(here), counts.sum(axis=0) == 0)
        assert ((here >= 0) & (here <= 1 + 1e-12) | np.isnan(here)).all()
        there = index(angles, gain * np.roll(counts, turn, axis=0))
        np.testing.assert_allclose(there, here, atol=1e-9)
