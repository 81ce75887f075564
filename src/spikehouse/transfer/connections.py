"""Connections whose every wait is limited and announced when it is long; proxies."""

from __future__ import annotations

import http.client
import io
import socket
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.exceptions import LocationParseError
from urllib3.util import Url, make_headers, parse_url

from spikehouse.errors import SourceError
from spikehouse.transfer.addresses import is_loopback
from spikehouse.transfer.progress import SPEAK_AFTER_S, announce_long_wait, say

if TYPE_CHECKING:
    from spikehouse.transfer.retry import HttpOptions

__all__ = ["find_proxy", "make_pools"]

_PROXY_SCHEMES = {"http", "https", "socks4", "socks4a", "socks5", "socks5h"}


def find_proxy(target: Url) -> str | None:
    """Return the proxy that the environment sets for a URL, or None."""
    # HTTP_PROXY or HTTPS_PROXY, else ALL_PROXY; none for this machine and the hosts in NO_PROXY.
    # On macOS and Windows the system settings count where no variable is set.
    if is_loopback(target.host or "") or proxy_bypass(target.netloc or ""):
        return None
    proxies = getproxies()
    value = proxies.get(target.scheme or "") or proxies.get("all")
    if not value:
        return None
    try:
        proxy = parse_url(value if "://" in value else f"http://{value}")
    except LocationParseError:
        proxy = Url()
    if not proxy.host or proxy.scheme not in _PROXY_SCHEMES:
        # not quoted: it may hold a password
        raise SourceError(
            f"the proxy that {(target.scheme or '').upper()}_PROXY or ALL_PROXY names cannot be "
            "used: give http://host:port or http://user:password@host:port"
        )
    return proxy.url


def make_pools(proxy: str | None, options: HttpOptions) -> urllib3.PoolManager:
    """Create the connection pools, through a proxy where one is set."""
    pools: urllib3.PoolManager
    if proxy is None:
        pools = urllib3.PoolManager(maxsize=options.connections)
    elif proxy.startswith("socks"):
        if find_spec("socks") is None:
            raise SourceError(
                "the environment names a SOCKS proxy, and PySocks is not installed: pip install "
                "pysocks, or unset ALL_PROXY"
            )
        from urllib3.contrib.socks import SOCKSProxyManager

        pools = SOCKSProxyManager(proxy, maxsize=options.connections)
    else:
        parts = parse_url(proxy)
        headers = make_headers(proxy_basic_auth=unquote(parts.auth)) if parts.auth else None
        address = parts._replace(auth=None).url
        pools = urllib3.ProxyManager(address, proxy_headers=headers, maxsize=options.connections)
    own: dict[str, Any] = {}
    for scheme, pool in pools.pool_classes_by_scheme.items():
        bases = (_PatientConnection, pool.ConnectionCls)  # type: ignore[attr-defined]
        connection = type("PatientConnection", bases, {"stall_timeout": options.stall_timeout})
        own[scheme] = type(pool.__name__, (pool,), {"ConnectionCls": connection})
    pools.pool_classes_by_scheme = own
    return pools


class _PatientConnection(HTTPConnection):
    """An urllib3 connection that limits and announces its waits."""

    stall_timeout: float

    def connect(self) -> None:
        with announce_long_wait(f"waiting for a connection to {self.host}:{self.port}"):
            super().connect()

    def response_class(  # type: ignore[override]
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None
    ) -> _PatientResponse:
        self._answer = _PatientResponse(sock, debuglevel, method)
        self._answer.limit_waits(f"{self.host}:{self.port}", sock, self.stall_timeout)
        return self._answer

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
        try:
            return super().getresponse()
        except urllib3.exceptions.HTTPError:
            # headers that the library refuses: it leaves the socket open
            self._answer.close()
            raise


class _PatientResponse(http.client.HTTPResponse):
    """An HTTP response whose headers have a deadline."""

    def limit_waits(self, host: str, sock: socket.socket, stall_timeout: float) -> None:
        """Read the socket with limits, one for all headers and one for each read of the body."""
        self._line = _Line(sock, self.fp.detach(), host, stall_timeout)
        self.fp = io.BufferedReader(self._line)

    def begin(self) -> None:
        super().begin()
        self._line.is_body = True

    def _read_and_discard_trailer(self) -> None:
        # headers behind a body in chunks: the library reads them for as long as they come
        self._line.is_body = False
        self._line.restart(self._line.stall_timeout)
        super()._read_and_discard_trailer()  # type: ignore[misc]


class _Line(io.RawIOBase):
    """A socket reader with one time limit for all headers and one for each read of the body."""

    def __init__(
        self, sock: socket.socket, file: io.RawIOBase, host: str, stall_timeout: float
    ) -> None:
        self.is_body = False
        self.stall_timeout = stall_timeout
        self._sock = sock
        # holds the socket open for as long as the answer is read
        self._file = file
        self._host = host
        self.restart(sock.gettimeout() or stall_timeout)

    def restart(self, limit: float) -> None:
        """Start a wait of at most `limit` seconds, announced after 3 s."""
        self._begun, self._limit, self._has_said = time.monotonic(), limit, False

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - any writable buffer
        if self.is_body:
            self.restart(self.stall_timeout)
        while True:
            waited = time.monotonic() - self._begun
            if waited >= self._limit:
                raise TimeoutError("timed out")
            if waited >= SPEAK_AFTER_S and not self._has_said:
                self._has_said = True
                what = "sent nothing" if self.is_body else "not answered"
                say(
                    f"{self._host} has {what} for {SPEAK_AFTER_S:g} s: waiting for up to "
                    f"{self._limit:g} s"
                )
            wait = min(SPEAK_AFTER_S, self._limit - waited)
            # while bytes arrive this is the same each time, which spares a system call
            if self._sock.gettimeout() != wait:
                self._sock.settimeout(wait)
            try:
                return self._sock.recv_into(buffer)
            except TimeoutError:
                continue

    def close(self) -> None:
        self._file.close()
        super().close()
