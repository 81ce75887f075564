"""A cache folder and the source it is filled from, seen as one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spikehouse.remote.checks import check_hdf5, check_npy, check_tiff
from spikehouse.remote.folder import CacheFolder, read_table
from spikehouse.remote.pictures import read_movie, read_scene
from spikehouse.remote.sources import Source
from spikehouse.schema import Table
from spikehouse.schema.cache_tables import CHANNELS, METRICS, PROBES, SESSIONS, UNITS

__all__ = ["Store", "TableName"]

TableName: TypeAlias = Literal["sessions", "probes", "channels", "units"]

_TABLES: dict[TableName, Table] = {
    "sessions": SESSIONS,
    "probes": PROBES,
    "channels": CHANNELS,
    "units": UNITS,
}
# metrics differ from session type to session type: their types are settled after reading
_ANY_METRICS = Table(name=METRICS.name, index=METRICS.index, columns=())


class Store:
    """Give tables and files, from the folder if they are there, else from the source.

    Parameters
    ----------
    folder
        Where everything is kept.
    source
        Who has what is missing; None when no network may be used.

    Notes
    -----
    A missing file is a decision made by looking, never a caught exception: what is there is
    never fetched again, whatever reading it says. Every table is parsed once.
    """

    def __init__(self, folder: CacheFolder, source: Source | None) -> None:
        self.folder = folder
        self.source = source
        self._parsed: dict[Path, pd.DataFrame] = {}
        self._parsing = threading.RLock()

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
            If the source does not deliver it.
        """
        fetch = self._fetcher(name)
        return self._read(self._path_of(name), table=_TABLES[name], fetch=fetch)

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
        """
        path = self._path_of("session_analysis_metrics", session_id, session_id)
        fetch = None
        if self.source is not None:
            fetch = partial(self.source.get_unit_analysis_metrics, ecephys_session_ids=[session_id])
        return self._read(path, table=_ANY_METRICS, fetch=fetch)

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
        path = self._path_of("typewise_analysis_metrics", session_type)
        fetch = None
        if self.source is not None:
            fetch = partial(self.source.get_unit_analysis_metrics, session_types=[session_type])
        return self._read(path, table=_ANY_METRICS, fetch=fetch)

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
        path = self._path_of("session_nwb", session_id, session_id)
        find = None if self.source is None else partial(self.source.get_session_data, session_id)
        return self.folder.fetch_file(path, find=find, check=check_hdf5)

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
        path = self._path_of("probe_lfp_nwb", session_id, probe_id)
        find = None if self.source is None else partial(self.source.get_probe_lfp_data, probe_id)
        return self.folder.fetch_file(path, find=find, check=check_hdf5)

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
        path = self._path_of("natural_scene", number)
        find = (
            None if self.source is None else partial(self.source.get_natural_scene_template, number)
        )
        return read_scene(self.folder.fetch_file(path, find=find, check=check_tiff))

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
        path = self._path_of("natural_movie", number)
        find = (
            None if self.source is None else partial(self.source.get_natural_movie_template, number)
        )
        return read_movie(self.folder.fetch_file(path, find=find, check=check_npy))

    def _path_of(self, key: str, *ids: int | str) -> Path:
        return self.folder.manifest.path_of(key, *ids)

    def _fetcher(self, name: TableName) -> Callable[[], pd.DataFrame] | None:
        source = self.source
        if source is None:
            return None
        fetchers: dict[TableName, Callable[[], pd.DataFrame]] = {
            "sessions": source.get_sessions,
            "probes": source.get_probes,
            "channels": source.get_channels,
            "units": source.get_units,
        }
        return fetchers[name]

    def _read(
        self, path: Path, *, table: Table, fetch: Callable[[], pd.DataFrame] | None
    ) -> pd.DataFrame:
        with self._parsing:
            if path not in self._parsed:
                self.folder.fetch_table(path, fetch=fetch, index=table.index)
                self._parsed[path] = read_table(path, table)
            return self._parsed[path]
