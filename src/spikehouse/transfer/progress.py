"""Progress bars on stderr, and messages between them."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Never

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = [
    "SPEAK_AFTER_S",
    "FileProgress",
    "Progress",
    "announce_long_wait",
    "count_steps",
    "is_progress_shown",
    "say",
]

PROGRESS_VARIABLE = "SPIKEHOUSE_PROGRESS"


def is_progress_shown(progress: bool | None) -> bool:
    """Return whether to draw progress bars."""
    if progress is not None:
        return progress
    return os.environ.get(PROGRESS_VARIABLE, "1").casefold() not in {"0", "false", "no", "off"}


@contextlib.contextmanager
def count_steps(
    name: str, *, unit: str = " steps", shown: bool | None = None
) -> Iterator[Callable[[int, int], None]]:
    """Yield a callback (done, total) that draws a bar once the work has taken 0.5 s."""
    from tqdm import tqdm

    with tqdm(desc=name, unit=unit, disable=not is_progress_shown(shown), delay=0.5) as bar:

        def show(n_done: int, n_total: int) -> None:
            bar.total = n_total
            bar.update(n_done - bar.n)

        yield show


class FileProgress:
    """Progress of one file; created by :meth:`Progress.file`."""

    def __init__(self, parent: Progress, bar: tqdm[Never] | None, total: int | None) -> None:
        self._parent = parent
        self._bar = bar
        self.total = total
        self.done = 0

    def update(self, n: int) -> None:
        """Add newly arrived bytes; a negative number for bytes to download again."""
        if self._bar is not None:
            self._parent._advance(self, self._bar, n)

    def begin(self, total: int | None, done: int) -> None:
        """Set the length of the file and the bytes that are there already."""
        if self._bar is not None:
            self._parent._restart(self, self._bar, total, done)


class Progress:
    """Progress bars of files that are downloaded one after another or at once."""

    # With more than one file a bar for the total is drawn. Threads may share it. Nothing is
    # written to stdout, and nothing at all when not shown.

    def __init__(
        self, shown: bool | None = None, *, n_files: int = 1, n_bytes: int | None = None
    ) -> None:
        self.shown = is_progress_shown(shown)
        self._lock = threading.Lock()
        self._positions: set[int] = set()
        self._n_bytes = n_bytes
        self._n_known = 0
        self._n_done = 0
        self._n_begun = 0
        self._total: tqdm[Never] | None = None
        if self.shown and n_files > 1:
            self._total = self._open_bar("total", n_bytes, 0)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the bar of the total."""
        with self._lock:
            if self._total is not None:
                self._total.close()
                self._total = None

    @contextlib.contextmanager
    def file(self, name: str, total: int | None, initial: int = 0) -> Iterator[FileProgress]:
        """Yield the progress of one file."""
        if not self.shown:
            yield FileProgress(self, None, total)
            return
        with self._lock:
            self._n_begun += 1
            if self._n_begun > 1 and self._total is None:
                self._total = self._open_bar("total", self._n_bytes or self._n_known or None, 0)
                self._refresh(self._total, self._n_done)
            position = self._take_position()
            bar = self._open_bar(name, total, position)
        progress = FileProgress(self, bar, None)
        try:
            progress.begin(total, initial)
            yield progress
        except BaseException:
            # the message about it is what should stay on the screen
            bar.leave = False
            raise
        finally:
            with self._lock:
                bar.close()
                self._positions.discard(position)

    def _open_bar(self, name: str, total: int | None, position: int) -> tqdm[Never]:
        from tqdm import tqdm

        return tqdm(
            total=total, desc=name, unit="B", unit_scale=True, position=position, leave=True
        )

    def _take_position(self) -> int:
        # line 0 belongs to the bar in all, if there is one
        position = 0 if self._total is None else 1
        while position in self._positions:
            position += 1
        self._positions.add(position)
        return position

    def _advance(self, file: FileProgress, bar: tqdm[Never], n: int) -> None:
        with self._lock:
            file.done += n
            self._n_done += n
            bar.update(n)
            if self._total is not None:
                self._total.update(n)

    def _restart(self, file: FileProgress, bar: tqdm[Never], total: int | None, done: int) -> None:
        with self._lock:
            self._n_known += (total or 0) - (file.total or 0)
            self._n_done += done - file.done
            file.total, file.done = total, done
            bar.total = total
            # what was there before must not count as speed
            bar.initial = done
            self._refresh(bar, done)
            if self._total is not None:
                self._total.total = self._n_bytes or self._n_known or None
                self._refresh(self._total, self._n_done)

    @staticmethod
    def _refresh(bar: tqdm[Never], n: int) -> None:
        bar.n = n
        bar.last_print_n = n
        bar.refresh()


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
