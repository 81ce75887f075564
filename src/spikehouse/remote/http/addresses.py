"""Addresses and ids: what may be put into a URL, and whether a URL is where it should be."""

from __future__ import annotations

import ipaddress
import operator
import re
from urllib.parse import urlsplit

from spikehouse.errors import InvalidArgumentError

__all__ = ["check_base_url", "check_id", "is_below", "is_loopback"]

_HOST = re.compile(r"[A-Za-z0-9.\-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
# no blanks, no control characters, no backslash, no percent sign: nothing two parsers read apart
_PATH = re.compile(r"[A-Za-z0-9/_.\-~+]*")
# what a link that a server hands out may hold behind the base
_TAIL = re.compile(r"[A-Za-z0-9/_.\-~+%?&=:,]*")
MAX_URL_CHARACTERS = 2000


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine.

    Parameters
    ----------
    host
        A name or an address, without port.

    Returns
    -------
    bool
        True for ``localhost`` and for loopback addresses; no name is looked up.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_base_url(url: str, *, what: str) -> str:
    """Check the address everything of a source lies below.

    Parameters
    ----------
    url
        Such as ``https://api.dandiarchive.org/api/``.
    what
        What it is, for the error message.

    Returns
    -------
    str
        The same with a slash at its end.

    Raises
    ------
    InvalidArgumentError
        If it is not ``https://host[:port]/path``. On this machine ``http://`` will do.
    """
    advice = f"as the address of {what}: give https://host/path (http only for this machine)"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidArgumentError(f"{url!r} cannot be used {advice}: {error}") from error
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    # to be put together again exactly: no user, no query, no fragment, no odd characters
    is_plain = url == f"{parts.scheme}://{parts.netloc}{parts.path}" and port != 0
    if not (is_safe and is_plain and _HOST.fullmatch(parts.netloc) and _PATH.fullmatch(parts.path)):
        raise InvalidArgumentError(f"{url!r} cannot be used {advice}")
    return url if url.endswith("/") else f"{url}/"


def is_below(url: object, base: str) -> bool:
    """Say whether an address that a server gave lies where it may be followed.

    Parameters
    ----------
    url
        What the server gave.
    base
        Scheme, host and the beginning of the path, with a slash at its end.

    Returns
    -------
    bool
        False also for what is too long, holds odd characters or steps upwards.
    """
    if not isinstance(url, str) or len(url) > MAX_URL_CHARACTERS or not url.startswith(base):
        return False
    tail = url[len(base) :]
    return _TAIL.fullmatch(tail) is not None and ".." not in tail.split("?")[0].split("/")


def check_id(value: object) -> int:
    """Check an id before it becomes a part of a URL or of a path.

    Parameters
    ----------
    value
        What the caller gave; integers of NumPy will do.

    Returns
    -------
    int
        A whole number, not negative.

    Raises
    ------
    InvalidArgumentError
        If it is something else.
    """
    advice = "is not an id: give a whole number, such as 791319847"
    if isinstance(value, bool):
        raise InvalidArgumentError(f"{value!r} {advice}")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError as error:
        raise InvalidArgumentError(f"{value!r} {advice}") from error
    if number < 0:
        raise InvalidArgumentError(f"{value!r} {advice}")
    return number
