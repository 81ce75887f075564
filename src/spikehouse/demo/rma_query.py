"""What an RMA query asks for, as frozen descriptions: the result of reading its text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "DEFAULT_NUM_ROWS",
    "Condition",
    "Criteria",
    "Include",
    "Operator",
    "OrderColumn",
    "Query",
    "Scalar",
    "TabularColumn",
]

# What the warehouse answers when a query does not say how many rows it wants.
DEFAULT_NUM_ROWS = 50

Scalar = int | float | str | bool | None
Operator = Literal["eq", "ne", "in", "nin", "lt", "gt", "le", "ge", "li", "il"]


@dataclass(frozen=True)
class Condition:
    """One bracket, ``[column$operator value, …]``.

    Attributes
    ----------
    column
        Name of the column; which model has it is for the evaluation to say.
    operator
        ``eq``, ``ne``, ``lt``, ``gt``, ``le``, ``ge`` take one value, ``in`` and ``nin`` any
        number; ``li`` is "like" with ``*`` as wildcard, ``il`` the same without regard to case.
    values
        Numbers, texts, booleans or None, as they were written.
    """

    column: str
    operator: Operator
    values: tuple[Scalar, ...]


@dataclass(frozen=True)
class Criteria:
    """What rows of a model have to fulfil: conditions, and criteria on associated models."""

    conditions: tuple[Condition, ...] = ()
    associations: tuple[tuple[str, Criteria], ...] = ()

    def joined(self, other: Criteria) -> Criteria:
        """Give the criteria that hold where both of them hold.

        Parameters
        ----------
        other
            Further criteria on the same model.

        Returns
        -------
        Criteria
            All conditions and associations of the two.
        """
        return Criteria(self.conditions + other.conditions, self.associations + other.associations)


@dataclass(frozen=True)
class Include:
    """An associated model whose rows are put into the answer, with what it includes itself."""

    name: str
    nested: tuple[Include, ...] = ()


@dataclass(frozen=True)
class TabularColumn:
    """A column of a flat answer: ``table.column as name``; `table` is None when not written."""

    table: str | None
    column: str
    name: str


@dataclass(frozen=True)
class OrderColumn:
    """A column to sort by."""

    table: str | None
    column: str
    descending: bool = False


@dataclass(frozen=True)
class Query:
    """A whole query.

    Attributes
    ----------
    model
        The model whose rows are asked for.
    criteria
        All criteria of the query, which have to hold together.
    includes
        Associated models to put into each row.
    start_row, num_rows
        The page: its first row counted from 0 and its length; None is "all".
    order
        Columns to sort by, the most important first.
    tabular
        The columns of a flat answer, None for nested rows.
    count
        Whether the total number of rows is wanted.
    """

    model: str
    criteria: Criteria = field(default_factory=Criteria)
    includes: tuple[Include, ...] = ()
    start_row: int = 0
    num_rows: int | None = DEFAULT_NUM_ROWS
    order: tuple[OrderColumn, ...] = ()
    tabular: tuple[TabularColumn, ...] | None = None
    count: bool = True
