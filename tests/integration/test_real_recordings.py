"""Orientation is decoded from real recordings, as well as scikit-learn by itself does it."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedKFold

from spikehouse.decoding import (
    decode,
    decode_against_chance,
    decode_by_area,
    decode_by_unit_count,
    decode_over_time,
)
from spikehouse.session import EcephysSession
from spikehouse.spikes import compute_design_matrix

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorials" / "decode-orientation.md"
N_TRIALS, N_NEURONS, N_SPIKES = 200, 1000, 153_635


@pytest.fixture(scope="module")
def recordings(shared_folder):
    """Give the folder, the counts (trials × neurons) and the orientations (°)."""
    folder = shared_folder / "data" / "real"
    bounds = np.load(folder / "ii_spike_times.npy")
    return folder, bounds[..., 1] - bounds[..., 0], np.load(folder / "stim_label.npy")


def mean_over_draws(design, orientation, n_neurons, estimator=None):
    draws = [np.random.default_rng(seed).choice(N_NEURONS, n_neurons, False) for seed in range(10)]
    means = [
        decode(design[:, d], orientation, cv="stratified", estimator=estimator).mean_accuracy
        for d in draws
    ]
    return np.mean(means)


def test_counts__no_spike_is_lost_or_invented(recordings):
    folder, design, orientation = recordings
    times = np.load(folder / "spike_times.npy")
    bounds = np.load(folder / "ii_spike_times.npy")
    assert design.shape == (N_TRIALS, N_NEURONS)
    assert design.sum() == len(times) == N_SPIKES
    # the pieces follow one another without gap or overlap
    flat = bounds.reshape(-1, 2)
    np.testing.assert_array_equal(flat[1:, 0], flat[:-1, 1])
    assert np.unique(orientation, return_counts=True)[1].tolist() == [50] * 4


def test_decode__all_neurons_in_the_order_of_the_trials(recordings):
    _, design, orientation = recordings
    result = decode(design, orientation)
    assert result.mean_accuracy == pytest.approx(0.965, abs=5e-4)
    assert result.chance == 0.25
    assert result.confusion.sum() == N_TRIALS


def test_decode__all_neurons_mixed(recordings):
    _, design, orientation = recordings
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    assert decode(design, orientation, cv=folds).mean_accuracy == 1.0


@pytest.mark.parametrize(("n_neurons", "expected"), [(93, 0.92), (30, 0.79), (10, 0.51)])
def test_decode__fewer_neurons_tell_less(recordings, n_neurons, expected):
    _, design, orientation = recordings
    assert mean_over_draws(design, orientation, n_neurons) == pytest.approx(expected, abs=0.05)


NAMES = ["linear-svc", "lda", "ridge", "poisson-naive-bayes"]


@pytest.mark.parametrize("name", NAMES)
def test_decode__every_estimator_tells_all_orientations_from_all_neurons(recordings, name):
    _, design, orientation = recordings
    result = decode(design, orientation, cv="stratified", estimator=name)
    assert result.mean_accuracy == 1.0
    assert result.notes == ("10 of 1000 units are constant (10 silent): they carry no information",)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("n_neurons", "expected"), [(93, 0.92), (30, 0.79), (10, 0.51)])
def test_decode__every_estimator_does_about_as_well_as_the_svc(
    recordings, name, n_neurons, expected
):
    _, design, orientation = recordings
    found = mean_over_draws(design, orientation, n_neurons, name)
    assert found == pytest.approx(expected, abs=0.06)


def test_decode_by_unit_count__meets_the_reference(recordings):
    _, design, orientation = recordings
    curve = decode_by_unit_count(design, orientation, n_units=[10, 30, 93], cv="stratified")
    np.testing.assert_allclose(curve.mean("draw"), [0.51, 0.79, 0.92], atol=0.06)


@pytest.mark.parametrize("estimator", ["svc", "poisson-naive-bayes"])
def test_decode_against_chance__shuffled_labels_are_at_chance(recordings, estimator):
    _, design, orientation = recordings
    result = decode_against_chance(
        design[:, :93], orientation, n_resamples=39, cv="stratified", estimator=estimator
    )
    assert result.chance == pytest.approx(0.25, abs=0.03)
    assert result.p_value == 1 / 40


def test_decode_over_time__nothing_is_told_at_the_start_of_the_window(recordings):
    folder, design, orientation = recordings
    times = np.load(folder / "spike_times.npy")
    absolute = np.repeat(np.arange(N_TRIALS), design.sum(axis=1)) + times
    neuron = np.repeat(np.tile(np.arange(N_NEURONS), N_TRIALS), design.ravel())
    order = np.lexsort((absolute, neuron))
    bounds = np.cumsum(np.bincount(neuron, minlength=N_NEURONS))[:-1]
    by_neuron = dict(enumerate(np.split(absolute[order], bounds)))
    trials = pd.DataFrame({"start_time": np.arange(float(N_TRIALS)), "orientation": orientation})
    curve = decode_over_time(
        by_neuron, list(by_neuron), trials, "orientation",
        windows=[(0, 0.03), (0.05, 0.1), (0, 0.2)], cv="stratified",
    )  # fmt: skip
    early, late, whole = curve.mean("fold").to_numpy()
    assert early < 0.4
    assert late > 0.97
    # no spike is lost between the windows and the trials
    assert whole == decode(design, orientation, cv="stratified").mean_accuracy


def test_decode__images_from_a_session_by_blocks_and_areas(shared_session_path):
    session = EcephysSession.from_nwb_path(shared_session_path)
    scenes = session.get_stimulus_table("natural_scenes")
    with pytest.warns(UserWarning, match="spikes are missing or wrong in some intervals"):
        design = compute_design_matrix(session, session.units.index.to_numpy(), scenes)
    blocks = scenes["stimulus_block"]
    options = {"estimator": "poisson-naive-bayes", "cv": "blocked", "groups": blocks}
    result = decode(design, scenes["frame"], **options)
    assert len(result.accuracies) == blocks.nunique() == 3
    for _, tested in result.predictions.groupby("fold"):
        assert blocks.loc[tested.index].nunique() == 1
    assert result.mean_accuracy > 4 * result.chance
    areas = decode_by_area(design, scenes["frame"], session.units, min_units=5, **options)
    assert areas.area.to_numpy().tolist() == ["CA1", "CA3", "VISl", "VISp"]
    assert areas.attrs["n_units"] == 5


# ---- the same of a simulated session, which is always at hand


@pytest.fixture(scope="module")
def gratings(small_survey):
    """Return a session, its drifting gratings and their design."""
    session = EcephysSession.from_nwb_path(small_survey.session_file(900000001))
    table = session.get_stimulus_table("drifting_gratings", missing="nan")
    table = table.dropna(subset="orientation")
    return session, table, compute_design_matrix(session, session.units.index.to_numpy(), table)


@pytest.mark.parametrize("name", ["svc", *NAMES])
def test_decode__every_estimator_tells_simulated_gratings(gratings, name):
    _, table, design = gratings
    result = decode(design, table["orientation"], cv="stratified", estimator=name)
    assert result.chance == 1 / 8
    assert result.mean_accuracy > 1.6 * result.chance


def test_decode__simulated_gratings_by_blocks_areas_counts_and_time(gratings):
    session, table, design = gratings
    targets, options = table["orientation"], {"estimator": "poisson-naive-bayes"}
    blocks = table["stimulus_block"]
    result = decode(design, targets, cv="blocked", groups=blocks, **options)
    assert len(result.accuracies) == blocks.nunique() == 3
    for _, tested in result.predictions.groupby("fold"):
        assert blocks.loc[tested.index].nunique() == 1
    options["cv"] = "stratified"
    areas = decode_by_area(design, targets, session.units, min_units=4, **options)
    assert areas.area.to_numpy().tolist() == ["LGd", "VISl", "VISp"]
    curve = decode_by_unit_count(design, targets, n_units=[3, 40], **options)
    assert np.diff(curve.mean("draw"))[0] > 0.05
    tested = decode_against_chance(design, targets, n_resamples=19, **options)
    assert tested.p_value == 1 / 20
    before, during = decode_over_time(
        session, design.unit_id.to_numpy(), table, "orientation", windows=[(-0.2, 0), (0, 2)],
        **options,
    ).mean("fold").to_numpy()  # fmt: skip
    assert before < 0.18
    # gratings last a few milliseconds longer than the window: a presentation or two differ
    assert abs(during - decode(design, targets, **options).mean_accuracy) < 2.5 / len(targets)


def test_tutorial__prints_what_it_says(recordings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    namespace = {"folder": recordings[0]}
    blocks = re.findall(r"```(python|text)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    printed = ""
    for language, text in blocks:
        if language == "text":
            assert printed == text
            continue
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(text, namespace)
        printed = output.getvalue()
    assert len(blocks) >= 20
    assert (tmp_path / "confusion.png").exists()
    assert (tmp_path / "by_count.png").exists()
