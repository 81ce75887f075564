"""Cache for bytes of remote files: pages in memory, runs of pages on disk.

A page is a fixed number of bytes at a multiple of that number, the last one may be shorter. A
run is one or more consecutive pages that were fetched together.
"""

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

from spikehouse.transfer.disk import check_inside
from spikehouse.transfer.facts import digest, read_whole, write_atomically

__all__ = ["PageMemory", "Run", "RunStore", "cached_pages", "evict"]

log = logging.getLogger(__name__)

_FOOTER = struct.Struct("<8sQI")
_MAGIC = b"SPKHRUN2"
# part of the sub-folder's name, so that runs of another format are left to be evicted
_FORMAT = "2"
_RUN = re.compile(r"(data|pinned)-(\d{1,12})-(\d{1,9})")
_KEY = re.compile(r"[0-9a-f]{32}")
_WRITING = re.compile(r"\.[0-9a-f]{16}\.writing")
# age after which a temporary file belongs to a killed process and is deleted [s]
_ABANDONED_S = 3600.0
# after evicting there is room for a while, so that not every write has to look
_ROOM = 0.9


@dataclass(frozen=True)
class Run:
    """Consecutive pages that were fetched or read together."""

    # number of the first page
    first: int
    # whole pages, or pages up to the end of the file
    content: bytes

    def page(self, number: int, size: int) -> bytes:
        """Return one page of the run."""
        offset = (number - self.first) * size
        return self.content[offset : offset + size]


class PageMemory:
    """Least-recently-used cache of pages in memory, with pages that are never evicted."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._pages: OrderedDict[int, bytes] = OrderedDict()
        self._pinned: dict[int, bytes] = {}
        self._lock = threading.Lock()

    def renew(self) -> None:
        """Replace the lock in a forked process, where a lost thread may have held it."""
        # That thread may have been updating the byte count: being wrong by a page does no harm.
        self._lock = threading.Lock()

    def get(self, page: int) -> bytes | None:
        """Return a page and mark it as used; None if it is not in memory."""
        with self._lock:
            if page in self._pinned:
                return self._pinned[page]
            if page in self._pages:
                self._pages.move_to_end(page)
                return self._pages[page]
        return None

    def put(self, page: int, block: bytes, *, pinned: bool = False) -> None:
        """Add a page, evicting others if the limit is exceeded."""
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
        """Return whether a page is never evicted."""
        return page in self._pinned

    @property
    def held(self) -> int:
        """Bytes of the pages that may be evicted."""
        return self._held


class RunStore:
    """Cache on disk for the pages of one version of one remote file, shared by processes."""

    # No lock between processes. A run is a file `data-<first page>-<pages>`, or `pinned-…` for
    # HDF5 metadata, written once under a temporary name and renamed, so no reader sees half a run.
    # Its footer is a checksum over content, position and remote file: a damaged or misplaced run
    # is deleted and counts as absent. The ETag and page size are part of the folder's name, so two
    # versions never mix. Runs may overlap; `_longest` bounds how far back `find` must look. When
    # all files together exceed the limit, the least recently used runs are deleted, pinned ones
    # last.

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
        self._touched: set[Path] = set()
        self._listed_at = -1
        self._written = limit  # look at the first write
        self._list()

    def find(self, page: int) -> Path | None:
        """Return the path of a run that contains a page, or None."""
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
        """Read and verify a run; return its first page and bytes, or None if it is unusable."""
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
        """Write a run; a failure is logged only, since the fetched bytes are right anyway."""
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
        """List the runs again if another process changed the folder; return whether it did."""
        try:
            changed_at = self.folder.stat().st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            return False
        if changed_at == self._listed_at:
            return False
        self._list()
        return True

    def _place(self, first: int) -> bytes:
        # part of the checksum: a run under the name of another one is not valid
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
        if path not in self._touched:
            self._touched.add(path)
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
    """Delete the least recently used runs until the limit is met; return the bytes deleted."""
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
    """List runs and temporary files of this format, following no symbolic links."""
    for key in _scan(folder):
        # links are not followed: their targets are not files of this package
        if not _KEY.fullmatch(key.name) or not key.is_dir(follow_symlinks=False):
            continue
        for entry in _scan(key):
            is_run = _RUN.fullmatch(entry.name) is not None
            if is_run or _WRITING.fullmatch(entry.name):
                yield Path(entry.path), is_run


def _scan(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(folder))
    except OSError:  # deleted meanwhile, or not created yet
        return []


def cached_pages(pages: Iterable[int], store: RunStore) -> dict[Path, list[int]]:
    """Group pages by the run that contains them, leaving out pages without a run."""
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
