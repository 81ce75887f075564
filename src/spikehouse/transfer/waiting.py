"""Announce long waits on stderr, between the progress bars."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Iterator

__all__ = ["SPEAK_AFTER_S", "announce_long_wait", "say"]

log = logging.getLogger(__name__)

SPEAK_AFTER_S = 3.0

_said: dict[str, float] = {}


def say(text: str) -> None:
    """Log a warning without damaging a progress bar."""
    now = time.monotonic()
    if now - _said.get(text, -SPEAK_AFTER_S) < SPEAK_AFTER_S:
        return
    _said.clear()
    _said[text] = now
    bars = sys.modules.get("tqdm")
    with bars.tqdm.external_write_mode(sys.stderr) if bars else contextlib.nullcontext():
        log.warning(text)


@contextlib.contextmanager
def announce_long_wait(text: str) -> Iterator[None]:
    """Show a message if the ``with`` block lasts longer than 3 s."""
    # several connections that wait for the same thing announce it once
    timer = threading.Timer(SPEAK_AFTER_S, say, [text])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
