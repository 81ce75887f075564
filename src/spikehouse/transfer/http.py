"""HTTP client with timeouts, redirects and checks of every answer."""

from __future__ import annotations

import os
import re
import threading
import weakref
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from spikehouse.errors import SourceError, TransferError
from spikehouse.transfer.addresses import follow
from spikehouse.transfer.byte_ranges import ByteRange
from spikehouse.transfer.remote_file import Version
from spikehouse.transfer.retry import HttpOptions, TransientError, UnreachableError, retry

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

    from spikehouse.transfer.remote_file import RemoteFile

__all__ = [
    "Answer",
    "ChangedError",
    "HttpClient",
    "NoBytesError",
    "check_coding",
    "check_head",
    "iterate_blocks",
    "read_body",
    "read_length",
    "renew_in_child",
]

MAX_REDIRECTS = 5
BLOCK_BYTES = 1 << 19
MAX_VALIDATOR_CHARACTERS = 500
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
# content types of an error or login page instead of the file
_PAGES = ("text/html", "application/json", "application/xhtml+xml")
_HTML = (b"<!doctype html", b"<html")
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.IGNORECASE | re.ASCII)
_LENGTH = re.compile(r"[0-9]{1,18}")


class ChangedError(SourceError):
    """The file on the server differs from the version that was requested."""


class NoBytesError(ChangedError):
    """The file on the server has none of the bytes that were requested."""


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


class HttpClient:
    """Send requests to one host, following redirects only to the hosts allowed."""

    # Connections are kept alive and shared by threads.

    def __init__(
        self, options: HttpOptions | None = None, hosts: frozenset[str] = frozenset()
    ) -> None:
        self.options = options or HttpOptions()
        self.hosts = hosts
        self._pools: dict[str | None, PoolManager] = {}
        self._led_to: dict[tuple[str, frozenset[str]], str] = {}
        self._met: set[str] = set()
        # what the first answer said of each file, with which later ranges must go together
        self._first: dict[str, Version] = {}
        self._opening = threading.Lock()
        renew_in_child(self)

    def renew(self) -> None:
        """Drop the connections inherited from the parent process after a fork."""
        self._pools = {}
        self._opening = threading.Lock()

    def open(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        accept: Collection[int] = (200,),
        hosts: frozenset[str] = frozenset(),
    ) -> BaseHTTPResponse:
        """Request a document once and check the status of the answer."""
        # The body is not read yet: the caller closes the response. Redirects are followed within
        # the host, from http to https, and to the hosts that the source declared.
        allowed = self.hosts | hosts
        asked = url, allowed
        # the target of a redirect is kept for further ranges. It may be valid for a short time
        # only: after any failure the original URL is requested again
        known = self._led_to.get(asked)
        if known is not None:
            try:
                response = self._request(known, headers or {})
            except UnreachableError:
                self._led_to.pop(asked, None)
                raise
            if response.status in accept:
                return response
            response.close()
            self._led_to.pop(asked, None)
        for n_redirects in range(MAX_REDIRECTS + 1):
            response = self._request(url, headers or {})
            if response.status in accept:
                self._met.add(asked[0])
                if n_redirects > 0:
                    self._led_to[asked] = url
                return response
            response.close()
            if response.status not in _REDIRECTS:
                raise _explain_status(response, url, min(accept))
            url = follow(url, response.headers.get("Location", ""), allowed)
        raise SourceError(f"{url} redirects more than {MAX_REDIRECTS} times: a redirect loop")

    def get(
        self, remote: RemoteFile, asked: ByteRange | None = None, *, validator: str | None = None
    ) -> tuple[BaseHTTPResponse, Answer]:
        """Request a file, or a byte range of it, once, and check the headers of the answer."""
        # The answer to a request for a range is the range, or the whole file (no range support, or
        # another version than that of the validator). The body is not read yet.
        headers = {}
        if asked is not None:
            headers["Range"] = f"bytes={asked[0]}-{asked[1] - 1}"
        if validator is not None:
            headers["If-Range"] = validator
        accept = (200,) if asked is None else (200, 206, 416)
        response = self.open(remote.url, headers=headers, accept=accept, hosts=remote.hosts)
        try:
            if asked is not None and response.status == 416:
                raise NoBytesError(
                    f"{remote.url} has no bytes {asked[0]} to {asked[1] - 1} any more (status 416)"
                )
            return response, _read_answer(response, remote, asked)
        except BaseException:
            response.close()
            raise

    def probe(self, remote: RemoteFile) -> RemoteFile:
        """Return the file with the size and validators that the server has."""

        # One request for one byte. Whether the server serves ranges shows when one is read.
        def attempt() -> Version:
            try:
                response, answer = self.get(remote, (0, 1))
            except NoBytesError:
                # an empty file has no first byte
                return Version(size=0)
            with response:
                if answer.is_range:
                    read_body(response, url=remote.url, most=1)
            return answer.version

        version = self._first[remote.url] = retry(attempt, options=self.options)
        return replace(remote, size=version.size, etag=version.etag, modified=version.modified)

    def read_range(self, remote: RemoteFile, start: int, stop: int) -> bytes:
        """Read a byte range into memory, with retries."""
        # `remote` is a file as `probe` returns it: an answer with other validators raises
        # ChangedError
        known = Version(size=remote.size, etag=remote.etag, modified=remote.modified)

        def attempt() -> bytes:
            response, answer = self.get(remote, (start, stop), validator=known.validator)
            with response:
                now, first = answer.version, self._first.get(remote.url, answer.version)
                # who named no version at first and names one now may have sent another before
                is_named_now = first.etag is None and now.etag is not None
                if is_named_now or now.differs(first) or now.differs(known):
                    raise ChangedError(
                        f"{remote.url} has changed at the server since it was opened"
                    )
                if not answer.is_range:
                    raise SourceError(
                        f"{remote.url} serves no ranges (status 200 instead of 206), so it cannot "
                        "be read where it is: download it, and give its path"
                    )
                body = read_body(response, url=remote.url, most=stop - start)
            if len(body) != stop - start:
                raise TransferError(f"{remote.url} sent {len(body)} of {stop - start} bytes")
            self._first.setdefault(remote.url, now)
            return body

        return retry(attempt, options=self.options, has_met=remote.url in self._met)

    def _request(self, url: str, headers: Mapping[str, str]) -> BaseHTTPResponse:
        import urllib3

        from spikehouse.transfer.connections import find_proxy, make_pools

        parts, options = urllib3.util.parse_url(url), self.options
        proxy = find_proxy(parts)
        with self._opening:
            if proxy not in self._pools:
                self._pools[proxy] = make_pools(proxy, options)
        try:
            return self._pools[proxy].request(
                "GET",
                url,
                headers={"Accept-Encoding": "identity", "User-Agent": "spikehouse", **headers},
                timeout=urllib3.Timeout(
                    connect=options.connect_timeout, read=options.answer_timeout
                ),
                retries=False,
                redirect=False,
                preload_content=False,
            )
        except urllib3.exceptions.InvalidHeader as error:
            raise TransientError(
                f"{parts.netloc} returned contradicting headers: {error}", is_lasting=True
            ) from error
        except urllib3.exceptions.HTTPError as error:
            # few tries where no host exists or none can be trusted: unknown name, bad certificate
            nobody = (
                urllib3.exceptions.NewConnectionError,
                urllib3.exceptions.ProxyError,
                urllib3.exceptions.SSLError,
            )
            # urllib3 names its connection object first
            reason = str(error).partition("): ")[2] or str(error)
            raise UnreachableError(
                f"{parts.netloc} cannot be reached over {parts.scheme}: {reason}",
                is_lasting=isinstance(error, nobody),
            ) from error


# ---- bodies


def iterate_blocks(response: BaseHTTPResponse, *, url: str, most: int) -> Iterator[bytes]:
    """Yield the body of an answer in blocks of at most 512 KiB as they arrive."""
    import urllib3

    n_bytes = 0
    try:
        # what has come so far, not a full block: bytes that arrived before a reset or a stall
        # are then not lost with it
        while block := response.read1(BLOCK_BYTES, decode_content=False):
            n_bytes += len(block)
            if n_bytes > most:
                # a caller that has all it wants stops the iteration
                yield block[: len(block) + most - n_bytes]
                raise TransientError(
                    f"{url} sends more than {most} bytes, the limit", is_lasting=True
                )
            yield block
    except urllib3.exceptions.ReadTimeoutError as error:
        raise TransferError(f"{url} stalled after {n_bytes} bytes") from error
    except urllib3.exceptions.HTTPError as error:
        raise TransferError(f"{url} broke off after {n_bytes} bytes: {error}") from error


def read_body(response: BaseHTTPResponse, *, url: str, most: int) -> bytes:
    """Read the body of an answer into memory, to its end, so that its connection is used again."""
    return b"".join(iterate_blocks(response, url=url, most=most))


def read_length(response: BaseHTTPResponse) -> int | None:
    """Return the length of the body from its header, or None."""
    # None also where the header is no number, or a chunked body says itself where it ends
    text = response.headers.get("Content-Length", "").strip()
    is_chunked = "Transfer-Encoding" in response.headers
    return int(text) if _LENGTH.fullmatch(text) and not is_chunked else None


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


def _refuse_page(url: str, name: str, page: str) -> TransientError:
    return TransientError(
        f"{url} returned {page} instead of {name}: an error message, or a proxy or login page "
        "in between",
        is_lasting=True,
    )


# ---- headers


def _read_answer(response: BaseHTTPResponse, remote: RemoteFile, asked: ByteRange | None) -> Answer:
    """Read the headers of an answer with status 200 or 206."""
    url, headers = remote.url, response.headers
    kind = headers.get("Content-Type", "").split(";")[0].strip().casefold()
    if kind in _PAGES:
        raise _refuse_page(url, remote.name, f"a page ({kind})")
    check_coding(response, url, remote.name)
    length = read_length(response)
    start, stop = 0, (length if length is not None else remote.size)
    size = stop
    if response.status == 206:
        text = headers.get("Content-Range", "").strip()
        match = _CONTENT_RANGE.fullmatch(text)
        if asked is None or match is None:
            reason = "was not requested" if asked is None else "is not valid"
            raise SourceError(
                f"{url} returned status 206 (part of a file) and the Content-Range {text!r}, "
                f"which {reason}"
            )
        start, stop, size = int(match[1]), int(match[2]) + 1, int(match[3])
        # a shorter range than requested is allowed, another one is not
        if start != asked[0] or not start < stop <= min(asked[1], size):
            raise SourceError(
                f"{url} was asked for the bytes {asked[0]} to {asked[1] - 1} and returned "
                f"the Content-Range {text!r}"
            )
        if length is not None and length != stop - start:
            raise TransientError(
                f"{url} announces the bytes {start} to {stop - 1} and a length of {length}",
                is_lasting=True,
            )
    if None not in (size, remote.size) and size != remote.size:
        raise ChangedError(
            f"{url} should have {remote.size} bytes and now offers {size}: the file has "
            "changed there"
        )
    etag, modified = (
        text
        if len(text) <= MAX_VALIDATOR_CHARACTERS and text.isascii() and text.isprintable()
        else None
        for text in (headers.get(name, "").strip() for name in ("ETag", "Last-Modified"))
    )
    version = Version(
        size, etag or None, modified or None, remote.sha256, url=url, source=remote.source
    )
    return Answer(version, start, stop, is_range=response.status == 206)


def _explain_status(response: BaseHTTPResponse, url: str, expected: int) -> SourceError:
    status = response.status
    if status == 404:
        return SourceError(f"{url} is not there (status 404)")
    if status in _PASSING:
        return TransientError(
            f"{url} returned status {status} (server temporarily unavailable); try again later",
            retry_after=_read_retry_after(response.headers),
        )
    hint = (
        ": reading it is forbidden, or it does not exist (S3 returns 403 for both)"
        if status == 403
        else ""
    )
    return SourceError(f"{url} returned status {status} instead of {expected}{hint}")


def _read_retry_after(headers: Mapping[str, str]) -> float | None:
    from email.utils import parsedate_to_datetime

    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        # a date: compared with the server's own clock, for ours may be wrong or jump
        until, now = map(parsedate_to_datetime, (value, headers.get("Date", "")))
        return max((until - now).total_seconds(), 0.0)
    except (ValueError, OverflowError, TypeError):
        return None


# ---- forked processes, where threads are gone, locks held, sockets shared


class _Renewable(Protocol):
    def renew(self) -> None:
        """Replace locks, threads and connections."""


_known: weakref.WeakSet[_Renewable] = weakref.WeakSet()


def renew_in_child(owner: _Renewable) -> None:
    """Call `owner.renew()` at the start of every process forked from this one."""
    # holds a weak reference only: `owner` is not kept alive
    _known.add(owner)


def _renew() -> None:
    for owner in list(_known):
        owner.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
