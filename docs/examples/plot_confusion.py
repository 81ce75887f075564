"""
Confusion matrix
================

Which of ten natural scenes is taken for which.
"""

from spikehouse import EcephysProjectCache, compute_design_matrix, decode, plots

session = EcephysProjectCache.from_demo().get_session_data(900000001)
scenes = session.get_stimulus_table("natural_scenes", missing="nan")
scenes = scenes[scenes["frame"].isin(range(10))]
counts = compute_design_matrix(session, session.units.index, scenes)
result = decode(counts, scenes["frame"].astype(int))
plots.plot_confusion(result.confusion, class_name="image", title="number of presentations")

# %%
# As percentages of the presentations of each image:

plots.plot_confusion(result.confusion, class_name="image", is_normalized=True)
