"""HTTP with the manners a slow server needs: time limits, tries, checks of what came back."""

from __future__ import annotations

import ipaddress
import json
import logging
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import SplitResult, urljoin, urlsplit

from spikehouse.errors import SourceError, TransferError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

__all__ = ["HttpClient", "HttpOptions", "UnreachableError", "retry"]

log = logging.getLogger(__name__)

T = TypeVar("T")

BLOCK_BYTES = 1 << 20
MAX_JSON_BYTES = 512 << 20
MAX_REDIRECTS = 5
N_CHARACTERS_SHOWN = 120
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({429, 500, 502, 503, 504})
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class HttpOptions:
    """How patient to be.

    Attributes
    ----------
    fetch_tries
        How often to ask in all.
    connect_timeout
        Longest wait for a connection [s].
    answer_timeout
        Longest wait for the answer to a query, and for a download to begin [s].
    stall_timeout
        Longest silence in the middle of a download [s]; its total time has no limit.
    backoff
        Wait before the second try [s]; it doubles with every further one.
    longest_wait
        Longest wait between tries, also when the server asks for more [s].
    connections
        How many requests may be under way at once.
    """

    fetch_tries: int = 2
    connect_timeout: float = 15.0
    answer_timeout: float = 300.0
    stall_timeout: float = 60.0
    backoff: float = 0.5
    longest_wait: float = 60.0
    connections: int = 4

    def once(self) -> HttpOptions:
        """Make the same options with a single try.

        Returns
        -------
        HttpOptions
            A copy.
        """
        return replace(self, fetch_tries=1)


class TransientError(SourceError):
    """A failure that may be gone at the next try.

    Parameters
    ----------
    message
        What happened.
    retry_after
        How long the server asks to wait [s].
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnreachableError(TransientError):
    """Nobody answers at that address, or not in that protocol."""


def retry(attempt: Callable[[], T], *, options: HttpOptions) -> T:
    """Call again after failures that may pass.

    Parameters
    ----------
    attempt
        What to do. Only a transient :class:`SourceError` and a :class:`TransferError` are
        tried again.
    options
        How often, and how long to wait in between.

    Returns
    -------
    T
        What the first good attempt returned.
    """
    for n_failed in range(1, max(options.fetch_tries, 1)):
        try:
            return attempt()
        except (TransientError, TransferError) as error:
            wait = _choose_wait(error, n_failed=n_failed, options=options)
            log.warning("try %d failed, next in %.1f s: %s", n_failed, wait, error)
            time.sleep(wait)
    return attempt()


def _choose_wait(
    error: TransientError | TransferError, *, n_failed: int, options: HttpOptions
) -> float:
    asked = error.retry_after if isinstance(error, TransientError) else None
    if asked is not None:
        return min(asked, options.longest_wait)
    # jitter keeps many clients from coming back all at once
    wait = options.backoff * 2.0 ** (n_failed - 1) * random.uniform(0.75, 1.25)
    return min(wait, options.longest_wait)


class HttpClient:
    """Ask one host, and no other.

    Parameters
    ----------
    options
        How patient to be.
    """

    def __init__(self, options: HttpOptions | None = None) -> None:
        self.options = options or HttpOptions()
        self._pools: dict[str, PoolManager] = {}

    def read_json(self, url: str) -> Any:  # noqa: ANN401 - whatever the server says
        """Ask for a JSON document, trying again when that may help.

        Parameters
        ----------
        url
            The address.

        Returns
        -------
        Any
            The parsed document.

        Raises
        ------
        SourceError
            If the host cannot be reached, answers with an error status, or with something
            that is not JSON.
        """
        return retry(lambda: self._read_json_once(url), options=self.options)

    def open(self, url: str, *, timeout: float) -> BaseHTTPResponse:
        """Ask once for a document and check the status of the answer.

        Parameters
        ----------
        url
            The address. Redirects are followed within its host only.
        timeout
            Longest silence [s].

        Returns
        -------
        BaseHTTPResponse
            Status 200, the body not read yet; to be closed by the caller.

        Raises
        ------
        SourceError
            If the host cannot be reached or the status is not 200.
        """
        for _ in range(MAX_REDIRECTS + 1):
            response = self._request(url, timeout=timeout)
            if response.status not in _REDIRECTS:
                _check_status(response, url)
                return response
            location = response.headers.get("Location", "")
            response.close()
            url = _follow(url, location)
        raise SourceError(f"{url} redirects more than {MAX_REDIRECTS} times: a redirect loop")

    def _read_json_once(self, url: str) -> Any:  # noqa: ANN401 - whatever the server says
        response = self.open(url, timeout=self.options.answer_timeout)
        body = bytearray()
        try:
            for block in iterate_blocks(response, url=url):
                body += block
                if len(body) > MAX_JSON_BYTES:
                    raise SourceError(f"{url} answers with more than {MAX_JSON_BYTES >> 20} MiB")
        except TransferError as error:
            raise TransientError(str(error)) from error
        finally:
            response.close()
        return _parse_json(bytes(body), url)

    def _request(self, url: str, *, timeout: float) -> BaseHTTPResponse:
        import urllib3

        parts = urlsplit(url)
        limits = urllib3.Timeout(connect=self.options.connect_timeout, read=timeout)
        try:
            return self._pool_for(parts).request(
                "GET",
                url,
                headers={"Accept-Encoding": "identity", "User-Agent": "spikehouse"},
                timeout=limits,
                retries=False,
                redirect=False,
                preload_content=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise _explain_unreachable(error, parts) from error

    def _pool_for(self, parts: SplitResult) -> PoolManager:
        import urllib3

        proxy = _find_proxy(parts)
        key = proxy or "direct"
        if key not in self._pools:
            size = self.options.connections
            self._pools[key] = (
                urllib3.ProxyManager(proxy, maxsize=size)
                if proxy
                else urllib3.PoolManager(maxsize=size)
            )
        return self._pools[key]


def limit_silence(response: BaseHTTPResponse, timeout: float) -> None:
    """Be less patient from now on.

    Parameters
    ----------
    response
        An answer whose body was not read yet: a server may think for long before it sends a
        file, and must not pause for long within it.
    timeout
        Longest silence [s].

    Notes
    -----
    Where the server closes the connection behind the body, the socket is out of reach and the
    limit of the request stays.
    """
    sock = getattr(response.connection, "sock", None)
    if sock is not None:
        sock.settimeout(timeout)


def iterate_blocks(response: BaseHTTPResponse, *, url: str) -> Iterator[bytes]:
    """Read the body of an answer block by block.

    Parameters
    ----------
    response
        An answer whose body was not read yet.
    url
        Its address, for the error message.

    Yields
    ------
    bytes
        At most 1 MiB.

    Raises
    ------
    TransferError
        If the body stalls or breaks off.
    """
    import urllib3

    n_bytes = 0
    try:
        for block in response.stream(BLOCK_BYTES, decode_content=False):
            n_bytes += len(block)
            yield block
    except urllib3.exceptions.ReadTimeoutError as error:
        raise TransferError(f"{url} stalled after {n_bytes} bytes") from error
    except urllib3.exceptions.HTTPError as error:
        raise TransferError(f"{url} broke off after {n_bytes} bytes: {error}") from error


def _find_proxy(parts: SplitResult) -> str | None:
    from urllib.request import getproxies, proxy_bypass

    host = parts.hostname or ""
    if _is_loopback(host) or proxy_bypass(host):
        return None
    return getproxies().get(parts.scheme)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _explain_unreachable(error: Exception, parts: SplitResult) -> UnreachableError:
    return UnreachableError(
        f"{parts.netloc} cannot be reached over {parts.scheme}: {error}. Is there a network "
        "connection, and is the host right? What is already in the cache folder can be used "
        "offline with EcephysProjectCache.fixed(manifest=…)"
    )


def _check_status(response: BaseHTTPResponse, url: str) -> None:
    status = response.status
    if status == 200:
        return
    retry_after = _read_retry_after(response.headers.get("Retry-After"))
    response.close()
    if status == 404:
        raise SourceError(f"{url} is not there (status 404)")
    if status in _PASSING:
        raise TransientError(
            f"{url} answers with status {status}: the server is in trouble; try again later",
            retry_after=retry_after,
        )
    raise SourceError(f"{url} answers with status {status} instead of 200")


def _read_retry_after(value: str | None) -> float | None:
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    from email.utils import parsedate_to_datetime

    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except ValueError:
        return None


def _follow(url: str, location: str) -> str:
    target = urljoin(url, location)
    old, new = urlsplit(url), urlsplit(target)
    is_upgrade = (old.scheme, new.scheme) == ("http", "https") and _port(new) == 443
    is_same = (old.scheme, _port(old)) == (new.scheme, _port(new))
    if not location or old.hostname != new.hostname or not (is_same or is_upgrade):
        raise SourceError(
            f"{url} redirects to {target!r}, which is another host: not followed, because what "
            "lies there cannot be trusted"
        )
    return target


def _port(parts: SplitResult) -> int | None:
    return parts.port or _PORTS.get(parts.scheme)


def _parse_json(body: bytes, url: str) -> Any:  # noqa: ANN401 - whatever the server says
    try:
        return json.loads(body)
    except ValueError as error:
        start = body[:N_CHARACTERS_SHOWN].decode("utf-8", "replace").strip()
        if start.startswith("<"):
            raise SourceError(
                f"{url} answers with an HTML page instead of JSON (a proxy or a login page in "
                f"between?); it begins with {start!r}"
            ) from error
        raise SourceError(f"{url} does not answer with JSON ({error}): {start!r}") from error
