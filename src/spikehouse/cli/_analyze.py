"""``spikehouse analyze``: the tuning metrics of a session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikehouse.cli._common import Cache, Host, Offline, Size, Sources, plain_errors
from spikehouse.cli._opening import Stream, What, open_session
from spikehouse.cli._printing import show_table, write_table
from spikehouse.cli._tables import Rows
from spikehouse.errors import NotFoundError, describe_choices

if TYPE_CHECKING:
    import pandas as pd

    from spikehouse.analysis import MetricOptions
    from spikehouse.session import EcephysSession


def analyze(
    what: What,
    stimulus: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this one, such as drifting_gratings or gabors; may be repeated. "
            "Default: all that were shown."
        ),
    ] = None,
    structure: Annotated[
        list[str] | None,
        typer.Option(help="Only units of this structure, such as VISp; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the table to this .csv or .parquet file.")
    ] = None,
    permutations: Annotated[
        int | None,
        typer.Option(
            help="Of the test for receptive fields. Default: 10 000, or 1000 if published.", min=1
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the same test.")] = 0,
    definition: Annotated[
        str,
        typer.Option(help="corrected, or published: every column as the released tables have it."),
    ] = "corrected",
    rows: Rows = 20,
    stream: Stream = False,
    source: Sources = None,
    cache: Cache = None,
    host: Host = None,
    size: Size = "small",
    offline: Offline = False,
) -> None:
    """Compute the tuning metrics of a session's units, with AllenSDK's column names."""
    from spikehouse.analysis import MetricOptions

    with plain_errors("stopped; nothing was written, run the same command again"):
        options = MetricOptions(n_permutations=permutations, seed=seed, definition=definition)  # type: ignore[arg-type]  # it checks
        with open_session(
            what, source, cache, host, size, stream=stream, offline=offline
        ) as session:
            table = _analyze(session, stimulus, structures=structure, options=options)
        if out is None:
            show_table(table, what="units", rows=rows)
        else:
            write_table(table, out)


def _analyze(
    session: EcephysSession,
    stimulus: list[str] | None,
    *,
    structures: list[str] | None,
    options: MetricOptions,
) -> pd.DataFrame:
    from spikehouse.remote.progress import count_steps

    unit_ids = _select_units(session, structures)
    with count_steps("analysing", unit=" stimuli") as progress:
        return session.analyze(stimulus, unit_ids=unit_ids, options=options, progress=progress)


def _select_units(session: EcephysSession, structures: list[str] | None) -> list[int] | None:
    if not structures:
        return None
    found = session.units["ecephys_structure_acronym"]
    for name in structures:
        if name not in set(found):
            held = describe_choices(name, session.structurewise_unit_counts.index)
            raise NotFoundError(f"no unit of this session lies in {name!r}: {held}")
    return [int(unit) for unit in found.index[found.isin(structures)]]
