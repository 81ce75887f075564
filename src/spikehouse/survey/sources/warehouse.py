"""The Allen Institute's data warehouse: tables by RMA queries, files by download links."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator
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
from spikehouse.survey.sources.rma import Row, flatten_session, tabulate, unpack_bundles
from spikehouse.transfer.addresses import is_below, is_loopback
from spikehouse.transfer.documents import fetch_json
from spikehouse.transfer.http import HttpClient
from spikehouse.transfer.progress import is_progress_shown
from spikehouse.transfer.remote_file import Content, RemoteFile
from spikehouse.transfer.retry import HttpOptions
from spikehouse.transfer.threads import call_at_once

__all__ = ["Warehouse"]

DEFAULT_HOST = "api.brain-map.org"

PAGE_ROWS = 5000
MAX_PAGES = 10_000
# 5000 rows of analysis metrics have some 15 MB
MAX_PAGE_BYTES = 64 << 20
# no bar for a table that arrives at once
BAR_DELAY_S = 2.0

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
        self._progress = progress
        self._page_rows = page_rows
        self._client = HttpClient(self.options)
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
            if self._templates is None:
                self._templates = self.query(rma.find_templates())
            name = file.kind.fill(_TEMPLATES[file.kind.name], file.ids)
            rows = [r for r in self._templates if str(r.get("path")).rpartition("/")[2] == name]
        elif file.kind.name in _OWNERS:
            # the last id is that of the owner: the session, or the probe
            owner_id = int(file.ids[-1])
            rows = self.query(rma.find_file(*_OWNERS[file.kind.name], owner_id))
        else:
            raise NotFoundError(f"{self.host} has no files of the kind {file.kind.name!r}")
        if not rows:
            raise NotFoundError(f"{self.host} has no file for {file.name}: none was released")
        if len(rows) > 1:
            raise SourceError(f"{self.host} has {len(rows)} files for {file.name} instead of one")
        link = rows[0].get("download_link")
        base = f"{self.scheme}://{self.host}/"
        url = urljoin(base, link) if isinstance(link, str) and link else ""
        if not is_below(url, base) or url == base:
            raise SourceError(
                f"{self.host} gives {link!r:.200} as the address of {file.name}, which is not on "
                "that host: not followed"
            )
        return RemoteFile(url=url, name=file.name, source=self.name)

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
        rows, n_total = self._read_page(criteria, 0)
        # if the server returns fewer rows than requested, its own page size counts
        n_page = len(rows)
        if 0 < n_page < n_total:
            if n_total > n_page * MAX_PAGES:
                raise SourceError(
                    f"{self.host} gives {n_page} of {n_total} rows at a time: it would take more "
                    f"than {MAX_PAGES} queries"
                )
            rows = [*rows, *self._read_pages(criteria, n_page, n_total, label)]
        if len(rows) != n_total:
            raise SourceError(
                f"{self.host} announced {n_total} rows and delivered {len(rows)}; call again"
            )
        return rows

    def _read_pages(self, criteria: str, n_page: int, n_total: int, label: str) -> Iterator[Row]:
        """Read the pages behind the first one, several at once."""
        from tqdm import tqdm

        stop, updating = threading.Event(), threading.Lock()
        shown = bool(label) and is_progress_shown(self._progress)
        with tqdm(
            total=n_total,
            initial=n_page,
            desc=f"Listing {label}",
            unit=" rows",
            unit_scale=True,
            disable=not shown,
            delay=BAR_DELAY_S,
        ) as bar:

            def read(start: int) -> list[Row]:
                page, _ = self._read_page(criteria, start, n_page, sleep=stop.wait)
                with updating:
                    bar.update(len(page))
                return page

            jobs = [partial(read, start) for start in range(n_page, n_total, n_page)]
            # not a pool of the library's, which would make Ctrl-C wait for its last thread
            pages = call_at_once(jobs, n_threads=self.options.connections, stop=stop)
        return itertools.chain(*pages)

    def _read_page(
        self,
        criteria: str,
        start_row: int,
        n_rows: int | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> tuple[list[Row], int]:
        n_asked = n_rows or self._page_rows
        path = rma.build_path(criteria, start_row=start_row, n_rows=n_asked)
        url = f"{self.scheme}://{self.host}{path}"
        try:
            document = fetch_json(
                self._client,
                url,
                name="the answer to a query",
                max_bytes=MAX_PAGE_BYTES,
                sleep=sleep,
            )
        except NotFoundError as error:
            raise SourceError(str(error)) from error
        rows, n_total = rma.parse_page(document, origin=self.host)
        if len(rows) > n_asked:
            raise SourceError(f"{self.host} gives {len(rows)} rows where {n_asked} were asked for")
        return rows, n_total
