"""``spikehouse fetch``, ``info`` and ``verify``."""

from __future__ import annotations

from typing import Annotated

import typer

from spikehouse.cli._common import (
    EXIT_ERROR,
    Cache,
    Host,
    Offline,
    Size,
    Sources,
    Stream,
    What,
    open_cache,
    open_session,
    plain_errors,
)
from spikehouse.cli._printing import echo, show_table
from spikehouse.errors import InvalidArgumentError

RESUME = "stopped; partial downloads are kept, run the same command again to resume"


def fetch(
    sessions: Annotated[
        list[int] | None, typer.Argument(help="Ids of sessions.", metavar="SESSION")
    ] = None,
    lfp: Annotated[
        list[str] | None,
        typer.Option(help="Also the LFP of this probe: a name such as probeC, or a probe id."),
    ] = None,
    lfp_all: Annotated[
        bool, typer.Option("--lfp-all", help="Also the LFP of all probes of the sessions.")
    ] = False,
    scenes: Annotated[bool, typer.Option("--scenes", help="Also the 118 images.")] = False,
    movies: Annotated[bool, typer.Option("--movies", help="Also the two movies.")] = False,
    tables: Annotated[
        bool, typer.Option(help="The tables of sessions, probes, channels and units.")
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list the files to download.")
    ] = False,
    source: Sources = None,
    cache: Cache = None,
    host: Host = None,
    size: Size = "small",
) -> None:
    """Download files into the cache folder; partial downloads are resumed."""
    with plain_errors(RESUME), open_cache(source, cache, host, size) as project:
        if lfp and lfp_all:
            raise InvalidArgumentError("--lfp and --lfp-all cannot be combined")
        chosen = [int(name) if name.isdigit() else name for name in lfp or []]
        plan = project.plan(
            sessions, lfp=lfp_all or chosen or False, scenes=scenes, movies=movies, tables=tables
        )
        # on stderr, like progress bars: stdout is for results only
        echo(str(plan), err=not dry_run)
        if not dry_run:
            for path in project.fetch(plan):
                echo(str(path))


def info(
    what: What,
    stream: Stream = False,
    source: Sources = None,
    cache: Cache = None,
    host: Host = None,
    size: Size = "small",
    offline: Offline = False,
) -> None:
    """Show a summary of a session."""
    with (
        plain_errors("stopped; run the same command again"),
        open_session(what, source, cache, host, size, stream=stream, offline=offline) as session,
    ):
        echo(str(session))


def verify(
    repair: Annotated[bool, typer.Option("--repair", help="Download damaged files again.")] = False,
    published: Annotated[
        bool,
        typer.Option("--published", help="Compare files without a recorded digest with DANDI."),
    ] = False,
    source: Sources = None,
    cache: Cache = None,
    host: Host = None,
    size: Size = "small",
) -> None:
    """Check the files of the cache folder against their recorded digests."""
    with (
        plain_errors("stopped; nothing was lost, run the same command again"),
        open_cache(source, cache, host, size) as project,
    ):
        reports = project.verify(repair=repair, published=published)
        is_bad = ~reports["state"].isin(["ok", "no record", "repaired"])
        show_table(reports.set_index("file"), what="files", rows=0)
        if is_bad.any():
            hint = "" if repair else ": add --repair to download them again"
            echo(f"{is_bad.sum()} not ok{hint}", err=True)
            raise SystemExit(EXIT_ERROR)
