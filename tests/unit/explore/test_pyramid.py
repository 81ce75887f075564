"""Counts that are kept: equal to the recipe's, whole or not there, and thrown away when stale."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from odd_recording import open_recording

from spikehouse.errors import InvalidFileError
from spikehouse.explore import pyramid
from spikehouse.explore.pyramid import CountKeeper, Pyramid
from spikehouse.explore.recipes.population import area_rates, population_counts
from spikehouse.session import EcephysSession


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


def _keep(session: EcephysSession, folder: Path, identity: str = "1") -> CountKeeper:
    keeper = CountKeeper(session, folder, place="here", identity=identity)
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
        keeper = CountKeeper(session, tmp_path, place=f"file {n}", identity="1")
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
    keeper = CountKeeper(session, tmp_path, place="here", identity="1")
    keeper.start()
    begun.wait(10)
    assert keeper.status() == {"state": "building", "done": 0, "total": 54, "message": ""}
    threading.Timer(0.1, may_go_on.set).start()
    keeper.close()
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
    keepers = [CountKeeper(session, tmp_path, place="here", identity="1") for _ in range(2)]
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
