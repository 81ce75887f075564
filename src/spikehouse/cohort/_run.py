"""A run of a function over sessions: compute what is missing, read what is there."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from spikehouse.cohort._engine import Engine
from spikehouse.cohort._store import ResultsFolder
from spikehouse.cohort._tables import SESSION, to_frames, unify_types
from spikehouse.cohort._task import Outcome, Work
from spikehouse.errors import (
    CohortError,
    InvalidArgumentError,
)
from spikehouse.survey.plan import describe_bytes
from spikehouse.transfer.progress import count_steps, say

if TYPE_CHECKING:
    import pyarrow.dataset as ds

__all__ = ["CohortRun", "Order"]

# waiting for the disk to have what was written, not for the processor
N_WRITERS = 8
POLL_S = 0.2
_COLUMNS = ("state", "seconds", "n_bytes", "n_rows", "warnings", "error")


@dataclass(frozen=True)
class Order:
    """How sessions are computed."""

    work: Work
    engine: Engine
    # those of this task, in order
    session_ids: tuple[int, ...]
    on_error: Literal["collect", "raise"]
    progress: bool | None


class CohortRun:
    """The results of a function over the sessions of a cohort.

    Returned by :meth:`spikehouse.cohort.Cohort.map`. Made from the path of a folder of results,
    it reads them.

    Parameters
    ----------
    results
        Folder of results. It is a Parquet data set with a partition ``session_id=<id>`` for each
        session: pandas, pyarrow and DuckDB read it as well, if the types of its columns do not
        differ between sessions.

    Raises
    ------
    CacheError
        If the folder holds no results of a cohort.

    Examples
    --------
    >>> def invert_age(session):
    ...     return 1 / (session.age_in_days - 118)
    >>> cohort = cache.cohort(session_ids=[900000001, 900000002])
    >>> run = cohort.map(invert_age, results="inverted")
    >>> run.failures["message"].to_dict()
    {900000001: 'float division by zero'}
    >>> CohortRun("inverted").records["state"].to_dict()
    {900000001: 'failed', 900000002: 'done'}
    """

    def __init__(self, results: str | Path) -> None:
        self._folder = ResultsFolder(Path(results).expanduser().absolute())
        self._name: str = self._folder.read_run()["function"]["name"]
        self._order: Order | None = None
        # puts the survey's columns beside the results
        self._join: Callable[[pd.DataFrame], pd.DataFrame] | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    @classmethod
    def _begin(
        cls, results: str | Path | None, run: dict[str, Any], order: Order, *, accepts: bool
    ) -> CohortRun:
        """Compute the sessions of an order that are not done."""
        scratch = None
        if results is None:
            scratch = tempfile.TemporaryDirectory(prefix="spikehouse-cohort-")
            results = scratch.name
        folder = ResultsFolder(Path(results).expanduser().absolute())
        folder.begin(run, accepts_function=accepts)
        made = cls(folder.path)
        made._order, made._scratch = order, scratch
        if scratch is not None:
            weakref.finalize(made, scratch.cleanup)
        made._compute(
            session_id
            for session_id in order.session_ids
            if (folder.read_record(session_id) or {}).get("state") != "done"
        )
        return made

    @property
    def path(self) -> Path:
        """The folder of the results."""
        return self._folder.path

    @property
    def facts(self) -> dict[str, Any]:
        """What the results are of: the function, parameters, filters, seed and versions."""
        return self._folder.read_run()

    @property
    def session_ids(self) -> list[int]:
        """The ids of all sessions of the run, computed or not."""
        return list(self.facts["sessions"])

    @property
    def records(self) -> pd.DataFrame:
        """One row for each session that was computed.

        Index ``session_id``; columns state ("done" or "failed"), seconds, n_bytes (read from disks
        and servers), n_rows, warnings, error (type and message; empty where done).
        """
        found = list(self._folder.read_records(self.session_ids))
        for record in found:
            error = record.pop("error", None)
            record["error"] = f"{error['type']}: {error['message']}" if error else ""
        table = pd.DataFrame(found, columns=[SESSION, *_COLUMNS])
        return table.set_index(SESSION)

    @property
    def failures(self) -> pd.DataFrame:
        """One row for each session that failed.

        Index ``session_id``; columns type, message and traceback of the error, and seconds.
        """
        rows = [
            {SESSION: record[SESSION], **record["error"], "seconds": record["seconds"]}
            for record in self._folder.read_records(self.session_ids)
            if record["state"] == "failed"
        ]
        names = [SESSION, "type", "message", "traceback", "seconds"]
        return pd.DataFrame(rows, columns=names).set_index(SESSION)

    def __repr__(self) -> str:
        records, n_sessions = self.records, len(self.session_ids)
        states = Counter(records["state"])
        parts = [f"{states['done']} done", f"{states['failed']} failed"]
        parts.append(f"{n_sessions - len(records)} to do")
        why = "; errors in .failures" if states["failed"] else ""
        read = describe_bytes(int(records["n_bytes"].sum()))
        lasted = _describe_time(float(records["seconds"].sum()))
        return (
            f"{self._name}: {', '.join(parts)}; {lasted} of computing; {read} read; "
            f"in {self.path}{why}"
        )

    def frame(self) -> pd.DataFrame:
        """Return all results as one table.

        Returns
        -------
        DataFrame
            Column session_id, then those of the function's results; sorted by session, within a
            session in the order of its result. Columns that a session does not have are NaN there;
            integers above 2**53 beside missing or other values are Int64, UInt64 or objects.
            Results of a method of a cohort such as ``psth`` have session_type, full_genotype and
            sex as well, and those of units ecephys_structure_acronym and probe_vertical_position
            [µm from the tip], unless the run was only opened by its path.

        Raises
        ------
        CohortError
            If no session is done.
        """
        import pyarrow.parquet as pq

        tables, session_ids = [], self._list_done()
        for session_id in session_ids:
            tables.append(pq.ParquetFile(self._folder.partition(session_id)).read())
        # a session without rows must not change the types of the others
        found = list(zip(session_ids, to_frames(tables), strict=True))
        for session_id, table in found:
            table.insert(0, SESSION, np.int64(session_id))
        kept = [table for _, table in found if len(table)] or [found[0][1]]
        whole: pd.DataFrame = pd.concat(kept, ignore_index=True)
        return whole if self._join is None else self._join(whole)

    def dataset(self) -> ds.Dataset:
        """Return all results as a pyarrow data set, for more than fits into memory.

        Returns
        -------
        pyarrow.dataset.Dataset
            One fragment for each session, and a column session_id. Columns whose types differ
            between sessions have a type that holds both, in the end text.

        Raises
        ------
        CohortError
            If no session is done.

        Examples
        --------
        >>> run = cache.cohort(session_ids=900000001).psth(stimulus="flashes")
        >>> run.dataset().count_rows(), len(run.frame())
        (960, 960)
        """
        import pyarrow as pa
        import pyarrow.dataset as ds
        import pyarrow.parquet as pq

        paths = [self._folder.partition(session_id) for session_id in self._list_done()]
        schema = unify_types([pq.ParquetFile(path) for path in paths])
        schema = schema.append(pa.field(SESSION, pa.int64()))
        flavour = ds.partitioning(pa.schema([(SESSION, pa.int64())]), flavor="hive")
        found = ds.dataset(
            [str(path) for path in paths],
            schema=schema,
            format="parquet",
            partitioning=flavour,
            partition_base_dir=str(self.path),
        )
        # a temporary folder is removed with the run, which lives as long as its data set
        weakref.finalize(found, id, self)
        return found

    def _list_done(self) -> list[int]:
        records = self._folder.read_records(self.session_ids)
        done = [record[SESSION] for record in records if record["state"] == "done"]
        if not done:
            n_failed = len(self.failures)
            why = f"{n_failed} failed: see .failures" if n_failed else "nothing was computed yet"
            raise CohortError(f"no session in {self.path} is done; {why}")
        return sorted(done)

    def raise_first(self) -> None:
        """Raise the error of the first session that failed, if one did.

        Raises
        ------
        CohortError
            With the type and message of the error; its traceback is a note of the exception.

        Examples
        --------
        >>> run = cache.cohort(session_ids=900000001).map(lambda session: session.num_units)
        >>> run.raise_first()  # none failed
        """
        for record in self._folder.read_records(self.session_ids):
            if record["state"] == "failed":
                raise _make_error(self._folder.describe_error(record), record)

    def retry(self) -> CohortRun:
        """Compute the sessions that failed again.

        Returns
        -------
        CohortRun
            This run.

        Raises
        ------
        InvalidArgumentError
            If the run was only opened by its path.

        Examples
        --------
        >>> run = cache.cohort(session_ids=900000001).map(lambda session: 1 / 0)
        >>> run.retry().failures["type"].tolist()
        ['ZeroDivisionError']
        """
        if self._order is None:
            raise InvalidArgumentError(
                f"{self.path} was opened by its path, without the cache: call cohort.map again "
                f"with results={str(self.path)!r}, or spikehouse cohort retry"
            )
        failed = set(self.failures.index)
        self._compute(one for one in self._order.session_ids if one in failed)
        return self

    # ---- computing

    def _compute(self, session_ids: Iterable[int]) -> None:
        todo, n_all = list(session_ids), len(self._order.session_ids) if self._order else 0
        assert self._order is not None
        warned: list[str] = []
        with (
            count_steps("sessions", unit=" sessions", shown=self._order.progress) as progress,
            contextlib.closing(_run_all(self._folder, self._order, todo)) as records,
        ):
            n_known = n_all - len(todo)
            try:
                for record in records:
                    n_known += 1
                    progress(n_known, n_all)
                    warned += [f"session {record[SESSION]}: {text}" for text in record["warnings"]]
                    if record["state"] == "failed" and self._order.on_error == "raise":
                        raise _make_error(self._folder.describe_error(record), record)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(self._say_what_is_kept(n_all)) from None
        if warned:
            more = f", and {len(warned) - 1} more: see .records" if len(warned) > 1 else ""
            warnings.warn(f"{warned[0]}{more}", stacklevel=_count_own_frames())

    def _say_what_is_kept(self, n_all: int) -> str:
        assert self._order is not None
        n_there = sum(1 for _ in self._folder.read_records(self._order.session_ids))
        if self._scratch is not None:
            return (
                f"the results of {n_there} of {n_all} sessions are lost: results= names no folder"
            )
        return (
            f"{n_there} of {n_all} sessions are computed and kept in {self.path}; the same call "
            "goes on"
        )


def _run_all(folder: ResultsFolder, order: Order, todo: list[int]) -> Generator[dict[str, Any]]:
    """Compute sessions, write what came of them, and yield their records."""
    claims = _Claims(folder, {session_id: folder.read_record(session_id) for session_id in todo})
    is_told = False
    with contextlib.closing(claims):
        while todo:
            claims.others, claims.settled = [], []
            taken = claims.take(todo)
            # no cluster is started while others compute all of them
            if (first := next(taken, None)) is not None:
                outcomes = order.engine.compute(order.work, chain([first], taken), len(todo))
                stops = order.on_error == "raise"
                yield from _write_all(folder, outcomes, claims, stops_at_errors=stops)
            yield from claims.settled
            if len(claims.others) == len(todo):
                if not is_told:
                    say(f"waiting for another run that computes {len(todo)} sessions of these")
                is_told = True
                time.sleep(POLL_S)
            todo = claims.others


class _Claims:
    """The sessions that this run computes, and no other run meanwhile."""

    def __init__(self, folder: ResultsFolder, before: Mapping[int, dict[str, Any] | None]) -> None:
        self._folder = folder
        self._before = before
        self._locks: dict[int, contextlib.ExitStack] = {}
        # those that another run computes, and what others computed since this run began
        self.others: list[int] = []
        self.settled: list[dict[str, Any]] = []

    def take(self, session_ids: Iterable[int]) -> Iterator[int]:
        """Yield the sessions that are to be computed, each once it is claimed."""
        for session_id in session_ids:
            stack = contextlib.ExitStack()
            if not self._folder.claim(session_id, stack):
                self.others.append(session_id)
                continue
            self._locks[session_id] = stack
            record = self._folder.read_record(session_id)
            if record is None or record == self._before[session_id]:
                yield session_id
            else:
                self.settled.append(record)
                self.release(session_id)

    def release(self, session_id: int) -> None:
        """Let others have a session."""
        self._locks.pop(session_id).close()

    def close(self) -> None:
        """Let others have all sessions."""
        for session_id in list(self._locks):
            self.release(session_id)


def _write_all(
    folder: ResultsFolder, outcomes: Generator[Outcome], claims: _Claims, *, stops_at_errors: bool
) -> Iterator[dict[str, Any]]:
    """Write outcomes in threads and yield their records."""

    def write(outcome: Outcome) -> dict[str, Any]:
        try:
            return folder.write(outcome)
        finally:
            claims.release(outcome.session_id)

    waiting: set[Future[dict[str, Any]]] = set()
    with ThreadPoolExecutor(N_WRITERS) as pool, contextlib.closing(outcomes):
        for outcome in outcomes:
            waiting.add(pool.submit(write, outcome))
            # an error may end the run; and memory is bounded
            is_urgent = (bool(outcome.error) and stops_at_errors) or len(waiting) > N_WRITERS
            done = {future for future in waiting if future.done() or is_urgent}
            waiting -= done
            yield from (future.result() for future in done)
        yield from (future.result() for future in waiting)


def _count_own_frames() -> int:
    """Return the stacklevel of the first caller outside the package."""
    package, frame, level = __name__.partition(".")[0], sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    return level


def _make_error(text: str, record: dict[str, Any]) -> CohortError:
    error = CohortError(text)
    error.add_note(record["error"]["traceback"])
    return error


def _describe_time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
