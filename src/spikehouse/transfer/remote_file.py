"""Where a file can be had: on a server, on this machine, or as blocks of bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

__all__ = ["Content", "LocalFile", "RemoteFile", "Span"]

# half-open: first byte of a file, and the one behind the last
Span: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server."""

    # URL of the file
    url: str
    # name for messages; never used as a path
    name: str
    # length [bytes], None if the source does not tell before the download
    size: int | None = None
    # ETag header, verbatim (with its quotes), None if there is none; it is no digest
    etag: str | None = None
    # Last-Modified header, verbatim, None if there is none
    modified: str | None = None
    # published digest, 64 lower-case hexadecimal digits, None if there is none
    sha256: str | None = None
    # other hosts, as "host" or "host:port", to which `url` may redirect
    hosts: frozenset[str] = frozenset()
    # name of the source, such as "s3", for plans and messages
    source: str = ""


@dataclass(frozen=True)
class LocalFile:
    """A file that can be read in place: in another cache folder or a mounted bucket."""

    # path of the file
    path: Path
    # name for messages
    name: str
    # name of the source, for plans and messages
    source: str = "folder"
    # creates the file if it is not there yet, for example by simulation; not called by plans
    provide: Callable[[], object] | None = None
    # whether the file never changes: the cache folder may then hard-link it
    is_immutable: bool = False

    def ready(self) -> Path:
        """Create the file if necessary, and return its path."""
        if self.provide is not None and not self.path.exists():
            self.provide()
        return self.path


# a source of one's own may also hand over the bytes themselves, block by block
Content: TypeAlias = RemoteFile | LocalFile | Iterable[bytes]
