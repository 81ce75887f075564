"""Bars of fractions by area."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spikehouse import plots
from spikehouse.errors import InvalidArgumentError


def test_plot_fractions__draws_bars_intervals_numbers_and_the_reference():
    table = pd.DataFrame(
        {"fraction": [0.9, np.nan], "low": [0.8, np.nan], "high": [1.0, np.nan], "n": [12, 0]},
        index=["V1", "CA1"],
    )
    ax = plots.plot_fractions(table, reference=pd.Series({"CA1": 0.3}), ylabel="tuned")
    assert [bar.get_height() for bar in ax.patches] == [0.9, 0.0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["V1\n(12)", "CA1\n(0)"]
    intervals, reference = (lines.get_segments() for lines in ax.collections)
    np.testing.assert_allclose(intervals[0], [[0, 0.8], [0, 1.0]])
    np.testing.assert_allclose(reference[1][:, 1], 0.3)
    assert ax.get_ylabel() == "tuned"
    assert ax.get_xlabel() == "area (number of units)"


def test_plot_fractions__refuses_percentages_and_no_areas():
    with pytest.raises(InvalidArgumentError, match=r"from 20 to 90; give .* fractions from 0 to 1"):
        plots.plot_fractions(pd.DataFrame({"fraction": [20, 90]}))
    with pytest.raises(InvalidArgumentError, match="fractions has 0 areas"):
        plots.plot_fractions(pd.DataFrame({"fraction": []}))
