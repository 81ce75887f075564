"""``spikehouse cache``: list, clean and import files of the cache folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikehouse.cli._common import EXIT_ERROR, Cache, Host, Size, Sources, open_cache, plain_errors
from spikehouse.cli._printing import echo, show_table

if TYPE_CHECKING:
    import pandas as pd

    from spikehouse.cache import EcephysProjectCache

commands = typer.Typer(help="The cache folder.", no_args_is_help=True)


@commands.command()
def ls(
    source: Sources = None, cache: Cache = None, host: Host = None, size: Size = "small"
) -> None:
    """List the files of the cache folder, including temporary ones."""
    with plain_errors("stopped"), open_cache(source, cache, host, size) as project:
        from spikehouse.survey import describe_bytes

        files = project.list_files()
        echo(f"{project.manifest_path.parent}", err=True)
        files["size"] = [describe_bytes(n_bytes) for n_bytes in files["n_bytes"]]
        files["fetched_at"] = files["fetched_at"].str.slice(0, 16).str.replace("T", " ")
        columns = ["size", "kind", "source", "fetched_at"]
        show_table(files.set_index("file")[columns], what="files", rows=0)
        echo(f"{describe_bytes(int(files['n_bytes'].sum()))} in total", err=True)


@commands.command()
def clean(
    sessions: Annotated[
        list[int] | None,
        typer.Argument(help="Sessions whose files are removed as well.", metavar="SESSION"),
    ] = None,
    all_parts: Annotated[
        bool, typer.Option("--all-parts", help="Also unfinished downloads of the last 24 hours.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    source: Sources = None,
    cache: Cache = None,
    host: Host = None,
    size: Size = "small",
) -> None:
    """Remove unfinished downloads and streamed blocks; no other file unless named."""
    with plain_errors("stopped"), open_cache(source, cache, host, size) as project:
        from spikehouse.survey import describe_bytes

        found = project.list_leftovers(sessions or (), recent=all_parts)
        if not found:
            echo("nothing to remove", err=True)
            return
        for leftover in found:
            echo(f"{describe_bytes(leftover.n_bytes):>8}  {leftover.paths[0]}")
        total = describe_bytes(sum(leftover.n_bytes for leftover in found))
        if not yes and not typer.confirm(f"Remove these, {total}?", err=True):
            echo("nothing was removed", err=True)
            return
        n_bytes = project.remove_leftovers(found)
        echo(f"{describe_bytes(n_bytes)} freed", err=True)


@commands.command()
def adopt(
    folder: Annotated[Path, typer.Argument(help="A folder with files of the survey.")],
    source: Sources = None,
    cache: Cache = None,
    host: Host = None,
    size: Size = "small",
) -> None:
    """Import files on this machine into the cache folder, without downloading them.

    On the same disk, files are linked instead of copied. For the cache folder itself, the digests
    of its files are recorded.
    """
    with (
        plain_errors("stopped; run the same command again to go on"),
        open_cache(source, cache, host, size) as project,
    ):
        outcomes = _adopt(project, folder)
        show_table(outcomes, what="files", rows=0)
        if (outcomes["outcome"] == "refused").any():
            raise SystemExit(EXIT_ERROR)


def _adopt(project: EcephysProjectCache, folder: Path) -> pd.DataFrame:
    return project.adopt(folder).set_index("origin")[["outcome", "reason"]]
