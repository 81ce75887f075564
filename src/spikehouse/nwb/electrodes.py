"""Read probes and channels: the devices, the electrode groups and the electrodes table."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from spikehouse.nwb._attributes import read_attribute, read_number, read_text
from spikehouse.nwb._safe_open import find_group, list_names
from spikehouse.nwb._validate_columns import check_table, check_unique
from spikehouse.nwb.hdf5 import Hdf5File
from spikehouse.schema import CHANNELS, PROBES

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
        f"{file_name} repeats the dorsal–ventral coordinate of its channels as the left–right one, "
        f"a fault of the released files: {_LATERAL} is NaN. The tables of a cache are correct: "
        "EcephysProjectCache().get_session_data(session_id), or .get_channels()",
        stacklevel=8,  # the caller's line that asks a session for its channels
    )
    return channels.assign(**{_LATERAL: np.nan})
