"""The store: what lies where, which source is asked, what is said when none delivers."""

from __future__ import annotations

import io
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from spikehouse.errors import (
    CacheError,
    InvalidFileError,
    NotFoundError,
    SourceError,
    SpikehouseError,
    TransferError,
)
from spikehouse.survey.folder import CacheFolder
from spikehouse.survey.manifest import create_manifest
from spikehouse.survey.protocol import Source
from spikehouse.survey.store import Store
from spikehouse.survey.targets import TABLES
from spikehouse.transfer.remote_file import Content, LocalFile, RemoteFile

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
    """A source that has the CSVs as they are."""

    name = "files"

    def __init__(self, find: Callable[[str], Content]) -> None:
        super().__init__()
        self.find = find

    def get_table_file(self, name: str) -> Content:
        self.asked.append(f"{name}.csv")
        return self.find(name)


@pytest.fixture(autouse=True)
def _no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEHOUSE_PROGRESS", "0")


@pytest.fixture
def folder(tmp_path: Path) -> CacheFolder:
    return CacheFolder(create_manifest(tmp_path / "manifest.json"))


def fill(folder: CacheFolder) -> None:
    for path in FROZEN.glob("*.csv"):
        shutil.copy(path, folder.manifest.folder)


# --- which file


def test_targets__say_what_a_file_is_and_where(folder: CacheFolder) -> None:
    store = Store(folder, ())
    root = folder.manifest.folder
    targets = {
        "session_7/session_7.nwb": store.target_session(7),
        "session_7/probe_8_lfp.nwb": store.target_lfp(7, 8),
        "natural_scene_templates/natural_scene_5.tiff": store.target_scene(5),
        "natural_movie_templates/natural_movie_1.h5": store.target_movie(1),
        "units.csv": store.target_table("units"),
        "session_7/session_7_analysis_metrics.csv": store.target_session_metrics(7),
        f"{TYPE}_analysis_metrics.csv": store.target_type_metrics(TYPE),
    }
    for name, target in targets.items():
        assert target.path == root / name
    assert [(target.kind, target.ids) for target in targets.values()] == [
        ("session", (7,)),
        ("lfp", (7, 8)),
        ("scene", (5,)),
        ("movie", (1,)),
        ("table", ("units",)),
        ("table", ("session_7_analysis_metrics",)),
        ("table", (f"{TYPE}_analysis_metrics",)),
    ]
    assert [target.name for target in targets.values()][:5] == [
        "session 7",
        "LFP of probe 8",
        "natural scene 5",
        "natural movie 1",
        "table units",
    ]
    assert store.source is None


def test_state__looks_at_the_disk_only(folder: CacheFolder) -> None:
    store = Store(folder, [Silent()])
    target = store.target_session(SESSION)
    assert store.state(target) == ("absent", 0)
    target.path.parent.mkdir()
    # a part without its state is nothing to go on from
    target.path.with_name(f"{target.path.name}.part").write_bytes(BODY)
    assert store.state(target) == ("absent", 0)
    target.path.write_bytes(BODY)
    assert store.state(target) == ("cached", len(BODY))


# --- one source after the other


def test_fetch__takes_what_is_there_without_asking(folder: CacheFolder) -> None:
    source = Silent()
    store = Store(folder, [source])
    target = store.target_session(SESSION)
    target.path.parent.mkdir()
    target.path.write_bytes(b"whatever")
    assert store.fetch(target) == target.path
    assert store.fetch_session(SESSION) == target.path
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
    folder: CacheFolder, error: SpikehouseError, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = Silent(error), Pages()
    store = Store(folder, [first, second])
    with caplog.at_level(logging.WARNING, logger="spikehouse"):
        path = store.fetch(store.target_session(SESSION))
    assert path.read_bytes() == BODY
    assert (first.asked, second.asked) == (["session"], ["session"])
    assert f"is used, because silent failed: {error}" in caplog.text
    assert store.source is first


def test_fetch__goes_on_when_what_arrived_is_no_good(folder: CacheFolder) -> None:
    class Wrong(Pages):
        name = "wrong"

        def get_session_data(self, session_id: int) -> Content:
            return iter([b"<html>not today</html>"])

    store = Store(folder, [Wrong(), Pages()])
    assert store.fetch(store.target_session(SESSION)).read_bytes() == BODY
    store = Store(folder, [Wrong()])
    with pytest.raises(InvalidFileError, match="is not an HDF5 file"):
        store.fetch(store.target_session(7))


def test_fetch__names_every_source_and_why(folder: CacheFolder) -> None:
    store = Store(folder, [Silent(SourceError("out of order")), Files(lambda name: iter(()))])
    store.sources[1].error = NotFoundError("was never released")  # type: ignore[attr-defined]
    with pytest.raises(
        SourceError,
        match=r"no source could give session 7\. silent: out of order; files: was never released",
    ):
        store.fetch(store.target_session(7))
    assert not store.target_session(7).path.exists()


def test_fetch__is_not_found_when_nobody_has_it(folder: CacheFolder) -> None:
    class Own(Silent):
        name = "own"

    sources = [Silent(NotFoundError("none here")), Own(NotFoundError("none there"))]
    store = Store(folder, sources)
    with pytest.raises(
        NotFoundError, match=r"no source has LFP of probe 8\. silent: none here; own: none there"
    ):
        store.fetch_lfp(7, 8)


def test_fetch__of_one_source_raises_its_own_error(folder: CacheFolder) -> None:
    error = TransferError("cut short")
    with pytest.raises(TransferError) as caught:
        Store(folder, [Silent(error)]).fetch_session(7)
    assert caught.value is error


def test_fetch__does_not_blame_a_source_for_the_disk(folder: CacheFolder) -> None:
    second = Pages()
    store = Store(folder, [Silent(CacheError("no space left")), second])
    with pytest.raises(CacheError, match="no space left"):
        store.fetch_session(7)
    assert second.asked == []


def test_fetch__calls_a_nameless_source_by_its_class(folder: CacheFolder) -> None:
    class MyDisk:
        def get_session_data(self, session_id: int) -> Content:
            raise SourceError("is unplugged")

    sources: list[Any] = [MyDisk(), Silent(SourceError("no"))]
    with pytest.raises(SourceError, match="MyDisk: is unplugged; silent: no"):
        Store(folder, sources).fetch_session(7)


# --- tables


def test_read_table__keeps_the_csv_of_a_source_byte_for_byte(
    folder: CacheFolder, server: StandIn
) -> None:
    # line ends and a column of nobody's: not what we would write
    body = (FROZEN / "units.csv").read_bytes().replace(b"\n", b"\r\n")
    server.serve_bytes("/units.csv", body, kind="text/csv")
    source = Files(lambda name: RemoteFile(server.url(f"/{name}.csv"), f"{name}.csv"))
    store = Store(folder, [source])
    frame = store.read_table("units")
    assert store.target_table("units").path.read_bytes() == body
    assert server.n_seen("/units.csv") == 1
    assert source.asked == ["units.csv"]
    assert store.read_table("units") is frame
    expected = Store(folder, ()).read_table("units")
    pd.testing.assert_frame_equal(frame, expected)


def test_read_table__takes_a_csv_from_another_folder(folder: CacheFolder) -> None:
    path = FROZEN / "units.csv"
    store = Store(folder, [Files(lambda name: LocalFile(path, name))])
    store.read_table("units")
    assert store.target_table("units").path.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("body", [b"id,snr\n1,2.0\n", b"", b"<html>please log in</html>\n"])
def test_read_table__keeps_no_csv_that_is_none_and_asks_the_next(
    folder: CacheFolder, body: bytes
) -> None:
    pages = Pages()
    store = Store(folder, [Files(lambda name: iter([body])), pages])
    assert len(store.read_table("units")) == len(pd.read_csv(FROZEN / "units.csv"))
    assert pages.asked == ["units"]
    path = store.target_table("units").path
    path.unlink()
    with pytest.raises(InvalidFileError, match="is not a table of units"):
        Store(folder, [Files(lambda name: iter([body]))]).read_table("units")
    assert not path.exists()


def test_read_type_metrics__takes_the_file_only_where_there_may_be_one(
    folder: CacheFolder,
) -> None:
    metrics = FROZEN / f"{TYPE}_analysis_metrics.csv"
    source = Files(lambda name: LocalFile(metrics, name))
    source.error = SourceError("by rows")
    store = Store(folder, [source])
    assert len(store.read_type_metrics(TYPE)) == len(pd.read_csv(metrics))
    with pytest.raises(SourceError, match="by rows"):
        store.read_type_metrics("of_my_own")
    assert source.asked == [f"{TYPE}_analysis_metrics.csv", "metrics"]


def test_read_session_metrics__rows_of_the_file_of_its_type(folder: CacheFolder) -> None:
    fill(folder)
    root = folder.manifest.folder
    by_session = next(root.glob("session_*_analysis_metrics.csv"), None)
    if by_session is not None:
        by_session.unlink()
    store = Store(folder, [Files(lambda name: LocalFile(FROZEN / f"{name}.csv", name))])
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


def test_read_session_metrics__by_rows_where_a_source_has_no_files(folder: CacheFolder) -> None:
    source = Pages()
    source.error = SourceError("by rows")
    with pytest.raises(SourceError, match="by rows"):
        Store(folder, [source]).read_session_metrics(SESSION)
    assert source.asked == ["metrics"]


@pytest.mark.parametrize("name", list(TABLES))
def test_read_table__needs_nobody_when_everything_is_cached(
    folder: CacheFolder, name: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(folder)
    source = Silent()
    first = Store(folder, [source, source]).read_table(name)
    twin = folder.own / "tables" / f"{name}.parquet"
    assert twin.exists()

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the CSV was parsed")

    monkeypatch.setattr(pd, "read_csv", refuse)
    again = Store(folder, [source]).read_table(name)
    pd.testing.assert_frame_equal(again, first)
    assert source.asked == []


def test_project__needs_nobody_when_everything_is_cached(folder: CacheFolder) -> None:
    from spikehouse.project import EcephysProjectCache

    fill(folder)
    source = Silent()
    for _ in range(2):
        project = EcephysProjectCache(source, manifest=folder.manifest.path)
        assert len(project.get_session_table()) == 3
        assert len(project.get_units()) > 0
        assert len(project.get_probes()) > 0
        assert len(project.get_channels()) > 0
        assert len(project.get_unit_analysis_metrics_by_session_type(TYPE)) > 0
    assert source.asked == []


def test_read_columns__gives_what_the_whole_table_has(folder: CacheFolder) -> None:
    fill(folder)
    columns = ["ecephys_channel_id", "snr", "quality", "no such column"]
    whole = Store(folder, ()).read_columns("units", columns)
    # the twin is there now
    store = Store(folder, ())
    some = store.read_columns("units", columns)
    assert set(some.columns) == set(columns[:3])
    pd.testing.assert_frame_equal(some[["snr"]], whole[["snr"]])
    assert some["quality"].tolist() == whole["quality"].tolist()
    assert store.read_columns("units", columns) is some
    # once the whole is in memory there is nothing cheaper
    assert store.read_columns("units", columns[:1]) is not store.read_table("units")
    assert store.read_columns("units", columns) is store.read_table("units")


def test_read_columns__fetches_what_is_missing(folder: CacheFolder) -> None:
    store = Store(folder, [Pages()])
    assert len(store.read_columns("units", ["snr"])) == len(store.read_table("units"))


def test_fixed__says_what_is_missing_and_how_to_fetch_it(folder: CacheFolder) -> None:
    store = Store(folder, ())
    asks: list[Callable[[], object]] = [
        lambda: store.read_table("units"),
        lambda: store.fetch(store.target_session(7)),
        lambda: store.locate(store.target_session(7)),
        lambda: store.stream(store.target_session(7)),
        lambda: store.read_scene(5),
    ]
    for ask in asks:
        with pytest.raises(
            CacheError,
            match=r"is not in the cache folder.*fixed\(\).*EcephysProjectCache\(manifest=",
        ):
            ask()


# --- where it is


def test_locate__asks_the_server_what_the_source_does_not_tell(
    folder: CacheFolder, server: StandIn
) -> None:
    server.serve_bytes("/it", BODY, ETag='"abc"')

    class Linked(Silent):
        def get_session_data(self, session_id: int) -> Content:
            return RemoteFile(server.url("/it"), "it", source="linked")

    found = Store(folder, [Linked()]).locate(Store(folder, ()).target_session(7))
    assert isinstance(found, RemoteFile)
    assert (found.size, found.etag, found.source) == (len(BODY), '"abc"', "linked")


def test_locate__believes_a_source_that_knows(folder: CacheFolder) -> None:
    known = RemoteFile("http://127.0.0.1:9/it", "it", size=5, etag='"abc"')
    local = LocalFile(FROZEN / "units.csv", "it")

    class Knowing(Silent):
        def get_session_data(self, session_id: int) -> Content:
            return known if session_id == 7 else local

    store = Store(folder, [Knowing()])
    assert store.locate(store.target_session(7)) is known
    assert store.locate(store.target_session(8)) is local
    assert store.stream(store.target_session(8)) == local.path


def test_locate__goes_on_when_there_is_no_address(folder: CacheFolder) -> None:
    store = Store(folder, [Pages()])
    with pytest.raises(
        SourceError, match=r"pages generates session 7 on request, so there is no URL"
    ):
        store.locate(store.target_session(7))


def test_read_scene_and_movie__decode_what_was_fetched(folder: CacheFolder) -> None:
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

    source: Source = Pictures()
    store = Store(folder, [source])
    np.testing.assert_array_equal(store.read_scene(5), image)
    np.testing.assert_array_equal(store.read_movie(1), movie)
