"""Questions to the warehouse, as AllenSDK's data access notebook asks them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import pandas as pd

from spikehouse.errors import InvalidArgumentError, describe_choices
from spikehouse.remote import Warehouse

__all__ = ["RmaEngine", "build_and_execute"]

Answer = TypeVar("Answer")

_PLACE = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")
_PREFIX = "criteria="


class RmaEngine:
    """Ask the warehouse in its query language.

    Parameters
    ----------
    scheme
        ``"https"`` or ``"http"``.
    host
        Such as ``"api.brain-map.org"``.
    page_size
        How many rows to ask for at once.
    """

    def __init__(self, scheme: str, host: str, *, page_size: int = 5000) -> None:
        self.scheme = scheme
        self.host = host
        self._warehouse = Warehouse(host, scheme, page_rows=page_size)

    def get_rma_list(self, query: str) -> list[dict[str, Any]]:
        """Ask for all rows of an answer.

        Parameters
        ----------
        query
            ``"criteria=model::…"``, without the options that turn pages.

        Returns
        -------
        list of dict
            One dict a row.

        Raises
        ------
        SourceError
            If the host cannot be reached or refuses the query.
        """
        return [dict(row) for row in self._warehouse.query(query.removeprefix(_PREFIX))]

    def get_rma_tabular(self, query: str, try_infer_dtypes: bool = True) -> pd.DataFrame:
        """Ask for all rows of an answer, as a table.

        Parameters
        ----------
        query
            As for :meth:`get_rma_list`.
        try_infer_dtypes
            Turn columns of numbers written as text into numbers.

        Returns
        -------
        DataFrame
            One line a row of the answer.

        Raises
        ------
        SourceError
            If the host cannot be reached or refuses the query.
        """
        table = pd.DataFrame(self.get_rma_list(query))
        return table.apply(_as_numbers) if try_infer_dtypes and not table.empty else table


def build_and_execute(
    query: str,
    base: None = None,
    engine: Callable[[str], Answer] | None = None,
    **values: object,
) -> Answer:
    """Fill the places of a query, and ask it.

    Parameters
    ----------
    query
        The text, with ``{{name}}`` where a value belongs.
    base
        AllenSDK's templates for its own tables; not offered.
    engine
        Who is asked: ``RmaEngine(...).get_rma_tabular``.
    **values
        The values by name.

    Returns
    -------
    object
        What the engine answers.

    Raises
    ------
    InvalidArgumentError
        If there is no engine, a place has no value, or the query needs more than places.
    """
    if base is not None or engine is None:
        raise InvalidArgumentError(
            "build_and_execute needs an engine and takes no base: "
            "build_and_execute(query, engine=rma_engine.get_rma_tabular, session_id=...)"
        )
    if "{%" in query or "{#" in query:
        raise InvalidArgumentError(
            "the query holds a template command ({% … %}); only places such as {{session_id}} "
            "are filled here: write the text out"
        )

    def fill(place: re.Match[str]) -> str:
        name = place[1]
        if name not in values:
            raise InvalidArgumentError(
                f"the query asks for {{{{{name}}}}}, which was not given: "
                f"{describe_choices(name, values)}"
            )
        return str(values[name])

    return engine(_PLACE.sub(fill, query))


def _as_numbers(column: pd.Series) -> pd.Series:
    try:
        return pd.to_numeric(column)
    except (ValueError, TypeError):
        return column
