"""
Star plot
=========

One wedge a grating: orientation around, temporal or spatial frequency outwards, the blank sweeps in
the middle.
"""

from spikehouse import EcephysProjectCache, compute_design_matrix, plots

session = EcephysProjectCache.from_demo().get_session_data(900000001)
metrics = session.analyze("drifting_gratings")
unit_id = metrics.query("firing_rate_dg > 3")["g_osi_dg"].idxmax()


def compute_rates(table):
    counts = compute_design_matrix(session, [unit_id], table).to_numpy()[:, 0]
    return counts / table["duration"]


gratings = session.get_stimulus_table("drifting_gratings", missing="nan")
rates = compute_rates(gratings)
means = rates.groupby([gratings["orientation"], gratings["temporal_frequency"]]).mean()
blank = rates[gratings["orientation"].isna()].mean()
plots.plot_star(means.to_xarray(), blank=blank, title=f"unit {unit_id}: drifting gratings")

# %%
# Static gratings
# ---------------
# They repeat after 180°, so each is drawn twice.

gratings = session.get_stimulus_table("static_gratings", missing="nan")
rates = compute_rates(gratings)
means = rates.groupby([gratings["orientation"], gratings["spatial_frequency"]]).mean()
plots.plot_star(
    means.to_xarray(),
    rings="spatial_frequency",
    period=180,
    title=f"unit {unit_id}: static gratings",
)
