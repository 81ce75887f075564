from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import align, look_up, rows_first, to_id, to_ids

UNITS = pd.DataFrame({"snr": [3.0, 1.0]}, index=pd.Index([8, 5], name="unit_id"))


@pytest.mark.parametrize(
    "given",
    [
        UNITS, UNITS.index, UNITS.reset_index(), UNITS.set_index("snr", append=True), [8, 5],
        np.array([8, 5], np.uint16), np.array([8.0, 5.0]), {8: "a", 5: "b"}.keys(), iter([8, 5]),
        pd.Series([8, 5], dtype="Int64"), pd.Index([8, 5], dtype=object),
        xr.DataArray([8, 5], dims="unit_id"),
    ],
    ids=lambda given: type(given).__name__,
)  # fmt: skip
def test_to_ids__takes_tables_and_all_kinds_of_lists(given: object) -> None:
    ids = to_ids(given, "unit_id")
    assert ids.tolist() == [8, 5]
    assert ids.dtype == np.int64


def test_to_ids__one_id_none_and_text() -> None:
    assert to_ids(7, "unit_id").tolist() == [7]
    assert to_ids([], "unit_id").dtype == np.int64
    assert to_ids(["a", "b"], "unit_id").tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([0.02, 0.04], r"stimulus_condition_id takes whole numbers, but 0.02 is among the 2"),
        ([1.0, np.nan], "but nan is among the 2"),
        (UNITS["snr"] > 2, r"takes ids, not truth values: table.index\[mask\] has the ids"),
        (np.ones((2, 2)), r"an array of shape \(2, 2\)"),
    ],
)
def test_to_ids__refuses_what_is_no_id(given: object, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        to_ids(given, "stimulus_condition_id")


def test_to_id__takes_a_table_of_one_row() -> None:
    assert to_id(UNITS[:1], "unit_id") == to_id(np.int64(8), "unit_id") == 8
    with pytest.raises(InvalidArgumentError, match="probe_id takes one id, not 2"):
        to_id(UNITS, "probe_id")


def test_align__rows_and_columns() -> None:
    counts = pd.DataFrame(np.arange(6.0).reshape(2, 3), index=[10, 11], columns=[1, 2, 3])
    moved = counts.loc[[11, 10], [3, 1, 2]]
    for other in (moved, xr.DataArray(moved, dims=["row", "unit"])):
        assert np.array_equal(align(counts=counts, other=other)[1], counts)
    first, second = (
        xr.DataArray(a, dims=d) for a, d in ((counts, ["a", "b"]), (counts.T, ["b", "a"]))
    )
    assert np.array_equal(align(first=first, second=second)[1], counts)


def test_align__row_numbers_say_nothing_beside_ids() -> None:
    ids, numbers = pd.Series([5, 6, 7], [30, 10, 20]), pd.Series([1, 2, 3])
    assert align(first=ids, second=numbers)[1].tolist() == [1, 2, 3]
    assert align(first=numbers, second=ids)[1].tolist() == [5, 6, 7]
    # but the first ids that come count for what follows, and numbers shuffled are labels
    third = align(first=numbers, second=ids, third=ids[[20, 10, 30]])[2]
    assert third.tolist() == [5, 6, 7]
    assert align(first=numbers, second=numbers[::-1])[1].tolist() == [1, 2, 3]
    assert align(first=np.arange(3), second=ids, third=None)[2] is None


@pytest.mark.parametrize(
    ("labels", "message"),
    [([10, 21], "a has 20 and b has not"), ([10], "a has 20"), ([10, 10], "a has 20")],
)
def test_align__refuses_other_labels(labels: list[int], message: str) -> None:
    a, b = pd.Series([1.0, 2.0], [10, 20]), pd.Series(1.0, labels)
    with pytest.raises(InvalidArgumentError, match=message):
        align(a=a, b=b)
    with pytest.raises(InvalidArgumentError, match="one label several times"):
        align(a=pd.Series(1, [1, 1, 2]), b=pd.Series(1, [1, 2, 1]))


def test_align__ids_that_count_from_zero_are_ids() -> None:
    ids = pd.RangeIndex(3, name="stimulus_presentation_id")
    counts, labels = pd.DataFrame({7: [1, 2, 3]}, index=ids), pd.Series([4, 5, 6])
    assert align(counts=counts, labels=labels)[1] is labels
    others = labels.set_axis(pd.Index([10, 11, 12], name="stimulus_presentation_id"))
    with pytest.raises(InvalidArgumentError, match="counts has 0 and labels has not"):
        align(counts=counts, labels=others)


def test_rows_first__goes_by_names() -> None:
    table = pd.DataFrame(np.eye(2), index=UNITS.index, columns=[1, 2])
    assert rows_first(table).columns.name == "unit_id"
    assert rows_first(table.T).columns.name == "unit_id"
    assert rows_first(xr.DataArray(np.eye(2), dims=("unit_id", "a"))).dims == ("a", "unit_id")
    counts = xr.DataArray(np.eye(2), dims=("a", "stimulus_presentation_id"))
    assert rows_first(counts).dims == ("stimulus_presentation_id", "a")
    assert rows_first(counts.to_numpy()).tolist() == [[1, 0], [0, 1]]


def test_look_up__says_what_is_missing() -> None:
    depths = pd.Series([1.0, 2.0, 3.0], [7, 8, 9])
    assert look_up([9, 7], depths, name="depths").tolist() == [3, 1]
    with pytest.raises(InvalidArgumentError, match="no value for 1 of 2 ids, such as 6"):
        look_up([6, 7], depths, name="depths")
    with pytest.raises(InvalidArgumentError, match="several values for one id"):
        look_up([7], pd.concat([depths, depths]), name="depths")
