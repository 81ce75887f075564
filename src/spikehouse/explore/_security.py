"""Who may ask this server: only the page that its own user opened."""

from __future__ import annotations

import hmac
import html
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
NO_TOKEN = (
    "This page shows files of the person who started it. Open the address that was printed in the "
    "terminal, or run: spikehouse explore 'LINK'. If that address leads here again, the browser "
    "refuses cookies, which this page needs: allow them for 127.0.0.1 and localhost."
)
# paths that answer data or files; every other one is a page
_NOT_PAGES = ("/api/", "/code/", "/static/")


def is_page(path: str) -> bool:
    """Return whether a path is one of the page, which a link may lead to."""
    return not path.startswith(_NOT_PAGES)


class Guard:
    """Refuse what the user's own page does not ask."""

    # pure ASGI, because the application asks whether the client is still there

    def __init__(self, app: ASGIApp, *, token: str, port: int) -> None:
        self.app = app
        self.token = token
        self.port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it; every answer has the headers of `HEADERS`."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})  # none is accepted
            return
        added = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        answer = self._check(scope)
        if answer is None:
            await self.app(scope, receive, send_guarded)
            return
        status, headers, body = answer
        named = {**headers, "content-length": str(len(body)), "cache-control": "no-store"}
        raw = [(name.encode(), value.encode()) for name, value in named.items()]
        await send_guarded({"type": "http.response.start", "status": status, "headers": raw})
        content = b"" if scope["method"] == "HEAD" else body
        await send_guarded({"type": "http.response.body", "body": content})

    def _check(self, scope: Scope) -> tuple[int, dict[str, str], bytes] | None:
        """Return the answer to a request that is refused or sent on; None lets it in."""
        path: str = scope["path"]
        given: dict[str, list[str]] = {}
        for key, raw in scope["headers"]:
            given.setdefault(key.decode("latin-1"), []).append(raw.decode("latin-1"))
        hosts = [f"{name}:{self.port}" for name in ("127.0.0.1", "localhost")]
        if [host.lower() for host in given.get("host", ())] not in [[host] for host in hosts]:
            return _refuse(path, 400, f"This server is http://{hosts[0]}, and has no other name.")
        if scope["method"] not in ("GET", "HEAD"):
            message = "This server only reads: it answers GET and HEAD."
            return _refuse(path, 405, message, {"allow": "GET, HEAD"})
        if ".." in path.replace("\\", "/").split("/") or "\0" in path:
            return _refuse(path, 404, "There is no such page.")
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        tokens = [value for name, value in query if name == "token"]
        has_token = is_page(path) and any(map(self._is_token, tokens))
        origins = given.get("origin", ())
        sites = set(given.get("sec-fetch-site", ())) - {"none", "same-origin"}
        is_foreign = bool(sites) or any(o not in [f"http://{h}" for h in hosts] for o in origins)
        is_link = has_token and given.get("sec-fetch-mode") == ["navigate"] and not origins
        if is_foreign and not is_link:
            return _refuse(path, 403, f"Another website asked for this. {NO_TOKEN}")
        if has_token:
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            # a path that begins with two slashes would lead to another host
            target = quote("/" + path.lstrip("/")) + (f"?{rest}" if rest else "")
            return self._give_cookie(target, is_foreign=is_foreign)
        for cookie in "; ".join(given.get("cookie", ())).split(";"):
            name, _, value = cookie.strip().partition("=")
            if name == f"spikehouse-{self.port}" and self._is_token(value):
                return None
        return _refuse(path, 403, NO_TOKEN)

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())

    def _give_cookie(self, target: str, *, is_foreign: bool) -> tuple[int, dict[str, str], bytes]:
        # the port is in the name, because browsers send cookies to every port
        cookie = f"spikehouse-{self.port}={self.token}; Path=/; HttpOnly; SameSite=Strict"
        if not is_foreign:
            return 303, {"set-cookie": cookie, "location": target}, b""
        # after a redirect, the browser would still see a link of another site and send no cookie
        text = f"<meta http-equiv=refresh content='0;url={html.escape(target)}'>"
        status, headers, body = _page(200, "Opening …", text)
        return status, {**headers, "set-cookie": cookie}, body


def _refuse(
    path: str, status: int, message: str, headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    if is_page(path):
        status, named, body = _page(status, message)
    else:
        body = json.dumps({"message": message}).encode()
        named = {"content-type": "application/json"}
    return status, {**named, **(headers or {})}, body


def _page(status: int, message: str, head: str = "") -> tuple[int, dict[str, str], bytes]:
    text = (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=color-scheme "
        f"content='light dark'>{head}<title>spikehouse</title><p>{html.escape(message)}</p></html>"
    )
    return status, {"content-type": "text/html; charset=utf-8"}, text.encode()
