"""Simulate a session and write it as an NWB file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spikehouse.demo.anatomy import N_CHANNELS
from spikehouse.demo.behavior import EyeTracking, Running, draw_eye_tracking
from spikehouse.demo.general_writer import write_general, write_module
from spikehouse.demo.intervals_writer import (
    draw_invalid_times,
    write_invalid_times,
    write_laser,
    write_presentations,
)
from spikehouse.demo.nwb_writer import CORE, EXTENSION, Column, NwbWriter, Ragged
from spikehouse.demo.plan import SessionPlan
from spikehouse.demo.quality import FILE_NAMES
from spikehouse.demo.simulation import Simulation, start_simulation
from spikehouse.demo.spiketrains import N_SAMPLES

__all__ = ["write_session"]

Progress = Callable[[int, int], None]
UNIT_COLUMNS = (
    "quality", "firing_rate", "isi_violations", "presence_ratio", "amplitude_cutoff",
    "isolation_distance", "l_ratio", "d_prime", "nn_hit_rate", "nn_miss_rate", "max_drift",
    "cumulative_drift", "silhouette_score", "duration", "halfwidth", "PT_ratio",
    "repolarization_slope", "recovery_slope", "amplitude", "spread", "velocity_above",
    "velocity_below", "snr",
)  # fmt: skip
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
    for name in UNIT_COLUMNS:
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
