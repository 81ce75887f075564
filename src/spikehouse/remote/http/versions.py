"""Telling versions of a file apart, so that bytes of two are never put together."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Version"]


@dataclass(frozen=True)
class Version:
    """One version of a file on a server.

    Attributes
    ----------
    size
        Its length [bytes], None where the server does not say.
    etag
        The ``ETag`` as it is on the wire; None where there is none.
    modified
        The ``Last-Modified`` of the server, word for word.
    sha256
        The digest that was published, None where there is none.
    url
        The address that was asked (not where it redirected to).
    source
        Who has it.
    """

    size: int | None
    etag: str | None = None
    modified: str | None = None
    sha256: str | None = None
    url: str = ""
    source: str = ""

    @property
    def strong_etag(self) -> str | None:
        """The ETag, unless it is weak: that is the same for files that differ in bytes."""
        return None if self.etag is None or self.etag.startswith(("W/", "w/")) else self.etag

    @property
    def validator(self) -> str | None:
        """What to send as ``If-Range``; None where HTTP allows nothing."""
        return self.modified if self.etag is None else self.strong_etag

    @property
    def is_resumable(self) -> bool:
        """Whether bytes of two answers may be put together at all."""
        vouches = (self.strong_etag, self.modified, self.sha256)
        return self.size is not None and any(vouch is not None for vouch in vouches)

    def differs(self, known: Version) -> bool:
        """Tell whether an answer contradicts what is known of a file.

        Parameters
        ----------
        known
            What is known; None says nothing.

        Returns
        -------
        bool
            True if the length, the ETag (a weak one, too) or the date is another one, or is not
            given any more.
        """
        pairs = ((self.size, known.size), (self.etag, known.etag), (self.modified, known.modified))
        return any(before is not None and now != before for now, before in pairs)

    def is_same(self, known: Version) -> bool:
        """Tell whether an answer for the same address is of a known version.

        Parameters
        ----------
        known
            What is known of it.

        Returns
        -------
        bool
            False also where only a weak ETag or nothing speaks for it.
        """
        is_vouched_for = known.strong_etag is not None or known.modified is not None
        return is_vouched_for and not self.differs(known)

    def continues(self, other: Version) -> bool:
        """Tell whether bytes of another version may be completed with bytes of this one.

        Parameters
        ----------
        other
            The version the bytes there are of, perhaps from another source.

        Returns
        -------
        bool
            True if both have the same length, and the validators agree or a published digest
            will tell in the end.
        """
        if self.size is None or self.size != other.size:
            return False
        if self.sha256 is not None and other.sha256 is not None:
            return self.sha256 == other.sha256
        if self.url == other.url:
            return self.is_same(other)
        if self.strong_etag is not None and self.strong_etag == other.strong_etag:
            return True
        return self.sha256 is not None or other.sha256 is not None
