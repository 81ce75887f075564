"""Fetch sessions with the LFP of all their probes, passing over the probes that have none."""

# ruff: noqa: PTH118 - paths are put together as the notebooks do

import os
import sys

from allensdk.brain_observatory.ecephys.ecephys_project_cache import EcephysProjectCache

host, folder = sys.argv[1:3]
cache = EcephysProjectCache.from_warehouse(
    manifest=os.path.join(folder, "manifest.json"), scheme="http", host=host
)
probes = cache.get_probes()
wanted = probes[~probes.has_lfp_data].ecephys_session_id.unique()
n_fetched, absent = 0, []
for session_id, _ in cache.get_session_table().loc[wanted].iterrows():
    session = cache.get_session_data(session_id)
    print("specimen:", session.specimen_name)
    for probe_id, probe in session.probes.iterrows():
        try:
            session.get_lfp(probe_id)
        except ValueError:
            absent.append(probe.description)
        else:
            n_fetched += 1
print("fetched:", n_fetched, "absent:", absent)
