"""A server on loopback that answers like all three sources, and goes wrong as it is told.

One request is answered in one place, :meth:`Handler.send`; a fault is a :class:`Behaviour`, a
handful of departures from a right answer, and never code of its own.
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
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

# what a request asks for: faults are told which of these they are about
Kind = Literal["file", "table", "query"]

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
        "none". ``If-Range`` is
        looked at where it is an ETag.
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
    """Something to be served, in one or several versions of equal length."""

    versions: tuple[bytes, ...]
    content_type: str
    kind: Kind

    def body(self, version: int) -> bytes:
        # version n is one more than the last where every request gets another
        return self.versions[version if version < 2 else 1 + version % (len(self.versions) - 1)]


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    # otherwise the header waits 40 ms for the body
    disable_nagle_algorithm = True
    timeout = 10
    server: FaultyServer

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
        document = self.server.find(self.path)
        if document is None:
            self.send_words(404)
        elif isinstance(document, str):
            self.send_words(302, Location=document)
        else:
            self.send(document, *self.server.decide(document.kind, self.headers))

    def send(self, document: Document, behaviour: Behaviour, n: int) -> None:
        """Send a document as a fault wants it; ``n`` is the number of the request."""
        time.sleep(behaviour.delay_s)
        range_ = self._range(document, behaviour, n)
        if behaviour.redirect is not None:
            return self.send_words(302, Location=behaviour.redirect.format(path=self.path))
        if behaviour.refuses_range and self.headers.get("Range"):
            return self.send_words(416)
        if behaviour.status is not None:
            extra = {"Retry-After": behaviour.retry_after} if behaviour.retry_after else {}
            return self.send_words(behaviour.status, **extra)
        if behaviour.page is not None:
            document, range_ = Document((behaviour.page[0],), behaviour.page[1], "file"), None
        version = n + 2 if behaviour.version < 0 else behaviour.version
        whole = document.body(version)
        whole = whole[: len(whole) - behaviour.says_less]
        start, stop = range_ or (0, len(whole))
        body = whole[start:stop]
        if behaviour.flips_a_byte and len(body) > 1:
            middle = len(body) // 2
            body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
        if behaviour.is_gzipped:
            body = gzip.compress(body, 1)
        self.send_response(206 if range_ else 200)
        self.send_header("Content-Type", document.content_type)
        if behaviour.trickles:
            return self._trickle()
        if behaviour.framing in ("length", "both"):
            self.send_header(
                "Content-Length", behaviour.length or str(len(body) + behaviour.longer)
            )
        if behaviour.framing in ("chunks", "both"):
            self.send_header("Transfer-Encoding", "chunked")
        if range_:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(whole)}")
        if behaviour.ranges != "no" and document.kind == "file":
            self.send_header("Accept-Ranges", "bytes")
        for name, value in name_version(behaviour.validators, version).items():
            self.send_header(name, value)
        if behaviour.is_gzipped:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self._send_body(body, document.kind, behaviour, n)
        return None

    def send_words(self, status: int, **headers: str) -> None:
        words = f"status {status}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(words)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(words)

    def _range(self, document: Document, behaviour: Behaviour, n: int) -> tuple[int, int] | None:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if match is None or behaviour.ranges != "yes" or document.kind != "file":
            return None
        size = len(document.versions[0]) - behaviour.says_less
        version = n + 2 if behaviour.version < 0 else behaviour.version
        wanted = self.headers.get("If-Range")
        named = name_version(behaviour.validators, version)
        if wanted is not None and behaviour.validators == "etag" and wanted != named["ETag"]:
            return None
        start = int(match[1])
        stop = min(int(match[2]) + 1, size) if match[2] else size
        return (start, stop) if start < stop else None

    def _send_body(self, body: bytes, kind: Kind, behaviour: Behaviour, n: int) -> None:
        share = behaviour.stop_at
        if share is None:
            share = random.Random(n).random()
        # a byte at least: a server that never sends one is the one that stays silent
        end = math.ceil(len(body) * share) if behaviour.stop else len(body)
        step = max(len(body) // 16, 1) if behaviour.pause_s else BLOCK_BYTES
        for start in range(0, end, step):
            piece = body[start : min(start + step, end)]
            self._send_piece(piece, behaviour)
            self.server.count(kind, len(piece))
            time.sleep(max(behaviour.pause_s, self.server.pause_s))
        if behaviour.surplus:
            self._send_piece(bytes(behaviour.surplus), behaviour)
        while behaviour.surplus is None:
            self._send_piece(bytes(BLOCK_BYTES), behaviour)
        if behaviour.framing in ("chunks", "both"):
            self.wfile.write(b"0\r\n\r\n")
        if behaviour.framing == "close" or behaviour.length is not None:
            self.close_connection = True
        if behaviour.stop == "stall":
            self.server.released.wait(LONGEST_SILENCE_S)
        if behaviour.stop == "reset":
            # give what was sent a moment to arrive: a reset throws away what is on its way
            time.sleep(0.01)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # the two file objects hold the socket open beside it
            self.rfile.close()
            self.connection.close()
        if behaviour.stop is not None or behaviour.longer > 0:
            self.close_connection = True
        if behaviour.longer < 0:
            self.close_connection = True

    def _send_piece(self, piece: bytes, behaviour: Behaviour) -> None:
        is_chunk = behaviour.framing in ("chunks", "both")
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunk else piece)

    def _trickle(self) -> None:
        # without an end: the client has to give up
        while not self.server.released.wait(0.05):
            self.send_header("X-More", "to come")
            self.flush_headers()
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass


def name_version(validators: str, version: int) -> dict[str, str]:
    """Make the headers that name a version."""
    named = {
        "etag": {"ETag": f'"version-{version}"'},
        "weak": {"ETag": f'W/"version-{version}"', "Last-Modified": "never"},
        "date": {"Last-Modified": f"Mon, 05 Jan 2026 12:00:{version % 60:02} GMT"},
        "none": {},
    }
    return named[validators]


class FaultyServer(ThreadingHTTPServer):
    """Serves documents on a free loopback port while the ``with`` block lasts.

    Parameters
    ----------
    listens_after_s
        Until then nobody is there and connections are refused; None is for ever.
    tls
        Speak TLS with this certificate.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self, *, listens_after_s: float | None = 0.0, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self.tls = tls
        self.server_bind()
        self.address = f"127.0.0.1:{self.server_address[1]}"
        self.url = f"http://{self.address}"
        self.documents: list[tuple[str, Document | str | Callable[[str], object]]] = []
        self.behaviours: dict[Kind, tuple[Behaviour, int, int | None]] = {}
        self.right = RIGHT
        self.n_seen: Counter[Kind] = Counter()
        self.n_wrong: Counter[Kind] = Counter()
        self.n_sent: Counter[Kind] = Counter()
        self.released = threading.Event()
        self._is_over = threading.Event()
        self.pause_s = 0.0
        self._lock = threading.Lock()
        self._listens_after_s = listens_after_s
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> FaultyServer:
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

    def serve(self, pattern: str, document: Document | str | Callable[[str], object]) -> None:
        """Answer paths that match with a document, an address to go to, or JSON made of it."""
        self.documents.append((pattern, document))

    def misbehave(
        self, kind: Kind, behaviour: Behaviour, *, after: int = 0, times: int | None = None
    ) -> None:
        """Go wrong: for ``times`` requests (None: always), beginning after some right ones."""
        self.behaviours[kind] = (behaviour, self.n_seen[kind] + after, times)

    def behave(self) -> None:
        """Answer rightly from now on."""
        self.right = RIGHT
        self.released.set()
        self.behaviours.clear()

    def find(self, path: str) -> Document | str | None:
        for pattern, document in self.documents:
            if re.search(pattern, urlsplit(path).path) is None:
                continue
            if callable(document):
                answer = json.dumps(document(path)).encode()
                return Document((answer,), "application/json", "query")
            return document
        return None

    def decide(self, kind: Kind, headers: Any) -> tuple[Behaviour, int]:
        with self._lock:
            n = self.n_seen[kind]
            self.n_seen[kind] += 1
        behaviour, first, times = self.behaviours.get(kind, (RIGHT, 0, 0))
        is_due = n >= first and (times is None or n < first + times)
        self.n_wrong[kind] += is_due
        return (behaviour if is_due else self.right), n

    def count(self, kind: Kind, n_bytes: int) -> None:
        with self._lock:
            self.n_sent[kind] += n_bytes


def read_criteria(path: str) -> str:
    """Take the question out of a query of the warehouse."""
    return parse_qs(urlsplit(path).query)["criteria"][0]
