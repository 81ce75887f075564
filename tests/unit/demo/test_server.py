"""The server of the demo survey: conditions and byte ranges, and the project cache on it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from email.message import Message
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikehouse import EcephysProjectCache
from spikehouse.demo import Survey
from spikehouse.demo.server import FileServer, plan_answer, serve
from spikehouse.errors import SourceError

ETAG, MODIFIED = '"3e8-5"', "Thu, 03 Oct 2019 00:00:00 GMT"
OTHER = "Thu, 03 Oct 2019 00:00:01 GMT"


def plan(size: int = 1000, **headers: str) -> tuple[HTTPStatus, int, int]:
    message = Message()
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    return plan_answer(message, size, ETAG, MODIFIED)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-499", (0, 500)),
        ("bytes=500-", (500, 1000)),
        ("bytes=-200", (800, 1000)),
        ("bytes=-2000", (0, 1000)),
        ("bytes=990-2000", (990, 1000)),
        ("BYTES = 1 - 2", (1, 3)),
    ],
)
def test_plan_answer__range(header, expected):
    assert plan(Range=header) == (206, *expected)


@pytest.mark.parametrize(
    "header",
    ["bytes=5-4", "bytes=-", "bytes=0-1,5-6", "bytes=a-b", "items=0-1", "bytes=" + "9" * 5000, ""],
)
def test_plan_answer__ignores_a_range_it_cannot_parse(header):
    assert plan(Range=header) == (200, 0, 1000)


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-1001", "bytes=-0"])
def test_plan_answer__range_beyond_the_end(header):
    status, start, stop = plan(Range=header)
    assert status == 416
    assert start >= stop


@given(st.integers(1, 60), st.integers(0, 80), st.integers(0, 80))
def test_plan_answer__bounds_are_those_of_a_slice(size, first, last):
    content = bytes(range(size))
    for header, expected in [
        (f"bytes={first}-{last}", content[first : last + 1] if first <= last else content),
        (f"bytes={first}-", content[first:]),
        (f"bytes=-{last}", content[-last:] if last else b""),
    ]:
        status, start, stop = plan(size, Range=header)
        assert content[start:stop] == expected
        assert (status == 416) == (expected == b"")


@pytest.mark.parametrize(
    ("header", "status"),
    [(ETAG, 206), (MODIFIED, 206), ('"other"', 200), (f"W/{ETAG}", 200), (OTHER, 200)],
)
def test_plan_answer__if_range_guards_the_range(header, status):
    assert plan(Range="bytes=0-9", If_Range=header)[0] == status


@pytest.mark.parametrize(
    ("header", "status"),
    [("*", 200), (ETAG, 200), (f'"a", {ETAG}', 200), ('"other"', 412), (f"W/{ETAG}", 412)],
)
def test_plan_answer__if_match(header, status):
    assert plan(If_Match=header)[0] == status


@contextlib.contextmanager
def running(server: FileServer) -> Iterator[FileServer]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    with server:
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    (tmp_path / "a").write_bytes(bytes(range(200)))
    (tmp_path / "empty").write_bytes(b"")
    files = {"f/a": lambda: tmp_path / "a", "empty": lambda: tmp_path / "empty"}
    with running(FileServer({**files, "broken": lambda: tmp_path / "nothing"})) as server:
        yield server


@pytest.fixture
def connection(server: FileServer) -> Iterator[HTTPConnection]:
    connection = HTTPConnection(server.url.removeprefix("http://"), timeout=20)
    yield connection
    connection.close()


def ask(connection: HTTPConnection, path: str, method: str = "GET", body=None, **headers: str):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, named)
    reply = connection.getresponse()
    return reply, reply.read()


def test_server__files_and_ranges_on_one_connection(connection):
    whole, body = ask(connection, "/f/a?versionId=1")
    used = connection.sock
    assert (whole.status, body) == (200, bytes(range(200)))
    head, body = ask(connection, "/f/a", "HEAD")
    assert (head.status, body) == (200, b"")
    for name in ("Content-Length", "ETag", "Last-Modified", "Accept-Ranges", "Content-Type"):
        assert head.headers[name] == whole.headers[name] is not None
    etag = head.headers["ETag"]
    part, body = ask(connection, "//f/a", Range="bytes=5-9", If_Range=etag, If_Match=etag)
    assert (part.status, body) == (206, bytes(range(5, 10)))
    assert part.headers["Content-Range"] == "bytes 5-9/200"
    beyond, body = ask(connection, "/f/a", Range="bytes=200-")
    assert (beyond.status, body, beyond.headers["Content-Range"]) == (416, b"", "bytes */200")
    assert ask(connection, "/f/a", If_Match='"x"')[0].status == 412
    empty, body = ask(connection, "/empty")
    assert (empty.status, body) == (200, b"")
    missing, body = ask(connection, "/f/../a")
    assert (missing.status, b"NoSuchKey" in body) == (404, True)
    broken, body = ask(connection, "/broken")
    assert (broken.status, b"No such file" in body) == (500, True)
    assert connection.sock is used


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_server__refuses_other_methods(connection, method):
    assert ask(connection, "/f/a", method, body=b"x")[0].status == 501


def test_server__never_takes_a_body_for_a_request(server):
    smuggled = b"GET /empty HTTP/1.1\r\nHost: x\r\n\r\n"
    head = f"GET /f/a HTTP/1.1\r\nHost: x\r\nContent-Length: {len(smuggled)}\r\n\r\n"
    with socket.create_connection(server.server_address, timeout=20) as connection:
        connection.sendall(head.encode() + smuggled)
        replies = b""
        while block := connection.recv(65536):
            replies += block
    assert replies.count(b"HTTP/1.1 ") == 1


def test_server__client_that_leaves_is_no_error(server, connection, capfd):
    for _ in range(3):
        with socket.create_connection(server.server_address, timeout=20) as leaving:
            leaving.sendall(b"GET /f/a HTTP/1.1\r\nHost: x\r\n\r\n")
    assert ask(connection, "/f/a")[0].status == 200
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("port", [70_000, None])
def test_server__says_when_it_cannot_listen(server, port):
    taken = server.server_address[1] if port is None else port
    with pytest.raises(SourceError, match=rf"cannot listen on 127.0.0.1:{taken}: .*pass 0 for any"):
        FileServer({}, taken)


def test_server__project_cache_on_a_served_survey(survey: Survey, tmp_path: Path) -> None:
    # before the request, which would wait for it
    expected = pd.concat([survey.read_analysis_metrics(n) for n in survey.session_ids[8:]])
    with running(FileServer(survey.files)) as server:
        cache = EcephysProjectCache.from_s3(tmp_path / "manifest.json", base_url=server.url)
        assert cache.get_session_table().index.tolist() == survey.session_ids
        assert set(cache.get_units().index) <= set(survey.read_table("units").index)
        metrics = cache.get_unit_analysis_metrics_by_session_type("functional_connectivity")
        shared = expected.loc[expected.index.intersection(metrics.index)]
        assert len(shared) == len(metrics) > 0
        pd.testing.assert_series_equal(metrics["g_dsi_dg"].sort_index(), shared["g_dsi_dg"])
        session = cache.get_session_data(900000001)
        path = tmp_path / "session_900000001" / "session_900000001.nwb"
        assert path.read_bytes() == survey.session_file(900000001).read_bytes()
        assert session.get_lfp(910001000).sizes["time"] > 0
        assert (cache.get_natural_scene_template(3) == survey.read_scene(3)).all()
        assert cache.get_natural_movie_template(1).shape[1:] == (304, 608)


def test_serve__ends_at_an_interrupt(survey: Survey) -> None:
    announced: list[str] = []

    def interrupt(url: str) -> None:
        announced.append(url)
        raise KeyboardInterrupt

    serve(survey, announce=interrupt)
    port = int(announced[0].removeprefix("http://127.0.0.1:"))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
