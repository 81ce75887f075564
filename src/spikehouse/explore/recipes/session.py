"""Recipes of one session: stimuli and behaviour over time, and its probes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse import EcephysSession


def timeline(session: EcephysSession) -> dict[str, Any]:
    """List the epochs of stimuli and the invalid intervals, and when they begin and end."""
    epochs = session.get_stimulus_epochs({})
    epochs["stimulus_block"] = pd.to_numeric(epochs["stimulus_block"], errors="coerce")
    invalid = session.invalid_times
    invalid = invalid.assign(tags=[", ".join(map(str, tags)) for tags in invalid["tags"]])
    bounds = ["start_time", "stop_time"]
    # an invalid interval without an end is infinite
    times = pd.concat([epochs[bounds], invalid[bounds]]).replace([-np.inf, np.inf], np.nan)
    start, stop = times["start_time"].min(), times["stop_time"].max()
    invalid[bounds] = invalid[bounds].clip(start, stop)
    return {"epochs": epochs, "invalid": invalid, "start": start, "stop": stop}


def running(
    session: EcephysSession, *, span: tuple[float, float] | None = None, n_bins: int = 1500
) -> dict[str, Any]:
    """Average the running speed [cm/s] over runs of successive samples."""
    table = session.running_speed
    times = (table["start_time"] + table["end_time"]).to_numpy(dtype=float) / 2
    return {"running": _average(times, table["velocity"].to_numpy(dtype=float), span, n_bins)}


def pupil(
    session: EcephysSession, *, span: tuple[float, float] | None = None, n_bins: int = 1500
) -> dict[str, Any]:
    """Average the area of the pupil [cm²], without blinks; None without eye tracking."""
    gaze = session.get_screen_gaze_data(include_filtered_data=True)
    if gaze is None:
        return {"pupil": None}
    area = gaze["filtered_pupil_area"].to_numpy(dtype=float)
    return {"pupil": _average(gaze.index.to_numpy(dtype=float), area, span, n_bins)}


def _average(
    times: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    span: tuple[float, float] | None,
    n_bins: int,
) -> pd.DataFrame:
    """Return mean, minimum and maximum of at most ``n_bins`` runs of equally many samples."""
    start, stop = span or (-math.inf, math.inf)
    inside = (times >= start) & (times < stop)
    samples = pd.DataFrame({"time": times[inside], "value": values[inside]})
    run = np.arange(len(samples)) // max(1, math.ceil(len(samples) / n_bins))
    runs = samples.groupby(run)
    value = runs["value"].agg(["mean", "min", "max"])
    return value.set_index(pd.Index(runs["time"].mean(), name="time"))


def stimuli(session: EcephysSession) -> dict[str, Any]:
    """List the stimuli: number of presentations, total duration [s], parameters that vary."""
    shown = session.stimulus_presentations
    counts = shown.groupby("stimulus_name")["duration"].agg(["size", "sum"])
    rows = []
    for name in session.stimulus_names:
        values = session.get_parameter_values_for_stimulus(name)
        varied = [f"{key} ({len(found)})" for key, found in values.items() if len(found) > 1]
        rows.append((name, *counts.loc[name], ", ".join(varied)))
    columns = ["stimulus_name", "presentation_count", "duration", "parameters"]
    return {"stimuli": pd.DataFrame(rows, columns=columns).astype({"presentation_count": int})}


def probes(session: EcephysSession, *, bin_um: float = 100) -> dict[str, Any]:
    """List the probes, the structures along them, and how many units they have by depth."""
    units = session.units
    channels = session.channels.sort_values(["probe_id", "probe_vertical_position"])
    runs = []
    for probe_id, along in channels.groupby("probe_id"):
        names, bounds = session.channel_structure_intervals(along.index)
        depths = along["probe_vertical_position"].to_numpy(dtype=float)
        # a structure ends half way to the first channel of the next one
        edges = [depths[0], *(depths[bounds[1:-1] - 1] + depths[bounds[1:-1]]) / 2, depths[-1]]
        runs += [(probe_id, *run) for run in zip(names, edges[:-1], edges[1:], strict=True)]
    depth = units["probe_vertical_position"] // bin_um * bin_um
    by = ["probe_id", depth.rename("from_um"), "ecephys_structure_acronym"]
    counts = units.groupby(by, dropna=False).size().rename("unit_count").reset_index()
    table = session.probes.assign(unit_count=units["probe_id"].value_counts())
    return {
        "probes": table.fillna({"unit_count": 0}),
        "structures": pd.DataFrame(runs, columns=["probe_id", "structure", "from_um", "to_um"]),
        "units": counts.rename(columns={"ecephys_structure_acronym": "structure"}),
    }
