"""Vectorised measures of variability against one unit, pair or threshold at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from spikehouse.analysis.images import image_selectivity, movie_repeats
from spikehouse.analysis.variability import (
    compute_fano_factor,
    compute_lifetime_sparseness,
    reliability,
    running_modulation,
)

sides = {"min_dims": 2, "max_dims": 2, "min_side": 1, "max_side": 8}
count_arrays = hnp.arrays(np.int64, hnp.array_shapes(**sides), elements=st.integers(0, 9))


@given(count_arrays)
def test_compute_fano_factor__as_numpy(counts):
    found = compute_fano_factor(counts)
    for unit, trials in enumerate(counts.T):
        if len(trials) < 2 or not trials.any():
            assert np.isnan(found[unit])
        else:
            assert found[unit] == pytest.approx(np.var(trials) / np.mean(trials))


@given(count_arrays, st.data())
def test_compute_fano_factor__masked_trials_might_as_well_not_be_there(counts, data):
    rows = data.draw(hnp.arrays(bool, len(counts)))
    mask = np.repeat(rows[:, None], counts.shape[1], axis=1)
    np.testing.assert_allclose(
        compute_fano_factor(counts, is_trial=mask), compute_fano_factor(counts[rows])
    )


@given(count_arrays, st.randoms(use_true_random=False))
def test_compute_lifetime_sparseness__bounded_and_blind_to_order_and_scale(means, random):
    found = compute_lifetime_sparseness(means)
    known = found[~np.isnan(found)]
    assert ((known > -1e-12) & (known < 1 + 1e-12)).all()
    order = random.sample(range(len(means)), len(means))
    np.testing.assert_allclose(compute_lifetime_sparseness(means[order] * 3.7), found, atol=1e-12)


@given(
    hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=6),
        elements=st.integers(0, 5).map(float),
    )
)
def test_reliability__is_the_mean_correlation_of_all_pairs(rates):
    found = reliability(rates)
    for unit, trials in enumerate(rates):
        varying = [trial for trial in trials if np.ptp(trial) > 0]
        pairs = [
            stats.pearsonr(a, b).statistic if len(a) > 1 else np.nan
            for i, a in enumerate(varying)
            for b in varying[:i]
        ]
        expected = np.mean(pairs) if pairs else np.nan
        np.testing.assert_allclose(found[unit], expected, atol=1e-12)


@given(count_arrays, st.data())
def test_running_modulation__as_scipy(counts, data):
    speeds = data.draw(hnp.arrays(np.float64, len(counts), elements=st.sampled_from([0.0, 5.0])))
    found = running_modulation(counts, speeds)
    for unit, trials in enumerate(counts.T):
        run, rest = trials[speeds >= 1], trials[speeds < 1]
        if min(len(run), len(rest)) < 2 or not trials.any():
            assert np.isnan(found.p_value[unit])
            assert np.isnan(found.run_mod[unit])
            continue
        assert -1 <= found.run_mod[unit] <= 1
        if np.ptp(run) or np.ptp(rest):
            # ttest_ind itself warns when one of the groups is constant
            moments = [
                f(g) for g in (run, rest) for f in (np.mean, lambda g: np.std(g, ddof=1), len)
            ]
            expected = stats.ttest_ind_from_stats(*moments, equal_var=False).pvalue
            np.testing.assert_allclose(found.p_value[unit], expected, rtol=1e-9)


@given(count_arrays, st.integers(2, 50), st.floats(1e-6, 1e6))
def test_image_selectivity__as_trying_every_threshold(counts, n_steps, scale):
    assume(len(counts) > 1)
    means = counts * scale
    found = image_selectivity(means, n_steps=n_steps)
    for unit, responses in enumerate(means.T):
        low, high = responses.min(), responses.max()
        thresholds = low + np.arange(n_steps) * ((high - low) / n_steps)
        above = np.mean(responses > thresholds[:, None])
        assert found[unit] == pytest.approx(1 - 2 * above if high > low else 0.0, abs=1e-12)


@given(st.integers(1, 6), st.lists(st.randoms(use_true_random=False), max_size=5))
def test_movie_repeats__every_complete_showing_is_a_row(n_frames, showings):
    shown = [f for random in showings for f in random.sample(range(n_frames), n_frames)]
    rows = movie_repeats(shown)
    assert rows.shape == (len(showings), n_frames if showings else 0)
    assert sorted(rows.ravel().tolist()) == list(range(len(shown)))
    frames = np.array(shown, dtype=int)[rows]
    assert (frames == frames[:1]).all()
