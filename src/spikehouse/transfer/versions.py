"""Compare versions of a remote file, so that bytes of two are never combined.

Three questions, from weak to strong evidence. `differs`: does an answer contradict what is
known? Anything known that is absent or different now is a contradiction. `is_same`: is an
answer for the same URL positively the known version? Needs a strong ETag or a date, and no
contradiction; a weak ETag is equal for files that differ in bytes. `continues`: may bytes of
another version, perhaps from another source, be completed with bytes of this one? Needs equal
lengths, and equal published digests, or agreeing validators; with a digest on one side only the
bytes may be combined, because the digest decides in the end.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Version"]


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
