"""What a place that holds the data has to offer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import pandas as pd

__all__ = ["Content", "RemoteFile", "Source"]


@dataclass(frozen=True)
class RemoteFile:
    """A file somewhere else: where it is and what is known of it.

    Attributes
    ----------
    url
        Its address.
    name
        What to call it in messages; never used as a path.
    size
        Its length in bytes, None where the source does not tell before the download.
    etag
        The server's token for this version of the file, None where there is none.
    """

    url: str
    name: str
    size: int | None = None
    etag: str | None = None


# a source of one's own may also hand over the bytes themselves, block by block
Content: TypeAlias = RemoteFile | Iterable[bytes]


class Source(Protocol):
    """Anything that can say what the survey holds and where its files are.

    Tables have the columns of :mod:`spikehouse.schema.cache_tables` and their index.
    """

    def get_sessions(self) -> pd.DataFrame:
        """Fetch the table of sessions."""

    def get_probes(self) -> pd.DataFrame:
        """Fetch the table of probes."""

    def get_channels(self) -> pd.DataFrame:
        """Fetch the table of channels."""

    def get_units(self) -> pd.DataFrame:
        """Fetch the table of units, unfiltered."""

    def get_session_data(self, session_id: int) -> Content:
        """Find the file of a session.

        Parameters
        ----------
        session_id
            The session.
        """

    def get_probe_lfp_data(self, probe_id: int) -> Content:
        """Find the LFP file of a probe.

        Parameters
        ----------
        probe_id
            The probe.
        """

    def get_natural_scene_template(self, number: int) -> Content:
        """Find the TIFF of an image.

        Parameters
        ----------
        number
            0 to 117.
        """

    def get_natural_movie_template(self, number: int) -> Content:
        """Find the NPY file of a movie.

        Parameters
        ----------
        number
            1 or 3.
        """

    def get_unit_analysis_metrics(
        self,
        unit_ids: Iterable[int] | None = None,
        ecephys_session_ids: Iterable[int] | None = None,
        session_types: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        """Fetch the analysis metrics of some units.

        Parameters
        ----------
        unit_ids, ecephys_session_ids, session_types
            Which; None does not narrow the choice.
        """
