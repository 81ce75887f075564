"""Queries with places in them."""

from __future__ import annotations

import pytest
from warehouse_server import DemoWarehouse

from spikehouse.compat.queries import RmaEngine, build_and_execute
from spikehouse.errors import InvalidArgumentError


def test_build_and_execute__fills_the_places():
    asked = build_and_execute("a[id$eq{{one}}]b{{ two }}", engine=str.upper, one=5, two="x")
    assert asked == "A[ID$EQ5]BX"


@pytest.mark.parametrize(
    ("query", "arguments", "message"),
    [
        ("{{session}}", {"engine": str, "session_id": 1}, "did you mean 'session_id'"),
        ("{% for i in x %}", {"engine": str}, "template command"),
        ("a", {}, "needs an engine"),
        ("a", {"engine": str, "base": {"macros": ""}}, "takes no base"),
    ],
)
def test_build_and_execute__says_what_it_cannot(query, arguments, message):
    with pytest.raises(InvalidArgumentError, match=message):
        build_and_execute(query, **arguments)


def test_rma_engine__gives_rows_and_tables(survey):
    with DemoWarehouse(survey) as warehouse:
        engine = RmaEngine(scheme="http", host=warehouse.address)
        rows = engine.get_rma_list("criteria=model::EcephysProbe")
        table = engine.get_rma_tabular("criteria=model::EcephysProbe")
        as_text = engine.get_rma_tabular("criteria=model::EcephysProbe", try_infer_dtypes=False)
    expected = survey.read_table("probes")
    assert sorted(row["id"] for row in rows) == sorted(expected.index)
    assert sorted(table["id"]) == sorted(as_text["id"]) == sorted(expected.index)
    assert table["ecephys_session_id"].dtype.kind == "i"
