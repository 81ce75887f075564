"""Read running speed, pupil and gaze, in the time of the session."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import pandas as pd

from spikehouse.errors import InvalidFileError
from spikehouse.nwb._series import read_times, read_values
from spikehouse.nwb.hdf5 import Hdf5File

RUNNING = "processing/running"
EYE = "processing/eye_tracking"
GAZE = "processing/{kind}_gaze_mapping"
_TIME = "Time (s)"
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
