"""Sessions are selected, and a function is computed for each of them, once."""

from __future__ import annotations

import functools
import json
import re
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from spikehouse import EcephysProjectCache
from spikehouse.cohort import Cohort, CohortRun
from spikehouse.errors import (
    CacheError,
    CohortError,
    InvalidArgumentError,
    NotFoundError,
    SessionNotFoundError,
)

IDS = [900000001, 900000002, 900000003]
pytestmark = pytest.mark.filterwarnings("ignore:.*spikes are missing or wrong:UserWarning")


# --- selection


def test_cohort__all_sessions(project: EcephysProjectCache) -> None:
    cohort = project.cohort()
    table = project.get_session_table()
    assert cohort.sessions.index.tolist() == sorted(table.index)
    units = project.get_units(filter_out_of_brain_units=True)
    assert sorted(cohort.units.index) == sorted(units.index)
    assert repr(cohort) == (
        f"Cohort: 12 of 12 sessions, {len(units):,} units; 0 files in the cache folder, "
        "12 elsewhere"
    )


def test_cohort__conditions_agree_with_the_tables(project: EcephysProjectCache) -> None:
    table = project.get_session_table()
    cases: dict[str, tuple[dict[str, Any], pd.Series[bool]]] = {
        "type": (
            {"session_type": "functional_connectivity"},
            table["session_type"] == "functional_connectivity",
        ),
        "genotype": ({"genotype": "pvalb"}, table["full_genotype"].str.startswith("Pvalb")),
        "sex": ({"sex": "F"}, table["sex"] == "F"),
        "both": (
            {"sex": "F", "session_ids": table.index[:5]},
            (table["sex"] == "F") & table.index.isin(table.index[:5]),
        ),
    }
    for conditions, expected in cases.values():
        assert project.cohort(**conditions).sessions.index.tolist() == sorted(table.index[expected])


def test_cohort__structure_keeps_sessions_and_units(project: EcephysProjectCache) -> None:
    units = project.get_units(filter_out_of_brain_units=True)
    there = units[units["ecephys_structure_acronym"].isin(["VISp", "CA1"])]
    cohort = project.cohort(structure=["CA1", "VISp"])
    assert sorted(cohort.units.index) == sorted(there.index)
    assert cohort.sessions.index.tolist() == sorted(there["ecephys_session_id"].unique())


def test_cohort__units_are_those_of_the_sessions(project: EcephysProjectCache) -> None:
    cohort = project.cohort(session_ids=IDS[0], isi_violations_maximum=0.05)
    frame = cohort.map(list_units, parameters={}).frame()
    assert sorted(frame["unit_id"]) == sorted(cohort.units.index)
    assert len(frame) < len(project.cohort(session_ids=IDS[0]).units)


@pytest.mark.parametrize(
    ("conditions", "error", "message"),
    [
        ({"session_ids": [5]}, SessionNotFoundError, "no session 5: .*900000001"),
        ({"session_ids": []}, NotFoundError, "no session id is given: valid are 900000001"),
        (
            {"session_type": "brain"},
            NotFoundError,
            "no session has session_type 'brain': valid are 'brain_obs",
        ),
        ({"genotype": "Rbp4"}, NotFoundError, "no session has genotype 'Rbp4': .*wt/wt"),
        ({"sex": "female"}, NotFoundError, "no session has sex 'female': .*'F', 'M'"),
        ({"structure": "V1"}, NotFoundError, "no session has structure 'V1': .*'VISp'"),
        ({"structure": []}, InvalidArgumentError, "structure is .*acronym such as 'VISp'"),
        ({"isi_maximum": 1}, InvalidArgumentError, "unknown unit filter 'isi_maximum'"),
        (
            {"session_ids": [900000001], "genotype": "Pvalb"},
            NotFoundError,
            r"meets all conditions, though some meet each \(session_ids: 1, genotype: \d\)",
        ),
    ],
)
def test_cohort__nothing_selected(
    project: EcephysProjectCache, conditions: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        project.cohort(**conditions)


# --- what a function may return


def list_units(session: Any) -> pd.DataFrame:
    return session.units[["firing_rate"]]


def _as(result: Any) -> Callable[..., Any]:
    def returns(session: Any) -> Any:
        return result

    return returns


RESULTS: dict[str, tuple[Any, dict[str, list[Any]]]] = {
    "frame": (
        pd.DataFrame({"rate": [1.0, 2.0]}, index=pd.Index([7, 8], name="unit_id")),
        {"unit_id": [7, 8], "rate": [1.0, 2.0]},
    ),
    "frame without a name of its index": (pd.DataFrame({"rate": [1.0]}, index=[9]), {"rate": [1]}),
    "levels": (
        pd.DataFrame(
            {"n": [3]}, index=pd.MultiIndex.from_tuples([(1, "a")], names=["unit_id", "kind"])
        ),
        {"unit_id": [1], "kind": ["a"], "n": [3]},
    ),
    "own session_id": (pd.DataFrame({"session_id": [IDS[0]], "n": [3]}), {"n": [3]}),
    "series": (
        pd.Series([1, 2], index=pd.Index([7, 8], name="unit_id"), name="n"),
        {"unit_id": [7, 8], "n": [1, 2]},
    ),
    "series without names": (pd.Series([5, 6]), {"index": [0, 1], "value": [5, 6]}),
    "dictionary": ({"a": 1, "b": np.float64(2.5)}, {"a": [1], "b": [2.5]}),
    "dictionary of columns": ({"a": [1, 2], "b": np.array([3, 4])}, {"a": [1, 2], "b": [3, 4]}),
    "array": (
        xr.DataArray([[1, 2]], dims=["unit_id", "t"], coords={"unit_id": [7], "t": [0.0, 0.5]}),
        {"unit_id": [7, 7], "t": [0.0, 0.5], "value": [1, 2]},
    ),
    "array of no dimension": (xr.DataArray(3.5, name="rate"), {"rate": [3.5]}),
    "number": (np.int64(4), {"value": [4]}),
    "numbers as columns": (pd.DataFrame(np.array([[1, 2]])), {"0": [1], "1": [2]}),
    "counts of groups": (
        pd.Series([1, 2], index=pd.Index(["a", "b"], name="kind"), name="kind"),
        {"kind": ["a", "b"], "value": [1, 2]},
    ),
    "array named as its dimension": (
        xr.DataArray([1, 2], dims=["a"], name="a"),
        {"a": [0, 1], "value": [1, 2]},
    ),
    "levels without names": (
        pd.DataFrame({"n": [3]}, index=pd.MultiIndex.from_tuples([(1, "a")])),
        {"level_0": [1], "level_1": ["a"], "n": [3]},
    ),
    "texts as an index": (pd.DataFrame({"n": [3]}, index=["a"]), {"index": ["a"], "n": [3]}),
    "index as a column": (
        pd.DataFrame({"a": [3], "n": [4]}, index=pd.Index([3], name="a")),
        {"a": [3], "n": [4]},
    ),
    "no rows": (pd.DataFrame({"rate": np.empty(0)}), {"rate": []}),
}


@pytest.mark.parametrize("name", RESULTS)
def test_map__takes_what_a_function_returns(project: EcephysProjectCache, name: str) -> None:
    result, columns = RESULTS[name]
    frame = project.cohort(session_ids=IDS[0]).map(_as(result)).frame()
    assert frame.columns.tolist() == ["session_id", *columns]
    assert frame.drop(columns="session_id").to_dict("list") == columns
    assert (frame["session_id"] == IDS[0]).all()


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "returned None: is a return missing; return a DataFrame"),
        ([1, 2], r"returned \[1, 2\]; return a DataFrame"),
        (np.zeros((2, 3)), r"returned a ndarray of shape \(2, 3\); return a DataFrame"),
        ({}, "returned a table without columns; return a DataFrame"),
        (pd.DataFrame({"session_id": [IDS[0]]}), "a table without columns"),
        (
            pd.DataFrame({"a": [1]}, index=pd.Index([2], name="a")),
            "a column and an index 'a' of other values: name them apart",
        ),
        ({"a": [1], "b": [1, 2]}, "the dictionary is no table: .*columns of equal length"),
        (pd.DataFrame({"a": [1, "x"]}), "cannot be written: .*column a.*values of one type"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "several columns 'a'"),
        (
            pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])),
            "columns of 2 levels",
        ),
        (pd.DataFrame({"session_id": [1]}), f"other values than {IDS[0]}: leave it out"),
    ],
)
def test_map__a_result_that_is_no_table(
    project: EcephysProjectCache, result: Any, message: str
) -> None:
    run = project.cohort(session_ids=IDS[0]).map(_as(result))
    assert run.failures["type"].tolist() == ["InvalidArgumentError"]
    assert re.search(message, run.failures["message"].iloc[0])
    with pytest.raises(CohortError, match=r"no session in .* is done; 1 failed: see .failures"):
        run.frame()


def test_frame__columns_of_other_sessions_and_types(cohort: Cohort) -> None:
    def differs(session: Any) -> dict[str, Any]:
        first = session.ecephys_session_id == IDS[0]
        return {"n": 1, "x": 1.5} if first else {"n": 0.5}

    run = cohort.map(differs)
    frame = run.frame()
    assert frame["n"].tolist() == [1.0, 0.5, 0.5]
    assert frame["x"].isna().tolist() == [False, True, True]
    table = run.dataset().to_table().to_pandas().sort_values("session_id")
    pd.testing.assert_frame_equal(
        table[frame.columns].reset_index(drop=True), frame, check_dtype=False
    )


BIG = 2**60 + 1
MIXED: dict[str, list[Any]] = {
    "big and missing": [{"x": BIG, "y": 1}, {"y": 1}, {"x": 1, "y": 1}],
    "big and missing within": [
        pd.DataFrame({"x": pd.array([BIG, None], dtype="Int64")}),
        {"x": 2},
        {"x": 3},
    ],
    "big and a float": [{"x": BIG}, {"x": 0.5}, {"x": 2}],
    "signed and unsigned": [{"x": BIG}, {"x": 2**63 + 1}, {"x": -1}],
    "nan and text": [{"x": np.nan}, {"x": "a"}, {"x": "b"}],
    "truth and number": [{"x": True}, {"x": 3}, {"x": 0}],
    "number and text": [{"x": 1}, {"x": "a"}, {"x": "b"}],
    "categories and text": [
        pd.DataFrame({"x": pd.Categorical(["b"])}),
        {"x": "a"},
        {"x": "c"},
    ],
    "time zones": [
        {"x": pd.Timestamp("2020-01-01", tz="UTC")},
        {"x": pd.Timestamp("2020-01-01", tz="Europe/Berlin")},
        {"x": pd.Timestamp("2020-01-01", tz="UTC")},
    ],
}


@pytest.mark.parametrize("name", MIXED)
def test_frame__and_dataset_of_mixed_types(cohort: Cohort, name: str) -> None:
    given = MIXED[name]
    run = cohort.map(lambda session: given[IDS.index(session.ecephys_session_id)])
    frame = run.frame()
    expected = [
        value
        for one in given
        for value in (one["x"] if isinstance(one, pd.DataFrame) else [one.get("x")])
    ]
    for found, value in zip(frame["x"], expected, strict=True):
        assert (pd.isna(found) and pd.isna(value)) or found == value
    rows = run.dataset().to_table().sort_by("session_id").column("x").to_pylist()
    assert len(rows) == len(expected)
    for found, value in zip(rows, expected, strict=True):
        if isinstance(found, str) and not pd.isna(value):
            assert found == str(value)
        else:
            assert pd.isna(value) or found == value


def test_map__a_changed_function_is_accepted_by_name(cohort: Cohort, tmp_path: Path) -> None:
    def first(session: Any) -> int:
        return 1 if session.ecephys_session_id == IDS[0] else int("x")

    def mended(session: Any) -> int:
        return 2

    cohort.map(first, results=tmp_path)
    with pytest.raises(InvalidArgumentError, match="accept_changed_function=True, in the command"):
        cohort.map(mended, results=tmp_path)
    run = cohort.map(mended, results=tmp_path, accept_changed_function=True)
    assert run.frame()["value"].tolist() == [1, 2, 2]
    earlier = run.facts["earlier_functions"]
    assert [(one["name"].rpartition(".")[2], one["done"]) for one in earlier] == [
        ("first", IDS[:1])
    ]
    assert "return 2" in run.facts["function"]["source"]
    cohort.map(mended, results=tmp_path)


@pytest.mark.parametrize("name", ["f", "parameters", "worker"])
def test_psth__unknown_options(cohort: Cohort, name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"psth has no parameter '{name}': .*[Vv]alid"):
        cohort.psth(**{name: 2})


def test_psth__a_stimulus_that_sessions_lack(project: EcephysProjectCache) -> None:
    sessions = project.cohort(session_type="functional_connectivity").sessions.index[:1]
    run = project.cohort(session_ids=sessions).psth(stimulus="natural_scenes")
    assert len(run.failures) == 1
    assert "select others with session_type=" in run.failures["message"].iloc[0]
    assert repr(run).endswith("; errors in .failures")


def test_map__warns_where_it_is_called(cohort: Cohort) -> None:
    def warn(session: Any) -> int:
        warnings.warn("careful", stacklevel=1)
        return 1

    with pytest.warns(UserWarning, match="careful") as caught:
        cohort.map(warn)
    assert {Path(one.filename).name for one in caught} == {"test_cohort.py"}


# --- arguments


def count(session: Any, factor: int = 1, seed: int | None = None) -> dict[str, Any]:
    return {"n": factor * len(session.units), "seed": seed}


def test_map__parameters_and_seeds(cohort: Cohort) -> None:
    frame = cohort.map(count, parameters={"factor": 2}, seed=5).frame()
    again = cohort.map(count, parameters={"factor": 2}, seed=5).frame()
    pd.testing.assert_frame_equal(frame, again)
    assert frame["seed"].nunique() == 3
    assert frame["n"].tolist() == [
        2 * (cohort.units["ecephys_session_id"] == one).sum() for one in IDS
    ]
    # a session's seed does not depend on which others there are
    alone = cohort._project.cohort(session_ids=IDS[2]).map(count, seed=5).frame()
    assert alone["seed"].tolist() == frame["seed"].tolist()[2:]
    assert cohort.map(count, seed=6).frame()["seed"].tolist() != frame["seed"].tolist()
    assert cohort.map(count, parameters={"seed": 3}).frame()["seed"].tolist() == [3, 3, 3]


def test_map__a_function_may_change_its_parameters(cohort: Cohort) -> None:
    def add(session: Any, numbers: list[int]) -> int:
        numbers.append(1)
        return len(numbers)

    assert cohort.map(add, parameters={"numbers": []}).frame()["value"].tolist() == [1, 1, 1]


def test_map__a_decorator_may_supply_an_argument(cohort: Cohort) -> None:
    def compute(session: Any, number: int) -> int:
        return number

    @functools.wraps(compute)
    def supplied(session: Any) -> int:
        return compute(session, 4)

    assert cohort.map(supplied).frame()["value"].tolist() == [4, 4, 4]


class Called:
    def __call__(self, session: Any) -> int:
        return 1


def generate(session: Any) -> Any:
    yield 1


BAD_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"f": len}, "f is <built-in function len>: pass a function made with def"),
    ({"f": Called()}, "f is <.*Called.*: pass a function made with def"),
    ({"f": "count"}, "f is 'count', and it cannot even be called"),
    ({"f": generate}, "generate is a generator or async: return one table"),
    ({"parameters": {"fctor": 2}}, r"count\(session.* no parameter 'fctor': did you mean 'factor'"),
    ({"parameters": {"factor": {1: 2}}}, "cannot be recorded: the key 1 of a dict.* is not a text"),
    ({"parameters": {"factor": object()}}, "parameter factor is <object.*cannot be recorded"),
    ({"parameters": {"factor": pd.DataFrame()}}, "cannot be recorded: a DataFrame cannot be"),
    ({"workers": 0}, "workers=0; valid: a number of processes from 1"),
    ({"workers": -1}, "workers=-1; valid"),
    ({"workers": True}, "workers=True; valid"),
    ({"workers": 2.0}, "workers=2.0; valid"),
    ({"workers": 1, "memory_limit": "3"}, "memory_limit='3'; valid: .*such as '3GB'"),
    ({"workers": 1, "memory_limit": "much"}, "memory_limit='much'; valid"),
    ({"workers": 1, "memory_limit": float("inf")}, "memory_limit=inf; valid"),
    ({"workers": 1, "memory_limit": None}, "memory_limit=None; valid"),
    ({"workers": 1, "memory_limit": "900 TB"}, "is more than this machine has"),
    ({"client": "tcp://127.0.0.1:8786"}, r"client is 'tcp://.*: pass a distributed.Client"),
    ({"client": 5, "workers": 2}, "workers= starts a cluster and client= is one"),
    ({"data": "remote"}, "data='remote': .*Valid: 'auto', 'local'"),
    ({"on_error": "ignore"}, "on_error='ignore': .*'collect', 'raise'"),
    ({"seed": -1}, "seed=-1; valid: a whole number from 0"),
    ({"seed": True}, "seed=True; valid"),
    ({"task": 3}, r"task=3; valid: \(i, n\)"),
    ({"task": (2, 2)}, r"task=\(2, 2\); valid: parts 0 to 1 of 2"),
    ({"task": (-1, 2)}, r"task=\(-1, 2\); valid: parts 0 to 1"),
    ({"task": (0, 0)}, r"task=\(0, 0\); valid: \(i, n\) with n from 1"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS)
def test_map__bad_arguments(
    cohort: Cohort, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        cohort.map(**{"f": count, "results": tmp_path / "r", **arguments})
    assert not (tmp_path / "r").exists()


def test_map__without_distributed(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InvalidArgumentError, match=r"pip install 'spikehouse\[cluster\]'"):
        cohort.map(count, workers=2)


# --- resuming


def fail_once(session: Any, folder: str) -> int:
    flag = Path(folder) / str(session.ecephys_session_id)
    if session.ecephys_session_id == IDS[1] and not flag.exists():
        flag.touch()
        raise ValueError("the first time")
    # how often it was called
    with (Path(folder) / "calls").open("a") as file:
        file.write(f"{session.ecephys_session_id}\n")
    return 5


def test_map__a_failure_is_a_row_and_computed_again(cohort: Cohort, tmp_path: Path) -> None:
    options = {"parameters": {"folder": str(tmp_path)}, "results": tmp_path / "r"}
    run = cohort.map(fail_once, **options)
    assert re.match(r"fail_once: 2 done, 1 failed, 0 to do; .* s of computing; .* read", repr(run))
    assert run.failures.index.tolist() == [IDS[1]]
    assert run.failures.loc[IDS[1], "message"] == "the first time"
    assert 'raise ValueError("the first time")' in run.failures.loc[IDS[1], "traceback"]
    assert run.records["state"].tolist() == ["done", "failed", "done"]
    with pytest.raises(CohortError, match="session 900000002: ValueError: the first") as caught:
        run.raise_first()
    assert "fail_once" in caught.value.__notes__[0]
    assert run.frame()["session_id"].tolist() == [IDS[0], IDS[2]]
    again = run.retry()
    assert again is run
    assert run.failures.empty
    run.raise_first()
    assert cohort.map(fail_once, **options).frame()["value"].tolist() == [5, 5, 5]
    calls = (tmp_path / "calls").read_text().split()
    assert sorted(map(int, calls)) == IDS


def test_map__computes_what_is_missing(cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / str(IDS[1])).touch()
    options = {"parameters": {"folder": str(tmp_path)}, "results": tmp_path / "r"}
    first = cohort.map(fail_once, task=(1, 2), **options)
    assert first.records.index.tolist() == [IDS[1]]
    assert "1 done, 0 failed, 2 to do" in repr(first)
    cohort.map(fail_once, **options)
    # a record without its partition, and a partition without its record
    (tmp_path / "r" / f"session_id={IDS[0]}" / "part.parquet").unlink()
    (tmp_path / "r" / "_records" / f"{IDS[1]}.json").write_text("{")
    cohort.map(fail_once, **options)
    calls = (tmp_path / "calls").read_text().split()
    assert sorted(map(int, calls)) == sorted([*IDS, IDS[0], IDS[1]])
    frame = CohortRun(tmp_path / "r").frame()
    assert frame["session_id"].tolist() == IDS
    # a Parquet data set as it stands, whatever else is in the folder
    read = pd.read_parquet(tmp_path / "r")
    assert read["session_id"].astype(int).tolist() == IDS
    assert read["value"].tolist() == frame["value"].tolist()


def test_map__other_sessions_extend_a_run(project: EcephysProjectCache, tmp_path: Path) -> None:
    first = project.cohort(session_ids=IDS[:1]).map(count, results=tmp_path)
    assert first.session_ids == IDS[:1]
    both = project.cohort(session_ids=IDS[1]).map(count, results=tmp_path)
    assert both.session_ids == IDS[:2]
    assert both.frame()["session_id"].tolist() == IDS[:2]


def test_map__raise_stops_at_the_first(cohort: Cohort, tmp_path: Path) -> None:
    options = {"parameters": {"folder": str(tmp_path)}, "results": tmp_path / "r"}
    with pytest.raises(CohortError, match="session 900000002: ValueError: the first time"):
        cohort.map(fail_once, on_error="raise", **options)
    assert CohortRun(tmp_path / "r").records["state"].tolist() == ["done", "failed"]


@pytest.mark.parametrize("name", ["_records", f"session_id={IDS[0]}"])
def test_map__writes_nothing_through_links(cohort: Cohort, tmp_path: Path, name: str) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "r" / name).symlink_to(tmp_path / "outside")
    if name != "_records":
        cohort.map(count, results=tmp_path / "other")
        shutil.copy(tmp_path / "other" / "_run.json", tmp_path / "r")
    with pytest.raises(CacheError, match=r"lies outside the folder .*Remove the symbolic link"):
        cohort.map(count, results=tmp_path / "r")
    assert not list((tmp_path / "outside").iterdir())


def test_map__temporary_results_go_with_the_run(cohort: Cohort) -> None:
    run = cohort.map(count)
    path = run.path
    assert path.exists()
    del run
    assert not path.exists()


def test_run__opened_by_its_path(cohort: Cohort, tmp_path: Path) -> None:
    cohort.map(count, results=tmp_path)
    run = CohortRun(tmp_path)
    assert run.frame()["session_id"].tolist() == IDS
    assert run.facts["parameters"] == {}
    with pytest.raises(InvalidArgumentError, match=r"opened by its path.*spikehouse cohort retry"):
        run.retry()
    with pytest.raises(CacheError, match=r"holds no results of a cohort: there is no _run.json"):
        CohortRun(tmp_path / "nowhere")


@pytest.mark.parametrize("n_left", [0, 50])
def test_map__computes_a_cut_partition_again(cohort: Cohort, tmp_path: Path, n_left: int) -> None:
    cohort.map(count, results=tmp_path)
    part = tmp_path / f"session_id={IDS[0]}" / "part.parquet"
    whole = part.read_bytes()
    part.write_bytes(whole[:n_left])
    assert "2 done, 0 failed, 1 to do" in repr(CohortRun(tmp_path))
    assert cohort.map(count, results=tmp_path).frame()["session_id"].tolist() == IDS
    assert part.read_bytes() == whole


@pytest.mark.parametrize(
    "facts",
    [{"session_id": IDS[1]}, {"n_bytes": "many"}, {"seconds": None}, {"state": "failed"}],
)
def test_map__computes_a_session_of_an_odd_record_again(
    cohort: Cohort, tmp_path: Path, facts: dict[str, Any]
) -> None:
    cohort.map(count, results=tmp_path)
    path = tmp_path / "_records" / f"{IDS[0]}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))
    assert "2 done, 0 failed, 1 to do" in repr(CohortRun(tmp_path))
    assert cohort.map(count, results=tmp_path).frame()["session_id"].tolist() == IDS


@pytest.mark.parametrize(
    "facts",
    [
        {"function": {}}, {"function": "f"}, {"versions": None}, {"sessions": 5},
        {"sessions": ["../x"]}, {"parameters": None}, {"filters": []}, {"cache": 1},
    ],
)  # fmt: skip
def test_run__an_odd_document(cohort: Cohort, tmp_path: Path, facts: dict[str, Any]) -> None:
    cohort.map(count, results=tmp_path)
    path = tmp_path / "_run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))
    for call in (lambda: CohortRun(tmp_path), lambda: cohort.map(count, results=tmp_path)):
        with pytest.raises(CacheError, match=r"_run.json cannot be read: .*use another folder"):
            call()


class Unspeakable(BaseException):
    def __str__(self) -> str:
        raise ValueError("no text")


def raise_odd(session: Any) -> int:
    if session.ecephys_session_id == IDS[0]:
        raise Unspeakable
    return 1


def test_map__any_exception_is_a_failure(cohort: Cohort) -> None:
    run = cohort.map(raise_odd)
    assert run.failures["type"].to_dict() == {IDS[0]: "Unspeakable"}
    assert run.failures["message"].iloc[0] == "its text cannot be made: ValueError"
    assert len(run.frame()) == 2


def test_dataset__keeps_temporary_results(cohort: Cohort) -> None:
    # an assert would keep the run alive
    found = cohort.map(count).dataset()
    assert found.to_table().num_rows == len(IDS)


def warn_late(session: Any) -> int:
    time.sleep(0.05)
    warnings.warn(f"of {session.ecephys_session_id}", stacklevel=1)
    return 1


@pytest.mark.filterwarnings("always:of ")
def test_compute_session__in_threads(project: EcephysProjectCache) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from spikehouse.cohort._task import Work, compute_session

    shown = warnings.showwarning
    work = Work(project, warn_late, __file__, {}, {}, "auto", None)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(compute_session, [work] * 3, IDS))
    for outcome in found:
        own = [text for text in outcome.warnings if text.startswith("of ")]
        assert own == [f"of {outcome.session_id}"]
    assert warnings.showwarning is shown


# --- data


def get_place(session: Any) -> str:
    return str(session.api.path)


def test_map__data_auto_takes_a_file_of_this_machine_in_place(
    project: EcephysProjectCache, survey_folder: Path
) -> None:
    cohort = project.cohort(session_ids=IDS[:1])
    place = Path(cohort.map(get_place).frame()["value"][0])
    assert survey_folder in place.parents
    assert not project.is_cached(IDS[0])


def test_map__data_local_needs_cached_files(project: EcephysProjectCache) -> None:
    project.fetch_session(IDS[0])
    run = project.cohort(session_ids=IDS[:2]).map(get_place, data="local")
    assert run.records["state"].tolist() == ["done", "failed"]
    assert "data is 'local': fetch it, or pass data='stream'" in run.failures["message"].iloc[0]


def test_map__data_fetch_and_fetch_and_drop(project: EcephysProjectCache) -> None:
    project.fetch_session(IDS[0])
    cohort = project.cohort(session_ids=IDS[:2])
    run = cohort.map(get_place, data="fetch-and-drop")
    cached = project.manifest_path.parent
    assert all(cached in Path(place).parents for place in run.frame()["value"])
    # what was there before stays
    assert [project.is_cached(one) for one in IDS[:2]] == [True, False]
    cohort.map(get_place, data="fetch")
    assert [project.is_cached(one) for one in IDS[:2]] == [True, True]


def test_map__counts_the_bytes_that_are_read(project: EcephysProjectCache) -> None:
    size = project.fetch_session(IDS[0]).stat().st_size
    cohort = project.cohort(session_ids=IDS[0])
    n_bytes = cohort.map(count, data="local").records["n_bytes"].iloc[0]
    assert 0 < n_bytes < size
