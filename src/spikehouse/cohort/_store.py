"""The folder of results: one partition and one record a session, and what they are results of."""

from __future__ import annotations

import contextlib
import difflib
import json
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from spikehouse.cohort._task import Outcome
from spikehouse.errors import CacheError, InvalidArgumentError, printable
from spikehouse.transfer.disk import (
    check_inside,
    explain_storage_errors,
    hold_lock,
    make_folder,
    try_lock,
    write_whole,
)

__all__ = ["ResultsFolder"]

# Names that begin with an underscore are skipped by pandas, pyarrow and DuckDB: the folder is a
# Parquet data set as it stands.
RUN_FILE = "_run.json"
RECORDS = "_records"
PART = "part.parquet"
PREFIX = "session_id="
# the entries of documents, with their types
_FUNCTION = dict.fromkeys(("name", "module", "file", "source", "digest"), str)
_RUN = {
    # another value of one of these is another run
    **dict.fromkeys(("function", "parameters", "filters"), dict),
    "seed": int,
    "survey": str,
    "versions": dict,
    "cache": dict | None,
    "sessions": list,
}
_ERROR = dict.fromkeys(("type", "message", "traceback"), str)
_RECORD = {
    "session_id": int,
    "state": str,
    "seconds": int | float,
    "n_bytes": int,
    "n_rows": int,
    "warnings": list,
}


class ResultsFolder:
    """The folder of a run's results."""

    # A session is done when its record says so and its partition is there; the partition is
    # written first. Everything is written under another name, synced and renamed. Whoever computes
    # a session holds its lock, so several runs may share a folder.

    def __init__(self, path: Path) -> None:
        self.path = path

    def partition(self, session_id: int) -> Path:
        """Return the path of the results of a session."""
        return self.path / f"{PREFIX}{session_id}" / PART

    def _record(self, session_id: int) -> Path:
        return self.path / RECORDS / f"{session_id}.json"

    # ---- what the results are of

    def read_run(self) -> dict[str, Any]:
        """Read what the results are of."""
        path = self.path / RUN_FILE
        if not path.is_file():
            raise CacheError(
                f"{self.path} holds no results of a cohort: there is no {RUN_FILE} in it"
            )
        try:
            document: dict[str, Any] = json.loads(path.read_bytes())
            _check(document, _RUN)
            _check(document["function"], _FUNCTION)
            if not all(type(one) is int for one in document["sessions"]):
                raise ValueError("sessions holds what is no id")
        except (OSError, ValueError) as error:
            raise CacheError(
                f"{path} cannot be read: {error}. It says what the results are of: use another "
                "folder, or restore it"
            ) from error
        return document

    def begin(self, run: dict[str, Any], *, accepts_function: bool = False) -> None:
        """Note what the results are of, or check that it is what they are of already."""
        lock = self.path / RECORDS / "run.lock"
        # of a folder that comes from elsewhere
        check_inside(lock, self.path)
        make_folder(lock.parent)
        with hold_lock(lock):
            if (self.path / RUN_FILE).exists():
                known = self.read_run()
                before = known
                known = self._accept(known, run) if accepts_function else known
                self._check_same(known, run)
                sessions = sorted({*known["sessions"], *run["sessions"]})
                if sessions == known["sessions"] and known is before:
                    return
                run = {**known, "sessions": sessions}
            elif any(self.path.glob(f"{PREFIX}*")):
                raise CacheError(
                    f"{self.path} has partitions but no {RUN_FILE}, so nobody knows what they are "
                    "results of: choose another folder, or empty this one"
                )
            _write(self.path / RUN_FILE, _encode(run))

    def _accept(self, known: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
        """Return what the results are of, with another function and the earlier one."""
        if known["function"]["digest"] == run["function"]["digest"]:
            return known
        done = [
            record["session_id"]
            for record in self.read_records(known["sessions"])
            if record["state"] == "done"
        ]
        earlier = [*known.get("earlier_functions", []), {**known["function"], "done": done}]
        return {**known, "function": run["function"], "earlier_functions": earlier}

    def _check_same(self, known: dict[str, Any], run: dict[str, Any]) -> None:
        differences = []
        if known["function"]["digest"] != run["function"]["digest"]:
            before, now = (facts["function"]["source"].splitlines() for facts in (known, run))
            diff = difflib.unified_diff(before, now, "then", "now", lineterm="", n=2)
            differences.append("another function:\n" + "\n".join(diff))
        for name in ("parameters", "filters"):
            # an option that was added later stands at its default
            for key in sorted(known[name].keys() | run[name].keys()):
                before, now = (json.dumps(facts[name].get(key)) for facts in (known, run))
                if before != now:
                    differences.append(f"{name}: {key} was {before} and is {now}")
        if known["seed"] != run["seed"]:
            differences.append(f"the seed was {known['seed']} and is {run['seed']}")
        if known["survey"] != run["survey"]:
            differences.append("another survey: its units are others")
        if differences:
            is_changed = known["function"]["digest"] != run["function"]["digest"]
            hint = (
                ", or keep what is done with accept_changed_function=True, in the command "
                "--accept-changed-function"
                if is_changed
                else ""
            )
            raise InvalidArgumentError(
                f"{self.path} holds results of another run, and results of the two would be "
                f"mixed: {'; '.join(differences)}\nUse another folder of results{hint}"
            )
        changed = [
            f"{name} {known['versions'].get(name)} → {version}"
            for name, version in run["versions"].items()
            if known["versions"].get(name) != version
        ]
        if changed:
            warnings.warn(
                f"the results in {self.path} were begun with other versions "
                f"({', '.join(changed)}): new ones may differ in their last digits",
                stacklevel=5,
            )

    # ---- sessions

    def claim(self, session_id: int, stack: contextlib.ExitStack) -> bool:
        """Take the lock of a session, until the stack is closed; return whether it was free."""
        lock = self.path / RECORDS / f"{session_id}.lock"
        return stack.enter_context(try_lock(lock))

    def write(self, outcome: Outcome) -> dict[str, Any]:
        """Write the outcome of a session, whose lock the caller holds."""
        partition = self.partition(outcome.session_id)
        if outcome.table is not None:
            check_inside(partition, self.path)
            make_folder(partition.parent)
            _write(partition, outcome.table)
        record = {
            "session_id": outcome.session_id,
            "state": "failed" if outcome.error else "done",
            "seconds": round(outcome.seconds, 3),
            "n_bytes": outcome.n_bytes,
            "n_rows": outcome.n_rows,
            "warnings": list(outcome.warnings),
            **({"error": outcome.error} if outcome.error else {}),
        }
        _write(self._record(outcome.session_id), _encode(record))
        return record

    def read_record(self, session_id: int) -> dict[str, Any] | None:
        """Read the record of a session; None if there is none, or its partition is missing."""
        import pyarrow.parquet as pq

        try:
            record: dict[str, Any] = json.loads(self._record(session_id).read_bytes())
            _check(record, _RECORD)
            if record["session_id"] != session_id:
                raise ValueError("the record of another session")
            if record["state"] == "failed":
                _check(record["error"], _ERROR)
            elif pq.read_metadata(self.partition(session_id)).num_rows != record["n_rows"]:
                raise ValueError("a partition of another length")
        except (OSError, ValueError, KeyError, RecursionError):
            # computed again
            return None
        return record

    def read_records(self, session_ids: Iterable[int]) -> Iterator[dict[str, Any]]:
        """Read the records of sessions, those that there are."""
        for session_id in session_ids:
            record = self.read_record(session_id)
            if record is not None:
                yield record

    def describe_error(self, record: dict[str, Any]) -> str:
        """Describe the error of a session in one line."""
        error = record["error"]
        message = " ".join(str(error["message"]).split())
        return printable(f"session {record['session_id']}: {error['type']}: {message}")


def _check(document: object, types: dict[str, Any]) -> None:
    """Check that a document of a folder, which anybody may have written, has its entries."""
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")
    for name, kind in types.items():
        if not isinstance(document.get(name), kind):
            raise ValueError(f"{name} is missing or of another type")


def _encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=1).encode() + b"\n"


def _write(path: Path, content: bytes) -> None:
    with write_whole(path) as file, explain_storage_errors(path):
        file.write(content)
