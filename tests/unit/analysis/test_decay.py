"""Exponential timescales against scipy's fit, of planted responses, and of bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit

from spikehouse.analysis import compute_decay_timescales, compute_intrinsic_timescales
from spikehouse.analysis.decay import _fit_exponential
from spikehouse.errors import InvalidArgumentError

ONSETS = 1.0 + 3.0 * np.arange(150)


def fire(rng, rate, *, width=0.001):
    """Fire with a rate (n_trials, n_bins) [spikes/s] after every onset, in bins of 1 ms."""
    fired = rng.random(rate.shape) < rate * width
    trial, place = np.nonzero(fired)
    return np.sort(ONSETS[trial] + (place + rng.random(place.size)) * width)


def test_fit_exponential__is_that_of_curve_fit(rng):
    lags = np.linspace(0, 125, 13)

    def curve(t, a, b, c):
        return a * np.exp(-t / b) + c

    taus = rng.uniform(5, 90, 40)
    y = np.array([curve(lags, 5, tau, 2) for tau in taus]) + rng.normal(0, 0.2, (40, 13))
    table = _fit_exponential(lags / 1000, y)
    bounds = ([0, 1, -np.inf], [np.inf, 1000, np.inf])
    for own, row in zip(y, table.itertuples(), strict=True):
        best, covariance = curve_fit(curve, lags, own, (5, 20, 0.1), bounds=bounds)
        np.testing.assert_allclose(row.timescale * 1000, best[1], rtol=2e-3)
        np.testing.assert_allclose(row.standard_error * 1000, np.sqrt(covariance[1, 1]), rtol=2e-2)


def test_fit_exponential__has_nothing_for_what_does_not_fall():
    lags = np.arange(13) * 0.01
    rising, flat, missing = np.exp(lags / 0.05), np.ones(13), np.exp(-lags / 0.05)
    missing[3] = np.nan
    table = _fit_exponential(lags, np.array([rising, flat, missing]))
    assert table.isna().all(axis=None)


def test_compute_decay_timescales__orders_responses_by_how_fast_they_decay(rng):
    time = np.arange(1000) / 1000
    taus = (0.02, 0.05, 0.12)
    rates = [5 + 120 * np.exp(-(time - 0.05) / tau) * (time > 0.05) for tau in taus]
    spikes = {i: fire(rng, np.tile(rate, (150, 1))) for i, rate in enumerate(rates)}
    found = compute_decay_timescales(spikes, [2, 0, 1], ONSETS)
    assert found.index.tolist() == [2, 0, 1]
    found = found.sort_index()
    assert found["timescale"].is_monotonic_increasing
    np.testing.assert_allclose(found["timescale"].iloc[:2], taus[:2], rtol=0.3)
    assert (found["standard_error"] < 0.02).all()
    inside = [sum(((times[:, None] - ONSETS) >= 0.04) & ((times[:, None] - ONSETS) < 0.29))
              for times in spikes.values()]  # fmt: skip
    assert found["n_spikes"].tolist() == [int(n.sum()) for n in inside]


def test_compute_decay_timescales__published_lags_are_stretched(rng):
    time = np.arange(1000) / 1000
    rate = 5 + 120 * np.exp(-(time - 0.05) / 0.04) * (time > 0.05)
    spikes = {7: fire(rng, np.tile(rate, (150, 1)))}
    ours, published = (
        compute_decay_timescales(spikes, [7], ONSETS, definition=name)["timescale"].iloc[0]
        for name in ("corrected", "published")
    )
    np.testing.assert_allclose(published / ours, 125 / 120, rtol=1e-3)


def test_compute_intrinsic_timescales__finds_fluctuations_of_known_length(rng):
    tau, n_bins = 0.08, 2500
    keep = np.exp(-0.001 / tau)
    noise = rng.normal(size=(150, n_bins))
    slow = np.zeros((150, n_bins))
    slow[:, 0] = noise[:, 0]
    for place in range(1, n_bins):
        slow[:, place] = keep * slow[:, place - 1] + np.sqrt(1 - keep**2) * noise[:, place]
    spikes = {3: fire(rng, 60 * np.exp(0.7 * slow - 0.245))}
    found = compute_intrinsic_timescales(spikes, [3], ONSETS).loc[3]
    np.testing.assert_allclose(found["timescale"], tau, rtol=0.35)
    published = compute_intrinsic_timescales(spikes, [3], ONSETS, definition="published").loc[3]
    np.testing.assert_allclose(published["timescale"], found["timescale"], rtol=0.25)


@pytest.mark.parametrize("compute", [compute_decay_timescales, compute_intrinsic_timescales])
def test_timescales__of_silent_and_of_no_units(compute):
    silent = compute({1: np.array([])}, [1], ONSETS).loc[1]
    assert silent["n_spikes"] == 0
    assert silent.drop("n_spikes").isna().all()
    none = compute({1: np.array([])}, [], ONSETS)
    assert none.shape == (0, 5)
    assert none.index.name == "unit_id"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": (0.3, 0.1)}, r"window=\(0\.3, 0\.1\) s and bin_width=0\.01 s make 0 bins"),
        ({"bin_width": 0.05}, "make 5 bins; an exponential needs 7 or more"),
        ({"bin_width": 0}, "make 0 bins"),
        ({"onsets": [1.0]}, "1 onsets are given; correlating trials needs two or more"),
        ({"definition": "publishd"}, "did you mean 'published'"),
    ],
)
def test_compute_decay_timescales__bad_arguments(arguments, message):
    given = {"spikes_or_session": {1: np.array([1.0])}, "unit_ids": [1], "onsets": ONSETS}
    with pytest.raises(InvalidArgumentError, match=message):
        compute_decay_timescales(**{**given, **arguments})


@pytest.mark.parametrize("max_lag", [0.03, 1.5])
def test_compute_intrinsic_timescales__max_lag_that_does_not_fit(max_lag):
    with pytest.raises(InvalidArgumentError, match=rf"max_lag={max_lag} s makes .* 100 bins"):
        compute_intrinsic_timescales({1: np.array([1.0])}, [1], ONSETS, max_lag=max_lag)
