"""Query the warehouse as AllenSDK's data access notebook does."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import pandas as pd

from spikehouse.errors import InvalidArgumentError, describe_choices
from spikehouse.survey import Warehouse

Answer = TypeVar("Answer")

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")
_PREFIX = "criteria="


class RmaEngine:
    """Send queries in the warehouse's query language (RMA)."""

    def __init__(self, scheme: str, host: str, *, page_size: int = 5000) -> None:
        self.scheme = scheme
        self.host = host
        self._warehouse = Warehouse(host, scheme, page_rows=page_size)

    def get_rma_list(self, query: str) -> list[dict[str, Any]]:
        """Return all rows of the answer to a query as dictionaries."""
        return [dict(row) for row in self._warehouse.query(query.removeprefix(_PREFIX))]

    def get_rma_tabular(self, query: str, try_infer_dtypes: bool = True) -> pd.DataFrame:
        """Return all rows of the answer to a query as a table."""
        table = pd.DataFrame(self.get_rma_list(query))
        return table.apply(_as_numbers) if try_infer_dtypes and not table.empty else table


def build_and_execute(
    query: str,
    base: None = None,
    engine: Callable[[str], Answer] | None = None,
    **values: object,
) -> Answer:
    """Fill in the ``{{name}}`` placeholders of a query and send it."""
    if base is not None or engine is None:
        raise InvalidArgumentError(
            "build_and_execute needs an engine and takes no base: "
            "build_and_execute(query, engine=rma_engine.get_rma_tabular, session_id=...)"
        )
    if "{%" in query or "{#" in query:
        raise InvalidArgumentError(
            "the query holds a template command ({% … %}); only placeholders such as "
            "{{session_id}} are supported: write the query out"
        )

    def fill(found: re.Match[str]) -> str:
        name = found[1]
        if name not in values:
            raise InvalidArgumentError(
                f"the query has the placeholder {{{{{name}}}}}, for which no value was passed: "
                f"{describe_choices(name, values)}"
            )
        return str(values[name])

    return engine(_PLACEHOLDER.sub(fill, query))


def _as_numbers(column: pd.Series) -> pd.Series:
    try:
        return pd.to_numeric(column)
    except (ValueError, TypeError):
        return column
