"""Plans: made of facts alone, readable, and what may be asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikehouse.errors import InvalidArgumentError, NotFoundError
from spikehouse.survey import VISUAL_CODING, FetchItem, FetchPlan, describe_bytes
from spikehouse.survey.plan import choose_lfp, choose_numbers, list_values

FOLDER = Path("/data")


def make_item(name: str, state: Any = "absent", n_bytes_there: int = 0, **known: Any) -> FetchItem:
    item = FetchItem(name, "session", (1,), "", "", None, n_bytes_there, state)
    return replace(item, **known)


def make_plan() -> FetchPlan:
    items = (
        make_item("sessions.csv", "cached", 1761, n_bytes=1761),
        make_item("units.csv", source="warehouse"),
        make_item(
            "session_1/session_1.nwb",
            "partial",
            1_000_000_000,
            source="s3",
            url="https://h/session_1.nwb",
            n_bytes=2_317_463_664,
        ),
        make_item("session_1/probe_2_lfp.nwb", problem="no source has it"),
    )
    notes = ("no LFP was processed for probeB (3) of session 1",)
    return FetchPlan(folder=FOLDER, items=items, n_bytes_free=50_000_000_000, notes=notes)


def test_plan__prints_a_table_with_a_total() -> None:
    assert str(make_plan()).splitlines() == [
        "file                       source        size    there  state",
        "sessions.csv               -          1.76 kB  1.76 kB  cached",
        "units.csv                  warehouse        ?      0 B  absent",
        "session_1/session_1.nwb    s3         2.32 GB  1.00 GB  partial",
        "session_1/probe_2_lfp.nwb  -                ?      0 B  absent",
        "4 files in /data: 3 to download, 1.32 GB and 2 of unknown length; "
        "1.00 GB cached; 50.0 GB free on the disk",
        "no LFP was processed for probeB (3) of session 1",
        "session_1/probe_2_lfp.nwb: no source has it",
    ]


def test_plan__is_a_table_in_a_notebook() -> None:
    page = make_plan()._repr_html_()
    assert page.count("<tr>") == 5
    assert "<td>2.32 GB</td>" in page
    plan = FetchPlan(FOLDER, (make_item("a.nwb", source="<script>"),), 0)
    assert "<script>" not in plan._repr_html_()


def test_plan__counts_bytes() -> None:
    plan = make_plan()
    assert plan.n_bytes_missing == 1_317_463_664
    assert plan.n_bytes_there == 1_000_001_761
    assert [item.n_bytes_missing for item in plan.items] == [0, None, 1_317_463_664, None]
    assert not plan.is_complete
    assert len(plan) == 4


def test_to_frame__has_the_same_columns_when_empty() -> None:
    frame = make_plan().to_frame()
    assert frame["n_bytes"].tolist() == [1761, pd.NA, 2_317_463_664, pd.NA]
    assert frame["state"].tolist() == ["cached", "absent", "partial", "absent"]
    empty = FetchPlan(FOLDER, (), 0).to_frame()
    assert empty.columns.tolist() == frame.columns.tolist()
    assert empty.dtypes[["n_bytes", "n_bytes_there"]].equals(
        frame.dtypes[["n_bytes", "n_bytes_there"]]
    )


def test_plan__says_when_nothing_is_to_do() -> None:
    plan = FetchPlan(FOLDER, (make_item("a.nwb", "cached", 5, n_bytes=5),), 7)
    assert plan.is_complete
    assert str(plan).endswith("1 file in /data: 0 to download; 5 B cached; 7 B free on the disk")


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (51_400_000, "51.4 MB"),
        (999_600, "1.00 MB"),
        (146_500_000_000, "146 GB"),
        (2_317_463_664, "2.32 GB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_describe_bytes__is_short(n_bytes: int, text: str) -> None:
    assert describe_bytes(n_bytes) == text


@given(st.integers(0, 10**15))
def test_describe_bytes__is_right_to_one_percent(n_bytes: int) -> None:
    number, unit = describe_bytes(n_bytes).split()
    factor = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}[unit]
    assert abs(float(number) * factor - n_bytes) <= 0.01 * n_bytes


# --- what may be asked for

PROBES = pd.DataFrame(
    {
        "ecephys_session_id": [1, 1, 2, 2, 3],
        "name": ["probeA", "probeC", "probeA", "probeC", "probeB"],
        "has_lfp_data": [True, True, True, False, False],
    },
    index=pd.Index([11, 13, 21, 23, 32], name="id"),
)


@pytest.mark.parametrize(
    ("asked", "sessions", "probe_ids"),
    [
        (True, [1, 2], (11, 13, 21)),
        (["probeC"], [1], (13,)),
        ("probeA", [1, 2], (11, 21)),
        (["probeC"], [1, 2], (13,)),
        ([21], [], (21,)),
        (11, [], (11,)),
        ([13, "probeA"], [1], (11, 13)),
        ([11, 11], [1], (11,)),
    ],
)
def test_choose_lfp__takes_names_and_ids(
    asked: Any, sessions: list[int], probe_ids: tuple[int, ...]
) -> None:
    files, _ = choose_lfp(asked, PROBES, sessions)
    assert files == [(PROBES["ecephys_session_id"].loc[probe], probe) for probe in probe_ids]


def test_choose_lfp__notes_once_what_has_none() -> None:
    _, notes = choose_lfp(True, PROBES, [2, 3])
    assert notes == ("no LFP was processed for probeC (23) of session 2, probeB (32) of session 3",)


@pytest.mark.parametrize(
    ("asked", "sessions", "error", "message"),
    [
        (["probeX"], [1], NotFoundError, "no chosen session has a probe 'probeX': did you mean"),
        (["probeC"], [2], NotFoundError, "probeC has no LFP: none was processed for it"),
        ([23], [2], NotFoundError, "probe 23 has no LFP: none was processed for it"),
        ([12], [1], NotFoundError, "there is no probe 12: did you mean 11 or 13"),
        ([21], [1], NotFoundError, "there is no probe 21 in the chosen sessions: did you mean 13"),
        (True, [], InvalidArgumentError, r"lfp needs session ids or probe ids: .* lfp=\[11\]"),
        ("probeA", [], InvalidArgumentError, "lfp needs session ids or probe ids"),
        ([1.5], [1], InvalidArgumentError, "1.5 is not a probe id: give a whole number"),
    ],
)
def test_choose_lfp__says_what_there_is(
    asked: Any, sessions: list[int], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        choose_lfp(asked, PROBES, sessions)


def test_choose_numbers__takes_all_none_or_some() -> None:
    movies = VISUAL_CODING.kinds["movie"]
    assert choose_numbers(True, movies) == [1, 3]
    assert choose_numbers(False, movies) == []
    assert choose_numbers(3, movies) == [3]
    assert choose_numbers([3, 1], movies) == [3, 1]
    with pytest.raises(NotFoundError, match="no natural movie 2: did you mean 1 or"):
        choose_numbers([2], movies)


def test_list_values__takes_the_index_of_a_table() -> None:
    assert list_values(PROBES, what="probe id") == PROBES.index.tolist()
    with pytest.raises(InvalidArgumentError, match="a dict is not a list of session ids"):
        list_values({1: 2}, what="session id")
