"""Which units are kept."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikehouse.catalogue import UnitFilter, filter_units
from spikehouse.errors import InvalidArgumentError


@pytest.fixture
def units() -> pd.DataFrame:
    """Make seven units, each but the first with one thing about it."""
    frame = pd.DataFrame(
        {
            "amplitude_cutoff": [0.1, 0.2, 0.0, 0.0, 0.0, 0.0, np.nan],
            "presence_ratio": [0.95, 0.95, 0.9, 1.0, 1.0, 1.0, 1.0],
            "isi_violations": [0.5, 0.5, 0.5, 0.6, 0.0, 0.0, 0.0],
            "ecephys_channel_id": [10, 10, 10, 10, 10, 99, 10],
            "quality": ["good", "good", "good", "good", "noise", "good", "good"],
        },
        index=pd.Index([1, 2, 3, 4, 5, 6, 7], name="id"),
    )
    return frame.copy()


BRAIN = pd.Index([10, 11])


def keep(units: pd.DataFrame, *, validity: bool = True, **limits: object) -> list[int]:
    filters = UnitFilter.from_arguments(validity, **limits)
    return filter_units(units, filters=filters, brain_channel_ids=BRAIN).index.tolist()


def test_filter_units__keeps_what_is_at_the_limits(units: pd.DataFrame) -> None:
    assert keep(units) == [1]


def test_filter_units__drops_quality_only_when_filtered_by(units: pd.DataFrame) -> None:
    assert "quality" not in filter_units(units, filters=UnitFilter())
    assert "quality" in filter_units(units, filters=UnitFilter(filter_by_validity=False))


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        ({"amplitude_cutoff_maximum": None}, [1, 2, 7]),
        # a missing metric fails an infinite limit, as every comparison with NaN does
        ({"amplitude_cutoff_maximum": np.inf}, [1, 2]),
        ({"presence_ratio_minimum": None}, [1, 3]),
        ({"presence_ratio_minimum": -np.inf}, [1, 3]),
        ({"isi_violations_maximum": None}, [1, 4]),
        ({"isi_violations_maximum": 0}, []),
        ({"isi_violations_maximum": np.float32(0.0)}, []),
        ({"filter_out_of_brain_units": False}, [1, 6]),
        ({"validity": False}, [1, 5]),
        ({"isi_violations_maximum": 0, "validity": False}, [5]),
    ],
)
def test_filter_units__lets_through_what_the_limits_allow(
    units: pd.DataFrame, limits: dict[str, object], kept: list[int]
) -> None:
    assert keep(units, **limits) == kept  # type: ignore[arg-type]


def test_filter_units__drops_nothing_for_its_place_when_that_is_unknown(
    units: pd.DataFrame,
) -> None:
    assert filter_units(units, filters=UnitFilter()).index.tolist() == [1, 6]


def test_filter_units__does_without_quality(units: pd.DataFrame) -> None:
    assert keep(units.drop(columns="quality")) == [1, 5]


def test_filter_units__changes_nothing_it_is_given(units: pd.DataFrame) -> None:
    before = units.copy()
    kept = filter_units(units, filters=UnitFilter(filter_by_validity=False))
    kept["amplitude_cutoff"] = 7.0
    pd.testing.assert_frame_equal(units, before)


def test_filter_units__of_nothing_keeps_the_columns(units: pd.DataFrame) -> None:
    kept = filter_units(units.iloc[:0], filters=UnitFilter(), brain_channel_ids=BRAIN)
    assert kept.columns.tolist() == units.columns.drop("quality").tolist()
    assert kept.dtypes["presence_ratio"] == np.float64
    assert len(kept) == 0


@pytest.mark.parametrize("value", ["0.1", np.nan, True, [0.1]])
def test_unit_filter__refuses_what_is_no_limit(value: object) -> None:
    with pytest.raises(InvalidArgumentError, match=r"amplitude_cutoff_maximum=.* None for no"):
        UnitFilter.from_arguments(amplitude_cutoff_maximum=value)


def test_unit_filter__names_the_filter_that_was_meant() -> None:
    with pytest.raises(
        InvalidArgumentError,
        match="unknown unit filter 'isi_violation_maximum': did you mean 'isi_violations_maximum'",
    ):
        UnitFilter.from_arguments(isi_violation_maximum=0.5)


limits = st.none() | st.floats(allow_nan=False)
metrics = st.floats(0, 2) | st.just(float("nan"))


@given(
    rows=st.lists(st.tuples(metrics, metrics, metrics, st.sampled_from(["good", "noise"]))),
    cutoff=limits,
    presence=limits,
    isi=limits,
    validity=st.booleans(),
)
def test_filter_units__agrees_with_a_loop(
    rows: list[tuple[float, float, float, str]],
    cutoff: float | None,
    presence: float | None,
    isi: float | None,
    validity: bool,
) -> None:
    columns = ["amplitude_cutoff", "presence_ratio", "isi_violations", "quality"]
    units = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[:3], float))
    filters = UnitFilter(cutoff, presence, isi, filter_by_validity=validity)
    expected = [
        i
        for i, (a, p, v, quality) in enumerate(rows)
        if (cutoff is None or a <= cutoff)
        and (presence is None or p >= presence)
        and (isi is None or v <= isi)
        and (not validity or quality == "good")
    ]
    assert filter_units(units, filters=filters).index.tolist() == expected
