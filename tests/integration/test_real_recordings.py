"""Orientation is decoded from real recordings, as well as scikit-learn by itself does it."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from spikehouse.decoding import decode

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorials" / "decode-orientation.md"
N_TRIALS, N_NEURONS, N_SPIKES = 200, 1000, 153_635


@pytest.fixture(scope="module")
def recordings(shared_folder):
    """Give the folder, the counts (trials × neurons) and the orientations (°)."""
    folder = shared_folder / "data" / "real"
    bounds = np.load(folder / "ii_spike_times.npy")
    return folder, bounds[..., 1] - bounds[..., 0], np.load(folder / "stim_label.npy")


def mean_over_draws(design, orientation, n_neurons):
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    draws = [np.random.default_rng(seed).choice(N_NEURONS, n_neurons, False) for seed in range(10)]
    return np.mean([decode(design[:, d], orientation, cv=folds).mean_accuracy for d in draws])


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


def test_decode__shuffled_labels_are_at_chance(recordings, rng):
    _, design, orientation = recordings
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    means = [decode(design, rng.permutation(orientation), cv=folds).mean_accuracy for _ in range(8)]
    assert np.mean(means) == pytest.approx(0.25, abs=0.05)


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
    assert len(blocks) >= 10
    assert (tmp_path / "confusion.png").exists()
