"""The survey: what was recorded, where it is kept, and a session of it, please."""

from __future__ import annotations

from spikehouse.project._cache import EcephysProjectCache
from spikehouse.project._tables import ProjectTables
from spikehouse.project.plan import FetchItem, FetchPlan, describe_bytes, plan_items

__all__ = [
    "EcephysProjectCache",
    "FetchItem",
    "FetchPlan",
    "ProjectTables",
    "describe_bytes",
    "plan_items",
]
