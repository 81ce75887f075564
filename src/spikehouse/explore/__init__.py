"""The recordings in a browser: a page that this machine serves to its own user."""

from __future__ import annotations

import html
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from spikehouse.errors import CacheError, InvalidArgumentError

if TYPE_CHECKING:
    import asyncio

    from spikehouse.cache import EcephysProjectCache
    from spikehouse.explore._app import Explored
    from spikehouse.explore._recipes import Recipe
    from spikehouse.session import EcephysSession

__all__ = ["Explorer", "explore"]

HOST = "127.0.0.1"
PORT = 8045
# ports that are tried from PORT on
N_PORTS = 50
# a browser has six at a time
MOST_CONNECTIONS = 64
# recipes of the views with which a page begins, and how long these take
FIRST_MODULES = ("survey", "session")
FIRST_VIEW_S = 1.5
# how long the end waits for each of two things
END_S = 2.0


def explore(
    *sessions: EcephysSession | str | Path | int,
    cache: EcephysProjectCache | Callable[[], EcephysProjectCache] | None = None,
    results: Iterable[str | Path] = (),
    stream: bool = False,
    source: str = "",
    link: str | None = None,
    port: int | None = None,
) -> Explorer:
    """Serve a page that shows recordings, to this machine only, and return at once.

    Parameters
    ----------
    *sessions
        Sessions, paths or addresses of session files, or ids of sessions of the cache.
    cache
        The project cache whose survey is shown, or a function that opens it. By default that of
        the first session that a cache opened.
    results
        Folders of results of a cohort.
    stream
        Whether sessions of the cache that are not in its folder are read from the server.
    source
        What the data come from, in words, for the page.
    link
        Path and query of the view to begin with, such as ``/s/900000001/units``. By default the
        first session, else the survey.
    port
        Port to listen on, 0 for any free one. By default 8045, or the next free one.

    Returns
    -------
    Explorer
        The running server.

    Raises
    ------
    InvalidArgumentError
        If the port is taken.
    CacheError
        If a folder of results does not exist.

    Examples
    --------
    >>> from spikehouse.demo import Survey
    >>> path = Survey(size="tiny").session_file(900000001)
    >>> with explore(path, port=0) as explorer:
    ...     print(explorer.url.partition("?")[0].rpartition(":")[0])
    http://127.0.0.1
    """
    from spikehouse.explore._app import Explored
    from spikehouse.explore._sessions import Sessions, find_origin

    if cache is None:
        # a session that was opened by a cache belongs to its survey
        origins = map(find_origin, sessions)
        cache = next((origin[0] for origin in origins if origin), None)
    open_cache = cache if cache is None or callable(cache) else (lambda: cache)
    known = Sessions(open_cache, stream=stream)
    keys = [known.add(one) for one in sessions]
    folders = _name_folders(results)
    start = f"/s/{keys[0]}" if keys else "/"
    if not keys and cache is None and folders:
        start = f"/cohort/{next(iter(folders))}"
    return Explorer(Explored(known, folders, source, link or start), port=port)


def _name_folders(results: Iterable[str | Path]) -> dict[str, Path]:
    folders: dict[str, Path] = {}
    for given in results:
        path = Path(given).expanduser().absolute()
        if not path.is_dir():
            raise CacheError(f"there is no folder of results {path}")
        name, number = path.name or "results", 2
        while name in folders:
            name, number = f"{path.name}-{number}", number + 1
        folders[name] = path
    return folders


class Explorer:
    """A running server of the page, in a thread of this process.

    It ends with the process, or when it is closed. In a notebook it shows itself as a link: the
    page refuses to be framed, and its cookie is not sent to frames, so an iframe would stay empty.

    Parameters
    ----------
    explored
        What is shown; `explore` makes it.
    port
        Port to listen on; None for the default one or the next that is free.

    Examples
    --------
    >>> from spikehouse.demo import Survey
    >>> with explore(Survey(size="tiny").session_file(900000001), port=0) as explorer:
    ...     explorer.url.startswith("http://127.0.0.1:")
    True
    """

    def __init__(self, explored: Explored, *, port: int | None = None) -> None:
        import uvicorn
        from uvicorn.protocols.http.h11_impl import H11Protocol

        from spikehouse.explore._app import Application
        from spikehouse.explore._security import Guard

        self._start_path = explored.start_path
        self._token = secrets.token_urlsafe(24)
        self._socket = _listen(port)
        self.port: int = self._socket.getsockname()[1]
        self._application = Application(explored, find_recipe=_find_recipe, token=self._token)
        guard = Guard(self._application.make_asgi(), token=self._token, port=self.port)

        # a user of this machine without the token could else take every connection
        class Protocol(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                if len(self.connections) > MOST_CONNECTIONS:
                    others = (one for one in self.connections if one is not self)
                    idle = (one for one in others if not one.cycle or one.cycle.response_complete)  # type: ignore[union-attr]
                    ended = next(idle, self)
                    self.connections.discard(ended)  # another one is chosen next
                    ended.transport.abort()

        # no log of requests: addresses hold the token; what fails is printed by the application
        config = uvicorn.Config(
            guard, http=Protocol, ws="none", loop="asyncio", lifespan="off", interface="asgi3",
            log_config=None, log_level="critical", access_log=False, server_header=False,
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )
        self._thread.start()
        threading.Thread(target=self._get_ready, daemon=True).start()

    @property
    def url(self) -> str:
        """The address to open, with the token that lets this user in."""
        joint = "&" if "?" in self._start_path else "?"
        return f"http://{HOST}:{self.port}{self._start_path}{joint}token={self._token}"

    def _get_ready(self) -> None:
        """Import and read what the first view needs while the browser starts, then the rest."""
        from spikehouse.explore._recipes import MODULES, collect_recipes

        for module in FIRST_MODULES:
            collect_recipes(module)
        self._application.describe_ahead()
        # imports slow down the answers meanwhile
        time.sleep(FIRST_VIEW_S)
        for module in MODULES:
            collect_recipes(module)
        # of receptive fields and correlograms
        import numba  # noqa: F401
        import scipy.stats  # noqa: F401

    def wait(self) -> None:
        """Wait until the server is closed, as the end of a script that only serves."""
        while self._thread.is_alive():
            # without a limit of time, Ctrl-C would not get through on Windows
            self._thread.join(0.5)

    def close(self) -> None:
        """End the server, and close the sessions that it opened."""
        self._server.should_exit = True
        # it may wait for a server or a file that does not answer
        closing = threading.Thread(target=self._application.close, daemon=True)
        self._thread.join(END_S)
        closing.start()
        closing.join(END_S)
        # the thread uses the socket as long as it lives, and closes it
        self._thread.join(END_S / 4)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Explorer({self.url!r})"

    def _repr_html_(self) -> str:
        address = html.escape(self.url)
        return f"<a href='{address}' target='_blank' rel='noopener'>Explore the recordings</a>"


def _find_recipe(subject: str, name: str) -> Recipe:
    from spikehouse.explore._recipes import find_recipe

    return find_recipe(subject, name)


def _listen(port: int | None) -> socket.socket:
    """Listen on a port of this machine, which nobody else can reach."""
    ports = range(PORT, PORT + N_PORTS) if port is None else [port]
    for number in ports:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if sys.platform != "win32":  # where it would share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, number))
            listener.listen(128)
        except (OSError, OverflowError) as error:
            listener.close()
            reason = getattr(error, "strerror", None) or error
        else:
            return listener
    which = f"port {port}" if port is not None else f"a port from {PORT} to {PORT + N_PORTS - 1}"
    raise InvalidArgumentError(
        f"cannot listen on {which} of {HOST} ({reason}): choose another one, or 0 for any free one"
    )
