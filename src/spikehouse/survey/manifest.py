"""The manifest of a cache folder: the path of every kind of file."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from spikehouse.errors import CacheError, printable
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
class _Entry:
    kind: str
    spec: str
    parent: str | None = "BASEDIR"


# the order is that of the file
_LAYOUT: Mapping[str, _Entry] = MappingProxyType(
    {
        "BASEDIR": _Entry("dir", ".", None),
        "sessions": _Entry("file", "sessions.csv"),
        "probes": _Entry("file", "probes.csv"),
        "channels": _Entry("file", "channels.csv"),
        "units": _Entry("file", "units.csv"),
        "session_data": _Entry("dir", "session_%d"),
        "session_nwb": _Entry("file", "session_%d.nwb", "session_data"),
        "session_analysis_metrics": _Entry(
            "file", "session_%d_analysis_metrics.csv", "session_data"
        ),
        "probe_lfp_nwb": _Entry("file", "probe_%d_lfp.nwb", "session_data"),
        "movie_dir": _Entry("dir", "natural_movie_templates"),
        "typewise_analysis_metrics": _Entry("file", "%s_analysis_metrics.csv"),
        "natural_movie": _Entry("file", "natural_movie_%d.h5", "movie_dir"),
        "natural_scene_dir": _Entry("dir", "natural_scene_templates"),
        "natural_scene": _Entry("file", "natural_scene_%d.tiff", "natural_scene_dir"),
    }
)


@dataclass(frozen=True)
class Manifest:
    """The paths of the files of a cache folder."""

    # path of the manifest
    path: Path
    # version in the manifest, None if it has none
    version: str | None
    # kind of file → path, with %d or %s in place of ids
    specs: Mapping[str, str]

    @property
    def folder(self) -> Path:
        """The cache folder."""
        return self.path.parent

    def path_of(self, key: str, *ids: int | str) -> Path:
        """Return the path of a file, whether it exists or not."""
        spec = self.specs[key]
        try:
            return Path(spec % ids)
        except (TypeError, ValueError) as error:
            raise CacheError(
                f"the manifest {self.path} gives {spec!r} for {key!r}, which does not take "
                f"{ids!r}: {error}"
            ) from error


def create_manifest(path: Path) -> Manifest:
    """Write the manifest of a new cache folder unless there is one."""
    # the layout of version 0.3.0, which AllenSDK opens as well
    entries: list[dict[str, str]] = [{"type": "manifest_version", "value": MANIFEST_VERSION}]
    for key, entry in _LAYOUT.items():
        described = {"key": key, "type": entry.kind, "spec": entry.spec}
        if entry.parent is not None:
            described["parent_key"] = entry.parent
        entries.append(described)
    make_folder(path.parent)
    lock = path.parent / OWN_FOLDER / "locks" / f"{path.name}.lock"
    with hold_lock(check_inside(lock, path.parent)):
        if not path.exists():
            with write_whole(path) as file:
                file.write(json.dumps({"manifest": entries}, indent=2).encode())
    return read_manifest(path)


def find_manifest(folder: Path) -> Path:
    """Return the path of the manifest of a folder, whether it exists or not."""
    folder = folder.expanduser().absolute()
    if folder.suffix == ".json":
        return folder
    found = (folder / name for name in MANIFEST_NAMES if (folder / name).is_file())
    return next(found, folder / MANIFEST_NAMES[0])


def read_manifest(path: Path, *, version: str | None = None) -> Manifest:
    """Read the manifest of a cache folder, written by AllenSDK or this package."""
    # Kinds of files that the manifest does not mention get their default path. Another version
    # than the expected one gives a UserWarning only: between AllenSDK's versions the list of files
    # changed, never their names or contents.
    entries = _parse(path)
    found: str | None = None
    specs: dict[str, str] = {}
    for entry in entries:
        kind = entry.get("type")
        if kind == "manifest_version":
            found = str(entry.get("value"))
        elif kind in ("file", "dir"):
            specs[str(entry.get("key"))] = _resolve(entry, specs, path)
        else:
            log.warning("%s: unknown entry of type %r ignored", path, kind)
    _add_missing(specs, path)
    _compare_versions(path, found=found, expected=version or MANIFEST_VERSION)
    return Manifest(path=path, version=found, specs=MappingProxyType(specs))


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
    base = specs[parent] if parent is not None else _escape(path.parent)
    return str(Path(base) / spec)


def _add_missing(specs: dict[str, str], path: Path) -> None:
    for key, entry in _LAYOUT.items():
        if key not in specs:
            base = specs[entry.parent] if entry.parent else _escape(path.parent)
            specs[key] = str(Path(base) / entry.spec)


def _escape(folder: Path) -> str:
    # the specs are %-patterns: a folder called "100%" must come out as it is
    return str(folder).replace("%", "%%")


def _compare_versions(path: Path, *, found: str | None, expected: str) -> None:
    if found == expected:
        return
    notice = (
        f"the manifest {path} is of version {found}, not {expected}; the layout is the same, "
        "so the folder is opened as it is"
    )
    notice = printable(notice)
    log.warning(notice)
    warnings.warn(notice, UserWarning, stacklevel=4)
