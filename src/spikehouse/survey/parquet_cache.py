"""Read the CSV tables of a cache folder, with a Parquet copy that opens in milliseconds.

``<table>.parquet`` is beside ``<table>.json``, which names the CSV file that it was made from. The
CSV file is authoritative: a copy that does not fit to it, or is damaged, is made again.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import logging
import os
import zlib
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from spikehouse.errors import LEFT_AS_IT_IS, CacheError, InvalidFileError
from spikehouse.schema import Table
from spikehouse.survey.tables import parse_csv
from spikehouse.transfer.disk import make_folder, try_lock, write_whole

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["read_copy", "read_table"]

log = logging.getLogger(__name__)

FORMAT_VERSION = 2
MAX_SIDECAR_BYTES = 1 << 20
# how a column is stored → its type in the Parquet file
_ARROW = {
    "int64": "int64",
    "float64": "double",
    "bool": "bool",
    "flags": "bool",
    "text": "large_string",
}


def read_table(
    path: Path, table: Table, *, copy: Path | None = None, lock: Path | None = None
) -> pd.DataFrame:
    """Read a CSV table with its declared types, numbers exactly as written."""
    if copy is not None:
        frame = read_copy(copy, path, table)
        if frame is not None:
            return frame
        origin = _describe_origin(path, table, copy)
    try:
        frame = parse_csv(path, table, origin=str(path))
    except InvalidFileError as error:
        raise InvalidFileError(f"{error}. {LEFT_AS_IT_IS}") from error
    # not of a CSV that somebody changed while it was read
    if copy is not None and _describe_origin(path, table, copy) == origin:
        _write_copy(copy, frame, origin, lock=lock or copy.with_name(f"{copy.name}.lock"))
    return frame


def read_copy(
    copy: Path, path: Path, table: Table, columns: Collection[str] | None = None
) -> pd.DataFrame | None:
    """Read the Parquet copy of a CSV table; None without a valid one."""
    # All columns are equal to those of the CSV file, to the last bit and dtype. With `columns`,
    # text comes as categories and arrays are read-only, which saves copying them.
    if not copy.is_file() or not _can_use_parquet():
        return None
    import pyarrow as pa

    try:
        with copy.with_suffix(".json").open("rb") as file:
            sidecar = json.loads(file.read(MAX_SIDECAR_BYTES))
        if sidecar["origin"] != _describe_origin(path, table, copy):
            log.info("%s was made from another version of %s", copy, path.name)
            return None
        if sidecar["footer"] != _hash_footer(copy):
            raise ValueError("its footer is not what was written")
        kinds = dict(sidecar["columns"])
        kept = [n for i, n in enumerate(kinds) if i == 0 or columns is None or n in columns]
        return _decode(copy, {name: kinds[name] for name in kept}, is_whole=columns is None)
    # pyarrow raises its own errors for damaged bytes, and those of the layers below
    except (
        pa.ArrowException,
        OSError,
        ValueError,
        TypeError,
        LookupError,
        RecursionError,
    ) as error:
        log.warning("%s is damaged and will be made anew from %s: %s", copy, path.name, error)
        return None


def _write_copy(copy: Path, frame: pd.DataFrame, origin: dict[str, Any], *, lock: Path) -> None:
    """Write the Parquet copy of a table, if that is possible."""
    # The copy is optional. None is written in a read-only or full folder, without a working
    # pyarrow, or for columns that would not come back exactly as they are.
    if not _can_use_parquet():
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {frame.index.name: str(frame.index.dtype)}
    kinds |= {name: _kind_of(frame[name]) for name in frame if frame.columns.is_unique}
    is_plain = all(isinstance(name, str) for name in kinds) and len(kinds) == 1 + frame.shape[1]
    if not is_plain or "" in kinds.values() or frame.index.dtype != np.int64:
        log.info("%s gets no copy: it has columns of mixed kinds", origin["csv"])
        return
    columns: list[pa.Array] = []
    for name, kind in kinds.items():
        values = frame[name] if columns else frame.index.to_series()
        # NaN is stored as a number: reading needs no search for missing values
        is_number = kind not in ("text", "flags")
        content = values.to_numpy() if is_number else values
        columns.append(pa.array(content, type=_ARROW[kind], from_pandas=not is_number))
    buffer = io.BytesIO()
    # the origin is in the footer, whose digest ties the sidecar to this copy: without it, copies of
    # two versions of a CSV file, of equal shape, have the same footer
    metadata = {"origin": json.dumps(origin)}
    pq.write_table(
        pa.Table.from_arrays(columns, names=list(kinds)).replace_schema_metadata(metadata),
        buffer,
        compression="none",
        use_dictionary=[name for name, kind in kinds.items() if kind == "text"],
        row_group_size=max(len(frame), 1),
        write_statistics=False,
        # every page that is read is checked; the footer, which Parquet does not protect, has its
        # digest in the sidecar: to hash 28 MB of copies would take most of the time of reading them
        write_page_checksum=True,
    )
    try:
        make_folder(copy.parent)
        with try_lock(lock) as is_held:
            if not is_held:  # the holder of the lock is writing the copy
                return
            with write_whole(copy) as file:
                file.write(buffer.getvalue())
            sidecar = {"origin": origin, "footer": _hash_footer(copy), "columns": [*kinds.items()]}
            with write_whole(copy.with_suffix(".json")) as file:
                file.write(json.dumps(sidecar, indent=1).encode())
    except (CacheError, OSError) as error:
        log.info("no copy of %s could be kept: %s", origin["csv"], error)


def _describe_origin(path: Path, table: Table, copy: Path) -> dict[str, Any]:
    """Describe the CSV file that a copy is made from."""
    status = path.stat()
    declared = (table.index, [(c.name, c.kind, c.optional) for c in table.columns])
    return {
        "version": FORMAT_VERSION,
        "table": zlib.crc32(repr(declared).encode()),
        # seen from the copy: a cache folder may be moved; on Windows no way leads to another drive
        "csv": os.path.relpath(path, copy.parent) if path.anchor == copy.anchor else str(path),
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
    }


def _hash_footer(copy: Path) -> str:
    """Compute the digest of the footer, which describes the pages, and of the file's length."""
    with copy.open("rb") as file:
        size = file.seek(-8, os.SEEK_END) + 8
        n_footer = int.from_bytes(file.read(4), "little") + 8
        file.seek(max(size - n_footer, 0))
        return hashlib.sha256(size.to_bytes(8, "little") + file.read()).hexdigest()


@cache
def _can_use_parquet() -> bool:
    try:
        importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        # for example a pyarrow built for another NumPy; the CSV files are slower, but equivalent
        log.warning("tables are read from CSV files, because pyarrow does not work: %s", error)
        return False
    return True


def _kind_of(values: pd.Series[Any]) -> str:
    """Return how a column is stored; an empty string if it would not come back as it is."""
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


def _decode(copy: Path, kinds: dict[str, str], *, is_whole: bool) -> pd.DataFrame:
    import pyarrow.parquet as pq

    words = [name for name, kind in kinds.items() if kind == "text" and not is_whole]
    # not memory-mapped: truncating the file later would crash this process
    with pq.ParquetFile(copy, page_checksum_verification=True, read_dictionary=words) as file:
        # without threads: starting them costs more than they save
        arrow = file.read(columns=list(kinds), use_threads=False)
    if arrow.column_names != list(kinds):
        raise ValueError("it lacks a column, or has one more")
    columns = {name: _decode_column(arrow.column(name), kind) for name, kind in kinds.items()}
    name = next(iter(kinds))
    # a copy of the whole table is consolidated by dtype and may be modified
    index = pd.Index(columns.pop(name), name=name, copy=is_whole)
    return pd.DataFrame(columns, index=index, copy=is_whole)


def _decode_column(column: pa.ChunkedArray, kind: str) -> Any:  # noqa: ANN401 - any array
    import pyarrow as pa

    if kind == "text" and pa.types.is_dictionary(column.type):
        encoded = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        if encoded.null_count:
            # missing values are NaN in floats, and -1 in the codes of categories
            codes = np.nan_to_num(codes, nan=-1).astype(np.int32)
        return pd.Categorical.from_codes(codes, encoded.dictionary.to_pylist())
    if str(column.type) != _ARROW[kind]:
        raise TypeError(f"a column of {kind} is kept as {column.type}")
    if kind == "flags":
        return np.array([np.nan if flag is None else flag for flag in column.to_pylist()], object)
    if kind != "text":
        if column.null_count:
            raise ValueError(f"a column of {kind} has gaps")
        return column.to_numpy()
    dtype = _text_dtype()
    if isinstance(dtype, pd.StringDtype):
        return dtype.__from_arrow__(column)  # type: ignore[attr-defined]
    encoded = column.combine_chunks().dictionary_encode()
    words = np.array([*encoded.dictionary.to_pylist(), np.nan], dtype=object)
    return words[encoded.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)]
