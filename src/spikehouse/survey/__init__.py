"""The files of the data set: which there are, where they are, and the folder that caches them.

The public names are imported lazily: a message needs none of the sources.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikehouse.survey.folder import CacheFolder
    from spikehouse.survey.manifest import Manifest
    from spikehouse.survey.protocol import HasTableFiles, Source
    from spikehouse.survey.sources.dandi import Dandi
    from spikehouse.survey.sources.folder import Folder
    from spikehouse.survey.sources.s3 import S3
    from spikehouse.survey.sources.warehouse import Warehouse

__all__ = [
    "S3",
    "CacheFolder",
    "Dandi",
    "Folder",
    "HasTableFiles",
    "Manifest",
    "Source",
    "Warehouse",
]

_HOMES = {
    "CacheFolder": "spikehouse.survey.folder",
    "Dandi": "spikehouse.survey.sources.dandi",
    "Folder": "spikehouse.survey.sources.folder",
    "HasTableFiles": "spikehouse.survey.protocol",
    "Manifest": "spikehouse.survey.manifest",
    "S3": "spikehouse.survey.sources.s3",
    "Source": "spikehouse.survey.protocol",
    "Warehouse": "spikehouse.survey.sources.warehouse",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - what a module attribute is, only it knows
    if name not in _HOMES:
        raise AttributeError(f"module 'spikehouse.survey' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
