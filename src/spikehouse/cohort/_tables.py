"""What a function may return, as one table in the bytes of a Parquet file."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from spikehouse.errors import InvalidArgumentError, describe_value

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = ["to_frames", "to_parquet", "to_table", "unify_types"]

# integers up to it are floats without loss
MOST_EXACT = 2**53

VALUE = "value"
SESSION = "session_id"
_VALID = (
    "return a DataFrame, a Series, a DataArray, a dictionary (of numbers for one row, or of "
    "columns), or a number"
)


def to_table(result: Any, session_id: int) -> pd.DataFrame:  # noqa: ANN401 - checked here
    """Return a result as a table with plain columns, without the session's id."""
    table = _to_frame(result)
    if table.columns.nlevels > 1:
        raise InvalidArgumentError(
            f"the table has columns of {table.columns.nlevels} levels, such as "
            f"{table.columns[0]!r}: give them one name each"
        )
    table.columns = pd.Index([str(name) for name in table.columns], dtype=object)
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise InvalidArgumentError(f"the table has several columns {twice[0]!r}: name them apart")
    table = _add_index(table)
    if SESSION in table:
        if not (table[SESSION] == session_id).all():
            raise InvalidArgumentError(
                f"the table has a column {SESSION} with other values than {session_id}: leave it "
                "out, it is added, or give it another name"
            )
        table = table.drop(columns=SESSION)
    if not len(table.columns):
        raise InvalidArgumentError(f"the function returned a table without columns; {_VALID}")
    return table.reset_index(drop=True)


def _add_index(table: pd.DataFrame) -> pd.DataFrame:
    """Make columns of the levels of an index, except of the mere numbers of rows."""
    if table.index.nlevels == 1 and table.index.name is None:
        if pd.api.types.is_integer_dtype(table.index.dtype):
            return table
        names = ["index"]
    else:
        names = [
            f"level_{i}" if name is None else str(name) for i, name in enumerate(table.index.names)
        ]
    table = table.rename_axis(names)
    for i, name in enumerate(names):
        if name in table and not table.index.get_level_values(i).equals(pd.Index(table[name])):
            raise InvalidArgumentError(
                f"the table has a column and an index {name!r} of other values: name them apart"
            )
    repeated = [name for name in names if name in table]
    return pd.DataFrame(table.drop(columns=repeated).reset_index())


def _to_frame(result: Any) -> pd.DataFrame:  # noqa: ANN401
    if isinstance(result, pd.DataFrame):
        return result
    if isinstance(result, pd.Series):
        # counts of groups have the name of their groups
        is_free = result.name is not None and result.name not in result.index.names
        if result.index.nlevels == 1 and result.index.name is None:
            result = result.rename_axis("index")
        return pd.DataFrame(result.to_frame(result.name if is_free else VALUE))
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
        name = getattr(result, "name", "")
        is_taken = name is None or name in result.dims or name in result.coords
        named = result.rename(VALUE) if is_taken else result
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


def to_frames(tables: Sequence[pa.Table]) -> list[pd.DataFrame]:
    """Return tables for pandas, with types that keep all digits of integers when joined."""
    import pyarrow as pa
    import pyarrow.compute as pc

    types: dict[str, set[pa.DataType]] = {}
    big, is_partial = set(), set()
    names = {name for table in tables for name in table.column_names}
    for table in tables:
        if not len(table):
            continue
        is_partial |= names - set(table.column_names)
        for field, column in zip(table.schema, table.columns, strict=True):
            types.setdefault(field.name, set()).add(field.type)
            if column.null_count:
                is_partial.add(field.name)
            if pa.types.is_integer(field.type):
                bounds = pc.min_max(column).as_py()
                if any(abs(one or 0) > MOST_EXACT for one in bounds.values()):
                    big.add(field.name)
    exact = {}
    for name in big:
        kinds = {one for one in types[name] if not pa.types.is_null(one)}
        if name in is_partial or len(types[name]) > 1:
            is_signed = all(map(pa.types.is_signed_integer, kinds))
            is_unsigned = all(map(pa.types.is_unsigned_integer, kinds))
            exact[name] = "Int64" if is_signed else "UInt64" if is_unsigned else "object"
    frames = []
    for table in tables:
        frame = table.to_pandas()
        for name in exact.keys() & set(table.column_names):
            frame[name] = pd.Series(table[name].to_pylist(), dtype=exact[name])
        frames.append(frame)
    return frames


def unify_types(files: Iterable[pq.ParquetFile]) -> pa.Schema:
    """Return a schema that holds the columns of all files."""
    import pyarrow as pa

    types: dict[str, set[pa.DataType]] = {}
    big = set()
    for file in files:
        for i, field in enumerate(file.schema_arrow):
            kind = field.type
            kind = kind.value_type if pa.types.is_dictionary(kind) else kind
            types.setdefault(field.name, set()).add(kind)
            if not pa.types.is_integer(kind):
                continue
            for group in range(file.metadata.num_row_groups):
                facts = file.metadata.row_group(group).column(i).statistics
                if facts and facts.has_min_max and max(abs(facts.min), abs(facts.max)) > MOST_EXACT:
                    big.add(field.name)
    return pa.schema([(name, _unify(kinds, is_big=name in big)) for name, kinds in types.items()])


def _unify(kinds: set[pa.DataType], *, is_big: bool) -> pa.DataType:
    import pyarrow as pa

    known = sorted((one for one in kinds if not pa.types.is_null(one)), key=str)
    if len(known) < 2:
        return known[0] if known else pa.null()
    integers = [pa.types.is_integer(one) for one in known]
    if is_big and not (all(integers) and pa.uint64() not in known):
        return pa.decimal128(20, 0) if all(integers) else pa.string()
    if all(map(pa.types.is_timestamp, known)) and all(one.tz for one in known):
        return pa.timestamp("ns", "UTC")
    # a truth is a number beside numbers
    wide = [pa.int8() if pa.types.is_boolean(one) else one for one in known]
    try:
        schemas = [pa.schema([("", one)]) for one in wide]
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return pa.string()
