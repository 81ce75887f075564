"""
Tuning curves
=============

The mean response ± SEM of one unit against a parameter of the stimulus. The dashed line and the
grey band are the blank sweeps.
"""

from spikehouse import EcephysProjectCache, compute_design_matrix, plots

session = EcephysProjectCache.from_demo().get_session_data(900000001)
metrics = session.analyze("drifting_gratings")
unit_id = metrics.query("firing_rate_dg > 3")["g_osi_dg"].idxmax()

gratings = session.get_stimulus_table("drifting_gratings", missing="nan")
counts = compute_design_matrix(session, [unit_id], gratings).to_numpy()[:, 0]
rates = counts / gratings["duration"]
plots.plot_tuning_curve(rates, gratings["orientation"], title=f"unit {unit_id}")

# %%
# Two parameters
# --------------
# ``groups`` draws one line for each value of a second parameter.

plots.plot_tuning_curve(
    rates,
    gratings["temporal_frequency"],
    groups=gratings["orientation"] % 180,
    scale="log",
    value_label="temporal frequency (Hz)",
    group_label="orientation (°)",
    title=f"unit {unit_id}",
)
