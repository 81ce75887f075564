"""Read what a session is: id, start time, animal, rig, probes and channels."""

from __future__ import annotations

import datetime as dt
import warnings
from typing import Any

import numpy as np
import pandas as pd

from spikehouse.errors import InvalidFileError
from spikehouse.nwb._safe_open import find_dataset, find_group, list_names, member
from spikehouse.nwb._validate_columns import (
    Scalar,
    check_table,
    check_unique,
    read_attribute,
    read_number,
    read_text,
)
from spikehouse.nwb.hdf5 import Hdf5File
from spikehouse.schema import CHANNELS, PROBES
from spikehouse.schema.data_notes import REPEATED_AXIS

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


# ---- probes and channels

DEVICES = "general/devices"
GROUPS = "general/extracellular_ephys"
ELECTRODES = "general/extracellular_ephys/electrodes"

OUTSIDE_THE_BRAIN = ("", "None", "nan")

# names in the file; NWB calls the common-coordinate-framework axes x (posterior), y (inferior)
# and z (right), and newer files have probe_channel_number for local_index
_RENAMES = {
    column.source.removeprefix("electrodes/"): column.name
    for column in CHANNELS.columns
    if column.source.startswith("electrodes/")
}
_VERTICAL, _LATERAL = _RENAMES["y"], _RENAMES["z"]
NOT_REGISTERED = -1000.0


def read_probes(file: Hdf5File) -> pd.DataFrame:
    """Read the probes: name, location, sampling rates [Hz] and whether there is an LFP file."""
    rows = []
    groups = file.group(GROUPS)
    for name in list_names(groups):
        group = find_group(groups, name)
        if group is None or read_attribute(group, "probe_id") is None:
            continue
        device = file.group(f"{DEVICES}/{name}")
        rows.append(
            {
                "id": int(read_number(group, "probe_id")),
                "description": name,
                "location": read_text(group, "location"),
                "sampling_rate": float(read_number(device, "sampling_rate")),
                "lfp_sampling_rate": float(read_number(group, "lfp_sampling_rate")),
                "has_lfp_data": bool(read_number(group, "has_lfp_data")),
            }
        )
    if not rows:
        return PROBES.empty()
    check_unique(groups, np.array([row["id"] for row in rows]))
    return pd.DataFrame(rows).set_index("id")


def read_channels(file: Hdf5File) -> pd.DataFrame:
    """Read the electrodes table: positions of all channels [µm] and their structures."""
    group = file.group(ELECTRODES)
    wanted = [n for n in list_names(group) if n not in {"group", "group_name", "imp", "id"}]
    frame = file.read_frame(group, columns=wanted)
    check_table(group, frame, required=["location"])
    frame = frame.rename(columns=_RENAMES)
    acronyms = frame["structure_acronym"].astype(object)
    frame["structure_acronym"] = acronyms.mask(acronyms.isin(OUTSIDE_THE_BRAIN), None)
    for name in (_RENAMES["x"], _VERTICAL, _LATERAL):
        if name in frame:
            frame[name] = frame[name].mask(frame[name] == NOT_REGISTERED)
    if "valid_data" not in frame:
        frame["valid_data"] = True
    return frame[[name for name in (*CHANNELS.column_names, "valid_data") if name in frame]]


def mask_repeated_axis(channels: pd.DataFrame, file_name: str) -> pd.DataFrame:
    """Set the left–right coordinate to NaN if it equals the dorsal–ventral one on every channel."""
    # A fault of the released session files.
    if _VERTICAL not in channels or _LATERAL not in channels:
        return channels
    known = channels[[_VERTICAL, _LATERAL]].dropna(how="all")
    if known.empty or not (known[_VERTICAL] == known[_LATERAL]).all():
        return channels
    warnings.warn(
        f"{file_name} {REPEATED_AXIS}, a fault of the released files: {_LATERAL} is NaN. "
        "The tables of a cache are correct: "
        "EcephysProjectCache().get_session_data(session_id), or .get_channels()",
        stacklevel=8,  # the caller's line that asks a session for its channels
    )
    return channels.assign(**{_LATERAL: np.nan})
