"""Align spikes to laser pulses, to find the units that answer to light."""

# ruff: noqa: PTH118 - paths are put together as the notebooks do

import os
import sys

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from allensdk.brain_observatory.ecephys.ecephys_project_cache import EcephysProjectCache
from allensdk.brain_observatory.ecephys.ecephys_session import (
    build_spike_histogram,
    build_time_window_domain,
)

host, folder = sys.argv[1:3]
cache = EcephysProjectCache.from_warehouse(
    manifest=os.path.join(folder, "manifest.json"), scheme="http", host=host
)
sessions = cache.get_session_table()
print("genotypes:", sessions.full_genotype.value_counts().sum() == len(sessions))
pvalb = sessions[sessions.full_genotype.str.match("Pvalb")]
session = cache.get_session_data(pvalb.index.values[0])
print("genotype:", session.full_genotype)

pulses = session.optogenetic_stimulation_epochs
print("pulses:", len(pulses), pulses.duration.min() > 0, pulses.level.max() > 0)
kinds = ["stimulus_name", "duration", "level"]
distinct = pulses.drop_duplicates(kinds).sort_values(by=kinds)
print(
    "kinds of pulses:", 0 < len(distinct.drop(columns=["start_time", "stop_time"])) <= len(pulses)
)
trials = pulses[(pulses.duration > 0.009) & (pulses.duration < 0.02)]
if trials.empty:
    trials = pulses
units = session.units[session.units.ecephys_structure_acronym.str.match("VIS")]

edges = np.arange(-0.01, 0.025, 0.0005)
domain = build_time_window_domain(edges, trials.start_time.values)
counts = build_spike_histogram(domain, session.spike_times, units.index.values)
response = xr.DataArray(
    data=counts,
    dims=["trial_id", "time_relative_to_stimulus_onset", "unit_id"],
    coords={
        "trial_id": trials.index.values,
        "time_relative_to_stimulus_onset": edges[:-1],
        "unit_id": units.index.values,
    },
)
in_window = sum(
    int(((times >= row[0]) & (times < row[-1])).sum())
    for unit in units.index
    for times in [session.spike_times[unit]]
    for row in domain
)
print("no spike lost:", int(response.sum()) == in_window)

time = response.time_relative_to_stimulus_onset
baseline = response.sel(time_relative_to_stimulus_onset=slice(-0.01, -0.002))
evoked = response.sel(time_relative_to_stimulus_onset=slice(0.001, 0.009))
dims = ["trial_id", "time_relative_to_stimulus_onset"]
rates = baseline.mean(dims) / 0.0005, evoked.mean(dims) / 0.0005
tagged = response.unit_id[rates[1] / (rates[0] + 1) > 0.5].values
print("tagged:", set(tagged) <= set(units.index))
fig, ax = plt.subplots()
ax.scatter(*rates)
for unit_id in tagged:
    peak_channel = session.units.loc[unit_id].peak_channel_id
    waveform = session.mean_waveforms[unit_id].sel(channel_id=peak_channel)
    ax.plot(waveform.time * 1000, waveform)
fig.savefig(os.path.join(folder, "light.png"))
print("rates:", rates[0].sizes["unit_id"] == len(units))
