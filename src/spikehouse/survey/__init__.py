"""The files of the data set: which there are, where they are, and the folder that caches them.

The public names are imported lazily: a message needs none of the sources.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikehouse.survey.choose_sources import DEFAULT_SOURCES
    from spikehouse.survey.file_kinds import VISUAL_CODING, FileKind, FileTable, PlannedFile
    from spikehouse.survey.manifest import Manifest
    from spikehouse.survey.plan import FetchItem, FetchPlan, describe_bytes
    from spikehouse.survey.source import Source, write_csv
    from spikehouse.survey.sources.dandi import Dandi
    from spikehouse.survey.sources.folder import Folder
    from spikehouse.survey.sources.s3 import S3
    from spikehouse.survey.sources.warehouse import Warehouse
    from spikehouse.survey.store import Store

__all__ = [
    "DEFAULT_SOURCES",
    "S3",
    "VISUAL_CODING",
    "Dandi",
    "FetchItem",
    "FetchPlan",
    "FileKind",
    "FileTable",
    "Folder",
    "Manifest",
    "PlannedFile",
    "Source",
    "Store",
    "Warehouse",
    "describe_bytes",
    "write_csv",
]

_HOMES = {
    "choose_sources": ("DEFAULT_SOURCES",),
    "file_kinds": ("VISUAL_CODING", "FileKind", "FileTable", "PlannedFile"),
    "manifest": ("Manifest",),
    "plan": ("FetchItem", "FetchPlan", "describe_bytes"),
    "source": ("Source", "write_csv"),
    "sources.dandi": ("Dandi",),
    "sources.folder": ("Folder",),
    "sources.s3": ("S3",),
    "sources.warehouse": ("Warehouse",),
    "store": ("Store",),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - what a module attribute is, only it knows
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"spikehouse.survey.{module}"), name)
    raise AttributeError(f"module 'spikehouse.survey' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
