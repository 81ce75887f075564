"""A folder as a source: with a manifest, without one, and with things missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spikehouse.errors import CacheError, InvalidArgumentError, InvalidFileError, NotFoundError
from spikehouse.survey.file_kinds import VISUAL_CODING
from spikehouse.survey.manifest import create_manifest
from spikehouse.survey.sources.folder import Folder
from spikehouse.transfer.remote_file import LocalFile

FILE = VISUAL_CODING.file
PROBES = """\
id,air_channel_index,ecephys_session_id,lfp_sampling_rate,lfp_temporal_subsampling_factor,name,\
phase,sampling_rate,surface_channel_index,has_lfp_data
11,384,1,2499.99728487454,2.0,probeA,3a,30000.0,336,True
12,384,1,2500.0,,probeB,3a,30000.0,336,False
"""
METRICS = "ecephys_unit_id,g_osi_dg\n1111,0.5\n1112,\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "100% mine"
    for key in (
        "session_1/session_1.nwb",
        "session_1/probe_11_lfp.nwb",
        "natural_scene_templates/natural_scene_4.tiff",
        "natural_movie_templates/natural_movie_1.h5",
    ):
        (path / key).parent.mkdir(parents=True, exist_ok=True)
        (path / key).write_bytes(b"bytes")
    (path / "probes.csv").write_text(PROBES)
    (path / "brain_observatory_1.1_analysis_metrics.csv").write_text(METRICS)
    return path


@pytest.mark.parametrize("has_manifest", [False, True])
def test_folder__has_its_files_in_the_usual_places(path: Path, has_manifest: bool) -> None:
    if has_manifest:
        create_manifest(path / "manifest.json")
    folder = Folder(path)
    assert folder.name == "folder"
    assert folder.locate(FILE("session", 1)) == LocalFile(
        path / "session_1/session_1.nwb", "session 1"
    )
    assert folder.locate(FILE("lfp", 1, 11)).path == path / "session_1/probe_11_lfp.nwb"
    scenes, movies = path / "natural_scene_templates", path / "natural_movie_templates"
    assert folder.locate(FILE("scene", 4)).path == scenes / "natural_scene_4.tiff"
    assert folder.locate(FILE("movie", 1)).path == movies / "natural_movie_1.h5"
    assert folder.locate(FILE("probes")).path == path / "probes.csv"
    metrics = folder.locate(FILE("type_metrics", "brain_observatory_1.1"))
    assert metrics.path == path / "brain_observatory_1.1_analysis_metrics.csv"


def test_folder__goes_by_its_manifest(path: Path) -> None:
    entries = [
        {"type": "manifest_version", "value": "0.3.0"},
        {"key": "BASEDIR", "type": "dir", "spec": "."},
        {"key": "probes", "type": "file", "spec": "the_probes.csv", "parent_key": "BASEDIR"},
        {"key": "session_data", "type": "dir", "spec": "s%d", "parent_key": "BASEDIR"},
        {"key": "session_nwb", "type": "file", "spec": "%d.nwb", "parent_key": "session_data"},
    ]
    (path / "mine.json").write_text(json.dumps({"manifest": entries}))
    (path / "the_probes.csv").write_text(PROBES)
    (path / "s1").mkdir()
    (path / "s1" / "1.nwb").write_bytes(b"bytes")
    folder = Folder(path / "mine.json")
    assert folder.path == path
    assert folder.locate(FILE("session", 1)).path == path / "s1" / "1.nwb"
    assert folder.locate(FILE("probes")).path == path / "the_probes.csv"


def test_read_table__of_probes_reads_the_csv(path: Path) -> None:
    probes = Folder(path).read_table(FILE("probes"))
    assert probes["lfp_sampling_rate"].tolist() == [2499.99728487454, 2500.0]
    assert probes["has_lfp_data"].tolist() == [True, False]


def test_folder__says_which_file_is_missing(path: Path) -> None:
    folder = Folder(path)
    with pytest.raises(NotFoundError, match=r"no session 2 in the folder .*session_2\.nwb"):
        folder.locate(FILE("session", 2))
    with pytest.raises(NotFoundError, match=r"no table units in the folder .*units\.csv"):
        folder.locate(FILE("units"))
    with pytest.raises(NotFoundError, match=r"no natural movie 3 in the folder .*movie_3\.h5"):
        folder.locate(FILE("movie", 3))
    (path / "session_1/probe_11_lfp.nwb").unlink()
    with pytest.raises(NotFoundError, match=r"no LFP of probe 11 .*probe_11_lfp\.nwb"):
        folder.locate(FILE("lfp", 1, 11))


def test_folder__that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="typo is not there: give a cache folder"):
        Folder(tmp_path / "typo")


def test_folder__takes_no_directory_for_a_file(path: Path) -> None:
    (path / "session_3" / "session_3.nwb").mkdir(parents=True)
    with pytest.raises(NotFoundError, match="no session 3"):
        Folder(path).locate(FILE("session", 3))


def test_folder__leaves_what_it_cannot_read_as_it_is(path: Path) -> None:
    (path / "sessions.csv").write_text("<html>")
    with pytest.raises(InvalidFileError, match=r"sessions\.csv is not a table of sessions"):
        Folder(path).read_table(FILE("sessions"))
    assert (path / "sessions.csv").read_text() == "<html>"


@pytest.mark.parametrize("session_id", ["../../etc/passwd", "1", 1.5, None, -1])
def test_folder__makes_paths_from_ids_only(path: Path, session_id: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="is not an id"):
        Folder(path).locate(FILE("session", session_id))
    with pytest.raises(InvalidArgumentError, match="is not an id"):
        Folder(path).locate(FILE("scene", session_id))


@pytest.mark.parametrize("name", ["../probes", "manifest", "", "probes.csv"])
def test_file__takes_known_kinds_only(name: Any) -> None:
    with pytest.raises(NotFoundError, match="there is no kind of file"):
        FILE(name)


def test_folder__follows_links_of_its_owner(path: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "big_disk.nwb"
    elsewhere.write_bytes(b"bytes")
    (path / "session_5").mkdir()
    (path / "session_5" / "session_5.nwb").symlink_to(elsewhere)
    assert Folder(path).locate(FILE("session", 5)).path.read_bytes() == b"bytes"


def test_read_table__of_metrics(path: Path) -> None:
    metrics = Folder(path).read_table(FILE("type_metrics", "brain_observatory_1.1"))
    assert metrics.index.tolist() == [1111, 1112]
    (path / "session_1" / "session_1_analysis_metrics.csv").write_text(METRICS)
    metrics = Folder(path).read_table(FILE("session_metrics", 1))
    assert metrics["g_osi_dg"].iloc[0] == 0.5
    with pytest.raises(NotFoundError, match=r"session_2_analysis_metrics\.csv"):
        Folder(path).read_table(FILE("session_metrics", 2))
