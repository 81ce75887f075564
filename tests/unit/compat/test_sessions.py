"""Filters written for AllenSDK, where phases, sizes and spatial frequencies are text."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from spikehouse import session as ours
from spikehouse.cache import EcephysProjectCache
from spikehouse.compat import stimulus_analysis as sa
from spikehouse.compat.functions import build_spike_histogram
from spikehouse.compat.sessions import EcephysSession, ParameterText

COLUMNS = ("phase", "size", "spatial_frequency")
FILTERS = {
    "==": lambda table, name, text: table[table[name] == text],
    "!=": lambda table, name, text: table.drop(table.index[table[name] != text]),
    "eq": lambda table, name, text: table.loc[table[name].eq(text)],
    "isin": lambda table, name, text: table[table[name].isin([text, "no such"])],
    "values": lambda table, name, text: table[table[name].to_numpy() == text],
    "masks": lambda table, name, text: table[(table[name] == text) & (table["duration"] > 0)],
    "query ==": lambda table, name, text: table.query(f"{name} == {text!r}"),
    "query !=": lambda table, name, text: table.drop(table.query(f"{name} != {text!r}").index),
    "query in": lambda table, name, text: table.query(f"{name} in [{text!r}]"),
    "query @": lambda table, name, text: table.query(f"{name} == @text"),
    "map": lambda table, name, text: table[table[name].map(lambda value: value == text)],
    "apply": lambda table, name, text: table[table.apply(lambda row: row[name] == text, axis=1)],
    "concat": lambda table, name, text: pd.concat([table, table.iloc[:0]]).query(f"{name}==@text"),
    "groupby": lambda table, name, text: table.groupby(name).get_group(text),
}
NUMBER_FILTERS = ("==", "!=", "eq", "values", "masks", "query ==", "query !=", "map", "apply")


@pytest.fixture(scope="module")
def session(session_path):
    return EcephysSession.from_nwb_path(session_path)


@pytest.fixture(scope="module")
def raw(session_path):
    """What the file has, by presentation id: AllenSDK's columns."""
    return ours.EcephysSession.from_nwb_path(session_path).api.get_stimulus_presentations()


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("way", FILTERS)
@pytest.mark.parametrize("stimulus", ["gabors", "static_gratings", None])
def test_text_filters__select_what_the_file_says(session, raw, name, way, stimulus):
    table = session.stimulus_presentations if stimulus is None else (
        session.get_stimulus_table(stimulus)
    )  # fmt: skip
    shown = raw.loc[table.index, name].astype(object)
    texts = [text for text in shown.dropna().unique() if text != "N/A"]
    assert texts
    for text in texts:
        expected = shown.index[shown == text]
        assert FILTERS[way](table, name, text).index.tolist() == expected.tolist()


@pytest.mark.parametrize("way", NUMBER_FILTERS)
@pytest.mark.parametrize("kind", [float, np.float64])
def test_number_filters__select_the_same(session, way, kind):
    table = session.get_stimulus_table("static_gratings")
    number = 0.04 if way.startswith("query") else kind(0.04)
    selected = FILTERS[way](table, "spatial_frequency", number)
    assert 0 < len(selected) < len(table)
    assert selected.equals(table[table["spatial_frequency"] == "0.04"])


def test_tables__of_spikehouse_itself_hold_numbers(session_path, session):
    numbers = ours.EcephysSession.from_nwb_path(session_path)
    table = numbers.get_stimulus_table("gabors")
    assert table["spatial_frequency"].dtype == np.float64
    typed = session.get_stimulus_table("static_gratings", missing="nan")
    pd.testing.assert_frame_equal(
        typed, numbers.get_stimulus_table("static_gratings", missing="nan")
    )
    text = session.get_stimulus_table("gabors")
    pd.testing.assert_frame_equal(text.drop(columns=[*COLUMNS]), table.drop(columns=[*COLUMNS]))
    assert text["spatial_frequency"].astype(float).equals(table["spatial_frequency"])


def test_conditions_and_parameter_values__hold_text(session):
    conditions = session.stimulus_conditions
    assert (conditions["size"] == "[20.0, 20.0]").sum() == (
        conditions["stimulus_name"] == "gabors"
    ).sum()
    values = session.get_parameter_values_for_stimulus("static_gratings")
    assert set(values["phase"]) <= {"0.0", "0.25", "0.5", "0.75"}
    assert values["orientation"].dtype == np.float64


def test_static_gratings__have_numbers(session):
    gratings = sa.StaticGratings(session)
    assert gratings.sfvals.dtype == gratings.phasevals.dtype == np.float64
    condition = gratings.stimulus_conditions.index[0]
    plt.switch_backend("agg")
    gratings.plot_raster(condition, gratings.unit_ids[0])
    assert len(plt.gcf().axes) == 1
    plt.close("all")


def test_numbers_of_an_adapter__stay_numbers():
    class Lab:
        def get_stimulus_presentations(self):
            return pd.DataFrame(
                {"start_time": [0.0, 1.0], "stop_time": [1.0, 2.0], "stimulus_name": "bars",
                 "phase": [0.0, 0.5], "size": ["[20,20]", "[30,30]"]},
                index=[4, 5],
            )  # fmt: skip

    table = EcephysSession(api=Lab()).stimulus_presentations
    assert set(table["phase"]) == {0.0, 0.5}
    assert table.index[table["size"] == "[20,20]"].tolist() == [4]
    assert table["size"].iloc[0] == (20, 20)


def test_project__opens_such_sessions(tmp_path):
    from spikehouse.compat.sessions import EcephysProjectCache as CompatCache

    assert issubclass(CompatCache, EcephysProjectCache)
    cache = CompatCache.from_demo(tmp_path / "manifest.json", size="tiny")
    session = cache.get_session_data(900000001)
    assert type(session) is EcephysSession
    assert (session.get_stimulus_table("gabors")["size"] == "[20.0, 20.0]").all()


def test_parameter_text__is_its_text_and_its_value():
    number, pair = ParameterText("0.04", 0.04), ParameterText("[0.0, 0.0]", (0.0, 0.0))
    assert number == "0.04" == number
    assert number == 0.04 == number
    assert np.float64(0.04) == number
    assert (np.array([0.02, 0.04]) == number).tolist() == [False, True]
    assert (np.array([0.02, 0.04]) != number).tolist() == [True, False]
    assert number != 0.02
    assert number != "0.02"
    assert number != pair
    assert pair == "[0.0, 0.0]"
    assert pair == (0.0, 0.0) == pair
    assert pair == [0.0, 0.0]
    assert pair != np.float64(0.0)
    assert number in {"0.04"}
    assert float(number) == 0.04
    again = pickle.loads(pickle.dumps(pair))
    assert (str(again), again.value) == ("[0.0, 0.0]", (0.0, 0.0))


def test_presentationwise_spike_counts__are_unsigned_as_in_allensdk(session, session_path):
    plain, shown = (
        ours.EcephysSession.from_nwb_path(session_path),
        session.get_stimulus_table("flashes"),
    )
    for options, dtypes in (({}, ("int16", "uint16")), ({"binarize": True}, ("int8", "uint8"))):
        counts = [
            one.presentationwise_spike_counts([0, 0.001], shown, one.units, **options)
            for one in (plain, session)
        ]
        assert tuple(str(count.dtype) for count in counts) == dtypes
        assert (counts[0] == counts[1]).all()
    assert session.presentationwise_spike_counts([0, 1], shown, dtype="int32").dtype == "int32"
    means = session.presentationwise_spike_counts([0, 1], shown, mean_over="presentations")
    assert means.dtype == "float64"


@pytest.mark.parametrize(("n_spikes", "dtype"), [(40_000, "uint16"), (70_000, "uint32")])
def test_build_spike_histogram__is_unsigned_as_in_allensdk(n_spikes, dtype):
    counts = build_spike_histogram([[0, 1]], {1: np.linspace(0, 0.9, n_spikes)}, [1])
    assert (counts.dtype, counts.item()) == (dtype, n_spikes)
