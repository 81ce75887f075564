"""The cache folder: what lies where, and what of it is ours alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikehouse.survey.folder import CacheFolder
from spikehouse.survey.manifest import create_manifest
from spikehouse.survey.targets import ANY_METRICS, TABLES

FROZEN = Path(__file__).parents[2] / "parity" / "project_tables" / "folder"


@pytest.fixture
def folder(tmp_path: Path) -> CacheFolder:
    return CacheFolder(create_manifest(tmp_path / "cache" / "manifest.json"))


def test_lock_for__names_every_file_apart(folder: CacheFolder, tmp_path: Path) -> None:
    root = folder.manifest.folder
    assert folder.lock_for(root / "units.csv") == folder.own / "locks" / "units.csv.lock"
    session = root / "session_7" / "session_7.nwb"
    assert folder.lock_for(session).name == "session_7__session_7.nwb.lock"
    # a manifest may put files elsewhere: their locks are still here
    assert folder.lock_for(tmp_path / "units.csv").parent == folder.own / "locks"


def test_read_table__leaves_only_the_folders_own_files(folder: CacheFolder) -> None:
    path = folder.manifest.folder / "sessions.csv"
    path.write_bytes((FROZEN / "sessions.csv").read_bytes())
    assert len(folder.read_table(path, TABLES["sessions"])) == 3
    assert (folder.own / "tables" / "sessions.parquet").exists()
    visible = [found.name for found in folder.manifest.folder.iterdir()]
    assert sorted(visible) == [".spikehouse", "manifest.json", "sessions.csv"]


def test_read_table__keeps_twins_of_metrics_of_each_session(folder: CacheFolder) -> None:
    for session_id in (7, 8):
        path = folder.manifest.path_of("session_analysis_metrics", session_id, session_id)
        path.parent.mkdir()
        path.write_text(f"ecephys_unit_id,g_osi_dg\n{session_id},0.5\n")
        for _ in range(2):
            assert folder.read_table(path, ANY_METRICS).index.tolist() == [session_id]
    assert sorted(path.name for path in (folder.own / "tables").iterdir()) == [
        "session_7__session_7_analysis_metrics.parquet",
        "session_8__session_8_analysis_metrics.parquet",
    ]


def test_read_columns__is_none_without_a_twin(folder: CacheFolder) -> None:
    path = folder.manifest.folder / "units.csv"
    path.write_bytes((FROZEN / "units.csv").read_bytes())
    assert folder.read_columns(path, TABLES["units"], ["snr"]) is None
    folder.read_table(path, TABLES["units"])
    some = folder.read_columns(path, TABLES["units"], ["snr"])
    assert some is not None
    assert some.columns.tolist() == ["snr"]


def test_explain_absence__says_how_to_get_it(folder: CacheFolder) -> None:
    path = folder.manifest.folder / "units.csv"
    message = str(folder.explain_absence(path))
    assert message.startswith(f"{path} is not in the cache folder")
    assert f"EcephysProjectCache(manifest={str(folder.manifest.path)!r})" in message
