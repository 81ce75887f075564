"""The demo survey: simulated sessions in the layout of the real ones, and a server for them.

`Survey` makes tables, session files, LFP files and stimulus templates; `serve` serves them on this
machine as the public bucket does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikehouse.demo.neurons import TRUTH_COLUMNS
from spikehouse.demo.survey import DEFAULT_SEED, Survey

if TYPE_CHECKING:
    from spikehouse.demo.server import serve

__all__ = ["DEFAULT_SEED", "TRUTH_COLUMNS", "Survey", "serve"]


def __getattr__(name: str) -> object:
    # imported when it is used, because most users of the survey do not serve it
    if name == "serve":
        from spikehouse.demo.server import serve

        return serve
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
