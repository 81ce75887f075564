"""Write the objects of an NWB file with h5py: groups, tables, series, references.

Datasets are contiguous and uncompressed, as in the released files, so a slice of a dataset is one
byte range. The same simulation gives the same bytes whenever it is written.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import h5py
import numpy as np
import pandas as pd

from spikehouse.demo.anatomy import NOT_REGISTERED
from spikehouse.demo.plan import SessionPlan
from spikehouse.demo.sessions import SessionFacts

# any fixed value: it only distinguishes our object ids from those made from other names
ID_NAMESPACE = uuid.UUID("6f1f2d0e-3c57-5d0a-9a70-1b1f9a2c4e88")
CORE, TABLES, EXTENSION = "core", "hdmf-common", "ndx-aibs-ecephys"
TEXT = h5py.string_dtype("utf-8")
REFERENCE_TYPE = np.dtype([("idx_start", "<i4"), ("count", "<i4"), ("timeseries", h5py.ref_dtype)])


@dataclass(frozen=True)
class Column:
    """A column of a table; objects are written as text."""

    values: np.ndarray
    description: str = "no description"


@dataclass(frozen=True)
class Ragged:
    """A column with several elements per row; ``ends`` are the end offsets of the rows."""

    values: np.ndarray
    ends: np.ndarray
    description: str = "no description"


class NwbWriter:
    """Write NWB objects to an open file; object ids follow from the name and the path."""

    def __init__(self, file: h5py.File, name: str) -> None:
        self.file = file
        self._name = name

    def mark(self, path: str, namespace: str, kind: str, **attributes: object) -> h5py.HLObject:
        """Set the type and attributes of an object; create a group if there is none."""
        item = self.file[path] if path in self.file else self.file.create_group(path)
        for key, value in attributes.items():
            item.attrs[key] = value
        item.attrs["namespace"] = namespace
        item.attrs["neurodata_type"] = kind
        item.attrs["object_id"] = str(uuid.uuid5(ID_NAMESPACE, f"{self._name}/{path}"))
        return item

    def write_root(self, scalars: Mapping[str, str], created: str) -> None:
        """Write the parts of every NWB file: version, specification, dates, empty groups."""
        # Readers such as pynwb learn the extension types (EcephysProbe, …) from the file. They need
        # the namespaces that these build on, too, so the file has an abridged description of the
        # core and table types it uses, written here and not taken from their schema files.
        text = files("spikehouse.demo").joinpath("specification.json").read_text("utf-8")
        namespaces = json.loads(text)
        self.mark("/", CORE, "NWBFile", nwb_version=namespaces[CORE]["version"])
        for path in ("acquisition", "analysis", "processing", "stimulus/presentation"):
            self.file.require_group(path)
        self.file.require_group("stimulus/templates")
        for namespace, described in namespaces.items():
            for name, document in described["documents"].items():
                path = f"specifications/{namespace}/{described['version']}/{name}"
                self.file[path] = json.dumps(document, sort_keys=True)
        self.file.attrs[".specloc"] = self.file["specifications"].ref
        for path, text in scalars.items():
            self.file[path] = text
        self.file.create_dataset("file_create_date", data=[created], dtype=TEXT)

    def write_array(self, path: str, values: np.ndarray, **attributes: object) -> h5py.Dataset:
        """Write a dataset; arrays of objects are written as text."""
        values = np.asarray(values)
        is_text = values.dtype == object and h5py.check_ref_dtype(values.dtype) is None
        dtype = TEXT if is_text else values.dtype
        dataset = self.file.create_dataset(path, data=values, dtype=dtype)
        for key, value in attributes.items():
            dataset.attrs[key] = value
        return dataset

    def write_series(
        self,
        path: str,
        data: np.ndarray | None,
        timestamps: np.ndarray | str,
        unit: str,
        *,
        kind: str = "TimeSeries",
    ) -> h5py.Group:
        """Write a time series; timestamps may be the path of another series' timestamps."""
        group = self.mark(path, CORE, kind, comments="no comments", description="no description")
        if data is not None:
            self.write_array(f"{path}/data", data)
        for key, value in (("conversion", 1.0), ("offset", 0.0), ("resolution", -1.0)):
            group["data"].attrs[key] = np.float64(value)
        group["data"].attrs["unit"] = unit
        if isinstance(timestamps, str):
            group["timestamps"] = h5py.SoftLink(timestamps)
        else:
            self.write_array(f"{path}/timestamps", timestamps, interval=1, unit="seconds")
        return group

    def write_table(
        self,
        path: str,
        ids: np.ndarray,
        columns: Mapping[str, Column | Ragged],
        *,
        description: str,
        kind: tuple[str, str] = (TABLES, "DynamicTable"),
    ) -> h5py.Group:
        """Write a table."""
        names = np.array(list(columns), dtype=object)
        table = self.mark(path, *kind, description=description)
        table.attrs.create("colnames", names, dtype=TEXT)
        self.write_array(f"{path}/id", np.asarray(ids, dtype=np.int64))
        self.mark(f"{path}/id", TABLES, "ElementIdentifiers")
        for name, column in columns.items():
            self.write_array(f"{path}/{name}", column.values)
            self.mark_column(f"{path}/{name}", column.description)
            if isinstance(column, Ragged):
                self.write_index(f"{path}/{name}", column.ends)
        return table

    def mark_column(self, path: str, description: str) -> None:
        """Set the type and description of a column."""
        is_reference = self.file[path].dtype.names is not None
        kind = (CORE, "TimeSeriesReferenceVectorData") if is_reference else (TABLES, "VectorData")
        self.mark(path, *kind, description=description)

    def write_index(self, path: str, ends: np.ndarray) -> None:
        """Write the end offsets of the rows of a ragged column."""
        name = path.rsplit("/", 1)[-1]
        index = f"{path}_index"
        largest = int(ends[-1]) if ends.size else 0
        self.write_array(index, ends.astype(np.min_scalar_type(largest)))
        target = self.file[path].ref
        self.mark(index, TABLES, "VectorIndex", description=f"Index for VectorData {name!r}")
        self.file[index].attrs["target"] = target

    def make_references(self, path: str, start: np.ndarray) -> Ragged:
        """Make the ``timeseries`` column, which refers each row to one sample of a series."""
        values = np.empty(start.size, dtype=REFERENCE_TYPE)
        values["idx_start"] = start
        values["count"] = 1
        values["timeseries"] = self.file[path].ref
        ends = np.arange(1, start.size + 1)
        return Ragged(values, ends, "index into a TimeSeries object")


def make_tags(tags: Sequence[Sequence[str]]) -> Ragged:
    """Make the ``tags`` column of a table of intervals."""
    flat = np.array([tag for row in tags for tag in row], dtype=object)
    return Ragged(flat, np.cumsum([len(row) for row in tags]), "user-defined tags")


ELECTRODES = "general/extracellular_ephys/electrodes"
CREATED = "2020-06-01T00:00:00-07:00"
AP_FILTER = "AP band: 500 Hz high-pass; LFP band: 1000 Hz low-pass"
COLUMN_DESCRIPTIONS = {
    "location": "the location of channel within the subject e.g. brain region",
    "group": "a reference to the ElectrodeGroup this electrode is a part of",
    "group_name": "the name of the ElectrodeGroup this electrode is a part of",
    "probe_vertical_position": "distance from the tip of the probe, um",
    "probe_horizontal_position": "distance from the edge of the shank, um",
    "probe_id": "id of the probe",
    "local_index": "channel number on the probe",
    "valid_data": "whether the channel recorded usable data",
    "x": "the x coordinate of the position (+x is posterior)",
    "y": "the y coordinate of the position (+y is inferior)",
    "z": "the z coordinate of the position (+z is right)",
    "imp": "the impedance of the electrode, in ohms",
    "filtering": "hardware filters of the channel",
}


def write_module(writer: NwbWriter, name: str, description: str) -> None:
    """Write an empty processing module."""
    writer.mark(f"processing/{name}", CORE, "ProcessingModule", description=description)


def write_general(
    writer: NwbWriter, plan: SessionPlan, channels: pd.DataFrame, *, description: str
) -> None:
    """Write what session and LFP files have in common, for the probes of some channels."""
    facts = plan.facts
    scalars = {
        "identifier": str(facts.id),
        "session_description": f"Simulated data, not a recording. {description}",
        "session_start_time": facts.start_time,
        "timestamps_reference_time": facts.start_time,
        "general/institution": "none (simulated by spikehouse)",
        "general/session_id": str(facts.id),
        "general/stimulus": facts.session_type,
    }
    writer.write_root(scalars, CREATED)
    writer.file.create_dataset("general/keywords", data=["simulated", "Neuropixels"], dtype=TEXT)
    _write_subject(writer, facts)
    present = plan.probes.index[plan.probes.index.isin(channels["ecephys_probe_id"])]
    for probe_id in present:
        _write_probe(writer, int(probe_id), plan.probes.loc[probe_id])
    _write_electrodes(writer, plan, channels)


def _write_subject(writer: NwbWriter, facts: SessionFacts) -> None:
    subject = "general/subject"
    texts = {
        "age": f"P{facts.age_in_days:.0f}D",
        "genotype": facts.genotype,
        "sex": facts.sex,
        "species": "Mus musculus",
        "strain": "Transgenic" if "-IRES" in facts.genotype else "C57BL/6J",
        "subject_id": str(facts.subject_id),
    }
    for name, text in texts.items():
        writer.file[f"{subject}/{name}"] = text
    writer.file[f"{subject}/age"].attrs["reference"] = "birth"
    writer.mark(
        subject,
        EXTENSION,
        "EcephysSpecimen",
        age_in_days=np.float64(facts.age_in_days),
        specimen_name=facts.specimen_name,
    )


def _write_probe(writer: NwbWriter, probe_id: int, probe: pd.Series) -> None:
    name = probe["name"]
    device = f"general/devices/{name}"
    writer.mark(
        device,
        EXTENSION,
        "EcephysProbe",
        description="Neuropixels 1.0 Probe",
        manufacturer="imec",
        probe_id=np.int64(probe_id),
        sampling_rate=np.float64(probe["sampling_rate"]),
    )
    group = f"general/extracellular_ephys/{name}"
    kept_rate = probe["lfp_sampling_rate"] / probe["lfp_temporal_subsampling_factor"]
    writer.mark(
        group,
        EXTENSION,
        "EcephysElectrodeGroup",
        description="Ecephys Electrode Group",
        location="See electrode locations",
        has_lfp_data=np.bool_(probe["has_lfp_data"]),
        lfp_sampling_rate=np.float64(kept_rate),
        probe_id=np.int64(probe_id),
    )
    writer.file[f"{group}/device"] = h5py.SoftLink(f"/{device}")


def _write_electrodes(writer: NwbWriter, plan: SessionPlan, channels: pd.DataFrame) -> None:
    n = len(channels)
    names = channels["ecephys_probe_id"].map(plan.probes["name"]).to_numpy(dtype=object)
    groups = np.array(
        [writer.file[f"general/extracellular_ephys/{name}"].ref for name in names],
        dtype=h5py.ref_dtype,
    )
    # both spellings of "outside the brain" occur in released files
    outside = "" if plan.facts.id % 2 == 0 else "None"
    structure = channels["ecephys_structure_acronym"]
    anterior, dorsal = (
        channels[f"{axis}_ccf_coordinate"].astype(float).replace(NOT_REGISTERED, np.nan).to_numpy()
        for axis in ("anterior_posterior", "dorsal_ventral")
    )
    values = {
        "location": structure.where(structure.notna(), outside).to_numpy(dtype=object),
        "group": groups,
        "group_name": names,
        "probe_vertical_position": channels["probe_vertical_position"].to_numpy(),
        "probe_horizontal_position": channels["probe_horizontal_position"].to_numpy(),
        "probe_id": channels["ecephys_probe_id"].to_numpy(),
        "local_index": channels["local_index"].to_numpy(),
        "valid_data": np.ones(n, dtype=bool),
        "x": anterior,
        "y": dorsal,
        # an error of the released files that readers must expect: z repeats y
        "z": dorsal,
        "imp": np.full(n, np.nan),
        "filtering": np.full(n, AP_FILTER, dtype=object),
    }
    columns: dict[str, Column | Ragged] = {
        name: Column(array, COLUMN_DESCRIPTIONS[name]) for name, array in values.items()
    }
    writer.write_table(
        ELECTRODES,
        channels.index.to_numpy(),
        columns,
        description="metadata about extracellular electrodes",
    )
