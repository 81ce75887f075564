"""Which sessions there are, and what happens to their files."""

from __future__ import annotations

import os
import shutil
import threading
import time

import h5py
import pandas as pd
import pytest

from spikehouse import EcephysProjectCache, EcephysSession, __version__
from spikehouse.errors import InvalidArgumentError, NotFoundError, SessionNotFoundError
from spikehouse.explore import _sessions
from spikehouse.explore._sessions import Sessions
from spikehouse.session_source import SessionSource


@pytest.fixture
def cache():
    return EcephysProjectCache.from_demo(size="tiny")


@pytest.fixture
def copied(session_path, tmp_path):
    return shutil.copy(session_path, tmp_path / "session_1.nwb")


class Adapter(SessionSource):
    def get_ecephys_session_id(self):
        return 7

    def get_metadata(self):
        return {"specimen_name": "<img src=x onerror=alert(1)>"}


def test_add__keys(cache, session_path):
    sessions = Sessions(lambda: cache)
    with EcephysSession(Adapter()) as own, cache.get_session_data(900000002) as of_cache:
        keys = [sessions.add(one) for one in (session_path, own, of_cache, 900000001)]
        assert keys == ["file-1", "file-2", "900000002", "900000001"]
    titles = [(one["title"], one["open"]) for one in sessions.list_known()]
    assert titles == [
        (session_path.name, False), ("Unnamed session 2", True),
        ("900000002", True), ("900000001", False),
    ]  # fmt: skip


def test_use__opens_once_and_closes_at_the_end(session_path):
    sessions = Sessions()
    key = sessions.add(session_path)
    with sessions.use(key) as first, sessions.use(key) as second:
        assert first is second
    with sessions.use(key) as third:
        assert third is first
    sessions.close()
    with pytest.raises(InvalidArgumentError, match="closed"):
        len(first.probes)


@pytest.mark.parametrize(
    "key",
    [
        "900000099",
        "file-1",
        "+900000001",
        "0900000001",
        "٩",
        "",
        "..",
        "-1",
        "7-all",
        "900000001-all-all",
    ],
)
def test_use__unknown_keys(cache, key):
    with (
        pytest.raises(SessionNotFoundError, match="there is no session"),
        Sessions(lambda: cache).use(key),
    ):
        pass


def test_use__without_a_cache_no_id_is_known(session_path):
    sessions = Sessions()
    sessions.add(session_path)
    with pytest.raises(SessionNotFoundError, match="'file-1'"), sessions.use("900000001"):
        pass
    with pytest.raises(NotFoundError, match="needs a cache"):
        sessions.add(900000001)


def test_use__a_session_that_is_not_here_is_not_downloaded(tmp_path):
    # a server that nobody asks
    cache = EcephysProjectCache.from_s3(tmp_path / "manifest.json", base_url="http://127.0.0.1:9/")
    tables = EcephysProjectCache.from_demo(tmp_path / "manifest.json", size="tiny")
    assert len(tables.get_session_table()) == 12
    with (
        pytest.raises(NotFoundError, match=r"spikehouse fetch 900000001.*--stream"),
        Sessions(lambda: cache).use("900000001"),
    ):
        pass


def test_answer__advice_is_for_the_page(serve, tmp_path):
    EcephysProjectCache.from_demo(tmp_path / "manifest.json", size="tiny")
    cache = EcephysProjectCache.fixed(tmp_path / "manifest.json")
    message = serve(Sessions(lambda: cache)).get("/api/survey/sessions").json()["message"]
    assert "sessions.csv is not in the cache folder" in message
    assert "--offline" in message
    assert "needs the --source (and --size) of that one" in message
    assert "EcephysProjectCache" not in message


def test_use__a_file_that_vanished_and_came_back(copied):
    sessions = Sessions()
    key = sessions.add(copied)
    with sessions.use(key) as session:
        n_units = session.num_units
    aside = f"{copied}.aside"
    os.rename(copied, aside)  # noqa: PTH104
    for _ in range(2):
        with pytest.raises(FileNotFoundError, match=r"session_1\.nwb"), sessions.use(key):
            pass
    os.rename(aside, copied)  # noqa: PTH104
    with sessions.use(key) as again:
        assert again.num_units == n_units
    sessions.close()


def test_use__another_file_in_its_place_is_opened(copied):
    sessions = Sessions()
    key = sessions.add(copied)
    with sessions.use(key) as before:
        pass
    os.utime(copied, (1, 1))
    with sessions.use(key) as after:
        assert after is not before
    sessions.close()


def test_use__the_least_used_is_closed(session_path, monkeypatch):
    monkeypatch.setattr(_sessions, "MOST_OPEN", 2)
    sessions = Sessions()
    keys = [sessions.add(session_path) for _ in range(4)]
    with sessions.use(keys[0]) as busy:
        for key in keys[1:]:
            with sessions.use(key):
                pass
        assert len(busy.probes) == 2
    assert [one["open"] for one in sessions.list_known()] == [False, False, True, True]
    sessions.close()


def test_use__a_given_session_is_not_closed(session_path, monkeypatch):
    monkeypatch.setattr(_sessions, "MOST_OPEN", 0)
    sessions = Sessions()
    with EcephysSession.from_nwb_path(session_path) as own:
        with sessions.use(sessions.add(own)):
            pass
        sessions.close()
        assert len(own.probes) == 2


# ---- as the page sees it


def test_facts__of_a_session(serve, cache):
    facts = serve(Sessions(lambda: cache)).get("/api/s/900000001/facts").json()
    assert facts["title"] == "900000001"
    assert (facts["n_probes"], facts["is_simulated"]) == (2, True)
    assert 60 < facts["duration"] < 200
    assert facts["session_type"] == "brain_observatory_1.1"


def test_facts__an_adapter_may_lack_them_and_markup_stays_text(serve):
    sessions = Sessions()
    sessions.add(EcephysSession(Adapter()))
    answer = serve(sessions).get("/api/s/file-1/facts")
    assert answer.headers["content-type"] == "application/json"
    facts = answer.json()
    assert facts["specimen_name"] == "<img src=x onerror=alert(1)>"
    assert facts["n_units"] is None
    assert facts["title"] == "7"


def test_facts__a_file_without_stimuli_opens_and_says_so(serve, copied):
    with h5py.File(copied, "r+") as file:
        for name in list(file["intervals"]):
            del file["intervals"][name]
    sessions = Sessions()
    sessions.add(copied)
    client = serve(sessions)
    answer = client.get("/api/s/file-1/facts")
    facts = answer.json()
    assert (facts["n_probes"], facts["n_presentations"], facts["duration"]) == (2, None, None)
    assert "has no stimulus tables under /intervals" in answer.headers["x-notice"]
    raster = client.get(f"/api/s/file-1/raster?unit_id={facts['first_unit']}")
    assert (raster.status_code, "stimulus tables" in raster.text) == (422, True)
    assert client.get(f"/api/s/file-1/waveform?unit_id={facts['first_unit']}").status_code == 200


def test_page__lists_what_is_there(serve, cache, tmp_path):
    sessions = Sessions(lambda: cache, stream=True)
    sessions.add(900000001)
    page = serve(sessions, results={"run": tmp_path}, source="demo, tiny", start_path="/s/1").get(
        "/api/page"
    )
    facts = page.json()
    assert {facts.pop("version"), len(facts.pop("structures"))} == {__version__, 3}
    assert (facts.pop("token"), facts.pop("filters")["isi_violations_maximum"]) == ("", 0.5)
    assert facts == {
        "sessions": [{"key": "900000001", "title": "900000001", "open": False}],
        "results": [{"name": "run"}], "has_survey": True, "source": "demo, tiny", "stream": True,
        "start_path": "/s/1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/api/s/1/facts", 404, "there is no session 1"),
        ("/api/s/900000001/raster?unit_id=1", 404, "1"),
        ("/api/s/900000001/raster", 400, "raster needs unit_id"),
        ("/api/s/900000001/rasters", 404, "did you mean 'raster'"),
        ("/api/survey/raster", 404, "there is no view 'raster' here"),
        ("/api/results/x/results_overview", 404, "there are no results 'x'"),
        ("/code/s/1/raster?unit_id=1&bin=x", 400, "bin='x' is not valid"),
        ("/static/" + "a" * 300, 404, "there is no such file"),
        ("/api/s/" + "1" * 5000 + "/facts", 404, "there is no session"),
        ("/api/s/900000001/selected_units?limits=unit_id:x..2", 400, "is not a limit"),
        ("/api/s/900000001/selected_units?limits=:..", 404, "no column without a name"),
        (
            "/api/s/900000001/selected_units?limits=ecephys_structure_acronym:1..2",
            400,
            "ecephys_structure_acronym is not a number",
        ),
    ],
)
def test_answer__says_what_is_wrong(serve, cache, path, status, message):
    answer = serve(Sessions(lambda: cache)).get(path)
    assert (answer.status_code, message in answer.json()["message"]) == (status, True), answer.text


@pytest.mark.parametrize("query", ["limits=unit_id:1..2", "sort=-"])
def test_selected_units__odd_queries_are_answered(serve, cache, query):
    answer = serve(Sessions(lambda: cache)).get(f"/api/s/900000001/selected_units?{query}")
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("content", [b"PAR1junk", pd.DataFrame({"a": [1]}), pd.DataFrame()])
def test_results__of_strangers(serve, tmp_path, content):
    path = tmp_path / "results.parquet"
    path.write_bytes(content) if isinstance(content, bytes) else content.to_parquet(path)
    answer = serve(results={"r": tmp_path}).get("/api/results/r/results_overview")
    assert (answer.status_code, str(path) in answer.json()["message"]) == (422, True), answer.text


def test_answer__while_the_survey_is_opened(serve, session_path):
    is_open = threading.Event()

    def open_cache():
        is_open.wait(60)
        raise NotFoundError("no survey")

    sessions = Sessions(open_cache)
    sessions.add(session_path)
    client = serve(sessions)
    waiting = [
        threading.Thread(target=client.get, args=(f"/api/{path}",))
        for path in ("survey/sessions", "s/1/facts")
    ]
    for thread in waiting:
        thread.start()
    for path in ("/api/page", "/api/s/file-1/facts", "/static/js/app.js"):
        assert client.get(path).status_code == 200
    assert all(thread.is_alive() for thread in waiting)
    is_open.set()
    for thread in waiting:
        thread.join(20)


def test_counts__of_a_streamed_file_without_rates(serve, copied, monkeypatch):
    with h5py.File(copied, "r+") as file:
        del file["units/firing_rate"]
        names = [name for name in file["units"].attrs["colnames"] if name != "firing_rate"]
        file["units"].attrs["colnames"] = names
    sessions = Sessions()
    sessions.add(copied)
    monkeypatch.setattr(sessions, "is_streamed", lambda _: True)
    answer = serve(sessions).get("/api/s/file-1/counts")
    assert (answer.status_code, answer.json()["n_bytes"]) == (200, None)


def test_answer__a_file_that_is_gone(serve, copied):
    sessions = Sessions()
    sessions.add(copied)
    client = serve(sessions)
    assert client.get("/api/s/file-1/facts").status_code == 200
    os.rename(copied, f"{copied}.aside")  # noqa: PTH104
    answer = client.get("/api/s/file-1/units")
    assert answer.status_code == 410
    assert "session_1.nwb" in answer.json()["message"]
    os.rename(f"{copied}.aside", copied)  # noqa: PTH104
    assert client.get("/api/s/file-1/units").status_code == 200


def test_answer__a_session_that_its_user_closed(serve, session_path):
    sessions = Sessions()
    session = EcephysSession.from_nwb_path(session_path)
    sessions.add(session)
    session.close()
    answer = serve(sessions).get("/api/s/file-1/units")
    assert (answer.status_code, "was closed" in answer.json()["message"]) == (400, True)


def test_answer__no_file_of_a_session(serve, tmp_path):
    path = tmp_path / "text.nwb"
    path.write_text("no recording")
    sessions = Sessions()
    sessions.add(path)
    answer = serve(sessions).get("/api/s/file-1/facts")
    assert (answer.status_code, "text.nwb" in answer.json()["message"]) == (422, True)


def test_answer__without_a_survey(serve):
    answer = serve().get("/api/survey/sessions")
    assert (answer.status_code, answer.json()["message"]) == (
        404,
        "there is no survey here: only files were opened",
    )


def test_counts__are_built_when_asked_and_give_the_same(serve, copied):
    sessions = Sessions()
    sessions.add(copied)
    client = serve(sessions)
    before = client.get("/api/s/file-1/population_counts?span=0,20&bin=1").content
    status = client.get("/api/s/file-1/counts").json()
    assert (status["state"], status["is_streamed"]) == ("absent", False)
    client.get("/api/s/file-1/counts?build=1")
    deadline = time.monotonic() + 60
    while (status := client.get("/api/s/file-1/counts").json())["state"] != "ready":
        assert time.monotonic() < deadline, status
        time.sleep(0.05)
    assert client.get("/api/s/file-1/population_counts?span=0,20&bin=1").content == before


def test_counts__that_are_kept_are_opened_at_once(serve, copied):
    for build in ("?build=1", ""):
        sessions = Sessions()
        sessions.add(copied)
        client = serve(sessions)
        status = client.get(f"/api/s/file-1/counts{build}").json()
        while status["state"] == "building":
            time.sleep(0.02)
            status = client.get("/api/s/file-1/counts").json()
        assert status["state"] == "ready"


def test_counts__of_an_adapter_cannot_be_kept(serve):
    sessions = Sessions()
    session = EcephysSession(Adapter())
    sessions.add(session)
    answer = serve(sessions).get("/api/s/file-1/counts?build=1")
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "failed"
