"""The CSV tables of a cache folder, and how they are read fast."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from spikehouse.errors import InvalidFileError
from spikehouse.remote.cache.twins import make_stamp, read_twin, write_twin
from spikehouse.remote.sources.csv_tables import parse_csv
from spikehouse.schema import Table

__all__ = ["check_table", "read_table"]


def read_table(
    path: Path, table: Table, *, twin: Path | None = None, lock: Path | None = None
) -> pd.DataFrame:
    """Read one of the CSV tables with its declared types.

    Parameters
    ----------
    path
        The file, as AllenSDK or this package wrote it.
    table
        What it should hold.
    twin
        Where its Parquet copy lies or is to be; None for none.
    lock
        The lock file that keeps two writers of the copy apart; beside it by default.

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
    Numbers come out exactly as they were written. The CSV is the truth: a copy that was made from
    another size or time of it, or is damaged, is not used but made anew.
    """
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
    """Make sure that a file is one of the CSV tables.

    Parameters
    ----------
    path
        The file.
    table
        What it should hold.

    Raises
    ------
    InvalidFileError
        If it cannot be parsed, lacks a declared column or has an id twice.
    """
    parse_csv(path, table, origin=str(path))


def _explain_parsing(path: Path, table: Table) -> pd.DataFrame:
    try:
        return parse_csv(path, table, origin=str(path))
    except InvalidFileError as error:
        raise InvalidFileError(
            f"{error}. It was left as it is; delete it and call again to fetch it anew"
        ) from error
