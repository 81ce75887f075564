"""Published results of the survey, computed again: ours beside the published ones, with a verdict.

An unknown study raises NotFoundError, and an argument that is not valid InvalidArgumentError; the
message says what is valid.
"""

from __future__ import annotations

from spikehouse.errors import guard_public
from spikehouse.reproduce.run import Reproduction, compare_tables, reproduce
from spikehouse.reproduce.studies import STUDIES

__all__ = ["STUDIES", "Reproduction", "compare_tables", "reproduce"]

guard_public(globals())
