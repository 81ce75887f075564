"""The tables and files of the simulated survey as models of the warehouse."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from rma_tables import Association, Model

from spikehouse.demo.survey import MOVIE_NUMBERS, N_SCENES, Survey

Frame = pd.DataFrame
# Id of the product that the stimulus templates are attached to in the real warehouse.
ECEPHYS_PRODUCT_ID = 714914585
DOWNLOAD_PATH = "/api/v2/well_known_file_download/"
FileKind = Literal["session", "lfp", "scene", "movie"]
# The last digit of file ids, so these numbers may not change.
_KIND_DIGITS: Mapping[FileKind, int] = {"session": 1, "lfp": 2, "scene": 3, "movie": 4}
FILE_TYPE_NAMES: Mapping[int, str] = {1: "EcephysNwb", 2: "EcephysLfpNwb", 3: "Stimulus"}
# Columns of the sessions table that come from other models of the warehouse.
_DERIVED_SESSION_COLUMNS = ["age_in_days", "sex", "genotype", "has_nwb"]
# Decimal numbers, which the warehouse sends as texts.
_DECIMAL_PROBE_COLUMNS = frozenset(
    {"lfp_sampling_rate", "lfp_temporal_subsampling_factor", "sampling_rate"}
)


@dataclass(frozen=True)
class WellKnownFile:
    """A file that can be downloaded: its type, and the number of its session, probe or template."""

    kind: FileKind
    number: int

    @property
    def id(self) -> int:
        """The id in the download link: ten times the number plus a digit for the kind."""
        return 10 * self.number + _KIND_DIGITS[self.kind]

    @property
    def path(self) -> str:
        """The path in the warehouse, whose name distinguishes the templates."""
        match self.kind:
            case "session":
                return f"/demo/sessions/ecephys_session_{self.number}.nwb"
            case "lfp":
                return f"/demo/probes/probe_{self.number}_lfp.nwb"
            case "scene":
                return f"/demo/natural_scenes/{self.number}.tiff"
            case "movie":
                return f"/demo/natural_movies/natural_movie_{self.number}.npy"

    def make(self, survey: Survey) -> Path:
        """Return the path of the file on this machine, which is simulated first if necessary."""
        match self.kind:
            case "session":
                return survey.session_file(self.number)
            case "lfp":
                return survey.lfp_file(self.number)
            case "scene":
                return survey.scene_file(self.number)
            case "movie":
                return survey.movie_file(self.number)


def list_files(sessions: pd.DataFrame, probes: pd.DataFrame) -> list[WellKnownFile]:
    """List all files that can be downloaded."""
    with_nwb = sessions.loc[sessions["has_nwb"].astype(bool), "id"]
    with_lfp = probes.loc[probes["use_lfp_data"].astype(bool), "id"]
    return [
        *(WellKnownFile("session", int(number)) for number in with_nwb),
        *(WellKnownFile("lfp", int(number)) for number in with_lfp),
        *(WellKnownFile("scene", number) for number in range(N_SCENES)),
        *(WellKnownFile("movie", number) for number in MOVIE_NUMBERS),
    ]


class WarehouseTables:
    """The models of the warehouse for one survey; thread-safe."""

    # tables are read when they are first needed and kept in memory, some MB for a full-size survey

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._lock = threading.RLock()
        self._frames: dict[str, Frame] = {}
        self._metrics: dict[int, Frame] = {}
        self.models: Mapping[str, Model] = _make_models(self._read, self._write_metrics)

    def list_files(self) -> list[WellKnownFile]:
        """List all files that can be downloaded, in the order of the model WellKnownFile."""
        return list_files(self._read("sessions"), self._read("EcephysProbe"))

    def _read(self, name: str) -> Frame:
        with self._lock:
            if name not in self._frames:
                self._frames[name] = _tidy(self._make(name))
            return self._frames[name]

    def _make(self, name: str) -> Frame:
        match name:
            case "sessions" | "channels":
                return self._survey.read_table(name).reset_index()
            case "EcephysUnit":
                return self._survey.read_table("units").reset_index()
            case "EcephysProbe":
                probes = self._survey.read_table("probes").reset_index()
                return probes.rename(columns={"has_lfp_data": "use_lfp_data"})
            case "EcephysChannel":
                channels = self._read("channels").drop(columns="ecephys_structure_acronym")
                return channels.rename(columns={"ecephys_structure_id": "structure_id"})
            case "EcephysUnitMetricBundle":
                ids = np.fromiter(self._session_of_unit, dtype=np.int64)
                return Frame({"id": ids, "ecephys_unit_id": ids})
            case "unit with metrics":
                return self._make_units_with_metrics()
            case "Structure":
                return _make_structures(self._read("channels"))
            case "WellKnownFile":
                return _make_well_known_files(self.list_files())
            case "WellKnownFileType":
                return Frame({"id": list(FILE_TYPE_NAMES), "name": list(FILE_TYPE_NAMES.values())})
            case _:
                return _SESSION_PARTS[name](self._read("sessions"))

    # --- metrics, a text with a JSON object for each unit

    def _read_metrics(self, session_id: int) -> Frame:
        with self._lock:
            if session_id not in self._metrics:
                self._metrics[session_id] = self._survey.read_analysis_metrics(session_id)
            return self._metrics[session_id]

    @cached_property
    def _session_of_unit(self) -> dict[int, int]:
        """The session id of each unit that has metrics, by unit id."""
        sessions = [int(session_id) for session_id in self._read("sessions")["id"]]
        return {
            unit_id: session_id
            for session_id in sessions
            for unit_id in self._survey.list_analysed_units(session_id)
        }

    def _make_units_with_metrics(self) -> Frame:
        """Add the units that only have metrics to the units table, so that queries find them."""
        units, channels = self._read("EcephysUnit"), self._read("EcephysChannel")
        probes = self._read("EcephysProbe")
        listed = set(units["id"])
        others = {
            unit_id: session_id
            for unit_id, session_id in self._session_of_unit.items()
            if unit_id not in listed
        }
        # their channel is not known, so the first one of their session is used
        first_probe = probes.drop_duplicates("ecephys_session_id").set_index("ecephys_session_id")
        first_channel = channels.drop_duplicates("ecephys_probe_id").set_index("ecephys_probe_id")
        on_probe = first_probe["id"].loc[list(others.values())]
        on_channel = first_channel["id"].loc[on_probe]
        known = units[["id", "ecephys_channel_id"]]
        added = Frame({"id": list(others), "ecephys_channel_id": on_channel.to_numpy()})
        return pd.concat([known, added.astype(np.int64)])

    def _write_metrics(self, page: Frame) -> list[str]:
        unit_ids = [int(unit_id) for unit_id in page["ecephys_unit_id"]]
        by_session: dict[int, list[int]] = {}
        for unit_id in unit_ids:
            by_session.setdefault(self._session_of_unit[unit_id], []).append(unit_id)
        written: dict[int, str] = {}
        for session_id, members in by_session.items():
            written |= _write_json_rows(self._read_metrics(session_id).loc[members])
        return [written[unit_id] for unit_id in unit_ids]


def _tidy(frame: Frame) -> Frame:
    """Convert ids to integers and replace infinities, which JSON does not have."""
    tidy = {}
    for name in frame.columns:
        column = frame[name]
        if pd.api.types.is_float_dtype(column):
            column = column.replace([np.inf, -np.inf], np.nan)
            # an id that is missing in some rows is a float in pandas, but an integer in SQL
            if str(name).endswith("_id"):
                column = column.astype("Int64")
        tidy[name] = column
    return Frame(tidy).reset_index(drop=True)


def _write_json_rows(frame: Frame) -> dict[int, str]:
    """Format each row as a JSON object, with null for missing and infinite values."""
    columns = {}
    for name, column in _tidy(frame).items():
        values = zip(column.tolist(), column.isna().tolist(), strict=True)
        columns[str(name)] = [None if is_missing else value for value, is_missing in values]
    rows = zip(*columns.values(), strict=True)
    return {
        int(key): json.dumps(dict(zip(columns, row, strict=True)), allow_nan=False)
        for key, row in zip(frame.index, rows, strict=True)
    }


# --- the models that a row of sessions.csv is joined from


def _make_sessions(sessions: Frame) -> Frame:
    own = sessions.drop(columns=_DERIVED_SESSION_COLUMNS)
    return own.rename(columns={"session_type": "stimulus_name"}).assign(fail_eye_tracking=False)


def _make_specimens(sessions: Frame) -> Frame:
    ids = sessions["specimen_id"].drop_duplicates()
    return Frame({"id": ids, "name": ids.astype(str), "donor_id": ids})


def _make_donors(sessions: Frame) -> Frame:
    one_each = sessions.drop_duplicates("specimen_id")
    genotypes = [None if name == "wt" else name for name in one_each["genotype"]]
    return Frame(
        {
            "id": one_each["specimen_id"],
            "sex": one_each["sex"],
            # the warehouse has no genotype for wild types; its clients write "wt"
            "full_genotype": pd.Series(genotypes, index=one_each.index, dtype=object),
            "age_id": one_each["specimen_id"],
        }
    )


def _make_ages(sessions: Frame) -> Frame:
    one_each = sessions.drop_duplicates("specimen_id")
    days = one_each["age_in_days"]
    names = [f"P{float(value):g}" for value in days]
    return Frame({"id": one_each["specimen_id"], "name": names, "days": days})


_SESSION_PARTS: Mapping[str, Callable[[Frame], Frame]] = {
    "EcephysSession": _make_sessions,
    "Specimen": _make_specimens,
    "Donor": _make_donors,
    "Age": _make_ages,
}


def _make_structures(channels: Frame) -> Frame:
    names = ["ecephys_structure_id", "ecephys_structure_acronym"]
    structures = channels[names].dropna().drop_duplicates(names[0])
    return structures.set_axis(["id", "acronym"], axis="columns")


def _make_well_known_files(files: list[WellKnownFile]) -> Frame:
    types = {"session": (1, "EcephysSession"), "lfp": (2, "EcephysProbe")}
    rows = []
    for file in files:
        type_id, attachable_type = types.get(file.kind, (3, "Product"))
        row = {
            "attachable_id": file.number if file.kind in types else ECEPHYS_PRODUCT_ID,
            "attachable_type": attachable_type,
            "download_link": f"{DOWNLOAD_PATH}{file.id}",
            "id": file.id,
            "path": file.path,
            "well_known_file_type_id": type_id,
        }
        rows.append(row)
    return Frame(rows)


# --- associations between the models

_TABLE_NAMES: Mapping[str, str] = {
    "EcephysSession": "ecephys_sessions",
    "EcephysProbe": "ecephys_probes",
    "EcephysChannel": "ecephys_channels",
    "EcephysUnit": "ecephys_units",
    "EcephysUnitMetricBundle": "ecephys_unit_metric_bundles",
    "WellKnownFile": "well_known_files",
    "WellKnownFileType": "well_known_file_types",
    # not a valid name in a query: only the metrics lead to it
    "unit with metrics": "ecephys_units",
    "Specimen": "specimens",
    "Donor": "donors",
    "Age": "ages",
    "Structure": "structures",
}


def _make_models(
    read: Callable[[str], Frame], write_metrics: Callable[[Frame], list[str]]
) -> Mapping[str, Model]:
    associations = _make_associations()
    lazy_columns = {"EcephysUnitMetricBundle": {"data": write_metrics}}
    text_columns = {"EcephysProbe": _DECIMAL_PROBE_COLUMNS}
    return {
        name: Model(
            name,
            table,
            partial(read, name),
            associations=associations.get(name, {}),
            text_columns=text_columns.get(name, frozenset()),
            lazy_columns=lazy_columns.get(name, {}),
        )
        for name, table in _TABLE_NAMES.items()
    }


def _make_associations() -> Mapping[str, Mapping[str, Association]]:
    def has_many(target: str, key: str) -> Association:
        return Association(target, "id", target_key=key, is_many=True)

    def has_files(attachable_type: str) -> Association:
        return Association(
            "WellKnownFile",
            "id",
            target_key="attachable_id",
            is_many=True,
            only=("attachable_type", attachable_type),
        )

    return {
        "EcephysSession": {
            "specimen": Association("Specimen", "specimen_id"),
            "ecephys_probes": has_many("EcephysProbe", "ecephys_session_id"),
            "well_known_files": has_files("EcephysSession"),
        },
        "EcephysProbe": {
            "ecephys_session": Association("EcephysSession", "ecephys_session_id"),
            "ecephys_channels": has_many("EcephysChannel", "ecephys_probe_id"),
            "well_known_files": has_files("EcephysProbe"),
        },
        "EcephysChannel": {
            "ecephys_probe": Association("EcephysProbe", "ecephys_probe_id"),
            "ecephys_units": has_many("EcephysUnit", "ecephys_channel_id"),
            "structure": Association("Structure", "structure_id"),
        },
        "EcephysUnit": {
            "ecephys_channel": Association("EcephysChannel", "ecephys_channel_id"),
        },
        "EcephysUnitMetricBundle": {
            "ecephys_unit": Association("unit with metrics", "ecephys_unit_id"),
        },
        "unit with metrics": {
            "ecephys_channel": Association("EcephysChannel", "ecephys_channel_id"),
        },
        "WellKnownFile": {
            "well_known_file_type": Association("WellKnownFileType", "well_known_file_type_id"),
        },
        "Specimen": {"donor": Association("Donor", "donor_id")},
        "Donor": {"age": Association("Age", "age_id")},
    }
