from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import xarray as xr

import spikehouse.lfp.bands as bands_module
from spikehouse.errors import InvalidArgumentError
from spikehouse.lfp import BANDS, compute_band_power, compute_spectrum, mask_intervals

RATE = 500.0


@pytest.fixture
def lfp(rng: np.random.Generator) -> xr.DataArray:
    values = rng.standard_normal((7303, 3)).cumsum(axis=0).astype(np.float32)
    coords = {"time": 5 + np.arange(7303) / RATE, "channel": [10, 11, 12]}
    return xr.DataArray(values, dims=("time", "channel"), coords=coords)


@pytest.mark.parametrize("batch_bytes", [1, 300_000, 10**8])
@pytest.mark.parametrize("segment_length", [1.0, 0.502])
def test_compute_spectrum__equals_scipy(
    batch_bytes: int, segment_length: float, lfp: xr.DataArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bands_module, "BATCH_BYTES", batch_bytes)
    spectrum = compute_spectrum(lfp, segment_length=segment_length)
    frequency, expected = scipy.signal.welch(
        lfp.values.astype(float), RATE, nperseg=round(segment_length * RATE), axis=0
    )
    np.testing.assert_allclose(spectrum.frequency, frequency, rtol=1e-9)
    np.testing.assert_allclose(spectrum, expected, rtol=1e-8)
    assert spectrum.dims == ("frequency", "channel")


def test_compute_spectrum__odd_segments(lfp: xr.DataArray) -> None:
    spectrum = compute_spectrum(lfp, segment_length=251 / RATE)
    _, expected = scipy.signal.welch(
        lfp.values.astype(float), RATE, nperseg=251, noverlap=125, axis=0
    )
    np.testing.assert_allclose(spectrum, expected, rtol=1e-8)


def test_compute_spectrum__segments_with_nan_or_a_gap_are_left_out(lfp: xr.DataArray) -> None:
    whole = compute_spectrum(lfp.isel(time=slice(0, 2000)))
    # the rest is masked; of the last channel everything
    masked = mask_intervals(lfp, [float(lfp.time[2000])], [100.0])
    masked[:, 2] = np.nan
    spectrum = compute_spectrum(masked)
    np.testing.assert_allclose(spectrum[:, :2], whole[:, :2], rtol=1e-12)
    assert np.isnan(spectrum[:, 2]).all()
    assert spectrum.attrs["n_segments"] == 3
    # two parts of 1000 samples with a second between them: one segment each
    times = lfp.time.values[:2000] + np.repeat([0, 1], 1000)
    apart = lfp.isel(time=slice(0, 2000)).assign_coords(time=times)
    spectrum = compute_spectrum(apart)
    parts = [compute_spectrum(lfp.isel(time=slice(i, i + 1000))) for i in (0, 1000)]
    assert spectrum.attrs["n_segments"] == 2
    np.testing.assert_allclose(spectrum, (parts[0] + parts[1]) / 2, rtol=1e-9)


def test_compute_band_power__a_sine_is_in_its_band() -> None:
    times = np.arange(10_000) / RATE
    waves = np.column_stack([3e-4 * np.sin(2 * np.pi * 7 * times), np.ones(10_000)])
    lfp = xr.DataArray(waves, dims=("time", "channel"), coords={"time": times, "channel": [1, 2]})
    power = compute_band_power(lfp)
    assert power.band.values.tolist() == ["delta", "theta", "beta", "gamma", "fast"]
    assert power.high.values.tolist() == [4, 10, 30, 80, 200]
    # half the square of the amplitude
    assert power.sel(band="theta", channel=1).item() == pytest.approx(9e-8 / 2, rel=1e-6)
    assert power.sel(channel=1).drop_sel(band="theta").max() < 1e-4 * 4.5e-8
    np.testing.assert_allclose(power.sel(channel=2), 0, atol=1e-20)
    assert power.attrs["units"] == "V^2"


def test_compute_band_power__bands_add_up(lfp: xr.DataArray) -> None:
    parts = compute_band_power(lfp, bands={"low": (1, 40), "high": (40, 250)})
    together = compute_band_power(lfp, bands={"all": (1, 250)})
    np.testing.assert_allclose(parts.sum("band"), together[0])


def test_bands__touch_and_rise() -> None:
    limits = list(BANDS.values())
    assert [high for _, high in limits[:-1]] == [low for low, _ in limits[1:]]


def test_compute_band_power__errors(lfp: xr.DataArray) -> None:
    with pytest.raises(InvalidArgumentError, match=r"band 'x' from 100 to 300 Hz: it must rise fr"):
        compute_band_power(lfp, bands={"x": (100, 300)})
    with pytest.raises(
        InvalidArgumentError, match=r"hold a multiple of 0.5 Hz, the inverse of seg"
    ):
        compute_band_power(lfp, bands={"x": (1.1, 1.2)})
    with pytest.raises(InvalidArgumentError, match=r"segment_length is 60 s, 30000 samples of 0.0"):
        compute_band_power(lfp, segment_length=60.0)
    with pytest.raises(InvalidArgumentError, match=r"unit of the recording is 'uV'.*valid: 'V'"):
        compute_band_power(lfp.assign_attrs(units="uV"))
    with pytest.raises(InvalidArgumentError, match=r"is a DataArray .* this Dataset has dim"):
        compute_spectrum(lfp.to_dataset(name="LFP"))
    with pytest.raises(InvalidArgumentError, match="times are out of order"):
        compute_spectrum(lfp.isel(time=slice(None, None, -1)))
    with pytest.raises(InvalidArgumentError, match="has 1 samples; it takes two"):
        compute_spectrum(lfp.isel(time=slice(0, 1)))
