from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rma_parser import parse_query
from rma_query import (
    Condition,
    Criteria,
    Include,
    OrderColumn,
    Query,
    TabularColumn,
)
from rma_tables import Association, Model, answer

from spikehouse.errors import InvalidArgumentError

LABS = pd.DataFrame({"id": [1, 2], "name": ["north", "south"], "is_open": [True, False]})
MICE = pd.DataFrame(
    {
        "id": [10, 11, 12, 13],
        "lab_id": pd.array([1, 1, 2, None], dtype="Int64"),
        "sex": ["M", "F", "M", None],
        "weight": [20.5, 18.0, None, 25.25],
        "age": [100, 110, 120, 130],
    }
)
NOTES = pd.DataFrame(
    {
        "id": [7, 5, 6],
        "owner_id": [10, 10, 11],
        "owner_type": ["Mouse", "Mouse", "Lab"],
        "text": ["it's", "b", "c"],
    }
)


@pytest.fixture
def database() -> dict[str, Model]:
    return {
        "Lab": Model(
            "Lab",
            "labs",
            lambda: LABS,
            {"mice": Association("Mouse", "id", "lab_id", is_many=True)},
        ),
        "Mouse": Model(
            "Mouse",
            "mice",
            lambda: MICE,
            {
                "lab": Association("Lab", "lab_id"),
                "notes": Association(
                    "Note", "id", "owner_id", is_many=True, only=("owner_type", "Mouse")
                ),
            },
            text_columns=frozenset({"weight"}),
            lazy_columns={"age_weeks": lambda page: [int(age) // 7 for age in page["age"]]},
        ),
        "Note": Model("Note", "notes", lambda: NOTES, {"owner": Association("Mouse", "owner_id")}),
    }


def ids(text: str, database: dict[str, Model]) -> list[int]:
    reply = answer(text, database)
    assert reply["success"], reply["msg"]
    return [row["id"] for row in reply["msg"]]


def failure(text: str, database: dict[str, Model]) -> str:
    reply = answer(text, database)
    assert reply == {
        "success": False,
        "id": 0,
        "start_row": 0,
        "num_rows": 0,
        "total_rows": 0,
        "msg": reply["msg"],
    }
    return reply["msg"]


# --- reading


def test_parse_query__reads_every_stage():
    query = parse_query(
        "model::Mouse[id$in1,-2][sex$eq'M'],rma::criteria,lab(mice[id$eq3])[is_open$eqtrue],"
        "[weight$gt1.5e1],rma::include,lab(mice),notes,"
        "rma::options[start_row$eq4][num_rows$eq'all'][order$eq'id'][count$eqfalse]"
    )
    assert query == Query(
        "Mouse",
        Criteria(
            (
                Condition("id", "in", (1, -2)),
                Condition("sex", "eq", ("M",)),
                Condition("weight", "gt", (15.0,)),
            ),
            (
                (
                    "lab",
                    Criteria(
                        (Condition("is_open", "eq", (True,)),),
                        (("mice", Criteria((Condition("id", "eq", (3,)),))),),
                    ),
                ),
            ),
        ),
        (Include("lab", (Include("mice"),)), Include("notes")),
        start_row=4,
        num_rows=None,
        order=(OrderColumn(None, "id"),),
        count=False,
    )


def test_parse_query__criteria_need_no_comma_and_white_space_means_nothing():
    tight = parse_query("model::A,rma::criteria[id$in1,2]")
    loose = parse_query("  model :: A , rma::criteria ,\n [ id $in 1 , 2 ] ")
    assert tight == loose == Query("A", Criteria((Condition("id", "in", (1, 2)),)))


def test_parse_query__doubled_quote_stands_for_one():
    query = parse_query("model::A[name$eq'it''s'][other$eq'']")
    assert [condition.values for condition in query.criteria.conditions] == [("it's",), ("",)]


def test_parse_query__reads_tabular_columns_and_order():
    query = parse_query(
        "model::A,rma::options[tabular$eq'mice.id,age,labs.id as lab_id']"
        "[order$eq'mice.age$desc,id asc']"
    )
    assert query.tabular == (
        TabularColumn("mice", "id", "id"),
        TabularColumn(None, "age", "age"),
        TabularColumn("labs", "id", "lab_id"),
    )
    assert query.order == (OrderColumn("mice", "age", True), OrderColumn(None, "id", False))


def test_parse_query__words_touching_operators_are_values():
    query = parse_query("model::A[a$eqnull][b$nenull][c$eqfalse][d$nin1][e$intrue]")
    found = [(c.column, c.operator, c.values) for c in query.criteria.conditions]
    assert found == [
        ("a", "eq", (None,)),
        ("b", "ne", (None,)),
        ("c", "eq", (False,)),
        ("d", "nin", (1,)),
        ("e", "in", (True,)),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model::A[id$is5]", "unknown operator at character 11: '$is5'. Valid: $eq, $ne, $in,"),
        ("model::A[id$eq5", "expected ']' but found the end at character 15"),
        ("model::A[id$eq'x]", "the quote opened at character 14 is never closed"),
        ("model::A,rma::filter,b", "unknown stage 'rma::filter'"),
        ("model::A,rma::options[rows$eq5]", "unknown RMA option 'rows': did you mean 'num_rows'?"),
    ],
)
def test_parse_query__error_says_what_was_expected_and_where(text, message):
    with pytest.raises(InvalidArgumentError) as caught:
        parse_query(text)
    assert message in str(caught.value)


# --- criteria


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ("[id$eq11]", [11]),
        ("[id$eq'11']", [11]),
        ("[id$eq11.5]", []),
        ("[id$eq99999999999999999999]", []),
        ("[id$ne11]", [10, 12, 13]),
        ("[id$in11,13,99]", [11, 13]),
        ("[id$nin11,13]", [10, 12]),
        ("[age$lt110]", [10]),
        ("[age$le110]", [10, 11]),
        ("[age$gt110][age$lt130]", [12]),
        ("[age$ge120]", [12, 13]),
        ("[weight$gt19]", [10, 13]),
        ("[sex$eq'M']", [10, 12]),
        ("[sex$ne'M']", [11]),
        ("[sex$eqnull]", [13]),
        ("[weight$nenull]", [10, 11, 13]),
        ("[lab_id$eq1]", [10, 11]),
        ("[lab_id$in2,'1']", [10, 11, 12]),
        ("[sex$il'm']", [10, 12]),
        ("[sex$li'm']", []),
        (",rma::criteria,lab[name$eq'north']", [10, 11]),
        (",rma::criteria,lab[is_open$eqfalse]", [12]),
        (",rma::criteria,lab[is_open$eq'true'],[sex$eq'F']", [11]),
        (",rma::criteria,notes[text$eq'it''s']", [10]),
        (",rma::criteria,notes", [10]),
        (",rma::criteria,lab(mice[id$eq10])", [10, 11]),
        (",rma::criteria,lab[name$eq'north'],rma::criteria[id$gt10]", [11]),
    ],
)
def test_answer__criteria_select_rows(criteria, expected, database):
    assert ids("model::Mouse" + criteria, database) == expected


def test_answer__bracket_behind_an_association_falls_back_to_the_model_around(database):
    # `sex` is a column of the mouse, not of the lab; `id` is one of both: the inner one counts
    assert ids("model::Mouse,rma::criteria,lab[name$eq'north'][sex$eq'F']", database) == [11]
    assert ids("model::Mouse,rma::criteria,lab[id$eq2]", database) == [12]
    assert ids("model::Note,rma::criteria,owner(lab[name$eq'north'])[text$eq'b']", database) == [5]


@given(
    st.text(alphabet="ab", max_size=8),
    st.text(alphabet="ab*", max_size=6),
)
def test_answer__like_agrees_with_trying_every_split(text, pattern):
    def matches(text: str, pattern: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "*":
            return any(matches(text[i:], pattern[1:]) for i in range(len(text) + 1))
        return text[:1] == pattern[0] and matches(text[1:], pattern[1:])

    table = pd.DataFrame({"id": [1], "text": [text]})
    found = ids(f"model::A[text$li'{pattern}']", {"A": Model("A", "as", lambda: table)})
    assert bool(found) == matches(text, pattern)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model::Mice", "there is no model 'Mice': valid are 'Lab', 'Mouse', 'Note'"),
        ("model::Mouse[wait$eq1]", "Mouse has no column 'wait' to compare or sort by: did you me"),
        ("model::Mouse[age$eq'old']", "column 'age' holds numbers, not 'old'"),
        ("model::Mouse[age$innull,1]", "null can only be compared with $eq and $ne, not with $in"),
        ("model::Mouse,rma::criteria,cage[id$eq1]", "Mouse has no association 'cage'"),
        ("model::Mouse,rma::include,cage", "Mouse has no association 'cage'"),
    ],
)
def test_answer__errors_are_answers(text, message, database):
    assert message in failure(text, database)


# --- rows


def test_answer__rows_are_plain_and_missing_values_null(database):
    reply = answer("model::Mouse[id$in10,13]", database)
    assert reply["msg"] == [
        {"id": 10, "lab_id": 1, "sex": "M", "weight": "20.5", "age": 100, "age_weeks": 14},
        {"id": 13, "lab_id": None, "sex": None, "weight": "25.25", "age": 130, "age_weeks": 18},
    ]
    assert {type(row["id"]) for row in reply["msg"]} == {int}


def test_answer__includes_are_nested_one_or_many(database):
    reply = answer("model::Mouse,rma::include,lab,notes", database)
    by_id = {row["id"]: row for row in reply["msg"]}
    assert by_id[10]["lab"] == {"id": 1, "name": "north", "is_open": True}
    assert by_id[13]["lab"] is None
    # note 6 belongs to a lab that has the id of mouse 11
    assert [note["id"] for note in by_id[10]["notes"]] == [7, 5]
    assert by_id[11]["notes"] == []


def test_answer__tabular_rows_are_flat_texts(database):
    reply = answer(
        "model::Mouse,rma::include,lab,rma::options[tabular$eq'mice.id,weight,age_weeks,"
        "labs.id as lab,labs.is_open as is_open']",
        database,
    )
    assert reply["msg"][0] == {
        "id": "10",
        "weight": "20.5",
        "age_weeks": "14",
        "lab": "1",
        "is_open": "True",
    }
    assert reply["msg"][3]["lab"] is None


def test_answer__order_is_stable_missing_last(database):
    assert ids("model::Mouse,rma::options[order$eq'sex,weight$desc']", database) == [11, 10, 12, 13]
    assert ids("model::Note", database) == [5, 6, 7]
    assert ids("model::Note,rma::options[order$eq'owner_type$desc']", database) == [5, 7, 6]


# --- pages


@given(
    st.lists(st.tuples(st.integers(0, 10**10), st.integers(0, 2)), unique_by=lambda row: row[0]),
    st.integers(1, 12),
    st.sampled_from(["id", "group", "group$desc"]),
)
def test_answer__pages_hold_every_row_exactly_once(rows, page_size, order):
    table = pd.DataFrame(rows, columns=["id", "group"]).astype("int64")
    database = {"A": Model("A", "as", lambda: table)}
    found: list[int] = []
    total = None
    while total is None or len(found) < total:
        options = f"[start_row$eq{len(found)}][num_rows$eq{page_size}][order$eq'{order}']"
        reply = answer(f"model::A,rma::options{options}", database)
        assert reply["num_rows"] == len(reply["msg"]) <= page_size
        found += [row["id"] for row in reply["msg"]]
        total = reply["total_rows"]
    sign = -1 if order.endswith("$desc") else 1
    expected = sorted(rows) if order == "id" else sorted(rows, key=lambda r: (sign * r[1], r[0]))
    assert found == [row[0] for row in expected]
