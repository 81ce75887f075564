"""A cache folder that somebody else made: it may lead nowhere but into itself."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest

from spikehouse.cache import EcephysProjectCache
from spikehouse.errors import CacheError, SpikehouseError
from spikehouse.survey.verify import record_file
from spikehouse.transfer.disk import try_lock

FROZEN = Path(__file__).parents[1] / "parity" / "project_tables" / "folder"
SESSION, PROBE = 900000001, 810000007
NWB = f"session_{SESSION}/session_{SESSION}.nwb"
ODD_NAMES = ["data [1]", "a*b?", "{x}", "100%d %s", "[!a]", "~", "#1 & 'it'", "-rf", " é\n"]


@pytest.fixture(autouse=True)
def _no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEHOUSE_PROGRESS", "0")


def make_hdf5(text: str) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["identifier"] = text
    return buffer.getvalue()


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """Give a folder that has the survey's tables and one session."""
    folder = tmp_path / "origin"
    (folder / f"session_{SESSION}").mkdir(parents=True)
    for table in FROZEN.glob("*.csv"):
        (folder / table.name).write_bytes(table.read_bytes())
    (folder / NWB).write_bytes(make_hdf5("right"))
    return folder


def write_manifest(folder: Path, **specs: str) -> Path:
    entries = [
        {"type": "manifest_version", "value": "0.3.0"},
        {"key": "BASEDIR", "type": "dir", "spec": "."},
        *({"key": k, "type": "file", "spec": s, "parent_key": "BASEDIR"} for k, s in specs.items()),
    ]
    folder.mkdir()
    path = folder / "manifest.json"
    path.write_text(json.dumps({"manifest": entries}))
    return path


def read_tree(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


LEADS_OUT: dict[str, Callable[[Path], str]] = {
    "absolute": lambda outside: str(outside / "session_%d" / "session_%d.nwb"),
    "dots": lambda outside: f"../{outside.name}/session_%d/session_%d.nwb",
    "dots midway": lambda outside: f"x/../../{outside.name}/session_%d/session_%d.nwb",
    "link": lambda outside: "led_out/session_%d/session_%d.nwb",
}


@pytest.fixture(params=LEADS_OUT)
def outside(request: pytest.FixtureRequest, tmp_path: Path, origin: Path) -> Iterator[Path]:
    """Give files outside of the cache folder that its manifest gives as its own: left as is."""
    outside = tmp_path / "outside"
    (outside / f"session_{SESSION}").mkdir(parents=True)
    (outside / NWB).write_bytes(make_hdf5("mine")[:900])
    old = outside / f"session_{SESSION + 1}" / f"session_{SESSION + 1}.nwb.part"
    old.parent.mkdir()
    old.write_bytes(b"mine as well")
    os.utime(old, (1e9, 1e9))
    write_manifest(tmp_path / "cache", session_nwb=LEADS_OUT[request.param](outside))
    (tmp_path / "cache" / "x").mkdir()
    (tmp_path / "cache" / "led_out").symlink_to(outside)
    before = read_tree(outside)
    yield outside
    assert read_tree(outside) == before


REFUSED: dict[str, Callable[[EcephysProjectCache, Path], Any]] = {
    "repair": lambda project, origin: project.verify(repair=True),
    "clean": lambda project, origin: project.remove_leftovers(project.list_leftovers()),
    "clean session": lambda project, origin: project.remove_leftovers(
        project.list_leftovers([SESSION])
    ),
    "fetch": lambda project, origin: project._store.fetch(
        project._store.file("session", SESSION + 2)
    ),
    "adopt": lambda project, origin: project.adopt(origin),
    "record": lambda project, origin: record_file(
        project._store, project._store.file("session", SESSION).path, sha256="", source=""
    ),
}


@pytest.mark.parametrize("action", REFUSED)
def test_manifest_that_leads_out__nothing_outside_is_changed(
    outside: Path, origin: Path, tmp_path: Path, action: str
) -> None:
    project = EcephysProjectCache.from_folder(origin, tmp_path / "cache" / "manifest.json")
    if action in ("fetch", "adopt"):
        new = origin / f"session_{SESSION + 2}" / f"session_{SESSION + 2}.nwb"
        new.parent.mkdir()
        new.write_bytes(make_hdf5("new"))
    with pytest.raises(CacheError, match=r"outside the folder .* Correct the entry"):
        REFUSED[action](project, origin)


def test_manifest_that_leads_out__is_read(outside: Path, origin: Path, tmp_path: Path) -> None:
    project = EcephysProjectCache.from_folder(origin, tmp_path / "cache" / "manifest.json")
    (row,) = project.verify().to_dict("records")
    assert row["state"] == "cut short"
    assert project._store.fetch(project._store.file("session", SESSION)).samefile(outside / NWB)


# ---- links planted under the names that are written


def use_everything(folder: Path, origin: Path) -> None:
    """Do everything that writes into a cache folder."""
    project = EcephysProjectCache.from_folder(origin, folder / "manifest.json")
    project.get_session_table()
    project.get_unit_analysis_metrics_for_session(SESSION)
    project.fetch(project.plan([SESSION]))
    path = folder / NWB
    path.unlink()
    path.write_bytes(make_hdf5("changed"))
    project.verify(repair=True)
    path.unlink()
    project.adopt(origin)
    project.remove_leftovers(project.list_leftovers([SESSION], recent=True))


_opened: list[str] | None = None


def _note(event: str, args: tuple[Any, ...]) -> None:
    is_watched = _opened is not None and event == "open" and isinstance(args[0], str)
    if is_watched and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        _opened.append(args[0])


sys.addaudithook(_note)


def test_planted_links__are_never_written_through(origin: Path, tmp_path: Path) -> None:
    global _opened
    _opened = []
    model = tmp_path / "model"
    try:
        use_everything(model, origin)
        names = {Path(name).relative_to(model) for name in _opened if name.startswith(str(model))}
    finally:
        _opened = None
    assert {
        Path(name) for name in ("sessions.csv.part", "manifest.json.part", f"{NWB}.part")
    } < names
    assert {".lock", ".json", ".parquet"} <= {
        n.with_name(n.name.removesuffix(".part")).suffix for n in names
    }
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    for number, name in enumerate(sorted(names)):
        for plant in (os.symlink, os.link):
            folder = tmp_path / f"{plant.__name__} {number}"
            (folder / name).parent.mkdir(parents=True)
            plant(victim, folder / name)
            with contextlib.suppress(SpikehouseError):
                use_everything(folder, origin)
            assert victim.read_bytes() == b"mine", name


@pytest.mark.parametrize("name", ["locks", "records", "tables", "blocks", "repair", ""])
def test_planted_folder_links__are_not_followed(origin: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = tmp_path / "cache" / ".spikehouse" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with contextlib.suppress(SpikehouseError):
        use_everything(tmp_path / "cache", origin)
    assert list(outside.iterdir()) == []


# ---- locks


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_folder_with_lock_files__without_flock__works(
    origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    fcntl = pytest.importorskip("fcntl")
    use_everything(tmp_path / "cache", origin)
    locks = list((tmp_path / "cache").rglob("*.lock"))
    assert len(locks) > 3

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    begun = time.monotonic()
    use_everything(tmp_path / "cache", origin)
    assert time.monotonic() - begun < 30
    assert sorted((tmp_path / "cache").rglob("*.held")) == []


def test_reading__waits_for_no_lock(origin: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "cache" / "manifest.json"
    project = EcephysProjectCache.from_folder(origin, manifest)
    project.get_session_table()
    project.fetch(project.plan([SESSION]))
    twins = manifest.parent / ".spikehouse" / "tables"
    for twin in twins.iterdir():
        twin.unlink()
    with contextlib.ExitStack() as stack:
        for lock in manifest.parent.rglob("*.lock"):
            assert stack.enter_context(try_lock(lock))
        again = EcephysProjectCache.fixed(manifest)
        assert len(again.get_session_table()) == 3
        assert NWB in set(again.list_files()["file"])
        assert (again.verify()["state"] == "ok").all()
        assert list(twins.iterdir()) == []


# ---- odd names


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_folder_names__are_no_patterns(origin: Path, tmp_path: Path, name: str) -> None:
    # what these names match as patterns
    (tmp_path / "data 1").mkdir()
    (tmp_path / "x").mkdir()
    other = tmp_path / f"from {name}"
    origin.rename(other)
    project = EcephysProjectCache.from_folder(other, tmp_path / name / "manifest.json")
    project.get_session_table()
    project.fetch(project.plan([SESSION]))
    part = tmp_path / name / "session_7" / "session_7.nwb.part"
    part.parent.mkdir()
    part.write_bytes(bytes(100))
    assert NWB in set(project.list_files()["file"])
    assert (project.verify()["state"] == "ok").all()
    (tmp_path / name / NWB).write_bytes(b"no")
    assert set(project.verify(repair=True)["state"]) == {"ok", "repaired"}
    found = project.list_leftovers([SESSION], recent=True)
    assert {leftover.kind for leftover in found} >= {"part", "session"}
    project.remove_leftovers(found)
    assert not part.exists()
    assert "linked" in set(project.adopt(other)["outcome"])
    again = EcephysProjectCache.fixed(tmp_path / name / "manifest.json")
    assert NWB in set(again.list_files()["file"])
    assert len(again.get_session_table()) == 3
