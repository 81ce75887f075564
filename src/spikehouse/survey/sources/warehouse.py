"""The Allen Institute's data warehouse: tables by RMA queries, files by download links."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urljoin

import pandas as pd

from spikehouse.errors import (
    InvalidArgumentError,
    NotFoundError,
    SourceError,
    describe_choices,
)
from spikehouse.schema.cache_tables import CHANNELS, PROBES, SESSIONS, UNITS
from spikehouse.survey.sources import rma
from spikehouse.survey.sources.rma_client import PAGE_ROWS, RmaClient
from spikehouse.survey.sources.rma_rows import Row, flatten_session, tabulate, unpack_bundles
from spikehouse.transfer.addresses import is_below, is_loopback
from spikehouse.transfer.remote_file import RemoteFile
from spikehouse.transfer.retry import HttpOptions

__all__ = ["Warehouse"]

DEFAULT_HOST = "api.brain-map.org"

_HOST = re.compile(r"([A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")
_SCENE = re.compile(r"(?:.*/)?(\d{1,9})\.tiff?")
_MOVIE = re.compile(r".*natural_movie_(\d{1,9})\.npy")
# so many ids make an address that servers take
IDS_PER_QUERY = 500


class Warehouse:
    """A client of the warehouse, or of a server with the same interface."""

    # https and http are never tried one after the other: an attacker who blocks https could then
    # read along.

    name = "warehouse"

    def __init__(
        self,
        host: str = DEFAULT_HOST,
        scheme: str | None = None,
        *,
        timeout: float | None = None,
        fetch_tries: int = 2,
        progress: bool | None = None,
        page_rows: int = PAGE_ROWS,
        connections: int = 4,
        options: HttpOptions | None = None,
    ) -> None:
        match = _HOST.fullmatch(host)
        if match is None:
            raise InvalidArgumentError(
                f"{host!r} is not a host: give a name and, if need be, a port, such as "
                "'api.brain-map.org' or '127.0.0.1:8000'"
            )
        if scheme not in (None, "http", "https"):
            raise InvalidArgumentError(
                f"the scheme is {scheme!r}: {describe_choices(scheme, ['http', 'https'])}"
            )
        self.host = host
        self.scheme = scheme or ("http" if is_loopback(match[1]) else "https")
        own = HttpOptions(fetch_tries=fetch_tries, connections=connections)
        if timeout is not None:
            own = replace(own, answer_timeout=timeout)
        self.options = options or own
        self._rma = RmaClient(
            host, self.scheme, options=self.options, progress=progress, page_rows=page_rows
        )
        self._templates: list[Row] | None = None
        self._arguments: dict[str, Any] = {
            "scheme": scheme,
            "progress": progress,
            "page_rows": page_rows,
            "options": self.options,
        }

    def __reduce__(self) -> tuple[Callable[..., Warehouse], tuple[Any, ...]]:
        return partial(Warehouse, **self._arguments), (self.host,)

    def get_sessions(self) -> pd.DataFrame:
        """Return the table of sessions."""
        rows = [flatten_session(row) for row in self.query(rma.SESSIONS, label="sessions")]
        return tabulate(rows, SESSIONS, origin=self.host)

    def get_probes(self) -> pd.DataFrame:
        """Return the table of probes."""
        rows = [
            # nothing said about LFP means that none was processed
            {**row, "has_lfp_data": row.get("use_lfp_data") or False}
            for row in self.query(rma.PROBES, label="probes")
        ]
        return tabulate(rows, PROBES, origin=self.host)

    def get_channels(self) -> pd.DataFrame:
        """Return the table of channels."""
        return tabulate(self.query(rma.CHANNELS, label="channels"), CHANNELS, origin=self.host)

    def get_units(self) -> pd.DataFrame:
        """Return the table of units, unfiltered."""
        return tabulate(self.query(rma.UNITS, label="units"), UNITS, origin=self.host)

    def get_unit_analysis_metrics(
        self,
        unit_ids: Iterable[int] | None = None,
        ecephys_session_ids: Iterable[int] | None = None,
        session_types: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        """Return the analysis metrics of some units."""
        # a unit in two queries would be returned twice
        ids = None if unit_ids is None else list(dict.fromkeys(unit_ids))
        sessions = None if ecephys_session_ids is None else list(ecephys_session_ids)
        types = [session_types] if isinstance(session_types, str) else session_types
        types = None if types is None else list(types)
        bundles: list[Row] = []
        # no units selected: the warehouse rejects an empty list
        if [] not in (ids, sessions, types):
            for some in [None] if ids is None else _split(ids, IDS_PER_QUERY):
                criteria = rma.find_metrics(
                    unit_ids=some, session_ids=sessions, session_types=types
                )
                bundles += self.query(criteria, label="analysis metrics")
        return unpack_bundles(bundles, origin=self.host)

    def get_session_data(self, session_id: int) -> RemoteFile:
        """Locate the file of a session."""
        criteria = rma.find_file("EcephysNwb", "EcephysSession", session_id)
        return self._locate(self.query(criteria), f"session {session_id}")

    def get_probe_lfp_data(self, probe_id: int) -> RemoteFile:
        """Locate the LFP file of a probe."""
        criteria = rma.find_file("EcephysLfpNwb", "EcephysProbe", probe_id)
        return self._locate(self.query(criteria), f"LFP of probe {probe_id}")

    def get_natural_scene_template(self, number: int) -> RemoteFile:
        """Locate the TIFF of an image."""
        return self._locate_template(_SCENE, number, "natural scene")

    def get_natural_movie_template(self, number: int) -> RemoteFile:
        """Locate the NPY file of a movie."""
        return self._locate_template(_MOVIE, number, "natural movie")

    def query(self, criteria: str, *, label: str = "") -> list[Row]:
        """Return all rows of an answer."""
        return self._rma.query(criteria, label=label)

    def _locate_template(self, pattern: re.Pattern[str], number: int, what: str) -> RemoteFile:
        if self._templates is None:
            self._templates = self.query(rma.find_templates())
        found: dict[int, Row] = {}
        for row in self._templates:
            match = pattern.fullmatch(str(row.get("path")))
            if match is not None:
                found[int(match[1])] = row
        if number not in found:
            raise NotFoundError(
                f"{self.host} has no {what} {number}: {describe_choices(number, sorted(found))}"
            )
        return self._locate([found[number]], f"{what} {number}")

    def _locate(self, rows: list[Row], name: str) -> RemoteFile:
        if not rows:
            raise NotFoundError(f"{self.host} has no file for {name}: none was released")
        if len(rows) > 1:
            raise SourceError(f"{self.host} has {len(rows)} files for {name} instead of one")
        link = rows[0].get("download_link")
        base = f"{self.scheme}://{self.host}/"
        url = urljoin(base, link) if isinstance(link, str) and link else ""
        if not is_below(url, base) or url == base:
            raise SourceError(
                f"{self.host} gives {link!r:.200} as the address of {name}, which is not on that "
                "host: not followed"
            )
        return RemoteFile(url=url, name=name, source=self.name)


def _split(values: list[int], n: int) -> list[list[int]]:
    return [values[start : start + n] for start in range(0, len(values), n)]
