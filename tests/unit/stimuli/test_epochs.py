from __future__ import annotations

import numpy as np
import pytest

from spikehouse.stimuli import array_intervals, nan_intervals


@pytest.mark.parametrize(
    ("values", "bounds"),
    [
        ([1, 1, 2, 2, 2, 1], [0, 2, 5, 6]),
        ([3.0], [0, 1]),
        (["VISp", "VISp", "CA1"], [0, 2, 3]),
    ],
)
def test_array_intervals__bounds_of_equal_runs(values: list[object], bounds: list[int]) -> None:
    assert array_intervals(values).tolist() == bounds
    assert nan_intervals(np.array(values, dtype=object)).tolist() == bounds


@pytest.mark.parametrize(
    ("values", "bounds"),
    [
        ([np.nan, np.nan, 1.0, np.nan], [0, 2, 3, 4]),
        ([None, None, "CA1"], [0, 2, 3]),
        (["null", "null", 0.0, "null"], [0, 2, 3, 4]),
        ([1, True, 1], [0, 1, 2, 3]),
        ([], [0]),
    ],
)
def test_nan_intervals__missing_values_are_equal(values: list[object], bounds: list[int]) -> None:
    assert nan_intervals(np.array(values, dtype=object)).tolist() == bounds
