"""Showings of a movie, with gaps, and how reliable the responses to them are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spikehouse.analysis.images import (
    compute_natural_movies_metrics,
    movie_reliability,
    movie_repeats,
)
from spikehouse.analysis.inputs import StimulusResponses
from spikehouse.session import EcephysSession

FRAME = 1 / 30


def make_movie(frames, spikes):
    start = 5 + FRAME * np.arange(len(frames))
    presentations = pd.DataFrame(
        {
            "start_time": start,
            "stop_time": start + FRAME,
            "frame": np.asarray(frames, float),
            "stimulus_condition_id": np.asarray(frames, int) + 300,
        }
    )
    spikes = {unit: np.sort(np.asarray(times, float)) for unit, times in spikes.items()}
    return StimulusResponses("natural_movie_one", presentations, list(spikes), spikes, FRAME)


def test_movie_repeats__in_order():
    np.testing.assert_array_equal(movie_repeats([0, 1, 2, 0, 1, 2]), [[0, 1, 2], [3, 4, 5]])


def test_movie_repeats__shuffled_showings_are_aligned_by_frame():
    np.testing.assert_array_equal(movie_repeats([2, 0, 1, 1, 2, 0]), [[0, 1, 2], [4, 5, 3]])


def test_movie_repeats__leaves_out_showings_that_lack_a_frame():
    rows = movie_repeats([0, 1, 2, 0, 2, 0, 1, 2, 1, 2])
    np.testing.assert_array_equal(rows, [[0, 1, 2], [5, 6, 7]])


def test_movie_repeats__nothing_shown_or_nothing_complete():
    assert movie_repeats([]).shape == (0, 0)
    assert movie_repeats([0, 1, 0, 2, 0]).shape == (0, 3)


def test_movie_reliability__same_spikes_in_every_showing(rng):
    once = rng.uniform(0, 60 * FRAME, 20)
    spikes = {1: np.concatenate([5 + once + k * 60 * FRAME for k in range(4)])}
    spikes[2] = rng.uniform(5, 5 + 240 * FRAME, 80)
    spikes[3] = []
    answer = movie_reliability(make_movie(list(range(60)) * 4, spikes), sigma=0.05)
    assert answer[0] > 0.95
    assert abs(answer[1]) < 0.2
    assert np.isnan(answer[2])


def test_movie_reliability__does_not_depend_on_how_many_units_are_done_at_once(rng, monkeypatch):
    spikes = {u: rng.uniform(5, 9, 30) for u in range(7)}
    responses = make_movie(list(range(30)) * 4, spikes)
    whole = movie_reliability(responses)
    monkeypatch.setattr("spikehouse.analysis.images.N_UNITS_AT_ONCE", 3)
    np.testing.assert_array_equal(movie_reliability(responses), whole)


def test_movie_reliability__frames_in_another_order_each_time(rng):
    # a spike in every frame below 10, one frame later, in showings shuffled anew
    frames = np.concatenate([rng.permutation(40) for _ in range(5)])
    spikes = {1: 5 + FRAME * (np.flatnonzero(frames < 10) + 1.5)}
    responses = make_movie(frames, spikes)
    assert movie_reliability(responses, delay=FRAME) == pytest.approx(1.0)
    assert abs(movie_reliability(responses)) < 0.2


def test_movie_reliability__one_showing_is_undefined():
    assert np.isnan(movie_reliability(make_movie(range(30), {1: [5.1, 5.2]}))).all()


def test_compute_natural_movies_metrics__columns():
    table = compute_natural_movies_metrics(make_movie([0, 1, 0, 1], {1: [5.01, 5.08], 2: []}))
    names = ["fano", "firing_rate", "lifetime_sparseness", "run_pval", "run_mod", "reliability"]
    assert list(table.columns) == [f"{name}_nm" for name in names]
    assert (table.dtypes == np.float64).all()
    assert table.loc[1, "lifetime_sparseness_nm"] == pytest.approx(1.0)
    assert table.loc[1, "firing_rate_nm"] == pytest.approx(2 / (4 * FRAME))
    assert table.loc[2, "firing_rate_nm"] == 0
    assert table.loc[2].drop("firing_rate_nm").isna().all()


def test_compute_natural_movies_metrics__own_suffix():
    table = compute_natural_movies_metrics(make_movie([0, 1], {1: [5.01]}), suffix="nm3")
    assert table.columns[0] == "fano_nm3"


def test_compute_natural_movies_metrics__visual_demo_neurons_are_the_reliable_ones(small_survey):
    session_id = small_survey.session_ids[0]
    session = EcephysSession.from_nwb_path(small_survey.session_file(session_id))
    is_visual = (
        small_survey.truth(session_id).loc[session.units.index, "is_visual"].to_numpy(dtype=bool)
    )
    responses = StimulusResponses(
        "natural_movie_one",
        session.get_stimulus_table("natural_movie_one", missing="nan"),
        session.units.index.tolist(),
        session.spike_times,
        FRAME,
        session.running_speed,
    )
    found = compute_natural_movies_metrics(responses)["reliability_nm"].to_numpy()
    assert np.nanmedian(found[is_visual]) > np.nanmedian(found[~is_visual]) + 0.05
