"""The loopback warehouse over real sockets, on a hand-made survey of three sessions."""

from __future__ import annotations

import json
import socket
import threading
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from warehouse_server import DemoWarehouse

from spikehouse.demo import Survey

SESSION_IDS = [900000001, 900000002, 900000003]
N_BYTES = 300_000
UNLISTED_UNIT_ID = 950000099


class HandMadeSurvey:
    """Three sessions of two probes of four channels of one unit each; files of random bytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[str] = []
        self.is_broken = False
        self.release = threading.Event()
        self.release.set()
        self._tables = _make_tables()

    def read_table(self, name: str) -> pd.DataFrame:
        return self._tables[name].copy()

    def list_analysed_units(self, session_id: int) -> list[int]:
        return self.read_analysis_metrics(session_id).index.tolist()

    def read_analysis_metrics(self, session_id: int) -> pd.DataFrame:
        units, channels, probes = (self._tables[n] for n in ("units", "channels", "probes"))
        probe = units["ecephys_channel_id"].map(channels["ecephys_probe_id"])
        ids = units.index[probe.map(probes["ecephys_session_id"]) == session_id].tolist()
        if session_id == SESSION_IDS[0]:
            ids.append(UNLISTED_UNIT_ID)
        metrics = pd.DataFrame(index=pd.Index(ids, name="ecephys_unit_id"))
        metrics["g_osi_dg"] = np.linspace(0.0, 1.0, len(ids))
        metrics["pref_ori_dg"] = np.where(np.arange(len(ids)) % 2, np.inf, np.nan)
        metrics["pref_image_ns"] = np.arange(len(ids)) + session_id
        metrics["on_screen_rf"] = np.arange(len(ids)) % 2 == 0
        return metrics

    def _make(self, name: str, size: int = N_BYTES) -> Path:
        assert self.release.wait(20)
        if self.is_broken:
            raise OSError(28, "No space left on device")
        path = self.folder / name
        if not path.exists():
            self.made.append(name)
            path.write_bytes(np.random.default_rng(size).bytes(size))
        return path

    def session_file(self, session_id: int) -> Path:
        return self._make(f"session_{session_id}.nwb")

    def lfp_file(self, probe_id: int) -> Path:
        return self._make(f"probe_{probe_id}_lfp.nwb")

    def scene_file(self, number: int) -> Path:
        return self._make(f"natural_scene_{number}.tiff", 1000 + number)

    def movie_file(self, number: int) -> Path:
        return self._make(f"natural_movie_{number}.npy", 0)


def _make_tables() -> dict[str, pd.DataFrame]:
    sessions = pd.DataFrame(
        {
            "date_of_acquisition": "2019-01-19T08:54:18Z",
            "isi_experiment_id": [71, 72, 73],
            "published_at": "2019-10-03T00:00:00Z",
            "specimen_id": [61, 62, 63],
            "session_type": ["brain_observatory_1.1", "brain_observatory_1.1",
                             "functional_connectivity"],
            "age_in_days": [118.0, 122.0, 125.0],
            "sex": ["M", "F", "M"],
            "genotype": ["wt", "Sst-IRES-Cre/wt", "wt"],
            "has_nwb": [True, True, False],
        },
        index=pd.Index(SESSION_IDS, name="id"),
    )  # fmt: skip
    probe_ids = np.arange(800000001, 800000007)
    probes = pd.DataFrame(
        {
            "air_channel_index": 384,
            "ecephys_session_id": np.repeat(SESSION_IDS, 2),
            "lfp_sampling_rate": 2499.99728487454,
            "lfp_temporal_subsampling_factor": 2.0,
            "name": ["probeA", "probeB"] * 3,
            "phase": "3a",
            "sampling_rate": 29999.9674184945,
            "surface_channel_index": 336,
            "has_lfp_data": [True, False, True, True, True, True],
        },
        index=pd.Index(probe_ids, name="id"),
    )
    n_channels = 4 * len(probe_ids)
    is_outside = np.arange(n_channels) % 4 == 3
    channels = pd.DataFrame(
        {
            "ecephys_probe_id": np.repeat(probe_ids, 4),
            "local_index": np.tile(np.arange(4), len(probe_ids)),
            "probe_horizontal_position": 43,
            "probe_vertical_position": np.tile(20 * np.arange(4), len(probe_ids)),
            "anterior_posterior_ccf_coordinate": np.where(is_outside, np.nan, 8165.0),
            "dorsal_ventral_ccf_coordinate": np.where(is_outside, np.nan, 3314.0),
            "left_right_ccf_coordinate": np.where(is_outside, np.nan, 6862.0),
            "ecephys_structure_id": np.where(is_outside, np.nan, 385.0),
            "ecephys_structure_acronym": np.where(is_outside, None, "VISp"),
        },
        index=pd.Index(700000001 + np.arange(n_channels), name="id"),
    )
    units = pd.DataFrame(
        {
            "ecephys_channel_id": channels.index,
            "firing_rate": np.linspace(0.1, 10.0, n_channels),
            "silhouette_score": np.where(is_outside, np.nan, 0.1),
            "quality": "good",
        },
        index=pd.Index(950000001 + np.arange(n_channels), name="id"),
    )
    return {"sessions": sessions, "probes": probes, "channels": channels, "units": units}


@pytest.fixture
def survey(tmp_path):
    return HandMadeSurvey(tmp_path)


@pytest.fixture
def warehouse(survey):
    with DemoWarehouse(survey) as running:
        yield running


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
def client(warehouse):
    client = Client(warehouse)
    yield client
    client.connection.close()


@pytest.fixture
def link(client):
    return client.link("EcephysNwb", "EcephysSession", SESSION_IDS[0])


# --- tables


def test_query__sessions_have_what_the_session_table_is_made_from(client):
    rows = client.rows(
        "model::EcephysSession,rma::include,specimen(donor(age)),"
        "well_known_files(well_known_file_type),rma::options[start_row$eq0][num_rows$eq5000]"
        "[order$eq'id']"
    )
    assert [row["id"] for row in rows] == SESSION_IDS
    first = rows[0]
    assert first["stimulus_name"] == "brain_observatory_1.1"
    assert first["fail_eye_tracking"] is False
    assert first["specimen"]["donor"]["sex"] == "M"
    assert first["specimen"]["donor"]["full_genotype"] is None
    assert first["specimen"]["donor"]["age"]["days"] == 118.0
    assert rows[1]["specimen"]["donor"]["full_genotype"] == "Sst-IRES-Cre/wt"
    types = [[f["well_known_file_type"]["name"] for f in row["well_known_files"]] for row in rows]
    assert types == [["EcephysNwb"], ["EcephysNwb"], []]
    # what the clients derive is not there beside it
    assert not {"session_type", "genotype", "sex", "age_in_days", "has_nwb"} & set(first)


def test_query__probes_send_decimals_as_texts(client):
    (row,) = client.rows("model::EcephysProbe[id$eq800000002]")
    assert row == {
        "id": 800000002,
        "air_channel_index": 384,
        "ecephys_session_id": 900000001,
        "lfp_sampling_rate": "2499.99728487454",
        "lfp_temporal_subsampling_factor": "2.0",
        "name": "probeB",
        "phase": "3a",
        "sampling_rate": "29999.9674184945",
        "surface_channel_index": 336,
        "use_lfp_data": False,
    }


def test_query__channels_come_flat(client):
    rows = client.rows(
        "model::EcephysChannel[ecephys_probe_id$in800000001],rma::include,structure,"
        "rma::options[tabular$eq'ecephys_channels.id,ecephys_probe_id,"
        "anterior_posterior_ccf_coordinate,structures.id as ecephys_structure_id,"
        "structures.acronym as ecephys_structure_acronym'],"
        "rma::options[start_row$eq0][num_rows$eq5000][order$eq'id']"
    )
    assert len(rows) == 4
    assert rows[0] == {
        "id": "700000001",
        "ecephys_probe_id": "800000001",
        "anterior_posterior_ccf_coordinate": "8165.0",
        "ecephys_structure_id": "385",
        "ecephys_structure_acronym": "VISp",
    }
    assert rows[3]["ecephys_structure_id"] is rows[3]["ecephys_structure_acronym"] is None


def test_query__units_of_a_session(client):
    rows = client.rows(
        "model::EcephysUnit,rma::criteria,ecephys_channel(ecephys_probe(ecephys_session"
        "[id$in900000002])),rma::options[num_rows$eq'all']"
    )
    assert [row["id"] for row in rows] == list(range(950000009, 950000017))
    assert rows[3]["silhouette_score"] is None


def test_query__metrics_are_json_in_a_text(client):
    rows = client.rows(
        "model::EcephysUnitMetricBundle,rma::criteria,ecephys_unit(ecephys_channel(ecephys_probe"
        "(ecephys_session[stimulus_name$in'functional_connectivity','other'])))"
    )
    assert len(rows) == 8
    assert set(rows[0]) == {"id", "ecephys_unit_id", "data"}
    assert rows[0]["ecephys_unit_id"] == 950000017
    assert json.loads(rows[1]["data"]) == {
        "g_osi_dg": 1 / 7,
        "pref_ori_dg": None,
        "pref_image_ns": 900000004,
        "on_screen_rf": False,
    }


def test_query__metrics_of_some_units_keep_the_order_of_the_page(client):
    rows = client.rows(
        "model::EcephysUnitMetricBundle,rma::criteria[ecephys_unit_id$in950000024,950000001],"
        "rma::options[order$eq'id$desc']"
    )
    images = [json.loads(row["data"])["pref_image_ns"] for row in rows]
    assert images == [900000003 + 7, 900000001]


def test_query__metrics_of_a_unit_the_table_does_not_have(client):
    rows = client.rows(
        "model::EcephysUnitMetricBundle,rma::criteria,ecephys_unit(ecephys_channel(ecephys_probe"
        "(ecephys_session[id$in900000001])))"
    )
    assert [row["ecephys_unit_id"] for row in rows][-2:] == [950000008, UNLISTED_UNIT_ID]
    assert client.rows(f"model::EcephysUnit[id$eq{UNLISTED_UNIT_ID}]") == []


def test_query__templates_are_matched_by_path(client):
    rows = client.rows(
        "model::WellKnownFile,rma::criteria,well_known_file_type[name$eq'Stimulus']"
        "[attachable_type$eq'Product'][attachable_id$eq714914585],rma::options[num_rows$eq'all']"
    )
    paths = {row["path"].rsplit("/", 1)[1] for row in rows}
    assert paths == {f"{n}.tiff" for n in range(118)} | {"natural_movie_1.npy",
                                                         "natural_movie_3.npy"}  # fmt: skip
    assert len({row["id"] for row in rows}) == 120


def test_query__probe_without_lfp_has_no_file(client):
    text = (
        "model::WellKnownFile,rma::criteria,well_known_file_type[name$eq'EcephysLfpNwb']"
        "[attachable_type$eq'EcephysProbe'][attachable_id$eq{}]"
    )
    assert client.query(text.format(800000002)) == {
        "success": True,
        "id": 0,
        "start_row": 0,
        "num_rows": 0,
        "total_rows": 0,
        "msg": [],
    }
    assert len(client.rows(text.format(800000001))) == 1


def test_query__errors_come_with_status_200(client):
    answered = client.query("model::EcephysSessoin")
    assert answered["success"] is False
    assert "no model 'EcephysSessoin': did you mean 'EcephysSession'" in answered["msg"]
    answered = client.query("model::EcephysUnit[snr$eq1", parameter="q")
    assert "expected ']' but found the end" in answered["msg"]
    _, body = client.ask("/api/v2/data/query.json")
    assert "one query is needed, 0 given" in json.loads(body)["msg"]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(page_size=st.integers(1, 30))
def test_query__pages_hold_every_unit_once(client, page_size):
    found: list[int] = []
    total = 24
    while len(found) < total:
        page = f"[start_row$eq{len(found)}][num_rows$eq{page_size}][order$eq'id']"
        answered = client.query(f"model::EcephysUnit,rma::options{page}")
        found += [row["id"] for row in answered["msg"]]
        assert answered["total_rows"] == total
    assert found == list(range(950000001, 950000025))


# --- files


def test_download__gives_the_file(client, link, survey):
    assert survey.made == []
    reply, body = client.ask(link)
    assert (reply.status, reply.headers["Accept-Ranges"]) == (200, "bytes")
    assert int(reply.headers["Content-Length"]) == N_BYTES
    assert body == survey.session_file(SESSION_IDS[0]).read_bytes()
    assert survey.made == [f"session_{SESSION_IDS[0]}.nwb"]


def test_download__takes_the_double_slash_clients_make(client, link):
    reply, body = client.ask(f"/{link}")
    assert (reply.status, len(body)) == (200, N_BYTES)


def test_download__every_kind_of_file(client, survey):
    lfp = client.link("EcephysLfpNwb", "EcephysProbe", 800000001)
    assert client.ask(lfp)[1] == survey.lfp_file(800000001).read_bytes()
    rows = client.rows("model::WellKnownFile[path$li'*/17.tiff']")
    assert client.ask(rows[0]["download_link"])[1] == survey.scene_file(17).read_bytes()
    rows = client.rows("model::WellKnownFile[path$li'*movie_3.npy']")
    reply, body = client.ask(rows[0]["download_link"])  # an empty file is a file
    assert (reply.status, body) == (200, b"")


@pytest.mark.parametrize("written", ["9", "-1", "x", "", "9" * 30, "²", "../../etc/passwd"])
def test_download__unknown_id_is_not_found(client, written):
    reply, body = client.ask(f"/api/v2/well_known_file_download/{quote(written)}")
    assert reply.status == 404
    assert b"no well-known file" in body


def test_download__failing_survey_is_a_server_error(client, link, survey):
    survey.is_broken = True
    reply, body = client.ask(link)
    assert reply.status == 500
    assert b"No space left on device" in body
    survey.is_broken = False
    assert client.ask(link)[0].status == 200


# --- the demo survey behind it


@pytest.fixture(scope="module")
def tiny_survey(tmp_path_factory):
    return Survey(size="tiny", folder=tmp_path_factory.mktemp("survey"))


@pytest.fixture
def tiny_client(tiny_survey):
    with DemoWarehouse(tiny_survey) as warehouse:
        client = Client(warehouse)
        yield client
        client.connection.close()


@pytest.mark.parametrize("name", ["units", "probes", "channels"])
def test_survey__tables_arrive_whole(tiny_survey, tiny_client, name):
    expected = tiny_survey.read_table(name)
    model = {"units": "EcephysUnit", "probes": "EcephysProbe", "channels": "EcephysChannel"}[name]
    rows = tiny_client.rows(f"model::{model},rma::options[num_rows$eq'all']")
    found = pd.DataFrame(rows).set_index("id").loc[expected.index]
    assert len(rows) == len(expected)
    renamed = {"use_lfp_data": "has_lfp_data", "structure_id": "ecephys_structure_id"}
    found = found.rename(columns=renamed)
    # channels have their structure's acronym only where structures are included
    assert set(expected) - set(found) == ({"ecephys_structure_acronym"} & set(expected))
    for column in found:
        values = found[column].astype(expected[column].dtype)
        pd.testing.assert_series_equal(values, expected[column])


def test_survey__metrics_of_every_session_arrive_whole(tiny_survey, tiny_client):
    for session_id in tiny_survey.session_ids[::6]:
        expected = tiny_survey.read_analysis_metrics(session_id)
        rows = tiny_client.rows(
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


def test_survey__files_arrive_whole(tiny_survey, tiny_client):
    session_id = tiny_survey.session_ids[0]
    link = tiny_client.link("EcephysNwb", "EcephysSession", session_id)
    reply, body = tiny_client.ask(link)
    assert reply.status == 200
    assert body.startswith(b"\x89HDF\r\n\x1a\n")
    assert body == tiny_survey.session_file(session_id).read_bytes()


def test_survey__probes_without_lfp_have_no_file(tiny_survey, tiny_client):
    probes = tiny_survey.read_table("probes")
    rows = tiny_client.rows("model::WellKnownFile[attachable_type$eq'EcephysProbe'],"
                            "rma::options[num_rows$eq'all']")  # fmt: skip
    assert [row["attachable_id"] for row in rows] == probes.index[probes["has_lfp_data"]].tolist()
    assert len(rows) < len(probes)


# --- the server itself


def test_close__cuts_kept_alive_connections_and_running_downloads(survey):
    path = survey.session_file(SESSION_IDS[0])
    with path.open("r+b") as file:
        file.truncate(50_000_000)
    with DemoWarehouse(survey) as warehouse:
        idle, reading = Client(warehouse), Client(warehouse)
        link = idle.link("EcephysNwb", "EcephysSession", SESSION_IDS[0])
        reading.connection.request("GET", link)
        response = reading.connection.getresponse()
    with pytest.raises((ConnectionError, HTTPException)):
        idle.ask("/")
    with pytest.raises((ConnectionError, HTTPException)):
        response.read()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(warehouse.address.split(":"), timeout=5)
    for client in (idle, reading):
        client.connection.close()
