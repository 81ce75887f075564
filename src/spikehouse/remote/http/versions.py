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
        The strong validator, with its quotes; None where there is none.
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
    def validator(self) -> str | None:
        """What to send as ``If-Range``; None where nothing tells versions apart."""
        return self.etag or self.modified

    @property
    def is_resumable(self) -> bool:
        """Whether bytes of two answers may be put together at all."""
        return self.size is not None and (self.validator is not None or self.sha256 is not None)

    def is_same(self, other: Version) -> bool:
        """Tell whether another answer for the same address is of this version.

        Parameters
        ----------
        other
            What the other answer says of itself.

        Returns
        -------
        bool
            False also where nothing speaks for it.
        """
        if self.size != other.size:
            return False
        if self.etag is not None or other.etag is not None:
            return self.etag == other.etag
        return self.modified is not None and self.modified == other.modified

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
        if self.url == other.url or (self.etag is not None and self.etag == other.etag):
            return self.is_same(other)
        return self.sha256 is not None or other.sha256 is not None
