"""Downloads over real sockets: whole or not at all."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spikehouse.errors import CacheError, InvalidFileError, SourceError, TransferError
from spikehouse.transfer.checks import check_hdf5
from spikehouse.transfer.downloads import download
from spikehouse.transfer.remote_file import RemoteFile
from spikehouse.transfer.retry import HttpOptions

if TYPE_CHECKING:
    from tests.unit.conftest import Handler, StandIn

BODY = bytes(range(256)) * 8192  # 2 MiB: more than one block


def accept(path: Path) -> None:
    assert path.exists()


def remote(server: StandIn, path: str = "/file", **known: object) -> RemoteFile:
    return RemoteFile(server.url(path), "the file", **known)  # type: ignore[arg-type]


def assert_nothing_left(folder: Path) -> None:
    left = [path.name for path in folder.rglob("*") if path.is_file()]
    assert [name for name in left if not name.endswith(".lock")] == []


def test_download__writes_exactly_the_bytes_sent(
    server: StandIn, tmp_path: Path, hasty: HttpOptions
) -> None:
    server.serve_bytes("/file", BODY)
    target = tmp_path / "session_1" / "session_1.nwb"
    assert download(remote(server), target, check=accept, options=hasty) == target
    assert target.read_bytes() == BODY
    assert not list(tmp_path.rglob("*.part"))


def test_download__does_not_touch_what_is_there(
    server: StandIn, tmp_path: Path, hasty: HttpOptions
) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"mine")
    download(remote(server), target, check=accept, options=hasty)
    assert target.read_bytes() == b"mine"
    assert server.seen == []
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_download__accepts_a_body_of_unannounced_length(
    server: StandIn, tmp_path: Path, hasty: HttpOptions
) -> None:
    def chunked(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for start in range(0, len(BODY), 500_000):
            some = BODY[start : start + 500_000]
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(some), some))
        handler.wfile.write(b"0\r\n\r\n")

    server.routes["/file"] = chunked
    download(remote(server), tmp_path / "file", check=accept, options=hasty)
    assert (tmp_path / "file").read_bytes() == BODY


def test_download__takes_blocks_from_an_iterable(tmp_path: Path) -> None:
    download(iter([b"ab", b"", b"cd"]), tmp_path / "file", check=accept)
    assert (tmp_path / "file").read_bytes() == b"abcd"


# --- faults: name → route, error, what the message says


def send_short(handler: Handler) -> None:
    handler.reply(BODY[:1000], length=len(BODY))
    handler.hang_up()


def send_and_stall(handler: Handler) -> None:
    handler.reply(BODY[:1000], length=len(BODY))
    handler.server.released.wait(5)
    handler.hang_up()


def send_and_reset(handler: Handler) -> None:
    handler.reply(BODY[:100_000], length=len(BODY))
    handler.wfile.flush()
    time.sleep(0.05)
    handler.reset()


def stay_silent(handler: Handler) -> None:
    handler.server.released.wait(5)
    handler.hang_up()


def answer(**options: object) -> Callable[[Handler], None]:
    def route(handler: Handler) -> None:
        body = options.get("body", b"oops")
        rest = {name: value for name, value in options.items() if name != "body"}
        handler.reply(body, **rest)  # type: ignore[arg-type]

    return route


FAULTS: dict[str, tuple[Callable[[Handler], None], type[Exception], str]] = {
    "short body": (send_short, TransferError, "broke off after 1000 bytes"),
    "stall": (send_and_stall, TransferError, "stalled after"),
    "reset": (send_and_reset, TransferError, "broke off after"),
    "silence": (stay_silent, SourceError, "cannot be reached over http"),
    "404": (answer(status=404), SourceError, r"is not there \(status 404\)"),
    "403": (answer(status=403), SourceError, "returned status 403 instead of 200"),
    "206 without range": (
        answer(status=206),
        SourceError,
        "status 206 .* and the Content-Range '', which is not valid",
    ),
    "206 of another range": (
        answer(status=206, Content_Range="bytes 4-7/8"),
        SourceError,
        r"was asked for the bytes 0 to \d+ and returned the Content-Range 'bytes 4-7/8'",
    ),
    "HTML that says it is something else": (
        answer(body=b"\n <!DOCTYPE html><title>log in</title>"),
        SourceError,
        "an HTML page that begins with .* instead of the file",
    ),
    "500": (
        answer(status=500),
        SourceError,
        r"returned status 500 \(server temporarily unavailable\)",
    ),
    "503": (
        answer(status=503),
        SourceError,
        r"returned status 503 \(server temporarily unavailable\)",
    ),
    "429": (answer(status=429), SourceError, "status 429"),
    "HTML page": (
        answer(body=b"<html>log in</html>", kind="text/html; charset=utf-8"),
        SourceError,
        r"a page \(text/html\) instead of the file",
    ),
    "JSON page": (
        answer(body=b'{"success": false}', kind="application/json"),
        SourceError,
        r"a page \(application/json\) instead of the file",
    ),
    "not HDF5": (
        answer(body=b"certainly not a session"),
        InvalidFileError,
        "not valid and was not kept: .* is not an HDF5 file: it begins with b'certainly not a '",
    ),
    "empty": (answer(body=b""), InvalidFileError, "is not an HDF5 file: it is empty"),
    "gzip": (
        answer(Content_Encoding="gzip"),
        SourceError,
        "gzip-encoded, which was not requested",
    ),
    "redirect to another host": (
        answer(status=302, Location="http://localhost:1/secret"),
        SourceError,
        "redirects to 'http://localhost:1/secret', which is another host",
    ),
    "redirect to another port": (
        answer(status=302, Location="http://127.0.0.1:1/secret"),
        SourceError,
        "which is another host",
    ),
    "redirect to a file": (
        answer(status=302, Location="file:///etc/passwd"),
        SourceError,
        "which has no host",
    ),
    "redirect to nowhere": (answer(status=302), SourceError, "which is not an address"),
    "redirect loop": (
        answer(status=301, Location="/file"),
        SourceError,
        "redirects more than 5 times",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_download__leaves_nothing_after_a_fault(
    fault: str, server: StandIn, tmp_path: Path, hasty: HttpOptions
) -> None:
    route, error, message = FAULTS[fault]
    server.routes["/file"] = route
    with pytest.raises(error, match=message):
        download(remote(server), tmp_path / "file.nwb", check=check_hdf5, options=hasty)
    assert_nothing_left(tmp_path)


def test_download__says_when_nobody_answers(
    closed_address: str, tmp_path: Path, hasty: HttpOptions
) -> None:
    gone = RemoteFile(f"http://{closed_address}/file", "the file")
    with pytest.raises(
        SourceError, match=r"127.0.0.1:\d+ cannot be reached .* a network"
    ) as caught:
        download(gone, tmp_path / "file", check=accept, options=hasty)
    assert isinstance(caught.value, ConnectionError)
    assert_nothing_left(tmp_path)


def test_download__refuses_a_file_that_changed_there(
    server: StandIn, tmp_path: Path, hasty: HttpOptions
) -> None:
    server.serve_bytes("/file", BODY)
    with pytest.raises(TransferError, match="should have 5 bytes and now offers 2097152"):
        download(remote(server, size=5), tmp_path / "file", check=accept, options=hasty)
    assert_nothing_left(tmp_path)


def test_download__tries_again_after_what_may_pass(
    server: StandIn, tmp_path: Path, hasty: HttpOptions
) -> None:
    routes = iter(
        [answer(status=503, Retry_After="0"), send_short, lambda handler: handler.reply(BODY)]
    )
    server.routes["/file"] = lambda handler: next(routes)(handler)
    patient = HttpOptions(fetch_tries=3, backoff=0.01, stall_timeout=1)
    download(remote(server), tmp_path / "file", check=accept, options=patient)
    assert (tmp_path / "file").read_bytes() == BODY
    assert server.n_seen("/file") == 3


def test_download__honours_retry_after(server: StandIn, tmp_path: Path) -> None:
    routes = iter([answer(status=429, Retry_After="1"), lambda handler: handler.reply(BODY)])
    server.routes["/file"] = lambda handler: next(routes)(handler)
    began = time.monotonic()
    download(remote(server), tmp_path / "file", check=accept, options=HttpOptions(backoff=0))
    assert time.monotonic() - began >= 1.0


def test_download__never_waits_longer_than_it_may(server: StandIn, tmp_path: Path) -> None:
    routes = iter([answer(status=503, Retry_After="3600"), lambda handler: handler.reply(BODY)])
    server.routes["/file"] = lambda handler: next(routes)(handler)
    options = HttpOptions(longest_wait=0.05)
    download(remote(server), tmp_path / "file", check=accept, options=options)
    assert (tmp_path / "file").exists()


def test_download__asks_once_for_what_will_not_change(
    server: StandIn, tmp_path: Path, hasty: HttpOptions
) -> None:
    with pytest.raises(SourceError, match="status 404"):
        download(remote(server), tmp_path / "file", check=accept, options=hasty)
    assert server.n_seen("/file") == 1


def test_download__follows_a_redirect_within_the_host(
    server: StandIn, tmp_path: Path, hasty: HttpOptions
) -> None:
    server.routes["/file"] = answer(status=302, Location="/elsewhere")
    server.serve_bytes("/elsewhere", BODY)
    download(remote(server), tmp_path / "file", check=accept, options=hasty)
    assert (tmp_path / "file").read_bytes() == BODY


def test_download__removes_the_part_after_ctrl_c(
    server: StandIn, tmp_path: Path, hasty: HttpOptions
) -> None:
    def interrupted() -> Iterator[bytes]:
        yield BODY
        assert [path.name for path in tmp_path.glob("*.part")] == ["file.part"]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(interrupted(), tmp_path / "file", check=accept)
    assert_nothing_left(tmp_path)
    # the lock is free again and the folder usable
    server.serve_bytes("/file", BODY)
    download(remote(server), tmp_path / "file", check=accept, options=hasty)
    assert (tmp_path / "file").read_bytes() == BODY


def test_download__starts_over_where_a_part_has_no_state(
    server: StandIn, tmp_path: Path, hasty: HttpOptions
) -> None:
    (tmp_path / "file.part").write_bytes(BODY * 2)
    server.serve_bytes("/file", BODY)
    download(remote(server), tmp_path / "file", check=accept, options=hasty)
    assert (tmp_path / "file").read_bytes() == BODY
    assert not (tmp_path / "file.part").exists()


SCRIPT = """
import sys
from pathlib import Path
from spikehouse.transfer.remote_file import RemoteFile
from spikehouse.transfer.downloads import download
download(RemoteFile(sys.argv[1], "file"), Path(sys.argv[2]), check=lambda path: None)
"""


def test_download__survives_a_real_ctrl_c(server: StandIn, tmp_path: Path) -> None:
    server.routes["/file"] = send_and_stall
    command = [sys.executable, "-c", SCRIPT, server.url("/file"), str(tmp_path / "file")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 20
    while not (tmp_path / "file.part").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (tmp_path / "file.part").exists()
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=20)
    assert b"KeyboardInterrupt" in message
    assert_nothing_left(tmp_path)


def fill_disk(*args: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_download__says_when_the_disk_is_full(
    server: StandIn, tmp_path: Path, hasty: HttpOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "pwrite", fill_disk)
    server.serve_bytes("/file", BODY)
    with pytest.raises(CacheError, match=r"no space left on the disk of .* free some space"):
        download(remote(server), tmp_path / "file", check=accept, options=hasty)
    assert_nothing_left(tmp_path)
    assert server.n_seen("/file") == 1


def test_download__says_when_the_disk_is_full_at_the_very_end(
    server: StandIn, tmp_path: Path, hasty: HttpOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as on network file systems, which tell only then
    monkeypatch.setattr(os, "fsync", fill_disk)
    server.serve_bytes("/file", b"few")
    with pytest.raises(CacheError, match="no space left"):
        download(remote(server), tmp_path / "file", check=accept, options=hasty)
    assert_nothing_left(tmp_path)


def test_download__says_when_the_folder_is_read_only(
    server: StandIn, tmp_path: Path, hasty: HttpOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def refuse(path: object, flags: int, *args: object, **kwargs: object) -> int:
        if str(path).endswith(".part") and flags & os.O_CREAT:
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return real(path, flags, *args, **kwargs)  # type: ignore[arg-type]

    server.serve_bytes("/file", BODY)
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(CacheError, match=r"cannot be written \(Read-only file system\)"):
        download(remote(server), tmp_path / "file", check=accept, options=hasty)
    assert_nothing_left(tmp_path)


def test_download__says_when_a_file_stands_in_the_way(
    server: StandIn, tmp_path: Path, hasty: HttpOptions
) -> None:
    (tmp_path / "session_1").write_text("a file, not a folder")
    with pytest.raises(CacheError, match="a file stands where a folder should be"):
        download(remote(server), tmp_path / "session_1" / "x", check=accept, options=hasty)
    assert server.seen == []


def test_download__fetches_once_for_many_threads(
    server: StandIn, tmp_path: Path, hasty: HttpOptions
) -> None:
    def slow(handler: Handler) -> None:
        time.sleep(0.2)
        handler.reply(BODY)

    server.routes["/file"] = slow
    together = threading.Barrier(8)

    def ask(_: int) -> bytes:
        together.wait()
        target = tmp_path / "file"
        return download(remote(server), target, check=accept, options=hasty).read_bytes()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {BODY}
    assert server.n_seen("/file") == 1


def test_download__fetches_once_for_two_processes(server: StandIn, tmp_path: Path) -> None:
    def slow(handler: Handler) -> None:
        time.sleep(1.0)
        handler.reply(BODY)

    server.routes["/file"] = slow
    command = [sys.executable, "-c", SCRIPT, server.url("/file"), str(tmp_path / "file")]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    messages = [process.communicate(timeout=30)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], messages
    assert (tmp_path / "file").read_bytes() == BODY
    assert server.n_seen("/file") == 1


def test_download__draws_a_bar(
    server: StandIn, tmp_path: Path, hasty: HttpOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    server.serve_bytes("/file", BODY)
    download(remote(server), tmp_path / "file", check=accept, options=hasty, progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "file: 100%|" in shown.err
    assert "2.10M/2.10M [" in shown.err
    assert "B/s]" in shown.err


def test_download__draws_no_bar_when_told_so(
    server: StandIn, tmp_path: Path, hasty: HttpOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    server.serve_bytes("/file", BODY)
    download(remote(server), tmp_path / "file", check=accept, options=hasty, progress=False)
    assert capsys.readouterr().err == ""
