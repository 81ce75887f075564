"""
Raster
======

Every spike of one unit, one row a presentation, silent ones included. The rows of a condition are
together.
"""

from spikehouse import EcephysProjectCache, plots

session = EcephysProjectCache.from_demo().get_session_data(900000001)
metrics = session.analyze("drifting_gratings")
unit_id = metrics.query("firing_rate_dg > 3")["g_osi_dg"].idxmax()

# NaN, not "null", where a parameter does not apply, such as the orientation of a blank sweep
gratings = session.get_stimulus_table("drifting_gratings", missing="nan")
spikes = session.presentationwise_spike_times(gratings.index, [unit_id])
ax = plots.plot_raster(
    spikes,
    groups=gratings["orientation"],
    stimulus_duration=2.0,
    title=f"unit {unit_id}: drifting gratings by direction (°)",
)
ax.set_xlim(0, 2)

# %%
# With ``rows="unit_id"`` there is one row a unit: here the units of four structures at one flash.

flash = session.get_stimulus_table("flashes").index[0]
structures = session.units["ecephys_structure_acronym"]
structures = structures[structures.isin(["LGd", "VISp", "VISl", "VISam"])]
spikes = session.presentationwise_spike_times([flash], structures.index)
plots.plot_raster(spikes, rows="unit_id", groups=structures, title="one flash")
