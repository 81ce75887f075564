"""Read the CSV tables of a cache folder, with a Parquet copy for speed."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pandas as pd

from spikehouse.errors import InvalidFileError, printable
from spikehouse.schema import Table

__all__ = ["MAX_COLUMNS", "MAX_ROWS", "MAX_TABLE_BYTES", "check_table", "parse_csv"]

# units.csv, the largest, has 51.4 MB
MAX_TABLE_BYTES = 128 << 20
# 99 180 units and 123 224 channels are the longest tables there are
MAX_ROWS = 5_000_000
# and the metrics are the widest one, with some 70
MAX_COLUMNS = 1000
HEAD_BYTES = 1 << 20
# up to pandas 3.0 the default parser may be off in the last place; from 3.1 on it is exact and
# asking for that is deprecated
_PANDAS = tuple(int(part) for part in pd.__version__.split(".")[:2])
_EXACT: dict[str, Any] = {"float_precision": "round_trip"} if _PANDAS < (3, 1) else {}


def parse_csv(content: Path | bytes, table: Table, *, origin: str) -> pd.DataFrame:
    """Parse a CSV table with its declared types."""
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    texts = {column.name: str for column in table.columns if column.kind == "str"}
    try:
        _check_extent(content)
        frame: pd.DataFrame = pd.read_csv(
            file,
            index_col=table.index,
            dtype=texts,
            low_memory=False,
            nrows=MAX_ROWS + 1,
            **_EXACT,
        )
        if len(frame) > MAX_ROWS:
            raise ValueError(f"it has more than {MAX_ROWS} rows")
        if isinstance(frame.index, pd.RangeIndex):
            # what some versions of pandas make of ids that happen to be evenly spaced
            frame.index = pd.Index(frame.index.to_numpy(), name=table.index)
        if not (pd.api.types.is_integer_dtype(frame.index) or frame.empty):
            raise ValueError(f"its column {table.index!r} contains values that are not ids")
        if frame.index.has_duplicates:
            raise ValueError(f"id {frame.index[frame.index.duplicated()][0]} occurs twice")
        return table.conform(frame, origin=origin)
    # TypeError: what the parser of pandas says about a file that holds only control characters
    except (ValueError, TypeError, OverflowError, InvalidFileError) as error:
        reason = printable(str(error)[:500])
        raise InvalidFileError(f"{origin} is not a table of {table.name}: {reason}") from error


def check_table(path: Path, *, table: Table) -> None:
    """Check that a file is one of the CSV tables."""
    parse_csv(path, table, origin=str(path))


def _check_extent(content: Path | bytes) -> None:
    """Reject a table that would cost pandas minutes or gigabytes."""
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
        head = file.read(HEAD_BYTES).decode("utf-8", "replace")
        size = file.seek(0, io.SEEK_END)
    if size > MAX_TABLE_BYTES:
        raise ValueError(f"it has {size} bytes: no table has more than {MAX_TABLE_BYTES}")
    try:
        # names may hold quotes and ends of lines
        names = next((row for row in csv.reader(io.StringIO(head)) if row), [])
    except csv.Error as error:
        raise ValueError(f"its column names cannot be read: {error}") from error
    if len(names) > MAX_COLUMNS:
        raise ValueError(f"it has more than {MAX_COLUMNS} columns")
