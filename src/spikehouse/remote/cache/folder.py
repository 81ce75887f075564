"""The cache folder: its files, its tables, its locks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from spikehouse.errors import CacheError
from spikehouse.remote.cache.tables import read_table
from spikehouse.remote.cache.twins import make_stamp, read_twin
from spikehouse.remote.disk import check_inside
from spikehouse.remote.http.client import HttpClient, HttpOptions
from spikehouse.remote.manifest import OWN_FOLDER, Manifest
from spikehouse.remote.protocol import Content, RemoteFile
from spikehouse.remote.transfer.download import download
from spikehouse.remote.transfer.records import find_record
from spikehouse.schema import Table

if TYPE_CHECKING:
    from spikehouse.remote.progress import Progress

__all__ = ["CacheFolder", "read_table"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CacheFolder:
    """A folder in AllenSDK's layout.

    Attributes
    ----------
    manifest
        Which file lies where.
    options
        How patient to be with servers.
    progress
        Whether to draw progress bars; None leaves it to ``SPIKEHOUSE_PROGRESS``.
    """

    manifest: Manifest
    options: HttpOptions = field(default_factory=HttpOptions)
    progress: bool | None = None

    @property
    def own(self) -> Path:
        """Where this package keeps its locks, notes and copies; AllenSDK never looks there."""
        return self.manifest.folder / OWN_FOLDER

    @property
    def records(self) -> Path:
        """Where it is noted what was fetched, and with which digest."""
        return self.own / "records"

    def read_table(self, path: Path, table: Table) -> pd.DataFrame:
        """Read a table that is there.

        Parameters
        ----------
        path
            A CSV.
        table
            What it should hold.

        Returns
        -------
        DataFrame
            With the table's index.

        Raises
        ------
        InvalidFileError
            If it is not such a table. The file is left as it is.
        """
        twin = self._twin_of(path)
        try:
            self.check_inside(twin)
        except CacheError as error:
            log.info("no copy of %s is kept: %s", path, error)
            return read_table(path, table)
        return read_table(path, table, twin=twin, lock=self.lock_for(twin))

    def read_columns(
        self, path: Path, table: Table, columns: Collection[str]
    ) -> pd.DataFrame | None:
        """Read some columns of a table that is there, if that is cheaper than the whole.

        Parameters
        ----------
        path
            A CSV.
        table
            What it should hold.
        columns
            Which; those it lacks are left aside.

        Returns
        -------
        DataFrame or None
            None where only the CSV can tell.
        """
        return read_twin(self._twin_of(path), stamp=make_stamp(path, table), columns=columns)

    def fetch_file(
        self,
        path: Path,
        *,
        content: Content,
        check: Callable[[Path], None],
        progress: Progress | bool | None = None,
    ) -> Path:
        """Fetch a file unless it is there.

        Parameters
        ----------
        path
            Where it lies.
        content
            Where the bytes are, or the bytes themselves.
        check
            Raises unless the file is what it should be.
        progress
            Where to show how far it is; the folder's own way by default.

        Returns
        -------
        Path
            ``path``, where the file now is.

        Raises
        ------
        CacheError
            If it cannot be written, or lies outside the folder.
        """
        self.check_inside(path)
        return download(
            content,
            path,
            check=check,
            options=self.options,
            lock=self.lock_for(path),
            progress=self.progress if progress is None else progress,
            records=self.records,
        )

    def probe(self, remote: RemoteFile) -> RemoteFile:
        """Ask a server what its source did not tell.

        Parameters
        ----------
        remote
            A file there.

        Returns
        -------
        RemoteFile
            With its size and its token of change.

        Raises
        ------
        SourceError
            If the server cannot be reached or answers with something else.
        """
        if None not in (remote.size, remote.etag):
            return remote
        return HttpClient(self.options, remote.hosts).probe(remote)

    def check_inside(self, path: Path) -> None:
        """Make sure that a file may be written, replaced or deleted, with its lock and record.

        Parameters
        ----------
        path
            The file.

        Raises
        ------
        CacheError
            If any of them lies outside the folder.
        """
        for place in (path, self.lock_for(path), find_record(self.records, path)):
            check_inside(place, self.manifest.folder)

    def lock_for(self, path: Path) -> Path:
        """Say which lock file guards a file.

        Parameters
        ----------
        path
            A file of this folder.

        Returns
        -------
        Path
            A file under ``.spikehouse/locks``.
        """
        return self.own / "locks" / f"{self._flatten(path)}.lock"

    def explain_absence(self, path: Path) -> CacheError:
        """Say that a file is missing where none may be fetched.

        Parameters
        ----------
        path
            The file.

        Returns
        -------
        CacheError
            To be raised.
        """
        error = CacheError(f"{path} is not in the cache folder, and no network may be used")
        error.advice = (
            "Make the same call once on a cache that may use it, not one of fixed(): "
            f"EcephysProjectCache(manifest={str(self.manifest.path)!r})"
        )
        return error

    def _twin_of(self, path: Path) -> Path:
        return self.own / "tables" / f"{self._flatten(path.with_suffix(''))}.parquet"

    def _flatten(self, path: Path) -> str:
        """Make one name of where a file lies below the folder."""
        folder = self.manifest.folder
        name = path.relative_to(folder) if path.is_relative_to(folder) else Path(path.name)
        return "__".join(name.parts)
