"""The tables of a survey of two sessions, as CSV files."""

from __future__ import annotations

import pandas as pd

from spikehouse.schema.cache_tables import CHANNELS, UNITS

SESSIONS = """\
id,date_of_acquisition,isi_experiment_id,published_at,specimen_id,session_type,age_in_days,sex,\
genotype,has_nwb
1,2019-01-08,1,2019-10-03,10,brain_observatory_1.1,116.0,M,wt,True
2,2019-01-19,3,2019-10-03,12,functional_connectivity,133.0,F,wt,True
"""
PROBES = """\
id,air_channel_index,ecephys_session_id,lfp_sampling_rate,lfp_temporal_subsampling_factor,name,\
phase,sampling_rate,surface_channel_index,has_lfp_data
11,384,1,2499.99728487454,2.0,probeA,3a,30000.0,336,True
12,384,1,2500.0,,probeB,3a,30000.0,336,False
21,384,2,2500.0,2.0,probeA,3a,30000.0,336,True
"""
FIRST = "ecephys_unit_id,g_osi_dg,on_screen_rf,shared\n1111,0.5,True,1\n1112,,False,2\n"
SECOND = "ecephys_unit_id,pref_dir_dm,shared\n2111,90.0,0.5\n"


def write_channels() -> str:
    numbers = dict.fromkeys(CHANNELS.column_names, 1)
    rows = [{**numbers, "id": i, "ecephys_probe_id": i // 10} for i in (111, 121, 211)]
    return pd.DataFrame(rows).set_index("id").to_csv()


def write_units() -> str:
    numbers = dict.fromkeys(UNITS.column_names, 0.5)
    rows = [
        {**numbers, "id": i, "ecephys_channel_id": i // 10, "quality": "good"}
        for i in (1111, 1112, 1211, 2111)
    ]
    return pd.DataFrame(rows).set_index("id").to_csv()


TABLES = {
    "sessions": SESSIONS,
    "probes": PROBES,
    "channels": write_channels(),
    "units": write_units(),
    "brain_observatory_1.1_analysis_metrics": FIRST,
    "functional_connectivity_analysis_metrics": SECOND,
}
