"""Recipes of the units of a session: their table, their metrics and the filters in force."""

from __future__ import annotations

from typing import Any

import pandas as pd

from spikehouse import EcephysSession
from spikehouse.schema import METRICS, UNITS


def units(session: EcephysSession) -> dict[str, Any]:
    """List the units that pass the session's filters, and what each column means."""
    return {"units": session.units, "columns": _describe_columns(session.units)}


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
    rows = [(name, *known.get(name, ("", ""))) for name in map(str, table)]
    return pd.DataFrame(rows, columns=["name", "unit", "meaning"])
