"""What people do first with AllenSDK: list what there is, fetch some of it, ask for links."""

# ruff: noqa: PTH118 - paths are put together as the notebooks do

import os
import sys

import numpy as np
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

probes, channels, units = cache.get_probes(), cache.get_channels(), cache.get_units()
print("units of the sessions agree:", sessions.unit_count.sum() == len(units))
print("channels of the probes agree:", probes.channel_count.sum() == len(channels))
print("structures:", len(cache.get_structure_acronyms()) > 0, cache.get_all_sexes())

session = cache.get_session_data(sessions.index.values[0])
print([name for name in dir(session) if not name.startswith("_")][:3])
scene = cache.get_natural_scene_template(1)
movie = cache.get_natural_movie_template(1)
print("templates:", scene.shape, movie.shape[1:])

rma_engine = RmaEngine(scheme="http", host=host)


def find_file(owner_id):
    files = build_and_execute(
        "criteria=model::WellKnownFile"
        ",rma::criteria,well_known_file_type[name$eq'EcephysNwb']"
        "[attachable_type$eq'EcephysSession'][attachable_id$eq{{owner_id}}]",
        engine=rma_engine.get_rma_tabular,
        owner_id=owner_id,
    )
    return "http://" + host + files["download_link"].iloc[0]


print("link:", find_file(sessions.index.values[0]))
