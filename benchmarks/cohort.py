"""Cohorts: workers against none, overhead, memory, bytes, and 10 000 sessions.

    python benchmarks/cohort.py [--session FULL.nwb] [--only NAME ...]

Names: workers, growth, overhead, memory, bytes, many. ``--session`` is a full-size session file,
for memory and bytes, which are left out without it. The sessions of the small demo are simulated
before the clock starts, and each row is a fresh process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import textwrap
import threading
import urllib.request
from pathlib import Path

from file_server import FileServer

COMMON = """
    import contextlib, json, os, resource, sys, tempfile, time, warnings
    from pathlib import Path
    import numpy as np, pandas as pd
    warnings.simplefilter("ignore")
    os.environ["SPIKEHOUSE_PROGRESS"] = "0"
    import spikehouse.analysis, spikehouse.session, distributed
    from spikehouse import EcephysProjectCache
    from spikehouse.cohort import Cohort
    from spikehouse.cohort.ready import metrics
    folder = tempfile.mkdtemp()
    def tell(**facts): print(json.dumps(facts))
"""
# kernels are compiled and files read once before: `workers` None, 1 or 2; `n` sessions
METRICS = """
    workers, n = json.loads(sys.argv[1])
    cohort = EcephysProjectCache.from_demo(size="small").cohort()
    ids = cohort.sessions.index[:n].tolist()
    cohort = EcephysProjectCache.from_demo(size="small").cohort(session_ids=ids)
    begin = time.perf_counter()
    run = cohort.map(metrics, workers=workers, results=folder)
    run.raise_first()
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    peak_of_workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    tell(seconds=seconds, computing=float(run.records["seconds"].sum()), peak=peak,
         peak_of_workers=peak_of_workers, rows=len(run.frame()))
"""
START = """
    from spikehouse.cohort._engine import _start
    begin = time.perf_counter()
    with _start(2, "3GB") as client:
        client.run(lambda: __import__("spikehouse.analysis"))
        started = time.perf_counter()
    tell(start=started - begin, stop=time.perf_counter() - started)
"""
MADE_UP = """
    class MadeUp:
        def __init__(self, n):
            self.n = n
        def get_session_table(self):
            facts = {"session_type": "x", "sex": "F", "full_genotype": "wt/wt"}
            return pd.DataFrame(facts, index=pd.RangeIndex(self.n, name="id"))
        def get_units(self, suppress=None, **filters):
            places = {"ecephys_session_id": range(self.n), "ecephys_structure_acronym": "VISp"}
            return pd.DataFrame(places)
        def get_session_data(self, session_id, **options):
            return contextlib.nullcontext(session_id)
        def is_cached(self, session_id):
            return True
        def command_options(self):
            return None
    def trivial(session):
        return 1
"""
MANY = (
    MADE_UP
    + """
    workers, n = json.loads(sys.argv[1])
    cohort = Cohort(MadeUp(n))
    begin = time.perf_counter()
    run = cohort.map(trivial, workers=workers, results=folder)
    seconds = time.perf_counter() - begin
    begin = time.perf_counter()
    repr(run)
    listing = time.perf_counter() - begin
    begin = time.perf_counter()
    cohort.map(trivial, results=folder)
    again = time.perf_counter() - begin
    assert (run.records["state"] == "done").sum() == n
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    tell(seconds=seconds, listing=listing, again=again, peak=peak)
"""
)
# twelve sessions of the small demo, opened and no more
OVERHEAD = """
    def trivial(session):
        return 1
    workers = json.loads(sys.argv[1])
    cohort = EcephysProjectCache.from_demo(size="small").cohort()
    begin = time.perf_counter()
    run = cohort.map(trivial, workers=workers, results=folder)
    tell(seconds=time.perf_counter() - begin, computing=float(run.records["seconds"].sum()))
"""
ONE_FILE = """
    class OneFile:
        def __init__(self, place, folder):
            self.place, self.folder, self.n = place, folder, 1
        def get_session_table(self):
            facts = {"session_type": "x", "sex": "F", "full_genotype": "wt/wt"}
            return pd.DataFrame(facts, index=pd.RangeIndex(self.n, name="id"))
        def get_units(self, suppress=None, **filters):
            return pd.DataFrame({"ecephys_session_id": [0], "ecephys_structure_acronym": "VISp"})
        def get_session_data(self, session_id, **options):
            from spikehouse import EcephysSession
            from spikehouse.transfer.remote_bytes import RemoteBytes
            from spikehouse.transfer.remote_file import RemoteFile
            options.pop("stream")
            place = self.place
            if "://" in place:
                # streamed bytes are kept, as a cache does
                place = RemoteBytes(RemoteFile(place, "session.nwb"), cache=Path(self.folder))
            return EcephysSession.from_nwb_path(place, api_kwargs=options)
        def is_cached(self, session_id):
            return True
        def command_options(self):
            return None
    def measured(session):
        import resource
        table = metrics(session)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        return {"peak": peak, "rows": len(table)}
    cohort = Cohort(OneFile(sys.argv[1], tempfile.mkdtemp()))
    run = cohort.map(measured, workers=1, results=folder, memory_limit="3GB")
    run.raise_first()
    record = run.records.iloc[0]
    tell(**run.frame().iloc[0].to_dict(), seconds=float(record["seconds"]),
         n_bytes=int(record["n_bytes"]))
"""
# every byte of the file that the same job asks for, each once
NEEDED = """
    from spikehouse import EcephysSession
    from spikehouse.transfer.remote_bytes import RemoteBytes
    from spikehouse.transfer.remote_file import RemoteFile
    from spikehouse.transfer.byte_ranges import unite
    spans = []
    class Disk(RemoteBytes):
        def _read(self, offset, buffer, *, is_metadata):
            spans.append((offset, min(offset + len(buffer), self.size)))
            with open(sys.argv[1], "rb") as handle:
                handle.seek(offset)
                return handle.readinto(buffer)
        def prefetch(self, spans, *, is_metadata=False):
            pass
    size = Path(sys.argv[1]).stat().st_size
    remote = Disk(RemoteFile("http://127.0.0.1:9/", "session.nwb", size=size, etag="x"))
    metrics(EcephysSession.from_nwb_path(remote))
    tell(needed=sum(stop - start for start, stop in unite(spans)))
"""


def run(code: str, *arguments: object) -> dict[str, float]:
    """Run code in a fresh process and read what it prints."""
    text = textwrap.dedent(COMMON) + textwrap.dedent(code)
    command = [sys.executable, "-c", text, *map(str, arguments)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(json.loads(printed.splitlines()[-1]))


def best(n: int, code: str, *arguments: object) -> dict[str, float]:
    """Keep the fastest of several runs."""
    return min((run(code, *arguments) for _ in range(n)), key=lambda found: found["seconds"])


def workers(_: Path | None) -> None:
    """Metrics of the twelve small sessions."""
    started = run(START)
    print(f"start and import {started['start']:.1f} s, stop {started['stop']:.1f} s")
    print("| metrics of 12 small sessions | all [s] | without the cluster's start and stop [s] |")
    print("| --- | --- | --- |")
    for n in (None, 1, 2):
        found = best(3, METRICS, json.dumps([n, 12]))
        spent = started["start"] + started["stop"] if n else 0.0
        print(f"| {n or 'no'} workers | {found['seconds']:.1f} | {found['seconds'] - spent:.1f} |")


def growth(_: Path | None) -> None:
    """Growth of time and memory from 1 to 12 sessions."""
    print("| sessions, 2 workers | all [s] | computing [s] | peak here [MB] | of a worker [MB] |")
    print("| --- | --- | --- | --- | --- |")
    for n in (1, 2, 4, 8, 12):
        found = run(METRICS, json.dumps([2, n]))
        print(
            f"| {n} | {found['seconds']:.1f} | {found['computing']:.1f} | {found['peak']:.0f} | "
            f"{found['peak_of_workers']:.0f} |"
        )


def overhead(_: Path | None) -> None:
    """Cost of a session beside the function."""
    for n in (None, 2):
        found = best(3, OVERHEAD, json.dumps(n))
        print(
            f"a function that does nothing, {n or 'no'} workers: {found['seconds'] / 12:.3f} s a "
            f"session in all, of which {found['computing'] / 12:.3f} s to open it"
        )


def memory(session: Path | None) -> None:
    """Peak of a worker that computes the metrics of a full-size session."""
    if session is None:
        return
    found = run(ONE_FILE, session)
    print(
        f"metrics of a full-size session in a worker: {found['seconds']:.1f} s, peak "
        f"{found['peak']:.0f} MB, {found['rows']:.0f} units"
    )


def count_bytes(session: Path | None) -> None:
    """Bytes of streamed metrics."""
    if session is None:
        return
    needed = run(NEEDED, session)["needed"]
    server = FileServer(session.parent, latency=0.03)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found = run(ONE_FILE, f"{server.address}/{session.name}")
    with urllib.request.urlopen(server.address + "/_stats") as response:
        sent = json.loads(response.read())["bytes"]
    print(
        f"streamed metrics: needed {needed / 1e6:.1f} MB, sent {sent / 1e6:.1f} MB "
        f"({sent / needed:.2f}), recorded {found['n_bytes'] / 1e6:.1f} MB, {found['seconds']:.1f} s"
    )


def many(_: Path | None) -> None:
    """Time of the scheduler and the store, with sessions that have no data."""
    print(
        "| trivial tasks, 2 workers | all [s] | listing [s] | nothing left to do [s] | peak [MB] |"
    )
    print("| --- | --- | --- | --- | --- |")
    for n in (100, 1000, 10_000):
        found = run(MANY, json.dumps([2, n]))
        print(
            f"| {n} | {found['seconds']:.1f} | {found['listing']:.2f} | {found['again']:.2f} | "
            f"{found['peak']:.0f} |"
        )


PARTS = {
    "workers": workers,
    "growth": growth,
    "overhead": overhead,
    "memory": memory,
    "bytes": count_bytes,
    "many": many,
}


def main() -> None:
    """Measure, and print the rows of benchmarks/RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--session", type=Path)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    given = parser.parse_args()
    # simulated, read and compiled before the clock starts
    run(METRICS, json.dumps([None, 12]))
    for name in given.only:
        print(f"-- {name}; load {os.getloadavg()[0]:.1f}", flush=True)
        PARTS[name](given.session)


if __name__ == "__main__":
    main()
