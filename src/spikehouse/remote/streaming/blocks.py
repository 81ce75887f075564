"""Bytes of remote files that were fetched before: pages in memory, runs of pages on disk."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import struct
import threading
import time
import zlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from spikehouse.remote.disk import check_inside
from spikehouse.remote.streaming.facts import digest, read_whole, write_atomically

__all__ = ["PageMemory", "Run", "RunStore", "cached_pages", "evict"]

log = logging.getLogger(__name__)

_FOOTER = struct.Struct("<8sQI")
_MAGIC = b"SPKHRUN2"
# part of the sub-folder's name, so that runs of another format are left to be evicted
_FORMAT = "2"
_RUN = re.compile(r"(data|pinned)-(\d{1,12})-(\d{1,9})")
_KEY = re.compile(r"[0-9a-f]{32}")
_WRITING = re.compile(r"\.[0-9a-f]{16}\.writing")
# a half-written file of a process that was killed is nobody's after this long [s]
_ABANDONED_S = 3600.0
# after evicting there is room for a while, so that not every write has to look
_ROOM = 0.9


@dataclass(frozen=True)
class Run:
    """Bytes that came with one request, or from one run on disk.

    Attributes
    ----------
    first
        The number of the first page.
    content
        Whole pages, or up to the end of the file.
    """

    first: int
    content: bytes

    def page(self, number: int, size: int) -> bytes:
        """Cut one page out.

        Parameters
        ----------
        number
            Its number.
        size
            Length of a page in bytes.

        Returns
        -------
        bytes
            The page; the last one of a file may be shorter.
        """
        offset = (number - self.first) * size
        return self.content[offset : offset + size]


class PageMemory:
    """Pages in memory, the least recently used one leaving first.

    Parameters
    ----------
    limit
        Bytes of pages that may leave; pinned ones stay and are not counted.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._pages: OrderedDict[int, bytes] = OrderedDict()
        self._pinned: dict[int, bytes] = {}
        self._lock = threading.Lock()

    def renew(self) -> None:
        """Make the lock anew in a forked process: a thread of the parent may have held it.

        That thread may have been counting bytes; a page too many or too few does no harm.
        """
        self._lock = threading.Lock()

    def get(self, page: int) -> bytes | None:
        """Give a page.

        Parameters
        ----------
        page
            Its number.

        Returns
        -------
        bytes or None
            None if it is not here.
        """
        with self._lock:
            if page in self._pinned:
                return self._pinned[page]
            if page in self._pages:
                self._pages.move_to_end(page)
                return self._pages[page]
        return None

    def put(self, page: int, block: bytes, *, pinned: bool = False) -> None:
        """Keep a page.

        Parameters
        ----------
        page
            Its number.
        block
            Its bytes.
        pinned
            Never let it go.
        """
        with self._lock:
            if pinned or page in self._pinned:
                self._held -= len(self._pages.pop(page, b""))
                self._pinned[page] = block
                return
            self._held += len(block) - len(self._pages.pop(page, b""))
            self._pages[page] = block
            while self._held > self._limit and self._pages:
                self._held -= len(self._pages.popitem(last=False)[1])

    def is_pinned(self, page: int) -> bool:
        """Say whether a page is here to stay.

        Parameters
        ----------
        page
            Its number.

        Returns
        -------
        bool
            Whether it is pinned.
        """
        return page in self._pinned

    @property
    def held(self) -> int:
        """Bytes of pages that may leave."""
        return self._held


class RunStore:
    """Runs of pages of one version of one remote file, kept in a folder.

    Parameters
    ----------
    folder
        Of all remote files; processes may share it.
    url
        The file's address.
    etag
        The token of its version. Another version has another sub-folder.
    page
        Length of a page in bytes.
    limit
        Bytes that all remote files together may take in the folder.

    Notes
    -----
    A run is a file ``data-<first page>-<pages>``, or ``pinned-…`` for HDF5's own metadata, that is
    written once, under a name of its own, and renamed: no reader ever sees half of one, and no lock
    is needed. Its last bytes are a checksum of its content, place and remote file; a run that is
    damaged or another's is deleted and counts as absent. Where the folder takes more than the
    limit, runs not used for the longest time are deleted, pinned ones after all others.

    Raises
    ------
    CacheError
        If a symbolic link stands for the sub-folder.
    """

    def __init__(self, folder: Path, url: str, etag: str, *, page: int, limit: int) -> None:
        self._root = folder
        self.folder = folder / digest(_FORMAT, url, etag, str(page))
        check_inside(self.folder / "x", folder)
        self._page = page
        self._limit = limit
        self._lock = threading.Lock()
        self._runs: dict[int, tuple[int, Path]] = {}
        self._firsts: list[int] = []
        self._longest = 0
        self._sound: set[Path] = set()
        self._listed_at = -1
        self._written = limit  # look at the first write
        self._list()

    def find(self, page: int) -> Path | None:
        """Say which run has a page.

        Parameters
        ----------
        page
            Its number.

        Returns
        -------
        Path or None
            None if no run has it.
        """
        with self._lock:
            place = bisect_right(self._firsts, page)
            # runs may overlap: a longer one that begins earlier may have it too
            while place and page - self._firsts[place - 1] < self._longest:
                first = self._firsts[place - 1]
                n_pages, path = self._runs[first]
                if page < first + n_pages:
                    return path
                place -= 1
        return None

    def read(self, path: Path) -> tuple[int, bytes] | None:
        """Read a run and check it.

        Parameters
        ----------
        path
            What ``find`` gave.

        Returns
        -------
        tuple of int and bytes, or None
            Its first page and its bytes; None if it is damaged or another process deleted it.
        """
        match = _RUN.fullmatch(path.name)
        block = read_whole(path)
        if match is not None and block is not None:
            content = _unseal(block, self._place(int(match[2])))
            n_pages = int(match[3])
            if content is not None and (n_pages - 1) * self._page < len(content) <= (
                n_pages * self._page
            ):
                self._mark_used(path)
                return int(match[2]), content
        log.warning("%s is damaged or gone: its bytes are fetched again", path)
        self._forget(path)
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return None

    def write(self, first: int, content: bytes, *, pinned: bool) -> None:
        """Keep a run.

        Parameters
        ----------
        first
            Its first page.
        content
            Its bytes: whole pages, or up to the end of the file.
        pinned
            Whether it is HDF5's own metadata.

        Notes
        -----
        A full or read-only disk is logged: what was fetched is still right.
        """
        n_pages = -(-len(content) // self._page)
        path = self.folder / f"{'pinned' if pinned else 'data'}-{first}-{n_pages}"
        try:
            self._make_room(len(content))
            write_atomically(path, _seal(content, self._place(first)))
        except OSError as error:
            log.warning("cannot keep %s: %s", path, error)
            return
        self._add(first, n_pages, path)

    def refresh(self) -> bool:
        """Look for runs that other processes have written.

        Returns
        -------
        bool
            Whether anything may have changed since the last look.
        """
        try:
            changed_at = self.folder.stat().st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            return False
        if changed_at == self._listed_at:
            return False
        self._list()
        return True

    def _place(self, first: int) -> bytes:
        # what a run is of: exchanged with another one, its checksum is wrong
        return f"{self.folder.name}/{first}".encode()

    def _list(self) -> None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self._listed_at = self.folder.stat().st_mtime_ns
            for entry in os.scandir(self.folder):
                match = _RUN.fullmatch(entry.name)
                if match is not None and entry.is_file(follow_symlinks=False):
                    self._add(int(match[2]), int(match[3]), Path(entry.path))

    def _add(self, first: int, n_pages: int, path: Path) -> None:
        with self._lock:
            if first in self._runs and self._runs[first][0] >= n_pages:
                return
            if first not in self._runs:
                self._firsts.insert(bisect_right(self._firsts, first), first)
            self._runs[first] = (n_pages, path)
            self._longest = max(self._longest, n_pages)

    def _forget(self, path: Path) -> None:
        with self._lock:
            gone = [first for first, (_, kept) in self._runs.items() if kept == path]
            for first in gone:
                del self._runs[first]
                self._firsts.remove(first)

    def _mark_used(self, path: Path) -> None:
        if path not in self._sound:
            self._sound.add(path)
            with contextlib.suppress(OSError):
                os.utime(path)

    def _make_room(self, n_bytes: int) -> None:
        with self._lock:
            self._written += n_bytes
            if self._written < self._limit // 16:
                return
            self._written = 0
        evict(self._root, limit=self._limit)


def evict(folder: Path, *, limit: int) -> int:
    """Delete the runs not used for the longest time, if there are more than may be.

    Parameters
    ----------
    folder
        Of all remote files.
    limit
        Bytes that may stay.

    Returns
    -------
    int
        Bytes deleted.
    """
    runs = []
    for path, is_run in _own_files(folder):
        with contextlib.suppress(OSError):  # another process may be evicting too
            facts = path.lstat()
            if is_run:
                runs.append((path.name.startswith("pinned"), facts.st_mtime, facts.st_size, path))
            elif time.time() - facts.st_mtime > _ABANDONED_S:
                path.unlink()
    total = sum(size for _, _, size, _ in runs)
    if total <= limit:
        return 0
    deleted = 0
    for _, _, size, path in sorted(runs):
        if total - deleted <= _ROOM * limit:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            deleted += size
    return deleted


def _own_files(folder: Path) -> Iterator[tuple[Path, bool]]:
    """List runs and what is being written, and nothing that is not ours."""
    for key in _scan(folder):
        # a link is not followed: what it leads to is not ours
        if not _KEY.fullmatch(key.name) or not key.is_dir(follow_symlinks=False):
            continue
        for entry in _scan(key):
            is_run = _RUN.fullmatch(entry.name) is not None
            if is_run or _WRITING.fullmatch(entry.name):
                yield Path(entry.path), is_run


def _scan(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(folder))
    except OSError:  # gone meanwhile, or nothing was kept yet
        return []


def cached_pages(pages: Iterable[int], store: RunStore) -> dict[Path, list[int]]:
    """Sort pages by the run that has them.

    Parameters
    ----------
    pages
        Their numbers.
    store
        The runs.

    Returns
    -------
    dict
        Run → its pages; pages that no run has are left out.
    """
    by_run: dict[Path, list[int]] = {}
    for page in pages:
        path = store.find(page)
        if path is not None:
            by_run.setdefault(path, []).append(page)
    return by_run


def _seal(content: bytes, place: bytes) -> bytes:
    return content + _FOOTER.pack(_MAGIC, len(content), zlib.crc32(content, zlib.crc32(place)))


def _unseal(block: bytes, place: bytes) -> bytes | None:
    if len(block) < _FOOTER.size:
        return None
    content = block[: -_FOOTER.size]
    magic, length, checksum = _FOOTER.unpack(block[-_FOOTER.size :])
    if (magic, length) != (_MAGIC, len(content)):
        return None
    if zlib.crc32(content, zlib.crc32(place)) != checksum:
        return None
    return content
