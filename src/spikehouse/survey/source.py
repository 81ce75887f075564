"""What a source of a data set has to offer, and asking several sources in turn."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

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

__all__ = ["Source", "ask_in_turn", "write_csv"]

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
        """Locate a file; for a table without a file, return :func:`write_csv`.

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
