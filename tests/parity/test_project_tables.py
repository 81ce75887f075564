"""Our tables against AllenSDK's, on the same folder (see freeze_project_tables.py)."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spikehouse.cache import EcephysProjectCache
from spikehouse.catalogue import SurveyTables
from spikehouse.catalogue.tables import CCF_COLUMNS

FROZEN = Path(__file__).parent / "project_tables"
NO_LIMITS = {
    "amplitude_cutoff_maximum": np.inf,
    "presence_ratio_minimum": -np.inf,
    "isi_violations_maximum": np.inf,
}
CALLS = {
    "session_table": ("get_session_table", (), {}),
    "session_table_nothing_suppressed": ("get_session_table", (), {"suppress": []}),
    "probes": ("get_probes", (), {}),
    "probes_nothing_suppressed": ("get_probes", (), {"suppress": []}),
    "channels": ("get_channels", (), {}),
    "channels_nothing_suppressed": ("get_channels", (), {"suppress": []}),
    "units": ("get_units", (), {}),
    "units_nothing_suppressed": ("get_units", (), {"suppress": []}),
    "units_no_limits": ("get_units", (), NO_LIMITS),
    "units_any_quality": (
        "get_units",
        (),
        {"filter_by_validity": False, **NO_LIMITS},
    ),
    "units_isi_zero": ("get_units", (), {"isi_violations_maximum": 0}),
    "metrics_for_session": ("get_unit_analysis_metrics_for_session", (900000001,), {}),
    "metrics_for_session_bare": (
        "get_unit_analysis_metrics_for_session",
        (900000001,),
        {"annotate": False},
    ),
    "metrics_for_session_no_limits": (
        "get_unit_analysis_metrics_for_session",
        (900000001,),
        NO_LIMITS,
    ),
    "metrics_by_type": (
        "get_unit_analysis_metrics_by_session_type",
        ("brain_observatory_1.1",),
        {},
    ),
    "metrics_by_type_bare": (
        "get_unit_analysis_metrics_by_session_type",
        ("brain_observatory_1.1",),
        {"annotate": False},
    ),
}


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    return json.loads(gzip.decompress((FROZEN / "answers.json.gz").read_bytes()))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> EcephysProjectCache:
    folder = tmp_path_factory.mktemp("project") / "folder"
    shutil.copytree(FROZEN / "folder", folder)
    return EcephysProjectCache.fixed(folder / "manifest.json")


def expected_column(answer: dict[str, Any], name: str) -> list[Any]:
    values = answer["values"][name]
    if name in CCF_COLUMNS:
        # intended difference: "not registered" is NaN, never a place in front of the brain
        return [float("nan") if value == -1000 else value for value in values]
    return values


def is_same(ours: object, theirs: object) -> bool:
    if isinstance(theirs, list):
        assert isinstance(ours, np.ndarray)
        return len(ours) == len(theirs) and all(map(is_same, ours, theirs))
    if isinstance(theirs, float):
        # their parser drops the last digits of long decimals: 1.4e-4 loses four of them
        return bool(np.isclose(float(ours), theirs, rtol=1e-11, atol=0, equal_nan=True))  # type: ignore[arg-type]
    return bool(ours == theirs)


@pytest.mark.parametrize("name", CALLS)
def test_tables__are_those_of_allensdk(
    name: str, answers: dict[str, Any], project: EcephysProjectCache
) -> None:
    method, positional, named = CALLS[name]
    ours = getattr(project, method)(*positional, **named)
    answer = answers["frames"][name]
    assert ours.index.name == answer["index_name"]
    assert ours.index.tolist() == answer["index"]
    assert ours.columns.tolist() == answer["columns"]
    for column in answer["columns"]:
        expected = expected_column(answer, column)
        wrong = [pair for pair in zip(ours[column], expected, strict=True) if not is_same(*pair)]
        assert not wrong, f"{column}: {wrong[:3]}"


@pytest.mark.parametrize("name", CALLS)
def test_tables__have_the_dtypes_of_allensdk(
    name: str, answers: dict[str, Any], project: EcephysProjectCache
) -> None:
    method, positional, named = CALLS[name]
    ours = getattr(project, method)(*positional, **named)
    answer = answers["frames"][name]
    theirs = dict(zip(answer["columns"], answer["dtypes"], strict=True))
    for column, dtype in theirs.items():
        is_coordinate = column in CCF_COLUMNS
        # a metric is a number with a possible NaN, also where none happens to be missing
        is_metric = column == "pref_image_ns"
        expected = "float64" if is_coordinate or is_metric else dtype
        found = "object" if pd.api.types.is_string_dtype(ours[column]) else str(ours[column].dtype)
        assert found == expected, column


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("session_types", "get_all_session_types"),
        ("full_genotypes", "get_all_full_genotypes"),
        ("structure_acronyms", "get_structure_acronyms"),
        ("ages", "get_all_ages"),
        ("sexes", "get_all_sexes"),
    ],
)
def test_lists__are_those_of_allensdk(
    name: str, method: str, answers: dict[str, Any], project: EcephysProjectCache
) -> None:
    ours = getattr(project, method)()
    theirs = answers["lists"][name]
    assert isinstance(ours, list)
    assert len(ours) == len(theirs)
    assert all(map(is_same, ours, theirs))


def test_get_units__leaves_out_units_outside_the_brain(
    answers: dict[str, Any], project: EcephysProjectCache
) -> None:
    """Intended difference: the argument, when given, does what its name says."""
    theirs = answers["frames"]["units_any_quality"]
    outside = [
        unit_id
        for unit_id, structure in zip(
            theirs["index"], theirs["values"]["ecephys_structure_id"], strict=True
        )
        if structure != structure
    ]
    ours = project.get_units(filter_by_validity=False, filter_out_of_brain_units=True, **NO_LIMITS)
    assert len(outside) == 1
    assert set(theirs["index"]) - set(ours.index) == set(outside)


def test_list_sessions__is_that_of_the_released_survey(shared_folder: Path) -> None:
    """The columns and their order, on the real tables; only heads of two are at hand."""
    from spikehouse.catalogue import list_probes, list_sessions
    from spikehouse.schema.cache_tables import CHANNELS, PROBES, SESSIONS, UNITS
    from spikehouse.survey.parquet_cache import read_table

    facts = shared_folder / "facts"
    tables = SurveyTables(
        sessions=read_table(facts / "sessions.csv", SESSIONS),
        probes=read_table(facts / "probes.csv", PROBES),
        channels=read_table(facts / "channels_head.csv", CHANNELS),
        units=read_table(facts / "units_head.csv", UNITS),
    )
    expected = pd.read_csv(facts / "session_table_with_counts.csv", index_col="id")
    ours = list_sessions(tables)
    assert ours.columns.tolist() == expected.columns.tolist()
    assert ours.index.tolist() == expected.index.tolist()
    for column in ["published_at", "specimen_id", "age_in_days", "sex", "full_genotype"]:
        assert ours[column].tolist() == expected[column].tolist()
    assert ours["probe_count"].tolist() == expected["probe_count"].tolist()
    assert len(list_probes(tables)) == 332
    assert ours["session_type"].value_counts().to_dict() == {
        "brain_observatory_1.1": 32,
        "functional_connectivity": 26,
    }
