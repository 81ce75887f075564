import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from xarray.core.indexing import PandasIndexingAdapter

from spikehouse.errors import InvalidArgumentError, InvalidFileError
from spikehouse.lfp import align_lfp, mask_intervals
from spikehouse.lfp.lazy_times import LazyTimes
from spikehouse.nwb._byte_readers import LocalBytes
from spikehouse.nwb._searchsorted import BLOCK, SortedDataset
from spikehouse.nwb.hdf5 import Hdf5File
from spikehouse.nwb.lfp import open_lfp

N_SAMPLES = 400_000
TIMES = 3 + np.arange(N_SAMPLES) / 1250
NAME = "acquisition/probe_7_lfp/probe_7_lfp_data/timestamps"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(times: np.ndarray = TIMES, *, name: str = "lfp.nwb", **storage: Any) -> Path:
        with h5py.File(tmp_path / name, "w") as file:
            file.create_dataset(NAME, data=times, **storage)
            file[NAME].parent["data"] = np.zeros((len(times), 2), np.float32)
            file["general/extracellular_ephys/electrodes/id"] = np.arange(2)
        return tmp_path / name

    return write_file


class Reads:
    """Counts what is read of the datasets; HDF5's metadata is read by another method."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.n_bytes = 0
        self.n_calls = 0
        read = LocalBytes.read_into

        def count(source: LocalBytes, offset: int, buffer: memoryview) -> int:
            self.n_bytes += len(buffer)
            self.n_calls += 1
            return read(source, offset, buffer)

        patch.setattr(LocalBytes, "read_into", count)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


def test_open_lfp__a_second_of_a_long_recording_reads_a_few_blocks(
    write: Write, reads: Reads
) -> None:
    lfp = open_lfp(write())
    assert isinstance(lfp.indexes["time"], LazyTimes)
    # the ids of the two electrodes
    assert reads.n_bytes == 16
    second = lfp.sel(time=slice(100, 101))
    assert second.sizes["time"] == 1251
    assert type(second.indexes["time"]) is pd.Index
    np.testing.assert_array_equal(second.time, TIMES[(TIMES >= 100) & (TIMES <= 101)])
    # nine blocks to begin with, those the bounds are in, and the second
    assert reads.n_bytes <= 8 * (9 * BLOCK + 4 * BLOCK + 1251)
    before = reads.n_bytes
    lfp.sel(time=100.5, method="nearest")
    assert lfp.time[-1] == TIMES[-1]
    assert reads.n_bytes - before <= 8 * BLOCK


def test_open_lfp__masked_aligned_and_shown_without_reading_all_times(
    write: Write, reads: Reads
) -> None:
    lfp = mask_intervals(open_lfp(write()), [50.0, 200.0], [60.0, 201.0])
    aligned = align_lfp(lfp, [100.0, 110.0], window=(-0.1, 0.5))
    assert aligned.shape == (2, 750, 2)
    lfp.copy(deep=True).rename(time="t").transpose().isel(channel=0, t=slice(5, None))
    repr(lfp)
    assert reads.n_bytes < 8 * 60 * BLOCK


def test_open_lfp__shown_as_html_without_reading_all_times(write: Write, reads: Reads) -> None:
    if not hasattr(PandasIndexingAdapter, "_in_memory"):
        pytest.skip("this xarray prints every index of pandas")
    for chunks in (None, {"time": 1000}) if find_dask() else (None,):
        lfp = open_lfp(write(name=f"{chunks is None}.nwb"), chunks=chunks)
        for shown in (lfp, mask_intervals(lfp, [50.0], [60.0]), lfp.isel(channel=0)):
            assert "[400000 values with dtype=float64]" in shown._repr_html_()
    assert reads.n_bytes < 8 * 60 * BLOCK


def find_dask() -> bool:
    try:
        import dask.array  # noqa: F401
    except ImportError:
        return False
    return True


def test_open_lfp__labels_all_over_read_every_time_once(write: Write, reads: Reads) -> None:
    index = open_lfp(write()).indexes["time"]
    wanted = np.random.default_rng(2).uniform(3, 323, 20_000)
    found = index.get_indexer(wanted, method="nearest")
    np.testing.assert_array_equal(found, pd.Index(TIMES).get_indexer(wanted, method="nearest"))
    read = reads.n_bytes
    assert read < 1.2 * TIMES.nbytes
    index.get_indexer(wanted, method="pad")
    np.testing.assert_array_equal(index.values, TIMES)
    assert reads.n_bytes == read


def test_open_lfp__labels_close_together_read_what_is_there(write: Write, reads: Reads) -> None:
    index = open_lfp(write()).indexes["time"]
    wanted = np.random.default_rng(2).uniform(100, 110, 20_000)
    found = index.get_indexer(wanted, method="nearest")
    np.testing.assert_array_equal(found, pd.Index(TIMES).get_indexer(wanted, method="nearest"))
    assert reads.n_bytes <= 8 * 26 * BLOCK
    assert reads.n_calls <= 14


def test_open_lfp__a_steep_axis_takes_few_reads(write: Write, reads: Reads) -> None:
    # proportion leads astray here; halving finds it
    times = np.exp(np.linspace(0, 600, N_SAMPLES))
    index = open_lfp(write(times)).indexes["time"]
    for row in (1, 77_777, 200_000, 399_998):
        assert index.get_loc(times[row]) == row
    assert reads.n_calls < 9 + 4 * 16


@pytest.mark.parametrize("where", [0, 100_000, 399_999])
def test_sel__times_out_of_order_that_were_read_give_pandas_answer(
    write: Write, where: int
) -> None:
    times = TIMES.copy()
    times[where] = 150.0
    lfp = open_lfp(write(times))
    eager = xr.DataArray(np.zeros(N_SAMPLES), {"time": times}, "time")
    # reads the block it is in
    lfp.time[where]
    for array in (lfp, eager):
        with pytest.raises(KeyError):
            array.sel(time=slice(100.0001, 101))
    with pytest.raises(InvalidArgumentError, match="out of order"):
        align_lfp(lfp, [100.0], window=(0, 0.1))
    masked = mask_intervals(lfp, [149.9999], [150.00001]).isel(channel=0)
    np.testing.assert_array_equal(
        np.flatnonzero(np.isnan(masked)), np.flatnonzero(np.isclose(times, 150, atol=1e-5, rtol=0))
    )


def test_sel__times_out_of_order_that_were_not_read_are_not_noticed(write: Write) -> None:
    times = TIMES.copy()
    times[[60_100, 60_200]] = times[[60_200, 60_100]]
    lfp = open_lfp(write(times))
    assert lfp.sel(time=slice(200, 201)).sizes["time"] == 1251
    assert not lfp.indexes["time"].is_monotonic_increasing
    with pytest.raises(KeyError):
        lfp.sel(time=slice(200.0001, 201))


def test_sel__equal_or_missing_times_are_left_to_pandas(write: Write) -> None:
    times = TIMES.copy()
    times[1] = times[0]
    lfp = open_lfp(write(times))
    assert lfp.sel(time=slice(3, 4)).sizes["time"] == 1251
    assert align_lfp(lfp, [100.0], window=(0, 0.1)).notnull().all()
    times[1] = np.nan
    lfp = open_lfp(write(times, name="nan.nwb"))
    with pytest.raises(KeyError):
        lfp.sel(time=slice(3.00001, 4))


@pytest.mark.parametrize("times", [TIMES.astype(np.float32), TIMES.astype(">f8"), TIMES[:5000]])
def test_open_lfp__other_times_have_an_ordinary_index(write: Write, times: np.ndarray) -> None:
    lfp = open_lfp(write(times))
    assert type(lfp.indexes["time"]) is pd.Index
    np.testing.assert_array_equal(lfp.time, times)


def test_open_lfp__times_in_one_large_chunk_have_an_ordinary_index(write: Write) -> None:
    lfp = open_lfp(write(chunks=(N_SAMPLES,), compression="gzip"))
    assert type(lfp.indexes["time"]) is pd.Index


def test_open_lfp__a_file_cut_short_names_the_times(write: Write, tmp_path: Path) -> None:
    path = write()
    with h5py.File(path) as file:
        offset = file[NAME].id.get_offset()
    lfp = open_lfp(path)
    with path.open("r+b") as handle:
        handle.truncate(offset + 8 * 390_000)
    with pytest.raises(InvalidFileError, match=r"lfp.nwb: .*timestamps cannot be read: .*ends "):
        lfp.sel(time=slice(100, 101))


def test_open_lfp__closed_before_its_times_were_read(write: Write) -> None:
    lfp = open_lfp(write())
    lfp.close()
    with pytest.raises(InvalidArgumentError, match="was closed"):
        lfp.sel(time=slice(100, 101))
    with pytest.raises(InvalidArgumentError, match="was closed"):
        _ = lfp.time.values


def test_equals__the_same_file_is_not_read(write: Write, reads: Reads) -> None:
    path = write()
    one, two = (open_lfp(path).indexes["time"] for _ in range(2))
    assert one.equals(two)
    assert one.equals(pickle.loads(pickle.dumps(two)))
    assert not one.equals(one[:-1])
    assert not one[1:].equals(one[:-1])
    assert not one.equals(pd.Index(TIMES + 1))
    assert not one.equals(open_lfp(write(TIMES + 1, name="other.nwb")).indexes["time"])
    assert reads.n_bytes < 8 * 80 * BLOCK
    later = TIMES.copy()
    later[1234] += 1e-9
    assert not one.equals(open_lfp(write(later, name="later.nwb")).indexes["time"])
    assert one.equals(open_lfp(write(name="equal.nwb")).indexes["time"])
    assert one.equals(pd.Index(TIMES))
    assert pd.Index(TIMES).equals(one)
    assert not one.equals("times")


def test_search__threads_share_what_was_read(write: Write) -> None:
    source = SortedDataset(Hdf5File(write()), f"/{NAME}")
    wanted = np.random.default_rng(3).uniform(0, 330, (8, 400))
    found: dict[int, Any] = {}

    def search(row: int) -> None:
        found[row] = [int(source.search([value], "left")[0]) for value in wanted[row]]

    threads = [threading.Thread(target=search, args=(row,)) for row in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = np.searchsorted(TIMES, wanted)
    np.testing.assert_array_equal([found[row] for row in range(8)], expected)
