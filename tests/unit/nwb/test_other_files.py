"""Sessions of NWB files that others wrote: what is found, named and refused."""

from __future__ import annotations

import datetime as dt
import pickle
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import other_files
import pandas as pd
import pynwb
import pytest

from file_server import FileServer
from spikehouse import EcephysSession, compute_design_matrix, decode
from spikehouse.errors import InvalidArgumentError, InvalidFileError, NotFoundError
from spikehouse.explore.recipes.unit import raster

Write = Callable[[Path, list[np.ndarray]], Path]
WRITERS = [other_files.write_minimal, other_files.write_neuroconv, other_files.write_matnwb]
INVALID = "ignore:spikes are missing or wrong in some intervals:UserWarning"


@pytest.fixture(scope="module")
def trains() -> list[np.ndarray]:
    return other_files.make_trains(np.random.default_rng(7))


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory, trains: list[np.ndarray]) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("other")
    return {w.__name__: w(folder / f"{w.__name__}.nwb", trains) for w in WRITERS}


@pytest.fixture
def open_file(paths: dict[str, Path]) -> Iterator[Callable[..., EcephysSession]]:
    opened = []

    def open_one(name: str, **filters: object) -> EcephysSession:
        opened.append(EcephysSession.from_nwb_path(paths[f"write_{name}"], api_kwargs=filters))
        return opened[-1]

    yield open_one
    for session in opened:
        session.close()


@pytest.mark.filterwarnings(INVALID)
@pytest.mark.parametrize("name", ["minimal", "neuroconv", "matnwb"])
def test_from_nwb_path__spikes_and_decoding_of_another_writers_file(
    open_file: Callable[..., EcephysSession], trains: list[np.ndarray], name: str
) -> None:
    session = open_file(name)
    assert [session.spike_times[u].tolist() for u in sorted(session.units.index)] == [
        train.tolist() for train in trains
    ]
    stimulus, label = {"neuroconv": ("gratings", "orientation")}.get(name, ("trials", "angle"))
    shown = session.get_stimulus_table(stimulus)
    design = compute_design_matrix(session, sorted(session.units.index), shown)
    expected = [
        [np.sum((t >= a) & (t < b)) for t in trains]
        for a, b in zip(shown["start_time"], shown["stop_time"], strict=True)
    ]
    assert design.values.tolist() == expected
    assert decode(design, shown[label]).mean_accuracy > 0.9
    assert pickle.loads(pickle.dumps(session)).units.equals(session.units)


def test_from_nwb_path__units_and_trials_alone(open_file: Callable[..., EcephysSession]) -> None:
    session = open_file("minimal")
    assert session.ecephys_session_id is None
    assert (session.specimen_name, session.sex, session.session_type) == (None, None, None)
    assert np.isnan(session.age_in_days)
    assert len(session.channels) == len(session.probes) == len(session.invalid_times) == 0
    assert session.units["peak_channel_id"].isna().all()
    assert dict(session.mean_waveforms) == dict(session.spike_amplitudes) == {}
    assert repr(session).startswith("EcephysSession\n  recorded")
    shown = session.get_stimulus_table("trials")
    assert list(shown) == ["stimulus_block", "start_time", "stop_time", "stimulus_name", "angle",
                           "correct", "side", "duration", "stimulus_condition_id"]  # fmt: skip
    assert shown["angle"].tolist() == other_files.ANGLES.tolist()
    assert shown["correct"].tolist() == (other_files.ANGLES > 0).tolist()
    assert shown["side"].unique().tolist() == ["left"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(session.get_responses("trials", 0.5).speeds).all()
    with pytest.warns(UserWarning, match="no running speed"):
        assert len(session.running_speed) == 0
    with pytest.warns(UserWarning, match="no eye tracking"):
        assert session.get_pupil_data() is None


@pytest.mark.filterwarnings(INVALID)
def test_from_nwb_path__electrodes_waveforms_and_animal(
    open_file: Callable[..., EcephysSession],
) -> None:
    session = open_file("neuroconv")
    assert session.ecephys_session_id == 123456
    assert (session.specimen_name, session.age_in_days, session.sex) == ("mouse 7", 63.0, "F")
    assert session.probes["description"].tolist() == ["imec0", "imec1"]
    assert session.probes["location"].tolist() == ["cortex", "thalamus"]
    assert session.channels["probe_channel_number"].tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    # the electrode with the largest waveform, and not the first
    assert session.units["peak_channel_id"].to_dict() == {10: 0, 11: 1, 12: 6}
    assert session.units["probe_vertical_position"].to_dict() == {10: 0.0, 11: 20.0, 12: 40.0}
    assert session.structurewise_unit_counts.to_dict() == {"VISp": 2}
    assert session.units["KSLabel"].tolist() == ["good"] * 3
    assert "obs_intervals" not in session.units
    waveform = session.mean_waveforms[12]
    assert waveform["channel_id"].values.tolist() == [4, 5, 6, 7]
    assert waveform.sel(channel_id=6).values[10] == -52.0
    assert waveform["time"].values[1] == 1 / 30_000
    assert session.stimulus_names == ["epochs", "gratings", "invalid_presentation"]
    # the trial from 11.0 s on
    assert session.stimulus_presentations.query("stimulus_name == 'invalid_presentation'")[
        "start_time"
    ].tolist() == [11.0]
    assert session.get_stimulus_epochs()["stimulus_name"].unique().tolist() == [
        "epochs", "gratings", "invalid_presentation",
    ]  # fmt: skip
    with pytest.raises(NotFoundError, match="LFP is read from the survey's LFP files"):
        session.get_lfp(0)


def test_from_nwb_path__only_filters_that_were_asked_for(
    open_file: Callable[..., EcephysSession],
) -> None:
    assert open_file("neuroconv").count_filtered_units()["remaining_count"].tolist() == [3]
    session = open_file("neuroconv", presence_ratio_minimum=0.8)
    assert session.units.index.tolist() == [12]
    counts = session.count_filtered_units()
    assert counts.index.tolist() == ["", "presence_ratio_minimum"]
    assert counts["remaining_count"].tolist() == [3, 1]
    assert open_file("neuroconv", filter_out_of_brain_units=True).units.index.tolist() == [10, 11]
    for filters, message in (
        ({"isi_violations_maximum": 0.5}, "needs the column 'isi_violations', which the units of"),
        ({"filter_by_validity": True}, "needs the column 'quality', which the units of .* 'KSLab"),
    ):
        with pytest.raises(InvalidArgumentError, match=message):
            open_file("neuroconv", **filters).units  # noqa: B018
    with pytest.raises(InvalidArgumentError, match="where no unit has a peak channel"):
        open_file("minimal", filter_out_of_brain_units=True).units  # noqa: B018


def test_identifier__that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "lab.nwb"
    h5py.File(path, "w").close()
    with pytest.raises(InvalidFileError, match="no session id: /identifier is None"):
        EcephysSession.from_nwb_path(path, test=True)


def test_from_nwb_path__a_survey_file_is_known_by_what_it_has(session_path: Path) -> None:
    with EcephysSession.from_nwb_path(session_path) as session:
        assert session.api.has_survey_stimuli
        assert session.api.filters.presence_ratio_minimum == 0.95
        assert session.api.usual_filters == session.api.filters


@pytest.mark.filterwarnings(INVALID)
def test_from_nwb_path__the_same_off_a_server(
    open_file: Callable[..., EcephysSession], paths: dict[str, Path]
) -> None:
    for name in ("neuroconv", "matnwb"):
        path, local = paths[f"write_{name}"], open_file(name)
        with (
            FileServer(folder=path.parent) as server,
            EcephysSession.from_nwb_path(server.url(f"/{path.name}")) as session,
        ):
            pd.testing.assert_frame_equal(session.units, local.units)
            shown = session.stimulus_presentations
            pd.testing.assert_frame_equal(shown, local.stimulus_presentations)
            for unit_id, times in local.spike_times.items():
                np.testing.assert_array_equal(session.spike_times[unit_id], times)


@pytest.fixture
def nwb() -> pynwb.NWBFile:
    return other_files.start("lab")


def test_spike_times__of_another_writer_are_sorted_and_negative_ones_kept(
    nwb: pynwb.NWBFile, tmp_path: Path
) -> None:
    nwb.add_unit(spike_times=[2.0, -1.0, 3.0])
    nwb.add_unit(spike_times=[4.0, 3.0])
    nwb.add_unit(spike_times=[np.nan, 3.0])
    session = EcephysSession.from_nwb_path(other_files.write(nwb, tmp_path / "lab.nwb"))
    with pytest.warns(UserWarning, match=r"unsorted spike times \(first in unit 0\)") as caught:
        assert [session.spike_times[u].tolist() for u in (0, 1)] == [[-1.0, 2.0, 3.0], [3.0, 4.0]]
    assert len(caught) == 1
    with pytest.raises(InvalidFileError, match="1 of the 2 spike times of unit 2 are NaN"):
        session.spike_times[2]


def test_units__peak_channel_without_waveforms_is_the_first_electrode(
    nwb: pynwb.NWBFile, tmp_path: Path
) -> None:
    device = nwb.create_device("tetrodes")
    group = nwb.create_electrode_group("tt1", "tetrode", location="CA1", device=device)
    for row in range(4):
        nwb.add_electrode(id=100 + row, group=group, location="CA1")
    nwb.add_unit(spike_times=[1.0], electrodes=[2, 1])
    nwb.add_unit(spike_times=[1.0], electrodes=[])
    session = EcephysSession.from_nwb_path(other_files.write(nwb, tmp_path / "lab.nwb"))
    assert session.units["peak_channel_id"].tolist()[0] == 102
    assert session.units["probe_description"].tolist()[0] == "tt1"
    assert session.units.loc[1].isna().all()
    assert session.stimulus_presentations.empty


def test_units__with_a_peak_channel_that_is_no_electrode_are_kept(
    nwb: pynwb.NWBFile, tmp_path: Path
) -> None:
    device = nwb.create_device("probe")
    group = nwb.create_electrode_group("left", "probe", location="CA1", device=device)
    for row in range(3):
        nwb.add_electrode(id=5 + row, group=group, location="CA1")
    nwb.add_unit_column("peak_channel_id", "where the waveform is largest")
    for peak in (5, -1, 99):
        nwb.add_unit(spike_times=[1.0], peak_channel_id=peak)
    session = EcephysSession.from_nwb_path(other_files.write(nwb, tmp_path / "lab.nwb"))
    with pytest.warns(UserWarning, match=r"peak_channel_id of 2 of 3 units \(such as -1\)"):
        units = session.units
    assert units.index.tolist() == list(session.spike_times) == [0, 1, 2]
    assert units["peak_channel_id"].isna().tolist() == [False, True, True]


def test_units__may_say_themselves_where_they_are(nwb: pynwb.NWBFile, tmp_path: Path) -> None:
    nwb.add_unit_column("brain_area", "structure")
    nwb.add_unit(spike_times=[1.0], brain_area="CA1")
    nwb.add_unit(spike_times=[1.0], brain_area="unknown")
    session = EcephysSession.from_nwb_path(other_files.write(nwb, tmp_path / "lab.nwb"))
    assert session.structurewise_unit_counts.to_dict() == {"CA1": 1}


def test_presentations__named_by_a_column_and_without_unfinished_ones(
    nwb: pynwb.NWBFile, tmp_path: Path
) -> None:
    nwb.add_trial_column("stimulus_name", "of each trial")
    nwb.add_trial_column("duration", "as text")
    nwb.add_trial(5.0, 6.0, stimulus_name="bars", duration="long")
    nwb.add_trial(1.0, 2.0, stimulus_name="", duration="short")
    nwb.add_trial(7.0, np.nan, stimulus_name="bars", duration="long")
    nwb.add_unit(spike_times=[1.0])
    session = EcephysSession.from_nwb_path(other_files.write(nwb, tmp_path / "lab.nwb"))
    with pytest.warns(UserWarning, match="1 of 3 intervals have no start_time or no stop_time"):
        shown = session.stimulus_presentations
    assert shown["stimulus_name"].tolist() == ["trials", "bars"]
    assert shown["duration"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("has_units", [False, True])
def test_from_nwb_path__a_file_without_spikes_says_what_it_holds(
    nwb: pynwb.NWBFile, tmp_path: Path, has_units: bool
) -> None:
    nwb.add_acquisition(pynwb.TimeSeries(name="licks", data=[1.0], unit="V", rate=1.0))
    if has_units:
        nwb.add_unit_column("snr", "signal over noise")
        nwb.add_unit(snr=1.0)
    session = EcephysSession.from_nwb_path(other_files.write(nwb, tmp_path / "lab.nwb"))
    lacks = "its table /units has no spike_times, but snr" if has_units else "it has no table /unit"
    with pytest.raises(InvalidFileError, match=rf"has no sorted spikes: {lacks}.*\(licks\)"):
        session.units  # noqa: B018
    with pytest.raises(InvalidFileError, match="has no sorted spikes"):
        session.api.get_spike_times()


def test_units__a_row_of_an_electrode_that_is_not_there(
    open_file: Callable[..., EcephysSession], paths: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "wrong.nwb"
    path.write_bytes(paths["write_neuroconv"].read_bytes())
    with h5py.File(path, "r+") as file:
        file["units/electrodes"][0] = 99
    with pytest.raises(InvalidFileError, match="names row 99 of the electrodes, and there are 8"):
        EcephysSession.from_nwb_path(path).units  # noqa: B018


def write_table(path: Path, place: str, rows: dict[str, object], **attributes: object) -> None:
    """Write a table as others do, and as pynwb would not."""
    with h5py.File(path, "a") as file:
        group = file.require_group(place)
        columns = [n for n in rows if n != "id" and n.removesuffix("_index") not in {*rows} - {n}]
        known = group.attrs.get("colnames", np.array([], object))
        group.attrs["colnames"] = np.array([*known, *columns], object)
        for name, values in rows.items():
            group.pop(name, None)
            found = group.create_dataset(name, data=values)
            found.attrs.update(attributes)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., EcephysSession]:
    """Return a function that writes tables, besides two units, and opens the file."""

    def write_tables(
        units: dict[str, object] | None = None,
        electrodes: dict[str, object] | None = None,
        rate: float = 1.0,
        **intervals: dict[str, object],
    ) -> EcephysSession:
        path = tmp_path / "lab.nwb"
        with h5py.File(path, "w") as file:
            file["identifier"] = "lab"
        base = {"id": [0, 1], "spike_times": [0.1, 0.2, 1.0, 0.15, 0.5],
                "spike_times_index": [3, 5]}  # fmt: skip
        write_table(path, "units", base | (units or {}), sampling_rate=rate)
        if electrodes is not None:
            n_rows = len(next(iter(electrodes.values())))
            table = {"id": np.arange(n_rows), "group_name": ["left"] * n_rows} | electrodes
            write_table(path, "general/extracellular_ephys/electrodes", table)
        for name, rows in intervals.items():
            table = {"id": np.arange(len(rows["start_time"])), **rows}
            write_table(path, f"intervals/{name}", table)
        return EcephysSession.from_nwb_path(path)

    return write_tables


TRIALS = {"start_time": [0.0, 0.5, 0.2], "stop_time": [0.4, 0.9, 0.6]}


def test_units__electrodes_with_repeated_ids(write: Callable[..., EcephysSession]) -> None:
    session = write(
        {"peak_channel_id": [7, 5]}, {"id": [5, 5, 7, 2], "location": ["V1", "V1", "CA1", "LP"]}
    )
    with pytest.warns(UserWarning, match=r"of 1 of 2 units \(such as 5\) is not .* or that of sev"):
        units = session.units
    assert session.channels["electrode_id"].tolist() == [5, 5, 7, 2]
    # a row, which is the id of the channel where ids repeat
    assert units["peak_channel_id"].dropna().to_dict() == {0: 2}
    assert units["ecephys_structure_acronym"].dropna().to_dict() == {0: "CA1"}


@pytest.mark.parametrize("n_samples", [2, 5])
def test_mean_waveforms__of_all_electrodes_where_units_have_fewer(
    write: Callable[..., EcephysSession], n_samples: int
) -> None:
    means = np.zeros((2, n_samples, 6))
    means[0, 1, 2], means[0, 1, 0], means[1, 1, 5] = 3.0, 9.0, -7.0
    session = write(
        {"electrodes": [1, 2, 4, 5], "electrodes_index": [2, 4], "waveform_mean": means},
        {"rel_x": np.arange(6.0)},
        rate=1000.0,
    )
    # the largest of its own electrodes
    assert session.units["peak_channel_id"].to_dict() == {0: 2, 1: 5}
    assert session.mean_waveforms[0].values.tolist() == means[0].T.tolist()


def test_mean_waveforms__on_as_many_electrodes_as_samples(
    write: Callable[..., EcephysSession],
) -> None:
    means = np.zeros((2, 3, 3))
    means[0, :2, 2], means[1, :2, 0] = [1.0, 2.0], [1.0, 2.0]
    session = write(
        {"electrodes": [0, 1, 2, 3, 4], "electrodes_index": [3, 5], "waveform_mean": means},
        {"rel_x": np.arange(5.0)},
        rate=1000.0,
    )
    # (sample, electrode), filled up to the unit with most
    assert session.units["peak_channel_id"].to_dict() == {0: 2, 1: 3}
    assert session.mean_waveforms[0].sel(channel_id=2).values.tolist() == [1.0, 2.0, 0.0]
    assert session.mean_waveforms[1].sel(channel_id=3).values.tolist() == [1.0, 2.0, 0.0]


def test_mean_waveforms__of_electrodes_that_nobody_names(
    write: Callable[..., EcephysSession],
) -> None:
    session = write(
        {"electrodes": [1, 2], "electrodes_index": [1, 2], "waveform_mean": np.ones((2, 4, 3))},
        {"rel_x": np.arange(6.0)},
        rate=1000.0,
    )
    with pytest.warns(UserWarning, match=r"\(2, 4, 3\), but units name 1 to 1 of the 6 electrodes"):
        assert session.units["peak_channel_id"].to_dict() == {0: 1, 1: 2}


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ({"id": np.array([2**63 + 5, 3], np.uint64)}, f"/units: the id {2**63 + 5} is not below 2"),
        (
            {"id": [1e20, 3.0]},
            "/units: ids should be whole numbers in one dimension, but are float",
        ),
        ({"spike_times_index": [2, 4]}, "spike_times_index ends at 4, but there are 5 values: the"),
        ({"electrodes": [0, 0, 0], "electrodes_index": [1, 2]}, "electrodes_index ends at 2, but"),
        ({"electrodes": [0.5, 0.0]}, "/units/electrodes: ids should be whole numbers"),
        ({"spike_times": np.ones((5, 2))}, "/units/spike_times has 2 columns, where one time"),
    ],
)
def test_units__what_would_be_read_as_something_else_is_refused(
    write: Callable[..., EcephysSession], units: dict[str, object], message: str
) -> None:
    session = write(units, {"rel_x": [1.0]})
    with pytest.raises(InvalidFileError, match=message):
        dict(session.spike_times)


def test_presentations__that_stop_before_they_start_are_left_out(
    write: Callable[..., EcephysSession],
) -> None:
    session = write(trials=TRIALS | {"stop_time": [-1.0, 0.9, 0.6], "id": [10, 11, 12]})
    with pytest.warns(UserWarning, match="1 of 3 intervals .* or stop before they start, and are"):
        shown = session.stimulus_presentations
    # the ids of one table are kept
    assert shown.index.tolist() == [12, 11]


def test_presentations__of_a_table_with_two_names_are_counted_once(
    write: Callable[..., EcephysSession],
) -> None:
    path = write(trials=TRIALS).api.file.path
    with h5py.File(path, "a") as file:
        file["intervals/again"] = file["intervals/trials"]
    session = EcephysSession.from_nwb_path(path)
    assert session.stimulus_presentations["stimulus_name"].tolist() == ["again"] * 3


def test_presentations__invalid_intervals_without_an_end(
    write: Callable[..., EcephysSession],
) -> None:
    invalid = {"start_time": [0.45, 0.3], "stop_time": [np.nan, 0.1]}
    session = write(trials=TRIALS, invalid_times=invalid)
    with pytest.warns(UserWarning, match="2 of 2 invalid intervals have no start, no stop or stop"):
        found = session.invalid_times
    assert found[["start_time", "stop_time"]].values.tolist() == [[0.45, np.inf], [0.1, 0.3]]
    assert session.stimulus_names == ["invalid_presentation"]


@pytest.mark.parametrize("name", ["trials", "invalid_times"])
def test_presentations__times_that_are_text(
    write: Callable[..., EcephysSession], name: str
) -> None:
    session = write(**{name: {"start_time": ["a"], "stop_time": [1.0]}})
    with pytest.raises(InvalidFileError, match=f"/{name}: start_time should hold numbers"):
        session.stimulus_presentations  # noqa: B018


def test_presentations__columns_with_the_names_of_computed_ones(
    write: Callable[..., EcephysSession],
) -> None:
    session = write(
        trials=TRIALS
        | {"condition_id": [1, 1, 2], "stimulus_condition_id": [4, 5, 6], "duration": [5, 6, 7]}
        | {
            "stimulus_index": [8, 9, 10],
            "stimulus_block": [3, 4, 3],
            "stimulus_name": [2, 1, np.nan],
        }
    )
    shown = session.stimulus_presentations.loc[[0, 1, 2]]
    assert shown["stimulus_name"].tolist() == ["2", "1", "trials"]
    assert shown["stimulus_block"].tolist() == [3, 4, 3]
    assert shown["stimulus_index"].tolist() == [8, 9, 10]
    assert shown["condition_id"].tolist() == [1, 1, 2]
    assert shown["stimulus_condition_id_in_file"].tolist() == [4, 5, 6]
    assert shown["duration_in_file"].tolist() == [5, 6, 7]
    assert shown["duration"].tolist() == pytest.approx([0.4] * 3)


def test_presentations__large_numbers_of_two_tables_stay_apart(
    write: Callable[..., EcephysSession],
) -> None:
    session = write(a=TRIALS | {"image": [2**53 + 1, 2**53, 3]}, b=TRIALS)
    shown = session.stimulus_presentations
    assert shown.index.tolist() == list(range(6))
    assert set(shown["image"]) == {2**53 + 1, 2**53, 3, "null"}
    assert shown["stimulus_condition_id"].nunique() == 4


def test_columns__that_are_left_out_are_named_once(write: Callable[..., EcephysSession]) -> None:
    session = write(
        {"shape": np.ones((2, 2)), "laps": [1, 2, 3], "laps_index": [1, 3], "few": [1]},
        trials=TRIALS,
    )
    told = r"/units has 2 rows; .* left out: shape .*\(2, 2\)\), laps \(ragged\), few .*\(1,\)\)"
    with pytest.warns(UserWarning, match=told) as caught:
        assert session.mean_waveforms == {}
    assert len(caught) == 1
    assert not {"shape", "laps", "few"} & set(session.units)


def test_units__keep_the_names_of_their_columns(write: Callable[..., EcephysSession]) -> None:
    session = write({"duration": [1.0, 2.0], "PT_ratio": [3.0, 4.0], "unit_id": [8, 9]})
    shown = session.units[["duration", "PT_ratio", "unit_id_in_file"]]
    assert shown.values.tolist() == [[1, 3, 8], [2, 4, 9]]


def test_channels__numbers_of_the_file(write: Callable[..., EcephysSession]) -> None:
    place = {"group_name": ["a", "a", "b"], "probe_channel_number": [30, 31, 30]}
    units = {"electrodes": [1, 2], "electrodes_index": [1, 2], "waveform_mean": np.ones((2, 3))}
    session = write(units, place | {"probe_id": [8, 8, 9]}, rate=1000.0)
    assert session.channels["probe_id"].tolist() == [8, 8, 9]
    assert session.channels["probe_channel_number"].tolist() == [30, 31, 30]
    assert session.probes["description"].to_dict() == {8: "a", 9: "b"}
    assert session.mean_waveforms[0].sel(channel_id=1).values.tolist() == [1.0, 1.0, 1.0]
    # numbers that do not tell probes or channels apart
    session = write(electrodes=place | {"probe_id": [8, 8, 8], "probe_channel_number": [1, 1, 1]})
    assert session.channels["probe_id"].tolist() == [0, 0, 1]
    assert session.channels["probe_channel_number"].tolist() == [0, 1, 0]
    assert session.channels["probe_id_in_file"].tolist() == [8, 8, 8]
    assert session.channels["probe_channel_number_in_file"].tolist() == [1, 1, 1]


def test_units__that_say_something_else_than_their_electrode(
    write: Callable[..., EcephysSession],
) -> None:
    session = write(
        {
            "electrodes": [0, 0], "electrodes_index": [1, 2],
            "location": ["unknown", "unknown"], "brain_area": ["LP", "unknown"],
        },
        {"location": ["V1"]},
    )  # fmt: skip
    with pytest.warns(
        UserWarning, match=r"1 of 2 units .* \(unit 0 in 'LP', its electrode in 'V1'"
    ):
        units = session.units
    assert units["ecephys_structure_acronym"].to_dict() == {0: "LP", 1: "V1"}


METRICS = {"peak_channel_id": [5, 6], "amplitude_cutoff": [0.5, 0.01], "presence_ratio": [0.0, 1.0],
           "isi_violations": [9.0, 0.1]}  # fmt: skip


@pytest.mark.parametrize(("units", "has_ids"), [(METRICS, False), ({}, True)])
def test_from_nwb_path__a_file_with_a_part_of_what_the_survey_has_is_another(
    write: Callable[..., EcephysSession], units: dict[str, object], has_ids: bool
) -> None:
    path = write(units, {"id": [5, 6]}).api.file.path
    if has_ids:
        with h5py.File(path, "a") as file:
            file.create_group("general/extracellular_ephys/left").attrs["probe_id"] = 3
    session = EcephysSession.from_nwb_path(path)
    assert session.units.index.tolist() == [0, 1]
    assert not session.api.has_survey_stimuli


# ---- running speed and units of time


def write_trials(
    path: Path, scale: float, *, place: str = "", unit: str = "cm/s", spikes_scale: float = 1.0
) -> Path:
    """Write 20 trials, one unit, and running speed in a module, in a container or as acquired."""
    nwb = pynwb.NWBFile(
        session_description="lab", identifier="lab",
        session_start_time=dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
    )  # fmt: skip
    nwb.add_unit(spike_times=spikes_scale * np.linspace(1.0, 250.0, 500))
    for onset in np.arange(10.0, 210.0, 10.0):
        nwb.add_trial(start_time=scale * onset, stop_time=scale * (onset + 1))
    speed = pynwb.TimeSeries(
        name="running_speed", data=[1.0, 2.0, 3.0], unit=unit, timestamps=[1.0, 2.0, 4.0]
    )
    if place == "acquisition":
        nwb.add_acquisition(speed)
    elif place:
        module = nwb.create_processing_module(name="behavior", description="behaviour")
        if place == "container":
            speed = pynwb.behavior.BehavioralTimeSeries(time_series=speed)
        module.add(speed)
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path


@pytest.mark.parametrize("place", ["module", "container", "acquisition"])
@pytest.mark.parametrize(("unit", "factor"), [("cm/s", 1.0), ("m/s", 100.0)])
def test_running_speed__is_found_by_its_name(
    tmp_path: Path, place: str, unit: str, factor: float
) -> None:
    path = write_trials(tmp_path / "lab.nwb", 1.0, place=place, unit=unit)
    with EcephysSession.from_nwb_path(path) as session:
        running = session.running_speed
    assert running["velocity"].tolist() == [factor, 2 * factor, 3 * factor]
    assert running["start_time"].tolist() == [1.0, 2.0, 4.0]
    assert running["end_time"].tolist() == [2.0, 4.0, 5.5]


def test_running_speed__and_spikes_of_matlab_are_matrices(tmp_path: Path) -> None:
    path = write_trials(tmp_path / "lab.nwb", 1000.0, place="module")
    with h5py.File(path, "a") as file:
        for name in ("units/spike_times", "processing/behavior/running_speed/data"):
            values, attributes = file[name][()], dict(file[name].attrs)
            del file[name]
            file[name] = values[None, :]
            file[name].attrs.update(attributes)
    with EcephysSession.from_nwb_path(path) as session:
        assert session.running_speed["velocity"].tolist() == [1.0, 2.0, 3.0]
        with pytest.warns(UserWarning, match="of the spikes, 1 to 250 s"):
            assert len(session.stimulus_presentations) >= 20


def test_running_speed__of_an_unknown_unit(tmp_path: Path) -> None:
    path = write_trials(tmp_path / "lab.nwb", 1.0, place="module", unit="turns")
    with (
        EcephysSession.from_nwb_path(path) as session,
        pytest.warns(UserWarning, match="behavior/running_speed is 'turns'; taken as cm/s"),
    ):
        assert len(session.running_speed) == 3


@pytest.mark.parametrize(
    ("spikes_scale", "scale", "message"),
    [
        (1000.0, 1000.0, "spike times reach 250000 s, 3 days: .*; divide milliseconds by 1000"),
        (1.0, 1000.0, "20 of 20 intervals are outside the times of the spikes, 1 to 250 s"),
    ],
)
def test_stimulus_presentations__times_in_milliseconds_are_noticed(
    tmp_path: Path, spikes_scale: float, scale: float, message: str
) -> None:
    path = write_trials(tmp_path / "lab.nwb", scale, spikes_scale=spikes_scale)
    with EcephysSession.from_nwb_path(path) as session, pytest.warns(UserWarning, match=message):
        assert len(session.stimulus_presentations) >= 20


# ---- columns whose names are taken, units on all electrodes


def test_stimulus_presentations__a_name_is_taken_twice(tmp_path: Path) -> None:
    nwb = pynwb.NWBFile(
        session_description="lab", identifier="lab",
        session_start_time=dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
    )  # fmt: skip
    nwb.add_unit(spike_times=[1.0, 2.0, 3.0])
    for name in ("duration", "duration_in_file", "response"):
        nwb.add_trial_column(name, name)
    for start in (0.0, 1.0, 2.0):
        columns = {"duration": 9.0, "duration_in_file": 8.0, "response": 10 * start}
        nwb.add_trial(start_time=start, stop_time=start + 0.5, **columns)
    with pynwb.NWBHDF5IO(tmp_path / "lab.nwb", "w") as io:
        io.write(nwb)
    with EcephysSession.from_nwb_path(tmp_path / "lab.nwb") as session:
        shown = session.get_stimulus_table("trials")
        assert shown["duration"].tolist() == [0.5] * 3
        assert shown["duration_in_file_in_file"].tolist() == [9.0] * 3
        assert shown["duration_in_file"].tolist() == [8.0] * 3
        rows = raster(session, 0, align="trials")["rows"]
        assert rows["response_parameter"].tolist() == [0.0, 10.0, 20.0]


def test_units__on_all_electrodes_are_on_none_in_particular(tmp_path: Path) -> None:
    path = other_files.write_neuroconv(
        tmp_path / "lab.nwb", other_files.make_trains(np.random.default_rng(7))
    )
    with h5py.File(path, "a") as file:
        units, n = file["units"], len(file["general/extracellular_ephys/electrodes/id"])
        del units["waveform_mean"]
        for name, values in (
            ("electrodes", np.tile(np.arange(n), 3)), ("electrodes_index", n * np.arange(1, 4)),
        ):  # fmt: skip
            attributes = {k: v for k, v in units[name].attrs.items() if k in ("neurodata_type",)}
            del units[name]
            units[name] = values
            units[name].attrs.update(attributes)
    with EcephysSession.from_nwb_path(path) as session:
        assert session.units["peak_channel_id"].isna().all()
