"""A partly fetched file: what counts as there, and which versions go together."""

from __future__ import annotations

import errno
import json
import os
import random
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikehouse.errors import CacheError, TransferError
from spikehouse.transfer.disk import hold_lock, lock_of
from spikehouse.transfer.remote_file import Version
from spikehouse.transfer.sparse_file import (
    SparseFile,
    count_kept,
    discard_old_blocks,
    evict,
    find_for_stream,
    forget_part,
    journal_of,
    open_for_download,
    open_for_stream,
    part_of,
    read_header,
    touch,
)

SIZE = 5000
# zeros in the middle: what was never written reads as zeros, too
BODY = random.Random(3).randbytes(2000) + bytes(1000) + random.Random(4).randbytes(2000)
HERE, THERE = "https://a.org/x", "https://b.org/x"
VERSION = Version(SIZE, etag='"one"', url=HERE, source="s3")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "x"


def put(file: SparseFile, start: int, stop: int, *, is_pinned: bool = False) -> None:
    file.write(start, memoryview(BODY)[start:stop])
    file.record(start, stop, zlib.crc32(BODY[start:stop]), is_pinned=is_pinned)


def stream(target: Path, version: Version = VERSION) -> SparseFile:
    found = open_for_stream(target, version, None)
    assert found is not None
    return found


def read_right_bytes(target: Path) -> set[int]:
    """Read what a stream takes for right, each way it may ask, and compare it with the body."""
    there: set[int] = set()
    file = find_for_stream(target, VERSION)
    if file is None:
        return there
    for start in range(0, SIZE, 100):
        line = file.find(start, start + 100)
        data = None if line is None else file.read_line(line)
        if line is not None and data is not None:
            assert bytes(data) == BODY[line.start : line.stop]
            there.update(range(line.start, line.stop))
    file.close()
    return there


def test_open_for_download__goes_on_with_ranges_that_are_right(target: Path) -> None:
    part = open_for_download(target, VERSION)
    put(part, 3000, 4000)
    assert part.front == 0
    put(part, 0, 1000)
    assert part.front == 1000
    part.close()
    again = open_for_download(target, VERSION)
    assert again.list_present() == [(0, 1000), (3000, 4000)]
    assert again.front == 1000
    put(again, 900, 3000)
    assert again.front == 4000
    again.close()
    assert count_kept(target) == 4000


def test_count_kept__does_not_count_what_the_part_is_too_short_for(target: Path) -> None:
    part = open_for_download(target, VERSION)
    put(part, 0, 1000)
    put(part, 3000, 4000)
    part.close()
    part_of(target).write_bytes(bytes(1000))
    assert count_kept(target) == 1000
    # zeros where bytes were: a power loss
    assert open_for_download(target, VERSION).list_present() == []


def test_sparse_file__writes_nothing_once_it_is_closed(target: Path) -> None:
    part = open_for_download(target, VERSION)
    part.close()
    for act in (lambda: part.write(0, memoryview(b"late")), lambda: part.record(0, 4, 0)):
        with pytest.raises(CacheError, match="is closed"):
            act()


def test_open_for_download__nothing_is_kept_of_what_cannot_be_resumed(target: Path) -> None:
    open_for_download(target, VERSION).close()
    part = open_for_download(target, Version(10, url=HERE))
    part.write(0, memoryview(bytes(10)))
    part.record(0, 10, zlib.crc32(bytes(10)))
    part.close()
    assert read_header(target) is None
    assert count_kept(target) == 0
    forget_part(target)
    assert list(target.parent.iterdir()) == []


def test_open_for_download__is_stopped__keeps_all(target: Path) -> None:
    part = open_for_download(target, VERSION)
    put(part, 0, 1000)
    part.close()
    with pytest.raises(TransferError, match="was stopped"):
        open_for_download(target, VERSION, is_stopped=lambda: True)
    assert count_kept(target) == 1000


def test_open_for_stream__goes_on_with_a_download_and_the_other_way_round(target: Path) -> None:
    part = open_for_download(target, VERSION)
    put(part, 0, 1000)
    part.close()
    streamed = stream(target)
    assert streamed.find(200, 900) is not None
    put(streamed, 2000, 3000, is_pinned=True)
    assert read_header(target).begun_by == "download"
    again = open_for_download(target, VERSION)
    assert again.list_present() == [(0, 1000), (2000, 3000)]
    # the stream finds that its journal was replaced; what it has stays usable
    assert not streamed.is_current()
    assert bytes(streamed.read_line(streamed.find(0, 1000))) == BODY[:1000]
    assert stream(target).find(2000, 2100).is_pinned
    forget_part(target)
    stream(target).close()
    assert read_header(target).begun_by == "stream"
    open_for_download(target, VERSION).close()
    assert read_header(target).begun_by == "download"


def test_refresh__finds_what_another_process_recorded(target: Path) -> None:
    one, other = stream(target), stream(target)
    assert not other.refresh()
    put(one, 0, 100)
    one.keep("table", [(5, 9), (9, 12)])
    assert other.find(0, 100) is None
    assert other.refresh()
    assert bytes(other.read_line(other.find(10, 90))) == BODY[:100]
    assert other.recall("table") == [(5, 12)]
    assert other.recall("else") is None


def test_find__ranges_that_overlap(target: Path) -> None:
    file = stream(target)
    put(file, 0, 1000)
    put(file, 200, 300, is_pinned=True)
    assert file.find(700, 800)[:2] == (0, 1000)
    assert file.find(250, 260).is_pinned
    assert file.find(950, 1050) is None


@pytest.mark.parametrize(
    ("other", "is_used", "is_begun_anew"),
    [
        (VERSION, True, False),
        (Version(SIZE, '"two"', url=HERE), False, True),
        (Version(SIZE - 1, '"one"', url=HERE), False, True),
        (Version(SIZE, '"one"', url=THERE), False, False),
    ],
)
def test_open_for_stream__only_the_same_version_from_the_same_url(
    other: Version, is_used: bool, is_begun_anew: bool, target: Path
) -> None:
    put(stream(target), 0, 100)
    found = open_for_stream(target, other, None)
    assert (found is not None and found.find(0, 100) is not None) == is_used
    assert (found is not None and not is_used) == is_begun_anew
    assert read_header(target).version == (other if is_begun_anew else VERSION)


def test_open_for_stream__a_download_is_under_way_or_has_ended__nothing_is_begun(
    target: Path,
) -> None:
    with hold_lock(lock_of(target, None)):
        assert open_for_stream(target, VERSION, None) is None
    target.write_bytes(BODY)
    assert open_for_stream(target, VERSION, None) is None
    assert not part_of(target).exists()


def test_touch__says_when_it_was_confirmed_and_used(target: Path) -> None:
    file = stream(target)
    touch(target, confirmed_at=1000.0)
    assert read_header(target).confirmed_at == 1000.0
    assert read_header(target).used_at > 1000.0
    # neither of these came from the server just now
    file.keep("table", [(0, 9)])
    file.record(0, 100, 0, is_pinned=True, is_new=False)
    touch(target)
    assert read_header(target).confirmed_at == 1000.0
    put(file, 0, 100)
    assert read_header(target).confirmed_at > 1000.0


def test_count_kept__counts_what_lies_before_a_cut(target: Path) -> None:
    part = open_for_download(target, VERSION)
    for start in (0, 1000, 2000):
        put(part, start, start + 1000)
    part.close()
    os.truncate(part_of(target), 2500)
    assert count_kept(target) == 2000


def fail_to_open(monkeypatch: pytest.MonkeyPatch, number: int, *, to_write: bool = False) -> None:
    open_file = os.open

    def fail(path: Path, flags: int, *args: int) -> int:
        if ".part" in str(path) and (not to_write or flags & (os.O_RDWR | os.O_WRONLY)):
            raise OSError(number, os.strerror(number))
        return open_file(path, flags, *args)

    monkeypatch.setattr(os, "open", fail)


def test_find_for_stream__read_only_mount__what_is_kept_is_used(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(stream(target), 0, 100)
    fail_to_open(monkeypatch, errno.EROFS, to_write=True)
    assert read_right_bytes(target) == set(range(100))


def test_end_line__does_not_count_as_confirmed(target: Path) -> None:
    stream(target).close()
    with journal_of(target).open("ab") as journal:
        journal.write(b"[0,16")
    touch(target, confirmed_at=1000.0)
    stream(target).close()
    assert journal_of(target).read_bytes().endswith(b"[0,16\n")
    assert read_header(target).confirmed_at == 1000.0


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.EACCES])
def test_open_for_download__cannot_be_opened_just_now__is_not_begun_anew(
    number: int, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(stream(target), 0, 1000)
    with monkeypatch.context() as patch:
        fail_to_open(patch, number)
        for begin in (open_for_download, stream):
            with pytest.raises(CacheError, match="cannot be written"):
                begin(target, VERSION)
        assert find_for_stream(target, VERSION) is None
        assert count_kept(target) == 0
    assert count_kept(target) == 1000


# ---- damage


def make_damaged(folder: Path, damage: Callable[[bytes], bytes], *, which: str) -> Path:
    target = folder / "x"
    forget_part(target)
    file = stream(target)
    for start, stop in ((0, 500), (300, 700), (1800, 3200), (4000, SIZE)):
        put(file, start, stop, is_pinned=start == 300)
    file.close()
    path = part_of(target) if which == "part" else journal_of(target)
    path.write_bytes(damage(path.read_bytes()))
    return target


@settings(max_examples=300, deadline=None)
@given(
    which=st.sampled_from(["part", "journal"]),
    place=st.integers(0, SIZE),
    change=st.integers(0, 255),
    kind=st.sampled_from(["flip", "cut", "drop", "double"]),
)
def test_any_damage__never_gives_wrong_bytes(
    tmp_path_factory: pytest.TempPathFactory, which: str, place: int, change: int, kind: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)

    def damage(content: bytes) -> bytes:
        here = place % len(content)
        before, byte, after = content[:here], content[here : here + 1], content[here + 1 :]
        new = {"flip": bytes([byte[0] ^ change]), "cut": None, "drop": b"", "double": byte * 2}
        return before if new[kind] is None else before + new[kind] + after

    target = make_damaged(folder, damage, which=which)
    read_right_bytes(target)
    # what is appended to a damaged journal counts
    file = find_for_stream(target, VERSION)
    if file is not None:
        put(file, 1000, 1100)
        file.close()
        assert set(range(1000, 1100)) <= read_right_bytes(target)
    part = open_for_download(target, VERSION)
    for start, stop in part.list_present():
        content = memoryview(bytearray(stop - start))
        assert bytes(part.read(start, content)) == BODY[start:stop]
    part.close()


def test_no_damage__all_is_there(tmp_path: Path) -> None:
    target = make_damaged(tmp_path, lambda content: content, which="part")
    assert read_right_bytes(target) == {*range(700), *range(1800, 3200), *range(4000, SIZE)}


def test_zeros_that_were_never_written__do_not_pass_for_zeros_that_were(target: Path) -> None:
    file = stream(target)
    put(file, 2000, 2500)
    file.close()
    path = journal_of(target)
    path.write_text(path.read_text().replace("[2000,2500,", "[1000,1500,"))
    assert read_right_bytes(target) == set()


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "folder"])
@pytest.mark.parametrize("of", [part_of, journal_of])
def test_what_is_no_file_of_ours__is_not_used(
    kind: str, of: Callable[[Path], Path], target: Path
) -> None:
    put(stream(target), 0, 100)
    path, elsewhere = of(target), target.with_name("elsewhere")
    content = path.read_bytes()
    path.unlink()
    elsewhere.write_bytes(content)
    if kind == "link":
        path.symlink_to(elsewhere)
    elif kind == "hard link":
        path.hardlink_to(elsewhere)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    assert find_for_stream(target, VERSION) is None
    assert count_kept(target) == 0
    if kind != "folder":
        open_for_download(target, VERSION).write(0, memoryview(b"other"))
        assert elsewhere.read_bytes() == content


@pytest.mark.parametrize(
    "document",
    [
        {"size": "5000"},
        {"size": -1},
        {"etag": 5},
        {"etag": None, "modified": None},
        {"url": ["x"]},
        {"format": 3},
        {"more": 1},
    ],
)
def test_read_header__not_valid__nothing_is_known(document: object, target: Path) -> None:
    stream(target).close()
    path = journal_of(target)
    header = json.loads(path.read_text()) | document
    del header["checksum"]
    header["checksum"] = zlib.crc32(json.dumps(header).encode())
    path.write_text(json.dumps(header) + "\n")
    assert read_header(target) is None
    assert count_kept(target) == 0


# ---- what version 0.1 left


def test_open_for_download__part_of_version_0_1__is_thrown_away_with_a_notice(
    target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    document = {"format": 1, "block_bytes": 1000, "size": SIZE, "etag": '"one"', "url": HERE}
    journal_of(target).write_text(json.dumps(document) + f"\n[0,{zlib.crc32(BODY[:1000])}]\n")
    part_of(target).write_bytes(BODY[:1000])
    assert count_kept(target) == 0
    assert open_for_download(target, VERSION).list_present() == []
    assert "x.part.json cannot be used, starting over: version 0.1 of this package" in caplog.text


def test_discard_old_blocks__streamed_bytes_of_version_0_1(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"")
    blocks = tmp_path / ".spikehouse" / "blocks"
    blocks.mkdir(parents=True)
    (blocks / "link").symlink_to(outside)
    discard_old_blocks(tmp_path)
    assert not blocks.exists()
    assert "blocks is of version 0.1 and is deleted" in caplog.text
    blocks.symlink_to(outside)
    discard_old_blocks(tmp_path)
    assert (outside / "file").exists()


def test_discard_old_blocks__own_folder_is_a_link__nothing_outside_is_touched(
    tmp_path: Path,
) -> None:
    folder, outside = tmp_path / "cache", tmp_path / "outside"
    (outside / "blocks").mkdir(parents=True)
    folder.mkdir()
    (folder / ".spikehouse").symlink_to(outside)
    with pytest.raises(CacheError, match="lies outside"):
        discard_old_blocks(folder)
    with pytest.raises(CacheError, match="lies outside"):
        open_for_stream(folder / "x", VERSION, folder)
    open_for_stream(folder / "x", VERSION, None).write(0, memoryview(bytes(10)))
    evict(folder, folder / "own", limit=-1)
    assert [path.name for path in outside.rglob("*")] == ["blocks"]


# ---- the limit of what streams keep


def fill(folder: Path, name: str, *, n_bytes: int, used_at: float, by: str = "stream") -> Path:
    target = folder / name
    target.parent.mkdir(exist_ok=True)
    version = Version(n_bytes, '"one"', url=HERE)
    open_by = {"stream": lambda: open_for_stream(target, version, folder)}
    file = open_by.get(by, lambda: open_for_download(target, version))()
    file.write(0, memoryview(bytes(n_bytes)))
    file.close()
    os.utime(journal_of(target), (used_at, 0))
    return target


def test_evict__deletes_what_streams_used_least_recently(tmp_path: Path) -> None:
    first = fill(tmp_path, "a/first", n_bytes=100_000, used_at=1e9)
    second = fill(tmp_path, "b/second", n_bytes=100_000, used_at=1e9 + 2)
    third = fill(tmp_path, "third", n_bytes=100_000, used_at=1e9 + 1)
    fill(tmp_path, "a/download", n_bytes=500_000, used_at=1, by="download")
    (tmp_path / "a" / "other.part.json").write_text("{}")
    assert evict(tmp_path, first, limit=400_000)
    assert part_of(third).exists()
    assert evict(tmp_path, first, limit=220_000)
    left = sorted(path.name for path in tmp_path.glob("**/*.part"))
    assert left == ["download.part", "first.part", "second.part"]
    assert not journal_of(third).exists()
    assert not evict(tmp_path, second, limit=50_000)
    assert part_of(second).exists()
    assert not part_of(first).exists()


def test_evict__leaves_what_is_being_downloaded(tmp_path: Path) -> None:
    target = fill(tmp_path, "a/first", n_bytes=100_000, used_at=1e9)
    with hold_lock(lock_of(target, tmp_path)):
        evict(tmp_path, tmp_path / "own", limit=0)
    assert part_of(target).exists()


# ---- versions

SHA, OTHER_SHA = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    ("old", "new", "goes_on"),
    [
        (Version(9, '"1"', url=HERE), Version(9, '"1"', url=HERE), True),
        (Version(9, '"1"', url=HERE), Version(9, '"2"', url=HERE), False),
        (Version(9, '"1"', url=HERE), Version(8, '"1"', url=HERE), False),
        (Version(9, '"1"', url=HERE), Version(9, None, "date", url=HERE), False),
        (Version(9, None, "date", url=HERE), Version(9, None, "date", url=HERE), True),
        (Version(9, None, "date", url=HERE), Version(9, None, "later", url=HERE), False),
        (Version(9, url=HERE), Version(9, url=HERE), False),
        (Version(9, '"1"', url=HERE), Version(9, '"1"', url=THERE), True),
        (Version(9, '"1"', url=HERE), Version(9, '"2"', url=THERE), False),
        (Version(9, None, "date", url=HERE), Version(9, None, "date", url=THERE), False),
        (Version(9, '"1"', url=HERE), Version(9, '"2"', sha256=SHA, url=THERE), True),
        (Version(9, '"1"', sha256=SHA, url=HERE), Version(9, '"2"', url=THERE), True),
        (Version(9, sha256=SHA, url=HERE), Version(9, sha256=OTHER_SHA, url=THERE), False),
        (Version(9, sha256=SHA, url=HERE), Version(9, sha256=SHA, url=HERE), True),
        (Version(None, '"1"', url=HERE), Version(None, '"1"', url=HERE), False),
    ],
)
def test_continues__wants_a_reason(old: Version, new: Version, goes_on: bool) -> None:
    assert new.continues(old) is goes_on
