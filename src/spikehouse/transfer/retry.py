"""Retries: which failures are tried again, for how long, and the waits in between."""

from __future__ import annotations

import logging
import math
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from spikehouse.errors import InvalidArgumentError, SourceError, TransferError
from spikehouse.transfer.progress import say

__all__ = ["HttpOptions", "RetryState", "TransientError", "UnreachableError", "retry"]

T = TypeVar("T")


TIMEOUT_VARIABLE = "SPIKEHOUSE_TIMEOUT"


def _read_timeout() -> float:
    text = os.environ.get(TIMEOUT_VARIABLE, "30")
    try:
        timeout = float(text)
    except ValueError:
        timeout = 0.0
    if not 0 < timeout < math.inf:
        raise InvalidArgumentError(
            f"{TIMEOUT_VARIABLE} is {text!r}: the longest wait for an answer is a number of "
            "seconds, such as 30"
        )
    return timeout


@dataclass(frozen=True)
class HttpOptions:
    """Timeouts, retries and number of connections for HTTP requests.

    Attributes
    ----------
    fetch_tries
        Number of tries after failures that seldom pass: an unreachable host, an HTML page
        instead of the file, contradicting lengths.
    retry_seconds
        Time during which failures that pass (status 429 or 5xx, reset, timeout) are retried [s],
        whatever ``fetch_tries`` is. It starts again whenever bytes of a download arrive. The
        waits between tries double, unless the server asks for a certain wait.
    connect_timeout
        Longest wait for a connection [s].
    answer_timeout
        Longest wait for the complete headers of an answer [s]; default: the environment variable
        ``SPIKEHOUSE_TIMEOUT``, or 30.
    stall_timeout
        Longest wait for the next bytes of a body [s]; its total duration is not limited.
    backoff
        Wait before the second try [s].
    longest_wait
        Longest wait between tries, also if the server asks for more [s].
    connections
        Number of simultaneous requests, also for a single file.
    """

    fetch_tries: int = 2
    retry_seconds: float = 60.0
    connect_timeout: float = 15.0
    answer_timeout: float = field(default_factory=_read_timeout)
    stall_timeout: float = 60.0
    backoff: float = 0.5
    longest_wait: float = 60.0
    connections: int = 4


log = logging.getLogger(__name__)

# shorter waits are logged, not shown on the terminal [s]
SHORT_S = 1.0


class TransientError(SourceError):
    """A failure that may not occur at the next try."""

    def __init__(
        self, message: str, *, retry_after: float | None = None, is_lasting: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.is_lasting = is_lasting


class UnreachableError(TransientError):
    """No usable answer: host not found, connection refused or dropped, or timeout."""

    advice = "Is there a network connection?"


class RetryState:
    """The consecutive failures of one operation, and whether it is tried again."""

    # Two budgets. Failures that pass (429, 5xx, resets, timeouts) are retried for `retry_seconds`
    # since the last progress; failures that seldom pass (unknown host, an HTML page instead of the
    # file, contradicting lengths) `fetch_tries` times. A host that has answered before (`has_met`)
    # gets the first budget also when it is unreachable: it will be back. Time counts from `_since`,
    # the last progress (or the first failure, if an answer came before it); `_begun` is the start
    # of the current try, whose duration is counted twice, as the next try of a silent host would
    # last as long and must not end far beyond the budget.

    def __init__(self, options: HttpOptions, *, has_met: bool = False) -> None:
        self._options = options
        self._has_met = has_met
        self.restart()

    def restart(self) -> None:
        """Reset the count of failures, because new bytes arrived."""
        self._n_failed = 0
        self._since = self._begun = time.monotonic()

    def next_wait(self, error: TransientError | TransferError) -> float:
        """Return the wait before the next try and announce it, or raise the error."""
        now = time.monotonic()
        options = self._options
        if self._n_failed == 0 and (self._has_met or isinstance(error, TransferError)):
            # an answer came, however late: the budget starts with this failure
            self._since = self._begun = now
        self._n_failed += 1
        is_gone_again = self._has_met and isinstance(error, UnreachableError)
        if isinstance(error, TransientError) and error.is_lasting and not is_gone_again:
            is_enough = self._n_failed >= options.fetch_tries
        else:
            # nor is a try begun that would end long after: a silent host has one of 30 s
            is_enough = (now - self._since) + (now - self._begun) >= options.retry_seconds
        if is_enough:
            raise error
        wait = self._choose_wait(error, until=self._since + options.retry_seconds - now)
        self._begun = now + wait
        text = f"try {self._n_failed} failed, the next one is in {wait:.1f} s: {error.message}"
        if wait < SHORT_S:
            log.info(text)
        else:
            say(text)
        return wait

    def _choose_wait(self, error: TransientError | TransferError, *, until: float) -> float:
        options = self._options
        asked = error.retry_after if isinstance(error, TransientError) else None
        if asked:
            return min(asked, options.longest_wait)
        # jitter keeps many clients from coming back all at once
        wait = options.backoff * 2.0 ** min(self._n_failed - 1, 32) * random.uniform(0.75, 1.25)
        # the last try begins when the time is over, not long after
        return min(wait, options.longest_wait, max(until, options.backoff))


def retry(
    attempt: Callable[[], T],
    *,
    options: HttpOptions,
    has_met: bool = False,
    sleep: Callable[[float], object] = time.sleep,
    progress: Callable[[], int] = lambda: 0,
    may_retry: Callable[[], bool] = lambda: True,
) -> T:
    """Call a function again after failures that may pass, and return its result."""
    # the only loop that asks a URL again. Tries that made `progress` are not counted; where
    # `may_retry` is False the failure is final
    retries = RetryState(options, has_met=has_met)
    while True:
        before = progress()
        try:
            return attempt()
        except (TransientError, TransferError) as error:
            if not may_retry():
                raise
            if progress() > before:
                retries.restart()
            if sleep(retries.next_wait(error)):
                raise
