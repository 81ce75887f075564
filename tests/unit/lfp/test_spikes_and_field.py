from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.signal
import xarray as xr

import spikehouse.lfp._windows as windows_module
from spikehouse.errors import InvalidArgumentError
from spikehouse.lfp import (
    BANDS,
    choose_field_channels,
    compute_evoked_lfp,
    compute_phase_consistency,
    compute_spike_phases,
    compute_spike_triggered_lfp,
    mask_intervals,
)
from spikehouse.nwb._byte_readers import LocalBytes
from spikehouse.nwb.lfp import open_lfp

RATE, N, START = 1250, 75_000, 5.0  # 60 s
THETA = BANDS["theta"]


def wrap(angles: np.ndarray) -> np.ndarray:
    return np.angle(np.exp(1j * np.asarray(angles)))


def make_noise(rng: np.random.Generator, n: int, n_channels: int) -> np.ndarray:
    """Make potentials with a spectrum of 1/f², of 0.2 mV, on a level of their own."""
    frequency = np.maximum(np.fft.rfftfreq(n, 1 / RATE), 0.5)[:, np.newaxis]
    parts = rng.standard_normal((2, len(frequency), n_channels))
    made = np.fft.irfft((parts[0] + 1j * parts[1]) / frequency, n, axis=0)
    return 2e-4 * made / made.std() + 1e-3


@pytest.fixture
def lfp(rng: np.random.Generator) -> xr.DataArray:
    coords = {"time": START + np.arange(N) / RATE, "channel": [30, 10, 20]}
    values = make_noise(rng, N, 3).astype(np.float32)
    return xr.DataArray(values, coords, ("time", "channel"))


@pytest.fixture
def spikes(rng: np.random.Generator) -> dict[int, np.ndarray]:
    stop = START + N / RATE
    return {7: np.sort(rng.uniform(0, stop + 3, 900)), 2: np.sort(rng.uniform(0, stop, 60)), 4: []}


@pytest.mark.parametrize("batch_bytes", [1, 16 * 2**20])
@pytest.mark.parametrize("band", [*BANDS.values(), (120.0, 250.0)])
def test_compute_spike_phases__are_those_of_the_whole_trace(
    band, batch_bytes, lfp, rng, monkeypatch
) -> None:
    monkeypatch.setattr(windows_module, "BATCH_BYTES", batch_bytes)
    # on a grid 16 times finer, where the whole trace can be had too
    fine = np.sort(rng.choice(np.arange(5 * RATE * 16, (N - 5 * RATE) * 16), 2000, replace=False))
    found = compute_spike_phases(lfp, {1: START + fine / 16 / RATE}, [1], band=band, channels=10)
    sections = scipy.signal.butter(3, band, "bandpass", fs=RATE, output="sos")
    trace = lfp.sel(channel=10).to_numpy().astype(float)
    whole = scipy.signal.hilbert(scipy.signal.sosfiltfilt(sections, trace))
    signal = scipy.signal.resample(whole, 16 * N)[fine]
    assert len(found) == len(fine)
    error = wrap(found["phase"] - np.angle(signal))
    is_defined = np.abs(signal) > np.quantile(np.abs(signal), 0.1)
    assert np.sqrt(np.mean(error[is_defined] ** 2)) < 0.01
    assert found["phase"].between(-np.pi, np.pi).all()


def test_compute_spike_phases__spikes_without_a_whole_window_have_no_row(lfp) -> None:
    lfp = mask_intervals(lfp, [25.0], [26.0])
    # a second is missing from 45 s on
    lfp = lfp.isel(time=np.flatnonzero((lfp["time"] < 45) | (lfp["time"] > 46)))
    times = np.arange(0.0, 70.0, 0.01)
    found = compute_spike_phases(lfp, {3: times}, [3], band=THETA, channels=20)
    has_phase = np.isin(times, found["spike_time"])
    half = 1.219  # s; the kernel's
    for start, stop in [(0, START), (25, 26), (45, 46), (START + N / RATE, 70)]:
        away = np.maximum(np.maximum(start - times, times - stop), 0)
        assert not has_phase[away < half - 0.002].any()
        near = (away > half + 0.002) & (away < half + 2)
        assert has_phase[near & (times > START + half + 0.01)].all() or start == 0


def test_compute_spike_phases__of_one_channel_by_unit(lfp, spikes) -> None:
    by_unit = pd.Series({7: 30, 4: 10, 2: 20})
    found = compute_spike_phases(lfp, spikes, [7, 2, 4], band=THETA, channels=by_unit)
    assert found["spike_time"].is_monotonic_increasing
    assert set(found["unit_id"]) == {2, 7}
    for unit in (2, 7):
        alone = compute_spike_phases(
            lfp.sel(channel=[by_unit[unit]]), spikes, [unit], band=THETA
        ).reset_index(drop=True)
        of_unit = found[found["unit_id"] == unit].reset_index(drop=True)
        pd.testing.assert_frame_equal(of_unit, alone, rtol=1e-3, atol=1e-3)


def lock(rng: np.random.Generator, kappa: float, mean: float, n: int) -> tuple[np.ndarray, ...]:
    """Draw spikes at von Mises phases of a wave of 7 to 8 Hz, whose phase at t is returned."""
    time = np.arange(n) / RATE
    wander = np.cumsum(rng.standard_normal(n)) / np.sqrt(n)
    phase = 2 * np.pi * np.cumsum(7.5 + 0.5 * np.tanh(wander)) / RATE
    rate = 8 / RATE * np.exp(kappa * (np.cos(phase - mean) - 1)) * 2
    return time, phase, np.flatnonzero(rng.random(n) < rate) / RATE


@pytest.mark.parametrize("kappa", [0.3, 1.0])
def test_compute_phase_consistency__recovers_planted_locking(kappa: float, rng) -> None:
    time, phase, times = lock(rng, kappa, -2.0, 4 * N)
    values = make_noise(rng, len(time), 1) + 2e-4 * np.cos(phase)[:, np.newaxis]
    lfp = xr.DataArray(
        values.astype(np.float32), {"time": time, "channel": [1]}, ("time", "channel")
    )
    phases = compute_spike_phases(lfp, {5: times}, [5], band=(6, 9))
    (row,) = compute_phase_consistency(phases).itertuples()
    expected = (scipy.special.i1(kappa) / scipy.special.i0(kappa)) ** 2
    assert row.ppc == pytest.approx(expected, abs=0.03)
    assert abs(wrap(row.mean_phase + 2.0)) < 0.15
    assert row.p_value < 1e-3
    assert row.n_spikes == len(phases) > 1000


def test_compute_phase_consistency__equals_all_pairs(rng) -> None:
    phases = pd.DataFrame(
        {"unit_id": 3, "spike_time": rng.uniform(0, 100, 50), "phase": rng.vonmises(1, 0.5, 50)}
    )
    apart = np.cos(phases["phase"].to_numpy()[:, np.newaxis] - phases["phase"].to_numpy())
    pairs = np.triu_indices(50, 1)
    block = (phases["spike_time"] - phases["spike_time"].min()) // 10
    is_within = block.to_numpy()[:, np.newaxis] == block.to_numpy()
    (row,) = compute_phase_consistency(phases.sample(frac=1, random_state=1)).itertuples()
    assert row.ppc == pytest.approx(apart[pairs].mean())
    assert row.chance == pytest.approx((apart * is_within)[pairs].sum() / len(pairs[0]))
    assert row.n_blocks == block.nunique()
    (alone,) = compute_phase_consistency(phases, block_length=0).itertuples()
    assert alone.chance == pytest.approx(0)
    resultant = np.abs(np.exp(1j * phases["phase"]).sum())
    assert alone.p_value == pytest.approx(np.exp(-(resultant**2) / 50))
    assert alone.resultant_length == pytest.approx(resultant / 50)


def test_compute_phase_consistency__has_no_bias_by_the_number_of_spikes(rng) -> None:
    units = np.repeat(np.arange(4000), 5)
    phases = pd.DataFrame(
        {"unit_id": units, "spike_time": rng.uniform(0, 100, len(units)),
         "phase": rng.vonmises(0, 0.8, len(units))}
    )  # fmt: skip
    found = compute_phase_consistency(phases)
    expected = (scipy.special.i1(0.8) / scipy.special.i0(0.8)) ** 2
    assert found["ppc"].mean() == pytest.approx(expected, abs=4 * found["ppc"].sem())
    # five spikes seem to be locked three times as much
    assert (found["resultant_length"] ** 2).mean() > expected + 0.1


def test_compute_phase_consistency__bursts_are_not_locking(rng) -> None:
    # bursts of ten spikes of nearly one phase, at times that know nothing of the field
    n_units, n_bursts = 300, 40
    starts = rng.uniform(0, 1000, (n_units, n_bursts, 1))
    angles = rng.uniform(0, 2 * np.pi, starts.shape) + rng.normal(0, 0.3, (n_units, n_bursts, 10))
    times = starts + np.arange(10) * 0.005
    units = np.broadcast_to(np.arange(n_units)[:, np.newaxis, np.newaxis], times.shape)
    phases = pd.DataFrame(
        {"unit_id": units.ravel(), "spike_time": times.ravel(), "phase": angles.ravel()}
    )
    by_block = compute_phase_consistency(phases)
    rayleigh = compute_phase_consistency(phases, block_length=0)
    assert 0.01 < (by_block["p_value"] < 0.05).mean() < 0.09
    assert (rayleigh["p_value"] < 0.05).mean() > 0.5
    assert by_block["ppc"].mean() == pytest.approx(by_block["chance"].mean(), abs=0.003)


def test_compute_phase_consistency__phases_that_cancel_have_no_mean() -> None:
    phases = pd.DataFrame(
        {"unit_id": [1] * 4 + [2] * 4, "spike_time": [0, 1, 20, 21, 0, 20, 40, 60.0],
         "phase": [0, np.pi] * 4}
    )  # fmt: skip
    found = compute_phase_consistency(phases)
    assert found["mean_phase"].isna().all()
    assert found["resultant_length"].tolist() == [0, 0]
    # of unit 1 they cancel in every block
    np.testing.assert_array_equal(found["p_value"], [np.nan, 1])


def test_compute_phase_consistency__one_block_with_nearly_all_spikes_counts_as_one() -> None:
    times = np.r_[np.full(2000, 5.0), 10 * np.arange(1, 51)]
    (row,) = compute_phase_consistency(
        pd.DataFrame({"unit_id": 1, "spike_time": times, "phase": 0.5})
    ).itertuples()
    assert row.n_blocks > 40
    assert 0.3 < row.p_value < 0.37


def test_compute_phase_consistency__units_with_few_spikes_or_none() -> None:
    phases = pd.DataFrame({"unit_id": [1, 2, 2], "spike_time": [0.0, 1, 2], "phase": [0.5, 1, 1]})
    found = compute_phase_consistency(phases, [2, 9, 1])
    assert found.index.tolist() == [2, 9, 1]
    assert found["n_spikes"].tolist() == [2, 0, 1]
    np.testing.assert_allclose(found["ppc"], [1, np.nan, np.nan])
    np.testing.assert_allclose(found["mean_phase"], [1, np.nan, 0.5])
    assert found["p_value"].isna().all()  # one block
    assert compute_phase_consistency(phases[:0], [9])["n_spikes"].tolist() == [0]


@pytest.mark.parametrize("batch_bytes", [1, 16 * 2**20])
def test_compute_spike_triggered_lfp__equals_the_mean_of_windows(
    batch_bytes, lfp, spikes, monkeypatch
) -> None:
    monkeypatch.setattr(windows_module, "BATCH_BYTES", batch_bytes)
    found = compute_spike_triggered_lfp(lfp, spikes, [4, 7, 2], window=(-0.02, 0.05))
    assert found["n_spikes"].sel(unit_id=4).values.tolist() == [0, 0, 0]
    assert np.isnan(found["mean"].sel(unit_id=4)).all()
    last = START + (N - 1) / RATE
    for unit in (7, 2):
        times = np.asarray(spikes[unit])
        inside = times[(times > START + 0.0204) & (times < last - 0.0494)]
        expected = compute_evoked_lfp(lfp, inside, window=(-0.02, 0.05))
        of_unit = found.sel(unit_id=unit)
        assert of_unit["n_spikes"].values.tolist() == [len(inside)] * 3
        np.testing.assert_allclose(of_unit["mean"], expected["mean"], rtol=1e-6, atol=1e-10)
        np.testing.assert_allclose(of_unit["sem"], expected["sem"], rtol=1e-4)


def test_compute_spike_triggered_lfp__leaves_out_windows_with_nan_by_channel(lfp, spikes) -> None:
    broken = lfp.copy()
    broken[20_000:30_000, 1] = np.nan
    found = compute_spike_triggered_lfp(broken, spikes, [7], window=(-0.02, 0.05))
    whole = compute_spike_triggered_lfp(lfp, spikes, [7], window=(-0.02, 0.05))
    assert found["n_spikes"][0, 1] < whole["n_spikes"][0, 1]
    kept = [0, 2]
    xr.testing.assert_allclose(found.isel(channel=kept), whole.isel(channel=kept))
    times = np.asarray(spikes[7])
    free = times[(times < START + 16 - 0.05) | (times > START + 24 + 0.02)]
    alone = compute_spike_triggered_lfp(lfp, {7: free}, [7], window=(-0.02, 0.05))
    np.testing.assert_allclose(found["mean"][0, :, 1], alone["mean"][0, :, 1], rtol=1e-5, atol=1e-9)


@pytest.fixture(scope="module")
def lfp_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a recording of as many channels as the released ones have."""
    path: Path = tmp_path_factory.mktemp("lfp") / "probe_7_lfp.nwb"
    values = np.random.default_rng(3).standard_normal(N, dtype=np.float32)
    with h5py.File(path, "w") as file:
        group = file.create_group("acquisition/probe_7_lfp/probe_7_lfp_data")
        group["data"] = np.broadcast_to(values[:, np.newaxis], (N, 93))
        group["timestamps"] = START + np.arange(N) / RATE
        file["general/extracellular_ephys/electrodes/id"] = np.arange(93)
    return path


@pytest.mark.parametrize("rate", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("kind", ["theta", "gamma", "average"])
def test_spikes_and_field__read_the_windows(kind, rate, lfp_file, rng, monkeypatch) -> None:
    n_read = [0]
    read_into = LocalBytes.read_into

    def count(source: LocalBytes, offset: int, buffer: memoryview) -> int:
        # times are read by blocks of their own
        n_read[0] += len(buffer) * (first <= offset < first + N * 93 * 4)
        return read_into(source, offset, buffer)

    with h5py.File(lfp_file) as file:
        first = file["acquisition/probe_7_lfp/probe_7_lfp_data/data"].id.get_offset()
    monkeypatch.setattr(LocalBytes, "read_into", count)
    lazy = open_lfp(lfp_file)
    spikes = {1: np.sort(rng.uniform(START + 3, START + N / RATE - 3, int(60 * rate)))}
    half = {"theta": 1.219, "gamma": 0.151, "average": 0.2}[kind]
    if kind == "average":
        compute_spike_triggered_lfp(lazy, spikes, [1], window=(-half, half))
    else:
        compute_spike_phases(lazy, spikes, [1], band=BANDS[kind], channels=3)
    is_needed = np.zeros(N, dtype=bool)
    for row in ((spikes[1] - START) * RATE).astype(int):
        is_needed[row - int(half * RATE) : row + int(half * RATE) + 2] = True
    assert 0.98 < n_read[0] / (is_needed.sum() * 93 * 4) < 1.2


def test_choose_field_channels__nearest_beyond_the_distance() -> None:
    lfp = xr.DataArray(
        np.zeros((2, 4)), {"time": [0, 1], "channel": [5, 1, 9, 3]}, ("time", "channel")
    )
    columns = ["probe_id", "probe_vertical_position", "probe_horizontal_position"]
    channels = pd.DataFrame(
        [(7, 0, 11), (7, 40, 11), (7, 80, 11), (7, 120, 11), (8, 40, 11)],
        index=[1, 3, 4, 5, 9], columns=columns,
    )  # fmt: skip
    units = pd.DataFrame([(7, 0, 11), (7, 80, 11), (7, 60, 11)], [60, 61, 62], columns)
    # 4 is not in the recording, 9 on another probe
    near = choose_field_channels(lfp, units, channels, min_distance_um=0)
    assert near.to_dict() == {60: 1, 61: 3, 62: 3}
    far = choose_field_channels(lfp, units, channels, min_distance_um=60)
    assert far.to_dict() == {60: 5, 61: 1, 62: 1}
    with pytest.raises(
        InvalidArgumentError, match=r"unit 61 has no channel at 100 µm or more in th"
    ):
        choose_field_channels(lfp, units, channels)
    with pytest.raises(InvalidArgumentError, match=r"1 of 1 units are of other probes .*probe 7"):
        choose_field_channels(lfp[:, :2], units.replace({"probe_id": {7: 8}}).head(1), channels[:4])
    lost = units.assign(probe_vertical_position=[0, np.nan, 60])
    with pytest.raises(
        InvalidArgumentError, match=r"1 of 3 units have no position, such as unit 61"
    ):
        choose_field_channels(lfp, lost, channels)
    lost = channels.assign(probe_horizontal_position=[11, np.nan, 11, 11, 11])
    assert choose_field_channels(lfp, units, lost, min_distance_um=0)[61] == 5
    with pytest.raises(InvalidArgumentError, match=r"none has a row and a position in channels"):
        choose_field_channels(lfp, units, channels.assign(probe_vertical_position=np.nan))


def test_spikes_and_field__bad_input(lfp, spikes) -> None:
    def call(lfp=lfp, unit_ids=(7,), **options):
        return compute_spike_phases(lfp, spikes, unit_ids, **{"band": THETA} | options)

    with pytest.raises(
        InvalidArgumentError, match=r"has 3 channels: say which one's phase to take"
    ):
        call()
    with pytest.raises(
        InvalidArgumentError, match=r"channel 11 is not in the recording, which has 3"
    ):
        call(channels=11)
    with pytest.raises(InvalidArgumentError, match=r"channels has no value for 1 of 1 ids"):
        call(channels=pd.Series({2: 10}))
    with pytest.raises(InvalidArgumentError, match=r"channels has 2 ids without units"):
        call(channels=[10, 20])
    with pytest.raises(InvalidArgumentError, match=r"band=\(4, 700\): .* between 0 and 625 Hz"):
        call(channels=10, band=(4, 700))
    named, limits = (call(channels=10, band=band) for band in ("theta", BANDS["theta"]))
    pd.testing.assert_frame_equal(named, limits)
    with pytest.raises(InvalidArgumentError, match=r"band='thet': did you mean 'theta' or 'beta'"):
        call(channels=10, band="thet")
    with pytest.raises(InvalidArgumentError, match=r"order is 0; give the order of a filter"):
        call(channels=10, order=0)
    with pytest.raises(InvalidArgumentError, match=r"unit_id 7 is asked for several times"):
        call(channels=10, unit_ids=[7, 7])
    with pytest.raises(InvalidArgumentError, match=r"select one channel as a list"):
        call(lfp[:, 0])
    with pytest.raises(
        InvalidArgumentError, match=r"is a DataArray .* this Dataset has dimensions"
    ):
        call(lfp.to_dataset(name="LFP"), channels=10)
    twice = lfp.assign_coords(channel=[10, 10, 20])
    for function in (call, lambda lfp: compute_spike_triggered_lfp(lfp, spikes, [7])):
        with pytest.raises(InvalidArgumentError, match=r"channel 10 is there several times; keep"):
            function(twice)
    session = SimpleNamespace(
        spike_times=spikes, units=pd.DataFrame({"probe_id": [1]}, index=[7]), channels=None
    )
    with pytest.raises(
        InvalidArgumentError, match=r"table of units has no value for 1 of 1 ids, such as 8"
    ):
        compute_spike_phases(lfp, session, [8], band=THETA)
    with pytest.raises(InvalidArgumentError, match=r"out of order: lfp.sortby"):
        call(lfp[::-1], channels=10)
    with pytest.raises(InvalidArgumentError, match=r"window=\(0.1, 0.0\): give the first"):
        compute_spike_triggered_lfp(lfp, spikes, [7], window=(0.1, 0.0))
    with pytest.raises(InvalidArgumentError, match=r"window=0.1: give the first and the last time"):
        compute_spike_triggered_lfp(lfp, spikes, [7], window=0.1)
    phases = pd.DataFrame({"unit_id": [1], "spike_time": [0.0], "phase": [np.nan]})
    with pytest.raises(InvalidArgumentError, match=r"not finite; leave those spikes out"):
        compute_phase_consistency(phases)
    with pytest.raises(InvalidArgumentError, match=r"block_length is -1; give a length"):
        compute_phase_consistency(phases, block_length=-1)
    with pytest.raises(InvalidArgumentError, match=r"the table of phases has no column 'phase'"):
        compute_phase_consistency(phases[["unit_id", "spike_time"]])
