"""Writing into the cache folder so that a name always stands for a whole file."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from spikehouse.errors import CacheError, SpikehouseError

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = [
    "check_space",
    "explain_storage_errors",
    "hold_lock",
    "make_folder",
    "sync_folder",
    "write_whole",
]

log = logging.getLogger(__name__)

SPARE_BYTES = 1 << 20
LOCK_WAIT_S = 0.5
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}
_IN_THE_WAY = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}


@contextlib.contextmanager
def explain_storage_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says about a path into a :class:`CacheError`.

    Parameters
    ----------
    path
        The file or folder being written.

    Yields
    ------
    None
        For the time of the ``with`` block.

    Raises
    ------
    CacheError
        For every OSError that is not already an error of this package.
    """
    try:
        yield
    except SpikehouseError:
        raise
    except OSError as error:
        raise CacheError(_explain(error, path)) from error


def _explain(error: OSError, path: Path) -> str:
    if error.errno in _FULL:
        return (
            f"no space left on the disk of {path.parent} while writing {path.name}: "
            "free some space, or choose another folder with manifest=…, "
            "and call again"
        )
    if error.errno in _FORBIDDEN:
        return (
            f"{path} cannot be written ({error.strerror}): the cache folder is read-only or "
            "belongs to someone else; choose another one with manifest=…"
        )
    if error.errno in _IN_THE_WAY:
        return (
            f"{path} cannot be written ({error.strerror}): a file stands where a folder should "
            "be or the other way round; move it away or choose another folder with manifest=…"
        )
    return f"{path} cannot be written: {error}"


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, unless they are there.

    Parameters
    ----------
    folder
        The folder.

    Raises
    ------
    CacheError
        If it cannot be made.
    """
    with explain_storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


def check_space(target: Path, n_bytes: int) -> None:
    """Make sure that a file will fit on the disk.

    Parameters
    ----------
    target
        The file. Its folder must exist.
    n_bytes
        How much of it is still to be written [bytes].

    Raises
    ------
    CacheError
        If there is not that much space and a little more.
    """
    with explain_storage_errors(target):
        free = shutil.disk_usage(target.parent).free
    lacking = n_bytes + SPARE_BYTES - free
    if lacking > 0:
        raise CacheError(
            f"{target.name} needs {_show_bytes(n_bytes)} more on the disk of {target.parent}, "
            f"which has {_show_bytes(free)} left: free {_show_bytes(lacking)}, or choose another "
            "folder with manifest=…, and call again"
        )


def _show_bytes(n: int) -> str:
    return f"{n / 1e9:.2f} GB" if n >= 1e8 else f"{n / 1e6:.2f} MB"


@contextlib.contextmanager
def hold_lock(path: Path, *, is_stopped: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Keep every other thread and process that asks for the same lock waiting.

    Parameters
    ----------
    path
        The lock file, which is made if need be and left in place: removing it would let two
        waiting processes both believe they hold it. What a process that died left locks nothing.
    is_stopped
        Asked while waiting.

    Yields
    ------
    None
        For the time of the ``with`` block.

    Raises
    ------
    CacheError
        If the lock file cannot be made, or waiting was stopped.
    """
    from filelock import FileLock

    make_folder(path.parent)
    lock = FileLock(path)
    _acquire(lock, path, is_stopped)
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: BaseFileLock, path: Path, is_stopped: Callable[[], bool]) -> None:
    from filelock import Timeout

    is_told = False
    while True:
        try:
            with explain_storage_errors(path):
                # not for ever at once: Ctrl-C and a stop must get through
                lock.acquire(timeout=LOCK_WAIT_S if is_told else 0, poll_interval=0.02)
        except CacheError as error:
            if not isinstance(error.__cause__, Timeout):
                raise
        else:
            return
        if not is_told:
            log.info("waiting for another process or thread that holds %s", path)
            is_told = True
        if is_stopped():
            raise CacheError(f"stopped while waiting for {path}")


@contextlib.contextmanager
def write_whole(
    target: Path, *, check: Callable[[Path], None] | None = None
) -> Iterator[IO[bytes]]:
    """Write a file that appears under its name only when it is complete.

    Parameters
    ----------
    target
        The final name. Its folder must exist.
    check
        Called with the written file before it gets its name; raises if it is no good.

    Yields
    ------
    IO[bytes]
        Where to write. Leaving the block flushes to the disk, checks and renames.

    Raises
    ------
    CacheError
        If the disk is full or must not be written to.

    Notes
    -----
    The bytes go to ``<name>.part`` beside the target. Whatever ends the block early (an error,
    Ctrl-C) removes it and leaves the target as it was. Hold the target's lock meanwhile.
    """
    part = target.with_name(f"{target.name}.part")
    try:
        with explain_storage_errors(target):
            file = part.open("wb")
        try:
            yield file
            with explain_storage_errors(target):
                file.flush()
                os.fsync(file.fileno())
        finally:
            # flushed by now, or about to be thrown away: closing has nothing to tell
            with contextlib.suppress(OSError):
                file.close()
        if check is not None:
            check(part)
        with explain_storage_errors(target):
            part.replace(target)
            sync_folder(target.parent)
    finally:
        _remove_quietly(part)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk.

    Parameters
    ----------
    folder
        The folder.
    """
    # a rename survives a power cut only once the folder itself is on the disk; Windows cannot
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # some network file systems refuse; the file itself is safe
        log.debug("cannot sync %s: %s", folder, error)
    finally:
        os.close(descriptor)


def _remove_quietly(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        # never hide the error that brought us here
        log.warning("cannot remove the unfinished %s: %s", path, error)
