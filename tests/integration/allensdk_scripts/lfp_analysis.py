"""Read a probe's LFP, align it to flashes, and draw it with its current source density."""

# ruff: noqa: PTH118 - paths are put together as the notebooks do

import os
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from allensdk.brain_observatory.ecephys.ecephys_project_cache import EcephysProjectCache
from scipy.ndimage import gaussian_filter

host, folder = sys.argv[1:3]
cache = EcephysProjectCache.from_warehouse(
    manifest=os.path.join(folder, "manifest.json"), scheme="http", host=host
)
session = cache.get_session_data(cache.get_session_table().index.values[0])
probes = cache.get_probes()
print("probes with LFP:", np.sum(probes.has_lfp_data), "of", len(probes))
probe_id = session.probes[session.probes.has_lfp_data].index.values[-1]
places = session.channels[session.channels.left_right_ccf_coordinate > 0]
fig, ax = plt.subplots()
ax.scatter(
    -places.left_right_ccf_coordinate,
    -places.anterior_posterior_ccf_coordinate,
    c=places.probe_vertical_position,
)
named = session.probes.loc[np.unique(places.probe_id.values)].description.values
print("registered probes:", set(named) <= set(session.probes.description))
lfp = session.get_lfp(probe_id)
print("dims:", lfp.dims)

presentations = session.stimulus_presentations
flashes = presentations[presentations.stimulus_name == "flashes"]
second = lfp.sel(time=slice(flashes.start_time.values[0], flashes.start_time.values[0] + 1))
print("one second:", 1000 < second.sizes["time"] < 1500)
fig, ax = plt.subplots()
ax.plot(second.time, second.sel(channel=second.channel[1]))
ax.imshow(second.T, aspect="auto", origin="lower")
of_probe = session.channels[session.channels.probe_id == probe_id]
inner = of_probe[of_probe.ecephys_structure_acronym.isin(["CA1", "CA3", "DG", "LP"])].index.values
some = second.sel(channel=slice(np.min(inner), np.max(inner)))
print("a range of channels:", 0 < some.sizes["channel"] < second.sizes["channel"])
nearest = lfp.sel(time=flashes.start_time.values[0], method="nearest")
print("nearest:", nearest.sizes["channel"] == lfp.sizes["channel"])

window = np.arange(-0.1, 0.3, 1 / 500)
times = np.concatenate([window + start for start in flashes.start_time.values])
aligned = lfp.sel(time=times, method="nearest")
mean = aligned.values.reshape(len(flashes), len(window), -1).mean(axis=0)
trials = pd.MultiIndex.from_product(
    (flashes.index.values, window), names=("presentation_id", "time_from_presentation_onset")
)
by_trial = (
    aligned.to_dataset(name="aligned_lfp")
    .assign_coords(xr.Coordinates.from_pandas_multiindex(trials, "time"))
    .unstack("time")["aligned_lfp"]
    .mean(dim="presentation_id")
)
print("means agree:", np.allclose(by_trial.T, mean, atol=1e-9))
fig, ax = plt.subplots()
ax.pcolormesh(window, np.arange(mean.shape[1]), mean.T)
fig.savefig(os.path.join(folder, "lfp.png"))

units = session.units[session.units.probe_id == probe_id]
channel = lfp.channel.sel(channel=units.peak_channel_id.values[0], method="nearest")
print("a unit's channel:", int(channel) in lfp.channel.values)
number = units.iloc[0].probe_channel_number
found = of_probe[of_probe.probe_channel_number == number].index.values
print("channel by its number:", found.tolist() == [units.iloc[0].peak_channel_id])

labels, bounds = session.channel_structure_intervals(lfp.channel.values)
print("structures:", len(labels) + 1 == len(bounds))

csd = session.get_current_source_density(probe_id)
fig, ax = plt.subplots()
smooth = gaussian_filter(csd.data, sigma=(5, 1))
ax.pcolor(csd["time"], csd["vertical_position"], smooth)
fig.savefig(os.path.join(folder, "csd.png"))
print("csd:", csd.dims)
