"""Cache simulated files: each is written once, completely or not at all."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from spikehouse.errors import CacheError
from spikehouse.transfer.disk import hold_lock

__all__ = ["provide"]

logger = logging.getLogger(__name__)


def provide(path: Path, write: Callable[[Path], None]) -> Path:
    """Return the path of a cached file, after calling ``write`` if it does not exist."""
    # under a lock: other threads and processes wait for the first one that writes it
    if path.exists():
        return path
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(path.with_name(f".{path.name}.lock")))
        except CacheError as error:
            raise CacheError(
                f"cannot keep simulated files in {path.parent} ({error}); give Survey a folder you "
                "may write to"
            ) from error
        if not path.exists():
            logger.info("simulating %s", path)
            _write_whole(path, write)
    return path


def _write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Write under a temporary name and rename; leave nothing behind on failure."""
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        # left by a process that was stopped; nobody is writing it, because we hold the lock
        temporary.unlink(missing_ok=True)
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
