"""The cache folder: its files, its tables, its locks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from spikehouse.errors import CacheError, InvalidFileError
from spikehouse.remote.disk import explain_storage_errors, hold_lock, make_folder, write_whole
from spikehouse.remote.http import HttpOptions
from spikehouse.remote.manifest import OWN_FOLDER, Manifest
from spikehouse.remote.sources import Content
from spikehouse.remote.transfer import download
from spikehouse.schema import Table

__all__ = ["CacheFolder", "read_table"]

log = logging.getLogger(__name__)

# up to pandas 3.0 the default parser may be off in the last place; from 3.1 on it is exact and
# asking for that is deprecated
_PANDAS = tuple(int(part) for part in pd.__version__.split(".")[:2])
_EXACT: dict[str, Any] = {"float_precision": "round_trip"} if _PANDAS < (3, 1) else {}


def read_table(path: Path, table: Table) -> pd.DataFrame:
    """Read one of the CSV tables with its declared types.

    Parameters
    ----------
    path
        The file, as AllenSDK or this package wrote it.
    table
        What it should hold.

    Returns
    -------
    DataFrame
        With the table's index; columns the table does not declare are kept.

    Raises
    ------
    InvalidFileError
        If it is not such a table. The file is left as it is.

    Notes
    -----
    Numbers come out exactly as they were written.
    """
    texts = {column.name: str for column in table.columns if column.kind == "str"}
    try:
        frame = pd.read_csv(path, index_col=table.index, dtype=texts, low_memory=False, **_EXACT)
        return table.conform(frame, origin=str(path))
    # TypeError: what the parser of pandas says about a file that holds only control characters
    except (ValueError, TypeError, InvalidFileError) as error:
        raise InvalidFileError(
            f"{path} is not a table of {table.name}: {error}. It was left as it is; delete it "
            "and call again to fetch it anew"
        ) from error


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

    def fetch_table(
        self, path: Path, *, fetch: Callable[[], pd.DataFrame] | None, index: str
    ) -> Path:
        """Fetch a table unless its file is there.

        Parameters
        ----------
        path
            Where it lies.
        fetch
            Asks a source for it; None when no network may be used.
        index
            What to call its index column.

        Returns
        -------
        Path
            ``path``, where the file now is.

        Raises
        ------
        CacheError
            If it is not there and may not be fetched, or cannot be written.
        SourceError
            If the source does not deliver.
        """
        if path.exists():
            return path
        if fetch is None:
            raise self.explain_absence(path)
        make_folder(path.parent)
        with hold_lock(self.lock_for(path)):
            if path.exists():
                return path
            text = fetch().to_csv(index_label=index, lineterminator="\n")
            with write_whole(path) as file, explain_storage_errors(path):
                file.write(text.encode())
        log.info("wrote %s", path)
        return path

    def fetch_file(
        self, path: Path, *, find: Callable[[], Content] | None, check: Callable[[Path], None]
    ) -> Path:
        """Fetch a file unless it is there.

        Parameters
        ----------
        path
            Where it lies.
        find
            Asks a source where the bytes are; None when no network may be used.
        check
            Raises unless the file is what it should be.

        Returns
        -------
        Path
            ``path``, where the file now is.

        Raises
        ------
        CacheError
            If it is not there and may not be fetched, or cannot be written.
        """
        if path.exists():
            return path
        if find is None:
            raise self.explain_absence(path)
        return download(
            find(),
            path,
            check=check,
            options=self.options,
            lock=self.lock_for(path),
            progress=self.progress,
        )

    def lock_for(self, path: Path) -> Path:
        """Say which lock file guards a file.

        Parameters
        ----------
        path
            A file of this folder.

        Returns
        -------
        Path
            A file under ``.spikehouse/locks``, which AllenSDK never looks at.
        """
        folder = self.manifest.folder
        name = path.relative_to(folder) if path.is_relative_to(folder) else Path(path.name)
        return folder / OWN_FOLDER / "locks" / f"{'__'.join(name.parts)}.lock"

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
        return CacheError(
            f"{path} is not in the cache folder, and this cache was opened with fixed(), which "
            "never uses the network. Make the same call once on "
            f"EcephysProjectCache.from_warehouse(manifest={str(self.manifest.path)!r}) to fetch it"
        )
