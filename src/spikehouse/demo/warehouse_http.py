"""Plan the answer to a request for a file: conditions and byte ranges of HTTP.

After RFC 9110: section 8.8 (validators), 13 (conditional requests), 14 (ranges).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus

__all__ = ["FilePlan", "FileState", "plan_file", "read_range"]

# No byte of a file has a position of more digits; int() would accept them.
_RANGE = re.compile(
    r"\s*bytes\s*=\s*(?P<first>\d{0,18})\s*-\s*(?P<last>\d{0,18})\s*", re.IGNORECASE | re.ASCII
)


@dataclass(frozen=True)
class FileState:
    """Size [bytes] and time of modification [ns since 1970] of a file."""

    size: int
    modified_ns: int

    @property
    def etag(self) -> str:
        """The strong validator; files are never changed in place, so the time identifies them."""
        return f'"{self.size:x}-{self.modified_ns:x}"'

    @property
    def last_modified(self) -> str:
        """The time of modification in the format of HTTP, in whole seconds."""
        return formatdate(self.modified_ns // 1_000_000_000, usegmt=True)


@dataclass(frozen=True)
class FilePlan:
    """The answer: status, headers, and the byte range [start, stop) of the file to send."""

    status: HTTPStatus
    start: int = 0
    stop: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)


def plan_file(method: str, request: Mapping[str, str], state: FileState) -> FilePlan:
    """Plan the answer to a GET or HEAD request with lower-case headers."""
    # As in RFC 9110, a malformed range, several ranges, another unit, or an ``If-Range`` of another
    # file gives the whole file. HEAD has the byte range of a GET, and the caller sends none of it.
    validators = {
        "ETag": state.etag,
        "Last-Modified": state.last_modified,
        "Accept-Ranges": "bytes",
    }
    known = request.get("if-none-match")
    if known is not None and _matches(known, state.etag):
        return FilePlan(HTTPStatus.NOT_MODIFIED, headers=validators)
    wanted = request.get("range") if method == "GET" else None
    if wanted is not None and _is_same_file(request.get("if-range"), state):
        bounds = read_range(wanted, state.size)
        if bounds is not None:
            return _plan_range(bounds, state.size, validators)
    headers = {**validators, "Content-Length": str(state.size)}
    return FilePlan(HTTPStatus.OK, 0, state.size, headers)


def read_range(header: str, size: int) -> tuple[int, int] | None:
    """Parse a ``Range`` header with one byte range; None if it is to be ignored."""
    # ``bytes=a-b`` (both included), ``bytes=a-`` or ``bytes=-n`` (the last n bytes); start ≥ stop
    # if the range is beyond the end of the file
    match = _RANGE.fullmatch(header)
    if match is None or match["first"] == match["last"] == "":
        return None
    if match["first"] == "":
        return max(0, size - int(match["last"])), size
    first = int(match["first"])
    if match["last"] == "":
        return first, size
    if int(match["last"]) < first:
        return None
    return first, min(int(match["last"]) + 1, size)


def _plan_range(bounds: tuple[int, int], size: int, validators: Mapping[str, str]) -> FilePlan:
    start, stop = bounds
    if start >= stop:
        return FilePlan(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            headers={"Accept-Ranges": "bytes", "Content-Range": f"bytes */{size}"},
        )
    headers = {
        **validators,
        "Content-Length": str(stop - start),
        "Content-Range": f"bytes {start}-{stop - 1}/{size}",
    }
    return FilePlan(HTTPStatus.PARTIAL_CONTENT, start, stop, headers)


def _matches(header: str, etag: str) -> bool:
    """Check whether an ``If-None-Match`` names this file, by a weak or strong tag."""
    if header.strip() == "*":
        return True
    return etag in [tag.strip().removeprefix("W/") for tag in header.split(",")]


def _is_same_file(header: str | None, state: FileState) -> bool:
    """Check whether there is no ``If-Range``, or it names this file."""
    return header is None or header.strip() in (state.etag, state.last_modified)
