"""Parameter columns of the stimulus table: few distinct values over many presentations.

Every column is held as codes into its distinct values, so that 70 000 presentations are renamed,
parsed, compared and numbered by looking at a few hundred values.
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

NULL = "null"
"""Stands in the tables where a parameter does not apply to a stimulus."""

_TRIPLET = re.compile(r"^\[\s*-?\d*\.?\d*\s*(,\s*-?\d*\.?\d*\s*){2}\]$")
_PARSED = ("phase", "size", "spatial_frequency")
_NOT_AVAILABLE = ("", "N/A")


@dataclass(frozen=True)
class Parameter:
    """One column: ``values[codes]``, with −1 where it does not apply.

    Attributes
    ----------
    codes
        Shape (n_presentations,), int32.
    values
        Shape (n_distinct,), object; plain floats, bools, strings and tuples.
    texts
        Value → the text in the file, where text was read as numbers.
    """

    codes: npt.NDArray[np.int32]
    values: npt.NDArray[np.object_]
    texts: Mapping[Any, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """True where no presentation has this parameter."""
        return not (self.codes >= 0).any()

    def take(self, rows: npt.NDArray[Any]) -> Parameter:
        """Keep some presentations.

        Parameters
        ----------
        rows
            Positions or a mask.

        Returns
        -------
        Parameter
            The same values, fewer codes.
        """
        return Parameter(self.codes[rows], self.values)

    def without(self, rows: npt.NDArray[np.bool_]) -> Parameter:
        """Say that the parameter does not apply to some presentations.

        Parameters
        ----------
        rows
            A mask, shape (n_presentations,).

        Returns
        -------
        Parameter
            The same values.
        """
        return Parameter(np.where(rows, np.int32(-1), self.codes), self.values)

    def with_null(self) -> npt.NDArray[np.object_]:
        """Write the column out with "null" where it does not apply.

        Returns
        -------
        ndarray of object, shape (n_presentations,)
            The mixed column users know.
        """
        extended = np.empty(len(self.values) + 1, dtype=object)
        extended[:-1] = self.values
        extended[-1] = NULL
        mixed: npt.NDArray[np.object_] = extended[self.codes]
        return mixed

    def typed(self) -> npt.NDArray[Any]:
        """Write the column out as numbers where it holds numbers, NaN where it does not apply.

        Returns
        -------
        ndarray, shape (n_presentations,)
            float64, bool (if it always applies) or object with None as missing.
        """
        present = np.unique(self.codes[self.codes >= 0])
        used = self.values[present]
        complete = bool((self.codes >= 0).all())
        if len(used) and complete and all(isinstance(v, bool) for v in used):
            return self.values.astype(bool)[self.codes]
        if all(_is_number(v) for v in used):
            # values of other stimuli, a movie's 3600 frames for one, are not looked at; the last
            # place is that of code -1
            numbers = np.full(len(self.values) + 1, np.nan)
            numbers[present] = used.astype(np.float64)
            return numbers[self.codes]
        extended = np.empty(len(self.values) + 1, dtype=object)
        extended[:-1] = self.values
        extended[-1] = None
        return extended[self.codes]

    def uniques(self) -> npt.NDArray[np.object_]:
        """List the distinct values in order of first appearance, nulls left out.

        Returns
        -------
        ndarray of object
            The values.
        """
        codes = pd.unique(self.codes)
        return self.values[codes[codes >= 0]]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_))


def factorize(column: pd.Series[Any]) -> Parameter:
    """Hold a column as codes into its distinct values.

    Parameters
    ----------
    column
        A column of a stimulus table as a reader gives it; missing, "" and "N/A" do not apply.

    Returns
    -------
    Parameter
        The same column.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy().astype(np.int32)
        values = np.asarray(column.cat.categories, dtype=object)
    else:
        found, uniques = pd.factorize(column)
        codes = found.astype(np.int32)
        values = _as_objects([_plain(value) for value in uniques])
    absent = np.array([isinstance(v, str) and v in _NOT_AVAILABLE for v in values] + [True])
    return Parameter(np.where(absent[codes], np.int32(-1), codes), values)


def _plain(value: Any) -> Any:  # noqa: ANN401 - a scalar of any kind
    return value.item() if isinstance(value, np.generic) else value


def _as_objects(values: list[Any]) -> npt.NDArray[np.object_]:
    # np.array would make a table of equally long tuples
    result = np.empty(len(values), dtype=object)
    for position, value in enumerate(values):
        result[position] = value
    return result


def translate(column: Parameter, mapping: dict[Any, Any]) -> Parameter:
    """Replace values, those that become equal becoming one.

    Parameters
    ----------
    column
        The column.
    mapping
        Old value → new value.

    Returns
    -------
    Parameter
        The translated column.
    """
    renamed = [mapping.get(value, value) for value in column.values]
    distinct = list(dict.fromkeys(renamed))
    position = {value: code for code, value in enumerate(distinct)}
    recode = np.array([position[value] for value in renamed] + [-1], dtype=np.int32)
    return Parameter(recode[column.codes], _as_objects(distinct))


def parse(name: str, column: Parameter) -> Parameter:
    """Make numbers and tuples of phases, sizes and spatial frequencies that are strings.

    Parameters
    ----------
    name
        The column's name.
    column
        The column.

    Returns
    -------
    Parameter
        "0.04" as 0.04, "[250.0, 250.0]" as (250.0, 250.0); other columns as they are.
    """
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
    """Part the two things that files keep in ``color``.

    Parameters
    ----------
    color
        The column as read.

    Returns
    -------
    color : Parameter
        −1 for dark and 1 for bright flashes, as numbers.
    color_triplet : Parameter
        The strings that are RGB triplets.
    """
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
    """Give distinct rows of several columns numbers, in order of first appearance.

    Parameters
    ----------
    columns
        What makes two rows different.
    n_rows
        Number of rows.

    Returns
    -------
    ndarray of int64, shape (n_rows,)
        The number of each row's kind.
    """
    keys = np.zeros(n_rows, dtype=np.int64)
    for column in columns:
        # compressed after each column, so the product of the numbers of values never overflows
        keys, _ = pd.factorize(keys * (len(column.values) + 1) + column.codes + 1)
    return keys.astype(np.int64)
