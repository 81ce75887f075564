"""The recipes of the population view against counting spike by spike."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from odd_recording import open_recording

from spikehouse.demo import Survey
from spikehouse.errors import InvalidArgumentError, InvalidFileError, NotFoundError
from spikehouse.explore._sessions import Sessions
from spikehouse.explore.recipes.population import (
    area_rates,
    lfp_traces,
    order_units,
    population_counts,
    population_span,
    population_spikes,
)
from spikehouse.session import EcephysSession

if TYPE_CHECKING:
    from starlette.testclient import TestClient


@pytest.fixture
def session(session_path: Path) -> Iterator[EcephysSession]:
    with EcephysSession.from_nwb_path(session_path) as opened:
        yield opened


@pytest.fixture
def on_edges() -> EcephysSession:
    """Give a recording whose spikes lie on tenths of seconds, and beside them."""
    tenths = np.arange(100) / 10
    return open_recording(
        {
            5: tenths,
            3: np.nextafter(tenths[1:], -np.inf),
            9: np.empty(0),
            4: np.repeat(3.0, 700),
        },
        structures=("VISp", "LGd", None),
    )


@pytest.mark.parametrize("bin_width", [0.1, 0.3, 0.7, 1.0])
def test_population_counts__every_spike_is_in_the_bin_from_its_left_edge(
    on_edges: EcephysSession, bin_width: float
) -> None:
    found = population_counts(on_edges, span=(0, 10), bin=bin_width)
    edges = found["edges"]
    step = round(10 * bin_width)
    assert edges.tolist() == [k * step / 10 for k in range(len(edges))]
    assert found["unit_ids"].tolist() == list(on_edges.spike_times)
    for unit_id, row in zip(found["unit_ids"].tolist(), found["counts"], strict=True):
        times = on_edges.spike_times[unit_id]
        expected = [sum(1 for time in times if a <= time < b) for a, b in pairwise(edges)]
        assert row.tolist() == expected


def test_population_counts__chosen_units_come_in_the_order_asked_for(
    on_edges: EcephysSession,
) -> None:
    found = population_counts(on_edges, unit_ids=(4, 5), span=(2.95, 3.05), bin=0.1)
    assert found["unit_ids"].tolist() == [4, 5]
    assert found["edges"].tolist() == [2.9, 3.0, 3.1]
    assert found["counts"].tolist() == [[0, 700], [1, 1]]
    # as small as the largest count allows
    assert found["counts"].dtype == np.uint16


@pytest.mark.parametrize(
    ("span", "bin_width", "said"),
    [((0, 1), 0.25, "multiples of 0.1 s"), ((0, 1), 0.0, "multiples"), ((2, 2), 0.1, "empty")],
)
def test_population_counts__refuses_bins_between_tenths_and_empty_spans(
    on_edges: EcephysSession, span: tuple[float, float], bin_width: float, said: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=said):
        population_counts(on_edges, span=span, bin=bin_width)


def test_population_counts__outside_of_the_recording_are_zeros(on_edges: EcephysSession) -> None:
    assert population_counts(on_edges, span=(5000, 5001))["counts"].sum() == 0


def test_population_spikes__lists_what_is_counted(session: EcephysSession) -> None:
    found = population_spikes(session, window=(100.0, 103.0))
    counts = population_counts(session, span=(100, 103))["counts"].sum(axis=1)
    n_units = len(found["unit_ids"])
    assert np.bincount(found["rows"], minlength=n_units).tolist() == counts.tolist()
    assert ((found["times"] >= 100) & (found["times"] < 103)).all()
    first = found["unit_ids"][found["rows"][0]]
    assert found["times"][0] in session.spike_times[int(first)]


def test_population_spikes__hold_one_train_at_a_time() -> None:
    alive, most = set(), 0

    class Trains(dict[int, np.ndarray]):
        def __getitem__(self, unit_id: int) -> np.ndarray:
            nonlocal most
            train = np.arange(1000.0)
            alive.add(unit_id)
            most = max(most, len(alive))
            weakref.finalize(train, alive.discard, unit_id)
            return train

    session = open_recording(Trains({unit: np.empty(0) for unit in range(20)}))
    session.api.spike_times = Trains(session.api.spike_times)
    assert len(population_spikes(session, window=(5, 7))["times"]) == 40
    assert most <= 2


def test_area_rates__are_means_over_the_units_of_each_structure(on_edges: EcephysSession) -> None:
    found = area_rates(on_edges, span=(0, 10), bin=1.0)
    counts = population_counts(on_edges, span=(0, 10), bin=1.0)
    structure = on_edges.units["ecephys_structure_acronym"]
    for name, n, rates in zip(found["structures"], found["n_units"], found["rates"], strict=True):
        own = [
            row
            for unit, row in zip(counts["unit_ids"], counts["counts"], strict=True)
            if structure[unit] == name
        ]
        assert n == len(own)
        assert rates.tolist() == np.mean(own, axis=0).tolist()


def test_population_span__covers_stimuli_and_running(session: EcephysSession) -> None:
    found = population_span(session)
    assert found["stop"] >= session.stimulus_presentations["stop_time"].max()
    assert found["stop"] >= session.running_speed["end_time"].max()
    assert found["blocks"]["stimulus_name"].tolist()


def test_population_span__of_spikes_alone_ends_with_the_last(on_edges: EcephysSession) -> None:
    found = population_span(on_edges)
    assert found["stop"] == 9.9
    assert not len(found["blocks"])


def test_population_span__of_nothing_is_not_empty() -> None:
    assert population_span(open_recording({1: np.empty(0)}))["stop"] > 0


def _present(*stops: float) -> EcephysSession:
    shown = pd.DataFrame(
        {
            "start_time": np.arange(len(stops), dtype=float),
            "stop_time": stops,
            "stimulus_name": "flashes",
            "stimulus_block": 0.0,
        },
        index=pd.Index(range(len(stops)), name="id"),
    )
    trains = {1: np.arange(0, 90, 0.5), 2: np.arange(0, 45, 0.4)}
    return open_recording(trains, presentations=shown)


@pytest.mark.parametrize("end", [np.inf, -np.inf, np.nan])
def test_population_span__an_end_that_is_no_number_says_nothing(end: float) -> None:
    session = _present(1.0, end)
    assert population_span(session)["stop"] == 89.5
    assert len(order_units(session, order="component", bin=1.0)["units"]) == 2


def test_order_units__by_component_of_times_that_are_not_in_seconds() -> None:
    with pytest.raises(InvalidFileError, match=r"'flashes' stops at 1e\+08 s.* must be in seconds"):
        order_units(_present(1.0, 1e8), order="component")


def test_order_units__by_component_has_no_narrow_bins() -> None:
    with pytest.raises(InvalidArgumentError, match="order=component: 1 s or more"):
        order_units(_present(50.0), order="component", bin=0.1)
    with pytest.raises(InvalidArgumentError, match="order=component: 8 s or more"):
        order_units(_present(150_000.0), order="component", bin=2.0)


@pytest.mark.parametrize("order", ["depth", "area", "waveform", "rate", "latency", "component"])
def test_order_units__has_every_unit_once(session: EcephysSession, order: str) -> None:
    table = order_units(session, order=order)["units"]  # type: ignore[arg-type]
    assert sorted(table.index) == sorted(session.units.index)


def test_order_units__says_what_there_is_no_order_by(on_edges: EcephysSession) -> None:
    with pytest.raises(NotFoundError, match="no firing_rate"):
        order_units(on_edges, order="rate")
    with pytest.raises(NotFoundError, match="no waveform_duration"):
        order_units(on_edges, order="waveform")
    with pytest.raises(NotFoundError, match="no stimulus 'flashes'"):
        order_units(on_edges, order="latency")


def test_order_units__by_depth_goes_down_each_probe(session: EcephysSession) -> None:
    table = order_units(session)["units"]
    assert table["probe"].is_monotonic_increasing
    for _, probe in table.groupby("probe"):
        assert probe["depth_um"].is_monotonic_decreasing


def test_order_units__by_waveform_begins_with_fast_spiking_ones(session: EcephysSession) -> None:
    table = order_units(session, order="waveform")["units"]
    is_fast = session.units["waveform_duration"][table.index] < 0.4
    assert 0 < is_fast.sum() < len(table)
    assert is_fast.to_numpy()[: is_fast.sum()].all()
    assert (table["waveform_class"] == "fast-spiking").tolist() == is_fast.tolist()
    for _, rows in table.groupby(["waveform_class", "probe"]):
        assert rows["depth_um"].is_monotonic_decreasing


def test_order_units__by_area_begins_with_the_hierarchy(on_edges: EcephysSession) -> None:
    structures = order_units(on_edges, order="area")["units"]["structure"]
    known = structures.dropna().tolist()
    assert known == sorted(known, key=["LGd", "VISp"].index)
    assert structures.isna().to_numpy()[len(known) :].all()


def test_order_units__by_component_puts_units_that_fire_together_together(
    rng: np.random.Generator,
) -> None:
    on, off = np.arange(0, 400, 0.05), np.arange(400, 800, 0.05)
    trains = {unit: on if unit % 2 else off for unit in range(10)}
    trains[20] = np.sort(rng.uniform(0, 800, 4000))
    table = order_units(open_recording(trains), order="component")["units"]
    parities = [unit % 2 for unit in table.index if unit != 20]
    assert parities in ([0] * 5 + [1] * 5, [1] * 5 + [0] * 5)
    assert table.index[5] == 20
    assert table["value"].is_monotonic_decreasing


@pytest.mark.parametrize("n_units", [4, 40])
def test_order_units__by_component_is_that_of_a_decomposition(
    rng: np.random.Generator, n_units: int
) -> None:
    # fewer and more units than bins
    session = open_recording({unit: np.sort(rng.uniform(0, 200, 300)) for unit in range(n_units)})
    counted = population_counts(session, span=(0, 200), bin=10.0)
    counts = counted["counts"].astype(float)
    values = order_units(session, order="component")["units"]["value"][counted["unit_ids"]]
    scored = (counts - counts.mean(axis=1, keepdims=True)) / counts.std(axis=1, keepdims=True)
    expected = np.linalg.svd(scored)[0][:, 0]
    assert values.abs().to_numpy() == pytest.approx(np.abs(expected), abs=1e-9)
    assert values.sum() >= 0


@pytest.fixture
def with_lfp(survey: Survey, session_path: Path) -> Iterator[EcephysSession]:
    probe_id = 910001000
    paths = {probe_id: survey.lfp_file(probe_id)}
    options = {"probe_lfp_paths": paths}
    with EcephysSession.from_nwb_path(session_path, api_kwargs=options) as opened:
        yield opened


def test_lfp_traces__are_those_of_the_file(with_lfp: EcephysSession) -> None:
    whole = with_lfp.get_lfp(910001000)
    start = float(whole["time"][0]) + 1
    found = lfp_traces(with_lfp, probe_id=910001000, window=(start, start + 1), n_channels=4)
    assert found["values"].shape == (4, len(found["times"]))
    assert len(found["times"]) > 600
    assert (np.diff(found["depth_um"]) < 0).all()
    assert 0 <= found["times"][0] - start < 0.002
    assert found["times"][-1] < start + 1
    own = whole.sel(channel=found["channel_ids"][1], time=found["times"][7]).item()
    assert found["values"][1, 7] == np.float32(1e6 * own)


def test_lfp_traces__outside_of_the_recording_say_when_it_is(with_lfp: EcephysSession) -> None:
    with pytest.raises(NotFoundError, match=r"no LFP from 90000 to 90002 s; it lasts from"):
        lfp_traces(with_lfp, probe_id=910001000, window=(90_000, 90_002))


@pytest.mark.parametrize("recipe", ["running", "pupil", "lfp_traces?probe_id=7"])
def test_server__says_what_an_adapter_does_not_have(
    serve: Callable[..., TestClient], on_edges: EcephysSession, recipe: str
) -> None:
    sessions = Sessions()
    key = sessions.add(on_edges)
    answer = serve(sessions).get(f"/api/s/{key}/{recipe}")
    assert answer.status_code == 404
    assert answer.json()["message"].startswith(
        "this recording does not have it: its adapter has no"
    )
