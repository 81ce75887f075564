"""Read the status and the body of an answer, and explain failures."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from spikehouse.errors import SourceError, TransferError
from spikehouse.transfer.retry import TransientError, UnreachableError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse
    from urllib3.util import Url

__all__ = [
    "check_status",
    "explain_unreachable",
    "iterate_blocks",
]

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
