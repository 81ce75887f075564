"""Who was recorded, when, on which rig."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd

from spikehouse.errors import InvalidFileError
from spikehouse.io.hdf5 import Hdf5File, decode

SUBJECT = "general/subject"
RIG = "processing/eye_tracking_rig_metadata/eye_tracking_rig_metadata"
_RIG_ARRAYS = (
    "monitor_position",
    "camera_position",
    "led_position",
    "monitor_rotation",
    "camera_rotation",
)


def read_session_id(file: Hdf5File) -> int:
    """Read the session's id.

    Parameters
    ----------
    file
        An open session file.

    Returns
    -------
    int
        The id.

    Raises
    ------
    InvalidFileError
        If the file has none, or one that is no number.
    """
    text = file.read_text("identifier")
    if text is None or not text.strip().isdecimal():
        raise InvalidFileError(
            f"{file.path} has no session id: /identifier is {text!r}, and should be a number"
        )
    return int(text)


def read_start_time(file: Hdf5File) -> dt.datetime:
    """Read when the session began.

    Parameters
    ----------
    file
        An open session file.

    Returns
    -------
    datetime
        With its offset from UTC.

    Raises
    ------
    InvalidFileError
        If the file does not say.
    """
    text = file.read_text("session_start_time")
    try:
        return dt.datetime.fromisoformat(text or "")
    except ValueError:
        raise InvalidFileError(
            f"{file.path}: /session_start_time is {text!r}, not a date and time"
        ) from None


def read_subject(file: Hdf5File) -> dict[str, Any]:
    """Read what is known of the animal, and the name of the stimulus set.

    Parameters
    ----------
    file
        An open session file.

    Returns
    -------
    dict
        specimen_name, age_in_days, full_genotype, strain, sex, stimulus_name, subject_id, age,
        species; None where the file is silent.
    """
    return {
        "specimen_name": _subject_value(file, "specimen_name"),
        "age_in_days": _number(_subject_value(file, "age_in_days")),
        "full_genotype": _subject_value(file, "genotype"),
        "strain": _subject_value(file, "strain"),
        "sex": _subject_value(file, "sex"),
        "stimulus_name": file.read_text("general/stimulus"),
        "subject_id": _subject_value(file, "subject_id"),
        "age": _subject_value(file, "age"),
        "species": _subject_value(file, "species"),
    }


def _subject_value(file: Hdf5File, name: str) -> Any:  # noqa: ANN401 - text or number
    # written as attributes by one version of the extension and as datasets by another
    group = file.find(SUBJECT)
    if group is None:
        return None
    value = group.attrs.get(name)
    if value is None:
        value = group[name][()] if name in group else None
    return decode(value) if isinstance(value, bytes) else value


def _number(value: Any) -> float | None:  # noqa: ANN401 - text or number
    return None if value is None else float(value)


def read_rig(file: Hdf5File) -> dict[str, Any] | None:
    """Read the rig's geometry.

    Parameters
    ----------
    file
        An open session file.

    Returns
    -------
    dict or None
        "geometry": DataFrame with index x, y, z and one column a position [mm] or rotation [deg];
        "equipment": the rig's name. None for a session without eye tracking.
    """
    group = file.find(RIG)
    if group is None:
        return None
    columns = {
        f"{name}_{decode(group[name].attrs['unit'])}": group[name][()] for name in _RIG_ARRAYS
    }
    geometry = pd.DataFrame(columns, index=["x", "y", "z"])
    return {"geometry": geometry, "equipment": decode(group.attrs["equipment"])}
