"""The table of files: paths and names are made and recognised, and a new kind is one row."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikehouse.errors import InvalidArgumentError, InvalidFileError, NotFoundError
from spikehouse.survey import S3, VISUAL_CODING, FileKind, FileTable, Folder, PlannedFile, Store
from spikehouse.survey.manifest import Manifest, create_manifest, read_manifest
from spikehouse.survey.plan import inspect_file
from spikehouse.survey.upkeep import find_files_of_session, find_leftovers, import_files, list_files
from spikehouse.survey.verify import verify_folder

NAMES = {
    "sub-699733573/sub-699733573_ses-715093703.nwb": ("session", {"session_id": 715093703}),
    "sub-1_ses-7_probe-8_ecephys.nwb": ("lfp", {"session_id": 7, "probe_id": 8}),
    "session_7/probe_8_lfp.nwb": ("lfp", {"session_id": 7, "probe_id": 8}),
    "a/b/session_7.nwb": ("session", {"session_id": 7}),
    "probe_8_lfp.nwb": ("lfp", {"probe_id": 8}),
    "session_7_analysis_metrics.csv": ("session_metrics", {"session_id": 7}),
    "functional_connectivity_analysis_metrics.csv": (
        "type_metrics",
        {"session_type": "functional_connectivity"},
    ),
    "units.csv": ("units", {}),
    "natural_movie_3.npy": ("movie", {"number": 3}),
    "natural_scene_117.tiff": ("scene", {"number": 117}),
}


@pytest.mark.parametrize("name", NAMES)
def test_parse__recognises_names(name: str) -> None:
    found = VISUAL_CODING.parse(PurePosixPath(name))
    assert found is not None
    assert (found[0].name, found[1]) == NAMES[name]


@pytest.mark.parametrize(
    "name",
    [
        "session_07.nwb",
        "session_-7.nwb",
        "session_7.nwb.part",
        "sub-1_ses-7_image.nwb",
        "natural_scene_118.tiff",
        "natural_movie_2.h5",
        "5.tiff",
        "of_my_own_analysis_metrics.csv",
        "my_units.csv",
        "session_7777777777777777777.nwb",
    ],
)
def test_parse__knows_no_other_names(name: str) -> None:
    assert VISUAL_CODING.parse(PurePosixPath(name)) is None


numbers = st.integers(0, 10**18 - 1)


@given(st.sampled_from(sorted(VISUAL_CODING.kinds)), st.data())
def test_parse__is_the_inverse_of_file(name: str, data: st.DataObject) -> None:
    kind = VISUAL_CODING.kinds[name]
    ids = tuple(
        data.draw(st.sampled_from(kind.choices[name]) if name in kind.choices else numbers)
        for name in kind.ids
    )
    file = VISUAL_CODING.file(name, *ids)
    assert file.ids == ids
    found = VISUAL_CODING.parse(PurePosixPath(file.key))
    assert found == (kind, dict(zip(kind.ids, ids, strict=True)))


@pytest.mark.parametrize(
    ("of", "error", "message"),
    [
        (("session", "7"), InvalidArgumentError, "'7' is not an id: give a whole number"),
        (("session", -1), InvalidArgumentError, "is not an id"),
        (("type_metrics", "a/b"), InvalidArgumentError, "it becomes part of a file name"),
        (("type_metrics", ".."), InvalidArgumentError, "it becomes part of a file name"),
        (("scene", 118), NotFoundError, "there is no natural scene 118: did you mean 117"),
        (("scenes", 1), NotFoundError, "there is no kind of file 'scenes': did you mean 'scene'"),
    ],
)
def test_file__checks_ids(of: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        VISUAL_CODING.file(*of)


# --- a kind that nobody has heard of


def check_notes(path: Path) -> None:
    if not path.read_bytes().startswith(b"notes"):
        raise InvalidFileError(f"{path} holds no notes")


NOTES = FileKind(
    "notes",
    "notebooks/session_{session_id}.txt",
    label="notes of session {session_id}",
    check=check_notes,
    key="session_notes",
    folder_key="notebooks",
    other_names=("lab-{author}-{session_id}.txt",),
)
TABLE = FileTable(*VISUAL_CODING.kinds.values(), NOTES)


class Lab:
    """A source that has nothing but notes."""

    name = "lab"

    def locate(self, file: PlannedFile) -> list[bytes]:
        if file.kind is not NOTES:
            raise NotFoundError(f"the lab has no {file.name}")
        return [b"notes of ", str(file.ids[0]).encode()]

    def read_table(self, file: PlannedFile) -> Any:
        raise AssertionError(file)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return create_manifest(tmp_path / "cache" / "manifest.json", TABLE)


def test_new_kind__is_fetched_listed_verified_repaired_and_removed(manifest: Manifest) -> None:
    store = Store(manifest, [Lab()], progress=False)
    file = store.file("notes", 7)
    assert inspect_file(store, file).source == "lab"
    assert store.fetch(file) == manifest.folder / "notebooks" / "session_7.txt"
    (row,) = list_files(store).to_dict("records")
    assert (row["file"], row["kind"]) == ("notebooks/session_7.txt", "notes")
    assert verify_folder(store, repair=False, published=False)["state"].tolist() == ["ok"]
    file.path.write_bytes(b"nonsense")
    assert verify_folder(store, repair=True, published=False)["state"].tolist() == ["repaired"]
    assert file.path.read_bytes() == b"notes of 7"
    file.path.with_name("session_8.txt.part").write_bytes(b"no")
    assert [leftover.kind for leftover in find_leftovers(store)] == ["part"]
    assert find_files_of_session(store, [7])[0].paths[0] == file.path


def test_new_kind__is_imported_by_either_name(manifest: Manifest, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    for name in ("lab-ann-7.txt", "session_8.txt", "session_9.txt", "session_x.txt"):
        (folder / name).write_bytes(b"nonsense" if "9" in name else b"notes")
    store = Store(manifest, progress=False)
    outcomes = {found.origin.name: found.outcome for found in import_files(store, folder)}
    assert outcomes == {
        "lab-ann-7.txt": "linked",
        "session_8.txt": "linked",
        "session_9.txt": "refused",
    }
    assert store.file("notes", 7).path.exists()


def test_new_kind__is_in_the_manifest_and_at_the_sources(
    manifest: Manifest, tmp_path: Path
) -> None:
    text = manifest.path.read_text()
    assert '"session_notes"' in text
    manifest.path.write_text(text.replace("session_%d.txt", "notes_of_%d.txt"))
    moved = read_manifest(manifest.path, files=TABLE).file("notes", 7)
    assert moved.path == manifest.folder / "notebooks" / "notes_of_7.txt"
    assert moved.key == "notebooks/session_7.txt"
    s3 = S3("http://127.0.0.1:1/")
    assert s3.locate(moved).url == "http://127.0.0.1:1/notebooks/session_7.txt"
    with pytest.raises(NotFoundError, match="no notes of session 7"):
        Folder(tmp_path).locate(moved)
