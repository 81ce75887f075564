"""The part of a file: what counts as there, and which versions go together."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from spikehouse.errors import CacheError
from spikehouse.transfer.remote_file import Version
from spikehouse.transfer.sparse_file import Part, count_kept, forget_part, open_part, read_state

VERSION = Version(1_200_000, etag='"one"', url="https://a.org/x", source="s3")
BLOCK = 1 << 19


def fill(part: Part, number: int, value: int) -> None:
    start = number * part.block_bytes
    stop = min(start + part.block_bytes, part.version.size or 0)
    data = bytes([value]) * (stop - start)
    part.write(start, memoryview(data))
    part.finish_block((start, stop), zlib.crc32(data))


def test_open_part__goes_on_with_blocks_that_are_right(tmp_path: Path) -> None:
    part = open_part(tmp_path / "x", VERSION)
    assert part.block_bytes == BLOCK
    fill(part, 2, 7)
    assert part.front == 0
    fill(part, 0, 9)
    assert part.front == BLOCK
    part.close()
    again = open_part(tmp_path / "x", VERSION)
    assert sorted(again.list_present()) == [(0, BLOCK), (2 * BLOCK, 1_200_000)]
    assert again.front == BLOCK
    fill(again, 1, 1)
    assert again.front == 1_200_000
    again.close()
    assert count_kept(tmp_path / "x") == 1_200_000


def test_count_kept__does_not_count_what_the_part_is_too_short_for(tmp_path: Path) -> None:
    part = open_part(tmp_path / "x", VERSION)
    fill(part, 0, 9)
    fill(part, 1, 9)
    part.close()
    (tmp_path / "x.part").write_bytes(bytes(BLOCK))
    assert count_kept(tmp_path / "x") == BLOCK
    # zeros where nines were: a power loss
    assert open_part(tmp_path / "x", VERSION).count_present() == 0


def test_part__writes_nothing_once_it_is_closed(tmp_path: Path) -> None:
    part = open_part(tmp_path / "x", VERSION)
    part.close()
    with pytest.raises(CacheError, match="is closed"):
        part.write(0, memoryview(b"late"))


def test_open_part__keeps_no_state_of_what_cannot_be_resumed(tmp_path: Path) -> None:
    open_part(tmp_path / "x", VERSION).close()
    part = open_part(tmp_path / "x", Version(10, url="https://a.org/x"))
    part.close()
    assert read_state(tmp_path / "x") is None
    forget_part(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


SHA, OTHER_SHA = "a" * 64, "b" * 64
HERE, THERE = "https://a.org/x", "https://b.org/x"


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
