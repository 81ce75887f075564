"""How much of our code runs when a session is fetched, listed and read: functions, files, moves.

    python benchmarks/trace_calls.py [--list]

Four calls on the tiny demo, behind a web server on loopback and with an empty cache folder: the
first ``get_session_data``, then ``get_session_table``, ``get_lfp`` and ``analyze``. Counted are our
functions that ran (in any thread), the files they are in, and the moves: pairs of a calling and a
called function in different files. ``--list`` prints the functions of each call by file. To trace
another commit, put its ``src`` on PYTHONPATH.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import spikehouse
from spikehouse import EcephysProjectCache

PACKAGE = str(Path(spikehouse.__file__).parent)
FILE_SERVER = Path(__file__).with_name("file_server.py")


class Trace:
    """Our functions that ran, and which called which."""

    def __init__(self) -> None:
        self.functions: set[tuple[str, str]] = set()
        self.moves: set[tuple[tuple[str, str], tuple[str, str]]] = set()

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Record one event of the profiler."""
        if event != "call" or (called := name_of(frame)) is None:
            return
        self.functions.add(called)
        caller = frame.f_back
        while caller is not None and not caller.f_code.co_filename.startswith(PACKAGE):
            caller = caller.f_back
        calling = None if caller is None else name_of(caller)
        if calling is not None and calling[0] != called[0]:
            self.moves.add((calling, called))

    def run(self, call: Callable[[], Any]) -> Any:
        """Call a function and record what runs, in all threads."""
        threading.setprofile(self)
        sys.setprofile(self)
        try:
            return call()
        finally:
            sys.setprofile(None)
            threading.setprofile(None)


def name_of(frame: FrameType) -> tuple[str, str] | None:
    """File and name of one of our functions; modules, classes and comprehensions are none."""
    code = frame.f_code
    if not code.co_filename.startswith(PACKAGE):
        return None
    if code.co_name.startswith("<") or not code.co_flags & 0x2:  # CO_NEWLOCALS: not a class body
        return None
    return code.co_filename.removeprefix(PACKAGE)[1:], code.co_qualname


def make_bucket(folder: Path) -> tuple[int, int]:
    """Put the files of one session where a bucket has them; return session and probe."""
    source = EcephysProjectCache.from_demo(
        folder / "manifest.json", size="tiny", folder=folder.parent / "simulated"
    )
    session_id = int(source.get_session_table().index[0])
    probes = source.get_probes()
    of_session = probes[probes["ecephys_session_id"] == session_id]
    probe_id = int(of_session.index[of_session["has_lfp_data"]][0])
    source.fetch(source.plan([session_id], lfp=[probe_id]))
    source.get_unit_analysis_metrics_by_session_type("brain_observatory_1.1")
    return session_id, probe_id


def main() -> None:
    """Print one line a call."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--list", action="store_true", help="print the functions by file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bucket = Path(scratch) / "bucket"
        session_id, probe_id = make_bucket(bucket)
        server = subprocess.Popen(
            [sys.executable, str(FILE_SERVER), str(bucket)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            cache = EcephysProjectCache.from_s3(
                Path(scratch) / "cache" / "manifest.json", base_url=f"{address}/", progress=False
            )
            got: dict[str, Any] = {}
            calls: dict[str, Callable[[], Any]] = {
                "get_session_data": lambda: got.update(session=cache.get_session_data(session_id)),
                "get_session_table": cache.get_session_table,
                "get_lfp": lambda: got["session"].get_lfp(probe_id)[:100].load(),
                "analyze": lambda: got["session"].analyze("drifting_gratings"),
            }
            print(f"{'first call of':<20}{'functions':>10}{'files':>7}{'moves':>7}")
            for name, call in calls.items():
                trace = Trace()
                trace.run(call)
                files = sorted({file for file, _ in trace.functions})
                print(f"{name:<20}{len(trace.functions):>10}{len(files):>7}{len(trace.moves):>7}")
                for file in files if arguments.list else ():
                    print(
                        f"  {file}: {', '.join(sorted(n for f, n in trace.functions if f == file))}"
                    )
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    main()
