"""How patient to be with a server: time limits, tries, and the waits between them."""

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
from spikehouse.remote.waiting import say

__all__ = ["HttpOptions", "Patience", "TransientError", "UnreachableError", "retry"]

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
    """How patient to be.

    Attributes
    ----------
    fetch_tries
        How often to try what a further try seldom mends: a host that nobody answers for, a
        page in place of the file, lengths that contradict each other.
    patience
        How long to try again after failures that pass (status 429 or 5xx, a reset, a time-out)
        [s], counted anew whenever bytes of a download arrive; however few ``fetch_tries`` are.
        The waits in between double from try to try, or are what the server asks for.
    connect_timeout
        Longest wait for a connection [s].
    answer_timeout
        Longest wait for an answer to begin, until its headers are complete [s]; by default 30,
        or what the variable ``SPIKEHOUSE_TIMEOUT`` says.
    stall_timeout
        Longest silence in the middle of an answer [s]; its total time has no limit.
    backoff
        Wait before the second try [s].
    longest_wait
        Longest wait between tries, also when the server asks for more [s].
    connections
        How many requests may be under way at once, for one file too.
    """

    fetch_tries: int = 2
    patience: float = 60.0
    connect_timeout: float = 15.0
    answer_timeout: float = field(default_factory=_read_timeout)
    stall_timeout: float = 60.0
    backoff: float = 0.5
    longest_wait: float = 60.0
    connections: int = 4


log = logging.getLogger(__name__)

# a pause that nobody notices needs no word on the terminal [s]
SHORT_S = 1.0


class TransientError(SourceError):
    """A failure that may be gone at the next try.

    Parameters
    ----------
    message
        What happened.
    retry_after
        How long the server asks to wait [s].
    is_lasting
        Whether the next try will most likely fail as well: few tries are made.
    """

    def __init__(
        self, message: str, *, retry_after: float | None = None, is_lasting: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.is_lasting = is_lasting


class UnreachableError(TransientError):
    """No answer came: nobody is there, or speaks that protocol, or in time."""

    advice = (
        "Is there a network connection? What is in the cache folder can be used without one: "
        "EcephysProjectCache.fixed(manifest)"
    )


class Patience:
    """The failures in turn of one undertaking, and how many more are borne.

    Parameters
    ----------
    options
        How patient to be.
    has_met
        Whether the host has answered before: it will again, and one silence is no reason to give
        up on it.
    """

    def __init__(self, options: HttpOptions, *, has_met: bool = False) -> None:
        self._options = options
        self._has_met = has_met
        self.restart()

    def restart(self) -> None:
        """Take note that something new came: failures are counted from now on."""
        self._n_failed = 0
        self._since = self._begun = time.monotonic()

    def bear(self, error: TransientError | TransferError) -> float:
        """Return how long to wait before the next try, and say so.

        Parameters
        ----------
        error
            Why the last try failed.

        Returns
        -------
        float
            What the server asked for, else twice as much from try to try, with jitter [s].

        Raises
        ------
        SpikehouseError
            ``error`` itself, if it is not worth another try.
        """
        now = time.monotonic()
        options = self._options
        if self._n_failed == 0 and (self._has_met or isinstance(error, TransferError)):
            # something came, however long that took: only what follows is waiting in vain
            self._since = self._begun = now
        self._n_failed += 1
        is_gone_again = self._has_met and isinstance(error, UnreachableError)
        if isinstance(error, TransientError) and error.is_lasting and not is_gone_again:
            is_enough = self._n_failed >= options.fetch_tries
        else:
            # nor is a try begun that would end long after: a silent host has one of 30 s
            is_enough = (now - self._since) + (now - self._begun) >= options.patience
        if is_enough:
            raise error
        wait = self._choose_wait(error, until=self._since + options.patience - now)
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
        # the last try comes when patience ends, not long after
        return min(wait, options.longest_wait, max(until, options.backoff))


def retry(
    attempt: Callable[[], T],
    *,
    options: HttpOptions,
    has_met: bool = False,
    sleep: Callable[[float], object] = time.sleep,
) -> T:
    """Call again after failures that may pass.

    Parameters
    ----------
    attempt
        What to do. Only a :class:`TransientError` and a :class:`TransferError` are tried again.
    options
        For how long.
    has_met
        As for :class:`Patience`.
    sleep
        How to wait; returns True to give up.

    Returns
    -------
    T
        What the first good attempt returned.
    """
    patience = Patience(options, has_met=has_met)
    while True:
        try:
            return attempt()
        except (TransientError, TransferError) as error:
            if sleep(patience.bear(error)):
                raise
