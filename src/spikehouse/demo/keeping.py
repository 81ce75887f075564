"""Keep simulated files: write each once, whole or not at all."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from spikehouse.errors import CacheError
from spikehouse.remote.disk import hold_lock

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
        # whoever was stopped while writing this file before has left one: we hold its lock now
        temporary.unlink(missing_ok=True)
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
