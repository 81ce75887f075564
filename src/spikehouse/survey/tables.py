"""Read the CSV tables of a cache folder, with a Parquet copy for speed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from spikehouse.errors import InvalidFileError
from spikehouse.schema import Table
from spikehouse.survey.parquet_cache import make_stamp, read_twin, write_twin
from spikehouse.survey.sources.csv_tables import parse_csv

__all__ = ["check_table", "read_table"]


def read_table(
    path: Path, table: Table, *, twin: Path | None = None, lock: Path | None = None
) -> pd.DataFrame:
    """Read a CSV table with its declared types."""
    # Numbers are exactly as written. The CSV file is authoritative: a Parquet copy that is damaged
    # or was made from another size or modification time of the CSV is made again.
    if twin is None:
        return _explain_parsing(path, table)
    stamp = make_stamp(path, table)
    frame = read_twin(twin, stamp=stamp)
    if frame is not None:
        return frame
    frame = _explain_parsing(path, table)
    # not of a CSV that somebody changed while it was read
    if make_stamp(path, table) == stamp:
        write_twin(twin, frame, stamp=stamp, lock=lock or twin.with_name(f"{twin.name}.lock"))
    return frame


def check_table(path: Path, *, table: Table) -> None:
    """Check that a file is one of the CSV tables."""
    parse_csv(path, table, origin=str(path))


def _explain_parsing(path: Path, table: Table) -> pd.DataFrame:
    try:
        return parse_csv(path, table, origin=str(path))
    except InvalidFileError as error:
        raise InvalidFileError(
            f"{error}. It was left as it is; delete it and call again to fetch it anew"
        ) from error
