"""How a remote file is read, and what it takes to fetch from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from spikehouse.remote.http.client import HttpOptions
from spikehouse.remote.protocol import RemoteFile
from spikehouse.remote.streaming.spans import PlanRules

__all__ = ["RangeClient", "StreamOptions"]


@dataclass(frozen=True)
class StreamOptions:
    """How a remote file is read.

    Attributes
    ----------
    rules
        How requests are put together, and how many run at once.
    memory_bytes
        Of fetched bytes kept in memory, HDF5's own metadata not counted.
    disk_bytes
        Of fetched bytes kept in the cache folder, those of all remote files together.
    trust_hours
        As long as this after the server last confirmed the file, opening it asks nothing. The
        first request that is needed checks the file anyway.
    metadata_window
        How much is fetched around a piece of HDF5's metadata; it doubles with every further one
        that is missed close by.
    largest_window
        Where that doubling ends.
    http
        How patient to be.
    """

    rules: PlanRules = field(default_factory=PlanRules)
    memory_bytes: int = 128 << 20
    disk_bytes: int = 4 << 30
    trust_hours: float = 24.0
    metadata_window: int = 128 << 10
    largest_window: int = 1 << 20
    http: HttpOptions = field(default_factory=lambda: HttpOptions(connections=6))


class RangeClient(Protocol):
    """What fetches ranges of a remote file."""

    def probe(self, remote: RemoteFile) -> RemoteFile:
        """Find size and validator out.

        Parameters
        ----------
        remote
            The file.
        """

    def read_range(self, remote: RemoteFile, start: int, stop: int) -> bytes:
        """Fetch one range of the version that ``remote`` names.

        Parameters
        ----------
        remote
            The file, its size and validator known.
        start, stop
            First byte and the one after the last.
        """
