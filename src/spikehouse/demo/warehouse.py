"""Serve the simulated survey on this machine with the interface of api.brain-map.org.

Tables are queried in RMA with ``GET /api/v2/data/query.json?criteria=…`` (or ``q=``), by default 50
rows per page; errors have status 200 and ``success: false``. Files are downloaded from the
``download_link`` of a WellKnownFile; unlike the original, Range, ETag and HEAD work.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BufferedReader
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl

from spikehouse.demo.rma import answer, make_failure
from spikehouse.demo.warehouse_files import DOWNLOAD_PATH, ServedSurvey, WellKnownFile
from spikehouse.demo.warehouse_http import FileState, plan_file
from spikehouse.demo.warehouse_tables import WarehouseTables
from spikehouse.errors import InvalidArgumentError, SourceError, SpikehouseError

__all__ = ["DemoWarehouse", "serve"]

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
QUERY_PATH = "/api/v2/data/query.json"
# Time without reading or requests [s] after which a client is gone; decoding takes less.
IDLE_SECONDS = 300.0
# Time that `close` waits for a connection whose file is being simulated [s].
CLOSE_SECONDS = 10.0
POLL_SECONDS = 0.05
JSON_TYPE = "application/json; charset=utf-8"
TEXT_TYPE = "text/plain; charset=utf-8"


class DemoWarehouse:
    """A server of the simulated survey on this machine, and a context manager.

    It answers as soon as it is created, from a daemon thread, and only to this machine (127.0.0.1).

    Parameters
    ----------
    survey
        The survey to serve; session and LFP files are simulated when they are first requested.
    port
        The port to listen on; 0 for any free port.

    Raises
    ------
    InvalidArgumentError
        If the port is not between 0 and 65535.
    SourceError
        If the port is in use or not permitted.

    Examples
    --------
    >>> from spikehouse.demo import DemoWarehouse, Survey
    >>> with DemoWarehouse(Survey(size="tiny")) as warehouse:
    ...     warehouse.url.startswith("http://127.0.0.1:")
    True
    """

    def __init__(self, survey: ServedSurvey, *, port: int = 0) -> None:
        if not 0 <= port <= 65_535:
            raise InvalidArgumentError(f"port {port} is not between 0 (any free port) and 65535")
        try:
            self._server = _Server(survey, port)
        except OSError as error:
            raise SourceError(
                f"cannot listen on {HOST}:{port}: {error.strerror}; pass 0 for any free port"
            ) from error
        self._port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": POLL_SECONDS},
            name=f"demo warehouse {self.address}",
            daemon=True,
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """Host and port, ``"127.0.0.1:PORT"``, as clients pass them as ``host``."""
        return f"{HOST}:{self._port}"

    @property
    def url(self) -> str:
        """The address as a URL, without a slash at the end."""
        return f"http://{self.address}"

    def close(self) -> None:
        """Stop the server, its threads and all connections.

        Notes
        -----
        Running downloads are interrupted. If a file is being simulated for a connection, this waits
        up to ten seconds. Closing again does nothing.
        """
        if not self._thread.is_alive():
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.close_connections()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def serve(
    survey: ServedSurvey, *, port: int = 0, announce: Callable[[str], object] = logger.info
) -> None:
    """Serve a survey until Ctrl-C.

    Parameters
    ----------
    survey
        The survey to serve.
    port
        The port to listen on; 0 for any free port.
    announce
        Function that is called with the address, ``"127.0.0.1:PORT"``, when the server is ready.

    Raises
    ------
    InvalidArgumentError
        If the port is not between 0 and 65535.
    SourceError
        If the port is in use or not permitted.
    """
    # Ctrl-C ends the wait; leaving the block closes the server
    with DemoWarehouse(survey, port=port) as warehouse, contextlib.suppress(KeyboardInterrupt):
        announce(warehouse.address)
        threading.Event().wait()


# For a stream server the request is its connection; the base class also allows datagrams.
_Request = socket.socket | tuple[bytes, socket.socket]


class _Server(ThreadingMixIn, HTTPServer):
    """Serve each connection in a thread of its own, and keep track of them to close them."""

    request_queue_size = 64

    def __init__(self, survey: ServedSurvey, port: int) -> None:
        self.survey = survey
        self.tables = WarehouseTables(survey)
        self._connections: dict[threading.Thread, _Request] = {}
        self._lock = threading.Lock()
        super().__init__((HOST, port), _Handler)

    @cached_property
    def files(self) -> Mapping[int, WellKnownFile]:
        """All files that can be downloaded, by id."""
        return {file.id: file for file in self.tables.list_files()}

    def server_bind(self) -> None:
        # HTTPServer would look up the name of 127.0.0.1, which can take seconds
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, int(self.server_address[1])

    def process_request(self, request: _Request, client_address: object) -> None:
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        with self._lock:
            self._connections[thread] = request
        thread.start()

    def process_request_thread(self, request: _Request, client_address: object) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                del self._connections[threading.current_thread()]

    def handle_error(self, request: _Request, client_address: object) -> None:  # noqa: ARG002
        # the default writes to stderr; an error here is a fault of this module
        logger.exception("request of %s failed", client_address)

    def close_connections(self) -> None:
        with self._lock:
            connections = dict(self._connections)
        for connection in connections.values():
            if isinstance(connection, socket.socket):
                with contextlib.suppress(OSError):  # already closed by its thread
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in connections:
            thread.join(CLOSE_SECONDS)


class _Handler(BaseHTTPRequestHandler):
    """Answer the requests of one connection."""

    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "spikehouse-demo"
    sys_version = ""
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, TimeoutError) as error:
            # a client may disconnect at any time
            logger.debug("%s left: %r", self.client_address, error)

    def log_message(self, format: str, *args: object) -> None:
        logger.debug("%s " + format, self.client_address, *args)

    def do_GET(self) -> None:
        self._close_after_body()
        path, _, query = self.path.partition("?")
        # clients join "http://host/" and "/api/…"
        path = "/" + path.lstrip("/")
        try:
            if path == QUERY_PATH:
                self._answer_query(query)
            elif path.startswith(DOWNLOAD_PATH):
                self._answer_download(path.removeprefix(DOWNLOAD_PATH))
            elif path == "/":
                self._send(HTTPStatus.OK, self._describe(), "text/html; charset=utf-8")
            else:
                self._send_text(HTTPStatus.NOT_FOUND, f"nothing is served at {path}")
        except SpikehouseError as error:
            logger.debug("%s failed", self.path, exc_info=True)
            self._send_text(HTTPStatus.INTERNAL_SERVER_ERROR, f"the demo survey failed: {error}")

    do_HEAD = do_GET

    def _refuse(self) -> None:
        self._close_after_body()
        self._send_text(
            HTTPStatus.METHOD_NOT_ALLOWED, f"{self.command} is not served here", Allow="GET, HEAD"
        )

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse

    def _close_after_body(self) -> None:
        """Close the connection after the answer if the request has a body, which is not read."""
        has_body = self.headers.get("Content-Length", "0") != "0"
        if has_body or "Transfer-Encoding" in self.headers:
            self.close_connection = True

    # --- tables

    def _answer_query(self, query: str) -> None:
        texts = [text for name, text in parse_qsl(query) if name in ("criteria", "q")]
        if len(texts) == 1:
            reply = answer(texts[0], self.server.tables.models)
        else:
            reply = make_failure(
                f"one query is needed, {len(texts)} given: query.json?criteria=model::<Model>,…"
            )
        body = json.dumps(reply, allow_nan=False, separators=(",", ":")).encode()
        self._send(HTTPStatus.OK, body, JSON_TYPE)

    # --- files

    def _answer_download(self, written_id: str) -> None:
        is_id = written_id.isascii() and written_id.isdecimal() and len(written_id) < 20
        file = self.server.files.get(int(written_id)) if is_id else None
        if file is None:
            self._send_text(HTTPStatus.NOT_FOUND, f"there is no well-known file {written_id!r}")
            return
        try:
            opened = file.make(self.server.survey).open("rb")
        except (SpikehouseError, OSError) as error:
            logger.debug("%s failed", self.path, exc_info=True)
            self._send_text(HTTPStatus.INTERNAL_SERVER_ERROR, f"cannot make the file: {error}")
            return
        with opened:
            self._send_file(opened)

    def _send_file(self, file: BufferedReader) -> None:
        status = os.fstat(file.fileno())
        state = FileState(size=status.st_size, modified_ns=status.st_mtime_ns)
        request = {name.lower(): value for name, value in self.headers.items()}
        plan = plan_file(self.command, request, state)
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f'attachment; filename="{Path(file.name).name}"',
        }
        self._send_head(plan.status, headers | dict(plan.headers))
        length = plan.stop - plan.start
        if self.command == "HEAD" or length == 0:
            return
        # sendfile copies in the kernel or, if it cannot, in blocks of 8 KiB
        if self.connection.sendfile(file, plan.start, length) < length:
            self.close_connection = True  # the file was shortened: the client must notice

    # --- sending

    def _send_head(self, status: HTTPStatus, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers and status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", "0")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _send(self, status: HTTPStatus, body: bytes, content_type: str, **headers: str) -> None:
        length = str(len(body))
        self._send_head(status, {"Content-Type": content_type, "Content-Length": length, **headers})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_text(self, status: HTTPStatus, text: str, **headers: str) -> None:
        self._send(status, f"{text}\n".encode(), TEXT_TYPE, **headers)

    def _describe(self) -> bytes:
        """Return the HTML page at the address of the server."""
        address = f"{HOST}:{self.server.server_port}"
        query = "criteria=model::EcephysSession,rma::options[num_rows$eq5]"
        models = ", ".join(name for name in self.server.tables.models if name.isidentifier())
        return (
            "<!doctype html><meta charset=utf-8><title>spikehouse demo warehouse</title>"
            "<h1>spikehouse demo warehouse</h1>"
            "<p>A simulated Neuropixels survey behind the interface of the Allen Brain Atlas "
            "warehouse, for this machine only. No value in it was measured in an animal.</p>"
            "<pre>from spikehouse import EcephysProjectCache\n"
            "cache = EcephysProjectCache.from_warehouse(\n"
            f'    manifest="demo/manifest.json", scheme="http", host="{address}")\n'
            "cache.get_session_table()</pre>"
            f'<p>A query: <a href="{QUERY_PATH}?{query}">{query}</a></p>'
            f"<p>Models: {models}.</p>"
        ).encode()
