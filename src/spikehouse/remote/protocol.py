"""What a place that holds the data has to offer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "TABLE_FILES",
    "Content",
    "HasTableFiles",
    "LocalFile",
    "RemoteFile",
    "Source",
    "Span",
    "TableFile",
]

# half-open: first byte of a file, and the one behind the last
Span: TypeAlias = tuple[int, int]

TableFile: TypeAlias = Literal[
    "sessions",
    "probes",
    "channels",
    "units",
    "brain_observatory_1.1_analysis_metrics",
    "functional_connectivity_analysis_metrics",
]
# a CSV of the cache folder is called like its table
TABLE_FILES: tuple[TableFile, ...] = (
    "sessions",
    "probes",
    "channels",
    "units",
    "brain_observatory_1.1_analysis_metrics",
    "functional_connectivity_analysis_metrics",
)


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
        The server's token for this version of the file, as it is on the wire (with its quotes);
        None where there is none. A token of change, not a digest.
    modified
        The ``Last-Modified`` of the server, word for word; None where there is none.
    sha256
        The digest that was published for it, 64 lower-case hexadecimal digits; None where there
        is none.
    hosts
        The other hosts, as ``host`` or ``host:port``, a redirect from ``url`` may lead to.
    source
        Who has it ("s3", "dandi", "warehouse"), for plans and messages.
    """

    url: str
    name: str
    size: int | None = None
    etag: str | None = None
    modified: str | None = None
    sha256: str | None = None
    hosts: frozenset[str] = frozenset()
    source: str = ""


@dataclass(frozen=True)
class LocalFile:
    """A file that can be read where it is: in another cache folder, or in a mounted bucket.

    Attributes
    ----------
    path
        Where it is.
    name
        What to call it in messages.
    source
        Who has it, for plans and messages.
    provide
        Makes the file where it is not there yet, such as by simulating it. Plans do not call it.
    is_immutable
        Whether nobody changes it: the cache folder may then have it under a second name, without
        a second copy.
    """

    path: Path
    name: str
    source: str = "folder"
    provide: Callable[[], object] | None = None
    is_immutable: bool = False

    def ready(self) -> Path:
        """Return the path of the file, which is there then."""
        if self.provide is not None and not self.path.exists():
            self.provide()
        return self.path


# a source of one's own may also hand over the bytes themselves, block by block
Content: TypeAlias = RemoteFile | LocalFile | Iterable[bytes]


class Source(Protocol):
    """Anything that can say what the survey holds and where its files are.

    Tables have the columns of :mod:`spikehouse.schema.cache_tables` and their index.

    Attributes
    ----------
    name
        One word for plans and messages, such as ``"warehouse"``.
    """

    @property
    def name(self) -> str:
        """One word for plans and messages."""

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


@runtime_checkable
class HasTableFiles(Protocol):
    """A source that has the tables as the CSV files they are in a cache folder."""

    def get_table_file(self, name: TableFile) -> Content:
        """Find the CSV of a table: one request, and byte for byte what the folder keeps.

        Parameters
        ----------
        name
            Which, one of :data:`TABLE_FILES`.
        """
