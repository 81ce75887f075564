"""Print tables on a terminal, and write them to files."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from spikehouse.errors import CacheError, InvalidArgumentError, printable

if TYPE_CHECKING:
    import pandas as pd

NARROWEST = 12


def echo(text: object, *, err: bool = False) -> None:
    """Print a line without control characters."""
    typer.echo(printable(text, keep="\n"), err=err)


def show_table(table: pd.DataFrame, *, what: str, rows: int) -> None:
    """Print a table that fits the terminal; into a pipe, print all of it."""
    is_terminal = sys.stdout.isatty()
    shown = table.head(rows) if is_terminal and rows else table
    cells = [[str(shown.index.name or ""), *map(str, shown.columns)]]
    cells += [[_say(value) for value in row] for row in shown.itertuples()]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    n_hidden = 0
    if is_terminal:
        widths = fit_widths(widths, shutil.get_terminal_size().columns)
        n_hidden = len(cells[0]) - len(widths)
        cells = [row[: len(widths)] for row in cells]
    is_number = (
        [False] * len(widths)
        if shown.empty
        else list(map(_is_number, zip(*cells[1:], strict=True)))
    )
    for row in cells:
        echo("  ".join(map(_fill, row, widths, is_number)).rstrip())
    left_out = len(table) - len(shown)
    name = what.removesuffix("s") if len(table) == 1 else what
    rest = f", {left_out} not shown: --rows 0 shows all" if left_out else ""
    if n_hidden:
        rest += f"; {n_hidden} of {len(table.columns)} columns not shown: --out FILE writes them"
    echo(f"{len(table)} {name}{rest}", err=not is_terminal)


def fit_widths(widths: list[int], width: int) -> list[int]:
    """Return column widths that fit; shorten wide columns, then drop the last ones."""
    fitted = list(widths)
    while sum(fitted) + 2 * (len(fitted) - 1) > width and max(fitted) > NARROWEST:
        fitted[fitted.index(max(fitted))] -= 1
    while sum(fitted) + 2 * (len(fitted) - 1) > width and len(fitted) > 2:
        fitted.pop()
    return fitted


def _say(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:g}"
    if hasattr(value, "tolist") and not isinstance(value, str):
        value = value.tolist()
    if isinstance(value, list):
        return " ".join(text for text in map(_say, value) if text)
    return "" if value is None else printable(value)


def _is_number(column: tuple[str, ...]) -> bool:
    return all(text == "" or text.lstrip("-")[:1].isdigit() for text in column)


def _fill(text: str, width: int, is_number: bool) -> str:
    if len(text) > width:
        text = f"{text[: width - 1]}…"
    return text.rjust(width) if is_number else text.ljust(width)


def check_out(path: Path | None) -> None:
    """Check that an output file can be written, before anything is computed."""
    if path is None:
        return
    if path.suffix not in (".csv", ".parquet"):
        raise InvalidArgumentError(
            f"--out {path} is not valid: the name must end in .csv or .parquet"
        )
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise CacheError(f"--out {path} cannot be written: {folder} is not a writable folder")


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table to a CSV or Parquet file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".csv":
            _spell_lists(table, " ".join).to_csv(path)
        else:
            _spell_lists(table, list).to_parquet(path)
    except OSError as error:
        raise CacheError(f"{path} cannot be written: {error.strerror or error}") from error
    echo(f"wrote {len(table)} rows to {path}", err=True)


def _spell_lists(table: pd.DataFrame, spell: Callable[[list[str]], object]) -> pd.DataFrame:
    """Convert arrays of names, which neither file format can store."""
    import pandas as pd

    table = table.copy(deep=False)
    for name in table.columns:
        first = table[name].iloc[0] if len(table) else None
        if getattr(first, "ndim", 0):
            names = [
                [text for text in cell.tolist() if isinstance(text, str)] for cell in table[name]
            ]
            table[name] = pd.Series([spell(listed) for listed in names], index=table.index)
    return table
