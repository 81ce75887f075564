"""Counting by division gives what looking up every edge gives."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spikehouse.spikes import count_spikes, counting


def look_up(train: np.ndarray, domain: np.ndarray) -> np.ndarray:
    return np.diff(np.searchsorted(train, domain), axis=1)


@given(
    spikes=st.lists(st.integers(-20, 400), max_size=80),
    onsets=st.lists(st.floats(-5, 30, allow_nan=False), min_size=1, max_size=6),
    n_bins=st.integers(8, 40),
    width=st.sampled_from([0.01, 0.1, 1 / 3, 0.5, 1e-9]),
    jitter=st.floats(0, 0.2),
)
def test_count_spikes__even_bins(
    spikes: list[int], onsets: list[float], n_bins: int, width: float, jitter: float
) -> None:
    # many spikes stand exactly on edges
    train = np.sort(np.array(spikes, dtype=float) * 0.1)
    edges = np.arange(n_bins + 1) * width
    edges[1:-1] += jitter * width * np.sin(np.arange(n_bins - 1))
    domain = np.array(onsets)[:, None] + edges
    expected = look_up(train, domain)
    np.testing.assert_array_equal(count_spikes({1: train}, [1], domain)[:, :, 0], expected)
    # forced, it may give up, and is right otherwise
    if (np.diff(domain, axis=1) > 0).all():
        found = counting._count_by_division(train, domain)
        assert found is None or np.array_equal(found, expected)


def test_has_even_bins__only_where_division_will_do() -> None:
    even = np.add.outer([0.0, 5.0], np.linspace(0, 1, 11))
    assert counting._has_even_bins(even)
    assert not counting._has_even_bins(even[:, :4])
    assert not counting._has_even_bins(even[:0])
    assert not counting._has_even_bins(np.add.outer([0.0], np.geomspace(1, 2000, 11)))
    assert not counting._has_even_bins(np.zeros((2, 11)))
    broken = even.copy()
    broken[1, 3] = np.nan
    assert not counting._has_even_bins(broken)
    assert not counting._has_even_bins(even[:, ::-1])
