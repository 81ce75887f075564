"""
Spikes and field
================

The phase of theta at the spikes of a unit, the field around them, and a sharp-wave ripple, in a
made recording of 200 s.
"""

import numpy as np
import xarray as xr
from matplotlib import pyplot as plt

from spikehouse import lfp, plots

rng = np.random.default_rng(5)
time = np.arange(250_000) / 1250
theta = 2 * np.pi * np.cumsum(8 + np.sin(time / 7)) / 1250
potential = np.cumsum(rng.normal(0, 6e-6, time.size))
potential -= np.convolve(potential, np.ones(1250) / 1250, "same")
potential += 1.5e-4 * np.cos(theta) + rng.normal(0, 5e-6, time.size)
for peak in np.arange(3.0, 198.0, 3.0):
    after = time - peak
    potential += 2e-4 * np.exp(-((after / 0.025) ** 2)) * np.sin(2 * np.pi * 170 * after)
# more spikes at the troughs than at the peaks
spikes = {1: time[rng.random(time.size) < 0.008 * np.exp(-np.cos(theta))]}
field = xr.DataArray(potential[:, None], {"time": time, "channel": [0]}, ("time", "channel"))

phases = lfp.compute_spike_phases(field, spikes, [1], band=lfp.BANDS["theta"])
locking = lfp.compute_phase_consistency(phases).loc[1]
average = lfp.compute_spike_triggered_lfp(field, spikes, [1], window=(-0.3, 0.3)).isel(
    unit_id=0, channel=0
)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
degrees = np.rad2deg(phases["phase"])
left.hist(np.r_[degrees, degrees + 360], bins=np.arange(-180, 541, 20))
left.plot(
    np.arange(-180, 541),
    np.cos(np.deg2rad(np.arange(-180, 541))) * 40 + 40,
    color="grey",
    label="theta",
)
left.legend(loc="upper center", frameon=False)
left.set(
    xlabel="phase of theta (°; 0 is a peak)", ylabel="spikes", xticks=np.arange(-180, 541, 180)
)
left.set_title(f"n = {len(phases)} spikes, PPC = {locking['ppc']:.2f}", loc="left")
lag, mean, sem = (
    1e3 * average["time_relative_to_spike"],
    *(1e6 * average[k] for k in ("mean", "sem")),
)
right.plot(lag, mean)
right.fill_between(lag, mean - sem, mean + sem, alpha=0.3, linewidth=0)
right.axvline(0, color="grey", linewidth=0.8)
right.set(xlabel="time from the spike (ms)", ylabel="field potential (µV)")
n_spikes = int(average["n_spikes"])
right.set_title(f"mean ± SEM of {n_spikes} spikes", loc="left")

# %%
# A ripple
# --------
# The detector of De Filippo & Schmitz (2023), and the strongest of the ripples that it finds.

ripples = lfp.find_ripples(field)
ripple = ripples.loc[ripples["strength"].idxmax()]
near = field.sel(time=slice(ripple["peak_time"] - 0.15, ripple["peak_time"] + 0.15))
title = f"1 of {len(ripples)} ripples, {ripple['frequency']:.0f} Hz"
ax = plots.plot_lfp_traces(near, title=title)
ax.axvspan(ripple["start_time"], ripple["stop_time"], alpha=0.2)
