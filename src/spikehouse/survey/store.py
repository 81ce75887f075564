"""A cache folder and the sources it is filled from."""

from __future__ import annotations

import logging
import os
import threading
import zlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

import pandas as pd

from spikehouse.errors import CacheError, NotFoundError, SourceError, SpikehouseError
from spikehouse.schema.data_notes import explaining_missing_lfp
from spikehouse.survey.file_kinds import PlannedFile
from spikehouse.survey.manifest import Manifest
from spikehouse.survey.parquet_cache import read_copy, read_table
from spikehouse.survey.source import Source, as_source, ask_in_turn
from spikehouse.transfer.disk import check_inside, lock_of
from spikehouse.transfer.downloads import download
from spikehouse.transfer.records import OWN_FOLDER, find_record
from spikehouse.transfer.remote_file import Content, LocalFile, RemoteFile
from spikehouse.transfer.retry import HttpOptions, UnreachableError
from spikehouse.transfer.sparse_file import count_kept

if TYPE_CHECKING:
    from spikehouse.transfer.progress import Progress
    from spikehouse.transfer.remote_bytes import RemoteBytes

__all__ = ["State", "Store"]

log = logging.getLogger(__name__)

State: TypeAlias = Literal["cached", "partial", "absent"]
T = TypeVar("T")


class Store:
    """Files and tables, from the cache folder or else from the first source that has them."""

    # Whether to download is decided by looking at the folder, never by catching an exception: a
    # cached file is never downloaded again because reading it failed. If a source fails, the next
    # one is asked and resumes from the bytes that arrived. Every table is parsed once.

    def __init__(
        self,
        manifest: Manifest,
        sources: Sequence[Any] = (),
        *,
        options: HttpOptions | None = None,
        progress: bool | None = None,
    ) -> None:
        # the kinds of files are those of the manifest: another data set is another table
        self.manifest = manifest
        self.sources: tuple[Source, ...] = tuple(as_source(source) for source in sources)
        self.options = options or HttpOptions()
        # whether to draw progress bars; None leaves it to SPIKEHOUSE_PROGRESS
        self.progress = progress
        self.file = manifest.file
        self.folder = manifest.folder
        # for locks, records and copies of this package, unknown to AllenSDK
        self.own = manifest.folder / OWN_FOLDER
        # for the records of downloads, with their digests
        self.records = self.own / "records"
        self._parsed: dict[Path, pd.DataFrame] = {}
        self._parts: dict[tuple[Path, frozenset[str]], pd.DataFrame] = {}
        self._parsing = threading.RLock()

    # --- where it is, and having it here

    def state(self, file: PlannedFile) -> tuple[State, int]:
        """Return whether a file is cached, partly or not at all, and its bytes on the disk."""
        if file.path.exists():
            return "cached", file.path.stat().st_size
        n_kept = count_kept(file.path)
        return ("partial", n_kept) if n_kept else ("absent", 0)

    def fetch(
        self,
        file: PlannedFile,
        *,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
    ) -> Path:
        """Download a file unless it is cached, and return its path."""
        if file.path.exists():
            return file.path

        def fetch_from(source: Source) -> Path:
            content = source.locate(file)
            is_generated = not isinstance(content, RemoteFile | LocalFile)
            # the source itself shows the progress of downloading the pages of a table
            is_silent = file.kind.table is not None and is_generated and progress is None
            shown = False if is_silent else progress
            return self.keep(file, content, progress=shown, stop=stop)

        return self.ask(file, fetch_from)

    def keep(
        self,
        file: PlannedFile,
        content: Content,
        *,
        progress: Progress | bool | None,
        stop: threading.Event | None = None,
        check: Callable[[Path], None] | None = None,
    ) -> Path:
        """Download or copy a file into the folder unless it is there."""
        self.check_inside(file.path)
        try:
            return download(
                content,
                file.path,
                check=check or file.kind.check,
                options=self.options,
                lock=self.lock_for(file.path),
                progress=self.progress if progress is None else progress,
                records=self.records,
                stop=stop,
            )
        except CacheError as error:
            text = error.message.replace("choose another folder", "choose another with manifest=…")
            error.args = (text, *error.args[1:])
            raise

    def stream(self, file: PlannedFile) -> RemoteBytes | Path:
        """Open a file: the cached one, or remote bytes of the first source that has it."""
        if file.path.exists():
            return file.path
        self.check_inside(file.path)

        def stream_from(source: Source) -> RemoteBytes | Path:
            from spikehouse.transfer.remote_bytes import RemoteBytes, StreamOptions

            content = source.locate(file)
            if isinstance(content, LocalFile):
                return content.ready()
            if not isinstance(content, RemoteFile):
                raise SourceError(
                    f"{source.name} generates {file.name} on request, so there is no URL to "
                    "stream from: download it instead"
                )
            # not probed: RemoteBytes recalls size and ETag of the last time
            return RemoteBytes(
                content, options=StreamOptions(), cache=file.path, folder=self.folder
            )

        return self.ask(file, stream_from)

    def ask(self, file: PlannedFile, act: Callable[[Source], T]) -> T:
        """Ask the sources for a file in turn."""
        try:
            if self.sources:
                with explaining_missing_lfp(file.ids[-1] if file.kind.name == "lfp" else None):
                    return ask_in_turn(self.sources, act, what=file.name)
        except SpikehouseError as unreached:
            if unreached.advice == UnreachableError.advice:
                unreached.advice += (
                    " What is in the cache folder can be used without one: "
                    "EcephysProjectCache.fixed(manifest)"
                )
            raise
        raise self.say_missing(file.path)

    def say_missing(self, path: Path) -> CacheError:
        """Return the error for a file that is not here, where nothing may be downloaded."""
        error = CacheError(f"{path} is not in the cache folder, and no network may be used")
        error.advice = (
            "Make the same call once on a cache that may use it, not one of fixed(): "
            f"EcephysProjectCache(manifest={str(self.manifest.path)!r})"
        )
        return error

    # --- tables

    def read_table(self, name: str, *ids: object) -> pd.DataFrame:
        """Read a table, downloading it unless it is cached."""
        # callers must not modify the table: the next caller gets the same object
        file = self.file(name, *ids)
        with self._parsing:
            if file.path not in self._parsed:
                self.fetch(file)
                self._parsed[file.path] = self._read(file)
            return self._parsed[file.path]

    def _read(self, file: PlannedFile) -> pd.DataFrame:
        assert file.kind.table is not None
        copy = self._copy_of(file.path)
        try:
            self.check_inside(copy)
        except CacheError as error:
            log.info("no copy of %s is kept: %s", file.path, error)
            return read_table(file.path, file.kind.table)
        return read_table(file.path, file.kind.table, copy=copy, lock=self.lock_for(copy))

    def read_columns(self, name: str, columns: Collection[str]) -> pd.DataFrame:
        """Read some columns of a table, which takes a fraction of the time of all."""
        file = self.file(name)
        key = (file.path, frozenset(columns))
        with self._parsing:
            if file.path not in self._parsed and key not in self._parts and file.path.exists():
                assert file.kind.table is not None
                part = read_copy(self._copy_of(file.path), file.path, file.kind.table, columns)
                if part is not None:
                    self._parts[key] = part
            if file.path not in self._parsed and key in self._parts:
                return self._parts[key]
            return self.read_table(name)

    def read_session_metrics(self, session_id: int) -> pd.DataFrame:
        """Read the analysis metrics of the units of a session."""
        file = self.file("session_metrics", session_id)
        if not file.path.exists() and not self._has_by_session(file):
            # the rows of the file of the session type, which is cached
            sessions, probes = self.read_table("sessions"), self.read_table("probes")
            channels = self.read_columns("channels", ["ecephys_probe_id"])
            units = self.read_columns("units", ["ecephys_channel_id"])
            own_probes = probes.index[probes["ecephys_session_id"] == session_id]
            own_channels = channels.index[channels["ecephys_probe_id"].isin(own_probes)]
            own_units = units.index[units["ecephys_channel_id"].isin(own_channels)]
            metrics = self.read_table("type_metrics", str(sessions["session_type"].loc[session_id]))
            return metrics[metrics.index.isin(own_units)]
        return self.read_table("session_metrics", session_id)

    def _has_by_session(self, file: PlannedFile) -> bool:
        try:
            return bool(self.sources and self.sources[0].locate(file))
        except NotFoundError:
            return False

    # --- what is ours in the folder

    def check_inside(self, path: Path) -> None:
        """Check that a file, its lock and its record lie inside the folder."""
        try:
            for place in (path, self.lock_for(path), find_record(self.records, path)):
                check_inside(place, self.folder)
        except CacheError as error:
            error.advice = f"Correct the entry of the manifest {self.manifest.path} if it leads out"
            raise

    def name_path(self, path: Path) -> str:
        """Return a path relative to the folder, for lists."""
        return (
            path.relative_to(self.folder) if path.is_relative_to(self.folder) else path
        ).as_posix()

    def lock_for(self, path: Path) -> Path:
        """Return the path of the lock of a file."""
        return lock_of(path, self.folder)

    def _copy_of(self, path: Path) -> Path:
        name = self._flatten(path.with_suffix(""))
        if not path.is_relative_to(self.folder):
            # files of several folders may have one name
            name += f"-{zlib.crc32(os.fsencode(path)):08x}"
        return self.own / "tables" / f"{name}.parquet"

    def _flatten(self, path: Path) -> str:
        """Return one file name for a path below the folder."""
        name = (
            path.relative_to(self.folder) if path.is_relative_to(self.folder) else Path(path.name)
        )
        return "__".join(name.parts)
