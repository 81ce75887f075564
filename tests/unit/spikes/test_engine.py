from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping

import numba
import numpy as np
import pytest

from spikehouse.errors import InvalidArgumentError
from spikehouse.spikes import _engine, _kernels, compiling, compute_mean_counts, count_spikes


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_engine, "LARGE", -1)


class Trains(Mapping):
    """Notes which thread asks for what."""

    def __init__(self, trains: dict[int, np.ndarray]) -> None:
        self.trains, self.asked = trains, []

    def __getitem__(self, unit: int) -> np.ndarray:
        self.asked.append((unit, threading.get_ident()))
        return self.trains[unit]

    def __iter__(self) -> Iterator[int]:
        return iter(self.trains)

    def __len__(self) -> int:
        return len(self.trains)


def test_compiled_rows__small_work_does_not_import_numba() -> None:
    code = """
import sys, numpy as np, pandas as pd
from spikehouse.spikes import *
spikes, domain = {1: np.arange(9.0)}, np.array([[0.0, 1.0, 2.0]])
count_spikes(spikes, [1], domain); compute_mean_counts(spikes, [1], domain)
table = pd.DataFrame({"start_time": [0], "stop_time": [2], "stimulus_condition_id": [0]})
compute_condition_statistics(spikes, [1], table)
sys.exit("numba" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_compiled_rows__large_work_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    # as in a process that has not loaded the loops yet
    monkeypatch.delitem(sys.modules, "spikehouse.spikes._kernels", raising=False)
    domain = np.tile([0.0, 1.0], (1000, 1))
    assert _engine.compiled_rows(domain, _engine.LARGE // domain.size) is None
    rows = _engine.compiled_rows(domain, _engine.LARGE // domain.size + 1)
    assert rows is not None
    assert rows.slack < 1e-9


def test_compiled_rows__less_will_do_once_the_loops_are_loaded() -> None:
    domain = np.tile([0.0, 1.0], (1000, 1))
    n_units = _engine.LARGE_ONCE_LOADED // domain.size
    assert _kernels is sys.modules["spikehouse.spikes._kernels"]
    assert _engine.compiled_rows(domain, n_units) is None
    assert _engine.compiled_rows(domain, n_units + 1) is not None


@pytest.mark.usefixtures("compiled")
def test_compiled_rows__measures_how_even_bins_are() -> None:
    assert _engine.compiled_rows(np.array([[1.0]]), 1) is None
    uneven = _engine.compiled_rows(np.array([[0.0, 0.1, 0.2, 10.0]]), 1)
    assert uneven is not None
    assert uneven.slack == np.inf


@pytest.mark.usefixtures("compiled")
def test_count_spikes__compiled_hand_made() -> None:
    spikes = {1: np.array([0.0, 0.5, 1.0, 1.0, 2.0]), 2: np.array([-1.0, 1.5, 9.0])}
    domain = np.array([[1.0, 2.0, 3.0], [0.0, 1.0, 2.0], [8.0, 9.0, 10.0]])
    counts = count_spikes(spikes, [2, 1], domain)
    assert counts.dtype == np.int16
    assert counts[:, :, 0].tolist() == [[1, 0], [0, 1], [0, 1]]
    assert counts[:, :, 1].tolist() == [[2, 1], [2, 2], [0, 0]]


@pytest.mark.usefixtures("compiled")
def test_count_spikes__compiled_widens_and_goes_on() -> None:
    spikes = {1: np.array([0.5]), 2: np.linspace(0, 1, 70_000, endpoint=False), 3: np.zeros(2)}
    counts = count_spikes(spikes, [1, 2, 3], np.array([[0.0, 1.0]]))
    assert counts.dtype == np.int32
    assert counts[0, 0].tolist() == [1, 70_000, 2]
    with pytest.raises(
        InvalidArgumentError, match="a bin holds 70000 spikes, more than dtype int8"
    ):
        count_spikes(spikes, [1, 2], np.array([[0.0, 1.0]]), dtype=np.int8)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("dtype", [np.float32, np.float16, bool, ">u2"])
def test_count_spikes__other_dtypes(dtype: object) -> None:
    counts = count_spikes({1: np.zeros(1)}, [1], np.array([[0.0, 1.0, 2.0]]), dtype=dtype)
    assert counts.dtype == dtype
    assert counts[0, :, 0].tolist() == [1, 0]


@pytest.mark.usefixtures("compiled")
def test_count_spikes__compiled_takes_any_train() -> None:
    spikes = {1: [0, 1, 2], 2: np.arange(6.0)[::2].astype(np.float32), 3: np.empty(0)}
    assert count_spikes(spikes, [1, 2, 3], np.array([[0.0, 2.0]]))[0, 0].tolist() == [2, 1, 0]


@pytest.mark.usefixtures("compiled")
def test_count_spikes__compiled_no_units_no_rows() -> None:
    assert count_spikes({}, [], np.zeros((4, 3))).shape == (4, 2, 0)
    assert count_spikes({1: np.array([0.0])}, [1], np.zeros((0, 3))).shape == (0, 2, 1)


def test_run_units__asks_for_each_unit_once_and_in_the_callers_thread() -> None:
    trains = Trains({unit: np.full(unit, 0.5) for unit in range(20)})
    sizes = _engine.run_units(trains, list(trains), lambda position, train: (position, train.size))
    assert sizes == [(unit, unit) for unit in range(20)]
    assert trains.asked == [(unit, threading.get_ident()) for unit in range(20)]


def test_run_units__reads_in_several_threads_where_the_mapping_says_it_may() -> None:
    trains = Trains({unit: np.full(unit, 0.5) for unit in range(100)})
    trains.is_thread_safe = True
    sizes = _engine.run_units(trains, list(trains), lambda position, train: (position, train.size))
    assert sizes == [(unit, unit) for unit in range(100)]
    assert sorted(unit for unit, _ in trains.asked) == list(range(100))
    assert threading.get_ident() not in {thread for _, thread in trains.asked}


def test_run_units__stops_at_the_first_error() -> None:
    asked = []

    def fail(position: int, train: np.ndarray) -> None:
        asked.append(position)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        _engine.run_units(dict.fromkeys(range(10_000), np.zeros(1)), range(10_000), fail)
    assert len(asked) < 1000


def test_run_units__an_unknown_unit_is_raised() -> None:
    with pytest.raises(KeyError):
        _engine.run_units({1: np.zeros(1)}, [1, 2], lambda *_: None)


def test_compiled__without_a_folder_to_keep_it_in(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def njit(*, cache: bool = False, **_: object) -> object:
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda loop: loop

    monkeypatch.setattr(numba, "njit", njit)
    assert compiling.compiled(len) is len
    assert asked == [True, False]


def test_mean_counts__compiled_overlapping_rows_in_any_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_engine, "LARGE", -1)
    spikes = {1: np.array([0.0, 1.0, 1.5, 4.0])}
    domain = np.array([[1.0, 2.0, 3.0], [0.0, 1.0, 2.0], [4.0, 5.0, 6.0], [0.0, 1.0, 2.0]])
    mean = compute_mean_counts(spikes, [1], domain, groups=[1, 0, 3, 0])
    assert mean[[0, 1, 3], :, 0].tolist() == [[1, 2], [2, 0], [1, 0]]
    assert np.isnan(mean[2]).all()
