"""Run a recipe, in a thread or in a process of its own that ends when nobody waits any more."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any, TypeVar

from spikehouse.errors import InvalidArgumentError, NotFoundError, SpikehouseError, printable
from spikehouse.transfer.byte_count import count_bytes
from spikehouse.transfer.threads import DaemonPool

if TYPE_CHECKING:
    from starlette.requests import Request

    from spikehouse.explore._recipes import Recipe

T = TypeVar("T")

N_THREADS = 4
N_PROCESSES = 2
LOOK_EVERY_S = 0.1
IDLE_S = 300.0
# how long the end waits for the start of a process, and for its end
START_S = 1.5
# what a new process is told is changed and changed back
_starting = threading.Lock()
MOST_NOTICES = 8


class TooLargeError(InvalidArgumentError):
    """An answer that is larger than a page takes."""


class GoneError(Exception):
    """Nobody waits for the answer any more."""


class FailedError(Exception):
    """A recipe failed in a process, which printed the traceback unless there is a message."""


@dataclass(frozen=True)
class Answer:
    """An encoded answer, with what is to be said about it."""

    content: bytes
    notices: list[str]
    # read from files and servers meanwhile, by this process
    n_bytes: int


def run_recipe(
    recipe: Recipe,
    subject: object,
    arguments: Mapping[str, Any],
    known: dict[str, Any] | None = None,
) -> Answer:
    """Compute the answer of a recipe unless it is known, and encode it."""
    from spikehouse.explore._answers import encode
    from spikehouse.explore._recipes import LARGEST_ANSWER

    before = count_bytes()
    try:
        with noting() as notices:
            content = encode(known or recipe.function(subject, **arguments))
    except AttributeError as error:
        # an adapter needs only the methods for which its recording has data
        if error.obj is None or error.obj is not getattr(subject, "api", None):
            raise
        raise NotFoundError(
            f"this recording does not have it: its adapter has no {error.name}"
        ) from None
    if len(content) > LARGEST_ANSWER:
        raise TooLargeError(
            f"the answer of {recipe.name} has {len(content) / 1e6:.1f} MB, and a page takes "
            f"{LARGEST_ANSWER / 1e6:.1f} MB: ask for {recipe.describe_narrower()}"
        )
    return Answer(content, notices, count_bytes() - before)


# ---- warnings

# thread → what its recipe warned of
_noted: dict[int, list[str]] = {}
_noting_lock = threading.Lock()
_restore = contextlib.ExitStack()


@contextlib.contextmanager
def noting() -> Iterator[list[str]]:
    """Collect the warnings of this thread for its user; those of other threads go their way."""
    # filters are the process's: they are changed when the first recipe begins, and changed back
    # when the last one ends, because recipes of several threads overlap
    notices: list[str] = []
    with _noting_lock:
        if not _noted:
            _restore.enter_context(warnings.catch_warnings())
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = _note_for(warnings.showwarning)
        _noted[threading.get_ident()] = notices
    try:
        yield notices
    finally:
        with _noting_lock:
            del _noted[threading.get_ident()]
            if not _noted:
                _restore.close()


def _note_for(show: Callable[..., None]) -> Callable[..., None]:
    def note(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:  # noqa: ANN401
        notices = _noted.get(threading.get_ident())
        if notices is None or not issubclass(category, UserWarning):
            show(message, category, *rest, **more)
        elif (text := printable(message)) not in notices and len(notices) < MOST_NOTICES:
            notices.append(text)

    return note


# ---- here


class Runner:
    """Run recipes while somebody waits for them."""

    def __init__(self) -> None:
        self._threads = DaemonPool(N_THREADS)
        self._gate = asyncio.Semaphore(N_THREADS)
        self._waiting = DaemonPool(N_PROCESSES)
        self._heavy_gate = asyncio.Semaphore(N_PROCESSES)
        # a process takes seconds to start: those that have done their work wait for more
        self._idle: list[Process] = []
        self._busy: set[Process] = set()
        self._lock = threading.Lock()
        self._is_open = True

    async def run(self, request: Request, job: Callable[[], T]) -> T:
        """Run a function in a thread, unless nobody waits by the time that there is one."""
        async with self._gate:
            if await request.is_disconnected():
                raise GoneError
            return await asyncio.wrap_future(self._threads.submit(job))

    async def run_apart(self, request: Request, order: bytes) -> Answer | None:
        """Run a recipe in a process; None if the process cannot read the order."""
        async with self._heavy_gate:
            if await request.is_disconnected():
                raise GoneError
            process = await asyncio.wrap_future(self._waiting.submit(self._take))
            asked: asyncio.Future[Any] = asyncio.wrap_future(
                self._waiting.submit(lambda: process.ask(order))
            )
            gone: asyncio.Future[Any] = asyncio.ensure_future(_wait_until_gone(request))
            try:
                await asyncio.wait({asked, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not asked.done():
                    raise GoneError
                return _read(asked.result())
            finally:
                gone.cancel()
                self._give_back(process, is_idle=asked.done() and not asked.exception())
                with contextlib.suppress(Exception):
                    await asked

    def warm_up(self) -> None:
        """Start a process before it is needed."""
        if not self._idle:
            self._give_back(self._start(), is_idle=True)

    def _take(self) -> Process:
        with self._lock:
            while self._is_open and self._idle:
                process = self._idle.pop()
                self._busy.add(process)
                if process.is_alive():
                    return process
                self._busy.discard(process)
                process.end()
        return self._start()

    def _start(self) -> Process:
        with _starting:
            if not self._is_open:
                raise GoneError
            process = Process()
            self._busy.add(process)
        return process

    def _give_back(self, process: Process, *, is_idle: bool) -> None:
        with self._lock:
            self._busy.discard(process)
        if is_idle:
            self._keep(process)
            return
        process.end()
        with contextlib.suppress(RuntimeError):  # closed meanwhile
            self._threads.submit(self.warm_up)

    def _keep(self, process: Process) -> None:
        """Keep a process for the next recipe, but not for ever: it holds 150 MB and more."""
        with self._lock:
            is_kept = self._is_open
            if is_kept:
                self._idle.append(process)
        if not is_kept:
            process.end()
            return
        timer = threading.Timer(IDLE_S, self._retire, [process, process.n_asked])
        timer.daemon = True
        timer.start()

    def _retire(self, process: Process, n_asked: int) -> None:
        with self._lock:
            if process not in self._idle or process.n_asked > n_asked:
                return
            self._idle.remove(process)
        process.end()

    def close(self) -> None:
        """End the processes; threads end after what they do."""
        with self._lock:
            self._is_open = False
        # one that is being started would print how its start failed
        is_ours = _starting.acquire(timeout=START_S)
        with self._lock:
            processes = [*self._busy, *self._idle]
        if is_ours:
            _starting.release()
        for process in processes:
            process.end()
        self._threads.shutdown()
        self._waiting.shutdown()


async def _wait_until_gone(request: Request) -> None:
    while not await request.is_disconnected():
        await asyncio.sleep(LOOK_EVERY_S)


# ---- apart


def write_order(recipe: Recipe, arguments: Mapping[str, Any], subject: object) -> bytes | None:
    """Write what a process runs; None if the subject cannot go there."""
    # a session goes as its address, and is opened again
    try:
        return bytes(ForkingPickler.dumps((recipe, subject, dict(arguments))))
    except Exception:  # noqa: BLE001 - pickling calls what the user's adapter defines
        return None


class Process:
    """A process that runs one recipe after another."""

    def __init__(self) -> None:
        from spikehouse.cohort._script import hide_script

        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there,), daemon=True)
        with hide_script(), _without_ctrl_c():
            self._process.start()
        self.n_asked = 0
        self._ending = threading.Lock()
        there.close()

    def is_alive(self) -> bool:
        """Return whether it was not ended, as it is from outside when memory is short."""
        return self._process.is_alive()

    def ask(self, order: bytes) -> tuple[str, Any]:
        """Run a recipe, and return what came of it."""
        self.n_asked += 1
        try:
            self._here.send_bytes(order)
            reply: tuple[str, Any] = self._here.recv()
        except (EOFError, OSError):
            self._process.join(START_S)
            raise FailedError(
                f"The process that computed this was ended (exit code {self._process.exitcode}), "
                "probably for lack of memory: close what else needs much, and ask again."
            ) from None
        return reply

    def end(self) -> None:
        """End the process, whatever it does."""
        with self._ending:  # once, whoever comes first
            if not self._here.closed:
                self._process.kill()
                self._process.join(START_S)
                self._here.close()


@contextlib.contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Have processes that start here not hear Ctrl-C, which is for this one."""
    if sys.platform == "win32":
        yield
        return
    # starting that one, as the first process does, would unblock the signal
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _read(reply: tuple[str, Any]) -> Answer | None:
    match reply:
        case ("answer", Answer() as answer):
            return answer
        case ("error", SpikehouseError() as error):
            raise error
        case ("unreadable", _):
            return None
    raise FailedError


def _serve(there: Connection) -> None:
    """Run what comes, until the process that sends it ends."""
    # as _without_ctrl_c, for Windows
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # imported before it is needed
    import spikehouse.session  # noqa: F401
    from spikehouse.explore import _answers  # noqa: F401

    while True:
        try:
            order = there.recv()
        except EOFError:
            return
        except Exception:  # noqa: BLE001 - a class that only the user's program has
            there.send(("unreadable", None))
            continue
        there.send(_run(*order))


def _run(recipe: Recipe, subject: object, arguments: Mapping[str, Any]) -> tuple[str, Any]:
    try:
        return "answer", run_recipe(recipe, subject, arguments)
    except SpikehouseError as error:
        return "error", error
    except Exception:  # noqa: BLE001 - a mistake of ours: the page gets a sentence
        traceback.print_exc()
        return "failed", None


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
