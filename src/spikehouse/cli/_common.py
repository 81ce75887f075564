"""Options shared by all commands, the cache, a session, and error messages."""

from __future__ import annotations

import contextlib
import shlex
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from spikehouse.errors import InvalidArgumentError, NotFoundError, SpikehouseError, printable

if TYPE_CHECKING:
    from spikehouse.cache import EcephysProjectCache
    from spikehouse.session import EcephysSession

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130
SIZES = "tiny, small or full"
OFFLINE_COMMANDS = (["sessions"], ["probes"], ["units"], ["info"], ["analyze"])

Sources: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        help="s3, dandi, warehouse, demo, or the path of a folder; repeat it to fall back on "
        "further ones. Default: s3, then dandi, then warehouse.",
    ),
]
Cache: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="Cache folder, or its manifest. Default: $SPIKEHOUSE_CACHE, or else in your own "
        "cache folder; the demo has a folder of its own."
    ),
]
Host: TypeAlias = Annotated[
    str | None, typer.Option(help="HOST[:PORT] of another server, for a single --source.")
]
Size: TypeAlias = Annotated[str, typer.Option(help=f"Size of the demo survey: {SIZES}.")]
Offline: TypeAlias = Annotated[
    bool, typer.Option("--offline", help="Use only files in the cache folder, never the network.")
]


@contextlib.contextmanager
def plain_errors(farewell: str) -> Iterator[None]:
    """Print errors of the package in one line, and exit with a code."""
    # any other exception is a bug and keeps its traceback
    warnings.showwarning = _note
    try:
        yield
    except SpikehouseError as error:
        # what is an argument in Python is an option here
        message = error.message.replace("manifest=…", "--cache FOLDER")
        typer.secho(f"Error: {message}", fg=typer.colors.RED, err=True)
        if error.advice:
            typer.echo(_advise(error.advice), err=True)
        raise SystemExit(EXIT_ERROR) from None
    except KeyboardInterrupt as error:
        typer.secho(f"\nInterrupted: {str(error) or farewell}.", err=True)
        raise SystemExit(EXIT_INTERRUPTED) from None


def _note(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning as a sentence, without a line of our source."""
    text = printable(message)
    typer.echo(f"Note: {text[:1].upper()}{text[1:]}", err=True)


def _advise(advice: str) -> str:
    """Return advice in terms of the command that was called, with all its options."""
    words = sys.argv[1:]
    if "--offline" in words:
        hint = "Without --offline it is fetched:"
        words = [word for word in words if word != "--offline"]
    elif words[:1] in OFFLINE_COMMANDS:
        hint = "Is there a network connection? What is in the cache folder can be used without:"
        words = [*words, "--offline"]
    else:
        return advice
    return f"{hint}\n{printable(shlex.join(['spikehouse', *words]))}"


def name_place(sources: list[str] | None, cache: Path | None, host: str | None, size: str) -> str:
    """Write out the options that say where files are, for a command in a hint."""
    words = [word for source in sources or () for word in ("--source", source)]
    words += ["--cache", str(cache)] if cache is not None else []
    words += ["--host", host] if host is not None else []
    words += ["--size", size] if "demo" in (sources or ()) else []
    return printable(shlex.join(words))


def open_cache(
    sources: list[str] | None,
    cache: Path | None,
    host: str | None,
    size: str,
    *,
    offline: bool = False,
) -> EcephysProjectCache:
    """Open the cache for the given options; nothing is downloaded yet."""
    from spikehouse.cache import EcephysProjectCache
    from spikehouse.survey import DEFAULT_SOURCES
    from spikehouse.survey.manifest import find_manifest

    names = sources or list(DEFAULT_SOURCES)
    manifest = None if cache is None else find_manifest(cache)
    if "demo" in names:
        if len(names) > 1 or host is not None:
            raise InvalidArgumentError(
                "--source demo cannot be combined with another source or --host"
            )
        demo = EcephysProjectCache.from_demo(manifest, size=size)  # type: ignore[arg-type]  # it checks
        return EcephysProjectCache.fixed(demo.manifest_path) if offline else demo
    if offline:
        return EcephysProjectCache.fixed(manifest)
    if host is None:
        return EcephysProjectCache.from_sources(names, manifest)
    return _open_at(names, host, manifest)


def _open_at(names: list[str], host: str, manifest: Path | None) -> EcephysProjectCache:
    from spikehouse.cache import EcephysProjectCache

    match names:
        case ["warehouse"]:
            return EcephysProjectCache.from_warehouse("http", host, manifest=manifest)
        case ["s3"]:
            return EcephysProjectCache.from_s3(manifest, base_url=f"http://{host}/")
        case ["dandi"]:
            return EcephysProjectCache.from_dandi(manifest, base_url=f"http://{host}/api/")
    raise InvalidArgumentError(
        f"--host {host} needs exactly one of --source warehouse, s3 and dandi"
    )


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
            path = Path(what).expanduser()
            if not path.is_file():
                raise NotFoundError(
                    f"there is no file {Path(what)}: use a session id, the path of a session file, "
                    "or its URL"
                )
            session = EcephysSession.from_nwb_path(path)
        else:
            project = open_cache(sources, cache, host, size, offline=offline)
            resources.enter_context(project)
            place = name_place(sources, cache, host, size)
            session = _open_cached(project, int(what), stream=stream, place=place)
        yield resources.enter_context(session)


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
