"""Who was recorded, when, on which rig."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd

from spikehouse.errors import InvalidFileError
from spikehouse.io._attributes import Scalar, read_attribute
from spikehouse.io._guard import find_dataset, member
from spikehouse.io.hdf5 import Hdf5File

SUBJECT = "general/subject"
PROVENANCE = ("general/institution", "session_description")
RIG = "processing/eye_tracking_rig_metadata/eye_tracking_rig_metadata"
_RIG_ARRAYS = (
    "monitor_position",
    "camera_position",
    "led_position",
    "monitor_rotation",
    "camera_rotation",
)


# of a text that is shown in an error
LONGEST_ID = 64


def _shorten(text: str | None) -> str | None:
    return text if text is None or len(text) <= LONGEST_ID else f"{text[:LONGEST_ID]}…"


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
    # an id has nine digits; Python refuses to make a number of some thousands
    if text is None or not text.strip().isdecimal() or len(text) > LONGEST_ID:
        raise InvalidFileError(
            f"{file.path} has no session id: /identifier is {_shorten(text)!r}, and should be a "
            "number"
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
    text = _shorten(file.read_text("session_start_time"))
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
        species; None where the file is silent. is_simulated is true where the institution or the
        description of the session says "simulated".

    Raises
    ------
    InvalidFileError
        If one of them is no single text or number, or the age is no number.
    """
    return {
        "specimen_name": _subject_value(file, "specimen_name"),
        "age_in_days": _age(file),
        "full_genotype": _subject_value(file, "genotype"),
        "strain": _subject_value(file, "strain"),
        "sex": _subject_value(file, "sex"),
        "stimulus_name": file.read_text("general/stimulus"),
        "subject_id": _subject_value(file, "subject_id"),
        "age": _subject_value(file, "age"),
        "species": _subject_value(file, "species"),
        "is_simulated": any(
            "simulated" in (file.read_text(path) or "").lower() for path in PROVENANCE
        ),
    }


def _subject_value(file: Hdf5File, name: str) -> Scalar | None:
    # written as attributes by one version of the extension and as datasets by another
    group = file.find(SUBJECT)
    if group is None:
        return None
    value = read_attribute(group, name)
    if value is None:
        found = find_dataset(group, name)
        value = None if found is None else file.read_scalar(found)
    return value


def _age(file: Hdf5File) -> float | None:
    value = _subject_value(file, "age_in_days")
    try:
        return None if value is None else float(value)
    except ValueError:
        raise InvalidFileError(
            f"{file.path}: /{SUBJECT}/age_in_days is {value!r}, not a number"
        ) from None


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

    Raises
    ------
    InvalidFileError
        If a part of it is missing or no three numbers.
    """
    group = file.find(RIG)
    if group is None:
        return None
    columns = {}
    for name in _RIG_ARRAYS:
        values = file.read_array(f"{RIG}/{name}")
        unit = read_attribute(member(group, name), "unit")
        if values.shape != (3,) or unit is None:
            raise InvalidFileError(
                f"{file.path}: /{RIG}/{name} has shape {values.shape} and the unit {unit!r}; three "
                "numbers with a unit were expected"
            )
        columns[f"{name}_{unit}"] = values
    geometry = pd.DataFrame(columns, index=["x", "y", "z"])
    equipment = read_attribute(group, "equipment")
    if equipment is None:
        raise InvalidFileError(f"{file.path}: /{RIG} has no attribute 'equipment'")
    return {"geometry": geometry, "equipment": str(equipment)}
