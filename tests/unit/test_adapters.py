"""A session over any object with AllenSDK's adapter methods; only what is asked for is called."""

from __future__ import annotations

import datetime as dt
import warnings
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

from spikehouse.errors import InvalidArgumentError, NotFoundError
from spikehouse.session import EcephysSession


class Lab:
    """A recording of two units on one probe with three presentations."""

    def get_ecephys_session_id(self) -> int:
        return 42

    def get_session_start_time(self) -> dt.datetime:
        return dt.datetime(2026, 1, 2, tzinfo=dt.UTC)

    def get_metadata(self) -> dict[str, object]:
        return {
            "specimen_name": "mouse <1>",
            "age_in_days": 100,
            "full_genotype": "wt/wt",
            "sex": "F",
            "stimulus_name": "my stimuli",
        }

    def get_probes(self) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "description": ["probeA"],
                "location": ["V1"],
                "sampling_rate": [30_000.0],
                "lfp_sampling_rate": [1250.0],
                "has_lfp_data": [False],
            },
            index=pd.Index([7], name="id"),
        )

    def get_channels(self) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "probe_id": [7, 7, 7, 7],
                "probe_channel_number": [2, 0, 1, 3],
                "probe_vertical_position": [40, 20, 20, 60],
                "probe_horizontal_position": [11, 43, 11, 43],
                "structure_acronym": ["VISp", None, None, "VISp"],
            },
            index=pd.Index([102, 100, 101, 103], name="id"),
        )

    def get_units(self) -> pd.DataFrame:
        return pd.DataFrame(
            {"peak_channel_id": [103, 102], "snr": [1.0, 2.0]}, index=pd.Index([1, 2], name="id")
        )

    def get_spike_times(self) -> dict[int, np.ndarray]:
        return {1: np.array([0.1, 1.2, 2.1]), 2: np.array([1.3]), 3: np.array([9.0])}

    def get_mean_waveforms(self) -> dict[int, np.ndarray]:
        return {unit: np.arange(12.0).reshape(4, 3) * unit for unit in (1, 2, 3)}

    def get_spike_amplitudes(self) -> dict[int, np.ndarray]:
        return {1: np.ones(3), 2: np.ones(1)}

    def get_stimulus_presentations(self) -> pd.DataFrame:
        # a lab's own presentation ids need not count from zero
        return pd.DataFrame(
            {
                "start_time": [0.0, 1.0, 2.0],
                "stop_time": [1.0, 2.0, 3.0],
                "stimulus_name": ["spontaneous", "bars", "bars"],
                "stimulus_block": [np.nan, 0.0, 0.0],
                "angle": [np.nan, 45.0, 90.0],
            },
            index=[10, 20, 30],
        )


@pytest.fixture
def session() -> EcephysSession:
    return EcephysSession(api=Lab())


def test_session__only_what_is_asked_for_is_called() -> None:
    class Spikes:
        def get_ecephys_session_id(self) -> int:
            return 42

    assert EcephysSession(api=Spikes()).ecephys_session_id == 42


def test_units__are_joined_and_sorted_from_the_tip(session: EcephysSession) -> None:
    assert session.units.index.tolist() == [2, 1]
    assert session.units["ecephys_structure_acronym"].tolist() == ["VISp", "VISp"]
    assert session.units["probe_description"].tolist() == ["probeA", "probeA"]


def test_presentations__keep_the_adapters_ids(session: EcephysSession) -> None:
    bars = session.get_stimulus_table("bars")
    assert bars.index.tolist() == [20, 30]
    assert bars["angle"].tolist() == [45.0, 90.0]
    counts = session.presentationwise_spike_counts([0.0, 0.5, 1.0], [30, 20], [1, 2])
    assert counts.sel(stimulus_presentation_id=20, unit_id=1).values.tolist() == [1, 0]
    assert counts.sel(stimulus_presentation_id=30, unit_id=1).values.tolist() == [1, 0]
    assert session.presentationwise_spike_times([20])["unit_id"].tolist() == [1, 2]
    with pytest.raises(NotFoundError, match=r"no presentation 0: did you mean 10 or 20 or 30\?"):
        session.presentationwise_spike_times([0])


def test_mean_waveforms__channels_in_the_order_of_the_probe(session: EcephysSession) -> None:
    waveform = session.mean_waveforms[2]
    assert waveform.dims == ("channel_id", "time")
    assert waveform["channel_id"].values.tolist() == [100, 101, 102, 103]
    assert waveform["time"].values.tolist() == [0.0, 1 / 30_000, 2 / 30_000]
    assert waveform.sel(channel_id=102).values.tolist() == [12.0, 14.0, 16.0]
    assert 3 not in session.mean_waveforms


def test_spike_mappings__hold_only_the_sessions_units(session: EcephysSession) -> None:
    assert sorted(session.spike_times) == [1, 2]
    assert sorted(session.spike_amplitudes) == [1, 2]


def test_epochs_and_intervals(session: EcephysSession) -> None:
    epochs = session.get_stimulus_epochs()
    assert epochs["stimulus_name"].tolist() == ["spontaneous", "bars"]
    assert epochs["duration"].tolist() == [1.0, 2.0]
    assert session.get_stimulus_epochs({"bars": 5.0})["stimulus_name"].tolist() == ["spontaneous"]
    intervals = session.inter_presentation_intervals
    assert intervals.index.tolist() == [(10, 20), (20, 30)]
    only_bars = session.get_inter_presentation_intervals_for_stimulus("bars")
    assert only_bars.index.tolist() == [(20, 30)]


def test_parameter_values(session: EcephysSession) -> None:
    assert session.get_stimulus_parameter_values()["angle"].tolist() == [45.0, 90.0]
    with_null = session.get_stimulus_parameter_values(drop_nulls=False)["angle"]
    assert with_null.tolist() == [45.0, 90.0, "null"]
    assert session.get_parameter_values_for_stimulus("bars")["angle"].dtype == np.float64


def test_channel_structure_intervals(session: EcephysSession) -> None:
    labels, intervals = session.channel_structure_intervals([100, 101, 102, 103])
    assert intervals.tolist() == [0, 2, 4]
    assert pd.isna(labels[0])
    assert labels[1] == "VISp"
    with pytest.raises(NotFoundError, match="there is no channel 5"):
        session.channel_structure_intervals([5])


def test_repr__says_what_is_there_and_leaves_out_what_is_not(session: EcephysSession) -> None:
    text = repr(session)
    assert text.startswith("EcephysSession 42 (my stimuli)")
    assert "2: VISp 2" in text
    assert "spontaneous, bars" in text
    assert "mouse &lt;1&gt;" in session._repr_html_()
    assert repr(EcephysSession(api=object())) == "EcephysSession"


def test_to_pynapple__without_the_package(
    session: EcephysSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pynapple", None)
    with pytest.raises(ModuleNotFoundError, match="pip install pynapple"):
        session.to_pynapple()


# ---- adapters that return less than a session file has


class Less(Lab):
    """The same recording with every table a session may ask for, some replaced."""

    def __init__(self, **tables: object) -> None:
        self.tables = tables

    def __getattribute__(self, name: str) -> object:
        tables = object.__getattribute__(self, "tables") if name.startswith("get_") else {}
        return (lambda: tables[name]) if name in tables else object.__getattribute__(self, name)

    def get_invalid_times(self) -> pd.DataFrame:
        return pd.DataFrame({"start_time": [2.1], "stop_time": [2.2], "tags": [["stimulus"]]})

    def get_running_speed(self) -> pd.DataFrame:
        return pd.DataFrame({"start_time": [0.0], "end_time": [9.0], "velocity": [4.0]})

    def get_optogenetic_stimulation(self) -> pd.DataFrame:
        return pd.DataFrame({"start_time": [0.0], "duration": [0.1]})


MEMBERS = {
    "get_probes": lambda session: session.probes,
    "get_channels": lambda session: session.channels,
    "get_units": lambda session: session.units,
    "get_invalid_times": lambda session: session.invalid_times,
    "get_running_speed": lambda session: session.running_speed,
    "get_optogenetic_stimulation": lambda session: session.optogenetic_stimulation_epochs,
    "get_stimulus_presentations": lambda session: session.stimulus_presentations,
}
USES = (
    lambda session: session.units,
    lambda session: session.structure_acronyms,
    lambda session: session.structurewise_unit_counts,
    lambda session: dict(session.spike_times),
    lambda session: dict(session.mean_waveforms),
    lambda session: session.stimulus_presentations,
    lambda session: session.stimulus_conditions,
    lambda session: session.get_stimulus_epochs(),
    lambda session: session.inter_presentation_intervals,
    lambda session: session.get_stimulus_parameter_values(),
    lambda session: session.presentationwise_spike_counts([0.0, 0.5]),
    lambda session: session.presentationwise_spike_times(),
    lambda session: session.conditionwise_spike_statistics(),
    lambda session: session.get_responses("spontaneous", 0.5).speeds,
    lambda session: session.channel_structure_intervals([100, 101]),
    lambda session: session.to_dataset("bars"),
    *([lambda session: session.to_pynapple()] if find_spec("pynapple") else []),
    repr,
)


@pytest.mark.parametrize("nothing", [None, pd.DataFrame()], ids=["None", "without columns"])
@pytest.mark.parametrize("method", MEMBERS)
def test_session__of_an_adapter_without_rows(method: str, nothing: object) -> None:
    session = EcephysSession(api=Less(**{method: nothing}))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        table = MEMBERS[method](session)
    assert len(said) == (method == "get_running_speed" and nothing is None)
    assert len(table) == 0
    assert len(table.columns) > 0


def test_session__without_invalid_times_is_that_without_such_a_method() -> None:
    session = EcephysSession(api=Less(get_invalid_times=pd.DataFrame()))
    pd.testing.assert_frame_equal(
        session.stimulus_presentations, EcephysSession(api=Lab()).stimulus_presentations
    )
    names = EcephysSession(api=Less()).stimulus_presentations["stimulus_name"].tolist()
    assert names == ["spontaneous", "bars", "invalid_presentation"]


def list_gaps() -> list[tuple[str, object]]:
    """List every table that is not there, has no columns, or lacks one of them."""
    gaps: list[tuple[str, object]] = []
    for method in MEMBERS:
        table = getattr(Less(), method)()
        gaps += [(method, None), (method, pd.DataFrame())]
        gaps += [(method, table.drop(columns=name)) for name in table]
    for method in ("get_spike_times", "get_mean_waveforms"):
        gaps += [(method, None), (method, {}), (method, {1: getattr(Less(), method)()[1]})]
    return gaps


@pytest.mark.parametrize(("method", "given"), list_gaps())
def test_session__of_an_adapter_with_gaps_answers_or_says_what_is_missing(
    method: str, given: object
) -> None:
    said = []
    for use in USES:
        session = EcephysSession(api=Less(**{method: given}))
        try:
            use(session)
        except (NotFoundError, InvalidArgumentError) as error:
            said.append(str(error))
    known = ("there is no", "has no column", "has no stimulus", "is a table without")
    assert [text for text in said if not any(words in text for words in known)] == []


def test_spike_times__unit_without_any_is_left_out_and_named() -> None:
    session = EcephysSession(api=Less(get_spike_times={1: np.array([0.1])}))
    assert list(session.spike_times) == [1]
    with pytest.raises(NotFoundError, match=r"there is no unit 2 here \(units without data"):
        session.presentationwise_spike_counts([0.0, 0.5])


def test_session__leaves_the_adapters_tables_as_they_are() -> None:
    api = Lab()
    table, spikes = api.get_stimulus_presentations(), api.get_spike_times()
    given = Less(get_stimulus_presentations=table, get_spike_times=spikes)
    session = EcephysSession(api=given)
    session.presentationwise_spike_times()
    pd.testing.assert_frame_equal(table, api.get_stimulus_presentations())
    assert list(spikes) == [1, 2, 3]
