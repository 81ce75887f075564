"""The container in which arrays, tables and numbers go to the page.

::

    u32 little-endian: length N of the header, padding included
    N bytes:           JSON in UTF-8, padded with spaces so that arrays begin at a multiple of 8
    arrays             raw, little-endian, in C order, each padded to a multiple of 8

In the JSON an array is ``{"$array": [dtype, shape, offset]}``, with the offset in bytes from the
first array, and a table ``{"$table": {"index": name, "columns": {name: array or list}}}``, whose
index is the first column (a list of names, and as many columns, if it has several levels). dtype is
float64, float32, int8, int16, int32, uint8, uint16, uint32 or bool (one byte). Longer whole numbers
go as int32 if they fit, else as float64. Text is a list with null where it is missing.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

ALIGNMENT = 8
_DTYPES = {
    *("float64", "float32", "int8", "int16", "int32", "uint8", "uint16", "uint32", "bool"),
}
_INT32 = np.iinfo(np.int32)


def encode(answer: Any) -> bytes:  # noqa: ANN401 - what a recipe may return
    """Encode what a recipe returned."""
    arrays: list[bytes] = []
    text = json.dumps(_describe(answer, arrays), ensure_ascii=False, allow_nan=False)
    header = text.encode()
    header += b" " * (-(4 + len(header)) % ALIGNMENT)
    return b"".join([struct.pack("<I", len(header)), header, *arrays])


def to_json(value: Any) -> str:  # noqa: ANN401 - as in encode
    """Write facts without arrays as JSON; what is not finite is null."""
    arrays: list[bytes] = []
    text = json.dumps(_describe(value, arrays), ensure_ascii=False, allow_nan=False)
    assert not arrays, "facts hold no arrays"
    return text


def decode(content: bytes) -> Any:  # noqa: ANN401 - as in encode
    """Decode a container, as the page does."""
    (length,) = struct.unpack_from("<I", content)
    return _restore(json.loads(content[4 : 4 + length]), memoryview(content)[4 + length :])


def _describe(value: Any, arrays: list[bytes]) -> Any:  # noqa: ANN401 - as in encode
    match value:
        case None | bool() | str():
            return value
        case os.PathLike():
            return os.fspath(value)
        case dict():
            return {str(key): _describe(one, arrays) for key, one in value.items()}
        case list() | tuple():
            return [_describe(one, arrays) for one in value]
        case pd.DataFrame():
            return _describe_table(value, arrays)
        case pd.Series() | pd.Index():
            return _describe_column(value, arrays)
        case np.ndarray() if value.ndim:
            return _describe_array(value, arrays)
        case dt.date():
            return None if pd.isna(value) else value.isoformat()
        case np.ndarray() | np.generic():
            return _describe(value.item(), arrays)
        case int():
            return value
        case float():
            return value if math.isfinite(value) else None
    if value is pd.NA or value is pd.NaT:
        return None
    raise TypeError(f"a recipe returned {type(value).__name__}, which has no place in an answer")


def _describe_table(table: pd.DataFrame, arrays: list[bytes]) -> dict[str, Any]:
    levels = [str(name) if name is not None else "index" for name in table.index.names]
    columns = {name: table.index.get_level_values(level) for level, name in enumerate(levels)} | {
        str(name): table.iloc[:, place] for place, name in enumerate(table.columns)
    }
    if len(columns) < len(levels) + table.shape[1]:
        raise TypeError(f"a table of a recipe names two columns alike: {[*levels, *table.columns]}")
    described = {name: _describe_column(column, arrays) for name, column in columns.items()}
    index: str | list[str] = levels[0] if len(levels) == 1 else levels
    return {"$table": {"index": index, "columns": described}}


def _describe_column(column: pd.Series[Any] | pd.Index[Any], arrays: list[bytes]) -> Any:  # noqa: ANN401
    if pd.api.types.is_bool_dtype(column.dtype) and not column.hasnans:
        return _describe_array(column.to_numpy(dtype=bool), arrays)
    if pd.api.types.is_numeric_dtype(column.dtype) and column.dtype != object:
        # nullable columns have NA where numpy has NaN
        numbers = column.to_numpy(dtype=float, na_value=np.nan) if column.hasnans else column
        return _describe_array(np.asarray(numbers), arrays)
    return [_describe(one, arrays) for one in column.tolist()]


def _describe_array(array: npt.NDArray[Any], arrays: list[bytes]) -> Any:  # noqa: ANN401
    if array.dtype.kind not in "biuf":
        return _describe(array.tolist(), arrays)
    if array.dtype.name not in _DTYPES:
        array = _narrow(array)
    raw = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
    offset = sum(map(len, arrays))
    arrays.append(raw + b"\0" * (-len(raw) % ALIGNMENT))
    return {"$array": [array.dtype.name, list(array.shape), offset]}


def _narrow(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Convert to a type that JavaScript has arrays of."""
    if array.dtype.kind == "f":
        return array.astype(np.float32 if array.dtype.itemsize < 4 else np.float64)
    fits = not array.size or (array.min() >= _INT32.min and array.max() <= _INT32.max)
    return array.astype(np.int32 if fits else np.float64)


def _restore(value: Any, arrays: memoryview) -> Any:  # noqa: ANN401 - as in encode
    match value:
        case {"$array": [dtype, shape, offset]}:
            size = math.prod(shape)
            kind = np.dtype(dtype).newbyteorder("<")
            return np.frombuffer(arrays, kind, size, offset).reshape(shape)
        case {"$table": {"index": index, "columns": columns}}:
            table = pd.DataFrame({name: _restore(one, arrays) for name, one in columns.items()})
            return table.set_index(index)
        case dict():
            return {name: _restore(one, arrays) for name, one in value.items()}
        case list():
            return [_restore(one, arrays) for one in value]
    return value
