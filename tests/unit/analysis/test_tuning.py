from __future__ import annotations

import numpy as np
import pytest

from spikehouse.analysis.tuning import (
    compute_direction_selectivity,
    compute_orientation_selectivity,
    has_ties,
    mean_by_value,
    preferred_position,
    preferred_value,
    resultant_length,
)
from spikehouse.errors import InvalidArgumentError

CIRCLE = np.arange(0, 360, 45)


def test_compute_orientation_selectivity__is_one_for_one_orientation_and_zero_for_all_alike():
    responses = np.zeros((8, 3))
    responses[[1, 5], 0] = 2.0, 7.0  # 45 and 225 degrees are one orientation
    responses[:, 1] = 3.0
    responses[:, 2] = 1 + 0.5 * np.cos(2 * np.deg2rad(CIRCLE))
    np.testing.assert_allclose(
        compute_orientation_selectivity(CIRCLE, responses), [1, 0, 0.25], atol=1e-12
    )


def test_compute_direction_selectivity__tells_opposite_directions_apart():
    responses = np.zeros((8, 3))
    responses[1, 0] = 2.0
    responses[[1, 5], 1] = 2.0
    responses[[1, 5], 2] = 3.0, 1.0
    np.testing.assert_allclose(
        compute_direction_selectivity(CIRCLE, responses), [1, 0, 0.5], atol=1e-12
    )


def test_selectivity__is_nan_without_response_or_with_a_missing_angle():
    responses = np.zeros((8, 2))
    responses[:, 1] = 1.0
    responses[3, 1] = np.nan
    assert np.isnan(compute_orientation_selectivity(CIRCLE, responses)).all()
    assert np.isnan(compute_direction_selectivity(CIRCLE, responses)).all()


def test_compute_direction_selectivity__of_half_a_circle_is_nan_and_not_the_bias():
    half = [0, 45, 90, 135]
    alike = np.ones((4, 1))
    assert np.isnan(compute_direction_selectivity(half, alike)).all()
    assert resultant_length(half, alike, harmonic=1)[0] == pytest.approx(0.6532814824)
    np.testing.assert_allclose(compute_orientation_selectivity(half, alike), 0, atol=1e-12)


def test_resultant_length__takes_one_unit_and_refuses_other_lengths():
    assert resultant_length([0, 180], [1.0, 1.0], harmonic=1) == pytest.approx(0)
    with pytest.raises(InvalidArgumentError, match=r"angles need .* shapes \(3,\) and \(2, 1\)"):
        resultant_length([0, 1, 2], np.ones((2, 1)), harmonic=1)


def test_mean_by_value__averages_conditions_and_leaves_blanks_out():
    responses = np.array([[1.0, 2.0], [3.0, np.nan], [5.0, 4.0], [100.0, 100.0]])
    values, means = mean_by_value(responses, [4.0, 4.0, 1.0, np.nan])
    assert values.tolist() == [1.0, 4.0]
    np.testing.assert_array_equal(means, [[5.0, 4.0], [2.0, np.nan]])


def test_mean_by_value__of_blanks_only_is_empty():
    values, means = mean_by_value(np.ones((2, 3)), [np.nan, np.nan])
    assert values.shape == (0,)
    assert means.shape == (0, 3)


def test_preferred_value__takes_the_smallest_of_ties_and_has_ties_says_so():
    means = np.array([[1.0, 2.0, 0.0, np.nan], [3.0, 2.0, 0.0, 1.0], [3.0, 1.0, 0.0, 0.5]])
    np.testing.assert_array_equal(preferred_value([10, 20, 30], means), [20, 10, np.nan, 20])
    assert has_ties(means).tolist() == [True, True, True, False]


def test_preferred_value__does_not_let_rounding_break_ties():
    # the same three counts, added in two orders
    low, high = sorted([(0.1 + 0.2 + 0.3) / 3, (0.3 + 0.2 + 0.1) / 3])
    assert low < high
    means = np.array([[low], [high]])
    assert preferred_value([1, 2], means).tolist() == [1]
    assert has_ties(means).tolist() == [True]


def test_preferred_position__never_takes_nan():
    means = np.array([[np.nan, np.nan], [0.0, np.nan]])
    assert preferred_position(means).tolist() == [1, 0]
    assert np.isnan(preferred_value([1, 2], means)).all()
    assert has_ties(means).tolist() == [False, False]


def test_preferred_value__needs_a_value():
    with pytest.raises(InvalidArgumentError, match="no value to prefer"):
        preferred_value([], np.empty((0, 2)))
