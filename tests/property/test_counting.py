"""Conservation laws: no spike is lost or invented."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikehouse.analysis import StimulusResponses
from spikehouse.spikes import align_spikes, count_events, count_spikes

# multiples of 1/8 are exact in binary, and make spikes fall on edges all the time
TIMES = st.lists(st.integers(0, 200).map(lambda n: n / 8), max_size=60).map(sorted)
EDGES = st.lists(st.integers(-8, 208).map(lambda n: n / 8), min_size=2, max_size=12).map(sorted)


def brute_force(times: list[float], edges: list[float]) -> list[int]:
    return [sum(left <= time < right for time in times) for left, right in pairwise(edges)]


@given(TIMES, st.lists(EDGES, min_size=1, max_size=5))
def test_count_spikes__equals_brute_force(times: list[float], rows: list[list[float]]) -> None:
    n_edges = min(map(len, rows))
    domain = np.array([row[:n_edges] for row in rows])
    counts = count_spikes({1: np.array(times)}, [1], domain)
    assert counts[:, :, 0].tolist() == [brute_force(times, row[:n_edges]) for row in rows]


EVENTS = st.lists(st.integers(0, 200).map(lambda n: n / 8), min_size=1, max_size=5)
BIN = st.lists(st.integers(-16, 16).map(lambda n: n / 8), min_size=2, max_size=2).map(sorted)


@pytest.mark.filterwarnings("ignore:.*run into the next one")
@given(TIMES, EVENTS, st.lists(st.lists(BIN, min_size=3, max_size=3), min_size=5, max_size=5))
def test_count_events__equals_brute_force(
    times: list[float], events: list[float], bins: list[list[list[float]]]
) -> None:
    for given_bins in (np.array(bins[: len(events)]), np.array(bins[:1])):
        expected = [
            [sum(event + a <= time < event + b for time in times) for a, b in own]
            for event, own in zip(
                events, np.broadcast_to(given_bins, (len(events), 3, 2)), strict=True
            )
        ]
        counts = count_events({1: np.array(times)}, [1], events, given_bins)
        assert counts[:, :, 0].values.tolist() == expected
        means = count_events({1: np.array(times)}, [1], events, given_bins, mean=True)
        np.testing.assert_allclose(means[:, 0], np.mean(expected, axis=0))


@given(TIMES, EVENTS, EDGES)
def test_count_events__edges_are_those_of_histograms(
    times: list[float], events: list[float], edges: list[float]
) -> None:
    edges = sorted(set(edges))
    if len(edges) < 2:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counts = count_events({1: np.array(times)}, [1], events, edges)
    for event, found in zip(events, counts[:, :, 0].values, strict=True):
        # numpy closes the last bin at its right end; a further bin behind it takes that away
        expected, _ = np.histogram(np.array(times) - event, [*edges, edges[-1] + 1])
        assert found.tolist() == expected[:-1].tolist()


@given(TIMES, EDGES)
def test_count_spikes__equals_histogram_on_half_open_bins(
    times: list[float], edges: list[float]
) -> None:
    distinct = sorted(set(edges))
    if len(distinct) < 2:
        return
    # numpy closes the last bin at its right end; a further bin behind it takes that away
    expected, _ = np.histogram(times, [*distinct, distinct[-1] + 1])
    counts = count_spikes({1: np.array(times)}, [1], np.array([distinct]))
    assert counts[0, :, 0].tolist() == expected[:-1].tolist()


@given(TIMES, EDGES)
def test_count_spikes__a_partition_of_time_keeps_every_spike(
    times: list[float], edges: list[float]
) -> None:
    partition = np.array([[-1.0, *edges, 100.0]])
    assert count_spikes({1: np.array(times)}, [1], np.sort(partition)).sum() == len(times)


@given(
    st.lists(TIMES, min_size=1, max_size=4), st.lists(EDGES, min_size=1, max_size=6), st.randoms()
)
def test_count_spikes__order_of_units_and_rows_does_not_matter(
    trains: list[list[float]], rows: list[list[float]], random: object
) -> None:
    domain = np.array([[row[0], row[-1]] for row in rows])
    spikes = {unit: np.array(train) for unit, train in enumerate(trains)}
    units, order = list(spikes), list(range(len(rows)))
    whole = count_spikes(spikes, units, domain)
    random.shuffle(units)  # type: ignore[attr-defined]
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = count_spikes(spikes, units, domain[order])
    assert (shuffled == whole[order][:, :, units]).all()


@given(st.lists(TIMES, min_size=1, max_size=4), st.lists(EDGES, min_size=1, max_size=6))
def test_align_spikes__as_many_as_are_counted(
    trains: list[list[float]], rows: list[list[float]]
) -> None:
    starts, stops = [row[0] for row in rows], [row[-1] for row in rows]
    spikes = {unit: np.array(train) for unit, train in enumerate(trains)}
    shown = pd.DataFrame({"start_time": starts, "stop_time": stops})
    listed = align_spikes(spikes, list(spikes), shown)
    counts = count_spikes(spikes, list(spikes), np.column_stack([starts, stops]))[:, 0, :]
    for row in range(len(rows)):
        for unit in spikes:
            here = (listed["stimulus_presentation_id"] == row) & (listed["unit_id"] == unit)
            assert int(here.sum()) == counts[row, unit]
    assert (np.diff(listed.index) >= 0).all()


@given(TIMES, EDGES, st.lists(st.integers(0, 100), min_size=1, max_size=4, unique=True))
def test_stimulus_responses__published_counts_have_the_bounds_of_allensdk(
    times: list[float], edges: list[float], onsets: list[int]
) -> None:
    """Bins are closed at both ends, presentations open at their start only."""
    distinct = sorted({0.0, 1.0, *edges})
    shown = pd.DataFrame({"start_time": sorted(onsets), "stimulus_condition_id": 0}, dtype=float)
    shown["stop_time"] = shown["start_time"] + 2
    responses = StimulusResponses(
        "flashes", shown, [1], {1: np.array(times)}, 1.0, definition="published"
    )
    bins = responses.count_bins(distinct, responses.onsets, [1])[..., 0]
    expected = [
        [sum(left <= time - onset <= right for time in times) for left, right in pairwise(distinct)]
        for onset in responses.onsets
    ]
    assert bins.tolist() == expected
    trial = [sum(0 <= time - onset <= 1 for time in times) for onset in responses.onsets]
    assert responses.counts[:, 0].tolist() == trial
    whole = [sum(0 < time - onset <= 2 for time in times) for onset in responses.onsets]
    assert responses.shown_counts[:, 0].tolist() == whole
