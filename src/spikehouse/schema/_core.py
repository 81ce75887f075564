"""Columns and tables of the data dictionary, and the conversion of a frame to their dtypes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from spikehouse.errors import InvalidArgumentError, InvalidFileError

Kind = Literal["int", "float", "bool", "str", "list", "mixed"]

_EMPTY_DTYPES: Mapping[Kind, Any] = {
    "int": np.int64, "float": np.float64, "bool": np.bool_, "str": "str", "list": object,
    "mixed": object,
}  # fmt: skip
TRUTH_WORDS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}


@dataclass(frozen=True)
class Column:
    """One column of the data dictionary."""

    # name in the tables of the public API
    name: str
    # "list" is a sequence in each row, "mixed" objects (numbers and the word "null")
    kind: Kind
    meaning: str
    unit: str = ""
    # origin of the values, if not the column of the same name in the file
    source: str = ""
    # whether files may lack the column
    optional: bool = False


@dataclass(frozen=True)
class Table:
    """A table of the data dictionary: its index and its columns, in order."""

    name: str
    index: str
    columns: tuple[Column, ...]
    meaning: str = ""

    @property
    def column_names(self) -> list[str]:
        """Names of the columns, without the index."""
        return [column.name for column in self.columns]

    def empty(self) -> pd.DataFrame:
        """Return the table without rows, with all columns and dtypes."""
        data = {c.name: pd.Series(dtype=_EMPTY_DTYPES[c.kind]) for c in self.columns}
        return pd.DataFrame(data, index=pd.Index([], name=self.index, dtype=np.int64))

    def conform(self, frame: pd.DataFrame, *, origin: str) -> pd.DataFrame:
        """Convert every declared column to its dtype; ``origin`` is the file, for messages."""
        missing = [c.name for c in self.columns if not c.optional and c.name not in frame.columns]
        if missing:
            raise InvalidFileError(
                f"{origin} has no {self.name} column {', '.join(map(repr, missing))}; "
                f"it has {', '.join(map(repr, frame.columns))}"
            )
        converted = {}
        for column in self.columns:
            if column.name not in frame.columns:
                continue
            try:
                converted[column.name] = _convert(frame[column.name], column.kind)
            except (TypeError, ValueError) as error:
                raise InvalidFileError(
                    f"{origin}: column {column.name!r} of {self.name} "
                    f"should hold {column.kind} values: {error}"
                ) from error
        return frame.assign(**converted)


def require_columns(table: pd.DataFrame, *names: str, what: str) -> None:
    """Check that a table is a DataFrame with these columns; ``what`` names it in messages."""
    if not isinstance(table, pd.DataFrame):
        raise InvalidArgumentError(
            f"{what} must be a table (DataFrame) with the columns {', '.join(names)}, not a "
            f"{type(table).__name__}"
        )
    missing = [name for name in names if name not in table]
    if missing:
        raise InvalidArgumentError(
            f"{what} has no column {', '.join(map(repr, missing))}; "
            f"it has {', '.join(map(repr, table)) or 'no columns'}"
        )


def _convert(values: pd.Series[Any], kind: Kind) -> pd.Series[Any]:
    if kind == "int":
        numbers = pd.to_numeric(values)
        # empty ids of a CSV file stay NaN: a made-up id would be worse than a float column
        return numbers if numbers.isna().any() else numbers.astype(np.int64)
    if kind == "float":
        return pd.to_numeric(values).astype(np.float64)
    if kind == "bool":
        return _to_bool(values)
    return values


def _to_bool(values: pd.Series[Any]) -> pd.Series[Any]:
    if values.dtype == np.bool_:
        return values
    words = values.astype(str).str.casefold()
    unknown = sorted(set(words) - set(TRUTH_WORDS))
    if unknown:
        raise ValueError(f"not true or false: {', '.join(map(repr, unknown[:3]))}")
    return words.map(TRUTH_WORDS).astype(np.bool_)
