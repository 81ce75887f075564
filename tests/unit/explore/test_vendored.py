"""Files of others are what was published, and the page stays small."""

import gzip
from hashlib import sha256
from pathlib import Path

import pytest

import spikehouse

STATIC = Path(spikehouse.__file__).parent / "explore" / "static"
PUBLISHED = {
    "uplot/LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
    "uplot/uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uplot/uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "inter/LICENSE": "3b0a5fca3d17942cde889069889dedbbbd075e9b599968c82a95f4d944e9b345",
    "inter/inter-latin-wght-normal.woff2": "3100e775e8616cd2611beecfa23a4263d7037586789b43f035236a2e6fbd4c62",  # noqa: E501
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_vendored__is_the_published_file(name):
    assert sha256((STATIC / "vendor" / name).read_bytes()).hexdigest() == PUBLISHED[name]


def test_vendored__nothing_else_is_there():
    found = {
        path.relative_to(STATIC / "vendor").as_posix() for path in (STATIC / "vendor").rglob("*.*")
    }
    assert found - {"README.md"} <= {*PUBLISHED}


def test_static__all_javascript_and_css_is_small():
    # the aim is 250 kB; what a browser loads is compressed
    files = [path for path in STATIC.rglob("*") if path.suffix in {".js", ".css"}]
    assert len(files) > 10
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) <= 150_000


def test_static__is_sent_compressed_and_only_when_it_changed(serve):
    client = serve()
    first = client.get("/static/js/app.js")
    assert first.content == (STATIC / "js" / "app.js").read_bytes()
    assert first.headers["content-encoding"] == "gzip"
    assert first.headers["content-type"].startswith("text/javascript")
    plain = client.get("/static/js/app.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == first.content
    again = client.get("/static/js/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
