"""The quick start over real sockets on this machine, and on a session file."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from warehouse_server import DemoWarehouse

from spikehouse.errors import NotFoundError, SessionNotFoundError
from spikehouse.quickstart import QuickstartOptions, run_quickstart

FIGURES = ("psth.png", "raster.png", "confusion.png", "images.png")
FUNCTIONAL_CONNECTIVITY = 900000009


@pytest.fixture(scope="module")
def address(survey):
    with DemoWarehouse(survey) as warehouse:
        yield warehouse.address


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def options(address, cache, out, **choices):
    return QuickstartOptions(source="warehouse", host=address, cache=cache, out=out, **choices)


def spikehouse(*words, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", "from spikehouse.cli import main; main()", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
    )


@pytest.fixture(scope="module")
def first_run(address, cache, tmp_path_factory):
    """Give the folder, the output and the errors of a run on an empty cache."""
    folder = tmp_path_factory.mktemp("out")
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        run_quickstart(options(address, cache, folder))
    return folder, out.getvalue(), err.getvalue()


def test_quickstart__on_a_served_survey(first_run, cache):
    folder, out, err = first_run
    assert "brain_observatory_1.1    8 sessions" in out
    assert "functional_connectivity  4 sessions" in out
    assert "Session 900000001: the first of type brain_observatory_1.1" in out
    assert len(re.findall(r"accuracy, fold \d +[01]\.\d{4}", out)) == 5
    assert re.search(r"mean accuracy +[01]\.\d{4}", out)
    assert re.search(r"most decodable image +\d+ \(", out)
    assert re.search(r"session_900000001\.nwb: +100%\|.*\| [\d.]+M/[\d.]+M \[.*B/s\]", err)
    for name in FIGURES:
        assert (folder / name).stat().st_size > 10_000
    page = (folder / "report.html").read_text("utf-8")
    assert page.count("data:image/png;base64,") == 4
    session_folder = cache / "session_900000001"
    assert [path.name for path in session_folder.iterdir()] == ["session_900000001.nwb"]


def test_quickstart__a_second_run_downloads_nothing_and_draws_the_same(
    first_run, address, cache, tmp_path, capsys
):
    run_quickstart(options(address, cache, tmp_path))
    assert capsys.readouterr().err == ""
    for name in FIGURES:
        assert (tmp_path / name).read_bytes() == (first_run[0] / name).read_bytes()


def test_quickstart__functional_connectivity_decodes_gratings(address, cache, tmp_path, capsys):
    choices = options(address, cache, tmp_path, session_id=FUNCTIONAL_CONNECTIVITY)
    run_quickstart(choices)
    printed = capsys.readouterr().out
    assert "no natural scenes (functional_connectivity)" in printed
    assert re.search(r"chance +0\.2500 \(1 / 4 classes\)", printed)


def test_quickstart__unknown_session_and_area(address, cache, tmp_path):
    with pytest.raises(SessionNotFoundError, match="no session 900000099 in warehouse: did you"):
        run_quickstart(options(address, cache, tmp_path, session_id=900000099))
    with pytest.raises(NotFoundError, match=r"Areas with units: \w+ \(\d+\)"):
        run_quickstart(options(address, cache, tmp_path, session_id=900000001, area="MOp"))


@pytest.mark.filterwarnings("always:spikes are missing")
@pytest.mark.parametrize("session_id", [900000002, 999000001])
def test_quickstart__on_a_session_file(request, session_id, tmp_path, capsys):
    path = (
        request.getfixturevalue("shared_session_path") if session_id == 999000001
        else request.getfixturevalue("survey").session_file(session_id)
    )  # fmt: skip
    choices = QuickstartOptions(source=str(path), out=tmp_path)
    report = run_quickstart(choices)
    printed = capsys.readouterr().out
    assert "does not contain the images that were shown" in printed
    assert re.search(r"chance +0\.0909 \(1 / 11 classes\)", printed)
    for name in FIGURES:
        assert (tmp_path / name).exists()
    assert "Note: Spikes are missing or wrong in some intervals" in printed
    assert f"session_{session_id}.nwb" in report.read_text("utf-8")


def test_command__on_the_demo_survey(tmp_path):
    words = ("quickstart", "--size", "tiny", "--cache", str(tmp_path / "c"), "--out", str(tmp_path))
    done = spikehouse(*words, HOME=str(tmp_path))
    out, err = done.communicate(timeout=100)
    assert done.returncode == 0, err
    assert "Traceback" not in err
    assert (tmp_path / "report.html").exists()
    assert "of type brain_observatory_1.1" in out


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to a child")
def test_command__serves_until_ctrl_c(survey_folder, tmp_path):
    served = spikehouse("demo", "serve", "--size", "tiny", "--folder", str(survey_folder))
    try:
        line = served.stdout.readline()
        assert re.fullmatch(r"Serving the demo survey \(tiny\) at http://127\.0\.0\.1:\d+\n", line)
        out = tmp_path / "out"
        host = line.strip().rpartition("/")[2]
        words = ("--source", "s3", "--host", host, "--cache", str(tmp_path / "c"))
        asking = spikehouse("quickstart", *words, "--out", str(out))
        # as soon as it has begun to do something, whatever it is
        asking.stdout.readline()
        time.sleep(0.5)
        asking.send_signal(signal.SIGINT)
        _, err = asking.communicate(timeout=60)
        assert asking.returncode == 130
        assert "Interrupted: stopped; the cache can be used as it is" in err
        assert "Traceback" not in err

        # … and the cache it left can be used
        again = spikehouse("quickstart", *words, "--out", str(out))
        _, err = again.communicate(timeout=100)
        assert again.returncode == 0, err
        assert Path(out, "report.html").exists()
    finally:
        served.send_signal(signal.SIGINT)
        _, err = served.communicate(timeout=30)
    assert "Traceback" not in err
    assert served.returncode in (0, 130)
