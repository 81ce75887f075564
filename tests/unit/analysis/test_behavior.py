"""Pupil and gaze without blinks, behavior by presentation, and states of the animal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from spikehouse import EcephysSession, compute_design_matrix
from spikehouse.analysis import (
    compute_eye_traces,
    compute_trace_means,
    find_states,
    label_presentations,
    summarize_behavior,
)
from spikehouse.demo import Survey
from spikehouse.errors import InvalidArgumentError, NotFoundError


@pytest.fixture
def session(session_path: Path) -> Iterator[EcephysSession]:
    with EcephysSession.from_nwb_path(session_path) as session:
        yield session


TIMES = np.arange(100) / 10


def make_pupil(**columns: object) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    usual = {
        "pupil_center_x": 300.0, "pupil_center_y": 250.0,
        "pupil_width": 60 + rng.uniform(-5, 5, 100), "pupil_height": 55 + rng.uniform(-5, 5, 100),
        "eye_width": 300 + rng.uniform(-9, 9, 100), "eye_height": 240 + rng.uniform(-9, 9, 100),
    }  # fmt: skip
    return pd.DataFrame(usual | columns, index=pd.Index(TIMES, name="Time (s)"))


def test_compute_eye_traces__missing_and_outlying_fits_are_blinks_with_two_frames_around() -> None:
    pupil = make_pupil()
    assert not compute_eye_traces(pupil)["is_blink"].any()
    pupil.iloc[0, 0] = np.nan  # a centre alone is no fit of an area
    pupil.iloc[20, 2] = np.nan
    pupil.iloc[50, 3] = 200.0
    pupil.iloc[[80, 99], 4] = 20.0
    found = compute_eye_traces(pupil)
    expected = [*range(18, 23), *range(48, 53), *range(78, 83), 97, 98, 99]
    assert np.flatnonzero(found["is_blink"]).tolist() == expected
    assert found.loc[found["is_blink"], "pupil_diameter"].isna().all()
    kept = ~found["is_blink"]
    np.testing.assert_array_equal(
        found["pupil_diameter"][kept], pupil[["pupil_width", "pupil_height"]].max(axis=1)[kept]
    )
    # without the eye's ellipse, as in a laboratory's own table
    alone = compute_eye_traces(pupil.drop(columns=["eye_width", "eye_height"]))
    assert np.flatnonzero(alone["is_blink"]).tolist() == expected[:10]
    # equal sizes are no outliers
    assert not compute_eye_traces(make_pupil(**dict.fromkeys(pupil, 1 / 3)))["is_blink"].any()
    empty = compute_eye_traces(pupil[:0])
    assert empty.empty
    assert empty["is_blink"].dtype == bool


def test_compute_eye_traces__takes_the_filtered_gaze_where_there_is_one() -> None:
    axes = {f"raw_screen_coordinates_spherical_{axis}_deg": n for n, axis in enumerate("xy")}
    gaze = pd.DataFrame(axes, index=TIMES)
    found = compute_eye_traces(make_pupil(), gaze)
    assert (found[["gaze_azimuth", "gaze_elevation"]] == [0, 1]).all(axis=None)
    better = gaze.assign(filtered_screen_coordinates_spherical_x_deg=7.0)
    assert (compute_eye_traces(make_pupil(), better)["gaze_azimuth"] == 7).all()
    with pytest.raises(InvalidArgumentError, match="labelled differently"):
        compute_eye_traces(make_pupil(), gaze.set_axis(TIMES + 0.05))


def test_summarize_behavior__of_the_demo(session: EcephysSession) -> None:
    scenes = session.get_stimulus_table("natural_scenes")
    found = summarize_behavior(session, scenes)
    assert found.index.equals(scenes.index)
    running, eye = session.running_speed, session.get_pupil_data()
    assert eye is not None
    start, stop = scenes[["start_time", "stop_time"]].iloc[3]
    inside = running[(running["start_time"] >= start) & (running["end_time"] < stop)]
    # whole samples; the mean also has the parts of the first and the last one
    assert found["running_speed"].iloc[3] == pytest.approx(inside["velocity"].mean(), abs=1.0)
    assert found["blink_fraction"].between(0, 1).all()
    is_open = found["blink_fraction"] == 0
    assert found.loc[is_open].notna().all(axis=None)
    assert found.loc[is_open, "pupil_diameter"].between(40, 120).all()
    assert len(summarize_behavior(session)) == len(session.stimulus_presentations)


def test_summarize_behavior__of_a_session_without_is_nan() -> None:
    shown = pd.DataFrame({"start_time": [0.0, 1], "stop_time": [1.0, 2], "stimulus_name": "a"})
    own = EcephysSession.from_arrays({1: [0.5, 1.5]}, presentations=shown)
    with pytest.warns(UserWarning, match="no running speed|no eye tracking") as caught:
        found = summarize_behavior(own)
    assert len(caught) == 2
    assert found.shape == (2, 7)
    assert found.isna().all(axis=None)


def test_find_states__has_hysteresis_and_drops_what_is_short() -> None:
    speed = pd.Series([0.7, 0.2, 0.9, 1.0, 0.6, 0.4, 3.0, 0.1, 0.1, 0.1], np.arange(10) / 2)
    found = find_states(speed, thresholds=[(0.5, 1.0)], names=("rest", "run"), min_duration=0.5)
    # 0.7 at first is in neither state; 0.6 still runs and 0.9 still rests
    expected = [
        (0.5, 1.5, "rest"), (1.5, 2.5, "run"), (2.5, 3.0, "rest"), (3.0, 3.5, "run"),
        (3.5, 5.0, "rest"),
    ]  # fmt: skip
    assert list(found.itertuples(index=False, name=None)) == expected
    table = pd.DataFrame({"start_time": speed.index, "velocity": speed.to_numpy()})
    longer = [row for row in expected if row[1] - row[0] >= 1]
    # the default written out has the same names
    for given in ({}, {"thresholds": [(0.5, 1.0)]}):
        assert list(find_states(table, **given).itertuples(index=False, name=None)) == longer
    assert set(find_states(table, quantiles=[0.5], min_duration=0)["state"]) == {"low", "high"}


def test_find_states__end_at_gaps_unknown_samples_and_invalid_times() -> None:
    speed = pd.Series(2.0, [*range(10), *range(20, 30)])
    speed.iloc[3] = np.nan
    speed.loc[21] = 0.7
    invalid = pd.DataFrame({"start_time": [6.5], "stop_time": [7.0]})
    found = find_states(speed, thresholds=[(0.5, 1.0)], invalid_times=invalid)
    bounds = found[["start_time", "stop_time"]].to_numpy().tolist()
    # the sample before a gap holds for two intervals
    assert bounds == [[0, 3], [4, 6], [7, 11], [20, 30]]
    endless = pd.DataFrame({"start_time": [6.5], "stop_time": [np.inf]})
    assert find_states(speed, thresholds=[1.5], invalid_times=endless)["stop_time"].max() == 6
    with pytest.raises(
        InvalidArgumentError, match=r"interval lasts from 6[.]5 to nan s: give the st"
    ):
        find_states(speed, thresholds=[1.5], invalid_times=endless.replace(np.inf, np.nan))
    speed.loc[20] = np.nan
    # what was before the gap is not remembered: 0.7 is in neither state
    again = find_states(speed, thresholds=[(0.5, 1.0)], invalid_times=invalid)
    assert again["start_time"].tolist() == [0, 4, 7, 22]


@pytest.mark.parametrize(("lasts", "n"), [(0.5, 1), (0.4, 4)])
def test_find_states__go_on_over_a_gap_as_long_as_a_usual_sample(lasts: float, n: int) -> None:
    start = np.arange(4.0)
    speed = pd.DataFrame({"start_time": start, "end_time": start + lasts, "velocity": 2.0})
    assert len(find_states(speed, min_duration=0)) == n


@pytest.mark.parametrize(
    ("values", "quantiles", "message"),
    [
        ([0.0] * 6 + [1, 2, 3, 4], [0.5], r"\[0.5\] of the trace are 0 and .* is 0.*is 'low'"),
        ([0.0, 1, 1, 1, 1, 2], [0.4, 0.6], r"are 1, 1 and its smallest value is 0.*is 'middle'"),
        ([3.0] * 9, [0.5], "are 3 and its smallest value is 3, so .*: many are equal. Give thresh"),
    ],
)
def test_find_states__a_state_of_quantiles_without_samples(
    values: list[float], quantiles: list[float], message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        find_states(pd.Series(values), quantiles=quantiles)


def test_find_states__of_quantiles_agree_with_a_trigger_in_a_loop() -> None:
    rng = np.random.default_rng(2)
    pupil = pd.Series(np.convolve(rng.normal(size=3000), np.ones(20) / 20, "same"), np.arange(3000))
    quantiles = [(0.25, 0.35), (0.6, 0.7)]
    found = find_states(pupil, quantiles=quantiles, min_duration=0)
    (low, high), (lower, upper) = np.quantile(pupil, quantiles)
    states: list[int | None] = []
    first = second = None
    for value in pupil:
        first = 1 if value >= high else 0 if value < low else first
        second = 1 if value >= upper else 0 if value < lower else second
        states.append(None if first is None or second is None else first + second)
    labels = np.full(3000, None)
    for start, stop, name in found.itertuples(index=False, name=None):
        labels[int(start) : int(stop)] = ("low", "middle", "high").index(name)
    assert labels.tolist() == states
    assert (found["start_time"].to_numpy()[1:] == found["stop_time"].to_numpy()[:-1]).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give thresholds or quantiles: without, only session.running_speed"),
        ({"thresholds": [1], "quantiles": [0.5]}, "thresholds or quantiles, not both"),
        ({"thresholds": [2, 1]}, r"thresholds is \[2, 1\]; give increasing numbers, or pairs"),
        ({"thresholds": [(1, 0.5)]}, "give increasing numbers, or pairs"),
        ({"quantiles": [0.5, 1.5]}, r"quantiles is \[0.5, 1.5\]; give fractions from 0 to 1"),
        ({"thresholds": (0.5, 1), "names": ("rest", "run")},
         r"2 thresholds separate 3 states, but names has \['rest', 'run'\].*is \[\(lower, upp"),
        ({"thresholds": [1], "min_duration": np.nan}, "min_duration is nan; give seconds"),
    ],
)  # fmt: skip
def test_find_states__says_what_is_valid(given: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        find_states(pd.Series([1.0, 2.0], [0.0, 1.0]), **given)
    with pytest.raises(InvalidArgumentError, match="no valid sample, and so no quantiles"):
        find_states(pd.Series([np.nan], [0.0]), quantiles=[0.5])


def test_label_presentations__are_within_one_state() -> None:
    states = pd.DataFrame(
        {"start_time": [5.0, 0, 7], "stop_time": [7.0, 5, 9], "state": ["run", "rest", "run"]}
    )
    shown = pd.DataFrame(
        {"start_time": [0.0, 4.5, 4.9, 6, 8.9, 20], "stop_time": [5.0, 5.5, 5.9, 8, 9.9, 21]},
        index=range(30, 36),
    )
    found = label_presentations(shown, states)
    assert found.index.equals(shown.index)
    # two intervals of one state that touch are one
    assert found.dropna().to_dict() == {30: "rest", 33: "run"}
    most = label_presentations(shown, states, min_overlap=0.8)
    assert most.dropna().to_dict() == {30: "rest", 32: "run", 33: "run"}
    # as a coordinate, for which xarray refuses the strings of pandas 3
    numbers = xr.DataArray(np.arange(6.0), {"shown": found.index.to_numpy()}, ("shown",))
    means = numbers.assign_coords(state=("shown", most)).groupby("state").mean()
    assert means.to_series().to_dict() == {"rest": 0.0, "run": 2.5}
    with pytest.raises(InvalidArgumentError, match=r"min_overlap is 0.5; give a part above 0.5"):
        label_presentations(shown, states, min_overlap=0.5)
    # rounding is allowed for, but half is not more than half
    with pytest.raises(InvalidArgumentError, match=r"min_overlap is 0.5000000001; give a part ab"):
        label_presentations(shown, states, min_overlap=0.5 + 1e-10)
    both = pd.DataFrame({"start_time": [0.0, 1], "stop_time": [5.0, 6], "state": ["a", "b"]})
    for given in (both, both[::-1], both.assign(state="b")):
        with pytest.raises(
            InvalidArgumentError, match=r"states '[ab]' and 'b' overlap from 1 s on; a time is in"
        ):
            label_presentations(shown, given)


def test_analyze__of_some_presentations(session: EcephysSession) -> None:
    some = session.stimulus_presentations.index[::2]
    with pytest.warns(UserWarning, match="2 of 11 conditions of natural_scenes are not among"):
        found = session.analyze("natural_scenes", stimulus_presentation_ids=some)
    scenes = session.get_stimulus_table("natural_scenes")
    counts = session.get_responses("natural_scenes", 0.25)
    is_in = scenes.index.isin(some)
    rates = (
        pd.DataFrame(counts.shown_counts[is_in]).groupby(scenes["frame"].to_numpy()[is_in]).mean()
    )
    best = rates.drop(-1, errors="ignore").max().to_numpy()
    chosen = rates.to_numpy()[
        rates.index.get_indexer(found["pref_image_ns"]), np.arange(len(found))
    ]
    np.testing.assert_allclose(chosen, best)
    with pytest.warns(UserWarning, match="2 of 11"):
        same = session.analyze(stimulus_presentation_ids=some[some.isin(scenes.index)])
    pd.testing.assert_frame_equal(same, found)
    flashes = session.get_stimulus_table("flashes").index
    session.analyze("flashes", stimulus_presentation_ids=flashes[:-1])  # nothing to warn of
    with pytest.raises(NotFoundError, match=r"no presentations of natural_scenes.*'flashes'"):
        session.analyze("natural_scenes", stimulus_presentation_ids=flashes)
    with pytest.raises(InvalidArgumentError, match="none of the 8 stimulus_presentation_ids is of"):
        session.get_responses("natural_scenes", 0.25, stimulus_presentation_ids=flashes)


def test_states__show_the_planted_change_of_rate_with_running(small_survey: Survey) -> None:
    with EcephysSession.from_nwb_path(small_survey.session_file(900000001)) as session:
        shown = session.get_stimulus_table(["static_gratings", "natural_scenes"])
        state = label_presentations(shown, find_states(session.running_speed))
        counts = compute_design_matrix(session, session.units.index, shown).to_pandas()
        speed = compute_trace_means(session.running_speed, shown)
        spread = session.running_speed["velocity"].clip(lower=0).std()
        truth = small_survey.truth(900000001).loc[counts.columns, "running_gain"]
    rates, speeds = (table.groupby(state).mean().loc[["rest", "run"]] for table in (counts, speed))
    # planted: the change of the log rate per standard deviation of the speed
    gain = np.log(rates.loc["run"] / rates.loc["rest"]) / (speeds["run"] - speeds["rest"]) * spread
    is_known = counts.sum() > 200
    assert is_known.sum() > 30
    assert gain[is_known].corr(truth[is_known]) > 0.8
    assert (gain - truth)[is_known].abs().median() < 0.1
