"""Simulate a session and write it as an NWB file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from spikehouse.demo.anatomy import N_CHANNELS
from spikehouse.demo.behavior import EyeTracking, Running, draw_eye_tracking
from spikehouse.demo.neurons import FILE_NAMES, METRICS
from spikehouse.demo.nwb_writer import (
    CORE,
    EXTENSION,
    Column,
    NwbWriter,
    Ragged,
    make_tags,
    write_general,
    write_module,
)
from spikehouse.demo.plan import SessionPlan
from spikehouse.demo.sessions import make_rng
from spikehouse.demo.simulation import Simulation, start_simulation
from spikehouse.demo.spiketrains import N_SAMPLES
from spikehouse.demo.stimuli import STIMULUS_COLUMNS
from spikehouse.demo.timeline import Timeline

Progress = Callable[[int, int], None]
ELLIPSE_COLUMNS = ("center_x", "center_y", "width", "height", "phi")
RIG = {
    "monitor_position": ((118.6, 86.2, 31.6), "mm"),
    "monitor_rotation": ((0.0, 0.0, 0.0), "deg"),
    "camera_position": ((130.0, 0.0, 0.0), "mm"),
    "camera_rotation": ((0.0, 0.0, 2.8), "deg"),
    "led_position": ((265.1, -39.3, 1.0), "mm"),
}
SCREEN_DISTANCE_CM = 15.0


def write_session(plan: SessionPlan, path: Path, progress: Progress | None = None) -> None:
    """Simulate a session and write it."""
    # all spike times are held in memory (0.5 GB in the full size), because their number is known
    # only once they are drawn; amplitudes and waveforms are written unit by unit
    report = progress or (lambda _done, _total: None)
    total = 3 * len(plan.units)
    simulation = start_simulation(plan)
    with h5py.File(path, "w") as file:
        writer = NwbWriter(file, f"session_{plan.facts.id}_{plan.size.name}_{plan.seed}")
        description = "Data and metadata for an Ecephys session"
        write_general(writer, plan, plan.channels, description=description)
        write_presentations(writer, simulation.timeline)
        write_invalid_times(writer, draw_invalid_times(plan, simulation.timeline))
        write_laser(writer, simulation.timeline.laser)
        _write_running(writer, simulation.running)
        if plan.facts.has_eye_tracking:
            _write_eye_tracking(writer, plan, simulation)
        _write_units(writer, simulation, lambda done: report(done, total))


# ---- units


def _write_units(writer: NwbWriter, simulation: Simulation, report: Callable[[int], None]) -> None:
    plan = simulation.plan
    spikes = []
    for times in simulation.iterate_spike_times():
        spikes.append(times)
        report(len(spikes))
    n_spikes = [times.size for times in spikes]
    n_units = len(spikes)
    columns = _make_unit_columns(plan)
    table = writer.write_table(
        "units",
        plan.units.index.to_numpy(),
        columns,
        description="Sorted units with their quality and waveform metrics",
        kind=(CORE, "Units"),
    )
    # colnames also lists the large columns, which are written unit by unit
    names = np.array([*columns, *UNIT_DESCRIPTIONS], dtype=object)
    table.attrs.create("colnames", names, dtype=h5py.string_dtype())
    ends = np.cumsum(n_spikes)
    _write_unit_by_unit(writer, "spike_times", iter(spikes), ends, "float64")
    amplitudes = simulation.iterate_amplitudes(n_spikes)
    _write_unit_by_unit(
        writer, "spike_amplitudes", amplitudes, ends, "float64", lambda n: report(n_units + n)
    )
    rows = N_CHANNELS * np.arange(1, n_units + 1)
    waveforms = simulation.iterate_waveforms()
    dtype = plan.size.waveform_dtype
    _write_unit_by_unit(
        writer, "waveform_mean", waveforms, rows, dtype, lambda n: report(2 * n_units + n)
    )
    # required by the schema and found in the released files; the values are in µV
    writer.file["units/waveform_mean"].attrs["unit"] = "volts"


UNIT_DESCRIPTIONS = {
    "spike_times": "times (s) of detected spiking events",
    "spike_amplitudes": "amplitude (V) of detected spiking events",
    "waveform_mean": "mean waveform on every channel of the probe (channels over samples)",
}


def _write_unit_by_unit(
    writer: NwbWriter,
    name: str,
    parts: Iterator[np.ndarray],
    ends: np.ndarray,
    dtype: str,
    report: Callable[[int], None] | None = None,
) -> None:
    """Write a ragged column unit by unit into a contiguous dataset."""
    path = f"units/{name}"
    samples = (N_SAMPLES,) if name == "waveform_mean" else ()
    dataset = writer.file.create_dataset(path, shape=(int(ends[-1]), *samples), dtype=dtype)
    start = 0
    for count, (part, end) in enumerate(zip(parts, ends, strict=True), start=1):
        dataset[start : int(end)] = part
        start = int(end)
        if report is not None:
            report(count)
    writer.mark_column(path, UNIT_DESCRIPTIONS[name])
    writer.write_index(path, ends)


def _make_unit_columns(plan: SessionPlan) -> dict[str, Column | Ragged]:
    units = plan.units
    index = units["unit_index"].to_numpy(dtype=np.int64)
    columns: dict[str, Column | Ragged] = {
        "peak_channel_id": Column(units["ecephys_channel_id"].to_numpy(dtype=np.int64)),
        "local_index": Column(index),
        # numbers are missing where clusters were merged
        "cluster_id": Column(index + index // 7),
    }
    for name in METRICS:
        values = units[name].to_numpy(dtype=object if name == "quality" else float)
        columns[FILE_NAMES.get(name, name)] = Column(values)
    return columns


# ---- running, eye tracking, rig


def _write_running(writer: NwbWriter, running: Running) -> None:
    start, stop = running.times[:-1], running.times[1:]
    write_module(writer, "running", "running speed data")
    module = "processing/running"
    writer.write_series(f"{module}/running_speed", running.speed, start, "cm/s")
    nothing = np.full(stop.size, np.nan)
    writer.write_series(f"{module}/running_speed_end_times", nothing, stop, "cm/s")
    times = f"/{module}/running_speed/timestamps"
    writer.write_series(f"{module}/running_wheel_rotation", running.rotation, times, "radians")
    raw = "acquisition/raw_running_wheel_rotation"
    writer.write_series(raw, np.append(running.rotation, 0.0), running.times, "radians")
    turns = np.append(0.0, np.cumsum(running.rotation)) / (2 * np.pi)
    supply = np.full(running.times.size, 5.0)
    voltages = {"signal": 5.0 * (turns % 1.0), "supply": supply}
    for name, values in voltages.items():
        path = f"acquisition/running_wheel_{name}_voltage"
        writer.write_series(path, values, f"/{raw}/timestamps", "V")


def _write_eye_tracking(writer: NwbWriter, plan: SessionPlan, simulation: Simulation) -> None:
    tracking = draw_eye_tracking(
        plan.seed,
        plan.facts.id,
        simulation.timeline.duration_s,
        plan.size.eye_hz,
        running=simulation.running,
        arousal=simulation.arousal,
    )
    write_module(writer, "eye_tracking", "Eye tracking processing module")
    for name, fit in tracking.ellipses.items():
        columns: dict[str, Column | Ragged] = {
            key: Column(values) for key, values in zip(ELLIPSE_COLUMNS, fit.T, strict=True)
        }
        columns["timestamps"] = Column(tracking.times)
        path = f"processing/eye_tracking/{name}_ellipse_fits"
        rows = np.arange(tracking.times.size)
        writer.write_table(path, rows, columns, description=f"Ellipses fitted to the {name}")
    for kind in ("raw", "filtered"):
        _write_gaze(writer, kind, tracking)
    write_module(writer, "eye_tracking_rig_metadata", "Eye tracking rig metadata module")
    rig = "processing/eye_tracking_rig_metadata/eye_tracking_rig_metadata"
    writer.mark(rig, EXTENSION, "EcephysEyeTrackingRigMetadata", equipment=plan.facts.rig)
    for name, (values, unit) in RIG.items():
        writer.write_array(f"{rig}/{name}", np.array(values), unit=unit)


def _write_gaze(writer: NwbWriter, kind: str, tracking: EyeTracking) -> None:
    """Write the gaze; the filtered version omits frames near blinks."""
    name = f"{kind}_gaze_mapping"
    write_module(writer, name, f"Gaze mapping processing module {kind} outputs")
    keep: Any = slice(None)
    bad = np.isnan(tracking.gaze_deg[:, 0])
    if kind == "filtered":
        keep = np.convolve(bad, np.ones(9), mode="same") > 0
    gaze = tracking.gaze_deg[:, ::-1].copy()
    areas = {key: values.copy() for key, values in tracking.areas.items()}
    if kind == "filtered":
        gaze[keep] = np.nan
        for values in areas.values():
            values[keep] = np.nan
    module = f"processing/{name}"
    writer.write_series(f"{module}/eye_area", areas["eye"], tracking.times, "Pixels ^ 2")
    times = f"/{module}/eye_area/timestamps"
    writer.write_series(f"{module}/pupil_area", areas["pupil"], times, "Pixels ^ 2")
    # column 0 is vertical and column 1 horizontal, as in the released files
    screen = SCREEN_DISTANCE_CM * np.tan(np.deg2rad(gaze))
    writer.write_series(f"{module}/screen_coordinates", screen, times, "Centimeters")
    writer.write_series(f"{module}/screen_coordinates_spherical", gaze, times, "Degrees")


# ---- intervals: stimuli, invalid times, light pulses

INTERVALS = (CORE, "TimeIntervals")
STIMULUS_TIMES = "processing/stimulus/timestamps"
DESCRIPTIONS = {
    "start_time": "Start time of epoch, in seconds",
    "stop_time": "Stop time of epoch, in seconds",
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


def write_presentations(writer: NwbWriter, timeline: Timeline) -> None:
    """Write the stimulus times and one table for each stimulus."""
    shown = timeline.presentations
    times = shown["start_time"].to_numpy()
    write_module(writer, "stimulus", "Stimulus Times processing")
    writer.write_series(STIMULUS_TIMES, times, times, "s")
    order = [name for name in dict.fromkeys(shown["name"]) if name != "spontaneous"]
    for name in ["spontaneous", *order]:
        rows = np.flatnonzero((shown["name"] == name).to_numpy())
        of_stimulus = shown.iloc[rows]
        columns = {
            "start_time": of_stimulus["start_time"].to_numpy(),
            "stop_time": of_stimulus["stop_time"].to_numpy(),
            "stimulus_name": np.full(rows.size, name, dtype=object),
        }
        if name != "spontaneous":
            columns["stimulus_block"] = of_stimulus["stimulus_block"].to_numpy()
            which, written = of_stimulus["row"].to_numpy(), timeline.sequences[name].columns
            columns |= {key: written[key][which] for key in STIMULUS_COLUMNS[name]}
        index = SPONTANEOUS_INDEX if name == "spontaneous" else order.index(name)
        columns["stimulus_index"] = np.full(rows.size, index, dtype=np.int64)
        described = {
            key: Column(values, DESCRIPTIONS.get(key, "No description"))
            for key, values in columns.items()
        }
        references = writer.make_references(STIMULUS_TIMES, rows)
        tags = make_tags([["stimulus_time_interval"]] * rows.size)
        writer.write_table(
            f"intervals/{name}_presentations",
            np.arange(rows.size),
            {**described, "tags": tags, "timeseries": references},
            description=f"Presentation times and parameters of the stimulus {name!r}",
            kind=INTERVALS,
        )


def draw_invalid_times(plan: SessionPlan, timeline: Timeline) -> pd.DataFrame:
    """Draw the invalid intervals of a session, with tags (scope, id, label); empty for most."""
    columns = ["start_time", "stop_time", "tags"]
    if not plan.facts.has_invalid_times:
        return pd.DataFrame(columns=columns)
    rng = make_rng(plan.seed, plan.facts.id, "invalid times")
    shown = timeline.presentations
    starts = shown["start_time"]
    flashes, gratings = (starts[shown["name"] == n] for n in ("flashes", "static_gratings"))
    flash, late = flashes.iloc[len(flashes) // 2], flashes.iloc[-2]
    bad = gratings.iloc[len(gratings) // 3]
    session = ("EcephysSession", str(plan.facts.id))
    probe = ("EcephysProbe", str(plan.probes.index[0]), str(plan.probes["name"].iloc[0]))
    # the released files list them in the order they were found in
    rows = [
        (bad + float(rng.uniform(0.02, 0.05)), bad + 0.5, (*session, "stimulus")),
        (late + 0.4, late + 1.1, (*session, "all_probes")),
        (flash - 0.3, flash + 0.9, probe),
    ]
    return pd.DataFrame(rows, columns=columns)


def write_invalid_times(writer: NwbWriter, invalid: pd.DataFrame) -> None:
    """Write the table of invalid times, unless it is empty."""
    if invalid.empty:
        return
    columns: dict[str, Column | Ragged] = {
        "start_time": Column(
            invalid["start_time"].to_numpy(dtype=float), DESCRIPTIONS["start_time"]
        ),
        "stop_time": Column(invalid["stop_time"].to_numpy(dtype=float), DESCRIPTIONS["stop_time"]),
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
    write_module(writer, "optotagging", "optogenetic stimulation data")
    series = "processing/optotagging/optotagging"
    duration = laser["duration"].to_numpy()
    writer.write_series(series, duration, laser["start_time"].to_numpy(), "seconds")
    texts = ("condition", "stimulus_name")
    columns: dict[str, Column | Ragged] = {
        name: Column(laser[name].to_numpy(dtype=object if name in texts else float))
        for name in ("start_time", "condition", "level", "stop_time", "stimulus_name", "duration")
    }
    columns["tags"] = make_tags([["optical_stimulation"]] * len(laser))
    columns["timeseries"] = writer.make_references(series, np.arange(len(laser)))
    writer.write_table(
        "processing/optotagging/optogenetic_stimulation",
        np.arange(len(laser)),
        columns,
        description="Light pulses of the optotagging protocol",
        kind=INTERVALS,
    )
