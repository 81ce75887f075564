"""The compiled loops give what numpy gives, bit for bit; streaming gives what counting gives."""

from __future__ import annotations

from unittest import mock

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikehouse.spikes import (
    _engine,
    compute_condition_statistics,
    compute_mean_counts,
    count_spikes,
)

# multiples of 1/8 are exact in binary, and make spikes fall on edges all the time
TIMES = st.lists(st.integers(0, 200).map(lambda n: n / 8), max_size=60).map(sorted)
TRAINS = st.lists(TIMES, min_size=1, max_size=4)
EDGE = st.integers(-8, 208).map(lambda n: n / 8)
UNEVEN = st.integers(2, 7).flatmap(
    lambda n: st.lists(st.lists(EDGE, min_size=n, max_size=n).map(sorted), min_size=1, max_size=8)
).map(np.array)  # fmt: skip
# around onsets, mostly in order, so that rows follow, touch and overlap each other
EVEN = st.tuples(
    st.lists(st.floats(-1, 26), min_size=1, max_size=12),
    st.booleans(),
    st.floats(0.01, 2.0),
    st.integers(1, 6),
).map(
    lambda a: np.array(sorted(a[0]) if a[1] else a[0])[:, None]
    + np.linspace(0, a[2], a[3] + 1)
)  # fmt: skip
DOMAINS = UNEVEN | EVEN
NEVER, ALWAYS = 10**18, -1
# the first call of a compiled loop may have to compile it
unhurried = settings(deadline=None)


def using(size: int) -> mock._patch:
    return mock.patch.object(_engine, "LARGE", size)


def as_spikes(trains: list[list[float]]) -> dict[int, npt.NDArray[np.float64]]:
    return {10 + unit: np.array(train) for unit, train in enumerate(trains)}


@unhurried
@given(TRAINS, DOMAINS, st.booleans(), st.sampled_from([None, np.uint16, np.int64, np.float64]))
def test_count_spikes__compiled_equals_numpy(trains, domain, binarize, dtype) -> None:
    spikes = as_spikes(trains)
    with using(NEVER):
        expected = count_spikes(spikes, list(spikes), domain, dtype=dtype, binarize=binarize)
    with using(ALWAYS):
        counts = count_spikes(spikes, list(spikes), domain, dtype=dtype, binarize=binarize)
    assert counts.dtype == expected.dtype
    assert counts.strides == expected.strides
    assert (counts == expected).all()


@unhurried
@given(st.lists(st.floats(0, 3), max_size=80).map(sorted), EVEN)
def test_count_spikes__compiled_decides_by_the_edges_themselves(times, domain) -> None:
    # spikes exactly on edges that are not exact in binary, and next to them
    edges = domain.ravel()
    times = np.sort(
        np.concatenate([times, edges, np.nextafter(edges, -9), np.nextafter(edges, 99)])
    )
    with using(NEVER):
        expected = count_spikes({1: times}, [1], domain)
    with using(ALWAYS):
        assert (count_spikes({1: times}, [1], domain) == expected).all()


@pytest.mark.parametrize("size", [NEVER, ALWAYS])
@unhurried
@given(TRAINS, DOMAINS, st.randoms(use_true_random=False))
def test_mean_counts__equals_the_mean_of_the_counts(size, trains, domain, random) -> None:
    spikes = as_spikes(trains)
    groups = np.array([random.randrange(4) for _ in domain])
    with using(size):
        counts = count_spikes(spikes, list(spikes), domain)
        mean = compute_mean_counts(spikes, list(spikes), domain)
        grouped = compute_mean_counts(spikes, list(spikes), domain, groups=groups)
    assert mean.dtype == np.float64
    assert (mean == counts.mean(axis=0)).all()
    assert grouped.shape == (groups.max() + 1, *mean.shape)
    for group, values in enumerate(grouped):
        if (groups == group).any():
            assert (values == counts[groups == group].mean(axis=0)).all()
        else:
            assert np.isnan(values).all()


@given(TRAINS, EVEN, st.booleans(), st.randoms(use_true_random=False))
def test_condition_statistics__equals_numpy_on_each_group(trains, domain, rates, random) -> None:
    spikes = as_spikes(trains)
    starts, stops = domain[:, 0], domain[:, -1]
    conditions = np.array([random.randrange(3) * 7 for _ in domain])
    shown = pd.DataFrame(
        {"start_time": starts, "stop_time": stops, "stimulus_condition_id": conditions}
    )
    table = compute_condition_statistics(spikes, list(spikes), shown, use_rates=rates)
    counts = count_spikes(spikes, list(spikes), np.column_stack([starts, stops]))[:, 0, :]
    values = counts / (stops - starts)[:, None] if rates else counts
    assert len(table) == len(spikes) * len(np.unique(conditions))
    for (unit, condition), row in table.iterrows():
        here = values[conditions == condition, list(spikes).index(unit)]
        assert row["stimulus_presentation_count"] == here.size
        assert row["spike_mean"] == np.mean(here)
        if not rates:
            assert row["spike_count"] == here.sum()
        if here.size > 1:
            assert row["spike_std"] == np.std(here, ddof=1)
            assert row["spike_sem"] == np.std(here, ddof=1) / np.sqrt(here.size)
        else:
            assert np.isnan([row["spike_std"], row["spike_sem"]]).all()
