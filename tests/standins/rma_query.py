"""Parsed RMA queries as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

# Rows that the warehouse returns if a query does not specify their number.
DEFAULT_NUM_ROWS = 50

Scalar = int | float | str | bool | None
Operator = Literal["eq", "ne", "in", "nin", "lt", "gt", "le", "ge", "li", "il"]


@dataclass(frozen=True)
class Condition:
    """One condition, ``[column$operator value, …]``."""

    # ``in`` and ``nin`` take any number of values, the others one; ``li`` is "like" with ``*`` as
    # wildcard, ``il`` the same without regard to case

    column: str
    operator: Operator
    values: tuple[Scalar, ...]


@dataclass(frozen=True)
class Criteria:
    """Conditions on the rows of a model, and criteria on associated models."""

    conditions: tuple[Condition, ...] = ()
    associations: tuple[tuple[str, Criteria], ...] = ()

    def joined(self, other: Criteria) -> Criteria:
        """Return the criteria of both, all of which must hold."""
        return Criteria(self.conditions + other.conditions, self.associations + other.associations)


@dataclass(frozen=True)
class Include:
    """An associated model whose rows are included in the answer, and what these include."""

    name: str
    nested: tuple[Include, ...] = ()


@dataclass(frozen=True)
class TabularColumn:
    """A column of a flat answer: ``table.column as name``; `table` is None if not given."""

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
    """A parsed query."""

    model: str
    criteria: Criteria = field(default_factory=Criteria)
    includes: tuple[Include, ...] = ()
    start_row: int = 0
    num_rows: int | None = DEFAULT_NUM_ROWS
    order: tuple[OrderColumn, ...] = ()
    tabular: tuple[TabularColumn, ...] | None = None
    count: bool = True
