"""The real bucket: run with SPIKEHOUSE_NETWORK=1 on a machine with internet."""

from __future__ import annotations

import numpy as np
import pytest

from spikehouse import EcephysProjectCache
from spikehouse.errors import NotFoundError, SourceError
from spikehouse.survey import S3, VISUAL_CODING
from spikehouse.transfer.http import HttpClient

FILE = VISUAL_CODING.file
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
N_BYTES = 2_317_463_664


@pytest.fixture(scope="module")
def s3() -> S3:
    return S3()


@pytest.fixture(scope="module")
def cache(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> EcephysProjectCache:
    manifest = tmp_path_factory.mktemp("cache") / "manifest.json"
    return EcephysProjectCache(s3, manifest=manifest)


def test_tables__print_the_published_numbers(cache: EcephysProjectCache) -> None:
    sessions = cache.get_session_table()
    assert sessions["session_type"].value_counts().to_dict() == {
        "brain_observatory_1.1": 32,
        "functional_connectivity": 26,
    }
    assert sessions["sex"].value_counts().to_dict() == {"M": 45, "F": 13}
    counts = sessions[["unit_count", "channel_count"]]
    assert counts.loc[773418906].tolist() == [546, 2232]
    assert counts.loc[791319847].tolist() == [555, 2229]
    probes = cache.get_probes()
    assert (len(probes), int(probes["has_lfp_data"].sum())) == (332, 325)
    lacking = probes.loc[~probes["has_lfp_data"], "ecephys_session_id"].unique()
    assert sorted(lacking) == [763673393, 831882777, 839557629]
    assert len(cache.get_channels()) == 123_224
    assert len(cache.get_units()) == 40_010
    unlimited = cache.get_units(
        amplitude_cutoff_maximum=np.inf,
        presence_ratio_minimum=-np.inf,
        isi_violations_maximum=np.inf,
    )
    assert len(unlimited) == 99_180


@pytest.mark.parametrize(
    ("session_type", "n_units"),
    [("brain_observatory_1.1", 21_842), ("functional_connectivity", 18_168)],
)
def test_analysis_metrics__have_the_published_number_of_units(
    cache: EcephysProjectCache, session_type: str, n_units: int
) -> None:
    assert len(cache.get_unit_analysis_metrics_by_session_type(session_type)) == n_units


def test_locate__has_the_published_size_and_serves_ranges(s3: S3) -> None:
    client = HttpClient()
    found = client.probe(s3.locate(FILE("session", 791319847)))
    assert found.size == N_BYTES
    assert found.etag is not None
    assert client.read_range(found, 0, 8) == HDF5_SIGNATURE
    assert len(client.read_range(found, 1_000_000_000, 1_000_065_536)) == 65_536
    assert len(client.read_range(found, N_BYTES - 10, N_BYTES)) == 10


def test_locate__of_lfp_serves_ranges(s3: S3) -> None:
    client = HttpClient()
    found = client.probe(s3.locate(FILE("lfp", 766640955, 773592315)))
    assert client.read_range(found, 0, 8) == HDF5_SIGNATURE


def test_templates__are_there(s3: S3) -> None:
    client = HttpClient()
    scene = client.probe(s3.locate(FILE("scene", 0)))
    assert client.read_range(scene, 0, 2) in (b"II", b"MM")
    movie = client.probe(s3.locate(FILE("movie", 1)))
    assert client.read_range(movie, 0, 6) == b"\x93NUMPY"
    assert movie.size is not None
    assert movie.size >= 900 * 304 * 608


def test_locate__of_no_session_is_not_there(s3: S3) -> None:
    with pytest.raises((NotFoundError, SourceError), match=r"40[34]"):
        HttpClient().probe(s3.locate(FILE("session", 1)))


def test_read_scene__has_the_published_shape(cache: EcephysProjectCache) -> None:
    assert cache.get_natural_scene_template(0).shape == (918, 1174)


def test_sessions_csv__has_the_published_length(s3: S3) -> None:
    size = HttpClient().probe(s3.locate(FILE("sessions"))).size
    assert size is not None
    assert round(size / 1000, 1) == 7.8
