"""What people do first with AllenSDK: list what there is, fetch some of it, ask for links."""

# ruff: noqa: PTH118 - paths are put together as the notebooks do

import os
import sys

import numpy as np
import pandas as pd
from allensdk.brain_observatory.ecephys.ecephys_project_api.rma_engine import RmaEngine
from allensdk.brain_observatory.ecephys.ecephys_project_api.utilities import build_and_execute
from allensdk.brain_observatory.ecephys.ecephys_project_cache import EcephysProjectCache

host, folder = sys.argv[1:3]
cache = EcephysProjectCache.from_warehouse(
    manifest=os.path.join(folder, "manifest.json"), scheme="http", host=host
)

sessions = cache.get_session_table()
print("sessions:", len(sessions))
chosen = sessions[
    (sessions.sex == "M")
    & sessions.full_genotype.str.contains("Sst")
    & (sessions.session_type == "brain_observatory_1.1")
    & np.array(["VISp" in acronyms for acronyms in sessions.ecephys_structure_acronyms])
]
print("chosen:", chosen.index.tolist())

with_lfp = cache.get_probes()
print(
    "sessions without all LFP:", len(with_lfp[~with_lfp.has_lfp_data].ecephys_session_id.unique())
)
probes, channels, units = cache.get_probes(), cache.get_channels(), cache.get_units()
print("units of the sessions agree:", sessions.unit_count.sum() == len(units))
print("channels of the probes agree:", probes.channel_count.sum() == len(channels))
print("structures:", len(cache.get_structure_acronyms()) > 0, cache.get_all_sexes())

no_limits = {
    "amplitude_cutoff_maximum": np.inf,
    "presence_ratio_minimum": -np.inf,
    "isi_violations_maximum": np.inf,
}
types = cache.get_all_session_types()
metrics = [cache.get_unit_analysis_metrics_by_session_type(name, **no_limits) for name in types]
all_metrics = pd.concat(metrics, sort=False)
print("metrics of all:", len(all_metrics) == sum(map(len, metrics)) > len(units))
all_units = cache.get_session_data(chosen.index.values[0], **no_limits).units
print("units without limits:", len(all_units) > (units.ecephys_session_id == chosen.index[0]).sum())

again = EcephysProjectCache(manifest=os.path.join(folder, "manifest.json"))
print("reopened:", again.get_session_table().equals(sessions))
session = cache.get_session_data(sessions.index.values[0])
print([name for name in dir(session) if not name.startswith("_")][:3])
scene = cache.get_natural_scene_template(1)
movie = cache.get_natural_movie_template(1)
print("templates:", scene.shape, movie.shape[1:])

rma_engine = RmaEngine(scheme="http", host=host)


def find_file(kind, owner, owner_id):
    files = build_and_execute(
        "criteria=model::WellKnownFile"
        ",rma::criteria,well_known_file_type[name$eq'{{kind}}']"
        "[attachable_type$eq'{{owner}}'][attachable_id$eq{{owner_id}}]",
        engine=rma_engine.get_rma_tabular,
        kind=kind,
        owner=owner,
        owner_id=owner_id,
    )
    if files.shape[0] != 1:
        return "none"
    return "http://" + host + files.loc[0, "download_link"]


print("link:", find_file("EcephysNwb", "EcephysSession", sessions.index.values[0]))
lfp_links = [find_file("EcephysLfpNwb", "EcephysProbe", probe) for probe in probes.index.values]
print("links to LFP agree:", lfp_links.count("none") == (~probes.has_lfp_data).sum() > 0)
