import copy
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from spikehouse.lfp import align_lfp, lazy_times, mask_intervals
from spikehouse.lfp.lazy_times import LazyTimes
from spikehouse.nwb import _searchsorted
from spikehouse.nwb.lfp import open_lfp

N_SAMPLES, N_CHANNELS = 4000, 3


@pytest.fixture(scope="module", autouse=True)
def small_blocks() -> Iterator[None]:
    """Make a recording of a few seconds one of many blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_searchsorted, "BLOCK", 16)
        patch.setattr(_searchsorted, "PIECE", 100)
        patch.setattr(lazy_times, "LARGEST_READ", 600)
        yield


def write(path: Path, times: np.ndarray, **storage: Any) -> Path:
    values = np.arange(len(times) * N_CHANNELS, dtype=np.float32).reshape(-1, N_CHANNELS)
    with h5py.File(path, "w") as file:
        group = file.create_group("acquisition/probe_7_lfp/probe_7_lfp_data")
        group["data"] = values
        group.create_dataset("timestamps", data=times, **storage)
        file["general/extracellular_ephys/electrodes/id"] = np.arange(N_CHANNELS)
    return path


@pytest.fixture(scope="module")
def times() -> np.ndarray:
    """Give an uneven axis: jitter, a gap, and a stretch four times as dense."""
    steps = np.random.default_rng(8).uniform(0.0007, 0.0009, N_SAMPLES)
    steps[1500] = 1.0
    steps[2500:3000] /= 4
    return 2 + np.cumsum(steps)


@pytest.fixture(scope="module", params=["contiguous", "chunked"])
def path(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, times: np.ndarray
) -> Path:
    storage = {"chunks": (100,), "compression": "gzip"} if request.param == "chunked" else {}
    return write(tmp_path_factory.mktemp("lfp") / "probe_7_lfp.nwb", times, **storage)


def make_eager(lazy: xr.DataArray) -> xr.DataArray:
    """Give the same recording with an ordinary index, and its values in memory."""
    return lazy.assign_coords(time=lazy.time.values.copy()).load()


@pytest.fixture(scope="module")
def eager(path: Path) -> xr.DataArray:
    made = make_eager(open_lfp(path))
    assert type(made.indexes["time"]) is pd.Index
    return made


def outcome(function: Callable[[], Any]) -> Any:
    """Give the result, or the kind of error."""
    try:
        return function()
    except (KeyError, IndexError, ValueError, TypeError, NotImplementedError) as error:
        return type(error).__name__


def assert_same(left: Any, right: Any) -> None:
    if isinstance(left, (xr.DataArray, xr.Dataset)):
        xr.testing.assert_equal(left, right)
        assert {k: v.dtype for k, v in left.coords.items()} == {
            k: v.dtype for k, v in right.coords.items()
        }
        assert set(left.indexes) == set(right.indexes)
        for name, index in right.indexes.items():
            assert index.name == left.indexes[name].name
            np.testing.assert_array_equal(left.indexes[name].to_numpy(), index.to_numpy())
    elif isinstance(left, (pd.DataFrame, pd.Series)):
        assert left.equals(right)
    elif isinstance(left, pd.Index):
        pd.testing.assert_index_equal(pd.Index(left.to_numpy()), pd.Index(right.to_numpy()))
    else:
        np.testing.assert_array_equal(left, right)


labels = st.one_of(
    st.floats(1.9, 7.0),
    st.integers(0, N_SAMPLES - 1).map(lambda row: ("row", row)),
    st.sampled_from([-1e300, 1e300, float("inf"), float("-inf"), 3]),
)


def resolve(label: Any, times: np.ndarray) -> Any:
    return float(times[label[1]]) if isinstance(label, tuple) else label


@given(
    wanted=st.lists(labels, max_size=30),
    method=st.sampled_from([None, "nearest", "pad", "ffill", "backfill", "bfill"]),
    tolerance=st.sampled_from([None, 0.0, 0.0003, 2.0]),
    cut=st.sampled_from([(0, None), (700, 3900), (1, None)]),
)
def test_get_indexer__equals_pandas(path, eager, times, wanted, method, tolerance, cut) -> None:
    lazy = open_lfp(path).indexes["time"][slice(*cut)]
    ordinary = eager.indexes["time"][slice(*cut)]
    assert isinstance(lazy, LazyTimes)
    wanted = [resolve(label, times) for label in wanted]
    results = [
        outcome(lambda index=index: index.get_indexer(wanted, method, None, tolerance))
        for index in (lazy, ordinary)
    ]
    assert_same(*results)
    for label in wanted[:3]:
        assert_same(*(outcome(lambda i=index, x=label: i.get_loc(x)) for index in (lazy, ordinary)))


@given(
    bounds=st.tuples(st.none() | labels, st.none() | labels),
    step=st.sampled_from([None, 1, 3, -1, -7]),
)
def test_sel__slices_equal_pandas(path, eager, times, bounds, step) -> None:
    key = slice(*(resolve(bound, times) for bound in bounds), step)
    lazy = open_lfp(path)
    assert_same(*(outcome(lambda a=a: a.time.sel(time=key)) for a in (lazy, eager)))
    # an empty slice backwards of any array read late is a whole one in xarray 2026.9
    if step is None or step > 0:
        assert_same(*(outcome(lambda a=a: a.sel(time=key)) for a in (lazy, eager)))


positions = st.integers(-N_SAMPLES, N_SAMPLES - 1)


@given(
    key=st.one_of(
        positions,
        st.slices(N_SAMPLES),
        st.lists(positions, max_size=12),
        st.integers(2, 99).map(lambda n: np.arange(N_SAMPLES) % n == 0),
        st.just(np.array([[1, 5], [7, 7]])),
        st.just(N_SAMPLES),
        st.just([0, -N_SAMPLES - 1]),
    ),
    again=st.slices(300),
)
def test_isel__equals_pandas(path, eager, key, again) -> None:
    if isinstance(key, np.ndarray) and key.ndim == 2:
        key = xr.DataArray(key, dims=("a", "b"))
    lazy = open_lfp(path)
    results = [outcome(lambda a=a: a.isel(time=key)) for a in (lazy, eager)]
    assert_same(*results)
    assert_same(*(outcome(lambda a=a: a.time[key]) for a in (lazy, eager)))
    if not isinstance(results[0], str) and "time" in results[0].dims:
        assert_same(*(a.isel(time=again) for a in results))


@given(wanted=st.lists(st.floats(1.9, 7.0), max_size=200), side=st.sampled_from(["left", "right"]))
def test_find__equals_searchsorted(path, times, wanted, side) -> None:
    index = open_lfp(path).indexes["time"]
    np.testing.assert_array_equal(index.find(wanted, side), np.searchsorted(times, wanted, side))
    few = index[5:2000]
    np.testing.assert_array_equal(
        few.find(wanted, side), np.searchsorted(times[5:2000], wanted, side)
    )


def other_array(a: xr.DataArray) -> xr.DataArray:
    return xr.DataArray(np.arange(100.0), dims="time", coords={"time": a.time.values[50:150] + 0})


OPERATIONS: dict[str, Callable[[xr.DataArray], Any]] = {
    "values": lambda a: a["time"].values,
    "first": lambda a: a.time[0],
    "last": lambda a: a.time[-1].item(),
    "index": lambda a: a.indexes["time"],
    "get_index": lambda a: a.get_index("time"),
    "to_index": lambda a: a.time.to_index(),
    "index arithmetic": lambda a: a.indexes["time"] * 2 + a.indexes["time"],
    "index compared": lambda a: a.indexes["time"] > 4,
    "index facts": lambda a: [
        a.indexes["time"].is_unique,
        a.indexes["time"].is_monotonic_increasing,
        a.indexes["time"].hasnans,
        a.indexes["time"].nbytes,
        a.indexes["time"].size,
        a.indexes["time"].min(),
        a.indexes["time"].argmax(),
        3.0 in a.indexes["time"],
    ],
    "index union": lambda a: a.indexes["time"].union(pd.Index([0.0, 99.0])),
    "index intersection": lambda a: a.indexes["time"].intersection(a.indexes["time"][5:9]),
    "index series": lambda a: a.indexes["time"].to_series().reset_index(drop=True) + 1,
    "index take": lambda a: a.indexes["time"].take([3, 1]),
    "index difference": lambda a: a.indexes["time"].difference(a.indexes["time"][4:]),
    "index astype": lambda a: a.indexes["time"].astype(int),
    "index append": lambda a: a.indexes["time"].append(a.indexes["time"]),
    "index frame": lambda a: pd.DataFrame({"x": 1.0}, index=a.indexes["time"]).loc[3.0:3.2],
    "variable": lambda a: a.time * 1000,
    "diff": lambda a: a.time.diff("time"),
    "sum": lambda a: a + a,
    "with a part": lambda a: a - a.isel(time=slice(10, 90)),
    "part with it": lambda a: a.isel(time=slice(10, 90)) * a,
    "with a lazy part": lambda a: a - a.isel(time=slice(1000, None)),
    "with an ordinary index": lambda a: a + other_array(a),
    "outer": lambda a: xr.align(a, a[::40].assign_coords(time=a.time[::40] + 1e-4), join="outer")[
        0
    ],
    "left": lambda a: xr.align(a, other_array(a), join="left")[1],
    "right": lambda a: xr.align(a, other_array(a), join="right")[0],
    "exact": lambda a: outcome(lambda: xr.align(a, other_array(a), join="exact")),
    "override": lambda a: xr.align(a, a + 1, join="override")[1],
    "reindex": lambda a: a.reindex(time=np.arange(2.0, 6.0, 0.1), method="nearest", tolerance=1e-3),
    "reindex exactly": lambda a: a.reindex(time=[2.0, a.time.values[7]]),
    "reindex_like": lambda a: other_array(a).reindex_like(a),
    "reindex_like a part": lambda a: a.reindex_like(a.isel(time=slice(5, 8))),
    "combine_first": lambda a: a.isel(time=slice(5, 8)).combine_first(a),
    "concat in time": lambda a: xr.concat(
        [a.isel(time=slice(0, 9)), a.isel(time=slice(9, 99))], "time"
    ),
    "concat all in time": lambda a: xr.concat([a, a.assign_coords(time=a.time + 10)], "time"),
    "concat channels": lambda a: xr.concat(
        [a, a.assign_coords(channel=a.channel + 10)], "channel", join="outer"
    ),
    "dataset": lambda a: a.to_dataset(name="lfp").assign(part=other_array(a)),
    "merge": lambda a: xr.merge([a, other_array(a).rename("part")], join="inner"),
    "where": lambda a: a.where(a.time > 4),
    "where drop": lambda a: a.where(a.time > 4, drop=True),
    "rename": lambda a: a.rename(time="t").sel(t=slice(3, 3.1)),
    "swap": lambda a: a.assign_coords(row=("time", np.arange(a.sizes["time"]))).swap_dims(
        time="row"
    ),
    "transpose": lambda a: a.T.sel(time=3.0, method="nearest"),
    "shift": lambda a: a.shift(time=3),
    "roll": lambda a: a.roll(time=3, roll_coords=True),
    "pad": lambda a: a.pad(time=2),
    "sortby": lambda a: a.sortby("time", ascending=False),
    "rolling": lambda a: a.rolling(time=5).mean(),
    "coarsen": lambda a: a.coarsen(time=8, boundary="trim").mean(),
    "interp": lambda a: a.interp(time=np.arange(3, 5, 0.01)),
    "interp_like": lambda a: a.interp_like(other_array(a)),
    "differentiate": lambda a: a.differentiate("time"),
    "integrate": lambda a: a.integrate("time"),
    "groupby": lambda a: a.groupby(np.floor(a.time).rename("second")).mean(),
    "groupby_bins": lambda a: a.groupby_bins("time", [2, 3, 4]).sum().values,
    "groupby map": lambda a: a.groupby(np.floor(a.time).rename("second")).map(lambda g: g - g[0]),
    "resample": lambda a: (
        a.assign_coords(time=pd.to_timedelta(a.time.values, "s")).resample(time="1s").mean()
    ),
    "to_pandas": lambda a: a.to_pandas(),
    "to_series": lambda a: a.isel(channel=0).to_series(),
    "to_dataframe": lambda a: a.to_dataframe(),
    "reset_index": lambda a: a.reset_index("time"),
    "drop": lambda a: a.drop_vars("time"),
    "drop_sel": lambda a: a.drop_sel(time=a.time.values[3:5]),
    "stack": lambda a: a.stack(both=("time", "channel")).unstack("both"),
    "to_dict": lambda a: a.isel(time=slice(0, 700)).to_dict()["coords"]["time"]["data"],
    "idxmax": lambda a: a.idxmax("time"),
    "loc": lambda a: a.loc[3.0:3.5, [0, 2]],
    "assign": lambda a: a.assign_coords(time=a.time - a.time[0]),
    "expand": lambda a: a.expand_dims("probe"),
    "sel_list": lambda a: a.sel(time=list(a.time.values[[5, 3, 3900]])),
    "sel_array": lambda a: a.sel(
        time=xr.DataArray([[3.0, 3.1], [4.0, 2.5]], dims=("x", "y")), method="nearest"
    ),
    "sel_scalar": lambda a: a.sel(time=3.0, method="pad"),
    "sel_missing": lambda a: outcome(lambda: a.sel(time=3.0)),
    "sel_nan": lambda a: outcome(lambda: a.sel(time=np.nan)),
    "sel_nan_nearest": lambda a: outcome(lambda: a.sel(time=[3.0, np.nan], method="nearest")),
    "sel_text": lambda a: outcome(lambda: a.sel(time="3")),
    "sel_text_slice": lambda a: outcome(lambda: a.sel(time=slice("3", "4"))),
    "sel_method": lambda a: outcome(lambda: a.sel(time=3.0, method="nearer")),
    "sel_tolerance": lambda a: outcome(lambda: a.sel(time=99.0, method="nearest", tolerance=1)),
    "sel_tolerances": lambda a: a.sel(time=[2.5, 5], method="nearest", tolerance=[0.01, 0.02]),
    "sel_bool": lambda a: outcome(lambda: a.sel(time=a.time.values > 4)),
    "sel_float32": lambda a: a.sel(time=np.array([3, 4], np.float32), method="nearest"),
    "copy": lambda a: a.copy(deep=True).sel(time=slice(3, 3.1)),
    "deepcopy": lambda a: copy.deepcopy(a).sel(time=slice(3, 3.1)),
    "pickle": lambda a: pickle.loads(pickle.dumps(a)).sel(time=slice(3, 3.1)),
    "pickled part": lambda a: pickle.loads(pickle.dumps(a.isel(time=slice(9, None)))),
    "align": lambda a: align_lfp(a, [3.0, 4.1, 99.0], window=(-0.01, 0.05)),
    "align part": lambda a: align_lfp(
        a.isel(time=slice(900, None)), [3.0, 4.1], window=(-0.01, 0.05)
    ),
    "mask": lambda a: mask_intervals(a, [3.0, 2.9, 5.0], [3.1, 3.05, 5.2]),
    "mask reversed": lambda a: mask_intervals(a, [3.0, 5.0], [3.1, 5.2])[3500:300:-7],
    "mask part": lambda a: mask_intervals(a.isel(time=slice(900, None)), [3.0], [3.1]),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("of", ["all", "lazy part"])
def test_operations__give_what_they_give_with_an_ordinary_index(path, name, of) -> None:
    lazy = open_lfp(path)
    if of == "lazy part":
        lazy = lazy.isel(time=slice(40, None))
    assert isinstance(lazy.indexes["time"], LazyTimes)
    operation = OPERATIONS[name]
    assert_same(operation(lazy), operation(make_eager(lazy)))


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations__times_out_of_order_give_what_pandas_gives(
    tmp_path: Path, times: np.ndarray, name: str
) -> None:
    wrong = times.copy()
    wrong[[0, 2000]] = wrong[[2000, 0]]
    lazy = open_lfp(write(tmp_path / "lfp.nwb", wrong))
    operation = OPERATIONS[name]
    results = [outcome(lambda a=a: operation(a)) for a in (lazy, make_eager(lazy))]
    assert_same(*results)


def test_operations__dask_too(path: Path) -> None:
    pytest.importorskip("dask.array", reason="Dask is not installed")
    chunked = open_lfp(path, chunks={"time": 1000})
    index = chunked.indexes["time"]
    assert isinstance(index, LazyTimes)
    eager = make_eager(open_lfp(path))
    for name in ("with a part", "reindex", "mask", "align", "groupby", "interp", "concat channels"):
        assert_same(OPERATIONS[name](chunked).compute(), OPERATIONS[name](eager))
