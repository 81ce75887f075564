"""The DANDI Archive: session and LFP files with published digests, but no tables."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import pandas as pd

from spikehouse.errors import InvalidArgumentError, NotFoundError, describe_choices
from spikehouse.survey.file_kinds import PlannedFile
from spikehouse.survey.source import Source
from spikehouse.survey.sources.dandi_api import DandiApi, DandisetFiles
from spikehouse.survey.sources.s3 import S3
from spikehouse.survey.sources.shaped import as_source
from spikehouse.transfer.addresses import check_base_url
from spikehouse.transfer.http import HttpClient
from spikehouse.transfer.remote_file import Content, RemoteFile
from spikehouse.transfer.retry import HttpOptions

__all__ = ["Dandi"]

DEFAULT_URL = "https://api.dandiarchive.org/api/"
# where the archive keeps its bytes: it answers a download with a redirect to one of these
DOWNLOAD_HOSTS = frozenset(
    {
        "dandiarchive.s3.amazonaws.com",
        "dandiarchive.s3.us-east-1.amazonaws.com",
        "dandiarchive.s3.us-east-2.amazonaws.com",
        "dandiarchive.s3.us-west-2.amazonaws.com",
    }
)
# the sessions of type brain_observatory_1.1, and those of type functional_connectivity
DANDISETS = ("000021", "000022")
# a published version never changes; of the other dandiset the newest one is looked up
VERSIONS: Mapping[str, str] = {"000021": "0.251116.2246"}


class Dandi:
    """The files in DANDI:000021 and DANDI:000022, with tables from another source."""

    # `versions` (dandiset → version) overrides the defaults: 0.251116.2246 of 000021, and of
    # 000022 the newest published one.
    #
    # Requests: one for the first file of 000021 (its list of files), two for the first of 000022
    # (version and list), and one for the digest of every file. Files are found in these lists
    # alone, so they can be located while the source of tables is out of reach. The archive has no
    # images and movies: NotFoundError makes a chain of sources go on.

    name = "dandi"

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        *,
        tables: object = None,
        versions: Mapping[str, str] | None = None,
        hosts: Iterable[str] = DOWNLOAD_HOSTS,
        options: HttpOptions | None = None,
    ) -> None:
        self.options = options or HttpOptions()
        self.tables: Source = S3(options=self.options) if tables is None else as_source(tables)
        self.versions = {**VERSIONS, **(versions or {})}
        unknown = sorted(set(self.versions) - set(DANDISETS))
        if unknown:
            choices = describe_choices(unknown[0], DANDISETS)
            raise InvalidArgumentError(f"the data set is not in dandiset {unknown[0]!r}: {choices}")
        self._hosts = frozenset(hosts)
        self.base_url = check_base_url(base_url, what="the DANDI Archive")
        self._api = DandiApi(self.base_url, HttpClient(self.options), versions=self.versions)
        self._listings: dict[str, DandisetFiles] = {}
        self._looking = threading.Lock()

    def __reduce__(self) -> tuple[Callable[..., Dandi], tuple[Any, ...]]:
        make = partial(
            Dandi,
            tables=self.tables,
            versions=self.versions,
            hosts=self._hosts,
            options=self.options,
        )
        return make, (self.base_url,)

    def locate(self, file: PlannedFile) -> Content:
        """Locate a file; tables are those of the source of tables."""
        if file.kind.table is not None:
            return self.tables.locate(file)
        if file.kind.name not in ("session", "lfp"):
            raise NotFoundError(
                f"the DANDI Archive has no {file.name}: only session and LFP files are there. The "
                "warehouse and the public bucket on S3 have the images and movies"
            )
        for files in self._list_in_turn():
            asset = files.find(file)
            if asset is not None:
                return RemoteFile(
                    url=self._api.download_url(asset),
                    name=file.name,
                    size=asset.size,
                    sha256=self._api.fetch_sha256(asset),
                    hosts=self._hosts,
                    source=self.name,
                )
        labels = " nor ".join(files.label for files in self._listings.values())
        raise NotFoundError(f"neither {labels} has a file for {file.name}: none was released")

    def read_table(self, file: PlannedFile) -> pd.DataFrame:
        """Return a table, from the source of tables."""
        return self.tables.read_table(file)

    def _list_in_turn(self) -> Iterator[DandisetFiles]:
        for dandiset in DANDISETS:
            with self._looking:
                if dandiset not in self._listings:
                    self._listings[dandiset] = self._api.list_files(dandiset)
                files = self._listings[dandiset]
            yield files
