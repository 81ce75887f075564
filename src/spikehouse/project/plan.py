"""The plan of a download: files, sources and sizes. Nothing is downloaded here."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from spikehouse.errors import printable

if TYPE_CHECKING:
    import pandas as pd

    from spikehouse.survey.store import Target

__all__ = ["FetchItem", "FetchPlan", "FileFacts", "describe_bytes", "plan_items"]

_UNITS = ("kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class FileFacts:
    """What is known of a file before it is downloaded."""

    target: Target
    state: Literal["cached", "partial", "absent"]
    # bytes in the folder
    n_bytes_there: int
    # name of the source, empty if none was asked or none has the file
    source: str = ""
    # URL at the source, empty if it has none
    url: str = ""
    # length at the source, None if unknown before the download
    n_bytes: int | None = None
    # why it cannot be downloaded, otherwise empty
    problem: str = ""


@dataclass(frozen=True)
class FetchItem:
    """A file of a download plan.

    Attributes
    ----------
    file
        Path relative to the cache folder.
    kind
        Kind of file: "session", "lfp", "scene", "movie" or "table".
    ids
        ``(session_id,)``, ``(session_id, probe_id)``, ``(number,)`` or ``(name,)``.
    source
        Name of the source; empty for a cached file.
    url
        URL at the source; empty if the file has none.
    n_bytes
        Length of the file; None if it is unknown before the download.
    n_bytes_there
        Number of bytes in the folder.
    state
        "cached", "partial" or "absent".
    problem
        Why the file cannot be downloaded; empty if it can.
    """

    file: str
    kind: Literal["session", "lfp", "scene", "movie", "table"]
    ids: tuple[int | str, ...]
    source: str
    url: str
    n_bytes: int | None
    n_bytes_there: int
    state: Literal["cached", "partial", "absent"]
    problem: str = ""

    @property
    def n_bytes_missing(self) -> int | None:
        """Number of bytes to download; None if unknown."""
        if self.state == "cached":
            return 0
        return None if self.n_bytes is None else max(self.n_bytes - self.n_bytes_there, 0)


@dataclass(frozen=True)
class FetchPlan:
    """Files to download into a cache folder, and files that are there already.

    Created by :meth:`spikehouse.EcephysProjectCache.plan` and executed by
    :meth:`spikehouse.EcephysProjectCache.fetch`. A plan can be printed, and is shown as a table
    in a notebook.

    Attributes
    ----------
    folder
        The cache folder.
    items
        The files, without duplicates.
    n_bytes_free
        Free space on the disk of the folder when the plan was made.
    notes
        Remarks, such as probes without LFP.
    """

    folder: Path
    items: tuple[FetchItem, ...]
    n_bytes_free: int
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    @property
    def n_bytes_missing(self) -> int:
        """Number of bytes to download, files of unknown length not counted."""
        return sum(item.n_bytes_missing or 0 for item in self.items)

    @property
    def n_bytes_there(self) -> int:
        """Number of bytes in the folder."""
        return sum(item.n_bytes_there for item in self.items)

    @property
    def is_complete(self) -> bool:
        """Whether every file is there."""
        return all(item.state == "cached" for item in self.items)

    def to_frame(self) -> pd.DataFrame:
        """Return the plan as a table.

        Returns
        -------
        DataFrame
            One row per file; columns file, kind, ids, source, url, n_bytes, n_bytes_there, state,
            problem. ``n_bytes`` is NA where it is unknown.
        """
        import pandas as pd

        names = tuple(FetchItem.__dataclass_fields__)
        columns = {name: [getattr(item, name) for item in self.items] for name in names}
        frame = pd.DataFrame(columns, columns=list(names))
        return frame.astype({"n_bytes": "Int64", "n_bytes_there": "int64"})

    def __str__(self) -> str:
        rows = [HEADER, *map(_row_of, self.items)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
        lines = ["  ".join(_align(row, widths)).rstrip() for row in rows]
        return "\n".join([*lines, *self._remarks()])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in HEADER)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in _row_of(item)) + "</tr>"
            for item in self.items
        )
        remarks = "".join(f"<p>{html.escape(line)}</p>" for line in self._remarks())
        return f"<table><tr>{head}</tr>{body}</table>{remarks}"

    def _remarks(self) -> list[str]:
        """Return a summary of the sizes, then the notes and problems."""
        n_unknown = sum(item.n_bytes_missing is None for item in self.items)
        n_missing = sum(item.state != "cached" for item in self.items)
        files = "1 file" if len(self.items) == 1 else f"{len(self.items)} files"
        total = f"{files} in {self.folder}: {n_missing} to download"
        if n_missing:
            total += f", {describe_bytes(self.n_bytes_missing)}"
        if n_unknown:
            total += f" and {n_unknown} of unknown length"
        total += f"; {describe_bytes(self.n_bytes_there)} cached"
        total += f"; {describe_bytes(self.n_bytes_free)} free on the disk"
        problems = [f"{item.file}: {item.problem}" for item in self.items if item.problem]
        return [printable(line) for line in (total, *self.notes, *problems)]


HEADER = ("file", "source", "size", "there", "state")


def _row_of(item: FetchItem) -> tuple[str, ...]:
    size = "?" if item.n_bytes is None else describe_bytes(item.n_bytes)
    return (
        printable(item.file),
        item.source or "-",
        size,
        describe_bytes(item.n_bytes_there),
        item.state,
    )


def _align(row: tuple[str, ...], widths: list[int]) -> list[str]:
    """Pad cells to the widths of the columns, sizes on the left."""
    return [
        cell.rjust(width) if name in ("size", "there") else cell.ljust(width)
        for name, cell, width in zip(HEADER, row, widths, strict=True)
    ]


def plan_items(facts: Iterable[FileFacts], *, folder: Path) -> tuple[FetchItem, ...]:
    """Convert facts about files to the items of a plan.

    Parameters
    ----------
    facts
        Facts about each file.
    folder
        The cache folder, to which the paths of the items are relative.

    Returns
    -------
    tuple of FetchItem
        In the order of ``facts``, without duplicates.
    """
    items: dict[Path, FetchItem] = {}
    for fact in facts:
        path = fact.target.path
        is_here = fact.state == "cached"
        name = path.relative_to(folder) if path.is_relative_to(folder) else path
        items.setdefault(
            path,
            FetchItem(
                file=name.as_posix(),
                kind=fact.target.kind,
                ids=fact.target.ids,
                source="" if is_here else fact.source,
                url="" if is_here else fact.url,
                n_bytes=fact.n_bytes_there if is_here else fact.n_bytes,
                n_bytes_there=fact.n_bytes_there,
                state=fact.state,
                problem="" if is_here else fact.problem,
            ),
        )
    return tuple(items.values())


def describe_bytes(n_bytes: int) -> str:
    """Format a number of bytes with a decimal unit.

    Parameters
    ----------
    n_bytes
        Number of bytes.

    Returns
    -------
    str
        Number with three digits in B, kB, MB, GB or TB, such as "2.32 GB".
    """
    if n_bytes < 1000:
        return f"{n_bytes} B"
    value = float(n_bytes)
    for unit in _UNITS:
        value /= 1000
        # 999.95 would be written as 1000.0
        if value < 999.5 or unit == _UNITS[-1]:
            break
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"
