"""The public bucket on Amazon S3: a cache folder over HTTPS."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd

from spikehouse.errors import InvalidFileError, NotFoundError, SourceError
from spikehouse.schema.addresses import BUCKET_URL
from spikehouse.survey.file_kinds import PlannedFile
from spikehouse.survey.tables import MAX_TABLE_BYTES, parse_csv
from spikehouse.transfer.addresses import check_base_url
from spikehouse.transfer.documents import describe_body, fetch_bytes
from spikehouse.transfer.http import HttpClient
from spikehouse.transfer.remote_file import RemoteFile
from spikehouse.transfer.retry import HttpOptions

__all__ = ["S3"]


class S3:
    """The public bucket, or another one with the layout of a cache folder."""

    # No credentials and no AWS library. Paths follow from ids, so locating a file costs no request;
    # existence, size and ETag are known at the first request for its bytes. The ETag of a multipart
    # upload is no MD5: it detects a change, it does not prove that the bytes are right.

    name = "s3"

    def __init__(self, base_url: str = BUCKET_URL, *, options: HttpOptions | None = None) -> None:
        self.base_url = check_base_url(base_url, what="a bucket")
        self.options = options or HttpOptions()

    def __reduce__(self) -> tuple[Callable[..., S3], tuple[Any, ...]]:
        return partial(S3, options=self.options), (self.base_url,)

    def locate(self, file: PlannedFile) -> RemoteFile:
        """Locate a file, without a request."""
        if not file.kind.is_published:
            raise NotFoundError(f"{self.base_url} has no {file.name}")
        return RemoteFile(url=f"{self.base_url}{file.key}", name=file.name, source=self.name)

    def read_table(self, file: PlannedFile) -> pd.DataFrame:
        """Download and parse a table, in one request."""
        assert file.kind.table is not None
        url = self.locate(file).url
        body = fetch_bytes(HttpClient(self.options), url, name=file.name, max_bytes=MAX_TABLE_BYTES)
        try:
            return parse_csv(body, file.kind.table, origin=url)
        except InvalidFileError as error:
            raise SourceError(f"{error}; {describe_body(body)}") from error
