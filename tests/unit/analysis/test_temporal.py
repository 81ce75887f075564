from __future__ import annotations

import numpy as np
import pytest

from spikehouse.analysis.temporal import f1_f0, modulation_index
from spikehouse.errors import InvalidArgumentError

MS = 0.001


def centres(n_bins: int) -> np.ndarray:
    return (np.arange(n_bins) + 0.5) * MS


@pytest.mark.parametrize("frequency", [1, 2, 4, 8, 15])
def test_f1_f0__is_the_depth_of_a_sinusoid_at_every_published_frequency(frequency):
    psth = 3 * (1 + 0.6 * np.cos(2 * np.pi * frequency * centres(2000) + 1.1))
    assert f1_f0(psth, frequency, bin_width=MS) == pytest.approx(0.6, abs=1e-9)


def test_f1_f0__leaves_out_the_cycle_that_is_cut_short():
    # 2.4 cycles; the constant response must not count as modulated
    assert f1_f0(np.ones(1200), 2.0, bin_width=MS) == pytest.approx(0, abs=1e-12)


def test_f1_f0__is_two_for_spikes_at_one_phase_and_nan_without_spikes():
    psth = np.zeros((3, 2000))
    psth[0, [130, 380, 630]] = 1  # 4 Hz
    psth[1, 777] = 1
    np.testing.assert_allclose(f1_f0(psth, 4.0, bin_width=MS), [2, 2, np.nan])


def test_f1_f0__takes_a_frequency_a_unit():
    t = centres(2000)
    psth = 1 + np.stack([np.cos(2 * np.pi * 4 * t), np.cos(2 * np.pi * 8 * t)])
    np.testing.assert_allclose(f1_f0(psth, [4.0, 4.0], bin_width=MS), [1, 0], atol=1e-9)
    np.testing.assert_allclose(f1_f0(psth, [4.0, 8.0], bin_width=MS), [1, 1], atol=1e-9)
    np.testing.assert_allclose(
        f1_f0(psth[0], [4.0, 8.0, 0.1], bin_width=MS), [1, 0, np.nan], atol=1e-9
    )


def test_f1_f0__as_allensdk_folds_into_one_cycle_too_few():
    rng = np.random.default_rng(3)
    psth = rng.poisson(0.2, 1999)
    # 4 Hz: seven cycles of 285 bins instead of eight of 250
    folded = psth[: 7 * 285].reshape(7, 285).mean(axis=0)
    spectrum = np.abs(np.fft.fft(folded))
    expected = 2 * spectrum[1] / spectrum[0]
    assert f1_f0(psth, 4.0, bin_width=MS, definition="published") == pytest.approx(expected)
    assert np.isnan(f1_f0(psth, 0.2, bin_width=MS, definition="published"))


def test_modulation_index__is_largest_at_the_frequency_of_the_response():
    frequencies = np.array([1.0, 2.0, 4.0, 8.0, 15.0])
    psth = 1 + np.cos(2 * np.pi * frequencies[:, None] * centres(2000))
    indices = modulation_index(psth[:, None, :], frequencies, bin_width=MS)
    assert indices.shape == (5, 5)
    assert (indices.argmax(axis=1) == np.arange(5)).all()
    assert (np.diag(indices) > 10).all()


def test_modulation_index__as_allensdk_looks_one_step_above():
    psth = 1 + np.cos(2 * np.pi * centres(1999))
    from scipy.signal import welch

    power = welch(psth, fs=1000, nperseg=1024)[1]
    there = abs(power[2] - power.mean()) / power.std()  # 1.95 Hz for 1 Hz
    here = abs(power[1] - power.mean()) / power.std()
    assert modulation_index(psth, 1.0, bin_width=MS, definition="published") == pytest.approx(there)
    assert modulation_index(psth, 1.0, bin_width=MS) == pytest.approx(here)


def test_modulation_index__is_nan_without_variation_and_beyond_the_bins():
    psth = np.zeros((2, 500))
    psth[1, ::7] = 1
    np.testing.assert_array_equal(modulation_index(psth, 600.0, bin_width=MS), [np.nan, np.nan])
    found = modulation_index(psth, 2.0, bin_width=MS)
    assert np.isnan(found[0])
    assert np.isfinite(found[1])
    assert np.isnan(modulation_index(psth, np.nan, bin_width=MS)).all()
    assert np.isnan(modulation_index([3.0], 0.0, bin_width=MS))


@pytest.mark.parametrize("metric", [f1_f0, modulation_index])
def test_temporal__says_what_is_wrong(metric):
    with pytest.raises(InvalidArgumentError, match=r"psth needs bins .* \(3, 0\)"):
        metric(np.empty((3, 0)), 1.0, bin_width=MS)
    with pytest.raises(InvalidArgumentError, match="bin_width is 0"):
        metric(np.ones(10), 1.0, bin_width=0)
    with pytest.raises(
        InvalidArgumentError, match=r"no definition 'publish' .* did you mean 'published'"
    ):
        metric(np.ones(10), 1.0, bin_width=MS, definition="publish")
