"""
Correlogram of two units
========================

Spikes of two units within milliseconds of each other. The shaded flanks and the line say how high a
peak must be.
"""

import matplotlib.pyplot as plt

from spikehouse import EcephysProjectCache, analysis, plots

session = EcephysProjectCache.from_demo().get_session_data(900000001)
gratings = session.get_stimulus_table("drifting_gratings", missing="nan")
gratings = gratings[gratings["orientation"].notna()]
# a single coincidence of two slow units would stand out
unit_ids = session.units.index[session.units["firing_rate"] > 2]

connections = analysis.compute_connections(
    session, unit_ids, gratings["start_time"], conditions=gratings["orientation"]
)
pair = connections.loc[connections["peak"].idxmax(), ["source_unit_id", "target_unit_id"]]

# %%
# As counted, the correlogram also holds what both units owe to the stimulus and to slow changes of
# their rates. Spikes jittered within windows of 25 ms keep that and lose the rest; the corrected
# correlogram is the difference.

figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
for ax, window, title in zip(axes, (None, 0.025), ("as counted", "corrected"), strict=True):
    correlogram = analysis.compute_correlograms(
        session,
        pair,
        gratings["start_time"],
        conditions=gratings["orientation"],
        jitter_window=window,
    )
    plots.plot_correlogram(correlogram, ax=ax, title=title)
