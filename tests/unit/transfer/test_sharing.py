"""What a stream brought is used by a download of the same file, and the other way round."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.transfer.ranged import BODY, MiB, RangedFile

from spikehouse.errors import SourceError
from spikehouse.transfer.byte_ranges import PlanRules
from spikehouse.transfer.downloads import download
from spikehouse.transfer.http import ChangedError
from spikehouse.transfer.remote_bytes import RemoteBytes, StreamOptions
from spikehouse.transfer.retry import HttpOptions
from spikehouse.transfer.sparse_file import count_kept, journal_of, part_of, read_header

if TYPE_CHECKING:
    from tests.unit.conftest import Handler, StandIn

FAST = HttpOptions(
    retry_seconds=0.5, connect_timeout=2, answer_timeout=5, stall_timeout=1, backoff=0.01
)
OPTIONS = StreamOptions(http=FAST, rules=PlanRules(connections=4))


@pytest.fixture
def served(server: StandIn) -> RangedFile:
    return RangedFile(server)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "session" / "file"


def open_stream(served: RangedFile, target: Path, **known: object) -> RemoteBytes:
    folder = target.parent.parent
    return RemoteBytes(served.remote(**known), options=OPTIONS, cache=target, folder=folder)


def read(stream: RemoteBytes, start: int, length: int) -> None:
    buffer = bytearray(length)
    assert stream.read_into(start, memoryview(buffer)) == length
    assert buffer == BODY[start : start + length]


def fetch(served: RangedFile, target: Path) -> None:
    lock = target.parent.parent / ".spikehouse" / "locks" / "session__file.lock"
    remote = served.remote()
    download(remote, target, check=lambda _: None, options=FAST, lock=lock, progress=False)
    assert target.read_bytes() == BODY


def leave(served: RangedFile, target: Path, n_bytes: int) -> int:
    """Download some bytes of the file; then the server is in trouble."""
    served.break_off(n_bytes)
    with pytest.raises(SourceError, match=r"are kept in file\.part"):
        fetch(served, target)
    served.fault = None
    served.asked.clear()
    return count_kept(target)


def test_download__uses_what_a_stream_brought(served: RangedFile, target: Path) -> None:
    stream = open_stream(served, target)
    read(stream, 5 * MiB, 3 * MiB)
    read(stream, 100_000, 50_000)
    stream.close()
    n_streamed = served.n_asked - 1
    assert count_kept(target) == n_streamed
    served.asked.clear()
    fetch(served, target)
    # one byte to learn the version
    assert served.n_asked == len(BODY) - n_streamed + 1
    assert sorted(path.name for path in target.parent.iterdir()) == ["file"]


def test_stream__uses_what_a_download_brought(served: RangedFile, target: Path) -> None:
    n_kept = leave(served, target, len(BODY) // 2)
    assert n_kept == len(BODY) // 2
    served.server.seen.clear()
    stream = open_stream(served, target)
    read(stream, 0, 4 * MiB)
    # not even the version was asked for
    assert served.server.seen == []
    read(stream, 0, len(BODY))
    # pages at both ends of what was missing are fetched whole
    assert len(BODY) - n_kept <= served.n_asked <= len(BODY) - n_kept + 8 * OPTIONS.rules.page
    served.asked.clear()
    fetch(served, target)
    assert served.n_asked == 1


def test_stream__beside_a_download__shares_its_bytes(served: RangedFile, target: Path) -> None:
    stream = open_stream(served, target)
    read(stream, 8 * MiB, 100_000)
    hold = threading.Event()

    def fault(handler: Handler, start: int, stop: int) -> bool:
        # the download waits with its last ranges until the stream has read
        if start >= 4 * MiB and handler.headers["If-Range"] and not hold.is_set():
            hold.wait(10)
        return False

    served.fault = fault
    thread = threading.Thread(target=fetch, args=(served, target))
    thread.start()
    deadline = time.monotonic() + 10
    while count_kept(target) < 4 * MiB and time.monotonic() < deadline:
        time.sleep(0.01)
    n_before = stream.n_requests
    read(stream, 0, 4 * MiB)
    read(stream, 8 * MiB, 100_000)
    assert stream.n_requests == n_before
    hold.set()
    # its own requests are answered now, too, and what they bring is right whoever comes first
    for start in range(0, len(BODY) - 300_000, 300_000):
        read(stream, start, 300_000)
    thread.join()
    read(stream, 0, len(BODY))
    assert target.read_bytes() == BODY
    assert sorted(path.name for path in target.parent.iterdir()) == ["file"]


def test_stream__file_is_complete_meanwhile__goes_on_and_writes_no_more(
    served: RangedFile, target: Path
) -> None:
    stream = open_stream(served, target)
    read(stream, 0, 100_000)
    fetch(served, target)
    changed_at = target.stat().st_mtime_ns
    read(stream, 6 * MiB, MiB)
    read(stream, 0, 100_000)
    assert target.stat().st_mtime_ns == changed_at
    assert sorted(path.name for path in target.parent.iterdir()) == ["file"]


def test_stream__changed_at_the_server__begun_anew(served: RangedFile, target: Path) -> None:
    stream = open_stream(served, target)
    read(stream, 0, 100_000)
    served.body, served.etag = bytes(reversed(BODY)), '"two"'
    with pytest.raises(ChangedError, match="has changed at the server"):
        read(stream, 5 * MiB, 10)
    again = open_stream(served, target)
    buffer = bytearray(1000)
    again.read_into(0, memoryview(buffer))
    assert buffer == served.body[:1000]
    header = read_header(target)
    assert header is not None
    assert header.version.etag == '"two"'
    # what the old one still reads from its file is of its own version
    read(stream, 0, 1000)


def test_stream__another_source_is_being_downloaded__memory_only(
    served: RangedFile, target: Path
) -> None:
    n_kept = leave(served, target, len(BODY) // 2)
    other = RangedFile(served.server, path="/other")
    read(open_stream(other, target), 0, MiB)
    assert count_kept(target) == n_kept
    assert other.n_asked > MiB


def test_stream__what_version_0_1_kept__is_thrown_away_with_a_notice(
    served: RangedFile, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocks = target.parent.parent / ".spikehouse" / "blocks"
    blocks.mkdir(parents=True)
    (blocks / "data-0-1").write_bytes(b"old")
    target.parent.mkdir()
    part_of(target).write_bytes(BODY[:1000])
    journal_of(target).write_text(json.dumps({"format": 1, "size": len(BODY), "block_bytes": 9}))
    read(open_stream(served, target), 0, 5000)
    assert not blocks.exists()
    assert "is of version 0.1 and is deleted" in caplog.text
    assert "version 0.1 of this package wrote it" in caplog.text
    read(open_stream(served, target), 0, 5000)


def test_stream__read_only_folder__uses_what_is_there(
    served: RangedFile,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    read(open_stream(served, target), 0, 5000)
    real = os.open

    def refuse(path: object, flags: int, *args: object) -> int:
        if flags & (os.O_RDWR | os.O_WRONLY):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, flags, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)
    served.asked.clear()
    stream = open_stream(served, target)
    read(stream, 0, 5000)
    assert served.asked == []
    read(stream, 5 * MiB, 1000)
    assert "is kept in memory only" in caplog.text


def test_stream__no_space_left__goes_on_in_memory(
    served: RangedFile,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fill_disk(*args: object) -> int:
        raise OSError(28, "No space left on device")

    stream = open_stream(served, target)
    monkeypatch.setattr(os, "pwrite", fill_disk)
    read(stream, 0, 2 * MiB)
    assert caplog.text.count("is kept in memory only") == 1
    monkeypatch.undo()
    read(open_stream(served, target), 0, 2 * MiB)


SCRIPT = """
import random, sys
from pathlib import Path
from spikehouse.transfer.remote_bytes import RemoteBytes, StreamOptions
from spikehouse.transfer.byte_ranges import PlanRules
from spikehouse.transfer.remote_file import RemoteFile

url, target, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
options = StreamOptions(memory_bytes=1 << 20, rules=PlanRules(largest_request=256 << 10))
stream = RemoteBytes(
    RemoteFile(url, "file"), options=options, cache=target, folder=target.parent.parent
)
body = random.Random(1).randbytes(stream.size)
chance = random.Random(seed)
starts = [start for start in range(0, stream.size, 100_000)] * 2
chance.shuffle(starts)
for start in starts:
    buffer = bytearray(min(100_000, stream.size - start))
    stream.read_into(start, memoryview(buffer))
    assert buffer == body[start : start + 100_000]
print("right", flush=True)
"""


def run_stream(served: RangedFile, target: Path, seed: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, served.remote().url, str(target), str(seed)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_stream__in_two_processes__each_gets_the_right_bytes_and_uses_the_others(
    served: RangedFile, target: Path
) -> None:
    def fault(handler: Handler, start: int, stop: int) -> bool:
        # both are at work at the same time
        time.sleep(0.02)
        return False

    served.fault = fault
    processes = [run_stream(served, target, seed) for seed in range(2)]
    said = [process.communicate(timeout=60) for process in processes]
    assert [out for out, _ in said] == ["right\n"] * 2, said
    assert served.n_asked < 1.8 * len(BODY)
    served.fault = None
    served.asked.clear()
    fetch(served, target)
    assert served.n_asked == 1


def test_stream__is_killed__nothing_recorded_is_wrong_or_lost(
    served: RangedFile, target: Path
) -> None:
    def fault(handler: Handler, start: int, stop: int) -> bool:
        time.sleep(0.01)
        return False

    served.fault = fault
    n_kept = 0
    for seed in range(4):
        process = run_stream(served, target, seed)
        deadline = time.monotonic() + 20
        while count_kept(target) <= n_kept + MiB and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
        assert count_kept(target) > n_kept
        n_kept = count_kept(target)
    served.fault = None
    served.asked.clear()
    fetch(served, target)
    assert served.n_asked == len(BODY) - n_kept + 1
