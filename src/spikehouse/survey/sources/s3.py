"""The public bucket on Amazon S3: a cache folder over HTTPS."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pandas as pd

from spikehouse.errors import InvalidFileError, SourceError
from spikehouse.survey.protocol import TableFile
from spikehouse.survey.sources.csv_tables import (
    MAX_TABLE_BYTES,
    CsvTables,
    find_session_of,
    parse_csv,
)
from spikehouse.survey.sources.layout import lfp_key, movie_key, scene_key, session_key, table_key
from spikehouse.transfer.addresses import check_base_url, check_id
from spikehouse.transfer.documents import describe_body, fetch_bytes
from spikehouse.transfer.http import HttpClient
from spikehouse.transfer.remote_file import RemoteFile
from spikehouse.transfer.retry import HttpOptions

__all__ = ["S3"]

DEFAULT_URL = (
    "https://allen-brain-observatory.s3.us-west-2.amazonaws.com/"
    "visual-coding-neuropixels/ecephys-cache/"
)


class S3:
    """The public bucket, or another one with the layout of a cache folder."""

    # No credentials and no AWS library. A table is one request. Paths follow from ids, so locating
    # a file costs no request (the first LFP file one, for the table of probes); existence, size
    # and ETag are known at the first request for its bytes. The ETag of a multipart upload is no
    # MD5: it detects a change, it does not prove that the bytes are right.

    name = "s3"

    def __init__(self, base_url: str = DEFAULT_URL, *, options: HttpOptions | None = None) -> None:
        self.base_url = check_base_url(base_url, what="a bucket")
        self.options = options or HttpOptions()
        self._client = HttpClient(self.options)
        self._tables = CsvTables(self._read_table, origin=self.base_url)

    def __reduce__(self) -> tuple[Callable[..., S3], tuple[Any, ...]]:
        return partial(S3, options=self.options), (self.base_url,)

    def get_sessions(self) -> pd.DataFrame:
        """Return the table of sessions."""
        return self._tables.read("sessions").copy()

    def get_probes(self) -> pd.DataFrame:
        """Return the table of probes."""
        return self._tables.read("probes").copy()

    def get_channels(self) -> pd.DataFrame:
        """Return the table of channels."""
        return self._tables.read("channels").copy()

    def get_units(self) -> pd.DataFrame:
        """Return the table of units, unfiltered."""
        return self._tables.read("units").copy()

    def get_unit_analysis_metrics(
        self,
        unit_ids: Iterable[int] | None = None,
        ecephys_session_ids: Iterable[int] | None = None,
        session_types: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        """Return the analysis metrics of some units."""
        # The bucket has one file of metrics per session type, which is downloaded once; for
        # `ecephys_session_ids` the tables of units, channels and probes as well.
        return self._tables.select_metrics(unit_ids, ecephys_session_ids, session_types)

    def get_table_file(self, name: TableFile) -> RemoteFile:
        """Locate the CSV file of a table."""
        return self._locate(table_key(name), f"table {name}")

    def get_session_data(self, session_id: int) -> RemoteFile:
        """Locate the file of a session."""
        number = check_id(session_id)
        return self._locate(session_key(number), f"session {number}")

    def get_probe_lfp_data(self, probe_id: int) -> RemoteFile:
        """Locate the LFP file of a probe."""
        number = check_id(probe_id)
        session_id = find_session_of(number, self._tables.read("probes"), origin=self.base_url)
        return self._locate(lfp_key(session_id, number), f"LFP of probe {number}")

    def get_natural_scene_template(self, number: int) -> RemoteFile:
        """Locate the TIFF of an image."""
        number = check_id(number)
        return self._locate(scene_key(number), f"natural scene {number}")

    def get_natural_movie_template(self, number: int) -> RemoteFile:
        """Locate the NumPy file of a movie."""
        number = check_id(number)
        return self._locate(movie_key(number), f"natural movie {number}")

    def _locate(self, key: str, name: str) -> RemoteFile:
        return RemoteFile(url=f"{self.base_url}{key}", name=name, source=self.name)

    def _read_table(self, name: TableFile) -> pd.DataFrame:
        url = f"{self.base_url}{table_key(name)}"
        body = fetch_bytes(self._client, url, name=f"table {name}", max_bytes=MAX_TABLE_BYTES)
        try:
            return parse_csv(body, name, origin=url)
        except InvalidFileError as error:
            raise SourceError(f"{error}; {describe_body(body)}") from error
