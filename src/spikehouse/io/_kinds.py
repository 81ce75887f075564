"""Whether what stands in a file is of the kind expected: numbers, text, ends of runs.

Asked before it is computed with, so that a wrong file gives an InvalidFileError that names the
dataset instead of an error from the depths of NumPy, and bounded before it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from typing import Any, Literal

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
from h5py import h5t

from spikehouse.errors import InvalidFileError
from spikehouse.io._stored import reading, where

NUMBER_COLUMNS = frozenset(
    {
        *("id", "start_time", "stop_time", "duration", "level", "stimulus_block"),
        *("peak_channel_id", "amplitude_cutoff", "presence_ratio", "isi_violations"),
        *("probe_id", "local_index", "probe_channel_number", "x", "y", "z", "valid_data"),
        *("probe_horizontal_position", "probe_vertical_position"),
    }
)
"""Columns of the files' tables that are computed with."""

TEXT_COLUMNS = frozenset({"stimulus_name", "location", "quality", "tags"})
"""Columns of the files' tables that are compared with words."""

Kind = Literal["numbers", "text", "neither"]


def kind_of(dataset: h5py.Dataset) -> Kind:
    """Say what a dataset holds.

    "numbers" for integers, floating point and booleans; "neither" for references, compounds,
    complex numbers, arrays within an element and the like.
    """
    with reading(dataset):
        dtype = dataset.dtype
    if dtype.kind in "iufb":
        return "numbers"
    return "neither" if h5py.check_string_dtype(dtype) is None else "text"


def check_numbers(dataset: h5py.Dataset, *, n_dimensions: int | None = None) -> None:
    """Make sure that a dataset holds numbers, in so many dimensions if that is given."""
    if kind_of(dataset) != "numbers":
        raise InvalidFileError(
            f"{where(dataset)} should hold numbers, but is of type {describe_type(dataset)}"
        )
    if n_dimensions is not None and dataset.ndim != n_dimensions:
        raise InvalidFileError(
            f"{where(dataset)} has shape {dataset.shape}, where {n_dimensions} "
            f"dimension{'s were' if n_dimensions != 1 else ' was'} expected"
        )


def check_column(dataset: h5py.Dataset, name: str) -> Kind:
    """Make sure that the column of this name holds what is expected of it; say what it holds.

    "neither" if a frame has no place for it, as for references or a column of several dimensions,
    which other writers add.
    """
    kind = kind_of(dataset)
    if name not in NUMBER_COLUMNS | TEXT_COLUMNS:
        return kind if dataset.ndim == 1 else "neither"
    expected = "numbers" if name in NUMBER_COLUMNS else "text"
    if kind != expected:
        raise InvalidFileError(
            f"{where(dataset)} should hold {expected}, but is of type {describe_type(dataset)}"
        )
    if dataset.ndim != 1:
        raise InvalidFileError(
            f"{where(dataset)} has shape {dataset.shape}, where one dimension was expected"
        )
    return kind


def is_plain(dataset: h5py.Dataset) -> bool:
    """Say whether the bytes in the file are those of the array that reading gives."""
    return bool(h5t.py_create(dataset.dtype).equal(dataset.id.get_type()))


def check_ends(
    ends: h5py.Dataset, values: npt.NDArray[Any], length: int, *, n_runs: int | None = None
) -> npt.NDArray[np.int64]:
    """Make sure that the ends of runs of rows lie in order and within ``length`` rows.

    Gives the first row of each run, and behind them the last end. ``n_runs`` is how many runs
    there should be; any number if None.
    """
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise InvalidFileError(
            f"{where(ends)} should be whole numbers in one dimension, but is {values.dtype} in "
            f"the shape {values.shape}"
        )
    if n_runs is not None and len(values) != n_runs:
        raise InvalidFileError(f"{where(ends)} has {len(values)} runs of rows, for {n_runs} ids")
    if values.size and int(values.max()) > length:
        raise InvalidFileError(
            f"{where(ends)} says that a run of rows ends at {int(values.max())}, but there are "
            f"{length} rows"
        )
    bounds = np.zeros(len(values) + 1, dtype=np.int64)
    bounds[1:] = values
    falls = np.flatnonzero(bounds[1:] < bounds[:-1])
    if falls.size:
        row = int(falls[0])
        raise InvalidFileError(
            f"{where(ends)} goes backwards: run {row} would end at {bounds[row + 1]}, before it "
            f"begins at {bounds[row]}"
        )
    return bounds


def check_whole(node: h5py.HLObject, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Make sure that ids are whole numbers in one dimension."""
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise InvalidFileError(
            f"{where(node)}: ids should be whole numbers in one dimension, but are "
            f"{values.dtype} in the shape {values.shape}"
        )
    return values.astype(np.int64)


def check_unique(node: h5py.HLObject, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Make sure that no id stands twice."""
    ids = check_whole(node, values)
    found, counts = np.unique(ids, return_counts=True)
    if len(found) < len(ids):
        twice = found[counts > 1]
        raise InvalidFileError(
            f"{where(node)} has {len(twice)} id{'s' if len(twice) > 1 else ''} more than once, "
            f"{twice[0]} for one: it cannot be told whose rows are whose"
        )
    return ids


def check_table(
    group: h5py.Group,
    table: Mapping[Any, Sized] | pd.DataFrame,
    *,
    required: Iterable[str] = ("id",),
    is_ragged: bool = True,
) -> None:
    """Make sure that a table has the required columns, and as many rows in every column.

    Values of a ragged column are a list; ``is_ragged`` says whether columns that nothing is known
    of may be.
    """
    missing = [name for name in required if name not in table]
    if missing:
        raise InvalidFileError(
            f"{where(group)} has no column {', '.join(map(repr, missing))}, so it is not a table "
            f"as it was expected; it has {', '.join(map(repr, table)) or 'none'}"
        )
    lengths = {name: len(values) for name, values in table.items()}
    for name, values in table.items():
        if lengths[name] != lengths[next(iter(lengths))]:
            raise InvalidFileError(
                f"{where(group)} has columns of different lengths: {lengths}, where all should "
                "have one row each"
            )
        is_single = not is_ragged or name in NUMBER_COLUMNS | TEXT_COLUMNS - {"tags"}
        if is_single and isinstance(values, list):
            raise InvalidFileError(
                f"{where(group)}/{name}_index makes several values of a row of {name!r}, where "
                "one was expected"
            )


def describe_type(dataset: h5py.Dataset) -> str:
    """Say in words what type a dataset is of, for a message."""
    dtype = dataset.dtype
    if h5py.check_ref_dtype(dtype) is not None:
        return f"{h5py.check_ref_dtype(dtype).__name__} ({dtype})"
    if h5py.check_string_dtype(dtype) is not None:
        return "text"
    inner = h5py.check_vlen_dtype(dtype)
    return str(dtype) if inner is None else f"variable-length lists of {inner}"
