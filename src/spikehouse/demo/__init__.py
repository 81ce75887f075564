"""The demo survey: simulated sessions in the layout of the real ones, and a loopback warehouse.

`Survey` makes tables, session files, LFP files and stimulus templates; `DemoWarehouse` and
`serve` answer for it on this machine as the institute's warehouse does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikehouse.demo.neurons import TRUTH_COLUMNS
from spikehouse.demo.survey import DEFAULT_SEED, Survey

if TYPE_CHECKING:
    from spikehouse.demo.warehouse import DemoWarehouse, serve

__all__ = ["DEFAULT_SEED", "TRUTH_COLUMNS", "DemoWarehouse", "Survey", "serve"]


def __getattr__(name: str) -> object:
    # the server is imported when it is used: most who simulate a session do not serve it
    if name in {"DemoWarehouse", "serve"}:
        from spikehouse.demo import warehouse

        return warehouse.DemoWarehouse if name == "DemoWarehouse" else warehouse.serve
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
