"""A remote file read like a local one."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikehouse.errors import InvalidArgumentError, SourceError, TransferError
from spikehouse.transfer.byte_ranges import PlanRules
from spikehouse.transfer.http import ChangedError
from spikehouse.transfer.remote_bytes import RemoteBytes, StreamOptions
from spikehouse.transfer.remote_file import RemoteFile
from spikehouse.transfer.retry import UnreachableError
from spikehouse.transfer.sparse_file import SparseFile

PAGE = 64
RULES = PlanRules(
    page=PAGE, free_gap=100, largest_gap=500, largest_request=1000, smallest_part=200, connections=4
)
OPTIONS = StreamOptions(
    rules=RULES, memory_bytes=8 * PAGE, metadata_window=2 * PAGE, largest_window=8 * PAGE
)
CONTENT = np.random.default_rng(7).integers(0, 256, 20_011, dtype=np.uint8).tobytes()
URL = "https://example.org/session_1.nwb"


class Server:
    """Hands out ranges in memory, counts and fails."""

    def __init__(self, content: bytes = CONTENT, etag: str | None = '"1"') -> None:
        self.content, self.etag = content, etag
        self.asked: list[tuple[int, int]] = []
        self.n_probes = 0
        self.delay = 0.0
        self.error: Exception | None = None
        self.lock = threading.Lock()

    def probe(self, remote: RemoteFile) -> RemoteFile:
        self.n_probes += 1
        if self.error is not None:
            raise self.error
        return replace(remote, size=len(self.content), etag=self.etag)

    def read_range(self, remote: RemoteFile, start: int, stop: int) -> bytes:
        with self.lock:
            self.asked.append((start, stop))
        time.sleep(self.delay)
        if self.error is not None:
            raise self.error
        if remote.etag != self.etag:
            raise ChangedError(f"{remote.url} has changed at the server since it was opened")
        return self.content[start:stop]


def open_bytes(server, cache=None, options=OPTIONS, folder=None, **known):
    remote = RemoteFile(URL, "session_1.nwb", **known)
    return RemoteBytes(remote, options=options, cache=cache, folder=folder, client=server)


def read(file, start, length):
    buffer = bytearray(length)
    n_read = file.read_into(start, memoryview(buffer))
    return bytes(buffer[:n_read])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["data", "metadata", "prefetch"]),
            st.integers(0, len(CONTENT) + 50),
            st.integers(0, 3000),
        ),
        max_size=12,
    )
)
def test_read_into__any_order__the_bytes_of_the_file(steps):
    file = open_bytes(Server())
    for kind, start, length in steps:
        if kind == "prefetch":
            file.prefetch([(start, start + length)])
            continue
        buffer = bytearray(length)
        reader = file.read_into if kind == "data" else file.read_metadata_into
        n_read = reader(start, memoryview(buffer))
        assert bytes(buffer[:n_read]) == CONTENT[start : start + length]
        assert file._memory.held <= OPTIONS.memory_bytes
    file.close()


def test_read_into__asked_twice__fetched_once():
    server = Server()
    with_memory = open_bytes(server)
    first = read(with_memory, 100, 200)
    n_asked = len(server.asked)
    assert read(with_memory, 120, 100) == first[20:120]
    assert len(server.asked) == n_asked


def test_read_into__two_threads_want_the_same__one_request():
    server = Server()
    server.delay = 0.05
    file = open_bytes(server)
    with ThreadPoolExecutor(8) as pool:
        blocks = list(pool.map(lambda _: read(file, 640, 64), range(8)))
    assert set(blocks) == {CONTENT[640:704]}
    assert server.asked == [(640, 704)]


def test_prefetch__then_read__no_further_request():
    server = Server()
    server.delay = 0.02
    file = open_bytes(server)
    file.prefetch([(1000, 1064), (1100, 1164), (5000, 5064)])
    assert read(file, 1000, 64) + read(file, 5000, 64) == CONTENT[1000:1064] + CONTENT[5000:5064]
    assert sorted(server.asked) == [(960, 1088), (1088, 1216), (4992, 5120)]


def test_prefetch__fails__the_reader_asks_again():
    server = Server()
    file = open_bytes(server)
    server.error = TransferError("broke off")
    file.prefetch([(0, 64)])
    while file._in_flight:
        time.sleep(0.001)
    server.error = None
    assert read(file, 0, 64) == CONTENT[:64]


def test_prefetch__more_than_memory_holds__is_cut_short():
    server = Server()
    file = open_bytes(server)
    file.prefetch([(0, len(CONTENT))])
    while file._in_flight:
        time.sleep(0.001)
    assert sum(stop - start for start, stop in server.asked) <= OPTIONS.memory_bytes // 2


def test_read_into__fails__next_call_tries_again():
    server = Server()
    file = open_bytes(server)
    server.error = SourceError(f"{URL} answers with status 500")
    with pytest.raises(SourceError, match="status 500"):
        read(file, 0, 10)
    server.error = None
    assert read(file, 0, 10) == CONTENT[:10]


def test_read_metadata_into__windows_grow_where_pieces_lie_close():
    server = Server()
    file = open_bytes(server)
    buffer = memoryview(bytearray(8))
    for start in (0, 2 * PAGE, 4 * PAGE):
        file.read_metadata_into(start, buffer)
    assert server.asked[0] == (0, OPTIONS.metadata_window)
    assert sum(stop - start for start, stop in server.asked) > 3 * OPTIONS.metadata_window


def test_read_metadata_into__stays_when_data_passes_through():
    server = Server()
    file = open_bytes(server)
    buffer = memoryview(bytearray(8))
    file.read_metadata_into(0, buffer)
    for start in range(2000, 18_000, 500):
        read(file, start, 500)
    n_asked = len(server.asked)
    file.read_metadata_into(0, buffer)
    assert len(server.asked) == n_asked


def test_cache__second_opening__asks_nothing(tmp_path):
    read(open_bytes(Server(), tmp_path), 300, 2000)
    server = Server()
    again = open_bytes(server, tmp_path)
    assert read(again, 300, 2000) == CONTENT[300:2300]
    assert (server.n_probes, server.asked, again.n_requests) == (0, [], 0)


def test_cache__offline_and_long_ago__still_read(tmp_path, caplog):
    old = replace(OPTIONS, trust_hours=0.0)
    read(open_bytes(Server(), tmp_path), 0, 500)
    server = Server()
    server.error = UnreachableError("no network")
    assert read(open_bytes(server, tmp_path, old), 0, 500) == CONTENT[:500]
    assert "is read from the cache: no network" in caplog.text


def test_cache__damaged_run__fetched_again(tmp_path):
    read(open_bytes(Server(), tmp_path), 0, PAGE)
    (part,) = tmp_path.glob("*.part")
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    server = Server()
    assert read(open_bytes(server, tmp_path), 0, PAGE) == CONTENT[:PAGE]
    assert server.asked == [(0, PAGE)]


def test_cache__written_by_another_process_meanwhile__used(tmp_path):
    one, other = Server(), Server()
    first, second = open_bytes(one, tmp_path), open_bytes(other, tmp_path)
    read(first, 0, 1000)
    assert read(second, 0, 1000) == CONTENT[:1000]
    assert other.asked == []


def test_cache__more_than_the_limit__evicted(tmp_path):
    content = np.random.default_rng(8).bytes(1 << 20)
    options = replace(OPTIONS, disk_bytes=400_000)
    for number in range(4):
        file = open_bytes(Server(content), tmp_path / f"file_{number}", options, folder=tmp_path)
        for start in range(0, 150_000, 10_000):
            assert read(file, start, 10_000) == content[start : start + 10_000]
    # the first was used least recently
    assert [path.name for path in sorted(tmp_path.glob("*.part"))] == ["file_2.part", "file_3.part"]
    for start in range(0, 1 << 20, 10_000):
        assert read(file, start, 10_000) == content[start : start + 10_000]
    (last,) = tmp_path.glob("*.part")
    assert 400_000 <= last.stat().st_blocks * 512 < 460_000


def test_changed_at_the_server__says_so_and_reopening_starts_anew(tmp_path):
    server = Server()
    file = open_bytes(server, tmp_path)
    read(file, 0, 100)
    server.content, server.etag = bytes(len(CONTENT)), '"2"'
    with pytest.raises(ChangedError, match="changed at the server"):
        read(file, 10_000, 100)
    n_asked = len(server.asked)
    with pytest.raises(SourceError, match="changed at the server"):
        read(file, 15_000, 100)
    assert len(server.asked) == n_asked
    again = open_bytes(server, tmp_path)
    assert read(again, 0, 100) + read(again, 10_000, 100) == bytes(200)


def test_remembered_version_is_out_of_date__opened_anew(tmp_path):
    read(open_bytes(Server(), tmp_path), 0, 100)
    (journal,) = tmp_path.glob("*.part.json")
    header = journal.read_text().splitlines()[0]
    journal.write_text(f"{header}\n")
    server = Server(bytes(500), etag='"2"')
    file = open_bytes(server, tmp_path)
    assert file.size == len(CONTENT)
    assert read(file, 0, 100) == bytes(100)
    assert (file.size, server.n_probes) == (500, 1)


class Gate(Server):
    """Holds back the answers for one place until the gate is opened."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self.place = place
        self.is_reached, self.is_open = threading.Event(), threading.Event()

    def read_range(self, remote, start, stop):
        some = super().read_range(remote, start, stop)
        if start == self.place and not self.is_open.is_set():
            self.is_reached.set()
            assert self.is_open.wait(10)
        return some


def test_fetch__answer_of_the_former_version_comes_late__is_dropped(tmp_path):
    read(open_bytes(Server(), tmp_path), 0, PAGE)
    server = Gate(100 * PAGE)
    file = open_bytes(server, tmp_path)
    file.prefetch([(100 * PAGE, 101 * PAGE)])
    assert server.is_reached.wait(10)
    (late,) = set(file._in_flight.values())
    server.content, server.etag = bytes(len(CONTENT)), '"2"'
    assert read(file, 200 * PAGE, PAGE) == bytes(PAGE)
    server.is_open.set()
    assert isinstance(late.exception(10), ChangedError)
    assert read(file, 100 * PAGE, PAGE) == bytes(PAGE)
    file.close()
    assert read(open_bytes(server, tmp_path), 100 * PAGE, PAGE) == bytes(PAGE)


def test_fetch__change_of_the_former_version_is_told_late__reading_goes_on(tmp_path):
    class Late(Gate):
        def read_range(self, remote, start, stop):
            if start == self.place and not self.is_open.is_set():
                self.is_reached.set()
                assert self.is_open.wait(10)
            return Server.read_range(self, remote, start, stop)

    read(open_bytes(Server(), tmp_path), 0, PAGE)
    server = Late(100 * PAGE)
    file = open_bytes(server, tmp_path)
    file.prefetch([(100 * PAGE, 101 * PAGE)])
    assert server.is_reached.wait(10)
    (late,) = set(file._in_flight.values())
    server.content, server.etag = bytes(len(CONTENT)), '"2"'
    assert read(file, 200 * PAGE, PAGE) == bytes(PAGE)
    server.is_open.set()
    assert isinstance(late.exception(10), ChangedError)
    assert read(file, 250 * PAGE, PAGE) == bytes(PAGE)


@pytest.mark.parametrize("n_bytes", [len(CONTENT), PAGE])
def test_read_into__another_reader_goes_over_to_the_new_version__never_a_mixture(
    tmp_path, monkeypatch, n_bytes
):
    read(open_bytes(Server(), tmp_path), 0, PAGE)
    server = Server()
    file = open_bytes(server, tmp_path)
    server.content, server.etag = bytes(n_bytes), '"2"'
    is_reached, is_open = threading.Event(), threading.Event()
    read_line = SparseFile.read_line

    def read_slowly(self, line):
        data = read_line(self, line)
        is_reached.set()
        assert is_open.wait(10)
        return data

    monkeypatch.setattr(SparseFile, "read_line", read_slowly)
    with ThreadPoolExecutor(1) as pool:
        # the first page is on the disk, the second is not
        slow = pool.submit(read, file, 0, 2 * PAGE)
        assert is_reached.wait(10)
        monkeypatch.setattr(SparseFile, "read_line", read_line)
        read(file, 200 * PAGE, PAGE)
        is_open.set()
        assert slow.result(10) == bytes(min(n_bytes, 2 * PAGE))


def test_probe_answered_by_a_page__nothing_is_remembered(tmp_path):
    class Portal(Server):
        def read_range(self, remote, start, stop):
            raise SourceError(f"{remote.url} serves no ranges: fetch the file")

    with pytest.raises(SourceError, match="serves no ranges"):
        read(open_bytes(Portal(b"<html>"), tmp_path), 0, 5)
    assert read(open_bytes(Server(), tmp_path), 0, 5) == CONTENT[:5]


def test_trust_is_over__asked_once_and_remembered(tmp_path):
    read(open_bytes(Server(), tmp_path), 0, 100)
    server = Server()
    open_bytes(server, tmp_path, replace(OPTIONS, trust_hours=0.0))
    open_bytes(server, tmp_path)
    assert (server.n_probes, server.asked) == (1, [])


def test_keep_ranges__recalled_for_this_version_only(tmp_path):
    file = open_bytes(Server(), tmp_path)
    read(file, 0, 100)
    file.keep_ranges("table", [(5, 9), (9, 12)])
    known = {"size": len(CONTENT), "etag": '"1"'}
    again = open_bytes(Server(), tmp_path, **known)
    assert again.recall_ranges("table") == [(5, 12)]
    assert again.recall_ranges("other") is None
    other = open_bytes(Server(etag='"2"'), tmp_path, **{**known, "etag": '"2"'})
    assert other.recall_ranges("table") is None


def test_without_validator__kept_in_memory_only(tmp_path, caplog):
    file = open_bytes(Server(etag=None), tmp_path)
    assert read(file, 0, 100) == CONTENT[:100]
    assert list(tmp_path.iterdir()) == []
    assert "no strong ETag" in caplog.text


def test_size_and_validator_known__opening_asks_nothing():
    server = Server()
    open_bytes(server, size=len(CONTENT), etag='"1"')
    assert (server.n_probes, server.asked) == (0, [])


def test_size_unknown_at_the_server__refused():
    class Silent(Server):
        def probe(self, remote):
            return remote

    with pytest.raises(SourceError, match="does not say how long"):
        open_bytes(Silent())


def test_closed__reading_says_so():
    file = open_bytes(Server())
    file.close()
    with pytest.raises(InvalidArgumentError, match="was closed"):
        read(file, 0, 1)


def test_close__closes_the_files(tmp_path):
    file = open_bytes(Server(), tmp_path)
    read(file, 0, PAGE)
    sparse = file._file
    closing = sparse._closing
    assert closing.alive
    del sparse
    file.close()
    assert not closing.alive


def test_close__answer_on_its_way__is_kept(tmp_path):
    server = Gate(100 * PAGE)
    file = open_bytes(server, tmp_path)
    read(file, 0, PAGE)
    file.prefetch([(100 * PAGE, 101 * PAGE)])
    assert server.is_reached.wait(10)
    (late,) = set(file._in_flight.values())
    file.close()
    server.is_open.set()
    late.result(10)
    assert file._file is None
    again = Server()
    assert read(open_bytes(again, tmp_path), 100 * PAGE, PAGE) == CONTENT[100 * PAGE : 101 * PAGE]
    assert again.asked == []


def test_repr__address_and_size():
    assert repr(open_bytes(Server())) == f"RemoteBytes('{URL}', 20011 bytes)"
