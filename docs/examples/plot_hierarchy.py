"""
A measure along the hierarchy
=============================

The mean of a measure in each area against the area's hierarchy score. Bars are 95 % intervals over
units; squares are thalamic areas.
"""

import pandas as pd

from spikehouse import EcephysProjectCache, analysis, plots

session = EcephysProjectCache.from_demo().get_session_data(900000001)
onsets = session.get_stimulus_table("flashes")["start_time"]
first_spike = analysis.compute_time_to_first_spike(session, session.units.index, onsets)

areas = session.units["ecephys_structure_acronym"]
has_score = areas.isin(list(analysis.HIERARCHY_SCORES))
is_early = first_spike["time_to_first_spike"] < 0.1
is_used = has_score & is_early
times_ms = 1000 * first_spike.loc[is_used, "time_to_first_spike"]
plots.plot_hierarchy(
    analysis.compute_area_statistics(times_ms, areas[is_used]),
    correlation=analysis.compute_hierarchy_correlation(times_ms, areas[is_used]),
    ylabel="time to first spike (ms)",
    title="flashes, one session",
)

# %%
# Which units are these?
# ----------------------
# A funnel shows how many remain after each step of the selection.

steps = {
    "all units": len(areas),
    "area with a score": has_score.sum(),
    "before 100 ms": is_used.sum(),
}
plots.plot_funnel(pd.Series(steps))
