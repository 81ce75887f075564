"""The loopback server of the tests: serves what it is given, and goes wrong as it is told.

One request is answered in one place, :meth:`Handler.send`; a :class:`Behaviour` is a handful of
departures from a right answer. What no fault describes is a function of the handler.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import math
import random
import re
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

BLOCK_BYTES = 64 << 10
LONGEST_SILENCE_S = 4.0
TLS_HANDSHAKE = b"\x16"


@dataclass(frozen=True)
class Behaviour:
    """How an answer departs from a right one.

    Attributes
    ----------
    status
        Answer with this status and a few words instead of the document.
    retry_after
        What to put into Retry-After.
    page
        Answer with this document instead, as this content type.
    redirect
        Answer with a redirect to this address.
    delay_s
        Silence before the first byte of the answer.
    stop
        What happens in the middle of the body: the connection is reset, closed in order, or
        nothing more is sent.
    stop_at
        Share of the body that is sent before; None takes a random one.
    longer
        Added to the true Content-Length (negative: the body goes on behind it).
    says_less
        Take this many bytes off the end of the body, and off every length that is announced.
    ranges
        Whether ranges are served; "ignored" announces them and sends everything.
    refuses_range
        Status 416 for every request with a range.
    length
        What Content-Length says instead of a number; the connection is closed behind the body.
    framing
        How the end of the body is told: by its length, by chunks, by both, by closing.
    surplus
        How many bytes more than there should be are sent; None goes on for ever.
    trickles
        Send headers one after the other, for ever.
    validators
        What names the version: "etag", "weak" (a weak ETag, and a date that stays), "date",
        "none". ``If-Range`` is looked at where it is an ETag.
    version
        Which version of the document; -1 gives every request another one.
    is_gzipped
        Compress the body, although nobody asked.
    flips_a_byte
        Alter one byte of the body.
    pause_s
        Silence after every sixteenth of the body.
    """

    status: int | None = None
    retry_after: str | None = None
    page: tuple[bytes, str] | None = None
    redirect: str | None = None
    delay_s: float = 0.0
    stop: Literal["reset", "close", "stall"] | None = None
    stop_at: float | None = None
    longer: int = 0
    says_less: int = 0
    ranges: Literal["yes", "no", "ignored"] = "yes"
    refuses_range: bool = False
    length: str | None = None
    framing: Literal["length", "chunks", "both", "close"] = "length"
    surplus: int | None = 0
    trickles: bool = False
    validators: Literal["etag", "weak", "date", "none"] = "etag"
    version: int = 0
    is_gzipped: bool = False
    flips_a_byte: bool = False
    pause_s: float = 0.0


RIGHT = Behaviour()


@dataclass(frozen=True)
class Document:
    """Something to be served, in one or several versions of equal length.

    Faults are told which ``kind`` of document they are about.
    """

    versions: tuple[bytes, ...]
    content_type: str = "application/octet-stream"
    kind: str = "file"
    tag: str = "version"

    def body(self, version: int) -> bytes:
        if len(self.versions) == 1:
            return self.versions[0]
        # version n is one more than the last where every request gets another
        return self.versions[version if version < 2 else 1 + version % (len(self.versions) - 1)]

    def name_version(self, validators: str, version: int) -> dict[str, str]:
        """Return the headers that name a version."""
        named = {
            "etag": {"ETag": f'"{self.tag}-{version}"'},
            "weak": {"ETag": f'W/"{self.tag}-{version}"', "Last-Modified": "never"},
            "date": {"Last-Modified": f"Mon, 05 Jan 2026 12:00:{version % 60:02} GMT"},
            "none": {},
        }
        return named[validators]


@dataclass
class Request:
    """A request for a document, and how much of its body went out; ``n`` counts its kind."""

    path: str
    kind: str
    n: int
    start: int
    stop: int
    is_part: bool
    if_range: str | None
    n_sent: int = field(default=0)

    @property
    def name(self) -> str:
        return urlsplit(self.path).path.rpartition("/")[2]


# text is an address to go to
Answer = Document | bytes | Path | str | Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    # otherwise the header waits 40 ms for the body
    disable_nagle_algorithm = True
    timeout = 10
    server: FileServer
    # of the pattern that the path matches
    match: re.Match[str] | None = None

    def setup(self) -> None:
        if self.server.tls is not None:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def handle(self) -> None:
        if self.server.tls is not None:
            return super().handle()
        with contextlib.suppress(OSError):
            if self.connection.recv(1, socket.MSG_PEEK) == TLS_HANDSHAKE:
                # what a plain server says to a client that wants TLS
                self.connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                return None
            super().handle()
        return None

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.seen.append(self.path)
        answer, self.match = self.server.find(urlsplit(self.path).path)
        with contextlib.suppress(ConnectionError):
            if callable(answer):
                answer(self)
            elif answer is None:
                self.send_words(404)
            elif isinstance(answer, str):
                self.send_words(302, Location=answer)
            else:
                self.send(answer)

    # ---- for functions that answer themselves

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

    def send_words(self, status: int, **headers: str) -> None:
        self.reply(f"status {status}\n".encode(), status=status, kind="text/plain", **headers)

    def send_json(self, content: object) -> None:
        self.send(Document((json.dumps(content).encode(),), "application/json", "query"))

    def criteria(self) -> str:
        return parse_qs(urlsplit(self.path).query)["criteria"][0]

    def hang_up(self) -> None:
        self.close_connection = True

    def reset(self) -> None:
        # zero linger: the client gets a reset instead of an orderly end
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # the two file objects hold the socket open beside it
        self.rfile.close()
        self.connection.close()
        self.close_connection = True

    # ---- documents

    def send(self, document: Document, fault: Behaviour | None = None) -> None:
        """Send a document, or what a fault makes of it."""
        request = self._read_request(document)
        fault = self.server.decide(request) if fault is None else fault
        time.sleep(max(fault.delay_s, self.server.delay_s))
        version = request.n + 2 if fault.version < 0 else fault.version
        self._choose_range(request, document, fault, version)
        self.server.note(request)
        if fault.redirect is not None:
            return self.send_words(302, Location=fault.redirect.format(path=self.path))
        if fault.refuses_range and self.headers.get("Range"):
            return self.send_words(416)
        if fault.status is not None:
            extra = {"Retry_After": fault.retry_after} if fault.retry_after else {}
            return self.send_words(fault.status, **extra)
        if fault.page is not None:
            document = Document((fault.page[0],), fault.page[1])
            request.start, request.stop, request.is_part = 0, len(fault.page[0]), False
        whole = document.body(version)
        whole = whole[: len(whole) - fault.says_less]
        body = whole[request.start : request.stop]
        if fault.flips_a_byte and len(body) > 1:
            middle = len(body) // 2
            body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
        if fault.is_gzipped:
            body = gzip.compress(body, 1)
        self.send_response(206 if request.is_part else 200)
        self.send_header("Content-Type", document.content_type)
        if fault.trickles:
            return self._trickle()
        if fault.framing in ("length", "both"):
            self.send_header("Content-Length", fault.length or str(len(body) + fault.longer))
        if fault.framing in ("chunks", "both"):
            self.send_header("Transfer-Encoding", "chunked")
        if request.is_part:
            self.send_header(
                "Content-Range", f"bytes {request.start}-{request.stop - 1}/{len(whole)}"
            )
        if fault.ranges != "no" and document.kind == "file":
            self.send_header("Accept-Ranges", "bytes")
        for name, value in document.name_version(fault.validators, version).items():
            self.send_header(name, value)
        if fault.is_gzipped:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self._send_body(body, request, fault)
        return None

    def _read_request(self, document: Document) -> Request:
        n = self.server.count_request(document.kind)
        size = len(document.versions[0])
        if_range = self.headers.get("If-Range")
        return Request(self.path, document.kind, n, 0, size, is_part=False, if_range=if_range)

    def _choose_range(
        self, request: Request, document: Document, fault: Behaviour, version: int
    ) -> None:
        size = request.stop = request.stop - fault.says_less
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if match is None or fault.ranges != "yes" or document.kind != "file":
            return
        named = document.name_version(fault.validators, version)
        if request.if_range not in (None, named.get("ETag")) and fault.validators == "etag":
            return
        start = int(match[1])
        stop = min(int(match[2]) + 1, size) if match[2] else size
        if start < stop:
            request.start, request.stop, request.is_part = start, stop, True

    def _send_body(self, body: bytes, request: Request, fault: Behaviour) -> None:
        share = random.Random(request.n).random() if fault.stop_at is None else fault.stop_at
        # a byte at least: a server that never sends one is the one that stays silent
        end = math.ceil(len(body) * share) if fault.stop else len(body)
        step = max(len(body) // 16, 1) if fault.pause_s else BLOCK_BYTES
        for start in range(0, end, step):
            piece = body[start : min(start + step, end)]
            self._send_piece(piece, fault)
            self.server.count_bytes(request, len(piece))
            time.sleep(max(fault.pause_s, self.server.pause_s))
        if fault.surplus:
            self._send_piece(bytes(fault.surplus), fault)
        while fault.surplus is None:
            self._send_piece(bytes(BLOCK_BYTES), fault)
        if fault.framing in ("chunks", "both"):
            self.wfile.write(b"0\r\n\r\n")
        if fault.stop == "stall":
            self.server.released.wait(LONGEST_SILENCE_S)
        if fault.stop == "reset":
            # give what was sent a moment to arrive: a reset throws away what is on its way
            time.sleep(0.01)
            self.reset()
        if fault.framing == "close" or fault.length or fault.stop or fault.longer:
            self.close_connection = True

    def _send_piece(self, piece: bytes, fault: Behaviour) -> None:
        is_chunk = fault.framing in ("chunks", "both")
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunk else piece)

    def _trickle(self) -> None:
        # without an end: the client has to give up
        while not self.server.released.wait(0.05):
            self.send_header("X-More", "to come")
            self.flush_headers()
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass


class FileServer(ThreadingHTTPServer):
    """Serves on a free loopback port while the ``with`` block lasts.

    Parameters
    ----------
    folder
        Serve the files of this folder; routes go first.
    listens_after_s
        Until then nobody is there and connections are refused; None is for ever.
    tls
        Speak TLS with this certificate.

    Attributes
    ----------
    routes
        What is served, by path or by a regular expression of the whole path.
    seen
        Path and query of every request.
    requests
        The requests for documents.
    n_asked, n_wrong
        Requests for documents by their kind, and those that were answered wrongly.
    delay_s
        Silence before every answer.
    pause_s
        Silence after every 64 KiB of a document.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        *,
        folder: Path | None = None,
        listens_after_s: float | None = 0.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self.server_bind()
        self.folder = folder
        self.tls = tls
        self.routes: dict[str, Answer] = {}
        self.seen: list[str] = []
        self.requests: list[Request] = []
        self.n_asked: Counter[str] = Counter()
        self.n_wrong: Counter[str] = Counter()
        self.delay_s = 0.0
        self.pause_s = 0.0
        self.right = RIGHT
        self.lock = threading.Lock()
        self.released = threading.Event()
        self._faults: list[tuple[str, Behaviour, int, int | None]] = []
        self._is_over = threading.Event()
        self._listens_after_s = listens_after_s
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> FileServer:
        if self._listens_after_s == 0.0:
            self.server_activate()
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.released.set()
        self._is_over.set()
        self._thread.join()
        self.server_close()

    def _run(self) -> None:
        if self._listens_after_s is None or self._is_over.wait(self._listens_after_s):
            return
        if self._listens_after_s:
            self.server_activate()
        threading.Thread(target=self._stop_when_over, daemon=True).start()
        self.serve_forever(0.01)

    def _stop_when_over(self) -> None:
        self._is_over.wait()
        self.shutdown()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # a client that hangs up is what many of these tests are about
        pass

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def url(self, path: str = "") -> str:
        return f"http{'' if self.tls is None else 's'}://{self.address}{path}"

    # ---- what is served

    def serve_bytes(self, path: str, body: bytes, **options: Any) -> None:
        """Answer with these bytes and headers, ranges or not."""
        self.routes[path] = lambda handler: handler.reply(body, **options)

    def serve_tables(self, answers: dict[str, list[dict[str, Any]]], *, page: int = 5000) -> None:
        """Answer RMA queries: the first answer whose key is in the criteria, page by page."""

        def answer(handler: Handler) -> None:
            criteria = handler.criteria()
            rows = next((rows for key, rows in answers.items() if key in criteria), None)
            if rows is None:
                handler.send_json({"success": False, "msg": f"no model for {criteria}"})
            else:
                handler.send_json(answer_page(criteria, rows, page))

        self.routes["/api/v2/data/query.json"] = answer

    def find(self, path: str) -> tuple[Answer | None, re.Match[str] | None]:
        """Return what is served at a path, and the match of its pattern."""
        answer, match = self.routes.get(path), None
        for pattern in () if answer is not None else self.routes:
            match = re.fullmatch(pattern, path)
            if match is not None:
                answer = self.routes[pattern]
                break
        if answer is None and self.folder is not None and (self.folder / path[1:]).is_file():
            answer = self.folder / path[1:]
        if isinstance(answer, Path):
            status = answer.stat()
            answer = Document((answer.read_bytes(),), tag=f"{status.st_size}-{status.st_mtime_ns}")
        elif isinstance(answer, bytes):
            answer = Document((answer,))
        return answer, match

    # ---- how it goes wrong

    def misbehave(
        self, fault: Behaviour, *, kind: str = "file", after: int = 0, times: int | None = None
    ) -> None:
        """Go wrong: for ``times`` requests (None: always), beginning after some right ones."""
        self._faults.append((kind, fault, self.n_asked[kind] + after, times))

    def behave(self) -> None:
        """Answer rightly from now on."""
        self.right = RIGHT
        self.released.set()
        self._faults.clear()

    def decide(self, request: Request) -> Behaviour:
        """Choose the fault of a request; the one that was told last goes first."""
        for kind, fault, first, times in reversed(self._faults):
            is_due = request.n >= first and (times is None or request.n < first + times)
            if is_due and kind == request.kind:
                with self.lock:
                    self.n_wrong[kind] += 1
                return fault
        return self.right

    # ---- what was asked

    def count_request(self, kind: str) -> int:
        with self.lock:
            n = self.n_asked[kind]
            self.n_asked[kind] += 1
        return n

    def note(self, request: Request) -> None:
        with self.lock:
            self.requests.append(request)

    def count_bytes(self, request: Request, n_bytes: int) -> None:
        with self.lock:
            request.n_sent += n_bytes

    def n_seen(self, path: str) -> int:
        return sum(urlsplit(seen).path == path for seen in self.seen)

    def n_sent(self, kind: str = "file") -> int:
        """Return how many bytes of bodies went out."""
        with self.lock:
            return sum(request.n_sent for request in self.requests if request.kind == kind)


def answer_page(criteria: str, rows: list[dict[str, Any]], page: int = 5000) -> dict[str, Any]:
    """Return what the warehouse answers to a query that all these rows match."""
    start, n_rows = (
        int(re.search(rf"\[{option}\$eq(\d+)\]", criteria)[1])  # type: ignore[index]
        for option in ("start_row", "num_rows")
    )
    some = rows[start : start + min(n_rows, page)]
    return {
        "success": True,
        "start_row": start,
        "num_rows": len(some),
        "total_rows": len(rows),
        "msg": some,
    }
