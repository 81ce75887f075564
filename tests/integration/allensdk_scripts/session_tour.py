"""Walk through one session: stimuli, spikes, histograms, statistics, waveforms, running."""

# ruff: noqa: PTH118 - paths are put together as the notebooks do

import os
import sys

import matplotlib.pyplot as plt
import numpy as np
from allensdk.brain_observatory.ecephys.ecephys_project_cache import EcephysProjectCache
from allensdk.brain_observatory.ecephys.ecephys_session import (
    EcephysSession,
    array_intervals,
    nan_intervals,
    removed_unused_stimulus_presentation_columns,
)
from allensdk.brain_observatory.ecephys.visualization import (
    plot_mean_waveforms,
    plot_spike_counts,
    raster_plot,
)
from allensdk.brain_observatory.visualization import plot_running_speed

host, folder = sys.argv[1:3]
cache = EcephysProjectCache.from_warehouse(
    manifest=os.path.join(folder, "manifest.json"), scheme="http", host=host
)
session = cache.get_session_data(cache.get_session_table().index.values[0])
again = EcephysSession.from_nwb_path(
    os.path.join(folder, f"session_{session.ecephys_session_id}")
    + f"/session_{session.ecephys_session_id}.nwb"
)
print("same session:", again.ecephys_session_id == session.ecephys_session_id)

flashes = removed_unused_stimulus_presentation_columns(
    session.stimulus_presentations[session.stimulus_presentations.stimulus_name == "flashes"]
)
print("flash columns:", "temporal_frequency" not in flashes.columns and "color" in flashes.columns)
blocks = session.stimulus_presentations.stimulus_block.values
print("runs:", len(nan_intervals(blocks)) - 1, array_intervals(np.array([1, 1, 2])).tolist())
print("epochs:", len(session.get_stimulus_epochs()) > 0)
print("contrasts:", list(session.get_parameter_values_for_stimulus("flashes")))

first = flashes.index.values[0]
spikes = session.presentationwise_spike_times(stimulus_presentation_ids=[first])
raster_plot(spikes, title="one flash").savefig(os.path.join(folder, "raster.png"))

edges = np.linspace(-0.01, 0.4, 42)
counts = session.presentationwise_spike_counts(
    bin_edges=edges,
    stimulus_presentation_ids=flashes.index.values,
    unit_ids=session.units.index.values,
)
mean = counts.mean(dim="stimulus_presentation_id")
plot_spike_counts(
    mean,
    mean["time_relative_to_stimulus_onset"],
    "mean spike count",
    "mean spike counts on flashes",
).savefig(os.path.join(folder, "counts.png"))

statistics = session.conditionwise_spike_statistics(flashes.index.values)
print("statistics:", statistics.index.names, int(statistics.spike_count.sum()) > 0)

units = session.units.iloc[:5]
plot_mean_waveforms(session.mean_waveforms, units.index.values, units["peak_channel_id"])
running = session.running_speed
midpoints = running["start_time"] + (running["end_time"] - running["start_time"]) / 2
plot_running_speed(midpoints, running["velocity"], start_index=0, stop_index=100)
for number in plt.get_fignums():
    plt.figure(number).savefig(os.path.join(folder, f"tour{number}.png"))
print("figures:", len(plt.get_fignums()))
