"""
Accuracy of each class
======================

How often each of 118 natural scenes and the blank screen (frame −1) is decoded, from best to worst.
"""

from spikehouse import EcephysProjectCache, compute_design_matrix, decode, plots

session = EcephysProjectCache.from_demo().get_session_data(900000001)
scenes = session.get_stimulus_table("natural_scenes", missing="nan")
counts = compute_design_matrix(session, session.units.index, scenes)
result = decode(counts, scenes["frame"].astype(int), estimator="poisson-naive-bayes")
best = result.per_class_accuracy.idxmax()
plots.plot_class_accuracies(
    result.per_class_accuracy,
    chance=result.chance,
    class_name="image",
    marked={best: f"image {best}"},
)
