from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from spikehouse.analysis.latency import (
    LatencyOptions,
    _find_segments,
    _make_bins,
    compute_onset_latency,
)
from spikehouse.demo.plan import draw_plan
from spikehouse.demo.sessions import get_size
from spikehouse.demo.simulation import start_simulation
from spikehouse.errors import InvalidArgumentError

COARSE = LatencyOptions(
    window=(-0.1, 0.1), bin_width=0.01, earliest=0.0, latest=0.08, shortest=0.01
)
SEED = 20191003


def draw_train(
    rng: np.random.Generator, onsets: np.ndarray, *, rate: float, evoked: float, start: float
) -> np.ndarray:
    background = rng.uniform(0, onsets[-1] + 1, rng.poisson(rate * (onsets[-1] + 1)))
    extra = [
        onset + start + rng.uniform(0, 0.05, rng.poisson((evoked - rate) * 0.05))
        for onset in onsets
    ]
    return np.sort(np.concatenate([background, *extra]))


@pytest.fixture
def onsets() -> np.ndarray:
    return 1.0 + np.arange(100)


def test_find_segments__equals_every_pair(rng: np.random.Generator) -> None:
    bins = _make_bins(COARSE)
    sums = rng.poisson(2, (40, 20))
    sums[:, 13:16] += rng.poisson(3, (40, 3))
    begin, end = _find_segments(sums, bins)
    for row in range(40):
        best, total = (-np.inf, 0, 0), sums[row].sum()
        for start in range(10, 19):
            for stop in range(start + 1, 21):
                inside, share = sums[row, start:stop].sum(), (stop - start) / 20
                if inside / (stop - start) <= (total - inside) / (20 - stop + start):
                    continue
                n = np.array([inside, total - inside])
                parts = n * np.log(np.maximum(n, 1e-300) / (total * np.array([share, 1 - share])))
                best = max(best, (float(np.where(n > 0, parts, 0).sum()), -start, -stop))
        assert best[0] > 0
        found = sums[row, begin[row] : end[row]].sum()
        share = (end[row] - begin[row]) / 20
        n = np.array([found, total - found])
        value = (n * np.log(np.maximum(n, 1e-300) / (total * np.array([share, 1 - share])))).sum()
        assert value == pytest.approx(best[0])


def test_onset_latency__recovers_steps(rng: np.random.Generator, onsets: np.ndarray) -> None:
    starts = rng.uniform(0.02, 0.12, 30)
    spikes = {
        unit: draw_train(rng, onsets, rate=5, evoked=60, start=start)
        for unit, start in enumerate(starts)
    }
    table = compute_onset_latency(spikes, range(30), onsets)
    error = table["latency"].to_numpy() - starts
    assert np.abs(error).max() < 0.006
    assert np.median(np.abs(error)) < 0.0012
    assert abs(np.mean(error)) < 0.0008
    assert table["evoked_rate"].median() == pytest.approx(60, rel=0.15)
    assert table["baseline_rate"].median() == pytest.approx(5, rel=0.2)
    np.testing.assert_allclose(table["stop"] - table["latency"], 0.05, atol=0.012)


def test_onset_latency__no_response_no_latency(
    rng: np.random.Generator, onsets: np.ndarray
) -> None:
    spikes = {unit: np.sort(rng.uniform(0, 102, 2000)) for unit in range(200)}
    table = compute_onset_latency(spikes, range(200), onsets)
    assert table["latency"].notna().sum() <= 2
    assert ((table["p_value"] > 0) & (table["p_value"] <= 1)).all()


def test_onset_latency__p_value_is_binomial_times_the_pairs(onsets: np.ndarray) -> None:
    # 6 of 8 spikes in one bin of twenty
    train = np.sort(np.r_[onsets[:6] + 0.035, onsets[0] - 0.055, onsets[1] + 0.075])
    table = compute_onset_latency({1: train}, [1], onsets, options=COARSE)
    n_pairs = sum(20 - start for start in range(10, 19))
    expected = binom.sf(5, 8, 1 / 20) * n_pairs
    assert table.loc[1, "p_value"] == pytest.approx(expected)
    assert table.loc[1, "latency"] == pytest.approx(0.03)
    assert table.loc[1, "stop"] == pytest.approx(0.04)


def test_onset_latency__silent_units_and_no_presentations(onsets: np.ndarray) -> None:
    table = compute_onset_latency(
        {1: np.array([]), 2: onsets + 0.05}, [1, 2], onsets, n_resamples=5
    )
    assert table.loc[1].isna().all()
    assert table.loc[2, "latency"] == pytest.approx(0.05, abs=0.0011)
    none = compute_onset_latency({2: onsets}, [2], [], n_resamples=3)
    assert none.isna().all(axis=None)
    assert list(none.columns) == list(table.columns)
    one = compute_onset_latency({2: onsets + 0.05}, [2], onsets[:1])
    assert one["latency"].isna().all()
    assert compute_onset_latency({}, [], onsets).empty


def test_onset_latency__intervals_hold_the_truth(
    rng: np.random.Generator, onsets: np.ndarray
) -> None:
    spikes = {unit: draw_train(rng, onsets, rate=5, evoked=40, start=0.0505) for unit in range(12)}
    table = compute_onset_latency(spikes, range(12), onsets, n_resamples=60)
    assert (table["latency_low"] <= table["latency_high"]).all()
    holds = (table["latency_low"] <= 0.0515) & (table["latency_high"] >= 0.0495)
    assert holds.mean() >= 0.8
    again = compute_onset_latency(spikes, range(12), onsets, n_resamples=60)
    assert table.equals(again)


def test_onset_latency__the_demos_neurons() -> None:
    """Natural scenes, 1190 presentations: half of the latencies are right to a millisecond."""
    simulation = start_simulation(draw_plan(SEED, 900000001, get_size("small")))
    units = simulation.plan.units
    spikes = dict(zip(units.index.tolist(), simulation.iterate_spike_times(), strict=True))
    shown = simulation.timeline.presentations
    onsets = shown.loc[shown["name"] == "natural_scenes", "start_time"]
    table = compute_onset_latency(spikes, units.index.tolist(), onsets)
    is_visual = units["is_visual"].astype(bool)
    found = table["latency"].notna() & is_visual
    assert found.sum() >= 0.85 * is_visual.sum()
    error = (table["latency"] - units["latency_s"])[found]
    assert error.abs().median() < 0.001
    assert error.abs().quantile(0.8) < 0.0025
    assert abs(error.median()) < 0.001


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": (0.0, 0.25)}, "the window must begin a bin or more before the onset"),
        ({"bin_width": 0.0}, "bin_width=0: the window must"),
        ({"latest": 0.3}, "latest=0.3, shortest=0.005: a response must be able to begin"),
        ({"earliest": 0.2}, "earliest=0.2, latest=0.15"),
    ],
)
def test_latency_options__errors(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        LatencyOptions(**options)


def test_onset_latency__errors() -> None:
    with pytest.raises(InvalidArgumentError, match="not finite, the first at position 1; leave"):
        compute_onset_latency({}, [], [1.0, np.inf])
    with pytest.raises(InvalidArgumentError, match="n_resamples is -1; give 0 or more"):
        compute_onset_latency({}, [], [1.0], n_resamples=-1)
