"""Write the parts that session and LFP files share: animal, probes, electrodes."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd

from spikehouse.demo.anatomy import NOT_REGISTERED
from spikehouse.demo.nwb_writer import CORE, EXTENSION, TEXT, Column, NwbWriter, Ragged
from spikehouse.demo.plan import SessionPlan
from spikehouse.demo.sessions import SessionFacts

__all__ = ["ELECTRODES", "write_general", "write_module"]

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
