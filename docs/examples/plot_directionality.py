"""
Which area leads
================

For every pair of areas, in which direction the sharp peaks of their units' correlograms point. In
the matrix, red means that the area of the column leads; below each score stands the number of
significant pairs.

A demo session has only three of these areas. So the spike trains are made here: events reach the
areas one after the other, by their place in the hierarchy.
"""

import numpy as np

from spikehouse import analysis, plots

rng = np.random.default_rng(2)
areas = [area for area in analysis.HIERARCHY_SCORES if area.startswith("VIS")]
structures = {unit_id: areas[unit_id // 5] for unit_id in range(5 * len(areas))}
events = rng.uniform(0, 300, 1200)
spike_times = {}
for unit_id, area in structures.items():
    lag = 0.004 * analysis.HIERARCHY_SCORES[area] + rng.normal(0, 0.002)
    at_events = rng.choice(events, 500, replace=False) + lag + rng.normal(0, 0.001, 500)
    spike_times[unit_id] = np.sort(np.concatenate([at_events, rng.uniform(0, 300, 1000)]))

# %%

connections = analysis.compute_connections(
    spike_times, list(spike_times), onsets=np.arange(0, 300, 2.0)
)
directionality = analysis.compute_directionality(connections, structures)
plots.plot_directionality(directionality, hierarchy=analysis.HIERARCHY_SCORES)
