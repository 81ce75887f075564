"""What is asked of the warehouse, and what is not."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from spikehouse.errors import InvalidArgumentError, SourceError
from spikehouse.survey.sources import rma


def test_find_file__names_type_and_owner() -> None:
    assert rma.find_file("EcephysNwb", "EcephysSession", np.int64(791319847)) == (
        "model::WellKnownFile,rma::criteria,well_known_file_type[name$eq'EcephysNwb']"
        "[attachable_type$eq'EcephysSession'][attachable_id$eq791319847]"
    )


def test_find_templates__asks_for_the_product() -> None:
    assert rma.find_templates().endswith("[attachable_type$eq'Product'][attachable_id$eq714914585]")


def test_find_metrics__asks_for_a_session_or_a_type() -> None:
    assert rma.find_metrics(3) == (
        "model::EcephysUnitMetricBundle,rma::criteria,"
        "ecephys_unit(ecephys_channel(ecephys_probe(ecephys_session[id$in3])))"
    )
    assert rma.find_metrics("brain_observatory_1.1").endswith(
        "(ecephys_session[stimulus_name$in'brain_observatory_1.1'])))"
    )


@pytest.mark.parametrize("value", ["1]", "1", 1.5, None, True, [1]])
def test_queries__refuse_what_is_no_id(value: object) -> None:
    with pytest.raises(InvalidArgumentError, match="is not an id: give a whole number"):
        rma.find_file("EcephysNwb", "EcephysSession", value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["", "a'b", "a]b", "a,b", "a$eq1", "a::b", "a\nb"])
def test_queries__refuse_what_is_no_name(value: str) -> None:
    with pytest.raises(InvalidArgumentError, match="cannot be a name in a query"):
        rma.find_metrics(value)


def test_build_path__survives_the_way_through_a_url() -> None:
    path = rma.build_path(rma.CHANNELS, start_row=5000, n_rows=5000)
    assert " " not in path
    criteria = parse_qs(urlsplit(path).query)["criteria"][0]
    assert criteria.startswith(rma.CHANNELS)
    assert criteria.endswith(",rma::options[start_row$eq5000][num_rows$eq5000][order$eq'id']")


def test_parse_page__gives_rows_and_total() -> None:
    rows = [{"id": 1}]
    document = {"success": True, "msg": rows, "num_rows": 1, "total_rows": "3"}
    assert rma.parse_page(document, origin="it") == (rows, 3)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "it does not answer like the warehouse: no 'success' in it"),
        ({"msg": []}, "no 'success' in it"),
        ({"success": False, "msg": "no such model"}, "it rejected the query: no such model"),
        ({"success": True, "msg": "surprise"}, "'msg' is not rows"),
        ({"success": True, "msg": [1]}, "'msg' is not rows"),
        ({"success": True, "msg": [], "total_rows": "many"}, "does not say how many rows"),
    ],
)
def test_parse_page__refuses_anything_else(document: object, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        rma.parse_page(document, origin="it")
