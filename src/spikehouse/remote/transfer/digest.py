"""A digest that is made while the file arrives."""

from __future__ import annotations

import hashlib
import threading

from spikehouse.remote.transfer.parts import Part

__all__ = ["FrontDigest"]

READ_BYTES = 1 << 20


class FrontDigest:
    """Follow the front of a part, up to which everything is there, and hash what it leaves.

    Parameters
    ----------
    part
        The part; its blocks may come in any order.

    Notes
    -----
    Reads back what was written moments ago and is still in the system's memory, in a thread of
    its own, so that little is left to do when the last byte is there. Holds 1 MiB.
    """

    def __init__(self, part: Part) -> None:
        self._part = part
        self._sha256 = hashlib.sha256()
        self._offset = 0
        self._is_stopped = False
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._follow, name="sha256", daemon=True)
        self._thread.start()

    def result(self) -> str:
        """Wait for the digest of the complete part.

        Returns
        -------
        str
            64 hexadecimal digits.

        Raises
        ------
        OSError
            If the part cannot be read.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Stop following; there will be no result."""
        with self._part.changed:
            self._is_stopped = True
            self._part.changed.notify_all()
        self._thread.join()

    def _follow(self) -> None:
        buffer = memoryview(bytearray(READ_BYTES))
        try:
            while (n_bytes := self._wait()) > 0:
                some = self._part.read(self._offset, buffer[: min(n_bytes, READ_BYTES)])
                if not some:
                    raise OSError(f"{self._part.path} was cut while it was read")
                self._sha256.update(some)
                self._offset += len(some)
        except OSError as error:
            self._error = error

    def _wait(self) -> int:
        part = self._part
        with part.changed:
            part.changed.wait_for(
                lambda: self._is_stopped or part.is_complete or part.front > self._offset
            )
            return 0 if self._is_stopped else part.front - self._offset
