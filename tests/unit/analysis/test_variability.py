"""Fano factor, sparseness, rates, reliability: hand-computed answers and bad input."""

from __future__ import annotations

import numpy as np
import pytest

from spikehouse.analysis.variability import (
    compute_fano_factor,
    compute_lifetime_sparseness,
    firing_rate,
    reliability,
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
