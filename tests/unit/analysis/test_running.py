"""Running modulation against scipy, and where the speed is not known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from spikehouse.analysis.variability import running_modulation
from spikehouse.errors import InvalidArgumentError


def test_running_modulation__is_welchs_test_of_every_unit(rng):
    counts = rng.poisson(rng.uniform(0.5, 20, 40), (30, 40))
    speeds = rng.uniform(-1, 4, 30)
    answer = running_modulation(counts, speeds)
    runs = speeds >= 1
    expected = stats.ttest_ind(counts[runs], counts[~runs], equal_var=False).pvalue
    np.testing.assert_allclose(answer.p_value, expected, rtol=1e-9)
    r, s = counts[runs].mean(axis=0), counts[~runs].mean(axis=0)
    np.testing.assert_allclose(answer.run_mod, (r - s) / np.maximum(r, s), rtol=1e-12)


def test_running_modulation__sign_and_size():
    counts = np.array([[4, 0, 2], [4, 0, 2], [1, 2, 2], [1, 2, 2]])
    run_mod = running_modulation(counts, [5, 5, 0, 0]).run_mod
    np.testing.assert_allclose(run_mod, [0.75, -1.0, 0.0])


def test_running_modulation__needs_two_trials_of_both():
    counts = np.array([1, 2, 3, 4])
    for speeds in ([5, 0, 0, 0], [5, 5, 5, 0], [0, 0, 0, 0]):
        assert np.isnan(running_modulation(counts, speeds)).all()
    assert np.isfinite(running_modulation(counts, [5, 5, 0, 0])).all()


def test_running_modulation__threshold_itself_is_running():
    counts = np.array([4, 5, 1, 2])
    assert running_modulation(counts, [1.0, 1.0, 0.99, 0.99]).run_mod == pytest.approx(2 / 3)
    assert np.isnan(running_modulation(counts, [1, 1, 0, 0], speed_threshold=2.0)).all()


def test_running_modulation__leaves_out_trials_of_unknown_speed():
    counts = np.array([4, 5, 1, 2, 99, 99])
    known = running_modulation(counts[:4], [3, 3, 0, 0])
    answer = running_modulation(counts, [3, 3, 0, 0, np.nan, np.nan])
    assert answer == known
    assert np.isnan(running_modulation(counts, np.full(6, np.nan))).all()


def test_running_modulation__ignores_what_is_no_trial():
    counts = np.array([[4, 4], [5, 5], [1, 1], [2, 2], [50, 50]])
    is_trial = np.array([[True, True]] * 4 + [[False, True]])
    answer = running_modulation(counts, [3, 3, 0, 0, 0], is_trial=is_trial)
    assert answer.run_mod[0] == pytest.approx(2 / 3)
    assert answer.run_mod[1] < 0


def test_running_modulation__silent_unit_is_undefined_and_constant_one_has_no_p():
    answer = running_modulation(np.array([[0, 3]] * 6), [3, 3, 3, 0, 0, 0])
    np.testing.assert_array_equal(answer.run_mod, [np.nan, 0.0])
    assert np.isnan(answer.p_value).all()


def test_running_modulation__no_variation_within_groups_has_p_zero_as_in_scipy():
    assert running_modulation([2, 2, 1, 1], [3, 3, 0, 0]).p_value == 0.0


def test_running_modulation__other_number_of_speeds():
    with pytest.raises(InvalidArgumentError, match=r"speeds has the shape \(2,\) and the counts"):
        running_modulation(np.ones((3, 2)), [1.0, 2.0])
