"""Write the LFP of a probe as an NWB file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from spikehouse.demo.anatomy import N_CHANNELS
from spikehouse.demo.general_writer import ELECTRODES, write_general, write_module
from spikehouse.demo.lfp import CSD_TIMES, DEPTH_UM, iterate_lfp, make_csd
from spikehouse.demo.nwb_writer import CORE, EXTENSION, TABLES, NwbWriter
from spikehouse.demo.plan import SessionPlan
from spikehouse.demo.sessions import make_rng
from spikehouse.demo.timeline import Timeline, make_timeline

__all__ = ["write_lfp"]

# The LFP has channels 2, 6, 10, …, none of which is a reference, except those above the cement.
FIRST_CHANNEL, LAST_CHANNEL = 2, 380
SHANK_MIDDLE_UM = 24.0


def write_lfp(
    plan: SessionPlan,
    probe_id: int,
    path: Path,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Simulate the LFP of a probe and write it in slabs, with at most 350 MB of memory."""
    timeline = make_timeline(plan)
    times = _make_times(plan, probe_id, timeline)
    channels = plan.channels[plan.channels["ecephys_probe_id"] == probe_id]
    number = channels["local_index"]
    step = plan.size.lfp_channel_step
    kept = channels[(number % step == FIRST_CHANNEL) & (number <= LAST_CHANNEL)]
    with h5py.File(path, "w") as file:
        writer = NwbWriter(file, f"probe_{probe_id}_{plan.size.name}_{plan.seed}")
        description = "LFP data and metadata for an Ecephys session"
        write_general(writer, plan, kept, description=description)
        name = f"probe_{probe_id}_lfp"
        group = f"acquisition/{name}"
        writer.mark(group, CORE, "LFP")
        series = f"{group}/{name}_data"
        shape = (times.size, len(kept))
        data = file.create_dataset(f"{series}/data", shape=shape, dtype="float32")
        writer.write_series(series, None, times, "volts", kind="ElectricalSeries")
        # a second path to the series, as in the released files
        file[f"acquisition/{name}_data"] = h5py.SoftLink(f"/{series}")
        _write_region(writer, series, len(kept), probe_id)
        _write_csd(writer, plan, probe_id)
        start = 0
        for slab in iterate_lfp(plan, probe_id, timeline, times, kept["local_index"].to_numpy()):
            data[start : start + len(slab)] = slab
            start += len(slab)
            if progress is not None:
                progress(start, times.size)


def _make_times(plan: SessionPlan, probe_id: int, timeline: Timeline) -> np.ndarray:
    """Return the sample times: all, or those around the flashes in the smaller sizes."""
    probe = plan.probes.loc[[probe_id]].iloc[0]
    rate = float(probe["lfp_sampling_rate"] / probe["lfp_temporal_subsampling_factor"])
    offset = float(make_rng(plan.seed, probe_id, "lfp start").uniform(0, 1 / rate))
    first, last = 0.5, timeline.duration_s - 0.5
    margin = plan.size.lfp_margin_s
    if margin is not None:
        shown = timeline.presentations
        flashes = shown[shown["name"] == "flashes"]
        first = float(flashes["start_time"].iloc[0]) - margin[0]
        last = float(flashes["stop_time"].iloc[-1]) + margin[1]
    n = int((last - first) * rate)
    return np.asarray(first + offset + np.arange(n) / rate)


def _write_region(writer: NwbWriter, series: str, n: int, probe_id: int) -> None:
    path = f"{series}/electrodes"
    writer.write_array(path, np.arange(n))
    description = f"lfp channels on probe {probe_id}"
    writer.mark(path, TABLES, "DynamicTableRegion", description=description)
    writer.file[path].attrs["table"] = writer.file[ELECTRODES].ref


def _write_csd(writer: NwbWriter, plan: SessionPlan, probe_id: int) -> None:
    write_module(writer, "current_source_density", "Precalculated current source density")
    group = "processing/current_source_density/ecephys_csd"
    writer.mark(group, EXTENSION, "EcephysCSD")
    density = make_csd(plan, probe_id)
    writer.write_series(f"{group}/current_source_density", density, CSD_TIMES, "V/cm^2")
    middle = np.full(N_CHANNELS, SHANK_MIDDLE_UM)
    for axis, values in (("x", middle), ("y", DEPTH_UM)):
        writer.write_array(f"{group}/virtual_electrode_{axis}_positions", values, unit="um")
