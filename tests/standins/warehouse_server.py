"""A stand-in for the warehouse at api.brain-map.org, with the simulated survey.

``python warehouse_server.py [--size SIZE] [--port PORT] [--folder FOLDER]`` prints the address and
serves until Ctrl-C. Tables are queried in RMA with ``GET /api/v2/data/query.json?criteria=…`` (or
``q=``), by default 50 rows per page; errors have status 200 and ``success: false``. Files are
downloaded from the ``download_link`` of a WellKnownFile; unlike the original, Range, ETag and HEAD
work.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import threading
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qsl

from rma_tables import answer, make_failure
from warehouse_tables import DOWNLOAD_PATH, WarehouseTables

from spikehouse.demo import Survey
from spikehouse.demo.server import FileHandler, FileServer
from spikehouse.errors import SpikehouseError

QUERY_PATH = "/api/v2/data/query.json"
JSON_TYPE = "application/json; charset=utf-8"


class DemoWarehouse:
    """A server of a survey in a thread; a context manager."""

    def __init__(self, survey: Survey, *, port: int = 0) -> None:
        self._server = _Server(survey, port)
        self.url = self._server.url
        self.address = self.url.removeprefix("http://")
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop the server and cut all connections."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.cut_connections()

    def __enter__(self) -> DemoWarehouse:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _Server(FileServer):
    """Keeps track of its connections: kept-alive ones would be answered after it is closed."""

    def __init__(self, survey: Survey, port: int) -> None:
        super().__init__({}, port)
        self.RequestHandlerClass = _Handler
        self.survey = survey
        self.tables = WarehouseTables(survey)
        self._connections: list[socket.socket] = []

    @cached_property
    def downloads(self):
        """All files that can be downloaded, by id."""
        return {str(file.id): file for file in self.tables.list_files()}

    def get_request(self):
        connection, address = super().get_request()
        self._connections.append(connection)
        return connection, address

    def cut_connections(self) -> None:
        for connection in self._connections:
            with contextlib.suppress(OSError):  # already closed by its thread
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(FileHandler):
    server: _Server

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        # clients join "http://host/" and "/api/…"
        path = "/" + path.lstrip("/")
        if path == QUERY_PATH:
            self._answer_query(query)
        elif path.startswith(DOWNLOAD_PATH):
            self._answer_download(path.removeprefix(DOWNLOAD_PATH))
        else:
            self.send_body(HTTPStatus.NOT_FOUND, "text/plain", f"nothing is at {path}".encode())

    do_HEAD = do_GET

    def _answer_download(self, written_id: str) -> None:
        file = self.server.downloads.get(written_id)
        if file is None:
            body = f"there is no well-known file {written_id!r}".encode()
            self.send_body(HTTPStatus.NOT_FOUND, "text/plain", body)
        else:
            self.send_file(lambda: file.make(self.server.survey))

    def _answer_query(self, query: str) -> None:
        texts = [text for name, text in parse_qsl(query) if name in ("criteria", "q")]
        try:
            if len(texts) == 1:
                reply = answer(texts[0], self.server.tables.models)
            else:
                reply = make_failure(
                    f"one query is needed, {len(texts)} given: query.json?criteria=model::<Model>,…"
                )
        except SpikehouseError as error:
            body = f"the demo survey failed: {error}".encode()
            self.send_body(HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", body)
            return
        body = json.dumps(reply, allow_nan=False, separators=(",", ":")).encode()
        self.send_body(HTTPStatus.OK, JSON_TYPE, body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=["tiny", "small", "full"], default="small")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--folder", type=Path, help="where simulated files are kept")
    arguments = parser.parse_args()
    survey = Survey(size=arguments.size, folder=arguments.folder)
    with DemoWarehouse(survey, port=arguments.port) as warehouse:
        print(f"Serving the demo survey ({arguments.size}) at {warehouse.url}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
