"""The work on one session, wherever it is done."""

from __future__ import annotations

import contextlib
import copy
import pickle
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np

from spikehouse.cohort._tables import to_parquet, to_table
from spikehouse.errors import CacheError, NotFoundError
from spikehouse.transfer.byte_count import count_bytes

if TYPE_CHECKING:
    import pandas as pd

    from spikehouse.session import EcephysSession
    from spikehouse.survey.plan import FetchPlan

__all__ = ["Data", "Outcome", "Project", "Work", "compute_packed", "compute_session"]

_ALONE = threading.Lock()
Data: TypeAlias = Literal["auto", "local", "fetch", "stream", "fetch-and-drop"]


class Project(Protocol):
    """What a cohort needs of a cache."""

    def get_session_table(self) -> pd.DataFrame:
        """Return the table of sessions."""

    def get_units(self, suppress: Any = None, **filters: Any) -> pd.DataFrame:  # noqa: ANN401
        """Return the table of units."""

    def get_session_data(self, session_id: int, **options: Any) -> EcephysSession:  # noqa: ANN401
        """Open a session."""

    def plan(self, session_ids: Any = None, *, lfp: Any = False) -> FetchPlan:  # noqa: ANN401
        """Plan a download."""

    def is_cached(self, session_id: int) -> bool:
        """Return whether the file of a session is in the cache folder."""

    def list_leftovers(self, session_ids: Iterable[int] = ()) -> list[Any]:
        """List the files of sessions, among others."""

    def remove_leftovers(self, leftovers: Iterable[Any]) -> int:
        """Remove files."""

    def command_options(self) -> dict[str, Any] | None:
        """Return the options with which the command opens the cache again."""


@dataclass(frozen=True)
class Work:
    """What is done with every session."""

    project: Project
    function: Callable[..., Any]
    # in which it is written
    file: str
    parameters: Mapping[str, Any]
    # filters of units, as `get_session_data` takes them
    filters: Mapping[str, Any]
    data: Data
    # of the whole run; None if the function takes none
    seed: int | None


@dataclass(frozen=True)
class Outcome:
    """What came of one session: the bytes of a table, or an error."""

    session_id: int
    table: bytes | None = None
    n_rows: int = 0
    seconds: float = 0.0
    n_bytes: int = 0
    warnings: tuple[str, ...] = ()
    # type, message and traceback
    error: dict[str, str] = field(default_factory=dict)


def compute_packed(packed: bytes, session_ids: tuple[int, ...]) -> list[Outcome]:
    """Compute sessions in a worker, which opens the cache once."""
    return [compute_session(_unpack(packed), session_id) for session_id in session_ids]


@lru_cache(maxsize=2)
def _unpack(packed: bytes) -> Work:
    work: Work = pickle.loads(packed)
    # else tracebacks show no lines of what was pickled by value
    for function in (work.function, *getattr(work.function, "__globals__", {}).values()):
        code = getattr(function, "__code__", None)
        if code is not None and code.co_filename == "<dynamic-code>":
            function.__code__ = code.replace(co_filename=work.file)
    return work


def compute_session(work: Work, session_id: int) -> Outcome:
    """Open a session and call the function; an error is part of the outcome."""
    import scipy.linalg  # noqa: F401 - its BLAS must be there when it is limited
    from threadpoolctl import threadpool_limits

    begun, n_before = time.perf_counter(), count_bytes()
    found: dict[str, Any] = {}
    # a function may change what it gets
    parameters = copy.deepcopy(dict(work.parameters))
    if work.seed is not None:
        sequence = np.random.SeedSequence([work.seed, session_id])
        parameters["seed"] = int(sequence.generate_state(1)[0])
    # The sums of BLAS and OpenMP depend on their number of threads. Both this and the list of
    # warnings are the process's: a worker with several threads computes one session at a time.
    with _ALONE, warnings.catch_warnings(record=True) as caught, threadpool_limits(1):
        try:
            with _open(work, session_id) as session:
                table = to_table(work.function(session, **parameters), session_id)
                found = {"table": to_parquet(table), "n_rows": len(table)}
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a session's error is its result
            found["error"] = _describe(error)
    return Outcome(
        session_id,
        seconds=time.perf_counter() - begun,
        n_bytes=count_bytes() - n_before,
        warnings=tuple(dict.fromkeys(str(warning.message) for warning in caught)),
        **found,
    )


def _describe(error: BaseException) -> dict[str, str]:
    try:
        message = str(error)
    except Exception as own:  # noqa: BLE001 - code of the user's
        message = f"its text cannot be made: {type(own).__name__}"
    text = "".join(traceback.format_exception(error))
    return {"type": type(error).__name__, "message": message, "traceback": text}


@contextlib.contextmanager
def _open(work: Work, session_id: int) -> Iterator[EcephysSession]:
    project, data = work.project, work.data
    if data == "local" and not project.is_cached(session_id):
        raise CacheError(
            f"the file of session {session_id} is not in the cache folder, and data is 'local': "
            "fetch it, or pass data='stream' or data='fetch'"
        )
    before = _list_files(project, session_id) if data == "fetch-and-drop" else None
    try:
        # a stream takes a file that is on this machine as it is
        is_stream = data in ("auto", "stream")
        opened = project.get_session_data(session_id, stream=is_stream, **work.filters)
        with opened as session:
            yield session
    finally:
        if before is not None:
            new = _list_files(project, session_id)
            project.remove_leftovers(new[paths] for paths in new.keys() - before.keys())


def _list_files(project: Project, session_id: int) -> dict[tuple[Path, ...], Any]:
    with contextlib.suppress(NotFoundError):
        found = project.list_leftovers([session_id])
        return {file.paths: file for file in found if file.kind == "session"}
    return {}
