"""Flashes: by hand, with bad input, and what demo neurons prefer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spikehouse.analysis.images import compute_flashes_metrics, on_off_ratio, sustained_index
from spikehouse.analysis.inputs import StimulusResponses
from spikehouse.errors import InvalidArgumentError
from spikehouse.session import EcephysSession

COLUMNS = ["on_off_ratio_fl", "sustained_idx_fl", "firing_rate_fl", "time_to_peak_fl", "fano_fl"]
COLUMNS += ["lifetime_sparseness_fl", "run_pval_fl", "run_mod_fl"]


def make_flashes(colors, spikes):
    start = 5 + 2.0 * np.arange(len(colors))
    presentations = pd.DataFrame(
        {
            "start_time": start,
            "stop_time": start + 0.25,
            "color": np.asarray(colors, float),
            "stimulus_condition_id": np.asarray(colors, int) + 70,
        }
    )
    spikes = {unit: np.asarray(times, float) for unit, times in spikes.items()}
    return StimulusResponses("flashes", presentations, list(spikes), spikes, 0.25)


def test_on_off_ratio__bright_over_dark():
    means = np.array([[2.0, 0.0, 3.0], [6.0, 1.0, 0.0]])
    np.testing.assert_array_equal(on_off_ratio(means, [-1, 1]), [3.0, np.nan, 0.0])
    np.testing.assert_array_equal(on_off_ratio(means[::-1], [1, -1]), [3.0, np.nan, 0.0])


def test_on_off_ratio__one_color_never_shown():
    assert np.isnan(on_off_ratio(np.ones((2, 3)), [1, 0.5])).all()


def test_sustained_index__brief_steady_and_silent():
    psth = np.array([[0, 3, 0], [2, 2, 2], [0, 0, 0]])
    np.testing.assert_allclose(sustained_index(psth), [1 / 3, 1.0, np.nan])


def test_compute_flashes_metrics__by_hand():
    # flashes at 5 (dark), 7 (bright), 9 (bright); the spike at 8 is in the grey between
    spikes = {1: [5.1003, 7.0605, 7.2003, 8.0, 9.0605, 9.1003]}
    table = compute_flashes_metrics(make_flashes([-1, 1, 1], spikes), definition="published")
    assert list(table.columns) == COLUMNS
    assert (table.dtypes == np.float64).all()
    row = table.loc[1]
    assert row["on_off_ratio_fl"] == 2.0
    assert row["firing_rate_fl"] == pytest.approx(5 / 0.75)
    assert row["time_to_peak_fl"] == pytest.approx(0.0605)
    assert row["sustained_idx_fl"] == pytest.approx(2 / 249)
    assert row["fano_fl"] == 0


def test_compute_flashes_metrics__unit_without_spikes_and_no_units():
    row = compute_flashes_metrics(make_flashes([-1, 1], {1: []})).loc[1]
    assert row["firing_rate_fl"] == 0
    assert row.drop("firing_rate_fl").isna().all()
    assert compute_flashes_metrics(make_flashes([-1, 1], {})).shape == (0, 8)


def test_compute_flashes_metrics__no_color():
    with pytest.raises(
        InvalidArgumentError, match="flashes have no column 'shade'; they have 'color'"
    ):
        compute_flashes_metrics(make_flashes([-1, 1], {1: [5.1]}), color_column="shade")


def test_compute_flashes_metrics__finds_what_demo_neurons_prefer_and_when(small_survey):
    # stated errors: from 22 flashes of a color the right one in 8 of 10 units that prefer one;
    # the smoothed peak 10 to 40 ms after the true onset latency in the middle of the units
    session_id = small_survey.session_ids[0]
    session = EcephysSession.from_nwb_path(small_survey.session_file(session_id))
    truth = small_survey.truth(session_id).loc[session.units.index]
    truth = truth[truth["is_visual"].to_numpy(dtype=bool)]
    responses = StimulusResponses(
        "flashes",
        session.get_stimulus_table("flashes", missing="nan"),
        truth.index.tolist(),
        session.spike_times,
        0.25,
        session.running_speed,
    )
    table = compute_flashes_metrics(responses)
    bias = truth["on_gain"] - truth["off_gain"]
    ratio = table["on_off_ratio_fl"]
    clear = bias.abs() > 0.4
    assert clear.sum() > 20
    assert np.mean((ratio > 1)[clear] == (bias > 0)[clear]) >= 0.8
    assert ratio.corr(bias, method="spearman") > 0.7
    late = (table["time_to_peak_fl"] - truth["latency_s"])[truth["drive"] > 1]
    assert 0.01 <= late.median() <= 0.04
