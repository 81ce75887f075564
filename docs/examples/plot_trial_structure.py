"""
Trial-to-trial structure
========================

Repeats of a movie, and what units share from one presentation to the next.

How alike population vectors are in every two repeats, the lighter the more; without the diagonal.
Repeats 0 to 2 are of one block, 3 to 5 of another, ten minutes later, when units have other rates
and the same tuning.
"""

import numpy as np
from matplotlib import pyplot as plt

from spikehouse import EcephysProjectCache, analysis, compute_design_matrix, plots

session = EcephysProjectCache.from_demo().get_session_data(900000001)
units = session.units
units = units[units["firing_rate"] > 2]

movie = session.get_stimulus_table("natural_movie_one")
drift = analysis.compute_representational_drift(
    compute_design_matrix(session, units.index, movie),
    movie["frame"] // 15,
    repeats=movie.groupby(["stimulus_block", "frame"]).cumcount(),
    blocks=movie["stimulus_block"],
    times=movie["start_time"],
)
n = drift["other_repeat"].max() + 1
alike = np.full((n, n), np.nan)
for one, other in (("repeat", "other_repeat"), ("other_repeat", "repeat")):
    alike[drift[one], drift[other]] = drift["population_vector"]
low, high = np.nanmin(alike), np.nanmax(alike)

figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained")
title = f"correlation, black {low:.2f} to white {high:.2f}"
plots.plot_image(255 * (alike - low) / (high - low), ax=left, title=title)
left.set_facecolor("lightsteelblue")
left.set(xlabel="repeat", ylabel="repeat", xticks=range(n), yticks=range(n))
for is_same, pairs in drift.groupby("is_same_block"):
    place = "within a block" if is_same else "between blocks"
    for number, measure in enumerate(("ensemble_rate", "population_vector", "tuning_curve")):
        by_lag = pairs.groupby("lag")[measure].mean()
        line = "o-" if is_same else "s--"
        right.plot(by_lag, line, color=f"C{number}", label=f"{measure}, {place}")
right.set(xlabel="lag (repeats)", ylabel="correlation", ylim=(0, 1.05), xticks=range(1, n))
right.set_title(f"{len(units)} units, {n} repeats", loc="left", fontsize="medium")
legend = right.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))

# %%
# Noise correlations by distance
# ------------------------------
# Pairs on one probe. In the simulated survey common input does not depend on the distance.

scenes = session.get_stimulus_table("natural_scenes")
noise = analysis.compute_noise_correlations(
    compute_design_matrix(session, units.index, scenes), scenes["frame"], slower_than=100
)
by_distance = analysis.summarize_correlations(
    noise, units, by="probe_distance_um", distance_edges=[0, 50, 100, 200, 400, 800]
)
figure, ax = plt.subplots(figsize=(5, 3.4), layout="constrained")
middle = [interval.mid for interval in by_distance.index]
ax.errorbar(middle, by_distance["mean"], by_distance["sem"], marker="o", capsize=2)
ax.axhline(0, color="grey", linewidth=0.8)
ax.set(xlabel="distance along the probe (µm)", ylabel="noise correlation")
title = ax.set_title(
    f"{by_distance['n_pairs'].sum()} pairs, mean ± SEM over units", loc="left", fontsize="medium"
)
