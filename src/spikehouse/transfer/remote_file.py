"""Where a file can be had: on a server, on this machine, or as blocks of bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

__all__ = ["Content", "LocalFile", "RemoteFile", "Version"]


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


@dataclass(frozen=True)
class Version:
    """Size, validators and published digest of one version of a remote file."""

    # length [bytes], None if the server does not say
    size: int | None
    # ETag header, verbatim; None if there is none
    etag: str | None = None
    # Last-Modified header, verbatim
    modified: str | None = None
    # published digest, None if there is none
    sha256: str | None = None
    # URL that was requested (before redirects)
    url: str = ""
    # name of the source
    source: str = ""

    @property
    def strong_etag(self) -> str | None:
        """The ETag unless it is weak; a weak one is shared by files that differ in bytes."""
        return None if self.etag is None or self.etag.startswith(("W/", "w/")) else self.etag

    @property
    def validator(self) -> str | None:
        """The value for the If-Range header; None if HTTP allows none."""
        return self.modified if self.etag is None else self.strong_etag

    @property
    def is_resumable(self) -> bool:
        """Whether bytes of two answers may be combined."""
        vouches = (self.strong_etag, self.modified, self.sha256)
        return self.size is not None and any(vouch is not None for vouch in vouches)

    def differs(self, known: Version) -> bool:
        """Return whether this version contradicts what is known of a file."""
        pairs = ((self.size, known.size), (self.etag, known.etag), (self.modified, known.modified))
        return any(before is not None and now != before for now, before in pairs)

    def is_same(self, known: Version) -> bool:
        """Return whether an answer for the same URL is of the known version."""
        is_vouched_for = known.strong_etag is not None or known.modified is not None
        return is_vouched_for and not self.differs(known)

    def continues(self, other: Version) -> bool:
        """Return whether bytes of another version may be completed with bytes of this one."""
        if self.size is None or self.size != other.size:
            return False
        if self.sha256 is not None and other.sha256 is not None:
            return self.sha256 == other.sha256
        if self.url == other.url:
            return self.is_same(other)
        if self.strong_etag is not None and self.strong_etag == other.strong_etag:
            return True
        return self.sha256 is not None or other.sha256 is not None
