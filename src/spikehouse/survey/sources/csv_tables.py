"""The tables of a source that has them as CSV files."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spikehouse.errors import InvalidFileError, NotFoundError, describe_choices, printable
from spikehouse.schema import Table
from spikehouse.schema.cache_tables import CHANNELS, METRICS, PROBES, SESSIONS, UNITS
from spikehouse.survey.protocol import TableFile
from spikehouse.survey.sources.layout import METRICS_FILES
from spikehouse.survey.sources.rma import MAX_COLUMNS, MAX_ROWS
from spikehouse.transfer.addresses import check_id

__all__ = ["MAX_TABLE_BYTES", "CsvTables", "find_session_of", "parse_csv", "select_units"]

# units.csv, the largest, has 51.4 MB
MAX_TABLE_BYTES = 128 << 20
HEAD_BYTES = 1 << 20

# which metrics there are differs from session type to session type
_ANY_METRICS = Table(name=METRICS.name, index=METRICS.index, columns=())
_TABLES: dict[str, Table] = {
    "sessions": SESSIONS,
    "probes": PROBES,
    "channels": CHANNELS,
    "units": UNITS,
    **dict.fromkeys(METRICS_FILES.values(), _ANY_METRICS),
}
# up to pandas 3.0 the default parser may be off in the last place; from 3.1 on it is exact and
# asking for that is deprecated
_PANDAS = tuple(int(part) for part in pd.__version__.split(".")[:2])
_EXACT: dict[str, Any] = {"float_precision": "round_trip"} if _PANDAS < (3, 1) else {}


def parse_csv(content: Path | bytes, table: Table | TableFile, *, origin: str) -> pd.DataFrame:
    """Parse a CSV table with its declared types."""
    table = table if isinstance(table, Table) else _TABLES[table]
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    texts = {column.name: str for column in table.columns if column.kind == "str"}
    try:
        _check_extent(content)
        frame: pd.DataFrame = pd.read_csv(
            file,
            index_col=table.index,
            dtype=texts,
            low_memory=False,
            nrows=MAX_ROWS + 1,
            **_EXACT,
        )
        if len(frame) > MAX_ROWS:
            raise ValueError(f"it has more than {MAX_ROWS} rows")
        if isinstance(frame.index, pd.RangeIndex):
            # what some versions of pandas make of ids that happen to be evenly spaced
            frame.index = pd.Index(frame.index.to_numpy(), name=table.index)
        if not (pd.api.types.is_integer_dtype(frame.index) or frame.empty):
            raise ValueError(f"its column {table.index!r} contains values that are not ids")
        if frame.index.has_duplicates:
            raise ValueError(f"id {frame.index[frame.index.duplicated()][0]} occurs twice")
        return table.conform(frame, origin=origin)
    # TypeError: what the parser of pandas says about a file that holds only control characters
    except (ValueError, TypeError, OverflowError, InvalidFileError) as error:
        reason = printable(str(error)[:500])
        raise InvalidFileError(f"{origin} is not a table of {table.name}: {reason}") from error


def _check_extent(content: Path | bytes) -> None:
    """Reject a table that would cost pandas minutes or gigabytes."""
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
        head = file.read(HEAD_BYTES).decode("utf-8", "replace")
        size = file.seek(0, io.SEEK_END)
    if size > MAX_TABLE_BYTES:
        raise ValueError(f"it has {size} bytes: no table has more than {MAX_TABLE_BYTES}")
    try:
        # names may hold quotes and ends of lines
        names = next((row for row in csv.reader(io.StringIO(head)) if row), [])
    except csv.Error as error:
        raise ValueError(f"its column names cannot be read: {error}") from error
    if len(names) > MAX_COLUMNS:
        raise ValueError(f"it has more than {MAX_COLUMNS} columns")


def select_units(
    session_ids: Iterable[int],
    *,
    units: pd.DataFrame,
    channels: pd.DataFrame,
    probes: pd.DataFrame,
) -> pd.Index[Any]:
    """Return the ids of the units of some sessions."""
    probe_ids = probes.index[probes["ecephys_session_id"].isin(list(session_ids))]
    channel_ids = channels.index[channels["ecephys_probe_id"].isin(probe_ids)]
    return units.index[units["ecephys_channel_id"].isin(channel_ids)]


def find_session_of(probe_id: int, probes: pd.DataFrame, *, origin: str) -> int:
    """Return the session of a probe with LFP."""
    if probe_id not in probes.index:
        choices = describe_choices(probe_id, probes.index.tolist())
        raise NotFoundError(f"{origin} has no probe {probe_id}: {choices}")
    if not probes["has_lfp_data"].loc[probe_id]:
        raise NotFoundError(f"{origin} has no LFP of probe {probe_id}: none was released")
    return int(probes["ecephys_session_id"].loc[probe_id])


class CsvTables:
    """Tables from CSV files, each read at most once."""

    # Threads may share it: a second reader waits for the first.

    def __init__(self, read: Callable[[TableFile], pd.DataFrame], *, origin: str) -> None:
        self._read = read
        self._origin = origin
        self._parsed: dict[TableFile, pd.DataFrame] = {}
        self._reading = threading.RLock()

    def read(self, name: TableFile) -> pd.DataFrame:
        """Return a table."""
        # callers must not modify the table: the next caller gets the same object
        with self._reading:
            if name not in self._parsed:
                self._parsed[name] = self._read(name)
            return self._parsed[name]

    def select_metrics(
        self,
        unit_ids: Iterable[int] | None,
        session_ids: Iterable[int] | None,
        session_types: Iterable[str] | None,
    ) -> pd.DataFrame:
        """Return the analysis metrics of some units."""
        # Reads only what is needed: the metrics of the session types, and with `session_ids` the
        # four tables, which lead from a unit to its session.
        types = set(METRICS_FILES) if session_types is None else self._check_types(session_types)
        wanted = None if unit_ids is None else [check_id(i) for i in unit_ids]
        if session_ids is not None:
            sessions = [check_id(i) for i in session_ids]
            table = self.read("sessions")
            types &= set(table["session_type"][table.index.isin(sessions)])
            found = select_units(
                sessions,
                units=self.read("units"),
                channels=self.read("channels"),
                probes=self.read("probes"),
            )
            wanted = found.tolist() if wanted is None else found[found.isin(wanted)].tolist()
        # in the order of the files, whatever the order of the types
        names = [METRICS_FILES[kind] for kind in METRICS_FILES if kind in types]
        frames = [self.read(name) for name in names]
        if wanted is not None:
            frames = [frame[frame.index.isin(wanted)] for frame in frames]
        return _join([frame for frame in frames if len(frame)] or frames[:1])

    def _check_types(self, session_types: Iterable[str]) -> set[str]:
        types = [session_types] if isinstance(session_types, str) else list(session_types)
        for kind in types:
            if kind not in METRICS_FILES:
                raise NotFoundError(
                    f"{self._origin} has no metrics of session type {kind!r}: "
                    f"{describe_choices(kind, METRICS_FILES)}"
                )
        return set(types)


def _join(frames: list[pd.DataFrame]) -> pd.DataFrame:
    if not frames:
        index: pd.Index[Any] = pd.Index([], name=_ANY_METRICS.index, dtype=np.int64)
        return pd.DataFrame(index=index)
    if len(frames) == 1:
        return frames[0].copy()
    shared = set.intersection(*(set(frame.columns) for frame in frames))
    # some pandas guess a common type from empty columns and warn that they will not for long
    mixed = [name for name in shared if len({frame[name].dtype for frame in frames}) > 1]
    joined = pd.concat([frame.astype(dict.fromkeys(mixed, object)) for frame in frames])
    if joined.index.has_duplicates:
        twice = joined.index[joined.index.duplicated()][0]
        raise InvalidFileError(f"unit {twice} is in the metrics of more than one session type")
    return joined
