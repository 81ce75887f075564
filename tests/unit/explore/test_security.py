"""Only the page that the user opened is answered."""

from __future__ import annotations

import html

import pytest
from starlette.websockets import WebSocketDisconnect

from spikehouse.explore._security import HEADERS

PORT, TOKEN = 8045, "a-token-that-nobody-knows"


@pytest.fixture
def client(serve):
    return serve()


@pytest.fixture
def stranger(serve):
    return serve(cookie=False)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:8046", f"127.0.0.2:{PORT}",
        f"127.0.0.1.evil.example:{PORT}", f"[::1]:{PORT}", "",
    ],
)  # fmt: skip
def test_guard__answers_under_no_other_name(client, host):
    answer = client.get("/api/page", headers={"Host": host})
    assert answer.status_code == 400
    assert "http://127.0.0.1:8045" in answer.json()["message"]


@pytest.mark.parametrize("host", [f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"LOCALHOST:{PORT}"])
def test_guard__answers_under_its_names(client, host):
    cookie = {"Cookie": f"spikehouse-{PORT}={TOKEN}"}
    assert client.get("/api/page", headers={"Host": host, **cookie}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_guard__only_reads(client, method):
    answer = client.request(method, "/api/page")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_guard__head_has_no_body(client):
    answer = client.head("/api/page")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:8888"},
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/api/page", "/code/survey/sessions", "/static/js/app.js"])
def test_guard__answers_no_other_website(client, path, headers):
    assert client.get(path, headers=headers).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"},
        {"Origin": f"http://127.0.0.1:{PORT}"},
    ],
)  # fmt: skip
def test_guard__answers_its_own_page(client, headers):
    assert client.get("/api/page", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "path", ["/api/page", "/static/index.html", "/s/1", "/", "/code/survey/sessions"]
)
def test_guard__without_a_cookie_says_where_to_begin(stranger, path):
    answer = stranger.get(path)
    assert answer.status_code == 403
    assert "spikehouse explore 'LINK'" in html.unescape(answer.text)
    # where the browser refuses cookies, the printed address leads here, too
    assert "the browser refuses cookies, which this page needs" in answer.text


@pytest.mark.parametrize(
    "cookie",
    [
        f"spikehouse-{PORT}=guess",
        "spikehouse-8046=" + TOKEN,
        f"spikehouse-{PORT}=",
        f"x={TOKEN}",
        TOKEN,
    ],
)
def test_guard__knows_its_own_cookie(stranger, cookie):
    assert stranger.get("/api/page", headers={"Cookie": cookie}).status_code == 403


def test_guard__the_token_becomes_a_cookie(stranger):
    answer = stranger.get(f"/s/1/u/2?v=psth&win=-0.1,0.5&token={TOKEN}")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/s/1/u/2?v=psth&win=-0.1%2C0.5"
    assert answer.headers["set-cookie"] == (
        f"spikehouse-{PORT}={TOKEN}; Path=/; HttpOnly; SameSite=Strict"
    )
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("token", ["", "guess", TOKEN[:-1], TOKEN + "x", "é"])
def test_guard__another_token_is_none(stranger, token):
    answer = stranger.get("/", params={"token": token})
    assert (answer.status_code, answer.headers.get("set-cookie")) == (403, None)


def test_guard__the_token_is_no_key_to_data(stranger):
    assert stranger.get(f"/api/page?token={TOKEN}").status_code == 403


def test_guard__a_link_of_another_page_with_the_token_opens(stranger):
    # as from a notebook, which is another site to the browser
    headers = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"}
    answer = stranger.get(f"/s/1?token={TOKEN}&a='><script>", headers=headers)
    assert answer.status_code == 200
    assert "SameSite=Strict" in answer.headers["set-cookie"]
    # the browser sends strict cookies after this page, and would send none after a redirect
    assert "<meta http-equiv=refresh content='0;url=/s/1?a=%27%3E%3Cscript%3E'>" in answer.text


def test_guard__a_script_of_another_page_with_the_token_does_not(stranger):
    headers = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}
    assert stranger.get(f"/?token={TOKEN}", headers=headers).status_code == 403


def test_guard__never_redirects_to_another_host(stranger):
    answer = stranger.get(f"http://127.0.0.1:{PORT}//evil.example/x?token={TOKEN}")
    assert answer.headers["location"] == "/evil.example/x"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../_security.py", "/static/%2e%2e/_security.py", "/static/..%2f_security.py",
        "/static/js/..%5c..%5c_security.py", "/static//etc/passwd", "/static/%2fetc/passwd",
        "/static/missing.js", "/static/js", "/static/index.html%00.js", "/api/s/../../page", "/x",
        "/api/nothing", "/s/1/nothing",
    ],
)  # fmt: skip
def test_guard__has_nothing_outside_its_folder(client, path):
    answer = client.get(f"http://127.0.0.1:{PORT}{path}")
    assert answer.status_code in (400, 404)
    assert "root:" not in answer.text
    assert "import" not in answer.text


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {}), ("/static/js/app.js", {}), ("/api/page", {}), ("/api/s/1/facts", {}), ("/x", {}),
        ("/", {"Host": "evil"}), ("/", {"Origin": "null"}),
    ],
)  # fmt: skip
def test_guard__every_answer_has_the_headers(client, path, headers):
    answer = client.get(path, headers=headers)
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["cache-control"] in ("no-store", "no-cache")


def test_answer__a_mistyped_path_gets_the_page(client):
    for path in ("/foo", "/s/1/probes"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (
            404,
            "text/html; charset=utf-8",
        )
        assert "js/app.js" in answer.text
    assert client.get("/api/foo").json() == {"message": "There is nothing at this address."}


def test_guard__allows_no_script_of_others():
    assert HEADERS["Content-Security-Policy"] == (
        "default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; "
        "form-action 'none'"
    )


def test_guard__accepts_no_websocket(client):
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/api/page"):
        pass
