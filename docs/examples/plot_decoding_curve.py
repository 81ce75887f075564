"""
Decoding over time and by number of units
=========================================

Mean accuracy, and a band of ± one standard deviation. It is not a standard error: folds share
training data and resampled sets share units, so a standard error over them would be too small.
"""

from spikehouse import EcephysProjectCache, compute_design_matrix, plots
from spikehouse.decoding import decode_by_unit_count, decode_over_time

session = EcephysProjectCache.from_demo().get_session_data(900000001)
flashes = session.get_stimulus_table("flashes", missing="nan")
unit_ids = session.units.index

# %%
# Over time
# ---------
# ``along`` names the dimension to draw against; mean and band are taken over all others, here the
# folds.

by_time = decode_over_time(
    session, unit_ids, flashes, "color", span=(-0.1, 0.3), estimator="poisson-naive-bayes"
)
plots.plot_decoding_curve(
    by_time, along="time_relative_to_stimulus_onset", title="dark or bright, windows of 50 ms"
)

# %%
# By number of units
# ------------------
# A mapping draws one line for each of its items.

counts = compute_design_matrix(session, unit_ids, flashes)
by_count = {
    name: decode_by_unit_count(counts, flashes["color"], estimator=name)
    for name in ("poisson-naive-bayes", "ridge")
}
plots.plot_decoding_curve(by_count, along="n_units", is_log=True, title="dark or bright, 0–0.25 s")
