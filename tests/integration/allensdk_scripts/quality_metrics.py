"""Look at the quality of all units, with and without the filters."""

# ruff: noqa: PTH118 - paths are put together as the notebooks do

import os
import sys

import matplotlib.pyplot as plt
import numpy as np
from allensdk.brain_observatory.ecephys.ecephys_project_cache import EcephysProjectCache

host, folder = sys.argv[1:3]
cache = EcephysProjectCache.from_warehouse(
    manifest=os.path.join(folder, "manifest.json"), scheme="http", host=host
)
good = cache.get_units()
units = cache.get_units(
    amplitude_cutoff_maximum=np.inf, presence_ratio_minimum=-np.inf, isi_violations_maximum=np.inf
)
print("good of all:", len(good), "<", len(units))

regions = {
    "cortex": ["VISp", "VISl", "VISrl", "VISam", "VISpm", "VIS", "VISal", "VISmma"],
    "thalamus": ["LGd", "LD", "LP", "VPM", "TH", "MGm", "MGv", "MGd", "PO", "LGv", "VL"],
    "hippocampus": ["CA1", "CA2", "CA3", "DG", "SUB", "POST", "PRE", "ProS"],
}
metrics = ["firing_rate", "presence_ratio", "amplitude_cutoff", "isi_violations", "snr"]
metrics += ["isolation_distance", "d_prime", "nn_hit_rate"]
fig, axes = plt.subplots(len(metrics), 1, figsize=(6, 16))
for metric, ax in zip(metrics, axes, strict=True):
    for region, acronyms in regions.items():
        values = units[units.ecephys_structure_acronym.isin(acronyms)][metric].values
        values = values[np.invert(np.isnan(values))]
        heights, edges = np.histogram(values, bins=30)
        ax.plot(edges[:-1], heights, label=region)
    ax.set_xlabel(metric)
axes[0].legend()
rates = np.log10(units[units.nn_hit_rate > 0.5]["firing_rate"])
print("share of quiet units:", 0 < np.sum(rates < 0) / len(units) < 1)
fig.savefig(os.path.join(folder, "quality.png"))

of_session = cache.get_unit_analysis_metrics_for_session(good.ecephys_session_id.iloc[0])
print("metrics of a session:", {"pref_ori_dg", "waveform_duration"} <= set(of_session.columns))
of_type = cache.get_unit_analysis_metrics_by_session_type("brain_observatory_1.1")
print("metrics of a type:", len(of_type) > len(of_session))
