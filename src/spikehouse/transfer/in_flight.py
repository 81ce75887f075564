"""The byte range that one connection is downloading."""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass, field

__all__ = ["InFlight"]

# bytes expected to arrive sooner than this are not worth another request [s]
STEAL_S = 1.0


@dataclass
class InFlight:
    """The byte range that one connection is downloading, and its progress."""

    # next byte to receive
    position: int
    # end of the range (exclusive), None for a file of unknown length; another connection may lower
    # it
    stop: int | None
    # CRC-32 of the received bytes of the current block
    checksum: int = 0
    # time at which the range was begun [s]
    begun: float = field(default_factory=time.monotonic)
    # position at which it was begun
    begun_at: int = 0
    # time of the last received byte [s]
    last_byte: float = field(default_factory=time.monotonic)
    # socket of the answer, for other threads to shut down
    line: socket.socket | None = None

    def __post_init__(self) -> None:
        self.begun_at = self.position

    def is_done(self) -> bool:
        """Return whether every byte of the range has arrived."""
        return self.stop is not None and self.position >= self.stop

    def is_slow(self, now: float) -> bool:
        """Return whether another connection should take over a part of the range."""
        if now - self.last_byte > STEAL_S:
            return True
        if self.stop is None or now - self.begun < STEAL_S:
            return False
        rate = (self.position - self.begun_at) / (now - self.begun)
        return self.stop - self.position > rate * STEAL_S

    def shut(self) -> None:
        """Shut down the socket, which ends the read in the other thread."""
        if self.line is not None:
            # it may be closed by now
            with contextlib.suppress(OSError):
                self.line.shutdown(socket.SHUT_RDWR)
