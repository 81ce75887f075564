"""HTTP client with timeouts, retries and response checks."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from spikehouse.errors import SourceError, TransferError
from spikehouse.transfer.addresses import follow
from spikehouse.transfer.answers import Answer, ChangedError, read_answer
from spikehouse.transfer.bodies import (
    check_status,
    explain_unreachable,
    iterate_blocks,
)
from spikehouse.transfer.forks import renew_in_child
from spikehouse.transfer.retry import HttpOptions, TransientError, UnreachableError, retry
from spikehouse.transfer.versions import Version

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager
    from urllib3.util import Url

    from spikehouse.transfer.remote_file import RemoteFile

__all__ = [
    "ChangedError",
    "HttpClient",
    "HttpOptions",
    "TransientError",
    "UnreachableError",
    "iterate_blocks",
    "retry",
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
