"""What to answer to a request for a file: the conditions and ranges of HTTP, as a pure plan.

After RFC 9110: section 8.8 (validators), 13 (conditional requests), 14 (ranges).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus

__all__ = ["FilePlan", "FileState", "plan_file", "read_range"]

# More digits than this are no byte of any file; int() would refuse them far later.
_RANGE = re.compile(
    r"\s*bytes\s*=\s*(?P<first>\d{0,18})\s*-\s*(?P<last>\d{0,18})\s*", re.IGNORECASE | re.ASCII
)


@dataclass(frozen=True)
class FileState:
    """What a file on disk is at this moment.

    Attributes
    ----------
    size
        Its length [bytes].
    modified_ns
        Its time of modification [ns since 1970].
    """

    size: int
    modified_ns: int

    @property
    def etag(self) -> str:
        """The strong validator: files are never changed in place, a new one has a new time."""
        return f'"{self.size:x}-{self.modified_ns:x}"'

    @property
    def last_modified(self) -> str:
        """The time of modification as HTTP writes it, in whole seconds."""
        return formatdate(self.modified_ns // 1_000_000_000, usegmt=True)


@dataclass(frozen=True)
class FilePlan:
    """The answer: its status, its headers, and which bytes [start, stop) of the file follow."""

    status: HTTPStatus
    start: int = 0
    stop: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)


def plan_file(method: str, request: Mapping[str, str], state: FileState) -> FilePlan:
    """Say how to answer a request for a file.

    Parameters
    ----------
    method
        ``"GET"`` or ``"HEAD"``; ranges apply to GET only.
    request
        The headers of the request, their names in lower case.
    state
        The file as it is now.

    Returns
    -------
    FilePlan
        304 if the client has this very file, 206 with the bytes of a single range, 416 for a
        range beyond the end, else 200 with the whole file. For HEAD the bytes are those a GET
        would get; the caller leaves them out.

    Notes
    -----
    A malformed range, several ranges, another unit or an ``If-Range`` that names another file
    make it an ordinary request for the whole, as the RFC has it.
    """
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
    """Read the bounds of a single byte range.

    Parameters
    ----------
    header
        The header ``Range``: ``bytes=a-b`` (both included), ``bytes=a-``, ``bytes=-n`` (the last
        n bytes).
    size
        The length of the file [bytes].

    Returns
    -------
    tuple of int or None
        Start and stop of the bytes [start, stop); start ≥ stop if no byte of the file is in the
        range; None if the header is to be ignored.
    """
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
    """Say whether an ``If-None-Match`` names this file; weak and strong tags count alike."""
    if header.strip() == "*":
        return True
    return etag in [tag.strip().removeprefix("W/") for tag in header.split(",")]


def _is_same_file(header: str | None, state: FileState) -> bool:
    """Say whether an ``If-Range``, if there is one, names this very file."""
    return header is None or header.strip() in (state.etag, state.last_modified)
