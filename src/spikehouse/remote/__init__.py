"""Sources, downloads, the cache folder and streaming; contains no neuroscience.

The public names are imported lazily: a download needs neither pandas nor NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikehouse.remote.cache.folder import CacheFolder
    from spikehouse.remote.http.client import HttpOptions
    from spikehouse.remote.manifest import Manifest
    from spikehouse.remote.protocol import (
        Content,
        HasTableFiles,
        LocalFile,
        RemoteFile,
        Source,
    )
    from spikehouse.remote.sources.dandi import Dandi
    from spikehouse.remote.sources.folder import Folder
    from spikehouse.remote.sources.s3 import S3
    from spikehouse.remote.sources.warehouse import Warehouse
    from spikehouse.remote.streaming.options import StreamOptions
    from spikehouse.remote.streaming.ranges import RemoteBytes
    from spikehouse.remote.transfer.download import download

__all__ = [
    "S3",
    "CacheFolder",
    "Content",
    "Dandi",
    "Folder",
    "HasTableFiles",
    "HttpOptions",
    "LocalFile",
    "Manifest",
    "RemoteBytes",
    "RemoteFile",
    "Source",
    "StreamOptions",
    "Warehouse",
    "download",
]

_PROTOCOL = "spikehouse.remote.protocol"
_HOMES = {
    "S3": "spikehouse.remote.sources.s3",
    "CacheFolder": "spikehouse.remote.cache.folder",
    "Content": _PROTOCOL,
    "Dandi": "spikehouse.remote.sources.dandi",
    "Folder": "spikehouse.remote.sources.folder",
    "HasTableFiles": _PROTOCOL,
    "HttpOptions": "spikehouse.remote.http.client",
    "LocalFile": _PROTOCOL,
    "Manifest": "spikehouse.remote.manifest",
    "RemoteBytes": "spikehouse.remote.streaming.ranges",
    "RemoteFile": _PROTOCOL,
    "Source": _PROTOCOL,
    "StreamOptions": "spikehouse.remote.streaming.options",
    "Warehouse": "spikehouse.remote.sources.warehouse",
    "download": "spikehouse.remote.transfer.download",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - what a module attribute is, only it knows
    if name not in _HOMES:
        raise AttributeError(f"module 'spikehouse.remote' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
