"""The metrics of every stimulus: by hand, against one unit at a time, and with bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from spikehouse.analysis.common import (
    common_metrics,
    peak_times,
    preferred_trials,
    psth_edges,
)
from spikehouse.analysis.inputs import StimulusResponses
from spikehouse.errors import InvalidArgumentError

NAMES = ["time_to_peak", "fano", "firing_rate", "lifetime_sparseness", "run_pval", "run_mod"]


def make_responses(conditions, spikes, *, speed=None, duration=0.25):
    start = 10 + duration * np.arange(len(conditions))
    presentations = pd.DataFrame(
        {
            "start_time": start,
            "stop_time": start + duration,
            "stimulus_condition_id": conditions,
        },
        index=pd.RangeIndex(len(conditions), name="stimulus_presentation_id"),
    )
    running = None
    if speed is not None:
        running = pd.DataFrame({"start_time": start + 0.01, "velocity": speed})
    spikes = {unit: np.sort(np.asarray(times, float)) for unit, times in spikes.items()}
    return StimulusResponses("made", presentations, list(spikes), spikes, duration, running)


def random_responses(rng, *, n_units=6, n_shown=60):
    conditions = rng.integers(40, 45, n_shown)
    stop = 10 + 0.25 * n_shown
    spikes = {3 * u: rng.uniform(9, stop + 1, int(200 * rng.random())) for u in range(n_units)}
    return make_responses(conditions, spikes, speed=rng.uniform(0, 2, n_shown))


def test_common_metrics__columns_index_and_dtypes(rng):
    responses = random_responses(rng)
    table = common_metrics(responses, suffix="zz", preferred=responses.preferred_conditions())
    assert list(table.columns) == [f"{name}_zz" for name in NAMES]
    assert (table.dtypes == np.float64).all()
    assert table.index.name == "unit_id"
    assert table.index.tolist() == list(responses.unit_ids)


def test_common_metrics__as_one_unit_at_a_time(rng):
    responses = random_responses(rng)
    preferred = responses.preferred_conditions()
    table = common_metrics(responses, suffix="x", preferred=preferred)
    for column, (unit, row) in enumerate(table.iterrows()):
        chosen = responses.condition_of == preferred[column]
        counts, speeds = responses.counts[chosen, column], responses.speeds[chosen]
        assert row["fano_x"] == pytest.approx(counts.var() / counts.mean())
        groups = counts[speeds >= 1], counts[speeds < 1]
        expected = stats.ttest_ind(*groups, equal_var=False).pvalue
        assert row["run_pval_x"] == pytest.approx(expected, rel=1e-9)
        inside = (responses.spike_times[unit] >= 10) & (responses.spike_times[unit] < 25)
        assert row["firing_rate_x"] == pytest.approx(inside.sum() / 15)


def test_common_metrics__does_not_depend_on_the_other_units(rng):
    responses = random_responses(rng)
    preferred = responses.preferred_conditions()
    table = common_metrics(responses, suffix="x", preferred=preferred)
    few = StimulusResponses(
        "made",
        responses.presentations,
        responses.unit_ids[3:1:-1],
        responses.spike_times,
        0.25,
        responses.running_speed,
    )
    part = common_metrics(few, suffix="x", preferred=few.preferred_conditions())
    pd.testing.assert_frame_equal(part, table.loc[list(few.unit_ids)])


def test_common_metrics__peak_of_the_preferred_condition():
    # condition 5 is shown at 10.25 and 10.5
    spikes = {1: [10.01, 10.2905, 10.5405, 10.6]}
    responses = make_responses([4, 5, 5], spikes)
    table = common_metrics(responses, suffix="x", preferred=responses.preferred_conditions())
    assert table.loc[1, "time_to_peak_x"] == pytest.approx(0.0405)
    assert table.loc[1, "fano_x"] == pytest.approx(0.25 / 1.5)


def test_common_metrics__blank_sweeps_are_not_part_of_the_sparseness():
    spikes = {1: [10.1, 10.4, 10.6, 10.61, 10.62]}
    responses = make_responses([4, 5, 6], spikes)
    is_blank = np.array([False, False, True])
    preferred = responses.preferred_conditions(~is_blank)
    answered = common_metrics(responses, suffix="x", preferred=preferred, is_blank=is_blank)
    assert answered.loc[1, "lifetime_sparseness_x"] == pytest.approx(0.0)
    with_blank = common_metrics(responses, suffix="x", preferred=preferred)
    assert with_blank.loc[1, "lifetime_sparseness_x"] > 0.1


def test_common_metrics__sparseness_is_of_means_not_sums():
    # one spike in each of three presentations of condition 4 and one of condition 5
    responses = make_responses([4, 4, 4, 5], {1: [10.1, 10.35, 10.6, 10.85]})
    table = common_metrics(responses, suffix="x", preferred=responses.preferred_conditions())
    assert table.loc[1, "lifetime_sparseness_x"] == pytest.approx(0.0)


def test_common_metrics__unit_without_spikes(rng):
    responses = make_responses([4, 5] * 6, {1: [], 2: [10.1, 10.3]}, speed=np.r_[:12] % 3)
    table = common_metrics(responses, suffix="x", preferred=responses.preferred_conditions())
    silent = table.loc[1]
    assert silent["firing_rate_x"] == 0
    assert silent.drop("firing_rate_x").isna().all()


def test_common_metrics__one_presentation_a_condition_and_no_speed():
    responses = make_responses([4, 5, 6], {1: [10.1, 10.3, 10.31]})
    row = common_metrics(responses, suffix="x", preferred=np.array([1])).loc[1]
    assert row[["fano_x", "run_pval_x", "run_mod_x"]].isna().all()
    assert np.isfinite(row[["time_to_peak_x", "lifetime_sparseness_x", "firing_rate_x"]]).all()


def test_common_metrics__constant_responses():
    spikes = {1: 10.1 + 0.25 * np.arange(8)}
    responses = make_responses([4, 5] * 4, spikes, speed=[3, 3, 3, 3, 0, 0, 0, 0])
    row = common_metrics(responses, suffix="x", preferred=np.array([0])).loc[1]
    assert row["fano_x"] == 0
    assert row["run_mod_x"] == 0
    assert np.isnan(row["run_pval_x"])


def test_common_metrics__no_units():
    responses = make_responses([4, 5], {})
    table = common_metrics(responses, suffix="x", preferred=np.empty(0, np.intp))
    assert table.shape == (0, 6)
    assert (table.dtypes == np.float64).all()


def test_common_metrics__wrong_shapes():
    responses = make_responses([4, 5], {1: [10.1]})
    with pytest.raises(InvalidArgumentError, match="give one condition for each of the 1 units"):
        common_metrics(responses, suffix="x", preferred=np.array([0, 1]))
    with pytest.raises(InvalidArgumentError, match="each of the 2 conditions"):
        common_metrics(responses, suffix="x", preferred=np.array([0]), is_blank=np.array([True]))


def test_common_metrics__some_names_behind_own_columns(rng):
    responses = random_responses(rng)
    preferred = responses.preferred_conditions()
    table = common_metrics(responses, suffix="x", preferred=preferred)
    own = {"own": np.arange(len(table))}
    few = common_metrics(responses, suffix="x", preferred=preferred, own=own, names=("fano",))
    pd.testing.assert_frame_equal(
        few, table[["fano_x"]].assign(own_x=own["own"])[["own_x", "fano_x"]]
    )


def test_preferred_trials__conditions_shown_unequally_often():
    responses = make_responses([5, 4, 5, 5], {1: [10.1, 10.6, 10.61], 2: [10.3]})
    trials = preferred_trials(responses, np.array([1, 0]))
    np.testing.assert_array_equal(trials.is_trial, [[True, True], [True, False], [True, False]])
    np.testing.assert_array_equal(trials.counts[:, 0], [1, 2, 0])
    assert trials.counts[0, 1] == 1


def test_psth_edges__end_before_the_trial_as_in_allensdk():
    edges = psth_edges(0.25)
    assert len(edges) == 250
    assert edges[-1] == pytest.approx(0.249)


@pytest.mark.parametrize("resolution", [0.25, 1.0, 0.0, -0.001])
def test_psth_edges__bins_that_do_not_fit(resolution):
    with pytest.raises(InvalidArgumentError, match=r"do not fit into a trial of 0\.25 s"):
        psth_edges(0.25, resolution=resolution)


def test_peak_times__first_of_several_and_silent():
    psth = np.array([[0.0, 2.0, 2.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(peak_times(psth, [0.0, 0.1, 0.2, 0.3]), [0.15, np.nan])
