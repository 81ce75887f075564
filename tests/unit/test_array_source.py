"""A session of spike times in memory: what is taken, what is answered, what is refused."""

from __future__ import annotations

import pickle
import warnings
from collections import UserDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from spikehouse import EcephysSession, compute_design_matrix, decode
from spikehouse.errors import InvalidArgumentError, NotFoundError

SPIKES = {5: np.array([1.1, 1.2, 3.1]), 9: np.array([2.05]), 7: np.empty(0)}
TONES = pd.DataFrame(
    {
        "start_time": [3.0, 1.0, 2.0],
        "duration": 0.5,
        "pitch": [880, 440, 440],
        "depth": list("aba"),
    },
    index=[30, 10, 20],
)
UNITS = pd.DataFrame(
    {
        "ecephys_structure_acronym": ["A1", "A1", "IC"],
        "probe_description": "left",
        "probe_vertical_position": [100.0, 20.0, 60.0],
        "snr": [1.0, 2.0, 3.0],
    },
    index=[5, 9, 7],
)
CHANNELS = pd.DataFrame(
    {
        "probe_id": 2,
        "probe_vertical_position": [0, 20, 40],
        "structure_acronym": ["IC", None, "A1"],
    },
    index=[100, 101, 102],
)
make = EcephysSession.from_arrays


def test_from_arrays__spike_times_alone() -> None:
    session = make(SPIKES)
    assert session.units.index.tolist() == [5, 9, 7]
    assert session.spike_times[5].tolist() == [1.1, 1.2, 3.1]
    assert len(session.spike_times[7]) == 0
    assert (session.ecephys_session_id, session.session_start_time) == (None, None)
    assert len(session.probes) == len(session.channels) == len(session.notes) == 0
    assert len(session.stimulus_presentations) == len(session.invalid_times) == 0
    assert len(session.optogenetic_stimulation_epochs) == 0
    assert session.stimulus_names == []
    assert dict(session.mean_waveforms) == {}
    assert dict(session.spike_amplitudes) == {}
    assert session.rig_geometry_data is None
    assert session.metadata["num_units"] == 3
    assert session.count_filtered_units()["remaining_count"].tolist() == [3]
    assert repr(session) == "EcephysSession\n  units          3\n  presentations  0"


def test_from_arrays__counts_what_numpy_counts() -> None:
    session = make(SPIKES, presentations=TONES)
    counts = session.presentationwise_spike_counts([0.0, 0.15, 0.5])
    assert counts["stimulus_presentation_id"].values.tolist() == [10, 20, 30]
    assert counts["unit_id"].values.tolist() == [5, 9, 7]
    for place, onset in enumerate([1.0, 2.0, 3.0]):
        for column, train in enumerate(SPIKES.values()):
            expected = np.histogram(train, [onset, onset + 0.15, onset + 0.5])[0]
            assert counts.values[place, :, column].tolist() == expected.tolist()


def test_from_arrays__presentations_keep_ids_names_and_order_of_columns() -> None:
    shown = make(SPIKES, presentations=TONES).get_stimulus_table("stimulus")
    # depth is a setting of the display in the survey, and hidden there
    expected = pd.DataFrame(
        {
            "stimulus_block": 0.0,
            "start_time": [1.0, 2.0, 3.0],
            "stop_time": [1.5, 2.5, 3.5],
            "stimulus_name": "stimulus",
            "pitch": [440.0, 440.0, 880.0],
            "depth": list("baa"),
            "duration": 0.5,
            "stimulus_condition_id": [0, 1, 2],
        },
        index=pd.Index([10, 20, 30], name="stimulus_presentation_id"),
    )
    pd.testing.assert_frame_equal(shown, expected, check_dtype=False)


def test_from_arrays__names_of_the_survey_are_not_translated() -> None:
    table = TONES.assign(
        stimulus_name=["missing", "natural_movie_shuffled", "Natural Images"], Ori=0
    )
    session = make(SPIKES, presentations=table)
    assert session.stimulus_names == ["natural_movie_shuffled", "Natural Images", "missing"]
    assert "Ori" in session.stimulus_presentations
    epochs = session.get_stimulus_epochs()
    assert epochs["stimulus_name"].tolist() == session.stimulus_names


def test_from_arrays__units_say_where_they_are() -> None:
    session = make(SPIKES, UNITS)
    # by probe, from the tip up
    assert session.units.index.tolist() == [9, 7, 5]
    assert session.units["snr"].tolist() == [2.0, 3.0, 1.0]
    assert session.structurewise_unit_counts.to_dict() == {"A1": 2, "IC": 1}


def test_from_arrays__channels_say_where_units_are() -> None:
    units = pd.DataFrame({"peak_channel_id": [102, 100, np.nan]}, index=[5, 9, 7])
    waveforms = {5: np.ma.masked_equal(np.arange(6).reshape(3, 2), 0)}
    probes = pd.DataFrame({"probe_id": [2], "sampling_rate": [1000.0]})
    session = make(SPIKES, units, channels=CHANNELS, probes=probes, mean_waveforms=waveforms)
    assert session.units.index.tolist() == [9, 5, 7]
    assert session.units["ecephys_structure_acronym"].tolist()[:2] == ["IC", "A1"]
    assert session.units["probe_description"].tolist()[:2] == ["probe 2", "probe 2"]
    assert session.units.loc[7, ["probe_id", "ecephys_structure_acronym"]].isna().all()
    assert session.mean_waveforms[5].sel(channel_id=102).values.tolist() == [4.0, 5.0]
    assert session.mean_waveforms[5].isnull().values.tolist() == [[True, False], *[[False] * 2] * 2]
    assert session.mean_waveforms[5]["time"].values.tolist() == [0.0, 0.001]
    # the same without a table of probes
    assert make(SPIKES, units, channels=CHANNELS).probes["description"].tolist() == ["probe 2"]


def test_from_arrays__tables_of_csv_files(tmp_path: Path) -> None:
    UNITS.to_csv(tmp_path / "units.csv", index_label="unit_id")
    TONES.to_csv(tmp_path / "tones.csv", index_label="id")
    session = make(SPIKES, tmp_path / "units.csv", str(tmp_path / "tones.csv"))
    same = make(SPIKES, UNITS, TONES)
    pd.testing.assert_frame_equal(session.units, same.units, check_dtype=False)
    pd.testing.assert_frame_equal(session.stimulus_presentations, same.stimulus_presentations)


def test_from_arrays__a_list_belongs_to_the_rows_of_units() -> None:
    trains = list(SPIKES.values())
    assert make(trains).units.index.tolist() == [0, 1, 2]
    assert make(trains, UNITS).spike_times[9].tolist() == [2.05]


def test_from_arrays__metadata_of_a_ts_group_are_columns() -> None:
    class Ts:
        def __init__(self, values: np.ndarray) -> None:
            self.values = values

        def times(self) -> np.ndarray:
            return self.values

    class TsGroup(UserDict):
        metadata = pd.DataFrame({"snr": [9.0, 8.0, 7.0], "rate": 1.0}, index=[5, 9, 7])

    group = TsGroup({unit: Ts(train) for unit, train in SPIKES.items()})
    session = make(group)
    assert session.units["snr"].tolist() == [9.0, 8.0, 7.0]
    assert session.spike_times[5].tolist() == [1.1, 1.2, 3.1]
    session = make(group, UNITS)
    assert session.units.loc[[5, 9, 7], ["snr", "rate"]].values.tolist() == [[1, 1], [2, 1], [3, 1]]


def test_from_arrays__spikes_out_of_order_are_sorted_and_said_once() -> None:
    given = {1: [3.0, 1.0], 2: [2.0, 0.0], 3: [1.0]}
    with pytest.warns(
        UserWarning, match=r"of 2 of 3 units \(first 1\) were not in order"
    ) as caught:
        session = make(given)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert session.spike_times[1].tolist() == [1.0, 3.0]
    assert given[1] == [3.0, 1.0]


def test_from_arrays__sample_numbers_are_noticed() -> None:
    with pytest.warns(
        UserWarning, match="reach 3e[+]07 s, 347 days: .*; divide milliseconds by 1000, sample"
    ):
        make({1: np.array([30_000_000])})


def test_from_arrays__running_speed_and_invalid_times() -> None:
    running = pd.DataFrame({"start_time": np.arange(0.0, 4.0, 0.1), "velocity": 3.0})
    invalid = pd.DataFrame({"start_time": [1.9], "stop_time": [2.1]})
    session = make(SPIKES, presentations=TONES, running_speed=running, invalid_times=invalid)
    assert session.running_speed["end_time"].iloc[[0, -1]].tolist() == pytest.approx([0.1, 4.0])
    assert session.stimulus_names == ["stimulus", "invalid_presentation"]
    with pytest.warns(UserWarning, match="spikes are missing or wrong in some intervals"):
        assert len(session.spike_times) == 3
    assert session.get_responses("stimulus", 0.5).speeds.tolist() == pytest.approx([3.0, 3.0])


@pytest.mark.parametrize("tags", ["['stimulus', 'all_probes']", "probe 2, stimulus", np.nan])
def test_from_arrays__tags_of_a_csv_file_are_text(tmp_path: Path, tags: object) -> None:
    invalid = pd.DataFrame({"start_time": [1.9], "stop_time": [2.1], "tags": [tags]})
    invalid.to_csv(tmp_path / "invalid.csv", index=False)
    session = make(
        SPIKES, presentations=TONES, channels=CHANNELS, invalid_times=tmp_path / "invalid.csv"
    )
    assert session.stimulus_names == ["stimulus", "invalid_presentation"]


def test_from_arrays__tags_that_concern_nothing_are_said() -> None:
    invalid = {"start_time": [1.9, 0.0], "stop_time": [2.1, 1.0], "tags": ["noise", "stimulus"]}
    with pytest.warns(
        UserWarning, match=r"1 of 2 rows concern nothing here \(first row 0, tags \["
    ):
        make(SPIKES, presentations=TONES, invalid_times=invalid)


def test_from_arrays__a_dictionary_of_columns_and_an_interval_set_are_tables() -> None:
    class IntervalSet:
        def as_dataframe(self) -> pd.DataFrame:
            return pd.DataFrame({"start": [1.0, 2.0], "end": [1.5, 2.5], "pitch": [440, 880]})

    columns = {"start_time": [1.0, 2.0], "duration": 0.5, "pitch": [440, 880]}
    shown = make(SPIKES, presentations=columns).stimulus_presentations
    assert shown["pitch"].tolist() == [440.0, 880.0]
    same = make(SPIKES, presentations=IntervalSet()).stimulus_presentations
    pd.testing.assert_frame_equal(shown, same)


def test_from_arrays__columns_keep_their_names() -> None:
    session = make(SPIKES, UNITS.assign(duration=1.0), TONES.assign(stimulus_index=[3, 1, 2]))
    assert session.units["duration"].tolist() == [1.0] * 3
    assert session.stimulus_presentations["stimulus_index"].tolist() == [1.0, 2.0, 3.0]


def test_from_arrays__presentations_on_another_clock_are_noticed() -> None:
    late = TONES.assign(start_time=TONES["start_time"] * 1000)
    told = "3 of 3 .* of the spikes, 1.1 to 3.1 s: they start at 1000 to 3000 s"
    with pytest.warns(UserWarning, match=told) as caught:
        make(SPIKES, presentations=late)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_from_arrays__what_is_absent_is_said_once() -> None:
    session = make(SPIKES, presentations=TONES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(session.get_responses("stimulus", 0.5).speeds).all()
    with pytest.warns(UserWarning, match="no running speed") as caught:
        assert len(session.running_speed) == 0
    assert caught[0].filename == __file__
    assert len(session.running_speed) == 0
    for ask in (session.get_lfp, session.get_current_source_density):
        with pytest.raises(NotFoundError, match="was made from arrays"):
            ask(1)
    with pytest.raises(NotFoundError, match="there is no NWB file"):
        session.nwbfile  # noqa: B018


def test_from_arrays__can_be_pickled() -> None:
    session = pickle.loads(pickle.dumps(make(SPIKES, UNITS, TONES, session_id=3)))
    assert (session.ecephys_session_id, session.num_units) == (3, 3)
    assert repr(session).startswith("EcephysSession 3\n")


def test_from_arrays__tuning_and_decoding(rng: np.random.Generator) -> None:
    orientation = rng.choice([0, 45, 90, 135], 200)
    onsets = 1.0 + np.arange(200)
    rates = 2 + 8 * (orientation[:, None] == [0, 45, 90, 135])
    spikes = [
        np.sort(np.repeat(onsets, counts) + rng.uniform(0, 0.5, counts.sum()))
        for counts in rng.poisson(rates).T
    ]
    shown = pd.DataFrame({"start_time": onsets, "duration": 0.5, "orientation": orientation})
    session = make(spikes, presentations=shown)
    table = session.get_stimulus_table("stimulus")
    design = compute_design_matrix(session, session.units.index, table)
    means = design.to_pandas().groupby(table["orientation"]).mean()
    assert means.idxmax().tolist() == [0, 45, 90, 135]
    assert decode(design, table["orientation"]).mean_accuracy > 0.9


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "no mapping": (lambda: make(3), "spike_times is 3; give a dictionary of arrays"),
    "one array": (lambda: make([1.0, 2.0]), r"unit 0 have the shape \(\); give one dimension"),
    "names": (lambda: make({"a": [1.0]}), "of spike_times is 'a'; ids are whole numbers, and n"),
    "fraction": (lambda: make({1.5: [1.0]}), "takes whole numbers, but 1.5"),
    "truth": (lambda: make({True: [2.0]}), "takes ids, not truth values"),
    "nan": (lambda: make({1: [np.nan, 1.0]}), "1 of the 2 spike times of unit 1 are NaN or inf"),
    "inf": (lambda: make({1: [np.inf, 1.0]}), "1 of the 2 spike times of unit 1 are NaN or inf"),
    "text": (lambda: make({1: ["1.0"]}), "spike times of unit 1 should be numbers"),
    "table": (lambda: make({1: [[1.0]]}), r"unit 1 have the shape \(1, 1\)"),
    "no row": (lambda: make(SPIKES | {4: []}, UNITS), "1 of 4 units that have no row in units, su"),
    "no spikes": (lambda: make({5: []}, UNITS), "2 of 3 rows without spike times, such as unit 7"),
    "other length": (lambda: make([[1.0]], UNITS), "has 1 arrays, and units has 3 rows"),
    "units": (lambda: make(SPIKES, [1, 2]), r"units is \[1, 2\]; give a table"),
    "same ids": (lambda: make({1: []}, pd.DataFrame({"unit_id": [1, 1]})), "the id 1 more than"),
    "no ids": (lambda: make({1: []}, pd.DataFrame({"id": ["x"]})), "the index of units holds 'x'"),
    "column": (lambda: make({0: []}, pd.DataFrame({3: [1]})), "units has the column 3; names must"),
    "metric": (lambda: make({0: []}, pd.DataFrame({"snr": ["x"]})), "units: snr should hold numb"),
    "no channels": (
        lambda: make(SPIKES, UNITS.assign(peak_channel_id=1)), "there are no channels to look it up"
    ),
    "other channels": (
        lambda: make(SPIKES, UNITS.assign(peak_channel_id=1), channels=CHANNELS),
        "unit 5 has the peak channel 1, which channels has no row for",
    ),
    "half a probe": (
        lambda: make(SPIKES, UNITS.assign(probe_id=0.5)), "units: probe_id is 0.5 in 3 of 3 rows"
    ),
    "another probe": (
        lambda: make(SPIKES, UNITS.assign(peak_channel_id=100, probe_id=3), channels=CHANNELS),
        "unit 5 is of probe 3, but its peak channel is of probe 2",
    ),
    "channels of no probe": (
        lambda: make(SPIKES, channels=CHANNELS.assign(probe_id=np.nan)), "channels: probe_id is nan"
    ),
    "large id": (
        lambda: make({np.uint64(2**63 + 5): [1.0]}), r"whole numbers below 2\*\*63, but 92233720368"
    ),
    "larger id": (lambda: make({2**70: [1.0]}), r"whole numbers below 2\*\*63, but 118059"),
    "masked": (
        lambda: make([np.ma.array([0.1, 0.2], mask=[0, 1])]), r"masked values; .*times.compressed"
    ),
    "folder": (lambda: make(SPIKES, "/"), "units: / is not a CSV file: .*Is a directory"),
    "twice": (
        lambda: make(SPIKES, pd.DataFrame([[1, 2]], columns=["a", "a"])), "units has several colum"
    ),
    "dates": (
        lambda: shown(start_time=pd.to_datetime(["2020-01-01"]), duration=1),
        r"start_time holds datetime64.*\(column - start of the recording\).dt.total_seconds\(\)",
    ),
    "time spans": (
        lambda: shown(start_time=[0.0], duration=pd.to_timedelta([1], unit="s")),
        r"duration holds timedelta64.* as numbers: column.dt.total_seconds\(\)",
    ),
    "text as duration": (
        lambda: shown(start_time=[0.0], stop_time=[1.0], duration=["long"]), "duration should hold"
    ),
    "onsets in a list": (
        lambda: make(SPIKES, presentations=[1.0, 2.0]),
        r'is \[1.0, 2.0\]; .*pd.DataFrame\(\{"start_time": onsets, "duration": 0.2\}\)',
    ),
    "columns": (
        lambda: make(SPIKES, presentations={"start_time": [1.0, 2.0], "duration": [0.1]}),
        "presentations: these columns make no table: .*same length",
    ),
    "tags": (
        lambda: make(SPIKES, invalid_times={"start_time": [0], "stop_time": [1], "tags": [3]}),
        "invalid_times: tags are 3; give a list of texts",
    ),
    "no probe": (
        lambda: make(SPIKES, channels=CHANNELS, probes=pd.DataFrame(index=[1])), "of probe 2, which"
    ),
    "onsets": (lambda: shown(start_time=[1.0]), "has start_time, and neither stop_time"),
    "no onsets": (lambda: shown(stop_time=[1.0]), "presentations has no column 'start_time'; it h"),
    "backwards": (lambda: shown(start_time=[1.0], stop_time=[0.5]), "row 0 stops at 0.5 s, before"),
    "no time": (
        lambda: shown(start_time=[np.nan], duration=1.0), "start_time is nan in 1 of 1 rows, first "
    ),
    "other duration": (
        lambda: shown(start_time=[1.0], stop_time=[2.0], duration=3.0), "duration is not stop_time"
    ),
    "condition": (
        lambda: shown(start_time=[1.0], duration=1, stimulus_condition_id=1), "is computed here"
    ),
    "no name": (
        lambda: shown(start_time=[1.0], duration=1, stimulus_name=None), "row 0 has no stimulus_n"
    ),
    "parameter": (
        lambda: shown(start_time=[1.0], duration=1, xy=[(1, 2)]), r"xy is \(1, 2\) in row 0; a para"
    ),
    "date": (
        lambda: shown(start_time=[1.0], duration=1, on=pd.Timestamp(0)), "on is Timestamp.* row 0"
    ),
    "running": (
        lambda: make(SPIKES, running_speed=pd.DataFrame({"start_time": []})), "no column 'velocity'"
    ),
    "waveform": (lambda: make(SPIKES, mean_waveforms={5: [[1.0]]}), "unit 5 has no peak_ch"),
    "presentations as units": (
        lambda: make(SPIKES, pd.DataFrame({"start_time": [1.0]})), "by name: .*presentations=pd"
    ),
    "onsets as units": (lambda: make(SPIKES, np.array([1.0])), "units are times, not a table of u"),
    "other name": (
        lambda: shown(onset=[1.0]), "no column 'start_time'; it has onset. If 'onset' is meant: .re"
    ),
    "other stop": (lambda: shown(start_time=[1.0], end=[2.0]), "If 'end' is meant: .rename.col"),
    "concatenated": (
        lambda: make(SPIKES, presentations=pd.concat(2 * [pd.DataFrame({"start_time": [1.0]})])),
        "the id 0 more than once; .* as pd.concat.tables, ignore_index=True. does",
    ),
    "session": (lambda: make(SPIKES, session_id="x"), "session_id is 'x'; give a whole number"),
}  # fmt: skip


ONSETS = np.arange(1.0, 11.0)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"presentations": {"start_time": ONSETS, "duration": 300.0}},
         "'stimulus' last 300 s, and begin every 1 s: .*; divide milliseconds by 1000"),
        ({"running_speed": {"start_time": 1000 * ONSETS, "velocity": ONSETS}},
         "10 of 10 samples of running_speed are outside the times of the spikes"),
    ],
)  # fmt: skip
def test_from_arrays__times_in_milliseconds_are_noticed(
    tables: dict[str, Any], message: str
) -> None:
    with pytest.warns(UserWarning, match=message) as caught:
        make({1: [1.0, 20.0]}, **tables)
    assert [warning.filename for warning in caught] == [__file__]


def test_from_arrays__arrays_of_objects_as_numpy_loads_them() -> None:
    trains = np.empty(2, dtype=object)
    trains[:] = [np.array([1.0]), np.array([2.0, 3.0])]
    assert {i: t.tolist() for i, t in make(trains).spike_times.items()} == {0: [1.0], 1: [2.0, 3.0]}


def shown(**columns: Any) -> EcephysSession:
    return make(SPIKES, presentations=pd.DataFrame(columns))


@pytest.mark.parametrize("case", WRONG)
def test_from_arrays__says_what_is_wrong(case: str) -> None:
    call, message = WRONG[case]
    with pytest.raises(InvalidArgumentError, match=message):
        call()


def test_from_arrays__a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        make(SPIKES, tmp_path / "units.csv")


@pytest.mark.parametrize("given", ["lab.nwb", Path("lab.nwb"), {1: [1.0]}, [[1.0]]])
def test_session__takes_an_adapter(given: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"not .*: EcephysSession.from_nwb_path opens"):
        EcephysSession(given)


PLACED = {"channels": {"id": [10, 20], "probe_channel_number": [0, 1]},
          "probes": {"probe_id": [0], "sampling_rate": [30_000.0]}}  # fmt: skip


def test_mean_waveforms__rows_go_by_the_ids_of_channels() -> None:
    given = xr.DataArray(
        [[0.0, 1.0], [-9.0, 2.0], [3.0, 4.0]],
        dims=("time", "channel_id"), coords={"channel_id": [20, 10]},
    )  # fmt: skip
    units = {"unit_id": [1], "peak_channel_id": ["20"]}
    for values in (given, given.T.to_pandas()):
        session = make({1: [1.0]}, units, **PLACED, mean_waveforms={1: values})
        found = session.mean_waveforms[1]
        assert found.sel(channel_id=20).values.tolist() == [0.0, -9.0, 3.0]
        assert found.sel(channel_id=10).values.tolist() == [1.0, 2.0, 4.0]
    assert session.units["peak_channel_id"].tolist() == [20]
    other = given.assign_coords(channel_id=[20, 30])
    with pytest.raises(InvalidArgumentError, match="row of channel 30, which is none of its probe"):
        make({1: [1.0]}, units, **PLACED, mean_waveforms={1: other})


def test_mean_waveforms__of_a_session_are_those_of_another(session_path: Path) -> None:
    with EcephysSession.from_nwb_path(session_path) as real:
        waveforms = dict(real.mean_waveforms)
        again = make(
            dict(real.spike_times), real.units[["peak_channel_id"]],
            channels=real.channels, probes=real.probes, mean_waveforms=waveforms,
        )  # fmt: skip
        for unit_id, expected in waveforms.items():
            found = again.mean_waveforms[unit_id]
            np.testing.assert_array_equal(found.sel(channel_id=expected["channel_id"]), expected)


def test_mean_waveforms__have_a_row_for_the_peak_channel() -> None:
    channels = {"id": [10, 20], "probe_channel_number": [5, 2]}
    units = {"unit_id": [1], "peak_channel_id": [10]}
    message = r"has 2 rows, and its peak channel 10 is row 5 .*; give a row for each number, or"
    with pytest.raises(InvalidArgumentError, match=message):
        make({1: [1.0]}, units, **(PLACED | {"channels": channels}),
             mean_waveforms={1: np.zeros((2, 3))})  # fmt: skip


@pytest.mark.parametrize("numbers", [[0, 0], [-1, 0]])
def test_channels__numbers_are_rows_of_waveforms(numbers: list[int]) -> None:
    channels = {"id": [10, 20], "probe_channel_number": numbers}
    with pytest.raises(InvalidArgumentError, match=r"has the probe_channel_number .* of their own"):
        make(SPIKES, channels=channels)


def test_tables__the_index_that_pandas_writes_to_csv_is_the_ids(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    pd.DataFrame({"name": ["one", "zero"]}, index=[1, 0]).to_csv(path)
    units = make({0: [0.1], 1: [0.2]}, path).units
    assert units["name"].to_dict() == {0: "zero", 1: "one"}
    pd.DataFrame({"start_time": [0.0, 1.0], "duration": 0.2, "c": 7}).to_csv(path)
    shown = make(SPIKES, presentations=path).get_stimulus_table("stimulus")
    assert shown["stimulus_condition_id"].nunique() == 1


def test_tables__rows_of_csv_longer_than_the_first_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("start_time,duration\n0,0.2,3\n1,0.2,4\n")
    with pytest.raises(InvalidArgumentError, match=r"table.csv is not a CSV file: .*[Ll]ength"):
        make(SPIKES, presentations=path)


def test_running_speed__ends_where_the_table_says() -> None:
    running = {"start_time": [0.0, 1.0], "stop_time": [0.2, 1.1], "velocity": [1.0, 2.0]}
    assert make(SPIKES, running_speed=running).running_speed["end_time"].tolist() == [0.2, 1.1]
    running["stop_time"] = [0.2, 0.9]
    with pytest.raises(InvalidArgumentError, match=r"row 1 ends at .*, before it starts at 1 s"):
        make(SPIKES, running_speed=running)
