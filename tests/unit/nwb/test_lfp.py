import copy
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from spikehouse.errors import InvalidArgumentError, InvalidFileError
from spikehouse.nwb.lfp import open_lfp, plan_spans, read_current_source_density

N_SAMPLES, N_CHANNELS = 2000, 6
VALUES = np.arange(N_SAMPLES * N_CHANNELS, dtype=np.float32).reshape(N_SAMPLES, N_CHANNELS)
IDS = np.array([100, 104, 108, 112, 116, 120])
SERIES = "acquisition/probe_7_lfp/probe_7_lfp_data"
ELECTRODE_IDS = "general/extracellular_ephys/electrodes/id"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(
        series: str = SERIES, *, leave_out: str = "", values: Any = VALUES, **replaced: Any
    ) -> Path:
        path = tmp_path / "probe_7_lfp.nwb"
        parts = {
            "timestamps": 3 + np.arange(N_SAMPLES) / 1250,
            "electrodes": np.arange(N_CHANNELS),
            **replaced,
        }
        with h5py.File(path, "w") as file:
            file[ELECTRODE_IDS] = IDS
            group = file.create_group(series)
            group.create_dataset("data", data=values)
            for name, part in parts.items():
                group[name] = part
            if leave_out:
                del file[leave_out]
        return path

    return write_file


class Spy:
    """Counts the bytes that h5py is asked for."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.n_bytes = 0
        self.largest = 0
        getitem, read_direct = h5py.Dataset.__getitem__, h5py.Dataset.read_direct

        def count_getitem(dataset: h5py.Dataset, key: Any, *rest: Any, **named: Any) -> Any:
            values = getitem(dataset, key, *rest, **named)
            self._count(np.asarray(values).nbytes)
            return values

        def count_direct(dataset: h5py.Dataset, into: Any, source: Any, target: Any) -> None:
            self._count(into[target].nbytes)
            read_direct(dataset, into, source, target)

        patch.setattr(h5py.Dataset, "__getitem__", count_getitem)
        patch.setattr(h5py.Dataset, "read_direct", count_direct)

    def _count(self, n_bytes: int) -> None:
        self.n_bytes += n_bytes
        self.largest = max(self.largest, n_bytes)


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    return Spy(monkeypatch)


def test_open_lfp__has_allensdks_labels(write: Write) -> None:
    lfp = open_lfp(write(), 7)
    assert lfp.name == "LFP"
    assert lfp.dims == ("time", "channel")
    assert lfp.shape == (N_SAMPLES, N_CHANNELS)
    assert lfp.dtype == np.float32
    np.testing.assert_array_equal(lfp.time, 3 + np.arange(N_SAMPLES) / 1250)
    np.testing.assert_array_equal(lfp.channel, IDS)
    assert lfp.attrs["units"] == "V"
    assert lfp.attrs["probe_id"] == 7


def test_open_lfp__reads_no_data_until_it_is_used(write: Write, spy: Spy) -> None:
    lfp = open_lfp(write())
    opened = spy.n_bytes
    # the channel ids are read without h5py
    assert opened == 8 * (N_SAMPLES + N_CHANNELS)
    second = lfp.sel(time=slice(3.5, 3.7)).sel(channel=109, method="nearest")
    repr(open_lfp(lfp.attrs["source"].split(":/")[0]))
    assert spy.n_bytes <= 2 * opened + VALUES.nbytes  # repr shows arrays this small
    before = spy.n_bytes
    second.load()
    assert second.channel == 108
    # whole rows: to pick channels row by row takes longer
    assert spy.n_bytes - before == 4 * 251 * N_CHANNELS


def test_open_lfp__a_large_array_is_not_read_to_be_shown(write: Write, spy: Spy) -> None:
    n_samples = 40_000
    path = write(
        values=np.zeros((n_samples, N_CHANNELS), np.float32), timestamps=np.arange(n_samples)
    )
    lfp = open_lfp(path)
    before = spy.n_bytes
    assert "240000 values with dtype=float32" in repr(lfp)
    assert "240000 values" in lfp._repr_html_()
    assert spy.n_bytes == before


@pytest.mark.parametrize(
    "key",
    [
        (5, 2),
        (-1, slice(None)),
        (slice(10, 20), slice(None, None, -1)),
        (slice(1900, 10, -7), [5, 0, 0]),
        (slice(3, 3), slice(None)),
        ([], slice(None)),
        ([4, 4, 1999, 0], 3),
        ([-1, -2000], [1, -1]),
        (np.arange(N_SAMPLES) % 3 == 0, slice(1, None, 2)),
        (slice(None), [0, 5]),
    ],
)
def test_open_lfp__any_index_gives_what_numpy_gives(write: Write, key: tuple[Any, Any]) -> None:
    eager = xr.DataArray(VALUES, dims=("time", "channel"))
    lfp = open_lfp(write())
    np.testing.assert_array_equal(lfp[key].values, eager[key].values)


def test_open_lfp__points_of_both_axes_at_once(write: Write) -> None:
    lfp = open_lfp(write())
    times, channels = xr.DataArray([7, 1, 7], dims="p"), xr.DataArray([0, 5, 2], dims="p")
    np.testing.assert_array_equal(
        lfp.isel(time=times, channel=channels), VALUES[[7, 1, 7], [0, 5, 2]]
    )


def test_open_lfp__far_rows_are_read_without_what_lies_between(write: Write, spy: Spy) -> None:
    n_samples = 100_000
    values = np.zeros((n_samples, N_CHANNELS), np.float32)
    lfp = open_lfp(write(values=values, timestamps=np.arange(n_samples)))
    before = spy.n_bytes
    lfp.isel(time=[0, 50_000, 99_999]).load()
    assert spy.n_bytes - before == 3 * 4 * N_CHANNELS
    lfp.isel(time=slice(None, None, 10_000), channel=[0, 5]).load()
    assert spy.n_bytes - before == 13 * 4 * N_CHANNELS


def test_open_lfp__channels_are_picked_block_by_block(
    write: Write, spy: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikehouse.nwb.lfp.BLOCK_BYTES", 4 * N_CHANNELS * 300)
    lfp = open_lfp(write(timestamps=np.arange(N_SAMPLES)))
    spy.largest = 0
    np.testing.assert_array_equal(lfp.isel(channel=[5, 0]), VALUES[:, [5, 0]])
    assert spy.largest == 4 * N_CHANNELS * 300
    np.testing.assert_array_equal(lfp.isel(time=slice(7, 1500, 11)), VALUES[7:1500:11])
    rows = np.r_[1:1400:3, 1999]
    np.testing.assert_array_equal(lfp.isel(time=rows, channel=[1, 3]), VALUES[rows][:, [1, 3]])


def test_open_lfp__load_reads_everything_once(write: Write, spy: Spy) -> None:
    lfp = open_lfp(write())
    before = spy.n_bytes
    loaded = lfp.load()
    assert spy.n_bytes - before == VALUES.nbytes
    np.testing.assert_array_equal(loaded, VALUES)
    assert spy.n_bytes - before == VALUES.nbytes


def test_open_lfp__a_compressed_file(tmp_path: Path, write: Write) -> None:
    path = write()
    with h5py.File(path, "a") as file:
        del file[f"{SERIES}/data"]
        file[SERIES].create_dataset("data", data=VALUES, chunks=(64, 4), compression="gzip")
    np.testing.assert_array_equal(open_lfp(path).isel(time=slice(60, 200, 3)), VALUES[60:200:3])


def test_open_lfp__series_beside_the_group(write: Write) -> None:
    lfp = open_lfp(write("acquisition/probe_7_lfp_data"))
    np.testing.assert_array_equal(lfp.isel(time=9), VALUES[9])


def test_open_lfp__electrode_rows_say_which_channels(write: Write) -> None:
    path = write(values=VALUES[:, :2], electrodes=np.array([4, 1]))
    np.testing.assert_array_equal(open_lfp(path).channel, [116, 104])


def test_open_lfp__without_electrode_rows_all_are_meant(write: Write) -> None:
    path = write(leave_out=f"{SERIES}/electrodes")
    np.testing.assert_array_equal(open_lfp(path).channel, IDS)


def test_open_lfp__copies_and_pickles_stay_lazy(write: Write, spy: Spy) -> None:
    lfp = open_lfp(write())
    before = spy.n_bytes
    copied, again = copy.deepcopy(lfp), pickle.loads(pickle.dumps(lfp))
    assert spy.n_bytes == before
    np.testing.assert_array_equal(copied.isel(time=3), VALUES[3])
    np.testing.assert_array_equal(again.isel(time=3), VALUES[3])


def test_open_lfp__a_closed_file_says_so(write: Write) -> None:
    path = write()
    lfp = open_lfp(path)
    lfp.close()
    with pytest.raises(InvalidArgumentError, match="was closed"):
        lfp.isel(time=0).load()


def test_open_lfp__cannot_be_assigned_to_until_loaded(write: Write) -> None:
    lfp = open_lfp(write())
    with pytest.raises(InvalidArgumentError, match="open for reading only"):
        lfp[0, 0] = 1.0
    first = lfp.isel(time=slice(0, 2)).load()
    first[0, 0] = -1.0
    assert lfp[0, 0] == 0


def test_open_lfp__no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_lfp(tmp_path / "absent.nwb")


def test_open_lfp__a_file_without_lfp_names_the_group(tmp_path: Path) -> None:
    path = tmp_path / "empty.nwb"
    with h5py.File(path, "w") as file:
        file.create_group("acquisition/running")
    with pytest.raises(
        InvalidFileError, match=r"no group /acquisition/probe_7_lfp: .* holds no LFP"
    ):
        open_lfp(path, 7)
    with pytest.raises(InvalidFileError, match="probe_<probe id>_lfp"):
        open_lfp(path)


def test_open_lfp__another_probe_than_the_files(write: Write) -> None:
    with pytest.raises(InvalidFileError, match=r"probe_8_lfp: it holds LFP of probe 7"):
        open_lfp(write(), 8)


def test_open_lfp__two_probes_and_none_named(write: Write) -> None:
    path = write()
    with h5py.File(path, "a") as file:
        file.copy(file[SERIES], file, "acquisition/probe_9_lfp_data")
    with pytest.raises(InvalidArgumentError, match="LFP of 2 probes; pass probe_id, one of 7, 9"):
        open_lfp(path)
    assert open_lfp(path, 9).attrs["probe_id"] == 9


@pytest.mark.parametrize(
    ("leave_out", "message"),
    [
        (SERIES, "neither /acquisition/probe_7_lfp/probe_7_lfp_data nor"),
        (f"{SERIES}/data", "/acquisition/probe_7_lfp/probe_7_lfp_data has no dataset 'data'"),
        (f"{SERIES}/timestamps", "has no dataset 'timestamps'; the group holds data, electrodes"),
        (ELECTRODE_IDS, "no dataset /general/extracellular_ephys/electrodes/id"),
    ],
)
def test_open_lfp__a_missing_part_is_named(write: Write, leave_out: str, message: str) -> None:
    with pytest.raises(InvalidFileError, match=message):
        open_lfp(write(leave_out=leave_out))


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"timestamps": np.arange(3.0)}, "shape .2000, 6.*3 timestamps and 6 electrodes"),
        ({"electrodes": np.arange(2)}, "2000 timestamps and 2 electrodes"),
        ({"electrodes": np.arange(1, 7)}, "points at rows 1 to 6 of .* which has 6"),
        ({"values": np.arange(5.0)}, r"shape \(5,\) where \(time, channel\) was expected"),
    ],
)
def test_open_lfp__parts_that_do_not_fit(
    write: Write, replaced: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidFileError, match=message):
        open_lfp(write(**replaced))


def test_open_lfp__chunks_without_dask_say_how_to_install_it(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "dask.array", None)
    monkeypatch.setitem(sys.modules, "dask", None)
    with pytest.raises(InvalidArgumentError, match="pip install dask"):
        open_lfp(write(), chunks="auto")


def test_open_lfp__chunks_make_an_array_of_dask(write: Write) -> None:
    pytest.importorskip("dask.array", reason="Dask is not installed")
    lfp = open_lfp(write(), chunks={"time": 500})
    assert lfp.chunks == ((500,) * 4, (N_CHANNELS,))
    np.testing.assert_allclose(lfp.mean("time"), VALUES.mean(axis=0), rtol=1e-5)


def test_plan_spans__reads_over_small_gaps_only() -> None:
    rows = np.array([0, 1, 4, 10, 11])
    assert plan_spans(rows, largest_gap=2) == [(0, 5), (10, 12)]
    assert plan_spans(rows, largest_gap=0) == [(0, 2), (4, 5), (10, 12)]
    assert plan_spans(rows, largest_gap=5) == [(0, 12)]
    assert plan_spans(range(0, 9, 3), largest_gap=2) == [(0, 7)]
    assert plan_spans(range(0, 9, 3), largest_gap=1) == [(0, 1), (3, 4), (6, 7)]


@pytest.fixture(params=[910001000, 805009000], ids=["simulated", "written by AllenSDK"])
def lfp_file(request: pytest.FixtureRequest) -> tuple[Path, int]:
    """Return an LFP file and the id of its probe."""
    if request.param == 910001000:
        return request.getfixturevalue("survey").lfp_file(request.param), request.param
    folder = request.getfixturevalue("shared_folder") / "data"
    return folder / f"probe_{request.param}_lfp.nwb", request.param


def test_open_lfp__equals_h5py(lfp_file: tuple[Path, int], spy: Spy) -> None:
    path, probe_id = lfp_file
    lfp = open_lfp(path, probe_id)
    start = float(lfp.time[2000])
    before = spy.n_bytes
    second = lfp.sel(time=slice(start, start + 1)).load()
    assert spy.n_bytes - before == second.nbytes
    with h5py.File(path) as file:
        series = file[f"acquisition/probe_{probe_id}_lfp/probe_{probe_id}_lfp_data"]
        times = series["timestamps"][()]
        is_inside = (times >= start) & (times <= start + 1)
        np.testing.assert_array_equal(second, series["data"][()][is_inside])
        np.testing.assert_array_equal(second.time, times[is_inside])
        np.testing.assert_array_equal(second.channel, file[ELECTRODE_IDS][()])


def test_read_current_source_density__equals_h5py(lfp_file: tuple[Path, int]) -> None:
    path, _ = lfp_file
    csd = read_current_source_density(path)
    assert csd.name == "CSD"
    assert csd.dims == ("virtual_channel_index", "time")
    assert csd.attrs["units"] == "V/cm^2"
    with h5py.File(path) as file:
        group = file["processing/current_source_density/ecephys_csd"]
        series = group["current_source_density"]
        np.testing.assert_array_equal(csd, series["data"][()].T)
        np.testing.assert_array_equal(csd.time, series["timestamps"][()])
        np.testing.assert_array_equal(csd.virtual_channel_index, np.arange(len(csd)))
        y, x = (group[f"virtual_electrode_{axis}_positions"][()] for axis in "yx")
        np.testing.assert_array_equal(csd.vertical_position, y)
        np.testing.assert_array_equal(csd.horizontal_position, x)


def test_read_current_source_density__missing_is_named(write: Write) -> None:
    with pytest.raises(InvalidFileError, match=r"no dataset /processing/current_source_density/"):
        read_current_source_density(write())


def test_read_current_source_density__parts_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "csd.nwb"
    with h5py.File(path, "w") as file:
        group = file.create_group("processing/current_source_density/ecephys_csd")
        group["current_source_density/data"] = np.zeros((4, 3))
        group["current_source_density/timestamps"] = np.arange(4.0)
        group["virtual_electrode_x_positions"] = np.arange(3.0)
        group["virtual_electrode_y_positions"] = np.arange(2.0)
    with pytest.raises(InvalidFileError, match=r"shape \(4, 3\), but .* 2 vertical and 3 horiz"):
        read_current_source_density(path)
