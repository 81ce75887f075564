"""Read the metadata of a session: id, start time, animal, rig."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd

from spikehouse.errors import InvalidFileError
from spikehouse.nwb._attributes import Scalar, read_attribute, read_text
from spikehouse.nwb._safe_open import find_dataset, member
from spikehouse.nwb.hdf5 import Hdf5File

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

# characters of a text in an error message
LONGEST_ID = 64


def _shorten(text: str | None) -> str | None:
    return text if text is None or len(text) <= LONGEST_ID else f"{text[:LONGEST_ID]}…"


def read_session_id(file: Hdf5File) -> int:
    """Read the session's id."""
    text = file.read_text("identifier")
    # an id has nine digits; int() refuses thousands of them
    if text is None or not text.strip().isdecimal() or len(text) > LONGEST_ID:
        raise InvalidFileError(
            f"{file.path} has no session id: /identifier is {_shorten(text)!r}, where a "
            "number was expected"
        )
    return int(text)


def read_start_time(file: Hdf5File) -> dt.datetime:
    """Read the start time of the session, with its offset from UTC."""
    text = _shorten(file.read_text("session_start_time"))
    try:
        return dt.datetime.fromisoformat(text or "")
    except ValueError:
        raise InvalidFileError(
            f"{file.path}: /session_start_time is {text!r}, not a date and time"
        ) from None


def read_subject(file: Hdf5File) -> dict[str, Any]:
    """Read the animal's metadata and the name of the stimulus set; None for what is absent."""
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
    # attributes in one version of the NWB extension, datasets in another
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
    """Read positions [mm], rotations [deg] and name of the rig; None without eye tracking."""
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
    return {"geometry": geometry, "equipment": read_text(group, "equipment")}
