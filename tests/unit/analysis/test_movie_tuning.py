"""Tuning to a movie: hand-made repeats, a unit of bursts, and a simulated session."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spikehouse import EcephysSession
from spikehouse.analysis import StimulusResponses, compute_movie_tuning
from spikehouse.errors import InvalidArgumentError

N_FRAMES, N_REPEATS = 90, 30


def show(counts, frames=None):
    """Show a movie; counts are (n_repeats × n_frames, n_units), frames their numbers."""
    n = len(counts)
    frames = np.tile(np.arange(N_FRAMES), n // N_FRAMES) if frames is None else frames
    table = pd.DataFrame(
        {"start_time": np.arange(n) / 30, "stop_time": (np.arange(n) + 1) / 30},
        index=pd.RangeIndex(n, name="stimulus_presentation_id"),
    )
    table["stimulus_condition_id"] = frames
    return StimulusResponses.from_counts(counts, table, np.arange(counts.shape[1]) + 7)


def test_compute_movie_tuning__sparsity_and_rate_are_those_by_hand():
    counts = np.zeros((3 * N_FRAMES, 2), dtype=int)
    counts[[4, 4 + N_FRAMES, 5 + 2 * N_FRAMES], 0] = 2, 1, 1
    counts[:, 1] = 1
    table = compute_movie_tuning(show(counts))
    assert table.index.tolist() == [7, 8]
    # three spikes in one frame and one in another: (Σr)² / (n Σr²) = 16 / (90 · 10)
    expected = (1 - 16 / (N_FRAMES * 10)) / (1 - 1 / N_FRAMES)
    np.testing.assert_allclose(table["sparsity"], [expected, 0.0], atol=1e-12)
    np.testing.assert_allclose(table["firing_rate"], [4 / 9, 30.0])
    # a constant response is as sparse in every shift
    assert np.isnan(table["z_score"].iloc[1])
    assert table["is_tuned"].tolist() == [True, False]


def test_compute_movie_tuning__is_that_of_rolled_repeats(rng):
    counts = rng.poisson(0.3, (N_REPEATS * N_FRAMES, 3))
    table = compute_movie_tuning(show(counts), n_resamples=20, seed=5)
    shifts = np.random.default_rng(5).integers(0, N_FRAMES, (20, N_REPEATS))

    def sparsity(curve):
        return (1 - curve.mean() ** 2 / (curve**2).mean()) / (1 - 1 / N_FRAMES)

    for unit, own in enumerate(counts.T):
        repeats = own.reshape(N_REPEATS, N_FRAMES)
        null = [
            sparsity(np.sum([np.roll(r, s) for r, s in zip(repeats, shift, strict=True)], axis=0))
            for shift in shifts
        ]
        z = (sparsity(repeats.sum(axis=0)) - np.mean(null)) / np.std(null)
        np.testing.assert_allclose(table["z_score"].iloc[unit], z)


def test_compute_movie_tuning__calls_few_units_without_tuning_tuned(rng):
    # slow changes and bursts of their own, which repeats do not share
    gain = np.exp(np.repeat(rng.normal(0, 1, (N_REPEATS * N_FRAMES // 15, 200)), 15, axis=0))
    table = compute_movie_tuning(show(rng.poisson(0.1 * gain)))
    assert table["is_tuned"].mean() < 0.06
    assert abs(table["z_score"].mean()) < 0.2
    assert 0.85 < table["z_score"].std() < 1.15


def test_compute_movie_tuning__finds_units_that_prefer_some_frames_in_any_order(rng):
    order = np.concatenate([rng.permutation(N_FRAMES) for _ in range(N_REPEATS)])
    prefer = np.where(order < 10, 1.0, 0.1)[:, None]
    counts = rng.poisson(np.tile(prefer, 40))
    assert compute_movie_tuning(show(counts, order))["is_tuned"].all()
    # the same spikes against the frames of one order are no tuning
    assert compute_movie_tuning(show(counts))["is_tuned"].mean() < 0.15


def test_compute_movie_tuning__does_not_depend_on_other_units(rng):
    counts = rng.poisson(0.3, (N_REPEATS * N_FRAMES, 4))
    whole = compute_movie_tuning(show(counts))
    np.testing.assert_array_equal(compute_movie_tuning(show(counts[:, :1])), whole.iloc[:1])


def test_compute_movie_tuning__needs_two_repeats_and_spikes():
    counts = np.zeros((2 * N_FRAMES, 2), dtype=int)
    counts[3, 0] = 1
    silent = compute_movie_tuning(show(counts)).iloc[1]
    assert np.isnan(silent["sparsity"])
    assert not silent["is_tuned"]
    once = compute_movie_tuning(show(counts[:N_FRAMES]))
    assert once[["sparsity", "z_score"]].isna().all(axis=None)
    assert not once["is_tuned"].any()


def test_compute_movie_tuning__finds_the_visual_units_of_the_demo(small_survey):
    session = EcephysSession.from_nwb_path(small_survey.session_file(900000009))
    responses = session.get_responses("natural_movie_one_more_repeats", 1 / 30)
    table = compute_movie_tuning(responses).join(small_survey.truth(900000009)["is_visual"])
    tuned = table[table["firing_rate"] > 1].groupby("is_visual")["is_tuned"].mean()
    assert tuned[True] > 0.7
    assert tuned[False] < 0.25
    # its scrambled frames come in another order in every repeat: responses come later than frames
    scrambled = session.get_responses("natural_movie_one_shuffled", 1 / 30)
    now, later = (compute_movie_tuning(scrambled, delay=d)["is_tuned"].sum() for d in (0.0, 0.05))
    assert later > 3 * now


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_resamples": 1}, "n_resamples is 1; a standard deviation needs 2 or more"),
        ({"delay": np.nan}, "delay is nan; give a time"),
    ],
)
def test_compute_movie_tuning__says_what_is_wrong(options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        compute_movie_tuning(show(np.ones((2 * N_FRAMES, 1), dtype=int)), **options)


def test_compute_movie_tuning__of_a_session_says_what_it_needs() -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"give a StimulusResponses, such as session\.get"
    ):
        compute_movie_tuning({7: np.arange(3.0)})  # type: ignore[arg-type]
