"""The border of a folder, new files, and locks on whatever file system."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from spikehouse.errors import CacheError
from spikehouse.report import page
from spikehouse.transfer.disk import check_inside, hold_lock, try_lock, write_whole

fcntl = pytest.importorskip("fcntl")
FLOCK = fcntl.flock
NO_FLOCK = [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    (folder / "session_1").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (folder / "led_out").symlink_to(tmp_path / "outside")
    (folder / "round").symlink_to(folder / "round")
    (tmp_path / "other_name").symlink_to(folder)
    return folder


@pytest.mark.parametrize(
    "name", ["a", "session_1/a", "session_9/deep/a", "session_1/../a", "led_out", "..a"]
)
def test_check_inside__passes_what_lies_in_the_folder(folder: Path, name: str) -> None:
    for root in (folder, folder.parent / "other_name"):
        assert check_inside(root / name, folder) == root / name
        check_inside(folder / name, root)


@pytest.mark.parametrize(
    "name",
    [
        "..",
        ".",
        "../a",
        "session_1/../../a",
        "/etc/a",
        "/",
        "led_out/a",
        "led_out/../a",
        "round/../..",
    ],
)
def test_check_inside__refuses_what_leads_out(folder: Path, name: str) -> None:
    with pytest.raises(CacheError, match=r"lies outside the folder .* nothing there is"):
        check_inside(folder / name, folder)


def write_into_the_cache(path: Path) -> None:
    with write_whole(path) as file:
        file.write(b"new")


def write_a_figure(path: Path) -> None:
    page.write_whole(path, b"new")


@pytest.mark.parametrize("write", [write_into_the_cache, write_a_figure])
@pytest.mark.parametrize("plant", [os.symlink, os.link])
def test_write_whole__never_writes_through_a_link(tmp_path: Path, plant, write) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    plant(victim, tmp_path / "file.part")
    plant(victim, tmp_path / ".file.part")
    write(tmp_path / "file")
    assert (victim.read_bytes(), (tmp_path / "file").read_bytes()) == (b"mine", b"new")
    assert not (tmp_path / "file").is_symlink()


# ---- locks


@pytest.fixture(params=[0, *NO_FLOCK], ids=lambda number: errno.errorcode.get(number, "flock"))
def lock(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a lock file that is there already, on a file system with flock and three without."""

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(request.param, os.strerror(request.param))

    if request.param:
        monkeypatch.setattr(fcntl, "flock", refuse)
    path = tmp_path / "locks" / "units.csv.lock"
    path.parent.mkdir()
    path.touch()
    return path


def test_try_lock__is_held_by_one(lock: Path) -> None:
    begun = time.monotonic()
    for _ in range(2):
        with try_lock(lock) as first, try_lock(lock) as second:
            assert (first, second) == (True, False)
    assert time.monotonic() - begun < 1


def test_hold_lock__keeps_others_waiting(lock: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(5):
            with hold_lock(lock):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.002)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 20


def test_hold_lock__says_that_it_waits(
    lock: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("spikehouse.transfer.disk.SPEAK_AFTER_S", 0.2)
    asked = iter([False] * 8 + [True])
    with (
        try_lock(lock),
        caplog.at_level(logging.WARNING),
        pytest.raises(CacheError, match="stopped while waiting for"),
        hold_lock(lock, is_stopped=lambda: next(asked)),
    ):
        pass
    (message,) = (record.message for record in caplog.records)
    assert message.startswith(f"waiting for another process or thread that holds {lock}")
    assert message.endswith(f"delete {lock}.held") != (fcntl.flock is FLOCK)


KILLED = """
import errno, fcntl, os, sys
from pathlib import Path
from spikehouse.transfer.disk import try_lock

def refuse(descriptor, operation):
    raise OSError(errno.ENOLCK, "no locks")

if sys.argv[2] == "without flock":
    fcntl.flock = refuse
with try_lock(Path(sys.argv[1])) as is_held:
    os._exit(0 if is_held else 1)
"""


@pytest.mark.parametrize("system", ["with flock", "without flock"])
def test_try_lock__of_a_killed_process__is_free(
    tmp_path: Path, system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "file.lock"
    subprocess.run([sys.executable, "-c", KILLED, str(lock), system], check=True)
    assert (tmp_path / "file.lock.held").exists() == (system == "without flock")
    if system == "without flock":

        def refuse(descriptor: int, operation: int) -> None:
            raise OSError(errno.ENOLCK, "no locks")

        monkeypatch.setattr(fcntl, "flock", refuse)
    with hold_lock(lock):
        pass


def test_try_lock__empty_mark_of_a_killed_process__is_free(lock: Path) -> None:
    mark = lock.with_name(f"{lock.name}.held")
    mark.touch()
    os.utime(mark, (1e9, 1e9))
    with hold_lock(lock):
        pass


def test_try_lock__refuses_a_link(tmp_path: Path) -> None:
    (tmp_path / "file.lock").symlink_to(tmp_path / "new")
    refused = pytest.raises(CacheError, match=r"it is a symbolic link, .* remove the link")
    with refused, try_lock(tmp_path / "file.lock"):
        pass
    assert not (tmp_path / "new").exists()


def test_try_lock__never_changes_what_a_link_leads_to(lock: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    for name in (lock, lock.with_name(f"{lock.name}.held")):
        for plant in (os.symlink, os.link):
            name.unlink(missing_ok=True)
            plant(victim, name)
            with contextlib.suppress(CacheError), try_lock(lock):
                pass
            assert victim.read_bytes() == b"mine"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")
def test_try_lock__is_not_inherited_by_a_fork(tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from spikehouse.transfer.disk import try_lock
with try_lock(Path(sys.argv[1])):
    if os.fork():
        os._exit(0)
    print("begun", flush=True)
    sys.stdin.read()
"""
    lock = tmp_path / "lock"
    # the child lives on after its parent, as one whose parent was killed
    with subprocess.Popen(
        [sys.executable, "-c", script, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.wait()
        with try_lock(lock) as is_held:
            assert is_held
