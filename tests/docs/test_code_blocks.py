"""Every code block of the README and of the pages in docs runs, on the demo survey.

What a page does with the real survey is done with the demo: ``AS_DEMO`` lists the replacements.
The tutorial on real recordings is run by ``tests/integration/test_real_recordings.py``.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import xarray as xr

from spikehouse import EcephysProjectCache, EcephysSession
from spikehouse.cli import main
from spikehouse.cohort import CohortRun

ROOT = Path(__file__).resolve().parents[2]
# a section at a time, where its packages are installed
HAND_OVER = ROOT / "docs" / "how-to" / "hand-over.md"
PAGES = [
    ROOT / "README.md",
    *sorted(set((ROOT / "docs" / "how-to").rglob("*.md")) - {HAND_OVER}),
    ROOT / "docs" / "explanation" / "simulated-survey.md",
]
AS_DEMO = {
    r"791319847": "900000001",
    r"766640955": "900000002",
    r"EcephysProjectCache\.from_(sources|s3|dandi|warehouse|folder)\(.*?\)$": (
        'EcephysProjectCache.from_demo("~/data/manifest.json", size="tiny")'
    ),
}
# commands of other programs, or that never end
NOT_RUN = re.compile(r"^(python3? |git |pytest |\.venv|spikehouse demo serve|spikehouse explore)")


def blocks(page: Path) -> list[tuple[int, str, str]]:
    """Give (line number, language, code) of every block."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```(\w*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return [(text[: m.start()].count("\n") + 2, m.group(1), m.group(2)) for m in found]


def as_demo(code: str) -> str:
    for real, demo in AS_DEMO.items():
        code = re.sub(real, demo, code, flags=re.MULTILINE)
    return code


def run_python(code: str, names: dict[str, object], *, page: Path, line: int) -> None:
    tree = ast.parse("\n" * (line - 1) + as_demo(code), filename=str(page))
    for statement in tree.body:
        if not isinstance(statement, ast.Expr):
            exec(compile(ast.Module([statement], []), str(page), "exec"), names)
            continue
        value = eval(compile(ast.Expression(statement.value), str(page), "eval"), names)
        where = f"{page.name}:{statement.lineno}: {ast.unparse(statement)}"
        assert getattr(value, "size", 1), f"{where} is empty on the demo"
        if isinstance(value, xr.DataArray):
            assert value.notnull().any(), f"{where} is NaN on the demo"


def run_shell(
    code: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in code.splitlines():
        command = shlex.split(as_demo(line.split("  #")[0]), comments=True)
        if not command or NOT_RUN.match(line):
            continue
        assert command[0] == "spikehouse", f"how is {line!r} tested?"
        arguments = command[1:]
        while "--source" in arguments:
            at = arguments.index("--source")
            del arguments[at : at + 2]
        if arguments[:2] == ["cache", "clean"]:
            arguments.append("--yes")
        names_no_place = arguments[:2] == ["cohort", "status"]
        if not ("--cache" in arguments or arguments[0] == "quickstart" or names_no_place):
            arguments += ["--cache", "~/data"]
        if arguments[0] != "cache" and not names_no_place:
            arguments += ["--source", "demo", "--size", "tiny"]
        monkeypatch.setattr(
            "sys.argv",
            [
                "spikehouse",
                *(str(Path(a).expanduser()) if a.startswith("~") else a for a in arguments),
            ],
        )
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code, f"{line}: {capsys.readouterr().err}"


def make_cluster(
    *, cores: int, processes: int, memory: str, walltime: str, job_script_prologue: list[str]
) -> Any:
    """Start a cluster on this machine instead of one of batch jobs."""
    from distributed import LocalCluster

    assert re.fullmatch(r"\d\d:\d\d:\d\d", walltime)
    assert all(line.startswith("export ") for line in job_script_prologue)
    threads = cores // processes

    class Cluster(LocalCluster):
        def scale(self, n: int | None = None, *, jobs: int = 0) -> None:
            super().scale(min(jobs, 2) if n is None else n)

    return Cluster(
        n_workers=0,
        threads_per_worker=threads,
        memory_limit=memory,
        dashboard_address="127.0.0.1:0",
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.filterwarnings("ignore:.*spikes are missing or wrong:UserWarning")
@pytest.mark.filterwarnings("ignore:.*conditions of static_gratings are not among:UserWarning")
def test_page__every_block_runs(session_path, page, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SPIKEHOUSE_PROGRESS", "0")
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("Agg")
    monkeypatch.setitem(sys.modules, "dask_jobqueue", SimpleNamespace(SLURMCluster=make_cluster))
    # as in a notebook
    names: dict[str, object] = {"__name__": "__main__", "manifest": tmp_path / "manifest.json"}
    if page.parent.name == "how-to":
        names["session"] = EcephysSession.from_nwb_path(session_path)
        for folder in ("allensdk", "data"):
            manifest = tmp_path / folder / "manifest.json"
            with EcephysProjectCache.from_demo(manifest, size="tiny") as cache:
                cache.get_session_data(900000001).close()
    shutil.copy(session_path, tmp_path / "session_900000001.nwb")
    for line, language, code in blocks(page):
        if language == "python":
            run_python(code, names, page=page, line=line)
            plt.close("all")
        elif language == "sh":
            run_shell(code, capsys, monkeypatch)


def sections() -> dict[str, tuple[str, int]]:
    """Give the code, and its line, below each heading of the page that hands over."""
    text = HAND_OVER.read_text(encoding="utf-8")
    titles = [(text[: m.start()].count("\n"), m[1]) for m in re.finditer(r"^## (.*)", text, re.M)]
    return {
        [title for above, title in titles if above < line][-1]: (code, line)
        for line, _, code in blocks(HAND_OVER)
    }


# what other packages warn of is theirs
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("title", sections())
def test_hand_over__section_runs(small_survey, title):
    code, line = sections()[title]
    for name in re.findall(r"^(?:import|from) (\w+)", code, flags=re.MULTILINE):
        pytest.importorskip(name, reason=f"{name} is not installed (extra handover, or cebra)")
    if "to_spikeinterface" in code:
        pytest.importorskip("spikeinterface", reason="spikeinterface is not installed")
    plt.switch_backend("Agg")
    lfp = {910001004: small_survey.lfp_file(910001004)} if "lfp=" in code else {}
    options = {"probe_lfp_paths": lfp}
    with EcephysSession.from_nwb_path(
        small_survey.session_file(900000001), api_kwargs=options
    ) as session:
        run_python(code, {"__name__": "__main__", "session": session}, page=HAND_OVER, line=line)
    plt.close("all")


@pytest.mark.filterwarnings("ignore:.*spikes are missing or wrong:UserWarning")
def test_array_job__tasks_make_one_table(survey, tmp_path, monkeypatch):
    page = ROOT / "docs" / "how-to" / "all-sessions-on-a-cluster.md"
    (script,) = (code for _, language, code in blocks(page) if language == "bash")
    n_tasks = int(re.search(r"--array=0-(\d+)$", script, flags=re.MULTILINE).group(1)) + 1
    assert f"--of {n_tasks}" in script
    # three tasks are enough here
    job = tmp_path / "job.sh"
    job.write_text(script.replace("/shared", str(tmp_path)).replace(f"--of {n_tasks}", "--of 3"))
    command = tmp_path / "bin" / "spikehouse"
    command.parent.mkdir()
    command.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -m spikehouse "$@" --source demo --size tiny\n'
    )
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent), prepend=os.pathsep)
    monkeypatch.setenv("SPIKEHOUSE_PROGRESS", "0")
    tasks = [
        subprocess.Popen(
            ["bash", str(job)],
            env={**os.environ, "SLURM_ARRAY_TASK_ID": str(number)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in (0, 2)
    ]
    said = [task.communicate()[0] for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], said
    with EcephysProjectCache.from_demo(tmp_path / "manifest.json", size="tiny") as cache:
        ids = sorted(cache.get_session_table().index)
        run = CohortRun(tmp_path / "metrics")
        assert run.records.index.tolist() == sorted(ids[0::3] + ids[2::3])
        # without the last task; whoever makes the same call computes the rest
        here = cache.cohort().metrics(stimulus="flashes", results=tmp_path / "metrics")
        alone = cache.cohort().metrics(stimulus="flashes")
    pd.testing.assert_frame_equal(here.frame(), alone.frame())
