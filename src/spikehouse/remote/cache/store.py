"""A cache folder and the sources it is filled from, seen as one."""

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
from spikehouse.remote.cache.folder import CacheFolder
from spikehouse.remote.cache.pictures import read_movie, read_scene
from spikehouse.remote.cache.targets import ANY_METRICS, TABLES, TableName, Target, Targets
from spikehouse.remote.protocol import HasTableFiles, LocalFile, RemoteFile, Source
from spikehouse.remote.sources.csv_tables import select_units
from spikehouse.remote.sources.fallback import ask_in_turn, name_source
from spikehouse.remote.transfer.part_state import count_kept
from spikehouse.schema import Table

if TYPE_CHECKING:
    from spikehouse.remote.progress import Progress
    from spikehouse.remote.streaming.ranges import RemoteBytes

__all__ = ["State", "Store", "TableName", "Target"]

State: TypeAlias = Literal["cached", "partial", "absent"]
T = TypeVar("T")


class Store(Targets):
    """Give tables and files, from the folder if they are there, else from a source.

    Parameters
    ----------
    folder
        Where everything is kept.
    sources
        Who has what is missing, the preferred one first; empty when no network may be used.

    Notes
    -----
    A missing file is a decision made by looking, never a caught exception: what is there is
    never fetched again, whatever reading it says. Where one source fails, the next is asked,
    and what has arrived of a file is kept for it. Every table is parsed once.
    """

    def __init__(self, folder: CacheFolder, sources: Sequence[Source]) -> None:
        super().__init__(folder.manifest)
        self.folder = folder
        self.sources = tuple(sources)
        self._parsed: dict[Path, pd.DataFrame] = {}
        self._parts: dict[tuple[Path, frozenset[str]], pd.DataFrame] = {}
        self._parsing = threading.RLock()

    @property
    def source(self) -> Source | None:
        """The preferred source; None when no network may be used."""
        return self.sources[0] if self.sources else None

    # --- where it is, and having it here

    def state(self, target: Target) -> tuple[State, int]:
        """Say how much of a file is in the folder.

        Parameters
        ----------
        target
            The file.

        Returns
        -------
        tuple
            The state, and how many bytes are there. Looks at the disk only.
        """
        if target.path.exists():
            return "cached", target.path.stat().st_size
        n_kept = count_kept(target.path)
        return ("partial", n_kept) if n_kept else ("absent", 0)

    def fetch(self, target: Target, *, progress: Progress | None = None) -> Path:
        """Fetch a file unless it is there.

        Parameters
        ----------
        target
            The file.
        progress
            Where to show how far it is; the folder's own way by default.

        Returns
        -------
        Path
            Where it now is.

        Raises
        ------
        CacheError
            If it is missing and may not be fetched, or the folder cannot be written to.
        NotFoundError
            If no source has it.
        SourceError
            If no source delivers it: the message names each and its reason. With one source
            only, its own error is raised.
        """
        if target.path.exists():
            return target.path
        return self._ask(target, partial(self._fetch_from, target, progress))

    def locate(self, target: Target) -> RemoteFile | LocalFile:
        """Say where the bytes of a file can be had.

        Parameters
        ----------
        target
            The file.

        Returns
        -------
        RemoteFile or LocalFile
            At the first source that has it; size and token of change are asked of the server
            where the source does not tell.

        Raises
        ------
        CacheError
            If no source may be asked.
        NotFoundError
            If no source has it.
        SourceError
            If no source can say.
        """
        return self._ask(target, partial(self._locate_at, target))

    def stream(self, target: Target) -> RemoteBytes | Path:
        """Open a file where it is.

        Parameters
        ----------
        target
            The file.

        Returns
        -------
        RemoteBytes or Path
            A path where the file is on this machine, else its bytes at a source, of which only
            those are fetched that are asked for.

        Raises
        ------
        CacheError
            If it is not in the folder and no source may be asked.
        NotFoundError
            If no source has it.
        SourceError
            If no source can say where it is.
        """
        if target.path.exists():
            return target.path
        return self._ask(target, partial(self._stream_from, target))

    # --- what is in it

    def read_table(self, name: TableName) -> pd.DataFrame:
        """Read one of the four tables.

        Parameters
        ----------
        name
            Which.

        Returns
        -------
        DataFrame
            As it lies in the folder. Not to be changed: the next caller gets the same object.

        Raises
        ------
        CacheError
            If it is missing and may not be fetched, or the folder cannot be written to.
        InvalidFileError
            If the file is no such table.
        SourceError
            If no source delivers it.
        """
        return self._read(self.target_table(name), TABLES[name])

    def read_columns(self, name: TableName, columns: Collection[str]) -> pd.DataFrame:
        """Read some columns of one of the four tables.

        Parameters
        ----------
        name
            Which table.
        columns
            Which columns; those it lacks are left aside.

        Returns
        -------
        DataFrame
            At least these columns, and every row. Not to be changed.

        Raises
        ------
        CacheError
            As for :meth:`read_table`.
        InvalidFileError
            As for :meth:`read_table`.
        SourceError
            As for :meth:`read_table`.
        """
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
        """Read the analysis metrics of a session's units.

        Parameters
        ----------
        session_id
            The session.

        Returns
        -------
        DataFrame
            Index ``ecephys_unit_id``; not to be changed.

        Notes
        -----
        Sources that have the tables as files have one of metrics for each session type: that is
        kept, and the rows are taken from it.
        """
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
        """Read the analysis metrics of all units of a session type.

        Parameters
        ----------
        session_type
            Such as ``"brain_observatory_1.1"``; a known one, for it becomes a file name.

        Returns
        -------
        DataFrame
            Index ``ecephys_unit_id``; not to be changed.
        """
        return self._read(self.target_type_metrics(session_type), ANY_METRICS)

    def fetch_session(self, session_id: int) -> Path:
        """Fetch the file of a session unless it is there.

        Parameters
        ----------
        session_id
            The session.

        Returns
        -------
        Path
            The NWB file.
        """
        return self.fetch(self.target_session(session_id))

    def fetch_lfp(self, session_id: int, probe_id: int) -> Path:
        """Fetch the LFP file of a probe unless it is there.

        Parameters
        ----------
        session_id
            The session, which names the folder.
        probe_id
            The probe.

        Returns
        -------
        Path
            The NWB file.
        """
        return self.fetch(self.target_lfp(session_id, probe_id))

    def read_scene(self, number: int) -> NDArray[np.uint8]:
        """Read an image, fetching it unless it is there.

        Parameters
        ----------
        number
            Its number.

        Returns
        -------
        ndarray
            Shape (rows, columns).
        """
        return read_scene(self.fetch(self.target_scene(number)))

    def read_movie(self, number: int) -> NDArray[Any]:
        """Open a movie, fetching it unless it is there.

        Parameters
        ----------
        number
            Its number.

        Returns
        -------
        ndarray
            Shape (frames, rows, columns).
        """
        return read_movie(self.fetch(self.target_movie(number)))

    def _read(self, target: Target, table: Table) -> pd.DataFrame:
        with self._parsing:
            if target.path not in self._parsed:
                path = self.fetch(target)
                self._parsed[path] = self.folder.read_table(path, table)
            return self._parsed[target.path]

    def _fetch_from(self, target: Target, progress: Progress | None, source: Source) -> Path:
        content = target.find(source)
        # while the pages of a table are asked for, the source itself shows how far it is
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
        from spikehouse.remote.streaming.ranges import RemoteBytes, StreamOptions

        found = _find_address(target, source)
        if isinstance(found, LocalFile):
            return found.ready()
        blocks = self.folder.own / "blocks"
        self.folder.check_inside(blocks / "x")
        # not probed: it remembers what it was told the last time
        return RemoteBytes(found, options=StreamOptions(), cache=blocks)

    def _ask(self, target: Target, act: Callable[[Source], T]) -> T:
        if not self.sources:
            raise self.folder.explain_absence(target.path)
        return ask_in_turn(self.sources, act, what=target.name)


def _find_address(target: Target, source: Source) -> RemoteFile | LocalFile:
    content = target.find(source)
    if isinstance(content, RemoteFile | LocalFile):
        return content
    raise SourceError(
        f"{name_source(source)} makes {target.name} when it is asked for it: it has no address; "
        "fetch it instead"
    )
