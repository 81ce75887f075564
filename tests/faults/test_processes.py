"""Killed, in company, out of space, out of time: what a fetch meets outside the network."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_sources import SESSION_ID, SMALL_BLOCK, make_recording, serve_everything

from file_server import Behaviour, FileServer

CHILD = Path(__file__).with_name("child.py")
N_KILLS = 50
SOURCE = "s3"
DEADLINE_S = 30.0


@pytest.fixture(scope="module")
def body() -> bytes:
    return make_recording(3, 600_000)


@pytest.fixture
def server(body: bytes) -> Iterator[FileServer]:
    with FileServer() as server:
        serve_everything(server, (body,))
        yield server


class Zygote:
    """A process that has imported everything and forks a fetch whenever it is asked to."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(CHILD), "fork"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._read() == "ready"

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def start(self, task: dict[str, Any], n: int = 1) -> list[int]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({**task, "n": n}) + "\n")
        self._process.stdin.flush()
        pids: list[int] = json.loads(self._read())
        return pids

    def wait(self) -> list[int]:
        """Wait for all that were started; 0 is success."""
        statuses: list[int] = json.loads(self._read())
        return statuses

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(DEADLINE_S)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    zygote = Zygote()
    yield zygote
    zygote.close()


def describe(server: FileServer, folder: Path) -> dict[str, Any]:
    return {"name": SOURCE, "address": server.address, "folder": str(folder)}


def recording_in(folder: Path) -> Path:
    return folder / f"session_{SESSION_ID}" / f"session_{SESSION_ID}.nwb"


def list_parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.part*"))


def test_kill__at_any_moment_loses_nothing(
    zygote: Zygote, server: FileServer, body: bytes, tmp_path: Path
) -> None:
    server.pause_s = 0.02
    chance = random.Random(50)
    target, task = recording_in(tmp_path), describe(server, tmp_path)
    n_files = n_killed = 0
    began = time.monotonic()
    while n_killed < N_KILLS:
        (pid,) = zygote.start(task)
        time.sleep(chance.uniform(0.0, 0.15))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        (status,) = zygote.wait()
        n_killed += status != 0
        if target.exists():
            # whatever has the name is whole, whenever the kill came
            assert target.read_bytes() == body
            n_files += 1
            shutil.rmtree(target.parent)
        assert time.monotonic() - began < DEADLINE_S
    zygote.start(task)
    assert zygote.wait() == [0]
    assert target.read_bytes() == body
    assert list_parts(tmp_path) == []
    n_files += 1
    twice = server.n_sent() - n_files * len(body)
    print(
        f"{n_killed} kills, {n_files} files of {len(body)} bytes, "
        f"{twice / n_killed:.0f} bytes fetched twice a kill, {time.monotonic() - began:.1f} s"
    )
    assert twice / n_killed <= MOST_BYTES_TWICE_A_KILL


# one unfinished block a connection
MOST_BYTES_TWICE_A_KILL = 4 * SMALL_BLOCK


@pytest.mark.parametrize("n", [2, 8])
def test_company__fetches_a_file_once(
    n: int, zygote: Zygote, server: FileServer, body: bytes, tmp_path: Path
) -> None:
    server.pause_s = 0.005
    zygote.start(describe(server, tmp_path), n)
    assert zygote.wait() == [0] * n
    assert recording_in(tmp_path).read_bytes() == body
    # one byte more, or a few, to ask how long the file is
    assert len(body) <= server.n_sent() < len(body) + 100
    assert list_parts(tmp_path) == []


def test_company__takes_over_from_one_that_was_killed(
    zygote: Zygote, server: FileServer, body: bytes, tmp_path: Path
) -> None:
    server.pause_s = 0.05
    pids = zygote.start(describe(server, tmp_path), 3)
    time.sleep(0.15)
    os.kill(pids[0], signal.SIGKILL)
    statuses = zygote.wait()
    assert sorted(status != 0 for status in statuses) == [False, False, True]
    assert recording_in(tmp_path).read_bytes() == body


def run_child(task: str, settings: dict[str, Any], *, before: tuple[str, ...] = ()) -> str:
    command = [*before, sys.executable, str(CHILD), task, json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("jump_s", [86_400.0, -86_400.0], ids=["forward", "back"])
def test_clock__that_jumps_does_no_harm(
    jump_s: float, server: FileServer, body: bytes, tmp_path: Path
) -> None:
    server.pause_s = 0.01
    server.misbehave(Behaviour(stop="stall", stop_at=0.5), after=1, times=1)
    began = time.monotonic()
    run_child("jump", {**describe(server, tmp_path), "jump_s": jump_s})
    assert time.monotonic() - began < 10
    assert recording_in(tmp_path).read_bytes() == body


# --- a disk of our own, in a mount namespace of our own: gone when the process ends

OWN_DISK = ("unshare", "--user", "--map-root-user", "--mount")


@pytest.fixture(scope="module")
def own_disk() -> tuple[str, ...]:
    tried = None
    if shutil.which("unshare"):
        script = "mount -t tmpfs -o size=64k tmpfs /mnt"
        tried = subprocess.run([*OWN_DISK, "sh", "-c", script], capture_output=True)
    if tried is None or tried.returncode != 0:
        pytest.skip("a small disk needs Linux and unprivileged user namespaces (unshare)")
    return OWN_DISK


def test_disk__too_small_is_said_after_the_first_answer(
    own_disk: tuple[str, ...], server: FileServer, body: bytes, tmp_path: Path
) -> None:
    folder, copy = tmp_path / "disk", tmp_path / "copy"
    folder.mkdir()
    said = run_child(
        "fill before", {**describe(server, folder), "copy": str(copy)}, before=own_disk
    )
    assert "more on the disk of" in said
    assert copy.read_bytes() == body
    assert server.n_sent() <= len(body) + SMALL_BLOCK


def test_disk__that_fills_midway_keeps_what_it_has(
    own_disk: tuple[str, ...], server: FileServer, body: bytes, tmp_path: Path
) -> None:
    server.pause_s = 0.01
    folder, copy = tmp_path / "disk", tmp_path / "copy"
    folder.mkdir()
    said = run_child(
        "fill midway", {**describe(server, folder), "copy": str(copy)}, before=own_disk
    )
    assert "no space left on the disk" in said
    assert copy.read_bytes() == body


def test_disk__read_only_is_said_and_what_is_there_is_used(
    own_disk: tuple[str, ...], server: FileServer, body: bytes, tmp_path: Path
) -> None:
    folder, copy = tmp_path / "disk", tmp_path / "copy"
    folder.mkdir()
    said = run_child("forbid", {**describe(server, folder), "copy": str(copy)}, before=own_disk)
    assert "read-only" in said.casefold()
    assert copy.read_bytes() == body
