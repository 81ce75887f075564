"""Check datasets before they are used (type, unique ids, ends of ragged rows); read single values.

A wrong file then gives an InvalidFileError that names the dataset, instead of an error from NumPy.
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
from spikehouse.labelled import fits_int64
from spikehouse.nwb._check_size import LARGEST_STRING, reading, to_text, where

NUMBER_COLUMNS = frozenset(
    {
        *("id", "start_time", "stop_time", "duration", "level", "stimulus_block"),
        *("peak_channel_id", "amplitude_cutoff", "presence_ratio", "isi_violations"),
        *("probe_id", "local_index", "probe_channel_number", "x", "y", "z", "valid_data"),
        *("probe_horizontal_position", "probe_vertical_position"),
    }
)
"""Columns of the files' tables that must be numeric."""

TEXT_COLUMNS = frozenset({"stimulus_name", "location", "quality", "tags"})
"""Columns of the files' tables that must be text."""

Kind = Literal["numbers", "text", "neither"]


def kind_of(dataset: h5py.Dataset) -> Kind:
    """Return whether a dataset holds numbers (booleans included), text or neither."""
    with reading(dataset):
        dtype = dataset.dtype
    if dtype.kind in "iufb":
        return "numbers"
    return "neither" if h5py.check_string_dtype(dtype) is None else "text"


def check_numbers(dataset: h5py.Dataset, *, n_dimensions: int | None = None) -> None:
    """Check that a dataset holds numbers and, if given, has this number of dimensions."""
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
    """Check that a column has the type its name requires; return that type."""
    # Other writers add columns that do not fit into a data frame, such as references or arrays of
    # several dimensions: these are "neither", and are left out by the caller.
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
    """Check that the stored bytes are the bytes of the array that h5py would return."""
    return bool(h5t.py_create(dataset.dtype).equal(dataset.id.get_type()))


def check_ends(
    ends: h5py.Dataset, values: npt.NDArray[Any], length: int, *, n_runs: int | None = None
) -> npt.NDArray[np.int64]:
    """Check that the end indices of ragged rows increase to ``length``, the number of values."""
    # Returns the ends with a zero in front: row i is bounds[i]:bounds[i + 1].
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise InvalidFileError(
            f"{where(ends)} should be whole numbers in one dimension, but is {values.dtype} in "
            f"the shape {values.shape}"
        )
    if n_runs is not None and len(values) != n_runs:
        raise InvalidFileError(f"{where(ends)} has {len(values)} end indices, for {n_runs} ids")
    if values.size and int(values.max()) > length:
        raise InvalidFileError(
            f"{where(ends)} has the end index {int(values.max())}, but there are only "
            f"{length} values"
        )
    bounds = np.zeros(len(values) + 1, dtype=np.int64)
    bounds[1:] = values
    falls = np.flatnonzero(bounds[1:] < bounds[:-1])
    if falls.size:
        row = int(falls[0])
        raise InvalidFileError(
            f"{where(ends)} decreases: row {row} would end at {bounds[row + 1]}, before it "
            f"begins at {bounds[row]}"
        )
    if bounds[-1] < length:
        raise InvalidFileError(
            f"{where(ends)} ends at {bounds[-1]}, but there are {length} values: the last "
            f"{length - bounds[-1]} belong to no row"
        )
    return bounds


def check_whole(node: h5py.HLObject, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Check that ids are integers in one dimension."""
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise InvalidFileError(
            f"{where(node)}: ids should be whole numbers in one dimension, but are "
            f"{values.dtype} in the shape {values.shape}"
        )
    fits = fits_int64(values)
    if not fits.all():
        raise InvalidFileError(f"{where(node)}: the id {values[~fits][0]} is not below 2**63")
    return values.astype(np.int64)


def check_unique(node: h5py.HLObject, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Check that every id is an integer and occurs once."""
    ids = check_whole(node, values)
    found, counts = np.unique(ids, return_counts=True)
    if len(found) < len(ids):
        twice = found[counts > 1]
        raise InvalidFileError(
            f"{where(node)} has {len(twice)} repeated id{'s' if len(twice) > 1 else ''}, for "
            f"example {twice[0]}: rows cannot be assigned to ids"
        )
    return ids


def check_table(
    group: h5py.Group,
    table: Mapping[Any, Sized] | pd.DataFrame,
    *,
    required: Iterable[str] = ("id",),
    is_ragged: bool = True,
) -> None:
    """Check that a table has the required columns, all of the same length."""
    # The values of a ragged column are a list. ``is_ragged`` allows that for unknown columns.
    missing = [name for name in required if name not in table]
    if missing:
        raise InvalidFileError(
            f"{where(group)} has no column {', '.join(map(repr, missing))}, so it is not the "
            f"expected table; its columns are {', '.join(map(repr, table)) or 'none'}"
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
                f"{where(group)}/{name}_index makes {name!r} a ragged column, where one value in "
                "each row was expected"
            )


def describe_type(dataset: h5py.Dataset) -> str:
    """Describe the type of a dataset for an error message."""
    dtype = dataset.dtype
    if h5py.check_ref_dtype(dtype) is not None:
        return f"{h5py.check_ref_dtype(dtype).__name__} ({dtype})"
    if h5py.check_string_dtype(dtype) is not None:
        return "text"
    inner = h5py.check_vlen_dtype(dtype)
    return str(dtype) if inner is None else f"variable-length lists of {inner}"


# ---- single values and short texts: attributes, and datasets of one element

# HDF5 reads an attribute whole, and each of its texts may have LARGEST_STRING bytes. The longest
# list of texts in an NWB file is that of a table's column names.
MOST_TEXTS = 256
LARGEST_ATTRIBUTE = 1 << 15

Scalar = str | int | float | bool


def read_value(dataset: h5py.Dataset) -> Scalar:
    """Read a dataset of one number or one text that was already charged to the budget."""
    if kind_of(dataset) == "neither" or dataset.size != 1:
        raise InvalidFileError(
            f"{where(dataset)} should hold one text or number, but is of type "
            f"{describe_type(dataset)} in the shape {dataset.shape}"
        )
    with reading(dataset):
        value = np.asarray(dataset[()]).reshape(-1)[0]
    return _scalar(value, where(dataset))


def read_attribute(node: h5py.HLObject, name: str) -> Scalar | None:
    """Read an attribute of one number, text or boolean; return None if it is absent."""
    value = _attribute(node, name)
    if value is None:
        return None
    place = where(node, f": the attribute {name!r}")
    if value.size != 1:
        raise InvalidFileError(f"{place} has shape {value.shape}, where one value was expected")
    return _scalar(value.reshape(-1)[0], place)


def read_number(node: h5py.HLObject, name: str) -> float:
    """Read a required attribute that holds one finite number."""
    value = read_attribute(node, name)
    if isinstance(value, (int, float)) and np.isfinite(value):
        return value
    raise InvalidFileError(
        f"{where(node)}: the attribute {name!r} is {value!r}, where a number was expected"
    )


def read_text(node: h5py.HLObject, name: str) -> str:
    """Read a required attribute as text."""
    value = read_attribute(node, name)
    if value is None:
        raise InvalidFileError(f"{where(node)} has no attribute {name!r}")
    return str(value)


def read_names(node: h5py.HLObject, name: str) -> list[str] | None:
    """Read an attribute that holds a list of texts; return None if it is absent."""
    value = _attribute(node, name)
    if value is None:
        return None
    words = value.reshape(-1).tolist()
    if not all(isinstance(word, (bytes, str)) for word in words):
        raise InvalidFileError(
            f"{where(node)}: the attribute {name!r} should hold text, but is of type {value.dtype}"
        )
    return [to_text(word) for word in words]


def _attribute(node: h5py.HLObject, name: str) -> npt.NDArray[Any] | None:
    with reading(node, f": the attribute {name!r}"):
        if name not in node.attrs:
            return None
        found = node.attrs.get_id(name)
        dtype, n_values = found.dtype, found.get_space().get_simple_extent_npoints()
        is_text = h5py.check_string_dtype(dtype) is not None
        is_known = is_text or dtype.kind in "iufb"
        is_few = n_values <= MOST_TEXTS or not is_text
        if is_known and is_few and 0 < n_values * dtype.itemsize <= LARGEST_ATTRIBUTE:
            return np.asarray(node.attrs[name])
    raise InvalidFileError(
        f"{where(node)}: the attribute {name!r} holds {n_values} values of type {dtype}; numbers "
        f"or text were expected, at most {MOST_TEXTS} texts or {LARGEST_ATTRIBUTE} bytes"
    )


def _scalar(value: Any, place: str) -> Scalar:  # noqa: ANN401 - of NumPy
    if not isinstance(value, (bytes, str)):
        number: int | float | bool = value.item()
        return number
    if len(value) > LARGEST_STRING:
        raise InvalidFileError(
            f"{place} has a string of {len(value)} bytes; at most {LARGEST_STRING} are read"
        )
    return to_text(value)
