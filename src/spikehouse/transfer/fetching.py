"""Download all bytes of one version of a remote file into its part."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from spikehouse.errors import (
    CacheError,
    InvalidFileError,
    SpikehouseError,
    TransferError,
)
from spikehouse.transfer.answers import Answer, ChangedError, read_answer
from spikehouse.transfer.client import HttpClient, iterate_blocks, retry
from spikehouse.transfer.digest import FrontDigest
from spikehouse.transfer.disk import check_space
from spikehouse.transfer.downloader import RangeDownloader, RangesIgnoredError
from spikehouse.transfer.part_state import count_kept, forget_part, part_of, read_state
from spikehouse.transfer.parts import LARGEST_BLOCK, Part, open_part
from spikehouse.transfer.progress import FileProgress
from spikehouse.transfer.remote_file import RemoteFile
from spikehouse.transfer.retry import RetryState, TransientError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

__all__ = ["Fetch"]

log = logging.getLogger(__name__)

T = TypeVar("T")

# the first request brings so much, so that a small file takes one; it ends where a block does
FIRST_BYTES = LARGEST_BLOCK
MAX_VERSIONS = 4
WATCH_S = 0.2


class _LostError(Exception):
    """A failed attempt that left nothing to resume from."""

    def __init__(self, reason: TransientError | TransferError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Fetch:
    """Download one remote file, starting over where the server makes that necessary."""

    # `_run` loops over whole attempts, RangeDownloader inside it over byte ranges. A new attempt
    # begins when (1) the server stops serving ranges: one stream instead; (2) the file changed:
    # its part is deleted, and after MAX_VERSIONS versions the download fails; (3) the version has
    # no validator and the connection broke: the bytes of two answers must not be combined, so
    # everything starts over.

    def __init__(
        self,
        remote: RemoteFile,
        target: Path,
        client: HttpClient,
        *,
        progress: FileProgress,
        is_stopped: Callable[[], bool],
        has_digest: bool,
    ) -> None:
        self._remote = remote
        self._target = target
        self._client = client
        self._progress = progress
        self._is_stopped = is_stopped
        self._has_digest = has_digest

    @contextlib.contextmanager
    def run(self) -> Iterator[tuple[Part, FrontDigest | None]]:
        """Download what is missing and yield the complete part (not yet synced) and its digest."""
        try:
            with self._run() as fetched:
                yield fetched
        except InvalidFileError:
            # the bytes were wrong and were deleted
            raise
        except SpikehouseError as error:
            if kept := self._describe_kept():
                error.args = (f"{error.message}; {kept}", *error.args[1:])
            raise
        except KeyboardInterrupt as error:
            if kept := self._describe_kept():
                log.warning("interrupted: %s", kept)
                error.add_note(kept)
            raise

    @contextlib.contextmanager
    def _run(self) -> Iterator[tuple[Part, FrontDigest | None]]:
        is_ranged = True
        n_versions = 1
        retries = RetryState(self._client.options)
        while True:
            try:
                with self._begin(is_ranged) as (part, digest, response, answer):
                    self._fetch_all(part, response, answer)
                    yield part, digest
                return
            except RangesIgnoredError as error:
                log.warning("%s: one stream instead", error)
                is_ranged = False
            except ChangedError as error:
                if n_versions == MAX_VERSIONS:
                    raise TransferError(f"{error}, for the {n_versions}th time") from error
                log.warning("%s: starting over with the new version", error)
                forget_part(self._target)
                n_versions += 1
                # the last try is one stream: nothing to put together
                is_ranged = n_versions < MAX_VERSIONS
            except _LostError as error:
                wait = retries.next_wait(error.reason)
                self._unless_stopped(partial(threading.Event.wait, timeout=wait))

    def _fetch_all(self, part: Part, response: BaseHTTPResponse | None, answer: Answer) -> None:
        downloader = RangeDownloader(
            part,
            self._remote,
            self._client,
            progress=self._progress,
            is_stopped=self._is_stopped,
            has_ranges=answer.is_range,
        )
        try:
            with part.flushing():
                downloader.run(response, (answer.start, answer.stop))
        except (TransientError, TransferError) as error:
            if part.version.is_resumable or self._is_stopped():
                raise
            raise _LostError(error) from error
        part.settle()

    def _describe_kept(self) -> str:
        """Describe what a later call can resume from, and delete what it cannot use."""
        state = read_state(self._target)
        n_kept = count_kept(self._target)
        if state is None or n_kept == 0:
            with contextlib.suppress(CacheError):
                forget_part(self._target)
            return ""
        return (
            f"{n_kept} of {state.version.size} bytes are kept in {part_of(self._target).name}: "
            "the same call resumes from there"
        )

    @contextlib.contextmanager
    def _begin(
        self, is_ranged: bool
    ) -> Iterator[tuple[Part, FrontDigest | None, BaseHTTPResponse | None, Answer]]:
        contact = self._contact_ranged if is_ranged else self._contact_plain
        with contextlib.ExitStack() as stack:
            response, answer = self._meet(contact)
            if response is not None:
                stack.callback(response.close)
            part = open_part(self._target, answer.version, is_stopped=self._is_stopped)
            stack.callback(part.close)
            n_present = part.count_present()
            self._progress.begin(answer.version.size, n_present)
            if answer.version.size is not None:
                check_space(self._target, answer.version.size - n_present)
            digest = None
            if self._has_digest or part.version.sha256 is not None:
                digest = FrontDigest(part)
                stack.callback(digest.close)
            yield part, digest, response, answer

    def _meet(
        self, contact: Callable[[], tuple[BaseHTTPResponse | None, Answer]]
    ) -> tuple[BaseHTTPResponse | None, Answer]:
        options = self._client.options
        try:
            return self._unless_stopped(
                lambda stopped: retry(contact, options=options, sleep=stopped.wait)
            )
        except ChangedError as error:
            # another length than the source knows: the existing part may still be right, and
            # is kept
            raise TransferError(str(error)) from error

    def _contact_ranged(self) -> tuple[BaseHTTPResponse | None, Answer]:
        # if a part exists its first bytes are not needed, only the version on the server
        asked = (0, FIRST_BYTES if read_state(self._target) is None else 1)
        response = self._client.ask_range(self._remote, *asked)
        try:
            if response.status == 416:
                # a file of no bytes has no range either
                response.close()
                return self._contact_plain()
            answer = read_answer(response, self._remote, asked=asked)
            if not answer.is_range or answer.stop == answer.version.size:
                return response, answer
            if not answer.version.is_resumable:
                log.info("%s does not tell versions apart: one stream", self._remote.url)
                response.close()
                return self._contact_plain()
            if asked[1] > 1:
                return response, answer
            for _ in iterate_blocks(response, url=self._remote.url, most=1):
                pass  # one byte: read, so that the connection can be used again
            return None, answer
        except BaseException:
            response.close()
            raise

    def _contact_plain(self) -> tuple[BaseHTTPResponse, Answer]:
        timeout = self._client.options.answer_timeout
        response = self._client.open(self._remote.url, timeout=timeout, hosts=self._remote.hosts)
        try:
            answer = read_answer(response, self._remote)
        except BaseException:
            response.close()
            raise
        return response, Answer(answer.version, 0, answer.version.size, is_range=False)

    def _unless_stopped(self, action: Callable[[threading.Event], T]) -> T:
        """Run a function that may block in a daemon thread, and abandon it when stopped."""
        results: list[T] = []
        failures: list[BaseException] = []
        stopped = threading.Event()

        def act() -> None:
            try:
                results.append(action(stopped))
            except BaseException as error:  # noqa: BLE001 - raised again below
                failures.append(error)

        thread = threading.Thread(target=act, daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                thread.join(WATCH_S)
                if thread.is_alive() and self._is_stopped():
                    raise TransferError(f"the download of {self._remote.name} was stopped")
        finally:
            stopped.set()
        if failures:
            raise failures[0]
        return results[0]
