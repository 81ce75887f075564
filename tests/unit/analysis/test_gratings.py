from __future__ import annotations

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest

from spikehouse.analysis import StimulusResponses
from spikehouse.analysis.gratings import (
    compute_dot_motion_metrics,
    compute_drifting_gratings_metrics,
    compute_static_gratings_metrics,
)
from spikehouse.demo import Survey
from spikehouse.errors import InvalidArgumentError
from spikehouse.session import EcephysSession

DRIFTING = [
    "pref_ori", "pref_ori_multi", "pref_tf", "pref_tf_multi", "c50", "f1_f0", "mod_idx", "g_osi",
    "g_dsi", "firing_rate", "fano", "lifetime_sparseness", "run_pval", "run_mod"
]  # fmt: skip
STATIC = [
    "pref_sf", "pref_sf_multi", "pref_ori", "pref_ori_multi", "pref_phase", "pref_phase_multi",
    "g_osi", "time_to_peak", "firing_rate", "fano", "lifetime_sparseness", "run_pval", "run_mod"
]  # fmt: skip
DOTS = [
    "pref_speed", "pref_speed_multi", "pref_dir", "pref_dir_multi", "firing_rate", "fano",
    "time_to_peak", "lifetime_sparseness", "run_mod", "run_pval"
]  # fmt: skip
DIRECTIONS = (0.0, 90.0, 180.0, 270.0)


def assert_types(table):
    kinds = {name: "bool" if "_multi_" in name else "float64" for name in table}
    assert table.dtypes.astype(str).to_dict() == kinds


def make_responses(name, answer, *, rows, duration=2.0, gap=1.0, n_units=1):
    """Show the rows one after the other; answer(unit, row) gives spike times from the onset."""
    table = rows.copy()
    table["stimulus_condition_id"] = (
        100 + pd.factorize(pd.Series(list(map(tuple, table.fillna(-99).to_numpy()))))[0]
    )
    table["start_time"] = 10 + (duration + gap) * np.arange(len(table))
    table["stop_time"] = table["start_time"] + duration
    spike_times = {
        unit: np.sort(
            np.concatenate(
                [
                    np.asarray(answer(unit, row), dtype=float) + row.start_time
                    for row in table.itertuples()
                ]
            )
        )
        for unit in range(n_units)
    }
    return StimulusResponses(name, table, list(range(n_units)), spike_times, duration)


def drifting_rows(n_repeats=3, n_blanks=2, directions=DIRECTIONS, frequencies=(1.0, 4.0)):
    shown = list(itertools.product(directions, frequencies)) * n_repeats
    blanks = [(np.nan, np.nan)] * n_blanks
    return pd.DataFrame(shown + blanks, columns=["orientation", "temporal_frequency"])


def spread(n):
    """Put spikes evenly into a presentation, off the edges."""
    return (np.arange(n) + 0.5) * 2.0 / max(n, 1)


def answer_drifting(unit, row):
    if np.isnan(row.orientation):
        return spread(60)  # blanks are answered most, and never preferred
    if unit == 0:  # 90 degrees at 4 Hz, at one phase of each cycle
        n_cycles = 8 if row.orientation == 90 and row.temporal_frequency == 4 else 1
        return 0.1003 + 0.25 * np.arange(n_cycles)
    if unit == 1:  # both 0 and 180 degrees, not modulated
        return spread(40 if row.orientation in (0, 180) else 10)
    return []


def test_compute_drifting_gratings_metrics__gives_what_was_planted():
    responses = make_responses(
        "drifting_gratings", answer_drifting, rows=drifting_rows(), n_units=2
    )
    table = compute_drifting_gratings_metrics(responses)
    assert list(table) == [f"{name}_dg" for name in DRIFTING]
    assert_types(table)
    assert table.index.name == "unit_id"
    np.testing.assert_array_equal(table["pref_ori_dg"], [90, 0])
    np.testing.assert_array_equal(table["pref_ori_multi_dg"], [False, True])
    np.testing.assert_array_equal(table["pref_tf_dg"], [4, 1])
    np.testing.assert_array_equal(table["pref_tf_multi_dg"], [False, True])
    np.testing.assert_allclose(table["f1_f0_dg"], [2, 0], atol=1e-2)
    np.testing.assert_allclose(table["g_osi_dg"], [7 / 11, 0.6])
    np.testing.assert_allclose(table["g_dsi_dg"], [7 / 11, 0], atol=1e-12)
    assert table["mod_idx_dg"].iloc[0] > table["mod_idx_dg"].iloc[1]
    assert table["c50_dg"].isna().all()


def test_compute_drifting_gratings_metrics__of_silent_units_is_nan():
    responses = make_responses(
        "drifting_gratings", lambda unit, row: [], rows=drifting_rows(), n_units=2
    )
    table = compute_drifting_gratings_metrics(responses)
    undefined = ["pref_ori_dg", "pref_tf_dg", "f1_f0_dg", "mod_idx_dg", "g_osi_dg", "g_dsi_dg"]
    assert table[undefined].isna().all(axis=None)
    assert table[["pref_ori_multi_dg", "pref_tf_multi_dg"]].all(axis=None)


def test_compute_drifting_gratings_metrics__needs_one_presentation_and_no_blank():
    rows = drifting_rows(n_repeats=1, n_blanks=0)
    responses = make_responses("drifting_gratings", answer_drifting, rows=rows, n_units=2)
    table = compute_drifting_gratings_metrics(responses)
    np.testing.assert_array_equal(table["pref_ori_dg"], [90, 0])
    np.testing.assert_allclose(table["g_osi_dg"], [7 / 11, 0.6])


def test_compute_drifting_gratings_metrics__has_no_selectivity_where_a_direction_is_missing():
    rows = drifting_rows()
    is_gone = (rows["orientation"] == 0) & (rows["temporal_frequency"] == 4)
    responses = make_responses("drifting_gratings", answer_drifting, rows=rows[~is_gone], n_units=2)
    table = compute_drifting_gratings_metrics(responses)
    np.testing.assert_array_equal(table["g_osi_dg"].isna(), [True, False])
    np.testing.assert_array_equal(table["g_dsi_dg"].isna(), [True, False])
    np.testing.assert_array_equal(table["pref_tf_dg"], [4, 1])


def test_compute_drifting_gratings_metrics__has_no_dsi_of_half_the_directions():
    rows = drifting_rows(directions=(0.0, 45.0, 90.0, 135.0))
    responses = make_responses("drifting_gratings_75_repeats", answer_drifting, rows=rows)
    table = compute_drifting_gratings_metrics(responses)
    assert table["g_dsi_dg"].isna().all()
    assert table["g_osi_dg"].notna().all()


def make_contrast(directions, *, n_units=2):
    levels = (0.01, 0.04, 0.08, 0.2, 0.35, 0.6, 1.0)
    shown = list(itertools.product(directions, levels)) * 2
    rows = pd.DataFrame(shown, columns=["orientation", "contrast"])

    def answer(unit, row):
        half = 0.2 if row.orientation == 90 else 0.6
        return spread(round(100 * row.contrast**3 / (row.contrast**3 + half**3))) / 4

    return make_responses(
        "drifting_gratings_contrast", answer, rows=rows, n_units=n_units, duration=0.5
    )


def test_compute_drifting_gratings_metrics__takes_c50_in_the_preferred_direction():
    responses = make_responses(
        "drifting_gratings", answer_drifting, rows=drifting_rows(), n_units=2
    )
    # the second unit prefers 0 degrees, which the contrast stimulus does not have
    table = compute_drifting_gratings_metrics(responses, contrast=make_contrast((45.0, 90.0)))
    np.testing.assert_allclose(table["c50_dg"], [0.2, np.nan], atol=0.02)


def test_compute_drifting_gratings_metrics__refuses_contrast_of_other_units():
    responses = make_responses(
        "drifting_gratings", answer_drifting, rows=drifting_rows(), n_units=2
    )
    with pytest.raises(InvalidArgumentError, match=r"contrast has 1 units .* the 2 of responses"):
        compute_drifting_gratings_metrics(responses, contrast=make_contrast((90.0,), n_units=1))


def test_compute_drifting_gratings_metrics__says_what_is_wrong():
    rows = drifting_rows()
    with pytest.raises(InvalidArgumentError, match="drifting_gratings have no column 'temporal_fr"):
        compute_drifting_gratings_metrics(
            make_responses("drifting_gratings", lambda u, r: [], rows=rows[["orientation"]])
        )
    blanks = rows[rows["orientation"].isna()]
    with pytest.raises(InvalidArgumentError, match="no condition but blank sweeps"):
        compute_drifting_gratings_metrics(
            make_responses("drifting_gratings", lambda u, r: [], rows=blanks)
        )
    responses = make_responses("drifting_gratings", lambda u, r: [], rows=rows)
    words = responses.presentations.assign(orientation="null")
    words = StimulusResponses("drifting_gratings", words, [0], {0: np.empty(0)}, 2.0)
    with pytest.raises(InvalidArgumentError, match=r"does not hold numbers; .* missing=\"nan\""):
        compute_drifting_gratings_metrics(words)


def static_rows(n_repeats=2):
    values = itertools.product((0.0, 45.0, 90.0, 135.0), (0.02, 0.04, 0.08), (0.0, 0.5))
    shown = list(values) * n_repeats + [(np.nan, np.nan, np.nan)]
    return pd.DataFrame(shown, columns=["orientation", "spatial_frequency", "phase"])


def answer_static(unit, row):
    if unit == 1 or np.isnan(row.orientation):
        return []
    suits = (row.orientation == 45, row.spatial_frequency == 0.04, row.phase == 0.5)
    return [0.0502] + [0.1003, 0.1006] * all(suits)


def test_compute_static_gratings_metrics__gives_what_was_planted():
    responses = make_responses(
        "static_gratings", answer_static, rows=static_rows(), n_units=2, duration=0.25
    )
    table = compute_static_gratings_metrics(responses)
    assert list(table) == [f"{name}_sg" for name in STATIC]
    assert_types(table)
    tuned = table.iloc[0]
    assert tuned[["pref_ori_sg", "pref_sf_sg", "pref_phase_sg"]].tolist() == [45, 0.04, 0.5]
    assert tuned["g_osi_sg"] == pytest.approx(2 / 6)
    assert tuned["time_to_peak_sg"] == pytest.approx(0.1005)
    silent = table.iloc[1]
    undefined = ["pref_ori_sg", "pref_sf_sg", "pref_phase_sg", "g_osi_sg", "time_to_peak_sg"]
    assert silent[undefined].isna().all()
    assert silent[["pref_ori_multi_sg", "pref_sf_multi_sg", "pref_phase_multi_sg"]].all()


def test_compute_static_gratings_metrics__of_equal_responses_prefers_the_smallest_values():
    responses = make_responses(
        "static_gratings", lambda u, r: [0.1], rows=static_rows(), duration=0.25
    )
    table = compute_static_gratings_metrics(responses)
    assert table[["pref_ori_sg", "pref_sf_sg", "pref_phase_sg"]].to_numpy().tolist() == [
        [0, 0.02, 0]
    ]
    assert table[["pref_ori_multi_sg", "pref_sf_multi_sg", "pref_phase_multi_sg"]].all(axis=None)
    assert table["g_osi_sg"].iloc[0] == pytest.approx(0, abs=1e-12)


def open_demo(survey: Survey, session_id: int) -> tuple[EcephysSession, pd.DataFrame]:
    session = EcephysSession.from_nwb_path(survey.session_file(session_id))
    return session, survey.truth(session_id).loc[session.units.index]


def respond(session: EcephysSession, name: str, duration: float) -> StimulusResponses:
    table = session.get_stimulus_table(name, missing="nan")
    units = session.units.index.tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid intervals
        return StimulusResponses(name, table, units, session.spike_times, duration)


def apart(found, truth, period):
    return np.abs((found - truth + period / 2) % period - period / 2)


def test_gratings__recover_what_the_demo_neurons_prefer(small_survey):
    found = []
    for session_id in (900000001, 900000002, 900000003):
        session, truth = open_demo(small_survey, session_id)
        drifting = compute_drifting_gratings_metrics(respond(session, "drifting_gratings", 2.0))
        static = compute_static_gratings_metrics(respond(session, "static_gratings", 0.25))
        found.append((drifting, static, truth))
    drifting, static, truth = (pd.concat(tables) for tables in zip(*found, strict=True))

    # three presentations a condition: neurons that fire and are tuned can be read
    answers = truth["is_visual"] & (truth["firing_rate"] > 1)
    tuned = answers & (truth["orientation_strength"] > 0.6)
    assert tuned.sum() >= 30
    orientation = truth["preferred_orientation"]
    for preferred, step in ((drifting["pref_ori_dg"], 45), (static["pref_ori_sg"], 30)):
        error = apart(preferred, orientation, 180)[tuned]
        # half a step is as near as the stimulus can tell
        assert error.median() <= step / 2
        assert (error <= step).mean() >= 0.8
    octaves = np.abs(np.log2(drifting["pref_tf_dg"] / truth["preferred_tf"]))[answers]
    assert (octaves <= 1).mean() >= 0.95
    octaves = np.abs(np.log2(static["pref_sf_sg"] / truth["preferred_sf"]))[answers]
    assert (octaves <= 1).mean() >= 0.95
    simple = answers & (truth["f1_modulation"] > 0.5)
    error = apart(static["pref_phase_sg"], truth["preferred_phase"], 1)[simple]
    assert (error <= 0.25).mean() >= 0.9


def test_f1_f0_dg__grows_with_the_modulation_of_the_demo_neurons(small_survey):
    found = []
    for session_id in (900000001, 900000002, 900000003):
        session, truth = open_demo(small_survey, session_id)
        table = compute_drifting_gratings_metrics(respond(session, "drifting_gratings", 2.0))
        found.append(truth.join(table["f1_f0_dg"]))
    truth = pd.concat(found)
    # three trials: few spikes at random times have a large ratio, too
    busy = truth["is_visual"] & (truth["firing_rate"] > 3) & (truth["drive"] > 1.2)
    correlation = truth["f1_f0_dg"][busy].corr(truth["f1_modulation"][busy], method="spearman")
    assert correlation > 0.5


def make_dots(n_spikes):
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

    responses = make_dots(n_spikes)
    table = compute_dot_motion_metrics(responses)
    assert list(table) == [f"{name}_dm" for name in DOTS]
    assert_types(table)
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
    responses = make_dots(lambda unit, direction, speed: 1)
    table = responses.presentations.drop(columns="Speed")
    other = StimulusResponses("dot_motion", table, [0], {0: np.empty(0)}, 1.0)
    with pytest.raises(
        InvalidArgumentError, match="dot_motion have no column 'Speed'; they have 'Dir'"
    ):
        compute_dot_motion_metrics(other)
