"""A stand-in for the DANDI Archive: its interface on one loopback port, its bucket on another.

``python dandi_server.py FOLDER [PAGE]`` serves the files of ``FOLDER/<dandiset>/`` as the assets
of a published version of that dandiset, at most PAGE of them a page, with their digests. It
prints one line of JSON (``api``: where the interface begins, ``bucket``: host and port of the
other server, which ``…/download/`` redirects to) and ends with its standard input.
``GET /_seen`` at either of them lists the requests so far. Usable without the package.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

VERSION = "0.251116.2246"
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def name_asset(dandiset: str, path: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{dandiset}/{path}"))


class Archive:
    """The files of a folder, as assets."""

    def __init__(self, folder: Path, page: int) -> None:
        self.folder = folder
        self.page = page
        self.bucket = ""

    def list_assets(self, dandiset: str) -> list[dict[str, object]]:
        base = self.folder / dandiset
        return [
            {
                "asset_id": name_asset(dandiset, path.relative_to(base).as_posix()),
                "blob": str(uuid.uuid4()),
                "zarr": None,
                "path": path.relative_to(base).as_posix(),
                "size": path.stat().st_size,
                "created": "2025-11-16T22:00:00Z",
                "modified": "2025-11-16T22:00:00Z",
            }
            for path in sorted(base.rglob("*.nwb"))
        ]

    def find(self, asset_id: str) -> Path | None:
        for path in self.folder.rglob("*.nwb"):
            dandiset, _, name = path.relative_to(self.folder).as_posix().partition("/")
            if name_asset(dandiset, name) == asset_id:
                return path
        return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/_seen":
            self.reply_json(self.server.seen)
            return
        self.server.seen.append(self.path)
        for pattern, answer in self.server.routes:
            match = re.fullmatch(pattern, parts.path)
            if match is not None:
                answer(self, *match.groups())
                return
        self.reply_json({"detail": "Not found."}, status=404)

    def reply_json(self, document: object, *, status: int = 200) -> None:
        body = json.dumps(document).encode()
        self.reply(body, status=status, headers={"Content-Type": "application/json"})

    def reply(self, body: bytes, *, status: int = 200, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    # many connections at once must not be refused
    request_queue_size = 64

    def __init__(self, archive: Archive, routes: list[tuple[str, object]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.archive = archive
        self.routes = routes
        self.seen: list[str] = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


def answer_dandiset(handler: Handler, dandiset: str) -> None:
    newest = {"version": VERSION, "status": "Valid", "size": 1}
    handler.reply_json({"identifier": dandiset, "most_recent_published_version": newest})


def answer_listing(handler: Handler, dandiset: str, version: str) -> None:
    archive = handler.server.archive
    if version != VERSION or not (archive.folder / dandiset).is_dir():
        handler.reply_json({"detail": "Not found."}, status=404)
        return
    query = parse_qs(urlsplit(handler.path).query)
    number, asked = int(query.get("page", ["1"])[0]), int(query["page_size"][0])
    assets, n_page = archive.list_assets(dandiset), min(asked, archive.page)
    some = assets[(number - 1) * n_page : number * n_page]
    path = urlsplit(handler.path).path
    following = f"http://{handler.server.address}{path}?page={number + 1}&page_size={asked}"
    handler.reply_json(
        {
            # like the archive, which counts on the first page only
            "count": len(assets) if number == 1 else None,
            "next": following if number * n_page < len(assets) else None,
            "previous": None,
            "results": some,
        }
    )


def answer_asset(handler: Handler, asset_id: str) -> None:
    path = handler.server.archive.find(asset_id)
    if path is None:
        handler.reply_json({"detail": "Not found."}, status=404)
        return
    body = path.read_bytes()
    digest = {
        "dandi:sha2-256": hashlib.sha256(body).hexdigest(),
        "dandi:dandi-etag": f"{hashlib.md5(body).hexdigest()}-1",
    }
    handler.reply_json({"id": f"dandiasset:{asset_id}", "contentSize": len(body), "digest": digest})


def answer_download(handler: Handler, asset_id: str) -> None:
    bucket = handler.server.archive.bucket
    signed = f"http://{bucket}/blobs/{asset_id}?X-Amz-Expires=3600&X-Amz-Signature=0"
    handler.reply(b"", status=302, headers={"Location": signed})


def answer_blob(handler: Handler, asset_id: str) -> None:
    path = handler.server.archive.find(asset_id)
    if path is None or "X-Amz-Signature" not in handler.path:
        handler.reply_json({"Code": "AccessDenied"}, status=403)
        return
    body = path.read_bytes()
    headers = {
        "ETag": f'"{hashlib.md5(body).hexdigest()}-1"',
        "Content-Type": "application/x-nwb",
        "Accept-Ranges": "bytes",
    }
    wanted = _RANGE.fullmatch(handler.headers.get("Range", ""))
    if wanted is None or handler.headers.get("If-Range", headers["ETag"]) != headers["ETag"]:
        handler.reply(body, headers=headers)
        return
    start = int(wanted[1])
    stop = min(int(wanted[2] or len(body)) + 1, len(body))
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(body)}"
    handler.reply(body[start:stop], status=206, headers=headers)


def main() -> None:
    page = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    archive = Archive(Path(sys.argv[1]), page)
    api = Server(
        archive,
        [
            (r"/api/dandisets/(\d{6})/", answer_dandiset),
            (r"/api/dandisets/(\d{6})/versions/([^/]+)/assets/", answer_listing),
            (r"/api/assets/([0-9a-f-]{36})/", answer_asset),
            (r"/api/assets/([0-9a-f-]{36})/download/", answer_download),
        ],
    )
    bucket = Server(archive, [(r"/blobs/([0-9a-f-]{36})", answer_blob)])
    archive.bucket = bucket.address
    addresses = {"api": f"http://{api.address}/api/", "bucket": bucket.address}
    print(json.dumps(addresses), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
