"""The Allen Institute's data warehouse: tables by RMA queries, files by download links."""

from __future__ import annotations

import re
from collections.abc import Callable
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
from spikehouse.survey.file_kinds import PlannedFile
from spikehouse.survey.source import write_csv
from spikehouse.survey.sources import rma
from spikehouse.survey.sources.rma_client import PAGE_ROWS, RmaClient
from spikehouse.survey.sources.rma_rows import Row, flatten_session, tabulate, unpack_bundles
from spikehouse.transfer.addresses import is_below, is_loopback
from spikehouse.transfer.remote_file import Content, RemoteFile
from spikehouse.transfer.retry import HttpOptions

__all__ = ["Warehouse"]

DEFAULT_HOST = "api.brain-map.org"

_HOST = re.compile(r"([A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")
# kind of file → its type in the warehouse, and the type of its owner
_OWNERS = {"session": ("EcephysNwb", "EcephysSession"), "lfp": ("EcephysLfpNwb", "EcephysProbe")}
# kind of file → how it is called in the warehouse
_TEMPLATES = {"scene": "{number}.tiff", "movie": "natural_movie_{number}.npy"}
_QUERIES = {
    "sessions": rma.SESSIONS,
    "probes": rma.PROBES,
    "channels": rma.CHANNELS,
    "units": rma.UNITS,
}
_CONVERSIONS: dict[str, Callable[[Row], Row]] = {
    "sessions": flatten_session,
    # nothing said about LFP means that none was processed
    "probes": lambda row: {**row, "has_lfp_data": row.get("use_lfp_data") or False},
}


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

    def locate(self, file: PlannedFile) -> Content:
        """Locate a file by a query; tables are put together from rows."""
        if file.kind.table is not None:
            return write_csv(self, file)
        if file.kind.name in _TEMPLATES:
            return self._locate_template(file)
        if file.kind.name not in _OWNERS:
            raise NotFoundError(f"{self.host} has no files of the kind {file.kind.name!r}")
        # the last id is that of the owner: the session, or the probe
        query = rma.find_file(*_OWNERS[file.kind.name], int(file.ids[-1]))
        return self._locate(self.query(query), file.name)

    def read_table(self, file: PlannedFile) -> pd.DataFrame:
        """Put a table together from rows."""
        name, table = file.kind.name, file.kind.table
        assert table is not None
        if name in ("session_metrics", "type_metrics"):
            rows = self.query(rma.find_metrics(file.ids[0]), label="analysis metrics")
            return unpack_bundles(rows, origin=self.host)
        rows = self.query(_QUERIES[name], label=name)
        return tabulate(map(_CONVERSIONS.get(name, dict), rows), table, origin=self.host)

    def query(self, criteria: str, *, label: str = "") -> list[Row]:
        """Return all rows of an answer."""
        return self._rma.query(criteria, label=label)

    def _locate_template(self, file: PlannedFile) -> RemoteFile:
        if self._templates is None:
            self._templates = self.query(rma.find_templates())
        found: dict[Any, Row] = {}
        for row in self._templates:
            name = str(row.get("path")).rpartition("/")[2]
            ids = file.kind.match(_TEMPLATES[file.kind.name], name)
            if ids is not None:
                found[tuple(ids.values())] = row
        if file.ids not in found:
            raise NotFoundError(f"{self.host} has no {file.name}")
        return self._locate([found[file.ids]], file.name)

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
