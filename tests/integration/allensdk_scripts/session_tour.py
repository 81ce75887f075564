"""Walk through one session: stimuli, spikes, histograms, statistics, waveforms, running."""

# ruff: noqa: PTH118 - paths are put together as the notebooks do

import os
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
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

print("name:", session.metadata["full_genotype"] == session.full_genotype)
counted = session.structurewise_unit_counts
print("units by structure:", counted.sum() == session.units.ecephys_structure_acronym.count())

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

scenes = session.get_stimulus_table("natural_scenes")
visp = session.units[session.units["ecephys_structure_acronym"] == "VISp"]
spikes = session.presentationwise_spike_times(
    stimulus_presentation_ids=scenes.index.values, unit_ids=visp.index.values[:]
)
n_spikes = len(spikes)
spikes["count"] = np.zeros(spikes.shape[0])
spikes = spikes.groupby(["stimulus_presentation_id", "unit_id"]).count()
design = pd.pivot_table(
    spikes,
    values="count",
    index="stimulus_presentation_id",
    columns="unit_id",
    fill_value=0,
    aggfunc="sum",
)
targets = scenes.loc[design.index.values, "frame"].values.astype(int)
print("design:", design.values.sum() == n_spikes > 0, len(targets) == len(design))

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
