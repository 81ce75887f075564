"""Draw a unit's receptive field from the counts of its spikes in every gabor."""

# ruff: noqa: PTH118 - paths are put together as the notebooks do

import os
import sys

import matplotlib.pyplot as plt
import numpy as np
from allensdk.brain_observatory.ecephys.ecephys_project_cache import EcephysProjectCache
from allensdk.brain_observatory.ecephys.stimulus_analysis.receptive_field_mapping import (
    ReceptiveFieldMapping,
)

host, folder = sys.argv[1:3]
cache = EcephysProjectCache.from_warehouse(
    manifest=os.path.join(folder, "manifest.json"), scheme="http", host=host
)
sessions = cache.get_session_table()
session = cache.get_session_data(sessions.index.values[0])

gabors = session.stimulus_presentations[session.stimulus_presentations.stimulus_name == "gabors"]
varying = [key for key in gabors.keys() if len(np.unique(gabors[key])) > 1]  # noqa: SIM118
print("varying:", sorted({"x_position", "y_position"} & set(varying)))
for column in ("orientation", "spatial_frequency", "temporal_frequency", "size", "contrast"):
    print(f"{column}:", gabors[column].unique()[0])
print("conditions:", len(np.unique(gabors.stimulus_condition_id)))
xs, ys = np.sort(gabors.x_position.unique()), np.sort(gabors.y_position.unique())
print("positions:", len(xs), len(ys))

units = session.units[session.units.ecephys_structure_acronym == "VISp"]
counts = session.presentationwise_spike_counts(
    bin_edges=[0, 0.249],
    stimulus_presentation_ids=gabors.index.values,
    unit_ids=units.index.values,
)
fields = np.zeros((len(ys), len(xs), len(units)))
for (x, y), shown in gabors.groupby(["x_position", "y_position"]):
    at = np.searchsorted(ys, float(y)), np.searchsorted(xs, float(x))
    fields[at] = counts.sel(stimulus_presentation_id=shown.index.values).sum(
        ["stimulus_presentation_id", "time_relative_to_stimulus_onset"]
    )
print("no spike lost:", fields.sum() == int(counts.sum()))
fig, axes = plt.subplots(1, len(units))
for number, ax in enumerate(np.atleast_1d(axes)):
    ax.imshow(fields[:, :, number], cmap="inferno", origin="lower")
    ax.axis("off")
fig.savefig(os.path.join(folder, "fields.png"))

mapping = ReceptiveFieldMapping(session, filter=units.index.values)
print("same presentations:", mapping.stim_table.index.equals(gabors.index))
for number, unit in enumerate(units.index.values):
    # rows there go from the top of the screen down
    field = mapping.get_receptive_field(unit)[::-1]
    print("same field:", np.array_equal(field, fields[:, :, number], equal_nan=True))
print("metrics:", mapping.metrics.shape, list(mapping.metrics)[:3])
