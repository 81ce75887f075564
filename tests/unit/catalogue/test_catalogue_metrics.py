"""Analysis metrics: types, the swapped columns, the join."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spikehouse.catalogue import annotate_metrics, tidy_metrics
from spikehouse.errors import InvalidFileError


def make(**columns: list[object]) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    return pd.DataFrame(columns, index=pd.RangeIndex(n, name="ecephys_unit_id"))


def test_tidy_metrics__gives_numbers_and_flags() -> None:
    metrics = make(
        pref_ori_dg=["45.0", None, 90],
        pref_ori_multi_dg=[True, "False", "true"],
        pref_sf_multi_sg=[True, None, False],
        something_new=["a", "b", "c"],
    )
    tidy = tidy_metrics(metrics, origin="it")
    assert tidy["pref_ori_dg"].dtype == np.float64
    np.testing.assert_array_equal(tidy["pref_ori_dg"], [45.0, np.nan, 90.0])
    assert tidy["pref_ori_multi_dg"].dtype == np.bool_
    assert tidy["pref_ori_multi_dg"].tolist() == [True, False, True]
    assert tidy["pref_sf_multi_sg"].tolist()[::2] == [True, False]
    assert np.isnan(tidy["pref_sf_multi_sg"].tolist()[1])
    assert tidy["something_new"].tolist() == ["a", "b", "c"]
    assert tidy.columns.tolist() == metrics.columns.tolist()


def test_tidy_metrics__puts_swapped_columns_back() -> None:
    metrics = make(
        width_rf=[10.0, 20.0],
        p_value_rf=[False, True],
        on_screen_rf=[np.nan, 0.058],
        height_rf=[11.0, 21.0],
    )
    tidy = tidy_metrics(metrics, origin="it")
    np.testing.assert_array_equal(tidy["p_value_rf"], [np.nan, 0.058])
    assert tidy["on_screen_rf"].tolist() == [False, True]
    assert tidy["width_rf"].tolist() == [11, 21]
    assert tidy["height_rf"].tolist() == [10, 20]
    assert tidy.columns.tolist() == metrics.columns.tolist()
    pd.testing.assert_frame_equal(tidy_metrics(tidy, origin="it"), tidy)


def test_tidy_metrics__leaves_right_columns_alone() -> None:
    metrics = make(
        p_value_rf=[0.0, 1.0], on_screen_rf=[False, True], width_rf=[10, 20], height_rf=[11, 21]
    )
    tidy = tidy_metrics(metrics, origin="it")
    assert tidy["width_rf"].tolist() == [10, 20]
    assert tidy["p_value_rf"].tolist() == [0.0, 1.0]
    assert tidy["on_screen_rf"].tolist() == [False, True]


def test_tidy_metrics__says_what_is_no_flag() -> None:
    with pytest.raises(
        InvalidFileError, match="it: column 'pref_ori_multi_dg' should hold true or false, not '7'"
    ):
        tidy_metrics(make(pref_ori_multi_dg=[7]), origin="it")


def test_tidy_metrics__says_what_is_no_number() -> None:
    with pytest.raises(InvalidFileError, match="it: column 'g_osi_dg'"):
        tidy_metrics(make(g_osi_dg=["much"]), origin="it")


def test_tidy_metrics__knows_every_released_column(shared_folder: Path) -> None:
    path = shared_folder / "facts" / "session_analysis_metrics_head.csv"
    released = pd.read_csv(path, index_col="ecephys_unit_id")
    tidy = tidy_metrics(released, origin=str(path))
    assert tidy.columns.tolist() == released.columns.tolist()
    assert tidy["p_value_rf"].tolist()[1] == 0.058
    assert tidy["width_rf"].equals(released["height_rf"])
    assert tidy["height_rf"].equals(released["width_rf"])
    assert tidy["on_screen_rf"].tolist() == [False, False]
    flags = [name for name in tidy if name.endswith("_multi_dg")]
    assert {tidy[name].dtype for name in flags} == {np.dtype(bool)}
    assert (tidy.dtypes.drop(["on_screen_rf"]).astype(str) != "object").all()


def test_annotate_metrics__keeps_units_that_are_in_both_tables() -> None:
    units = pd.DataFrame({"snr": [1.0, 2.0, 3.0]}, index=pd.Index([7, 5, 6], name="id"))
    metrics = pd.DataFrame(
        {"g_osi_dg": [0.1, 0.2, 0.3]}, index=pd.Index([6, 7, 99], name="ecephys_unit_id")
    )
    joined = annotate_metrics(units, metrics)
    assert joined.index.name == "ecephys_unit_id"
    assert joined.index.tolist() == [7, 6]
    assert joined["snr"].tolist() == [1.0, 3.0]
    assert joined["g_osi_dg"].tolist() == [0.2, 0.1]
    assert units.index.name == "id"
