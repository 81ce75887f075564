"""Traces of behavior: means over presentations and around events."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spikehouse.analysis import compute_trace_means, compute_triggered_average
from spikehouse.analysis.checks import Definition
from spikehouse.errors import InvalidArgumentError

RUNNING = pd.DataFrame(
    {
        "start_time": [0.0, 1, 2, 3, 8],
        "end_time": [1.0, 2, 3, 4, 9],
        "velocity": [4.0, 2, np.nan, 10, 1],
    }
)


def shown(*windows: tuple[float, float]) -> pd.DataFrame:
    return pd.DataFrame(
        windows, columns=["start_time", "stop_time"], index=range(7, 7 + len(windows))
    )


def test_compute_trace_means__weights_samples_by_time_and_leaves_out_unknown_ones() -> None:
    windows = shown((0, 2), (0.75, 2), (1.5, 3.5), (2, 3), (4, 8), (3.5, 8.5), (20, 21), (1, 1))
    means = compute_trace_means(RUNNING, windows)
    assert means.index.equals(windows.index)
    expected = [3.0, (0.25 * 4 + 2) / 1.25, 6.0, np.nan, np.nan, 5.5, np.nan, np.nan]
    np.testing.assert_allclose(means, expected)


def test_compute_trace_means__published_is_the_plain_mean_of_samples_that_begin() -> None:
    means = compute_trace_means(
        RUNNING, shown((0, 2), (1, 3), (2, 3), (9, 10), (0.5, 3.1)), definition="published"
    )
    np.testing.assert_array_equal(means, [3.0, 2.0, np.nan, np.nan, 6.0])


def test_compute_trace_means__a_sample_of_a_series_holds_for_two_intervals_at_most() -> None:
    trace = pd.Series([1.0, 1, 1, 5, 7], [0.0, 1, 2, 10, 11])
    windows = shown((2, 4), (3.5, 4.5), (4.01, 9.9), (11.5, 12), (12, 13))
    np.testing.assert_allclose(compute_trace_means(trace, windows), [1, 1, np.nan, 7, np.nan])


def test_compute_trace_means__is_the_brute_force_average() -> None:
    rng = np.random.default_rng(0)
    start = np.cumsum(rng.uniform(0.01, 0.03, 500))
    value = np.where(rng.random(500) < 0.1, np.nan, rng.normal(50, 20, 500))
    first = rng.uniform(-1, 11, 200)
    windows = shown(*zip(first, first + rng.uniform(0, 1, 200), strict=True))
    stop = np.append(np.minimum(start[1:], start[:-1] + 2 * np.median(np.diff(start))), 0)
    stop[-1] = start[-1] + np.median(np.diff(start))
    expected = []
    for a, b in windows.to_numpy():
        inside = np.clip(np.minimum(stop, b) - np.maximum(start, a), 0, None) * np.isfinite(value)
        total = inside.sum()
        expected.append((inside * np.nan_to_num(value)).sum() / total if total else np.nan)
    order = rng.permutation(500)
    found = compute_trace_means(pd.Series(value, start).iloc[order], windows)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("end", [np.nan, np.inf])
def test_compute_trace_means__a_sample_without_an_end_is_as_one_of_a_series(end: float) -> None:
    table = RUNNING.assign(velocity=[4.0, 2, 6, 10, 1])
    table.loc[[3, 4], "end_time"] = end
    # two usual intervals in the middle, one at the end
    means = compute_trace_means(table, shown((2, 8), (4.5, 5.5), (5, 8), (8, 20), (9, 20)))
    np.testing.assert_allclose(means, [(6 + 2 * 10) / 3, 10, np.nan, 1, np.nan])


@pytest.mark.parametrize("definition", ["corrected", "published"])
def test_compute_trace_means__a_huge_sample_changes_only_its_own_windows(
    definition: Definition,
) -> None:
    trace = pd.Series([1e17, *[1.0] * 9], np.arange(10.0))
    means = compute_trace_means(trace, shown((0, 1), (5, 8), (5.25, 7.5)), definition=definition)
    assert means.tolist() == [1e17, 1, 1]


def test_compute_trace_means__refuses_windows_that_are_no_seconds() -> None:
    dates = shown((0, 1)).apply(pd.to_datetime, unit="s")
    with pytest.raises(
        InvalidArgumentError, match=r"presentations must be numbers.*not datetime64"
    ):
        compute_trace_means(RUNNING, dates)


@pytest.mark.parametrize(
    ("trace", "message"),
    [
        (np.arange(3.0), "trace is ndarray; give a Series with the times"),
        (pd.DataFrame({"pupil": [1.0]}), "without start_time and velocity.*it has pupil. Of an"),
        (pd.Series([1.0, 2.0], [0.0, np.nan]), "1 of 2 samples of the trace have the time nan"),
        (
            pd.Series([1.0, 2.0], pd.to_timedelta([0, 1], "s")),
            "start_time or index of the trace must be numbers.*not timedelta64",
        ),
        (
            pd.Series(pd.to_timedelta([0, 1], "s")),
            r"values of the trace are timedelta64.*trace.dt.total_seconds\(\)",
        ),
        (
            RUNNING.assign(end_time=pd.to_datetime(RUNNING["end_time"], unit="s")),
            "end_time must be numbers.*not datetime64",
        ),
    ],
)
def test_compute_trace_means__refuses_other_traces(trace: pd.Series, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        compute_trace_means(trace, shown((0, 1)))


def test_compute_triggered_average__is_of_the_events_with_samples_in_the_bin() -> None:
    events = pd.Series([1.0, 3.0, 50.0], index=[5, 3, 9])
    found = compute_triggered_average(RUNNING, events, bin_edges=[-1.0, 0.0, 1.0])
    np.testing.assert_allclose(found["time_relative_to_event"], [-0.5, 0.5])
    # before: 4 and unknown; after: 2 and 10
    np.testing.assert_allclose(found["mean"], [4.0, 6.0])
    np.testing.assert_allclose(found["sem"], [np.nan, np.std([2, 10], ddof=1) / np.sqrt(2)])
    np.testing.assert_array_equal(found["n"], [1, 2])
    table = pd.DataFrame({"start_time": events})
    assert found.identical(compute_triggered_average(RUNNING, table, bin_edges=[-1.0, 0.0, 1.0]))
    none = compute_triggered_average(RUNNING, [], bin_edges=[0.0, 1.0])
    assert np.isnan(none["mean"]).all()
    assert none["n"].item() == 0
