"""Correlograms over pairs of spikes are those of the definition, over trials and bins."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spikehouse.analysis import compute_connections, compute_correlograms, find_connections
from spikehouse.spikes import compute_time_domain, count_spikes

WIDTH = 0.001
# on the edges of bins, between them, and where rounding decides
TIMES = st.one_of(
    st.integers(0, 80).map(lambda k: k * WIDTH),
    st.integers(0, 40).map(lambda k: 0.013 + k * WIDTH),
    st.floats(0, 0.08, allow_subnormal=False),
)
TRAINS = st.lists(st.lists(TIMES, max_size=30).map(sorted), min_size=2, max_size=3)
# some trials overlap, some lie beyond all spikes
ONSETS = st.lists(st.sampled_from([0.0, 0.013, 0.02, 0.0305, 1.0]), min_size=1, max_size=5)


def correlate_densely(
    one: np.ndarray, other: np.ndarray, groups: np.ndarray, max_lag: int, window: int | None
) -> np.ndarray:
    """Correlate counts (n_trials, n_bins) as the definition says."""
    n_trials, n_bins = one.shape
    lags = np.arange(-max_lag, max_lag + 1)

    def correlate(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.array(
            [sum(a[:, t] @ b[:, t + lag] for t in range(n_bins) if 0 <= t + lag < n_bins)
             for lag in lags]
        )  # fmt: skip

    def jitter(counts: np.ndarray) -> np.ndarray:
        jittered = np.zeros(counts.shape)
        for group in np.unique(groups):
            here = groups == group
            psth = counts[here].mean(axis=0)
            for start in range(0, n_bins, window):
                part = slice(start, start + window)
                total = psth[part].sum()
                if total:
                    n = counts[here, part].sum(axis=1)
                    jittered[here, part] = n[:, None] * psth[part] / total
        return jittered

    found = correlate(one, other)
    if window is not None:
        found = found - correlate(jitter(one), jitter(other))
    rates = [counts.sum() / (n_trials * n_bins * WIDTH) for counts in (one, other)]
    with np.errstate(invalid="ignore"):
        return found / (n_trials * (n_bins - abs(lags)) * np.sqrt(rates[0] * rates[1]))


@given(TRAINS, ONSETS, st.integers(3, 40), st.data())
def test_compute_correlograms__are_those_of_the_definition(
    trains: list[list[float]], onsets: list[float], n_bins: int, data: st.DataObject
) -> None:
    max_lag = data.draw(st.integers(1, n_bins - 1))
    window = data.draw(st.none() | st.integers(1, n_bins + 3))
    groups = np.array(data.draw(st.lists(st.integers(0, 2), min_size=5, max_size=5)))[: len(onsets)]
    spikes = {unit: np.array(train) for unit, train in enumerate(trains)}
    edges = np.arange(n_bins + 1) * WIDTH
    domain = compute_time_domain(edges, np.array(onsets))
    counts = count_spikes(spikes, list(spikes), domain).astype(float)
    pairs = [(0, 1), (1, 0), (len(trains) - 1, 0), (0, 0)]
    options = {
        "conditions": groups,
        "pairs": pairs,
        "duration": n_bins * WIDTH,
        "max_lag": max_lag * WIDTH,
        "jitter_window": None if window is None else window * WIDTH,
    }
    found = compute_correlograms(spikes, list(spikes), onsets, **options)
    for row, (source, target) in enumerate(pairs):
        expected = correlate_densely(
            counts[:, :, source], counts[:, :, target], groups, max_lag, window
        )
        np.testing.assert_allclose(found[row], expected, rtol=1e-9, atol=1e-9)
    # (b, a) is (a, b) mirrored
    np.testing.assert_allclose(found[1], found[0][::-1], rtol=1e-9, atol=1e-9)


@given(TRAINS, st.integers(0, 2))
def test_compute_connections__is_find_connections_of_the_correlograms(
    trains: list[list[float]], n_left_out: int
) -> None:
    spikes = {unit: np.array(train) for unit, train in enumerate(trains)}
    units = list(spikes)[n_left_out:]
    options = {"duration": 0.03, "max_lag": 0.012, "jitter_window": 0.005}
    peaks = {"limit": 0.004, "flank": (0.006, 0.012), "n_sd": 2.0}
    onsets = [0.0, 0.02, 0.05]
    expected = find_connections(compute_correlograms(spikes, units, onsets, **options), **peaks)
    found = compute_connections(spikes, units, onsets, **options, **peaks)
    assert found.equals(expected)
    assert len(found) == len(units) * (len(units) - 1) // 2
