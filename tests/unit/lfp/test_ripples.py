import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.signal
import xarray as xr

import spikehouse.lfp.ripples as ripples_module
from spikehouse.errors import InvalidArgumentError
from spikehouse.lfp import compute_ripple_profile, compute_spectrum, find_ripples, mask_intervals

RATE, START, SECONDS = 1250, 20.0, 300
GAINS = np.array([0.2, 0.6, 1.0, 0.5, 0.1])


@pytest.fixture(scope="module")
def planted() -> tuple[xr.DataArray, pd.DataFrame]:
    """Plant 120 ripples of 120 to 250 µV, strongest on channel 3, into noise of 1/f²."""
    rng = np.random.default_rng(4)
    n = RATE * SECONDS
    frequency = np.maximum(np.fft.rfftfreq(n, 1 / RATE), 1)[:, np.newaxis]
    parts = rng.standard_normal((2, len(frequency), 5))
    values = np.fft.irfft((parts[0] + 1j * parts[1]) / frequency, n, axis=0)
    values = 2e-4 * values / values.std() + 5e-6 * rng.standard_normal((n, 5))
    time = START + np.arange(n) / RATE
    truth = pd.DataFrame(
        {
            "peak_time": START + 2 + 2.4 * np.arange(120) + rng.uniform(0, 1, 120),
            "frequency": rng.uniform(140, 210, 120),
            "width": rng.uniform(0.012, 0.03, 120),
            "height": rng.uniform(1.2e-4, 2.5e-4, 120),
        }
    )
    for row in truth.itertuples():
        near = slice(*np.searchsorted(time, [row.peak_time - 0.15, row.peak_time + 0.15]))
        after = time[near] - row.peak_time
        wave = np.exp(-(after**2) / 2 / row.width**2) * np.sin(2 * np.pi * row.frequency * after)
        values[near] += row.height * wave[:, np.newaxis] * GAINS
    coords = {"time": time, "channel": [1, 2, 3, 4, 5]}
    return xr.DataArray(values.astype(np.float32), coords, ("time", "channel")), truth


def test_find_ripples__recovers_planted_ripples(planted) -> None:
    lfp, truth = planted
    found = find_ripples(lfp)
    apart = np.abs(found["peak_time"].to_numpy()[:, np.newaxis] - truth["peak_time"].to_numpy())
    nearest = truth.iloc[apart.argmin(axis=1)].reset_index(drop=True)
    assert (apart.min(axis=0) < 0.03).mean() > 0.97  # hits
    assert (apart.min(axis=1) < 0.05).all()  # no false alarm
    assert np.median(apart.min(axis=1)) < 0.005
    assert (found["frequency"] - nearest["frequency"]).abs().median() < 8
    assert np.corrcoef(found["duration"], nearest["width"])[0, 1] > 0.8
    assert np.corrcoef(found["amplitude"], nearest["height"])[0, 1] > 0.9
    assert (found["channel"] == 3).all()
    # the periodogram's frequencies
    multiples = found["frequency"] * (found["duration"] + 1 / RATE)
    np.testing.assert_allclose(multiples, multiples.round(), rtol=1e-6)
    assert 4 < (found["frequency"] - nearest["frequency"]).std() < 12
    assert (found["start_time"] < found["peak_time"]).all()
    assert (found["peak_time"] < found["stop_time"]).all()


def test_find_ripples__equals_each_step_on_the_whole_trace(planted, monkeypatch) -> None:
    lfp = planted[0].sel(channel=[3])
    monkeypatch.setattr(ripples_module, "BATCH_BYTES", 4 * 10_000)
    found = find_ripples(lfp)
    trace = lfp.to_numpy()[:, 0].astype(float)
    sections = scipy.signal.butter(6, (120, 250), "bandpass", fs=RATE, output="sos")
    envelope = np.abs(scipy.signal.hilbert(scipy.signal.sosfiltfilt(sections, trace)))
    sd = envelope.std()
    smooth = pd.Series(envelope).rolling(5, center=True).mean().to_numpy()
    events = []
    high = np.flatnonzero(smooth > 2 * sd)
    for run in np.split(high, np.flatnonzero(np.diff(high) > 1) + 1):
        seconds = (run[-1] - run[0]) / RATE
        if envelope[run].max() > 5 * sd and 0.015 < seconds < 0.25:
            if events and (run[0] - events[-1][0]) / RATE < 0.05:
                events[-1] = np.arange(events[-1][0], run[-1] + 1)
            else:
                events.append(run)
    times = lfp["time"].to_numpy()
    assert len(found) == len(events)
    # the kernel is cut where a ten-millionth of its energy is left
    starts, stops = (times[[event[k] for event in events]] for k in (0, -1))
    np.testing.assert_allclose(found["start_time"], starts, atol=2 / RATE)
    np.testing.assert_allclose(found["stop_time"], stops, atol=2 / RATE)
    np.testing.assert_allclose(
        found["amplitude"], [np.quantile(envelope[event], 0.9) for event in events], rtol=0.02
    )
    np.testing.assert_allclose(
        found["strength"], [envelope[event].sum() / RATE for event in events], rtol=0.05
    )


def test_find_ripples__leaves_out_running_and_masked_intervals(planted) -> None:
    lfp, _ = planted
    lfp = lfp.sel(channel=[3])
    everything = find_ripples(lfp)
    running = pd.DataFrame({"start_time": [100.0, 60.0, 120], "stop_time": [150.0, 70.0, 130]})
    found = find_ripples(lfp, exclude=running)
    start = everything["start_time"]
    is_kept = ~(start.between(100, 150) | start.between(60, 70))
    pd.testing.assert_frame_equal(found, everything[is_kept].reset_index(drop=True))
    assert 0 < len(found) < len(everything)
    masked = find_ripples(mask_intervals(lfp, [100.0], [150.0]))
    assert not masked["peak_time"].between(99.95, 150.05).any()
    gap = find_ripples(lfp.isel(time=np.flatnonzero((lfp["time"] < 100) | (lfp["time"] > 150))))
    assert len(masked) == len(gap) == (~start.between(100, 150)).sum()


def test_find_ripples__limits(planted) -> None:
    lfp = planted[0].sel(channel=[3])
    everything = find_ripples(lfp)
    short = find_ripples(lfp, duration=(0.015, 0.06))
    assert 0 < len(short) < len(everything)
    assert short["duration"].max() < 0.06
    assert len(find_ripples(lfp, min_frequency=180)) < len(everything)
    assert (find_ripples(lfp, threshold=9)["peak_sd"] > 9).all()
    assert find_ripples(lfp, min_power=1e-6).empty
    # all within a second are one
    joined = find_ripples(lfp, min_distance=2.0)
    assert len(joined) < len(everything)
    assert joined["peak_sd"].max() == everything["peak_sd"].max()


def test_compute_ripple_profile__several_peaks_over_depth(planted) -> None:
    lfp, _ = planted
    profile = compute_ripple_profile(lfp)
    assert profile.index.tolist() == [1, 2, 3, 4, 5]
    assert profile["is_best"].tolist() == [False, False, True, False, False]
    assert profile["envelope_sd"].idxmax() == 3
    # steady noise of the band is larger than the ripples, but not skewed
    rng = np.random.default_rng(1)
    noisy = lfp + 1e-4 * rng.standard_normal(lfp.shape) * np.array([1, 0, 0, 0, 0])
    profile = compute_ripple_profile(noisy)
    assert profile["envelope_sd"].idxmax() == 1
    assert profile["is_best"].idxmax() == 3


def test_find_ripples__warns_where_artefacts_hide_ripples(planted) -> None:
    lfp = planted[0].sel(channel=[3])
    n_ripples = len(find_ripples(lfp))
    broken = lfp.copy()
    broken[100_000] += 0.05
    with pytest.warns(
        UserWarning, match=r"channel 3 is above 0.001 V in \d+ of 375000.* missed: m"
    ):
        assert len(find_ripples(broken)) < n_ripples / 10
    at = float(lfp["time"][100_000])
    masked = find_ripples(mask_intervals(broken, [at - 0.01], [at + 0.01]))
    assert len(masked) >= n_ripples - 1
    # one that does no harm
    broken[100_000] = lfp[100_000] + 0.005
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(find_ripples(broken)) >= n_ripples - 1


@pytest.mark.parametrize("function", [find_ripples, compute_ripple_profile])
def test_find_ripples__takes_volts_only(planted, function) -> None:
    lfp = planted[0][:5000] * 1e6
    with pytest.raises(InvalidArgumentError, match=r"unit of the recording is 'uV' .*lfp \* 1e-6"):
        function(lfp.assign_attrs(units="uV"))
    with pytest.raises(InvalidArgumentError, match=r"median of the envelope is \d.* V, and no"):
        function(lfp)
    assert len(function((lfp * 1e-6).assign_attrs(units="V")))


def test_find_ripples__bad_input(planted) -> None:
    lfp = planted[0].isel(time=slice(0, 5000))
    for function in (find_ripples, compute_ripple_profile):
        with pytest.raises(InvalidArgumentError, match=r"channel 2 is there several times; keep"):
            function(lfp.assign_coords(channel=[1, 2, 2, 3, 4]))
        with pytest.raises(InvalidArgumentError, match=r"is a DataArray .* this Dataset has dim"):
            function(lfp.to_dataset(name="LFP"))
    with pytest.raises(InvalidArgumentError, match=r"edge_threshold=2.0 is above threshold=1"):
        find_ripples(lfp, threshold=1)
    with pytest.raises(InvalidArgumentError, match=r"duration=\(0.2, 0.1\): give the shortest"):
        find_ripples(lfp, duration=(0.2, 0.1))
    with pytest.raises(InvalidArgumentError, match=r"min_power is nan; give a number of 0 or more"):
        find_ripples(lfp, min_power=np.nan)
    with pytest.raises(InvalidArgumentError, match=r"exclude has no column 'stop_time'"):
        find_ripples(lfp, exclude=pd.DataFrame({"start_time": [1.0]}))
    wrong = pd.DataFrame({"start_time": [2.0], "stop_time": [1.0]})
    with pytest.raises(InvalidArgumentError, match=r"exclude has an interval from 2 to 1 s"):
        find_ripples(lfp, exclude=wrong)
    for function in (find_ripples, compute_ripple_profile):
        with pytest.raises(InvalidArgumentError, match=r"none of the 50 samples has an envelope"):
            function(lfp[:50])
    with pytest.raises(InvalidArgumentError, match=r"this dict has dimensions \(\) and coord"):
        find_ripples({})
    with pytest.raises(InvalidArgumentError, match=r"this dict has dimensions \(\) and coord"):
        compute_spectrum({})
    with pytest.raises(InvalidArgumentError, match=r"band=\(120.0, 250.0\): .*and 100 Hz"):
        find_ripples(lfp.assign_coords(time=np.arange(5000) / 200))
