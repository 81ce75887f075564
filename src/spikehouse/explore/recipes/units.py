"""Recipes of the units of a session: their table, their metrics and the filters in force."""

from __future__ import annotations

from typing import Any

import pandas as pd

from spikehouse import EcephysSession
from spikehouse.analysis import classify_waveforms
from spikehouse.errors import InvalidArgumentError, NotFoundError
from spikehouse.explore.recipes._classes import add_classes
from spikehouse.schema import METRICS, UNITS


def units(session: EcephysSession) -> dict[str, Any]:
    """List the units that pass the session's filters, what each column means, and more metrics."""
    return {
        "units": (table := add_classes(session.units)),
        "columns": _describe_columns(table),
        # a table of its own, which unit_metrics reads
        "published": [column.name for column in METRICS.columns if column.kind == "float"],
    }


def selected_units(
    session: EcephysSession,
    *,
    words: str = "",
    structures: tuple[str, ...] = (),
    probes: tuple[str, ...] = (),
    classes: tuple[str, ...] = (),
    limits: tuple[str, ...] = (),
    good: bool = False,
    sort: str = "",
) -> dict[str, Any]:
    """List the units that pass limits such as "snr:2..5", sorted by a column ("-snr": falling)."""
    ends = [_read_limit(limit) for limit in limits]
    order = sort.removeprefix("-")
    needed = {*(name for name, *_ in ends), *filter(None, [order])}
    table = add_classes(session.units)
    if not needed <= {table.index.name, *table}:
        table = add_classes(session.units_with_metrics)
    if absent := needed - {table.index.name, *table}:
        names = ", ".join(sorted(absent)) or "without a name"
        raise NotFoundError(f"the units of this session have no column {names}")
    structure = table["ecephys_structure_acronym"].fillna("none").astype(str)
    probe = table["probe_description"].fillna("").astype(str)
    text = table.index.astype(str) + " " + structure + " " + probe
    kept = pd.Series(True, index=table.index)
    for word in words.lower().split():
        kept &= text.str.lower().str.contains(word, regex=False)
    if structures:
        kept &= structure.isin(structures)
    if probes:
        kept &= probe.isin(probes)
    if classes:
        kept &= classify_waveforms(table).fillna("unknown").isin(classes)
    for name, low, high in ends:
        values = table[name] if name in table else table.index.to_series()
        if not pd.api.types.is_numeric_dtype(values):
            raise InvalidArgumentError(f"{name} is not a number, so it has no limits")
        kept &= values.between(low, high)
    # without the column, every unit of the session is good
    if good and "quality" in table:
        kept &= table["quality"] == "good"
    table = table[kept]
    if order:
        table = table.sort_values(order, ascending=order == sort, kind="stable")
    return {"units": table}


def _read_limit(limit: str) -> tuple[str, float, float]:
    """Read "snr:2..5", of which either end may be open."""
    name, _, ends = limit.partition(":")
    low, dots, high = ends.partition("..")
    try:
        return name, float(low or "-inf"), float(high or "inf" if dots else "none")
    except ValueError:
        message = f"{limit!r} is not a limit: limits read like snr:2.. or snr:2..5"
        raise InvalidArgumentError(message) from None


def unit_metrics(session: EcephysSession) -> dict[str, Any]:
    """List the published tuning metrics of the units; no columns without a project cache."""
    metrics = session.units_with_metrics.drop(columns=session.units.columns)
    return {"metrics": metrics, "columns": _describe_columns(metrics)}


def unit_filters(session: EcephysSession) -> dict[str, Any]:
    """Count the units that each filter of the session leaves out."""
    return {"filters": session.count_filtered_units()}


def _describe_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return unit of measure and meaning of the columns; empty where they are not documented."""
    known = {column.name: (column.unit, column.meaning) for column in UNITS.columns}
    known |= {column.name: (column.unit, column.meaning) for column in METRICS.columns}
    known["waveform_class"] = ("", "fast-spiking: below 0.4 ms from trough to peak")
    rows = [(name, *known.get(name, ("", ""))) for name in map(str, table)]
    return pd.DataFrame(rows, columns=["name", "unit", "meaning"])
