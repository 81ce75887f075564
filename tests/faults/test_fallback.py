"""What a single faulty host cannot show: another source takes over, strangers are not trusted."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from fault_matrix import HTML
from fault_sources import (
    SESSION_ID,
    SMALL_BLOCK,
    SourceName,
    choose_options,
    cut_small,
    make_recording,
    make_source,
    serve_everything,
)

from file_server import Behaviour, FileServer
from spikehouse.errors import SourceError
from spikehouse.survey.manifest import create_manifest
from spikehouse.survey.store import Store

BROKEN = {
    "500": Behaviour(status=500),
    "404": Behaviour(status=404),
    "HTML page": Behaviour(page=(HTML, "text/html")),
    "HTML page in disguise": Behaviour(page=(HTML, "application/octet-stream")),
    "silence": Behaviour(delay_s=1.2),
}


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    cut_small(monkeypatch.setattr)


@pytest.fixture(scope="module")
def body() -> bytes:
    return make_recording(4)


def open_store(folder: Path, first: FileServer, second: FileServer) -> Store:
    options = choose_options()
    sources = [make_source("s3", first, options), make_source("warehouse", second, options)]
    manifest = create_manifest(folder / "manifest.json")
    return Store(manifest, sources, options=options, progress=False)


@pytest.mark.parametrize("fault", BROKEN)
def test_fallback__takes_the_next_source(fault: str, body: bytes, tmp_path: Path) -> None:
    with FileServer() as first, FileServer() as second:
        for server in (first, second):
            serve_everything(server, (body,))
        first.misbehave(BROKEN[fault])
        store = open_store(tmp_path, first, second)
        path = store.fetch(store.file("session", SESSION_ID))
        assert path.read_bytes() == body
        assert first.n_wrong["file"]


def test_fallback__goes_on_from_the_bytes_that_are_there(body: bytes, tmp_path: Path) -> None:
    with FileServer() as first, FileServer() as second:
        for server in (first, second):
            serve_everything(server, (body,))
        first.misbehave(Behaviour(status=500), after=4)
        store = open_store(tmp_path, first, second)
        path = store.fetch(store.file("session", SESSION_ID))
        assert path.read_bytes() == body
        assert first.n_sent() >= 2 * SMALL_BLOCK
        assert first.n_sent() + second.n_sent() < len(body) + SMALL_BLOCK


def test_fallback__of_another_version_begins_anew(body: bytes, tmp_path: Path) -> None:
    other = make_recording(5)
    with FileServer() as first, FileServer() as second:
        serve_everything(first, (body,))
        serve_everything(second, (body, other))
        first.misbehave(Behaviour(status=500), after=4)
        second.misbehave(Behaviour(version=1))
        store = open_store(tmp_path, first, second)
        path = store.fetch(store.file("session", SESSION_ID))
        assert path.read_bytes() == other


def test_fallback__names_every_source_that_failed(body: bytes, tmp_path: Path) -> None:
    with FileServer() as first, FileServer() as second:
        for server in (first, second):
            serve_everything(server, (body,))
        first.misbehave(Behaviour(status=500))
        second.misbehave(Behaviour(status=503))
        store = open_store(tmp_path, first, second)
        with pytest.raises(SourceError, match=r"(?s)s3.*status 500.*warehouse.*status 503"):
            store.fetch(store.file("session", SESSION_ID))
        assert not store.file("session", SESSION_ID).path.exists()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("making a certificate needs the openssl command")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = [*command, *names, "-keyout", str(path), "-out", str(path.with_name("certificate.pem"))]
    subprocess.run(made, check=True, capture_output=True)
    with path.open("ab") as file:
        file.write(path.with_name("certificate.pem").read_bytes())
    return path


def test_tls__certificate_nobody_vouches_for_is_refused(
    certificate: Path, body: bytes, tmp_path: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with FileServer(tls=context) as server:
        serve_everything(server, (body,))
        options = choose_options()
        manifest = create_manifest(tmp_path / "manifest.json")
        source = make_source("s3", server, options, tls=True)
        store = Store(manifest, [source], options=options, progress=False)
        with pytest.raises(SourceError, match="certificate verify failed"):
            store.fetch(store.file("session", SESSION_ID))
        assert server.n_asked["file"] == 0


@pytest.mark.parametrize("name", ["warehouse", "s3", "dandi"])
def test_resume__fetches_only_what_is_missing(
    name: SourceName, body: bytes, tmp_path: Path
) -> None:
    with FileServer() as server:
        serve_everything(server, (body,))
        server.misbehave(Behaviour(status=500), after=4)
        options = choose_options()
        manifest = create_manifest(tmp_path / "manifest.json")
        source = make_source(name, server, options)
        store = Store(manifest, [source], options=options, progress=False)
        target = store.file("session", SESSION_ID)
        with pytest.raises(
            SourceError, match=r"\d+ of \d+ bytes are kept in .* the same call resumes"
        ):
            store.fetch(target)
        state, n_kept = store.state(target)
        assert state == "partial"
        assert 2 * SMALL_BLOCK <= n_kept <= server.n_sent()
        server.behave()
        assert store.fetch(target).read_bytes() == body
        assert server.n_sent() <= len(body) + SMALL_BLOCK
        assert store.state(target) == ("cached", len(body))
