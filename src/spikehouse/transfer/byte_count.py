"""Count the bytes that this process reads from files and from servers."""

from __future__ import annotations

import threading

__all__ = ["add_bytes", "count_bytes"]

_lock = threading.Lock()
_n_bytes = 0


def add_bytes(n: int) -> None:
    """Count bytes that were read."""
    global _n_bytes
    with _lock:
        _n_bytes += n


def count_bytes() -> int:
    """Return how many bytes this process has read."""
    return _n_bytes
