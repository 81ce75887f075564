"""The DANDI client against a stand-in of the archive: digests, pages, a bucket elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dandi_server import Archive, serve_archive

from spikehouse.errors import ChecksumError, NotFoundError, SourceError
from spikehouse.survey import VISUAL_CODING, Dandi, Folder
from spikehouse.transfer import RemoteFile
from spikehouse.transfer.downloads import download
from spikehouse.transfer.http import HttpClient
from spikehouse.transfer.retry import HttpOptions

FILE = VISUAL_CODING.file
N_BYTES = 300_000
HASTY = HttpOptions(
    retry_seconds=0.5, connect_timeout=2, answer_timeout=5, stall_timeout=2, backoff=0.01
)
SESSIONS = """\
id,date_of_acquisition,isi_experiment_id,published_at,specimen_id,session_type,age_in_days,sex,\
genotype,has_nwb
791319847,2019-01-08,1,2019-10-03,10,brain_observatory_1.1,116.0,M,wt,True
715093703,2019-01-19,2,2019-10-03,11,brain_observatory_1.1,118.0,M,wt,True
766640955,2019-01-19,3,2019-10-03,12,functional_connectivity,133.0,F,wt,True
"""
PROBES = """\
id,air_channel_index,ecephys_session_id,lfp_sampling_rate,lfp_temporal_subsampling_factor,name,\
phase,sampling_rate,surface_channel_index,has_lfp_data
805008600,384,791319847,2500.0,2.0,probeA,3a,30000.0,336,True
773592315,384,766640955,2500.0,2.0,probeA,3a,30000.0,336,True
773592317,384,766640955,2500.0,2.0,probeB,3a,30000.0,336,True
"""
# session and probe files of two mice, and one file that is none of either
FILES = {
    "000021": [
        "sub-1/sub-1_ses-791319847.nwb",
        "sub-1/sub-1_ses-791319847_probe-805008600_ecephys.nwb",
        "sub-1/sub-1_ses-791319847_image.nwb",
    ],
    "000022": [
        "sub-2/sub-2_ses-766640955.nwb",
        "sub-2/sub-2_ses-766640955_probe-773592315_ecephys.nwb",
    ],
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    folder = tmp_path_factory.mktemp("archive")
    for dandiset, paths in FILES.items():
        for number, name in enumerate(paths):
            path = folder / dandiset / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(np.random.default_rng(int(dandiset) + number).bytes(N_BYTES))
    # one file a page: the list of every dandiset has several
    with serve_archive(folder, n_page=1) as archive:
        yield archive


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = tmp_path_factory.mktemp("tables")
    (folder / "sessions.csv").write_text(SESSIONS)
    (folder / "probes.csv").write_text(PROBES)
    return Folder(folder)


@pytest.fixture
def dandi(archive: Archive, tables: Folder) -> Dandi:
    return Dandi(archive.api, tables=tables, hosts={archive.bucket}, options=HASTY)


def read(archive: Archive, path: str) -> bytes:
    return (archive.folder / path).read_bytes()


def test_locate__knows_size_and_digest(dandi: Dandi, archive: Archive) -> None:
    found = dandi.locate(FILE("session", 791319847))
    body = read(archive, "000021/sub-1/sub-1_ses-791319847.nwb")
    assert found.size == len(body)
    assert found.sha256 == hashlib.sha256(body).hexdigest()
    assert (found.name, found.source) == ("session 791319847", "dandi")
    assert found.hosts == {archive.bucket}
    assert found.url.startswith(f"{archive.api}assets/")


def test_locate__asks_for_the_list_once_page_by_page(dandi: Dandi, archive: Archive) -> None:
    n_before = len(archive.server.seen)
    dandi.locate(FILE("session", 791319847))
    dandi.locate(FILE("lfp", 791319847, 805008600))
    asked = archive.server.seen[n_before:]
    listing = "/api/dandisets/000021/versions/0.251116.2246/assets/?"
    assert [path.removeprefix(listing) for path in asked if path.startswith(listing)] == [
        "page_size=1000",
        "page=2&page_size=1000",
        "page=3&page_size=1000",
    ]
    # and for the digest of each of the two files
    assert len(asked) == 5


def test_locate__of_lfp_takes_the_newest_version_of_the_other_dandiset(
    dandi: Dandi, archive: Archive
) -> None:
    n_before = len(archive.server.seen)
    found = dandi.locate(FILE("lfp", 766640955, 773592315))
    body = (
        archive.folder / "000022/sub-2/sub-2_ses-766640955_probe-773592315_ecephys.nwb"
    ).read_bytes()
    assert found.sha256 == hashlib.sha256(body).hexdigest()
    assert archive.server.seen[n_before:].count("/api/dandisets/000022/") == 1


def test_download__follows_the_archive_to_its_bucket(
    dandi: Dandi, archive: Archive, tmp_path: Path
) -> None:
    target = tmp_path / "session.nwb"
    download(
        dandi.locate(FILE("session", 791319847)), target, check=lambda path: None, options=HASTY
    )
    assert target.read_bytes() == read(archive, "000021/sub-1/sub-1_ses-791319847.nwb")


def test_download__goes_to_no_host_that_was_not_declared(
    dandi: Dandi, archive: Archive, tmp_path: Path
) -> None:
    astray = replace(dandi.locate(FILE("session", 791319847)), hosts=frozenset({"127.0.0.1:1"}))
    with pytest.raises(SourceError, match=f"redirects to .*{archive.bucket}"):
        download(astray, tmp_path / "session.nwb", check=lambda path: None, options=HASTY)
    assert not (tmp_path / "session.nwb").exists()


def test_download__compares_the_published_digest(dandi: Dandi, tmp_path: Path) -> None:
    other = replace(dandi.locate(FILE("session", 791319847)), sha256="0" * 64)
    with pytest.raises(ChecksumError):
        download(other, tmp_path / "session.nwb", check=lambda path: None, options=HASTY)
    assert not (tmp_path / "session.nwb").exists()


def test_read_range__gives_bytes_of_the_bucket(dandi: Dandi, archive: Archive) -> None:
    client = HttpClient(HASTY)
    found = client.probe(dandi.locate(FILE("session", 791319847)))
    assert isinstance(found, RemoteFile)
    assert found.size == N_BYTES
    assert found.etag is not None
    body = read(archive, "000021/sub-1/sub-1_ses-791319847.nwb")
    for start, stop in [(0, 1), (1000, 70_000), (N_BYTES - 5, N_BYTES)]:
        assert client.read_range(found, start, stop) == body[start:stop]


def test_locate__says_what_the_archive_does_not_have(dandi: Dandi) -> None:
    with pytest.raises(
        NotFoundError, match=r"nor DANDI:000022/0\.251116\.2246 has a file for session 715093703"
    ):
        dandi.locate(FILE("session", 715093703))
    with pytest.raises(NotFoundError, match="has a file for LFP of probe 773592317"):
        dandi.locate(FILE("lfp", 766640955, 773592317))


def test_locate__says_that_a_version_is_not_there(archive: Archive, tables: Folder) -> None:
    dandi = Dandi(archive.api, tables=tables, versions={"000021": "0.1.2"}, options=HASTY)
    with pytest.raises(
        NotFoundError, match=r"the list of files of DANDI:000021/0\.1\.2 is not there \(status 404"
    ):
        dandi.locate(FILE("session", 791319847))
