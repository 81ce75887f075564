"""The DANDI client: which dandiset and file, and what it does not believe."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from spikehouse.errors import InvalidArgumentError, NotFoundError, SourceError
from spikehouse.schema.addresses import DANDI_HOSTS, DANDI_URL
from spikehouse.survey.file_kinds import VISUAL_CODING
from spikehouse.survey.source import Source
from spikehouse.survey.sources.dandi import Asset, Dandi, Listing
from spikehouse.survey.sources.s3 import S3
from spikehouse.transfer.remote_file import RemoteFile
from spikehouse.transfer.retry import HttpOptions

if TYPE_CHECKING:
    from tests.unit.conftest import StandIn

FILE = VISUAL_CODING.file
ASSET_ID = "3adbba7c-3feb-468b-9829-33fcaa27aacd"
SHA256 = "4e284295a1be5c6cca49df84fab52ad38b4749d2361b2edebeb676051cf09921"
LISTING = "/api/dandisets/000021/versions/0.251116.2246/assets/"
ASSET: dict[str, Any] = {
    "asset_id": ASSET_ID,
    "path": "sub-769360771/sub-769360771_ses-791319847.nwb",
    "size": 2_317_463_664,
}
METADATA: dict[str, Any] = {
    "contentSize": 2_317_463_664,
    "digest": {"dandi:sha2-256": SHA256.upper(), "dandi:dandi-etag": "0-1"},
}


class Tables:
    """A source that has tables, and not as files."""

    name = "tables"

    def get_sessions(self) -> pd.DataFrame:
        kinds = ["brain_observatory_1.1", "functional_connectivity"]
        index = pd.Index([791319847, 766640955], name="id")
        return pd.DataFrame({"session_type": kinds}, index=index)

    get_probes = get_channels = get_units = get_sessions

    def get_unit_analysis_metrics(
        self,
        unit_ids: Iterable[int] | None = None,
        ecephys_session_ids: Iterable[int] | None = None,
        session_types: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        assert unit_ids is None
        assert ecephys_session_ids is None
        assert session_types is not None
        return pd.DataFrame({"kind": list(session_types)}, index=pd.Index([1], name="unit"))

    def get_session_data(self, session_id: int) -> RemoteFile:
        raise NotFoundError("tables only")

    get_probe_lfp_data = get_natural_scene_template = get_natural_movie_template = get_session_data


@pytest.fixture
def archive(server: StandIn) -> StandIn:
    list_assets(server, [ASSET])
    describe_asset(server, METADATA)
    return server


@pytest.fixture
def dandi(archive: StandIn, hasty: HttpOptions) -> Dandi:
    return Dandi(archive.url("/api/"), tables=Tables(), options=hasty)


def list_assets(server: StandIn, assets: list[Any], **fields: Any) -> None:
    page = {"count": len(assets), "next": None, "previous": None, "results": assets, **fields}
    serve_json(server, LISTING, page)


def describe_asset(server: StandIn, metadata: object) -> None:
    serve_json(server, f"/api/assets/{ASSET_ID}/", metadata)


def serve_json(server: StandIn, path: str, document: object) -> None:
    server.serve_bytes(path, json.dumps(document).encode(), kind="application/json")


def test_dandi__is_by_default_the_archive_with_the_tables_of_the_bucket() -> None:
    dandi = Dandi()
    assert dandi.name == "dandi"
    assert dandi.base_url == DANDI_URL == "https://api.dandiarchive.org/api/"
    assert isinstance(dandi.tables, S3)
    assert dandi.versions == {"000021": "0.251116.2246"}
    assert "dandiarchive.s3.amazonaws.com" in DANDI_HOSTS


def test_locate__describes_the_file(dandi: Dandi, archive: StandIn) -> None:
    assert dandi.locate(FILE("session", 791319847)) == RemoteFile(
        url=archive.url(f"/api/assets/{ASSET_ID}/download/"),
        name="session 791319847",
        size=2_317_463_664,
        sha256=SHA256,
        hosts=DANDI_HOSTS,
        source="dandi",
    )
    assert archive.seen == [f"{LISTING}?page_size=1000", f"/api/assets/{ASSET_ID}/"]


def test_locate__does_without_a_digest(dandi: Dandi, archive: StandIn) -> None:
    describe_asset(archive, {"digest": {"dandi:dandi-etag": "0-1"}})
    assert dandi.locate(FILE("session", 791319847)).sha256 is None


@pytest.mark.parametrize(
    ("asset", "message"),
    [
        ({"asset_id": "../../elsewhere"}, "gives '../../elsewhere' as the id of a file"),
        ({"asset_id": None}, "gives None as the id of a file"),
        ({"path": 7}, "gives 7 as the path"),
        ({"size": -1}, "gives -1 as the size"),
        ({"size": 1.5}, "gives 1.5 as the size"),
        ({"size": True}, "gives True as the size"),
        ({"size": "2317463664"}, "gives '2317463664' as the size"),
        ({"size": 10**30}, "as the size"),
        ({"size": None}, "gives None as the size"),
    ],
)
def test_list_files__refuses_odd_assets(
    dandi: Dandi, archive: StandIn, asset: dict[str, Any], message: str
) -> None:
    list_assets(archive, [{**ASSET, **asset}])
    with pytest.raises(SourceError, match=message):
        dandi.locate(FILE("session", 791319847))


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ([], "does not answer like the DANDI Archive"),
        ({"results": None}, "no 'results' in it"),
        ({"results": [1]}, "as the id of a file"),
        ({"results": [ASSET], "count": 2, "next": None}, "announced 2 files and listed 1"),
    ],
)
def test_list_files__refuses_odd_pages(
    dandi: Dandi, archive: StandIn, page: object, message: str
) -> None:
    serve_json(archive, LISTING, page)
    with pytest.raises(SourceError, match=message):
        dandi.locate(FILE("session", 791319847))


@pytest.mark.parametrize(
    "link",
    [
        "http://elsewhere.org/api/dandisets/000021/versions/0.251116.2246/assets/?page=2",
        "//elsewhere.org/",
        "/api/dandisets/000021/versions/0.251116.2246/assets/?page=2",
        "file:///etc/passwd",
        "{base}/api/admin/?page=2",
        "{base}/api/dandisets/000021/versions/0.251116.2246/assets/../../?page=2",
        "{base}/api/dandisets/000021/versions/0.251116.2246/assets/?page=2\r\nHost: b",
        7,
        "",
    ],
)
def test_list_files__follows_pages_of_its_own_list_only(
    dandi: Dandi, archive: StandIn, link: object
) -> None:
    if isinstance(link, str):
        link = link.replace("{base}", archive.url("")) or ""
    list_assets(archive, [ASSET], next=link)
    with pytest.raises(SourceError, match="as its next page, which is not one of that list"):
        dandi.locate(FILE("session", 791319847))


def test_list_files__is_not_led_in_circles(dandi: Dandi, archive: StandIn) -> None:
    list_assets(archive, [], next=archive.url(f"{LISTING}?page=2"))
    with pytest.raises(SourceError, match="has no last page: 2 were read"):
        dandi.locate(FILE("session", 791319847))
    assert archive.n_seen(LISTING) == 2


def test_list_files__has_an_end(
    dandi: Dandi, archive: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikehouse.survey.sources.dandi.MAX_ASSETS", 3)
    list_assets(archive, [ASSET] * 4)
    with pytest.raises(SourceError, match="lists more than 3 files, the limit"):
        dandi.locate(FILE("session", 791319847))


def test_list_files__has_a_largest_size(
    dandi: Dandi, archive: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikehouse.survey.sources.dandi.MAX_PAGE_BYTES", 50)
    with pytest.raises(SourceError, match="sends more than 50 bytes"):
        dandi.locate(FILE("session", 791319847))


@pytest.mark.parametrize("body", [b"[" * 100_000, b"<Error>", b"", b"\xff\xfe", b"9" * 5000])
def test_list_files__refuses_what_is_no_json(dandi: Dandi, archive: StandIn, body: bytes) -> None:
    archive.serve_bytes(LISTING, body)
    with pytest.raises(SourceError, match="returned no valid JSON for the list of files"):
        dandi.locate(FILE("session", 791319847))


def test_find__refuses_two_files(dandi: Dandi, archive: StandIn) -> None:
    list_assets(archive, [ASSET, {**ASSET, "path": "derived/sub-1_ses-791319847.nwb"}])
    with pytest.raises(SourceError, match=r"has 2 files for session 791319847: .*'derived/sub-1"):
        dandi.locate(FILE("session", 791319847))


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"digest": {"dandi:sha2-256": "0"}}, "gives '0' as a sha256, which is not valid"),
        ({"digest": {"dandi:sha2-256": 7}}, "gives 7 as a sha256"),
        ({"digest": {"dandi:sha2-256": "g" * 64}}, "as a sha256, which is not valid"),
        ({"contentSize": 1}, "gives a size of 1, the listing of 2317463664"),
        ([], "does not answer like the DANDI Archive"),
    ],
)
def test_fetch_sha256__refuses_odd_metadata(
    dandi: Dandi, archive: StandIn, metadata: object, message: str
) -> None:
    describe_asset(archive, metadata)
    with pytest.raises(SourceError, match=message):
        dandi.locate(FILE("session", 791319847))


@pytest.mark.parametrize(
    ("newest", "error", "message"),
    [
        (None, NotFoundError, r"no version of DANDI:000022 is published; versions=.*'draft'"),
        ({"version": "../../x"}, SourceError, "gives '../../x' as a version, which is not valid"),
        ({"version": None}, SourceError, "gives None as a version"),
        ("0.1.2", SourceError, "gives None as a version"),
    ],
)
def test_newest_version__is_checked(
    dandi: Dandi, archive: StandIn, newest: object, error: type[Exception], message: str
) -> None:
    document = {"most_recent_published_version": newest}
    serve_json(archive, "/api/dandisets/000022/", document)
    with pytest.raises(error, match=message):
        dandi.locate(FILE("session", 766640955))


def test_newest_version__is_not_asked_for_where_one_is_given(
    archive: StandIn, hasty: HttpOptions
) -> None:
    path = "/api/dandisets/000022/versions/draft/assets/"
    asset = {**ASSET, "path": "sub-1_ses-766640955.nwb"}
    serve_json(archive, path, {"count": 1, "next": None, "results": [asset]})
    versions = {"000022": "draft"}
    dandi = Dandi(archive.url("/api"), tables=Tables(), versions=versions, options=hasty)
    assert dandi.locate(FILE("session", 766640955)).size == ASSET["size"]
    assert f"{path}?page_size=1000" in archive.seen


def test_locate__looks_into_both_dandisets(dandi: Dandi, archive: StandIn) -> None:
    newest = {"most_recent_published_version": {"version": "0.1.2"}}
    serve_json(archive, "/api/dandisets/000022/", newest)
    asset = {**ASSET, "path": "sub-1_ses-766640955_probe-773592315_ecephys.nwb"}
    listing = "/api/dandisets/000022/versions/0.1.2/assets/"
    serve_json(archive, listing, {"count": 1, "next": None, "results": [asset]})
    assert dandi.locate(FILE("lfp", 766640955, 773592315)).name == "LFP of probe 773592315"
    with pytest.raises(
        NotFoundError,
        match=r"neither DANDI:000021/0\.251116\.2246 nor DANDI:000022/0\.1\.2 has a file for "
        "session 791319848: none was released",
    ):
        dandi.locate(FILE("session", 791319848))
    with pytest.raises(NotFoundError, match="has a file for LFP of probe 805008600"):
        dandi.locate(FILE("lfp", 791319847, 805008600))
    # each list once, though asked three times
    assert [archive.n_seen(path) for path in (LISTING, listing)] == [1, 1]


def test_locate__refuses_what_is_no_id(dandi: Dandi, archive: StandIn) -> None:
    with pytest.raises(InvalidArgumentError, match="is not an id"):
        dandi.locate(FILE("session", "../1"))  # type: ignore[arg-type]
    assert archive.seen == []


def test_locate__does_without_the_source_of_tables(
    archive: StandIn, hasty: HttpOptions, closed_address: str
) -> None:
    tables = S3(f"http://{closed_address}/", options=hasty)
    dandi = Dandi(archive.url("/api/"), tables=tables, options=hasty)
    assert dandi.locate(FILE("session", 791319847)).sha256 == SHA256
    with pytest.raises(SourceError, match=f"{closed_address} cannot be reached"):
        dandi.read_table(FILE("sessions"))


def test_locate__of_templates_goes_on_elsewhere(dandi: Dandi, archive: StandIn) -> None:
    for kind in ("scene", "movie"):
        with pytest.raises(NotFoundError, match=r"the DANDI Archive has no natural .* on S3 have"):
            dandi.locate(FILE(kind, 1))
    assert archive.seen == []


def test_locate__of_a_table_is_the_file_of_the_other_source(archive: StandIn) -> None:
    s3 = S3(archive.url("/bucket"))
    dandi = Dandi(archive.url("/api"), tables=s3)
    for file in (FILE("units"), FILE("type_metrics", "functional_connectivity")):
        assert dandi.locate(file) == s3.locate(file)


def test_locate__of_a_table_is_made_of_its_rows_where_there_is_no_file(dandi: Dandi) -> None:
    def read(*of: Any) -> bytes:
        return b"".join(dandi.locate(FILE(*of)))  # type: ignore[arg-type]

    assert read("sessions").startswith(b"id,session_type\n791319847,brain_observatory_1.1\n")
    metrics = read("type_metrics", "functional_connectivity")
    assert metrics == b"ecephys_unit_id,kind\n1,functional_connectivity\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"versions": {"000021": "newest"}}, "'newest' is not a version of a dandiset"),
        ({"versions": {"000021": "0.1.2/../x"}}, "is not a version"),
        (
            {"versions": {"000023": "0.1.2"}},
            "the data set is not in dandiset '000023': did you mean",
        ),
        ({"base_url": "http://api.dandiarchive.org/"}, "as the address of the DANDI Archive"),
    ],
)
def test_dandi__refuses_what_cannot_be_meant(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        Dandi(**options)


def test_listing__knows_the_published_names(shared_folder: Path) -> None:
    table = pd.read_csv(shared_folder / "facts" / "dandi_000021_assets.csv")
    files = Listing("DANDI:000021")
    for row in table.itertuples():
        files.add(Asset(row.asset_id, row.path, row.size_bytes))
    names = [name for name, _ in files.assets]
    assert (names.count("session"), names.count("lfp"), len(names)) == (32, 182, 214)
    found = [files.find(FILE("session", 791319847)), files.find(FILE("lfp", 791319847, 805008600))]
    assert [asset.size for asset in found if asset is not None] == [2_317_463_664, 2_178_747_735]
    assert files.find(FILE("session", 805008600)) is None
    assert all(len(found) == 1 for found in files.assets.values())


def test_dandi__is_a_source() -> None:
    sources: list[Source] = [Dandi(), S3(), Dandi(tables=Tables())]
    assert [source.name for source in sources] == ["dandi", "s3", "dandi"]
