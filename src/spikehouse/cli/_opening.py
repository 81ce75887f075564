"""Open a session by its id, its file, or its URL."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from spikehouse.cli._common import name_place, open_cache
from spikehouse.errors import NotFoundError

if TYPE_CHECKING:
    from spikehouse.project import EcephysProjectCache
    from spikehouse.session import EcephysSession

What: TypeAlias = Annotated[
    str,
    typer.Argument(help="A session id, a session file, or its URL.", metavar="SESSION|FILE|URL"),
]
Stream: TypeAlias = Annotated[
    bool, typer.Option("--stream", help="Read a session that is not cached from the server.")
]


@contextlib.contextmanager
def open_session(
    what: str,
    sources: list[str] | None,
    cache: Path | None,
    host: str | None,
    size: str,
    *,
    stream: bool,
    offline: bool,
) -> Iterator[EcephysSession]:
    """Open a session, and close it and its cache at the end."""
    from spikehouse.session import EcephysSession

    with contextlib.ExitStack() as resources:
        if "://" in what:
            session = EcephysSession.from_nwb_path(what)
        elif not what.isdigit():
            session = _open_file(Path(what))
        else:
            project = open_cache(sources, cache, host, size, offline=offline)
            resources.enter_context(project)
            place = name_place(sources, cache, host, size)
            session = _open_cached(project, int(what), stream=stream, place=place)
        yield resources.enter_context(session)


def _open_file(path: Path) -> EcephysSession:
    from spikehouse.session import EcephysSession

    if not path.expanduser().is_file():
        raise NotFoundError(
            f"there is no file {path}: use a session id, the path of a session file, or its URL"
        )
    return EcephysSession.from_nwb_path(path.expanduser())


def _open_cached(
    project: EcephysProjectCache, session_id: int, *, stream: bool, place: str
) -> EcephysSession:
    if not stream:
        # never download 2 GB unasked
        item = project.plan([session_id], tables=False).items[0]
        if item.state != "cached":
            raise NotFoundError(
                f"session {session_id} is not in {project.manifest_path.parent}: "
                f"download it (spikehouse fetch {session_id} {place}".rstrip()
                + "), or add --stream to read it remotely"
            )
    return project.get_session_data(session_id, stream=stream)
