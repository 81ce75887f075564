"""The cache folder: its files, tables and locks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from spikehouse.errors import CacheError
from spikehouse.schema import Table
from spikehouse.survey.manifest import Manifest
from spikehouse.survey.parquet_cache import make_stamp, read_twin
from spikehouse.survey.tables import read_table
from spikehouse.transfer.disk import check_inside, lock_of
from spikehouse.transfer.downloads import download
from spikehouse.transfer.http import HttpClient
from spikehouse.transfer.records import OWN_FOLDER, find_record
from spikehouse.transfer.remote_file import Content, RemoteFile
from spikehouse.transfer.retry import HttpOptions

if TYPE_CHECKING:
    from spikehouse.transfer.progress import Progress

__all__ = ["CacheFolder", "read_table"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CacheFolder:
    """A folder in AllenSDK's layout."""

    # paths of the files
    manifest: Manifest
    # timeouts, retries and connections
    options: HttpOptions = field(default_factory=HttpOptions)
    # whether to draw progress bars; None leaves it to SPIKEHOUSE_PROGRESS
    progress: bool | None = None

    @property
    def own(self) -> Path:
        """Folder for locks, records and copies of this package, unknown to AllenSDK."""
        return self.manifest.folder / OWN_FOLDER

    @property
    def records(self) -> Path:
        """Folder for the records of downloads, with their digests."""
        return self.own / "records"

    def read_table(self, path: Path, table: Table) -> pd.DataFrame:
        """Read a table of the folder."""
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
        """Read some columns from the Parquet copy of a table; None without a valid copy."""
        return read_twin(self._twin_of(path), stamp=make_stamp(path, table), columns=columns)

    def fetch_file(
        self,
        path: Path,
        *,
        content: Content,
        check: Callable[[Path], None],
        progress: Progress | bool | None = None,
    ) -> Path:
        """Download a file unless it is cached."""
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
        """Ask the server for the size and validators that the source did not give."""
        if None not in (remote.size, remote.etag):
            return remote
        return HttpClient(self.options, remote.hosts).probe(remote)

    def check_inside(self, path: Path) -> None:
        """Check that a file, its lock and its record lie inside the folder."""
        for place in (path, self.lock_for(path), find_record(self.records, path)):
            check_inside(place, self.manifest.folder)

    def lock_for(self, path: Path) -> Path:
        """Return the path of the lock of a file."""
        return lock_of(path, self.manifest.folder)

    def explain_absence(self, path: Path) -> CacheError:
        """Return the error for a missing file where nothing may be downloaded."""
        error = CacheError(f"{path} is not in the cache folder, and no network may be used")
        error.advice = (
            "Make the same call once on a cache that may use it, not one of fixed(): "
            f"EcephysProjectCache(manifest={str(self.manifest.path)!r})"
        )
        return error

    def _twin_of(self, path: Path) -> Path:
        return self.own / "tables" / f"{self._flatten(path.with_suffix(''))}.parquet"

    def _flatten(self, path: Path) -> str:
        """Return one file name for a path below the folder."""
        folder = self.manifest.folder
        name = path.relative_to(folder) if path.is_relative_to(folder) else Path(path.name)
        return "__".join(name.parts)
