"""The store: what lies where, which source is asked, what is said when none delivers."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from spikehouse.errors import (
    CacheError,
    InvalidArgumentError,
    InvalidFileError,
    NotFoundError,
    SourceError,
    SpikehouseError,
    TransferError,
)
from spikehouse.survey.file_kinds import PlannedFile
from spikehouse.survey.manifest import (
    MANIFEST_VERSION,
    Manifest,
    create_manifest,
    read_manifest,
)
from spikehouse.survey.pictures import read_movie, read_scene
from spikehouse.survey.plan import inspect_file
from spikehouse.survey.store import Store
from spikehouse.transfer.remote_file import Content, LocalFile, RemoteFile
from spikehouse.transfer.retry import UnreachableError

if TYPE_CHECKING:
    from tests.unit.conftest import StandIn

FROZEN = Path(__file__).parents[2] / "parity" / "project_tables" / "folder"
TYPE = "brain_observatory_1.1"
SESSION = 900000001
BODY = b"\x89HDF\r\n\x1a\n" + b"\x09" + bytes(300)


class Silent:
    """A source whose every method raises."""

    name = "silent"

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error or AssertionError("a source was asked")
        self.asked: list[str] = []

    def _raise(self, what: str) -> Any:
        self.asked.append(what)
        raise self.error

    def get_sessions(self) -> pd.DataFrame:
        return self._raise("sessions")

    def get_probes(self) -> pd.DataFrame:
        return self._raise("probes")

    def get_channels(self) -> pd.DataFrame:
        return self._raise("channels")

    def get_units(self) -> pd.DataFrame:
        return self._raise("units")

    def get_session_data(self, session_id: int) -> Content:
        return self._raise("session")

    def get_probe_lfp_data(self, probe_id: int) -> Content:
        return self._raise("lfp")

    def get_natural_scene_template(self, number: int) -> Content:
        return self._raise("scene")

    def get_natural_movie_template(self, number: int) -> Content:
        return self._raise("movie")

    def get_unit_analysis_metrics(
        self,
        unit_ids: Iterable[int] | None = None,
        ecephys_session_ids: Iterable[int] | None = None,
        session_types: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        return self._raise("metrics")


class Pages(Silent):
    """A source that lists rows and hands over bytes."""

    name = "pages"

    def get_units(self) -> pd.DataFrame:
        self.asked.append("units")
        return pd.read_csv(FROZEN / "units.csv", index_col="id")

    def get_session_data(self, session_id: int) -> Content:
        self.asked.append("session")
        return iter([BODY[:20], BODY[20:]])


class Files(Silent):
    """A source that has the CSV files as they are."""

    name = "files"

    def __init__(self, find: Callable[[str], Content]) -> None:
        super().__init__()
        self.find = find

    def locate(self, file: PlannedFile) -> Content:
        self.asked.append(file.key)
        if file.kind.table is None:
            self._raise(file.name)
        if not file.kind.is_published:
            raise NotFoundError(f"there is no {file.name}")
        return self.find(file.key)


@pytest.fixture(autouse=True)
def _no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEHOUSE_PROGRESS", "0")


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return create_manifest(tmp_path / "manifest.json")


def fetch_session(store: Store) -> Path:
    return store.fetch(store.file("session", 7))


def fill(manifest: Manifest) -> None:
    for path in FROZEN.glob("*.csv"):
        shutil.copy(path, manifest.folder)


# --- which file


def test_file__says_what_it_is_and_where(manifest: Manifest) -> None:
    store = Store(manifest)
    files = {
        "session_7/session_7.nwb": store.file("session", 7),
        "session_7/probe_8_lfp.nwb": store.file("lfp", 7, 8),
        "natural_scene_templates/natural_scene_5.tiff": store.file("scene", 5),
        "natural_movie_templates/natural_movie_1.h5": store.file("movie", 1),
        "units.csv": store.file("units"),
        "session_7/session_7_analysis_metrics.csv": store.file("session_metrics", 7),
        f"{TYPE}_analysis_metrics.csv": store.file("type_metrics", TYPE),
    }
    for name, file in files.items():
        assert file.path == manifest.folder / name
        assert file.key == name
    assert [file.kind.group for file in files.values()][:5] == [
        "session",
        "lfp",
        "scene",
        "movie",
        "table",
    ]
    assert [file.name for file in files.values()] == [
        "session 7",
        "LFP of probe 8",
        "natural scene 5",
        "natural movie 1",
        "table units",
        "table session_7_analysis_metrics",
        f"table {TYPE}_analysis_metrics",
    ]


def test_state__looks_at_the_disk_only(manifest: Manifest) -> None:
    store = Store(manifest, [Silent()])
    target = store.file("session", SESSION)
    assert store.state(target) == ("absent", 0)
    target.path.parent.mkdir()
    # a part without its state is nothing to go on from
    target.path.with_name(f"{target.path.name}.part").write_bytes(BODY)
    assert store.state(target) == ("absent", 0)
    target.path.write_bytes(BODY)
    assert store.state(target) == ("cached", len(BODY))


# --- one source after the other


def test_fetch__takes_what_is_there_without_asking(manifest: Manifest) -> None:
    source = Silent()
    store = Store(manifest, [source])
    target = store.file("session", SESSION)
    target.path.parent.mkdir()
    target.path.write_bytes(b"whatever")
    assert store.fetch(target) == target.path
    assert store.fetch(store.file("session", SESSION)) == target.path
    assert store.stream(target) == target.path
    assert source.asked == []


@pytest.mark.parametrize(
    "error",
    [
        SourceError("out of order"),
        TransferError("cut short"),
        InvalidFileError("no HDF5"),
        NotFoundError("has none"),
    ],
)
def test_fetch__goes_on_with_the_next_source(
    manifest: Manifest, error: SpikehouseError, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = Silent(error), Pages()
    store = Store(manifest, [first, second])
    with caplog.at_level(logging.WARNING, logger="spikehouse"):
        path = store.fetch(store.file("session", SESSION))
    assert path.read_bytes() == BODY
    assert (first.asked, second.asked) == (["session"], ["session"])
    assert f"is used, because silent failed: {error}" in caplog.text


def test_fetch__goes_on_when_what_arrived_is_no_good(manifest: Manifest) -> None:
    class Wrong(Pages):
        name = "wrong"

        def get_session_data(self, session_id: int) -> Content:
            return iter([b"<html>not today</html>"])

    store = Store(manifest, [Wrong(), Pages()])
    assert store.fetch(store.file("session", SESSION)).read_bytes() == BODY
    store = Store(manifest, [Wrong()])
    with pytest.raises(InvalidFileError, match="is not an HDF5 file"):
        store.fetch(store.file("session", 7))


def test_fetch__names_every_source_and_why(manifest: Manifest) -> None:
    store = Store(manifest, [Silent(SourceError("out of order")), Files(lambda name: iter(()))])
    store.sources[1].error = NotFoundError("was never released")  # type: ignore[attr-defined]
    with pytest.raises(
        SourceError,
        match=r"no source could give session 7\. silent: out of order; files: was never released",
    ):
        store.fetch(store.file("session", 7))
    assert not store.file("session", 7).path.exists()


def test_fetch__is_not_found_when_nobody_has_it(manifest: Manifest) -> None:
    class Own(Silent):
        name = "own"

    sources = [Silent(NotFoundError("none here")), Own(NotFoundError("none there"))]
    store = Store(manifest, sources)
    with pytest.raises(
        NotFoundError, match=r"no source has LFP of probe 8\. silent: none here; own: none there"
    ):
        store.fetch(store.file("lfp", 7, 8))


def test_fetch__of_one_source_raises_its_own_error(manifest: Manifest) -> None:
    error = TransferError("cut short")
    with pytest.raises(TransferError) as caught:
        fetch_session(Store(manifest, [Silent(error)]))
    assert caught.value is error


def test_fetch__does_not_blame_a_source_for_the_disk(manifest: Manifest) -> None:
    second = Pages()
    store = Store(manifest, [Silent(CacheError("no space left")), second])
    with pytest.raises(CacheError, match="no space left"):
        store.fetch(store.file("session", 7))
    assert second.asked == []


def test_fetch__calls_a_nameless_source_by_its_class(manifest: Manifest) -> None:
    class MyDisk:
        def get_session_data(self, session_id: int) -> Content:
            raise SourceError("is unplugged")

    sources: list[Any] = [MyDisk(), Silent(SourceError("no"))]
    with pytest.raises(SourceError, match="MyDisk: is unplugged; silent: no"):
        fetch_session(Store(manifest, sources))


# --- tables


def test_read_table__keeps_the_csv_of_a_source_byte_for_byte(
    manifest: Manifest, server: StandIn
) -> None:
    # line ends and a column of nobody's: not what we would write
    body = (FROZEN / "units.csv").read_bytes().replace(b"\n", b"\r\n")
    server.serve_bytes("/units.csv", body, kind="text/csv")
    source = Files(lambda name: RemoteFile(server.url(f"/{name}"), name))
    store = Store(manifest, [source])
    frame = store.read_table("units")
    assert store.file("units").path.read_bytes() == body
    assert server.n_seen("/units.csv") == 1
    assert source.asked == ["units.csv"]
    assert store.read_table("units") is frame
    expected = Store(manifest).read_table("units")
    pd.testing.assert_frame_equal(frame, expected)


def test_read_table__takes_a_csv_from_another_folder(manifest: Manifest) -> None:
    path = FROZEN / "units.csv"
    store = Store(manifest, [Files(lambda name: LocalFile(path, name))])
    store.read_table("units")
    assert store.file("units").path.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("body", [b"id,snr\n1,2.0\n", b"", b"<html>please log in</html>\n"])
def test_read_table__keeps_no_csv_that_is_none_and_asks_the_next(
    manifest: Manifest, body: bytes
) -> None:
    pages = Pages()
    store = Store(manifest, [Files(lambda name: iter([body])), pages])
    assert len(store.read_table("units")) == len(pd.read_csv(FROZEN / "units.csv"))
    assert pages.asked == ["units"]
    path = store.file("units").path
    path.unlink()
    with pytest.raises(InvalidFileError, match="is not a table of units"):
        Store(manifest, [Files(lambda name: iter([body]))]).read_table("units")
    assert not path.exists()


def test_read_table__of_metrics_takes_the_file_of_a_source(manifest: Manifest) -> None:
    source = Files(lambda name: LocalFile(FROZEN / name, name))
    metrics = Store(manifest, [source]).read_table("type_metrics", TYPE)
    assert len(metrics) == len(pd.read_csv(FROZEN / f"{TYPE}_analysis_metrics.csv"))
    assert source.asked == [f"{TYPE}_analysis_metrics.csv"]


def test_read_table__of_metrics_of_a_type_of_ones_own(manifest: Manifest) -> None:
    source = Silent(SourceError("by rows"))
    with pytest.raises(SourceError, match="by rows"):
        Store(manifest, [source]).read_table("type_metrics", "of my own")
    assert source.asked == ["metrics"]
    with pytest.raises(InvalidArgumentError, match="it becomes part of a file name"):
        Store(manifest).read_table("type_metrics", "../of my own")


def test_read_session_metrics__rows_of_the_file_of_its_type(manifest: Manifest) -> None:
    fill(manifest)
    root = manifest.folder
    by_session = next(root.glob("session_*_analysis_metrics.csv"), None)
    if by_session is not None:
        by_session.unlink()
    store = Store(manifest, [Files(lambda name: LocalFile(FROZEN / name, name))])
    found = store.read_session_metrics(SESSION)
    whole = pd.read_csv(FROZEN / f"{TYPE}_analysis_metrics.csv", index_col="ecephys_unit_id")
    units = pd.read_csv(FROZEN / "units.csv", index_col="id")
    channels = pd.read_csv(FROZEN / "channels.csv", index_col="id")
    probes = pd.read_csv(FROZEN / "probes.csv", index_col="id")
    probe_of = units["ecephys_channel_id"].map(channels["ecephys_probe_id"])
    of_session = probe_of.map(probes["ecephys_session_id"]) == SESSION
    expected = whole[whole.index.isin(units.index[of_session])]
    assert 0 < len(expected) < len(whole)
    assert found.index.tolist() == expected.index.tolist()


def test_read_session_metrics__without_a_network_are_those_of_its_type(manifest: Manifest) -> None:
    fill(manifest)
    for path in manifest.folder.glob("session_*/*_analysis_metrics.csv"):
        path.unlink()
    by_type = Store(manifest).read_table("type_metrics", TYPE)
    assert 0 < len(Store(manifest).read_session_metrics(SESSION)) < len(by_type)


def test_read_session_metrics__by_rows_where_a_source_has_no_files(manifest: Manifest) -> None:
    source = Pages()
    source.error = SourceError("by rows")
    with pytest.raises(SourceError, match="by rows"):
        Store(manifest, [source]).read_session_metrics(SESSION)
    assert source.asked == ["metrics"]


@pytest.mark.parametrize("name", ["sessions", "probes", "channels", "units"])
def test_read_table__needs_nobody_when_everything_is_cached(
    manifest: Manifest, name: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(manifest)
    source = Silent()
    first = Store(manifest, [source, source]).read_table(name)
    twin = Store(manifest).own / "tables" / f"{name}.parquet"
    assert twin.exists()

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the CSV was parsed")

    monkeypatch.setattr(pd, "read_csv", refuse)
    again = Store(manifest, [source]).read_table(name)
    pd.testing.assert_frame_equal(again, first)
    assert source.asked == []


def test_project__needs_nobody_when_everything_is_cached(manifest: Manifest) -> None:
    from spikehouse.cache import EcephysProjectCache

    fill(manifest)
    source = Silent()
    for _ in range(2):
        project = EcephysProjectCache(source, manifest=manifest.path)
        assert len(project.get_session_table()) == 3
        assert len(project.get_units()) > 0
        assert len(project.get_probes()) > 0
        assert len(project.get_channels()) > 0
        assert len(project.get_unit_analysis_metrics_by_session_type(TYPE)) > 0
    assert source.asked == []


def test_read_columns__gives_what_the_whole_table_has(manifest: Manifest) -> None:
    fill(manifest)
    columns = ["ecephys_channel_id", "snr", "quality", "no such column"]
    whole = Store(manifest).read_columns("units", columns)
    # the twin is there now
    store = Store(manifest)
    some = store.read_columns("units", columns)
    assert set(some.columns) == set(columns[:3])
    pd.testing.assert_frame_equal(some[["snr"]], whole[["snr"]])
    assert some["quality"].tolist() == whole["quality"].tolist()
    assert store.read_columns("units", columns) is some
    # once the whole is in memory there is nothing cheaper
    assert store.read_columns("units", columns[:1]) is not store.read_table("units")
    assert store.read_columns("units", columns) is store.read_table("units")


def test_read_columns__fetches_what_is_missing(manifest: Manifest) -> None:
    store = Store(manifest, [Pages()])
    assert len(store.read_columns("units", ["snr"])) == len(store.read_table("units"))


def test_fixed__says_what_is_missing_and_how_to_fetch_it(manifest: Manifest) -> None:
    store = Store(manifest)
    asks: list[Callable[[], object]] = [
        lambda: store.read_table("units"),
        lambda: store.fetch(store.file("session", 7)),
        lambda: store.stream(store.file("session", 7)),
        lambda: store.read_session_metrics(7),
    ]
    for ask in asks:
        with pytest.raises(
            CacheError,
            match=r"is not in the cache folder.*fixed\(\).*EcephysProjectCache\(manifest=",
        ):
            ask()


# --- plans


def test_inspect_file__asks_the_server_what_the_source_does_not_tell(
    manifest: Manifest, server: StandIn
) -> None:
    server.serve_bytes("/it", BODY, ETag='"abc"')

    class Linked(Silent):
        def get_session_data(self, session_id: int) -> Content:
            return RemoteFile(server.url("/it"), "it", source="linked")

    store = Store(manifest, [Linked()])
    item = inspect_file(store, store.file("session", 7))
    assert (item.state, item.n_bytes, item.source) == ("absent", len(BODY), "linked")
    assert item.url == server.url("/it")


def test_inspect_file__believes_a_source_that_knows(manifest: Manifest) -> None:
    known = RemoteFile("http://127.0.0.1:9/it", "it", size=5, etag='"abc"', source="known")
    local = LocalFile(FROZEN / "units.csv", "it")

    class Knowing(Silent):
        def get_session_data(self, session_id: int) -> Content:
            return known if session_id == 7 else local

    store = Store(manifest, [Knowing()])
    items = [inspect_file(store, store.file("session", number)) for number in (7, 8)]
    assert [(item.n_bytes, item.source) for item in items] == [
        (5, "known"),
        (local.path.stat().st_size, "folder"),
    ]
    assert store.stream(store.file("session", 8)) == local.path


def test_inspect_file__names_the_source_of_what_is_made_on_request(manifest: Manifest) -> None:
    pages = Pages()
    store = Store(manifest, [pages])
    item = inspect_file(store, store.file("units"))
    assert (item.source, item.n_bytes, item.problem) == ("pages", None, "")
    assert pages.asked == []


def test_stream__says_when_there_is_no_address(manifest: Manifest) -> None:
    store = Store(manifest, [Pages()])
    with pytest.raises(
        SourceError, match=r"pages generates session 7 on request, so there is no URL"
    ):
        store.stream(store.file("session", 7))


# --- what is ours


def test_lock_for__names_every_file_apart(manifest: Manifest, tmp_path: Path) -> None:
    store = Store(manifest)
    assert store.lock_for(store.file("units").path) == store.own / "locks" / "units.csv.lock"
    assert store.lock_for(store.file("session", 7).path).name == "session_7__session_7.nwb.lock"
    # a manifest may put files elsewhere: their locks are still here
    assert store.lock_for(tmp_path.parent / "units.csv").parent == store.own / "locks"


def test_read_table__leaves_only_the_folders_own_files(manifest: Manifest) -> None:
    shutil.copy(FROZEN / "sessions.csv", manifest.folder)
    assert len(Store(manifest).read_table("sessions")) == 3
    visible = [found.name for found in manifest.folder.iterdir()]
    assert sorted(visible) == [".spikehouse", "manifest.json", "sessions.csv"]


def test_read_table__keeps_copies_of_the_metrics_of_each_session(manifest: Manifest) -> None:
    for session_id in (7, 8):
        path = manifest.file("session_metrics", session_id).path
        path.parent.mkdir()
        path.write_text(f"ecephys_unit_id,g_osi_dg\n{session_id},0.5\n")
        for _ in range(2):
            table = Store(manifest).read_table("session_metrics", session_id)
            assert table.index.tolist() == [session_id]
    assert sorted(path.name for path in (Store(manifest).own / "tables").glob("*.parquet")) == [
        "session_7__session_7_analysis_metrics.parquet",
        "session_8__session_8_analysis_metrics.parquet",
    ]


def test_read_columns__makes_the_copy_that_is_missing(manifest: Manifest) -> None:
    shutil.copy(FROZEN / "units.csv", manifest.folder)
    assert len(Store(manifest).read_columns("units", ["snr"]).columns) > 1
    assert Store(manifest).read_columns("units", ["snr"]).columns.tolist() == ["snr"]


def test_read_scene_and_movie__decode_what_was_fetched(manifest: Manifest) -> None:
    import tifffile

    image, movie = np.ones((918, 1174), np.uint8), np.ones((2, 304, 608), np.uint8)
    tiff, npy = io.BytesIO(), io.BytesIO()
    tifffile.imwrite(tiff, image)
    np.save(npy, movie)

    class Pictures(Silent):
        def get_natural_scene_template(self, number: int) -> Iterator[bytes]:
            return iter([tiff.getvalue()])

        def get_natural_movie_template(self, number: int) -> Iterator[bytes]:
            return iter([npy.getvalue()])

    source = Pictures()
    store = Store(manifest, [source])
    np.testing.assert_array_equal(read_scene(store.fetch(store.file("scene", 5))), image)
    np.testing.assert_array_equal(read_movie(store.fetch(store.file("movie", 1))), movie)


def test_fetch__nobody_answers__says_what_can_be_used_without_a_network(tmp_path: Path) -> None:
    manifest = create_manifest(tmp_path / "manifest.json")
    store = Store(manifest, (Silent(UnreachableError("a.org cannot be reached")),), progress=False)
    with pytest.raises(UnreachableError, match=r"cannot be reached\. Is there .*\.fixed\(manifest"):
        store.fetch(store.file("session", SESSION))


def test_fetch__folder_cannot_be_used__says_which_argument_names_another(tmp_path: Path) -> None:
    manifest = create_manifest(tmp_path / "manifest.json")
    store = Store(manifest, (Pages(),), progress=False)
    file = store.file("session", SESSION)
    file.path.parent.write_text("a file, not a folder")
    with pytest.raises(CacheError, match=r"a file stands where .* choose another with manifest=…"):
        store.fetch(file)


def test_read_table__tells_tables_outside_the_folder_apart(tmp_path: Path) -> None:
    folder, outer = tmp_path / "cache", tmp_path / "outer"
    folder.mkdir()
    spec = f"{outer.as_posix()}/session_%d/metrics.csv"
    entries = [
        {"type": "manifest_version", "value": MANIFEST_VERSION},
        {"key": "session_analysis_metrics", "type": "file", "spec": spec},
    ]
    (folder / "manifest.json").write_text(json.dumps({"manifest": entries}))
    manifest = read_manifest(folder / "manifest.json")
    for session_id in (7, 8):
        path = manifest.file("session_metrics", session_id).path
        path.parent.mkdir(parents=True)
        path.write_text(f"ecephys_unit_id,g_osi_dg\n{session_id},0.5\n")
        os.utime(path, ns=(1, 1))
        for _ in range(2):
            table = Store(manifest).read_table("session_metrics", session_id)
            assert table.index.tolist() == [session_id]
    assert len([*(Store(manifest).own / "tables").glob("*.parquet")]) == 2
