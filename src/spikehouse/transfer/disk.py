"""Write files into the cache folder so that a name always stands for a complete file."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from spikehouse.errors import CacheError, SpikehouseError
from spikehouse.transfer.progress import SPEAK_AFTER_S, say

__all__ = [
    "NO_FOLLOW",
    "OWN_FOLDER",
    "check_inside",
    "check_space",
    "explain_storage_errors",
    "hold_lock",
    "lock_of",
    "make_folder",
    "sync_folder",
    "try_lock",
    "write_whole",
]

log = logging.getLogger(__name__)

# for locks, records and copies of this package, in the cache folder
OWN_FOLDER = ".spikehouse"
SPARE_BYTES = 1 << 20
LOCK_POLL_S = 0.05
EMPTY_MARK_S = 60.0
# for os.open: never open what a symbolic link leads to; Windows has no such flag
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
# descriptors of lock files that are open in this process
_OPEN: set[int] = set()
_FULL = {errno.ENOSPC, errno.EDQUOT}
# what file systems without flock answer: some network, FUSE and container mounts
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}
_ADVICE = (
    (
        {errno.EROFS, errno.EACCES, errno.EPERM},
        "the folder is read-only or belongs to someone else; choose another folder",
    ),
    (
        {errno.ENOTDIR, errno.EEXIST, errno.EISDIR},
        "a file stands where a folder should be or the other way round; move it away or choose "
        "another folder",
    ),
    (
        {errno.ELOOP},
        "it is a symbolic link, which this package never makes there; remove the link, or choose "
        "another folder",
    ),
)


@contextlib.contextmanager
def explain_storage_errors(path: Path) -> Iterator[None]:
    """Turn an OSError about a path into a CacheError with advice."""
    try:
        yield
    except SpikehouseError:
        raise
    except OSError as error:
        for numbers, advice in _ADVICE:
            if error.errno in numbers:
                raise CacheError(
                    f"{path} cannot be written ({error.strerror}): {advice}"
                ) from error
        if error.errno in _FULL:
            raise CacheError(
                f"no space left on the disk of {path.parent} while writing {path.name}: free some "
                "space, or choose another folder, and call again"
            ) from error
        raise CacheError(f"{path} cannot be written: {error}") from error


def check_inside(path: Path, folder: Path) -> Path:
    """Check that a path lies inside a folder before writing or deleting it."""
    # A symbolic link at `path` itself is allowed: it is replaced or deleted, never followed.
    root = Path(os.path.realpath(folder))
    real = Path(os.path.realpath(path.parent), path.name)
    if path.name != ".." and root in real.parents:
        return path
    raise CacheError(
        f"{path} lies outside the folder {folder} (it leads to {real}): nothing there is "
        "written, replaced or deleted. Remove the symbolic link on the way, or use the folder that "
        "holds the file"
    )


def lock_of(target: Path, folder: Path | None) -> Path:
    """Return the path of the lock of a file, which all in a cache folder have in one place."""
    if folder is None:
        return target.with_name(f".{target.name}.lock")
    name = target.relative_to(folder) if target.is_relative_to(folder) else Path(target.name)
    return folder / OWN_FOLDER / "locks" / f"{'__'.join(name.parts)}.lock"


def make_folder(folder: Path) -> None:
    """Create a folder and its parents."""
    with explain_storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


def check_space(target: Path, n_bytes: int) -> None:
    """Check that the disk of a file has enough free space."""
    with explain_storage_errors(target):
        free = shutil.disk_usage(target.parent).free
    lacking = n_bytes + SPARE_BYTES - free
    if lacking > 0:
        raise CacheError(
            f"{target.name} needs {_show_bytes(n_bytes)} more on the disk of {target.parent}, "
            f"which has {_show_bytes(free)} left: free {_show_bytes(lacking)}, or choose another "
            "folder, and call again"
        )


def _show_bytes(n: int) -> str:
    return f"{n / 1e9:.2f} GB" if n >= 1e8 else f"{n / 1e6:.2f} MB"


@contextlib.contextmanager
def hold_lock(path: Path, *, is_stopped: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Hold a lock between threads and processes, waiting until it is free."""
    # The lock file is left in place: deleting it would let two waiting processes both believe they
    # hold it. The lock of a process that died does not block others.
    begun, is_told = time.monotonic(), False
    while True:
        with try_lock(path) as is_held:
            if is_held:
                yield
                return
        if not is_told and time.monotonic() - begun > SPEAK_AFTER_S:
            is_told = True
            mark = _mark_of(path)
            hint = f"; if none runs any more on any machine, delete {mark}" if mark.exists() else ""
            say(f"waiting for another process or thread that holds {path}{hint}")
        if is_stopped():
            raise CacheError(f"stopped while waiting for {path}")
        time.sleep(LOCK_POLL_S)


@contextlib.contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Try to take a lock without waiting; yield whether it is held."""
    # On a file system without `flock` the lock is the existence of `<path>.held`, which names its
    # process and is ignored once that process has ended.
    from filelock import SoftFileLock, Timeout, lock_descriptor

    make_folder(path.parent)
    with contextlib.ExitStack() as stack:
        with explain_storage_errors(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | NO_FOLLOW, 0o666)
            _OPEN.add(descriptor)
            stack.callback(_close_lock, descriptor)
            try:
                is_held = lock_descriptor(descriptor, blocking=False)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                mark = _mark_of(path)
                with contextlib.suppress(FileNotFoundError):
                    facts = mark.lstat()
                    # its process was killed before it wrote its name; filelock would wait for it
                    # for ever
                    if facts.st_size == 0 and time.time() - facts.st_mtime > EMPTY_MARK_S:
                        mark.unlink()
                is_held = True
                try:
                    stack.enter_context(SoftFileLock(mark, timeout=0))
                except Timeout:
                    is_held = False
        yield is_held


def _close_lock(descriptor: int) -> None:
    from filelock import unlock_descriptor

    if descriptor in _OPEN:
        _OPEN.remove(descriptor)
        with contextlib.suppress(OSError):  # not held, on a file system without locks
            unlock_descriptor(descriptor)
        os.close(descriptor)


def _forget_locks() -> None:
    """Close the locks of the process that this one was forked from, which alone holds them."""
    # else a child that outlives it would keep them; to unlock them here would do so there as well
    while _OPEN:
        os.close(_OPEN.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)


def _mark_of(lock: Path) -> Path:
    return Path(f"{lock}.held")


@contextlib.contextmanager
def write_whole(
    target: Path, *, check: Callable[[Path], None] | None = None
) -> Iterator[IO[bytes]]:
    """Write a file that gets its name only when it is complete."""
    # The bytes go to `<name>.part` beside the target, always a new file: an existing one, or a
    # link, is deleted and not written through. On leaving the block they are flushed to the disk,
    # checked and renamed; an error or Ctrl-C deletes the part and leaves the target as it was. The
    # caller holds the lock of the target.
    part = target.with_name(f"{target.name}.part")
    try:
        with explain_storage_errors(target):
            part.unlink(missing_ok=True)
            file = part.open("xb")
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
        try:
            part.unlink(missing_ok=True)
        except OSError as error:
            # never hide the error that brought us here
            log.warning("cannot remove the unfinished %s: %s", part, error)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk."""
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
