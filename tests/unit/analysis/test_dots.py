from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from spikehouse.analysis import StimulusResponses
from spikehouse.analysis.gratings import compute_dot_motion_metrics
from spikehouse.errors import InvalidArgumentError

COLUMNS = [
    ("pref_speed_dm", "float64"),
    ("pref_speed_multi_dm", "bool"),
    ("pref_dir_dm", "float64"),
    ("pref_dir_multi_dm", "bool"),
    ("firing_rate_dm", "float64"),
    ("fano_dm", "float64"),
    ("time_to_peak_dm", "float64"),
    ("lifetime_sparseness_dm", "float64"),
    ("run_mod_dm", "float64"),
    ("run_pval_dm", "float64"),
]


def make_responses(n_spikes):
    """Show 2 × 2 conditions and a blank, twice; n_spikes(unit, direction, speed)."""
    shown = [*itertools.product((0.0, 90.0), (0.01, 0.02)), (np.nan, np.nan)] * 2
    table = pd.DataFrame(shown, columns=["Dir", "Speed"])
    table["stimulus_condition_id"] = 7 + np.arange(len(table)) % 5
    table["start_time"] = 5.0 + np.arange(len(table))
    table["stop_time"] = table["start_time"] + 1.0
    spike_times = {
        unit: np.concatenate(
            [
                row.start_time + 0.3 + 0.01 * np.arange(n_spikes(unit, row.Dir, row.Speed))
                for row in table.itertuples()
            ]
        )
        for unit in range(2)
    }
    return StimulusResponses("dot_motion", table, [0, 1], spike_times, 1.0)


def test_compute_dot_motion_metrics__never_prefers_the_blank():
    def n_spikes(unit, direction, speed):
        if np.isnan(direction):
            return 9
        return 1 + 3 * (direction == 90 and speed == 0.02) if unit == 0 else 0

    responses = make_responses(n_spikes)
    table = compute_dot_motion_metrics(responses)
    assert [(name, str(kind)) for name, kind in table.dtypes.items()] == COLUMNS
    np.testing.assert_array_equal(table["pref_speed_dm"], [0.02, np.nan])
    np.testing.assert_array_equal(table["pref_dir_dm"], [90, np.nan])
    np.testing.assert_array_equal(table["pref_dir_multi_dm"], [False, True])
    # four conditions, 1 1 1 4: the blank is none of them
    assert table["lifetime_sparseness_dm"].iloc[0] == pytest.approx((1 - 49 / 76) / 0.75)
    # published: one of five, and the preferred one, whose spikes come at 0.3 … 0.38 s
    published = compute_dot_motion_metrics(responses, definition="published")
    assert published["lifetime_sparseness_dm"].iloc[0] == pytest.approx((1 - 256 / 500) / 0.8)
    assert published["time_to_peak_dm"].iloc[1] == pytest.approx(0.3, abs=0.001)
    np.testing.assert_array_equal(published["pref_speed_dm"], [0.02, 0.01])


def test_compute_dot_motion_metrics__says_which_column_is_missing():
    responses = make_responses(lambda unit, direction, speed: 1)
    table = responses.presentations.drop(columns="Speed")
    other = StimulusResponses("dot_motion", table, [0], {0: np.empty(0)}, 1.0)
    with pytest.raises(
        InvalidArgumentError, match="dot_motion have no column 'Speed'; they have 'Dir'"
    ):
        compute_dot_motion_metrics(other)
