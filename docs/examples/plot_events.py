"""
Around any events
=================

Spikes around running onsets, with a baseline before them: one unit's raster, and the mean
rates of two structures.
"""

import numpy as np
from matplotlib import pyplot as plt

from spikehouse import EcephysProjectCache, analysis, plots
from spikehouse.spikes import align_spikes, count_events

session = EcephysProjectCache.from_demo().get_session_data(900000001)
states = analysis.find_states(session.running_speed)
rested = states.query("state == 'rest' and stop_time - start_time >= 2")["stop_time"]
starts = states.query("state == 'run' and start_time in @rested")

window = (-2.0, 2.0)
edges = np.arange(window[0], window[1] + 0.01, 0.1)
structures = session.units["ecephys_structure_acronym"]
rates = {
    name: count_events(session, structures.index[structures == name], starts, edges, mean=True)
    for name in ("VISp", "LGd")
}
unit_id = session.units["firing_rate"][structures == "VISp"].idxmax()
spikes = align_spikes(session, [unit_id], starts, window=window)

figure, axes = plt.subplots(2, 1, figsize=(7, 6), sharex=True, layout="constrained")
plots.plot_raster(
    spikes,
    row_order=starts.index,
    ax=axes[0],
    title=f"unit {unit_id} around {len(starts)} running onsets",
)
axes[0].axvline(0, color="grey", linewidth=0.8)
axes[0].set_xlabel("")
plots.plot_population_psth(rates, ax=axes[1])
