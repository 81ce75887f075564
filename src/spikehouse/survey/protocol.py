"""What a source of the data set has to offer: its tables, and the locations of its files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    import pandas as pd

    from spikehouse.transfer.remote_file import Content

__all__ = ["TABLE_FILES", "HasTableFiles", "Source", "TableFile"]

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
