"""Queries in the warehouse's language (RMA), and tables from the rows of its answers."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias
from urllib.parse import quote

import numpy as np
import pandas as pd

from spikehouse.errors import (
    InvalidArgumentError,
    InvalidFileError,
    SourceError,
    describe_value,
    printable,
)
from spikehouse.schema import Table
from spikehouse.survey.tables import MAX_COLUMNS, MAX_ROWS

__all__ = [
    "CHANNELS",
    "PROBES",
    "SESSIONS",
    "UNITS",
    "Row",
    "build_path",
    "find_file",
    "find_metrics",
    "find_templates",
    "flatten_session",
    "parse_page",
    "tabulate",
    "unpack_bundles",
]

Row: TypeAlias = Mapping[str, Any]

PRODUCT_ID = 714914585

SESSIONS = (
    "model::EcephysSession,rma::include,specimen(donor(age)),well_known_files(well_known_file_type)"
)
PROBES = "model::EcephysProbe"
# the tabular option both selects and names: otherwise the structure comes as a nested object
CHANNELS = (
    "model::EcephysChannel,rma::include,structure,rma::options[tabular$eq'"
    "ecephys_channels.id"
    ",ecephys_probe_id,local_index"
    ",probe_horizontal_position,probe_vertical_position"
    ",anterior_posterior_ccf_coordinate,dorsal_ventral_ccf_coordinate"
    ",left_right_ccf_coordinate"
    ",structures.id as ecephys_structure_id,structures.acronym as ecephys_structure_acronym"
    "']"
)
UNITS = "model::EcephysUnit"

_NAME = re.compile(r"[A-Za-z0-9_.\- ]+")
N_CHARACTERS_SHOWN = 200
MAX_ID = 2**63 - 1


def find_file(file_type: str, owner_type: str, owner_id: int) -> str:
    """Build the query for the file of one session or probe."""
    return (
        f"model::WellKnownFile,rma::criteria,well_known_file_type[name$eq{_name(file_type)}]"
        f"[attachable_type$eq{_name(owner_type)}][attachable_id$eq{_id(owner_id)}]"
    )


def find_templates() -> str:
    """Build the query for the images and movies that were shown."""
    return find_file("Stimulus", "Product", PRODUCT_ID)


def find_metrics(of: int | str) -> str:
    """Build the query for the analysis metrics of a session (an id) or session type (a name)."""
    which = f"stimulus_name$in{_name(of)}" if isinstance(of, str) else f"id$in{_id(of)}"
    owner = f"ecephys_unit(ecephys_channel(ecephys_probe(ecephys_session[{which}])))"
    return f"model::EcephysUnitMetricBundle,rma::criteria,{owner}"


def build_path(criteria: str, *, start_row: int, n_rows: int) -> str:
    """Return the path and query string of one page of an answer."""
    # pages fit together because the rows are ordered by id
    page = f",rma::options[start_row$eq{start_row}][num_rows$eq{n_rows}][order$eq'id']"
    return f"/api/v2/data/query.json?criteria={quote(criteria + page, safe=':,$()')}"


def parse_page(document: object, *, origin: str) -> tuple[list[Row], int]:
    """Return the rows of an answer and the total number of rows."""
    # The warehouse reports errors with status 200. An answer is rejected if it announces more rows
    # than there can be, or fewer than it holds.
    if not isinstance(document, dict) or "success" not in document:
        raise SourceError(f"{origin} does not answer like the warehouse: no 'success' in it")
    message = document.get("msg")
    if document["success"] is not True:
        shown = printable(str(message)[:N_CHARACTERS_SHOWN])
        raise SourceError(f"{origin} rejected the query: {shown}")
    if not isinstance(message, list) or not all(isinstance(row, dict) for row in message):
        raise SourceError(f"{origin} does not answer like the warehouse: 'msg' is not rows")
    try:
        n_total = int(document.get("total_rows", len(message)))
    except (TypeError, ValueError, OverflowError) as error:
        raise SourceError(f"{origin} does not say how many rows there are: {error}") from error
    if not len(message) <= n_total <= MAX_ROWS:
        raise SourceError(
            f"{origin} announces {n_total} rows and returned {len(message)}: the total must lie "
            f"between that and {MAX_ROWS}"
        )
    return message, n_total


def _id(value: object) -> str:
    if isinstance(value, bool):
        raise InvalidArgumentError(f"{describe_value(value)} is not an id: give a whole number")
    try:
        return str(operator.index(value))  # type: ignore[arg-type]
    except TypeError as error:
        raise InvalidArgumentError(
            f"{describe_value(value)} is not an id: give a whole number"
        ) from error


def _name(value: str) -> str:
    # quoting alone would not do: the language has no escape for a quote inside a name
    if not isinstance(value, str) or _NAME.fullmatch(value) is None:
        raise InvalidArgumentError(
            f"{value!r} cannot be a name in a query: valid are letters, digits, blanks, dots, "
            "dashes and underscores"
        )
    return f"'{value}'"


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
