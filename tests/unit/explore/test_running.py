"""Recipes run while somebody waits, in threads and in processes of their own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
import warnings
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for processes, too, which get the same path
import slow_recipes

from spikehouse import EcephysSession
from spikehouse.explore import _running, explore
from spikehouse.explore._answers import decode
from spikehouse.explore._recipes import Recipe, _read_types
from spikehouse.explore._running import GoneError, Runner
from spikehouse.explore._sessions import Sessions
from spikehouse.session_source import SessionSource


def make_recipes(*, is_heavy: bool) -> dict:
    own = [f for f in vars(slow_recipes).values() if getattr(f, "__module__", "") == "slow_recipes"]
    return {f.__name__: Recipe(f, is_heavy, _read_types(f)) for f in own}


@pytest.fixture
def start(serve, session_path):
    def start_with(*, is_heavy, session=session_path):
        sessions = Sessions()
        sessions.add(session)
        return serve(sessions, recipes=make_recipes(is_heavy=is_heavy))

    return start_with


def test_run__light_recipes_run_here(start):
    answer = start(is_heavy=False).get("/api/s/file-1/compute")
    assert decode(answer.content)["pid"] == os.getpid()


@pytest.mark.parametrize("is_heavy", [False, True])
def test_run__warnings_become_notices(start, is_heavy):
    client = start(is_heavy=is_heavy)
    filters = list(warnings.filters)
    for _ in range(2):  # a warning is told each time
        answer = client.get("/api/s/file-1/warn?x=1")
        assert answer.headers["x-notice"] == (
            '["\'x\' was ignored, there are none here", "some units are \\u2013 odd"]'
        )
    assert warnings.filters == filters


@pytest.mark.parametrize("is_heavy", [False, True])
def test_run__errors_are_sentences(start, is_heavy, capfd):
    client = start(is_heavy=is_heavy)
    answer = client.get("/api/s/file-1/refuse")
    assert (answer.status_code, answer.json()) == (400, {"message": "it is not valid"})
    answer = client.get("/api/s/file-1/fail")
    assert (answer.status_code, list(answer.json())) == (500, ["message"])
    assert "the terminal that runs it says what" in answer.json()["message"]
    assert "ZeroDivisionError" not in answer.text
    assert "ZeroDivisionError" in capfd.readouterr().err


@pytest.mark.parametrize("is_heavy", [False, True])
def test_run__an_answer_that_is_too_large(start, is_heavy):
    answer = start(is_heavy=is_heavy).get("/api/s/file-1/flood")
    assert answer.status_code == 413
    assert answer.json()["message"] == (
        "the answer of flood has 3.2 MB, and a page takes 2.5 MB: ask for a shorter span"
    )


def test_run_apart__in_one_process_that_stays(start):
    client = start(is_heavy=True)
    first, second = (decode(client.get("/api/s/file-1/compute").content) for _ in range(2))
    assert first["pid"] == second["pid"] != os.getpid()
    assert first["n_units"] > 0


def test_run_apart__a_process_that_dies_is_replaced(start):
    client = start(is_heavy=True)
    answer = client.get("/api/s/file-1/kill")
    assert (answer.status_code, "(exit code 9), probably" in answer.text) == (500, True)
    answer = client.get("/api/s/file-1/compute")
    assert answer.status_code == 200
    # by the system while it was idle, as when memory is short
    os.kill(decode(answer.content)["pid"], signal.SIGKILL)
    time.sleep(0.2)
    assert client.get("/api/s/file-1/compute").status_code == 200


def test_run_apart__an_idle_process_ends(start, monkeypatch):
    monkeypatch.setattr(_running, "IDLE_S", 1.0)
    client = start(is_heavy=True)
    pid = decode(client.get("/api/s/file-1/compute?seconds=0").content)["pid"]
    assert _exists(pid)
    wait_for(lambda: not _exists(pid))
    assert client.get("/api/s/file-1/compute").status_code == 200


class Adapter(SessionSource):
    def __reduce__(self):
        raise TypeError("no")

    def get_units(self):
        return None

    def get_channels(self):
        return None

    def get_probes(self):
        return None


def test_run_apart__what_cannot_go_there_runs_here(start):
    answer = start(is_heavy=True, session=EcephysSession(Adapter())).get("/api/s/file-1/compute")
    assert decode(answer.content) == {"pid": os.getpid(), "n_units": 0}


def wait_for(condition, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_run_apart__ends_when_the_client_has_gone(session_path, tmp_path, monkeypatch):
    import http.client

    from spikehouse.explore import _recipes

    slow = make_recipes(is_heavy=True)
    monkeypatch.setattr(_recipes, "find_recipe", lambda _, name: slow[name])
    log = tmp_path / "pid"
    with explore(session_path, port=0) as explorer:
        connection = http.client.HTTPConnection("127.0.0.1", explorer.port)
        token = explorer.url.rpartition("=")[2]
        cookie = {"Cookie": f"spikehouse-{explorer.port}={token}"}
        connection.request("GET", f"/api/s/file-1/compute?seconds=300&log={log}", headers=cookie)
        wait_for(lambda: log.exists() and log.read_text())
        pid = int(log.read_text())
        os.kill(pid, 0)  # it is running
        connection.close()
        wait_for(lambda: not _exists(pid), 5.0)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_close__ends_what_runs(session_path, tmp_path, monkeypatch):
    import http.client

    from spikehouse.explore import _recipes

    slow = make_recipes(is_heavy=True)
    monkeypatch.setattr(_recipes, "find_recipe", lambda _, name: slow[name])
    log = tmp_path / "pid"
    explorer = explore(session_path, port=0)
    connection = http.client.HTTPConnection("127.0.0.1", explorer.port)
    token = explorer.url.rpartition("=")[2]
    cookie = {"Cookie": f"spikehouse-{explorer.port}={token}"}
    connection.request("GET", f"/api/s/file-1/compute?seconds=300&log={log}", headers=cookie)
    wait_for(lambda: log.exists() and log.read_text())
    began = time.monotonic()
    explorer.close()
    assert time.monotonic() - began < 5
    connection.close()
    assert not _exists(int(log.read_text()))


class Request:
    """One whose client has gone."""

    async def is_disconnected(self) -> bool:
        return True


def run_loop(job: Coroutine[Any, Any, object]) -> None:
    # in a thread: Playwright leaves a loop running in that of the tests
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, job).result()


def test_run__is_not_begun_when_the_client_has_gone():
    runner = Runner()
    called = []
    with pytest.raises(GoneError):
        run_loop(runner.run(Request(), lambda: called.append(1)))  # type: ignore[arg-type]
    assert called == []
    runner.close()


def test_run__at_most_four_at_once():
    class Here:
        async def is_disconnected(self) -> bool:
            return False

    now, most = [], []

    def job() -> None:
        now.append(1)
        most.append(len(now))
        time.sleep(0.05)
        now.pop()

    async def ask() -> None:
        runner = Runner()
        await asyncio.gather(*(runner.run(Here(), job) for _ in range(12)))  # type: ignore[arg-type]
        runner.close()

    run_loop(ask())
    assert max(most) == 4
