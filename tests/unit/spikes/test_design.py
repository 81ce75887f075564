from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from spikehouse.errors import InvalidArgumentError
from spikehouse.spikes import compute_design_matrix

PRESENTATIONS = pd.DataFrame(
    {"start_time": [0.0, 1.0, 2.0], "stop_time": [1.0, 2.0, 3.0]},
    index=pd.Index([10, 11, 12], name="stimulus_presentation_id"),
)


def test_compute_design_matrix__silent_units_and_presentations_stay() -> None:
    spikes = {1: np.array([0.1, 0.2, 2.5]), 2: np.array([])}
    design = compute_design_matrix(spikes, [2, 1], PRESENTATIONS)
    assert design.dims == ("stimulus_presentation_id", "unit_id")
    assert design.sel(unit_id=1).values.tolist() == [2, 0, 1]
    assert design.sel(unit_id=2).values.tolist() == [0, 0, 0]
    assert design["stimulus_presentation_id"].values.tolist() == [10, 11, 12]


def test_compute_design_matrix__takes_a_session() -> None:
    session = SimpleNamespace(spike_times={1: np.array([0.1])})
    assert compute_design_matrix(session, [1], PRESENTATIONS).values.tolist() == [[1], [0], [0]]


def test_compute_design_matrix__table_without_times() -> None:
    with pytest.raises(InvalidArgumentError, match=r"no column 'start_time'; it has 'stop_time'"):
        compute_design_matrix({}, [], PRESENTATIONS[["stop_time"]])
