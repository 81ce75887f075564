"""Convert the rows of RMA answers to the tables of the cache folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from spikehouse.errors import InvalidFileError, SourceError, printable
from spikehouse.schema import Table
from spikehouse.survey.tables import MAX_COLUMNS

__all__ = ["Row", "flatten_session", "tabulate", "unpack_bundles"]

Row: TypeAlias = Mapping[str, Any]

MAX_ID = 2**63 - 1


def tabulate(rows: Iterable[Row], table: Table, *, origin: str) -> pd.DataFrame:
    """Convert rows to a table with the declared types."""
    # The warehouse sometimes writes numbers as strings. Fields that the table does not declare are
    # dropped.
    rows = list(rows)
    if not rows:
        return table.empty()
    optional = {column.name for column in table.columns if column.optional}
    present = set().union(*rows)
    wanted = [name for name in table.column_names if name in present or name not in optional]
    missing = [name for name in (table.index, *wanted) if name not in present]
    if missing:
        raise SourceError(
            f"{origin} returned a {table.name} table without {', '.join(map(repr, missing))}"
        )
    try:
        frame = pd.DataFrame(
            {name: [row.get(name) for row in rows] for name in wanted},
            index=pd.Index([_to_id(row[table.index]) for row in rows], name=table.index),
        )
        if frame.index.has_duplicates:
            twice = frame.index[frame.index.duplicated()][0]
            raise ValueError(f"id {twice} occurs twice")
        return table.conform(frame, origin=origin)
    except (InvalidFileError, KeyError, TypeError, ValueError, OverflowError) as error:
        reason = printable(str(error)[:500])
        raise SourceError(f"{origin} returned an invalid {table.name} table: {reason}") from error


def flatten_session(row: Row) -> Row:
    """Move the nested values of a session to its top level."""
    donor = _child(row.get("specimen"), "donor")
    genotype = donor.get("full_genotype")
    files = row.get("well_known_files") or []
    file_types = [_child(file, "well_known_file_type").get("name") for file in files]
    return {
        **row,
        "session_type": row.get("stimulus_name"),
        "age_in_days": _child(donor, "age").get("days"),
        "sex": donor.get("sex"),
        # the warehouse leaves the genotype of wild types empty
        "genotype": "wt" if genotype is None else genotype,
        "has_nwb": "EcephysNwb" in file_types,
    }


def unpack_bundles(bundles: Iterable[Row], *, origin: str) -> pd.DataFrame:
    """Convert bundles of analysis metrics to a table."""
    unit_ids, metrics, names = [], [], set[str]()
    for bundle in bundles:
        try:
            unit_ids.append(_to_id(bundle["ecephys_unit_id"]))
            values = json.loads(bundle["data"])
        # RecursionError: a document of nothing but brackets
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise SourceError(f"{origin} returned invalid metrics: {error!r}") from error
        if not isinstance(values, dict):
            raise SourceError(f"{origin} returned metrics without names: {values!r:.80}")
        metrics.append(values)
        names.update(values)
        if len(names) > MAX_COLUMNS:
            raise SourceError(f"{origin} returned more than {MAX_COLUMNS} metrics")
    index = pd.Index(unit_ids, name="ecephys_unit_id", dtype=np.int64)
    if index.has_duplicates:
        twice = index[index.duplicated()][0]
        raise SourceError(f"{origin} returned the metrics of unit {twice} twice; call again")
    return pd.DataFrame(metrics, index=index)


def _to_id(value: object) -> int:
    """Convert an id, which the warehouse sometimes writes as a string."""
    number = int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else -1
    if not 0 <= number <= MAX_ID:
        raise ValueError(f"{value!r:.40} is not an id")
    return number


def _child(parent: object, key: str) -> Row:
    child = parent.get(key) if isinstance(parent, dict) else None
    return child if isinstance(child, dict) else {}
