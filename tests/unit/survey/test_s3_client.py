"""The S3 client: keys, tables, metrics, and what it does not believe."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.survey.small_tables import (
    PROBES,
    TABLES,
)

from spikehouse.errors import InvalidArgumentError, InvalidFileError, NotFoundError, SourceError
from spikehouse.schema.cache_tables import UNITS
from spikehouse.survey import tables
from spikehouse.survey.file_kinds import VISUAL_CODING, check_id
from spikehouse.survey.sources.s3 import S3
from spikehouse.survey.tables import parse_csv
from spikehouse.transfer.addresses import check_base_url, is_below
from spikehouse.transfer.http import HttpClient
from spikehouse.transfer.remote_file import RemoteFile
from spikehouse.transfer.retry import HttpOptions

if TYPE_CHECKING:
    from tests.unit.conftest import Handler, StandIn

FILE = VISUAL_CODING.file


@pytest.fixture
def bucket(server: StandIn) -> StandIn:
    for name, text in TABLES.items():
        server.serve_bytes(f"/bucket/{name}.csv", text.encode(), kind="text/csv")
    return server


@pytest.fixture
def s3(bucket: StandIn, hasty: HttpOptions) -> S3:
    return S3(bucket.url("/bucket"), options=hasty)


def test_locate__of_the_metrics_of_a_session_there_is_no_file(s3: S3, bucket: StandIn) -> None:
    with pytest.raises(NotFoundError, match="has no table session_7_analysis_metrics"):
        s3.locate(FILE("session_metrics", 7))
    assert bucket.seen == []


def test_s3__has_a_name(s3: S3) -> None:
    assert s3.name == "s3"


def test_read_table__has_the_declared_types(s3: S3) -> None:
    probes = s3.read_table(FILE("probes"))
    assert probes.index.tolist() == [11, 12, 21]
    assert probes["lfp_sampling_rate"].iloc[0] == 2499.99728487454
    assert probes["has_lfp_data"].tolist() == [True, False, True]
    assert np.isnan(probes["lfp_temporal_subsampling_factor"].iloc[1])


def test_locate__needs_no_request(s3: S3, bucket: StandIn) -> None:
    found = s3.locate(FILE("session", np.int64(1)))  # type: ignore[arg-type]
    url = bucket.url("/bucket/session_1/session_1.nwb")
    assert found == RemoteFile(url=url, name="session 1", source="s3")
    assert bucket.seen == []


@pytest.mark.parametrize("status", [403, 404])
def test_locate__of_what_is_not_there_shows_when_it_is_asked_for(
    s3: S3, bucket: StandIn, status: int
) -> None:
    path = "/bucket/session_7/session_7.nwb"
    bucket.serve_bytes(path, b"<Error/>", status=status, kind="application/xml")
    with pytest.raises((NotFoundError, SourceError), match=f"session_7.nwb .*{status}"):
        HttpClient(s3.options).probe(s3.locate(FILE("session", 7)))
    assert bucket.n_seen(path) == 1


def test_locate__is_where_the_cache_folder_has_them(s3: S3, bucket: StandIn) -> None:
    scene, movie = s3.locate(FILE("scene", 117)), s3.locate(FILE("movie", 3))
    lfp, units = s3.locate(FILE("lfp", 2, 21)), s3.locate(FILE("units"))
    assert lfp.url == bucket.url("/bucket/session_2/probe_21_lfp.nwb")
    assert units.url == bucket.url("/bucket/units.csv")
    assert scene.url == bucket.url("/bucket/natural_scene_templates/natural_scene_117.tiff")
    assert movie.url == bucket.url("/bucket/natural_movie_templates/natural_movie_3.h5")


@pytest.mark.parametrize("session_id", ["1", 1.0, None, True, -1])
def test_locate__refuses_what_is_no_id(s3: S3, session_id: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="is not an id: give a whole number"):
        s3.locate(FILE("session", session_id))


@pytest.mark.parametrize("status", [403, 404, 410])
def test_tables__that_are_missing_say_what_403_may_mean(
    s3: S3, bucket: StandIn, status: int
) -> None:
    bucket.serve_bytes("/bucket/units.csv", b"<Error/>", status=status, kind="application/xml")
    with pytest.raises(
        NotFoundError,
        match=rf"units\.csv: table units is not there \(status {status}: .* S3 says 403",
    ):
        s3.read_table(FILE("units"))
    assert bucket.n_seen("/bucket/units.csv") == 1


def stumble(handler: Handler) -> None:
    handler.reply(b"SlowDown", status=503)


def break_off(handler: Handler) -> None:
    handler.reply(PROBES.encode()[:50], length=len(PROBES))
    handler.hang_up()


@pytest.mark.parametrize("failure", [stumble, break_off])
def test_tables__are_asked_for_again_when_the_server_stumbles(
    s3: S3, bucket: StandIn, failure: Callable[[Handler], None]
) -> None:
    routes = iter([failure, lambda handler: handler.reply(PROBES.encode())])
    bucket.routes["/bucket/probes.csv"] = lambda handler: next(routes)(handler)
    assert len(s3.read_table(FILE("probes"))) == 3


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            b"<html>Please log in</html>",
            "returned an HTML page that begins with b'<html>Please log in",
        ),
        (b"", "is not a table of probes"),
        (b"\x00\x01\x02", "is not a table of probes"),
        (b"id,name\n1,probeA\n", "has no probes column 'air_channel_index'"),
        (PROBES.encode() + PROBES.encode().splitlines()[-1], "id 21 occurs twice"),
        (PROBES.encode().replace(b"\n21,", b"\nmany,"), "contains values that are not ids"),
        (PROBES.encode().replace(b"2499.99728487454", b"\x1b[2J"), "'lfp_sampling_rate'"),
    ],
)
def test_tables__that_are_none_are_refused(
    s3: S3, bucket: StandIn, body: bytes, message: str
) -> None:
    bucket.serve_bytes("/bucket/probes.csv", body)
    with pytest.raises(SourceError, match=message) as caught:
        s3.read_table(FILE("probes"))
    assert "\x1b" not in str(caught.value)


def test_tables__have_a_largest_size(
    s3: S3, bucket: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikehouse.survey.sources.s3.MAX_TABLE_BYTES", 100)
    with pytest.raises(SourceError, match=r"units\.csv sends more than 100 bytes"):
        s3.read_table(FILE("units"))


def test_tables__in_gzip_were_not_asked_for(s3: S3, bucket: StandIn) -> None:
    bucket.serve_bytes("/bucket/units.csv", b"\x1f\x8b", Content_Encoding="gzip")
    with pytest.raises(SourceError, match="gzip-encoded, which was not requested"):
        s3.read_table(FILE("units"))


def test_s3__goes_to_no_other_host(s3: S3, bucket: StandIn) -> None:
    bucket.serve_bytes(
        "/bucket/units.csv", b"", status=302, Location="http://127.0.0.1:1/units.csv"
    )
    with pytest.raises(SourceError, match="which is another host: not followed"):
        s3.read_table(FILE("units"))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://a.org/",
        "http://a.org/bucket",
        "http://localhost.evil.org/",
        "https://user:word@a.org/",
        "https://a.org/?key=1",
        "https://a.org/#x",
        "https://a.org/a b",
        "https://a.org\\@b.org/",
        "https://a.org:99999/",
        "https://a.org/%2e%2e/",
        "https:///path",
        "https://a.org/\n",
    ],
)
def test_s3__refuses_what_is_no_base(url: str) -> None:
    with pytest.raises(InvalidArgumentError, match="cannot be used as the address of a bucket"):
        S3(url)


@pytest.mark.parametrize("url", ["https://a.org", "http://127.0.0.1:80/a/", "http://localhost/b"])
def test_check_base_url__ends_in_a_slash(url: str) -> None:
    assert check_base_url(url, what="it") == url.rstrip("/") + "/"


def test_is_below__is_no_way_out() -> None:
    base = "https://a.org/list/"
    assert is_below("https://a.org/list/?page=2&page_size=1000", base)
    for url in [
        "https://a.org/other/",
        "https://a.org.evil/list/",
        "https://a.org/list/../other",
        "https://a.org/list/a b",
        "https://a.org/list/\r\nHost: b",
        "https://a.org/list/" + "a" * 3000,
        7,
        None,
    ]:
        assert not is_below(url, base)


@given(st.integers(0, 2**63))
def test_check_id__keeps_whole_numbers(number: int) -> None:
    assert check_id(number) == number


TOO_MUCH = {
    "columns": (b"id" + b",a" * 20_000 + b"\n1" + b",1" * 20_000, "more than 1000 columns"),
    "columns behind an empty line": (b"\n\nid" + b",a" * 20_000, "more than 1000 columns"),
    "columns behind a name of two lines": (b'"\nid"' + b",a" * 20_000, "more than 1000 columns"),
    "one name without an end": (b'id,"' + b"a" * 2_000_000, "column names cannot be read"),
    "rows": (b"id\n" + b"\n".join(b"%d" % n for n in range(2002)), "more than 2000 rows"),
    "bytes": (b"id\n" + b"1" * 3_000_000, "it has 3000003 bytes"),
}


@pytest.mark.parametrize("kind", ["bytes", "file"])
@pytest.mark.parametrize("what", TOO_MUCH)
def test_parse_csv__refuses_more_than_a_table_can_have(
    what: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MAX_ROWS", 2000)
    monkeypatch.setattr(tables, "MAX_TABLE_BYTES", 2_500_000)
    body, message = TOO_MUCH[what]
    path = tmp_path / "units.csv"
    path.write_bytes(body)
    began = time.process_time()
    with pytest.raises(InvalidFileError, match=message):
        parse_csv(body if kind == "bytes" else path, UNITS, origin="it")
    # twenty thousand equal names took 28 s
    assert time.process_time() - began < 5


def test_parse_csv__names_its_origin() -> None:
    with pytest.raises(InvalidFileError, match="over there is not a table of units"):
        parse_csv(b"nothing", UNITS, origin="over there")
