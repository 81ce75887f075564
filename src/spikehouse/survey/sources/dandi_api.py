"""Client of the DANDI Archive's REST interface, with checks of its answers."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from spikehouse.errors import InvalidArgumentError, NotFoundError, SourceError
from spikehouse.survey.file_kinds import VISUAL_CODING, Ids, PlannedFile
from spikehouse.transfer.addresses import is_below
from spikehouse.transfer.documents import fetch_json
from spikehouse.transfer.http import HttpClient

__all__ = ["Asset", "DandiApi", "DandisetFiles"]

log = logging.getLogger(__name__)

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


@dataclass(frozen=True)
class DandisetFiles:
    """The files of one version of a dandiset."""

    # dandiset and version, for messages
    label: str
    # kind and ids → its files (more than one is an error when asked for)
    assets: dict[tuple[str, Ids], list[Asset]] = field(default_factory=dict)

    def add(self, asset: Asset) -> None:
        """Add a file if its name is that of a session or LFP file."""
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


class DandiApi:
    """Client of the archive."""

    def __init__(self, base_url: str, client: HttpClient, *, versions: Mapping[str, str]) -> None:
        for version in versions.values():
            if not isinstance(version, str) or _VERSION.fullmatch(version) is None:
                raise InvalidArgumentError(
                    f"{version!r} is not a version of a dandiset: give one such as "
                    "'0.251116.2246', or 'draft'"
                )
        self.base_url = base_url
        self._client = client
        self._versions = versions

    def list_files(self, dandiset: str) -> DandisetFiles:
        """List the files of a dandiset."""
        version = self._versions.get(dandiset) or self._fetch_newest_version(dandiset)
        listing = f"{self.base_url}dandisets/{quote(dandiset)}/versions/{quote(version)}/assets/"
        files = DandisetFiles(label=f"DANDI:{dandiset}/{version}")
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

    def download_url(self, asset: Asset) -> str:
        """Return the download URL of a file."""
        # It redirects to a URL that is valid for a short time, so retries must use this one.
        return f"{self.base_url}assets/{quote(asset.asset_id, safe='')}/download/"

    def fetch_sha256(self, asset: Asset) -> str | None:
        """Fetch the published digest of a file, None if there is none."""
        url = f"{self.base_url}assets/{quote(asset.asset_id, safe='')}/"
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
