"""Bytes from elsewhere: sources, downloads, the cache folder. Knows no neuroscience."""

from __future__ import annotations

from spikehouse.remote.folder import CacheFolder
from spikehouse.remote.manifest import Manifest
from spikehouse.remote.sources import RemoteFile, Source
from spikehouse.remote.transfer import download
from spikehouse.remote.warehouse import Warehouse

__all__ = ["CacheFolder", "Manifest", "RemoteFile", "Source", "Warehouse", "download"]
