"""The DANDI Archive: session and LFP files with published digests, but no tables."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import pandas as pd

from spikehouse.errors import InvalidArgumentError, NotFoundError, describe_choices
from spikehouse.survey.protocol import HasTableFiles, Source, TableFile
from spikehouse.survey.sources.dandi_api import Asset, DandiApi, DandisetFiles
from spikehouse.survey.sources.layout import table_key
from spikehouse.survey.sources.s3 import S3
from spikehouse.transfer.addresses import check_base_url, check_id
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
        tables: Source | None = None,
        versions: Mapping[str, str] | None = None,
        hosts: Iterable[str] = DOWNLOAD_HOSTS,
        options: HttpOptions | None = None,
    ) -> None:
        self.options = options or HttpOptions()
        self.tables: Source = S3(options=self.options) if tables is None else tables
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

    def get_sessions(self) -> pd.DataFrame:
        """Return the table of sessions, from the source of tables."""
        return self.tables.get_sessions()

    def get_probes(self) -> pd.DataFrame:
        """Return the table of probes, from the source of tables."""
        return self.tables.get_probes()

    def get_channels(self) -> pd.DataFrame:
        """Return the table of channels, from the source of tables."""
        return self.tables.get_channels()

    def get_units(self) -> pd.DataFrame:
        """Return the table of units, unfiltered, from the source of tables."""
        return self.tables.get_units()

    def get_unit_analysis_metrics(
        self,
        unit_ids: Iterable[int] | None = None,
        ecephys_session_ids: Iterable[int] | None = None,
        session_types: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        """Return the analysis metrics of some units, from the source of tables."""
        return self.tables.get_unit_analysis_metrics(unit_ids, ecephys_session_ids, session_types)

    def get_table_file(self, name: TableFile) -> Content:
        """Locate the CSV file of a table at the source of tables."""
        table_key(name)
        if isinstance(self.tables, HasTableFiles):
            return self.tables.get_table_file(name)
        frame = _fetch_frame(self.tables, name)
        return [frame.to_csv(lineterminator="\n").encode()]

    def get_session_data(self, session_id: int) -> RemoteFile:
        """Locate the file of a session."""
        number = check_id(session_id)
        for files in self._list_in_turn():
            asset = files.find_session(number)
            if asset is not None:
                return self._describe(asset, f"session {number}")
        raise self._explain_absence(f"session {number}")

    def get_probe_lfp_data(self, probe_id: int) -> RemoteFile:
        """Locate the LFP file of a probe."""
        number = check_id(probe_id)
        for files in self._list_in_turn():
            asset = files.find_lfp(number)
            if asset is not None:
                return self._describe(asset, f"LFP of probe {number}")
        raise self._explain_absence(f"LFP of probe {number}")

    def get_natural_scene_template(self, number: int) -> RemoteFile:
        """Raise NotFoundError: the archive has no images."""
        raise _no_templates(f"natural scene {number}")

    def get_natural_movie_template(self, number: int) -> RemoteFile:
        """Raise NotFoundError: the archive has no movies."""
        raise _no_templates(f"natural movie {number}")

    def _list_in_turn(self) -> Iterator[DandisetFiles]:
        for dandiset in DANDISETS:
            with self._looking:
                if dandiset not in self._listings:
                    self._listings[dandiset] = self._api.list_files(dandiset)
                files = self._listings[dandiset]
            yield files

    def _explain_absence(self, what: str) -> NotFoundError:
        labels = " nor ".join(files.label for files in self._listings.values())
        return NotFoundError(f"neither {labels} has a file for {what}: none was released")

    def _describe(self, asset: Asset, name: str) -> RemoteFile:
        return RemoteFile(
            url=self._api.download_url(asset),
            name=name,
            size=asset.size,
            sha256=self._api.fetch_sha256(asset),
            hosts=self._hosts,
            source=self.name,
        )


def _fetch_frame(tables: Source, name: TableFile) -> pd.DataFrame:
    if name == "sessions":
        return tables.get_sessions()
    if name == "probes":
        return tables.get_probes()
    if name == "channels":
        return tables.get_channels()
    if name == "units":
        return tables.get_units()
    session_type = name.removesuffix("_analysis_metrics")
    return tables.get_unit_analysis_metrics(session_types=[session_type])


def _no_templates(what: str) -> NotFoundError:
    return NotFoundError(
        f"the DANDI Archive has no {what}: only session and LFP files are there. The warehouse "
        "and the public bucket on S3 have the images and movies"
    )
