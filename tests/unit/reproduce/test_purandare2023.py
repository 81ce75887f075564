"""Fractions of tuned units by region, from hand-made units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spikehouse.reproduce.purandare2023 import FIGURE, GROUPS, summarize_movie_tuning
from spikehouse.reproduce.study import KEYS, compare, read_published


@pytest.fixture
def units() -> pd.DataFrame:
    """Make 100 units a region in two sessions; 90 are tuned in V1, 40 in CA1, 20 in DG."""
    tables = [
        pd.DataFrame(
            {
                "session_id": np.arange(100) % 2 + 700,
                "region": region,
                "movie": movie,
                "firing_rate": 2.0,
                "is_tuned": np.arange(100) < n_tuned,
            }
        )
        for region, n_tuned in (("V1", 90), ("CA1", 40), ("DG", 20))
        for movie in ("continuous", "scrambled")
    ]
    return pd.concat(tables, ignore_index=True)


def get(found, quantity, area, figure=FIGURE):
    table = pd.DataFrame(found.values)
    rows = table[(table[KEYS] == [figure, "movie_tuning", quantity, area]).all(axis=1)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_summarize_movie_tuning__counts_by_region_and_group(units):
    found = summarize_movie_tuning(units)
    assert get(found, "fraction", "V1")["value"] == 0.9
    assert get(found, "n_tuned", "hippocampus")["value"] == 60
    assert get(found, "n_units", "hippocampus")["value"] == 200
    difference = get(found, "fraction_difference", "visual − hippocampus")["value"]
    np.testing.assert_allclose(difference, 0.9 - 0.3)
    assert get(found, "fraction", "CA1", "Scrambled")["value"] == 0.4
    row = get(found, "fraction", "DG")
    assert row["low"] <= row["value"] <= row["high"]
    assert set(found.drawings) == {"movie_tuning"}
    drawing = found.drawings["movie_tuning"]
    assert [ax.get_title(loc="left") for ax in drawing.draw().axes] == [
        "continuous movie", "scrambled movie",
    ]  # fmt: skip
    assert drawing.caption.endswith("Thin bars: 95 % over sessions. Strokes in a: published.")
    simulated = summarize_movie_tuning(units.assign(session_id=units["session_id"] + 899999301))
    assert simulated.drawings["movie_tuning"].caption.endswith("95 % over sessions.")


def test_summarize_movie_tuning__leaves_out_units_that_hardly_fire(units):
    units.loc[units.index[:10], "firing_rate"] = 0.5
    assert get(summarize_movie_tuning(units), "n_units", "V1")["value"] == 90


def test_summarize_movie_tuning__has_no_interval_of_one_session(units):
    found = summarize_movie_tuning(units[units["session_id"] == 700])
    assert np.isnan(get(found, "fraction", "V1")["low"])


def test_summarize_movie_tuning__without_a_group_there_is_no_difference(units):
    found = summarize_movie_tuning(units[units["region"] == "V1"])
    assert np.isnan(get(found, "fraction_difference", "visual − hippocampus")["value"])
    assert "both the visual areas and the" in found.reasons[FIGURE, "fraction_difference"]


def test_published__numbers_of_regions_add_up():
    table = read_published("purandare2023").set_index(["quantity", "area"])["value"]
    for quantity in ("n_tuned", "n_units"):
        parts = sum(table[quantity, area] for area in GROUPS["hippocampus"])
        assert parts == table[quantity, "hippocampus"]
    for area in ("DG", "CA1", "visual"):
        ratio = table["n_tuned", area] / table["n_units", area]
        np.testing.assert_allclose(table["fraction", area], ratio, atol=1e-4)


def test_compare__judges_fractions_of_recorded_units_and_signs_of_simulated_ones(units):
    found = {"movie_tuning": summarize_movie_tuning(units)}
    keys = ["quantity", "area"]
    published = read_published("purandare2023")
    real = compare(found, published, is_simulated=False).set_index(keys)["verdict"].sort_index()
    simulated = compare(found, published, is_simulated=True).set_index(keys)["verdict"].sort_index()
    assert real["fraction", "hippocampus"].iloc[0] == "reproduced"
    assert real["fraction", "DG"].iloc[0] == "differs"
    assert simulated["fraction", "DG"].iloc[0] == "not comparable"
    assert simulated["fraction_difference", "visual − hippocampus"].iloc[0] == "same sign"
