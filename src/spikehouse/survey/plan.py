"""The plan of a download: files, sources and sizes."""

from __future__ import annotations

import html
import operator
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from spikehouse.errors import (
    CacheError,
    InvalidArgumentError,
    NotFoundError,
    SourceError,
    TransferError,
    describe_choices,
    describe_value,
    printable,
)
from spikehouse.labelled import to_id, to_ids
from spikehouse.survey.file_kinds import FileKind, PlannedFile
from spikehouse.survey.source import Source
from spikehouse.survey.store import Store
from spikehouse.transfer.http import HttpClient
from spikehouse.transfer.remote_file import LocalFile, RemoteFile
from spikehouse.transfer.threads import call_at_once

__all__ = ["FetchItem", "FetchPlan", "describe_bytes", "make_plan"]

N_AT_ONCE = 8
N_NAMED = 6
_UNITS = ("kB", "MB", "GB", "TB")


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

    Examples
    --------
    >>> (item,) = cache.plan(900000001, tables=False).items
    >>> item.kind, item.ids, item.state
    ('session', (900000001,), 'cached')
    """

    file: str
    kind: str
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

    Examples
    --------
    >>> plan = cache.plan(900000001, lfp="probeA", tables=False)
    >>> [item.kind for item in plan.items], plan.notes
    (['session', 'lfp'], ())
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

        Examples
        --------
        >>> plan = cache.plan(900000001, lfp="probeA", tables=False)
        >>> plan.to_frame()[["file", "kind"]]
                                                file     kind
        0    session_900000001/session_900000001.nwb  session
        1  session_900000001/probe_910001000_lfp.nwb      lfp
        """
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
        if n_missing > n_unknown:
            total += f", {describe_bytes(self.n_bytes_missing)}"
        if n_unknown:
            total += f"{' and' if n_missing > n_unknown else ','} {n_unknown} of unknown length"
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


def make_plan(
    store: Store,
    session_ids: Sequence[int],
    lfp: object,
    scenes: object,
    movies: object,
    tables: bool,
) -> FetchPlan:
    """Find the files that a request needs, and what is known of each."""
    kinds = store.manifest.files.kinds
    # the other tables are downloaded when a table of the cache is asked for
    names = [name for name, kind in kinds.items() if kind.table is not None and not kind.ids]
    probe_ids: list[tuple[int, int]] = []
    notes: tuple[str, ...] = ()
    if lfp is not False:
        probe_ids, notes = choose_lfp(lfp, store.read_table("probes"), session_ids)
    # small files first, so that the tables are there early
    files = [
        *(store.file(name) for name in names if tables),
        *(store.file("scene", number) for number in choose_numbers(scenes, kinds["scene"])),
        *(store.file("movie", number) for number in choose_numbers(movies, kinds["movie"])),
        *(store.file("session", session_id) for session_id in session_ids),
        *(store.file("lfp", *ids) for ids in probe_ids),
    ]
    files = list({file.path: file for file in files}.values())
    # several at once; a source that fails is the `problem` of a file, the others are still planned
    jobs = [partial(inspect_file, store, file) for file in files]
    items = tuple(call_at_once(jobs, n_threads=N_AT_ONCE))
    return FetchPlan(store.folder, items, measure_free_space(store.folder), notes)


def inspect_file(store: Store, file: PlannedFile) -> FetchItem:
    """Find out the state, source and size of a file with at most one small request."""
    state, n_bytes_there = store.state(file)
    item = FetchItem(
        file=store.name_path(file.path),
        kind=file.kind.group,
        ids=file.ids or (file.kind.name,),
        source="",
        url="",
        n_bytes=n_bytes_there if state == "cached" else None,
        n_bytes_there=n_bytes_there,
        state=state,
    )
    if state == "cached":
        return item
    try:
        return replace(item, **store.ask(file, partial(_locate, store, file)))
    except (CacheError, NotFoundError, SourceError, TransferError) as error:
        return replace(item, problem=error.message)


def _locate(store: Store, file: PlannedFile, source: Source) -> dict[str, Any]:
    content = source.locate(file)
    if isinstance(content, LocalFile):
        path = content.path
        n_bytes = path.stat().st_size if path.exists() else None
        return {"source": content.source, "url": path.absolute().as_uri(), "n_bytes": n_bytes}
    if not isinstance(content, RemoteFile):
        # made on request, such as a table from rows: its length is known at the end
        return {"source": source.name}
    if None in (content.size, content.etag):
        content = HttpClient(store.options, content.hosts).probe(content)
    return {"source": content.source, "url": content.url, "n_bytes": content.size}


def measure_free_space(folder: Path) -> int:
    """Return the free space of the disk of an existing or future folder."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def list_values(value: object, *, what: str) -> list[object]:
    """Return a list of ids from one value or several."""
    if isinstance(value, str | bytes | bool) or not isinstance(value, Iterable):
        return [value]
    if isinstance(value, pd.DataFrame):
        return list(to_ids(value, what.replace(" ", "_")))
    if isinstance(value, dict):
        raise InvalidArgumentError(f"a dict is not a list of {what}s: give the ids")
    return list(value)


def to_whole_number(value: object, *, what: str) -> int:
    """Convert an id or number of any integral type, or a table of one row, to int."""
    # A float without a fraction is accepted, because the `frame` columns hold these; of a table of
    # one row the index is the id.
    if isinstance(value, pd.DataFrame):
        value = to_id(value, what.replace(" ", "_"))
    try:
        # bool is a subclass of int, but never an id
        if isinstance(value, bool | np.bool_):
            raise TypeError("a truth value")
        if isinstance(value, float | np.floating) and float(value).is_integer():
            return int(value)
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError as error:
        raise InvalidArgumentError(
            f"{describe_value(value)} is not a {what}: give a whole number"
        ) from error


def choose_numbers(asked: object, kind: FileKind) -> list[int]:
    """Return the requested numbers of images or movies: all, none, one or several."""
    valid = [int(number) for number in kind.choices["number"]]
    if asked is True or asked is False:
        return valid if asked else []
    what = kind.label.partition(" {")[0]
    numbers = [to_whole_number(value, what=what) for value in list_values(asked, what=what)]
    for number in numbers:
        if number not in valid:
            raise NotFoundError(f"there is no {what} {number}: {describe_choices(number, valid)}")
    return numbers


def choose_lfp(
    asked: object, probes: pd.DataFrame, session_ids: Sequence[int]
) -> tuple[list[tuple[int, int]], tuple[str, ...]]:
    """Return the session and probe ids of the requested LFP, and notes for the plan."""
    values = None if asked is True else list_values(asked, what="probe")
    is_by_name = values is None or any(isinstance(value, str) for value in values)
    if is_by_name and not session_ids:
        example = [int(value) for value in probes.index[probes["has_lfp_data"].astype(bool)][:1]]
        raise InvalidArgumentError(
            "lfp needs session ids or probe ids: pass session_ids too, or probe ids as in "
            f"lfp={example}"
        )
    of_sessions = probes[probes["ecephys_session_id"].isin(session_ids)]
    if values is None:
        chosen = of_sessions
    else:
        ids = [i for value in values for i in _find_probes(value, probes, of_sessions, session_ids)]
        chosen = probes.loc[probes.index.isin(ids)]
    has_lfp = chosen["has_lfp_data"].astype(bool)
    with_lfp = chosen[has_lfp]
    pairs = zip(with_lfp["ecephys_session_id"], with_lfp.index, strict=True)
    return [(int(session), int(probe)) for session, probe in pairs], _note(chosen[~has_lfp])


def _find_probes(
    value: object, probes: pd.DataFrame, of_sessions: pd.DataFrame, session_ids: Sequence[int]
) -> list[int]:
    if isinstance(value, str):
        same_name = of_sessions[of_sessions["name"] == value]
        if same_name.empty:
            choices = describe_choices(value, sorted(of_sessions["name"].unique()))
            raise NotFoundError(f"no chosen session has a probe {value!r}: {choices}")
        if not same_name["has_lfp_data"].any():
            raise NotFoundError(f"{value} has no LFP: none was processed for it")
        return [int(probe_id) for probe_id in same_name.index]
    number = to_whole_number(value, what="probe id")
    # without sessions any probe may be named
    valid = of_sessions.index if session_ids else probes.index
    if number not in valid:
        where = " in the chosen sessions" if session_ids and number in probes.index else ""
        choices = describe_choices(number, valid.tolist())
        raise NotFoundError(f"there is no probe {number}{where}: {choices}")
    if not probes["has_lfp_data"].loc[number]:
        raise NotFoundError(f"probe {number} has no LFP: none was processed for it")
    return [number]


def _note(without: pd.DataFrame) -> tuple[str, ...]:
    if without.empty:
        return ()
    names = [
        f"{name} ({probe_id}) of session {session_id}"
        for probe_id, name, session_id in zip(
            without.index, without["name"], without["ecephys_session_id"], strict=True
        )
    ]
    listed = ", ".join(names[:N_NAMED])
    if len(names) > N_NAMED:
        listed += f" and {len(names) - N_NAMED} more"
    return (f"no LFP was processed for {listed}",)


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
