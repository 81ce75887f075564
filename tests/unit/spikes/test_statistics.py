from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spikehouse.errors import InvalidArgumentError
from spikehouse.spikes import compute_condition_statistics

# presentations: condition 7 at [0, 1) and [2, 3), condition 4 at [1, 2)
SPIKES = {2: np.array([0.1, 0.2, 0.3, 1.0, 2.5]), 1: np.array([])}


def make_table(start: list[float], stop: list[float], conditions: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {"start_time": start, "stop_time": stop, "stimulus_condition_id": conditions}, dtype=float
    )


SHOWN = make_table([0, 1, 2], [1, 2, 3], [7, 4, 7])


def test_compute_condition_statistics__counts() -> None:
    table = compute_condition_statistics(SPIKES, [2, 1], SHOWN)
    assert table.index.names == ["unit_id", "stimulus_condition_id"]
    assert table.index.tolist() == [(1, 4), (2, 4), (1, 7), (2, 7)]
    assert list(table.columns) == [
        "spike_count", "stimulus_presentation_count", "spike_mean", "spike_std", "spike_sem",
    ]  # fmt: skip
    assert table["spike_count"].tolist() == [0, 1, 0, 4]
    assert table["stimulus_presentation_count"].tolist() == [1, 1, 2, 2]
    assert table["spike_mean"].tolist() == [0, 1, 0, 2]
    # counts 3 and 1: deviations of 1, n - 1 = 1
    assert table.loc[(2, 7), "spike_std"] == np.sqrt(2)
    assert table.loc[(2, 7), "spike_sem"] == pytest.approx(1.0)
    assert table.loc[(1, 7), ["spike_std", "spike_sem"]].tolist() == [0, 0]


def test_compute_condition_statistics__one_presentation_has_no_deviation() -> None:
    table = compute_condition_statistics(SPIKES, [2], SHOWN)
    assert table.loc[(2, 4), ["spike_std", "spike_sem"]].isna().all()


def test_compute_condition_statistics__rates() -> None:
    table = compute_condition_statistics(
        SPIKES, [2], SHOWN.assign(duration=[0.5, 0.25, 2.0]), use_rates=True
    )
    assert "spike_count" not in table
    assert table["spike_mean"].tolist() == [4.0, (6 + 0.5) / 2]


def test_compute_condition_statistics__rates_use_stop_minus_start() -> None:
    table = compute_condition_statistics(SPIKES, [2], make_table([0], [2], [0]), use_rates=True)
    assert table["spike_mean"].tolist() == [2.0]


def test_compute_condition_statistics__a_rate_over_no_time_is_nan() -> None:
    table = compute_condition_statistics(
        SPIKES, [2], make_table([0, 1], [0, 1], [0, 0]), use_rates=True
    )
    assert table[["spike_mean", "spike_std"]].isna().all(axis=None)


def test_compute_condition_statistics__presentations_without_condition_are_left_out() -> None:
    table = compute_condition_statistics(
        SPIKES, [2], make_table([0, 1, 2], [1, 2, 3], [np.nan, 4, np.nan])
    )
    assert table.index.tolist() == [(2, 4)]
    assert table["spike_count"].tolist() == [1]


@pytest.mark.parametrize("units", [[], [2]])
def test_compute_condition_statistics__nothing_asked_has_the_same_columns(units: list[int]) -> None:
    some = compute_condition_statistics(SPIKES, [2], SHOWN)
    none = compute_condition_statistics(SPIKES, units, SHOWN[:0])
    assert len(none) == 0
    pd.testing.assert_series_equal(none.dtypes, some.dtypes)
    assert none.index.names == some.index.names
    assert none.index.dtypes.tolist() == some.index.dtypes.tolist()


def test_compute_condition_statistics__table_without_conditions() -> None:
    with pytest.raises(InvalidArgumentError, match="has no column 'stimulus_condition_id'"):
        compute_condition_statistics(SPIKES, [2], SHOWN.drop(columns="stimulus_condition_id"))
