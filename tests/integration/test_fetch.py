"""Planning, fetching, interrupting, going on: in Python and on the command line, over sockets."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from warehouse_server import DemoWarehouse

from file_server import FileServer
from spikehouse import EcephysProjectCache, cli
from spikehouse.demo import Survey
from spikehouse.errors import (
    CacheError,
    InvalidArgumentError,
    NotFoundError,
    SessionNotFoundError,
    TransferError,
)
from spikehouse.survey import FetchPlan

FIRST, SECOND = 900000001, 900000002
SESSION = f"/session_{FIRST}/session_{FIRST}.nwb"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEHOUSE_PROGRESS", "0")


@pytest.fixture(scope="module")
def bucket(survey: Survey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay two sessions and the tables out as in the bucket."""
    folder = tmp_path_factory.mktemp("bucket")
    for name in ("sessions", "probes", "channels", "units"):
        survey.read_table(name).to_csv(folder / f"{name}.csv")  # type: ignore[arg-type]
    probes = survey.read_table("probes")
    for session_id in (FIRST, SECOND):
        place = folder / f"session_{session_id}"
        place.mkdir()
        shutil.copy(survey.session_file(session_id), place / f"session_{session_id}.nwb")
    for probe_id in probes.index[probes["ecephys_session_id"] == FIRST]:
        shutil.copy(
            survey.lfp_file(int(probe_id)),
            folder / f"session_{FIRST}" / f"probe_{probe_id}_lfp.nwb",
        )
    return folder


@pytest.fixture
def server(bucket: Path) -> Iterator[FileServer]:
    with FileServer(folder=bucket) as server:
        yield server


@pytest.fixture
def project(server: FileServer, tmp_path: Path) -> EcephysProjectCache:
    manifest = tmp_path / "cache" / "manifest.json"
    return EcephysProjectCache.from_s3(manifest, base_url=f"http://{server.address}/")


def start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from spikehouse.cli import main; main()", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "200"},
    )


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command as the entry point does; gives exit code, output and errors."""

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["spikehouse", *words])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        captured = capsys.readouterr()
        code = caught.value.code
        return (int(code) if code else 0), captured.out, captured.err

    return call


# --- plans


def test_plan__looks_at_the_disk_and_at_the_source(
    project: EcephysProjectCache, bucket: Path
) -> None:
    plan = project.plan([FIRST], lfp=["probeC"])
    size = (bucket / f"session_{FIRST}" / f"session_{FIRST}.nwb").stat().st_size
    (session,) = [item for item in plan.items if item.kind == "session"]
    assert (session.state, session.n_bytes, session.source) == ("absent", size, "s3")
    assert session.url.endswith(f"/session_{FIRST}/session_{FIRST}.nwb")
    assert {item.file: item.state for item in plan.items if item.kind == "table"} == {
        "sessions.csv": "cached",
        "probes.csv": "cached",
        "channels.csv": "absent",
        "units.csv": "absent",
    }
    assert [item.kind for item in plan.items][-2:] == ["session", "lfp"]
    assert plan.n_bytes_missing > size
    assert not (plan.folder / f"session_{FIRST}").exists()


def test_plan__says_what_there_is_not(project: EcephysProjectCache) -> None:
    with pytest.raises(SessionNotFoundError, match="no session 900000099: did you mean 9000000"):
        project.plan([900000099])
    with pytest.raises(NotFoundError, match="no chosen session has a probe 'probeX'"):
        project.plan([FIRST], lfp=["probeX"])
    with pytest.raises(NotFoundError, match="there is no natural scene 118"):
        project.plan(scenes=[118])
    with pytest.raises(InvalidArgumentError, match="'900000001' is not a session id"):
        project.plan("900000001")  # type: ignore[arg-type]


def test_plan__of_what_nobody_has_says_so(project: EcephysProjectCache) -> None:
    plan = project.plan(movies=True, tables=False)
    assert [item.state for item in plan.items] == ["absent", "absent"]
    assert all(item.problem for item in plan.items)
    assert "natural_movie_1.h5: " in str(plan)


# --- fetching


def test_fetch__brings_everything_and_then_nothing(
    project: EcephysProjectCache, server: FileServer, bucket: Path
) -> None:
    plan = project.plan([FIRST, SECOND])
    paths = project.fetch(plan)
    assert [path.relative_to(plan.folder).as_posix() for path in paths] == [
        item.file for item in plan.items
    ]
    for path in paths:
        assert path.read_bytes() == (bucket / path.relative_to(plan.folder)).read_bytes()
    again = project.plan([FIRST, SECOND])
    assert again.is_complete
    server.requests.clear()
    assert project.fetch(again) == paths
    assert project.fetch(plan) == paths
    assert server.requests == []
    assert (project.verify()["state"] == "ok").all()


def test_fetch__one_failure_does_not_stop_the_others(
    project: EcephysProjectCache, server: FileServer
) -> None:
    plan = project.plan([FIRST, SECOND])
    server.routes[SESSION] = lambda handler: handler.send_words(404)
    with pytest.raises(TransferError) as caught:
        project.fetch(plan)
    message = str(caught.value)
    assert message.startswith(f"1 of 6 files could not be downloaded:\n  session {FIRST}: ")
    assert "404" in message
    assert message.endswith("call again to download what is missing")
    assert [item.state for item in project.plan([FIRST, SECOND]).items[-2:]] == ["absent", "cached"]
    server.routes.clear()
    assert len(project.fetch(plan)) == 6


def test_fetch__goes_on_with_another_source(
    server: FileServer, bucket: Path, tmp_path: Path
) -> None:
    from spikehouse.survey.sources.s3 import S3

    server.routes[SESSION] = lambda handler: handler.send_words(404)
    sources = [S3(f"http://{server.address}/"), bucket]
    project = EcephysProjectCache.from_sources(sources, tmp_path / "manifest.json")
    plan = project.plan([FIRST])
    assert plan.items[-1].source == "folder"
    assert plan.items[-1].url.startswith("file:///")
    project.fetch(plan)
    assert project.plan([FIRST]).is_complete


def test_fetch__refuses_what_is_no_plan_of_this_cache(
    project: EcephysProjectCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = project.plan([FIRST])
    with pytest.raises(InvalidArgumentError, match="is not a plan: create one with plan"):
        project.fetch([FIRST])  # type: ignore[arg-type]
    other = FetchPlan(tmp_path, plan.items, plan.n_bytes_free)
    with pytest.raises(InvalidArgumentError, match="this plan is for"):
        project.fetch(other)
    monkeypatch.setattr("spikehouse.survey.run_plan.measure_free_space", lambda folder: 1000)
    with pytest.raises(CacheError, match=r"MB must be downloaded, but .* has 1.00 kB free"):
        project.fetch(plan)


def test_fetch__in_the_fixed_cache_fetches_nothing(project: EcephysProjectCache) -> None:
    project.fetch(project.plan([FIRST]))
    fixed = EcephysProjectCache.fixed(project.manifest_path)
    assert len(fixed.fetch(fixed.plan([FIRST]))) == 5
    plan = fixed.plan([SECOND])
    assert "no network may be used" in plan.items[-1].problem
    with pytest.raises(TransferError, match="no network may be used"):
        fixed.fetch(plan)


# --- streaming


def count_bytes(server: FileServer) -> int:
    return sum(asked.n_sent for asked in server.requests if asked.path == SESSION)


def test_get_session_data__streams_the_same_session(
    project: EcephysProjectCache, server: FileServer, bucket: Path
) -> None:
    with project.get_session_data(FIRST, stream=True) as streamed:
        units = streamed.units
        times = {unit_id: streamed.spike_times[unit_id] for unit_id in units.index}
        lfp = streamed.get_lfp(streamed.probes.index[0])[:100].to_numpy()
    assert not (project.manifest_path.parent / SESSION[1:]).exists()
    whole = (bucket / SESSION[1:]).stat().st_size
    assert 0 < count_bytes(server) < whole
    with project.get_session_data(FIRST) as fetched:
        pd.testing.assert_frame_equal(fetched.units, units)
        for unit_id, expected in times.items():
            assert (fetched.spike_times[unit_id] == expected).all()
        assert (fetched.get_lfp(fetched.probes.index[0])[:100].to_numpy() == lfp).all()
    # what was streamed is not downloaded again
    assert whole <= count_bytes(server) < whole + 100
    limits = {"isi_violations_maximum": 0.0}
    with project.get_session_data(SECOND, stream=True, **limits) as session:
        assert (session.units["isi_violations"] <= 0).all()


# --- Ctrl-C


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to a child")
def test_command_fetch__interrupted_keeps_parts_and_goes_on(
    run: Run, server: FileServer, bucket: Path, tmp_path: Path
) -> None:
    words = ("--source", "s3", "--host", server.address, "--cache", str(tmp_path))
    assert run("fetch", *words)[0] == 0
    # two files of 7 MB on several connections: about 3 s in all
    server.pause_s = 0.2
    server.requests.clear()
    fetching = start("fetch", str(FIRST), str(SECOND), *words)
    deadline = time.monotonic() + 30
    while server.n_sent() < 4_000_000 and time.monotonic() < deadline:
        time.sleep(0.02)
    fetching.send_signal(signal.SIGINT)
    out, err = fetching.communicate(timeout=30)
    assert fetching.returncode == 130, err
    assert "Interrupted: stopped; what has arrived of each file is kept" in err
    assert "Traceback" not in err
    assert out == ""
    parts = sorted(path.name for path in tmp_path.glob("session_*/*.part"))
    assert parts == [f"session_{FIRST}.nwb.part", f"session_{SECOND}.nwb.part"]
    code, out, _ = run("fetch", str(FIRST), str(SECOND), *words, "--dry-run")
    assert code == 0
    assert len(re.findall(r"MB  [\d.]+ [kM]B  partial", out)) == 2
    code, out, _ = run("cache", "ls", *words)
    assert len(re.findall(r"\.part .* part", out)) == 2

    server.pause_s = 0.0
    server.requests.clear()
    code, out, err = run("fetch", str(FIRST), str(SECOND), *words)
    assert code == 0, err
    assert f"session_{SECOND}.nwb" in out
    sizes = 0
    for session_id in (FIRST, SECOND):
        name = f"session_{session_id}/session_{session_id}.nwb"
        assert (tmp_path / name).read_bytes() == (bucket / name).read_bytes()
        sizes += (bucket / name).stat().st_size
    # what was there was not fetched again
    assert server.n_sent() < sizes - 2_000_000
    assert list(tmp_path.glob("session_*/*.part*")) == []


# --- the other commands


@pytest.fixture(scope="module")
def words(bucket: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    return ("--source", str(bucket), "--cache", str(tmp_path_factory.mktemp("commands")))


def test_command_info__never_fetches_by_surprise(run: Run, words: tuple[str, ...]) -> None:
    code, out, err = run("info", str(FIRST), *words)
    assert (code, out) == (1, "")
    assert f"download it (spikehouse fetch {FIRST} --source " in err
    assert "), or add --stream" in err
    code, streamed, err = run("info", str(FIRST), "--stream", *words)
    assert code == 0, err
    assert streamed.startswith(f"EcephysSession {FIRST} (brain_observatory_1.1): simulated data\n")
    assert not (Path(words[-1]) / f"session_{FIRST}").exists()


def test_command_info__of_a_file_and_of_a_url(run: Run, bucket: Path, server: FileServer) -> None:
    name = f"session_{FIRST}/session_{FIRST}.nwb"
    code, of_file, err = run("info", str(bucket / name))
    assert code == 0, err
    code, of_url, err = run("info", f"http://{server.address}/{name}")
    assert code == 0, err
    assert of_url == of_file
    code, _, err = run("info", "nowhere.nwb")
    assert code == 1
    assert err == (
        "Error: there is no file nowhere.nwb: use a session id, the path of a session file, or "
        "its URL\n"
    )


def test_command_verify__repairs(run: Run, words: tuple[str, ...], bucket: Path) -> None:
    assert run("fetch", str(FIRST), *words)[0] == 0
    name = f"session_{FIRST}/session_{FIRST}.nwb"
    path = Path(words[-1]) / name
    path.write_bytes(path.read_bytes()[:100_000])
    code, out, err = run("verify", *words)
    assert code == 1
    assert re.search(rf"{name} +100000  cut short", out)
    assert "1 not ok: add --repair" in err
    code, out, err = run("verify", "--repair", *words)
    assert code == 0, err
    assert "repaired" in out
    assert path.read_bytes() == (bucket / name).read_bytes()
    assert run("verify", *words)[0] == 0


def test_command_cache__cleans_and_adopts(run: Run, bucket: Path, tmp_path: Path) -> None:
    words = ("--source", str(bucket), "--cache", str(tmp_path))
    folder = tmp_path / f"session_{FIRST}"
    code, out, err = run("cache", "adopt", str(bucket), *words)
    assert code == 0, err
    assert out.count("linked") + out.count("copied") == 8
    assert (folder / f"session_{FIRST}.nwb").samefile(
        bucket / f"session_{FIRST}" / f"session_{FIRST}.nwb"
    )
    code, out, _ = run("cache", "ls", *words)
    assert out.count("adopted") == 8
    assert run("verify", *words)[0] == 0

    # unfinished downloads: a fresh one may be wanted
    for name, age in (("session_7.nwb", 0), ("session_8.nwb", 90_000)):
        part = tmp_path / name.removesuffix(".nwb") / f"{name}.part"
        part.parent.mkdir()
        part.write_bytes(bytes(5000))
        os.utime(part, (time.time() - age,) * 2)
    code, out, err = run("cache", "clean", "--yes", *words)
    assert code == 0, err
    assert "session_8.nwb.part" in out
    assert "session_7" not in out
    assert not (tmp_path / "session_8" / "session_8.nwb.part").exists()
    assert run("cache", "clean", "--yes", *words)[2].endswith("nothing to remove\n")
    code, out, _ = run("cache", "clean", str(FIRST), "--all-parts", "--yes", *words)
    assert (code, out.count("session_7.nwb.part"), out.count("_lfp.nwb")) == (0, 1, 2)
    assert list(folder.iterdir()) == []
    # the other name of the file is another matter
    assert (bucket / f"session_{FIRST}" / f"session_{FIRST}.nwb").exists()
    assert (tmp_path / f"session_{SECOND}" / f"session_{SECOND}.nwb").exists()
    code, _, err = run("cache", "clean", str(FIRST), "--yes", *words)
    assert code == 1
    assert f"no file of session {FIRST} is here: did you mean {SECOND}" in err


def test_command_fetch__from_the_demo_warehouse(run: Run, survey: Survey, tmp_path: Path) -> None:
    with DemoWarehouse(survey) as warehouse:
        words = ("--source", "warehouse", "--host", warehouse.address, "--cache", str(tmp_path))
        code, out, err = run("fetch", str(FIRST), "--lfp", "probeC", *words)
        assert code == 0, err
        assert out.count("_lfp.nwb") == 1
        assert run("fetch", "--lfp", "probeC", *words)[0] == 1
        code, _, err = run("fetch", "12", *words)
        assert (code, "there is no session 12: did you mean" in err) == (1, True)
    # … and offline
    code, out, err = run("units", "--session", str(FIRST), "--offline", "--cache", str(tmp_path))
    assert code == 0, err
    assert f"{len(out.splitlines()) - 1} units" in err
