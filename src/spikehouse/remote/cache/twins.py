"""A Parquet copy of a CSV table, which opens in milliseconds and is never trusted blindly."""

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
from spikehouse.remote.disk import make_folder, try_lock, write_whole
from spikehouse.schema import Table

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Stamp", "make_stamp", "read_twin", "write_twin"]

log = logging.getLogger(__name__)

FORMAT_VERSION = 1
_METADATA_KEY = b"spikehouse"
# Parquet has checksums for its pages; the footer that describes them gets one of ours
_SEAL = re.compile(rb'"seal": "([0-9a-f]{8})"')
_BLANK_SEAL = b'"seal": "00000000"'

_Kind: TypeAlias = Literal["int64", "float64", "bool", "text", "flags"]


@dataclass(frozen=True)
class Stamp:
    """What a twin was made from: equal stamps, equal tables.

    Attributes
    ----------
    version
        Of the twin's own format.
    table
        A digest of what the data dictionary declares of the table.
    csv
        Name of the CSV.
    size
        Of the CSV, in bytes.
    mtime_ns
        When the CSV was last changed.
    """

    version: int
    table: int
    csv: str
    size: int
    mtime_ns: int


def make_stamp(path: Path, table: Table) -> Stamp:
    """Describe a CSV as it lies there now.

    Parameters
    ----------
    path
        The CSV.
    table
        What it should hold.

    Returns
    -------
    Stamp
        Of its size and time; it is not read.
    """
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
    """Read a twin, if there is a good one.

    Parameters
    ----------
    path
        The twin.
    stamp
        Of the CSV as it is now.
    columns
        Which columns to read, those that the table lacks left aside; all by default. With some
        only, words come as categories and numbers cannot be changed, which saves copying them.

    Returns
    -------
    DataFrame or None
        What reading the CSV would give, to the last bit and dtype; None if there is no twin,
        or it was made from another version of the CSV, or is damaged.

    Notes
    -----
    Its pages and its footer carry checksums, and they are compared.
    """
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
    # what damaged bytes make of pyarrow: its own errors, and those of what it hands on
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        log.warning("%s is damaged and will be made anew from %s: %s", path, stamp.csv, error)
        return None


def write_twin(path: Path, frame: pd.DataFrame, *, stamp: Stamp, lock: Path) -> None:
    """Write the twin of a table, if that is possible.

    Parameters
    ----------
    path
        The twin.
    frame
        What reading the CSV gave.
    stamp
        Of that CSV.
    lock
        The lock file that keeps two writers apart.

    Notes
    -----
    A twin is a convenience: in a folder that is read-only or full there is none, and a table
    with columns that would not come back exactly as they are gets none. Nor is there one where
    pyarrow does not work.
    """
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
        use_dictionary=[n for n, kind in _kinds(frame).items() if kind == "text"],
        row_group_size=max(len(frame), 1),
        write_statistics=False,
        write_page_checksum=True,
    )
    try:
        make_folder(path.parent)
        with try_lock(lock) as is_held:
            # nobody waits for a copy: whoever holds the lock is writing it
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
        # such as one built for another NumPy: the CSV files do as well, only slower
        log.warning("tables are read from CSV files, because pyarrow does not work: %s", error)
        return False
    return True


def _encode(frame: pd.DataFrame, stamp: Stamp) -> pa.Table | None:
    import pyarrow as pa

    kinds = _kinds(frame)
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


def _kinds(frame: pd.DataFrame) -> dict[str, str]:
    """Say how to keep each column; an empty word where that is not known."""
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
    # object up to pandas 2, str from 3 on: what read_csv gives too
    return pd.Series(["a"]).dtype


def _encode_column(values: pd.Series[Any], kind: str) -> pa.Array:
    import pyarrow as pa

    if kind == "text":
        return pa.array(values, type=pa.large_string(), from_pandas=True)
    if kind == "flags":
        return pa.array(values, type=pa.bool_(), from_pandas=True)
    # NaN stays a number here, so that it comes back without being looked for
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
    # not mapped: whoever truncates the file later must not take this process down
    with pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=words) as file:
        # with threads it takes longer: starting them costs more than they save
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
    """Choose columns; the first is the index."""
    if columns is None:
        return kinds
    return [kinds[0], *(kind for kind in kinds[1:] if kind[0] in columns)]


def _decode(arrow: pa.Table, columns: list[list[str]], *, copy: bool) -> pd.DataFrame:
    if arrow.column_names != [name for name, _ in columns]:
        raise ValueError("it lacks a column, or has one more")
    decoded = {name: _decode_column(arrow.column(name), kind) for name, kind in columns}
    name = columns[0][0]
    # a copy is put together by dtype, and may be changed like any other frame
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
        # gaps come as NaN among floats, and are -1 among the codes of categories
        codes = np.nan_to_num(codes, nan=-1).astype(np.int32)
    return pd.Categorical.from_codes(codes, encoded.dictionary.to_pylist())
