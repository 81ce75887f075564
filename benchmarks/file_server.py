"""A small web server for a folder of files, with ranges, a latency of choice and a count.

    python benchmarks/file_server.py FOLDER [--port 0] [--latency SECONDS] [--round-trip SECONDS]
        [--no-ranges]

prints its address on one line and serves until it is killed. ``GET /_stats`` answers
``{"requests": n, "bytes": n}`` (body bytes of files only), ``GET /_reset`` sets both to zero.

With ``--round-trip`` it behaves like a server far away: the first byte of an answer comes a round
trip after the request, and each connection has no more bytes under way than TCP allows: ten packets
at first, one more for each that was acknowledged, and never more than the largest window that the
client announced when it connected (the kernel tells it with TCP_INFO; Linux only).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import socket
import threading
import time
from collections import deque
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

SEND_BYTES = 4 << 20
SEND_BUFFER_BYTES = 1 << 18
FAR_BYTES = 1 << 16
FIRST_WINDOW = 14_600
# where Linux's struct tcp_info has the client's window scale, in the lower four bits
SCALE_AT = 6
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class FileServer(ThreadingHTTPServer):
    """Serves the files of a folder on loopback; one thread a connection."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        latency: float = 0.0,
        round_trip: float = 0.0,
        ranges: bool = True,
    ) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        # inherited by every connection: bytes that are counted have then nearly been delivered,
        # and do not wait in a buffer of up to 4 MiB
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.folder = folder.resolve()
        self.latency = latency + round_trip
        self.round_trip = round_trip
        self.ranges = ranges
        self.n_requests = 0
        self.n_bytes = 0
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def count(self, *, requests: int = 0, n_bytes: int = 0) -> None:
        """Add to the statistics."""
        with self.lock:
            self.n_requests += requests
            self.n_bytes += n_bytes

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that hangs up is no news."""


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FileServer

    def setup(self) -> None:
        """Begin a connection, with nothing under way."""
        super().setup()
        # of a server far away: when the client's acknowledgement will be here, and how many bytes
        self.under_way: deque[tuple[float, int]] = deque()
        self.window = FIRST_WINDOW
        facts = self.connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 16)
        self.largest_window = 65_535 << (facts[SCALE_AT] & 15)

    def do_HEAD(self) -> None:
        """Answer with headers only."""
        self.do_GET()

    def do_GET(self) -> None:
        """Answer with a file, or with the statistics."""
        path = unquote(urlsplit(self.path).path)
        if path == "/_stats":
            with self.server.lock:
                stats = {"requests": self.server.n_requests, "bytes": self.server.n_bytes}
            self._reply_json(stats)
        elif path == "/_reset":
            with self.server.lock:
                self.server.n_requests = self.server.n_bytes = 0
            self._reply_json({})
        else:
            self.server.count(requests=1)
            if self.server.latency:
                time.sleep(self.server.latency)
            with contextlib.suppress(ConnectionError):
                self._reply_file(self.server.folder / path.lstrip("/"))

    def _reply_json(self, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _reply_file(self, path: Path) -> None:
        path = path.resolve()
        if not path.is_relative_to(self.server.folder) or not path.is_file():
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
            modified = formatdate(status.st_mtime, usegmt=True)
            chosen = self._choose_range(status.st_size, {etag, modified})
            if chosen is None:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{status.st_size}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start, stop, partial = chosen
            self.send_response(206 if partial else 200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(stop - start))
            self.send_header("ETag", etag)
            self.send_header("Last-Modified", modified)
            if self.server.ranges:
                self.send_header("Accept-Ranges", "bytes")
            if partial:
                self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{status.st_size}")
            self.end_headers()
            if self.command == "GET":
                self._send(file.fileno(), start, stop)

    def _choose_range(self, size: int, validators: set[str]) -> tuple[int, int, bool] | None:
        """Start, stop and whether that is a part; None if the range asked for is not there."""
        whole = (0, size, False)
        match = _RANGE.fullmatch(self.headers.get("Range", "").strip())
        if not self.server.ranges or match is None or not any(match.groups()):
            return whole
        if self.headers.get("If-Range", next(iter(validators))) not in validators:
            return whole
        first, last = match.groups()
        if not first:
            start, stop = max(size - int(last), 0), size
        else:
            start, stop = int(first), min(int(last) + 1, size) if last else size
        return (start, stop, True) if start < stop else None

    def _send(self, descriptor: int, start: int, stop: int) -> None:
        line = self.connection.fileno()
        most = FAR_BYTES if self.server.round_trip else SEND_BYTES
        while start < stop:
            if self.server.round_trip:
                self._wait_for_window()
            sent = os.sendfile(line, descriptor, start, min(stop - start, most))
            self.under_way.append((time.monotonic() + self.server.round_trip, sent))
            if sent == 0:
                # the file was cut while we sent it: hang up, so that the client notices
                self.close_connection = True
                return
            self.server.count(n_bytes=sent)
            start += sent

    def _wait_for_window(self) -> None:
        """Wait until what was sent within a round trip leaves room in the client's window."""
        while True:
            now = time.monotonic()
            while self.under_way and self.under_way[0][0] <= now:
                self.window = min(self.window + self.under_way.popleft()[1], self.largest_window)
            n_under_way = sum(n for _, n in self.under_way)
            if not self.under_way or n_under_way + FAR_BYTES <= self.window:
                return
            time.sleep(self.under_way[0][0] - now)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="before every answer [s]")
    parser.add_argument("--round-trip", type=float, default=0.0, help="to the client and back [s]")
    parser.add_argument("--no-ranges", action="store_true")
    given = parser.parse_args()
    server = FileServer(
        given.folder,
        port=given.port,
        latency=given.latency,
        round_trip=given.round_trip,
        ranges=not given.no_ranges,
    )
    print(server.address, flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
