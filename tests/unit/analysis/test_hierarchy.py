"""Area statistics: the order of areas, what sessions change, and bad input."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from spikehouse.analysis import (
    HIERARCHY_SCORES,
    compute_area_comparisons,
    compute_area_statistics,
    compute_hierarchy_correlation,
    compute_time_to_first_spike,
)
from spikehouse.errors import InvalidArgumentError

AREAS = [*HIERARCHY_SCORES]


def test_compute_area_statistics__puts_areas_in_the_order_of_the_hierarchy():
    areas = ["CA1", "VISam", None, "LGd", "VISp", "VISp"]
    table = compute_area_statistics([1, 2, 3, 4, 5, np.nan], areas, n_resamples=3)
    assert table.index.tolist() == ["LGd", "VISp", "VISam", "CA1"]
    assert table["n"].tolist() == [1, 1, 1, 1]
    assert table["mean"].tolist() == [4, 5, 2, 1]
    # half of one unit is none
    assert table["half_width"].isna().all()
    assert table["ci_low"].tolist() == [4, 5, 2, 1]


def test_compute_area_statistics__of_sessions_vary_as_sessions_do(rng):
    # six sessions of 500 equal units each: only sessions differ
    levels = np.arange(6.0)
    values, sessions = np.repeat(levels, 500), np.repeat(levels, 500)
    units = compute_area_statistics(values, ["VISp"] * 3000).loc["VISp"]
    row = compute_area_statistics(values, ["VISp"] * 3000, sessions).loc["VISp"]
    drawn = rng.choice(levels, (20_000, 6)).mean(axis=1)
    assert row[["ci_low", "ci_high"]].tolist() == pytest.approx(
        np.quantile(drawn, [0.025, 0.975]).tolist(), abs=0.2
    )
    assert row["n_sessions"] == 6
    assert units["ci_high"] - units["ci_low"] < (row["ci_high"] - row["ci_low"]) / 10
    assert "n_sessions" not in units


def test_compute_area_statistics__of_one_session_have_no_interval():
    areas = ["VISp", "VISp", "LGd", "LGd"]
    table = compute_area_statistics([1, 3, 5, 7], areas, [8, 8, 8, 9], n_resamples=20)
    assert table["mean"].tolist() == [6, 2]
    assert table["n_sessions"].tolist() == [2, 1]
    assert table["ci_low"].notna().tolist() == [True, False]


def test_compute_area_comparisons__sign_and_adjustment(rng):
    values = np.r_[rng.normal(0, 1, 50), rng.normal(2, 1, 50), rng.normal(2, 1, 50)]
    table = compute_area_comparisons(values, np.repeat(["VISp", "VISam", "LGd"], 50))
    table = table.set_index(["area", "other_area"])
    assert table.loc[("VISp", "VISam"), "statistic"] < 0
    assert table.loc[("VISp", "VISam"), "p_adjusted"] < 1e-6
    assert table.loc[("LGd", "VISam"), "p_adjusted"] > 0.05
    assert (table["p_adjusted"] >= table["p_value"]).all()


def nest(rng, *, n_sessions, spread):
    """Draw units whose session shifts each area by its own amount, and no hierarchy at all."""
    session, area, _ = np.indices((n_sessions, len(AREAS), 60)).reshape(3, -1)
    shift = rng.normal(0, spread, (n_sessions, len(AREAS)))
    values = rng.normal(size=session.size) + shift[session, area]
    return values, np.array(AREAS, dtype=object)[area], session


def test_compute_hierarchy_correlation__resampling_sessions_sees_what_units_hide(rng):
    """Sessions that differ widen the interval; the interval over units does not notice."""
    values, areas, sessions = nest(rng, n_sessions=4, spread=1.0)
    nested = compute_hierarchy_correlation(values, areas, sessions)
    shuffled = compute_hierarchy_correlation(values, areas, np.arange(len(values)))
    wide, narrow = (x["slope_high"] - x["slope_low"] for x in (nested, shuffled))
    assert wide > 3 * narrow
    assert nested["pearson_r_low"] < nested["pearson_r"] < nested["pearson_r_high"]


def test_compute_hierarchy_correlation__of_a_planted_hierarchy(rng):
    values, areas, sessions = nest(rng, n_sessions=10, spread=0.1)
    values = values + 2 * pd.Series(HIERARCHY_SCORES)[areas].to_numpy()
    found = compute_hierarchy_correlation(values, areas, sessions)
    assert found["pearson_r"] > 0.95
    assert found["pearson_r_low"] > 0
    assert found["slope_low"] < 2 < found["slope_high"]
    assert found["omega_squared"] > 0.8
    assert found["area_p"] < 1e-6
    assert found[["n_units", "n_areas", "n_sessions"]].tolist() == [4800, 8, 10]
    again = compute_hierarchy_correlation(values, areas, sessions)
    pd.testing.assert_series_equal(found, again)


def test_compute_hierarchy_correlation__no_effect_of_areas(rng):
    values, areas, sessions = nest(rng, n_sessions=10, spread=0.0)
    found = compute_hierarchy_correlation(values, areas, sessions, n_resamples=0)
    assert abs(found["omega_squared"]) < 0.2
    assert np.isnan(found["pearson_r_low"])


def test_compute_hierarchy_correlation__too_few_areas_or_sessions(rng):
    two = compute_hierarchy_correlation([1.0, 2, 3], ["VISp", "VISp", "LP"], [1, 2, 2])
    assert two["n_areas"] == 2
    assert two[["pearson_r", "spearman_p", "slope", "pearson_r_low"]].isna().all()
    one = compute_hierarchy_correlation([1.0, 2, 4], ["VISp", "VISl", "LP"], [1, 1, 1])
    assert one[["omega_squared", "area_f", "area_p"]].isna().all()
    assert np.isfinite(one["pearson_r"])
    # resampled units of the only session would pass for resampled sessions
    assert one[["pearson_r_low", "pearson_r_high", "slope_low", "slope_high"]].isna().all()


def test_compute_hierarchy_correlation__other_scores_and_unscored_areas():
    found = compute_hierarchy_correlation(
        [1.0, 2, 3, 99], ["a", "b", "c", "VISp"], scores={"c": 3, "b": 2, "a": 1}
    )
    np.testing.assert_allclose(found[["pearson_r", "spearman_r"]], 1.0)
    # of the six orders of three areas two are perfect
    np.testing.assert_allclose(found["spearman_p"], 1 / 3)
    assert found["n_units"] == 3


@pytest.mark.parametrize("scores", [[1, 2, 3, 4], [1, 1, 2, 3], [1, 2, 2, 3], [1, 1, 2, 2]])
def test_compute_hierarchy_correlation__p_of_perfect_ranks_counts_orders(scores):
    """Of all orders of the areas, as many as there are with ties."""
    means = np.array(scores, dtype=float) ** 2
    found = compute_hierarchy_correlation(
        means, list("abcd"), scores=dict(zip("abcd", scores, strict=True))
    )
    r = [stats.spearmanr(scores, order).statistic for order in permutations(means)]
    np.testing.assert_allclose(found["spearman_p"], np.mean(np.abs(r) > 1 - 1e-9))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0], ["VISp"]), r"values has the shape \(2,\), areas \(1,\)"),
        (([1.0, -np.inf], ["VISp", "LP"]), "1 of 2 values are infinite and have no mean"),
        (([np.nan], ["VISp"]), "none of the 1 units has both a value and an area"),
        (([1.0], ["CA1"]), r"none of the 1 units has both a value and an area \(valid are 'LGd'"),
    ],
)
def test_compute_hierarchy_correlation__bad_units(arguments, message):
    with pytest.raises(InvalidArgumentError, match=message):
        compute_hierarchy_correlation(*arguments)


def test_area_functions__bad_resamples():
    with pytest.raises(InvalidArgumentError, match="n_resamples is 0; give 1 or more"):
        compute_area_statistics([1.0], ["VISp"], n_resamples=0)
    with pytest.raises(InvalidArgumentError, match="n_resamples is -1; give 0 or more"):
        compute_hierarchy_correlation([1.0], ["VISp"], n_resamples=-1)


@pytest.mark.parametrize(
    "arguments", [{"window": (0.2, 0.03)}, {"bin_width": 0.0}, {"window": (0, np.inf)}]
)
def test_compute_time_to_first_spike__bad_window(arguments):
    with pytest.raises(InvalidArgumentError, match="make no bin; give a window that is longer"):
        compute_time_to_first_spike({1: np.array([1.0])}, [1], [0.5], **arguments)


def test_compute_time_to_first_spike__without_presentations():
    table = compute_time_to_first_spike({1: np.array([1.0])}, [1], [])
    assert np.isnan(table.loc[1, "time_to_first_spike"])
    assert table.loc[1, "n_trials"] == 0
