"""Waits that speak and end, and proxies: over real sockets on this machine."""

from __future__ import annotations

import base64
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from urllib3.connection import HTTPConnection
from urllib3.util import parse_url

from spikehouse.errors import SourceError, TransferError
from spikehouse.transfer import connections, progress
from spikehouse.transfer.connections import find_proxy
from spikehouse.transfer.documents import fetch_bytes
from spikehouse.transfer.http import HttpClient
from spikehouse.transfer.retry import HttpOptions, UnreachableError

Act = Callable[[socket.socket, bytes], None]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


class RawServer:
    """Answers with bytes, not with HTTP: for what no library of a server would send."""

    def __init__(self, act: Act) -> None:
        self._act = act
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.url = f"http://{self.address}/x"
        self.seen: list[bytes] = []
        self.over = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(line,), daemon=True).start()

    def _answer(self, line: socket.socket) -> None:
        with line:
            request = b""
            try:
                while b"\r\n\r\n" not in request:
                    some = line.recv(4096)
                    if not some:
                        return
                    request += some
                self.seen.append(request)
                self._act(line, request)
            except OSError:
                pass

    def close(self) -> None:
        self.over.set()
        self._socket.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Act], RawServer]]:
    servers: list[RawServer] = []

    def start(act: Act) -> RawServer:
        servers.append(RawServer(act))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def fetch(url: str, options: HttpOptions) -> bytes:
    return fetch_bytes(HttpClient(options), url, name="it", max_bytes=1 << 20)


def repeat(piece: bytes, *, every_s: float = 0.02, before: bytes = b"") -> Act:
    def act(line: socket.socket, request: bytes) -> None:
        line.sendall(before)
        # until the client hangs up
        while True:
            line.sendall(piece)
            time.sleep(every_s)

    return act


ENDLESS: dict[str, tuple[Act, type[Exception], str]] = {
    "first line": (repeat(b"H"), UnreachableError, "timed out"),
    "header": (repeat(b"a", before=HEAD + b"X-More: "), UnreachableError, "timed out"),
    "headers": (repeat(b"X-More: 1\r\n", before=HEAD), UnreachableError, "timed out"),
    "answers that announce another": (
        repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
        UnreachableError,
        "timed out",
    ),
    "trailers": (
        repeat(
            b"X-More: 1\r\n", before=HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"
        ),
        TransferError,
        "stalled after 2 bytes",
    ),
    "chunks": (
        repeat(
            b"20000\r\n" + bytes(0x20000) + b"\r\n",
            every_s=0,
            before=HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
        ),
        SourceError,
        "sends more than 1048576 bytes",
    ),
    "body": (repeat(bytes(0x20000), every_s=0, before=HEAD + b"\r\n"), SourceError, "more than"),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_fetch_bytes__ends_what_has_no_end(
    what: str, serve: Callable[[Act], RawServer], hasty: HttpOptions
) -> None:
    act, error, message = ENDLESS[what]
    server = serve(act)
    options = replace(hasty, answer_timeout=0.4, retry_seconds=0.1)
    with pytest.raises(error, match=message):
        fetch(server.url, options)


def test_fetch_bytes__gives_up_on_a_silence_that_closes_the_connection_behind_the_body(
    serve: Callable[[Act], RawServer], hasty: HttpOptions
) -> None:
    def act(line: socket.socket, request: bytes) -> None:
        line.sendall(HEAD + b"Connection: close\r\nContent-Length: 5\r\n\r\nab")
        server.over.wait(10)

    server = serve(act)
    began = time.monotonic()
    with pytest.raises(TransferError, match="stalled after 2 bytes"):
        fetch(server.url, replace(hasty, answer_timeout=30, retry_seconds=0.1))
    assert time.monotonic() - began < 10


BAD_HEADERS = {
    "two lengths": b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nab",
    "two lengths in one": b"Content-Length: 2, 3\r\n\r\nab",
}
ODD_HEADERS = {
    "length in words": b"Content-Length: two\r\n\r\nab",
    "length below zero": b"Content-Length: -2\r\n\r\nab",
    "length in other digits": b"Content-Length: \xb2\r\n\r\nab",
    "length and chunks": (
        b"Content-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    ),
    "no length": b"\r\nab",
}


@pytest.mark.parametrize("name", [*BAD_HEADERS, *ODD_HEADERS])
def test_fetch_bytes__of_odd_lengths_is_right_or_an_error(
    name: str, serve: Callable[[Act], RawServer], hasty: HttpOptions
) -> None:
    rest = {**BAD_HEADERS, **ODD_HEADERS}[name]
    server = serve(lambda line, _: line.sendall(HEAD + rest))
    if name in ODD_HEADERS:
        assert fetch(server.url, hasty) == b"ab"
        return
    with pytest.raises(SourceError, match="returned contradicting headers"):
        fetch(server.url, hasty)


# --- waits that speak


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SPEAK_AFTER_S", 0.05)
    monkeypatch.setattr(connections, "SPEAK_AFTER_S", 0.05)
    progress._said.clear()


def silent(line: socket.socket, request: bytes) -> None:
    line.recv(1)


def half(line: socket.socket, request: bytes) -> None:
    line.sendall(HEAD + b"Content-Length: 5\r\n\r\nab")
    line.recv(1)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (silent, "has not answered for 0.05 s: waiting for up to 0.4 s"),
        (repeat(b"X-More: 1\r\n", before=HEAD), "has not answered for 0.05 s"),
        (half, "has sent nothing for 0.05 s: waiting for up to 0.3 s"),
    ],
    ids=["silent", "trickling", "stalled"],
)
@pytest.mark.usefixtures("impatient")
def test_fetch_bytes__says_what_it_waits_for(
    act: Act,
    said: str,
    serve: Callable[[Act], RawServer],
    hasty: HttpOptions,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = serve(act)
    with pytest.raises((SourceError, TransferError)):
        fetch(server.url, replace(hasty, answer_timeout=0.4, retry_seconds=0.0))
    assert [text for text in caplog.messages if said in text and server.address in text]
    assert len(caplog.messages) == 1


@pytest.mark.usefixtures("impatient")
def test_fetch_bytes__says_that_it_waits_for_a_connection(
    serve: Callable[[Act], RawServer],
    hasty: HttpOptions,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connect = HTTPConnection._new_conn

    def connect_late(connection: HTTPConnection) -> socket.socket:
        deadline = time.monotonic() + 10
        while not caplog.messages and time.monotonic() < deadline:
            time.sleep(0.01)
        return connect(connection)

    monkeypatch.setattr(HTTPConnection, "_new_conn", connect_late)
    server = serve(lambda line, _: line.sendall(HEAD + b"Content-Length: 2\r\n\r\nab"))
    assert fetch(server.url, hasty) == b"ab"
    assert caplog.messages[0] == f"waiting for a connection to {server.address}"


def test_fetch_bytes__says_nothing_of_a_short_wait(
    serve: Callable[[Act], RawServer], hasty: HttpOptions, caplog: pytest.LogCaptureFixture
) -> None:
    def late(line: socket.socket, request: bytes) -> None:
        time.sleep(0.2)
        line.sendall(HEAD + b"Content-Length: 2\r\n\r\nab")

    with caplog.at_level(logging.WARNING):
        assert fetch(serve(late).url, hasty) == b"ab"
    assert caplog.messages == []


@pytest.mark.usefixtures("impatient")
def test_announce_long_wait__speaks_once_and_only_when_it_lasts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with progress.announce_long_wait("waiting for nothing"):
        pass
    assert caplog.messages == []
    with progress.announce_long_wait("waiting for a while"):
        deadline = time.monotonic() + 10
        while not caplog.messages and time.monotonic() < deadline:
            time.sleep(0.01)
    assert caplog.messages == ["waiting for a while"]


def test_say__writes_between_progress_bars(capsys: pytest.CaptureFixture[str]) -> None:
    from tqdm import tqdm

    handler = logging.StreamHandler()
    logging.getLogger("spikehouse").addHandler(handler)
    try:
        with tqdm(total=10, desc="file"):
            progress.say("waiting for a host")
    finally:
        logging.getLogger("spikehouse").removeHandler(handler)
    lines = capsys.readouterr().err.replace("\r", "\n").split("\n")
    assert "waiting for a host" in lines


# --- proxies


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)

    def set_all(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, "http://a.org/", None),
        ({"HTTP_PROXY": "http://p:3128"}, "http://a.org/", "http://p:3128"),
        ({"http_proxy": "p:3128"}, "http://a.org/", "http://p:3128"),
        ({"HTTPS_PROXY": "p:3128"}, "https://a.org/", "http://p:3128"),
        ({"HTTPS_PROXY": "p"}, "https://a.org/", "http://p"),
        ({"HTTPS_PROXY": "https://p:3128"}, "https://a.org/", "https://p:3128"),
        ({"HTTPS_PROXY": "http://u:w@p:3128"}, "https://a.org/", "http://u:w@p:3128"),
        ({"HTTPS_PROXY": "u:w@p:3128"}, "https://a.org/", "http://u:w@p:3128"),
        ({"HTTP_PROXY": "p:3128"}, "https://a.org/", None),
        ({"ALL_PROXY": "p:3128"}, "https://a.org/", "http://p:3128"),
        ({"all_proxy": "p:3128"}, "http://a.org/", "http://p:3128"),
        ({"ALL_PROXY": "other:1", "HTTP_PROXY": "p:3128"}, "http://a.org/", "http://p:3128"),
        ({"ALL_PROXY": "socks5h://p:1080"}, "https://a.org/", "socks5h://p:1080"),
        ({"ALL_PROXY": "p:3128", "NO_PROXY": "b.org,a.org"}, "https://a.org/", None),
        ({"ALL_PROXY": "p:3128", "NO_PROXY": "org"}, "https://a.org/", None),
        ({"ALL_PROXY": "p:3128", "NO_PROXY": "a.org:443"}, "https://a.org:443/", None),
        ({"ALL_PROXY": "p:3128", "NO_PROXY": "*"}, "https://a.org/", None),
        ({"ALL_PROXY": "p:3128"}, "http://127.0.0.1:8000/", None),
        ({"ALL_PROXY": "p:3128"}, "http://[::1]:8000/", None),
        ({"ALL_PROXY": ""}, "http://a.org/", None),
    ],
)
def test_find_proxy__reads_the_environment_as_requests_does(
    variables: dict[str, str],
    url: str,
    proxy: str | None,
    environment: Callable[..., None],
) -> None:
    environment(**variables)
    assert find_proxy(parse_url(url)) == proxy


@pytest.mark.parametrize("value", ["http://", "ftp://p:1", "http://p:port", "http://u:secret@"])
def test_find_proxy__refuses_what_is_no_proxy_and_keeps_passwords(
    value: str, environment: Callable[..., None]
) -> None:
    environment(HTTPS_PROXY=value)
    with pytest.raises(
        SourceError, match=r"HTTPS_PROXY or ALL_PROXY names .* http://host:port"
    ) as e:
        find_proxy(parse_url("https://a.org/"))
    assert "secret" not in str(e.value)


def test_open__asks_a_proxy_with_user_and_password(
    environment: Callable[..., None], serve: Callable[[Act], RawServer], hasty: HttpOptions
) -> None:
    server = serve(lambda line, _: line.sendall(HEAD + b"Content-Length: 2\r\n\r\nab"))
    environment(http_proxy=f"user:p%40ss@{server.address}")
    assert fetch("http://a.org/x", hasty) == b"ab"
    secret = base64.b64encode(b"user:p@ss")
    assert server.seen[0].startswith(b"GET http://a.org/x HTTP/1.1\r\n")
    assert b"authorization: Basic " + secret in server.seen[0]


def test_open__opens_a_tunnel_with_user_and_password(
    environment: Callable[..., None], serve: Callable[[Act], RawServer], hasty: HttpOptions
) -> None:
    server = serve(lambda line, _: line.sendall(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"))
    environment(ALL_PROXY=f"http://user:secret@{server.address}")
    with pytest.raises(SourceError, match=r"a\.org cannot be reached over https: .*407") as caught:
        fetch("https://a.org/x", hasty)
    assert server.seen[0].startswith(b"CONNECT a.org:443 HTTP/1.")
    assert b"authorization: Basic " + base64.b64encode(b"user:secret") in server.seen[0]
    assert "secret" not in str(caught.value)


def test_open__says_what_a_socks_proxy_needs(
    environment: Callable[..., None], hasty: HttpOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "find_spec", lambda name: None)
    environment(ALL_PROXY="socks5://p:1080")
    with pytest.raises(SourceError, match="PySocks is not installed: pip install pysocks"):
        fetch("https://a.org/x", hasty)
