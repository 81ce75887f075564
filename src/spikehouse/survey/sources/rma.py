"""Queries in the warehouse's language (RMA), and the format of its answers."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from spikehouse.errors import InvalidArgumentError, SourceError, describe_value, printable
from spikehouse.survey.tables import MAX_ROWS

__all__ = [
    "CHANNELS",
    "PROBES",
    "SESSIONS",
    "UNITS",
    "build_path",
    "find_file",
    "find_metrics",
    "find_templates",
    "parse_page",
]

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


def parse_page(document: object, *, origin: str) -> tuple[list[Mapping[str, Any]], int]:
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
