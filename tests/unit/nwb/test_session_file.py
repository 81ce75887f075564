"""Broken and unusual files, made by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from spikehouse.catalogue import UnitFilter
from spikehouse.errors import InvalidArgumentError, InvalidFileError, NotFoundError
from spikehouse.nwb import NwbSessionFile

Writer = Callable[[h5py.File], None]
TEXT = h5py.string_dtype()


def table(parent: h5py.Group, name: str, columns: dict[str, object]) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["colnames"] = np.array(
        [n for n in columns if not n.endswith("_index")], dtype=object
    )
    for column, values in columns.items():
        array = np.asarray(values)
        if array.dtype.kind in "UO":
            group.create_dataset(column, data=array.astype(object), dtype=TEXT)
        else:
            group.create_dataset(column, data=array)
    n_rows = len(next(v for n, v in columns.items() if f"{n}_index" not in columns))
    group.create_dataset("id", data=np.arange(n_rows) + 100)
    return group


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    path = tmp_path / "session_1.nwb"
    with h5py.File(path, "w") as file:
        file["identifier"] = "1"
        file["session_start_time"] = "2019-01-08T13:55:01-08:00"
        file["general/stimulus"] = "brain_observatory_1.1"
        probe = file.create_group("general/extracellular_ephys/probeA")
        probe.attrs.update(
            {"probe_id": 5, "location": "here", "lfp_sampling_rate": 1250.0, "has_lfp_data": True}
        )
        device = file.create_group("general/devices/probeA")
        device.attrs["sampling_rate"] = 30_000.0
        table(
            file["general/extracellular_ephys"],
            "electrodes",
            {
                "location": ["VISp", "", "None", "CA1"],
                "x": [1.0, np.nan, -1000.0, 4.0],
                "y": [1.0, np.nan, -1000.0, 4.0],
                "z": [2.0, np.nan, -1000.0, 5.0],
                "filtering": ["none"] * 4,
                "local_index": [0, 1, 2, 3],
                "probe_id": [5] * 4,
                "probe_horizontal_position": [11, 59, 27, 43],
                "probe_vertical_position": [20, 20, 40, 40],
                "valid_data": [True, True, True, False],
            },
        )
        table(
            file,
            "units",
            {
                "peak_channel_id": [100, 101, 103],
                "quality": ["good", "good", "noise"],
                "amplitude_cutoff": [0.0, 0.05, 0.2],
                "presence_ratio": [0.99, 0.99, 0.99],
                "isi_violations": [0.0, 0.1, 0.1],
                "spike_times": [0.5, 1.5, 2.0, -1.0, 9.0, 3.0],
                "spike_times_index": np.array([2, 3, 6], dtype=np.uint8),
            },
        )
        intervals = file.create_group("intervals")
        table(
            intervals,
            "flashes_presentations",
            {
                "start_time": [5.0, 1.0],
                "stop_time": [5.25, 1.25],
                "stimulus_name": ["flashes", "flashes"],
                "color": ["1.0", "-1.0"],
            },
        )
        table(
            intervals,
            "gabors_presentations",
            {
                "start_time": [1.0, 2.0],
                "stop_time": [1.25, 2.25],
                "stimulus_name": ["gabors", "gabors"],
                "x_position": [-10.0, 0.0],
            },
        )
    return path


def damage(path: Path, change: Writer) -> Path:
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def test_open__no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        NwbSessionFile(tmp_path / "session_9.nwb")


def test_open__html_page(tmp_path: Path) -> None:
    path = tmp_path / "session_9.nwb"
    path.write_text("<!DOCTYPE html><title>502 Bad Gateway</title>")
    with pytest.raises(InvalidFileError, match=r"is not an HDF5 file: it begins with b'<!DOCTYP'"):
        NwbSessionFile(path)


def test_open__empty_file(tmp_path: Path) -> None:
    path = tmp_path / "session_9.nwb"
    path.touch()
    with pytest.raises(InvalidFileError, match=r"it is empty \(0 bytes\)"):
        NwbSessionFile(path)


def test_open__cut_short(small_file: Path) -> None:
    whole = small_file.read_bytes()
    small_file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidFileError, match="begins like an HDF5 file but cannot be opened"):
        NwbSessionFile(small_file)
    assert small_file.exists()


def test_read__without_the_groups(tmp_path: Path) -> None:
    path = tmp_path / "session_9.nwb"
    with h5py.File(path, "w") as file:
        file["something"] = 1
    broken = NwbSessionFile(path)
    with pytest.raises(InvalidFileError, match=r"it has no table /units. It holds something"):
        broken.get_units()
    with pytest.raises(InvalidFileError, match="no session id: /identifier is None"):
        broken.get_ecephys_session_id()
    assert broken.get_rig_metadata() is None
    assert broken.get_metadata()["specimen_name"] is None


def test_get_channels__outside_the_brain_is_missing(small_file: Path) -> None:
    channels = NwbSessionFile(small_file).get_channels()
    assert channels.index.tolist() == [100, 101, 102]
    assert channels["structure_acronym"].isna().tolist() == [False, True, True]
    assert channels["anterior_posterior_ccf_coordinate"].isna().tolist() == [False, True, True]
    assert "valid_data" not in channels


def test_get_channels__external_columns_win(small_file: Path) -> None:
    import pandas as pd

    external = pd.DataFrame(
        {"left_right_ccf_coordinate": [7.0], "ecephys_structure_acronym": ["VISp"]}, index=[100]
    )
    channels = NwbSessionFile(small_file, external_channel_columns=lambda: external).get_channels()
    assert channels.loc[100, "left_right_ccf_coordinate"] == 7.0
    assert channels["ecephys_structure_acronym"].notna().tolist() == [True, False, False]


def test_get_units__filters(small_file: Path) -> None:
    def ids(**filters: object) -> list[int]:
        chosen = UnitFilter.from_arguments(**filters)  # type: ignore[arg-type]
        return NwbSessionFile(small_file, filters=chosen).get_units().index.tolist()

    assert ids() == [100]
    assert ids(filter_out_of_brain_units=False) == [100, 101]
    assert ids(filter_out_of_brain_units=False, isi_violations_maximum=0) == [100]
    assert ids(
        filter_out_of_brain_units=False, filter_by_validity=False, amplitude_cutoff_maximum=None
    ) == [100, 101, 102]


def test_spike_times__unsorted_and_negative_are_mended_with_one_warning(small_file: Path) -> None:
    times = NwbSessionFile(small_file).get_spike_times()
    assert times[100].tolist() == [0.5, 1.5]
    with pytest.warns(UserWarning, match=r"unsorted or negative.*unit 102, 1 of them negative"):
        assert times[102].tolist() == [3.0, 9.0]
    assert times[102].tolist() == [3.0, 9.0]


def test_spike_times__unknown_unit(small_file: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no unit 103 .*did you mean 102"):
        NwbSessionFile(small_file).get_spike_times()[103]


def test_spike_times__corrupt_dataset_is_named_and_the_rest_still_reads(small_file: Path) -> None:
    def corrupt(file: h5py.File) -> None:
        del file["units/spike_times"]
        dataset = file.create_dataset(
            "units/spike_times", data=np.arange(6.0), chunks=(6,), compression="gzip"
        )
        file.flush()
        info = dataset.id.get_chunk_info(0)
        corrupt.span = (info.byte_offset, info.size)  # type: ignore[attr-defined]

    damage(small_file, corrupt)
    offset, size = corrupt.span  # type: ignore[attr-defined]
    with small_file.open("r+b") as handle:
        handle.seek(offset)
        handle.write(b"\x00" * size)
    session = NwbSessionFile(small_file)
    with pytest.raises(InvalidFileError, match=r"/units/spike_times cannot be read.*Nothing was"):
        session.get_spike_times()[100]
    assert len(session.get_units()) == 1
    assert small_file.exists()


def test_spike_times__a_file_cut_short_later_is_named(small_file: Path) -> None:
    session = NwbSessionFile(small_file)
    times = session.get_spike_times()
    with small_file.open("r+b") as handle:
        handle.truncate(2000)
    with pytest.raises(InvalidFileError, match=r"/units/spike_times cannot be read \(.*too soon"):
        times[102]


def test_spike_times__of_a_closed_file(small_file: Path) -> None:
    session = NwbSessionFile(small_file)
    times = session.get_spike_times()
    session.file.close()
    with pytest.raises(InvalidArgumentError, match=r"was closed; open the session again"):
        times[100]


def test_spike_times__the_same_in_a_compressed_file(small_file: Path) -> None:
    def compress(file: h5py.File) -> None:
        values = file["units/spike_times"][()]
        del file["units/spike_times"]
        file.create_dataset("units/spike_times", data=values, chunks=(2,), compression="gzip")

    plain = NwbSessionFile(small_file).get_spike_times()[100].tolist()
    assert NwbSessionFile(damage(small_file, compress)).get_spike_times()[100].tolist() == plain


def test_open__beside_a_handle_of_h5py(small_file: Path) -> None:
    with h5py.File(small_file) as file:
        assert NwbSessionFile(small_file).get_spike_times()[100].tolist() == [0.5, 1.5]
        assert "units" in file


def test_get_stimulus_presentations__equal_starts_keep_the_files_order(small_file: Path) -> None:
    table = NwbSessionFile(small_file).get_stimulus_presentations()
    assert table["start_time"].tolist() == [1.0, 1.0, 2.0, 5.0]
    assert table["stimulus_name"].tolist() == ["flashes", "gabors", "gabors", "flashes"]
    assert table["color"].tolist()[0] == "-1.0"
    assert table["x_position"].isna().tolist() == [True, False, False, True]


def test_get_invalid_times__absent_is_empty_with_the_schema(small_file: Path) -> None:
    invalid = NwbSessionFile(small_file).get_invalid_times()
    assert len(invalid) == 0
    assert list(invalid.columns) == ["start_time", "stop_time", "tags"]


def test_get_probes(small_file: Path) -> None:
    probes = NwbSessionFile(small_file).get_probes()
    assert probes.loc[5].to_dict() == {
        "description": "probeA",
        "location": "here",
        "sampling_rate": 30_000.0,
        "lfp_sampling_rate": 1250.0,
        "has_lfp_data": True,
    }


def test_without_modules__none_or_an_error_that_says_so(small_file: Path) -> None:
    session = NwbSessionFile(small_file)
    assert session.get_pupil_data() is None
    assert session.get_screen_gaze_data(include_filtered_data=True) is None
    assert len(session.get_optogenetic_stimulation()) == 0
    with pytest.raises(InvalidFileError, match="no group /processing/running"):
        session.get_running_speed()
    with pytest.raises(NotFoundError, match="no LFP file of probe 5"):
        session.get_lfp(5)


def test_get_lfp__probe_without_lfp(small_file: Path) -> None:
    def none_released(file: h5py.File) -> None:
        file["general/extracellular_ephys/probeA"].attrs["has_lfp_data"] = False

    damage(small_file, none_released)
    with pytest.raises(NotFoundError, match=r"none was released\. Get"):
        NwbSessionFile(small_file).get_lfp(5)


def test_get_channels__types_of_the_data_dictionary_whatever_the_file_stores(
    small_file: Path,
) -> None:
    expected = NwbSessionFile(small_file).get_channels()
    electrodes = "general/extracellular_ephys/electrodes"
    with h5py.File(small_file, "r+") as file:
        for name, dtype in (("x", "f4"), ("probe_vertical_position", "f8"), ("probe_id", "i4")):
            values = file[f"{electrodes}/{name}"][()]
            del file[f"{electrodes}/{name}"]
            file[f"{electrodes}/{name}"] = values.astype(dtype)
    pd.testing.assert_frame_equal(NwbSessionFile(small_file).get_channels(), expected)
    with h5py.File(small_file, "r+") as file:
        del file[f"{electrodes}/probe_vertical_position"]
    message = r"has no channels column 'probe_vertical_position'; it has 'anterior"
    with pytest.raises(InvalidFileError, match=message):
        NwbSessionFile(small_file).get_channels()
