"""``spikehouse cohort``: run, status, retry, and the ready functions."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from spikehouse import cli
from spikehouse.demo import Survey

Run = Callable[..., tuple[int, str, str]]
FUNCTIONS = """
import os
from pathlib import Path

def count(session, factor=1, flag="good"):
    if session.ecephys_session_id == 900000002 and not (Path(__file__).parent / flag).exists():
        raise ValueError("not good")
    return {"n": factor * len(session.units)}

def _hidden(session):
    return 1
"""


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    survey: Survey,
) -> Run:
    """Run a command on the tiny survey; gives exit code, output and errors."""
    monkeypatch.setenv("SPIKEHOUSE_PROGRESS", "0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (tmp_path / "own_functions.py").write_text(FUNCTIONS)
    (tmp_path / "broken.py").write_text("\nint('x')\n")
    (tmp_path / "exits.py").write_text("raise SystemExit(0)\n")

    def call(*words: str, place: bool = True) -> tuple[int, str, str]:
        where = ("--source", "demo", "--size", "tiny", "--cache", "cache") if place else ()
        monkeypatch.setattr(sys, "argv", ["spikehouse", "cohort", *words, *where])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        captured = capsys.readouterr()
        code = caught.value.code
        return (int(code) if code else 0), captured.out, captured.err

    return call


TWO = ("--session", "900000001", "--session", "900000002")


def test_run__status_and_retry(run: Run, tmp_path: Path) -> None:
    words = ("run", "own_functions.py:count", "--results", "r", "-p", "factor=2", *TWO)
    code, out, err = run(*words)
    assert code == 1
    assert out.splitlines()[1:] == [" 900000002  ValueError  not good"]
    assert "count: 1 done, 1 failed, 0 to do;" in err
    code, out, err = run("status", "r", place=False)
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        ["900000001", "done"], ["900000002", "failed"],
    ]  # fmt: skip
    (tmp_path / "good").touch()
    # the folder says neither what is run nor where the files are
    code, out, err = run("retry", "r", place=False)
    assert (code, out) == (1, "")
    assert f"add --function {tmp_path / 'own_functions.py'}:count" in err
    words = ("--function", "own_functions.py:count")
    code, out, err = run("retry", "r", *words, place=False)
    assert (code, out) == (1, "")
    place = f"--source demo --cache {tmp_path / 'cache'}"
    assert f"if you know the places, add them: {place}" in err
    code, out, err = run("retry", "r", *words)
    assert (code, out) == (0, "")
    assert "count: 2 done, 0 failed" in err
    assert run("retry", "r", place=False) == (0, "", "no session failed\n")
    table = pd.read_parquet("r")
    assert table["n"].tolist() == [32, 32]


def test_retry__a_ready_function(run: Run, tmp_path: Path, survey: Survey) -> None:
    words = ("metrics", "--results", "r", "-p", "stimulus=flashes", "--session", "900000001")
    assert run(*words)[0] == 0
    fail(tmp_path / "r" / "_records" / "900000001.json")
    code, _, err = run("retry", "r")
    assert (code, "metrics: 1 done, 0 failed" in err) == (0, True)


def fail(record: Path) -> None:
    error = {"type": "E", "message": "m", "traceback": ""}
    change(record, {"state": "failed", "error": error})


def change(document: Path, facts: dict[str, Any]) -> None:
    document.write_text(json.dumps(json.loads(document.read_text()) | facts))


def test_retry__runs_nothing_that_the_folder_names(
    run: Run, tmp_path: Path, survey: Survey
) -> None:
    words = ("metrics", "--results", "r", "-p", "stimulus=flashes", "--session", "900000001")
    assert run(*words)[0] == 0
    fail(tmp_path / "r" / "_records" / "900000001.json")
    evil = tmp_path / "r" / "evil.py"
    evil.write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')\ndef metrics(session): pass\n")
    document = tmp_path / "r" / "_run.json"
    facts = json.loads(document.read_text())["function"]
    change(document, {"function": {**facts, "name": f"{evil}:metrics"}})
    code, _, err = run("retry", "r")
    assert (code, "are those of a function of a file" in err) == (1, True)
    assert not (tmp_path / "was_run").exists()


def test_retry__opens_no_place_that_the_folder_names(
    run: Run, tmp_path: Path, survey: Survey
) -> None:
    words = ("metrics", "--results", "r", "-p", "stimulus=flashes", "--session", "900000001")
    assert run(*words)[0] == 0
    fail(tmp_path / "r" / "_records" / "900000001.json")
    place = {"source": ["s3"], "host": "127.0.0.1:9", "cache": str(tmp_path / "theirs" / "m.json")}
    change(tmp_path / "r" / "_run.json", {"cache": {**place, "offline": False}})
    code, _, err = run("retry", "r", place=False)
    assert (code, "say where the files are" in err) == (1, True)
    assert "--source s3 --cache" in err
    assert "--host 127.0.0.1:9" in err
    assert not (tmp_path / "theirs").exists()


def test_run__an_array_job(run: Run, tmp_path: Path) -> None:
    (tmp_path / "good").touch()
    words = ("run", "own_functions.py:count", "--results", "r", "--of", "2", *TWO)
    code, _, err = run(*words, "--task", "1")
    assert (code, "1 done, 0 failed, 1 to do" in err) == (0, True)
    _, out, _ = run("status", "r", place=False)
    assert out.splitlines()[1].split() == ["900000001", "to", "do"]
    code, _, err = run(*words, "--task", "0", "--out", "all.csv")
    assert "2 done, 0 failed, 0 to do" in err
    assert pd.read_csv("all.csv").columns.tolist() == ["session_id", "n"]


def test_metrics__of_a_structure(run: Run) -> None:
    code, _, err = run(
        "metrics", "--out", "m.csv", "-p", "stimulus=flashes", "--structure", "VISp",
        "--session", "900000001",
    )  # fmt: skip
    assert (code, "metrics: 1 done" in err) == (0, True)
    table = pd.read_csv("m.csv")
    assert {"session_id", "unit_id", "on_off_ratio_fl"} <= set(table.columns)
    assert 0 < len(table) < 16


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "own_functions.py:cont", "--results", "r"), "no function 'cont' in own_functions"),
        (("run", "own_functions.py:_hidden", "--results", "r"), "no function '_hidden'"),
        (("run", "no.py:count", "--results", "r"), "no.py:count is not FILE:FUNCTION: there is"),
        (("run", "own_functions.py", "--results", "r"), "write own_functions.py:FUNCTION; it has"),
        (("run", "broken.py:f", "--results", "r"), "broken.py, line 2 cannot be loaded: Value"),
        (("run", "exits.py:f", "--results", "r"), "exits.py calls sys.exit(0)"),
        (("psth", "--results", "r", "-p", "window=-0.1,0.5"), "write window=[-0.1,0.5]"),
        (("psth", "--results", "r", "-p", "stimulis=flashes"), "did you mean 'stimulus'"),
        (("run", "count", "--results", "r"), "count is not FILE:FUNCTION"),
        (("run", "own_functions.py:count"), "results would be lost: give --results FOLDER"),
        (("metrics", "--results", "r", "-p", "stimulus"), "--parameter stimulus is not NAME=VALUE"),
        (("metrics", "--results", "r", "--task", "1"), "--task and --of belong together"),
        (("metrics", "--results", "r", "--sex", "X"), "no session has sex 'X': "),
    ],
)
def test_run__bad_words(run: Run, words: tuple[str, ...], message: str) -> None:
    code, out, err = run(*words)
    assert (code, out) == (1, "")
    assert message in err
    assert not Path("r").exists()


def test_run__a_file_that_exits(run: Run, tmp_path: Path) -> None:
    (tmp_path / "exits.py").write_text("import sys\n\ndef f(session): return 1\n\nsys.exit(0)\n")
    code, _, err = run("run", "exits.py:f", "--results", "r")
    assert (code, "exits.py calls sys.exit(0) when it is loaded" in err) == (1, True)


def test_status__of_a_folder_that_is_none(run: Run) -> None:
    code, _, err = run("status", "nowhere", place=False)
    assert (code, "holds no results of a cohort" in err) == (1, True)
