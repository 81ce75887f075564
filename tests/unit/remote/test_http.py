"""Asking for documents and ranges: redirects, statuses, versions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.conftest import StandIn
from tests.unit.remote.ranged import BODY, RangedFile
from urllib3.util import parse_url

from spikehouse.errors import SourceError, TransferError
from spikehouse.remote.http.addresses import follow
from spikehouse.remote.http.answers import ChangedError
from spikehouse.remote.http.client import HttpClient, HttpOptions
from spikehouse.remote.http.patience import TransientError, choose_wait, retry
from spikehouse.remote.protocol import RemoteFile

if TYPE_CHECKING:
    from tests.unit.conftest import Handler


@pytest.fixture
def served(server: StandIn) -> RangedFile:
    return RangedFile(server)


def test_probe__learns_size_and_etag(served: RangedFile, hasty: HttpOptions) -> None:
    probed = HttpClient(hasty).probe(served.remote())
    assert (probed.size, probed.etag) == (len(BODY), '"one"')
    assert served.asked == [(0, 1)]


def test_probe__learns_the_size_where_there_are_no_ranges(
    server: StandIn, hasty: HttpOptions
) -> None:
    server.serve_bytes("/file", b"1234", ETag='W/"weak"')
    probed = HttpClient(hasty).probe(RemoteFile(server.url("/file"), "the file"))
    assert (probed.size, probed.etag) == (4, None)


def test_probe__knows_an_empty_file(server: StandIn, hasty: HttpOptions) -> None:
    server.routes["/file"] = lambda handler: handler.reply(b"", status=416)
    assert HttpClient(hasty).probe(RemoteFile(server.url("/file"), "the file")).size == 0


def test_read_range__reads_exactly_that(served: RangedFile, hasty: HttpOptions) -> None:
    client = HttpClient(hasty)
    remote = client.probe(served.remote())
    assert client.read_range(remote, 1000, 5_000_000) == BODY[1000:5_000_000]
    assert served.if_ranges[-1] == '"one"'


def test_read_range__uses_a_connection_again(served: RangedFile, hasty: HttpOptions) -> None:
    ports = set()

    def fault(handler: Handler, start: int, stop: int) -> bool:
        ports.add(handler.client_address[1])
        return False

    served.fault = fault
    client = HttpClient(hasty)
    remote = client.probe(served.remote())
    for start in range(0, 50, 10):
        client.read_range(remote, start, start + 10)
    assert len(ports) == 1


def test_read_range__notices_another_version(served: RangedFile, hasty: HttpOptions) -> None:
    client = HttpClient(hasty)
    remote = client.probe(served.remote())
    served.etag = '"two"'
    with pytest.raises(ChangedError, match="has changed at the server since it was opened"):
        client.read_range(remote, 0, 10)
    served.body = BODY[:-1]
    with pytest.raises(ChangedError, match="and now offers"):
        client.read_range(remote, 0, 10)


def test_read_range__refuses_a_server_without_ranges(
    served: RangedFile, hasty: HttpOptions
) -> None:
    def fault(handler: Handler, start: int, stop: int) -> bool:
        handler.reply(BODY, **served.headers())
        return True

    served.fault = fault
    with pytest.raises(SourceError, match="serves no ranges"):
        HttpClient(hasty).read_range(served.remote(), 0, 10)


def test_read_range__tries_again_after_a_break(served: RangedFile, hasty: HttpOptions) -> None:
    def fault(handler: Handler, start: int, stop: int) -> bool:
        if len(served.asked) > 1:
            return False
        served.send(handler, start, stop, n_sent=5)
        handler.hang_up()
        return True

    served.fault = fault
    assert HttpClient(hasty).read_range(served.remote(), 0, 10) == BODY[:10]


def test_read_range__refuses_lengths_that_contradict(
    served: RangedFile, hasty: HttpOptions
) -> None:
    def fault(handler: Handler, start: int, stop: int) -> bool:
        handler.reply(b"12345", status=206, Content_Range="bytes 0-9/100")
        return True

    served.fault = fault
    with pytest.raises(TransferError, match="the bytes 0 to 9 and a length of 5"):
        HttpClient(hasty).read_range(served.remote(), 0, 10)


def test_open__hands_over_the_statuses_that_are_accepted(
    server: StandIn, hasty: HttpOptions
) -> None:
    response = HttpClient(hasty).open(server.url("/none"), timeout=2, accept=(200, 404))
    assert response.status == 404
    response.close()


def test_open__follows_to_a_declared_host(server: StandIn, hasty: HttpOptions) -> None:
    port = server.server_address[1]
    away = f"http://localhost:{port}/there"
    server.routes["/here"] = lambda handler: handler.reply(b"", status=302, Location=away)
    server.serve_bytes("/there", b"found")
    with pytest.raises(SourceError, match="which is another host"):
        HttpClient(hasty).open(server.url("/here"), timeout=2)
    client = HttpClient(hasty, frozenset({f"localhost:{port}"}))
    response = client.open(server.url("/here"), timeout=2)
    assert response.read() == b"found"


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://a.org/x", "/y"),
        ("https://a.org/x", "https://a.org:443/y"),
        ("http://a.org/x", "https://a.org/y"),
        ("https://a.org/x", "https://b.org/y"),
        ("https://a.org/x", "https://B.org:443/y"),
        ("https://a.org/x", "https://c.org:8443/y"),
        ("http://a.org/x", "https://b.org/y"),
    ],
)
def test_follow__goes_where_it_may(url: str, location: str) -> None:
    assert follow(url, location, frozenset({"b.org", "c.org:8443"})).endswith("/y")


@pytest.mark.parametrize(
    ("url", "location", "message"),
    [
        ("https://a.org/x", "http://a.org/y", "which is not encrypted"),
        ("https://a.org/x", "http://b.org/y", "which is not encrypted"),
        ("https://a.org/x", "https://evil.org/y", "another host"),
        ("https://a.org/x", "https://b.org@evil.org/y", "names a user"),
        ("https://a.org/x", "https://a.org@a.org/y", "names a user"),
        ("https://a.org/x", "https://b.org.evil.org/y", "another host"),
        ("https://a.org/x", "https://b.org:444/y", "another host"),
        ("https://a.org/x", "https://c.org/y", "another host"),
        ("https://a.org/x", "https://b.org:no/y", "cannot be read"),
        ("https://a.org/x", "https://b.org:99999/y", "cannot be read"),
        ("https://a.org/x", "ftp://b.org/y", "another host"),
        ("https://a.org/x", "file:///etc/passwd", "no host"),
        ("https://a.org/x", "https:///y", "no host"),
        ("https://a.org/x", "https:/y", "no host"),
        ("https://a.org/x", "https:y", "no host"),
        ("https://a.org/x", "///y", "no host"),
        ("https://a.org/x", "", "not an address"),
        ("https://a.org/x", "https://evil.org\\@a.org/y", "not an address"),
        ("https://a.org/x", "\\\\evil.org/y", "not an address"),
        ("https://a.org/x", "/y z", "not an address"),
        ("https://a.org/x", " /y", "not an address"),
        ("https://a.org/x", "/\ty", "not an address"),
        ("https://a.org/x", "/\x00y", "not an address"),
        ("https://a.org/x", "https://evil\u3002org/y", "not an address"),
        ("https://a.org/x", "/" + "y" * 9000, "not an address"),
    ],
)
def test_follow__does_not_go_anywhere_else(url: str, location: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        follow(url, location, frozenset({"b.org", "c.org:8443"}))


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                ["http://", "https://", "a.org", "b.org", "evil.org", "443", "..", "y"]
            ),
            st.sampled_from("/:@\\?#[]%; \t\u3002"),
            st.sampled_from(["%2f", "%5c", "%40"]),
        ),
        max_size=10,
    ).map("".join)
)
def test_follow__leads_to_a_known_host_whoever_parses_it(location: str) -> None:
    try:
        target = follow("https://a.org/x", location, frozenset({"b.org"}))
    except SourceError:
        return
    hosts = {urlsplit(target).hostname, parse_url(target).host, browser_host(target)}
    assert len(hosts) == 1
    assert hosts <= {"a.org", "b.org"}
    assert target.startswith("https://")


def browser_host(url: str) -> str:
    """Read the host as a browser does, which takes a backslash for a slash."""
    return re.split(r"[/\\?#]", url.split("//", 1)[1])[0].rsplit("@", 1)[-1].split(":")[0]


def test_open__sends_nothing_to_the_host_before_a_backslash(
    server: StandIn, hasty: HttpOptions
) -> None:
    with StandIn() as other:
        other.serve_bytes("/", b"forged")
        away = f"http://{other.address}/\\@{server.address}/"
        server.routes["/here"] = lambda handler: handler.reply(b"", status=302, Location=away)
        with pytest.raises(SourceError, match="which is not an address: not followed"):
            HttpClient(hasty).open(server.url("/here"), timeout=2)
        assert other.seen == []


def test_read_json__refuses_an_encoded_answer(server: StandIn, hasty: HttpOptions) -> None:
    server.serve_bytes("/x", b"\x1f\x8b", Content_Encoding="gzip")
    with pytest.raises(SourceError, match="gzip-encoded, which was not asked"):
        HttpClient(hasty).read_json(server.url("/x"))


def test_read_json__survives_deep_nesting(server: StandIn, hasty: HttpOptions) -> None:
    server.serve_bytes("/x", b"[" * 100_000)
    with pytest.raises(SourceError, match="does not answer with JSON"):
        HttpClient(hasty).read_json(server.url("/x"))


def test_retry_after__is_measured_by_the_clock_of_the_server(
    server: StandIn, hasty: HttpOptions
) -> None:
    def fault(handler: Handler) -> None:
        handler.send_response_only(503)
        handler.send_header("Date", "Mon, 05 Jan 1998 12:00:00 GMT")
        handler.send_header("Retry-After", "Mon, 05 Jan 1998 12:00:07 GMT")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    server.routes["/x"] = fault
    with pytest.raises(TransientError) as caught:
        HttpClient(hasty).open(server.url("/x"), timeout=2)
    assert caught.value.retry_after == 7.0


def test_choose_wait__doubles_with_jitter_up_to_a_limit() -> None:
    options = HttpOptions(backoff=1.0, longest_wait=10.0)
    error = TransferError("broke off")
    waits = [choose_wait(error, n_failed=n, options=options) for n in (1, 2, 3, 50, 5000)]
    for wait, middle in zip(waits[:3], (1, 2, 4), strict=True):
        assert 0.75 * middle <= wait <= 1.25 * middle
    assert waits[3:] == [10.0, 10.0]


def test_retry__waits_between_tries_only() -> None:
    waits: list[float] = []

    def fail() -> None:
        raise TransientError("busy", retry_after=3.0)

    with pytest.raises(TransientError):
        retry(fail, options=HttpOptions(fetch_tries=3), sleep=waits.append)
    assert waits == [3.0, 3.0]
