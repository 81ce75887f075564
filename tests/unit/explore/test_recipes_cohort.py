"""The recipes of the survey and of folders of results against pandas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spikehouse import EcephysProjectCache
from spikehouse.demo import Survey
from spikehouse.errors import CacheError, NotFoundError
from spikehouse.explore.recipes.cohort import (
    list_metrics,
    metric_by_area,
    metric_hierarchy,
    published_values,
    results_distribution,
    results_overview,
)
from spikehouse.reproduce import reproduce
from spikehouse.session import EcephysSession


@pytest.fixture(scope="module")
def cache(
    survey: Survey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EcephysProjectCache]:
    manifest = tmp_path_factory.mktemp("survey") / "manifest.json"
    with EcephysProjectCache.from_demo(
        manifest, size="tiny", folder=survey.folder.parent
    ) as opened:
        yield opened


def test_list_metrics__have_a_meaning_and_are_numbers(cache: EcephysProjectCache) -> None:
    found = list_metrics(cache)
    metrics = found["metrics"]
    units = cache.get_units()
    assert found["is_simulated"]
    assert found["n_units"] == len(units)
    assert metrics["meaning"].str.len().min() > 0
    assert metrics.loc["firing_rate", "n_units"] == units["firing_rate"].notna().sum()
    # a released analysis metric, and a column of ids
    assert "g_osi_dg" in metrics.index
    assert "ecephys_channel_id" not in metrics.index


def test_metric_by_area__summarizes_the_units_of_each_area(cache: EcephysProjectCache) -> None:
    found = metric_by_area(cache, metric="snr", min_units=3)
    units = cache.get_units().dropna(subset=["snr", "ecephys_structure_acronym"])
    areas = found["areas"]
    for area, own in units.groupby("ecephys_structure_acronym")["snr"]:
        if len(own) < 3:
            assert f"{area} {len(own)}" in found["left_out"]
            continue
        row = areas.loc[area]
        assert row["n_units"] == len(own)
        assert row["q50"] == own.median()
        assert row["mean"] == pytest.approx(own.mean())
        place = areas.index.get_loc(area)
        # also those beyond the ends
        assert found["counts"][place].sum() == len(own)
    medians = units.groupby(["ecephys_structure_acronym", "ecephys_session_id"])["snr"].median()
    for row in found["sessions"].itertuples():
        assert row.median == medians[row.area, row.session]


def test_metric_by_area__logarithmic_bins_hold_what_is_positive(
    cache: EcephysProjectCache,
) -> None:
    linear = metric_by_area(cache, metric="area_rf", min_units=1)
    found = metric_by_area(cache, metric="area_rf", log=True, min_units=1)
    steps = np.diff(np.log(found["edges"]))
    assert steps == pytest.approx(steps[0])
    assert found["n_beyond"] > 0
    assert found["counts"].sum() + found["n_beyond"] == linear["counts"].sum()


def test_metric_by_area__begins_with_the_hierarchy(cache: EcephysProjectCache) -> None:
    areas = metric_by_area(cache, min_units=1)["areas"].index.tolist()
    ranked = [area for area in ("LGd", "VISp", "VISl", "LP", "VISam") if area in areas]
    assert areas[: len(ranked)] == ranked
    assert areas[len(ranked) :] == sorted(areas[len(ranked) :])


def test_metric_hierarchy__is_of_means_and_sessions(cache: EcephysProjectCache) -> None:
    found = metric_hierarchy(cache, metric="area_rf", n_resamples=50)
    areas = found["areas"]
    assert (areas["ci_low"] <= areas["mean"]).all()
    assert (areas["mean"] <= areas["ci_high"]).all()
    assert found["correlation"]["n_areas"] == len(areas)
    r = np.corrcoef(areas["score"], areas["mean"])[0, 1]
    assert found["correlation"]["pearson_r"] == pytest.approx(r)
    sizes = found["sessions"].groupby("area")["size"].sum()
    assert sizes[areas.index].tolist() == areas["n"].tolist()


def test_metrics__that_do_not_exist_are_named(cache: EcephysProjectCache) -> None:
    for recipe in (metric_by_area, metric_hierarchy):
        with pytest.raises(NotFoundError, match="there is no metric 'firing_rat': did you mean"):
            recipe(cache, metric="firing_rat")
        with pytest.raises(NotFoundError, match="there is no metric 'name'"):
            recipe(cache, metric="name")


def test_published_values__are_those_of_reproduce(
    cache: EcephysProjectCache, tmp_path: Path
) -> None:
    ours = published_values(cache)["values"]
    theirs = reproduce("siegle2021", cache, results=tmp_path)
    pd.testing.assert_frame_equal(ours, theirs.values)
    overview = results_overview(tmp_path)
    assert overview["kind"] == "reproduction"
    assert overview["study"] == "siegle2021"
    assert len(overview["values"]) == len(ours)


def measure(session: EcephysSession) -> pd.DataFrame:
    if session.ecephys_session_id == 900000002:
        raise ValueError("<b>no</b>")
    return session.units[["ecephys_structure_acronym", "snr", "peak_channel_id"]]


@pytest.fixture(scope="module")
def results(cache: EcephysProjectCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    ids = [900000001, 900000002, 900000003]
    cache.cohort(session_ids=ids).map(measure, results=folder, progress=False)
    return folder


def test_results_overview__has_runs_failures_and_columns(results: Path) -> None:
    found = results_overview(results)
    assert found["function"] == "measure"
    assert found["records"]["state"].tolist() == ["done", "failed", "done"]
    assert found["failures"].loc[900000002, "message"] == "<b>no</b>"
    assert found["columns"] == ["snr"]
    assert found["groups"] == ["ecephys_structure_acronym"]
    assert found["n_rows"] == found["records"]["n_rows"].sum()


def test_results_distribution__by_structure_and_by_session(
    results: Path, cache: EcephysProjectCache
) -> None:
    by_area = results_distribution(results, column="snr", group="ecephys_structure_acronym")
    by_session = results_distribution(results, column="snr")
    n_rows = results_overview(results)["n_rows"]
    assert by_area["areas"]["n_units"].sum() == n_rows
    assert by_session["areas"].index.tolist() == ["900000001", "900000003"]
    session = cache.get_session_data(900000003)
    assert by_session["areas"].loc["900000003", "q50"] == session.units["snr"].median()


def test_results__that_are_none_are_a_message(tmp_path: Path, results: Path) -> None:
    with pytest.raises(CacheError, match="holds no results"):
        results_overview(tmp_path)
    with pytest.raises(NotFoundError, match="no column 'snrr'"):
        results_distribution(results, column="snrr")
