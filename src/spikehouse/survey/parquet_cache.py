"""A Parquet copy of a CSV table, which opens in milliseconds and is checked before use."""

from __future__ import annotations

import importlib
import io
import json
import logging
import os
import re
import zlib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from spikehouse.errors import CacheError
from spikehouse.schema import Table
from spikehouse.transfer.disk import make_folder, try_lock, write_whole

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Stamp", "make_stamp", "read_twin", "write_twin"]

log = logging.getLogger(__name__)

FORMAT_VERSION = 1
_METADATA_KEY = b"spikehouse"
# Parquet has checksums for its pages, but none for the footer that describes them
_SEAL = re.compile(rb'"seal": "([0-9a-f]{8})"')
_BLANK_SEAL = b'"seal": "00000000"'

_Kind: TypeAlias = Literal["int64", "float64", "bool", "text", "flags"]


@dataclass(frozen=True)
class Stamp:
    """Identity of the CSV file a Parquet copy was made from."""

    # version of the format of the copy
    version: int
    # digest of the declared columns of the table
    table: int
    # name of the CSV file
    csv: str
    # length of the CSV file [bytes]
    size: int
    # modification time of the CSV file [ns]
    mtime_ns: int


def make_stamp(path: Path, table: Table) -> Stamp:
    """Return the stamp of a CSV file."""
    status = path.stat()
    declared = (table.index, [(c.name, c.kind, c.optional) for c in table.columns])
    return Stamp(
        version=FORMAT_VERSION,
        table=zlib.crc32(repr(declared).encode()),
        csv=path.name,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
    )


def read_twin(
    path: Path, *, stamp: Stamp, columns: Collection[str] | None = None
) -> pd.DataFrame | None:
    """Read a Parquet copy; None if there is no valid one."""
    # Valid: same stamp, and the checksums of pages and footer match. Parquet does not protect its
    # footer, so `_seal` puts a CRC-32 of it into the footer itself. All columns are equal to those
    # from the CSV file, to the last bit and dtype; with `columns`, text comes as categories and
    # arrays are read-only, which saves copying them.
    if not path.is_file() or not _can_use_parquet():
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        _check_seal(path)
        with pq.ParquetFile(path) as file:
            notes = _read_notes(file.schema_arrow.metadata)
        if notes.get("stamp") != asdict(stamp):
            log.info("%s was made from another version of %s", path, stamp.csv)
            return None
        kept = _select(notes["columns"], columns)
        arrow = _read_columns(path, kept, has_categories=columns is not None)
        return _decode(arrow, kept, copy=columns is None)
    # errors that pyarrow raises for damaged bytes: its own, and those of the layers below
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        log.warning("%s is damaged and will be made anew from %s: %s", path, stamp.csv, error)
        return None


def write_twin(path: Path, frame: pd.DataFrame, *, stamp: Stamp, lock: Path) -> None:
    """Write the Parquet copy of a table, if that is possible."""
    # The copy is optional. None is written in a read-only or full folder, without a working
    # pyarrow, or for columns that would not come back exactly as they are.
    if not _can_use_parquet():
        return
    import pyarrow.parquet as pq

    encoded = _encode(frame, stamp)
    if encoded is None:
        log.info("%s gets no twin: it has columns of mixed kinds", stamp.csv)
        return
    buffer = io.BytesIO()
    pq.write_table(
        encoded,
        buffer,
        compression="none",
        use_dictionary=[n for n, kind in _column_kinds(frame).items() if kind == "text"],
        row_group_size=max(len(frame), 1),
        write_statistics=False,
        write_page_checksum=True,
    )
    try:
        make_folder(path.parent)
        with try_lock(lock) as is_held:
            # no need to wait: the holder of the lock is writing the copy
            if is_held:
                with write_whole(path) as file:
                    file.write(_seal(buffer.getvalue()))
    except (CacheError, OSError) as error:
        log.info("no twin of %s could be kept: %s", stamp.csv, error)


@cache
def _can_use_parquet() -> bool:
    try:
        importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        # for example a pyarrow built for another NumPy; the CSV files are slower, but equivalent
        log.warning("tables are read from CSV files, because pyarrow does not work: %s", error)
        return False
    return True


def _encode(frame: pd.DataFrame, stamp: Stamp) -> pa.Table | None:
    import pyarrow as pa

    kinds = _column_kinds(frame)
    names = [frame.index.name, *kinds]
    is_plain = frame.index.dtype == np.int64 and all(isinstance(name, str) for name in names)
    if not is_plain or "" in kinds.values() or len(set(names)) != 1 + len(frame.columns):
        return None
    arrays = [pa.array(frame.index.to_numpy())]
    arrays += [_encode_column(frame[name], kind) for name, kind in kinds.items()]
    notes: dict[str, Any] = {
        "stamp": asdict(stamp),
        "columns": [[frame.index.name, "int64"], *([n, kind] for n, kind in kinds.items())],
    }
    notes["seal"] = "00000000"
    table = pa.Table.from_arrays(arrays, names=names)
    return table.replace_schema_metadata({_METADATA_KEY: json.dumps(notes).encode()})


def _column_kinds(frame: pd.DataFrame) -> dict[str, str]:
    """Return how to store each column, an empty string where that is unknown."""
    return {name: _kind_of(frame[name]) for name in frame.columns if frame.columns.is_unique}


def _kind_of(values: pd.Series[Any]) -> str:
    if values.dtype in (np.int64, np.float64, np.bool_):
        return str(values.dtype)
    is_object = values.dtype == object
    found = pd.api.types.infer_dtype(values, skipna=True) if is_object else "string"
    if values.dtype == _text_dtype() and found in ("string", "empty"):
        return "text"
    return "flags" if is_object and found == "boolean" else ""


def _text_dtype() -> Any:  # noqa: ANN401 - NumPy's or an extension's
    # object in pandas 2, str from 3 on, as in read_csv
    return pd.Series(["a"]).dtype


def _encode_column(values: pd.Series[Any], kind: str) -> pa.Array:
    import pyarrow as pa

    if kind == "text":
        return pa.array(values, type=pa.large_string(), from_pandas=True)
    if kind == "flags":
        return pa.array(values, type=pa.bool_(), from_pandas=True)
    # NaN is stored as a number: reading needs no search for missing values
    return pa.array(values.to_numpy(), from_pandas=False)


def _read_notes(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    notes = json.loads((metadata or {}).get(_METADATA_KEY, b"{}"))
    if not isinstance(notes, dict):
        raise TypeError("its notes are no mapping")
    return notes


def _read_columns(path: Path, kinds: list[list[str]], *, has_categories: bool) -> pa.Table:
    import pyarrow.parquet as pq

    names = [name for name, _ in kinds]
    words = [name for name, kind in kinds if kind == "text" and has_categories]
    # not memory-mapped: truncating the file later would crash this process
    with pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=words) as file:
        # without threads: starting them costs more than they save
        return file.read(columns=names, use_threads=False)


def _seal(content: bytes) -> bytes:
    n_footer = int.from_bytes(content[-8:-4], "little") + 8
    footer = content[-n_footer:]
    seal = f'"seal": "{zlib.crc32(footer):08x}"'.encode()
    return content[:-n_footer] + footer.replace(_BLANK_SEAL, seal, 1)


def _check_seal(path: Path) -> None:
    with path.open("rb") as file:
        size = file.seek(-8, os.SEEK_END) + 8
        n_footer = int.from_bytes(file.read(4), "little") + 8
        file.seek(max(size - n_footer, 0))
        footer = file.read()
    seal = _SEAL.search(footer)
    blank = _SEAL.sub(_BLANK_SEAL, footer, count=1)
    if seal is None or int(seal[1], 16) != zlib.crc32(blank):
        raise ValueError("its footer is not what was written")


def _select(kinds: list[list[str]], columns: Collection[str] | None) -> list[list[str]]:
    """Select columns; the first one is the index."""
    if columns is None:
        return kinds
    return [kinds[0], *(kind for kind in kinds[1:] if kind[0] in columns)]


def _decode(arrow: pa.Table, columns: list[list[str]], *, copy: bool) -> pd.DataFrame:
    if arrow.column_names != [name for name, _ in columns]:
        raise ValueError("it lacks a column, or has one more")
    decoded = {name: _decode_column(arrow.column(name), kind) for name, kind in columns}
    name = columns[0][0]
    # a copy is consolidated by dtype and may be modified
    index = pd.Index(decoded.pop(name), name=name, copy=copy)
    return pd.DataFrame(decoded, index=index, copy=copy)


def _decode_column(column: pa.ChunkedArray, kind: str) -> Any:  # noqa: ANN401 - any array
    import pyarrow as pa

    wanted = {"text": pa.large_string(), "flags": pa.bool_(), "bool": pa.bool_()}
    wanted |= {"int64": pa.int64(), "float64": pa.float64()}
    if kind == "text" and pa.types.is_dictionary(column.type):
        return _decode_words(column)
    if column.type != wanted[kind]:
        raise TypeError(f"a column of {kind} is kept as {column.type}")
    if kind == "text":
        return _decode_text(column)
    if kind == "flags":
        return np.array([np.nan if flag is None else flag for flag in column.to_pylist()], object)
    if column.null_count:
        raise ValueError(f"a column of {kind} has gaps")
    return column.to_numpy()


def _decode_text(column: pa.ChunkedArray) -> Any:  # noqa: ANN401 - any array
    dtype = _text_dtype()
    if isinstance(dtype, pd.StringDtype):
        return dtype.__from_arrow__(column)  # type: ignore[attr-defined]
    encoded = column.combine_chunks().dictionary_encode()
    words = np.array([*encoded.dictionary.to_pylist(), np.nan], dtype=object)
    return words[encoded.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)]


def _decode_words(column: pa.ChunkedArray) -> pd.Categorical:
    encoded = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    if encoded.null_count:
        # missing values are NaN in floats, and -1 in the codes of categories
        codes = np.nan_to_num(codes, nan=-1).astype(np.int32)
    return pd.Categorical.from_codes(codes, encoded.dictionary.to_pylist())
