"""One table of units: the survey's tables, and files joined to them by the id of the unit."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from spikehouse.errors import InvalidArgumentError, InvalidFileError, NotFoundError

if TYPE_CHECKING:
    from spikehouse.cache import EcephysProjectCache

NO_LIMITS: dict[str, Any] = {
    "amplitude_cutoff_maximum": None,
    "presence_ratio_minimum": None,
    "isi_violations_maximum": None,
}
IDS = ("ecephys_unit_id", "unit_id", "id")


def read_units(cache: EcephysProjectCache, sessions: pd.DataFrame) -> pd.DataFrame:
    """Read the units of sessions, of any quality, with the released metrics of each."""
    units = cache.get_units(None, filter_by_validity=False, **NO_LIMITS)
    units = units[units["ecephys_session_id"].isin(sessions.index)]
    metrics = [
        cache.get_unit_analysis_metrics_by_session_type(name, annotate=False)
        for name in sessions["session_type"].unique()
    ]
    table = pd.concat(metrics)
    # the released metrics have rows of units of an earlier sorting, some of them twice
    table = table[~table.index.duplicated()]
    added = table[[name for name in table.columns if name not in units]]
    joined = units.join(added, how="left").rename_axis("unit_id")
    return joined.rename(columns={"ecephys_session_id": "session_id"})


def join_files(units: pd.DataFrame, paths: Iterable[Path]) -> tuple[pd.DataFrame, list[str]]:
    """Join files to the units by their ids; also say which file brought which columns."""
    said = []
    for path in paths:
        table = _read(path)
        added = [name for name in table.columns if name not in units]
        n_found = int(units.index.isin(table.index).sum())
        if not n_found:
            raise InvalidArgumentError(
                f"{path} has {len(table)} units, none of which is among the {len(units)} here "
                f"(from {units.index.min()} to {units.index.max()}): it is of another survey"
            )
        units = units.join(table[added], how="left")
        said.append(f"{path.name}: {', '.join(added) or 'nothing new'}; {n_found} units")
    return units, said


def list_files(paths: Iterable[str | Path]) -> list[Path]:
    """List the tables that files and folders mean."""
    files = []
    for given in paths:
        path = Path(given).expanduser()
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix in (".csv", ".parquet"))
            if not inside:
                raise NotFoundError(f"the folder {path} has no .csv and no .parquet file")
            files += inside
        elif not path.is_file():
            raise NotFoundError(f"there is no file or folder {path}")
        elif path.suffix not in (".csv", ".parquet"):
            raise InvalidArgumentError(f"{path} is not a table: give .csv or .parquet files")
        else:
            files.append(path)
    return files


def _read(path: Path) -> pd.DataFrame:
    try:
        if path.suffix == ".csv":
            table = pd.read_csv(path, low_memory=False)
        else:
            table = pd.read_parquet(path).reset_index()
    except (OSError, ValueError) as error:
        raise InvalidFileError(f"{path} cannot be read as a table: {error}") from error
    name = next((name for name in IDS if name in table), None)
    if name is None:
        shown = ", ".join(map(str, table.columns[:6]))
        raise InvalidFileError(
            f"{path} has no column of unit ids ({' or '.join(IDS[:2])}): its columns are {shown}"
        )
    table = table[table[name].notna()]
    if not pd.api.types.is_numeric_dtype(table[name]):
        raise InvalidFileError(
            f"{path} has unit ids that are no numbers, such as {table[name].iloc[0]!r}"
        )
    twice = table[name][table[name].duplicated()]
    if len(twice):
        raise InvalidFileError(f"{path} has unit {twice.iloc[0]} more than once")
    # a row number that was saved is no measure
    kept = [c for c in table.columns if c not in IDS and not str(c).startswith("Unnamed")]
    return table.set_index(table[name].astype(np.int64))[kept]
