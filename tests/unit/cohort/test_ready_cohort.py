"""The analyses that a cohort offers by name: here, on two workers, from the command, and joined."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spikehouse import EcephysProjectCache
from spikehouse.cli import main
from spikehouse.cohort import Cohort
from spikehouse.cohort.ready import READY, join_tables
from spikehouse.demo import Survey

pytest.importorskip("distributed")

# both session types
SESSIONS = [900000001, 900000003, 900000009]
STRUCTURE = "ecephys_structure_acronym"
# what suits a tiny survey
OPTIONS: dict[str, dict[str, Any]] = {
    "metrics": {"stimulus": ["flashes", "drifting_gratings"]},
    "psth": {"bin_width": 0.05},
    "decode": {"n_units": 2, "n_draws": 2, "cv": 2, "estimator": "poisson-naive-bayes"},
    "latencies": {},
    "timescales": {},
    "correlograms": {"is_significant_only": False},
}


@pytest.fixture(scope="module")
def cache(
    survey: Survey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EcephysProjectCache]:
    manifest = tmp_path_factory.mktemp("cache") / "manifest.json"
    with EcephysProjectCache.from_demo(manifest, size="tiny", folder=survey.folder) as cache:
        yield cache


@pytest.fixture(scope="module")
def cohort(cache: EcephysProjectCache) -> Cohort:
    return cache.cohort(session_ids=SESSIONS)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    from distributed import Client, LocalCluster

    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        yield client


@pytest.mark.parametrize("name", READY)
def test_ready__here_and_on_two_workers_are_the_sessions_own(
    cohort: Cohort, cache: EcephysProjectCache, client: Any, name: str
) -> None:
    compute = getattr(cohort, name)
    here = compute(seed=3, **OPTIONS[name])
    here.raise_first()
    table = here.frame()
    pd.testing.assert_frame_equal(compute(seed=3, client=client, **OPTIONS[name]).frame(), table)
    assert table["session_id"].unique().tolist() == SESSIONS
    for session_id in SESSIONS[1:]:
        with cache.get_session_data(session_id) as session:
            # the seed of the run and the session's id make the session's seed
            sequence = np.random.SeedSequence([3, session_id])
            takes_seed = "seed" in signature(READY[name]).parameters
            seed = {"seed": int(sequence.generate_state(1)[0])} if takes_seed else {}
            own = READY[name](session, **OPTIONS[name], **seed)
        own = own.reset_index() if own.index.name else own.reset_index(drop=True)
        found = table[table["session_id"] == session_id].reset_index(drop=True)[own.columns]
        pd.testing.assert_frame_equal(found, own, check_dtype=False)
        assert len(own)


def test_frame__has_the_facts_of_sessions_and_units(
    cohort: Cohort, cache: EcephysProjectCache
) -> None:
    table = cohort.latencies().frame()
    assert table.columns[:7].tolist() == [
        "session_id", "unit_id", "session_type", "full_genotype", "sex", STRUCTURE,
        "probe_vertical_position",
    ]  # fmt: skip
    assert not table.iloc[:, :7].isna().any(axis=None)
    for session_id, rows in table.groupby("session_id"):
        with cache.get_session_data(int(session_id)) as session:
            units = session.units.loc[rows["unit_id"]]
            assert rows[STRUCTURE].tolist() == units[STRUCTURE].tolist()
            depths = units["probe_vertical_position"].tolist()
            assert rows["probe_vertical_position"].tolist() == depths
            assert set(rows["sex"]) == {session.sex}
            assert set(rows["full_genotype"]) == {session.full_genotype}
            assert set(rows["session_type"]) == {session.session_type}


def test_frame__keeps_the_columns_of_a_function_of_ones_own(cohort: Cohort) -> None:
    run = cohort.map(lambda session: {"n_units": session.num_units})
    assert run.frame().columns.tolist() == ["session_id", "n_units"]


def test_join_tables__leaves_columns_of_the_results_as_they_are() -> None:
    results = pd.DataFrame({"n": [1, 2], STRUCTURE: ["a", "b"], "session_id": [8, 7]})
    sessions = pd.DataFrame(
        {"session_type": ["x", "y"], "full_genotype": ["wt", "Sst"], "sex": ["M", "F"]}, [7, 8]
    )
    joined = join_tables(results, sessions, pd.DataFrame())
    assert joined.to_dict("list") == {
        "session_id": [8, 7], "session_type": ["y", "x"], "full_genotype": ["Sst", "wt"],
        "sex": ["F", "M"], "n": [1, 2], STRUCTURE: ["a", "b"],
    }  # fmt: skip


def test_ready__structures_of_the_cohort_are_those_of_the_units(
    cache: EcephysProjectCache,
) -> None:
    cohort = cache.cohort(session_ids=SESSIONS, structure=["VISp", "LGd"])
    table = cohort.latencies().frame()
    assert set(table[STRUCTURE]) == {"VISp", "LGd"}
    assert sorted(table["unit_id"]) == sorted(cohort.units.index)


def test_ready__a_session_that_cannot_be_computed_is_a_failure(cohort: Cohort) -> None:
    run = cohort.psth(stimulus="natural_scenes")
    assert run.failures.index.tolist() == [900000009]
    assert run.failures["message"].str.contains("has no stimulus 'natural_scenes'").all()
    assert run.frame()["session_id"].unique().tolist() == SESSIONS[:2]


def test_ready__help_says_what_an_analysis_takes() -> None:
    for name, function in READY.items():
        method = getattr(Cohort, name)
        assert method.__name__ == name
        for word in signature(function).parameters:
            is_given = word in ("session", "structure", "seed")
            assert is_given or word in method.__doc__, (name, word)


def test_plan__says_what_is_known_of_the_sessions(
    cache: EcephysProjectCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spikehouse.schema import data_notes

    cohort = cache.cohort(session_ids=SESSIONS)
    plan = cohort.plan()
    assert [item.ids for item in plan.items if item.kind == "session"] == [(i,) for i in SESSIONS]
    assert plan.notes == ()
    known = (
        (SESSIONS[0], None, "its clock is wrong", "us"),
        (SESSIONS[2], 7, "it is upside down", "doi:1"),
        (1, 2, "of another session", "us"),
    )
    monkeypatch.setattr(data_notes, "_NOTES", known)
    lines = str(cohort.plan()).splitlines()
    assert lines[-2:] == [
        "session 900000001: its clock is wrong (us)",
        "session 900000009, probe 7: it is upside down (doi:1)",
    ]
    assert not any("another session" in line for line in lines)


def test_command__help_says_what_an_analysis_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["spikehouse", "cohort", "psth", "--help"])
    with pytest.raises(SystemExit):
        main()
    words = " ".join(capsys.readouterr().out.split())
    assert 'defaults: stimulus="flashes", window=[-0.1, 0.5], bin_width=0.01, mean_over=' in words
    assert "structure=" not in words


def test_command__writes_the_joined_table(
    cache: EcephysProjectCache, cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "rates.parquet"
    words = ["psth", "--source", "demo", "--size", "tiny", "--out", str(out)]
    words += ["-p", "bin_width=0.1", "--structure", "VISp"]
    words += ["--cache", str(cache.manifest_path.parent)]
    words += [word for one in SESSIONS for word in ("--session", str(one))]
    monkeypatch.setattr("sys.argv", ["spikehouse", "cohort", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    expected = cache.cohort(session_ids=SESSIONS, structure="VISp").psth(bin_width=0.1).frame()
    found = pd.read_parquet(out).reset_index()
    pd.testing.assert_frame_equal(found[expected.columns], expected, check_dtype=False)
