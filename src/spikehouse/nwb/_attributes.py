"""Read single values and short texts: attributes, and datasets of one element."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from spikehouse.errors import InvalidFileError
from spikehouse.nwb._check_size import LARGEST_STRING, reading, to_text, where
from spikehouse.nwb._validate_columns import describe_type, kind_of

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
