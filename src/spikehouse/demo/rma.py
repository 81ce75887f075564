"""Answer queries in RMA, the query language of the warehouse.

RMA (RESTful Model Access) is what ``/api/v2/data/query.json?criteria=…`` understands::

    model::EcephysChannel[id$in1,2],rma::criteria,ecephys_probe[name$eq'probeA'],
    rma::include,structure,rma::options[start_row$eq0][num_rows$eq50][order$eq'id']

`rma_parser` parses the text into an `rma_query.Query`, and `rma_tables` selects the rows. An
invalid query has an answer too, with ``success`` false.
"""

from __future__ import annotations

from typing import Any

from spikehouse.demo.rma_parser import parse_query
from spikehouse.demo.rma_query import Query
from spikehouse.demo.rma_tables import Association, Database, Model, Selection, select
from spikehouse.errors import InvalidArgumentError, NotFoundError

__all__ = [
    "Association",
    "Database",
    "Model",
    "Query",
    "Selection",
    "answer",
    "make_failure",
    "parse_query",
    "select",
]


def answer(text: str, database: Database) -> dict[str, Any]:
    """Answer a query, given as the decoded text after ``criteria=``."""
    try:
        selection = select(parse_query(text), database)
    except (InvalidArgumentError, NotFoundError) as error:
        return make_failure(str(error))
    return {
        "success": True,
        "id": 0,
        "start_row": selection.start_row,
        "num_rows": len(selection.rows),
        "total_rows": selection.total_rows,
        "msg": selection.rows,
    }


def make_failure(reason: str) -> dict[str, Any]:
    """Return the answer to a query that failed for a reason."""
    return {
        "success": False,
        "id": 0,
        "start_row": 0,
        "num_rows": 0,
        "total_rows": 0,
        "msg": reason,
    }
