from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import spikehouse.lfp.evoked as evoked_module
from spikehouse.errors import InvalidArgumentError
from spikehouse.lfp import align_lfp, compute_evoked_lfp, mask_intervals
from spikehouse.nwb.lfp import open_lfp


@pytest.fixture
def lfp(rng: np.random.Generator) -> xr.DataArray:
    values = (1 + rng.standard_normal((2000, 3))).astype(np.float32)
    coords = {"time": 5 + np.arange(2000) / 100, "channel": [10, 11, 12]}
    return xr.DataArray(values, dims=("time", "channel"), coords=coords, attrs={"units": "V"})


ONSETS = pd.Series([7.0, 8.5, 6.2, 12.0, 20.0], index=[3, 1, 4, 1, 5])


@pytest.mark.parametrize("batch_bytes", [1, 5000, 10**8])
def test_compute_evoked_lfp__equals_all_windows_at_once(
    batch_bytes: int, lfp: xr.DataArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evoked_module, "BATCH_BYTES", batch_bytes)
    evoked = compute_evoked_lfp(lfp, ONSETS, window=(-0.1, 0.5))
    windows = align_lfp(lfp, ONSETS, window=(-0.1, 0.5)).values.astype(float)
    assert evoked["mean"].dims == ("time_relative_to_onset", "channel")
    np.testing.assert_allclose(evoked["mean"], windows.mean(axis=0), rtol=1e-12)
    sem = windows.std(axis=0, ddof=1) / np.sqrt(5)
    np.testing.assert_allclose(evoked["sem"], sem, rtol=1e-10)
    assert (evoked["n_onsets"] == 5).all()
    assert evoked.channel.values.tolist() == [10, 11, 12]
    assert evoked["mean"].attrs["units"] == "V"
    assert evoked.attrs["window"] == (-0.1, 0.5)


def test_compute_evoked_lfp__nan_is_left_out(
    lfp: xr.DataArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evoked_module, "BATCH_BYTES", 3000)
    masked = mask_intervals(lfp, [8.6, 7.05], [8.8, 7.3])
    masked[:, 2] = np.nan
    onsets = [7.0, 8.5, 12.0, 24.8, 100.0]
    evoked = compute_evoked_lfp(masked, onsets, window=(0.0, 0.4))
    windows = align_lfp(masked, onsets, window=(0.0, 0.4)).values.astype(float)
    n = np.isfinite(windows).sum(axis=0)
    np.testing.assert_array_equal(evoked["n_onsets"], n)
    assert n[:, 0].min() == 1
    total = np.nansum(windows, axis=0)
    np.testing.assert_allclose(evoked["mean"][:, :2], (total / np.maximum(n, 1))[:, :2], rtol=1e-12)
    assert np.isnan(evoked["mean"][:, 2]).all()
    np.testing.assert_array_equal(np.isnan(evoked["sem"]), n < 2)


def test_compute_evoked_lfp__conditions(lfp: xr.DataArray) -> None:
    conditions = [9, 2, 9, 2, 9]
    evoked = compute_evoked_lfp(lfp, ONSETS, window=(0, 0.2), conditions=conditions)
    assert evoked["mean"].dims == ("stimulus_condition_id", "time_relative_to_onset", "channel")
    assert evoked.stimulus_condition_id.values.tolist() == [2, 9]
    alone = compute_evoked_lfp(lfp, ONSETS.iloc[[1, 3]], window=(0, 0.2))
    np.testing.assert_array_equal(evoked["mean"][0], alone["mean"])


def test_compute_evoked_lfp__one_onset(lfp: xr.DataArray) -> None:
    evoked = compute_evoked_lfp(lfp, [7.0], window=(0, 0.2))
    np.testing.assert_allclose(evoked["mean"], align_lfp(lfp, [7.0], window=(0, 0.2))[0])
    assert np.isnan(evoked["sem"]).all()


def test_compute_evoked_lfp__reads_only_the_windows(
    lfp: xr.DataArray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lfp.nwb"
    with h5py.File(path, "w") as file:
        group = file.create_group("acquisition/probe_7_lfp/probe_7_lfp_data")
        group["data"], group["timestamps"] = lfp.values, lfp.time.values
        file["general/extracellular_ephys/electrodes/id"] = lfp.channel.values
    lazy = open_lfp(path)
    expected = compute_evoked_lfp(lfp, ONSETS, window=(0, 0.2))
    largest = 0
    original = xr.DataArray.to_numpy

    def watch(array: xr.DataArray) -> np.ndarray:
        nonlocal largest
        if "channel" in array.dims:
            largest = max(largest, array.size)
        return original(array)

    monkeypatch.setattr(evoked_module, "BATCH_BYTES", 1)
    monkeypatch.setattr(xr.DataArray, "to_numpy", watch)
    found = compute_evoked_lfp(lazy, ONSETS, window=(0, 0.2))
    np.testing.assert_allclose(found["mean"], expected["mean"], rtol=1e-12)
    assert 0 < largest <= 20 * 3


def test_compute_evoked_lfp__errors(lfp: xr.DataArray) -> None:
    with pytest.raises(InvalidArgumentError, match="there are no onsets to average around"):
        compute_evoked_lfp(lfp, [], window=(0, 1))
    with pytest.raises(InvalidArgumentError, match=r"conditions has the shape \(1,\), onsets \(2,"):
        compute_evoked_lfp(lfp, [7.0, 8.0], window=(0, 1), conditions=[1])
    with pytest.raises(InvalidArgumentError, match="1 of 1 onsets are not finite"):
        compute_evoked_lfp(lfp, [np.nan], window=(0, 1))
