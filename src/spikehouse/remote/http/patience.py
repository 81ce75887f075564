"""How patient to be with a server: time limits, tries, and the waits between them."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from spikehouse.errors import SourceError, TransferError

__all__ = ["HttpOptions", "TransientError", "UnreachableError", "choose_wait", "retry"]

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class HttpOptions:
    """How patient to be.

    Attributes
    ----------
    fetch_tries
        How often to ask in all. For a download: how often in turn without a new byte, where
        each try has to start over.
    resume_tries
        How often in turn without a new byte, once a download is under way and a further try
        goes on where the last one stopped: enough for a change of network. As long as bytes
        arrive now and then a download goes on for as long as it takes.
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
        How many requests may be under way at once, for one file too.
    """

    fetch_tries: int = 2
    resume_tries: int = 8
    connect_timeout: float = 15.0
    answer_timeout: float = 300.0
    stall_timeout: float = 60.0
    backoff: float = 0.5
    longest_wait: float = 60.0
    connections: int = 4


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


def retry(
    attempt: Callable[[], T], *, options: HttpOptions, sleep: Callable[[float], object] = time.sleep
) -> T:
    """Call again after failures that may pass.

    Parameters
    ----------
    attempt
        What to do. Only a transient :class:`SourceError` and a :class:`TransferError` are
        tried again.
    options
        How often, and how long to wait in between.
    sleep
        How to wait.

    Returns
    -------
    T
        What the first good attempt returned.
    """
    for n_failed in range(1, max(options.fetch_tries, 1)):
        try:
            return attempt()
        except (TransientError, TransferError) as error:
            wait = choose_wait(error, n_failed=n_failed, options=options)
            log.warning("try %d failed, next in %.1f s: %s", n_failed, wait, error)
            sleep(wait)
    return attempt()


def choose_wait(
    error: SourceError | TransferError, *, n_failed: int, options: HttpOptions
) -> float:
    """Say how long to wait before the next try.

    Parameters
    ----------
    error
        Why the last one failed.
    n_failed
        How many failed in turn, at least 1.
    options
        How patient to be.

    Returns
    -------
    float
        What the server asked for, else twice as much from try to try, with jitter [s]; never
        more than ``longest_wait``.
    """
    asked = error.retry_after if isinstance(error, TransientError) else None
    if asked is not None:
        return min(asked, options.longest_wait)
    # jitter keeps many clients from coming back all at once
    wait = options.backoff * 2.0 ** min(n_failed - 1, 32) * random.uniform(0.75, 1.25)
    return min(wait, options.longest_wait)
