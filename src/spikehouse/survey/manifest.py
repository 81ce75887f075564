"""The manifest of a cache folder: the path of every kind of file."""

from __future__ import annotations

import json
import logging
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spikehouse.errors import CacheError, printable
from spikehouse.survey.file_kinds import VISUAL_CODING, FileKind, FileTable, PlannedFile, ids_in
from spikehouse.transfer.disk import check_inside, hold_lock, make_folder, write_whole
from spikehouse.transfer.records import OWN_FOLDER

__all__ = [
    "MANIFEST_NAMES",
    "MANIFEST_VERSION",
    "Manifest",
    "create_manifest",
    "find_manifest",
    "read_manifest",
]

log = logging.getLogger(__name__)

MANIFEST_VERSION = "0.3.0"
# the first is ours, the second AllenSDK's where none is named
MANIFEST_NAMES = ("manifest.json", "ecephys_project_manifest.json")


@dataclass(frozen=True)
class Manifest:
    """The files of a cache folder, and where they are."""

    # path of the manifest
    path: Path
    # version in the manifest, None if it has none
    version: str | None
    # the kinds of files of the data set
    files: FileTable
    # name of a kind → path with the ids in braces, relative to the folder unless it leads out
    paths: Mapping[str, str]

    @property
    def folder(self) -> Path:
        """The cache folder."""
        return self.path.parent

    def file(self, name: str, *ids: object) -> PlannedFile:
        """Return a file of the folder, whether it exists or not."""
        file = self.files.file(name, *ids)
        return replace(file, path=self.path_of(file))

    def path_of(self, file: PlannedFile) -> Path:
        """Return the path of a file, also of one that is of no kind of this data set."""
        template = self.paths.get(file.kind.name, file.kind.path)
        return self.folder / file.kind.fill(template, file.ids)

    def parse(self, path: Path) -> PlannedFile | None:
        """Return the file of the data set at a path of the folder; None for another file."""
        name = path.relative_to(self.folder) if path.is_relative_to(self.folder) else path
        for kind in self.files.kinds.values():
            # not of session_1/session_2.nwb and session_01/...: these are no files of the data set
            ids = kind.match(self.paths[kind.name], name.as_posix())
            if ids is not None:
                return self.file(kind.name, *(ids[name] for name in kind.ids))
        return None

    def find_files(self, *, suffix: str = "") -> list[PlannedFile]:
        """List the files of the data set that exist, in the order of their paths."""
        # With `suffix` (such as ".part"), the files beside which there is a file with that suffix.
        found: dict[Path, PlannedFile] = {}
        for kind in self.files.kinds.values():
            for path in self._list_paths(kind, suffix):
                file = self.parse(Path(str(path).removesuffix(suffix)))
                if file is not None and path.exists():
                    found[file.path] = file
        return [found[path] for path in sorted(found)]

    def _list_paths(self, kind: FileKind, suffix: str) -> list[Path]:
        """List the paths that may be those of files of a kind."""
        # part by part and never as a glob: the folders above may have names that are patterns
        paths = [self.folder]
        for part in Path(self.paths[kind.name] + suffix).parts:
            if ids_in(part):
                fits = kind.compile(part).fullmatch
                paths = [path / name for path in paths for name in _list_names(path) if fits(name)]
            else:
                paths = [path / part.format() for path in paths]
        return paths


def create_manifest(path: Path, files: FileTable = VISUAL_CODING) -> Manifest:
    """Write the manifest of a new cache folder unless there is one."""
    # the layout of version 0.3.0, which AllenSDK opens as well
    entries = [
        {"type": "manifest_version", "value": MANIFEST_VERSION},
        {"key": "BASEDIR", "type": "dir", "spec": "."},
    ]
    keys = {"BASEDIR"}
    for kind in files.kinds.values():
        base, _, name = kind.path.rpartition("/")
        if kind.folder_key not in keys:
            entries.append(_describe(kind.folder_key, "dir", kind, base, "BASEDIR"))
            keys.add(kind.folder_key)
        name = kind.path if kind.folder_key == "BASEDIR" else name
        entries.append(_describe(kind.key, "file", kind, name, kind.folder_key))
    make_folder(path.parent)
    lock = path.parent / OWN_FOLDER / "locks" / f"{path.name}.lock"
    with hold_lock(check_inside(lock, path.parent)):
        if not path.exists():
            with write_whole(path) as file:
                file.write(json.dumps({"manifest": entries}, indent=2).encode())
    return read_manifest(path, files=files)


def _describe(key: str, entry: str, kind: FileKind, path: str, parent: str) -> dict[str, str]:
    marks = {name: "%s" if kind.is_text(name) else "%d" for name in kind.ids}
    return {"key": key, "type": entry, "spec": path.format(**marks), "parent_key": parent}


def find_manifest(folder: Path) -> Path:
    """Return the path of the manifest of a folder, whether it exists or not."""
    folder = folder.expanduser().absolute()
    if folder.suffix == ".json":
        return folder
    found = (folder / name for name in MANIFEST_NAMES if (folder / name).is_file())
    return next(found, folder / MANIFEST_NAMES[0])


def read_manifest(
    path: Path, *, version: str | None = None, files: FileTable = VISUAL_CODING
) -> Manifest:
    """Read the manifest of a cache folder, written by AllenSDK or this package."""
    # Kinds of files that the manifest does not mention get their default path. Another version
    # than the expected one gives a UserWarning only: between AllenSDK's versions the list of files
    # changed, never their names or contents.
    found: str | None = None
    specs: dict[str, str] = {}
    for entry in _parse(path):
        kind = entry.get("type")
        if kind == "manifest_version":
            found = str(entry.get("value"))
        elif kind in ("file", "dir"):
            specs[str(entry.get("key"))] = _resolve(entry, specs, path)
        else:
            log.warning("%s: unknown entry of type %r ignored", path, kind)
    paths = {kind.name: _find_path(kind, specs, path) for kind in files.kinds.values()}
    _compare_versions(path, found=found, expected=version or MANIFEST_VERSION)
    return Manifest(path=path, version=found, files=files, paths=paths)


def no_manifest(path: Path, files: FileTable = VISUAL_CODING) -> Manifest:
    """Return the usual layout of a folder that has no manifest."""
    return Manifest(path, None, files, {kind.name: kind.path for kind in files.kinds.values()})


def _parse(path: Path) -> list[dict[str, Any]]:
    hint = "give the path of a manifest.json, or of one that does not exist yet"
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise CacheError(f"the manifest {path} cannot be read: {error}; {hint}") from error
    except ValueError as error:
        raise CacheError(f"{path} is not a manifest: it is not JSON ({error}); {hint}") from error
    entries = document.get("manifest") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise CacheError(f"{path} is not a manifest: it has no list named 'manifest'; {hint}")
    return entries


def _resolve(entry: Mapping[str, Any], specs: Mapping[str, str], path: Path) -> str:
    key, spec, parent = entry.get("key"), entry.get("spec"), entry.get("parent_key")
    if not isinstance(key, str) or not isinstance(spec, str):
        raise CacheError(f"{path} is not a manifest: an entry lacks its key or spec: {entry!r}")
    if parent is not None and parent not in specs:
        raise CacheError(
            f"{path} is not a manifest: {key!r} lies in {parent!r}, which no earlier entry names"
        )
    return str(Path(specs[parent] if parent is not None else "") / spec)


def _find_path(kind: FileKind, specs: Mapping[str, str], path: Path) -> str:
    """Return the path that the manifest gives for a kind, with the ids in braces."""
    if kind.key in specs:
        found = Path(_name_ids(specs[kind.key], kind))
    elif kind.folder_key in specs and kind.folder_key != "BASEDIR":
        found = Path(_name_ids(specs[kind.folder_key], kind)) / kind.path.rpartition("/")[2]
    else:
        found = Path(_name_ids(specs.get("BASEDIR", ""), kind)) / kind.path
    if set(ids_in(str(found))) != set(kind.ids):
        ids = ", ".join(ids_in(kind.path)) or "no ids"
        raise CacheError(
            f"the manifest {path} gives {specs.get(kind.key, str(found))!r} for {kind.key!r}, "
            f"which should take {ids}"
        )
    folder = Path(_escape(str(path.parent)))
    return (found.relative_to(folder) if found.is_relative_to(folder) else found).as_posix()


def _name_ids(spec: str, kind: FileKind) -> str:
    """Convert a %-pattern, whose ids have the order of the usual path, to ids in braces."""
    names = iter(ids_in(kind.path))

    def convert(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        # one too many is noticed, because no kind has an id of this name
        return f"{{{next(names, 'other')}}}"

    return re.sub(r"%%|%[dis]", convert, _escape(spec))


def _escape(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _compare_versions(path: Path, *, found: str | None, expected: str) -> None:
    if found == expected:
        return
    notice = printable(
        f"the manifest {path} is of version {found}, not {expected}; the layout is the same, "
        "so the folder is opened as it is"
    )
    log.warning(notice)
    warnings.warn(notice, UserWarning, stacklevel=4)


def _list_names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are all that is wanted
    except OSError:
        return []
