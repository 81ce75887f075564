from __future__ import annotations

import numpy as np
import pandas as pd

from spikehouse.schema import PRESENTATIONWISE_SPIKE_TIMES
from spikehouse.spikes import align_spikes


def make_table(start: list[float], stop: list[float], ids: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"start_time": start, "stop_time": stop}, index=ids)


SPIKES = {1: np.array([0.0, 0.5, 1.0, 2.5]), 2: np.array([0.5, 9.0])}


def test_align_spikes__start_belongs_stop_does_not() -> None:
    found = align_spikes(SPIKES, [1], make_table([0.0], [1.0], [5]))
    assert found.index.tolist() == [0.0, 0.5]
    assert found["stimulus_presentation_id"].tolist() == [5, 5]
    assert found["time_since_stimulus_presentation_onset"].tolist() == [0.0, 0.5]


def test_align_spikes__any_order_and_overlaps() -> None:
    found = align_spikes(SPIKES, [2, 1], make_table([2.0, 0.4, 0.0], [3.0, 1.5, 0.6], [30, 20, 10]))
    rows = list(zip(found.index, found["unit_id"], found["stimulus_presentation_id"], strict=True))
    assert rows == [
        (0.0, 1, 10), (0.5, 2, 20), (0.5, 2, 10), (0.5, 1, 20), (0.5, 1, 10), (1.0, 1, 20),
        (2.5, 1, 30),
    ]  # fmt: skip


def test_align_spikes__nothing_found_has_the_same_columns() -> None:
    none = align_spikes(SPIKES, [1], make_table([5.0], [6.0], [1]))
    some = align_spikes(SPIKES, [1], make_table([0.0], [6.0], [1]))
    assert len(none) == 0
    assert list(none.columns) == PRESENTATIONWISE_SPIKE_TIMES.column_names
    assert none.index.name == "spike_time"
    assert none.dtypes.tolist() == some.dtypes.tolist()
    assert none.index.dtype == some.index.dtype
