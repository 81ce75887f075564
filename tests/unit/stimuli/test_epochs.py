from __future__ import annotations

import numpy as np
import pytest

from spikehouse.compat.functions import array_intervals, nan_intervals
from spikehouse.stimuli import find_run_bounds


@pytest.mark.parametrize(
    ("values", "bounds"),
    [
        ([1, 1, 2, 2, 2, 1], [0, 2, 5, 6]),
        ([3.0], [0, 1]),
        (["VISp", "VISp", "CA1"], [0, 2, 3]),
    ],
)
def test_find_run_bounds__of_equal_runs(values: list[object], bounds: list[int]) -> None:
    assert find_run_bounds(values).tolist() == bounds
    assert find_run_bounds(np.array(values, dtype=object)).tolist() == bounds
    assert array_intervals(values).tolist() == bounds


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
def test_find_run_bounds__missing_values_are_equal(values: list[object], bounds: list[int]) -> None:
    assert find_run_bounds(np.array(values, dtype=object)).tolist() == bounds
    assert nan_intervals(np.array(values, dtype=object)).tolist() == bounds


def test_find_run_bounds__nan_among_floats() -> None:
    assert find_run_bounds([np.nan, np.nan, 1.0, np.nan]).tolist() == [0, 2, 3, 4]
