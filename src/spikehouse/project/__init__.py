"""The project cache: list sessions, download files, open a session."""

from __future__ import annotations

from spikehouse.project._cache import EcephysProjectCache
from spikehouse.project._sources import DEFAULT_SOURCES
from spikehouse.project._tables import ProjectTables
from spikehouse.project.plan import FetchItem, FetchPlan, describe_bytes, plan_items

__all__ = [
    "DEFAULT_SOURCES",
    "EcephysProjectCache",
    "FetchItem",
    "FetchPlan",
    "ProjectTables",
    "describe_bytes",
    "plan_items",
]
