"""The S3 client against a real S3 server (moto's) in a process of its own."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spikehouse.compat.queries import FetchApi
from spikehouse.demo import Survey
from spikehouse.errors import NotFoundError, SourceError
from spikehouse.survey import S3, VISUAL_CODING
from spikehouse.transfer import RemoteFile
from spikehouse.transfer.downloads import download
from spikehouse.transfer.http import HttpClient
from spikehouse.transfer.retry import HttpOptions

FILE = VISUAL_CODING.file
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("moto") is None, reason="needs moto[s3,server], which is not here"
)

SERVER = Path(__file__).resolve().parents[1] / "standins" / "s3_server.py"
HASTY = HttpOptions(
    retry_seconds=0.5, connect_timeout=2, answer_timeout=5, stall_timeout=2, backoff=0.01
)
SESSION_ID = 900000001


class Bucket:
    """A server that runs, and the folder it was filled from."""

    def __init__(self, process: subprocess.Popen[str], url: str, folder: Path, log: Path) -> None:
        self._process = process
        self._log = log
        self.url = url
        self.folder = folder

    def put(self, key: str, path: Path) -> None:
        self._tell(f"put {key} {path}")

    def delete(self, key: str) -> None:
        self._tell(f"delete {key}")

    def count_requests(self, key: str) -> int:
        return self._log.read_text().count(f'"GET {self.url[self.url.index("/", 8) :]}{key} ')

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"


def fill(folder: Path, survey: Survey) -> None:
    """Lay a survey out as the bucket is; the contents of the large files do not matter here."""
    for name in ("sessions", "probes", "channels", "units"):
        survey.read_table(name).to_csv(folder / f"{name}.csv", index_label="id")
    types = survey.read_table("sessions")["session_type"]
    for kind in types.unique():
        ids = types.index[types == kind]
        metrics = pd.concat([survey.read_analysis_metrics(i) for i in ids])
        metrics.to_csv(folder / f"{kind}_analysis_metrics.csv", index_label="ecephys_unit_id")
    file = folder / f"session_{SESSION_ID}" / f"session_{SESSION_ID}.nwb"
    file.parent.mkdir()
    file.write_bytes(np.random.default_rng(1).bytes(3_000_000))


@pytest.fixture(scope="module")
def bucket(survey: Survey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    folder = tmp_path_factory.mktemp("bucket")
    log = tmp_path_factory.mktemp("log") / "log"
    fill(folder, survey)
    command = [sys.executable, str(SERVER), str(folder)]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdin is not None
        url = process.stdout.readline().strip()
        assert url, log.read_text()
        yield Bucket(process, url, folder, log)
        process.stdin.close()


@pytest.fixture
def s3(bucket: Bucket) -> S3:
    return S3(bucket.url, options=HASTY)


def accept_all(path: Path) -> None:
    assert path.exists()


def test_tables__are_those_of_the_survey(s3: S3, survey: Survey) -> None:
    for name, table in [
        ("sessions", s3.read_table(FILE("sessions"))),
        ("probes", s3.read_table(FILE("probes"))),
        ("channels", s3.read_table(FILE("channels"))),
        ("units", s3.read_table(FILE("units"))),
    ]:
        expected = survey.read_table(name)
        assert table.index.tolist() == expected.index.tolist()
        for column in expected.select_dtypes("number"):
            np.testing.assert_array_equal(table[column], expected[column])


def test_tables__cost_one_request_each(s3: S3, bucket: Bucket) -> None:
    before = {name: bucket.count_requests(f"{name}.csv") for name in ("units", "probes")}
    s3.read_table(FILE("units"))
    s3.read_table(FILE("probes"))
    assert bucket.count_requests("units.csv") - before["units"] == 1
    assert bucket.count_requests("probes.csv") - before["probes"] == 1


def test_get_unit_analysis_metrics__agrees_with_the_survey(s3: S3, survey: Survey) -> None:
    for session_id in survey.session_ids:
        expected = survey.read_analysis_metrics(session_id)
        metrics = FetchApi(s3).get_unit_analysis_metrics(ecephys_session_ids=[session_id])
        units = survey.read_table("units").index
        assert sorted(metrics.index) == sorted(expected.index[expected.index.isin(units)])
        numbers = expected.select_dtypes("float").dropna(axis="columns", how="all")
        pd.testing.assert_frame_equal(
            metrics[numbers.columns].sort_index().astype(float),
            numbers.loc[metrics.index].sort_index(),
            check_names=False,
        )


@pytest.mark.parametrize(
    "of",
    [
        ("sessions",),
        ("probes",),
        ("channels",),
        ("units",),
        ("type_metrics", "brain_observatory_1.1"),
        ("type_metrics", "functional_connectivity"),
    ],
)
def test_locate__of_a_table_is_the_csv_byte_for_byte(
    s3: S3, bucket: Bucket, of: tuple[str, ...], tmp_path: Path
) -> None:
    file = FILE(*of)
    expected = bucket.folder / file.key
    if not expected.exists():
        pytest.skip("the small survey has no session of this type")
    target = tmp_path / "table.csv"
    download(s3.locate(file), target, check=accept_all, options=HASTY)
    assert target.read_bytes() == expected.read_bytes()


def test_locate__is_downloaded_whole(s3: S3, bucket: Bucket, tmp_path: Path) -> None:
    target = tmp_path / "session.nwb"
    download(s3.locate(FILE("session", SESSION_ID)), target, check=accept_all, options=HASTY)
    expected = bucket.folder / f"session_{SESSION_ID}/session_{SESSION_ID}.nwb"
    assert target.read_bytes() == expected.read_bytes()


def test_read_range__gives_the_bytes_asked_for(s3: S3, bucket: Bucket) -> None:
    client = HttpClient(HASTY)
    found = client.probe(s3.locate(FILE("session", SESSION_ID)))
    body = (bucket.folder / f"session_{SESSION_ID}/session_{SESSION_ID}.nwb").read_bytes()
    assert found.size == len(body)
    assert found.etag is not None
    assert found.etag.startswith('"')
    for start, stop in [(0, 1), (8, 70_000), (2_000_000, 2_000_001), (len(body) - 3, len(body))]:
        assert client.read_range(found, start, stop) == body[start:stop]


def test_read_range__notices_that_the_file_was_replaced(
    s3: S3, bucket: Bucket, tmp_path: Path
) -> None:
    paths = [tmp_path / "first", tmp_path / "second"]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * 100_000)
    key = "session_900000777/session_900000777.nwb"
    bucket.put(key, paths[0])
    client = HttpClient(HASTY)
    found = client.probe(s3.locate(FILE("session", 900000777)))
    assert client.read_range(found, 0, 10) == bytes(10)
    bucket.put(key, paths[1])
    # this server ignores If-Range: the ETag of its answer is what tells
    with pytest.raises((SourceError, OSError), match="changed"):
        client.read_range(found, 0, 10)
    assert client.probe(found).etag != found.etag
    bucket.delete(key)


def test_locate__of_a_deleted_table_is_an_error_that_says_so(
    bucket: Bucket, tmp_path: Path
) -> None:
    held = bucket.folder / "channels.csv"
    bucket.delete("channels.csv")
    try:
        with pytest.raises(NotFoundError, match=r"table channels is not there \(status 404: .*403"):
            S3(bucket.url, options=HASTY).read_table(FILE("channels"))
        target = tmp_path / "channels.csv"
        content = S3(bucket.url, options=HASTY).locate(FILE("channels"))
        with pytest.raises((NotFoundError, SourceError), match="404"):
            download(content, target, check=accept_all, options=HASTY)
        assert not target.exists()
    finally:
        bucket.put("channels.csv", held)


def test_locate__of_a_session_that_is_not_there(s3: S3) -> None:
    missing = s3.locate(FILE("session", 1))
    assert missing == RemoteFile(
        url=f"{s3.base_url}session_1/session_1.nwb", name="session 1", source="s3"
    )
    with pytest.raises((NotFoundError, SourceError), match="404"):
        HttpClient(HASTY).probe(missing)
