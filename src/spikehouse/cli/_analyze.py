"""``spikehouse analyze``: the tuning metrics of a session."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikehouse.cli._common import (
    Cache,
    Host,
    Offline,
    Size,
    Sources,
    Stream,
    What,
    open_session,
    plain_errors,
)
from spikehouse.cli._printing import check_out, show_table, write_table
from spikehouse.cli._tables import Rows
from spikehouse.errors import InvalidArgumentError, NotFoundError, describe_choices

if TYPE_CHECKING:
    import pandas as pd

    from spikehouse.analysis import MetricOptions
    from spikehouse.session import EcephysSession


KEY_COLUMNS = (
    "ecephys_structure_acronym", "pref_ori_dg", "g_osi_dg", "g_dsi_dg", "pref_sf_sg",
    "image_selectivity_ns", "on_off_ratio_fl", "azimuth_rf", "elevation_rf", "p_value_rf",
)  # fmt: skip


def analyze(
    what: What,
    stimulus: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this stimulus, such as drifting_gratings or gabors; may be repeated. "
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
            help="Permutations of the receptive field test. Default: 10 000, or 1000 with "
            "--definition published.",
            min=1,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the same test.")] = 0,
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
    """Compute the tuning metrics of the units, with the column names of the released tables."""
    from spikehouse.analysis import MetricOptions

    with plain_errors("stopped; nothing was written, run the same command again"):
        check_out(out)
        options = MetricOptions(n_resamples=permutations, seed=seed, definition=definition)  # type: ignore[arg-type]  # it checks
        _check_stimuli(stimulus)
        with open_session(
            what, source, cache, host, size, stream=stream, offline=offline
        ) as session:
            table = _analyze(session, stimulus, structures=structure, options=options)
        if out is not None:
            write_table(table, out)
            return
        if sys.stdout.isatty():
            # a terminal has no room for all columns: the most important ones first
            first = [name for name in KEY_COLUMNS if name in table]
            table = table[first + [name for name in table if name not in first]]
            table = table.drop(columns="ecephys_session_id")
        show_table(table, what="units", rows=rows)


def _analyze(
    session: EcephysSession,
    stimulus: list[str] | None,
    *,
    structures: list[str] | None,
    options: MetricOptions,
) -> pd.DataFrame:
    from spikehouse.transfer.progress import count_steps

    unit_ids = _select_units(session, structures)
    with count_steps("analysing", unit=" stimuli") as progress:
        table = session.analyze(stimulus, unit_ids=unit_ids, options=options, progress=progress)
    structures_of = session.units["ecephys_structure_acronym"].reindex(table.index)
    table.insert(0, "ecephys_session_id", session.ecephys_session_id)
    table.insert(1, "ecephys_structure_acronym", structures_of)
    return table


def _check_stimuli(names: list[str] | None) -> None:
    """Check the names of stimuli before a session is opened."""
    from spikehouse.analysis import ANALYSES

    known = [name for key, kind in ANALYSES.items() for name in dict.fromkeys((key, *kind.names))]
    for name in names or ():
        if name not in known:
            raise InvalidArgumentError(
                f"there is no analysis of {name!r}: {describe_choices(name, known)}"
            )


def _select_units(session: EcephysSession, structures: list[str] | None) -> list[int] | None:
    if not structures:
        return None
    found = session.units["ecephys_structure_acronym"]
    for name in structures:
        if name not in set(found):
            held = describe_choices(name, session.structurewise_unit_counts.index)
            raise NotFoundError(f"no unit of this session lies in {name!r}: {held}")
    return [int(unit) for unit in found.index[found.isin(structures)]]
