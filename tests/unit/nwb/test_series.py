"""Series of other writers: stored in another unit, with a rate instead of times."""

from __future__ import annotations

import datetime as dt
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikehouse.demo import Survey
from spikehouse.errors import InvalidFileError
from spikehouse.lfp import mask_intervals
from spikehouse.nwb import NwbSessionFile
from spikehouse.nwb.lfp import CSD, open_lfp, read_current_source_density

N_SAMPLES, N_CHANNELS = 50, 4
SERIES = "acquisition/probe_7_lfp/probe_7_lfp_data"
CONVERSION = 1.95e-7


def write_lfp(path: Path, stored: Any, **parts: Any) -> Path:
    """Write an LFP file by hand; parts are datasets, and attributes of the data."""
    attributes = {name: parts.pop(name) for name in ("conversion", "offset") if name in parts}
    with h5py.File(path, "w") as file:
        file["general/extracellular_ephys/electrodes/id"] = np.arange(N_CHANNELS) + 100
        series = file.create_group(SERIES)
        series["data"] = stored
        series["data"].attrs.update(attributes)
        series["electrodes"] = np.arange(N_CHANNELS)
        rate = parts.pop("rate", None)
        for name, part in parts.items():
            series[name] = part
        if rate is not None:
            series["starting_time"].attrs["rate"] = rate
    return path


@given(
    dtype=st.sampled_from(["i2", ">i2", "u1", "i4", "f4", ">f4", "f8"]),
    conversion=st.sampled_from([None, 1.0, CONVERSION, -2.0]),
    offset=st.sampled_from([None, 0.0, 0.25]),
    by_channel=st.sampled_from([None, np.ones(N_CHANNELS), np.array([1.0, 2.0, 0.5, -1.0])]),
    rows=st.sampled_from([slice(None), slice(40, 3, -7), [5, 2, 2], 11]),
    columns=st.sampled_from([slice(None), [3, 0], slice(None, None, -2), 2]),
)
def test_open_lfp__is_in_volts(
    tmp_path_factory: pytest.TempPathFactory,
    dtype: str,
    conversion: float | None,
    offset: float | None,
    by_channel: Any,
    rows: Any,
    columns: Any,
) -> None:
    rng = np.random.default_rng(3)
    stored = rng.integers(0, 100, (N_SAMPLES, N_CHANNELS)).astype(dtype)
    parts = {"conversion": conversion, "offset": offset, "channel_conversion": by_channel}
    path = write_lfp(
        tmp_path_factory.mktemp("lfp") / "probe_7_lfp.nwb",
        stored,
        timestamps=np.arange(N_SAMPLES) / 1250,
        **{name: part for name, part in parts.items() if part is not None},
    )
    volts = stored.astype(float) * (1.0 if conversion is None else conversion)
    volts = volts * (1.0 if by_channel is None else by_channel) + (offset or 0.0)
    lfp = open_lfp(path)
    assert lfp.dtype.kind == stored.dtype.kind if (volts == stored).all() else "f"
    assert lfp.dtype.isnative
    expected = volts[rows][..., columns]
    for found in (lfp, pickle.loads(pickle.dumps(lfp)), lfp.load()):
        np.testing.assert_allclose(found[rows, columns].values, expected, rtol=1e-6, atol=1e-12)
    lfp.close()


def test_open_lfp__small_integers_become_float32(tmp_path: Path) -> None:
    stored = np.full((N_SAMPLES, N_CHANNELS), 30_000, np.int16)
    times = np.arange(N_SAMPLES) / 1250
    path = write_lfp(tmp_path / "a.nwb", stored, timestamps=times, conversion=CONVERSION)
    lfp = open_lfp(path)
    assert lfp.dtype == np.float32
    masked = mask_intervals(lfp, [times[0]], [times[4]])
    assert masked.isnull().sum() == 5 * N_CHANNELS
    np.testing.assert_allclose(masked[5:].values, 30_000 * CONVERSION, rtol=1e-6)
    with pytest.raises(InvalidFileError, match=r"channel_conversion has shape \(3,\), but .* \(50"):
        open_lfp(
            write_lfp(tmp_path / "b.nwb", stored, timestamps=times, channel_conversion=np.ones(3))
        )
    with pytest.raises(InvalidFileError, match="the attribute 'conversion' is nan, where a number"):
        open_lfp(write_lfp(tmp_path / "c.nwb", stored, timestamps=times, conversion=np.nan))


def test_open_lfp__times_from_a_rate(tmp_path: Path) -> None:
    stored = np.zeros((N_SAMPLES, N_CHANNELS), np.float32)
    path = write_lfp(tmp_path / "a.nwb", stored, starting_time=3.5, rate=1250.0)
    lfp = open_lfp(path)
    np.testing.assert_allclose(lfp["time"], 3.5 + np.arange(N_SAMPLES) / 1250, rtol=1e-15)
    assert lfp.sel(time=slice(3.501, 3.505)).sizes["time"] == 5
    for start, rate in ((np.nan, 1250.0), (3.5, 0.0), (3.5, -1.0)):
        path = write_lfp(tmp_path / "b.nwb", stored, starting_time=start, rate=rate)
        with pytest.raises(
            InvalidFileError, match=f"begins at {start} s with {rate} samples per second"
        ):
            open_lfp(path)
    path = write_lfp(tmp_path / "c.nwb", stored, starting_time=3.5)
    with pytest.raises(InvalidFileError, match="the attribute 'rate' is None, where a number"):
        open_lfp(path)
    path = write_lfp(tmp_path / "d.nwb", stored)
    with pytest.raises(InvalidFileError, match=r"has no dataset .*timestamps"):
        open_lfp(path)


@pytest.mark.filterwarnings("ignore:The linked table for DynamicTableRegion:UserWarning")
def test_open_lfp__as_pynwb_writes_and_reads_it(tmp_path: Path) -> None:
    pynwb = pytest.importorskip("pynwb", reason="pynwb is not installed (extra nwb)")
    from pynwb.ecephys import LFP, ElectricalSeries

    path = tmp_path / "probe_7_lfp.nwb"
    file = pynwb.NWBFile("LFP", "7", dt.datetime(2026, 1, 2, tzinfo=dt.UTC))
    device = file.create_device("probeA")
    group = file.create_electrode_group("probeA", description="", location="", device=device)
    for _ in range(N_CHANNELS):
        file.add_electrode(location="VISp", group=group)
    region = file.create_electrode_table_region([2, 0, 3], "channels")
    stored = np.random.default_rng(5).integers(-3000, 3000, (N_SAMPLES, 3)).astype(np.int16)
    series = ElectricalSeries(
        name="probe_7_lfp_data",
        data=stored,
        electrodes=region,
        starting_time=12.25,
        rate=1250.0,
        conversion=CONVERSION,
        offset=1e-4,
        channel_conversion=[1.0, 0.5, 2.0],
    )
    file.add_acquisition(LFP(electrical_series=series, name="probe_7_lfp"))
    with pynwb.NWBHDF5IO(str(path), "w") as writer:
        writer.write(file)
    lfp = open_lfp(path, 7)
    assert lfp["channel"].values.tolist() == [2, 0, 3]
    np.testing.assert_allclose(lfp["time"], 12.25 + np.arange(N_SAMPLES) / 1250)
    with pynwb.NWBHDF5IO(str(path), "r") as reader:
        again = reader.read().acquisition["probe_7_lfp"].electrical_series["probe_7_lfp_data"]
        np.testing.assert_allclose(lfp.values, again.get_data_in_units(), atol=1e-10)


RUNNING = "processing/running/running_speed"
GAZE = "processing/raw_gaze_mapping"
READERS: dict[str, Callable[[NwbSessionFile], Any]] = {
    RUNNING: lambda file: file.get_running_speed()["velocity"],
    f"{GAZE}/eye_area": lambda file: file.get_screen_gaze_data()["raw_eye_area"],
    f"{GAZE}/pupil_area": lambda file: file.get_screen_gaze_data()["raw_pupil_area"],
    f"{GAZE}/screen_coordinates": lambda file: file.get_screen_gaze_data()[
        "raw_screen_coordinates_x_cm"
    ],
}


@pytest.mark.parametrize("series", READERS)
def test_series__in_their_unit(session_path: Path, tmp_path: Path, series: str) -> None:
    path = tmp_path / session_path.name
    path.write_bytes(session_path.read_bytes())
    with h5py.File(path, "r+") as file:
        file[f"{series}/data"].attrs.update({"conversion": 0.5, "offset": 3.0})
    found, expected = (READERS[series](NwbSessionFile(p)) for p in (path, session_path))
    np.testing.assert_allclose(found, expected * 0.5 + 3)


def test_running_speed__times_from_a_rate(session_path: Path, tmp_path: Path) -> None:
    path = tmp_path / session_path.name
    path.write_bytes(session_path.read_bytes())
    with h5py.File(path, "r+") as file:
        for name, start in (("running_speed", 0.0), ("running_speed_end_times", 0.02)):
            series = file[f"processing/running/{name}"]
            del series["timestamps"]
            series["starting_time"] = start
            series["starting_time"].attrs["rate"] = 50.0
    running = NwbSessionFile(path).get_running_speed()
    np.testing.assert_allclose(running["start_time"], np.arange(len(running)) / 50)
    np.testing.assert_allclose(running["end_time"] - running["start_time"], 0.02)


def test_current_source_density__in_its_unit(survey: Survey, tmp_path: Path) -> None:
    probes = survey.read_table("probes")
    source = survey.lfp_file(int(probes.index[probes["has_lfp_data"]][0]))
    path = tmp_path / source.name
    path.write_bytes(source.read_bytes())
    with h5py.File(path, "r+") as file:
        file[f"{CSD}/current_source_density/data"].attrs["conversion"] = 0.25
    expected = read_current_source_density(source)
    np.testing.assert_allclose(read_current_source_density(path), expected / 4)
