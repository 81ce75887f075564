"""The recipes of the survey and of folders of results against pandas."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spikehouse import EcephysProjectCache
from spikehouse.demo import Survey
from spikehouse.errors import CacheError, InvalidArgumentError, NotFoundError
from spikehouse.explore.recipes.cohort import (
    list_metrics,
    metric_by_area,
    metric_hierarchy,
    published_values,
    results_distribution,
    results_over_time,
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
    # names and places, whose mean says nothing
    nameless = ["pref_image_ns", "ecephys_structure_id", "cluster_id", "probe_vertical_position"]
    assert not metrics.index.intersection(nameless).size
    circular = metrics.index[metrics["is_circular"]]
    assert set(circular) <= {"pref_ori_dg", "pref_ori_sg", "pref_phase_sg", "pref_dir_dm"}
    assert "pref_ori_dg" in circular


def test_metric_by_area__has_no_mean_of_what_is_circular(cache: EcephysProjectCache) -> None:
    found = metric_by_area(cache, metric="pref_ori_sg", min_units=1)
    assert list(found["areas"]) == ["n_units", "n_sessions", "n_outside"]
    assert not len(found["sessions"])
    assert found["edges"][[0, -1]].tolist() == [0, 180]
    assert found["counts"].sum() == found["areas"]["n_units"].sum()
    with pytest.raises(InvalidArgumentError, match="180 is 0 again"):
        metric_hierarchy(cache, metric="pref_ori_sg")
    with pytest.raises(InvalidArgumentError, match="no logarithm"):
        metric_by_area(cache, metric="pref_ori_sg", log=True)
    with pytest.raises(NotFoundError, match="no metric 'pref_image_ns'"):
        metric_by_area(cache, metric="pref_image_ns")


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
        # a value beyond the axis is in no bin, but in every quantile
        low, high = found["edges"][[0, -1]]
        assert found["counts"][place].sum() == own.between(low, high).sum()
        assert row["n_outside"] == len(own) - own.between(low, high).sum()
    assert areas["n_outside"].sum() > 0
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
    n_log, n_linear = (
        one["counts"].sum() + one["areas"]["n_outside"].sum() for one in (found, linear)
    )
    assert n_log + found["n_beyond"] == n_linear


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


@pytest.fixture(scope="module")
def rates(survey: Survey, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """Compute what the command ``cohort psth`` writes, and the table that Python returns."""
    folder = tmp_path_factory.mktemp("rates")
    manifest = folder / "survey" / "manifest.json"
    with EcephysProjectCache.from_demo(
        manifest, size="tiny", folder=survey.folder.parent
    ) as opened:
        run = opened.cohort(session_ids=[900000001, 900000003]).psth(
            results=folder / "psth", progress=False
        )
        whole = run.frame()
    # a demo in a folder of its own has no options; one in the usual place does
    facts = json.loads((folder / "psth" / "_run.json").read_text())
    (folder / "psth" / "_run.json").write_text(
        json.dumps({**facts, "cache": {"source": ["demo"], "cache": str(manifest)}})
    )
    return folder / "psth", whole


def test_results_of_psth__are_drawn_by_structure_and_time(
    rates: tuple[Path, pd.DataFrame],
) -> None:
    folder, whole = rates
    overview = results_overview(folder)
    assert overview["columns"] == ["rate"]
    assert overview["units"] == ["spikes/s"]
    assert overview["time"] == "time_relative_to_stimulus_onset"
    assert overview["groups"] == ["ecephys_structure_acronym"]
    assert overview["n_units"] == whole["unit_id"].nunique() < overview["n_rows"]
    found = results_over_time(folder, group="ecephys_structure_acronym")
    by = ["ecephys_structure_acronym", overview["time"]]
    expected = whole.groupby(by)["rate"].mean().unstack()
    assert found["groups"] == expected.index.tolist()
    np.testing.assert_allclose(found["means"], expected.to_numpy())
    n_units = whole.groupby("ecephys_structure_acronym")["unit_id"].nunique()
    assert found["n_units"].tolist() == n_units[found["groups"]].tolist()
    shown = results_distribution(folder, column="rate", group="ecephys_structure_acronym")
    assert shown["areas"]["n_units"].to_dict() == n_units.to_dict()
    assert shown["is_averaged"]
    assert shown["counted"] == "units"


def test_results_of_psth__without_their_survey_say_so(
    rates: tuple[Path, pd.DataFrame], tmp_path: Path
) -> None:
    folder = shutil.copytree(rates[0], tmp_path / "copied")
    facts = json.loads((folder / "_run.json").read_text())
    for cache, reason in (
        (None, "does not say of which survey"),
        ({"cache": str(tmp_path / "absent.json")}, "there is no manifest"),
    ):
        (folder / "_run.json").write_text(json.dumps({**facts, "cache": cache}))
        overview = results_overview(folder)
        assert overview["groups"] == []
        assert reason in overview["no_structures"]
        assert results_over_time(folder)["groups"] == ["900000001", "900000003"]


def test_results__that_are_none_are_a_message(tmp_path: Path, results: Path) -> None:
    with pytest.raises(CacheError, match="holds no results"):
        results_overview(tmp_path)
    with pytest.raises(NotFoundError, match="no column 'snrr'"):
        results_distribution(results, column="snrr")
