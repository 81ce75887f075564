"""A stand-in for the DANDI Archive: its interface on one loopback port, its bucket on another."""

from __future__ import annotations

import contextlib
import hashlib
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from file_server import Document, FileServer, Handler

VERSION = "0.251116.2246"
UUID = "([0-9a-f-]{36})"


class Archive:
    """Serves the files of ``folder/<dandiset>/`` as the assets of a published version.

    A page of the list of assets has ``n_page`` of them at most, whatever is asked for.
    """

    def __init__(self, folder: Path, api: FileServer, bucket: FileServer, n_page: int) -> None:
        self.folder = folder
        self.n_page = n_page
        self.server = api
        self.api = api.url("/api/")
        self.bucket = bucket.address
        api.routes[r"/api/dandisets/(\d{6})/"] = self.answer_dandiset
        api.routes[r"/api/dandisets/(\d{6})/versions/([^/]+)/assets/"] = self.answer_listing
        api.routes[f"/api/assets/{UUID}/"] = self.answer_asset
        api.routes[f"/api/assets/{UUID}/download/"] = self.answer_download
        bucket.routes[f"/blobs/{UUID}"] = self.answer_blob

    def list_assets(self, dandiset: str) -> list[dict[str, object]]:
        base = self.folder / dandiset
        return [
            {
                "asset_id": name_asset(path.relative_to(self.folder)),
                "blob": str(uuid.uuid4()),
                "zarr": None,
                "path": path.relative_to(base).as_posix(),
                "size": path.stat().st_size,
                "created": "2025-11-16T22:00:00Z",
                "modified": "2025-11-16T22:00:00Z",
            }
            for path in sorted(base.rglob("*.nwb"))
        ]

    def read(self, asset_id: str) -> bytes | None:
        for path in self.folder.rglob("*.nwb"):
            if name_asset(path.relative_to(self.folder)) == asset_id:
                return path.read_bytes()
        return None

    def answer_dandiset(self, handler: Handler) -> None:
        newest = {"version": VERSION, "status": "Valid", "size": 1}
        handler.send_json(
            {"identifier": read_match(handler)[0], "most_recent_published_version": newest}
        )

    def answer_listing(self, handler: Handler) -> None:
        dandiset, version = read_match(handler)
        if version != VERSION or not (self.folder / dandiset).is_dir():
            return handler.send_words(404)
        query = parse_qs(urlsplit(handler.path).query)
        number, asked = int(query.get("page", ["1"])[0]), int(query["page_size"][0])
        assets, n_page = self.list_assets(dandiset), min(asked, self.n_page)
        following = f"{urlsplit(handler.path).path}?page={number + 1}&page_size={asked}"
        return handler.send_json(
            {
                # like the archive, which counts on the first page only
                "count": len(assets) if number == 1 else None,
                "next": self.server.url(following) if number * n_page < len(assets) else None,
                "previous": None,
                "results": assets[(number - 1) * n_page : number * n_page],
            }
        )

    def answer_asset(self, handler: Handler) -> None:
        (asset_id,) = read_match(handler)
        body = self.read(asset_id)
        if body is None:
            return handler.send_words(404)
        digest = {
            "dandi:sha2-256": hashlib.sha256(body).hexdigest(),
            "dandi:dandi-etag": f"{hashlib.md5(body).hexdigest()}-1",
        }
        return handler.send_json(
            {"id": f"dandiasset:{asset_id}", "contentSize": len(body), "digest": digest}
        )

    def answer_download(self, handler: Handler) -> None:
        (asset_id,) = read_match(handler)
        signed = f"/blobs/{asset_id}?X-Amz-Expires=3600&X-Amz-Signature=0"
        handler.send_words(302, Location=f"http://{self.bucket}{signed}")

    def answer_blob(self, handler: Handler) -> None:
        body = self.read(*read_match(handler))
        if body is None or "X-Amz-Signature" not in handler.path:
            return handler.send_words(403)
        return handler.send(Document((body,), "application/x-nwb"))


@contextlib.contextmanager
def serve_archive(folder: Path, *, n_page: int = 1000) -> Iterator[Archive]:
    with FileServer() as api, FileServer() as bucket:
        yield Archive(folder, api, bucket, n_page)


def name_asset(path: Path) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, path.as_posix()))


def read_match(handler: Handler) -> tuple[str, ...]:
    """Return the groups of the pattern of the path."""
    match: re.Match[str] | None = handler.match
    assert match is not None
    return match.groups()
