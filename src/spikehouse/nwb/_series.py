"""Read the values and times of NWB TimeSeries, in any form that the schema allows."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from spikehouse.errors import InvalidFileError
from spikehouse.nwb._attributes import read_attribute, read_number, read_value
from spikehouse.nwb._guard import find_dataset, list_names, member
from spikehouse.nwb._kinds import check_numbers
from spikehouse.nwb._stored import where
from spikehouse.nwb.hdf5 import Hdf5File
from spikehouse.nwb.rows import read_whole


def read_values(file: Hdf5File, series: str) -> npt.NDArray[Any]:
    """Read the values of a series, converted to its unit."""
    values = file.read_array(f"{series}/data")
    factors, offset = find_scale(member(file.group(series), "data"), file.group(series))
    return values if is_unscaled(factors, offset) else values * factors + offset


def read_times(file: Hdf5File, series: str) -> npt.NDArray[Any]:
    """Read or compute the times [s] of a series."""
    even = find_even_times(file.group(series))
    return file.read_array(f"{series}/timestamps") if even is None else even


def find_even_times(series: h5py.Group) -> npt.NDArray[np.float64] | None:
    """Compute the times [s] of a series with a starting time and a rate; otherwise return None."""
    start = None
    if "timestamps" not in list_names(series):
        start = find_dataset(series, "starting_time")
    if start is None:
        return None
    check_numbers(start)
    first, rate = float(read_value(start)), float(read_number(start, "rate"))
    if not (np.isfinite(first) and rate > 0):
        raise InvalidFileError(
            f"{where(start)} begins at {first} s with {rate} samples per second: a finite start "
            "and a positive rate were expected"
        )
    return np.asarray(first + np.arange(len(member(series, "data"))) / rate)


def find_scale(data: h5py.Dataset, series: h5py.Group) -> tuple[npt.NDArray[np.float64], float]:
    """Read the factor of stored values (one, or one per channel) and the offset."""
    conversion, offset = (
        default if read_attribute(data, name) is None else float(read_number(data, name))
        for name, default in (("conversion", 1.0), ("offset", 0.0))
    )
    channels = find_dataset(series, "channel_conversion")
    if channels is None:
        return np.asarray(conversion), offset
    check_numbers(channels)
    factors = conversion * read_whole(channels).astype(np.float64)
    if factors.shape != data.shape[1:2]:
        raise InvalidFileError(
            f"{where(channels)} has shape {factors.shape}, but {data.name} has shape {data.shape}"
        )
    return factors, offset


def is_unscaled(factors: npt.NDArray[np.float64], offset: float) -> bool:
    """Check whether stored values need no conversion."""
    return offset == 0 and bool((factors == 1).all())
