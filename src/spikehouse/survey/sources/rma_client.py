"""Query the warehouse for rows, page by page in parallel."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from spikehouse.errors import NotFoundError, SourceError
from spikehouse.survey.sources import rma
from spikehouse.survey.sources.rma_rows import Row
from spikehouse.transfer.documents import fetch_json
from spikehouse.transfer.http import HttpClient
from spikehouse.transfer.progress import is_progress_shown
from spikehouse.transfer.retry import HttpOptions
from spikehouse.transfer.threads import call_at_once

__all__ = ["RmaClient"]

PAGE_ROWS = 5000
MAX_PAGES = 10_000
# 5000 rows of analysis metrics have some 15 MB
MAX_PAGE_BYTES = 64 << 20
# no bar for a table that arrives at once
BAR_DELAY_S = 2.0


class RmaClient:
    """A client of one host for rows."""

    def __init__(
        self,
        host: str,
        scheme: str,
        *,
        options: HttpOptions,
        progress: bool | None = None,
        page_rows: int = PAGE_ROWS,
    ) -> None:
        self.host = host
        self.scheme = scheme
        self.options = options
        self._progress = progress
        self._page_rows = page_rows
        self._client = HttpClient(options)

    def query(self, criteria: str, *, label: str = "") -> list[Row]:
        """Return all rows of an answer."""
        rows, n_total = self._read_page(criteria, 0)
        # if the server returns fewer rows than requested, its own page size counts
        n_page = len(rows)
        if n_page == 0 or n_page >= n_total:
            return self._check_rows(rows, n_total)
        if n_total > n_page * MAX_PAGES:
            raise SourceError(
                f"{self.host} gives {n_page} of {n_total} rows at a time: it would take more than "
                f"{MAX_PAGES} queries"
            )
        stop, updating = threading.Event(), threading.Lock()
        with self._make_bar(n_total, n_page, label=label) as bar:

            def read(start: int) -> list[Row]:
                page, _ = self._read_page(criteria, start, n_page, sleep=stop.wait)
                with updating:
                    bar.update(len(page))
                return page

            jobs = [partial(read, start) for start in range(n_page, n_total, n_page)]
            # not a pool of the library's, which would make Ctrl-C wait for its last thread
            pages = call_at_once(jobs, n_threads=self.options.connections, stop=stop)
        return self._check_rows([*rows, *itertools.chain(*pages)], n_total)

    def _check_rows(self, rows: list[Row], n_total: int) -> list[Row]:
        if len(rows) != n_total:
            raise SourceError(
                f"{self.host} announced {n_total} rows and delivered {len(rows)}; call again"
            )
        return rows

    def _make_bar(self, n_total: int, n_done: int, *, label: str) -> Any:  # noqa: ANN401 - tqdm
        from tqdm import tqdm

        shown = bool(label) and is_progress_shown(self._progress)
        return tqdm(
            total=n_total,
            initial=n_done,
            desc=f"Listing {label}",
            unit=" rows",
            unit_scale=True,
            disable=not shown,
            delay=BAR_DELAY_S,
        )

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
