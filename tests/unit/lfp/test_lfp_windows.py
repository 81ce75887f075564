from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from spikehouse.demo import Survey
from spikehouse.errors import InvalidArgumentError
from spikehouse.lfp import align_lfp, mask_intervals
from spikehouse.nwb.lfp import open_lfp

NAN = np.nan


@pytest.fixture
def lfp() -> xr.DataArray:
    """Ten samples a second from 5 s on; channel 11 is channel 10 plus a hundred."""
    values = np.arange(20, dtype=np.float32)[:, np.newaxis] + np.array([0, 100], np.float32)
    coords = {"time": 5 + np.arange(20) * 0.1, "channel": [10, 11]}
    return xr.DataArray(values, dims=("time", "channel"), coords=coords, name="LFP", attrs={"a": 1})


def write(path: Path, lfp: xr.DataArray) -> Path:
    with h5py.File(path, "w") as file:
        group = file.create_group("acquisition/probe_7_lfp/probe_7_lfp_data")
        group["data"], group["timestamps"] = lfp.values, lfp.time.values
        file["general/extracellular_ephys/electrodes/id"] = lfp.channel.values
    return path


@pytest.fixture
def lazy(lfp: xr.DataArray, tmp_path: Path) -> xr.DataArray:
    return open_lfp(write(tmp_path / "lfp.nwb", lfp))


class Reads:
    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.n_values = 0
        getitem, read_direct = h5py.Dataset.__getitem__, h5py.Dataset.read_direct

        def count_getitem(dataset, *key, **named):
            values = getitem(dataset, *key, **named)
            self.n_values += np.size(values)
            return values

        def count_direct(dataset, into, source, target):
            self.n_values += into[target].size
            read_direct(dataset, into, source, target)

        patch.setattr(h5py.Dataset, "__getitem__", count_getitem)
        patch.setattr(h5py.Dataset, "read_direct", count_direct)


@pytest.fixture
def reads(lazy: xr.DataArray, monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)  # after opening


def test_mask_intervals__both_ends_are_masked(lfp: xr.DataArray) -> None:
    times = lfp.time.values
    masked = mask_intervals(lfp, [times[3]], [times[5]])
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(masked[:, 0])), [3, 4, 5])
    np.testing.assert_array_equal(masked[6:], lfp[6:])
    assert masked.name == "LFP"
    assert masked.dtype == np.float32
    assert masked.attrs == {"a": 1}


def test_mask_intervals__leaves_the_input_alone(lfp: xr.DataArray) -> None:
    before = lfp.copy(deep=True)
    masked = mask_intervals(lfp, [5.0], [6.0])
    masked[:] = 0
    xr.testing.assert_identical(lfp, before)


def test_mask_intervals__any_order_and_overlapping(lfp: xr.DataArray) -> None:
    masked = mask_intervals(lfp, [6.05, 4.0, 4.5], [6.25, 5.05, 5.15])
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(masked[:, 1])), [0, 1, 11, 12])


@pytest.mark.parametrize(("start", "stop"), [(5.9, 5.5), (NAN, 9.0), (5.0, NAN)])
def test_mask_intervals__refuses_intervals_that_make_no_sense(
    lfp: xr.DataArray, start: float, stop: float
) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"interval 1 goes from {start:g} to {stop:g}"):
        mask_intervals(lfp, [5.0, start], [6.0, stop])


def test_mask_intervals__none(lfp: xr.DataArray, lazy: xr.DataArray) -> None:
    xr.testing.assert_identical(mask_intervals(lfp, [], []), lfp)
    xr.testing.assert_equal(mask_intervals(lazy, [], []), lfp)


def test_mask_intervals__reads_nothing_until_it_is_used(
    lfp: xr.DataArray, lazy: xr.DataArray, reads: Reads
) -> None:
    masked = mask_intervals(lazy, [5.25, 6.5], [5.45, 6.5])
    part = masked.sel(time=slice(5.15, 5.6), channel=11)
    assert reads.n_values == 0
    np.testing.assert_array_equal(part.values, [102, NAN, NAN, 105, 106])
    assert reads.n_values == 5 * 2  # rows of both channels
    xr.testing.assert_equal(masked, mask_intervals(lfp, [5.25, 6.5], [5.45, 6.5]))
    np.testing.assert_array_equal(lazy, lfp)


def test_mask_intervals__of_one_sample_and_of_a_transposed_array(lazy: xr.DataArray) -> None:
    masked = mask_intervals(lazy.T, [5.25], [5.45])
    assert masked.dims == ("channel", "time")
    assert np.isnan(masked.isel(time=3)).all()
    np.testing.assert_array_equal(masked.isel(channel=0, time=[2, 3, 5]), [2, NAN, 5])
    np.testing.assert_array_equal(mask_intervals(lazy, [5.25], [5.45]).isel(time=3), [NAN, NAN])


def test_mask_intervals__twice(lazy: xr.DataArray, reads: Reads) -> None:
    masked = mask_intervals(mask_intervals(lazy, [5.0], [5.0]), [5.2], [5.2])
    assert reads.n_values == 0
    np.testing.assert_array_equal(masked[:4, 0], [NAN, 1, NAN, 3])


def test_mask_intervals__times_out_of_order(lfp: xr.DataArray) -> None:
    masked = mask_intervals(lfp.isel(time=[3, 1, 2]), [5.15], [5.35])
    np.testing.assert_array_equal(masked[:, 0], [NAN, 1, NAN])


def test_mask_intervals__integers_become_floats(lfp: xr.DataArray, tmp_path: Path) -> None:
    whole = lfp.astype(np.int16)
    lazy = open_lfp(write(tmp_path / "int.nwb", whole))
    eager, late = (mask_intervals(array, [5.0], [5.0]) for array in (whole, lazy))
    assert eager.dtype == late.dtype == np.float32
    xr.testing.assert_equal(eager, late)


def test_mask_intervals__cannot_be_assigned_to(lazy: xr.DataArray) -> None:
    with pytest.raises(InvalidArgumentError, match=r"cannot be assigned to.*\.load\(\)"):
        mask_intervals(lazy, [5.0], [5.0])[0, 0] = 1


def test_mask_intervals__closes_the_file(lazy: xr.DataArray) -> None:
    masked = mask_intervals(lazy, [5.0], [5.0])
    masked.close()
    with pytest.raises(InvalidArgumentError, match="was closed"):
        masked.load()


def test_mask_intervals__wrong_input(lfp: xr.DataArray) -> None:
    with pytest.raises(InvalidArgumentError, match="2 start times and 1 stop times"):
        mask_intervals(lfp, [1, 2], [3])
    with pytest.raises(InvalidArgumentError, match=r"with a dimension 'time'.*'channel'"):
        mask_intervals(lfp.isel(time=0), [1], [3])
    with pytest.raises(InvalidArgumentError, match="with a dimension 'time' and coordinates"):
        mask_intervals(lfp.drop_vars("time"), [1], [3])


def test_align_lfp__nearest_samples_by_presentation(lfp: xr.DataArray) -> None:
    index = pd.Index([3647, 3650], name="stimulus_presentation_id")
    onsets = pd.Series([6.02, 5.28], index=index)
    aligned = align_lfp(lfp, onsets, window=(-0.1, 0.2))
    assert aligned.dims == ("stimulus_presentation_id", "time_relative_to_onset", "channel")
    assert aligned.name == "LFP"
    np.testing.assert_array_equal(aligned.stimulus_presentation_id, [3647, 3650])
    np.testing.assert_allclose(aligned.time_relative_to_onset, [-0.1, 0, 0.1])
    np.testing.assert_array_equal(aligned.onset_time, [6.02, 5.28])
    np.testing.assert_array_equal(aligned.sel(channel=11), [[109, 110, 111], [102, 103, 104]])
    assert aligned.attrs["window"] == (-0.1, 0.2)
    assert aligned.attrs["sampling_interval"] == pytest.approx(0.1)


def test_align_lfp__plain_onsets_are_numbered(lfp: xr.DataArray) -> None:
    aligned = align_lfp(lfp, [5.5], window=(0, 0.1))
    assert aligned.dims == ("onset", "time_relative_to_onset", "channel")
    np.testing.assert_array_equal(aligned.onset, [0])
    np.testing.assert_array_equal(aligned[0, :, 0], [5])
    assert align_lfp(lfp, 5.5, window=(0, 0.1)).shape == (1, 1, 2)


def test_align_lfp__beyond_the_recording_is_nan(lfp: xr.DataArray) -> None:
    aligned = align_lfp(lfp, [4.82, 6.88, 100.0], window=(0, 0.4)).sel(channel=10)
    np.testing.assert_array_equal(
        aligned, [[NAN, 0, 0, 1], [19, 19, NAN, NAN], [NAN, NAN, NAN, NAN]]
    )


def test_align_lfp__a_gap_of_the_recording_is_nan(lfp: xr.DataArray) -> None:
    aligned = align_lfp(lfp.isel(time=np.r_[0:3, 10:20]), [5.18], window=(0, 0.9)).sel(channel=10)
    np.testing.assert_array_equal(aligned[0], [2, 2] + [NAN] * 6 + [10])


def test_align_lfp__the_later_of_two_equally_close_samples() -> None:
    lfp = xr.DataArray([1.0, 2.0, 3.0], dims="time", coords={"time": [0.0, 1.0, 2.0]})
    np.testing.assert_array_equal(align_lfp(lfp, [0.5, 1.5], window=(0, 1)), [[2], [3]])


def test_align_lfp__reads_shared_samples_once(lazy: xr.DataArray, reads: Reads) -> None:
    aligned = align_lfp(lazy.sel(channel=11), [5.5, 5.4, 5.5], window=(0, 0.3))
    np.testing.assert_array_equal(aligned, [[105, 106, 107], [104, 105, 106], [105, 106, 107]])
    assert reads.n_values == 4 * 2  # rows of both channels


def test_align_lfp__masked_samples_are_nan(lazy: xr.DataArray) -> None:
    aligned = align_lfp(mask_intervals(lazy, [5.55], [5.65]), [5.5], window=(0, 0.3))
    np.testing.assert_array_equal(aligned[0, :, 0], [5, NAN, 7])


def test_align_lfp__no_onsets_give_an_empty_array(lfp: xr.DataArray, lazy: xr.DataArray) -> None:
    none = pd.Series([], index=pd.Index([], name="stimulus_presentation_id"), dtype=float)
    for array in (lfp, lazy):
        aligned = align_lfp(array, none, window=(0, 0.3))
        assert aligned.shape == (0, 3, 2)
        assert aligned.dtype == np.float32


def test_align_lfp__does_not_change_the_input(lfp: xr.DataArray) -> None:
    before = lfp.copy(deep=True)
    aligned = align_lfp(lfp, lfp.time.values, window=(0, 0.1))
    aligned[:] = 0
    xr.testing.assert_identical(lfp, before)


def test_align_lfp__wrong_input(lfp: xr.DataArray) -> None:
    with pytest.raises(InvalidArgumentError, match=r"window=\(0.2, 0.2\).*for instance"):
        align_lfp(lfp, [5.5], window=(0.2, 0.2))
    with pytest.raises(InvalidArgumentError, match="window="):
        align_lfp(lfp, [5.5], window=(0, NAN))
    with pytest.raises(InvalidArgumentError, match=r"2 of 3 onsets are not finite.* position 1"):
        align_lfp(lfp, [5.5, NAN, NAN], window=(0, 0.2))
    with pytest.raises(InvalidArgumentError, match=r"onsets has shape \(1, 1\)"):
        align_lfp(lfp, [[5.5]], window=(0, 0.2))
    with pytest.raises(InvalidArgumentError, match=r"method='linear'.*Valid: 'nearest'"):
        align_lfp(lfp, [5.5], window=(0, 0.2), method="linear")
    with pytest.raises(InvalidArgumentError, match=r"out of order: lfp.sortby"):
        align_lfp(lfp[::-1], [5.5], window=(0, 0.2))
    with pytest.raises(InvalidArgumentError, match="has 1 samples"):
        align_lfp(lfp[:1], [5.5], window=(0, 0.2))
    with pytest.raises(InvalidArgumentError, match="the time of the one before"):
        align_lfp(lfp.assign_coords(time=np.zeros(20)), [5.5], window=(0, 0.2))


def test_mask_and_align__dask_stays_lazy(lfp: xr.DataArray) -> None:
    pytest.importorskip("dask.array", reason="Dask is not installed")
    chunked = mask_intervals(lfp.chunk(time=6), [5.55], [5.65])
    aligned = align_lfp(chunked, [5.5, 6.88], window=(0, 0.3))
    assert chunked.chunks is not None
    assert aligned.chunks is not None
    xr.testing.assert_allclose(
        aligned, align_lfp(mask_intervals(lfp, [5.55], [5.65]), [5.5, 6.88], window=(0, 0.3))
    )


def check_tutorial(path: Path, onsets: pd.Series) -> None:
    """Follow the steps of the LFP tutorial with and without laziness."""
    lfp = open_lfp(path)
    whole = xr.DataArray(lfp.values, dims=lfp.dims, coords=lfp.coords)
    first = float(lfp.time[0])
    window = slice(first + 1, first + 2)
    xr.testing.assert_equal(lfp.sel(time=window), whole.sel(time=window))
    channels = lfp.channel.values[[1, 5, 6]]
    xr.testing.assert_equal(
        lfp.sel(time=window).sel(channel=channels + 1, method="nearest"),
        whole.sel(time=window, channel=channels),
    )
    aligned = align_lfp(lfp, onsets, window=(-0.1, 0.5))
    times = (onsets.to_numpy()[:, np.newaxis] + aligned.time_relative_to_onset.values).ravel()
    expected = whole.sel(time=times, method="nearest").values.reshape(aligned.shape)
    np.testing.assert_array_equal(aligned, expected)
    assert aligned.sizes["time_relative_to_onset"] == 750
    np.testing.assert_array_equal(
        lfp.sel(time=times, method="nearest"), whole.sel(time=times, method="nearest")
    )


def test_tutorial__on_a_file_of_allensdk(shared_folder: Path) -> None:
    path = shared_folder / "data" / "probe_805009000_lfp.nwb"
    check_tutorial(path, pd.Series([10.0, 10.3, 5.00011, 59.4], name="start_time"))
    # its flashes come after the recording was cut
    with h5py.File(shared_folder / "data" / "session_999000001.nwb") as file:
        starts = file["intervals/flashes_presentations/start_time"][()]
    assert np.isnan(align_lfp(open_lfp(path), starts, window=(-0.1, 0.5))).all()


def test_tutorial__on_the_demo(survey: Survey) -> None:
    probes = survey.read_table("probes")
    probe_id = int(probes.index[probes["has_lfp_data"].astype(bool)][0])
    session_id = int(probes.loc[probe_id, "ecephys_session_id"])
    with h5py.File(survey.session_file(session_id)) as file:
        starts = file["intervals/flashes_presentations/start_time"][()]
    index = pd.Index(range(3647, 3647 + len(starts)), name="stimulus_presentation_id")
    path = survey.lfp_file(probe_id)
    check_tutorial(path, pd.Series(starts, index=index))
    channels = survey.read_table("channels").loc[open_lfp(path).channel.values]
    of_one = channels.index[channels["ecephys_structure_acronym"] == "CA1"]
    flashes = align_lfp(
        open_lfp(path).sel(channel=of_one), pd.Series(starts, index=index), window=(-0.1, 0.5)
    )
    assert flashes.sizes["channel"] == len(of_one) > 0
    np.testing.assert_array_equal(flashes.stimulus_presentation_id, index)
    assert not np.isnan(flashes).any()
