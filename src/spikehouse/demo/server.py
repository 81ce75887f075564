"""Serve the simulated survey on this machine as the public bucket on S3 has it: files by key."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Callable, Mapping
from email.message import Message
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from urllib.parse import unquote

from spikehouse.demo.survey import Survey
from spikehouse.errors import SourceError, SpikehouseError

logger = logging.getLogger(__name__)
HOST = "127.0.0.1"
# no byte of a file has a position of more digits; int() would accept them
_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.IGNORECASE | re.ASCII)


def serve(
    survey: Survey, *, port: int = 0, announce: Callable[[str], object] = logger.info
) -> None:
    """Serve the files of a survey to this machine, as the public bucket does, until Ctrl-C.

    Parameters
    ----------
    survey
        Survey to serve; a file is simulated when it is first requested.
    port
        Port to listen on; 0 for any free port.
    announce
        Function that is called with the URL, the ``base_url`` of ``EcephysProjectCache.from_s3``,
        when the server is ready.

    Raises
    ------
    SourceError
        If the server cannot listen on that port.
    """
    with FileServer(survey.files, port) as server, contextlib.suppress(KeyboardInterrupt):
        announce(server.url)
        server.serve_forever()


class FileServer(ThreadingTCPServer):
    """Serve files to this machine; each is made when it is first requested."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, files: Mapping[str, Callable[[], Path]], port: int = 0) -> None:
        self.files = files
        try:
            super().__init__((HOST, port), FileHandler)
        except (OSError, OverflowError) as error:
            raise SourceError(
                f"cannot listen on {HOST}:{port}: {error}; pass 0 for any free port"
            ) from error
        self.url = f"http://{HOST}:{self.server_address[1]}"


class FileHandler(BaseHTTPRequestHandler):
    """Answer GET and HEAD requests for files as S3 does."""

    server: FileServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "spikehouse-demo", ""
    disable_nagle_algorithm = True
    timeout = 300.0  # [s] without a request

    def handle(self) -> None:
        """Answer the requests of one connection; the client may disconnect at any time."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        """Log a request, instead of printing it."""
        logger.debug("%s " + format, self.client_address, *args)

    def do_GET(self) -> None:
        """Answer a request for a file."""
        key = unquote(self.path.partition("?")[0]).lstrip("/")
        if key in self.server.files:
            self.send_file(self.server.files[key])
        else:
            body = b"<Error><Code>NoSuchKey</Code><Message>There is no such file.</Message></Error>"
            self.send_body(HTTPStatus.NOT_FOUND, "application/xml", body)

    do_HEAD = do_GET

    def send_file(self, make: Callable[[], Path]) -> None:
        """Send the file that ``make`` returns, or the byte range of it that is requested."""
        try:
            file = make().open("rb")
        except (SpikehouseError, OSError) as error:
            text = f"cannot make the file: {error}\n"
            self.send_body(HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", text.encode())
            return
        with file:
            state = os.fstat(file.fileno())
            # files are never changed in place, so their time of modification identifies them
            etag = f'"{state.st_size:x}-{state.st_mtime_ns:x}"'
            modified = formatdate(int(state.st_mtime), usegmt=True)
            status, start, stop = plan_answer(self.headers, state.st_size, etag, modified)
            headers = {"ETag": etag, "Last-Modified": modified, "Accept-Ranges": "bytes"}
            if status in (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
                part = f"{start}-{stop - 1}" if start < stop else "*"
                headers["Content-Range"] = f"bytes {part}/{state.st_size}"
            length = max(0, stop - start)
            self.send_head(status, "binary/octet-stream", length, headers)
            if self.command == "GET" and length > 0:
                # if the file was truncated meanwhile, the client must notice
                self.close_connection |= self.connection.sendfile(file, start, length) < length

    def send_body(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        """Send an answer that is not a file."""
        self.send_head(status, content_type, len(body), {})
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_head(
        self, status: HTTPStatus, content_type: str, length: int, headers: Mapping[str, str]
    ) -> None:
        """Send the status line and the headers."""
        # the body of a request is not read, and must not be taken for the next request
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True
        self.send_response(status)
        headers = {"Content-Type": content_type, "Content-Length": str(length), **headers}
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()


def plan_answer(
    headers: Message, size: int, etag: str, modified: str
) -> tuple[HTTPStatus, int, int]:
    """Return the status and the byte range [start, stop) that a request with headers gets."""
    # after RFC 9110: what is malformed, or several ranges, or a range of another version of the
    # file in If-Range, gives the whole file
    wanted = headers.get("If-Match", "*")
    if wanted.strip() != "*" and etag not in [tag.strip() for tag in wanted.split(",")]:
        return HTTPStatus.PRECONDITION_FAILED, 0, 0
    match = _RANGE.fullmatch(headers.get("Range", ""))
    first, last = match.groups() if match else ("", "")
    is_same = headers.get("If-Range", etag).strip() in (etag, modified)
    if not is_same or first == last == "" or (first and last and int(last) < int(first)):
        return HTTPStatus.OK, 0, size
    if first == "":  # the last bytes
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
    is_inside = start < stop
    status = HTTPStatus.PARTIAL_CONTENT if is_inside else HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    return status, start, stop
