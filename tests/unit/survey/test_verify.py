"""Verifying and repairing: what is said of which file, and that no file is ever lost."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from spikehouse.errors import NotFoundError, SourceError
from spikehouse.survey.file_kinds import PlannedFile
from spikehouse.survey.manifest import create_manifest
from spikehouse.survey.sources.folder import Folder
from spikehouse.survey.store import Store
from spikehouse.survey.verify import (
    FileReport,
    compute_sha256,
    record_file,
    repair_file,
    verify_files,
)
from spikehouse.transfer.records import read_record
from spikehouse.transfer.remote_file import RemoteFile

SESSION = 900000001
PROBE = 810000007


def make_hdf5(seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["numbers"] = np.random.default_rng(seed).random(500)
    return buffer.getvalue()


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """Give a folder that has a session, an LFP file and a table."""
    folder = tmp_path / "origin"
    session = folder / f"session_{SESSION}"
    session.mkdir(parents=True)
    (session / f"session_{SESSION}.nwb").write_bytes(make_hdf5())
    (session / f"probe_{PROBE}_lfp.nwb").write_bytes(make_hdf5(1))
    (folder / "probes.csv").write_text(
        "id,air_channel_index,ecephys_session_id,lfp_sampling_rate,lfp_temporal_subsampling_factor,"
        "name,phase,sampling_rate,surface_channel_index,has_lfp_data\n"
        f"{PROBE},1,{SESSION},2500,2,probeA,3a,30000,2,True\n"
    )
    return folder


@pytest.fixture
def store(tmp_path: Path, origin: Path) -> Store:
    """Give a cache that fetched all three."""
    manifest = create_manifest(tmp_path / "cache" / "manifest.json")
    store = Store(manifest, [Folder(origin)], progress=False)
    store.fetch(store.file("session", SESSION))
    store.fetch(store.file("lfp", SESSION, PROBE))
    store.fetch(store.file("probes"))
    return store


def session_path(store: Store) -> Path:
    return store.file("session", SESSION).path


def verify(store: Store) -> dict[str, FileReport]:
    return {
        report.file.path.name: report for report in verify_files(store, store.manifest.find_files())
    }


def verify_session(store: Store) -> FileReport:
    return verify(store)[f"session_{SESSION}.nwb"]


def overwrite(path: Path, body: bytes) -> None:
    path.write_bytes(body)


# --- which files


def test_find_files__finds_every_kind_and_nothing_else(store: Store) -> None:
    folder = store.folder
    for name in [
        "notes.txt",
        "session_1/session_2.nwb",
        f"session_0{SESSION}/session_0{SESSION}.nwb",
        "natural_scene_templates/natural_scene_5.tiff",
        "natural_scene_templates/natural_scene_x.tiff",
        "natural_movie_templates/natural_movie_1.h5",
        f"session_{SESSION}/session_{SESSION}_analysis_metrics.csv",
        "brain_observatory_1.1_analysis_metrics.csv",
        "session_7/session_7.nwb.part",
    ]:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    names = [file.path.relative_to(folder).as_posix() for file in store.manifest.find_files()]
    assert names == [
        "brain_observatory_1.1_analysis_metrics.csv",
        "natural_movie_templates/natural_movie_1.h5",
        "natural_scene_templates/natural_scene_5.tiff",
        "probes.csv",
        f"session_{SESSION}/probe_{PROBE}_lfp.nwb",
        f"session_{SESSION}/session_{SESSION}.nwb",
        f"session_{SESSION}/session_{SESSION}_analysis_metrics.csv",
    ]
    (part,) = store.manifest.find_files(suffix=".part")
    assert part.ids == (7,)
    assert store.manifest.find_files()[4].ids == (SESSION, PROBE)


# --- what is said


def test_verify_files__of_what_was_fetched_is_ok(store: Store) -> None:
    reports = verify(store)
    assert {name: report.state for name, report in reports.items()} == {
        "probes.csv": "ok",
        f"probe_{PROBE}_lfp.nwb": "ok",
        f"session_{SESSION}.nwb": "ok",
    }
    assert all(report.advice == "" and not report.is_bad for report in reports.values())


@pytest.mark.parametrize(
    ("body", "state", "reason"),
    [
        (make_hdf5(2), "changed", "sha256 [0-9a-f]{12}… instead of [0-9a-f]{12}…, recorded 20"),
        (make_hdf5() + b"more", "changed", "it has .* bytes, .* were recorded 20"),
        (make_hdf5()[:1000], "cut short", "is cut short: it has 1000 bytes, its HDF5 superblock"),
        (b"<html>not today</html>", "not HDF5", "is not an HDF5 file: it begins with b'<html>"),
        (b"", "not HDF5", "it is empty"),
    ],
)
def test_verify_files__says_what_is_wrong(
    store: Store, body: bytes, state: str, reason: str
) -> None:
    overwrite(session_path(store), body)
    report = verify_session(store)
    assert report.state == state
    assert report.is_bad
    assert report.n_bytes == len(body)
    assert "spikehouse verify --repair" in report.advice
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(report.reason)
    # looking changes nothing
    assert session_path(store).read_bytes() == body


BAD: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    **{
        f"cut to {size}": lambda path, size=size: path.write_bytes(make_hdf5()[:size])
        for size in range(8, 15)
    },
    "garbage": lambda path: path.write_bytes(bytes(range(256)) * 10),
    "folder": lambda path: path.mkdir(),
    "pipe": os.mkfifo if hasattr(os, "mkfifo") else Path.mkdir,
    "link to nowhere": lambda path: path.symlink_to(path.with_name("nowhere")),
}


@pytest.mark.parametrize("damage", BAD)
@pytest.mark.parametrize("kind", ["session", "lfp", "scene", "movie", "table"])
def test_verify_files__go_on_after_a_bad_one(store: Store, kind: str, damage: str) -> None:
    targets = {
        "session": store.file("session", SESSION),
        "lfp": store.file("lfp", SESSION, PROBE),
        "scene": store.file("scene", 5),
        "movie": store.file("movie", 1),
        "table": store.file("probes"),
    }
    path = targets[kind].path
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    BAD[damage](path)
    reports = verify(store)
    bad = reports.pop(path.name, None)
    if damage != "link to nowhere":
        assert bad is not None
        assert bad.is_bad
        assert (bad.state == "unreadable") == (damage in ("folder", "pipe"))
    assert len(reports) == (3 if kind in ("scene", "movie") else 2)
    assert {report.state for report in reports.values()} == {"ok"}


@pytest.mark.parametrize("damage", ["folder", "pipe"])
def test_repair_file__sets_aside_what_is_no_file(store: Store, damage: str) -> None:
    path = session_path(store)
    content = path.read_bytes()
    path.unlink()
    BAD[damage](path)
    kept = repair_file(store, verify_session(store))
    assert path.read_bytes() == content
    assert kept == path.with_name(f"{path.name}.bad-1")


def test_verify_files__the_system_refuses_to_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens = Path.open

    def refuse(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path == session_path(store):
            raise PermissionError(13, "Permission denied", str(path))
        return opens(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    states = {name: report.state for name, report in verify(store).items()}
    assert states.pop(f"session_{SESSION}.nwb") == "unreadable"
    assert set(states.values()) == {"ok"}


def test_verify_files__of_a_table_that_is_none(store: Store) -> None:
    overwrite(store.file("probes").path, b"a,b\n1,2\n")
    assert verify(store)["probes.csv"].state == "damaged"


def test_verify_files__without_a_record(store: Store, origin: Path) -> None:
    path = session_path(store)
    for record in store.records.iterdir():
        record.unlink()
    report = verify_session(store)
    assert (report.state, report.is_bad) == ("no record", False)
    assert "spikehouse cache adopt" in report.advice
    record_file(store, path, sha256=compute_sha256(path), source="adopted")
    assert verify_session(store).state == "ok"


class Archive(Folder):
    """A source that publishes digests."""

    sha256 = hashlib.sha256(make_hdf5()).hexdigest()

    def locate(self, file: PlannedFile) -> RemoteFile:  # type: ignore[override]
        if file.kind.name == "lfp":
            raise SourceError("out of order")
        return RemoteFile("http://127.0.0.1:1/x", "it", sha256=self.sha256, source="archive")


def test_verify_files__asks_for_published_digests(store: Store, origin: Path) -> None:
    for record in store.records.iterdir():
        record.unlink()
    asking = Store(store.manifest, [Archive(origin)])
    reports = {
        report.file.kind.name: report
        for report in verify_files(asking, asking.manifest.find_files(), published=True)
    }
    assert reports["session"].state == "ok"
    assert reports["session"].reason == "sha256 as published by archive"
    assert reports["lfp"].state == "no record"
    assert "no source publishes a digest of it; out of order" in reports["lfp"].reason
    overwrite(session_path(store), make_hdf5(2))
    asked = verify_files(asking, asking.manifest.find_files(), published=True)
    assert {report.file.kind.name: report.state for report in asked}["session"] == "changed"


# --- repair


@pytest.mark.parametrize("body", [make_hdf5()[:1000], b"<html>not today</html>", b""])
def test_repair_file__replaces_what_is_broken(store: Store, body: bytes) -> None:
    path = session_path(store)
    overwrite(path, body)
    assert repair_file(store, verify_session(store)) is None
    assert path.read_bytes() == make_hdf5()
    assert verify_session(store).state == "ok"
    assert [other.name for other in path.parent.glob("*.bad*")] == []
    assert list((store.own / "repair").rglob("*.nwb")) == []
    record = read_record(store.records, path)
    assert record is not None
    assert record.size == path.stat().st_size


def test_repair_file__keeps_what_may_be_somebodys_own(store: Store) -> None:
    path = session_path(store)
    for number, seed in enumerate([5, 6], start=1):
        overwrite(path, make_hdf5(seed))
        kept = repair_file(store, verify_session(store))
        assert kept == path.with_name(f"{path.name}.bad-{number}")
        assert kept.read_bytes() == make_hdf5(seed)
        assert path.read_bytes() == make_hdf5()
        assert verify_session(store).state == "ok"


@pytest.mark.parametrize("body", [make_hdf5()[:1000], b"<html>not today</html>", b""])
def test_repair_file__keeps_what_was_not_fetched(store: Store, body: bytes) -> None:
    path = session_path(store)
    overwrite(path, body)
    for record in store.records.iterdir():
        record.unlink()
    kept = repair_file(store, verify_session(store))
    assert kept is not None
    assert (kept.read_bytes(), path.read_bytes()) == (body, make_hdf5())


def test_repair_file__keeps_no_second_copy_of_the_same(store: Store) -> None:
    path = session_path(store)
    record_file(store, path, sha256="0" * 64, source="nonsense")
    assert verify_session(store).state == "changed"
    assert repair_file(store, verify_session(store)) is None
    assert verify_session(store).state == "ok"


def test_repair_file__that_fails_leaves_the_old_one(store: Store, origin: Path) -> None:
    path = session_path(store)
    overwrite(path, make_hdf5()[:1000])
    report = verify_session(store)
    (origin / f"session_{SESSION}" / f"session_{SESSION}.nwb").unlink()
    with pytest.raises(NotFoundError):
        repair_file(store, report)
    assert path.read_bytes() == make_hdf5()[:1000]
    assert verify_session(store).state == "cut short"


def test_repair_file__refuses_a_bad_successor(store: Store, origin: Path) -> None:
    path = session_path(store)
    overwrite(path, make_hdf5()[:1000])
    (origin / f"session_{SESSION}" / f"session_{SESSION}.nwb").write_bytes(b"worse")
    with pytest.raises(OSError, match="not an HDF5 file"):
        repair_file(store, verify_session(store))
    assert path.read_bytes() == make_hdf5()[:1000]
