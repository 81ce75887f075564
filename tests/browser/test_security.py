"""Who may ask the running server, and for what: over sockets, as anybody on this machine could."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

SESSION = "900000001"


@pytest.fixture
def ask(server):
    """Ask the server: ask("GET", "/", Host="evil.example") → status, headers, body."""
    host, port = urlsplit(server.base).netloc.split(":")

    def send(method, path, *, cookie=True, **headers):
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        if cookie:
            headers["Cookie"] = f"spikehouse-{port}={server.token}"
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        found = answer.status, dict(answer.getheaders()), answer.read()
        connection.close()
        return found

    return send


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.nip.io"])
def test_foreign_host__is_refused(ask, host):
    status, _, body = ask("GET", "/api/page", Host=host)
    assert status == 400
    assert b"no other name" in body


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}],
)
def test_other_website__is_refused(ask, headers):
    status, given, body = ask("GET", "/api/page", **headers)
    assert status == 403
    assert b"Another website" in body
    assert not [name for name in given if name.lower().startswith("access-control")]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_writing__is_refused(ask, method):
    status, headers, _ = ask(method, "/api/page")
    assert status == 405
    assert headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/", "/api/page", "/static/js/app.js", f"/s/{SESSION}"])
def test_without_the_token__nothing_is_answered(ask, path):
    status, _, body = ask("GET", path, cookie=False)
    assert status == 403
    assert b"spikehouse explore" in body


@pytest.mark.parametrize(
    "path",
    [
        "/static/../_app.py", "/static/..%2f_app.py", "/static/%2e%2e/_app.py",
        "/static//etc/passwd", "/api/s/..%2f..%2fetc/facts", "/api/s/999/facts",
        "/api/s/900000001x/facts", "/api/s/-1/facts", "/api/s/file-1/facts",
        f"/api/s/{SESSION}/no_such_recipe", f"/api/s/{SESSION}/__init__",
        f"/api/s/{SESSION}/probe_units?probe_id=1", f"/api/s/{SESSION}/raster?unit_id=1",
        "/api/results/..%2f/results", "/api/results/none/results", "/code/s/999/timeline",
        "/api/none",
    ],
)  # fmt: skip
def test_what_does_not_exist__is_not_found(ask, path):
    status, headers, body = ask("GET", path)
    assert status == 404, body
    assert headers["content-type"] == "application/json"
    assert len(json.loads(body)["message"]) > 10
    assert b"Traceback" not in body


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("unit_id=abc", "a whole number"),
        ("", "needs unit_id"),
        ("unit_id={unit}&window=1,0", "begin before it ends"),
        ("unit_id={unit}&window=0,1e9", "at most"),
        ("unit_id={unit}&bin=0", "can be shown"),
        ("unit_id={unit}&align=nothing", "flashes"),
        ("unit_id={unit}&event=middle", "onset"),
    ],
)
def test_bad_parameters__are_named_with_what_is_valid(ask, views, query, words):
    unit = views["unit"].rpartition("/")[2]
    path = f"/api/s/{SESSION}/raster?{query.format(unit=unit)}"
    status, _, body = ask("GET", path)
    assert status in (400, 404), body
    assert words in json.loads(body)["message"]


def test_answers__forbid_everything_foreign(ask):
    for path in ("/", "/api/page", "/static/js/app.js", "/api/none"):
        _, headers, _ = ask("GET", path)
        policy = headers["content-security-policy"]
        for rule in ("default-src 'self'", "object-src 'none'", "frame-ancestors 'none'"):
            assert rule in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"


def test_server__listens_on_this_machine_only(server):
    connections = Path("/proc/net/tcp")
    if not connections.exists():
        pytest.skip("this system has no /proc/net/tcp")
    # local address in hexadecimal; state 0A is listening
    port = f"{int(urlsplit(server.base).port):04X}"
    lines = [line.split() for line in connections.read_text().splitlines()[1:]]
    listening = [line[1] for line in lines if line[3] == "0A" and line[1].endswith(":" + port)]
    assert listening == [f"0100007F:{port}"]


def test_token__is_not_kept_in_the_address_and_the_cookie_is_strict(open_tab):
    tab = open_tab("/")
    assert "token" not in tab.page.url
    (cookie,) = tab.page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert tab.page.evaluate("document.cookie") == ""
