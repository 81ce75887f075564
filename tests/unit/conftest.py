"""A loopback server that speaks enough of the warehouse's language, and misbehaves on demand."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from spikehouse.transfer.retry import HttpOptions

Route = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers by route; what is not routed is not there."""

    protocol_version = "HTTP/1.1"
    server: StandIn

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        with self.server.lock:
            self.server.seen.append(self.path)
        route = self.server.routes.get(parts.path)
        with contextlib.suppress(ConnectionError):
            if route is None:
                self.reply(b"no such page", status=404, kind="text/plain")
            else:
                route(self)

    def reply(
        self,
        body: bytes,
        *,
        status: int = 200,
        kind: str = "application/octet-stream",
        length: int | None = None,
        **headers: str,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def criteria(self) -> str:
        return parse_qs(urlsplit(self.path).query)["criteria"][0]

    def hang_up(self) -> None:
        self.close_connection = True

    def reset(self) -> None:
        # zero linger: the client gets a reset instead of an orderly end
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass


class StandIn(ThreadingHTTPServer):
    """Serves on a free loopback port while the ``with`` block lasts."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.routes: dict[str, Route] = {}
        self.seen: list[str] = []
        self.lock = threading.Lock()
        self.released = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> StandIn:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.released.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # a client that hangs up is what many of these tests are about
        pass

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def url(self, path: str) -> str:
        return f"http://{self.address}{path}"

    def serve_bytes(self, path: str, body: bytes, **options: Any) -> None:
        self.routes[path] = lambda handler: handler.reply(body, **options)

    def n_seen(self, path: str) -> int:
        return sum(urlsplit(seen).path == path for seen in self.seen)

    def serve_tables(self, answers: dict[str, list[dict[str, Any]]], *, page: int = 5000) -> None:
        """Answer RMA queries: the first answer whose key is in the criteria, page by page."""

        def route(handler: Handler) -> None:
            criteria = handler.criteria()
            rows = next((rows for key, rows in answers.items() if key in criteria), None)
            if rows is None:
                answer = {"success": False, "msg": f"no model for {criteria}"}
            else:
                start = int(re.search(r"\[start_row\$eq(\d+)\]", criteria)[1])
                n_rows = min(int(re.search(r"\[num_rows\$eq(\d+)\]", criteria)[1]), page)
                some = rows[start : start + n_rows]
                answer = {
                    "success": True,
                    "start_row": start,
                    "num_rows": len(some),
                    "total_rows": len(rows),
                    "msg": some,
                }
            handler.reply(json.dumps(answer).encode(), kind="application/json")

        self.routes["/api/v2/data/query.json"] = route


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn() as server:
        yield server


@pytest.fixture
def closed_address() -> str:
    """Give an address where nobody listens any more."""
    with StandIn() as server:
        return server.address


@pytest.fixture
def hasty() -> HttpOptions:
    return HttpOptions(
        patience=0.5, connect_timeout=2, answer_timeout=2, stall_timeout=0.3, backoff=0.01
    )
