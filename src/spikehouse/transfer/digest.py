"""Compute the SHA-256 of a file while it is being downloaded."""

from __future__ import annotations

import hashlib
import threading

from spikehouse.transfer.parts import Part

__all__ = ["FrontDigest"]

READ_BYTES = 1 << 20


class FrontDigest:
    """Hash the contiguous beginning of a part while its blocks arrive in any order."""

    # SHA-256 needs the bytes in order. A thread of its own reads back what was just written, which
    # is still in the page cache, so that little is left to hash when the last byte arrives.

    def __init__(self, part: Part) -> None:
        self._part = part
        self._sha256 = hashlib.sha256()
        self._offset = 0
        self._is_stopped = False
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._follow, name="sha256", daemon=True)
        self._thread.start()

    def result(self) -> str:
        """Wait until the part is complete and return its SHA-256 as 64 hexadecimal digits."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Stop hashing; `result` must not be called afterwards."""
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
