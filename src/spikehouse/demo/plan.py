"""The plan of a session: probes, channels and units, drawn before any spikes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from spikehouse.demo.anatomy import draw_channels
from spikehouse.demo.neurons import METRICS, TRUTH_COLUMNS, ProbeContext, draw_units
from spikehouse.demo.sessions import SessionFacts, SizeOptions, get_session_facts, make_rng

SESSION_ID_START = 900_000_000
PROBE_ID_START = 910_000_000
CHANNEL_ID_START = 920_000_000
UNIT_ID_START = 950_000_000
EPOCHS = ("epoch_name_quality_metrics", "epoch_name_waveform_metrics")
SESSION_CSV_COLUMNS = (
    "date_of_acquisition", "isi_experiment_id", "published_at", "specimen_id", "session_type",
    "age_in_days", "sex", "genotype", "has_nwb",
)  # fmt: skip
# In the order of units.csv: alphabetical, capitals first.
UNIT_CSV_COLUMNS = sorted((*METRICS, *EPOCHS, "ecephys_channel_id"))


@dataclass(frozen=True)
class SessionPlan:
    """Probes, channels and units of a session; units have the metrics and the truth."""

    facts: SessionFacts
    size: SizeOptions
    seed: int
    probes: pd.DataFrame
    channels: pd.DataFrame
    units: pd.DataFrame

    @property
    def truth(self) -> pd.DataFrame:
        """The parameters the units were simulated with, by ``unit_id``."""
        return self.units[list(TRUTH_COLUMNS)].rename_axis("unit_id")


def draw_plan(seed: int, session_id: int, size: SizeOptions) -> SessionPlan:
    """Draw the probes, channels and units of a session."""
    facts = get_session_facts(session_id)
    number = session_id % 100
    rng = make_rng(seed, session_id, "probes")
    probes, channels, units = [], [], []
    # drawn for all six probes in every size, so that a probe has the same rate in each
    rates = 30_000 + rng.normal(-0.03, 0.04, size=6)
    next_unit = UNIT_ID_START + number * 100_000 + int(rng.integers(0, 500))
    for index, letter in enumerate("ABCDEF"):
        if letter not in size.probe_letters:
            continue
        probe_id = PROBE_ID_START + number * 1_000 + 2 * index
        of_probe, surface = draw_channels(seed, session_id, letter)
        start = CHANNEL_ID_START + number * 10_000 + index * 1_000
        of_probe.insert(0, "id", start + 2 * of_probe["local_index"])
        of_probe.insert(1, "ecephys_probe_id", probe_id)
        context = ProbeContext(seed, session_id, letter, facts.genotype, size)
        in_probe = draw_units(context, of_probe)
        steps = make_rng(seed, session_id, "unit ids", letter).integers(1, 15, len(in_probe))
        in_probe.insert(0, "id", next_unit + np.cumsum(steps))
        in_probe.insert(1, "probe_id", probe_id)
        in_probe.insert(2, "probe_name", f"probe{letter}")
        in_probe.insert(3, "unit_index", np.arange(len(in_probe)))
        next_unit = int(in_probe["id"].iloc[-1])
        probes.append(_describe_probe(probe_id, facts, letter, float(rates[index]), surface))
        channels.append(of_probe)
        units.append(in_probe)
    return SessionPlan(
        facts=facts,
        size=size,
        seed=seed,
        probes=pd.DataFrame(probes).set_index("id"),
        channels=pd.concat(channels, ignore_index=True).set_index("id"),
        units=pd.concat(units, ignore_index=True).set_index("id"),
    )


def _describe_probe(
    probe_id: int, facts: SessionFacts, letter: str, rate: float, surface: int
) -> dict[str, object]:
    name = f"probe{letter}"
    return {
        "id": probe_id,
        "air_channel_index": min(surface + 40, 384),
        "ecephys_session_id": facts.id,
        "lfp_sampling_rate": rate / 12,
        "lfp_temporal_subsampling_factor": 2.0,
        "name": name,
        "phase": "3a",
        "sampling_rate": rate,
        "surface_channel_index": surface,
        "has_lfp_data": name != facts.probe_without_lfp,
    }


def find_session_of_probe(probe_id: int) -> int:
    """Return the session id that belongs to a probe id, whether or not they exist."""
    return SESSION_ID_START + (int(probe_id) - PROBE_ID_START) // 1_000


def make_table(plan: SessionPlan, name: str) -> pd.DataFrame:
    """Return the rows of a session in one of the CSV tables."""
    if name == "sessions":
        row = {column: getattr(plan.facts, column) for column in SESSION_CSV_COLUMNS}
        return pd.DataFrame([row], index=pd.Index([plan.facts.id], name="id"))
    if name == "probes":
        return plan.probes
    if name == "channels":
        return plan.channels
    units = plan.units.assign(
        epoch_name_quality_metrics="complete_session",
        epoch_name_waveform_metrics="complete_session",
    )
    return units[list(UNIT_CSV_COLUMNS)]
