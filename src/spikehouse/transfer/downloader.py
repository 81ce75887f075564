"""Download the missing bytes of one file over several connections."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from spikehouse.errors import SourceError, SpikehouseError, TransferError
from spikehouse.transfer.answers import ChangedError, check_head, check_same, read_answer
from spikehouse.transfer.client import HttpClient, iterate_blocks
from spikehouse.transfer.in_flight import InFlight
from spikehouse.transfer.parts import Part
from spikehouse.transfer.pieces import plan_pieces, split_span
from spikehouse.transfer.progress import FileProgress
from spikehouse.transfer.remote_file import RemoteFile, Span
from spikehouse.transfer.retry import RetryState, TransientError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

__all__ = ["RangeDownloader", "RangesIgnoredError"]

log = logging.getLogger(__name__)

# limit for a file of unknown length; the largest of the data set has 3.3 GB
MAX_FILE_BYTES = 4 << 30
WATCH_S = 0.2
JOIN_S = 0.8


class RangesIgnoredError(SourceError):
    """The server now ignores range requests and sends the whole file, of the same version."""


class _StoppedError(Exception):
    """Ends a worker thread when the download stops."""


class RangeDownloader:
    """Download the missing byte ranges of a part with one thread per connection."""

    # Invariants. Every byte range is in exactly one place: in `_waiting` (nobody has begun it), in
    # one InFlight of `_active` (one thread fetches it), or finished in the part. All three change
    # only while `_state` is held; InFlight.position alone is advanced by its own thread without
    # the lock, since only that thread writes it and a stale value makes `_steal` cut a little too
    # early, no more. Byte ranges begin at block boundaries of the part, so a block is written and
    # its CRC-32 computed by one thread, except after a steal or a restart, where has_block() makes
    # the second copy of a block a no-op.
    #
    # An idle thread takes the next waiting range, else the second half of the slowest active one.
    # A failing connection puts its range back (from the beginning of the unfinished block) and
    # ends; the download fails when the last connection does, or at once when the file changed. The
    # calling thread only waits: it stays responsive to Ctrl-C, and on leaving shuts the sockets of
    # all active threads. Memory: one block of 512 KiB per connection.

    def __init__(
        self,
        part: Part,
        remote: RemoteFile,
        client: HttpClient,
        *,
        progress: FileProgress,
        is_stopped: Callable[[], bool],
        has_ranges: bool,
    ) -> None:
        self._part = part
        self._remote = remote
        self._client = client
        self._progress = progress
        self._is_stopped = is_stopped
        self._has_ranges = has_ranges
        self._stopping = threading.Event()
        self._state = threading.Condition()
        self._waiting: deque[Span] = deque()
        self._active: list[InFlight] = []
        self._n_threads = 0
        self._failure: BaseException | None = None
        self._high_water = 0

    def run(self, response: BaseHTTPResponse | None, span: tuple[int, int | None]) -> None:
        """Download what is missing; `response` is an open answer with the bytes `span`, or None."""
        threads = self._start(response, span)
        try:
            self._watch()
        finally:
            # a thread that waits for the headers of an answer has no socket to shut yet: it ends
            # later, and must not delay the caller
            self._stopping.set()
            self._hang_up()
            deadline = time.monotonic() + JOIN_S
            for thread in threads:
                thread.join(max(deadline - time.monotonic(), 0.0))

    def _start(
        self, response: BaseHTTPResponse | None, span: tuple[int, int | None]
    ) -> list[threading.Thread]:
        jobs: list[tuple[InFlight | None, BaseHTTPResponse | None]] = []
        present = self._part.list_present()
        if response is not None:
            jobs.append((InFlight(*span), response))
            present.append((span[0], span[1] or span[0]))
        if self._has_ranges:
            self._waiting.extend(self._plan(present))
        elif response is None:
            self._waiting.append((0, self._part.version.size or 0))
        most = self._client.options.connections if self._has_ranges else 1
        jobs += [(None, None)] * min(len(self._waiting), max(most, 1) - len(jobs))
        self._active.extend(piece for piece, _ in jobs if piece is not None)
        threads = [threading.Thread(target=self._work, args=job, daemon=True) for job in jobs]
        self._n_threads = len(threads)
        for thread in threads:
            thread.start()
        return threads

    def _plan(self, present: list[Span]) -> list[Span]:
        return plan_pieces(
            self._part.version.size or 0,
            present,
            connections=self._client.options.connections,
            smallest=self._part.block_bytes,
        )

    def _watch(self) -> None:
        with self._state:
            while self._n_threads > 0 and self._failure is None:
                self._state.wait(WATCH_S)
                if self._is_stopped():
                    raise TransferError(f"the download of {self._remote.name} was stopped")
            if self._failure is not None:
                raise self._failure

    def _hang_up(self) -> None:
        with self._state:
            for piece in self._active:
                piece.shut()
            self._state.notify_all()

    def _work(self, piece: InFlight | None, response: BaseHTTPResponse | None) -> None:
        try:
            while (piece := piece or self._take()) is not None:
                self._fetch(piece, response)
                self._put_away(piece)
                piece = response = None
        except _StoppedError:
            pass
        except (SourceError, TransferError) as error:
            self._leave(piece, error)
        except BaseException as error:  # noqa: BLE001 - raised again by the calling thread
            self._fail(error)
        finally:
            with self._state:
                self._n_threads -= 1
                self._state.notify_all()

    def _take(self) -> InFlight | None:
        with self._state:
            while not self._stopping.is_set():
                span = self._waiting.popleft() if self._waiting else self._steal()
                if span is not None:
                    piece = InFlight(*span)
                    self._active.append(piece)
                    return piece
                if not self._active:
                    return None
                self._state.wait(WATCH_S)
        return None

    def _steal(self) -> Span | None:
        """Take the second half of the longest remaining range of a slow connection."""
        now = time.monotonic()
        slow = [piece for piece in self._active if piece.stop is not None and piece.is_slow(now)]
        if not self._has_ranges or not slow:
            return None
        piece = max(slow, key=lambda piece: (piece.stop or 0) - piece.position)
        halves = split_span((piece.position, piece.stop or 0), smallest=self._part.block_bytes)
        if halves is None:
            return None
        piece.stop = halves[1][0]
        return halves[1]

    def _put_away(self, piece: InFlight) -> None:
        with self._state:
            self._active.remove(piece)
            self._state.notify_all()

    def _leave(self, piece: InFlight | None, error: SpikehouseError) -> None:
        """End this thread, and the download too if no other connection is left."""
        with self._state:
            others = [other for other in self._active if other is not piece]
            if isinstance(error, ChangedError | RangesIgnoredError) or not others:
                self._failure = self._failure or error
                return
            # a server may not like as many connections as we opened
            log.warning("going on with one connection less: %s", error)
            if piece is not None:
                self._active.remove(piece)
                start = piece.position - piece.position % self._part.block_bytes
                self._progress.update(start - piece.position)
                self._waiting.appendleft((start, piece.stop or start))

    def _fail(self, error: BaseException) -> None:
        with self._state:
            self._failure = self._failure or error

    # --- one piece

    def _fetch(self, piece: InFlight, response: BaseHTTPResponse | None) -> None:
        retries = RetryState(self._client.options, has_met=True)
        while not piece.is_done():
            before = self._mark_of(piece)
            try:
                self._fetch_once(piece, response)
            except (TransientError, TransferError) as error:
                if not self._part.version.is_resumable:
                    # what the next answer brings may be of another version: see Fetch
                    raise
                if self._mark_of(piece) > before:
                    retries.restart()
                self._pause(retries, error)
            response = None

    def _mark_of(self, piece: InFlight) -> int:
        # a stream that starts over makes progress only beyond the furthest earlier position
        self._high_water = max(self._high_water, piece.position) if not self._has_ranges else 0
        return piece.position if self._has_ranges else self._high_water

    def _pause(self, retries: RetryState, error: TransientError | TransferError) -> None:
        if self._stopping.is_set() or self._stopping.wait(retries.next_wait(error)):
            raise _StoppedError

    def _fetch_once(self, piece: InFlight, response: BaseHTTPResponse | None) -> None:
        if response is None:
            response = self._ask(piece)
        try:
            with self._reachable(piece, response):
                self._receive(piece, response)
        finally:
            # not release_conn: what is left of a body must not reach the next request; one that
            # was read to its end is back in the pool already
            response.close()

    def _ask(self, piece: InFlight) -> BaseHTTPResponse:
        if self._stopping.is_set():
            raise _StoppedError
        if self._has_ranges:
            return self._ask_range(piece)
        remote = self._remote
        timeout = self._client.options.answer_timeout
        response = self._client.open(remote.url, timeout=timeout, hosts=remote.hosts)
        self._check(response, None)
        # a whole file begins at its beginning
        piece.position = piece.checksum = 0
        self._progress.begin(self._part.version.size, self._part.count_present())
        return response

    def _ask_range(self, piece: InFlight) -> BaseHTTPResponse:
        version = self._part.version
        start, stop = piece.position, piece.stop or 0
        response = self._client.ask_range(self._remote, start, stop, validator=version.validator)
        if response.status == 416:
            response.close()
            raise ChangedError(f"{self._remote.url} has no bytes {start} to {stop - 1} any more")
        self._check(response, (start, stop))
        return response

    def _check(self, response: BaseHTTPResponse, asked: Span | None) -> None:
        try:
            answer = read_answer(response, self._remote, asked=asked)
            check_same(answer, self._part.version)
            if asked is not None and not answer.is_range:
                raise RangesIgnoredError(f"{self._remote.url} serves no ranges any more")
        except BaseException:
            response.close()
            raise

    @contextlib.contextmanager
    def _reachable(self, piece: InFlight, response: BaseHTTPResponse) -> Iterator[None]:
        """Let other threads end a blocking read of the body by shutting down its socket."""
        try:
            # a duplicate descriptor: that of the response may be closed and reused meanwhile
            line = socket.fromfd(response.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        except (OSError, ValueError, AttributeError):
            # the body is empty or was read with the headers
            line = None
        with self._state:
            piece.line, piece.last_byte = line, time.monotonic()
        try:
            yield
        finally:
            with self._state:
                piece.line = None
            if line is not None:
                line.close()

    def _receive(self, piece: InFlight, response: BaseHTTPResponse) -> None:
        before = piece.position
        most = (piece.stop or MAX_FILE_BYTES) - before
        for block in iterate_blocks(response, url=self._remote.url, most=most):
            if self._stopping.is_set():
                raise _StoppedError
            if piece.position == 0:
                check_head(block, self._remote.url, self._remote.name)
            self._take_in(piece, memoryview(block))
            piece.last_byte = time.monotonic()
            if piece.is_done():
                return
        if piece.stop is None:
            self._end_of_unknown(piece)
        elif not self._has_ranges or piece.position == before:
            raise TransferError(
                f"{self._remote.url} promised the bytes up to {piece.stop} and sent them up to "
                f"{piece.position}"
            )

    def _take_in(self, piece: InFlight, data: memoryview) -> None:
        part = self._part
        while data and not piece.is_done():
            start = piece.position - piece.position % part.block_bytes
            stop = min(start + part.block_bytes, part.version.size or start + part.block_bytes)
            end = stop if piece.stop is None else min(stop, piece.stop)
            some = data[: end - piece.position]
            data = data[len(some) :]
            is_new = not part.has_block(start)
            if is_new:
                part.write(piece.position, some)
                self._progress.update(len(some))
            piece.checksum = zlib.crc32(some, piece.checksum)
            piece.position += len(some)
            if piece.position == stop:
                if is_new:
                    part.finish_block((start, stop), piece.checksum)
                piece.checksum = 0

    def _end_of_unknown(self, piece: InFlight) -> None:
        start = piece.position - piece.position % self._part.block_bytes
        if piece.position > start:
            self._part.finish_block((start, piece.position), piece.checksum)
        piece.stop = piece.position
