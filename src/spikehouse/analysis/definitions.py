"""The two definitions of the tuning metrics: corrected, and that of the published tables."""

from __future__ import annotations

from typing import Literal

from spikehouse.errors import InvalidArgumentError, describe_choices

__all__ = ["DEFINITIONS", "Definition", "check_definition"]

Definition = Literal["corrected", "published"]
"""``"published"`` computes the numbers of the released tables, faults included; ``"corrected"``,
the default everywhere, a better number where there is one."""

DEFINITIONS: tuple[Definition, ...] = ("corrected", "published")


def check_definition(definition: str) -> None:
    """Raise InvalidArgumentError unless the definition is one of ``DEFINITIONS``."""
    if definition not in DEFINITIONS:
        raise InvalidArgumentError(
            f"there is no definition {definition!r} of the metrics: "
            f"{describe_choices(definition, DEFINITIONS)}"
        )
