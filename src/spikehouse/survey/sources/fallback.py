"""Ask several sources in turn."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from spikehouse.errors import (
    InvalidFileError,
    NotFoundError,
    SourceError,
    SpikehouseError,
    TransferError,
)
from spikehouse.survey.protocol import Source

__all__ = ["ask_in_turn", "name_source"]

log = logging.getLogger(__name__)

T = TypeVar("T")

# failures after which the next source may succeed; a full disk is not among them
_FAILURES = (SourceError, TransferError, InvalidFileError, NotFoundError)


def ask_in_turn(sources: Sequence[Source], act: Callable[[Source], T], *, what: str) -> T:
    """Ask the sources in order until one succeeds."""
    failures: list[tuple[Source, SpikehouseError]] = []
    for source in sources:
        try:
            found = act(source)
        except _FAILURES as error:
            failures.append((source, error))
        else:
            # where every source fails, the error says all of this
            for failed, reason in failures:
                log.warning(
                    "%s: %s is used, because %s failed: %s",
                    what, name_source(source), name_source(failed), reason.message,
                )  # fmt: skip
            return found
    raise _sum_up(what, failures) from failures[-1][1].__cause__


def name_source(source: Source) -> str:
    """Return the name of a source for messages."""
    return getattr(source, "name", type(source).__name__)


def _sum_up(what: str, failures: list[tuple[Source, SpikehouseError]]) -> SpikehouseError:
    if len(failures) == 1:
        return failures[0][1]
    names: dict[str, list[str]] = {}
    for source, error in failures:
        names.setdefault(error.message, []).append(name_source(source))
    reasons = "; ".join(f"{', '.join(who)}: {reason}" for reason, who in names.items())
    if all(isinstance(error, NotFoundError) for _, error in failures):
        return NotFoundError(f"no source has {what}. {reasons}")
    summary = SourceError(f"no source could give {what}. {reasons}")
    summary.advice = failures[0][1].advice
    return summary
