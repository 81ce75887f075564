"""Joins by id that keep row numbers; columns are copied only for the final table."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_Rows: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True)
class _Part:
    """Columns of one table: their current names, and the rows to show (None for all)."""

    frame: pd.DataFrame
    names: tuple[str, ...]
    rows: _Rows | None

    def take(self, rows: _Rows) -> _Part:
        return _Part(self.frame, self.names, rows if self.rows is None else self.rows[rows])

    def read(self, position: int) -> Any:  # noqa: ANN401 - NumPy's or an extension's array
        column = self.frame.iloc[:, position]
        values = column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array
        return values.copy() if self.rows is None else values.take(self.rows)


@dataclass(frozen=True)
class Joined:
    """Rows of several tables that belong together, kept as row numbers of each table."""

    index: pd.Index
    parts: tuple[_Part, ...]

    @classmethod
    def of(cls, frame: pd.DataFrame, *, renames: Mapping[str, str] | None = None) -> Joined:
        """Return all rows of one table, with some columns renamed."""
        names = tuple((renames or {}).get(name, name) for name in frame.columns)
        return cls(frame.index, (_Part(frame, names, None),))

    @property
    def names(self) -> list[str]:
        """Names of the columns, in order."""
        return [name for part in self.parts for name in part.names]

    def take(self, rows: _Rows) -> Joined:
        """Return the rows at these positions, in this order."""
        return Joined(self.index.take(rows), tuple(part.take(rows) for part in self.parts))

    def read(self, name: str) -> Any:  # noqa: ANN401 - NumPy's or an extension's array
        """Return a copy of one column, with its own dtype."""
        part = next(part for part in self.parts if name in part.names)
        return part.read(part.names.index(name))

    def to_frame(self, *, hidden: Collection[str] = ()) -> pd.DataFrame:
        """Return the columns as one DataFrame, without those in ``hidden``."""
        columns = {
            name: pd.Series(part.read(position), index=self.index, copy=False)
            for part in self.parts
            for position, name in enumerate(part.names)
            if name not in hidden
        }
        return pd.DataFrame(columns, index=self.index, copy=False)


def join(children: Joined, parents: Joined, *, key: str, suffixes: tuple[str, str]) -> Joined:
    """Join every child row with its parent row; rows without a parent are left out."""
    # Children of one parent become adjacent, parents in order of first appearance: the order of
    # pandas 1 and of existing notebooks, whatever the installed version of pandas.
    keys = np.asarray(children.read(key))
    found = parents.index.get_indexer(pd.Index(keys))
    child_rows = np.flatnonzero(found >= 0)
    parent_rows = found[child_rows]
    order = _group(keys[child_rows])
    if order is not None:
        child_rows, parent_rows = child_rows[order], parent_rows[order]
    if not np.array_equal(child_rows, np.arange(len(keys))):
        children = children.take(child_rows)
    both = set(children.names) & set(parents.names)
    ours = _mark(children, both, suffixes[0])
    theirs = _mark(parents.take(parent_rows), both, suffixes[1])
    return Joined(ours.index, (*ours.parts, *theirs.parts))


def _group(keys: NDArray[Any]) -> _Rows | None:
    """Return the order in which equal keys are adjacent; None if they already are."""
    is_first = np.ones(len(keys), dtype=bool)
    np.not_equal(keys[1:], keys[:-1], out=is_first[1:])
    firsts = keys[is_first]
    if len(pd.unique(firsts)) == len(firsts):
        return None
    codes, _ = pd.factorize(keys)
    return np.argsort(codes, kind="stable")


def _mark(joined: Joined, names: Collection[str], suffix: str) -> Joined:
    if not names:
        return joined
    parts = tuple(
        _Part(p.frame, tuple(n + suffix if n in names else n for n in p.names), p.rows)
        for p in joined.parts
    )
    return Joined(joined.index, parts)
