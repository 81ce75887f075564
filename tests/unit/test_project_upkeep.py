"""Taking files in, listing what is there, and removing what may go."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import h5py
import pytest
from filelock import FileLock

from spikehouse.cache import EcephysProjectCache
from spikehouse.errors import CacheError, NotFoundError
from spikehouse.survey import upkeep
from spikehouse.survey.verify import compute_sha256
from spikehouse.transfer.disk import try_lock

FROZEN = Path(__file__).parents[1] / "parity" / "project_tables" / "folder"
SESSION, PROBE = 900000001, 810000007


@pytest.fixture(autouse=True)
def _no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEHOUSE_PROGRESS", "0")


@pytest.fixture
def project(tmp_path: Path) -> EcephysProjectCache:
    return EcephysProjectCache.from_folder(FROZEN, tmp_path / "cache" / "manifest.json")


def make_hdf5() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["identifier"] = str(SESSION)
    return buffer.getvalue()


def place(path: Path, body: bytes | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(make_hdf5() if body is None else body)
    return path


def outcomes(project: EcephysProjectCache, folder: Path) -> dict[str, str]:
    table = project.adopt(folder)
    return dict(zip((path.name for path in table["origin"]), table["outcome"], strict=True))


# --- adopt


def test_adopt__knows_files_by_their_names(
    project: EcephysProjectCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "downloads"
    place(folder / f"sub-1_ses-{SESSION}.nwb")
    place(folder / f"sub-1_ses-{SESSION}_probe-{PROBE}_ecephys.nwb")
    place(folder / "lfp" / "probe_810000021_lfp.nwb")
    place(folder / "probe_5_lfp.nwb")
    place(folder / "notes.nwb")
    place(folder / "natural_scene_200.tiff", b"II*\x00")
    place(folder / ".spikehouse" / f"session_{SESSION}.nwb")
    assert outcomes(project, folder) == {
        f"sub-1_ses-{SESSION}.nwb": "linked",
        f"sub-1_ses-{SESSION}_probe-{PROBE}_ecephys.nwb": "linked",
        # of which session, the table of probes says
        "probe_810000021_lfp.nwb": "linked",
    }
    cache = project.manifest_path.parent
    assert (cache / f"session_{SESSION}" / f"session_{SESSION}.nwb").exists()
    assert (cache / f"session_{SESSION}" / f"probe_{PROBE}_lfp.nwb").exists()
    assert (project.verify()["state"] == "ok").all()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert set(outcomes(project, Path("~/downloads")).values()) == {"there already"}


def test_adopt__copies_where_it_cannot_link(
    project: EcephysProjectCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError("another disk")

    monkeypatch.setattr(os, "link", refuse)
    origin = place(tmp_path / "other" / f"session_{SESSION}.nwb")
    assert list(outcomes(project, origin.parent).values()) == ["copied"]
    copy = project.manifest_path.parent / f"session_{SESSION}" / f"session_{SESSION}.nwb"
    assert copy.read_bytes() == origin.read_bytes()
    assert not copy.samefile(origin)


def test_adopt__never_links_a_table(project: EcephysProjectCache) -> None:
    found = outcomes(project, FROZEN)
    assert found["units.csv"] == "copied"
    assert not (project.manifest_path.parent / "units.csv").samefile(FROZEN / "units.csv")


def test_adopt__refuses_what_is_broken(project: EcephysProjectCache, tmp_path: Path) -> None:
    origin = place(tmp_path / "other" / f"session_{SESSION}.nwb", make_hdf5()[:500])
    (row,) = project.adopt(origin.parent).to_dict("records")
    assert row["outcome"] == "refused"
    assert "is cut short" in row["reason"]
    assert origin.exists()
    assert not (project.manifest_path.parent / f"session_{SESSION}" / origin.name).exists()


@pytest.mark.parametrize("is_in_place", [False, True])
def test_adopt__goes_on_after_bad_files(
    project: EcephysProjectCache, tmp_path: Path, is_in_place: bool
) -> None:
    cache = project.manifest_path.parent
    folder = cache if is_in_place else tmp_path / "other"
    for number, n_bytes in enumerate((0, 8, 9, 13, 100, 500)):
        place(folder / f"session_{number}" / f"session_{number}.nwb", make_hdf5()[:n_bytes])
    (folder / "session_20" / "session_20.nwb").mkdir(parents=True)
    (folder / "session_21").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "session_21" / "session_21.nwb")
    place(
        folder / "natural_movie_templates" / "natural_movie_1.h5",
        b"\x93NUMPY\x01\x00\x05\x00((((\n",
    )
    good = place(folder / "session_99" / "session_99.nwb", make_hdf5())
    found = outcomes(project, folder)
    assert found.pop(good.name) == ("recorded" if is_in_place else "linked")
    assert len(found) >= 8
    assert set(found.values()) == {"refused"}


def test_adopt__a_folder_in_the_place_of_the_file(
    project: EcephysProjectCache, tmp_path: Path
) -> None:
    cache = project.manifest_path.parent
    (cache / f"session_{SESSION}" / f"session_{SESSION}.nwb").mkdir(parents=True)
    place(tmp_path / "other" / f"session_{SESSION}.nwb")
    place(tmp_path / "other" / "session_99.nwb")
    table = project.adopt(tmp_path / "other")
    assert sorted(table["outcome"]) == ["linked", "refused"]
    assert table["reason"].str.contains("is not a regular file: remove it first").sum() == 1


def test_adopt__refuses_what_has_changed_since(
    project: EcephysProjectCache, tmp_path: Path
) -> None:
    # another cache of ours, where somebody overwrote a file
    other = EcephysProjectCache.from_folder(FROZEN, tmp_path / "other" / "manifest.json")
    path = place(tmp_path / "other" / f"session_{SESSION}" / f"session_{SESSION}.nwb")
    assert outcomes(other, tmp_path / "other")[path.name] == "recorded"
    path.write_bytes(make_hdf5() + b"more")
    table = project.adopt(tmp_path / "other")
    assert table["outcome"].tolist() == ["refused"]
    assert "it has changed since it was fetched" in table["reason"][0]


def test_adopt__in_place_records_what_is_there(project: EcephysProjectCache) -> None:
    cache = project.manifest_path.parent
    place(cache / f"session_{SESSION}" / f"session_{SESSION}.nwb")
    assert project.verify()["state"].tolist() == ["no record"]
    assert list(outcomes(project, cache).values()) == ["recorded"]
    assert list(outcomes(project, cache).values()) == ["there already"]
    assert project.verify()["state"].tolist() == ["ok"]


def test_adopt__leaves_what_arrived_meanwhile(
    project: EcephysProjectCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = place(tmp_path / "other" / "natural_scene_3.tiff", b"II*\x00mine")
    target = project._store.file("scene", 3).path

    def publish(path: Path, **kwargs: object) -> str:
        # another process finishes its download
        place(target, b"II*\x00published")
        return compute_sha256(path)

    monkeypatch.setattr(upkeep, "compute_sha256", publish)
    assert outcomes(project, origin.parent) == {origin.name: "there already"}
    assert target.read_bytes() == b"II*\x00published"
    # its record is for the other process to write
    assert project.verify()["state"].tolist() == ["no record"]


def test_adopt__needs_a_folder(project: EcephysProjectCache, tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="there is no folder"):
        project.adopt(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert project.adopt(tmp_path / "empty").columns.tolist() == [
        "origin",
        "path",
        "outcome",
        "reason",
    ]


# --- leftovers


def make_part(project: EcephysProjectCache, session_id: int, *, age_s: float) -> Path:
    name = f"session_{session_id}"
    part = place(project.manifest_path.parent / name / f"{name}.nwb.part", bytes(1000))
    state = place(part.with_name(f"{part.name}.json"), b"{}")
    for path in (part, state):
        os.utime(path, (time.time() - age_s,) * 2)
    return part


def test_list_leftovers__leaves_out_what_may_go_on(project: EcephysProjectCache) -> None:
    old = make_part(project, 1, age_s=100_000)
    new = make_part(project, 2, age_s=100)
    (found,) = project.list_leftovers()
    assert found.paths == (old, old.with_name(f"{old.name}.json"))
    assert {part.paths[0] for part in project.list_leftovers(recent=True)} == {old, new}
    # a .part of something else is not ours
    place(project.manifest_path.parent / "movie.mkv.part")
    assert len(project.list_leftovers(recent=True)) == 2


@pytest.mark.parametrize("suffix", [".part.json", ".part.json.part"])
def test_list_leftovers__names_a_journal_without_its_part(
    project: EcephysProjectCache, suffix: str
) -> None:
    part = make_part(project, 1, age_s=100_000)
    journal = part.with_name(f"{part.name}.json").rename(
        f"{str(part).removesuffix('.part')}{suffix}"
    )
    part.unlink()
    (found,) = project.list_leftovers()
    assert found.paths == (journal,)
    project.remove_leftovers([found])
    assert not journal.exists()


def test_remove_leftovers__never_takes_what_is_being_written(project: EcephysProjectCache) -> None:
    part = make_part(project, 1, age_s=100_000)
    found = project.list_leftovers()
    lock = project._store.lock_for(part.with_name("session_1.nwb"))
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        assert project.list_leftovers() == []
        assert project.remove_leftovers(found) == 0
    assert part.exists()
    assert project.remove_leftovers(found) > 0
    assert not part.exists()


def test_remove_leftovers__holds_the_lock_until_all_is_removed(
    project: EcephysProjectCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = make_part(project, 1, age_s=100_000)
    found = project.list_leftovers()
    lock = project._store.lock_for(part.with_name("session_1.nwb"))
    unlink = Path.unlink
    removed = []

    def watch(path: Path, *, missing_ok: bool = False) -> None:
        with try_lock(lock) as is_free:
            removed.append((path.name, is_free))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", watch)
    project.remove_leftovers(found)
    # the journal first
    assert removed == [(f"{part.name}.json", False), (part.name, False)]


def test_list_files__names_what_is_there(project: EcephysProjectCache) -> None:
    project.get_session_table()
    cache = project.manifest_path.parent
    place(cache / f"session_{SESSION}" / f"session_{SESSION}.nwb")
    place(cache / ".spikehouse" / "blocks" / "x" / "data-0-1", bytes(5000))
    make_part(project, 7, age_s=0)
    files = project.list_files().set_index("file")
    assert files.loc[f"session_{SESSION}/session_{SESSION}.nwb", "kind"] == "session"
    assert files.loc["session_7/session_7.nwb.part", "kind"] == "part"
    assert files.loc[".spikehouse/blocks", "kind"] == "streamed"
    assert files.loc["units.csv", "source"] == "folder"


def test_list_leftovers__names_sessions_that_are_here(project: EcephysProjectCache) -> None:
    with pytest.raises(NotFoundError, match="no file of session 5 is here: there are none here"):
        project.list_leftovers([5])
