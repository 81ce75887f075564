"""The running server, in Python and as a command."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from file_server import Behaviour, FileServer
from spikehouse import EcephysProjectCache, EcephysSession, explore
from spikehouse.cli import _explore
from spikehouse.errors import CacheError, InvalidArgumentError, NotFoundError
from spikehouse.explore._answers import decode


class Page:
    """What a browser would do with an address."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self.connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=60)
        self.headers: dict[str, str] = {}
        first = self.get(f"{address.path}?{address.query}")
        self.headers["Cookie"] = first.getheader("Set-Cookie").partition(";")[0]
        self.path = first.getheader("Location")

    def get(self, path: str) -> http.client.HTTPResponse:
        self.connection.request("GET", path, headers=self.headers)
        answer = self.connection.getresponse()
        self.body = answer.read()
        return answer

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()


def test_explore__a_path(session_path):
    with explore.explore(session_path, port=0) as explorer, Page(explorer.url) as page:
        assert page.path == "/s/file-1"
        answer = page.get(page.path)
        assert (answer.status, answer.getheader("Content-Type")) == (
            200,
            "text/html; charset=utf-8",
        )
        assert answer.getheader("Server") is None
        assert page.get("/api/s/file-1/units").status == 200
        assert len(decode(page.body)["units"]) > 0


def test_explore__listens_to_this_machine_only(session_path):
    with explore.explore(session_path, port=0) as explorer:
        assert explorer._socket.getsockname()[0] == "127.0.0.1"


def test_session_explore__of_a_cache_is_in_its_survey():
    cache = EcephysProjectCache.from_demo(size="tiny")
    with (
        cache.get_session_data(900000001) as session,
        session.explore(port=0) as explorer,
        Page(explorer.url) as page,
    ):
        assert page.path == "/s/900000001"
        assert page.get("/code/s/900000001/units").status == 200
        assert b"cache.get_session_data(900000001)" in page.body
        assert page.get("/api/survey/sessions").status == 200
        assert page.get("/api/s/900000002/facts").status == 200


def test_cache_explore__begins_with_the_survey():
    with (
        EcephysProjectCache.from_demo(size="tiny").explore(port=0) as explorer,
        Page(explorer.url) as page,
    ):
        assert page.path == "/"
        assert page.get("/api/survey/sessions").status == 200


def test_explorer__shows_itself_as_a_link(session_path):
    with EcephysSession.from_nwb_path(session_path) as session:
        explorer = session.explore(port=0)
        assert f"href='{explorer.url}'" in explorer._repr_html_()
        assert explorer.url in repr(explorer)
        explorer.close()
        explorer.close()  # a second time does nothing
        explorer.wait()
        assert len(session.probes) == 2  # the user's session stays open
        with pytest.raises(ConnectionError):
            Page(explorer.url)


def test_explorer__two_at_once(session_path):
    with explore.explore(session_path) as one, explore.explore(session_path) as other:
        assert one.port != other.port
        for explorer in (one, other):
            with Page(explorer.url) as page:
                assert page.get("/api/page").status == 200
        # a cookie of one opens nothing of the other
        with Page(one.url) as page, Page(other.url) as another:
            page.headers = another.headers
            assert page.get("/api/page").status == 403


def test_explorer__a_session_that_is_closed_meanwhile(session_path):
    session = EcephysSession.from_nwb_path(session_path)
    with session.explore(port=0) as explorer, Page(explorer.url) as page:
        session.close()
        assert page.get("/api/s/file-1/units").status == 400
        assert b"was closed" in page.body


def test_explorer__connections_that_ask_nothing_keep_nobody_out(session_path):
    with explore.explore(session_path, port=0) as explorer, contextlib.ExitStack() as opened:
        for _ in range(3 * explore.MOST_CONNECTIONS):
            opened.enter_context(socket.create_connection(("127.0.0.1", explorer.port)))
        with Page(explorer.url) as page:
            assert page.get("/api/page").status == 200
        assert len(explorer._server.server_state.connections) <= explore.MOST_CONNECTIONS


def test_explorer__ends_while_the_survey_is_opened(session_path):
    is_open = threading.Event()
    explorer = explore.explore(session_path, cache=lambda: is_open.wait(60), port=0)
    with Page(explorer.url) as page:
        page.connection.request("GET", "/api/survey/sessions", headers=page.headers)
        time.sleep(0.5)
        began = time.monotonic()
        explorer.close()
        assert time.monotonic() - began < 5
    is_open.set()


def test_explore__results(tmp_path):
    for place in ("a/run", "b/run"):
        (tmp_path / place).mkdir(parents=True)
    results = [tmp_path / "a/run", tmp_path / "b/run"]
    with explore.explore(results=results, port=0) as explorer, Page(explorer.url) as page:
        assert page.path == "/cohort/run"
        page.get("/api/page")
        assert b'[{"name": "run"}, {"name": "run-2"}]' in page.body
        assert page.get("/api/results/run/results_overview").status == 400
        assert b"holds no results of a cohort" in page.body


def test_explore__what_cannot_be_opened(tmp_path):
    with pytest.raises(CacheError, match="there is no folder of results"):
        explore.explore(results=[tmp_path / "none"])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InvalidArgumentError, match=f"cannot listen on port {port}"):
            explore.explore(port=port)
    with pytest.raises(InvalidArgumentError, match="cannot listen on port 70000"):
        explore.explore(port=70000)


def test_explore__a_stream_that_stops_and_comes_back(session_path):
    with FileServer() as server:
        server.routes["/session_1.nwb"] = session_path.read_bytes()
        with (
            explore.explore(server.url("/session_1.nwb"), port=0) as explorer,
            Page(explorer.url) as page,
        ):
            answer = page.get("/api/s/file-1/units")
            assert answer.status == 200
            assert int(answer.getheader("X-Bytes-Read")) > 1000
            unit = decode(page.body)["units"].index[0]
            page.get("/api/s/file-1/counts")
            assert b'"is_streamed": true' in page.body
            server.misbehave(Behaviour(status=403))
            assert page.get(f"/api/s/file-1/waveform?unit_id={unit}").status == 503
            assert b"status 403" in page.body
            server.behave()
            assert page.get(f"/api/s/file-1/waveform?unit_id={unit}").status == 200


# ---- the command


@pytest.mark.parametrize(
    ("target", "sessions", "link"),
    [
        (None, [], None),
        ("791319847", [791319847], None),
        ("http://127.0.0.1:8045/s/1/u/2?win=-0.1,0.5&token=x", [], "/s/1/u/2?win=-0.1,0.5"),
        ("http://localhost:8045/", [], "/"),
        ("http://localhost:8045", [], "/"),
        ("/s/1/units?area=VISp", [], "/s/1/units?area=VISp"),
        ("/cohort", [], "/cohort"),
        ("https://example.org/session_1.nwb", ["https://example.org/session_1.nwb"], None),
        ("http://127.0.0.1:9/session_1.nwb", ["http://127.0.0.1:9/session_1.nwb"], None),
    ],
)
def test_read_target(target, sessions, link):
    assert _explore._read_target(target) == (sessions, link)


def test_read_target__no_file(tmp_path):
    with pytest.raises(NotFoundError, match="give a session id, the path of a session file, or"):
        _explore._read_target(str(tmp_path / "none.nwb"))


def test_read_target__a_link_leads_nowhere_else():
    with pytest.raises(InvalidArgumentError, match="no link of the page"):
        _explore._read_target("http://127.0.0.1:8045//evil.example/")


def test_open_browser__other_users_do_not_see_the_token(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    page = tmp_path / "open.html"
    _explore._open_browser("http://127.0.0.1:1/s/1?a=1&token=secret", page)
    assert opened == [page.as_uri()]
    assert "url=http://127.0.0.1:1/s/1?a=1&amp;token=secret'" in page.read_text()
    assert os.name == "nt" or page.stat().st_mode & 0o777 == 0o600


@pytest.fixture
def command(survey):
    """Start the command, and give the process and its page."""
    started = []

    def start(*words: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "spikehouse", "explore", *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        line = process.stdout.readline()
        return process, line.split()[-1] if line else ""

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


DECODING = "stimulus=drifting_gratings&label=orientation"
DEMO = ("--source", "demo", "--size", "tiny", "--no-browser", "--port", "0")


def test_command__a_file_alone_has_no_survey(command, session_path):
    process, url = command(str(session_path), "--no-browser", "--port", "0")
    with Page(url) as page:
        page.get("/api/page")
        facts = json.loads(page.body)
        assert (facts["has_survey"], facts["source"]) == (False, "")
        assert page.get("/api/s/791319847/facts").status == 404
        page.connection.request(
            "GET", f"/api/s/file-1/decode_confusion?{DECODING}", headers=page.headers
        )
        # while a process is being started
        time.sleep(0.7)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, "")


def test_command__ctrl_c_while_it_is_imported(tmp_path):
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import spikehouse.cli"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")


def test_command__serves_until_ctrl_c(command, survey):
    survey.session_file(900000002)  # its progress would be printed
    process, url = command("900000002", *DEMO)
    with Page(url) as page:
        assert page.path == "/s/900000002"
        assert page.get("/api/page").status == 200
        assert page.get("/api/s/900000002/facts").status == 200
        assert page.get(f"/api/s/900000002/decode_confusion?{DECODING}").status == 200
        # as a terminal does: to its processes, too
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    assert url not in out  # nothing is logged, least of all the token


def test_command__ends_its_processes(command):
    process, url = command("900000001", *DEMO)
    with Page(url) as page:
        answer = page.get(f"/api/s/900000001/decode_confusion?{DECODING}")
        assert answer.status == 200, page.body
    group = os.getpgid(process.pid)
    process.kill()  # without a chance to end them
    process.communicate()
    deadline = time.monotonic() + 20
    while any(_list_group(group)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _list_group(group: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def test_command__a_port_that_is_taken(command):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        process, _ = command("--source", "demo", "--no-browser", "--port", port)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert err.startswith(f"Error: cannot listen on port {port} of 127.0.0.1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--source", "dmeo"), "there is no source 'dmeo'"),
        (("--source", "demo", "--size", "huge"), "size 'huge' is not a size"),
        (("--cache", "no-such-folder", "--offline"), "there is no manifest"),
    ],
)
def test_command__options_that_are_wrong(command, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    process, _ = command(*words, "--no-browser", "--port", "0")
    _, err = process.communicate(timeout=30)
    assert (process.returncode, message in err, "Traceback" in err) == (1, True, False), err


def test_command__no_numpy_before_the_page(command):
    code = (
        "import sys; from spikehouse.cli import _explore; import spikehouse.explore._app, uvicorn\n"
        "sys.exit(', '.join({'numpy', 'pandas', 'h5py', 'xarray'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert not re.search("numpy", done.stdout)
