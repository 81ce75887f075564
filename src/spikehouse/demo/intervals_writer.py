"""Write the interval tables of a session: stimuli, invalid times, light pulses."""

from __future__ import annotations

import numpy as np
import pandas as pd

from spikehouse.demo.nwb_writer import CORE, Column, NwbWriter, Ragged, make_tags
from spikehouse.demo.plan import SessionPlan
from spikehouse.demo.sessions import make_rng
from spikehouse.demo.stimuli import STIMULUS_COLUMNS
from spikehouse.demo.timeline import Timeline

__all__ = ["draw_invalid_times", "write_invalid_times", "write_laser", "write_presentations"]

INTERVALS = (CORE, "TimeIntervals")
STIMULUS_TIMES = "processing/stimulus/timestamps"
START = "Start time of epoch, in seconds"
STOP = "Stop time of epoch, in seconds"
DESCRIPTIONS = {
    "stimulus_name": "Name of stimulus",
    "stimulus_block": "Index of contiguous presentations of one stimulus type",
    "stimulus_index": "Index of stimulus type",
    "orientation": "Orientation of stimulus",
    "temporal_frequency": "Temporal frequency of stimulus",
    "spatial_frequency": "Spatial frequency of stimulus",
    "contrast": "Contrast of stimulus",
    "phase": "Phase of grating stimulus",
    "size": "Size of stimulus (see the units column)",
    "opacity": "Opacity of stimulus",
    "mask": "Shape of mask applied to stimulus",
    "units": "Units of stimulus size",
    "x_position": "Horizontal position of stimulus on screen",
    "y_position": "Vertical position of stimulus on screen",
    "frame": "Frame of movie stimulus",
}
SPONTANEOUS_INDEX = -99


def _repeat_tag(n: int, tag: str) -> Ragged:
    return Ragged(np.full(n, tag, dtype=object), np.arange(1, n + 1), "user-defined tags")


def write_presentations(writer: NwbWriter, timeline: Timeline) -> None:
    """Write the stimulus times and one table for each stimulus."""
    shown = timeline.presentations
    times = shown["start_time"].to_numpy()
    module = "Stimulus Times processing"
    writer.mark("processing/stimulus", CORE, "ProcessingModule", description=module)
    writer.write_series(STIMULUS_TIMES, times, times, "s")
    order = [name for name in dict.fromkeys(shown["name"]) if name != "spontaneous"]
    for name in ["spontaneous", *order]:
        rows = np.flatnonzero((shown["name"] == name).to_numpy())
        of_stimulus = shown.iloc[rows]
        index = SPONTANEOUS_INDEX if name == "spontaneous" else order.index(name)
        columns = _make_columns(name, of_stimulus, timeline)
        columns["stimulus_index"] = Column(np.full(rows.size, index, dtype=np.int64))
        columns = {
            key: Column(column.values, DESCRIPTIONS.get(key, "No description"))
            for key, column in columns.items()
        }
        bounds = {
            "start_time": Column(of_stimulus["start_time"].to_numpy(), START),
            "stop_time": Column(of_stimulus["stop_time"].to_numpy(), STOP),
        }
        references = writer.make_references(STIMULUS_TIMES, rows)
        tags = _repeat_tag(rows.size, "stimulus_time_interval")
        writer.write_table(
            f"intervals/{name}_presentations",
            np.arange(rows.size),
            {**bounds, **columns, "tags": tags, "timeseries": references},
            description=f"Presentation times and parameters of the stimulus {name!r}",
            kind=INTERVALS,
        )


def _make_columns(name: str, rows: pd.DataFrame, timeline: Timeline) -> dict[str, Column]:
    columns = {"stimulus_name": Column(np.full(len(rows), name, dtype=object))}
    if name == "spontaneous":
        return columns
    columns["stimulus_block"] = Column(rows["stimulus_block"].to_numpy())
    sequence = timeline.sequences[name]
    which = rows["row"].to_numpy()
    for key in STIMULUS_COLUMNS[name]:
        columns[key] = Column(sequence.columns[key][which])
    return columns


def draw_invalid_times(plan: SessionPlan, timeline: Timeline) -> pd.DataFrame:
    """Draw the invalid intervals of a session, with tags (scope, id, label); empty for most."""
    columns = ["start_time", "stop_time", "tags"]
    if not plan.facts.has_invalid_times:
        return pd.DataFrame(columns=columns)
    rng = make_rng(plan.seed, plan.facts.id, "invalid times")
    shown = timeline.presentations
    flashes = shown[shown["name"] == "flashes"]
    gratings = shown[shown["name"] == "static_gratings"]
    session, probe = str(plan.facts.id), plan.probes.index[0]
    bad = gratings.iloc[len(gratings) // 3]
    flash = flashes.iloc[len(flashes) // 2]
    late = flashes.iloc[-2]
    shift = float(rng.uniform(0.02, 0.05))
    rows = [
        (
            bad["start_time"] + shift,
            bad["start_time"] + 0.5,
            ("EcephysSession", session, "stimulus"),
        ),
        (
            flash["start_time"] - 0.3,
            flash["start_time"] + 0.9,
            ("EcephysProbe", str(probe), str(plan.probes["name"].iloc[0])),
        ),
        (
            late["start_time"] + 0.4,
            late["start_time"] + 1.1,
            ("EcephysSession", session, "all_probes"),
        ),
    ]
    # the released files list them in the order they were found in
    return pd.DataFrame([rows[0], rows[2], rows[1]], columns=columns)


def write_invalid_times(writer: NwbWriter, invalid: pd.DataFrame) -> None:
    """Write the table of invalid times, unless it is empty."""
    if invalid.empty:
        return
    columns: dict[str, Column | Ragged] = {
        "start_time": Column(invalid["start_time"].to_numpy(dtype=float), START),
        "stop_time": Column(invalid["stop_time"].to_numpy(dtype=float), STOP),
        "tags": make_tags(invalid["tags"].tolist()),
    }
    writer.write_table(
        "intervals/invalid_times",
        np.arange(len(invalid)),
        columns,
        description="experimental intervals",
        kind=INTERVALS,
    )


def write_laser(writer: NwbWriter, laser: pd.DataFrame) -> None:
    """Write the light pulses."""
    writer.mark(
        "processing/optotagging",
        CORE,
        "ProcessingModule",
        description="optogenetic stimulation data",
    )
    series = "processing/optotagging/optotagging"
    duration = laser["duration"].to_numpy()
    writer.write_series(series, duration, laser["start_time"].to_numpy(), "seconds")
    texts = ("condition", "stimulus_name")
    columns: dict[str, Column | Ragged] = {
        name: Column(laser[name].to_numpy(dtype=object if name in texts else float))
        for name in ("start_time", "condition", "level", "stop_time", "stimulus_name", "duration")
    }
    columns["tags"] = _repeat_tag(len(laser), "optical_stimulation")
    columns["timeseries"] = writer.make_references(series, np.arange(len(laser)))
    writer.write_table(
        "processing/optotagging/optogenetic_stimulation",
        np.arange(len(laser)),
        columns,
        description="Light pulses of the optotagging protocol",
        kind=INTERVALS,
    )
