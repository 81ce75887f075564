"""Check the answer to a request for a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spikehouse.errors import SourceError
from spikehouse.transfer.remote_file import Span
from spikehouse.transfer.retry import TransientError
from spikehouse.transfer.versions import Version

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

    from spikehouse.transfer.remote_file import RemoteFile

__all__ = [
    "Answer",
    "ChangedError",
    "check_coding",
    "check_head",
    "check_same",
    "read_answer",
    "read_length",
]

# content types of an error or login page instead of the file
_PAGES = ("text/html", "application/json", "application/xhtml+xml")
_HTML = (b"<!doctype html", b"<html")
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.IGNORECASE | re.ASCII)
_LENGTH = re.compile(r"[0-9]{1,18}")
MAX_VALIDATOR_CHARACTERS = 500


class ChangedError(SourceError):
    """The file on the server differs from the version that was requested."""


@dataclass(frozen=True)
class Answer:
    """What the headers of an answer say about the file and the body."""

    # version of the file
    version: Version
    # offset of the body in the file
    start: int
    # end of the body in the file (exclusive), None if the server does not say
    stop: int | None
    # whether the body is the requested range; otherwise it is the whole file
    is_range: bool


def read_answer(
    response: BaseHTTPResponse, remote: RemoteFile, *, asked: Span | None = None
) -> Answer:
    """Read the headers of an answer with status 200 or 206."""
    _check_kind(response, remote)
    length = read_length(response)
    start: int
    stop: int | None
    size: int | None
    if response.status == 206:
        start, stop, size = _read_range(response, remote, asked)
        if length is not None and length != stop - start:
            raise TransientError(
                f"{remote.url} announces the bytes {start} to {stop - 1} and a length of {length}",
                is_lasting=True,
            )
    else:
        size = length if length is not None else remote.size
        start, stop = 0, size
    if None not in (size, remote.size) and size != remote.size:
        raise ChangedError(
            f"{remote.url} should have {remote.size} bytes and now offers {size}: the file has "
            "changed there"
        )
    version = Version(
        size=size,
        etag=_read_validator(response, "ETag"),
        modified=_read_validator(response, "Last-Modified"),
        sha256=remote.sha256,
        url=remote.url,
        source=remote.source,
    )
    return Answer(version, start, stop, is_range=response.status == 206)


def check_same(answer: Answer, version: Version) -> None:
    """Check that an answer belongs to the version of the other bytes."""
    # without a validator, the published digest tells versions apart in the end
    is_vouched_for = answer.version.is_same(version) or version.sha256 is not None
    if is_vouched_for and not answer.version.differs(version):
        return
    raise ChangedError(f"{version.url} has changed at the server while it was fetched")


def check_head(head: bytes, url: str, name: str) -> None:
    """Check that a body does not begin like an HTML page."""
    start = head[:100].removeprefix(b"\xef\xbb\xbf").lstrip()[:20].lower()
    if start.startswith(_HTML):
        raise _refuse_page(url, name, f"an HTML page that begins with {bytes(head[:20])!r}")


def check_coding(response: BaseHTTPResponse, url: str, name: str) -> None:
    """Reject a body with a content encoding, since none was requested."""
    coding = response.headers.get("Content-Encoding", "identity").strip().casefold()
    if coding not in ("", "identity"):
        raise SourceError(f"{url} sends {name} {coding}-encoded, which was not requested")


def read_length(response: BaseHTTPResponse) -> int | None:
    """Return the length of the body from its header, or None."""
    # None also where the header is no number, or a chunked body says itself where it ends
    text = response.headers.get("Content-Length", "").strip()
    is_chunked = "Transfer-Encoding" in response.headers
    return int(text) if _LENGTH.fullmatch(text) and not is_chunked else None


def _refuse_page(url: str, name: str, page: str) -> TransientError:
    return TransientError(
        f"{url} returned {page} instead of {name}: an error message, or a proxy or login page "
        "in between",
        is_lasting=True,
    )


def _check_kind(response: BaseHTTPResponse, remote: RemoteFile) -> None:
    kind = response.headers.get("Content-Type", "").split(";")[0].strip().casefold()
    if kind in _PAGES:
        raise _refuse_page(remote.url, remote.name, f"a page ({kind})")
    check_coding(response, remote.url, remote.name)


def _read_range(
    response: BaseHTTPResponse, remote: RemoteFile, asked: Span | None
) -> tuple[int, int, int]:
    text = response.headers.get("Content-Range", "")
    match = _CONTENT_RANGE.fullmatch(text.strip())
    if asked is None or match is None:
        raise SourceError(
            f"{remote.url} returned status 206 (part of a file) and the Content-Range {text!r}"
            + (", which was not requested" if asked is None else ", which is not valid")
        )
    start, stop, size = int(match[1]), int(match[2]) + 1, int(match[3])
    # a shorter range than requested is allowed, another one is not
    if start != asked[0] or not start < stop <= min(asked[1], size):
        raise SourceError(
            f"{remote.url} was asked for the bytes {asked[0]} to {asked[1] - 1} and returned "
            f"the Content-Range {text!r}"
        )
    return start, stop, size


def _read_validator(response: BaseHTTPResponse, name: str) -> str | None:
    value = response.headers.get(name, "").strip()
    is_usable = 0 < len(value) <= MAX_VALIDATOR_CHARACTERS and value.isascii()
    return value if is_usable and value.isprintable() else None
