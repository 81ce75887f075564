"""What was fetched before: pages in memory, runs on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spikehouse.errors import CacheError
from spikehouse.transfer.blocks import PageMemory, RunStore, evict
from spikehouse.transfer.facts import Facts, forget_facts, read_facts, write_facts

PAGE = 16
URL = "https://example.org/file.nwb"


def make_store(folder, *, etag='"1"', limit=1 << 20):
    return RunStore(folder, URL, etag, page=PAGE, limit=limit)


def test_page_memory__over_the_limit__drops_the_least_recently_used():
    memory = PageMemory(3 * PAGE)
    for page in range(3):
        memory.put(page, bytes(PAGE))
    memory.get(0)
    memory.put(3, bytes(PAGE))
    assert [memory.get(page) is not None for page in range(4)] == [True, False, True, True]
    assert memory.held == 3 * PAGE


def test_page_memory__pinned_pages_stay():
    memory = PageMemory(PAGE)
    memory.put(0, bytes(PAGE), pinned=True)
    for page in range(1, 5):
        memory.put(page, bytes(PAGE))
    assert memory.get(0) is not None
    assert memory.held == PAGE


def test_run_store__written_runs_are_found_by_another_process(tmp_path):
    first, second = make_store(tmp_path), make_store(tmp_path)
    first.write(4, b"abcd" * 12, pinned=False)
    assert second.find(5) is None
    assert second.refresh()
    path = second.find(6)
    assert path is not None
    assert second.read(path) == (4, b"abcd" * 12)
    assert second.find(7) is None


def test_run_store__another_version__shares_nothing(tmp_path):
    make_store(tmp_path, etag='"1"').write(0, bytes(PAGE), pinned=False)
    assert make_store(tmp_path, etag='"2"').find(0) is None


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "grown"])
def test_run_store_read__damaged__dropped(tmp_path, damage, caplog):
    store = make_store(tmp_path)
    store.write(0, b"abcd" * 8, pinned=False)
    path = store.find(1)
    block = path.read_bytes()
    changed = {
        "flip": bytes([block[0] ^ 1]) + block[1:],
        "cut": block[:-5],
        "empty": b"",
        "grown": block + b"x",
    }[damage]
    path.write_bytes(changed)
    assert make_store(tmp_path).read(path) is None
    assert not path.exists()
    assert "is damaged or gone" in caplog.text


def test_run_store_read__exchanged__dropped(tmp_path):
    stores = [make_store(tmp_path), make_store(tmp_path, etag='"2"')]
    for store in stores:
        for first in (0, 8):
            store.write(first, bytes([first]) * 8 * PAGE, pinned=False)
    paths = [store.folder / f"data-{first}-8" for store in stores for first in (0, 8)]
    contents = [path.read_bytes() for path in paths]
    for path in paths:
        for content in contents:
            path.write_bytes(content)
            store = make_store(tmp_path, etag='"1"' if path.parent == stores[0].folder else '"2"')
            is_own = content == contents[paths.index(path)]
            assert (store.read(path) is not None) == is_own


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_run_store__what_is_no_file__is_not_read(tmp_path, kind):
    store = make_store(tmp_path)
    store.write(0, bytes(PAGE), pinned=False)
    path = store.find(0)
    block = path.read_bytes()
    path.unlink()
    if kind == "link":
        (tmp_path / "elsewhere").write_bytes(block)
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    assert make_store(tmp_path).find(0) is None
    assert store.read(path) is None  # it was there when the folder was listed


def test_run_store__sub_folder_that_is_a_link__is_refused(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    blocks = tmp_path / "blocks"
    key = make_store(blocks).folder
    blocks.mkdir()
    key.symlink_to(outside)
    with pytest.raises(CacheError, match="outside the cache folder"):
        make_store(blocks)
    assert list(outside.iterdir()) == []


def test_run_store_read__deleted_by_another__absent(tmp_path, caplog):
    store = make_store(tmp_path)
    store.write(0, bytes(PAGE), pinned=False)
    path = store.find(0)
    path.unlink()
    assert store.read(path) is None
    assert store.find(0) is None


def test_run_store_find__runs_that_overlap(tmp_path):
    store = make_store(tmp_path)
    store.write(0, bytes(10 * PAGE), pinned=False)
    store.write(2, bytes(PAGE), pinned=True)
    assert store.find(7).name == "data-0-10"


def test_run_store_write__folder_cannot_be_made__goes_on(tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    store = make_store(blocked)
    store.write(0, bytes(PAGE), pinned=False)
    assert store.find(0) is None
    assert "cannot keep" in caplog.text


def fill(folder, names):
    key = folder / ("0" * 32)
    key.mkdir()
    for age, name in enumerate(names):
        (key / name).write_bytes(bytes(100))
        os.utime(key / name, (1e9 + age, 1e9 + age))
    return key


def test_evict__deletes_the_oldest_and_pinned_ones_last(tmp_path):
    key = fill(tmp_path, ["pinned-0-1", "data-1-1", "data-2-1", "data-3-1"])
    assert evict(tmp_path, limit=250) == 200
    assert sorted(path.name for path in key.iterdir()) == ["data-3-1", "pinned-0-1"]
    assert evict(tmp_path, limit=250) == 0


def test_evict__leaves_what_is_not_its_own(tmp_path):
    key = fill(tmp_path, ["data-1-1", "notes.txt", ".0123456789abcdef.writing"])
    other = tmp_path / "session_1"
    other.mkdir()
    (other / "data-1-1").write_bytes(bytes(1000))
    evict(tmp_path, limit=0)
    assert [path.name for path in key.iterdir()] == ["notes.txt"]
    assert (other / "data-1-1").exists()


def test_evict__follows_no_link(tmp_path):
    blocks, outside = tmp_path / "blocks", tmp_path / "outside"
    blocks.mkdir()
    outside.mkdir()
    for name in ("data-1-1", ".0123456789abcdef.writing"):
        (outside / name).write_bytes(bytes(1000))
        os.utime(outside / name, (1e9, 1e9))
    (blocks / ("1" * 32)).symlink_to(outside)
    key = fill(blocks, ["data-1-1"])
    (key / "data-5-1").symlink_to(outside / "data-1-1")
    evict(blocks, limit=0)
    assert list(key.iterdir()) == []
    assert sorted(path.name for path in outside.iterdir()) == [
        ".0123456789abcdef.writing",
        "data-1-1",
    ]


def test_facts__come_back_until_forgotten(tmp_path):
    facts = Facts(5, '"1"', 12.5)
    write_facts(tmp_path, URL, facts)
    assert read_facts(tmp_path, URL) == facts
    assert read_facts(tmp_path, URL + "x") is None
    forget_facts(tmp_path, URL)
    assert read_facts(tmp_path, URL) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"url": "else"}'])
def test_read_facts__nonsense__nothing_known(tmp_path, content):
    write_facts(tmp_path, URL, Facts(5, '"1"', 0.0))
    next(Path(tmp_path).glob("*.json")).write_bytes(content)
    assert read_facts(tmp_path, URL) is None
