"""RMA, the query language of the warehouse: a text in, the answer as the warehouse gives it out.

RMA (RESTful Model Access) is what ``/api/v2/data/query.json?criteria=…`` understands::

    model::EcephysChannel[id$in1,2],rma::criteria,ecephys_probe[name$eq'probeA'],
    rma::include,structure,rma::options[start_row$eq0][num_rows$eq50][order$eq'id']

`rma_parser` reads the text into the `rma_query.Query` it stands for, `rma_tables` selects the
rows; here both are put together. An error is an answer too, with ``success`` false.
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
    """Answer the text of a query.

    Parameters
    ----------
    text
        The query, URL decoding done: what follows ``criteria=``.
    database
        The models, by name.

    Returns
    -------
    dict
        ``success``, ``id`` (always 0), ``start_row``, ``num_rows`` (rows in this answer),
        ``total_rows`` (rows in all pages) and ``msg``: the rows, each a dict of plain values.
        For a query that cannot be read or answered `make_failure` of the reason.
    """
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
    """Make the answer to a query that failed.

    Parameters
    ----------
    reason
        What is wrong with the query.

    Returns
    -------
    dict
        The fields of an answer, ``success`` false, no rows, the reason as ``msg``.
    """
    return {
        "success": False,
        "id": 0,
        "start_row": 0,
        "num_rows": 0,
        "total_rows": 0,
        "msg": reason,
    }
