"""What a column and a table are, and how a frame is made to agree with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from spikehouse.errors import InvalidArgumentError, InvalidFileError

Kind = Literal["int", "float", "bool", "str", "list", "mixed"]

_EMPTY_DTYPES: Mapping[Kind, Any] = {
    "int": np.int64,
    "float": np.float64,
    "bool": np.bool_,
    "str": "str",
    "list": object,
    "mixed": object,
}


@dataclass(frozen=True)
class Column:
    """One column of the data dictionary.

    Attributes
    ----------
    name
        Its name in the tables users see.
    kind
        ``"int"``, ``"float"``, ``"bool"``, ``"str"``; ``"list"`` holds a sequence a row and
        ``"mixed"`` whatever the stimulus gives (numbers beside the word "null").
    meaning
        One line for the reference page.
    unit
        The physical unit, empty where there is none.
    source
        Where the number comes from, if not the column of the same name in the file.
    optional
        True where older or smaller files do without it.
    """

    name: str
    kind: Kind
    meaning: str
    unit: str = ""
    source: str = ""
    optional: bool = False


@dataclass(frozen=True)
class Table:
    """A table of the data dictionary.

    Attributes
    ----------
    name
        Name of the table.
    index
        Name of its index.
    columns
        Its columns, in order.
    meaning
        What a row is.
    """

    name: str
    index: str
    columns: tuple[Column, ...]
    meaning: str = ""

    @property
    def column_names(self) -> list[str]:
        """The names of the columns, the index left out."""
        return [column.name for column in self.columns]

    def empty(self) -> pd.DataFrame:
        """Make the table with no rows, with its index, columns and dtypes.

        Returns
        -------
        DataFrame
            Zero rows, every column of the right dtype.
        """
        data = {c.name: pd.Series(dtype=_EMPTY_DTYPES[c.kind]) for c in self.columns}
        return pd.DataFrame(data, index=pd.Index([], name=self.index, dtype=np.int64))

    def conform(self, frame: pd.DataFrame, *, origin: str) -> pd.DataFrame:
        """Give every declared column its declared dtype.

        Parameters
        ----------
        frame
            A table as it was read; columns the dictionary does not know are kept as they are.
        origin
            Where it was read from, for the error message.

        Returns
        -------
        DataFrame
            A new frame, the order of rows and columns unchanged.

        Raises
        ------
        InvalidFileError
            If a column that is not optional is missing, or holds what cannot be converted.
        """
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
    """Check that a table has some columns.

    Parameters
    ----------
    table
        The table.
    *names
        The columns it needs.
    what
        What to call the table in the error.

    Raises
    ------
    InvalidArgumentError
        If it is no table, or a column is missing.
    """
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
        # ids that a CSV left empty stay NaN: an invented id would be worse than a float column
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
    known = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}
    unknown = sorted(set(words) - set(known))
    if unknown:
        raise ValueError(f"neither true nor false: {', '.join(map(repr, unknown[:3]))}")
    return words.map(known).astype(np.bool_)
