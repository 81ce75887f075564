"""The real DANDI Archive: run with SPIKEHOUSE_NETWORK=1 on a machine with internet."""

from __future__ import annotations

import pytest

from spikehouse.errors import NotFoundError
from spikehouse.survey import VISUAL_CODING, Dandi
from spikehouse.transfer.http import HttpClient

FILE = VISUAL_CODING.file
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
N_BYTES = 2_317_463_664


@pytest.fixture(scope="module")
def dandi() -> Dandi:
    return Dandi()


def test_tables__are_those_of_the_bucket(dandi: Dandi) -> None:
    assert dandi.read_table(FILE("sessions"))["session_type"].value_counts().to_dict() == {
        "brain_observatory_1.1": 32,
        "functional_connectivity": 26,
    }
    assert len(dandi.read_table(FILE("probes"))) == 332


def test_locate__has_the_published_digest(dandi: Dandi) -> None:
    found = dandi.locate(FILE("session", 721123822))
    assert found.size == 1_736_516_600
    assert found.sha256 == "4e284295a1be5c6cca49df84fab52ad38b4749d2361b2edebeb676051cf09921"
    assert found.url.endswith("/assets/224b57e5-c9a3-46ef-85db-966713f3ccbe/download/")


def test_locate__serves_ranges_from_the_bucket(dandi: Dandi) -> None:
    client = HttpClient()
    found = client.probe(dandi.locate(FILE("session", 791319847)))
    assert found.size == N_BYTES
    assert client.read_range(found, 0, 8) == HDF5_SIGNATURE
    assert len(client.read_range(found, 1_000_000_000, 1_000_065_536)) == 65_536
    assert len(client.read_range(found, N_BYTES - 10, N_BYTES)) == 10


def test_locate__of_lfp_has_the_published_size(dandi: Dandi) -> None:
    found = dandi.locate(FILE("lfp", 791319847, 805008600))
    assert found.size == 2_178_747_735
    assert found.url.endswith("/assets/48019dcb-e5cc-4aa4-8be4-2909e3e39091/download/")


def test_every_session__of_the_first_set_has_a_file(dandi: Dandi) -> None:
    sessions = dandi.read_table(FILE("sessions"))
    ids = sessions.index[sessions["session_type"] == "brain_observatory_1.1"]
    sizes = [dandi.locate(FILE("session", session_id)).size for session_id in ids]
    assert all(size is not None and 1.7e9 < size < 3.3e9 for size in sizes)


def test_newest_version__of_the_second_set_has_its_sessions(dandi: Dandi) -> None:
    found = dandi.locate(FILE("session", 766640955))
    assert found.size is not None
    assert found.size > 1e9
    assert HttpClient().read_range(found, 0, 8) == HDF5_SIGNATURE
    assert dandi.locate(FILE("lfp", 766640955, 773592315)).size is not None


def test_templates__are_elsewhere(dandi: Dandi) -> None:
    with pytest.raises(NotFoundError, match="the DANDI Archive has no natural scene 0"):
        dandi.locate(FILE("scene", 0))
