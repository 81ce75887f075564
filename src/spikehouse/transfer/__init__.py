"""Downloads and streams: bytes of files on servers, safely on the disk.

The public names are imported lazily: a download needs neither pandas nor NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikehouse.transfer.downloads import download
    from spikehouse.transfer.remote_bytes import RemoteBytes, StreamOptions
    from spikehouse.transfer.remote_file import Content, LocalFile, RemoteFile
    from spikehouse.transfer.retry import HttpOptions

__all__ = [
    "Content",
    "HttpOptions",
    "LocalFile",
    "RemoteBytes",
    "RemoteFile",
    "StreamOptions",
    "download",
]

_HOMES = {
    "Content": "spikehouse.transfer.remote_file",
    "HttpOptions": "spikehouse.transfer.retry",
    "LocalFile": "spikehouse.transfer.remote_file",
    "RemoteBytes": "spikehouse.transfer.remote_bytes",
    "RemoteFile": "spikehouse.transfer.remote_file",
    "StreamOptions": "spikehouse.transfer.remote_bytes",
    "download": "spikehouse.transfer.downloads",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - what a module attribute is, only it knows
    if name not in _HOMES:
        raise AttributeError(f"module 'spikehouse.transfer' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
