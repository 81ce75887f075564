"""What a function may return, as one table in the bytes of a Parquet file."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import pandas as pd

from spikehouse.errors import InvalidArgumentError, describe_value

__all__ = ["to_parquet", "to_table"]

VALUE = "value"
SESSION = "session_id"
_VALID = (
    "return a DataFrame, a Series, a DataArray, a dictionary (of numbers for one row, or of "
    "columns), or a number"
)


def to_table(result: Any, session_id: int) -> pd.DataFrame:  # noqa: ANN401 - checked here
    """Return a result as a table with plain columns, without the session's id."""
    table = _to_frame(result)
    levels = [name for name in table.index.names if name is not None]
    repeated = [name for name in levels if name in table.columns]
    table = table.drop(columns=repeated).reset_index(levels) if levels else table
    if table.columns.nlevels > 1:
        raise InvalidArgumentError(
            f"the table has columns of {table.columns.nlevels} levels, such as "
            f"{table.columns[0]!r}: give them one name each"
        )
    table.columns = pd.Index([str(name) for name in table.columns], dtype=object)
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise InvalidArgumentError(f"the table has several columns {twice[0]!r}: name them apart")
    if SESSION in table:
        if not (table[SESSION] == session_id).all():
            raise InvalidArgumentError(
                f"the table has a column {SESSION} with other values than {session_id}: leave it "
                "out, it is added, or give it another name"
            )
        table = table.drop(columns=SESSION)
    return table.reset_index(drop=True)


def _to_frame(result: Any) -> pd.DataFrame:  # noqa: ANN401
    if isinstance(result, pd.DataFrame):
        return result
    if isinstance(result, pd.Series):
        name = VALUE if result.name is None else result.name
        named = result.rename_axis([n or "index" for n in result.index.names])
        return named.to_frame(name)
    if isinstance(result, dict):
        if all(np.ndim(value) == 0 for value in result.values()):
            return pd.DataFrame([result])
        try:
            return pd.DataFrame(result)
        except ValueError as error:
            raise InvalidArgumentError(
                f"the dictionary is no table: {error}. Its values must be numbers, or columns of "
                "equal length"
            ) from error
    if hasattr(result, "to_dataframe") and hasattr(result, "dims"):
        if not result.dims:
            return pd.DataFrame({result.name or VALUE: [result.item()]})
        named = result if getattr(result, "name", "") is not None else result.rename(VALUE)
        return pd.DataFrame(named.to_dataframe())
    if isinstance(result, numbers.Number | np.generic | str):
        return pd.DataFrame({VALUE: [result]})
    what = "None: is a return missing" if result is None else describe_value(result)
    raise InvalidArgumentError(f"the function returned {what}; {_VALID}")


def to_parquet(table: pd.DataFrame) -> bytes:
    """Return the bytes of a Parquet file; equal tables give equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # without the notes of pandas, whose version is in them
        content = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
        sink = pa.BufferOutputStream()
        pq.write_table(content, sink, compression="zstd")
    except (pa.ArrowException, TypeError, ValueError) as error:
        reason = " ".join(str(part) for part in error.args)
        raise InvalidArgumentError(
            f"the table cannot be written: {reason}. Every column needs values of one type"
        ) from error
    return bytes(sink.getvalue())
