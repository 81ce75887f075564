"""A local folder with the data set: a cache folder, or the mounted bucket."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from spikehouse.errors import CacheError, NotFoundError, SourceError
from spikehouse.survey.manifest import Manifest, find_manifest, read_manifest
from spikehouse.survey.protocol import TableFile
from spikehouse.survey.sources.csv_tables import CsvTables, find_session_of, parse_csv
from spikehouse.survey.sources.layout import (
    METRICS_FILES,
    lfp_key,
    movie_key,
    scene_key,
    session_key,
    session_metrics_key,
    table_key,
)
from spikehouse.transfer.addresses import check_id
from spikehouse.transfer.remote_file import LocalFile

__all__ = ["Folder"]


class Folder:
    """A folder to copy files from; nothing in it is changed."""

    # With a manifest in the folder the paths are those it gives, without one those of layout.py.
    # File names are made from ids only. Symbolic links in the folder are followed: whoever may
    # write to it is trusted.

    name = "folder"

    def __init__(self, path: str | Path) -> None:
        given = Path(path).expanduser().absolute()
        if not given.exists():
            raise CacheError(
                f"{given} is not there: give a cache folder, the place where the bucket is "
                "mounted, or a manifest.json"
            )
        self.path = given if given.is_dir() else given.parent
        self._manifest = _find_manifest(given)
        self._tables = CsvTables(self._read_table, origin=str(self.path))
        self._given = given

    def __reduce__(self) -> tuple[type[Folder], tuple[Path]]:
        return Folder, (self._given,)

    def get_sessions(self) -> pd.DataFrame:
        """Read the table of sessions."""
        return self._tables.read("sessions").copy()

    def get_probes(self) -> pd.DataFrame:
        """Read the table of probes."""
        return self._tables.read("probes").copy()

    def get_channels(self) -> pd.DataFrame:
        """Read the table of channels."""
        return self._tables.read("channels").copy()

    def get_units(self) -> pd.DataFrame:
        """Read the table of units, unfiltered."""
        return self._tables.read("units").copy()

    def get_unit_analysis_metrics(
        self,
        unit_ids: Iterable[int] | None = None,
        ecephys_session_ids: Iterable[int] | None = None,
        session_types: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        """Return the analysis metrics of some units."""
        # For a single session and nothing else, a folder in use often has the answer as a file of
        # its own, `session_<id>_analysis_metrics.csv`.
        session_ids = None if ecephys_session_ids is None else list(ecephys_session_ids)
        is_narrowed = unit_ids is not None or session_types is not None
        if session_ids is not None and len(session_ids) == 1 and not is_narrowed:
            number = check_id(session_ids[0])
            usual = session_metrics_key(number)
            path = self._path_of("session_analysis_metrics", number, number, usual=usual)
            if _is_file(path):
                # any of the two names will do: both stand for metrics of whatever columns
                return parse_csv(path, next(iter(METRICS_FILES.values())), origin=str(path))
        return self._tables.select_metrics(unit_ids, session_ids, session_types)

    def get_table_file(self, name: TableFile) -> LocalFile:
        """Locate the CSV file of a table."""
        return self._locate(self._table_path(name), f"table {name}")

    def get_session_data(self, session_id: int) -> LocalFile:
        """Locate the file of a session."""
        number = check_id(session_id)
        path = self._path_of("session_nwb", number, number, usual=session_key(number))
        return self._locate(path, f"session {number}")

    def get_probe_lfp_data(self, probe_id: int) -> LocalFile:
        """Locate the LFP file of a probe."""
        number = check_id(probe_id)
        session_id = find_session_of(number, self._tables.read("probes"), origin=str(self.path))
        path = self._path_of("probe_lfp_nwb", session_id, number, usual=lfp_key(session_id, number))
        return self._locate(path, f"LFP of probe {number}")

    def get_natural_scene_template(self, number: int) -> LocalFile:
        """Locate the TIFF of an image."""
        number = check_id(number)
        path = self._path_of("natural_scene", number, usual=scene_key(number))
        return self._locate(path, f"natural scene {number}")

    def get_natural_movie_template(self, number: int) -> LocalFile:
        """Locate the NumPy file of a movie."""
        number = check_id(number)
        path = self._path_of("natural_movie", number, usual=movie_key(number))
        return self._locate(path, f"natural movie {number}")

    def _path_of(self, key: str, *ids: int | str, usual: str) -> Path:
        if self._manifest is None:
            return self.path / usual
        return self._manifest.path_of(key, *ids)

    def _table_path(self, name: TableFile) -> Path:
        usual = table_key(name)
        for session_type, metrics in METRICS_FILES.items():
            if name == metrics:
                return self._path_of("typewise_analysis_metrics", session_type, usual=usual)
        return self._path_of(name, usual=usual)

    def _locate(self, path: Path, name: str) -> LocalFile:
        if not _is_file(path):
            raise NotFoundError(f"there is no {name} in the folder {self.path}: no file {path}")
        return LocalFile(path=path, name=name, source=self.name)

    def _read_table(self, name: TableFile) -> pd.DataFrame:
        path = self.get_table_file(name).path
        return parse_csv(path, name, origin=str(path))


def _find_manifest(given: Path) -> Manifest | None:
    if not given.is_dir():
        return read_manifest(given)
    manifest = find_manifest(given)
    return read_manifest(manifest) if manifest.is_file() else None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    # a bucket mounted as a disk may have lost its connection
    except OSError as error:
        raise SourceError(f"{path} cannot be accessed: {error}") from error
