"""Answer queries in RMA, the query language of the warehouse, from tables.

RMA (RESTful Model Access) is what ``/api/v2/data/query.json?criteria=…`` understands::

    model::EcephysChannel[id$in1,2],rma::criteria,ecephys_probe[name$eq'probeA'],
    rma::include,structure,rma::options[start_row$eq0][num_rows$eq50][order$eq'id']

Pure: a database is a mapping of model names to `Model`, each a DataFrame with its associations.
A model whose key is no identifier cannot be asked for, only be reached by an association.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rma_parser import parse_query
from rma_query import Condition, Criteria, Include, Query, Scalar, TabularColumn

from spikehouse.errors import InvalidArgumentError, NotFoundError, describe_choices

Mask = npt.NDArray[np.bool_]
Row = dict[str, Any]
_Reached = tuple[tuple[str, ...], "Model"]


@dataclass(frozen=True)
class Association:
    """A relation between the rows of two models with equal values of ``key`` and ``target_key``."""

    # ``is_many``: a row may have several rows there, and the answer holds a list. ``only``: a
    # column of the target and the value it must have in addition.

    target: str
    key: str
    target_key: str = "id"
    is_many: bool = False
    only: tuple[str, str] | None = None


@dataclass(frozen=True)
class Model:
    """One model of the warehouse: a table with a unique column ``id``, and its associations."""

    # ``text_columns`` are numbers that the warehouse sends as texts; ``lazy_columns`` are too large
    # to hold, and are computed from the rows of one page

    name: str
    table: str
    read: Callable[[], pd.DataFrame]
    associations: Mapping[str, Association] = field(default_factory=dict)
    text_columns: frozenset[str] = frozenset()
    lazy_columns: Mapping[str, Callable[[pd.DataFrame], Sequence[Any]]] = field(
        default_factory=dict
    )

    def find(self, name: str) -> Association:
        """Return the association of a name; raise NotFoundError if there is none."""
        if name not in self.associations:
            raise NotFoundError(
                f"{self.name} has no association {name!r}: "
                f"{describe_choices(name, self.associations)}"
            )
        return self.associations[name]


Database = Mapping[str, Model]


@dataclass(frozen=True)
class Selection:
    """The answer to a query: one page of rows, its first row and the total number of rows."""

    rows: list[Row]
    start_row: int
    total_rows: int


def select(query: Query, database: Database) -> Selection:
    """Select the page of rows that a query asks for, as plain Python values."""
    # A condition after an association applies to a column of the associated model or, if that has
    # no such column, to the enclosing models: clients write
    # ``well_known_file_type[name$eq'…'][attachable_id$eq…]`` for both. As in SQL, a missing value
    # fulfils only ``$eqnull``. Equal rows are sorted by id, so that pages never overlap. Each table
    # in the criteria is passed over once.
    model = _find_model(query.model, database)
    mask, unplaced = _match(model, query.criteria, database)
    if unplaced:
        raise _no_column(model, unplaced[0].column, model.read())
    frame = _sorted(model, model.read().loc[mask], query)
    stop = None if query.num_rows is None else query.start_row + query.num_rows
    page = frame.iloc[query.start_row : stop]
    rows = _read_rows(model, page, query.includes, database)
    if query.tabular is not None:
        reached = list(_walk(model, query.includes, database))
        paths = {column.name: _find_path(column, reached) for column in query.tabular}
        rows = [{name: _pick(row, path) for name, path in paths.items()} for row in rows]
    total = len(frame) if query.count else query.start_row + len(rows)
    return Selection(rows, query.start_row, total)


def _find_model(name: str, database: Database) -> Model:
    if name not in database:
        known = [key for key in database if key.isidentifier()]
        raise NotFoundError(f"there is no model {name!r}: {describe_choices(name, known)}")
    return database[name]


def _no_column(model: Model, column: str, frame: pd.DataFrame) -> NotFoundError:
    return NotFoundError(
        f"{model.name} has no column {column!r} to compare or sort by: "
        f"{describe_choices(column, [str(name) for name in frame.columns])}"
    )


# --- criteria


def _match(model: Model, criteria: Criteria, database: Database) -> tuple[Mask, list[Condition]]:
    """Return the rows that fulfil the criteria, and the conditions on columns the model lacks."""
    frame = model.read()
    mask: Mask = np.ones(len(frame), dtype=np.bool_)
    conditions = list(criteria.conditions)
    for name, nested in criteria.associations:
        association = model.find(name)
        target = database[association.target]
        target_mask, unplaced = _match(target, nested, database)
        conditions += unplaced
        belongs = target_mask & _belongs(association, target.read())
        keys = target.read().loc[belongs, association.target_key].dropna()
        mask &= frame[association.key].isin(keys).to_numpy(np.bool_)
    for condition in conditions:
        if condition.column in frame.columns:
            mask &= _compare(frame[condition.column], condition)
    return mask, [c for c in conditions if c.column not in frame.columns]


def _belongs(association: Association, frame: pd.DataFrame) -> Mask:
    if association.only is None:
        return np.ones(len(frame), dtype=np.bool_)
    column, value = association.only
    return frame[column].eq(value).to_numpy(np.bool_)


def _compare(column: pd.Series[Any], condition: Condition) -> Mask:
    values = [_convert(value, column, condition) for value in condition.values]
    operator, value = condition.operator, values[0]
    present = column.notna().to_numpy(np.bool_)
    if value is None and operator in ("eq", "ne"):
        return ~present if operator == "eq" else present
    if None in values:
        raise InvalidArgumentError(
            f"null can only be compared with $eq and $ne, not with ${operator} "
            f"(column {condition.column!r})"
        )
    met: Mask = np.zeros(len(column), dtype=np.bool_)
    met[present] = _compare_present(column[present], operator, values)
    return met


def _compare_present(column: pd.Series[Any], operator: str, values: list[Any]) -> Mask:
    value = values[0]
    match operator:
        case "eq" | "in":
            met = column.isin(values)
        case "ne" | "nin":
            met = ~column.isin(values)
        case "lt":
            met = column < value
        case "gt":
            met = column > value
        case "le":
            met = column <= value
        case "ge":
            met = column >= value
        case _:
            met = column.map(_Pattern(str(value), ignore_case=operator == "il").matches)
    return np.asarray(met, dtype=np.bool_)


def _convert(value: Scalar, column: pd.Series[Any], condition: Condition) -> Scalar:
    """Convert a value to the type of the column it is compared with."""
    if value is None:
        return None
    where = f"column {condition.column!r}"
    is_pattern = condition.operator in ("li", "il")
    if pd.api.types.is_bool_dtype(column):
        if str(value).lower() in ("true", "false") and condition.operator in ("eq", "ne", "in"):
            return str(value).lower() == "true"
        raise InvalidArgumentError(f"{where} is true or false: $eq, $ne and $in, not {value!r}")
    if not pd.api.types.is_numeric_dtype(column):
        return str(value)
    if is_pattern:
        raise InvalidArgumentError(f"{where} holds numbers: ${condition.operator} is for texts")
    try:
        # the warehouse casts quoted numbers, as its database does, but not booleans
        return float(str(value)) if isinstance(value, (str, bool)) else value
    except ValueError as error:
        raise InvalidArgumentError(f"{where} holds numbers, not {value!r}") from error


class _Pattern:
    """A text with ``*`` for any characters; matching takes linear time."""

    def __init__(self, pattern: str, *, ignore_case: bool) -> None:
        self._fold = str.casefold if ignore_case else str
        self._first, *self._rest = self._fold(pattern).split("*")

    def matches(self, text: str) -> bool:
        text = self._fold(text)
        if not self._rest:
            return text == self._first
        if not text.startswith(self._first):
            return False
        position = len(self._first)
        for part in self._rest[:-1]:
            found = text.find(part, position)
            if found < 0:
                return False
            position = found + len(part)
        return text.endswith(self._rest[-1]) and len(text) - len(self._rest[-1]) >= position


# --- rows


def _sorted(model: Model, frame: pd.DataFrame, query: Query) -> pd.DataFrame:
    frame = frame.sort_values("id", kind="stable")
    for order in reversed(query.order):
        if order.table not in (None, model.table) or order.column not in frame.columns:
            name = order.column if order.table is None else f"{order.table}.{order.column}"
            raise _no_column(model, name, frame)
        frame = frame.sort_values(
            order.column, kind="stable", ascending=not order.descending, na_position="last"
        )
    return frame


def _read_rows(
    model: Model, page: pd.DataFrame, includes: Sequence[Include], database: Database
) -> list[Row]:
    """Convert the rows of a page to dictionaries, with the rows they include."""
    columns = {str(name): _to_plain(page[name]) for name in page.columns}
    for name, compute in model.lazy_columns.items():
        columns[name] = list(compute(page))
    for name in model.text_columns & columns.keys():
        columns[name] = [None if value is None else str(value) for value in columns[name]]
    for include in includes:
        columns[include.name] = _read_included(model, page, include, database)
    names = list(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _read_included(
    model: Model, page: pd.DataFrame, include: Include, database: Database
) -> list[Any]:
    association = model.find(include.name)
    target = database[association.target]
    keys = _to_plain(page[association.key])
    frame = target.read()
    wanted = [key for key in keys if key is not None]
    is_wanted = frame[association.target_key].isin(wanted).to_numpy(np.bool_)
    found = frame.loc[is_wanted & _belongs(association, frame)]
    by_key: dict[Any, list[Row]] = {}
    rows = _read_rows(target, found, include.nested, database)
    for key, row in zip(_to_plain(found[association.target_key]), rows, strict=True):
        by_key.setdefault(key, []).append(row)
    if association.is_many:
        return [by_key.get(key, []) for key in keys]
    return [by_key[key][0] if key in by_key else None for key in keys]


def _to_plain(column: pd.Series[Any]) -> list[Any]:
    missing = column.isna().tolist()
    return [None if gone else v for v, gone in zip(column.tolist(), missing, strict=True)]


# --- tabular answers


def _find_path(column: TabularColumn, reached: Sequence[_Reached]) -> tuple[str, ...]:
    """Return the associations that lead to a column of a tabular answer."""
    known: list[str] = []
    for path, model in reached:
        names = [*model.read().columns, *model.lazy_columns]
        known += [f"{model.table}.{name}" for name in names]
        if column.table in (None, model.table) and column.column in names:
            return (*path, column.column)
    asked = column.column if column.table is None else f"{column.table}.{column.column}"
    raise NotFoundError(
        f"there is no column {asked!r} for a tabular answer in {reached[0][1].name} and what "
        f"the query includes: {describe_choices(asked, known)}"
    )


def _walk(model: Model, includes: Sequence[Include], database: Database) -> Iterator[_Reached]:
    """Visit the model and all included ones, with the path to each."""
    yield (), model
    for include in includes:
        association = model.find(include.name)
        if association.is_many:
            raise InvalidArgumentError(
                f"a tabular answer cannot include {include.name!r}: "
                f"a row of {model.name} has any number of them"
            )
        for path, reached in _walk(database[association.target], include.nested, database):
            yield (include.name, *path), reached


def _pick(row: Row, path: tuple[str, ...]) -> str | None:
    value: Any = row
    for name in path:
        value = None if value is None else value[name]
    # the warehouse returns tabular rows as texts, as its database prints them
    return None if value is None else str(value)


# --- answers


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
