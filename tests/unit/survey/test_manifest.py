"""Manifests: made, read, refused."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from spikehouse.errors import CacheError
from spikehouse.survey.manifest import create_manifest, read_manifest

VERSION = {"type": "manifest_version", "value": "0.3.0"}


def write(path: Path, entries: object) -> Path:
    path.write_text(json.dumps(entries))
    return path


def test_create_manifest__is_the_one_of_the_released_survey(
    shared_folder: Path, tmp_path: Path
) -> None:
    created = create_manifest(tmp_path / "new" / "manifest.json")
    expected = json.loads((shared_folder / "facts" / "manifest.json").read_text())
    found = json.loads(created.path.read_text())
    # the same entries; each folder stands right before the first file in it
    assert sorted(map(str, found["manifest"])) == sorted(map(str, expected["manifest"]))
    assert created.version == "0.3.0"
    assert not list(tmp_path.rglob("*.part"))


def test_create_manifest__leaves_an_existing_one_alone(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    create_manifest(path)
    before = path.stat().st_mtime_ns
    create_manifest(path)
    assert path.stat().st_mtime_ns == before


def test_file__puts_ids_into_the_names(tmp_path: Path) -> None:
    manifest = create_manifest(tmp_path / "manifest.json")
    assert manifest.file("sessions").path == tmp_path / "sessions.csv"
    assert manifest.file("session", 7).path == tmp_path / "session_7" / "session_7.nwb"
    assert manifest.file("lfp", 7, 8).path == tmp_path / "session_7" / "probe_8_lfp.nwb"
    assert manifest.file("scene", 5).path == (
        tmp_path / "natural_scene_templates" / "natural_scene_5.tiff"
    )
    assert manifest.file("type_metrics", "a_1.1").path == (tmp_path / "a_1.1_analysis_metrics.csv")


def test_file__keeps_percent_signs_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "100%d full"
    manifest = create_manifest(folder / "manifest.json")
    assert manifest.file("session", 7).path == folder / "session_7" / "session_7.nwb"
    assert manifest.file("units").path == folder / "units.csv"


def test_read_manifest__uses_the_names_it_gives(tmp_path: Path) -> None:
    path = write(
        tmp_path / "manifest.json",
        {
            "manifest": [
                {"type": "manifest_version", "value": "0.3.0"},
                {"key": "BASEDIR", "type": "dir", "spec": "/data/cache"},
                {"key": "units", "type": "file", "spec": "all_units.csv", "parent_key": "BASEDIR"},
            ]
        },
    )
    manifest = read_manifest(path)
    assert manifest.file("units").path == Path("/data/cache/all_units.csv")
    # what it does not mention lies where it always lies
    assert manifest.file("sessions").path == Path("/data/cache/sessions.csv")


@pytest.mark.parametrize("version", ["0.2.1", "1.0.0"])
def test_read_manifest__opens_another_version_with_a_notice(tmp_path: Path, version: str) -> None:
    path = write(
        tmp_path / "manifest.json", {"manifest": [{"type": "manifest_version", "value": version}]}
    )
    with pytest.warns(UserWarning, match=f"is of version {version}, not 0.3.0") as caught:
        manifest = read_manifest(path)
    assert len(caught) == 1
    assert manifest.file("units").path == tmp_path / "units.csv"


def test_read_manifest__says_nothing_about_the_expected_version(tmp_path: Path) -> None:
    path = write(
        tmp_path / "manifest.json", {"manifest": [{"type": "manifest_version", "value": "0.2.1"}]}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_manifest(path, version="0.2.1").version == "0.2.1"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not json {", "is not a manifest: it is not JSON"),
        ("", "is not a manifest: it is not JSON"),
        ("[1, 2]", "it has no list named 'manifest'"),
        ('{"manifest": 3}', "it has no list named 'manifest'"),
        ('{"manifest": [3]}', "it has no list named 'manifest'"),
        ('{"manifest": [{"type": "file"}]}', "an entry lacks its key or spec"),
        (
            '{"manifest": [{"type": "file", "key": "a", "spec": "b", "parent_key": "c"}]}',
            "'a' lies in 'c', which no earlier entry names",
        ),
    ],
)
def test_read_manifest__refuses_what_is_none(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(content)
    with pytest.raises(CacheError, match=message) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value)
    assert path.read_text() == content


def test_read_manifest__refuses_a_binary_file(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(b"\x89HDF\r\n\x1a\n\xff\xfe")
    with pytest.raises(CacheError, match="is not a manifest: it is not JSON"):
        read_manifest(path)


def test_read_manifest__refuses_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="cannot be read"):
        read_manifest(tmp_path)


def test_file__refuses_ids_the_pattern_does_not_take(tmp_path: Path) -> None:
    path = write(
        tmp_path / "manifest.json",
        {
            "manifest": [
                {"type": "manifest_version", "value": "0.3.0"},
                {"key": "session_nwb", "type": "file", "spec": "all.nwb"},
            ]
        },
    )
    with pytest.raises(
        CacheError,
        match=r"gives 'all\.nwb' for 'session_nwb', which should take session_id, session_id",
    ):
        read_manifest(path)


@pytest.mark.parametrize("spec", ["%d.nwb", "%i.nwb", "%s.nwb", "100%%_%d.nwb", "{x}_%d.nwb"])
def test_file__understands_the_patterns_of_manifests(tmp_path: Path, spec: str) -> None:
    entries = [{"key": "session_nwb", "type": "file", "spec": spec}]
    manifest = read_manifest(write(tmp_path / "manifest.json", {"manifest": [VERSION, *entries]}))
    file = manifest.file("session", 7)
    assert file.path == tmp_path / (spec % 7)
    assert manifest.parse(file.path) == file
    file.path.write_bytes(b"x")
    assert manifest.find_files() == [file]


@pytest.mark.parametrize("is_absolute", [False, True])
def test_parse__is_the_inverse_of_file(tmp_path: Path, is_absolute: bool) -> None:
    folder = tmp_path / "{a} 50%d"
    folder.mkdir()
    base = {"key": "BASEDIR", "type": "dir", "spec": str(folder).replace("%", "%%")}
    entries = [VERSION, *([base] if is_absolute else [])]
    manifest = read_manifest(write(folder / "manifest.json", {"manifest": entries}))
    ids = {"session_id": 7, "probe_id": 8, "session_type": "functional_connectivity", "number": 3}
    for kind in manifest.files.kinds.values():
        file = manifest.file(kind.name, *(ids[name] for name in kind.ids))
        assert manifest.parse(file.path) == file
        assert file.path == folder / file.key
        file.path.parent.mkdir(exist_ok=True)
        file.path.write_bytes(b"x")
    assert len(manifest.find_files()) == len(manifest.files.kinds)


def test_read_manifest__refuses_a_folder_without_its_ids(tmp_path: Path) -> None:
    entries = [VERSION, {"key": "session_data", "type": "dir", "spec": "sessions"}]
    path = write(tmp_path / "manifest.json", {"manifest": entries})
    with pytest.raises(CacheError, match=r"for 'probe_lfp_nwb', which should take session_id"):
        read_manifest(path)
