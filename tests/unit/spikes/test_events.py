"""Counts around any events, in any bins, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import read_onsets
from spikehouse.lfp import align_lfp, compute_evoked_lfp
from spikehouse.plots import plot_population_psth, plot_raster
from spikehouse.spikes import align_spikes, compute_design_matrix, compute_time_domain, count_events

SPIKES = {7: np.array([0.9, 1.1, 1.2, 2.05, 2.9, 3.1]), 9: np.array([2.5])}
PULSES = pd.DataFrame(
    {"start_time": [3.0, 1.0], "stop_time": [3.5, 1.5], "level": 1.0},
    index=pd.Index(["late", "early"], name="pulse"),
)


def test_count_events__gaps_labels_and_bounds() -> None:
    counts = count_events(SPIKES, [9, 7], PULSES, [(-0.15, 0.0), (0.1, 0.2), (0.1, 0.25)])
    assert counts.dims == ("pulse", "time_relative_to_stimulus_onset", "unit_id")
    assert counts.sel(unit_id=7, pulse="late").values.tolist() == [1, 1, 1]
    assert counts.sel(unit_id=7, pulse="early").values.tolist() == [1, 1, 2]
    np.testing.assert_allclose(counts["window_stop"], [0.0, 0.2, 0.25])
    np.testing.assert_allclose(counts["time_relative_to_stimulus_onset"], [-0.075, 0.15, 0.175])


def test_count_events__bins_of_each_event() -> None:
    edges = pd.DataFrame([[0.0, 0.15, 0.3], [-0.2, 0.0, 0.1]], index=["early", "late"])
    counts = count_events(SPIKES, [7], PULSES, edges)
    assert counts.dims == ("pulse", "bin", "unit_id")
    assert counts.squeeze().values.tolist() == [[1, 0], [1, 1]]
    assert counts["window_start"].sel(pulse="early").values.tolist() == [0.0, 0.15]
    means = count_events(SPIKES, [7], PULSES, edges, mean=True)
    np.testing.assert_array_equal(means, counts.mean("pulse"))


def test_count_events__two_columns_are_intervals_unless_they_have_labels() -> None:
    bins = np.array([(-0.15, 0.0), (0.1, 0.25)])
    for events in ([3.0], [3.0, 1.0], [3.0, 1.0, 5.0]):
        found = count_events(SPIKES, [7], events, bins)
        assert found.shape == (len(events), 2, 1)
        assert found.values[0].ravel().tolist() == [1, 1]
    each = count_events(SPIKES, [7], [3.0, 1.0], bins[:, np.newaxis])
    assert each.values.ravel().tolist() == [1, 2]
    for labelled in (pd.DataFrame(bins), xr.DataArray(bins, dims=("trial", "edge"))):
        xr.testing.assert_equal(count_events(SPIKES, [7], [3.0, 1.0], labelled), each)


@pytest.mark.parametrize("name", ["unit_id", "spike_time", "bin", "time", "window_start"])
def test_name_events__a_name_that_a_result_has_already(name: str) -> None:
    events = PULSES.rename_axis(name)
    lfp = xr.DataArray(np.zeros((40, 1)), {"time": np.arange(40) / 10}, ("time", "unit_id"))
    calls: dict[str, Callable[[], object]] = {
        "unit_id spike_time": lambda: align_spikes(SPIKES, [7], events),
        "unit_id": lambda: compute_design_matrix(SPIKES, [7], events),
        "unit_id bin window_start": lambda: count_events(SPIKES, [7], events, [0.0, 0.1]),
        "unit_id time": lambda: align_lfp(lfp, events, window=(0.0, 0.2)),
    }
    for taken, call in calls.items():
        if name in taken.split():
            with pytest.raises(
                InvalidArgumentError,
                match=f"index of the events is called '{name}', as is .*events.rename_axis",
            ):
                call()
        else:
            call()


@pytest.mark.parametrize(
    ("bins", "message"),
    [
        (np.zeros((3, 4)), r"shape \(3, 4\), with 2 events; give edges"),
        (np.zeros((2, 0, 2)), r"shape \(2, 0, 2\)"),
        ([[0.2, 0.1]], r"bin at position 0 lasts from 0.2 to 0.1 s: .*\(1 of 1\)"),
        ([[[0, 0.1]], [[0, np.nan]]], r"event early lasts from 0 to nan s"),
        ([[[0, 1], [0, 1]], [[0, 1], [1, 0]]], r"event early has bin 1 from 1 to 0 s"),
        (pd.to_timedelta([0, 1], "s"), r"bins must be numbers, times \[s\], and not timedelta64"),
        ([0.0], "at least two edges"),
    ],
)
def test_count_events__bins_that_make_no_sense(bins: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        count_events(SPIKES, [7], PULSES, bins)


def test_count_events__no_events() -> None:
    assert count_events(SPIKES, [7], [], [(0.0, 0.1), (0.2, 0.3)]).shape == (0, 2, 1)
    with pytest.raises(InvalidArgumentError, match="no events to average over"):
        count_events(SPIKES, [7], [], [0.0, 0.1], mean=True)


def test_count_events__warns_of_overlaps() -> None:
    with pytest.warns(UserWarning, match="1 of 2 windows run into the next one, by up to 0.3 s"):
        count_events(SPIKES, [7], PULSES, [[(0.0, 0.1), (0.2, 2.5)]])


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (["1.0"], "onsets must be numbers, times .* not <U3: .'1.0'"),
        ([True], "not bool"),
        (pd.to_datetime(pd.Series(["2020-01-01"])), "not datetime64"),
        (pd.Series([1.0, pd.NA], [7, 8], dtype="Float64"), "1 of 2 onsets .* the first that of 8"),
        ([1.0, np.inf], "the first at position 1"),
        ([[1.0, 2.0]], r"onsets has shape \(1, 2\)"),
        (pd.DataFrame({"time": [1.0]}), r"a column start_time \[s\]; this one has time"),
        (pd.Series([1.0], pd.MultiIndex.from_tuples([(1, 2)])), "labels of 2 levels"),
    ],
)
def test_read_onsets__what_is_no_list_of_times_is_refused(events: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        compute_time_domain([0.0, 0.1], events)


def test_read_onsets__every_kind_of_events() -> None:
    labels = pd.Index([4, 5], name="stimulus_presentation_id")
    table = pd.DataFrame({"start_time": [3.0, 1.0]}, labels)
    for events in (
        table,
        table.reset_index(),
        table["start_time"],
        table["start_time"].to_xarray(),
    ):
        found = read_onsets(events)
        assert found.to_dict() == {4: 3.0, 5: 1.0}, events
    assert read_onsets([3, 1]).to_dict() == {0: 3.0, 1: 1.0}


def test_align_spikes__baseline_of_any_events() -> None:
    found = align_spikes(SPIKES, [7], PULSES, window=(-0.15, 0.15))
    assert found["pulse"].tolist() == ["early", "early", "late", "late"]
    since = found["time_since_stimulus_presentation_onset"]
    np.testing.assert_allclose(since, [-0.1, 0.1, -0.1, 0.1])
    ax = plot_raster(found)
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("2 pulse", "time from onset (s)")
    assert ax.get_xlim() == (-0.15, 0.15)
    each = align_spikes(SPIKES, [7], PULSES["start_time"], window=[(0, 0.2), (-0.2, 0)])
    assert each["pulse"].tolist() == ["early", "late"]
    assert each.attrs == {"window": (-0.2, 0.2)}
    silent = align_spikes(SPIKES, [9], [9.0], window=(0, 1))
    assert silent.columns.tolist() == [
        "onset", "unit_id", "time_since_stimulus_presentation_onset",
    ]  # fmt: skip
    assert plot_raster(silent).get_xlim() == (0.0, 1.0)
    assert align_spikes(SPIKES, [9], [], window=(0, 1)).attrs == {}


@pytest.mark.parametrize("labels", [[0.5, 1.5], [7, 8], ["a", "b"]])
def test_align_spikes__labels_are_those_of_count_events(labels: list[Any]) -> None:
    events = pd.Series([3.0, 1.0], labels)
    found = align_spikes(SPIKES, [7], events, window=(0.0, 0.15))
    assert found["onset"].tolist() == labels[::-1]
    counts = count_events(SPIKES, [7], events, [0.0, 0.15])
    assert counts["onset"].values.tolist() == labels


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (None, r"onsets alone do not say how long to look: give window="),
        ((0, 1, 2), r"window has the shape \(3,\).*each of the 1 events"),
        ((0.2, 0.1), r"event at position 0 lasts from 1.2 to 1.1 s"),
    ],
)
def test_align_spikes__window_that_makes_no_sense(window: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        align_spikes(SPIKES, [7], [1.0], window=window)


def test_lfp__takes_a_table_of_events() -> None:
    lfp = xr.DataArray(np.arange(80.0).reshape(40, 2), {"time": np.arange(40) / 10}, ("time", "x"))
    aligned = align_lfp(lfp, PULSES, window=(0.0, 0.2))
    assert aligned.sel(pulse="early")[:, 0].values.tolist() == [20.0, 22.0]
    evoked = compute_evoked_lfp(lfp, PULSES, window=(0.0, 0.2))
    np.testing.assert_array_equal(evoked["mean"], aligned.mean("pulse"))


def test_plot_population_psth__says_which_onset() -> None:
    mean = count_events(SPIKES, [7], PULSES, [0.0, 0.1, 0.2]).mean("pulse")
    assert plot_population_psth({"a": mean}).get_xlabel() == "time from onset (s)"
    shown = PULSES["start_time"].set_axis(pd.Index([3, 4], name="stimulus_presentation_id"))
    flashes = count_events(SPIKES, [7], shown, [0.0, 0.1, 0.2], mean=True)
    assert plot_population_psth({"a": flashes}).get_xlabel() == "time from stimulus onset (s)"
    both = plot_population_psth({"light": mean, "flashes": flashes})
    assert both.get_xlabel() == "time from onset (s)"


def test_plot_population_psth__bins_with_gaps_are_refused() -> None:
    counts = count_events(SPIKES, [7], PULSES, [[(-0.2, -0.1), (0.0, 0.1)]], mean=True)
    with pytest.raises(InvalidArgumentError, match=r"or have gaps: 0\.1 to 0\.2 s"):
        plot_population_psth({"a": counts})
