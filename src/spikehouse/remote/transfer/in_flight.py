"""A piece of a file on its way."""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass, field

__all__ = ["InFlight"]

# what will be there sooner than this is not worth a request of its own
STEAL_S = 1.0


@dataclass
class InFlight:
    """What one connection is to fetch.

    Attributes
    ----------
    position
        Its next byte.
    stop
        The byte behind its last; None for a whole file of unknown length. Another connection
        may lower it.
    checksum
        CRC-32 of the bytes of the current block that have come.
    begun
        When it began [s].
    begun_at
        At which byte.
    last_byte
        When the last byte came [s].
    line
        The socket the bytes come from, for other threads to shut.
    """

    position: int
    stop: int | None
    checksum: int = 0
    begun: float = field(default_factory=time.monotonic)
    begun_at: int = 0
    last_byte: float = field(default_factory=time.monotonic)
    line: socket.socket | None = None

    def __post_init__(self) -> None:
        self.begun_at = self.position

    def is_done(self) -> bool:
        """Tell whether everything has come.

        Returns
        -------
        bool
            False always where the length is not known.
        """
        return self.stop is not None and self.position >= self.stop

    def is_slow(self, now: float) -> bool:
        """Tell whether another connection should take some of it.

        Parameters
        ----------
        now
            The time, on the monotonic clock [s].

        Returns
        -------
        bool
            True if it will take more than a second from now.
        """
        if now - self.last_byte > STEAL_S:
            return True
        if self.stop is None or now - self.begun < STEAL_S:
            return False
        rate = (self.position - self.begun_at) / (now - self.begun)
        return self.stop - self.position > rate * STEAL_S

    def shut(self) -> None:
        """End the reading in the thread that reads."""
        if self.line is not None:
            # it may be closed by now
            with contextlib.suppress(OSError):
                self.line.shutdown(socket.SHUT_RDWR)
