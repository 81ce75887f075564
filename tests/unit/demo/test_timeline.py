"""The order of things: the full session has the published timeline."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from spikehouse.demo.plan import draw_plan
from spikehouse.demo.sessions import SIZES
from spikehouse.demo.timeline import make_timeline

FULL = {
    "gabors": 3645,
    "flashes": 150,
    "drifting_gratings": 630,
    "natural_movie_three": 36000,
    "natural_movie_one": 18000,
    "static_gratings": 6000,
    "natural_scenes": 5950,
}


@pytest.fixture(scope="module")
def full():
    return make_timeline(draw_plan(1, 900000001, SIZES["full"]))


def test_make_timeline__full_session_has_the_published_presentations(full):
    shown = full.presentations
    counts = shown["name"].value_counts()
    assert {name: counts[name] for name in FULL} == FULL
    assert 70_350 < len(shown) < 70_450
    flashes = shown.index[shown["name"] == "flashes"]
    assert (flashes[0], flashes[-1]) == (3647, 3796)
    assert shown.index[shown["name"] == "gabors"][0] == 1
    assert 2.4 * 3600 < full.duration_s < 2.8 * 3600


def test_make_timeline__conditions_are_balanced(full):
    frame = full.sequences["natural_scenes"].columns["frame"]
    numbers, counts = np.unique(frame, return_counts=True)
    assert numbers.tolist() == list(range(-1, 118))
    assert set(counts) == {50}
    gabors = full.sequences["gabors"].shown
    places = np.unique(np.column_stack(list(gabors.values())), axis=0, return_counts=True)
    assert len(places[0]) == 243
    assert set(places[1]) == {15}
    gratings = full.sequences["drifting_gratings"]
    assert np.isnan(gratings.shown["direction"]).sum() == 30
    assert (gratings.columns["spatial_frequency"] == "N/A").sum() == 30


def test_make_timeline__functional_connectivity_has_its_own_stimuli():
    timeline = make_timeline(draw_plan(1, 900000009, SIZES["full"]))
    counts = timeline.presentations["name"].value_counts()
    assert counts["drifting_gratings_75_repeats"] == 600
    assert counts["natural_movie_one_more_repeats"] == 54_000
    assert counts["dot_motion"] == 495
    assert counts["drifting_gratings_contrast"] == 540
    assert "natural_scenes" not in counts


@pytest.mark.parametrize(
    ("size", "session_id"), list(itertools.product(SIZES, [900000001, 900000006, 900000012]))
)
def test_make_timeline__time_goes_forward(size, session_id):
    timeline = make_timeline(draw_plan(1, session_id, SIZES[size]))
    shown = timeline.presentations
    start, stop = shown["start_time"].to_numpy(), shown["stop_time"].to_numpy()
    assert (stop > start).all()
    assert (start[1:] >= stop[:-1] - 1e-9).all()
    laser = timeline.laser
    assert laser["start_time"].iloc[0] > stop[-1]
    assert (laser["start_time"].to_numpy()[1:] > laser["stop_time"].to_numpy()[:-1]).all()
    assert laser["stop_time"].iloc[-1] < timeline.duration_s
