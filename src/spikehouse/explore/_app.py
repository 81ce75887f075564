"""What is answered under which address.

=========================================  ========================================================
``/``, ``/s/…``, ``/cohort…``              the page, whose own code shows the view of the address
``/static/…``                              its files
``/api/page``                              JSON: which sessions and results there are
``/api/s/<key>/facts``                     JSON: a session at a glance
``/api/s/<key>/counts``                    JSON: how far its counts are; ``?build=1`` begins
``/api/s/<key>/<recipe>?…``                the answer of a recipe, in the container of `_answers`
``/api/survey/<recipe>``,
``/api/results/<name>/<recipe>``           of the survey; of a folder of results of a cohort
``/code/…``                                the same address as a program, as text
=========================================  ========================================================

Header ``X-Notice``: a JSON list of sentences for the user (ASCII, other characters escaped);
``X-Bytes-Read``: bytes that a streamed session read for this answer; ``X-Version``: which version
of the session's file it is of. An error is JSON
``{"message": …}``.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from spikehouse import __version__
from spikehouse.errors import (
    InvalidFileError,
    NotFoundError,
    SourceError,
    SpikehouseError,
    TransferError,
    describe_choices,
)
from spikehouse.explore._counts import Counts
from spikehouse.explore._running import (
    Answer,
    FailedError,
    GoneError,
    Runner,
    TooLargeError,
    noting,
    run_recipe,
    write_order,
)
from spikehouse.explore._security import is_page
from spikehouse.explore._sessions import ALL, Sessions, name_file
from spikehouse.transfer.byte_count import count_bytes

if TYPE_CHECKING:
    from starlette.requests import Request

    from spikehouse.explore._recipes import Find, Recipe
    from spikehouse.session import EcephysSession

T = TypeVar("T")

STATIC = Path(__file__).parent / "static"
# named here, because a machine may have others
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
COMPRESSED = {".html", ".css", ".js", ".svg"}
PAGES = (
    "/", "/s/{key}", "/s/{key}/p/{probe}", "/s/{key}/units", "/s/{key}/u/{unit}",
    "/s/{key}/population", "/s/{key}/decoding", "/cohort", "/cohort/{name}",
)  # fmt: skip
# the first that fits
STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (TooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (SourceError, HTTPStatus.SERVICE_UNAVAILABLE),
    (TransferError, HTTPStatus.SERVICE_UNAVAILABLE),
    (FileNotFoundError, HTTPStatus.GONE),
    (InvalidFileError, HTTPStatus.UNPROCESSABLE_ENTITY),
    # an adapter lacks what this needs
    (NotImplementedError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (SpikehouseError, HTTPStatus.BAD_REQUEST),
)
# instead of what the library advises, which is for programs
ADVICE = (
    "spikehouse explore takes --offline for what is in the cache folder, --cache for another "
    "folder, and --source demo for simulated recordings; a link of another start of it needs the "
    "--source (and --size) of that one"
)
OURS = "Something failed in spikehouse itself; the terminal that runs it says what."


@dataclass
class Explored:
    """What a server shows."""

    sessions: Sessions
    # name → folder of results
    results: dict[str, Path]
    # what the data come from, for the frame of the page
    source: str = ""
    start_path: str = "/"


class Application:
    """The answers of the server."""

    def __init__(self, explored: Explored, *, find_recipe: Find, token: str = "") -> None:
        self.explored = explored
        self.token = token
        self.sessions = explored.sessions
        self.find_recipe = find_recipe
        self.runner = Runner()
        self.counts = Counts(explored.sessions)
        # the facts of the first session are read before the browser asks
        self._ahead: Future[tuple[str, list[str], int]] = Future()
        _, kind, *key = explored.start_path.partition("?")[0].split("/")
        self._start_key = unquote(key[0]) if kind == "s" and key else None
        self._is_ahead_sent = False

    def make_asgi(self) -> Starlette:
        """Return the application with its routes."""
        subjects = ("/s/{key}", "/survey", "/results/{result}")
        return Starlette(
            routes=[
                *(Route(path, self.show_page) for path in PAGES),
                Route("/static/{path:path}", self.give_file),
                Route("/api/page", self.describe_page),
                Route("/api/s/{key}/facts", self.describe_session),
                Route("/api/s/{key}/counts", self.describe_counts),
                *(Route(f"/api{path}/{{recipe}}", self.answer) for path in subjects),
                *(Route(f"/code{path}/{{recipe}}", self.write_code) for path in subjects),
            ],
            exception_handlers={
                **{kind: _explain for kind, _ in STATUSES},
                HTTPException: _explain,
                GoneError: _say_nothing,
                FailedError: _explain,
                Exception: _explain,
            },
        )

    # ---- the page

    async def show_page(self, request: Request) -> Response:
        """Send the page; what the address means, the page finds out."""
        return _send_file(STATIC / "index.html", request)

    async def give_file(self, request: Request) -> Response:
        """Send a file of the page."""
        with contextlib.suppress(OSError):  # such as of a name that is too long
            path = (STATIC / request.path_params["path"]).resolve()
            if path.is_relative_to(STATIC.resolve()) and path.is_file():
                return _send_file(path, request)
        raise NotFoundError("there is no such file")

    async def describe_page(self, request: Request) -> Response:
        """Send what the frame of the page shows."""

        def describe() -> str:
            facts = {
                "version": __version__,
                "sessions": self.sessions.list_known(),
                "results": [{"name": name} for name in self.explored.results],
                "has_survey": self.sessions.has_cache,
                "source": self.explored.source,
                "stream": self.sessions.stream,
                "start_path": self.explored.start_path,
                # the page writes it into links that it copies: they open in another browser
                "token": self.token,
                "structures": _list_structures(),
                "filters": _list_filters(),
            }
            return json.dumps(facts)

        return _send(await self.runner.run(request, describe), "application/json")

    # ---- data

    async def describe_session(self, request: Request) -> Response:
        """Send a session at a glance."""
        key = request.path_params["key"]
        describe: Callable[[], tuple[str, list[str], int]] = partial(self._describe, key)
        if key == self._start_key and not self._is_ahead_sent:
            # once: the file may change
            describe, self._is_ahead_sent = self._ahead.result, True
        facts, notices, n_bytes = await self.runner.run(request, describe)
        headers = {**_write_notices(notices), **self._write_reading(key, n_bytes)}
        return _send(facts, "application/json", headers)

    def describe_ahead(self) -> None:
        """Read what the first view shows of its session."""
        key = self._start_key
        if key is None:
            return
        try:
            self._ahead.set_result(self._describe(key))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever asks
            self._ahead.set_exception(error)

    def _describe(self, key: str) -> tuple[str, list[str], int]:
        from spikehouse.explore._answers import to_json

        before = count_bytes()
        with self.sessions.use(key) as session, noting() as notices:
            facts = describe_session(session)
            units = ", all units" if key.endswith(ALL) else ""
            title = f"{facts['session_id'] or self.sessions.title(key)}{units}"
            text = to_json({"key": key, "title": title, **facts})
        return text, notices, count_bytes() - before

    def _write_reading(self, key: str, n_bytes: int) -> dict[str, str]:
        is_streamed = self.sessions.is_streamed(key)
        identity = self.sessions.identify(key)
        version = {"X-Version": identity[1]} if identity else {}
        return version | ({"X-Bytes-Read": str(n_bytes)} if is_streamed else {})

    async def describe_counts(self, request: Request) -> Response:
        """Send how far the counts of a session are."""
        key = request.path_params["key"]
        is_asked = request.query_params.get("build") == "1"

        def describe() -> str:
            with self.sessions.use(key) as session:
                status = self.counts.describe(key, session, build=is_asked)
                return json.dumps({**status, **self.counts.describe_reading(key, session)})

        return _send(await self.runner.run(request, describe), "application/json")

    async def answer(self, request: Request) -> Response:
        """Send the answer of a recipe."""
        key = request.path_params.get("key")
        answer = None
        recipe, arguments, notices = await self.runner.run(request, partial(self._prepare, request))
        if recipe.is_heavy:
            # a session goes there as its address
            write = partial(write_order, recipe, arguments)
            order = await self.runner.run(request, partial(self._with_subject, request, write))
            answer = await self.runner.run_apart(request, order) if order else None
        if answer is None:

            def compute(subject: Any) -> Answer:  # noqa: ANN401 - a session, a cache or a folder
                known = key and self.counts.answer(key, subject, recipe.name, arguments)
                return run_recipe(recipe, subject, arguments, known or None)

            answer = await self.runner.run(request, partial(self._with_subject, request, compute))
        headers = _write_notices([*notices, *answer.notices])
        if key is not None:
            headers |= self._write_reading(key, answer.n_bytes)
        return _send(answer.content, "application/octet-stream", headers)

    async def write_code(self, request: Request) -> Response:
        """Send a recipe as a program."""

        def write() -> str:
            from spikehouse.explore import _code

            recipe, arguments, _ = self._prepare(request)
            return _code.write_code(recipe, arguments, self._write_opening(request))

        return _send(await self.runner.run(request, write), "text/plain; charset=utf-8")

    def _prepare(self, request: Request) -> tuple[Recipe, dict[str, Any], list[str]]:
        params = request.path_params
        kind = "session" if "key" in params else "results" if "result" in params else "cache"
        recipe = self.find_recipe(kind, params["recipe"])
        return recipe, *recipe.parse(dict(request.query_params))

    def _with_subject(self, request: Request, act: Callable[[object], T]) -> T:
        """Do something with what a recipe is computed for."""
        params = request.path_params
        if "key" in params:
            with self.sessions.use(params["key"]) as session:
                return act(session)
        return act(
            self._find_results(params["result"]) if "result" in params else self.sessions.cache
        )

    def close(self) -> None:
        """Stop what is running, and close what was opened."""
        self.counts.close()
        self.runner.close()
        self.sessions.close()

    def _find_results(self, name: str) -> Path:
        results = self.explored.results
        if name not in results:
            raise NotFoundError(f"there are no results {name!r}: {describe_choices(name, results)}")
        return results[name]

    def _write_opening(self, request: Request) -> str:
        params = request.path_params
        if "key" in params:
            return self.sessions.write(params["key"])
        if "result" in params:
            folder = self._find_results(params["result"])
            return f"from pathlib import Path\n\nresults = Path({str(folder)!r})"
        return self.sessions.write_cache()


def _list_structures() -> dict[str, list[str]]:
    # pandas is imported here, in a thread: the page is there before it
    from spikehouse.schema import list_structures

    table = list_structures().reset_index()
    return {name: table[name].tolist() for name in ("acronym", "color", "name")}


def _list_filters() -> dict[str, Any]:
    from spikehouse.catalogue import UnitFilter

    return asdict(UnitFilter())


# what the frame of the page says of a session; an adapter may lack any of it
FACTS: dict[str, Callable[[EcephysSession], Any]] = {
    "session_id": lambda session: session.ecephys_session_id,
    "session_type": lambda session: session.session_type,
    "specimen_name": lambda session: session.specimen_name,
    "full_genotype": lambda session: session.full_genotype,
    "sex": lambda session: session.sex,
    "age_in_days": lambda session: session.age_in_days,
    "recorded": lambda session: session.session_start_time,
    "file": lambda session: (path := getattr(session.api, "path", None)) and name_file(path),
    # a file of the survey has them, and need not be asked
    "has_waveforms": lambda session: (
        getattr(session.api, "has_survey_stimuli", False) or len(session.mean_waveforms) > 0
    ),
    "n_units": lambda session: session.num_units,
    "n_probes": lambda session: session.num_probes,
    # where the keys lead before a unit or a probe was chosen
    "first_unit": lambda session: next(iter(session.units.index), None),
    "first_probe": lambda session: next(iter(session.probes.index), None),
    "n_presentations": lambda session: session.num_stimulus_presentations,
    # until the last stimulus ends, so that no signal is read
    "duration": lambda session: session.stimulus_presentations["stop_time"].max(),
    "is_simulated": lambda session: session.is_simulated,
    "notes": lambda session: session.notes.to_dict("records"),
}


def describe_session(session: EcephysSession) -> dict[str, Any]:
    """Return the facts of a session, None for those that its adapter or file does not have."""
    facts: dict[str, Any] = dict.fromkeys(FACTS)
    for name, read in FACTS.items():
        try:
            facts[name] = read(session)
        except (NotImplementedError, AttributeError, KeyError):
            continue
        except InvalidFileError as error:
            # the views say it again where it matters
            warnings.warn(str(error), stacklevel=2)
    return facts


# ---- responses

_compress = lru_cache(maxsize=64)(partial(gzip.compress, mtime=0))


def _write_notices(notices: list[str]) -> dict[str, str]:
    return {"X-Notice": json.dumps(notices)} if notices else {}


def _send(content: str | bytes, kind: str, headers: dict[str, str] | None = None) -> Response:
    return Response(
        content, media_type=kind, headers={"Cache-Control": "no-store", **(headers or {})}
    )


def _send_file(path: Path, request: Request, status: int = HTTPStatus.OK) -> Response:
    found = path.stat()
    # asked for every time, sent when it changed
    headers = {
        "ETag": f'"{found.st_mtime_ns:x}-{found.st_size:x}"',
        "Cache-Control": "no-cache",
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    kind = TYPES.get(path.suffix, "application/octet-stream")
    content = path.read_bytes()
    if path.suffix in COMPRESSED:
        headers["Vary"] = "Accept-Encoding"
        # the page may come through a tunnel from a machine far away
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            content = _compress(content)
    return Response(content, status, headers, media_type=kind)


def _explain(request: Request, error: Exception) -> Response:
    """Say in one sentence what happened."""
    fitting = (status for kind, status in STATUSES if isinstance(error, kind))
    status, message = next(fitting, HTTPStatus.INTERNAL_SERVER_ERROR), str(error)
    if isinstance(error, SpikehouseError) and error.advice:
        message = f"{error.message}. {ADVICE}"
    elif isinstance(error, HTTPException):
        if is_page(request.url.path):
            return _send_file(STATIC / "index.html", request, HTTPStatus.NOT_FOUND)
        status, message = HTTPStatus(error.status_code), "There is nothing at this address."
    elif status == HTTPStatus.INTERNAL_SERVER_ERROR:
        message = (isinstance(error, FailedError) and message) or OURS
        if not isinstance(error, FailedError):
            traceback.print_exception(error)
    body = json.dumps({"message": message})
    return Response(body, status, {"Cache-Control": "no-store"}, media_type="application/json")


def _say_nothing(_: Request, __: Exception) -> Response:
    return Response(status_code=499)
