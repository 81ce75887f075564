"""The stand-in of the warehouse over real sockets, with the simulated survey behind it."""

from __future__ import annotations

import json
import socket
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote

import pandas as pd
import pytest
from warehouse_server import DemoWarehouse


class Client:
    """One kept-alive connection."""

    def __init__(self, warehouse: DemoWarehouse) -> None:
        self.connection = HTTPConnection(warehouse.address, timeout=20)

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, body, named)
        reply = self.connection.getresponse()
        return reply, reply.read()

    def query(self, text: str, parameter: str = "criteria") -> dict[str, Any]:
        reply, body = self.ask(f"/api/v2/data/query.json?{parameter}={quote(text)}")
        assert reply.status == 200
        return json.loads(body)

    def rows(self, text: str) -> list[dict[str, Any]]:
        answered = self.query(text)
        assert answered["success"], answered["msg"]
        return answered["msg"]

    def link(self, type_name: str, attachable_type: str, attachable_id: int) -> str:
        (row,) = self.rows(
            f"model::WellKnownFile,rma::criteria,well_known_file_type[name$eq'{type_name}']"
            f"[attachable_type$eq'{attachable_type}'][attachable_id$eq{attachable_id}]"
        )
        return row["download_link"]


@pytest.fixture
def client(survey):
    with DemoWarehouse(survey) as warehouse:
        client = Client(warehouse)
        yield client
        client.connection.close()


def test_query__sessions_have_what_the_session_table_is_made_from(client, survey):
    rows = client.rows(
        "model::EcephysSession,rma::include,specimen(donor(age)),"
        "well_known_files(well_known_file_type),rma::options[start_row$eq0][num_rows$eq5000]"
        "[order$eq'id']"
    )
    table = survey.read_table("sessions")
    assert [row["id"] for row in rows] == survey.session_ids
    for row, expected in zip(rows, table.itertuples(), strict=True):
        donor = row["specimen"]["donor"]
        assert row["stimulus_name"] == expected.session_type
        assert (donor["sex"], donor["age"]["days"]) == (expected.sex, expected.age_in_days)
        assert donor["full_genotype"] == (None if expected.genotype == "wt" else expected.genotype)
        types = [file["well_known_file_type"]["name"] for file in row["well_known_files"]]
        assert types == ["EcephysNwb"] * expected.has_nwb
    assert rows[0]["fail_eye_tracking"] is False
    # what the clients derive is not there beside it
    assert not {"session_type", "genotype", "sex", "age_in_days", "has_nwb"} & set(rows[0])


def test_query__probes_send_decimals_as_texts(client, survey):
    expected = survey.read_table("probes").iloc[1]
    (row,) = client.rows(f"model::EcephysProbe[id$eq{expected.name}]")
    assert row["lfp_sampling_rate"] == str(expected["lfp_sampling_rate"])
    assert row["sampling_rate"] == str(expected["sampling_rate"])
    assert row["use_lfp_data"] is bool(expected["has_lfp_data"])


def test_query__channels_come_flat(client, survey):
    channels = survey.read_table("channels").iloc[:500]
    probe_id = channels["ecephys_probe_id"].iloc[0]
    expected = channels[channels["ecephys_probe_id"] == probe_id]
    rows = client.rows(
        f"model::EcephysChannel[ecephys_probe_id$in{probe_id}],rma::include,structure,"
        "rma::options[tabular$eq'ecephys_channels.id,ecephys_probe_id,"
        "structures.acronym as ecephys_structure_acronym'],"
        "rma::options[start_row$eq0][num_rows$eq5000][order$eq'id']"
    )
    assert [int(row["id"]) for row in rows] == expected.index.tolist()
    assert {row["ecephys_probe_id"] for row in rows} == {str(probe_id)}
    acronyms = expected["ecephys_structure_acronym"]
    assert [row["ecephys_structure_acronym"] for row in rows] == acronyms.tolist()
    assert acronyms.isna().any()


def test_query__errors_come_with_status_200(client):
    answered = client.query("model::EcephysSessoin")
    assert answered["success"] is False
    assert "no model 'EcephysSessoin': did you mean 'EcephysSession'" in answered["msg"]
    answered = client.query("model::EcephysUnit[snr$eq1", parameter="q")
    assert "expected ']' but found the end" in answered["msg"]
    _, body = client.ask("/api/v2/data/query.json")
    assert "one query is needed, 0 given" in json.loads(body)["msg"]


@pytest.mark.parametrize("written", ["9", "x", "../../etc/passwd"])
def test_download__unknown_id_is_not_found(client, written):
    reply, body = client.ask(f"/api/v2/well_known_file_download/{quote(written)}")
    assert reply.status == 404
    assert b"no well-known file" in body


@pytest.mark.parametrize("name", ["units", "probes", "channels"])
def test_survey__tables_arrive_whole(survey, client, name):
    expected = survey.read_table(name)
    model = {"units": "EcephysUnit", "probes": "EcephysProbe", "channels": "EcephysChannel"}[name]
    rows = client.rows(f"model::{model},rma::options[num_rows$eq'all']")
    found = pd.DataFrame(rows).set_index("id").loc[expected.index]
    assert len(rows) == len(expected)
    renamed = {"use_lfp_data": "has_lfp_data", "structure_id": "ecephys_structure_id"}
    found = found.rename(columns=renamed)
    # channels have their structure's acronym only where structures are included
    assert set(expected) - set(found) == ({"ecephys_structure_acronym"} & set(expected))
    for column in found:
        values = found[column].astype(expected[column].dtype)
        pd.testing.assert_series_equal(values, expected[column])


def test_survey__metrics_of_every_session_arrive_whole(survey, client):
    for session_id in survey.session_ids[::6]:
        expected = survey.read_analysis_metrics(session_id)
        rows = client.rows(
            "model::EcephysUnitMetricBundle,rma::criteria,ecephys_unit(ecephys_channel("
            f"ecephys_probe(ecephys_session[id$eq{session_id}]))),rma::options[num_rows$eq'all']"
        )
        found = pd.DataFrame(
            [json.loads(row["data"]) for row in rows],
            index=pd.Index([row["ecephys_unit_id"] for row in rows], name="ecephys_unit_id"),
        )
        pd.testing.assert_frame_equal(
            found.loc[expected.index], expected, check_dtype=False, check_exact=True
        )


def test_survey__files_arrive_whole(survey, client):
    session_id = survey.session_ids[0]
    link = client.link("EcephysNwb", "EcephysSession", session_id)
    reply, body = client.ask(link)
    assert reply.status == 200
    assert body.startswith(b"\x89HDF\r\n\x1a\n")
    assert body == survey.session_file(session_id).read_bytes()


def test_survey__probes_without_lfp_have_no_file(survey, client):
    probes = survey.read_table("probes")
    rows = client.rows("model::WellKnownFile[attachable_type$eq'EcephysProbe'],"
                            "rma::options[num_rows$eq'all']")  # fmt: skip
    assert [row["attachable_id"] for row in rows] == probes.index[probes["has_lfp_data"]].tolist()
    assert len(rows) < len(probes)


def test_close__cuts_kept_alive_connections(survey):
    with DemoWarehouse(survey) as warehouse:
        idle = Client(warehouse)
        idle.rows("model::EcephysSession")
    with pytest.raises((ConnectionError, HTTPException)):
        idle.ask("/")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(warehouse.address.split(":"), timeout=5)
    idle.connection.close()
