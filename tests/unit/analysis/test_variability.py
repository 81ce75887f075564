"""Fano factor, sparseness, rates, reliability: hand-computed answers and bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from spikehouse.analysis.variability import (
    compute_fano_factor,
    compute_lifetime_sparseness,
    firing_rate,
    reliability,
    running_modulation,
    stimulus_blocks,
)
from spikehouse.errors import InvalidArgumentError


def test_compute_fano_factor__has_n_in_the_denominator():
    assert compute_fano_factor([1, 3]) == pytest.approx(0.5)
    assert compute_fano_factor([1, 3], ddof=1) == pytest.approx(1.0)


def test_compute_fano_factor__all_units_at_once():
    counts = np.array([[2, 0, 3], [4, 0, 3], [6, 0, 3]])
    np.testing.assert_allclose(compute_fano_factor(counts), [2 / 3, np.nan, 0.0])


def test_compute_fano_factor__ignores_what_is_no_trial():
    counts = np.array([[1, 5], [3, 99]])
    is_trial = np.array([[True, True], [True, False]])
    np.testing.assert_allclose(compute_fano_factor(counts, is_trial=is_trial), [0.5, np.nan])


def test_compute_fano_factor__one_trial_or_none_is_undefined():
    assert np.isnan(compute_fano_factor([7]))
    assert np.isnan(compute_fano_factor(np.empty((0, 3)))).all()


def test_compute_fano_factor__other_shape_of_is_trial():
    with pytest.raises(InvalidArgumentError, match=r"is_trial has the shape \(1,\) and the counts"):
        compute_fano_factor([1, 2], is_trial=[True])


def test_compute_lifetime_sparseness__one_or_all_conditions():
    means = np.array([[6.0, 2.0, 0.0, 3.0], [0.0, 2.0, 0.0, 1.0]])
    # (1 − 16 / (2 · 10)) / (1 / 2) for the last
    np.testing.assert_allclose(compute_lifetime_sparseness(means), [1.0, 0.0, np.nan, 0.4])


def test_compute_lifetime_sparseness__does_not_depend_on_the_unit_of_the_response():
    means = np.array([1.0, 4.0, 2.5])
    assert compute_lifetime_sparseness(means) == pytest.approx(
        compute_lifetime_sparseness(30 * means)
    )


@pytest.mark.parametrize("n_conditions", [0, 1])
def test_compute_lifetime_sparseness__fewer_than_two_conditions(n_conditions):
    assert np.isnan(compute_lifetime_sparseness(np.ones((n_conditions, 4)))).all()


def test_stimulus_blocks__splits_at_long_intervals():
    start = np.array([0.0, 0.25, 0.5, 10.0, 10.25])
    blocks = stimulus_blocks(start, start + 0.25, longest_interval=0.5)
    np.testing.assert_allclose(blocks, [[0.0, 0.75], [10.0, 10.5]])


def test_stimulus_blocks__nothing_shown():
    assert stimulus_blocks([], [], longest_interval=1.0).shape == (0, 2)


def test_firing_rate__counts_half_open_blocks():
    spikes = {7: np.array([0.0, 0.5, 1.0, 4.0]), 9: np.array([])}
    rates = firing_rate(spikes, [9, 7], [[0.0, 1.0], [4.0, 5.0]])
    np.testing.assert_allclose(rates, [0.0, 1.5])


def test_firing_rate__no_time():
    assert np.isnan(firing_rate({7: np.array([1.0])}, [7], np.empty((0, 2)))).all()


def test_reliability__same_opposite_and_constant_trials():
    up, down, flat = [0.0, 1.0, 2.0], [2.0, 1.0, 0.0], [3.0, 3.0, 3.0]
    rates = np.array([[up, up, flat], [up, down, down], [flat, flat, up]])
    np.testing.assert_allclose(reliability(rates), [1.0, -1 / 3, np.nan], atol=1e-12)


def test_reliability__equal_numbers_that_do_not_add_up_exactly_are_constant():
    rates = np.stack([np.full(7, 0.1), np.full(7, 0.3), np.arange(7.0)])
    assert np.isnan(reliability(rates))


@pytest.mark.parametrize("shape", [(2, 0, 5), (2, 1, 5), (2, 3, 0)])
def test_reliability__too_little_is_undefined(shape):
    answer = reliability(np.ones(shape))
    assert answer.shape == (2,)
    assert np.isnan(answer).all()


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
