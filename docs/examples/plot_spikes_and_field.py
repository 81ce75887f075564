"""
Spikes and field
================

The phase of theta at the spikes of a unit in CA1, the field around them, and a sharp-wave ripple.
Spikes within about a second of the ends of the recording, or of invalid intervals, have no phase.
"""

import numpy as np
from matplotlib import pyplot as plt

from spikehouse import EcephysProjectCache, lfp, plots

session = EcephysProjectCache.from_demo().get_session_data(900000001)
units = session.units[session.units["ecephys_structure_acronym"] == "CA1"]
field = session.get_lfp(units["probe_id"].iloc[0])
area = session.channels["ecephys_structure_acronym"].reindex(field["channel"].to_numpy())
field = field.sel(channel=area.index[area == "CA1"])
profile = lfp.compute_ripple_profile(field)
channel = int(profile.index[profile["is_best"]][0])

phases = lfp.compute_spike_phases(field, session, units.index, band="theta", channels=channel)
found = lfp.compute_phase_consistency(phases, units.index)
unit_id = found["p_value"].idxmin()
locking = found.loc[unit_id]
average = lfp.compute_spike_triggered_lfp(
    field.sel(channel=[channel]), session, [unit_id], window=(-0.3, 0.3)
).isel(unit_id=0, channel=0)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
degrees = np.rad2deg(phases.loc[phases["unit_id"] == unit_id, "phase"])
height = left.hist(np.r_[degrees, degrees + 360], bins=np.arange(-180, 541, 20))[0].max()
# one wave, above the bars
at = np.arange(-180, 541)
left.plot(at, height * (1.15 + 0.08 * np.cos(np.deg2rad(at))), color="grey")
left.text(0, 1.25 * height, "theta", color="grey", ha="center", va="bottom")
left.set(
    xlabel="phase of theta (°; 0 is a peak)", ylabel="spikes", xticks=np.arange(-180, 541, 180),
    ylim=(0, 1.4 * height),
)  # fmt: skip
left.set_title(f"{len(degrees)} spikes with a phase, PPC = {locking['ppc']:.2f}", loc="left")
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
around = slice(ripple["peak_time"] - 0.15, ripple["peak_time"] + 0.15)
title = f"1 of {len(ripples)} ripples, {ripple['frequency']:.0f} Hz"
depths = session.channels["probe_vertical_position"]
ax = plots.plot_lfp_traces(field.sel(time=around), depths=depths, title=title)
span = ax.axvspan(ripple["start_time"], ripple["stop_time"], alpha=0.2)
