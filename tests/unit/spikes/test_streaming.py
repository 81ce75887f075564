from __future__ import annotations

import numpy as np
import pytest

from spikehouse.errors import InvalidArgumentError
from spikehouse.spikes import compute_mean_counts, concatenate_spikes

SPIKES = {1: np.array([0.0, 0.5, 1.0]), 2: np.array([]), 3: np.array([10.5])}
DOMAIN = np.array([[0.0, 1.0, 2.0], [10.0, 11.0, 12.0]])


def test_mean_counts__over_all_presentations() -> None:
    mean = compute_mean_counts(SPIKES, [3, 1], DOMAIN)
    assert mean.tolist() == [[0.5, 1.0], [0.0, 0.5]]


def test_mean_counts__a_group_without_presentations_is_nan() -> None:
    mean = compute_mean_counts(SPIKES, [1], DOMAIN, groups=[2, 0])
    assert mean[[0, 2], :, 0].tolist() == [[0, 0], [2, 1]]
    assert np.isnan(mean[1]).all()


def test_mean_counts__no_presentations_no_units() -> None:
    assert np.isnan(compute_mean_counts(SPIKES, [1], DOMAIN[:0])).all()
    assert compute_mean_counts(SPIKES, [1], DOMAIN[:0]).shape == (2, 1)
    assert compute_mean_counts(SPIKES, [1], DOMAIN[:0], groups=[]).shape == (0, 2, 1)
    assert compute_mean_counts(SPIKES, [], DOMAIN).shape == (2, 0)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([0], r"one number a presentation, shape \(2,\), not \(1,\)"),
        ([0.0, 1.0], "must hold integers, not float64"),
        ([0, -1], "numbered from 0; the smallest is -1"),
    ],
)
def test_mean_counts__groups_that_cannot_be_meant(groups: list[float], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        compute_mean_counts(SPIKES, [1], DOMAIN, groups=groups)


def test_concatenate_spikes__offsets_cut_the_units_apart() -> None:
    times, offsets = concatenate_spikes(SPIKES, [3, 2, 1])
    assert times.tolist() == [10.5, 0.0, 0.5, 1.0]
    assert offsets.tolist() == [0, 1, 1, 4]
    assert offsets.dtype == np.int64


def test_concatenate_spikes__no_units() -> None:
    times, offsets = concatenate_spikes(SPIKES, [])
    assert (times.dtype, times.size, offsets.tolist()) == (np.float64, 0, [0])
