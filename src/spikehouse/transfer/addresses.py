"""Check URLs before requests are sent to them."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from spikehouse.errors import InvalidArgumentError, SourceError

if TYPE_CHECKING:
    from urllib3.util import Url

__all__ = ["check_base_url", "follow", "is_below", "is_loopback"]

# no blanks, no control characters, no backslash, no percent sign, no user: nothing that two
# parsers could read apart
_BASE = re.compile(
    r"(https?)://([A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?(?:/[A-Za-z0-9/_.\-~+]*)?"
)
# what a link that a server hands out may hold behind the base
_TAIL = re.compile(r"[A-Za-z0-9/_.\-~+%?&=:,]*")
# what RFC 3986 allows in an address: no blanks, no control characters, no backslash
_LOCATION = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]{1,8000}")
MAX_URL_CHARACTERS = 2000
MAX_PORT = 65_535
_PORTS = {"http": 80, "https": 443}


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    # no name is looked up: only `localhost` and loopback addresses count
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_base_url(url: str, *, what: str) -> str:
    """Check the base URL of a source and return it normalized."""
    match = _BASE.fullmatch(url)
    if match is not None:
        scheme, host, port = match.groups()
        is_safe = scheme == "https" or is_loopback(host)
        if is_safe and (port is None or 0 < int(port) <= MAX_PORT):
            return url if url.endswith("/") else f"{url}/"
    raise InvalidArgumentError(
        f"{url!r} cannot be used as the address of {what}: give https://host/path (http only for "
        "this machine)"
    )


def is_below(url: object, base: str) -> bool:
    """Return whether a URL from a server lies below an allowed base URL."""
    # False also for URLs that are too long, contain unusual characters or `..`
    if not isinstance(url, str) or len(url) > MAX_URL_CHARACTERS or not url.startswith(base):
        return False
    tail = url[len(base) :]
    return _TAIL.fullmatch(tail) is not None and ".." not in tail.split("?")[0].split("/")


def follow(url: str, location: str, hosts: frozenset[str]) -> str:
    """Return the URL that a redirect leads to, if it may be followed."""
    # urllib3's parser decides, because urllib3 connects: two parsers may read two hosts out of one
    # text.
    from urllib3.exceptions import LocationParseError
    from urllib3.util import parse_url

    def refuse(reason: str) -> SourceError:
        return SourceError(f"{url} redirects to {location!r:.300}, {reason}")

    if _LOCATION.fullmatch(location) is None:
        raise refuse("which is not an address: not followed")
    try:
        given, old = parse_url(location), parse_url(url)
        target = parse_url(urljoin(url, location))
    except (LocationParseError, ValueError) as error:
        raise refuse(f"which cannot be read: not followed ({error})") from error
    is_absolute = given.scheme is not None or location.startswith("//")
    if (is_absolute and given.host is None) or target.auth is not None:
        raise refuse("which has no host, or names a user: not followed")
    if target.scheme not in _PORTS or not (_is_same_host(old, target) or _is_in(target, hosts)):
        raise refuse(
            "which is another host: not followed, because it is not known to be trustworthy"
        )
    if old.scheme == "https" and target.scheme == "http":
        raise refuse(
            "which is not encrypted: not followed, because anybody on the way could change the data"
        )
    return target.url


def _is_same_host(old: Url, new: Url) -> bool:
    # another scheme is met at its own port only
    is_same_port = _port(old) == _port(new)
    return old.host == new.host and (
        is_same_port if old.scheme == new.scheme else new.port in (None, _PORTS[new.scheme or ""])
    )


def _is_in(new: Url, hosts: frozenset[str]) -> bool:
    # without a port, the default one
    is_usual = _port(new) == _PORTS[new.scheme or ""]
    return f"{new.host}:{_port(new)}" in hosts or (is_usual and new.host in hosts)


def _port(parts: Url) -> int | None:
    return parts.port or _PORTS.get(parts.scheme or "")
