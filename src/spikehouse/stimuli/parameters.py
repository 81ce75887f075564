"""Parameter columns of the stimulus table, encoded as codes into their distinct values.

A session has 70 000 presentations but only a few hundred distinct parameter values, so renaming,
parsing and comparing work on the values.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

# in the tables where a parameter does not apply to a stimulus
NULL = "null"

_TRIPLET = re.compile(r"^\[\s*-?\d*\.?\d*\s*(,\s*-?\d*\.?\d*\s*){2}\]$")
_PARSED = ("phase", "size", "spatial_frequency")
_NOT_AVAILABLE = ("", "N/A")


@dataclass(frozen=True)
class Parameter:
    """One column as codes into its distinct values; code −1 where it does not apply."""

    codes: npt.NDArray[np.int32]
    values: npt.NDArray[np.object_]
    # value → its text in the file, where text was parsed to numbers
    texts: Mapping[Any, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether no presentation has this parameter."""
        return not (self.codes >= 0).any()

    def take(self, rows: npt.NDArray[Any]) -> Parameter:
        """Return the column of some presentations, by positions or mask."""
        return Parameter(self.codes[rows], self.values)

    def without(self, rows: npt.NDArray[np.bool_]) -> Parameter:
        """Return the column with the parameter removed from the masked presentations."""
        return Parameter(np.where(rows, np.int32(-1), self.codes), self.values)

    def with_null(self) -> npt.NDArray[np.object_]:
        """Return the values as objects, "null" where the parameter does not apply."""
        return self._objects(NULL)

    def typed(self) -> npt.NDArray[Any]:
        """Return numbers (NaN), bools or objects (None), typed by the values in use."""
        present = np.unique(self.codes[self.codes >= 0])
        used = self.values[present]
        complete = bool((self.codes >= 0).all())
        if len(used) and complete and all(isinstance(v, bool) for v in used):
            return self.values.astype(bool)[self.codes]
        if all(_is_number(v) for v in used):
            # values without a code here (a movie's 3600 frames) are not converted; code -1 indexes
            # the last element
            numbers = np.full(len(self.values) + 1, np.nan)
            numbers[present] = used.astype(np.float64)
            return numbers[self.codes]
        return self._objects(None)

    def _objects(self, missing: object) -> npt.NDArray[np.object_]:
        extended = np.empty(len(self.values) + 1, dtype=object)
        extended[:-1], extended[-1] = self.values, missing
        return np.asarray(extended[self.codes])

    def uniques(self) -> npt.NDArray[np.object_]:
        """Return the distinct values in order of first appearance."""
        codes = pd.unique(self.codes)
        return self.values[codes[codes >= 0]]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_))


def factorize(column: pd.Series[Any]) -> Parameter:
    """Encode a column; missing values, "" and "N/A" do not apply."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy().astype(np.int32)
        values = np.asarray(column.cat.categories, dtype=object)
    else:
        found, uniques = pd.factorize(column)
        codes = found.astype(np.int32)
        values = _as_objects([v.item() if isinstance(v, np.generic) else v for v in uniques])
    absent = np.array([isinstance(v, str) and v in _NOT_AVAILABLE for v in values] + [True])
    return Parameter(np.where(absent[codes], np.int32(-1), codes), values)


def _as_objects(values: list[Any]) -> npt.NDArray[np.object_]:
    # np.array would make a table of equally long tuples
    result = np.empty(len(values), dtype=object)
    for position, value in enumerate(values):
        result[position] = value
    return result


def translate(column: Parameter, mapping: dict[Any, Any]) -> Parameter:
    """Replace values by a mapping and merge those that become equal."""
    renamed = [mapping.get(value, value) for value in column.values]
    distinct = list(dict.fromkeys(renamed))
    position = {value: code for code, value in enumerate(distinct)}
    recode = np.array([position[value] for value in renamed] + [-1], dtype=np.int32)
    return Parameter(recode[column.codes], _as_objects(distinct))


def parse(name: str, column: Parameter) -> Parameter:
    """Parse numbers and tuples from text in the columns phase, size and spatial_frequency."""
    if name not in _PARSED:
        return column
    parsed = {value: _parse_text(value) for value in column.values}
    texts = {number: text for text, number in parsed.items() if isinstance(text, str)}
    return replace(translate(column, parsed), texts=texts)


def _parse_text(value: Any) -> Any:  # noqa: ANN401 - a scalar of any kind
    if not isinstance(value, str):
        return value
    try:
        parsed = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value
    return tuple(parsed) if isinstance(parsed, list) else parsed


def split_color(color: Parameter) -> tuple[Parameter, Parameter]:
    """Split ``color`` into numbers (−1 dark, 1 bright) and RGB triplets."""
    is_triplet = np.array(
        [isinstance(v, str) and bool(_TRIPLET.match(v)) for v in color.values] + [False]
    )
    here = is_triplet[color.codes]
    triplets = Parameter(np.where(here, color.codes, np.int32(-1)), color.values)
    rest = Parameter(np.where(here, np.int32(-1), color.codes), color.values)
    numbers = {
        v: _parse_text(v) for v in color.values if not (isinstance(v, str) and _TRIPLET.match(v))
    }
    return translate(rest, numbers), triplets


def number_rows(columns: list[Parameter], n_rows: int) -> npt.NDArray[np.int64]:
    """Return a number for each distinct row, in order of first appearance."""
    keys = np.zeros(n_rows, dtype=np.int64)
    for column in columns:
        # factorized after each column, so that the product of value counts never overflows
        keys, _ = pd.factorize(keys * (len(column.values) + 1) + column.codes + 1)
    return keys.astype(np.int64)
