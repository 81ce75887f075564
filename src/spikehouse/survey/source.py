"""What a source of a data set has to offer, and asking several sources in turn."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from spikehouse.errors import (
    InvalidFileError,
    NotFoundError,
    SourceError,
    SpikehouseError,
    TransferError,
)

if TYPE_CHECKING:
    import pandas as pd

    from spikehouse.survey.file_kinds import PlannedFile
    from spikehouse.transfer.remote_file import Content

__all__ = ["ShapedSource", "Source", "as_source", "ask_in_turn", "write_csv"]

log = logging.getLogger(__name__)

T = TypeVar("T")

# failures after which the next source may succeed; a full disk is not among them
_FAILURES = (SourceError, TransferError, InvalidFileError, NotFoundError)


class Source(Protocol):
    """A source of a data set: the locations of its files, and its tables.

    Sources of one's own may have the methods of AllenSDK's sources instead.
    """

    @property
    def name(self) -> str:
        """Name of the source in plans and messages, such as ``"warehouse"``."""

    def locate(self, file: PlannedFile) -> Content:
        """Locate a file; for a table without a file, return :func:`~spikehouse.survey.write_csv`.

        Nothing is downloaded yet. Raises NotFoundError if the source has no such file.
        """

    def read_table(self, file: PlannedFile) -> pd.DataFrame:
        """Return a table with the columns of ``file.kind.table`` and their index."""


def write_csv(source: Source, file: PlannedFile) -> Iterator[bytes]:
    """Write a table of a source as the CSV file of a cache folder."""
    # a generator: the source is asked only when the lock of the file is held
    assert file.kind.table is not None
    frame = source.read_table(file)
    yield frame.to_csv(index_label=file.kind.table.index, lineterminator="\n").encode()


def ask_in_turn(sources: Sequence[Source], act: Callable[[Source], T], *, what: str) -> T:
    """Ask the sources in order until one succeeds."""
    failures: list[tuple[str, SpikehouseError]] = []
    for source in sources:
        try:
            found = act(source)
        except _FAILURES as error:
            failures.append((source.name, error))
        else:
            # where every source fails, the error says all of this
            for failed, reason in failures:
                log.warning(
                    "%s: %s is used, because %s failed: %s",
                    what, source.name, failed, reason.message,
                )  # fmt: skip
            return found
    raise _sum_up(what, failures) from failures[-1][1].__cause__


def _sum_up(what: str, failures: list[tuple[str, SpikehouseError]]) -> SpikehouseError:
    if len(failures) == 1:
        return failures[0][1]
    names: dict[str, list[str]] = {}
    for name, error in failures:
        names.setdefault(error.message, []).append(name)
    reasons = "; ".join(f"{', '.join(who)}: {reason}" for reason, who in names.items())
    if all(isinstance(error, NotFoundError) for _, error in failures):
        return NotFoundError(f"no source has {what}. {reasons}")
    summary = SourceError(f"no source could give {what}. {reasons}")
    summary.advice = failures[0][1].advice
    return summary


# Sources with AllenSDK's methods, such as a lab's own, are adapted here and not in `compat`,
# because the cache takes them as `fetch_api`.

# kind of file → method, and the position of the id that it takes
_FILES = {
    "session": ("get_session_data", 0),
    "lfp": ("get_probe_lfp_data", 1),
    "scene": ("get_natural_scene_template", 0),
    "movie": ("get_natural_movie_template", 0),
}
_TABLES: dict[str, Callable[[Any, Any], pd.DataFrame]] = {
    "sessions": lambda api, _: api.get_sessions(),
    "probes": lambda api, _: api.get_probes(),
    "channels": lambda api, _: api.get_channels(),
    "units": lambda api, _: api.get_units(),
    "session_metrics": lambda api, ids: api.get_unit_analysis_metrics(
        ecephys_session_ids=list(ids)
    ),
    "type_metrics": lambda api, ids: api.get_unit_analysis_metrics(session_types=list(ids)),
}


@dataclass(frozen=True)
class ShapedSource:
    """A source over an object with AllenSDK's methods."""

    api: Any

    @property
    def name(self) -> str:
        """The object's name, or that of its class."""
        return str(getattr(self.api, "name", type(self.api).__name__))

    def locate(self, file: PlannedFile) -> Content:
        """Ask the object for a file."""
        if file.kind.name in _TABLES:
            return write_csv(self, file)
        if file.kind.name not in _FILES:
            raise NotFoundError(f"{self.name} has no files of the kind {file.kind.name}")
        method, position = _FILES[file.kind.name]
        content: Content = getattr(self.api, method)(file.ids[position])
        return content

    def read_table(self, file: PlannedFile) -> pd.DataFrame:
        """Ask the object for a table."""
        return _TABLES[file.kind.name](self.api, file.ids)


def as_source(source: Any) -> Source:  # noqa: ANN401 - also an object with AllenSDK's methods
    """Return the source itself, or one over an object with AllenSDK's methods."""
    return source if hasattr(source, "locate") else ShapedSource(source)
