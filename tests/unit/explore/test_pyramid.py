"""Counts that are kept: equal to the recipe's, whole or not there, and thrown away when stale."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from odd_recording import open_recording

from file_server import Behaviour, FileServer
from spikehouse.errors import InvalidFileError
from spikehouse.explore import _sessions, pyramid
from spikehouse.explore._answers import decode
from spikehouse.explore._sessions import NO_FILTERS, Sessions
from spikehouse.explore.pyramid import CountKeeper, Pyramid
from spikehouse.explore.recipes.population import area_rates, population_counts
from spikehouse.session import EcephysSession

if TYPE_CHECKING:
    from starlette.testclient import TestClient


@pytest.fixture
def session(rng: np.random.Generator) -> EcephysSession:
    """Give a recording of 100 s with spikes on edges, a silent unit and bursts beyond a byte."""
    tenths = np.arange(1000) / 10
    return open_recording(
        {
            1: tenths,
            2: np.nextafter(tenths[1:], -np.inf),
            3: np.empty(0),
            # 300 spikes in a tenth of a second, and 70 000 in a second
            4: np.sort(np.r_[np.linspace(50, 50.09, 300), rng.uniform(60, 61, 70_000)]),
            **{unit: np.sort(rng.uniform(0, 100, 2000)) for unit in range(10, 60)},
        },
        structures=("VISp", None, "LGd"),
    )


def _make(
    session: EcephysSession, folder: Path, place: str = "here", identity: str = "1"
) -> CountKeeper:
    return CountKeeper(lambda: nullcontext(session), folder, place=place, identity=identity)


def _keep(session: EcephysSession, folder: Path, identity: str = "1") -> CountKeeper:
    keeper = _make(session, folder, identity=identity)
    keeper.start()
    keeper.wait(30)
    return keeper


def test_count__is_that_of_the_recipe(
    session: EcephysSession, tmp_path: Path, rng: np.random.Generator
) -> None:
    keeper = _keep(session, tmp_path)
    assert keeper.pyramid is not None
    for _ in range(60):
        start = float(rng.integers(0, 900)) / 10
        span = (start, start + float(rng.integers(1, 100)) / 10 + 0.05)
        width = float(rng.choice([0.1, 0.2, 0.3, 0.7, 1.0, 1.5, 2.0, 8.0]))
        chosen = tuple(rng.permutation(list(session.spike_times)).tolist()[: rng.integers(0, 9)])
        arguments = {"span": span, "bin": width, "unit_ids": chosen}
        mine = keeper.pyramid.answer("population_counts", session, arguments)
        theirs = population_counts(session, **arguments)
        assert mine is not None
        for name, array in theirs.items():
            assert mine[name].dtype == array.dtype
            assert np.array_equal(mine[name], array), (name, arguments)


def test_count__bursts_are_exact_at_every_width(session: EcephysSession, tmp_path: Path) -> None:
    keeper = _keep(session, tmp_path)
    assert keeper.pyramid is not None
    for width in (0.1, 0.5, 1.0, 10.0):
        mine = keeper.pyramid.count(unit_ids=(4,), span=(50, 70), bin=width)
        assert mine is not None
        assert mine["counts"].sum() == 70_300


def test_answer__of_areas_is_that_of_the_recipe(session: EcephysSession, tmp_path: Path) -> None:
    keeper = _keep(session, tmp_path)
    assert keeper.pyramid is not None
    mine = keeper.pyramid.answer("area_rates", session, {"span": (0.0, 90.0), "bin": 3.0})
    theirs = area_rates(session, span=(0, 90), bin=3)
    assert mine is not None
    assert mine["structures"] == theirs["structures"]
    assert np.array_equal(mine["rates"], theirs["rates"])


@pytest.mark.parametrize(
    "arguments",
    [{"unit_ids": (1, 99)}, {"span": (-5.0, 1.0)}, {"span": (90.0, 900.0)}, {"unit_ids": (1, 1)}],
)
def test_count__leaves_to_the_recipe_what_it_does_not_know(
    session: EcephysSession, tmp_path: Path, arguments: dict[str, object]
) -> None:
    keeper = _keep(session, tmp_path)
    assert keeper.pyramid is not None
    assert keeper.pyramid.count(**arguments) is None  # type: ignore[arg-type]


def test_keeper__opens_what_is_there(
    session: EcephysSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _keep(session, tmp_path)
    monkeypatch.setattr(pyramid, "write_counts", None)
    assert _keep(session, tmp_path).status()["state"] == "ready"


@pytest.mark.parametrize("place", ["magic", "middle", "end", "cut", "empty"])
def test_keeper__builds_a_damaged_file_again(
    session: EcephysSession, tmp_path: Path, place: str
) -> None:
    path = _keep(session, tmp_path).path
    whole = path.read_bytes()
    at = {"magic": 3, "middle": len(whole) // 2, "end": len(whole) - 30}.get(place)
    if at is None:
        path.write_bytes(whole[: -len(whole) // 3] if place == "cut" else b"")
    else:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x15]) + whole[at + 1 :])
    with pytest.raises(InvalidFileError, match="damaged"):
        Pyramid(path)
    assert _keep(session, tmp_path).status()["state"] == "ready"
    assert path.read_bytes() == whole


def test_status__looks_into_the_folder_and_builds_nothing(
    session: EcephysSession, tmp_path: Path
) -> None:
    path = _keep(session, tmp_path).path
    assert _make(session, tmp_path).status()["state"] == "ready"
    path.write_bytes(b"damaged")
    assert _make(session, tmp_path).status()["state"] == "absent"


def test_keeper__leaves_counts_of_another_place(session: EcephysSession, tmp_path: Path) -> None:
    other = _make(session, tmp_path, "here with other filters")
    other.start()
    other.wait(30)
    _keep(session, tmp_path, "2")
    assert other.path.exists()


def test_keeper__an_error_of_any_kind_is_a_message_and_is_tried_again(
    session: EcephysSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(pyramid, "count_spikes", lambda *_: 1 // 0)
        keeper = _keep(session, tmp_path)
    status = keeper.status()
    assert status["state"] == "failed"
    assert "counting failed: ZeroDivisionError" in status["message"]
    keeper.start()
    keeper.wait(30)
    assert keeper.status()["state"] == "ready"


def test_keeper__stops_between_two_units(
    session: EcephysSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    class Trains(dict[int, np.ndarray]):
        def __getitem__(self, unit_id: int) -> np.ndarray:
            read.append(unit_id)
            keeper.stop()
            return super().__getitem__(unit_id)

    # which reads the last spikes, too
    monkeypatch.setattr(pyramid, "population_span", lambda _: {"stop": 100.0, "blocks": None})
    session.api.spike_times = Trains(session.api.spike_times)
    keeper = _make(session, tmp_path)
    keeper.start()
    keeper.wait(30)
    assert keeper.status()["message"] == "stopped"
    assert len(read) == 1
    keeper.start()
    assert keeper.status()["state"] == "failed"


def test_keeper__times_that_are_not_in_seconds_are_a_message(tmp_path: Path) -> None:
    keeper = _keep(open_recording({1: np.array([1.0, 1e8])}), tmp_path)
    message = keeper.status()["message"]
    assert message.startswith("the recording stops at 1e+08 s, and at most 172,800 s (2 days)")


def test_keeper__a_folder_for_the_user_alone(session: EcephysSession, tmp_path: Path) -> None:
    keeper = CountKeeper(
        lambda: nullcontext(session), tmp_path / "counts", place="", identity="", mode=0o700
    )
    keeper.start()
    keeper.wait(30)
    assert keeper.path.exists()
    if os.name == "posix":
        assert (tmp_path / "counts").stat().st_mode & 0o777 == 0o700


def test_keeper__throws_counts_of_an_earlier_file_away(
    session: EcephysSession, tmp_path: Path
) -> None:
    before = _keep(session, tmp_path, "1").path
    after = _keep(session, tmp_path, "2").path
    assert after.exists()
    assert not before.exists()


def test_keeper__the_oldest_go_where_all_are_too_large(
    session: EcephysSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = []
    for n in range(3):
        keeper = _make(session, tmp_path, f"file {n}")
        if n == 2:
            monkeypatch.setattr(pyramid, "MOST_BYTES", 2.5 * paths[0].stat().st_size)
        keeper.start()
        keeper.wait(30)
        paths.append(keeper.path)
        os.utime(keeper.path, (n, n))
    assert [path.exists() for path in paths] == [False, True, True]


def test_keeper__closing_leaves_nothing_unfinished(
    session: EcephysSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyramid, "N_UNITS_A_BATCH", 1)
    begun, may_go_on = threading.Event(), threading.Event()
    count = pyramid.count_spikes

    def count_slowly(*arguments: object) -> object:
        begun.set()
        may_go_on.wait(10)
        return count(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(pyramid, "count_spikes", count_slowly)
    keeper = _make(session, tmp_path)
    keeper.start()
    begun.wait(10)
    assert keeper.status() == {"state": "building", "done": 0, "total": 54, "message": ""}
    threading.Timer(0.1, may_go_on.set).start()
    keeper.stop()
    keeper.wait(10)
    assert keeper.status()["state"] == "failed"
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_keeper__a_folder_that_cannot_be_written_is_a_message(
    session: EcephysSession, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    keeper = _keep(session, tmp_path / "file")
    status = keeper.status()
    assert status["state"] == "failed"
    assert "cannot be written" in status["message"]


def test_keeper__two_servers_build_once(
    session: EcephysSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    write = pyramid.write_counts

    def write_once(*arguments: object) -> None:
        written.append(1)
        time.sleep(0.2)
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(pyramid, "write_counts", write_once)
    keepers = [_make(session, tmp_path) for _ in range(2)]
    for keeper in keepers:
        keeper.start()
    for keeper in keepers:
        keeper.wait(30)
    assert [keeper.status()["state"] for keeper in keepers] == ["ready", "ready"]
    assert len(written) == 1


def test_keeper__a_recording_without_units_has_empty_counts(tmp_path: Path) -> None:
    empty = open_recording({})
    keeper = _keep(empty, tmp_path)
    assert keeper.pyramid is not None
    assert keeper.pyramid.count(span=(0, 1)) is not None


# ---- of the sessions of a server


def _build(client: TestClient, key: str) -> dict[str, object]:
    status = client.get(f"/api/s/{key}/counts?build=1").json()
    deadline = time.monotonic() + 60
    while status["state"] == "building":
        assert time.monotonic() < deadline, status
        time.sleep(0.02)
        status = client.get(f"/api/s/{key}/counts").json()
    return dict(status)


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Sessions, "find_folder", lambda *_: tmp_path)
    return tmp_path


def test_counts__of_another_adapter_of_the_same_file_are_not_kept(
    serve: Callable[..., TestClient], session: EcephysSession, in_folder: Path
) -> None:
    (in_folder / "raw.dat").write_bytes(b"x")
    session.api.path = str(in_folder / "raw.dat")
    sessions = Sessions()
    key = sessions.add(session)
    status = _build(serve(sessions), key)
    assert status["state"] == "failed"
    assert "kept of an NWB file" in str(status["message"])
    assert not (in_folder / "counts").exists()


def test_counts__of_one_file_with_other_filters_are_others(
    serve: Callable[..., TestClient], session_path: Path, in_folder: Path
) -> None:
    sessions = Sessions()
    given = [EcephysSession.from_nwb_path(session_path, api_kwargs=f) for f in ({}, NO_FILTERS)]
    keys = [sessions.add(one) for one in given]
    client = serve(sessions)
    for key in keys:
        assert _build(client, key)["state"] == "ready"
    assert len(list((in_folder / "counts").glob("*.counts"))) == 2
    for key, one in zip(keys, given, strict=True):
        answer = client.get(f"/api/s/{key}/population_counts?span=0,9&bin=1")
        assert decode(answer.content)["unit_ids"].tolist() == list(one.spike_times)
        one.close()


def test_counts__of_a_session_that_was_closed_as_idle(
    serve: Callable[..., TestClient],
    session_path: Path,
    in_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_sessions, "MOST_OPEN", 1)
    sessions = Sessions()
    for name in ("a", "b"):
        sessions.add(shutil.copy(session_path, in_folder / f"{name}.nwb"))
    client = serve(sessions)
    for key in ("file-1", "file-2"):
        assert client.get(f"/api/s/{key}/counts").json()["state"] == "absent"
    assert [one["open"] for one in sessions.list_known()] == [False, True]
    assert _build(client, "file-1")["state"] == "ready"


def test_counts__of_a_file_that_changed_on_its_server_are_counted_again(
    serve: Callable[..., TestClient], session_path: Path, in_folder: Path
) -> None:
    content = session_path.read_bytes()
    kept = []
    with FileServer() as server:
        for n in (1, 1, 2):
            # the digest of bytes at the end, which HDF5 does not read, is another ETag
            server.routes["/s.nwb"] = content + bytes(n)
            sessions = Sessions()
            client = serve(sessions)
            key = sessions.add(server.url("/s.nwb"))
            # as after a restart: what was kept is found without reading all spikes again
            kept.append(client.get(f"/api/s/{key}/counts").json()["state"])
            assert _build(client, key)["state"] == "ready"
    assert kept == ["absent", "ready", "absent"]
    assert len(list((in_folder / "counts").glob("*.counts"))) == 1


@pytest.mark.parametrize("validators", ["weak", "none"])
def test_counts__of_a_server_that_tells_no_version_are_not_kept(
    serve: Callable[..., TestClient], session_path: Path, in_folder: Path, validators: str
) -> None:
    with FileServer() as server:
        server.routes["/s.nwb"] = session_path.read_bytes()
        server.misbehave(Behaviour(validators=validators))  # type: ignore[arg-type]
        sessions = Sessions()
        key = sessions.add(server.url("/s.nwb"))
        assert _build(serve(sessions), key)["state"] == "failed"
    assert not (in_folder / "counts").exists()


def test_counts__closing_does_not_wait_for_a_server_that_does_not_answer(
    serve: Callable[..., TestClient], session_path: Path, in_folder: Path
) -> None:
    with FileServer() as server:
        server.routes["/s.nwb"] = session_path.read_bytes()
        sessions = Sessions()
        key = sessions.add(server.url("/s.nwb"))
        client = serve(sessions)
        assert client.get(f"/api/s/{key}/counts").json()["state"] == "absent"
        server.misbehave(Behaviour(delay_s=20))
        assert client.get(f"/api/s/{key}/counts?build=1").json()["state"] == "building"
        # by now it waits, inside of HDF5
        time.sleep(0.5)
        begun = time.monotonic()
        sessions.close()
        assert time.monotonic() - begun < 10
    assert not list((in_folder / "counts").glob("*.counts"))
