from __future__ import annotations

import numpy as np
import pytest

from spikehouse.analysis import compute_autocorrelograms
from spikehouse.errors import InvalidArgumentError


def brute_force(train: np.ndarray, n_bins: int, bin_width: float) -> np.ndarray:
    lags = (train[None, :] - train[:, None])[~np.eye(train.size, dtype=bool)]
    edges = np.arange(-n_bins, n_bins + 1) * bin_width
    return np.histogram(lags, edges)[0] / (train.size * bin_width)


def test_compute_autocorrelograms__by_hand() -> None:
    # lags 1, 2 and 3 once each: of 3 spikes, in bins of 2
    found = compute_autocorrelograms({5: np.array([0.0, 1.0, 3.0])}, [5], max_lag=4, bin_width=2)
    np.testing.assert_allclose(found.sel(unit_id=5), np.array([2, 1, 1, 2]) / 6)
    np.testing.assert_array_equal(found["time_lag"], [-3, -1, 1, 3])


def test_compute_autocorrelograms__is_brute_force_and_symmetric(rng: np.random.Generator) -> None:
    spikes = {3: np.sort(rng.uniform(0, 20, 900)), 1: np.sort(rng.uniform(0, 20, 40))}
    found = compute_autocorrelograms(spikes, [3, 1], max_lag=0.2, bin_width=0.005)
    for unit, train in spikes.items():
        own = found.sel(unit_id=unit).to_numpy()
        np.testing.assert_allclose(own, brute_force(train, 40, 0.005), atol=1e-9)
        np.testing.assert_array_equal(own, own[::-1])


def test_compute_autocorrelograms__of_a_refractory_train_is_0_near_0_and_the_rate_far_away(
    rng: np.random.Generator,
) -> None:
    train = np.cumsum(0.003 + rng.exponential(0.047, 40_000))
    found = compute_autocorrelograms({1: train}, [1], max_lag=0.1, bin_width=0.001).sel(unit_id=1)
    assert (found.sel(time_lag=slice(-0.003, 0.003)) == 0).all()
    assert abs(found.sel(time_lag=slice(0.05, 0.1)).mean() - 20) < 0.5


def test_compute_autocorrelograms__of_silent_units_is_nan_and_of_one_spike_0() -> None:
    spikes = {1: np.empty(0), 2: np.array([4.0])}
    found = compute_autocorrelograms(spikes, [1, 2])
    assert np.isnan(found.sel(unit_id=1)).all()
    assert (found.sel(unit_id=2) == 0).all()
    assert compute_autocorrelograms(spikes, []).shape == (0, 200)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bin_width": 0.0}, "bin_width is 0.0"),
        ({"max_lag": 0.1, "bin_width": 0.03}, "must be a multiple"),
        ({"max_lag": 0.001, "bin_width": 0.01}, "from 0.01 s up"),
    ],
)
def test_compute_autocorrelograms__says_what_is_valid(
    options: dict[str, float], message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        compute_autocorrelograms({1: np.array([0.0])}, [1], **options)


def test_compute_autocorrelograms__of_an_unknown_unit_says_so() -> None:
    with pytest.raises(InvalidArgumentError, match="KeyError: 7"):
        compute_autocorrelograms({1: np.array([0.0])}, [7])
