"""A local folder with the data set: a cache folder, or the mounted bucket."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from spikehouse.errors import CacheError, NotFoundError, SourceError
from spikehouse.survey.file_kinds import PlannedFile
from spikehouse.survey.manifest import find_manifest, no_manifest, read_manifest
from spikehouse.survey.tables import parse_csv
from spikehouse.transfer.remote_file import LocalFile

__all__ = ["Folder"]


class Folder:
    """A folder to copy files from; nothing in it is changed."""

    # With a manifest in the folder the paths are those it gives, without one the usual ones. File
    # names are made from ids only. Symbolic links in the folder are followed: whoever may write to
    # it is trusted.

    name = "folder"

    def __init__(self, path: str | Path) -> None:
        self._given = Path(path).expanduser().absolute()
        if not self._given.exists():
            raise CacheError(
                f"{self._given} is not there: give a cache folder, the place where the bucket is "
                "mounted, or a manifest.json"
            )
        manifest = find_manifest(self._given) if self._given.is_dir() else self._given
        self._manifest = read_manifest(manifest) if manifest.is_file() else no_manifest(manifest)
        self.path = manifest.parent

    def __reduce__(self) -> tuple[type[Folder], tuple[Path]]:
        return Folder, (self._given,)

    def locate(self, file: PlannedFile) -> LocalFile:
        """Locate a file of the folder."""
        path = self._manifest.path_of(file)
        try:
            is_there = path.is_file()
        # a bucket mounted as a disk may have lost its connection
        except OSError as error:
            raise SourceError(f"{path} cannot be accessed: {error}") from error
        if not is_there:
            raise NotFoundError(
                f"there is no {file.name} in the folder {self.path}: no file {path}"
            )
        return LocalFile(path=path, name=file.name, source=self.name)

    def read_table(self, file: PlannedFile) -> pd.DataFrame:
        """Read a table of the folder."""
        assert file.kind.table is not None
        path = self.locate(file).path
        return parse_csv(path, file.kind.table, origin=str(path))
