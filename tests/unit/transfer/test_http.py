"""Asking for documents and ranges: redirects, statuses, versions."""

from __future__ import annotations

import gc
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.conftest import StandIn
from tests.unit.transfer.ranged import BODY, RangedFile
from urllib3.util import parse_url

from spikehouse.errors import SourceError
from spikehouse.transfer.addresses import follow
from spikehouse.transfer.documents import fetch_json
from spikehouse.transfer.downloads import download
from spikehouse.transfer.http import ChangedError, HttpClient
from spikehouse.transfer.remote_file import RemoteFile, Version
from spikehouse.transfer.retry import HttpOptions, TransientError

if TYPE_CHECKING:
    from pathlib import Path

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
    assert (probed.size, probed.etag) == (4, 'W/"weak"')


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


CHANGES: dict[str, tuple[dict[str, str | None], dict[str, str | None]]] = {
    "weak ETag": ({"etag": 'W/"1"'}, {"etag": 'W/"2"'}),
    "weak ETag, same date": (
        {"etag": 'W/"1"', "modified": "Mon, 05 Jan 2026 12:00:00 GMT"},
        {"etag": 'W/"2"', "modified": "Mon, 05 Jan 2026 12:00:00 GMT"},
    ),
    "date": (
        {"etag": None, "modified": "Mon, 05 Jan 2026 12:00:00 GMT"},
        {"etag": None, "modified": "Mon, 05 Jan 2026 12:00:01 GMT"},
    ),
    "date, same ETag": (
        {"modified": "Mon, 05 Jan 2026 12:00:00 GMT"},
        {"modified": "Mon, 05 Jan 2026 12:00:01 GMT"},
    ),
    "ETag that vanishes": ({"etag": '"1"'}, {"etag": None}),
    "ETag that becomes weak": ({"etag": '"1"'}, {"etag": 'W/"1"'}),
}


def set_version(served: RangedFile, version: dict[str, str | None]) -> None:
    for name, value in version.items():
        setattr(served, name, value)


@pytest.mark.parametrize("change", CHANGES)
def test_read_range__notices_whatever_changes(
    change: str, served: RangedFile, hasty: HttpOptions
) -> None:
    # a server that does not care about If-Range, as many do not
    def fault(handler: Handler, start: int, stop: int) -> bool:
        served.send(handler, start, stop)
        return True

    served.fault = fault
    before, after = CHANGES[change]
    set_version(served, before)
    client = HttpClient(hasty)
    remote = client.probe(served.remote())
    assert client.read_range(remote, 0, 10) == BODY[:10]
    set_version(served, after)
    with pytest.raises(ChangedError, match="has changed at the server since it was opened"):
        client.read_range(remote, 10, 20)


@pytest.mark.parametrize("change", CHANGES)
def test_download__never_mixes_whatever_changes(
    change: str, served: RangedFile, hasty: HttpOptions, tmp_path: Path
) -> None:
    before, after = CHANGES[change]
    set_version(served, before)

    def fault(handler: Handler, start: int, stop: int) -> bool:
        if len(served.asked) == 2:
            served.body = bytes(reversed(BODY))
            set_version(served, after)
        if "Range" in handler.headers:
            served.send(handler, start, stop)
        return "Range" in handler.headers

    served.fault = fault
    path = download(
        served.remote(), tmp_path / "file", check=lambda _: None, options=hasty, progress=False
    )
    assert path.read_bytes() == bytes(reversed(BODY))


VALIDATORS = [None, '"1"', '"2"', 'W/"1"', 'W/"2"']
DATES = [None, "Mon", "Tue"]


@given(*[st.sampled_from(choice) for choice in (VALIDATORS, DATES, VALIDATORS, DATES)])
def test_version__is_the_same_only_if_all_that_is_known_agrees(
    etag: str | None, modified: str | None, known_etag: str | None, known_modified: str | None
) -> None:
    now = Version(10, etag, modified, url="u")
    known = Version(10, known_etag, known_modified, url="u")
    contradicts = known_etag not in (None, etag) or known_modified not in (None, modified)
    assert now.differs(known) == contradicts
    tells_apart = known_modified is not None or known_etag in ('"1"', '"2"')
    assert now.is_same(known) == now.continues(known) == (tells_apart and not contradicts)
    assert now.is_resumable == (modified is not None or etag in ('"1"', '"2"'))
    assert Version(11, etag, modified).differs(known)
    # what must not be sent: a weak tag, or a date beside a tag
    assert now.validator in ({etag, None} if etag else {modified})


def test_read_range__refuses_a_version_named_later(served: RangedFile, hasty: HttpOptions) -> None:
    client = HttpClient(hasty)
    served.etag = None
    unnamed = served.remote()
    assert client.read_range(unnamed, 0, 10) == BODY[:10]
    served.etag = '"new"'
    with pytest.raises(ChangedError, match="has changed at the server"):
        client.read_range(unnamed, 10, 20)


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
    with pytest.raises(SourceError, match="the bytes 0 to 9 and a length of 5"):
        HttpClient(hasty).read_range(served.remote(), 0, 10)


def test_open__hands_over_the_statuses_that_are_accepted(
    server: StandIn, hasty: HttpOptions
) -> None:
    response = HttpClient(hasty).open(server.url("/none"), accept=(200, 404))
    assert response.status == 404
    response.close()


def test_open__follows_to_a_declared_host(server: StandIn, hasty: HttpOptions) -> None:
    port = server.server_address[1]
    away = f"http://localhost:{port}/there"
    server.routes["/here"] = lambda handler: handler.reply(b"", status=302, Location=away)
    server.serve_bytes("/there", b"found")
    with pytest.raises(SourceError, match="which is another host"):
        HttpClient(hasty).open(server.url("/here"))
    client = HttpClient(hasty, frozenset({f"localhost:{port}"}))
    response = client.open(server.url("/here"))
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
            HttpClient(hasty).open(server.url("/here"))
        assert other.seen == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[" * 100_000, "returned no valid JSON for it"),
        (b"[" + b"[]," * 1_000_001 + b"0]", "sends 2000003 values, far too many for it"),
        (b" " * 5_000_001, "sends more than 5000000 bytes, the limit"),
    ],
)
def test_fetch_json__refuses_what_would_fill_the_memory(
    body: bytes, message: str, server: StandIn, hasty: HttpOptions
) -> None:
    server.serve_bytes("/x", body)
    # a finalizer of somebody else's must not run in the middle of the deep recursion
    gc.collect()
    with pytest.raises(SourceError, match=message):
        fetch_json(HttpClient(hasty), server.url("/x"), name="it", max_bytes=5_000_000)


def test_fetch_json__refuses_an_encoded_answer(server: StandIn, hasty: HttpOptions) -> None:
    server.serve_bytes("/x", b"\x1f\x8b", Content_Encoding="gzip")
    with pytest.raises(SourceError, match="gzip-encoded, which was not requested"):
        fetch_json(HttpClient(hasty), server.url("/x"), name="it", max_bytes=100)


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
        HttpClient(hasty).open(server.url("/x"))
    assert caught.value.retry_after == 7.0


# --- redirects: who redirects is asked once


class Redirector:
    """Redirects to an address that is valid for some requests only, as signed ones are."""

    def __init__(self, server: StandIn, served: RangedFile, *, n_valid: int) -> None:
        self.n_asked = 0
        self.n_refused = 0
        self._left = 0
        self._n_valid = n_valid
        self._server = server
        server.routes["/download"] = self.redirect
        server.routes["/signed"] = self.answer
        self._served = served

    def redirect(self, handler: Handler) -> None:
        self.n_asked += 1
        self._left = self._n_valid
        handler.reply(b"", status=302, Location=f"/signed?signature={self.n_asked}")

    def answer(self, handler: Handler) -> None:
        if self._left == 0:
            self.n_refused += 1
            handler.reply(b"expired", status=403)
        else:
            self._left -= 1
            self._served.answer(handler)


@pytest.mark.parametrize(("n_valid", "n_asked"), [(1000, 1), (5, 3)])
def test_read_range__asks_who_redirects_once_or_when_the_address_expires(
    n_valid: int, n_asked: int, server: StandIn, served: RangedFile, hasty: HttpOptions
) -> None:
    redirector = Redirector(server, served, n_valid=n_valid)
    client = HttpClient(hasty)
    remote = client.probe(RemoteFile(server.url("/download"), "the file"))
    for start in range(0, 1000, 100):
        assert client.read_range(remote, start, start + 100) == BODY[start : start + 100]
    # a probe and ten ranges
    assert redirector.n_asked == n_asked
    assert redirector.n_refused == n_asked - 1


def test_read_range__asks_again_where_a_redirect_led_to_nobody(
    server: StandIn, served: RangedFile, hasty: HttpOptions
) -> None:
    with StandIn() as other:
        mirror = RangedFile(other)
        places = [other.url("/file"), server.url("/file")]
        server.routes["/download"] = lambda handler: handler.reply(
            b"", status=302, Location=places.pop(0)
        )
        client = HttpClient(hasty, frozenset({other.address}))
        remote = client.probe(RemoteFile(server.url("/download"), "the file"))
        assert mirror.n_asked == 1
    # its connections are closed with it
    client._pools.clear()
    assert client.read_range(remote, 0, 10) == BODY[:10]
    assert (mirror.n_asked, places) == (1, [])
