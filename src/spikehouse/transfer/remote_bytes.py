"""Random access to a remote file: fetch only the pages that are read, each once."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from spikehouse.errors import CacheError, InvalidArgumentError, SourceError, SpikehouseError
from spikehouse.transfer.blocks import PageMemory, Run, RunStore, cached_pages
from spikehouse.transfer.byte_ranges import ByteRange, PlanRules, align, plan_requests, unite
from spikehouse.transfer.facts import (
    Facts,
    forget_facts,
    read_facts,
    read_spans,
    write_facts,
    write_spans,
)
from spikehouse.transfer.http import ChangedError, HttpClient, renew_in_child
from spikehouse.transfer.remote_file import RemoteFile, Version
from spikehouse.transfer.retry import HttpOptions, UnreachableError
from spikehouse.transfer.threads import DaemonPool

__all__ = ["RangeClient", "RemoteBytes", "StreamOptions", "identify", "probe"]

log = logging.getLogger(__name__)

# long reads are done in segments, which bounds memory
_SEGMENT_BYTES = 32 << 20


class RemoteBytes:
    """Random access to the bytes of a remote file, shared by threads."""

    # A page is in one of four places, looked for in this order: memory, disk (RunStore), in flight
    # (a future of another reader), the server. `_in_flight` changes only under `_lock`, and
    # looking again and submitting happen under one hold of it, so no page is requested twice at
    # once. A future leaves `_in_flight` after its pages are in memory and on disk, so no page is
    # lost in between.
    #
    # Every answer must have the version that was opened: a file that changes on the server gives
    # an error, never a mixture. The one exception is a recalled version of which no byte has been
    # returned yet (`_has_given` is False): then reading starts anew with the current version.
    # Without a strong ETag bytes are kept in memory only. A forked process gets threads and
    # connections of its own; pickling keeps the URL and options.

    def __init__(
        self,
        remote: RemoteFile,
        *,
        options: StreamOptions | None = None,
        cache: Path | None = None,
        client: RangeClient | None = None,
    ) -> None:
        self.options = options or StreamOptions()
        self.cache = cache
        self._given = remote
        self._client: RangeClient = client or HttpClient(self.options.http, remote.hosts)
        self._is_confirmed = False
        self._has_given = False
        self.remote, self._is_recalled = identify(
            remote, self._client, cache, trust_hours=self.options.trust_hours
        )
        self.n_requests = 0
        self.n_bytes = 0
        self._changed: str | None = None
        self._windows: list[int] = []
        self._memory = PageMemory(self.options.memory_bytes)
        self._start()
        renew_in_child(self)

    def _start(self) -> None:
        self._store = self._make_store()
        self._lock = threading.RLock()
        self._in_flight: dict[int, Future[Run]] = {}
        self._pool = DaemonPool(self.options.rules.connections)
        self._closing = weakref.finalize(self, self._pool.shutdown)

    def renew(self) -> None:
        """Start threads and connections in a forked process, keeping the cached pages."""
        if self._closing.detach() is not None:
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

    def __reduce__(
        self,
    ) -> tuple[Callable[..., RemoteBytes], tuple[RemoteFile, StreamOptions, Path | None]]:
        return _reopen, (self.remote, self.options, self.cache)

    def close(self) -> None:
        """Stop all requests; reading afterwards raises."""
        self._closing()

    # ---- reading

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill a buffer with bytes from an offset; return their number."""
        return self._read(offset, buffer, is_metadata=False)

    def read_metadata_into(self, offset: int, buffer: memoryview) -> int:
        """Fill a buffer with HDF5 metadata, fetching a window around it and pinning it."""
        return self._read(offset, buffer, is_metadata=True)

    def prefetch(self, spans: Iterable[ByteRange], *, is_metadata: bool = False) -> None:
        """Begin to fetch byte ranges that will be read, without waiting for them."""
        # Half of the memory limit is the most that is prefetched. Failures are not raised here:
        # the reader of the bytes asks again and gets the error.
        if not self.is_open:
            return
        page_bytes = self.options.rules.page
        wanted = align(spans, page=page_bytes, size=self.size)
        pages = [page for span in wanted for page in self._pages_of(*span)]
        # more would evict the first pages before they are read
        pages = pages[: self.options.memory_bytes // 2 // page_bytes]
        with self._lock:
            missing = [page for page in pages if not self._is_near(page)]
            if missing and self._refresh():
                missing = [page for page in missing if not self._is_near(page)]
            if missing:
                self._submit(missing, is_metadata=is_metadata)

    def recall_spans(self, key: str) -> list[ByteRange] | None:
        """Return the byte ranges stored by `keep_spans` for this version, or None."""
        return None if self._store is None else read_spans(self._store.folder, key)

    def keep_spans(self, key: str, spans: Iterable[ByteRange]) -> None:
        """Store byte ranges under a key, to save a later opening the search for them."""
        if self._store is not None:
            write_spans(self._store.folder, key, unite(spans))

    def _read(self, offset: int, buffer: memoryview, *, is_metadata: bool) -> int:
        if not self.is_open:
            raise InvalidArgumentError(f"{self.url} was closed; open the session again")
        try:
            return self._read_segments(offset, buffer, is_metadata=is_metadata)
        except ChangedError:
            # the recorded version is out of date, and none of its bytes were returned yet
            if not self._is_recalled or self._has_given:
                raise
        self._start_anew()
        return self._read_segments(offset, buffer, is_metadata=is_metadata)

    def _read_segments(self, offset: int, buffer: memoryview, *, is_metadata: bool) -> int:
        stop = min(offset + len(buffer), self.size)
        for first in range(offset, stop, _SEGMENT_BYTES):
            last = min(first + _SEGMENT_BYTES, stop)
            self._fill(first, buffer[first - offset : last - offset], is_metadata=is_metadata)
            self._has_given = True
        return max(stop - offset, 0)

    def _fill(self, offset: int, buffer: memoryview, *, is_metadata: bool) -> None:
        size = self.options.rules.page
        stop = offset + len(buffer)
        found = self._gather(list(self._pages_of(offset, stop)), is_metadata=is_metadata)
        for page, block in found.items():
            begin = page * size
            first, last = max(offset, begin), min(stop, begin + len(block))
            buffer[first - offset : last - offset] = block[first - begin : last - begin]
            if is_metadata and not self._memory.is_pinned(page):
                self._pin(page, block)

    def _gather(self, pages: list[int], *, is_metadata: bool) -> dict[int, bytes]:
        """Return the bytes of pages, from the caches or the server."""
        found: dict[int, bytes] = {}
        while True:
            self._take_near(pages, found)
            missing = [page for page in pages if page not in found]
            if not missing:
                return found
            with self._lock:
                waiting = {self._in_flight[p] for p in missing if p in self._in_flight}
                own: set[Future[Run]] = set()
                if not waiting:
                    # pages that arrived, or were written by another process, since the last look
                    if any(map(self._is_near, missing)) or self._refresh():
                        continue
                    own = self._submit(missing, is_metadata=is_metadata)
            self._collect(waiting | own, own, missing, found)

    def _collect(
        self,
        futures: set[Future[Run]],
        own: set[Future[Run]],
        missing: list[int],
        found: dict[int, bytes],
    ) -> None:
        size = self.options.rules.page
        for future in futures:
            try:
                run = future.result()
            except CancelledError:
                raise InvalidArgumentError(f"{self.url} was closed while it was read") from None
            except SpikehouseError:
                # a failed request of another reader is repeated, once, by this one
                if future in own:
                    raise
                continue
            for page in missing:
                if run.first <= page < run.first + -(-len(run.content) // size):
                    found[page] = run.page(page, size)

    def _take_near(self, pages: list[int], found: dict[int, bytes]) -> None:
        """Add the pages that are in memory or on disk to `found`."""
        absent = []
        for page in pages:
            block = None if page in found else self._memory.get(page)
            if block is not None:
                found[page] = block
            elif page not in found:
                absent.append(page)
        if self._store is None or not absent:
            return
        for path, kept in cached_pages(absent, self._store).items():
            content = self._store.read(path)
            if content is None:
                continue
            run = Run(*content)
            self._remember(run, pinned=path.name.startswith("pinned"))
            found.update({page: run.page(page, self.options.rules.page) for page in kept})

    def _is_near(self, page: int) -> bool:
        return (
            page in self._in_flight
            or self._memory.get(page) is not None
            or (self._store is not None and self._store.find(page) is not None)
        )

    def _refresh(self) -> bool:
        return self._store is not None and self._store.refresh()

    def _pages_of(self, start: int, stop: int) -> range:
        size = self.options.rules.page
        return range(start // size, -(-stop // size))

    # ---- fetching

    def _submit(self, pages: list[int], *, is_metadata: bool) -> set[Future[Run]]:
        """Request pages that are neither cached nor in flight; the caller holds the lock."""
        size = self.options.rules.page
        spans = [(page * size, (page + 1) * size) for page in pages]
        if is_metadata:
            spans = [self._widen(*span) for span in spans]
        cached = [
            (page * size, (page + 1) * size)
            for span in spans
            for page in self._pages_of(*span)
            if page not in pages and self._is_near(page)
        ]
        futures = set()
        for start, stop in plan_requests(spans, cached, size=self.size, rules=self.options.rules):
            try:
                future = self._pool.submit(partial(self._fetch, start, stop, is_metadata))
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

    def _fetch(self, start: int, stop: int, is_metadata: bool) -> Run:
        run = Run(start // self.options.rules.page, self._request(start, stop))
        self._remember(run, pinned=is_metadata)
        if self._store is not None:
            self._store.write(run.first, run.content, pinned=is_metadata)
        return run

    def _land(self, start: int, stop: int, future: Future[Run]) -> None:
        with self._lock:
            for page in self._pages_of(start, stop):
                # a page of a bridged gap may be another request's
                if self._in_flight.get(page) is future:
                    del self._in_flight[page]

    def _request(self, start: int, stop: int) -> bytes:
        if self._changed is not None:
            raise SourceError(self._changed)
        with self._lock:
            self.n_requests += 1
        try:
            content = self._client.read_range(self.remote, start, stop)
        except ChangedError as error:
            self._changed = str(error)
            if self.cache is not None:
                forget_facts(self.cache, self.url)
            raise
        with self._lock:
            self.n_bytes += len(content)
        if len(content) != stop - start:
            raise SourceError(
                f"{self.url} gives {len(content)} bytes where {stop - start} were asked for"
            )
        self._confirm()
        return content

    def _remember(self, run: Run, *, pinned: bool) -> None:
        size = self.options.rules.page
        for place in range(0, len(run.content), size):
            page = run.first + place // size
            self._memory.put(page, run.content[place : place + size], pinned=pinned)

    def _pin(self, page: int, block: bytes) -> None:
        """Pin metadata that was fetched together with other bytes."""
        self._memory.put(page, block, pinned=True)
        if self._store is not None:
            self._store.write(page, block, pinned=True)

    # ---- which version

    def _start_anew(self) -> None:
        self.remote = probe(self._given, self._client)
        self._changed, self._is_recalled = None, False
        self._memory = PageMemory(self.options.memory_bytes)
        self._store = self._make_store()

    def _confirm(self) -> None:
        """Record size and ETag after the first range; a probe may be answered by an error page."""
        with self._lock:
            if self._is_confirmed:
                return
            self._is_confirmed = True
        etag = self._strong_etag()
        if self.cache is not None and etag is not None:
            facts = Facts(self.size, etag, time.time(), self.remote.modified)
            write_facts(self.cache, self.url, facts)

    def _strong_etag(self) -> str | None:
        return Version(self.size, self.remote.etag).strong_etag

    def _make_store(self) -> RunStore | None:
        etag = self._strong_etag()
        if self.cache is None or etag is None:
            if self.cache is not None:
                log.warning("%s has no strong ETag: what is read is kept in memory only", self.url)
            return None
        try:
            return RunStore(
                self.cache,
                self.url,
                etag,
                page=self.options.rules.page,
                limit=self.options.disk_bytes,
            )
        except CacheError as error:
            log.warning("what is read of %s is kept in memory only: %s", self.url, error)
            return None


def _reopen(remote: RemoteFile, options: StreamOptions, cache: Path | None) -> RemoteBytes:
    return RemoteBytes(remote, options=options, cache=cache)


_HOUR_S = 3600.0


def identify(
    remote: RemoteFile, client: RangeClient, cache: Path | None, *, trust_hours: float
) -> tuple[RemoteFile, bool]:
    """Return the file with size and validator, and whether these come from the record."""
    # The server is asked only if nothing is given or recorded, or the record is older than
    # `trust_hours`. An unreachable server is no failure if there is a record: cached bytes can be
    # read offline. A wrong record shows at the first request, whose answer must have the recorded
    # version.
    if remote.size is not None and remote.etag is not None:
        return remote, False
    known = None if cache is None else read_facts(cache, remote.url)
    if cache is None or known is None or remote.size not in (None, known.size):
        return probe(remote, client), False
    recalled = replace(remote, size=known.size, etag=known.etag, modified=known.modified)
    if time.time() - known.checked_at < trust_hours * _HOUR_S:
        return recalled, True
    try:
        probed = probe(remote, client)
    except UnreachableError as error:
        log.warning("%s is read from the cache: %s", remote.url, error)
        return recalled, True
    if probed == recalled:
        write_facts(cache, remote.url, replace(known, checked_at=time.time()))
    return probed, False


def probe(remote: RemoteFile, client: RangeClient) -> RemoteFile:
    """Ask the server for size and validator of a file."""
    probed = client.probe(remote)
    if probed.size is None:
        raise SourceError(f"{remote.url}: the server does not say how long the file is")
    return probed


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
        Limit for streamed bytes in the cache folder, of all remote files together.
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
