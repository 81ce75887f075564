"""The public bucket on Amazon S3: a cache folder behind plain HTTPS."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pandas as pd

from spikehouse.errors import InvalidFileError, SourceError
from spikehouse.remote.http.addresses import check_base_url, check_id
from spikehouse.remote.http.client import HttpClient, HttpOptions
from spikehouse.remote.http.documents import describe_body, fetch_bytes
from spikehouse.remote.protocol import RemoteFile, TableFile
from spikehouse.remote.sources.csv_tables import (
    MAX_TABLE_BYTES,
    CsvTables,
    find_session_of,
    parse_csv,
)
from spikehouse.remote.sources.layout import lfp_key, movie_key, scene_key, session_key, table_key

__all__ = ["S3"]

DEFAULT_URL = (
    "https://allen-brain-observatory.s3.us-west-2.amazonaws.com/"
    "visual-coding-neuropixels/ecephys-cache/"
)


class S3:
    """The survey in a bucket anybody may read, laid out like a cache folder.

    Parameters
    ----------
    base_url
        Where the folder begins. https, or http on this machine.
    options
        How patient to be.

    Raises
    ------
    InvalidArgumentError
        If ``base_url`` is no such address.

    Notes
    -----
    Neither credentials nor Amazon's library are needed. A table is one request. Where a file
    lies follows from its ids, so that finding one costs no request (the first LFP file costs
    one, for the table of probes); whether it is there, its size and its ETag are known when it
    is first asked for. The ETag of a file uploaded in parts is not its MD5: it tells that the
    file has changed, not that it is right.
    """

    name = "s3"

    def __init__(self, base_url: str = DEFAULT_URL, *, options: HttpOptions | None = None) -> None:
        self.base_url = check_base_url(base_url, what="a bucket")
        self.options = options or HttpOptions()
        self._client = HttpClient(self.options)
        self._tables = CsvTables(self._read_table, origin=self.base_url)

    def __reduce__(self) -> tuple[Callable[..., S3], tuple[Any, ...]]:
        return partial(S3, options=self.options), (self.base_url,)

    def get_sessions(self) -> pd.DataFrame:
        """Fetch the table of sessions.

        Returns
        -------
        DataFrame
            Index ``id``, the columns of ``sessions.csv``.

        Raises
        ------
        NotFoundError
            If the bucket does not have it.
        SourceError
            If the bucket cannot be reached, or what it sends is no such table.
        """
        return self._tables.read("sessions").copy()

    def get_probes(self) -> pd.DataFrame:
        """Fetch the table of probes.

        Returns
        -------
        DataFrame
            Index ``id``, the columns of ``probes.csv``.

        Raises
        ------
        NotFoundError
            If the bucket does not have it.
        SourceError
            If the bucket cannot be reached, or what it sends is no such table.
        """
        return self._tables.read("probes").copy()

    def get_channels(self) -> pd.DataFrame:
        """Fetch the table of channels.

        Returns
        -------
        DataFrame
            Index ``id``, the columns of ``channels.csv``.

        Raises
        ------
        NotFoundError
            If the bucket does not have it.
        SourceError
            If the bucket cannot be reached, or what it sends is no such table.
        """
        return self._tables.read("channels").copy()

    def get_units(self) -> pd.DataFrame:
        """Fetch the table of units, unfiltered.

        Returns
        -------
        DataFrame
            Index ``id``, the columns of ``units.csv``.

        Raises
        ------
        NotFoundError
            If the bucket does not have it.
        SourceError
            If the bucket cannot be reached, or what it sends is no such table.
        """
        return self._tables.read("units").copy()

    def get_unit_analysis_metrics(
        self,
        unit_ids: Iterable[int] | None = None,
        ecephys_session_ids: Iterable[int] | None = None,
        session_types: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        """Select the analysis metrics of some units.

        Parameters
        ----------
        unit_ids
            Only of these units.
        ecephys_session_ids
            Only of units of these sessions.
        session_types
            Only of units of sessions of these types.

        Returns
        -------
        DataFrame
            Index ``ecephys_unit_id``, one column per metric of the session types that remain.

        Raises
        ------
        InvalidArgumentError
            If an id is not a whole number.
        NotFoundError
            If the bucket has no metrics of such a session type.
        SourceError
            If the bucket cannot be reached, or what it sends is no such table.

        Notes
        -----
        The bucket has one file of metrics per session type: these are fetched whole, once, and
        for ``ecephys_session_ids`` the tables of units, channels and probes as well.
        """
        return self._tables.select_metrics(unit_ids, ecephys_session_ids, session_types)

    def get_table_file(self, name: TableFile) -> RemoteFile:
        """Say where the CSV of a table is.

        Parameters
        ----------
        name
            Which, one of :data:`spikehouse.remote.protocol.TABLE_FILES`.

        Returns
        -------
        RemoteFile
            Where it is.

        Raises
        ------
        NotFoundError
            If there is no table of that name.
        """
        return self._locate(table_key(name), f"table {name}")

    def get_session_data(self, session_id: int) -> RemoteFile:
        """Say where the file of a session is.

        Parameters
        ----------
        session_id
            The session.

        Returns
        -------
        RemoteFile
            Where it is, if it is there.

        Raises
        ------
        InvalidArgumentError
            If the id is not a whole number.
        """
        number = check_id(session_id)
        return self._locate(session_key(number), f"session {number}")

    def get_probe_lfp_data(self, probe_id: int) -> RemoteFile:
        """Say where the LFP file of a probe is.

        Parameters
        ----------
        probe_id
            The probe.

        Returns
        -------
        RemoteFile
            Where it is, if it is there.

        Raises
        ------
        InvalidArgumentError
            If the id is not a whole number.
        NotFoundError
            If there is no such probe, or no LFP of it was released.
        SourceError
            If the table of probes, which says in what session it was used, cannot be fetched.
        """
        number = check_id(probe_id)
        session_id = find_session_of(number, self._tables.read("probes"), origin=self.base_url)
        return self._locate(lfp_key(session_id, number), f"LFP of probe {number}")

    def get_natural_scene_template(self, number: int) -> RemoteFile:
        """Say where the TIFF of an image is.

        Parameters
        ----------
        number
            Its number, from 0.

        Returns
        -------
        RemoteFile
            Where it is, if it is there.

        Raises
        ------
        InvalidArgumentError
            If the number is not whole.
        """
        number = check_id(number)
        return self._locate(scene_key(number), f"natural scene {number}")

    def get_natural_movie_template(self, number: int) -> RemoteFile:
        """Say where the NumPy file of a movie is.

        Parameters
        ----------
        number
            1 for natural_movie_one, 3 for natural_movie_three.

        Returns
        -------
        RemoteFile
            Where it is, if it is there.

        Raises
        ------
        InvalidArgumentError
            If the number is not whole.
        """
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
