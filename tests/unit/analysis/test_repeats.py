from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spikehouse.analysis import compute_representational_drift, compute_split_half_reliability
from spikehouse.errors import InvalidArgumentError


def draw_repeats(rng, *, n_repeats=6, n_conditions=5, n_units=7, change=0.0, noise=1.0):
    """Draw responses (n_repeats, n_conditions, n_units) whose means walk from repeat to repeat."""
    steps = rng.normal(0, change, (n_repeats, n_conditions, n_units)).cumsum(axis=0)
    means = rng.normal(0, 1, (n_conditions, n_units)) + steps
    return means + rng.normal(0, noise, means.shape)


def as_rows(values):
    n_repeats, n_conditions, n_units = values.shape
    return values.reshape(-1, n_units), np.tile(np.arange(n_conditions), n_repeats)


def test_drift__is_what_each_pair_of_repeats_gives(rng):
    values = draw_repeats(rng, change=0.3)
    counts, conditions = as_rows(values)
    blocks = np.repeat([8, 8, 8, 5, 5, 5], 5)
    drift = compute_representational_drift(
        counts, conditions, blocks=blocks, times=np.arange(30) * 2.0
    )
    assert len(drift) == 15
    for row in drift.itertuples():
        a, b = values[row.repeat], values[row.other_repeat]
        vectors = [np.corrcoef(a[k], b[k])[0, 1] for k in range(5)]
        curves = [np.corrcoef(a[:, k], b[:, k])[0, 1] for k in range(7)]
        assert row.population_vector == pytest.approx(np.mean(vectors))
        assert row.tuning_curve == pytest.approx(np.mean(curves))
        assert row.ensemble_rate == pytest.approx(np.corrcoef(a.mean(0), b.mean(0))[0, 1])
        assert row.lag_s == row.lag * 10.0
        assert row.is_same_block == ((row.repeat < 3) == (row.other_repeat < 3))


def test_drift__falls_with_the_lag_where_responses_change_and_only_there(rng):
    def slope(change):
        counts, conditions = as_rows(
            draw_repeats(rng, n_repeats=12, n_units=60, n_conditions=10, change=change)
        )
        drift = compute_representational_drift(counts, conditions)
        by_lag = drift.groupby("lag")["population_vector"].mean()
        return by_lag[9] - by_lag[1]

    assert slope(0.5) < -0.2
    # standard deviation of 30 such sets: 0.015
    assert slope(0.0) == pytest.approx(0, abs=0.06)


def test_drift__of_rates_alone_leaves_tuning_curves(rng):
    values = np.tile(rng.uniform(1, 9, (1, 8, 30)), (4, 1, 1))
    values *= np.exp(rng.normal(0, 0.7, (4, 1, 30)).cumsum(axis=0))
    last = compute_representational_drift(*as_rows(values)).query("lag == 3").iloc[0]
    assert last["tuning_curve"] == pytest.approx(1)
    assert last["population_vector"] < 0.9
    assert last["ensemble_rate"] < 0.9


def test_drift__repeats_by_number_are_averaged_and_incomplete_ones_left_out():
    frames = [[1, 5], [3, 7], [8, 0], [2, 9], [7, 1], [6, 2]]
    drift = compute_representational_drift(
        frames, list("aabaab"), repeats=[1, 1, 1, 2, 2, 2], blocks=[3] * 6
    )
    by_hand = compute_representational_drift([[2, 6], [8, 0], [4.5, 5], [6, 2]], list("abab"))
    np.testing.assert_allclose(drift.to_numpy(float), by_hand.to_numpy(float))
    # the third showing stopped after its first frame
    assert len(compute_representational_drift([[1, 2]] * 5, list("ababa"))) == 1
    with pytest.raises(InvalidArgumentError, match="1 of the 2 repeats have all 2 conditions, and"):
        compute_representational_drift([[1, 2]] * 3, list("aba"))


def test_reliability__is_that_of_random_halves(rng):
    counts, conditions = as_rows(draw_repeats(rng, n_repeats=5, n_units=3))
    counts[:, 2] = 4.0
    found = compute_split_half_reliability(counts, conditions, n_splits=4000, n_resamples=1)
    values = counts.reshape(5, 5, 3)
    # every way to leave one out and halve the other four
    halves = [
        ((a, b), [k for k in range(5) if k not in (a, b, left)])
        for left in range(5) for a in range(5) for b in range(a) if left not in (a, b)
    ]  # fmt: skip
    for unit in range(2):
        expected = np.mean(
            [
                np.corrcoef(values[list(a), :, unit].mean(0), values[b, :, unit].mean(0))[0, 1]
                for a, b in halves
            ]
        )
        assert found["split_half"][unit] == pytest.approx(expected, abs=0.02)
    np.testing.assert_allclose(
        found["reliability"][:2],
        2.5 * found["split_half"][:2] / (1 + 1.5 * found["split_half"][:2]),
    )
    assert found.loc[2].isna().all()


@pytest.mark.parametrize(("n_repeats", "half"), [(8, 4), (3, 1)])
def test_reliability__of_all_repeats_is_that_of_as_many_others(rng, n_repeats, half):
    # signal and noise of one repeat have the variance 1: correlations n / (n + 1)
    values = draw_repeats(rng, n_repeats=n_repeats, n_conditions=400, n_units=10)
    found = compute_split_half_reliability(*as_rows(values), n_resamples=1).mean()
    # standard error of the mean of 10 units: 0.004 and, of three repeats, 0.01
    assert found["split_half"] == pytest.approx(half / (half + 1), abs=0.03)
    assert found["reliability"] == pytest.approx(n_repeats / (n_repeats + 1), abs=0.03)


def test_reliability__chance_is_that_of_shifted_repeats(rng):
    # slow responses that repeats do not share: neighbouring conditions are alike, halves are not
    noise = rng.normal(0, 1, (300, 10, 24))
    slow = sum(np.roll(noise, k, axis=2) for k in range(6)).transpose(1, 2, 0)
    counts, conditions = as_rows(slow)
    found = compute_split_half_reliability(counts, conditions, n_resamples=99)
    # of 300 units; one standard deviation is 0.013
    assert (found["p_value"] <= 0.05).mean() == pytest.approx(0.05, abs=0.04)
    # rolled by hand, once for all halvings
    rolled = slow.copy()
    for repeat in range(10):
        rolled[repeat] = np.roll(slow[repeat], rng.integers(24), axis=0)
    by_hand = compute_split_half_reliability(*as_rows(rolled), n_resamples=1)["split_half"]
    assert found["chance"].mean() == pytest.approx(by_hand.mean(), abs=0.03)
    assert (by_hand > found["chance_95"]).mean() == pytest.approx(0.05, abs=0.04)


def test_repeats__errors():
    with pytest.raises(InvalidArgumentError, match="n_splits is 0 and n_resamples 200; give 1 or"):
        compute_split_half_reliability([[1], [2]], [0, 0], n_splits=0)
    with pytest.raises(InvalidArgumentError, match=r"n_splits is .*2\.5.*; give a whole number"):
        compute_split_half_reliability([[1], [2]], [0, 0], n_splits=2.5)
    for name in ("repeats", "blocks"):
        with pytest.raises(InvalidArgumentError, match=f"{name} is missing for 1 of 2 presentati"):
            compute_representational_drift([[1], [2]], [0, 0], **{name: [1, np.nan]})


def test_repeats__go_by_time_and_not_by_row(rng):
    counts, conditions = as_rows(draw_repeats(rng, change=0.5))
    ids = pd.Index(range(300, 330), name="stimulus_presentation_id")
    start = pd.Series(np.arange(30) * 2.0, ids)
    table, shown = pd.DataFrame(counts, ids), pd.Series(conditions, ids)
    mixed = table.sample(frac=1, random_state=3)
    place = mixed.index - 300
    expected = compute_representational_drift(table, shown, times=start)
    for found in (
        compute_representational_drift(mixed, shown, times=start),
        compute_representational_drift(counts[place], conditions[place], times=start[mixed.index]),
    ):
        pd.testing.assert_frame_equal(found, expected)
    pd.testing.assert_frame_equal(
        compute_representational_drift(mixed, shown).drop(columns="lag_s"),
        expected.drop(columns="lag_s"),
    )
    pd.testing.assert_frame_equal(
        compute_split_half_reliability(mixed, shown, n_resamples=9),
        compute_split_half_reliability(table, shown, n_resamples=9),
    )
    with pytest.raises(InvalidArgumentError, match="times of 1 of 30 presentations are not finite"):
        compute_representational_drift(table, shown, times=start.where(start > 0))


def test_drift__repeats_that_are_left_out_keep_their_number(rng):
    values = draw_repeats(rng)
    counts, conditions = (np.delete(each, 7, axis=0) for each in as_rows(values))
    repeats = np.delete(np.repeat(np.arange(6), 5), 7)
    drift = compute_representational_drift(counts, conditions, repeats=repeats)
    assert sorted(set(drift["repeat"]) | set(drift["other_repeat"])) == [0, 2, 3, 4, 5]
    assert drift["lag"].tolist() == (drift["other_repeat"] - drift["repeat"]).tolist()
    whole = compute_representational_drift(*as_rows(values)).set_index(["repeat", "other_repeat"])
    pair = drift.set_index(["repeat", "other_repeat"]).loc[(0, 2)]
    assert pair["lag"] == 2
    assert pair["population_vector"] == pytest.approx(whole.loc[(0, 2), "population_vector"])
    with pytest.warns(UserWarning, match="conditions have 5 to 6 presentations, so the second of"):
        compute_representational_drift(counts, conditions)
