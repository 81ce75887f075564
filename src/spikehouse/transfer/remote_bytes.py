"""Random access to a remote file: fetch only the pages that are read, each once."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
import weakref
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future, wait
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeAlias

from spikehouse.errors import CacheError, InvalidArgumentError, SourceError, SpikehouseError
from spikehouse.transfer.byte_count import add_bytes
from spikehouse.transfer.byte_ranges import ByteRange, PlanRules, align, plan_requests
from spikehouse.transfer.disk import check_inside
from spikehouse.transfer.http import ChangedError, HttpClient, renew_in_child
from spikehouse.transfer.remote_file import RemoteFile, Version
from spikehouse.transfer.retry import HttpOptions, UnreachableError
from spikehouse.transfer.sparse_file import (
    SparseFile,
    discard_old_blocks,
    evict,
    find_for_stream,
    open_for_stream,
    part_of,
    read_header,
    touch,
)
from spikehouse.transfer.threads import DaemonPool

__all__ = ["RangeClient", "RemoteBytes", "StreamOptions"]

log = logging.getLogger(__name__)

# long reads are done in segments, which bounds memory
_SEGMENT_BYTES = 32 << 20
_HOUR_S = 3600.0
_TICK_S = 0.5
# bytes of a request, and the offset of the first
_Fetched: TypeAlias = tuple[int, bytes]


@dataclass(frozen=True)
class StreamOptions:
    """Options of streaming a remote file.

    Attributes
    ----------
    rules
        How byte ranges are combined into requests, and how many requests run at once.
    memory_bytes
        Limit for downloaded bytes in memory, HDF5 metadata not counted.
    disk_bytes
        Limit for streamed bytes in the cache folder, of all remote files together. Files that a
        download began or went on with do not count.
    trust_hours
        Time after the last confirmation by the server during which opening the file sends no
        request [hour]. The first request for bytes checks the version in any case.
    metadata_window
        Number of bytes fetched around a piece of HDF5 metadata; it doubles with every further
        piece that is missing close by.
    largest_window
        Limit of that doubling [bytes].
    http
        Timeouts, retries and connections.
    """

    rules: PlanRules = field(default_factory=PlanRules)
    memory_bytes: int = 128 << 20
    disk_bytes: int = 4 << 30
    trust_hours: float = 24.0
    metadata_window: int = 128 << 10
    largest_window: int = 1 << 20
    http: HttpOptions = field(default_factory=lambda: HttpOptions(connections=6))


class RangeClient(Protocol):
    """HTTP client as seen by RemoteBytes; tests pass a fake one."""

    def probe(self, remote: RemoteFile) -> RemoteFile:
        """Return the file with size and validators from the server."""

    def read_range(self, remote: RemoteFile, start: int, stop: int) -> bytes:
        """Read one byte range of the version that `remote` describes."""


class RemoteBytes:
    """Random access to the bytes of a remote file, shared by threads."""

    # A page is a fixed number of bytes at a multiple of that number; the last one may be shorter.
    # A page is in one of four places, looked for in this order: memory, the sparse file on the
    # disk, in flight (a future of another reader), the server. `_in_flight` changes only under
    # `_lock`, and looking again and submitting happen under one hold of it, so no page is
    # requested twice at once. A future leaves `_in_flight` after its pages are in memory and on
    # disk, so no page is lost in between.
    #
    # Every answer must have the version that was opened: a file that changes on the server gives
    # an error, never a mixture. The one exception is a recalled version of which no byte has been
    # returned yet (`_has_given` is False): then reading starts anew with the current version.
    # `remote` is then another object, and it, `_memory`, `_file` and `_has_given` change under
    # `_lock`: what was asked for or read of the former version is dropped, and read again.
    # Without a strong ETag bytes are kept in memory only. A forked process gets threads and
    # connections of its own; pickling keeps the URL and options.

    def __init__(
        self,
        remote: RemoteFile,
        *,
        options: StreamOptions | None = None,
        cache: Path | None = None,
        folder: Path | None = None,
        client: RangeClient | None = None,
    ) -> None:
        # `cache` is the path at which a download would put the file: what was streamed is kept
        # beside it, in the cache folder `folder`. Or it is a folder, in which any URL has a place.
        self.options = options or StreamOptions()
        self._cache = cache, folder
        self._folder, self._target = folder, cache
        if cache is not None and cache.is_dir():
            name = hashlib.sha256(remote.url.encode()).hexdigest()[:32]
            self._folder, self._target = cache, cache / name
        self._given = remote
        self._client: RangeClient = client or HttpClient(self.options.http, remote.hosts)
        self._has_given = False
        self.remote, self._is_recalled = self._identify()
        self.n_requests = 0
        self.n_bytes = 0
        self._changed: str | None = None
        self._windows: list[int] = []
        self._memory = _PageMemory(self.options.memory_bytes)
        self._start()
        renew_in_child(self)

    def _start(self) -> None:
        self._lock = threading.RLock()
        self._start_version()

    def _start_version(self) -> None:
        self._in_flight: dict[int, Future[_Fetched]] = {}
        self._pool = DaemonPool(self.options.rules.connections)
        self._closing = weakref.finalize(self, self._pool.shutdown)
        self._file: SparseFile | None = None
        self._is_kept = self._target is not None
        self._n_unchecked = 0
        if self._target is not None and self._version().strong_etag is None:
            log.warning("%s has no strong ETag: what is read is kept in memory only", self.url)
            self._is_kept = False
        elif self._target is not None:
            self._file = find_for_stream(self._target, self._version())

    def renew(self) -> None:
        """Start threads and connections in a forked process, keeping the cached pages."""
        if self._closing.detach() is not None:
            # a lost thread may have held its lock
            self._memory.renew()
            self._start()

    # ---- attributes

    @property
    def name(self) -> str:
        """Name of the file in messages."""
        return self.remote.name

    @property
    def url(self) -> str:
        """URL of the file."""
        return self.remote.url

    @property
    def size(self) -> int:
        """Length of the file [bytes]."""
        return self.remote.size or 0

    @property
    def identity(self) -> tuple[str | int, ...]:
        """URL, version and size: differs between any two files."""
        return self.url, str(self.remote.etag), self.size

    @property
    def is_open(self) -> bool:
        """Whether the file can be read."""
        return self._closing.alive

    def __repr__(self) -> str:
        return f"RemoteBytes({self.url!r}, {self.size} bytes)"

    def __reduce__(self) -> tuple[Callable[..., RemoteBytes], tuple[object, ...]]:
        return _reopen, (self.remote, self.options, *self._cache)

    def close(self) -> None:
        """Stop all requests; reading afterwards raises."""
        self._closing()
        with self._lock:
            # closed with the last request or reader that still uses it
            self._file = None

    # ---- reading

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill a buffer with bytes from an offset; return their number."""
        return self._read(offset, buffer, is_metadata=False)

    def read_metadata_into(self, offset: int, buffer: memoryview) -> int:
        """Fill a buffer with HDF5 metadata, fetching a window around it and pinning it."""
        return self._read(offset, buffer, is_metadata=True)

    def prefetch(self, ranges: Iterable[ByteRange], *, is_metadata: bool = False) -> None:
        """Begin to fetch byte ranges that will be read, without waiting for them."""
        # Half of the memory limit is the most that is prefetched. Failures are not raised here:
        # the reader of the bytes asks again and gets the error.
        if not self.is_open:
            return
        page_bytes = self.options.rules.page
        wanted = align(ranges, page=page_bytes, size=self.size)
        pages = [page for found in wanted for page in self._pages_of(*found)]
        # more would evict the first pages before they are read
        pages = pages[: self.options.memory_bytes // 2 // page_bytes]
        with self._lock:
            missing = [page for page in pages if not self._is_near(page)]
            if missing and self._refresh():
                missing = [page for page in missing if not self._is_near(page)]
            if missing:
                self._submit(missing, is_metadata=is_metadata)

    def recall_ranges(self, key: str) -> list[ByteRange] | None:
        """Return the byte ranges stored by `keep_ranges` for this version, or None."""
        return None if self._file is None else self._file.recall(key)

    def keep_ranges(self, key: str, ranges: Iterable[ByteRange]) -> None:
        """Store byte ranges under a key, to save a later opening the search for them."""
        if self._file is not None:
            self._try_to_keep(partial(self._file.keep, key, ranges))

    def _read(self, offset: int, buffer: memoryview, *, is_metadata: bool) -> int:
        if not self.is_open:
            raise InvalidArgumentError(f"{self.url} was closed; open it again")
        while True:
            remote = self.remote
            try:
                n_read = self._read_segments(remote, offset, buffer, is_metadata=is_metadata)
            except SpikehouseError as error:
                if not self._switch(remote, error):
                    raise
                continue
            with self._lock:
                # else the buffer may have bytes of two versions
                if self.remote is remote:
                    self._has_given = True
                    return n_read

    def _switch(self, former: RemoteFile, error: SpikehouseError) -> bool:
        """Go over to the current version if that is allowed; return whether to read again."""
        # another reader may have done so meanwhile
        if self.remote is former:
            if not isinstance(error, ChangedError) or not self._may_switch():
                return False
            probed = self._probe()
            with self._lock:
                if self.remote is former:
                    # bytes may have been returned while the server was asked
                    if not self._may_switch():
                        return False
                    self.remote, self._is_recalled, self._changed = probed, False, None
                    self._memory = _PageMemory(self.options.memory_bytes)
                    self._start_version()
        return True

    def _may_switch(self) -> bool:
        # the recorded version is out of date, and none of its bytes were returned yet
        return self._is_recalled and not self._has_given

    def _check_version(self, remote: RemoteFile) -> None:
        if self.remote is not remote:
            raise ChangedError(f"{self.url} has changed at the server since it was asked for")

    def _read_segments(
        self, remote: RemoteFile, offset: int, buffer: memoryview, *, is_metadata: bool
    ) -> int:
        stop = min(offset + len(buffer), remote.size or 0)
        for first in range(offset, stop, _SEGMENT_BYTES):
            last = min(first + _SEGMENT_BYTES, stop)
            piece = buffer[first - offset : last - offset]
            self._fill(remote, first, piece, is_metadata=is_metadata)
        return max(stop - offset, 0)

    def _fill(
        self, remote: RemoteFile, offset: int, buffer: memoryview, *, is_metadata: bool
    ) -> None:
        stop = offset + len(buffer)
        found = self._gather(remote, list(self._pages_of(offset, stop)), is_metadata=is_metadata)
        for page, block in found.items():
            begin = page * self.options.rules.page
            first, last = max(offset, begin), min(stop, begin + len(block))
            buffer[first - offset : last - offset] = block[first - begin : last - begin]
            if is_metadata and not self._memory.is_pinned(page):
                # metadata that was fetched together with other bytes
                self._keep(remote, begin, block, is_pinned=True, is_new=False)

    def _gather(
        self, remote: RemoteFile, pages: list[int], *, is_metadata: bool
    ) -> dict[int, bytes]:
        """Return the bytes of pages, from the caches or the server."""
        found: dict[int, bytes] = {}
        while True:
            self._take_near(pages, found)
            missing = [page for page in pages if page not in found]
            if not missing:
                self._check_version(remote)
                return found
            with self._lock:
                self._check_version(remote)
                waiting = {self._in_flight[p] for p in missing if p in self._in_flight}
                own: set[Future[_Fetched]] = set()
                if not waiting:
                    # pages that arrived, or were written by another process, since the last look
                    if any(map(self._is_near, missing)) or self._refresh():
                        continue
                    own = self._submit(missing, is_metadata=is_metadata)
            for future in waiting | own:
                try:
                    # closing ends the wait for a server that does not answer
                    while not wait([future], _TICK_S).done and self.is_open:
                        pass
                    if not future.done():
                        raise CancelledError
                    start, content = future.result()
                except CancelledError:
                    raise InvalidArgumentError(f"{self.url} was closed while it was read") from None
                except SpikehouseError:
                    # a failed request of another reader is repeated, once, by this one
                    if future in own:
                        raise
                    continue
                for page, block in self._split(start, content):
                    if page in missing:
                        found[page] = block

    def _take_near(self, pages: list[int], found: dict[int, bytes]) -> None:
        """Add the pages that are in memory or on disk to `found`."""
        with self._lock:
            # of one version
            memory, file = self._memory, self._file
        for page in pages:
            if page in found:
                continue
            block = memory.get(page)
            line = None if block or file is None else file.find(*self._bytes_of(page))
            if line is not None and file is not None:
                data = file.read_line(line)
                if data is None:
                    log.warning(
                        "%s: the bytes %d to %d are damaged and are fetched again",
                        file.path,
                        line.start,
                        line.stop - 1,
                    )
                    continue
                for number, one in self._split(line.start, data):
                    memory.put(number, one, pinned=line.is_pinned == 1)
                    if number == page:
                        block = one
            if block is not None:
                found[page] = block

    def _is_near(self, page: int) -> bool:
        return (
            page in self._in_flight
            or self._memory.get(page) is not None
            or (self._file is not None and self._file.find(*self._bytes_of(page)) is not None)
        )

    def _refresh(self) -> bool:
        """Look for bytes that others kept meanwhile; return whether there may be any."""
        if self._target is None or not self._is_kept or not self.is_open:
            return False
        if self._file is not None and self._file.is_current():
            return self._file.refresh()
        # begun, or replaced, by another stream or a download
        again = find_for_stream(self._target, self._version())
        self._file = again or self._file
        return again is not None

    def _pages_of(self, start: int, stop: int) -> range:
        size = self.options.rules.page
        return range(start // size, -(-stop // size))

    def _bytes_of(self, page: int) -> ByteRange:
        size = self.options.rules.page
        return page * size, min((page + 1) * size, self.size)

    def _split(self, start: int, content: bytes | memoryview) -> Iterable[tuple[int, bytes]]:
        """Split bytes into the pages that are there in full."""
        stop = start + len(content)
        for page in self._pages_of(start, stop):
            first, last = self._bytes_of(page)
            if start <= first and last <= stop:
                yield page, bytes(content[first - start : last - start])

    # ---- fetching

    def _submit(self, pages: list[int], *, is_metadata: bool) -> set[Future[_Fetched]]:
        """Request pages that are neither cached nor in flight; the caller holds the lock."""
        ranges = [self._bytes_of(page) for page in pages]
        if is_metadata:
            ranges = [self._widen(*found) for found in ranges]
        cached = [
            self._bytes_of(page)
            for found in ranges
            for page in self._pages_of(*found)
            if page not in pages and self._is_near(page)
        ]
        futures = set()
        for start, stop in plan_requests(ranges, cached, size=self.size, rules=self.options.rules):
            try:
                future = self._pool.submit(
                    partial(self._fetch, self.remote, start, stop, is_metadata)
                )
            except RuntimeError:
                raise InvalidArgumentError(f"{self.url} was closed while it was read") from None
            futures.add(future)
            for page in self._pages_of(start, stop):
                self._in_flight.setdefault(page, future)
            future.add_done_callback(partial(self._land, start, stop))
        return futures

    def _widen(self, start: int, stop: int) -> ByteRange:
        """Return a window around metadata that doubles with every earlier window close by."""
        # HDF5 asks for one piece of metadata after another, each in a request that the next one
        # waits for. Where some metadata lies there is more, with the small columns of a table in
        # between.
        near = self.options.largest_window
        n_near = sum(abs(start - other) < near for other in self._windows)
        window = min(self.options.metadata_window << n_near, self.options.largest_window)
        begin = start // window * window
        self._windows.append(start)
        return begin, max(begin + window, stop)

    def _fetch(self, remote: RemoteFile, start: int, stop: int, is_metadata: bool) -> _Fetched:
        with self._lock:
            self._check_version(remote)
            if self._changed is not None:
                raise ChangedError(self._changed)
            self.n_requests += 1
        try:
            content = self._client.read_range(remote, start, stop)
        except ChangedError as error:
            with self._lock:
                # else the answer is about the former version
                if self.remote is remote:
                    self._changed = str(error)
                    if self._target is not None and self._file is not None:
                        # the next opening asks the server
                        touch(self._target, confirmed_at=0.0)
            raise
        with self._lock:
            self.n_bytes += len(content)
        add_bytes(len(content))
        if len(content) != stop - start:
            raise SourceError(
                f"{self.url} gives {len(content)} bytes where {stop - start} were asked for"
            )
        self._keep(remote, start, content, is_pinned=is_metadata, is_new=True)
        return start, content

    def _land(self, start: int, stop: int, future: Future[_Fetched]) -> None:
        with self._lock:
            for page in self._pages_of(start, stop):
                # a page of a bridged gap may be another request's
                if self._in_flight.get(page) is future:
                    del self._in_flight[page]

    # ---- keeping in memory and on the disk

    def _keep(
        self, remote: RemoteFile, start: int, content: bytes, *, is_pinned: bool, is_new: bool
    ) -> None:
        with self._lock:
            self._check_version(remote)
            for page, block in self._split(start, content):
                self._memory.put(page, block, pinned=is_pinned)
            file = self._file_to_write(len(content))
        if file is not None:
            stop = start + len(content)

            def write() -> None:
                if is_new or file.find(start, stop) is None:
                    file.write(start, memoryview(content))
                checksum = zlib.crc32(content)
                file.record(start, stop, checksum, is_pinned=is_pinned, is_new=is_new)

            self._try_to_keep(write)

    def _file_to_write(self, n_bytes: int) -> SparseFile | None:
        """Return the file that fetched bytes are kept in; None if they are not."""
        target, folder = self._target, self._folder
        if target is None or not self._is_kept:
            return None
        if not self.is_open:
            # an answer that was on its way
            return find_for_stream(target, self._version())
        if self._file is not None and not self._file.is_current():
            # complete, deleted or taken over by a download: what was kept stays usable
            again = find_for_stream(target, self._version())
            if again is None:
                return None
            self._file = again
        self._n_unchecked += n_bytes
        try:
            if self._file is None:
                check_inside(part_of(target), folder or target.parent)
                if folder is not None:
                    discard_old_blocks(folder)
                self._n_unchecked = self.options.disk_bytes
                self._file = open_for_stream(target, self._version(), folder)
            if self._file is not None and self._n_unchecked >= self.options.disk_bytes // 16:
                self._n_unchecked = 0
                among = folder or target.parent
                self._is_kept = evict(among, target, limit=self.options.disk_bytes)
        except (CacheError, OSError) as error:
            self._stop_keeping(error)
        return self._file if self._is_kept else None

    def _try_to_keep(self, write: Callable[[], object]) -> None:
        try:
            write()
        except (CacheError, OSError) as error:
            # what was fetched is right anyway
            self._stop_keeping(error)

    def _stop_keeping(self, error: OSError) -> None:
        with self._lock:
            if self._is_kept:
                log.warning("what is read of %s is kept in memory only: %s", self.url, error)
            self._is_kept = False

    # ---- which version

    def _identify(self) -> tuple[RemoteFile, bool]:
        """Return the file with size and validator, and whether these come from the disk."""
        # The server is asked only if nothing is given or recorded, or the record is older than
        # `trust_hours`. An unreachable server is no failure if there is a record: cached bytes can
        # be read offline. A wrong record shows at the first request, whose answer must have the
        # recorded version.
        given, target = self._given, self._target
        if given.size is not None and given.etag is not None:
            return given, False
        header = None if target is None else read_header(target)
        version = None if header is None else header.version
        if (
            target is None
            or header is None
            or version is None
            or version.url != given.url
            or version.strong_etag is None
            or given.size not in (None, version.size)
        ):
            return self._probe(), False
        recalled = replace(given, size=version.size, etag=version.etag, modified=version.modified)
        if time.time() - header.confirmed_at < self.options.trust_hours * _HOUR_S:
            return recalled, True
        try:
            probed = self._probe()
        except UnreachableError as error:
            log.warning("%s is read from the cache: %s", given.url, error)
            return recalled, True
        if probed == recalled:
            touch(target, confirmed_at=time.time())
        return probed, False

    def _probe(self) -> RemoteFile:
        probed = self._client.probe(self._given)
        if probed.size is None:
            raise SourceError(f"{probed.url}: the server does not say how long the file is")
        return probed

    def _version(self) -> Version:
        here = self.remote
        return Version(
            here.size, here.etag, here.modified, here.sha256, url=here.url, source=here.source
        )


class _PageMemory:
    """Least-recently-used cache of pages in memory, with pages that are never evicted."""

    def __init__(self, limit: int) -> None:
        # bytes of the pages that may be evicted
        self.held = 0
        self._limit = limit
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
                self.held -= len(self._pages.pop(page, b""))
                self._pinned[page] = block
                return
            self.held += len(block) - len(self._pages.pop(page, b""))
            self._pages[page] = block
            while self.held > self._limit and self._pages:
                self.held -= len(self._pages.popitem(last=False)[1])

    def is_pinned(self, page: int) -> bool:
        """Return whether a page is never evicted."""
        return page in self._pinned


def _reopen(
    remote: RemoteFile, options: StreamOptions, cache: Path | None, folder: Path | None
) -> RemoteBytes:
    return RemoteBytes(remote, options=options, cache=cache, folder=folder)
