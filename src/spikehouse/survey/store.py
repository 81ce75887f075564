"""A cache folder and the sources it is filled from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spikehouse.errors import SourceError
from spikehouse.schema import Table
from spikehouse.survey.folder import CacheFolder
from spikehouse.survey.pictures import read_movie, read_scene
from spikehouse.survey.protocol import HasTableFiles, Source
from spikehouse.survey.sources.csv_tables import select_units
from spikehouse.survey.sources.fallback import ask_in_turn, name_source
from spikehouse.survey.targets import ANY_METRICS, TABLES, TableName, Target, Targets
from spikehouse.transfer.remote_file import LocalFile, RemoteFile
from spikehouse.transfer.sparse_file import count_kept

if TYPE_CHECKING:
    from spikehouse.transfer.progress import Progress
    from spikehouse.transfer.remote_bytes import RemoteBytes

__all__ = ["State", "Store", "TableName", "Target"]

State: TypeAlias = Literal["cached", "partial", "absent"]
T = TypeVar("T")


class Store(Targets):
    """Tables and files, from the cache folder or else from the first source that has them."""

    # Whether to download is decided by looking at the folder, never by catching an exception: a
    # cached file is never downloaded again because reading it failed. If a source fails, the next
    # one is asked and resumes from the bytes that arrived. Every table is parsed once.

    def __init__(self, folder: CacheFolder, sources: Sequence[Source]) -> None:
        super().__init__(folder.manifest)
        self.folder = folder
        self.sources = tuple(sources)
        self._parsed: dict[Path, pd.DataFrame] = {}
        self._parts: dict[tuple[Path, frozenset[str]], pd.DataFrame] = {}
        self._parsing = threading.RLock()

    @property
    def source(self) -> Source | None:
        """The preferred source; None if nothing may be downloaded."""
        return self.sources[0] if self.sources else None

    # --- where it is, and having it here

    def state(self, target: Target) -> tuple[State, int]:
        """Return whether a file is cached, partly or not at all, and its bytes on the disk."""
        if target.path.exists():
            return "cached", target.path.stat().st_size
        n_kept = count_kept(target.path)
        return ("partial", n_kept) if n_kept else ("absent", 0)

    def fetch(self, target: Target, *, progress: Progress | None = None) -> Path:
        """Download a file unless it is cached, and return its path."""
        if target.path.exists():
            return target.path
        return self._ask(target, partial(self._fetch_from, target, progress))

    def locate(self, target: Target) -> RemoteFile | LocalFile:
        """Return the location of a file at the first source that has it."""
        return self._ask(target, partial(self._locate_at, target))

    def stream(self, target: Target) -> RemoteBytes | Path:
        """Open a file: the cached one, or remote bytes of the first source that has it."""
        if target.path.exists():
            return target.path
        return self._ask(target, partial(self._stream_from, target))

    # --- what is in it

    def read_table(self, name: TableName) -> pd.DataFrame:
        """Read one of the four tables."""
        # callers must not modify the table: the next caller gets the same object
        return self._read(self.target_table(name), TABLES[name])

    def read_columns(self, name: TableName, columns: Collection[str]) -> pd.DataFrame:
        """Read some columns of one of the four tables."""
        path = self.target_table(name).path
        key = (path, frozenset(columns))
        with self._parsing:
            if path not in self._parsed and key not in self._parts and path.exists():
                part = self.folder.read_columns(path, TABLES[name], columns)
                if part is not None:
                    self._parts[key] = part
            if path not in self._parsed and key in self._parts:
                return self._parts[key]
            return self.read_table(name)

    def read_session_metrics(self, session_id: int) -> pd.DataFrame:
        """Read the analysis metrics of the units of a session."""
        # Sources with CSV files have the metrics per session type: that file is cached and the
        # rows are selected from it.
        target = self.target_session_metrics(session_id)
        has_files = isinstance(self.source, HasTableFiles)
        if target.path.exists() or not has_files:
            return self._read(target, ANY_METRICS)
        session_type = str(self.read_table("sessions")["session_type"].loc[session_id])
        unit_ids = select_units(
            [session_id],
            units=self.read_columns("units", ["ecephys_channel_id"]),
            channels=self.read_columns("channels", ["ecephys_probe_id"]),
            probes=self.read_table("probes"),
        )
        metrics = self.read_type_metrics(session_type)
        return metrics[metrics.index.isin(unit_ids)]

    def read_type_metrics(self, session_type: str) -> pd.DataFrame:
        """Read the analysis metrics of all units of a session type."""
        # the caller checks `session_type`, since it becomes part of a file name
        return self._read(self.target_type_metrics(session_type), ANY_METRICS)

    def fetch_session(self, session_id: int) -> Path:
        """Download the file of a session unless it is cached."""
        return self.fetch(self.target_session(session_id))

    def fetch_lfp(self, session_id: int, probe_id: int) -> Path:
        """Download the LFP file of a probe unless it is cached."""
        return self.fetch(self.target_lfp(session_id, probe_id))

    def read_scene(self, number: int) -> NDArray[np.uint8]:
        """Read an image, downloading it unless it is cached."""
        return read_scene(self.fetch(self.target_scene(number)))

    def read_movie(self, number: int) -> NDArray[Any]:
        """Open a movie, downloading it unless it is cached."""
        return read_movie(self.fetch(self.target_movie(number)))

    def _read(self, target: Target, table: Table) -> pd.DataFrame:
        with self._parsing:
            if target.path not in self._parsed:
                path = self.fetch(target)
                self._parsed[path] = self.folder.read_table(path, table)
            return self._parsed[target.path]

    def _fetch_from(self, target: Target, progress: Progress | None, source: Source) -> Path:
        content = target.find(source)
        # the source itself shows the progress of downloading the pages of a table
        is_silent = target.kind == "table" and not isinstance(content, RemoteFile | LocalFile)
        return self.folder.fetch_file(
            target.path,
            content=content,
            check=target.check,
            progress=False if is_silent and progress is None else progress,
        )

    def _locate_at(self, target: Target, source: Source) -> RemoteFile | LocalFile:
        found = _find_address(target, source)
        return self.folder.probe(found) if isinstance(found, RemoteFile) else found

    def _stream_from(self, target: Target, source: Source) -> RemoteBytes | Path:
        from spikehouse.transfer.remote_bytes import RemoteBytes, StreamOptions

        found = _find_address(target, source)
        if isinstance(found, LocalFile):
            return found.ready()
        # not probed: RemoteBytes recalls size and ETag of the last time
        return RemoteBytes(
            found,
            options=StreamOptions(),
            cache=target.path,
            folder=self.folder.manifest.folder,
        )

    def _ask(self, target: Target, act: Callable[[Source], T]) -> T:
        if not self.sources:
            raise self.folder.explain_absence(target.path)
        return ask_in_turn(self.sources, act, what=target.name)


def _find_address(target: Target, source: Source) -> RemoteFile | LocalFile:
    content = target.find(source)
    if isinstance(content, RemoteFile | LocalFile):
        return content
    raise SourceError(
        f"{name_source(source)} generates {target.name} on request, so there is no URL to "
        "stream from: download it instead"
    )
