"""Autocorrelations against one pair at a time; timescales of simulated units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from spikehouse.analysis.inputs import StimulusResponses
from spikehouse.analysis.timescale import (
    average_lags,
    compute_timescales,
    delayed_correlations,
    fit_timescale,
)
from spikehouse.errors import InvalidArgumentError

LAGS = np.arange(1, 30) * 0.02


def correlate(counts, i, j, *, is_active_only):
    a, b = counts[:, i], counts[:, j]
    if is_active_only:
        a, b = a[(a * b) > 0], b[(a * b) > 0]
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return np.nan
    return stats.pearsonr(a, b).statistic


@pytest.mark.parametrize("is_active_only", [False, True])
def test_delayed_correlations__as_one_pair_at_a_time(rng, is_active_only):
    counts = rng.poisson(rng.uniform(0.2, 4, (5, 1, 6)), (5, 25, 6))
    found = delayed_correlations(counts, is_active_only=is_active_only)
    for unit, i, j in np.ndindex(found.shape):
        if i >= j:
            assert np.isnan(found[unit, i, j])
            continue
        expected = correlate(counts[unit], i, j, is_active_only=is_active_only)
        np.testing.assert_allclose(found[unit, i, j], expected, atol=1e-12)


@pytest.mark.parametrize("is_active_only", [False, True])
@pytest.mark.parametrize("n_trials", [0, 1])
def test_delayed_correlations__too_few_trials(is_active_only, n_trials):
    found = delayed_correlations(np.ones((2, n_trials, 4)), is_active_only=is_active_only)
    assert found.shape == (2, 4, 4)
    assert np.isnan(found).all()


def test_average_lags__leaves_out_undefined_pairs():
    matrix = np.full((1, 3, 3), np.nan)
    matrix[0, 0, 1], matrix[0, 1, 2] = 0.2, 0.4
    means, n_pairs = average_lags(matrix)
    np.testing.assert_allclose(means, [[0.3, np.nan]])
    assert n_pairs.tolist() == [[2, 0]]


@pytest.mark.parametrize("tau", [0.03, 0.1, 0.5, 2.0])
def test_fit_timescale__finds_an_exact_curve(tau):
    fit = fit_timescale(LAGS, [0.4 * np.exp(-LAGS / tau) + 0.05])
    np.testing.assert_allclose(fit.timescale, [tau], rtol=1e-5)
    np.testing.assert_allclose(fit.amplitude, [0.4], rtol=1e-4)
    np.testing.assert_allclose(fit.offset, [0.05], atol=1e-4)
    np.testing.assert_allclose(fit.r_squared, [1.0])


def test_fit_timescale__is_the_least_squares_fit_of_scipy(rng):
    from scipy.optimize import curve_fit

    curves = 0.4 * np.exp(-LAGS / 0.15) + 0.1 + 0.01 * rng.standard_normal((4, len(LAGS)))
    found = fit_timescale(LAGS, curves)
    for unit, curve in enumerate(curves):
        best, _ = curve_fit(lambda t, a, b, c: a * np.exp(-t / b) + c, LAGS, curve, (0.3, 0.1, 0))
        assert found.timescale[unit] == pytest.approx(best[1], rel=1e-4)


def test_fit_timescale__unknown_lags_have_no_say():
    curve = 0.4 * np.exp(-LAGS / 0.1)
    curve[[3, 9]] = np.nan
    np.testing.assert_allclose(fit_timescale(LAGS, [curve]).timescale, [0.1], rtol=1e-5)
    curve[5:] = 99.0
    weights = np.where(curve == 99.0, 0.0, 1.0)
    np.testing.assert_allclose(
        fit_timescale(LAGS, [curve], weights=[weights]).timescale, [0.1], rtol=1e-5
    )


def test_fit_timescale__what_has_no_timescale():
    flat, rising = np.full(len(LAGS), 0.2), LAGS / 10
    unknown, few = np.full(len(LAGS), np.nan), np.r_[0.4, 0.2, 0.1, np.full(len(LAGS) - 3, np.nan)]
    straight, at_once = 1 - LAGS / 10, np.r_[0.5, np.zeros(len(LAGS) - 1)]
    fit = fit_timescale(LAGS, [flat, rising, unknown, few, straight, at_once])
    for name in ("timescale", "amplitude", "offset"):
        assert np.isnan(getattr(fit, name)).all()
    # nothing to test: no variance, nothing known, too few lags
    assert np.isnan(fit.p_value).tolist() == [True, False, True, True, False, False]


def test_fit_timescale__bad_shapes_and_lags():
    with pytest.raises(InvalidArgumentError, match="give \\(n_lags,\\), \\(n_units, n_lags\\)"):
        fit_timescale(LAGS, np.ones((2, 3)))
    with pytest.raises(InvalidArgumentError, match="at least 4 increasing positive times"):
        fit_timescale([0.1, 0.2, 0.3], np.ones((2, 3)))
    with pytest.raises(InvalidArgumentError, match="at least 4 increasing positive times"):
        fit_timescale([0.1, 0.2, 0.2, 0.3], np.ones((2, 4)))


def make_fluctuating(rng, taus, *, n_trials=400, duration=2.0, step=0.005):
    """Fire at a rate that fluctuates with a known timescale."""
    start = 3.0 * np.arange(n_trials)
    n_steps = round(n_trials * 3.0 / step)
    spikes = {}
    for unit, tau in enumerate(taus):
        keep = np.exp(-step / tau)
        noise = rng.standard_normal(n_steps) * np.sqrt(1 - keep**2)
        from scipy.signal import lfilter

        log_rate = np.log(20) + 0.7 * lfilter([1], [1, -keep], noise)
        fired = np.flatnonzero(rng.random(n_steps) < step * np.exp(log_rate))
        spikes[unit] = (fired + 0.5) * step
    presentations = pd.DataFrame(
        {
            "start_time": start,
            "stop_time": start + duration,
            "stimulus_condition_id": np.arange(n_trials) % 4,
        }
    )
    return StimulusResponses("drifting_gratings", presentations, list(spikes), spikes, duration)


def test_compute_timescales__recovers_simulated_ones(rng):
    # stated error: 25 % for 20 spikes/s in 400 trials of 2 s
    taus = [0.08, 0.2, 0.4]
    table = compute_timescales(make_fluctuating(rng, taus))
    assert list(table.columns) == [
        "timescale",
        "amplitude",
        "offset",
        "r_squared",
        "p_value",
        "standard_error",
    ]
    np.testing.assert_allclose(table["timescale"], taus, rtol=0.25)
    assert (table["r_squared"] > 0.8).all()
    assert (table["p_value"] == 0.001).all()


def test_compute_timescales__standard_error_is_the_scatter_of_repeated_recordings(rng):
    table = compute_timescales(make_fluctuating(rng, np.full(60, 0.2), n_trials=200))
    assert table["standard_error"].median() == pytest.approx(table["timescale"].std(), rel=0.4)


@pytest.mark.parametrize("rate", [2.0, 10.0])
def test_compute_timescales__finds_none_in_poisson_trains(rng, rate):
    start = 3.0 * np.arange(200)
    spikes = {unit: np.sort(rng.uniform(0, 600, rng.poisson(600 * rate))) for unit in range(200)}
    presentations = pd.DataFrame(
        {
            "start_time": start,
            "stop_time": start + 2,
            "stimulus_condition_id": rng.integers(0, 8, 200),
        }
    )
    table = compute_timescales(StimulusResponses("x", presentations, list(spikes), spikes, 2.0))
    # two standard errors above 5 of 100; 37 of 100 without a test
    assert table["timescale"].notna().mean() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)
    assert table["offset"].notna().equals(table["timescale"].notna())
    assert table["p_value"].notna().all()
    every = compute_timescales(
        StimulusResponses("x", presentations, list(spikes)[:60], spikes, 2.0), alpha=1.0
    )
    assert every["timescale"].notna().mean() > 0.25


def test_compute_timescales__does_not_take_tuning_for_fluctuation(rng):
    # a Poisson unit that fires four times as much in one condition as in another
    start = 3.0 * np.arange(400)
    rates = np.array([5, 10, 15, 20])[np.arange(400) % 4]
    trial = np.repeat(np.arange(400), rng.poisson(2 * rates))
    spikes = np.sort(start[trial] + rng.uniform(0, 2, len(trial)))
    presentations = pd.DataFrame(
        {
            "start_time": start,
            "stop_time": start + 2,
            "stimulus_condition_id": np.arange(400) % 4,
        }
    )
    responses = StimulusResponses("drifting_gratings", presentations, [1], {1: spikes}, 2.0)
    row = compute_timescales(responses).loc[1]
    assert np.isnan(row["timescale"])
    assert row["r_squared"] < 0.3


def test_compute_timescales__silent_unit_and_no_units(rng):
    responses = make_fluctuating(rng, [0.1], n_trials=5)
    silent = StimulusResponses("x", responses.presentations, [9], {9: np.array([])}, 2.0)
    assert compute_timescales(silent).loc[9].isna().all()
    nobody = StimulusResponses("x", responses.presentations, [], {}, 2.0)
    assert compute_timescales(nobody).shape == (0, 6)


def test_compute_timescales__too_few_bins(rng):
    responses = make_fluctuating(rng, [0.1], n_trials=3)
    with pytest.raises(InvalidArgumentError, match=r"2.0 s hold 2 bins of 1.0 s"):
        compute_timescales(responses, bin_width=1.0)
