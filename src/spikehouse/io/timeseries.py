"""Running speed, pupil and gaze: series on the session's clock."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.errors import InvalidFileError
from spikehouse.io._attributes import read_attribute, read_number, read_value
from spikehouse.io._guard import find_dataset, list_names, member
from spikehouse.io._kinds import check_numbers
from spikehouse.io._stored import where
from spikehouse.io.hdf5 import Hdf5File
from spikehouse.io.rows import read_whole

RUNNING = "processing/running"
EYE = "processing/eye_tracking"
GAZE = "processing/{kind}_gaze_mapping"
_TIME = "Time (s)"
_ELLIPSES = {"corneal_reflection": "cr", "pupil": "pupil", "eye": "eye"}


def read_values(file: Hdf5File, series: str) -> npt.NDArray[Any]:
    """Read the values of a series, in its unit."""
    values = file.read_array(f"{series}/data")
    factors, offset = find_scale(member(file.group(series), "data"), file.group(series))
    return values if is_unscaled(factors, offset) else values * factors + offset


def read_times(file: Hdf5File, series: str) -> npt.NDArray[Any]:
    """Read the times [s] of a series, which stores them, or its first one and its rate."""
    even = find_even_times(file.group(series))
    return file.read_array(f"{series}/timestamps") if even is None else even


def find_even_times(series: h5py.Group) -> npt.NDArray[np.float64] | None:
    """Compute the times [s] of a series that stores the first one and a rate; else None."""
    start = None
    if "timestamps" not in list_names(series):
        start = find_dataset(series, "starting_time")
    if start is None:
        return None
    check_numbers(start)
    first, rate = float(read_value(start)), float(read_number(start, "rate"))
    if not (np.isfinite(first) and rate > 0):
        raise InvalidFileError(
            f"{where(start)} begins at {first} s with {rate} samples a second: a finite number and "
            "one above 0 were expected"
        )
    return np.asarray(first + np.arange(len(member(series, "data"))) / rate)


def find_scale(data: h5py.Dataset, series: h5py.Group) -> tuple[npt.NDArray[np.float64], float]:
    """Read what stored values are multiplied by, one factor or one a channel, and what is added."""
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
    """Say whether stored values are in the series' unit already."""
    return offset == 0 and bool((factors == 1).all())


def read_running_speed(file: Hdf5File) -> pd.DataFrame:
    """Read how fast the animal ran.

    Parameters
    ----------
    file
        An open session file.

    Returns
    -------
    DataFrame
        start_time, end_time [s], velocity [cm/s]; one row an interval between two frames.

    Raises
    ------
    InvalidFileError
        If the file has no running data, or its parts are not equally long.
    """
    file.group(RUNNING)
    return _frame(
        file,
        {
            "start_time": read_times(file, f"{RUNNING}/running_speed"),
            "end_time": read_times(file, f"{RUNNING}/running_speed_end_times"),
            "velocity": read_values(file, f"{RUNNING}/running_speed"),
        },
    )


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
    """Read the ellipses fitted to pupil, eye and corneal reflection.

    Parameters
    ----------
    file
        An open session file.

    Returns
    -------
    DataFrame or None
        Index ``Time (s)``; for each of the three center_x, center_y, height, width (full axes
        [px]; the file holds half of them) and phi [rad]. None without eye tracking.

    Raises
    ------
    InvalidFileError
        If a part is missing, or they are not equally long.
    """
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
    """Read where on the screen the animal looked.

    Parameters
    ----------
    file
        An open session file.
    include_filtered_data
        Add the same columns with blinks and jumps taken out (NaN).

    Returns
    -------
    DataFrame or None
        Index ``Time (s)``; raw_eye_area, raw_pupil_area [cm² or px², as the file says],
        raw_screen_coordinates_x_cm, …_y_cm, raw_screen_coordinates_spherical_x_deg, …_y_deg.
        None without eye tracking.

    Raises
    ------
    InvalidFileError
        If a part is missing, or they are not equally long.
    """
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
