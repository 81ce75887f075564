"""The functions beside the session, with AllenSDK's arguments."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spikehouse.compat.functions import (
    build_spike_histogram,
    build_time_window_domain,
    removed_unused_stimulus_presentation_columns,
)
from spikehouse.compat.sessions import EcephysSessionApi
from spikehouse.errors import InvalidArgumentError
from spikehouse.session import EcephysSession

SPIKES = {7: np.array([0.0, 0.5, 1.0, 1.5]), 3: np.array([0.9])}


def test_build_time_window_domain__adds_every_offset():
    domain = build_time_window_domain(np.array([-1, 0, 2]), np.array([10.0, 20.0]))
    assert domain.tolist() == [[9, 10, 12], [19, 20, 22]]


def test_build_time_window_domain__passes_through_the_callback():
    domain = build_time_window_domain([0, 1], [1.0], callback=lambda edges: edges * 2)
    assert domain.tolist() == [[2, 4]]
    with pytest.raises(InvalidArgumentError, match="must keep the shape"):
        build_time_window_domain([0, 1], [1.0], callback=lambda edges: edges[:, :1])


def test_build_spike_histogram__counts_each_spike_once():
    counts = build_spike_histogram([[0, 1, 2], [0.5, 0.75, 1.0]], SPIKES, [7, 3])
    assert counts.shape == (2, 2, 2)
    assert counts[:, :, 0].tolist() == [[2, 2], [1, 0]]  # the spike at 1.0 is in [1, 2) only
    assert counts[:, :, 1].tolist() == [[1, 0], [0, 1]]
    assert counts.dtype == np.uint16


def test_build_spike_histogram__binarizes_and_takes_one_unit():
    counts = build_spike_histogram([[0, 2]], SPIKES, 7, binarize=True)
    assert counts.tolist() == [[[1]]]
    assert counts.dtype == np.uint8
    assert build_spike_histogram([[0, 2]], SPIKES, [7], dtype=float).dtype == np.float64


def test_removed_unused_columns__leaves_out_what_says_nothing():
    table = pd.DataFrame(
        {
            "contrast": [0.8, "null"],
            "phase": ["null", "null"],
            "frame": [np.nan, np.nan],
            "color": ["", ""],
            "mixed": ["null", np.nan],
            "zero": [0.0, 0.0],
            "tags": [["a"], ["b"]],
            "size": [(250.0, 250.0), "null"],
        },
        index=pd.Index([4, 5], name="stimulus_presentation_id"),
    )
    before = table.copy(deep=True)
    kept = removed_unused_stimulus_presentation_columns(table)
    assert kept.columns.tolist() == ["contrast", "zero", "tags", "size"]
    pd.testing.assert_index_equal(kept.index, table.index)
    pd.testing.assert_frame_equal(table, before)


def test_removed_unused_columns__of_no_rows_keeps_them():
    table = pd.DataFrame({"contrast": [], "phase": []})
    kept = removed_unused_stimulus_presentation_columns(table)
    assert kept.columns.tolist() == ["contrast", "phase"]


def test_session_api__says_what_a_recording_lacks():
    class Recording(EcephysSessionApi):
        def get_ecephys_session_id(self):
            return 7

    session = EcephysSession(api=Recording("anything", at="all"))
    assert session.ecephys_session_id == 7
    with pytest.raises(NotImplementedError, match="Recording does not override get_spike_times"):
        session.api.get_spike_times()
    assert Recording().session_na == -1


def test_session_api__has_every_method_of_the_adapter():
    expected = {
        "get_ecephys_session_id", "get_session_start_time", "get_metadata", "get_rig_metadata",
        "get_running_speed", "get_mean_waveforms", "get_spike_times", "get_spike_amplitudes",
        "get_optogenetic_stimulation", "get_probes", "get_channels", "get_units",
        "get_stimulus_presentations", "get_invalid_times", "get_lfp",
        "get_current_source_density", "get_pupil_data", "get_screen_gaze_data", "test",
    }  # fmt: skip
    takes_a_probe = {"get_lfp", "get_current_source_density"}
    for name in expected:
        method = getattr(EcephysSessionApi(), name)
        with pytest.raises(NotImplementedError, match=name):
            method(1) if name in takes_a_probe else method()
