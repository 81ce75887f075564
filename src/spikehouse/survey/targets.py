"""The files of a cache folder: path, check, and how a source is asked for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

import pandas as pd

from spikehouse.schema import Table
from spikehouse.schema.cache_tables import CHANNELS, METRICS, PROBES, SESSIONS, UNITS
from spikehouse.survey.manifest import Manifest
from spikehouse.survey.protocol import TABLE_FILES, HasTableFiles, Source
from spikehouse.survey.tables import check_table
from spikehouse.transfer.checks import check_hdf5, check_npy, check_tiff
from spikehouse.transfer.remote_file import Content

__all__ = ["ANY_METRICS", "TABLES", "TableName", "Target", "Targets"]

TableName: TypeAlias = Literal["sessions", "probes", "channels", "units"]

TABLES: dict[TableName, Table] = {
    "sessions": SESSIONS,
    "probes": PROBES,
    "channels": CHANNELS,
    "units": UNITS,
}
# metrics differ from session type to session type: their types are settled after reading
ANY_METRICS = Table(name=METRICS.name, index=METRICS.index, columns=())


@dataclass(frozen=True)
class Target:
    """A file of the cache folder, whether it exists or not."""

    # kind of file
    kind: Literal["session", "lfp", "scene", "movie", "table"]
    # (session_id,), (session_id, probe_id), (number,) or (name,)
    ids: tuple[int | str, ...]
    # path of the file
    path: Path
    # raises InvalidFileError unless a path holds a file of this kind
    check: Callable[[Path], None]
    # asks a source for the location
    find: Callable[[Source], Content]
    # name for plans and messages
    name: str


class Targets:
    """The files of a cache folder by kind."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    def target_session(self, session_id: int) -> Target:
        """Return the target for the file of a session."""
        return Target(
            kind="session",
            ids=(session_id,),
            path=self._path_of("session_nwb", session_id, session_id),
            check=check_hdf5,
            find=lambda source: source.get_session_data(session_id),
            name=f"session {session_id}",
        )

    def target_lfp(self, session_id: int, probe_id: int) -> Target:
        """Return the target for the LFP file of a probe."""
        return Target(
            kind="lfp",
            ids=(session_id, probe_id),
            path=self._path_of("probe_lfp_nwb", session_id, probe_id),
            check=check_hdf5,
            find=lambda source: source.get_probe_lfp_data(probe_id),
            name=f"LFP of probe {probe_id}",
        )

    def target_scene(self, number: int) -> Target:
        """Return the target for an image."""
        return Target(
            kind="scene",
            ids=(number,),
            path=self._path_of("natural_scene", number),
            check=check_tiff,
            find=lambda source: source.get_natural_scene_template(number),
            name=f"natural scene {number}",
        )

    def target_movie(self, number: int) -> Target:
        """Return the target for a movie."""
        return Target(
            kind="movie",
            ids=(number,),
            path=self._path_of("natural_movie", number),
            check=check_npy,
            find=lambda source: source.get_natural_movie_template(number),
            name=f"natural movie {number}",
        )

    def target_table(self, name: TableName) -> Target:
        """Return the target for the CSV file of a table."""
        pages: dict[TableName, Callable[[Source], pd.DataFrame]] = {
            "sessions": lambda source: source.get_sessions(),
            "probes": lambda source: source.get_probes(),
            "channels": lambda source: source.get_channels(),
            "units": lambda source: source.get_units(),
        }
        return _describe_table(name, self._path_of(name), TABLES[name], pages[name])

    def target_session_metrics(self, session_id: int) -> Target:
        """Return the target for the analysis metrics of the units of a session."""
        return _describe_table(
            f"session_{session_id}_analysis_metrics",
            self._path_of("session_analysis_metrics", session_id, session_id),
            ANY_METRICS,
            lambda source: source.get_unit_analysis_metrics(ecephys_session_ids=[session_id]),
        )

    def target_type_metrics(self, session_type: str) -> Target:
        """Return the target for the analysis metrics of a session type."""
        return _describe_table(
            f"{session_type}_analysis_metrics",
            self._path_of("typewise_analysis_metrics", session_type),
            ANY_METRICS,
            lambda source: source.get_unit_analysis_metrics(session_types=[session_type]),
        )

    def _path_of(self, key: str, *ids: int | str) -> Path:
        return self._manifest.path_of(key, *ids)


def _describe_table(
    name: str, path: Path, table: Table, list_rows: Callable[[Source], pd.DataFrame]
) -> Target:
    def find(source: Source) -> Content:
        # the file itself where a source has it: one request, and byte for byte the same
        if name in TABLE_FILES and isinstance(source, HasTableFiles):
            return source.get_table_file(name)
        return _write_csv(partial(list_rows, source), table.index)

    return Target(
        kind="table",
        ids=(name,),
        path=path,
        check=partial(check_table, table=table),
        find=find,
        name=f"table {name}",
    )


def _write_csv(list_rows: Callable[[], pd.DataFrame], index: str) -> Iterator[bytes]:
    # a generator: the source is asked only when the lock of the file is held
    yield list_rows().to_csv(index_label=index, lineterminator="\n").encode()
