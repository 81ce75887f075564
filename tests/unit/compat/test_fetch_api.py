"""A source with AllenSDK's methods, as ``cache.fetch_api`` has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.survey.small_tables import (
    TABLES,
)

from spikehouse.compat.queries import FetchApi
from spikehouse.compat.sessions import EcephysProjectCache
from spikehouse.errors import NotFoundError
from spikehouse.survey import S3, Folder


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
