"""Read a probe's LFP, align it to flashes, and draw it with its current source density."""

# ruff: noqa: PTH118 - paths are put together as the notebooks do

import os
import sys

import matplotlib.pyplot as plt
import numpy as np
from allensdk.brain_observatory.ecephys.ecephys_project_cache import EcephysProjectCache

host, folder = sys.argv[1:3]
cache = EcephysProjectCache.from_warehouse(
    manifest=os.path.join(folder, "manifest.json"), scheme="http", host=host
)
session = cache.get_session_data(cache.get_session_table().index.values[0])
probes = cache.get_probes()
print("probes with LFP:", np.sum(probes.has_lfp_data), "of", len(probes))
probe_id = session.probes[session.probes.has_lfp_data].index.values[-1]
lfp = session.get_lfp(probe_id)
print("dims:", lfp.dims)

presentations = session.stimulus_presentations
flashes = presentations[presentations.stimulus_name == "flashes"]
second = lfp.sel(time=slice(flashes.start_time.values[0], flashes.start_time.values[0] + 1))
print("one second:", 1000 < second.sizes["time"] < 1500)
nearest = lfp.sel(time=flashes.start_time.values[0], method="nearest")
print("nearest:", nearest.sizes["channel"] == lfp.sizes["channel"])

window = np.arange(-0.1, 0.3, 1 / 500)
times = np.concatenate([window + start for start in flashes.start_time.values])
aligned = lfp.sel(time=times, method="nearest")
mean = aligned.values.reshape(len(flashes), len(window), -1).mean(axis=0)
fig, ax = plt.subplots()
ax.pcolormesh(window, np.arange(mean.shape[1]), mean.T)
fig.savefig(os.path.join(folder, "lfp.png"))

units = session.units[session.units.probe_id == probe_id]
channel = lfp.channel.sel(channel=units.peak_channel_id.values[0], method="nearest")
print("a unit's channel:", int(channel) in lfp.channel.values)

labels, bounds = session.channel_structure_intervals(lfp.channel.values)
print("structures:", len(labels) + 1 == len(bounds))

csd = session.get_current_source_density(probe_id)
fig, ax = plt.subplots()
ax.pcolormesh(csd["time"], csd["vertical_position"], csd)
fig.savefig(os.path.join(folder, "csd.png"))
print("csd:", csd.dims)
