"""A session as the objects of pynapple, xarray and SpikeInterface."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from spikehouse import EcephysSession
from spikehouse.analysis import summarize_behavior
from spikehouse.errors import InvalidArgumentError, NotFoundError

# what these packages warn of while they are imported is not this package's
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*spikes are missing or wrong:UserWarning"),
]
TIMES = {4: np.array([0.5, 1.2, 4.0, 7.5]), 2: np.array([0.0]), 9: np.array([])}


@pytest.fixture
def nap() -> Any:
    return pytest.importorskip("pynapple", reason="pynapple is not installed")


@pytest.fixture
def core() -> Any:
    return pytest.importorskip("spikeinterface.core", reason="SpikeInterface is not installed")


@pytest.fixture
def session(session_path: Path, survey: Any) -> EcephysSession:
    lfp = {910001000: survey.lfp_file(910001000)}
    return EcephysSession.from_nwb_path(session_path, api_kwargs={"probe_lfp_paths": lfp})


def make_session(**tables: Any) -> EcephysSession:
    units = pd.DataFrame({"depth": [1, 2, 3], "kind": ["a", None, "b"]}, index=list(TIMES))
    return EcephysSession.from_arrays(TIMES, units, **tables)


@pytest.mark.parametrize("package", ["pynapple", "spikeinterface"])
def test_to__without_the_package(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (package, f"{package}.core"):
        monkeypatch.setitem(sys.modules, name, None)
    convert = {
        "pynapple": make_session().to_pynapple,
        "spikeinterface": lambda: make_session().to_spikeinterface(sampling_frequency=1.0),
    }
    message = f"to_{package} needs the package {package}: pip install {package}"
    with pytest.raises(ModuleNotFoundError, match=message):
        convert[package]()


# ---- pynapple


def test_to_pynapple__has_what_the_session_has(nap: Any, session: EcephysSession) -> None:
    found = session.to_pynapple(lfp=session.probes.index[0])
    assert set(found) == {
        "units", "running_speed", "pupil_data", "screen_gaze", "stimulus_epochs",
        "optogenetic_stimulation", "probeA_lfp",
        *(f"{name}_presentations" for name in session.stimulus_names),
    }  # fmt: skip
    units = found["units"]
    assert list(units) == sorted(session.units.index)
    snr = session.units["snr"]
    assert units.metadata["snr"].to_dict() == snr.to_dict()
    for unit in units:
        np.testing.assert_allclose(units[unit].t, session.spike_times[unit], atol=1e-9)
    flashes = session.get_stimulus_table("flashes", missing="nan")
    shown = found["flashes_presentations"]
    np.testing.assert_allclose(shown.start, flashes["start_time"], atol=1e-9)
    np.testing.assert_allclose(shown.end, flashes["stop_time"], atol=2e-6)
    assert shown["color"].tolist() == flashes["color"].tolist()
    assert shown["stimulus_presentation_id"].tolist() == flashes.index.tolist()
    running = session.running_speed
    assert (found["running_speed"].values == running["velocity"].to_numpy()).all()
    middle = running[["start_time", "end_time"]].mean(axis=1)
    np.testing.assert_allclose(found["running_speed"].t, middle, atol=1e-9)
    pupil = session.get_pupil_data()
    np.testing.assert_array_equal(found["pupil_data"].values, pupil.to_numpy())
    assert list(found["pupil_data"].columns) == list(pupil)
    assert "index" not in found["stimulus_epochs"].metadata_columns
    pulses = session.optogenetic_stimulation_epochs
    assert found["optogenetic_stimulation"]["level"].tolist() == pulses["level"].tolist()


def test_to_pynapple__reads_the_lfp_that_is_restricted(
    nap: Any, session: EcephysSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = session.probes.index[0]
    expected = session.get_lfp(probe).sel(time=slice(30, 31)).load()
    lfp = session.to_pynapple(lfp=[probe])["probeA_lfp"]
    read = []
    one_row = type(lfp.values).__getitem__

    def record(self: Any, key: Any) -> Any:
        rows = one_row(self, key)
        read.append(len(rows))
        return rows

    monkeypatch.setattr(type(lfp.values), "__getitem__", record)
    second = lfp.restrict(nap.IntervalSet(30, 31))
    np.testing.assert_array_equal(second.values, expected)
    assert sum(read) == len(expected)
    assert lfp.columns.tolist() == expected["channel"].to_numpy().tolist()
    depth = session.channels.loc[lfp.columns, "probe_vertical_position"]
    assert lfp.metadata["probe_vertical_position"].tolist() == depth.tolist()


def test_to_pynapple__leaves_out_what_is_invalid_for_all_probes(nap: Any) -> None:
    invalid = pd.DataFrame(
        {
            "start_time": [1.0, 2.0, 7.0],
            "stop_time": [3.0, 5.0, 8.0],
            "tags": [["all_probes"], ["all_probes"], ["stimulus"]],
        }
    )
    session = make_session(
        invalid_times=invalid,
        running_speed=pd.DataFrame({"start_time": np.arange(11.0), "velocity": np.arange(11.0)}),
    )
    found = session.to_pynapple()
    units, running = found["units"], found["running_speed"]
    np.testing.assert_allclose(units.time_support.values, [[0, 1], [5, 10.5]])
    assert [units[unit].t.tolist() for unit in TIMES] == [[0.5, 7.5], [0.0], []]
    assert units.metadata["kind"].to_dict() == {4: "a", 2: "", 9: "b"}
    assert running.t.tolist() == [0.5, 5.5, 6.5, 7.5, 8.5, 9.5, 10.5]


def test_to_pynapple__invalid_intervals_that_touch_leave_nothing_between(nap: Any) -> None:
    invalid = pd.DataFrame({"start_time": [1.0, 2.0, 4.0], "stop_time": [2.0, 4.0, 5.0]})
    times = {1: np.array([0.0, 2.0, 3.9999995, 7.5])}
    units = EcephysSession.from_arrays(times, invalid_times=invalid).to_pynapple()["units"]
    np.testing.assert_allclose(units.time_support.values, [[0, 1], [5, 7.5]])
    assert units[1].t.tolist() == [0, 7.5]


def test_to_pynapple__keeps_a_column_called_rate(nap: Any) -> None:
    units = pd.DataFrame({"rate": [7.0, 8.0, 9.0]}, index=list(TIMES))
    found = EcephysSession.from_arrays(TIMES, units).to_pynapple()["units"]
    assert found.metadata["unit_rate"].to_dict() == {4: 7, 2: 8, 9: 9}
    np.testing.assert_allclose(found.metadata["rate"], [1 / 7.5, 4 / 7.5, 0])


def test_to_pynapple__keeps_intervals_that_touch_or_overlap(nap: Any) -> None:
    shown = pd.DataFrame({"start_time": [0.0, 1, 2], "stop_time": [1.0, 2.5, 3], "size": [7, 8, 9]})
    found = make_session(presentations=shown).to_pynapple()["stimulus_presentations"]
    assert found.start.tolist() == [0, 1, 2]
    np.testing.assert_allclose(found.end, [1 - 1e-6, 2 - 1e-6, 3], rtol=0, atol=1e-9)
    assert found.get_info("size").tolist() == [7, 8, 9]


def test_to_pynapple__says_which_intervals_are_left_out(nap: Any) -> None:
    shown = pd.DataFrame({"start_time": [0.0, 1, 1, 4], "stop_time": [1.0, 2, 3, 4]})
    message = "2 of 4 intervals of 'stimulus_presentations' are left out"
    with pytest.warns(UserWarning, match=message):
        found = make_session(presentations=shown).to_pynapple()
    assert found["stimulus_presentations"].start.tolist() == [0, 1]


def test_to_pynapple__of_a_tsgroup(nap: Any) -> None:
    group = nap.TsGroup({3: nap.Ts(np.array([0.0, 1, 2]))}, metadata={"area": ["VISp"]})
    again = EcephysSession.from_arrays(group).to_pynapple()["units"]
    assert again[3].t.tolist() == [0, 1, 2]
    assert again.metadata["area"].tolist() == ["VISp"]


# ---- xarray


def test_to_dataset__has_parameters_units_and_behavior(session: EcephysSession) -> None:
    flashes = session.get_stimulus_table("flashes", missing="nan")
    unit_ids = session.units.index[[5, 2]]
    edges = [0.0, 0.05, 0.2]
    found = session.to_dataset("flashes", edges, unit_ids, behavior=True)
    counts = session.presentationwise_spike_counts(edges, flashes.index, unit_ids)
    xr.testing.assert_equal(found["spike_counts"].reset_coords(drop=True), counts)
    assert found["color"].to_series().tolist() == flashes["color"].tolist()
    assert found["snr"].to_series().tolist() == session.units.loc[unit_ids, "snr"].tolist()
    assert found["waveform_duration"].attrs == {"units": "ms"}
    behavior = summarize_behavior(session, flashes)
    for name in behavior:
        np.testing.assert_array_equal(found[name].values, behavior[name])
    assert set(found) == {"spike_counts", *behavior}


def test_to_dataset__without_bins_counts_whole_presentations(session: EcephysSession) -> None:
    found = session.to_dataset("static_gratings")
    first = session.get_stimulus_table("static_gratings").iloc[0]
    for unit, count in found["spike_counts"][0].to_series().items():
        times = session.spike_times[unit]
        assert count == ((times >= first["start_time"]) & (times < first["stop_time"])).sum()


def test_to_dataset__is_written_and_read(session: EcephysSession, tmp_path: Path) -> None:
    dataset = session.to_dataset("static_gratings", [0.0, 0.1])
    dataset.to_netcdf(tmp_path / "gratings.nc", engine="scipy")
    with xr.open_dataset(tmp_path / "gratings.nc", engine="scipy") as again:
        np.testing.assert_array_equal(again["spike_counts"], dataset["spike_counts"])
        np.testing.assert_array_equal(again["orientation"], dataset["orientation"])


def test_to_dataset__of_names_that_occur_twice() -> None:
    shown = pd.DataFrame({"start_time": [0.0, 1], "duration": 0.5, "depth": [10, 20]})
    shown["unit_depth"] = [30, 40]
    found = make_session(presentations=shown).to_dataset("stimulus")
    assert found["depth"].values.tolist() == [10, 20]
    assert found["unit_depth"].values.tolist() == [30, 40]
    assert found["unit_unit_depth"].values.tolist() == [1, 2, 3]
    assert found["kind"].values.tolist() == ["a", "", "b"]


@pytest.mark.filterwarnings("ignore:this session has no eye tracking")
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (owner, name)
        for owner in ("unit", "stimulus_presentation")
        for name in (
            "spike_counts", "unit_id", "stimulus_presentation_id", "window_start",
            "time_relative_to_stimulus_onset", "running_speed", "pupil_x",
        )
        if name != f"{owner}_id"
    ],
)  # fmt: skip
def test_to_dataset__columns_with_the_name_of_another_part(owner: str, name: str) -> None:
    tables = {
        "unit": pd.DataFrame({"kind": ["a", "b", "c"]}, pd.Index(list(TIMES), name="unit_id")),
        "stimulus_presentation": pd.DataFrame({"start_time": [0.0, 1], "duration": 0.5}),
    }
    running = pd.DataFrame({"start_time": np.arange(5.0), "velocity": np.arange(5.0)})

    def convert() -> xr.Dataset:
        session = EcephysSession.from_arrays(TIMES, *tables.values(), running_speed=running)
        return session.to_dataset("stimulus", [[0.0, 0.1], [0.2, 0.3]], behavior=True)

    expected = convert()
    given = np.arange(7.0, 7 + len(tables[owner]))
    tables[owner] = tables[owner].assign(**{name: given})
    found = convert()
    assert found[f"{owner}_{name}"].dims == (f"{owner}_id",)
    assert found[f"{owner}_{name}"].values.tolist() == given.tolist()
    # presentations of other columns have other conditions
    own = [f"{owner}_{name}", "stimulus_condition_id"]
    xr.testing.assert_identical(found.drop_vars(own), expected.drop_vars(own, errors="ignore"))


def test_to_dataset__of_a_stimulus_that_was_not_shown(session: EcephysSession) -> None:
    with pytest.raises(NotFoundError, match="did you mean 'flashes'"):
        session.to_dataset("flash")


# ---- SpikeInterface


def test_to_spikeinterface__has_times_and_properties(core: Any, session: EcephysSession) -> None:
    probe = session.probes.index[0]
    sorting = session.to_spikeinterface(probe)
    rate = session.probes.loc[probe, "sampling_rate"]
    units = session.units[session.units["probe_id"] == probe]
    assert sorting.unit_ids.tolist() == units.index.tolist()
    assert sorting.sampling_frequency == rate
    for unit in units.index:
        times = session.spike_times[unit]
        samples = sorting.get_unit_spike_train(unit)
        assert samples.dtype == np.int64
        np.testing.assert_array_equal(samples, np.round(times * rate))
        again = sorting.get_unit_spike_train(unit, return_times=True)
        np.testing.assert_allclose(again, times, rtol=0, atol=0.5 / rate + 1e-9)
    expected = core.NumpySorting.from_unit_dict(
        {unit: np.round(session.spike_times[unit] * rate).astype(int) for unit in units.index}, rate
    )
    np.testing.assert_array_equal(sorting.to_spike_vector(), expected.to_spike_vector())
    area = sorting.get_property("ecephys_structure_acronym")
    assert area.tolist() == units["ecephys_structure_acronym"].tolist()
    assert session.to_spikeinterface().get_num_units() == session.num_units


def test_to_spikeinterface__of_times_before_zero(core: Any) -> None:
    times = {1: np.array([-1.25, 2.0]), 2: np.array([])}
    sorting = EcephysSession.from_arrays(times).to_spikeinterface(sampling_frequency=100.0)
    assert sorting.get_unit_spike_train(1).tolist() == [75, 400]
    assert sorting.get_unit_spike_train(1, return_times=True).tolist() == [-1.25, 2.0]
    assert sorting.get_unit_spike_train(2).size == 0


def test_to_spikeinterface__bad_arguments(session: EcephysSession) -> None:
    with pytest.raises(NotFoundError, match="there is no probe 5: did you mean 910001000"):
        session.to_spikeinterface(5)
    for frequency in (0, -3.0, np.nan, np.inf):
        with pytest.raises(InvalidArgumentError, match=f"the sampling frequency is {frequency}"):
            session.to_spikeinterface(sampling_frequency=frequency)
    with pytest.raises(InvalidArgumentError, match="the probes of this session have none"):
        make_session().to_spikeinterface()
