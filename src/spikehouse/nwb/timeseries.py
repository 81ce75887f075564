"""Read NWB TimeSeries in any form that the schema allows: running speed, pupil and gaze."""

from __future__ import annotations

import warnings
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.errors import InvalidFileError
from spikehouse.nwb._check_size import where
from spikehouse.nwb._safe_open import find_dataset, list_names, member
from spikehouse.nwb._validate_columns import check_numbers, read_attribute, read_number, read_value
from spikehouse.nwb.hdf5 import Hdf5File, flatten, read_whole
from spikehouse.stimuli.clocks import find_sample_ends

RUNNING = "processing/running"
EYE = "processing/eye_tracking"
GAZE = "processing/{kind}_gaze_mapping"
_TIME = "Time (s)"
_CENTIMETERS = {"cm/s", "cm/sec", "centimeters/second", "centimeters per second"}
_METERS = {"m/s", "m/sec", "meters/second", "meters per second"}
_ELLIPSES = {"corneal_reflection": "cr", "pupil": "pupil", "eye": "eye"}


def read_running_speed(file: Hdf5File) -> pd.DataFrame:
    """Read the running speed [cm/s], one row for each interval [s] between two frames."""
    file.group(RUNNING)
    return _frame(
        file,
        {
            "start_time": read_times(file, f"{RUNNING}/running_speed"),
            "end_time": read_times(file, f"{RUNNING}/running_speed_end_times"),
            "velocity": read_values(file, f"{RUNNING}/running_speed"),
        },
    )


def read_speed_series(file: Hdf5File, series: str) -> pd.DataFrame:
    """Read a series of another writer's as running speed [cm/s]; a sample lasts until the next."""
    # MatNWB writes columns as matrices
    start, velocity = map(flatten, (read_times(file, series), read_values(file, series)))
    unit = str(read_attribute(member(file.group(series), "data"), "unit"))
    if unit in _METERS:
        velocity = 100.0 * velocity
    elif unit not in _CENTIMETERS:
        warnings.warn(
            f"{file.path.name}: the unit of /{series} is {unit!r}; taken as cm/s", stacklevel=2
        )
    ends = find_sample_ends(start)
    return _frame(file, {"start_time": start, "end_time": ends, "velocity": velocity})


def _frame(
    file: Hdf5File, columns: dict[str, Any], times: npt.NDArray[Any] | None = None
) -> pd.DataFrame:
    shapes = {name: values.shape for name, values in columns.items()}
    if times is not None:
        shapes[_TIME] = times.shape
    if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise InvalidFileError(
            f"{file.path} has series of different shapes, where one value was expected at each "
            f"time: {shapes}"
        )
    index = None if times is None else pd.Index(times, name=_TIME)
    return pd.DataFrame(columns, index=index)


def read_pupil(file: Hdf5File) -> pd.DataFrame | None:
    """Read the ellipses fitted to pupil, eye and corneal reflection; None without eye tracking."""
    # centres and full axes in px (the file holds half axes), phi in rad
    raw = GAZE.format(kind="raw")
    if file.find(EYE) is None or file.find(raw) is None:
        return None
    columns: dict[str, Any] = {}
    for name, short in _ELLIPSES.items():
        for value in ("center_x", "center_y", "height", "width", "phi"):
            factor = 2 if value in {"height", "width"} else 1
            columns[f"{name}_{value}"] = factor * file.read_array(
                f"{EYE}/{short}_ellipse_fits/{value}"
            )
    return _frame(file, columns, read_times(file, f"{raw}/eye_area"))


def read_gaze(file: Hdf5File, *, include_filtered_data: bool = False) -> pd.DataFrame | None:
    """Read where on the screen the animal looked; None without eye tracking."""
    # Areas are in cm² or px², as the file has them. Filtered columns are NaN at blinks and jumps.
    kinds = ["raw", "filtered"]
    if any(file.find(GAZE.format(kind=kind)) is None for kind in kinds):
        return None
    columns: dict[str, Any] = {}
    for kind in kinds if include_filtered_data else kinds[:1]:
        path = GAZE.format(kind=kind)
        columns[f"{kind}_eye_area"] = read_values(file, f"{path}/eye_area")
        columns[f"{kind}_pupil_area"] = read_values(file, f"{path}/pupil_area")
        for name, unit in (("screen_coordinates", "cm"), ("screen_coordinates_spherical", "deg")):
            # the files hold the vertical coordinate first
            vertical_horizontal = read_values(file, f"{path}/{name}")
            if vertical_horizontal.shape[1:] != (2,):
                raise InvalidFileError(
                    f"{file.path}: /{path}/{name}/data has shape {vertical_horizontal.shape}, "
                    "where (time, 2) was expected"
                )
            columns[f"{kind}_{name}_x_{unit}"] = vertical_horizontal[:, 1]
            columns[f"{kind}_{name}_y_{unit}"] = vertical_horizontal[:, 0]
    times = read_times(file, f"{GAZE.format(kind='raw')}/eye_area")
    return _frame(file, columns, times)


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
