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
    from urllib3.util import Url

    from spikehouse.transfer.remote_file import RemoteFile

__all__ = [
    "Answer",
    "ChangedError",
    "HttpClient",
    "check_coding",
    "check_head",
    "check_same",
    "check_status",
    "explain_unreachable",
    "iterate_blocks",
    "read_answer",
    "read_length",
    "renew_in_child",
]

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


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
        timeout: float,
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
                response = self._request(known, timeout=timeout, headers=headers or {})
            except UnreachableError:
                self._led_to.pop(asked, None)
                raise
            if response.status in accept:
                return response
            response.close()
            self._led_to.pop(asked, None)
        for n_redirects in range(MAX_REDIRECTS + 1):
            response = self._request(url, timeout=timeout, headers=headers or {})
            if response.status not in _REDIRECTS:
                check_status(response, url, accept)
                self._met.add(asked[0])
                if n_redirects > 0:
                    self._led_to[asked] = url
                return response
            location = response.headers.get("Location", "")
            response.close()
            url = follow(url, location, allowed)
        raise SourceError(f"{url} redirects more than {MAX_REDIRECTS} times: a redirect loop")

    def ask_range(
        self, remote: RemoteFile, start: int, stop: int, *, validator: str | None = None
    ) -> BaseHTTPResponse:
        """Request a byte range of a file once."""
        # Status 206 (the range), 200 (the whole file: no range support, or another version) or 416
        # (no such bytes); the body is not read yet, the caller closes the response.
        headers = {"Range": f"bytes={start}-{stop - 1}"}
        if validator is not None:
            headers["If-Range"] = validator
        timeout = self.options.answer_timeout
        return self.open(
            remote.url,
            timeout=timeout,
            headers=headers,
            accept=(200, 206, 416),
            hosts=remote.hosts,
        )

    def probe(self, remote: RemoteFile) -> RemoteFile:
        """Return the file with the size and validators that the server has."""
        # One request for one byte. Whether the server serves ranges shows when one is read.
        version = retry(lambda: self._probe_once(remote), options=self.options).version
        return replace(remote, size=version.size, etag=version.etag, modified=version.modified)

    def read_range(self, remote: RemoteFile, start: int, stop: int) -> bytes:
        """Read a byte range into memory, with retries."""
        # `remote` is a file as `probe` returns it: an answer with other validators raises
        # ChangedError
        return retry(
            lambda: self._read_range_once(remote, start, stop),
            options=self.options,
            has_met=remote.url in self._met,
        )

    def _probe_once(self, remote: RemoteFile) -> Answer:
        response = self.ask_range(remote, 0, 1)
        try:
            if response.status == 416:
                # an empty file has no first byte
                return Answer(Version(size=0, url=remote.url), 0, 0, is_range=True)
            answer = read_answer(response, remote, asked=(0, 1))
            self._first[remote.url] = answer.version
            if answer.is_range:
                for _ in iterate_blocks(response, url=remote.url, most=1):
                    pass  # one byte: read, so that the connection can be used again
            return answer
        finally:
            response.close()

    def _read_range_once(self, remote: RemoteFile, start: int, stop: int) -> bytes:
        known = Version(size=remote.size, etag=remote.etag, modified=remote.modified)
        response = self.ask_range(remote, start, stop, validator=known.validator)
        try:
            if response.status == 416:
                raise ChangedError(f"{remote.url} has no bytes {start} to {stop - 1} any more")
            answer = read_answer(response, remote, asked=(start, stop))
            now, first = answer.version, self._first.get(remote.url, answer.version)
            # who named no version at first and names one now may have sent another before
            is_named_now = first.etag is None and now.etag is not None
            if is_named_now or now.differs(first) or now.differs(known):
                raise ChangedError(f"{remote.url} has changed at the server since it was opened")
            if not answer.is_range:
                raise SourceError(
                    f"{remote.url} serves no ranges (status 200 instead of 206), so it cannot "
                    "be read where it is: download it, and give its path"
                )
            body = b"".join(iterate_blocks(response, url=remote.url, most=stop - start))
        finally:
            response.close()
        if len(body) != stop - start:
            raise TransferError(f"{remote.url} sent {len(body)} of {stop - start} bytes")
        self._first.setdefault(remote.url, answer.version)
        return body

    def _request(self, url: str, *, timeout: float, headers: Mapping[str, str]) -> BaseHTTPResponse:
        import urllib3

        parts = urllib3.util.parse_url(url)
        limits = urllib3.Timeout(connect=self.options.connect_timeout, read=timeout)
        try:
            return self._pools_for(parts).request(
                "GET",
                url,
                headers={"Accept-Encoding": "identity", "User-Agent": "spikehouse", **headers},
                timeout=limits,
                retries=False,
                redirect=False,
                preload_content=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise explain_unreachable(error, parts) from error

    def _pools_for(self, parts: Url) -> PoolManager:
        from spikehouse.transfer.connections import find_proxy, make_pools

        proxy = find_proxy(parts)
        with self._opening:
            if proxy not in self._pools:
                self._pools[proxy] = make_pools(proxy, self.options)
            return self._pools[proxy]


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
    response: BaseHTTPResponse, remote: RemoteFile, *, asked: ByteRange | None = None
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
    response: BaseHTTPResponse, remote: RemoteFile, asked: ByteRange | None
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


BLOCK_BYTES = 1 << 19
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


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


def explain_unreachable(error: Exception, parts: Url) -> TransientError:
    """Return the error for a request that got no answer."""
    # lasting (few tries) where no host exists or none can be trusted: unknown name, bad
    # certificate
    from urllib3 import exceptions

    if isinstance(error, exceptions.InvalidHeader):
        return TransientError(
            f"{parts.netloc} returned contradicting headers: {error}",
            is_lasting=True,
        )
    nobody = exceptions.NewConnectionError, exceptions.ProxyError, exceptions.SSLError
    # urllib3 names its connection object first
    reason = str(error).partition("): ")[2] or str(error)
    return UnreachableError(
        f"{parts.netloc} cannot be reached over {parts.scheme}: {reason}",
        is_lasting=isinstance(error, nobody),
    )


def check_status(response: BaseHTTPResponse, url: str, accept: Collection[int]) -> None:
    """Close an answer with an unexpected status and raise the error that explains it."""
    status = response.status
    if status in accept:
        return
    retry_after = _read_retry_after(response.headers)
    response.close()
    if status == 404:
        raise SourceError(f"{url} is not there (status 404)")
    if status in _PASSING:
        raise TransientError(
            f"{url} returned status {status} (server temporarily unavailable); try again later",
            retry_after=retry_after,
        )
    hint = (
        ": reading it is forbidden, or it does not exist (S3 returns 403 for both)"
        if status == 403
        else ""
    )
    raise SourceError(f"{url} returned status {status} instead of {min(accept)}{hint}")


def _read_retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    # a date: compared with the server's own clock, for ours may be wrong or jump
    until, now = _read_date(value), _read_date(headers.get("Date", ""))
    return None if until is None or now is None else max(until - now, 0.0)


def _read_date(value: str) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None


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
