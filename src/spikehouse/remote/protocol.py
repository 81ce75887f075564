"""What a source of the data has to offer: the files it can have, and its methods."""

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


class Source(Protocol):
    """A source of the data set: its tables, and the locations of its files."""

    # Tables have the columns of spikehouse.schema.cache_tables and their index.

    @property
    def name(self) -> str:
        """Name of the source in plans and messages, such as ``"warehouse"``."""

    def get_sessions(self) -> pd.DataFrame:
        """Return the table of sessions."""

    def get_probes(self) -> pd.DataFrame:
        """Return the table of probes."""

    def get_channels(self) -> pd.DataFrame:
        """Return the table of channels."""

    def get_units(self) -> pd.DataFrame:
        """Return the table of units, unfiltered."""

    def get_session_data(self, session_id: int) -> Content:
        """Locate the file of a session."""

    def get_probe_lfp_data(self, probe_id: int) -> Content:
        """Locate the LFP file of a probe."""

    def get_natural_scene_template(self, number: int) -> Content:
        """Locate the TIFF of an image."""

    def get_natural_movie_template(self, number: int) -> Content:
        """Locate the NPY file of a movie."""

    def get_unit_analysis_metrics(
        self,
        unit_ids: Iterable[int] | None = None,
        ecephys_session_ids: Iterable[int] | None = None,
        session_types: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        """Return the analysis metrics of the selected units; None does not restrict."""


@runtime_checkable
class HasTableFiles(Protocol):
    """A source that has the tables as CSV files, as a cache folder has them."""

    def get_table_file(self, name: TableFile) -> Content:
        """Locate the CSV file of a table."""
