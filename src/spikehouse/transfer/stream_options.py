"""Options of reading a remote file, and the client it needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from spikehouse.transfer.byte_ranges import PlanRules
from spikehouse.transfer.client import HttpOptions
from spikehouse.transfer.remote_file import RemoteFile

__all__ = ["RangeClient", "StreamOptions"]


@dataclass(frozen=True)
class StreamOptions:
    """Options of streaming a remote file.

    Attributes
    ----------
    rules
        How byte ranges are combined into requests, and how many requests run at once.
    memory_bytes
        Limit for downloaded bytes in memory, HDF5 metadata not counted.
    disk_bytes
        Limit for streamed bytes in the cache folder, of all remote files together.
    trust_hours
        Time after the last confirmation by the server during which opening the file sends no
        request [hour]. The first request for bytes checks the version in any case.
    metadata_window
        Number of bytes fetched around a piece of HDF5 metadata; it doubles with every further
        piece that is missing close by.
    largest_window
        Limit of that doubling [bytes].
    http
        Timeouts, retries and connections.
    """

    rules: PlanRules = field(default_factory=PlanRules)
    memory_bytes: int = 128 << 20
    disk_bytes: int = 4 << 30
    trust_hours: float = 24.0
    metadata_window: int = 128 << 10
    largest_window: int = 1 << 20
    http: HttpOptions = field(default_factory=lambda: HttpOptions(connections=6))


class RangeClient(Protocol):
    """HTTP client as seen by RemoteBytes; tests pass a fake one."""

    def probe(self, remote: RemoteFile) -> RemoteFile:
        """Return the file with size and validators from the server."""

    def read_range(self, remote: RemoteFile, start: int, stop: int) -> bytes:
        """Read one byte range of the version that `remote` describes."""
