"""Keep simulated files: write each once, whole or not at all."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from spikehouse.errors import CacheError

__all__ = ["provide"]

logger = logging.getLogger(__name__)


def provide(path: Path, write: Callable[[Path], None]) -> Path:
    """Give a kept file; if it is not there, have it written.

    Parameters
    ----------
    path
        Of the file.
    write
        Writes the file to the path it is given.

    Returns
    -------
    pathlib.Path
        The same path: what is there is complete.

    Raises
    ------
    CacheError
        If the folder cannot be written to.

    Notes
    -----
    Threads and processes that ask for the same file wait for the first of them.
    """
    from filelock import FileLock

    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{path.name}.lock"))
        lock.acquire()
    except OSError as error:
        raise CacheError(
            f"cannot keep simulated files in {path.parent} ({error.strerror or error}); give "
            "Survey a folder you may write to"
        ) from error
    try:
        if not path.exists():
            logger.info("simulating %s", path)
            _write_whole(path, write)
    finally:
        lock.release()
    return path


def _write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Write under a temporary name and rename; leave nothing behind on failure."""
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        # whoever was stopped while writing this file before has left one: we hold its lock now
        temporary.unlink(missing_ok=True)
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
