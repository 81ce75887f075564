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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spikehouse.errors import SourceError, SpikehouseError, TransferError
from spikehouse.transfer.byte_count import add_bytes
from spikehouse.transfer.byte_ranges import ByteRange, halve, plan_download
from spikehouse.transfer.http import (
    ChangedError,
    HttpClient,
    check_head,
    iterate_blocks,
)
from spikehouse.transfer.progress import FileProgress
from spikehouse.transfer.remote_file import RemoteFile
from spikehouse.transfer.retry import retry
from spikehouse.transfer.sparse_file import SparseFile

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

__all__ = ["RangeDownloader", "RangesIgnoredError"]

log = logging.getLogger(__name__)

# the most that a connection loses if the process is killed
BLOCK_BYTES = 1 << 19
# limit for a file of unknown length
MAX_FILE_BYTES = 4 << 30
# bytes expected to arrive sooner than this are not worth another request [s]
STEAL_S = 1.0
WATCH_S = 0.2
JOIN_S = 0.8


class RangesIgnoredError(SourceError):
    """The server now ignores range requests and sends the whole file, of the same version."""


class _StoppedError(Exception):
    """Ends a worker thread when the download stops."""


@dataclass
class _InFlight:
    """The byte range that one connection is downloading, and its progress."""

    # next byte to receive
    position: int
    # end of the range (exclusive), None for a file of unknown length; another connection may lower
    # it
    stop: int | None
    # start of the bytes that were written and not recorded yet, and their CRC-32
    unrecorded: int = 0
    checksum: int = 0
    # where and when the range was begun, and when the last bytes came [s]
    begun_at: int = 0
    begun: float = field(default_factory=time.monotonic)
    last_byte: float = field(default_factory=time.monotonic)
    # socket of the answer, for other threads to shut down
    line: socket.socket | None = None

    def __post_init__(self) -> None:
        self.begun_at = self.unrecorded = self.position

    def is_done(self) -> bool:
        """Return whether every byte of the range has arrived."""
        return self.stop is not None and self.position >= self.stop

    def is_slow(self, now: float) -> bool:
        """Return whether another connection should take over a part of the range."""
        if now - self.last_byte > STEAL_S:
            return True
        if self.stop is None or now - self.begun < STEAL_S:
            return False
        rate = (self.position - self.begun_at) / (now - self.begun)
        return self.stop - self.position > rate * STEAL_S


class RangeDownloader:
    """Download the missing byte ranges of a file with one thread per connection."""

    # Invariants. Every missing byte is in exactly one place: in a range of `_waiting` (nobody has
    # begun it), in one _InFlight of `_active` (one thread fetches it), or recorded in the sparse
    # file. All three change only while `_state` is held; _InFlight.position alone is advanced by
    # its own thread without the lock, since only that thread writes it and a stale value makes
    # `_steal` cut a little too early, no more. A thread records what it wrote at every multiple of
    # BLOCK_BYTES and whenever it stops, so a failure loses nothing.
    #
    # An idle thread takes the next waiting range, else the second half of the slowest active one.
    # A failing connection puts back what is left of its range and ends; the download fails when
    # the last connection does, or at once when the file changed. The calling thread only waits: it
    # stays responsive to Ctrl-C, and on leaving shuts the sockets of all active threads. Memory:
    # one block per connection.

    def __init__(
        self,
        part: SparseFile,
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
        self._waiting: deque[ByteRange] = deque()
        self._active: list[_InFlight] = []
        self._n_threads = 0
        self._failure: BaseException | None = None

    def run(self, response: BaseHTTPResponse | None, first: tuple[int, int | None]) -> None:
        """Download what is missing; an open `response` has the bytes `first`."""
        jobs: list[tuple[_InFlight | None, BaseHTTPResponse | None]] = []
        options, size = self._client.options, self._part.version.size or 0
        present = self._part.list_present()
        if response is not None:
            self._active.append(_InFlight(*first))
            jobs.append((self._active[0], response))
            present.append((first[0], first[1] or first[0]))
        if self._has_ranges:
            missing = plan_download(
                size, present, connections=options.connections, smallest=BLOCK_BYTES
            )
            self._waiting.extend(missing)
        elif response is None:
            self._waiting.append((0, size))
        n_connections = max(options.connections, 1) if self._has_ranges else 1
        jobs += [(None, None)] * min(len(self._waiting), n_connections - len(jobs))
        threads = [threading.Thread(target=self._work, args=job, daemon=True) for job in jobs]
        self._n_threads = len(threads)
        for thread in threads:
            thread.start()
        try:
            self._watch()
        finally:
            # a thread that waits for the headers of an answer has no socket to shut yet: it ends
            # later, and must not delay the caller
            self._stopping.set()
            with self._state:
                for flight in self._active:
                    if flight.line is not None:
                        # it may be closed by now
                        with contextlib.suppress(OSError):
                            flight.line.shutdown(socket.SHUT_RDWR)
                self._state.notify_all()
            deadline = time.monotonic() + JOIN_S
            for thread in threads:
                thread.join(max(deadline - time.monotonic(), 0.0))

    def _watch(self) -> None:
        with self._state:
            while self._n_threads > 0 and self._failure is None:
                self._state.wait(WATCH_S)
                if self._is_stopped():
                    raise TransferError(f"the download of {self._remote.name} was stopped")
            if self._failure is not None:
                raise self._failure

    # --- a connection

    def _work(self, flight: _InFlight | None, response: BaseHTTPResponse | None) -> None:
        try:
            while (flight := flight or self._take()) is not None:
                self._fetch(flight, response)
                with self._state:
                    self._active.remove(flight)
                    self._state.notify_all()
                flight = response = None
        except _StoppedError:
            pass
        except (SourceError, TransferError) as error:
            self._leave(flight, error)
        except BaseException as error:  # noqa: BLE001 - raised again by the calling thread
            with self._state:
                self._failure = self._failure or error
        finally:
            with self._state:
                self._n_threads -= 1
                self._state.notify_all()

    def _take(self) -> _InFlight | None:
        """Take over a range: one that waits, or the second half of a slow connection's."""
        with self._state:
            while not self._stopping.is_set():
                found = self._waiting.popleft() if self._waiting else self._steal()
                if found is not None:
                    self._active.append(_InFlight(*found))
                    return self._active[-1]
                if not self._active:
                    return None
                self._state.wait(WATCH_S)
        return None

    def _steal(self) -> ByteRange | None:
        now = time.monotonic()
        slow = [
            flight for flight in self._active if flight.stop is not None and flight.is_slow(now)
        ]
        if not self._has_ranges or not slow:
            return None
        flight = max(slow, key=lambda flight: (flight.stop or 0) - flight.position)
        halves = halve((flight.position, flight.stop or 0), smallest=BLOCK_BYTES)
        if halves is None:
            return None
        flight.stop = halves[1][0]
        return halves[1]

    def _leave(self, flight: _InFlight | None, error: SpikehouseError) -> None:
        """End this thread, and the download too if no other connection is left."""
        with self._state:
            others = [other for other in self._active if other is not flight]
            if isinstance(error, ChangedError | RangesIgnoredError) or not others:
                self._failure = self._failure or error
            elif not self._stopping.is_set():
                # a server may not like as many connections as we opened
                log.warning("going on with one connection less: %s", error)
                if flight is not None:
                    self._active.remove(flight)
                    self._waiting.appendleft((flight.position, flight.stop or flight.position))

    # --- a byte range

    def _fetch(self, flight: _InFlight, response: BaseHTTPResponse | None) -> None:
        given = [response]

        def attempt() -> None:
            while not flight.is_done():
                answer = (given.pop() if given else None) or self._ask(flight)
                try:
                    with self._stoppable(flight, answer):
                        self._receive(flight, answer)
                finally:
                    # not release_conn: what is left of a body must not reach the next request; one
                    # that was read to its end is back in the pool already
                    answer.close()

        def sleep(seconds: float) -> None:
            if self._stopping.wait(seconds):
                raise _StoppedError

        retry(
            attempt,
            options=self._client.options,
            has_met=True,
            sleep=sleep,
            # one stream begins again at the first byte
            progress=lambda: flight.position if self._has_ranges else self._part.front,
            # otherwise what the next answer brings may be of another version
            may_retry=lambda: self._part.version.is_resumable and not self._stopping.is_set(),
        )

    def _ask(self, flight: _InFlight) -> BaseHTTPResponse:
        if self._stopping.is_set():
            raise _StoppedError
        remote, client, version = self._remote, self._client, self._part.version
        if self._has_ranges:
            asked = flight.position, flight.stop or 0
            response, answer = client.get(remote, asked, validator=version.validator)
        else:
            response, answer = client.get(remote)
            # a whole file begins at its beginning
            flight.position = flight.unrecorded = flight.checksum = 0
        # without a validator, the published digest tells versions apart in the end
        is_vouched_for = answer.version.is_same(version) or version.sha256 is not None
        if not is_vouched_for or answer.version.differs(version):
            response.close()
            raise ChangedError(f"{version.url} has changed at the server while it was fetched")
        if answer.is_range != self._has_ranges:
            response.close()
            raise RangesIgnoredError(f"{remote.url} serves no ranges any more")
        return response

    @contextlib.contextmanager
    def _stoppable(self, flight: _InFlight, response: BaseHTTPResponse) -> Iterator[None]:
        """Let other threads end a blocking read of the body by shutting down its socket."""
        try:
            # a duplicate descriptor: that of the response may be closed and reused meanwhile
            line = socket.fromfd(response.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        except (OSError, ValueError, AttributeError):
            # the body is empty or was read with the headers
            line = None
        with self._state:
            flight.line, flight.last_byte = line, time.monotonic()
        try:
            yield
        finally:
            with self._state:
                flight.line = None
            if line is not None:
                line.close()

    def _receive(self, flight: _InFlight, response: BaseHTTPResponse) -> None:
        before, url = flight.position, self._remote.url
        try:
            most = (flight.stop or MAX_FILE_BYTES) - before
            for block in iterate_blocks(response, url=url, most=most):
                if self._stopping.is_set():
                    raise _StoppedError
                if flight.position == 0:
                    check_head(block, url, self._remote.name)
                self._write(flight, memoryview(block))
                flight.last_byte = time.monotonic()
                if flight.is_done():
                    return
        finally:
            self._record(flight)
        if flight.stop is None:
            flight.stop = flight.position
        elif not self._has_ranges or flight.position == before:
            raise TransferError(
                f"{url} promised the bytes up to {flight.stop} and sent them up to "
                f"{flight.position}"
            )

    def _write(self, flight: _InFlight, data: memoryview) -> None:
        while data and not flight.is_done():
            end = flight.position + BLOCK_BYTES - flight.position % BLOCK_BYTES
            end = end if flight.stop is None else min(end, flight.stop)
            some, data = data[: end - flight.position], data[end - flight.position :]
            # one stream that began again, or the owner of a range that was slow and then was not
            n_there = min(max(self._part.front - flight.position, 0), len(some))
            if n_there > 0:
                self._record(flight)
                flight.position += n_there
                flight.unrecorded = flight.position
            new = some[n_there:]
            self._part.write(flight.position, new)
            self._progress.update(len(new))
            add_bytes(len(new))
            flight.checksum = zlib.crc32(new, flight.checksum)
            flight.position += len(new)
            if flight.position % BLOCK_BYTES == 0:
                self._record(flight)

    def _record(self, flight: _InFlight) -> None:
        if flight.position > flight.unrecorded:
            self._part.record(flight.unrecorded, flight.position, flight.checksum)
        flight.unrecorded, flight.checksum = flight.position, 0
