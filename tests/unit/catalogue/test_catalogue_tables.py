"""Joins and counts, on a survey one can count by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikehouse.catalogue import (
    COUNTED_COLUMNS,
    SurveyTables,
    UnitFilter,
    list_channels,
    list_probes,
    list_sessions,
    list_units,
)
from spikehouse.catalogue.joins import Joined, join
from spikehouse.catalogue.tables import mask_unregistered
from spikehouse.schema.cache_tables import CHANNELS, PROBES, SESSIONS, UNITS, Table


def fill(table: Table, rows: list[dict[str, object]]) -> pd.DataFrame:
    """Make a table where every column that is not given is 1, 'x' or True."""
    fillers = {"int": 1, "float": 1.0, "str": "x", "bool": True}
    full = [{c.name: fillers[c.kind] for c in table.columns} | row for row in rows]
    return pd.DataFrame(full).set_index("id")[table.column_names]


@pytest.fixture
def tables() -> SurveyTables:
    """Make two sessions with probes, one without; a probe without channels."""
    good = {"amplitude_cutoff": 0.0, "presence_ratio": 1.0, "isi_violations": 0.0}
    good["quality"] = "good"  # type: ignore[assignment]
    outside = {
        "ecephys_structure_id": np.nan,
        "ecephys_structure_acronym": np.nan,
        "anterior_posterior_ccf_coordinate": -1000,
        "dorsal_ventral_ccf_coordinate": -1000,
        "left_right_ccf_coordinate": -1000,
    }
    return SurveyTables(
        sessions=fill(SESSIONS, [{"id": 1}, {"id": 2}, {"id": 3}]),
        probes=fill(
            PROBES,
            [
                {
                    "id": 10,
                    "ecephys_session_id": 2,
                    "lfp_sampling_rate": 2500.0,
                    "lfp_temporal_subsampling_factor": 2.0,
                },
                {"id": 11, "ecephys_session_id": 1, "lfp_temporal_subsampling_factor": np.nan},
                {"id": 12, "ecephys_session_id": 2},
            ],
        ),
        channels=fill(
            CHANNELS,
            [
                {"id": 100, "ecephys_probe_id": 10, "ecephys_structure_acronym": "VISp"},
                {"id": 101, "ecephys_probe_id": 10, **outside},
                {"id": 102, "ecephys_probe_id": 11, "ecephys_structure_acronym": "CA1"},
                {"id": 103, "ecephys_probe_id": 10, "ecephys_structure_acronym": "VISp"},
            ],
        ),
        units=fill(
            UNITS,
            [
                {"id": 1003, "ecephys_channel_id": 103, **good},
                {"id": 1000, "ecephys_channel_id": 100, **good},
                {"id": 1001, "ecephys_channel_id": 103, **good},
                {"id": 1002, "ecephys_channel_id": 102, **good, "quality": "noise"},
                {"id": 1004, "ecephys_channel_id": 101, **good},
            ],
        ),
    )


def test_list_sessions__counts_what_belongs_to_each(tables: SurveyTables) -> None:
    sessions = list_sessions(tables)
    assert sessions["unit_count"].tolist() == [0, 4, 0]
    assert sessions["channel_count"].tolist() == [1, 3, 0]
    assert sessions["probe_count"].tolist() == [1, 2, 0]
    assert sessions["unit_count"].dtype == np.int64
    acronyms = sessions["ecephys_structure_acronyms"]
    assert acronyms[1].tolist() == ["CA1"]
    assert acronyms[2][0] == "VISp"
    assert np.isnan(acronyms[2][1])
    # nothing was recorded there: an empty array, where AllenSDK says 0
    assert acronyms[3].tolist() == []
    assert "full_genotype" in sessions
    assert "genotype" not in sessions


def test_list_sessions__of_an_empty_survey_has_its_columns() -> None:
    empty = SurveyTables(SESSIONS.empty(), PROBES.empty(), CHANNELS.empty(), UNITS.empty())
    for listing in (list_sessions, list_probes, list_channels, list_units):
        assert len(listing(empty)) == 0
    assert "unit_count" in list_sessions(empty)
    assert "genotype" in list_units(empty)


def test_list_probes__divides_the_lfp_rate(tables: SurveyTables) -> None:
    probes = list_probes(tables)
    assert probes.loc[10, "lfp_sampling_rate"] == 1250.0
    assert np.isnan(probes.loc[11, "lfp_sampling_rate"])
    assert probes["unit_count"].to_dict() == {10: 4, 12: 0, 11: 0}
    assert probes["channel_count"].to_dict() == {10: 3, 12: 0, 11: 1}


def test_list_channels__counts_units(tables: SurveyTables) -> None:
    channels = list_channels(tables)
    assert channels["unit_count"].to_dict() == {100: 1, 101: 1, 103: 2, 102: 0}
    assert "probe_name" in list_channels(tables, suppress=[])


def test_list_channels__knows_no_place_for_what_is_not_registered(tables: SurveyTables) -> None:
    channels = list_channels(tables)
    assert np.isnan(channels.loc[101, "left_right_ccf_coordinate"])
    assert channels.loc[100, "left_right_ccf_coordinate"] == 1.0


def test_list_units__keeps_units_of_one_channel_together(tables: SurveyTables) -> None:
    assert list_units(tables).index.tolist() == [1003, 1001, 1000, 1004]


def test_list_units__looks_where_units_lie_when_told_to(tables: SurveyTables) -> None:
    inside = UnitFilter(filter_out_of_brain_units=True)
    assert list_units(tables, filters=inside).index.tolist() == [1003, 1001, 1000]


def test_list_units__renames_waveform_columns(tables: SurveyTables) -> None:
    units = list_units(tables)
    assert {"waveform_PT_ratio", "waveform_velocity_below", "L_ratio"} <= set(units.columns)
    assert not {"PT_ratio", "velocity_below", "l_ratio", "quality"} & set(units.columns)


@pytest.mark.parametrize("listing", [list_sessions, list_probes, list_channels, list_units])
def test_listings__hide_what_they_are_told_to(listing: object, tables: SurveyTables) -> None:
    everything = listing(tables, suppress=[])  # type: ignore[operator]
    less = listing(tables, suppress=["session_type", "no_such_column"])  # type: ignore[operator]
    assert set(everything.columns) - set(less.columns) == {"session_type"}
    assert "has_nwb" in everything


@pytest.mark.parametrize("listing", [list_sessions, list_probes, list_channels, list_units])
def test_listings__may_be_changed_freely(listing: object, tables: SurveyTables) -> None:
    first = listing(tables)  # type: ignore[operator]
    first["session_type"] = "changed"
    first.loc[:, "sex"] = "changed"
    again = listing(tables)  # type: ignore[operator]
    assert "changed" not in again.get("session_type", pd.Series(["x"])).tolist()
    assert "changed" not in again.get("sex", pd.Series(["x"])).tolist()


def test_mask_unregistered__touches_only_minus_1000(tables: SurveyTables) -> None:
    channels = tables.channels.assign(anterior_posterior_ccf_coordinate=[0, -1000, -999, 5])
    masked = mask_unregistered(channels)["anterior_posterior_ccf_coordinate"]
    np.testing.assert_array_equal(masked, [0.0, np.nan, -999.0, 5.0])


@given(keys=st.lists(st.integers(0, 6), max_size=30), parents=st.permutations(range(5)))
def test_join__groups_by_first_appearance(keys: list[int], parents: list[int]) -> None:
    children = pd.DataFrame({"key": pd.Series(keys, dtype=int), "a": range(len(keys))})
    owners = pd.DataFrame({"b": [10 * p for p in parents]}, index=parents)
    joined = join(
        Joined.of(children), Joined.of(owners), key="key", suffixes=("_x", "_y")
    ).to_frame()
    present = [k for k in dict.fromkeys(keys) if k in parents]
    expected = [i for k in present for i, key in enumerate(keys) if key == k]
    assert joined.index.tolist() == expected
    assert joined["a"].tolist() == expected
    assert joined["b"].tolist() == [10 * keys[i] for i in expected]


@given(
    keys=st.lists(st.integers(0, 4), max_size=12),
    parents=st.lists(st.integers(0, 4), max_size=5, unique=True),
)
def test_join__agrees_with_merge(keys: list[int], parents: list[int]) -> None:
    """Also where both have a column of one name."""
    children = pd.DataFrame(
        {"key": pd.Series(keys, dtype=int), "a": range(len(keys)), "word": ["x"] * len(keys)}
    )
    owners = pd.DataFrame(
        {"a": range(len(parents)), "b": [0.5] * len(parents)},
        index=pd.Index(parents, dtype=np.int64),
    )
    joined = join(
        Joined.of(children), Joined.of(owners), key="key", suffixes=("_x", "_y")
    ).to_frame()
    merged = children.merge(
        owners, how="inner", left_on="key", right_index=True, suffixes=("_x", "_y")
    )
    assert joined.columns.tolist() == merged.columns.tolist()
    assert joined.dtypes.tolist() == merged.dtypes.tolist()
    order = ["a_x", "a_y"]
    pd.testing.assert_frame_equal(joined.sort_values(order), merged.sort_values(order))
    # rows of one parent's id stand together
    codes, _ = pd.factorize(joined["key"])
    assert (np.diff(codes) >= 0).all()


@pytest.mark.parametrize("listing", [list_sessions, list_probes])
def test_listings__need_only_the_counted_columns(listing: object, tables: SurveyTables) -> None:
    some = SurveyTables(
        sessions=tables.sessions,
        probes=tables.probes,
        # as they come from the disk: words as categories
        channels=tables.channels[list(COUNTED_COLUMNS["channels"])].astype(
            {"ecephys_structure_acronym": "category"}
        ),
        units=tables.units[list(COUNTED_COLUMNS["units"])].astype({"quality": "category"}),
    )
    expected = listing(tables)  # type: ignore[operator]
    ours = listing(some)  # type: ignore[operator]
    pd.testing.assert_frame_equal(ours, expected)
    for mine, other in zip(
        ours["ecephys_structure_acronyms"], expected["ecephys_structure_acronyms"], strict=True
    ):
        assert [str(word) for word in mine] == [str(word) for word in other]
        assert {type(word) for word in mine} == {type(word) for word in other}


def test_listings__copy_nothing_they_do_not_show(tables: SurveyTables) -> None:
    units = list_units(tables, suppress=[])
    everything = set(units.columns)
    assert {"air_channel_index", "has_nwb", "epoch_name_quality_metrics"} <= everything
    few = list_units(tables, suppress=everything - {"snr"})
    assert few.columns.tolist() == ["snr"]
    assert few.index.equals(units.index)
