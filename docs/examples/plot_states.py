"""
Running and resting
===================

The states of the animal, one unit's tuning in each of them, and the pupil around running onsets.
Dashed lines are the few blank sweeps of each state; presentations without a state are left out.
"""

import numpy as np
from matplotlib import pyplot as plt

from spikehouse import EcephysProjectCache, analysis, compute_design_matrix, plots

session = EcephysProjectCache.from_demo().get_session_data(900000001)
states = analysis.find_states(session.running_speed)

gratings = session.get_stimulus_table("static_gratings", missing="nan")
state = analysis.label_presentations(gratings, states)
runs, rests = (gratings.index[state == name] for name in ("run", "rest"))
metrics = session.analyze("static_gratings", stimulus_presentation_ids=runs.union(rests))
unit_id = metrics.query("firing_rate_sg > 3")["g_osi_sg"].idxmax()
counts = compute_design_matrix(session, [unit_id], gratings).to_numpy()[:, 0]
plots.plot_tuning_curve(
    counts / gratings["duration"],
    gratings["orientation"],
    groups=state,
    title=f"unit {unit_id}, n = {len(runs)} running, {len(rests)} resting",
)

# %%
# Around an event
# ---------------
# The mean of a trace ± SEM around running onsets, here with those after two seconds of rest.

starts = states.query("state == 'run'")["start_time"]
rested = states.query("state == 'rest' and stop_time - start_time >= 2")["stop_time"]
onsets = starts[starts.isin(rested)]
eye = analysis.compute_eye_traces(session.get_pupil_data())
edges = np.arange(-2.0, 4.01, 0.1)
figure, axes = plt.subplots(2, 1, sharex=True, layout="constrained")
for ax, trace, label in (
    (axes[0], session.running_speed, "running speed (cm/s)"),
    (axes[1], eye["pupil_diameter"], "pupil diameter (px)"),
):
    average = analysis.compute_triggered_average(trace, onsets, bin_edges=edges)
    time, mean, sem = (average[name] for name in ("time_relative_to_event", "mean", "sem"))
    ax.plot(time, mean)
    ax.fill_between(time, mean - sem, mean + sem, alpha=0.25, linewidth=0)
    ax.axvline(0, color="grey", linewidth=0.8)
    ax.set_ylabel(label)
axes[0].set_title(f"{len(onsets)} running onsets", loc="left", fontsize="medium")
axes[1].set_xlabel("time from the running onset (s)")
