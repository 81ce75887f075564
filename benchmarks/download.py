"""Downloads over loopback: throughput beside curl, memory, resumption, many small files.

    python benchmarks/download.py [--size BYTES] [--folder FOLDER] [--rounds 3]

prints a table in Markdown. The server is a process of its own (``file_server.py``), and so is
every download. The runs of the contestants take turns and the best of each counts, because the
machine may have other work. ``curl`` must be installed; beside plain curl stands curl followed
by the flush to the disk, which a download of ours always includes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from spikehouse.transfer.checks import check_hdf5
from spikehouse.transfer.downloads import download
from spikehouse.transfer.remote_file import RemoteFile

DEFAULT_SIZE = 1_700_000_000
N_SMALL = 12
SMALL_BYTES = 100_000
LATENCY = 0.05
# 4 connections with windows of 2 MiB, as they were limited to once, would carry 84 MB/s
ROUND_TRIP = 0.1
# enough of an HDF5 file for its check: signature, version 0, the address of its end
SUPERBLOCK = b"\x89HDF\r\n\x1a\n" + bytes(5) + b"\x08\x08" + bytes(25)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=DEFAULT_SIZE)
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to measure")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fetch", nargs=3, metavar=("URL", "TARGET", "RECORDS"))
    given = parser.parse_args()
    if given.fetch:
        fetch_here(*given.fetch)
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        (folder / "served").mkdir()
        write_file(folder / "served" / "big.nwb", given.size)
        for number in range(N_SMALL):
            write_file(folder / "served" / f"small_{number}.nwb", SMALL_BYTES)
        rows = measure_throughput(folder, given.size, given.rounds)
        rows.append(measure_far_away(folder, given.size))
        rows += [measure_resumption(folder, given.size), measure_small_files(folder)]
    print("| what | measured | bar | ratio |\n|---|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def write_file(path: Path, size: int) -> None:
    with path.open("wb") as file:
        head = SUPERBLOCK + size.to_bytes(8, "little")
        file.write(head)
        left = size - len(head)
        while left > 0:
            left -= file.write(os.urandom(min(left, 16 << 20)))


@contextlib.contextmanager
def serve(folder: Path, *options: str) -> Iterator[str]:
    command = [sys.executable, str(Path(__file__).with_name("file_server.py")), str(folder)]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def fetch_here(url: str, target: str, records: str) -> None:
    """Download in this process; print seconds, and the most memory used before and after [MB]."""
    import urllib3  # noqa: F401 - importing is no part of a download

    before = most_memory()
    began = time.perf_counter()
    folder = Path(records) if records != "-" else None
    download(RemoteFile(url, "big"), Path(target), check=check_hdf5, progress=False, records=folder)
    seconds = time.perf_counter() - began
    print(seconds, before, most_memory())


def most_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def start_fetch(url: str, target: Path, records: str) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--fetch", url, str(target), records]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def time_curl(url: str, target: Path, *, flush: bool) -> tuple[float, list[float]]:
    began = time.perf_counter()
    subprocess.run(["curl", "-s", "-S", "-f", "-o", str(target), url], check=True)
    if flush:
        with target.open("rb") as file:
            os.fsync(file.fileno())
    return time.perf_counter() - began, []


def time_ours(url: str, target: Path, records: str) -> tuple[float, list[float]]:
    output, _ = start_fetch(url, target, records).communicate()
    seconds, *megabytes = map(float, output.split())
    return seconds, megabytes


def measure_throughput(folder: Path, size: int, rounds: int) -> list[tuple[str, str, str, str]]:
    target = folder / "target.nwb"
    records = str(folder / "records")
    best: dict[str, float] = {}
    memory = [0.0, 0.0]
    with serve(folder / "served") as address:
        url = f"{address}/big.nwb"
        runs = {
            "curl": lambda: time_curl(url, target, flush=False),
            "curl, flushed": lambda: time_curl(url, target, flush=True),
            "ours": lambda: time_ours(url, target, "-"),
            "ours, sha256": lambda: time_ours(url, target, records),
        }
        for _ in range(rounds):
            for name, run in runs.items():
                # what the one before left to be written must not slow down this one
                os.sync()
                seconds, megabytes = run()
                target.unlink()
                memory = max(memory, megabytes, key=lambda pair: pair[1:])
                best[name] = min(best.get(name, seconds), seconds)
    speed = {name: size / seconds / 1e6 for name, seconds in best.items()}
    rows = [("curl", f"{speed['curl']:.0f} MB/s", "", "")]
    rows.append(("curl and flush", f"{speed['curl, flushed']:.0f} MB/s", "", ""))
    for name, bar in (("ours", 0.9), ("ours, sha256", 0.7)):
        ratios = [speed[name] / speed[other] for other in ("curl", "curl, flushed")]
        text = f"{ratios[0]:.2f} × curl, {ratios[1]:.2f} × curl and flush"
        rows.append((name, f"{speed[name]:.0f} MB/s", f"≥ {bar} × curl", text))
    text = f"of which {memory[1] - memory[0]:.0f} MB for the download"
    rows.append(("most memory", f"{memory[1]:.0f} MB", "≤ 100 MB", text))
    return rows


def measure_far_away(folder: Path, size: int) -> tuple[str, str, str, str]:
    target = folder / "far.nwb"
    with serve(folder / "served", "--round-trip", str(ROUND_TRIP)) as address:
        seconds, _ = time_ours(f"{address}/big.nwb", target, "-")
    target.unlink()
    text = f"{seconds:.2f} s, of which at least 2 round trips without bytes"
    speed = f"{size / seconds / 1e6:.0f} MB/s"
    return (f"a server {1000 * ROUND_TRIP:.0f} ms away", speed, "> 84 MB/s", text)


def measure_resumption(folder: Path, size: int) -> tuple[str, str, str, str]:
    target = folder / "killed.nwb"
    with serve(folder / "served") as address:
        url = f"{address}/big.nwb"
        process = start_fetch(url, target, "-")
        while ask(address, "/_stats")["bytes"] < size // 2:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        time_ours(url, target, str(folder / "records"))
        twice = ask(address, "/_stats")["bytes"] - size
    assert target.stat().st_size == size
    subprocess.run(["cmp", str(target), str(folder / "served" / "big.nwb")], check=True)
    target.unlink()
    ratio = f"{100 * twice / size:.2f} %"
    return ("fetched twice after kill −9 at 50 %", f"{twice / 1e6:.1f} MB", "≤ 1 %", ratio)


def measure_small_files(folder: Path) -> tuple[str, str, str, str]:
    with serve(folder / "served", "--latency", str(LATENCY)) as address:

        def fetch(number: int, into: Path) -> None:
            remote = RemoteFile(f"{address}/small_{number}.nwb", "small")
            download(remote, into / f"{number}.nwb", check=check_hdf5, progress=False)

        began = time.perf_counter()
        for number in range(N_SMALL):
            fetch(number, folder / "one_by_one")
        alone = time.perf_counter() - began
        began = time.perf_counter()
        with ThreadPoolExecutor(N_SMALL) as pool:
            list(pool.map(lambda number: fetch(number, folder / "together"), range(N_SMALL)))
        together = time.perf_counter() - began
    text = f"{alone:.2f} s one by one, {together:.2f} s together"
    return (f"{N_SMALL} small files", text, "≥ 3 ×", f"{alone / together:.1f} ×")


def ask(address: str, path: str) -> dict[str, int]:
    with urllib.request.urlopen(address + path) as response:
        document: dict[str, int] = json.load(response)
    return document


if __name__ == "__main__":
    main()
