"""Downloads in ranges: parallel, resumed, never glued together from two versions."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.transfer.ranged import BODY, MiB, RangedFile

from spikehouse.errors import (
    CacheError,
    ChecksumError,
    InvalidFileError,
    SourceError,
    TransferError,
)
from spikehouse.transfer.downloads import download
from spikehouse.transfer.records import read_record
from spikehouse.transfer.remote_file import LocalFile
from spikehouse.transfer.retry import HttpOptions
from spikehouse.transfer.sparse_file import count_kept

if TYPE_CHECKING:
    from tests.unit.conftest import Handler, StandIn

FAST = HttpOptions(
    retry_seconds=0.5,
    connect_timeout=2,
    answer_timeout=2,
    stall_timeout=0.3,
    backoff=0.01,
)


@pytest.fixture
def served(server: StandIn) -> RangedFile:
    return RangedFile(server)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "file"


def accept(path: Path) -> None:
    assert path.exists()


def fetch(served: RangedFile, target: Path, **known: object) -> bytes:
    remote = served.remote(**known)
    return download(remote, target, check=accept, options=FAST, progress=False).read_bytes()


def left(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir() if not path.name.endswith(".lock")}


def leave_half(served: RangedFile, target: Path) -> int:
    served.break_off(len(BODY) // 2)
    with pytest.raises((TransferError, SourceError)):
        fetch(served, target)
    served.fault = None
    served.asked.clear()
    n_kept = count_kept(target)
    assert n_kept > len(BODY) // 4
    return n_kept


def test_download__fetches_ranges_of_one_version(served: RangedFile, target: Path) -> None:
    assert fetch(served, target) == BODY
    assert sorted(served.asked)[0] == (0, 4 * MiB)
    assert served.n_asked == len(BODY)
    assert set(served.if_ranges[1:]) == {'"one"'}
    assert left(target) == {"file"}


def test_download__asks_once_for_a_small_file(server: StandIn, target: Path) -> None:
    served = RangedFile(server, body=b"little")
    assert fetch(served, target) == b"little"
    assert len(served.asked) == 1


def test_download__fetches_an_empty_file(server: StandIn, target: Path) -> None:
    served = RangedFile(server, body=b"")

    def fault(handler: Handler, start: int, stop: int) -> bool:
        if "Range" in handler.headers:
            handler.reply(b"", status=416, Content_Range="bytes */0")
        return "Range" in handler.headers

    served.fault = fault
    assert fetch(served, target) == b""


def test_download__says_what_it_kept_and_goes_on_from_there(
    served: RangedFile, target: Path
) -> None:
    served.break_off(len(BODY) // 2)
    with pytest.raises(
        SourceError,
        match=rf"\d+ of {len(BODY)} bytes are kept in file.part: the same call resumes from there",
    ):
        fetch(served, target)
    n_kept = count_kept(target)
    assert 0 < n_kept <= len(BODY) // 2
    assert left(target) == {"file.part", "file.part.json"}
    served.fault = None
    served.asked.clear()
    assert fetch(served, target) == BODY
    # one byte to learn the version
    assert served.n_asked == len(BODY) - n_kept + 1
    assert left(target) == {"file"}


def test_download__goes_on_within_a_piece(served: RangedFile, target: Path) -> None:
    # every answer is cut somewhere
    def fault(handler: Handler, start: int, stop: int) -> bool:
        served.send(handler, start, stop, n_sent=min(300_007, stop - start))
        handler.hang_up()
        return True

    served.fault = fault
    assert fetch(served, target) == BODY
    assert served.n_asked < 40 * len(BODY)


@pytest.mark.parametrize("damage", ["cut", "flipped", "longer"])
def test_download__checks_what_is_there(
    damage: str, served: RangedFile, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    leave_half(served, target)
    part = target.with_name("file.part")
    content = bytearray(part.read_bytes())
    if damage == "cut":
        del content[100_000:]
    elif damage == "flipped":
        content[5] ^= 1
    else:
        content += bytes(20 * MiB)
    part.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert fetch(served, target) == BODY
    if damage != "longer":
        assert "ranges are damaged and are fetched again" in caplog.text


@pytest.mark.parametrize(
    "text", [b"", b"\x00" * 500, b"{", b"[]\n", b'{"format": 99}\n', b"[" * 100_000, None]
)
def test_download__starts_over_where_the_state_is_nonsense(
    text: bytes | None, served: RangedFile, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    leave_half(served, target)
    state = target.with_name("file.part.json")
    if text is None:
        state.unlink()
    else:
        state.write_bytes(text)
    assert count_kept(target) == 0
    assert fetch(served, target) == BODY
    assert served.n_asked == len(BODY)
    assert text is None or "cannot be used, starting over" in caplog.text


def test_download__believes_a_torn_state_up_to_the_tear(served: RangedFile, target: Path) -> None:
    leave_half(served, target)
    state = target.with_name("file.part.json")
    state.write_bytes(state.read_bytes()[:-3] + b"\x00\x00")
    assert count_kept(target) > 0
    assert fetch(served, target) == BODY
    assert served.n_asked < len(BODY)


def test_download__never_goes_on_with_another_version(
    served: RangedFile, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    leave_half(served, target)
    served.body = bytes(reversed(BODY))
    served.etag = '"two"'
    assert fetch(served, target) == served.body
    assert "is of another version of the file, starting over" in caplog.text


def test_download__starts_over_when_the_file_changes_midway(
    served: RangedFile, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fault(handler: Handler, start: int, stop: int) -> bool:
        if start > 4 * MiB and served.etag == '"one"':
            served.body, served.etag = bytes(reversed(BODY)), '"two"'
        return False

    served.fault = fault
    assert fetch(served, target) == bytes(reversed(BODY))
    assert "has changed at the server while it was fetched" in caplog.text


def test_download__gives_up_on_a_file_that_goes_on_changing(
    served: RangedFile, target: Path
) -> None:
    def fault(handler: Handler, start: int, stop: int) -> bool:
        served.etag = f'"{time.monotonic_ns()}"'
        if "Range" not in handler.headers:
            handler.reply(BODY[:1000], length=len(BODY), **served.headers())
            handler.hang_up()
            return True
        return False

    served.fault = fault
    with pytest.raises(TransferError, match=r"has changed at the server .* for the 4th time"):
        fetch(served, target)
    assert left(target) == set()


def test_download__takes_one_stream_when_ranges_are_ignored_midway(
    served: RangedFile, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fault(handler: Handler, start: int, stop: int) -> bool:
        if start == 0:
            return False
        handler.reply(BODY, **served.headers())
        return True

    served.fault = fault
    assert fetch(served, target) == BODY
    assert "serves no ranges any more: one stream instead" in caplog.text


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_download__takes_one_stream_where_nothing_tells_versions_apart(
    etag: str | None, served: RangedFile, target: Path
) -> None:
    served.etag = etag
    assert fetch(served, target) == BODY
    assert served.asked == [(0, 4 * MiB), (0, len(BODY))]


def test_download__never_glues_two_tries_where_nothing_tells_versions_apart(
    served: RangedFile, target: Path
) -> None:
    served.etag = None
    tries = iter([BODY, bytes(reversed(BODY))])

    def fault(handler: Handler, start: int, stop: int) -> bool:
        if "Range" in handler.headers:
            return False
        body = next(tries)
        is_first = body is BODY
        handler.reply(body[: 3 * MiB] if is_first else body, length=len(body))
        if is_first:
            handler.hang_up()
        return True

    served.fault = fault
    assert fetch(served, target) == bytes(reversed(BODY))


def test_download__keeps_its_part_when_another_server_offers_another_length(
    served: RangedFile, target: Path
) -> None:
    n_kept = leave_half(served, target)
    other = RangedFile(served.server, path="/other", body=b"short")
    with pytest.raises(TransferError, match=r"should have \d+ bytes and now offers 5: .* are kept"):
        fetch(other, target, size=len(BODY))
    assert count_kept(target) == n_kept


def test_download__is_content_with_a_date_or_a_published_digest(
    served: RangedFile, target: Path
) -> None:
    served.etag = None
    assert fetch(served, target.with_name("digest"), sha256=served.sha256) == BODY
    served.modified = "Mon, 05 Jan 2026 12:00:00 GMT"
    assert fetch(served, target.with_name("date")) == BODY
    assert served.if_ranges[-1] == served.modified
    assert (0, len(BODY)) not in served.asked


@pytest.mark.parametrize(
    ("status", "headers", "message"),
    [
        (206, {"Content_Range": "bytes 0-9/10"}, "and returned the Content-Range"),
        (206, {"Content_Range": "bytes five"}, "which is not valid"),
        (416, {}, "status 416"),
    ],
)
def test_download__refuses_a_wrong_range(
    status: int, headers: dict[str, str], message: str, served: RangedFile, target: Path
) -> None:
    def fault(handler: Handler, start: int, stop: int) -> bool:
        if start == 0 and stop <= 4 * MiB:
            return False
        handler.reply(b"", status=status, **headers)
        return True

    served.fault = fault
    with pytest.raises((SourceError, TransferError), match=message):
        fetch(served, target)
    assert not target.exists()


def test_download__retries_only_the_piece_that_stalls(served: RangedFile, target: Path) -> None:
    stalled = threading.Event()

    def fault(handler: Handler, start: int, stop: int) -> bool:
        if start == 0 or stalled.is_set():
            return False
        stalled.set()
        served.send(handler, start, stop, n_sent=1000)
        handler.wfile.flush()
        served.server.released.wait(2)
        handler.hang_up()
        return True

    served.fault = fault
    assert fetch(served, target) == BODY
    assert served.n_asked < 1.2 * len(BODY)


def test_download__takes_work_off_a_slow_connection(served: RangedFile, target: Path) -> None:
    slow = threading.Event()

    def fault(handler: Handler, start: int, stop: int) -> bool:
        if start == 0:
            served.send(handler, 0, stop, n_sent=0)
            slow.set()
            # a crawl that never stalls: four MiB would take ten seconds
            for place in range(0, stop, 40_000):
                handler.wfile.write(BODY[place : min(place + 40_000, stop)])
                if served.server.released.wait(0.1):
                    break
            handler.hang_up()
            return True
        return False

    served.fault = fault
    began = time.monotonic()
    assert fetch(served, target) == BODY
    assert slow.is_set()
    assert time.monotonic() - began < 8


def test_download__goes_on_with_fewer_connections(
    served: RangedFile, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    busy = threading.Lock()

    def fault(handler: Handler, start: int, stop: int) -> bool:
        if not busy.acquire(blocking=False):
            handler.reply(b"", status=503)
            return True
        try:
            time.sleep(0.1)
            served.send(handler, start, stop)
        finally:
            busy.release()
        return True

    served.fault = fault
    assert fetch(served, target) == BODY
    assert "going on with one connection less" in caplog.text


def test_download__goes_on_with_another_source_where_a_digest_will_tell(
    served: RangedFile, target: Path
) -> None:
    n_kept = leave_half(served, target)
    other = RangedFile(served.server, path="/other")
    other.etag = '"of the other"'
    assert fetch(other, target, sha256=other.sha256) == BODY
    assert other.n_asked == len(BODY) - n_kept + 1


def test_download__starts_over_with_another_source_where_nothing_tells(
    served: RangedFile, target: Path
) -> None:
    leave_half(served, target)
    other = RangedFile(served.server, path="/other")
    other.etag = '"of the other"'
    assert fetch(other, target) == BODY
    assert other.n_asked == len(BODY) + 1


def test_download__refuses_what_is_not_what_was_published(served: RangedFile, target: Path) -> None:
    with pytest.raises(ChecksumError, match=r"has the sha256 .* instead of the published 0000"):
        fetch(served, target, sha256="0" * 64)
    assert left(target) == set()
    assert served.asked.count((0, 4 * MiB)) == 2


def test_download__repairs_what_went_wrong_once(served: RangedFile, target: Path) -> None:
    good = served.body
    served.body = bytes(len(good))

    def fault(handler: Handler, start: int, stop: int) -> bool:
        # the second time everything is right
        if served.asked.count((0, 4 * MiB)) == 2:
            served.body = good
        return False

    served.fault = fault
    digest = RangedFile(served.server, path="/unused").sha256
    assert fetch(served, target, sha256=digest) == good


def test_download__removes_what_the_check_refuses(served: RangedFile, target: Path) -> None:
    def refuse(path: Path) -> None:
        raise InvalidFileError(f"{path} is nonsense")

    with pytest.raises(InvalidFileError, match=r"is not valid and was not kept: .* is nonsense$"):
        download(served.remote(), target, check=refuse, options=FAST, progress=False)
    assert left(target) == set()


def test_download__records_the_digest(served: RangedFile, tmp_path: Path) -> None:
    records = tmp_path / ".spikehouse" / "records"
    target = tmp_path / "file"
    remote = served.remote(source="s3")
    download(remote, target, check=accept, options=FAST, progress=False, records=records)
    record = read_record(records, target)
    assert record is not None
    assert (record.sha256, record.size) == (served.sha256, len(BODY))
    assert (record.source, record.url, record.etag) == ("s3", remote.url, '"one"')
    assert record.mtime_ns == target.stat().st_mtime_ns


def test_download__stops_when_told(served: RangedFile, target: Path) -> None:
    stop = threading.Event()

    def fault(handler: Handler, start: int, stop_: int) -> bool:
        served.send(handler, start, stop_, n_sent=min(MiB, stop_ - start))
        handler.wfile.flush()
        threading.Timer(0.2, stop.set).start()
        served.server.released.wait(5)
        handler.hang_up()
        return True

    served.fault = fault
    patient = HttpOptions(stall_timeout=60)
    began = time.monotonic()
    with pytest.raises(
        TransferError, match=r"the download of the file was stopped; \d+ of .* kept"
    ):
        download(served.remote(), target, check=accept, options=patient, progress=False, stop=stop)
    assert time.monotonic() - began < 2
    assert count_kept(target) >= MiB


def test_download__refuses_what_does_not_fit_the_disk(
    served: RangedFile, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(target.parent)._replace(free=3_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(
        CacheError, match=r"needs 9\.45 MB more .* has 3\.00 MB left: free 7\.50 MB"
    ):
        fetch(served, target)
    assert left(target) == set()


SCRIPT = """
import sys
from pathlib import Path
from spikehouse.transfer.remote_file import RemoteFile
from spikehouse.transfer.downloads import download
download(RemoteFile(sys.argv[1], "file"), Path(sys.argv[2]), check=lambda path: None)
"""


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_download__survives_a_blow(blow: signal.Signals, served: RangedFile, target: Path) -> None:
    def fault(handler: Handler, start: int, stop: int) -> bool:
        if start < 5 * MiB:
            return False
        served.server.released.wait(20)
        handler.hang_up()
        return True

    served.fault = fault
    command = [sys.executable, "-c", SCRIPT, served.remote().url, str(target)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ.copy())
    deadline = time.monotonic() + 20
    while count_kept(target) < 4 * MiB and time.monotonic() < deadline:
        time.sleep(0.02)
    began = time.monotonic()
    process.send_signal(blow)
    _, message = process.communicate(timeout=20)
    if blow == signal.SIGINT:
        assert time.monotonic() - began < 2.5
        assert b"KeyboardInterrupt" in message
        assert b"are kept in file.part: the same call resumes from there" in message
    n_kept = count_kept(target)
    assert n_kept >= 4 * MiB
    assert left(target) == {"file.part", "file.part.json"}
    served.fault = None
    served.asked.clear()
    assert fetch(served, target) == BODY
    assert served.n_asked == len(BODY) - n_kept + 1


def test_download__state_says_what_the_part_is(served: RangedFile, target: Path) -> None:
    leave_half(served, target)
    header, *lines = target.with_name("file.part.json").read_text().splitlines()
    document = json.loads(header)
    assert document["etag"] == '"one"'
    assert document["size"] == len(BODY)
    assert document["url"] == served.remote().url
    assert all(len(json.loads(line)) == 4 for line in lines)


def test_download__says_once_that_it_waits(
    served: RangedFile, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fault(handler: Handler, start: int, stop: int) -> bool:
        time.sleep(0.8)
        return False

    served.fault = fault
    with caplog.at_level(logging.INFO):
        threads = [threading.Thread(target=fetch, args=(served, target)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert target.read_bytes() == BODY
    assert caplog.text.count("waiting for another process or thread that holds") == 1
    assert served.n_asked == len(BODY)


def test_download__copies_a_local_file(tmp_path: Path) -> None:
    origin = tmp_path / "there"
    origin.write_bytes(BODY)
    records = tmp_path / "records"
    target = tmp_path / "here" / "file"
    content = LocalFile(origin, "the file", "folder")
    download(content, target, check=accept, progress=False, records=records)
    assert target.read_bytes() == BODY
    record = read_record(records, target)
    assert record is not None
    assert record.source == "folder"
    assert not target.samefile(origin)


def test_download__says_when_a_local_file_is_gone(tmp_path: Path) -> None:
    content = LocalFile(tmp_path / "gone", "the file")
    with pytest.raises(TransferError, match=r"the file cannot be read from .*gone \(No such file"):
        download(content, tmp_path / "file", check=accept, progress=False)
    assert left(tmp_path / "file") == set()


@pytest.mark.parametrize("is_served", [True, False])
def test_download__part_cannot_be_opened_just_now__is_kept(
    is_served: bool, served: RangedFile, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_half(served, target)
    n_kept = count_kept(target)
    if is_served:
        served.fault = None
    open_file = os.open

    def fail(path: Path, *args: int) -> int:
        if str(path).endswith((".part", ".part.json")):
            raise OSError(errno.EMFILE, "Too many open files")
        return open_file(path, *args)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        with pytest.raises((CacheError, SourceError)):
            fetch(served, target)
    assert count_kept(target) == n_kept > 0
