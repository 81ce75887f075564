"""Import files that are on this machine already into a cache folder."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from spikehouse.errors import CacheError, InvalidFileError, SpikehouseError
from spikehouse.project._choosing import MOVIES, N_SCENES
from spikehouse.survey.store import Store, Target
from spikehouse.survey.verify import compute_sha256, find_targets, record_file
from spikehouse.transfer.records import OWN_FOLDER, read_record
from spikehouse.transfer.remote_file import LocalFile

if TYPE_CHECKING:
    from spikehouse.transfer.progress import FileProgress

__all__ = ["Adoption", "adopt_folder"]

log = logging.getLogger(__name__)

Outcome: TypeAlias = Literal["linked", "copied", "recorded", "there already", "refused"]

_TABLE = re.compile(r"(sessions|probes|channels|units)\.csv")
_TYPE_METRICS = re.compile(
    r"(brain_observatory_1\.1|functional_connectivity)_analysis_metrics\.csv"
)
_SESSION_METRICS = re.compile(r"session_(\d+)_analysis_metrics\.csv")
# as in a cache folder, and as DANDI names them
_SESSION = re.compile(r"(?:session_|sub-[^_]+_ses-)(\d+)\.nwb")
_LFP = re.compile(r"probe_(\d+)_lfp\.nwb")
_LFP_OF_DANDI = re.compile(r"sub-[^_]+_ses-(\d+)_probe-(\d+)_ecephys\.nwb")
_SCENE = re.compile(r"natural_scene_(\d+)\.tiff")
_MOVIE = re.compile(r"natural_movie_(\d+)\.(?:h5|npy)")
_FOLDER_OF_SESSION = re.compile(r"session_(\d+)")


@dataclass(frozen=True)
class Adoption:
    """Result of importing a file."""

    # path at which it was found
    origin: Path
    # path in the cache folder, None if it was refused
    path: Path | None
    # "linked": hard-linked, no second copy. "copied". "recorded": already in the cache folder, its
    # digest is now recorded. "there already": nothing was done. "refused".
    outcome: Outcome
    # why it was refused, otherwise empty
    reason: str = ""


def adopt_folder(
    store: Store, folder: Path, *, bar: FileProgress | None = None
) -> Iterator[Adoption]:
    """Import the files of the data set in a folder; yield the result for each."""
    # Nothing in the other folder is changed, and no file of the cache folder replaced. Every file
    # is read once from beginning to end for its digest.
    folder = folder.expanduser().absolute()
    if not folder.is_dir():
        raise CacheError(f"there is no folder {folder}: pass a folder with files of the data set")
    if folder.samefile(store.folder.manifest.folder):
        for present in find_targets(store):
            yield _adopt_in_place(store, present, bar)
        return
    for origin in sorted(folder.rglob("*")):
        try:
            target = None if OWN_FOLDER in origin.parts else _recognise(store, origin)
        except (SpikehouseError, OSError) as error:
            yield Adoption(origin, None, "refused", str(error))
            continue
        if target is not None:
            yield _adopt(store, target, origin, folder, bar)


def _recognise(store: Store, path: Path) -> Target | None:
    """Return the target that a file may be, judged by its name; None for other files."""
    # the names that hold one whole number, and what they name
    numbered: Mapping[re.Pattern[str], Callable[[int], Target | None]] = {
        _SESSION: store.target_session,
        _SESSION_METRICS: store.target_session_metrics,
        _SCENE: lambda n: store.target_scene(n) if n < N_SCENES else None,
        _MOVIE: lambda n: store.target_movie(n) if n in MOVIES else None,
        _LFP: lambda probe_id: _recognise_lfp(store, path, probe_id),
    }
    for pattern, make in numbered.items():
        if match := pattern.fullmatch(path.name):
            return make(int(match[1]))
    if match := _LFP_OF_DANDI.fullmatch(path.name):
        return store.target_lfp(int(match[1]), int(match[2]))
    if match := _TABLE.fullmatch(path.name):
        return store.target_table(match[1])  # type: ignore[arg-type]  # the pattern lists them
    if match := _TYPE_METRICS.fullmatch(path.name):
        return store.target_type_metrics(match[1])
    return None


def _recognise_lfp(store: Store, path: Path, probe_id: int) -> Target | None:
    if match := _FOLDER_OF_SESSION.fullmatch(path.parent.name):
        return store.target_lfp(int(match[1]), probe_id)
    # a loose file does not say of which session it is, the table of probes does
    probes = store.read_table("probes")
    if probe_id not in probes.index:
        return None
    return store.target_lfp(int(probes["ecephys_session_id"].loc[probe_id]), probe_id)


def _check_file(path: Path) -> None:
    if not path.is_file():  # to open a pipe would wait for ever
        raise OSError(f"{path} is not a regular file")


def _adopt_in_place(store: Store, target: Target, bar: FileProgress | None) -> Adoption:
    path = target.path
    if read_record(store.folder.records, path) is not None:
        return Adoption(path, path, "there already")
    try:
        _check_file(path)
        target.check(path)
        digest = compute_sha256(path, bar=bar)
    except OSError as error:  # of the system, or ours for what is not what its name says
        return Adoption(path, None, "refused", str(error))
    record_file(store.folder, path, sha256=digest, source="adopted")
    return Adoption(path, path, "recorded")


def _adopt(
    store: Store, target: Target, origin: Path, folder: Path, bar: FileProgress | None
) -> Adoption:
    if target.path.exists() and not target.path.is_file():
        return Adoption(
            origin, None, "refused", f"{target.path} is not a regular file: remove it first"
        )
    if target.path.exists():
        return Adoption(origin, target.path, "there already")
    store.folder.check_inside(target.path)
    try:
        _check_file(origin)
        target.check(origin)
        digest = compute_sha256(origin, bar=bar)
        record = read_record(folder / OWN_FOLDER / "records", origin)
        if record is not None and record.sha256 != digest:
            reason = f"it has changed since it was fetched ({record.fetched_at[:10]})"
            return Adoption(origin, None, "refused", reason)
        # tables are small, and somebody may edit theirs: no second name for those
        content = LocalFile(
            origin, target.name, source="adopted", is_immutable=target.kind != "table"
        )
        store.folder.fetch_file(target.path, content=content, check=target.check, progress=False)
        is_linked = target.path.samefile(origin)
        if not is_linked:
            # copying reads the file again: check that the copy has the verified digest
            _compare(store, target.path, digest)
    except CacheError:
        raise
    except (SpikehouseError, OSError) as error:
        return Adoption(origin, None, "refused", str(error))
    record_file(store.folder, target.path, sha256=digest, source="adopted", url=origin.as_uri())
    return Adoption(origin, target.path, "linked" if is_linked else "copied")


def _compare(store: Store, copy: Path, digest: str) -> None:
    record = read_record(store.folder.records, copy)
    if (compute_sha256(copy) if record is None else record.sha256) != digest:
        copy.unlink()
        raise InvalidFileError(f"the copy {copy} differs from its original; it was removed")
