"""One function over many sessions: selected, computed here or on Dask, kept, resumed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikehouse.cohort._cohort import Cohort
    from spikehouse.cohort._run import CohortRun

__all__ = ["Cohort", "CohortRun"]

# loaded when used: the command reads the names of the ready functions whenever it starts
_HOMES = {"Cohort": "_cohort", "CohortRun": "_run"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a class of this package
    if name not in _HOMES:
        raise AttributeError(f"module 'spikehouse.cohort' has no attribute {name!r}")
    return getattr(importlib.import_module(f"spikehouse.cohort.{_HOMES[name]}"), name)
