"""A source with AllenSDK's methods, as ``cache.fetch_api`` has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from spikehouse.compat.queries import FetchApi
from spikehouse.compat.sessions import EcephysProjectCache
from spikehouse.errors import NotFoundError
from spikehouse.schema.cache_tables import CHANNELS, UNITS
from spikehouse.survey import S3, Folder

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


@pytest.fixture
def api(tmp_path: Path) -> FetchApi:
    for name, text in TABLES.items():
        (tmp_path / f"{name}.csv").write_text(text)
    for name in ("session_1/session_1.nwb", "session_2/probe_21_lfp.nwb"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"x")
    return FetchApi(Folder(tmp_path))


def test_fetch_api__is_that_of_the_caches_source(tmp_path: Path) -> None:
    with EcephysProjectCache.from_s3(tmp_path / "manifest.json") as cache:
        assert isinstance(cache.fetch_api, FetchApi)
        assert isinstance(cache.fetch_api.source, S3)
    own = object()
    with EcephysProjectCache(own, manifest=tmp_path / "manifest.json") as cache:
        assert cache.fetch_api is own
    assert EcephysProjectCache.fixed(tmp_path / "manifest.json").fetch_api is None


def test_tables__have_their_rows(api: FetchApi) -> None:
    assert api.get_sessions().index.tolist() == [1, 2]
    assert api.get_probes().index.tolist() == [11, 12, 21]
    assert api.get_channels().index.tolist() == [111, 121, 211]
    assert api.get_units().index.tolist() == [1111, 1112, 1211, 2111]


def test_files__are_located(api: FetchApi, tmp_path: Path) -> None:
    assert api.get_session_data(1).path == tmp_path / "session_1/session_1.nwb"
    # of which session, the table of probes says
    assert api.get_probe_lfp_data(21).path == tmp_path / "session_2/probe_21_lfp.nwb"
    with pytest.raises(NotFoundError, match="no natural scene 5"):
        api.get_natural_scene_template(5)
    with pytest.raises(NotFoundError, match="there is no natural movie 2: did you mean 1 or 3"):
        api.get_natural_movie_template(2)


def test_get_probe_lfp_data__says_when_there_is_none(api: FetchApi) -> None:
    with pytest.raises(NotFoundError, match="has no probe 13: did you mean 12 or 11 or 21"):
        api.get_probe_lfp_data(13)
    with pytest.raises(NotFoundError, match="has no LFP of probe 12: none was released"):
        api.get_probe_lfp_data(12)


def test_get_unit_analysis_metrics__narrows_by_all_at_once(api: FetchApi) -> None:
    def select(**choice: Any) -> list[int]:
        return api.get_unit_analysis_metrics(**choice).index.tolist()

    assert select() == [1111, 1112, 2111]
    assert select(session_types="functional_connectivity") == [2111]
    assert select(unit_ids=[2111, 1112, 7]) == [1112, 2111]
    assert select(unit_ids=[1111, 2111], ecephys_session_ids=[2]) == [2111]
    assert select(ecephys_session_ids=[1, 2]) == [1111, 1112, 2111]
    assert select(ecephys_session_ids=[1], session_types=["functional_connectivity"]) == []
    assert select(ecephys_session_ids=[77]) == []
    assert select(unit_ids=[]) == []
    assert select(session_types=[]) == []


def test_get_unit_analysis_metrics__of_nobody_has_the_columns(api: FetchApi) -> None:
    metrics = api.get_unit_analysis_metrics(unit_ids=[], session_types=["functional_connectivity"])
    assert metrics.columns.tolist() == ["pref_dir_dm", "shared"]
    assert metrics.index.name == "ecephys_unit_id"
