"""The cache folder: what is fetched when, what is kept, what is said when it cannot be."""

from __future__ import annotations

import errno
import gc
import io
import json
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd
import pytest

from spikehouse.cache import EcephysProjectCache
from spikehouse.errors import (
    CacheError,
    InvalidArgumentError,
    InvalidFileError,
    NotFoundError,
    SessionNotFoundError,
    SourceError,
    TransferError,
)
from spikehouse.session import EcephysSession
from spikehouse.survey.sources.s3 import S3
from spikehouse.transfer.remote_file import LocalFile, RemoteFile
from spikehouse.transfer.retry import HttpOptions

if TYPE_CHECKING:
    from tests.unit.conftest import StandIn

FROZEN = Path(__file__).parents[1] / "parity" / "project_tables" / "folder"
SESSION = 900000001
TYPE = "brain_observatory_1.1"


def blocks_of(body: bytes) -> Iterator[bytes]:
    yield from (body[:10], body[10:])


def make_hdf5() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["identifier"] = "900000001"
    return buffer.getvalue()


def make_tiff() -> bytes:
    import tifffile

    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.full((918, 1174), 7, dtype=np.uint8))
    return buffer.getvalue()


def make_npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.full((2, 304, 608), 12, dtype=np.uint8))
    return buffer.getvalue()


class FakeSource:
    """A source of one's own: tables from a folder, files as blocks of bytes."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.session_body = make_hdf5()

    def _table(self, name: str) -> pd.DataFrame:
        self.calls.append((name, None))
        return pd.read_csv(FROZEN / f"{name}.csv", index_col="id")

    def get_sessions(self) -> pd.DataFrame:
        return self._table("sessions")

    def get_probes(self) -> pd.DataFrame:
        return self._table("probes")

    def get_channels(self) -> pd.DataFrame:
        return self._table("channels")

    def get_units(self) -> pd.DataFrame:
        return self._table("units")

    def get_session_data(self, session_id: int) -> Iterable[bytes]:
        self.calls.append(("session", session_id))
        return blocks_of(self.session_body)

    def get_probe_lfp_data(self, probe_id: int) -> Iterable[bytes]:
        self.calls.append(("lfp", probe_id))
        return blocks_of(make_hdf5())

    def get_natural_scene_template(self, number: int) -> Iterable[bytes]:
        self.calls.append(("scene", number))
        return blocks_of(make_tiff())

    def get_natural_movie_template(self, number: int) -> Iterable[bytes]:
        self.calls.append(("movie", number))
        return blocks_of(make_npy())

    def get_unit_analysis_metrics(
        self,
        unit_ids: Iterable[int] | None = None,
        ecephys_session_ids: Iterable[int] | None = None,
        session_types: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        self.calls.append(("metrics", (ecephys_session_ids, session_types)))
        return pd.read_csv(FROZEN / f"{TYPE}_analysis_metrics.csv", index_col="ecephys_unit_id")


@pytest.fixture(autouse=True)
def _no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEHOUSE_PROGRESS", "0")


@pytest.fixture
def source() -> FakeSource:
    return FakeSource()


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "manifest.json"


@pytest.fixture
def project(source: FakeSource, manifest: Path) -> EcephysProjectCache:
    return EcephysProjectCache(source, manifest=manifest)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, dict[str, Any]]]:
    """Record what sessions are made of instead of making them."""
    made: list[tuple[Path, dict[str, Any]]] = []

    def record(path: Path, api_kwargs: dict[str, Any]) -> str:
        made.append((path, api_kwargs))
        return "a session"

    monkeypatch.setattr(EcephysSession, "from_nwb_path", record)
    return made


def files_in(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    names = (path.relative_to(folder).as_posix() for path in found)
    return sorted(name for name in names if ".spikehouse/" not in name)


# --- tables


def test_tables__are_fetched_once_and_kept(
    project: EcephysProjectCache, source: FakeSource, manifest: Path
) -> None:
    first = project.get_session_table()
    pd.testing.assert_frame_equal(project.get_session_table(), first)
    project.get_units()
    assert sorted(name for name, _ in source.calls) == ["channels", "probes", "sessions", "units"]
    assert files_in(manifest.parent) == [
        "channels.csv",
        "manifest.json",
        "probes.csv",
        "sessions.csv",
        "units.csv",
    ]
    # another process, later: nothing is asked for
    later = FakeSource()
    again = EcephysProjectCache(later, manifest=manifest).get_session_table()
    pd.testing.assert_frame_equal(again, first)
    assert later.calls == []


def test_tables__are_written_as_allensdk_writes_them(
    project: EcephysProjectCache, manifest: Path
) -> None:
    project.get_units()
    for name in ["sessions", "probes", "channels", "units"]:
        ours = (manifest.parent / f"{name}.csv").read_text().splitlines()
        theirs = (FROZEN / f"{name}.csv").read_text().splitlines()
        assert ours[0] == theirs[0]
        assert len(ours) == len(theirs)


def test_tables__are_parsed_once(
    project: EcephysProjectCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.get_session_table()

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a table was parsed again")

    monkeypatch.setattr(pd, "read_csv", refuse)
    project.get_session_table()
    project.get_units()
    project.get_channels()
    project.get_probes()


def test_tables__may_be_changed_by_who_asked(project: EcephysProjectCache) -> None:
    for name in ["get_session_table", "get_probes", "get_channels", "get_units"]:
        get: Callable[[], pd.DataFrame] = getattr(project, name)
        expected = get().copy(deep=True)
        changed = get()
        changed[changed.columns[0]] = 0
        pd.testing.assert_frame_equal(get(), expected)


def test_tables__are_fetched_once_for_many_threads(
    project: EcephysProjectCache, source: FakeSource
) -> None:
    together = threading.Barrier(4)

    def ask(_: int) -> int:
        together.wait()
        return len(project.get_session_table())

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [3] * 4
    assert len(source.calls) == 4


def test_tables__use_the_names_the_manifest_gives(source: FakeSource, tmp_path: Path) -> None:
    shutil.copy(FROZEN / "sessions.csv", tmp_path / "my_sessions.csv")
    entry = {"key": "sessions", "type": "file", "spec": "my_sessions.csv", "parent_key": "BASEDIR"}
    document = {
        "manifest": [
            {"type": "manifest_version", "value": "0.3.0"},
            {"key": "BASEDIR", "type": "dir", "spec": "."},
            entry,
        ]
    }
    (tmp_path / "manifest.json").write_text(json.dumps(document))
    project = EcephysProjectCache(source, manifest=tmp_path / "manifest.json")
    with pytest.raises(SessionNotFoundError):
        project.get_session_data(1)
    assert source.calls == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "No columns"),
        ("a,b\n1,2\n", "is not a table of units: .*id"),
        ("id,snr\n1,2\n", "has no units column 'PT_ratio'"),
        ("\x00\x01\x02", "is not a table of units"),
    ],
)
def test_tables__that_cannot_be_read_are_left_alone(
    project: EcephysProjectCache, manifest: Path, source: FakeSource, content: str, message: str
) -> None:
    path = manifest.parent / "units.csv"
    path.write_text(content)
    with pytest.raises(InvalidFileError, match=message) as caught:
        project.get_units()
    assert "delete it and call again" in str(caught.value)
    assert path.read_text() == content
    assert ("units", None) not in source.calls


def test_tables__leave_nothing_when_the_source_fails(
    project: EcephysProjectCache, source: FakeSource, manifest: Path
) -> None:
    def fail() -> pd.DataFrame:
        raise SourceError("out of order")

    source.get_units = fail  # type: ignore[method-assign]
    with pytest.raises(SourceError, match="out of order"):
        project.get_units()
    assert "units.csv" not in files_in(manifest.parent)


def test_tables__leave_nothing_when_the_disk_is_full(
    project: EcephysProjectCache, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", fill)
    with pytest.raises(CacheError, match="no space left on the disk"):
        project.get_units()
    assert "units.csv" not in files_in(manifest.parent)
    assert "units.csv.part" not in files_in(manifest.parent)


# --- lists and metrics


def test_get_all__list_unique_values(project: EcephysProjectCache) -> None:
    assert project.get_all_session_types() == ["functional_connectivity", TYPE]
    assert project.get_all_ages() == [101.0, 102.0, 103.0]
    assert project.get_all_sexes() == ["F", "M"]
    assert project.get_structure_acronyms()[:2] == ["CA1", "VISp"]


def test_get_unit_analysis_metrics__keeps_the_tables(
    project: EcephysProjectCache, source: FakeSource, manifest: Path
) -> None:
    bare = project.get_unit_analysis_metrics_for_session(SESSION, annotate=False)
    assert source.calls[-1] == ("metrics", ([SESSION], None))
    project.get_unit_analysis_metrics_by_session_type(TYPE)
    assert ("metrics", (None, [TYPE])) in source.calls
    folder = f"session_{SESSION}"
    assert f"{folder}/{folder}_analysis_metrics.csv" in files_in(manifest.parent)
    assert f"{TYPE}_analysis_metrics.csv" in files_in(manifest.parent)
    bare["g_osi_dg"] = 7.0
    again = project.get_unit_analysis_metrics_for_session(SESSION, annotate=False)
    assert not (again["g_osi_dg"] == 7.0).any()


def test_get_unit_analysis_metrics__knows_its_sessions_and_types(
    project: EcephysProjectCache,
) -> None:
    with pytest.raises(SessionNotFoundError, match="there is no session 900000009: did you mean"):
        project.get_unit_analysis_metrics_for_session(900000009)
    with pytest.raises(
        NotFoundError,
        match="no session type 'brain_observatory': did you mean 'brain_observatory_1",
    ):
        project.get_unit_analysis_metrics_by_session_type("brain_observatory")


def test_get_units__refuses_unknown_filters(project: EcephysProjectCache) -> None:
    with pytest.raises(InvalidArgumentError, match="unknown unit filter 'presence_ratio'"):
        project.get_units(presence_ratio=0.9)


# --- sessions and files


def test_get_session_data__fetches_the_file_once(
    project: EcephysProjectCache, source: FakeSource, manifest: Path, opened: list[Any]
) -> None:
    assert project.get_session_data(SESSION) == "a session"
    assert project.get_session_data(np.int64(SESSION)) == "a session"  # type: ignore[arg-type]
    assert [call for call in source.calls if call[0] == "session"] == [("session", SESSION)]
    path = manifest.parent / f"session_{SESSION}" / f"session_{SESSION}.nwb"
    assert path.read_bytes() == source.session_body
    assert [made[0] for made in opened] == [path, path]


def test_get_session_data__hands_on_filters_and_promises(
    project: EcephysProjectCache, source: FakeSource, opened: list[Any]
) -> None:
    project.get_session_data(SESSION, filter_by_validity=False, isi_violations_maximum=None)
    options = opened[0][1]
    assert options["isi_violations_maximum"] is None
    assert options["amplitude_cutoff_maximum"] == 0.1
    assert options["presence_ratio_minimum"] == 0.95
    assert options["filter_by_validity"] is False
    assert options["filter_out_of_brain_units"] is True
    assert set(options["probe_lfp_paths"]) == {810000007, 810000021}
    # nothing but the session file has been fetched for these yet
    assert {name for name, _ in source.calls} == {"sessions", "probes", "session"}
    assert options["probe_lfp_paths"][810000007]().name == "probe_810000007_lfp.nwb"
    with pytest.raises(NotFoundError, match="probe 810000021 has no LFP"):
        options["probe_lfp_paths"][810000021]()
    columns = options["external_channel_columns"]()
    assert columns.index.name == "id"
    assert len(columns) == 24
    assert columns.columns.tolist() == [
        "ecephys_structure_id",
        "ecephys_structure_acronym",
        "anterior_posterior_ccf_coordinate",
        "dorsal_ventral_ccf_coordinate",
        "left_right_ccf_coordinate",
    ]
    assert options["additional_unit_metrics"]().index.name == "ecephys_unit_id"


def test_get_session_data__knows_its_sessions_before_any_download(
    project: EcephysProjectCache, source: FakeSource, manifest: Path
) -> None:
    with pytest.raises(
        SessionNotFoundError, match=r"no session 900000004: did you mean 900000003 or"
    ) as caught:
        project.get_session_data(900000004)
    assert isinstance(caught.value, KeyError)
    assert source.calls == [("sessions", None)]
    assert files_in(manifest.parent) == ["manifest.json", "sessions.csv"]


@pytest.mark.parametrize("value", ["900000001", None, 1.5, True])
def test_get_session_data__refuses_what_is_no_id(
    project: EcephysProjectCache, value: object
) -> None:
    with pytest.raises(InvalidArgumentError, match="is not a session id: give a whole number"):
        project.get_session_data(value)  # type: ignore[arg-type]


def test_get_session_data__does_not_keep_what_is_not_hdf5(
    project: EcephysProjectCache, source: FakeSource, manifest: Path
) -> None:
    source.session_body = b"<html>not today</html>"
    with pytest.raises(
        InvalidFileError, match=r"for session_900000001\.nwb is not valid and was not kept"
    ):
        project.get_session_data(SESSION)
    assert not [name for name in files_in(manifest.parent) if "session_9" in name]


def test_get_session_data__never_deletes_a_file_it_cannot_read(
    project: EcephysProjectCache, source: FakeSource, manifest: Path
) -> None:
    path = manifest.parent / f"session_{SESSION}" / f"session_{SESSION}.nwb"
    path.parent.mkdir()
    path.write_bytes(b"two gigabytes, and a reader with a bug")
    with pytest.raises(InvalidFileError):
        _ = project.get_session_data(SESSION).units
    assert path.read_bytes() == b"two gigabytes, and a reader with a bug"
    assert ("session", SESSION) not in source.calls


def test_get_session_data__is_usable_after_ctrl_c(
    project: EcephysProjectCache, source: FakeSource, manifest: Path, opened: list[Any]
) -> None:
    def interrupted(session_id: int) -> Iterator[bytes]:
        yield b"\x89HDF"
        raise KeyboardInterrupt

    working = source.get_session_data
    source.get_session_data = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        project.get_session_data(SESSION)
    assert not [name for name in files_in(manifest.parent) if "session_9" in name]
    source.get_session_data = working  # type: ignore[method-assign]
    assert project.get_session_data(SESSION) == "a session"


def test_get_session_data__passes_on_what_the_server_did(
    source: FakeSource, server: StandIn, manifest: Path
) -> None:
    source.get_session_data = lambda session_id: RemoteFile(server.url("/short"), "it")  # type: ignore[assignment,method-assign]
    project = EcephysProjectCache(source, manifest=manifest)
    project._store.options = HttpOptions(retry_seconds=0.0)
    server.routes["/short"] = lambda handler: (
        handler.reply(bytes(98), length=5000),
        handler.hang_up(),
    )[0]
    with pytest.raises(TransferError, match="broke off after 98 bytes"):
        project.get_session_data(SESSION)
    assert not [name for name in files_in(manifest.parent) if "session_9" in name]


def test_fetch_probe_lfp__names_the_closest_probe(project: EcephysProjectCache) -> None:
    with pytest.raises(NotFoundError, match=r"no probe 810000008: did you mean 810000007 or"):
        project.fetch_probe_lfp(810000008)


# --- templates


@pytest.mark.parametrize("number", [5, np.int64(5), np.uint8(5), 5.0, np.float64(5.0)])
def test_get_natural_scene_template__takes_whole_numbers_of_any_type(
    project: EcephysProjectCache, source: FakeSource, manifest: Path, number: Any
) -> None:
    image = project.get_natural_scene_template(number)
    np.testing.assert_array_equal(image, np.full((918, 1174), 7))
    assert image.dtype == np.uint8
    assert source.calls == [("scene", 5)]
    assert "natural_scene_templates/natural_scene_5.tiff" in files_in(manifest.parent)


@pytest.mark.parametrize("number", [-2, 118, 1000])
def test_get_natural_scene_template__knows_its_numbers(
    project: EcephysProjectCache, source: FakeSource, number: int
) -> None:
    with pytest.raises(NotFoundError, match=f"no natural scene {number}: .* 0 to 117"):
        project.get_natural_scene_template(number)
    assert source.calls == []


def test_get_natural_scene_template__says_what_minus_one_is(project: EcephysProjectCache) -> None:
    with pytest.raises(NotFoundError, match="-1 is the blank sweep, which has no image"):
        project.get_natural_scene_template(-1)


@pytest.mark.parametrize("number", ["5", 5.5, None, True, np.nan])
def test_get_natural_scene_template__refuses_what_is_no_number(
    project: EcephysProjectCache, number: Any
) -> None:
    with pytest.raises(InvalidArgumentError, match="is not a natural scene: give a whole number"):
        project.get_natural_scene_template(number)


def test_get_natural_scene_template__leaves_a_bad_file_alone(
    project: EcephysProjectCache, manifest: Path, source: FakeSource
) -> None:
    path = manifest.parent / "natural_scene_templates" / "natural_scene_5.tiff"
    path.parent.mkdir()
    path.write_bytes(b"no picture")
    with pytest.raises(InvalidFileError, match="not a readable TIFF"):
        project.get_natural_scene_template(5)
    assert path.read_bytes() == b"no picture"
    assert source.calls == []


def test_get_natural_movie_template__keeps_the_odd_name(
    project: EcephysProjectCache, manifest: Path
) -> None:
    movie = project.get_natural_movie_template(1)
    assert movie.shape == (2, 304, 608)
    assert movie.dtype == np.uint8
    assert int(movie[1, 0, 0]) == 12
    path = manifest.parent / "natural_movie_templates" / "natural_movie_1.h5"
    before = path.read_bytes()
    movie[:] = 0
    assert path.read_bytes() == before


def test_get_natural_movie_template__never_unpickles(
    project: EcephysProjectCache, manifest: Path
) -> None:
    path = manifest.parent / "natural_movie_templates" / "natural_movie_1.h5"
    path.parent.mkdir()
    with path.open("wb") as file:
        np.save(file, np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(InvalidFileError, match="not a readable movie"):
        project.get_natural_movie_template(1)


# --- ways to open a folder


def test_cache__of_a_source_of_ones_own_is_in_the_working_directory(
    source: FakeSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    project = EcephysProjectCache(source)
    assert project.manifest_path == tmp_path / "ecephys_project_manifest.json"
    assert files_in(tmp_path) == ["ecephys_project_manifest.json"]


def test_cache__understands_the_home_folder(
    source: FakeSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    EcephysProjectCache(source, manifest="~/data/manifest.json")
    assert files_in(tmp_path) == ["data/manifest.json"]


def test_cache__opens_another_version_with_a_notice(source: FakeSource, manifest: Path) -> None:
    manifest.parent.mkdir()
    entries = [{"type": "manifest_version", "value": "0.2.1"}]
    manifest.write_text(json.dumps({"manifest": entries}))
    with pytest.warns(UserWarning, match=r"is of version 0\.2\.1, not 0\.3\.0") as caught:
        project = EcephysProjectCache(source, manifest=manifest)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert len(project.get_session_table()) == 3


def test_cache__refuses_a_manifest_that_is_none(source: FakeSource, manifest: Path) -> None:
    manifest.parent.mkdir()
    manifest.write_text("id,name\n1,a\n")
    with pytest.raises(CacheError, match="is not a manifest: it is not JSON"):
        EcephysProjectCache(source, manifest=manifest)
    assert files_in(manifest.parent) == ["manifest.json"]


def test_cache__says_when_a_file_stands_where_the_folder_should_be(
    source: FakeSource, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(CacheError, match="a file stands where a folder should be"):
        EcephysProjectCache(source, manifest=tmp_path / "cache" / "manifest.json")


def test_cache__false_writes_nothing(
    source: FakeSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    project = EcephysProjectCache(source, manifest=tmp_path / "manifest.json", cache=False)
    assert len(project.get_session_table()) == 3
    project.get_session_data(SESSION)
    assert files_in(tmp_path) == []
    scratch = project.manifest_path.parent
    assert opened[0][0].is_relative_to(scratch)
    project.close()
    assert not scratch.exists()


def test_cache__forgotten_cleans_up(source: FakeSource) -> None:
    project = EcephysProjectCache(source, cache=False)
    scratch = project.manifest_path.parent
    assert scratch.exists()
    del project
    gc.collect()
    assert not scratch.exists()


def test_fixed__reads_and_never_fetches(
    source: FakeSource, project: EcephysProjectCache, manifest: Path
) -> None:
    expected = project.get_session_table()
    fixed = EcephysProjectCache.fixed(manifest)
    pd.testing.assert_frame_equal(fixed.get_session_table(), expected)
    assert fixed.fetch_api is None
    asked: list[tuple[Callable[[], object], str]] = [
        (lambda: fixed.get_session_data(SESSION), f"session_{SESSION}.nwb"),
        (lambda: fixed.fetch_probe_lfp(810000007), "probe_810000007_lfp.nwb"),
        (lambda: fixed.get_natural_scene_template(1), "natural_scene_1.tiff"),
        (lambda: fixed.get_natural_movie_template(1), "natural_movie_1.h5"),
        (lambda: fixed.get_unit_analysis_metrics_for_session(SESSION), "_analysis_metrics.csv"),
    ]
    for ask, name in asked:
        with pytest.raises(CacheError, match=name) as caught:
            ask()
        assert "no network may be used" in str(caught.value)
        assert "EcephysProjectCache(manifest=" in str(caught.value)


def test_fixed__makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=r"there is no manifest .*fixed\(\) creates none"):
        EcephysProjectCache.fixed(tmp_path / "new" / "manifest.json")
    assert list(tmp_path.iterdir()) == []


def test_fixed__works_in_a_folder_nothing_can_be_written_to(
    project: EcephysProjectCache, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.get_session_table()

    def refuse(path: Path, *args: object, **kwargs: object) -> None:
        raise AssertionError(f"{path} was written to")

    for name in ["mkdir", "write_bytes", "write_text", "touch", "replace", "unlink"]:
        monkeypatch.setattr(Path, name, refuse)
    monkeypatch.setattr("spikehouse.transfer.disk.hold_lock", refuse)
    assert len(EcephysProjectCache.fixed(manifest).get_session_table()) == 3


def test_from_warehouse__takes_allensdks_arguments(tmp_path: Path) -> None:
    project = EcephysProjectCache.from_warehouse(
        scheme="http",
        host="127.0.0.1:1",
        asynchronous=True,
        manifest=str(tmp_path / "manifest.json"),
        version="0.3.0",
        cache=True,
        fetch_tries=1,
        timeout=5,
    )
    with pytest.raises(SourceError, match=r"127\.0\.0\.1:1 cannot be reached over http"):
        project.get_session_table()
    assert files_in(tmp_path) == ["manifest.json"]


# --- sources


def test_cache__asks_the_usual_sources_in_order(manifest: Path) -> None:
    assert list_names(EcephysProjectCache(manifest=manifest)) == ["s3", "dandi", "warehouse"]
    assert list_names(EcephysProjectCache.from_sources(manifest=manifest)) == [
        "s3",
        "dandi",
        "warehouse",
    ]


def list_names(project: EcephysProjectCache) -> list[str]:
    return [source.name for source in project._store.sources]


@pytest.mark.parametrize("name", ["s3", "dandi"])
def test_from_s3_and_dandi__ask_where_they_are_told_to(name: str, manifest: Path) -> None:
    open_it = getattr(EcephysProjectCache, f"from_{name}")
    assert list_names(open_it(manifest)) == [name]
    tables = {} if name == "s3" else {"tables": S3("http://127.0.0.1:1/")}
    project = open_it(manifest, fetch_tries=1, base_url="http://127.0.0.1:1/", **tables)
    with pytest.raises(SourceError, match=r"127\.0\.0\.1"):
        project.get_session_table()
    with pytest.raises(InvalidArgumentError, match="give https://host/path"):
        open_it(manifest, base_url="http://example.org/")


def test_from_folder__copies_what_is_asked_for(tmp_path: Path) -> None:
    project = EcephysProjectCache.from_folder(FROZEN, tmp_path / "manifest.json")
    assert len(project.get_session_table()) == 3
    assert (tmp_path / "units.csv").read_bytes() == (FROZEN / "units.csv").read_bytes()
    with pytest.raises(CacheError, match="is not there"):
        EcephysProjectCache.from_folder(tmp_path / "nowhere", tmp_path / "manifest.json")


def test_from_sources__goes_on_with_the_next(source: FakeSource, manifest: Path) -> None:
    class Broken(FakeSource):
        name = "broken"

        def _table(self, name: str) -> pd.DataFrame:
            raise SourceError("out of order")

    project = EcephysProjectCache.from_sources([Broken(), source, FROZEN], manifest)
    assert len(project.get_session_table()) == 3
    assert source.calls[0] == ("sessions", None)


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([], "no source is given: name at least one of 's3', 'dandi', 'warehouse'"),
        (["s4"], "there is no source 's4': did you mean 's3'"),
        ("demo", r"'demo' \(the simulated survey is EcephysProjectCache.from_demo\)"),
        (["s3", "s3"], "a source is named twice: s3, s3"),
    ],
)
def test_from_sources__refuses_what_there_is_not(
    sources: Any, message: str, manifest: Path
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        EcephysProjectCache.from_sources(sources, manifest)
    assert not manifest.exists()


# --- streaming


def test_get_session_data__streams_only_what_is_not_there(
    project: EcephysProjectCache, source: FakeSource, opened: list[Any], tmp_path: Path
) -> None:
    copy = tmp_path / "mounted.nwb"
    copy.write_bytes(make_hdf5())
    source.get_session_data = lambda session_id: LocalFile(copy, "it")  # type: ignore[assignment,method-assign]
    source.get_probe_lfp_data = lambda probe_id: LocalFile(copy, "it")  # type: ignore[assignment,method-assign]
    project.get_session_data(SESSION, stream=True, isi_violations_maximum=None)
    path, options = opened[0]
    assert path == copy
    assert options["isi_violations_maximum"] is None
    assert options["probe_lfp_paths"][810000007]() == copy
    with pytest.raises(NotFoundError, match="probe 810000021 has no LFP"):
        options["probe_lfp_paths"][810000021]()
    # what is in the folder comes from there
    there = project.fetch_session(SESSION)
    project.get_session_data(SESSION, stream=True)
    assert opened[1][0] == there


def test_get_session_data__needs_no_table_of_units(
    project: EcephysProjectCache, source: FakeSource, opened: list[Any]
) -> None:
    project.get_session_data(SESSION)
    columns = opened[0][1]["external_channel_columns"]()
    assert not (columns == -1000).any().any()
    assert "units" not in {name for name, _ in source.calls}
