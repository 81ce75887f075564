"""``spikehouse sessions``, ``probes`` and ``units``: tables of the survey."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from spikehouse.cli._common import Cache, Host, Offline, Size, Sources, open_cache, plain_errors
from spikehouse.cli._printing import check_out, show_table, write_table
from spikehouse.errors import NotFoundError, describe_choices

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pandas as pd

    from spikehouse.cache import EcephysProjectCache

FAREWELL = "stopped; run the same command again"
SESSION_COLUMNS = [
    "session_type", "age_in_days", "sex", "full_genotype", "unit_count", "probe_count",
]  # fmt: skip
PROBE_COLUMNS = [
    "ecephys_session_id", "name", "has_lfp_data", "lfp_sampling_rate", "channel_count",
    "unit_count", "ecephys_structure_acronyms",
]  # fmt: skip
UNIT_COLUMNS = [
    "ecephys_session_id", "name", "ecephys_structure_acronym", "firing_rate", "snr",
    "isi_violations", "presence_ratio", "amplitude_cutoff",
]  # fmt: skip

Out: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="Write all rows and columns to this .csv or .parquet file instead."),
]
Rows: TypeAlias = Annotated[
    int, typer.Option(help="Rows to show on a terminal; 0 shows all.", min=0)
]
Sessions: TypeAlias = Annotated[
    list[int] | None, typer.Option("--session", help="Only of this session; may be repeated.")
]
Structures: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--structure", help="Only where this structure was recorded, such as VISp; may be repeated."
    ),
]
Types: TypeAlias = Annotated[
    list[str] | None, typer.Option("--type", help="Only of this session type; may be repeated.")
]
Probes: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--probe", help="Only this probe, such as probeC; may be repeated."),
]


def sessions(
    session: Sessions = None,
    session_type: Types = None,
    genotype: Annotated[
        str | None, typer.Option(help="Only mice with this in their genotype.")
    ] = None,
    structure: Structures = None,
    out: Out = None,
    rows: Rows = 60,
    source: Sources = None,
    cache: Cache = None,
    host: Host = None,
    size: Size = "small",
    offline: Offline = False,
) -> None:
    """List the sessions."""
    with plain_errors(FAREWELL), open_tables(out, source, cache, host, size, offline) as project:
        table = project.get_session_table()
        table = _only(table, None, session, "session")
        table = _only(table, "session_type", session_type, "session type")
        table = _only_in(table, structure)
        if genotype is not None:
            table = table[table["full_genotype"].str.contains(genotype, case=False, regex=False)]
        _give(table, SESSION_COLUMNS, out, "sessions", rows)


def probes(
    session: Sessions = None,
    probe: Probes = None,
    structure: Structures = None,
    out: Out = None,
    rows: Rows = 60,
    source: Sources = None,
    cache: Cache = None,
    host: Host = None,
    size: Size = "small",
    offline: Offline = False,
) -> None:
    """List the probes."""
    with plain_errors(FAREWELL), open_tables(out, source, cache, host, size, offline) as project:
        table = project.get_probes()
        table = _only(table, "ecephys_session_id", session, "session")
        table = _only(table, "name", probe, "probe")
        table = _only_in(table, structure)
        _give(table, PROBE_COLUMNS, out, "probes", rows)


def units(
    session: Sessions = None,
    probe: Probes = None,
    structure: Structures = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also units that fail the quality criteria.")
    ] = False,
    out: Out = None,
    rows: Rows = 40,
    source: Sources = None,
    cache: Cache = None,
    host: Host = None,
    size: Size = "small",
    offline: Offline = False,
) -> None:
    """List the sorted units."""
    with plain_errors(FAREWELL), open_tables(out, source, cache, host, size, offline) as project:
        limits = ("amplitude_cutoff_maximum", "presence_ratio_minimum", "isi_violations_maximum")
        table = project.get_units(None, not every, **(dict.fromkeys(limits, None) if every else {}))
        table = _only(table, "ecephys_session_id", session, "session")
        table = _only(table, "name", probe, "probe")
        table = _only(table, "ecephys_structure_acronym", structure, "structure")
        _give(table, UNIT_COLUMNS, out, "units", rows)


@contextlib.contextmanager
def open_tables(
    out: Path | None,
    source: list[str] | None,
    cache: Path | None,
    host: str | None,
    size: str,
    offline: bool,
) -> Iterator[EcephysProjectCache]:
    """Check the output file, then open the cache."""
    check_out(out)
    with open_cache(source, cache, host, size, offline=offline) as project:
        yield project


def _give(table: pd.DataFrame, columns: list[str], out: Path | None, what: str, rows: int) -> None:
    if out is not None:
        write_table(table, out)
        return
    show_table(table[[name for name in columns if name in table]], what=what, rows=rows)


def _only(
    table: pd.DataFrame, column: str | None, values: list[int] | list[str] | None, what: str
) -> pd.DataFrame:
    """Return the rows with these values in a column, None for the index."""
    if not values:
        return table
    found = table.index.to_series() if column is None else table[column]
    _require(values, sorted(found.dropna().unique().tolist()), what)
    return table[found.isin(values)]


def _only_in(table: pd.DataFrame, structures: list[str] | None) -> pd.DataFrame:
    if not structures:
        return table
    column = table["ecephys_structure_acronyms"]
    known = sorted({name for names in column for name in names if isinstance(name, str)})
    _require(structures, known, "structure")
    return table[[bool(set(structures) & set(names)) for names in column]]


def _require(values: Iterable[object], valid: Sequence[object], what: str) -> None:
    for value in values:
        if value not in valid:
            raise NotFoundError(
                f"there is no {what} {value!r} here: {describe_choices(value, valid)}"
            )
