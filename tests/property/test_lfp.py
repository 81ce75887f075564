from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from spikehouse.lfp import align_lfp, mask_intervals
from spikehouse.nwb.lfp import open_lfp, plan_spans

N_SAMPLES, N_CHANNELS = 3000, 9


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[xr.DataArray, xr.DataArray]:
    """Give the same recording read on selection, and in memory."""
    rng = np.random.default_rng(5)
    values = rng.standard_normal((N_SAMPLES, N_CHANNELS)).astype(np.float32)
    times = 2 + np.arange(N_SAMPLES) / 1250 + rng.uniform(-1e-5, 1e-5, N_SAMPLES)
    path: Path = tmp_path_factory.mktemp("lfp") / "probe_7_lfp.nwb"
    with h5py.File(path, "w") as file:
        group = file.create_group("acquisition/probe_7_lfp/probe_7_lfp_data")
        group["data"], group["timestamps"] = values, times
        file["general/extracellular_ephys/electrodes/id"] = np.arange(N_CHANNELS)
    lazy = open_lfp(path)
    return lazy, xr.DataArray(values, dims=lazy.dims, coords=lazy.coords)


def indices(length: int) -> st.SearchStrategy:
    positions = st.integers(-length, length - 1)
    return st.one_of(positions, st.slices(length), st.lists(positions, max_size=12))


@given(
    first=st.tuples(indices(N_SAMPLES), indices(N_CHANNELS)),
    gap=st.sampled_from([0, 36, 3600, 10**6]),
    block=st.sampled_from([1, 36 * 7, 10**6]),
    is_masked=st.booleans(),
)
def test_open_lfp__lazy_equals_eager(pair, first, gap, block, is_masked) -> None:
    lazy, eager = pair
    if is_masked:
        starts, stops = [2.5, 3.1, 3.0], [2.7, 3.1, 3.2]
        lazy, eager = (mask_intervals(array, starts, stops) for array in pair)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spikehouse.nwb.lfp.GAP_BYTES", gap)
        patch.setattr("spikehouse.nwb.lfp.BLOCK_BYTES", block)
        xr.testing.assert_equal(lazy[first].load(), eager[first])


@given(
    rows=st.tuples(indices(N_SAMPLES), st.slices(5)),
    points=st.lists(st.tuples(st.integers(0, N_SAMPLES - 1), st.integers(0, 8)), min_size=1),
)
def test_open_lfp__selections_of_selections_equal_eager(pair, rows, points) -> None:
    lazy, eager = (array.isel(time=rows[0]) for array in pair)
    if "time" in lazy.dims:
        lazy, eager = (array.isel(time=rows[1]) for array in (lazy, eager))
    xr.testing.assert_equal(lazy.load(), eager)
    time, channel = (xr.DataArray(list(axis), dims="p") for axis in zip(*points, strict=True))
    lazy, eager = (array.isel(time=time, channel=channel) for array in pair)
    xr.testing.assert_equal(lazy.load(), eager)


@given(
    rows=st.sets(st.integers(0, 200), min_size=1).map(lambda some: np.array(sorted(some))),
    largest_gap=st.integers(0, 20),
)
def test_plan_spans__holds_every_row_and_no_large_gap(rows, largest_gap) -> None:
    spans = plan_spans(rows, largest_gap=largest_gap)
    read = np.concatenate([np.arange(*span) for span in spans])
    assert np.isin(rows, read).all()
    assert len(read) == len(set(read.tolist()))
    distance = np.abs(read[:, np.newaxis] - rows).min(axis=1)
    assert distance.max() <= largest_gap
    assert all(later[0] - earlier[1] > largest_gap for earlier, later in pairwise(spans))


@given(onsets=st.lists(st.floats(1.9, 4.5), max_size=6), start=st.floats(-0.1, 0.1))
def test_align_lfp__is_the_nearest_sample_or_nan(pair, onsets, start) -> None:
    lazy, eager = pair
    aligned = align_lfp(lazy, onsets, window=(start, start + 0.05))
    xr.testing.assert_equal(aligned, align_lfp(eager, onsets, window=(start, start + 0.05)))
    times, interval = eager.time.values, aligned.attrs["sampling_interval"]
    for place, onset in enumerate(onsets):
        for step, relative in enumerate(aligned.time_relative_to_onset.values):
            distance = np.abs(times - (onset + relative))
            expected = eager.values[distance.argmin()] if distance.min() <= interval else np.nan
            np.testing.assert_array_equal(aligned.values[place, step], expected * np.ones(9, "f4"))
