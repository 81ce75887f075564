"""The command ``spikehouse``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

try:
    import typer

    from spikehouse.cli import _analyze, _cache, _cohort, _explore, _files, _reproduce, _tables
    from spikehouse.cli._common import SIZES, plain_errors
except KeyboardInterrupt:  # as in plain_errors, which is not there yet
    raise SystemExit(130) from None

app = typer.Typer(
    name="spikehouse",
    help="The Allen Brain Observatory's Neuropixels recordings: open, align, decode, plot.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
demo = typer.Typer(help="The simulated demo survey.", no_args_is_help=True)
app.command()(_tables.sessions)
app.command()(_tables.probes)
app.command()(_tables.units)
app.command()(_files.fetch)
app.command()(_files.info)
app.command()(_files.verify)
app.command()(_analyze.analyze)
app.command()(_explore.explore)
app.command()(_reproduce.reproduce)
app.add_typer(_cache.commands, name="cache")
app.add_typer(_cohort.commands, name="cohort")
app.add_typer(demo, name="demo")


def main() -> None:
    """Run the command line; the entry point of ``spikehouse``."""
    # terminals that cannot show characters such as ≤ get a "?"
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    with plain_errors("stopped"):
        app()


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from spikehouse import __version__

        typer.echo(f"spikehouse {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    pass


@app.command()
def quickstart(
    source: Annotated[
        str, typer.Option(help="demo, warehouse, s3, dandi, or the path of a session file.")
    ] = "demo",
    session: Annotated[int | None, typer.Option(help="Session id; default: the first.")] = None,
    area: Annotated[str, typer.Option(help="Brain structure whose units are used.")] = "VISp",
    cache: Annotated[
        Path | None, typer.Option(help="Cache folder; default: in your own cache folder.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for figures and report.")] = Path(
        "spikehouse-quickstart"
    ),
    size: Annotated[str, typer.Option(help=f"Size of the demo survey: {SIZES}.")] = "small",
    host: Annotated[
        str | None, typer.Option(help="HOST[:PORT] of another server (--source s3 or warehouse).")
    ] = None,
) -> None:
    """Run the quick start: from the list of sessions to decoded images, with a report."""
    with plain_errors("stopped; the cache can be used as it is, run the same command again"):
        from spikehouse.quickstart import QuickstartOptions, run_quickstart

        options = QuickstartOptions(
            source=source,
            session_id=session,
            area=area,
            cache=cache,
            out=out,
            size=size,  # type: ignore[arg-type]
            host=host,
        )
        run_quickstart(options)


@demo.command()
def serve(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 0,
    size: Annotated[str, typer.Option(help=f"Size of the survey: {SIZES}.")] = "small",
    folder: Annotated[Path | None, typer.Option(help="Folder of the simulated files.")] = None,
) -> None:
    """Serve the files of the demo survey on this machine, like the public bucket, until Ctrl-C."""
    with plain_errors("stopped"):
        from spikehouse.demo import Survey
        from spikehouse.demo import serve as serve_survey

        survey = Survey(size=size, folder=folder)  # type: ignore[arg-type]  # it checks

        def announce(url: str) -> None:
            # flushed, because scripts read the URL from a pipe
            sys.stdout.write(f"Serving the demo survey ({size}) at {url}\n")
            sys.stdout.flush()

        serve_survey(survey, port=port, announce=announce)
