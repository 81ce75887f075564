"""What runs in processes of its own: fetches that may be killed, with odd disks and clocks.

``python child.py TASK '{"name": "s3", "url_port": …, "folder": …}'``
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "standins"))

from fault_sources import SESSION_ID, choose_options, cut_small, make_source_at

from spikehouse.errors import CacheError
from spikehouse.survey.manifest import create_manifest, read_manifest
from spikehouse.survey.store import Store

DAY_S = 86_400.0


def fetch(task: dict[str, Any]) -> Path:
    path = Path(task["folder"]) / "manifest.json"
    cut_small()
    manifest = read_manifest(path) if path.exists() else create_manifest(path)
    options = choose_options()
    source = make_source_at(task["name"], task["address"], options)
    store = Store(manifest, (source,), options=options, progress=False)
    return store.fetch(store.file("session", SESSION_ID))


def fork_on_demand() -> None:
    """Fork a fetch for every line of stdin: starting an interpreter 50 times takes too long."""
    import pandas  # noqa: F401 - to be there in every fork
    import urllib3  # noqa: F401

    print("ready", flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        children = []
        for _ in range(task["n"]):
            pid = os.fork()
            if pid == 0:
                _run_fork(task)
            children.append(pid)
        print(json.dumps(children), flush=True)
        print(json.dumps([os.waitpid(pid, 0)[1] for pid in children]), flush=True)


def _run_fork(task: dict[str, Any]) -> None:
    status = 1
    try:
        fetch(task)
        status = 0
    finally:
        # never back into the loop of the parent, nor into its exit handlers
        os._exit(status)


def jump_the_clock(task: dict[str, Any]) -> None:
    """Set the wall clock forward or back in the middle of a fetch."""
    began, real = time.monotonic(), time.time

    def jumping() -> float:
        return real() + (task["jump_s"] if time.monotonic() - began > 0.1 else 0.0)

    time.time = jumping
    fetch(task)


def fill_before(task: dict[str, Any]) -> None:
    """Fetch onto a disk that is too small, then onto one that is large enough."""
    _mount(task, "size=1m")
    print(_expect_cache_error(lambda: fetch(task)))
    _mount(task, "remount,size=16m")
    _give_back(fetch(task), task)


def fill_midway(task: dict[str, Any]) -> None:
    """Fetch onto a disk that somebody else fills meanwhile."""
    _mount(task, "size=6m")
    filler = Path(task["folder"]) / "filler"

    def fill() -> None:
        while not _has_begun(Path(task["folder"])):
            time.sleep(0.002)
        try:
            with filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
        except OSError:
            pass

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    print(_expect_cache_error(lambda: fetch(task)))
    thread.join()
    filler.unlink()
    _give_back(fetch(task), task)


def _has_begun(folder: Path) -> bool:
    for path in folder.rglob("*.part"):
        # one that is complete gets its name between the listing and the look at it
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_blocks > 0:
                return True
    return False


def forbid_writing(task: dict[str, Any]) -> None:
    """Fetch into a folder nobody may write to; use what is already there."""
    _mount(task, "size=16m")
    create_manifest(Path(task["folder"]) / "manifest.json")
    _mount(task, "remount,ro")
    print(_expect_cache_error(lambda: fetch(task)))
    _mount(task, "remount,rw")
    fetch(task)
    _mount(task, "remount,ro")
    _give_back(fetch(task), task)


def _mount(task: dict[str, Any], options: str) -> None:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", task["folder"]]
    subprocess.run(command, check=True, capture_output=True)


def _expect_cache_error(act: Callable[[], object]) -> str:
    try:
        act()
    except CacheError as error:
        return str(error).replace("\n", " ")
    return "no error"


def _give_back(path: Path, task: dict[str, Any]) -> None:
    # the small disk ends with this process
    Path(task["copy"]).write_bytes(path.read_bytes())


TASKS: dict[str, Callable[[dict[str, Any]], object]] = {
    "fetch": fetch,
    "jump": jump_the_clock,
    "fill before": fill_before,
    "fill midway": fill_midway,
    "forbid": forbid_writing,
}

if __name__ == "__main__":
    if sys.argv[1] == "fork":
        fork_on_demand()
    else:
        TASKS[sys.argv[1]](json.loads(sys.argv[2]))
