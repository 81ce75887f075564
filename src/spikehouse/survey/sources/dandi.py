"""The DANDI Archive: session and LFP files with published digests, but no tables."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

import pandas as pd

from spikehouse.errors import InvalidArgumentError, NotFoundError, SourceError, describe_choices
from spikehouse.schema.addresses import DANDI_HOSTS, DANDI_URL
from spikehouse.survey.file_kinds import VISUAL_CODING, Ids, PlannedFile
from spikehouse.survey.source import Source, as_source
from spikehouse.survey.sources.s3 import S3
from spikehouse.transfer.addresses import check_base_url, is_below
from spikehouse.transfer.documents import fetch_json
from spikehouse.transfer.http import HttpClient
from spikehouse.transfer.remote_file import Content, RemoteFile
from spikehouse.transfer.retry import HttpOptions

__all__ = ["Asset", "Dandi", "Listing"]

log = logging.getLogger(__name__)

# the sessions of type brain_observatory_1.1, and those of type functional_connectivity
DANDISETS = ("000021", "000022")
# a published version never changes; of the other dandiset the newest one is looked up
VERSIONS: Mapping[str, str] = {"000021": "0.251116.2246"}
PAGE_ROWS = 1000
# the larger dandiset has a few hundred files
MAX_PAGES = 200
MAX_ASSETS = 20_000
# a page of 1000 assets has some 400 kB, the metadata of one some 10 kB
MAX_PAGE_BYTES = 32 << 20
MAX_METADATA_BYTES = 8 << 20
# no file is that large: a size goes into plans and into checks of the free space
MAX_FILE_BYTES = 1 << 46

_VERSION = re.compile(r"\d{1,9}\.\d{1,9}\.\d{1,9}|draft")
_ASSET_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class Asset:
    """A file of a dandiset."""

    # id in the archive
    asset_id: str
    # path in the dandiset, for messages; never used as a local path
    path: str
    # length [bytes]
    size: int


class Listing:
    """The session and LFP files of one version of a dandiset."""

    def __init__(self, label: str) -> None:
        # dandiset and version, for messages
        self.label = label
        # kind and ids → its files (more than one is an error when asked for)
        self.assets: dict[tuple[str, Ids], list[Asset]] = {}

    def add(self, asset: Asset) -> None:
        """Add a file if its name is that of a file of the data set."""
        found = VISUAL_CODING.parse(PurePosixPath(asset.path))
        if found is not None and set(found[1]) == set(found[0].ids):
            kind, ids = found
            self.assets.setdefault((kind.name, tuple(ids.values())), []).append(asset)

    def find(self, file: PlannedFile) -> Asset | None:
        """Return a file, None if there is none."""
        found = self.assets.get((file.kind.name, file.ids), [])
        if len(found) > 1:
            paths = ", ".join(repr(asset.path) for asset in found[:3])
            raise SourceError(f"{self.label} has {len(found)} files for {file.name}: {paths}")
        return found[0] if found else None


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
        base_url: str = DANDI_URL,
        *,
        tables: object = None,
        versions: Mapping[str, str] | None = None,
        hosts: Iterable[str] = DANDI_HOSTS,
        options: HttpOptions | None = None,
    ) -> None:
        self.options = options or HttpOptions()
        self.tables: Source = S3(options=self.options) if tables is None else as_source(tables)
        self.versions = {**VERSIONS, **(versions or {})}
        unknown = sorted(set(self.versions) - set(DANDISETS))
        if unknown:
            choices = describe_choices(unknown[0], DANDISETS)
            raise InvalidArgumentError(f"the data set is not in dandiset {unknown[0]!r}: {choices}")
        for version in self.versions.values():
            if not isinstance(version, str) or _VERSION.fullmatch(version) is None:
                raise InvalidArgumentError(
                    f"{version!r} is not a version of a dandiset: give one such as "
                    "'0.251116.2246', or 'draft'"
                )
        self._hosts = frozenset(hosts)
        self.base_url = check_base_url(base_url, what="the DANDI Archive")
        self._client = HttpClient(self.options)
        self._listings: dict[str, Listing] = {}
        self._listing = threading.Lock()

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
        for dandiset in DANDISETS:
            with self._listing:
                if dandiset not in self._listings:
                    self._listings[dandiset] = self._list_files(dandiset)
            asset = self._listings[dandiset].find(file)
            if asset is not None:
                url = f"{self.base_url}assets/{quote(asset.asset_id, safe='')}/"
                return RemoteFile(
                    # it redirects to a URL that is valid for a short time: retries use this one
                    url=f"{url}download/",
                    name=file.name,
                    size=asset.size,
                    sha256=self._fetch_sha256(asset, url),
                    hosts=self._hosts,
                    source=self.name,
                )
        labels = " nor ".join(listing.label for listing in self._listings.values())
        raise NotFoundError(f"neither {labels} has a file for {file.name}: none was released")

    def read_table(self, file: PlannedFile) -> pd.DataFrame:
        """Return a table, from the source of tables."""
        return self.tables.read_table(file)

    def _list_files(self, dandiset: str) -> Listing:
        version = self.versions.get(dandiset) or self._fetch_newest_version(dandiset)
        listing = f"{self.base_url}dandisets/{quote(dandiset)}/versions/{quote(version)}/assets/"
        files = Listing(f"DANDI:{dandiset}/{version}")
        url: str | None = f"{listing}?page_size={PAGE_ROWS}"
        n_assets, n_announced, seen = 0, None, set[str]()
        while url is not None:
            seen.add(url)
            page = self._fetch(url, f"the list of files of {files.label}", max_bytes=MAX_PAGE_BYTES)
            assets = page.get("results")
            if not isinstance(assets, list):
                raise SourceError(f"{url} does not list files: no 'results' in it")
            n_assets += len(assets)
            if n_assets > MAX_ASSETS:
                raise SourceError(f"{listing} lists more than {MAX_ASSETS} files, the limit")
            for asset in assets:
                files.add(_parse_asset(asset, url))
            # the archive counts on the first page only
            n_announced = page.get("count") if n_announced is None else n_announced
            url = _follow(page.get("next"), listing, seen)
        _check_count(n_announced, n_assets, listing)
        return files

    def _fetch_sha256(self, asset: Asset, url: str) -> str | None:
        """Fetch the published digest of a file, None if there is none."""
        metadata = self._fetch(
            url, f"the description of {asset.path!r:.200}", max_bytes=MAX_METADATA_BYTES
        )
        size = metadata.get("contentSize", asset.size)
        if size != asset.size:
            raise SourceError(f"{url} gives a size of {size!r:.40}, the listing of {asset.size}")
        digests = metadata.get("digest")
        digest = digests.get("dandi:sha2-256") if isinstance(digests, dict) else None
        if digest is None:
            log.info("%s: no sha256 was published for it", asset.path)
            return None
        if not isinstance(digest, str) or _SHA256.fullmatch(digest) is None:
            raise SourceError(f"{url} gives {digest!r:.80} as a sha256, which is not valid")
        return digest.lower()

    def _fetch_newest_version(self, dandiset: str) -> str:
        url = f"{self.base_url}dandisets/{quote(dandiset)}/"
        answer = self._fetch(url, f"DANDI:{dandiset}", max_bytes=MAX_METADATA_BYTES)
        newest = answer.get("most_recent_published_version")
        if newest is None:
            raise NotFoundError(
                f"no version of DANDI:{dandiset} is published; "
                f"versions={{{dandiset!r}: 'draft'}} takes the draft"
            )
        version = newest.get("version") if isinstance(newest, dict) else None
        if not isinstance(version, str) or _VERSION.fullmatch(version) is None:
            raise SourceError(f"{url} gives {version!r:.80} as a version, which is not valid")
        log.info("DANDI:%s: version %s", dandiset, version)
        return version

    def _fetch(self, url: str, name: str, *, max_bytes: int) -> dict[str, Any]:
        document = fetch_json(self._client, url, name=name, max_bytes=max_bytes)
        if not isinstance(document, dict):
            raise SourceError(f"{url} does not answer like the DANDI Archive: {document!r:.80}")
        return document


def _parse_asset(asset: object, url: str) -> Asset:
    row = asset if isinstance(asset, dict) else {}
    asset_id, path, size = row.get("asset_id"), row.get("path"), row.get("size")
    if not isinstance(asset_id, str) or _ASSET_ID.fullmatch(asset_id) is None:
        raise SourceError(f"{url} gives {asset_id!r:.80} as the id of a file, which is not valid")
    if not isinstance(path, str):
        raise SourceError(f"{url} gives {path!r:.80} as the path of file {asset_id}")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= MAX_FILE_BYTES:
        raise SourceError(f"{url} gives {size!r:.40} as the size of {path!r:.200}")
    return Asset(asset_id=asset_id, path=path, size=size)


def _follow(link: object, listing: str, seen: set[str]) -> str | None:
    if link is None:
        return None
    if not isinstance(link, str) or not is_below(link, f"{listing}?"):
        raise SourceError(
            f"{listing} gives {link!r:.200} as its next page, which is not one of that list: "
            "not followed"
        )
    if link in seen or len(seen) >= MAX_PAGES:
        raise SourceError(f"{listing} has no last page: {len(seen)} were read, then {link!r}")
    return link


def _check_count(count: object, n_assets: int, listing: str) -> None:
    if isinstance(count, int) and count != n_assets:
        raise SourceError(f"{listing} announced {count} files and listed {n_assets}; call again")
