"""Single values and words out of a file: attributes, and datasets of one element."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from spikehouse.errors import InvalidFileError, SpikehouseError
from spikehouse.io._kinds import describe_type, kind_of
from spikehouse.io._stored import LIBRARY_ERRORS, where

# a parameter of a stimulus has 100 characters, the longest namespace of NWB a few 100 kB
LARGEST_STRING = 1024 * 1024
# the columns of a table are the longest list
LARGEST_ATTRIBUTE = 4096

Scalar = str | int | float | bool


def read_value(dataset: h5py.Dataset) -> Scalar:
    """Read a dataset that holds one number or one text.

    Parameters
    ----------
    dataset
        One that was checked by ``check_stored``.

    Returns
    -------
    str, int, float or bool
        Its value.

    Raises
    ------
    InvalidFileError
        If it holds anything else, more than one, a text of more than a megabyte, or cannot be
        read.
    """
    if kind_of(dataset) == "neither" or dataset.size != 1:
        raise InvalidFileError(
            f"{where(dataset)} should hold one text or number, but is of type "
            f"{describe_type(dataset)} in the shape {dataset.shape}"
        )
    try:
        value = np.asarray(dataset[()]).reshape(-1)[0]
    except SpikehouseError:
        raise
    except LIBRARY_ERRORS as error:
        raise InvalidFileError(
            f"{where(dataset)} cannot be read ({error}); the rest of the file may still be good. "
            "Nothing was deleted"
        ) from error
    return _scalar(value, where(dataset))


def read_attribute(node: h5py.HLObject, name: str) -> Scalar | None:
    """Read an attribute that holds one number, one word, or true or false.

    Parameters
    ----------
    node
        A group or a dataset.
    name
        Name of the attribute.

    Returns
    -------
    str, int, float, bool or None
        Its value; None where there is no such attribute.

    Raises
    ------
    InvalidFileError
        If it holds anything else, or cannot be read.
    """
    value = _attribute(node, name)
    if value is None:
        return None
    if value.size != 1:
        raise InvalidFileError(
            f"{where(node)}: the attribute {name!r} has shape {value.shape}, where one value was "
            "expected"
        )
    return _scalar(value.reshape(-1)[0], f"{where(node)}: the attribute {name!r}")


def read_number(node: h5py.HLObject, name: str) -> float:
    """Read an attribute that must be there and hold one finite number.

    Parameters
    ----------
    node
        A group or a dataset.
    name
        Name of the attribute.

    Returns
    -------
    float
        Its value.

    Raises
    ------
    InvalidFileError
        If it is missing or anything else.
    """
    value = read_attribute(node, name)
    if isinstance(value, (int, float)) and np.isfinite(value):
        return value
    raise InvalidFileError(
        f"{where(node)}: the attribute {name!r} is {value!r}, where a number was expected"
    )


def read_names(node: h5py.HLObject, name: str) -> list[str] | None:
    """Read an attribute that holds words.

    Parameters
    ----------
    node
        A group or a dataset.
    name
        Name of the attribute.

    Returns
    -------
    list of str or None
        The words; None where there is no such attribute.

    Raises
    ------
    InvalidFileError
        If it holds anything else, or cannot be read.
    """
    value = _attribute(node, name)
    if value is None:
        return None
    words = value.reshape(-1).tolist()
    if not all(isinstance(word, (bytes, str)) for word in words):
        raise InvalidFileError(
            f"{where(node)}: the attribute {name!r} should hold words, but is {value.dtype}"
        )
    return [_text(word) for word in words]


def _attribute(node: h5py.HLObject, name: str) -> npt.NDArray[Any] | None:
    try:
        if name not in node.attrs:
            return None
        found = node.attrs.get_id(name)
        dtype, n_values = found.dtype, found.get_space().get_simple_extent_npoints()
        is_known = dtype.kind in "iufb" or h5py.check_string_dtype(dtype) is not None
        if is_known and n_values <= LARGEST_ATTRIBUTE and found.shape is not None:
            return np.asarray(node.attrs[name])
    except SpikehouseError:
        raise
    except LIBRARY_ERRORS as error:
        raise InvalidFileError(
            f"{where(node)}: the attribute {name!r} cannot be read ({error})"
        ) from error
    raise InvalidFileError(
        f"{where(node)}: the attribute {name!r} holds {n_values} values of type {dtype}; numbers "
        f"or text were expected, at most {LARGEST_ATTRIBUTE}"
    )


def _scalar(value: Any, place: str) -> Scalar:  # noqa: ANN401 - of NumPy
    if not isinstance(value, (bytes, str)):
        number: int | float | bool = value.item()
        return number
    if len(value) > LARGEST_STRING:
        raise InvalidFileError(
            f"{place} has a string of {len(value)} bytes; at most {LARGEST_STRING} are read"
        )
    return _text(value)


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
