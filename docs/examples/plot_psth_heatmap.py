"""
PSTH of many units
==================

A peristimulus time histogram (PSTH) of every unit, as one heat map.
"""

import numpy as np

from spikehouse import EcephysProjectCache, plots

session = EcephysProjectCache.from_demo().get_session_data(900000001)
flashes = session.get_stimulus_table("flashes")
bin_edges = np.arange(-0.1, 0.4, 0.01)

# %%
# By depth
# --------
# With ``depths`` the units of a probe are sorted along it, the tip at the bottom.

visp = session.units[session.units["ecephys_structure_acronym"] == "VISp"]
counts = session.presentationwise_spike_counts(
    bin_edges, flashes.index, visp.index, mean_over="presentations"
)
plots.plot_psth_heatmap(
    counts, depths=visp["probe_vertical_position"], stimulus_duration=0.25, title="VISp, flashes"
)

# %%
# By the time of the peak
# -----------------------
# ``order="peak"`` sorts by the peaks of what is drawn, which makes a wave out of noise, too. Here
# the order comes from one half of the flashes, and the rates from the other.

first, second = (
    session.presentationwise_spike_counts(bin_edges, half, mean_over="presentations")
    for half in (flashes.index[::2], flashes.index[1::2])
)
peak_times = first.idxmax("time_relative_to_stimulus_onset")
plots.plot_psth_heatmap(
    second,
    order=first["unit_id"].to_numpy()[np.argsort(-peak_times.to_numpy(), kind="stable")],
    is_normalized=True,
    stimulus_duration=0.25,
    title="all units, earliest peak at the top",
)
