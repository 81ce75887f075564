"""``spikehouse reproduce``: the results of a publication, ours beside the published ones."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from spikehouse.cli._common import Cache, Host, Offline, Size, Sources, open_cache, plain_errors
from spikehouse.errors import printable


def reproduce(
    study: Annotated[str, typer.Argument(help="The study, such as siegle2021.")],
    results: Annotated[Path, typer.Option(help="Folder for the page, figures and numbers.")],
    origin: Annotated[
        str,
        typer.Option(
            "--from", help="tables: the released tables of units; spikes: everything from spikes."
        ),
    ] = "tables",
    tables: Annotated[
        list[Path] | None,
        typer.Option(
            help="A .csv or .parquet file, or a folder of them, to join to the released tables by "
            "unit id; may be repeated."
        ),
    ] = None,
    session: Annotated[
        list[int] | None, typer.Option(help="Only this session; may be repeated. Default: all.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes for --from spikes. Default: one session after another.", min=1
        ),
    ] = None,
    source: Sources = None,
    cache: Cache = None,
    host: Host = None,
    size: Size = "small",
    offline: Offline = False,
) -> None:
    """Compute a publication's results again: figures, numbers and a page with a verdict on each."""
    with plain_errors("stopped; what was computed is kept, run the same command again"):
        from spikehouse.reproduce import reproduce as run

        with open_cache(source, cache, host, size, offline=offline) as project:
            made = run(
                study,
                project,
                results=results,
                origin=origin,  # type: ignore[arg-type]  # it checks
                tables=tables or (),
                session_ids=session or None,
                workers=workers,
                command=printable(shlex.join(["spikehouse", *sys.argv[1:]])),
            )
        typer.echo(repr(made))
