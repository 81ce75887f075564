"""Metadata, units and the flash PSTH of VISp straight off a URL, beside h5py over fsspec.

    python benchmarks/streaming.py [--session FILE.nwb] [--latency 0.03] [--repeats 3] [--only-ours]

Without ``--session`` the full-size demo session is simulated first (about a minute and 2 GB). The
server of benchmarks/file_server.py waits the latency before each answer. Each row is a fresh
process; the fastest of the repeats counts; imports are not counted, those xarray makes at the first
use included. "Needed" is what the same job reads of the same file on disk, each byte once.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import textwrap
import threading
import urllib.request
from pathlib import Path

from file_server import FileServer

IMPORTS = """
    import contextlib, json, sys, time, warnings
    from pathlib import Path
    warnings.simplefilter("ignore")
    with contextlib.suppress(ImportError):
        import dask.array  # xarray would import it within the job
    import h5py, numpy as np, pandas, scipy.stats, xarray
"""
JOB = """
    def run(source):
        session = EcephysSession.from_nwb_path(source)
        session.metadata, session.units
        opened = time.perf_counter()
        presentations = session.get_stimulus_table("flashes")
        units = session.units[session.units["ecephys_structure_acronym"] == "VISp"]
        counts = session.presentationwise_spike_counts(
            bin_edges=np.arange(-0.1, 0.501, 0.01),
            stimulus_presentation_ids=presentations.index.values,
            unit_ids=units.index.values,
        )
        counts.mean(dim="stimulus_presentation_id")
        return opened, int(counts.sum())
"""
OURS = (
    IMPORTS
    + """
    from spikehouse import EcephysSession
    from spikehouse.transfer.remote_bytes import RemoteBytes
    from spikehouse.transfer.remote_file import RemoteFile
    EcephysSession.from_nwb_path
"""
    + JOB
    + """
    begin = time.perf_counter()
    remote = RemoteBytes(RemoteFile(sys.argv[1], "session.nwb"), cache=Path(sys.argv[2]))
    opened, spikes = run(remote)
    done = time.perf_counter()
    print(json.dumps(dict(
        metadata=opened - begin, psth=done - opened, total=done - begin, spikes=spikes,
    )))
"""
)
LOCAL = OURS.replace(
    'remote = RemoteBytes(RemoteFile(sys.argv[1], "session.nwb"), cache=Path(sys.argv[2]))',
    "remote = sys.argv[1]",
)
# what the job reads of the file on disk: every call for bytes, ours and those of the library
NEEDED = (
    IMPORTS
    + """
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
"""
    + JOB
    + """
    size = Path(sys.argv[1]).stat().st_size
    run(Disk(RemoteFile("http://127.0.0.1:9/", "session.nwb", size=size, etag="x")))
    print(json.dumps(dict(needed=sum(stop - start for start, stop in unite(spans)))))
"""
)
# the same reads, each passed to fsspec as it comes
THROUGH_FSSPEC = (
    IMPORTS
    + """
    import fsspec, os, threading
    from spikehouse import EcephysSession
    from spikehouse.transfer.remote_bytes import RemoteBytes
    from spikehouse.transfer.remote_file import RemoteFile
    EcephysSession.from_nwb_path
    lock = threading.Lock()
    class Through(RemoteBytes):
        def _read(self, offset, buffer, *, is_metadata):
            with lock:
                handle.seek(offset)
                return handle.readinto(buffer)
        def prefetch(self, spans, *, is_metadata=False):
            pass
"""
    + JOB
    + """
    begin = time.perf_counter()
    with fsspec.open(sys.argv[1]) as handle:
        remote = RemoteFile(sys.argv[1], "session.nwb", size=handle.size, etag="x")
        opened, spikes = run(Through(remote))
    done = time.perf_counter()
    print(json.dumps(dict(
        metadata=opened - begin, psth=done - opened, total=done - begin, spikes=spikes,
    )))
    sys.stdout.flush()
    os._exit(0)  # the session outlives its file
"""
)
# the same job with the library alone: only the columns it needs
PLAIN = (
    IMPORTS
    + """
    import fsspec
    begin = time.perf_counter()
    options = OPTIONS
    with fsspec.open(sys.argv[1], **options) as remote, h5py.File(remote, "r") as file:
        electrodes = file["general/extracellular_ephys/electrodes"]
        where = dict(zip(electrodes["id"][:], electrodes["location"].asstr()[:]))
        units = file["units"]
        keep = (units["quality"].asstr()[:] == "good") & (units["amplitude_cutoff"][:] <= 0.1)
        keep &= (units["presence_ratio"][:] >= 0.95) & (units["isi_violations"][:] <= 0.5)
        keep &= np.array([where[channel] == "VISp" for channel in units["peak_channel_id"][:]])
        for name, table in file["intervals"].items():
            if name.endswith("_presentations"):
                table["start_time"][:], table["stop_time"][:]
        opened = time.perf_counter()
        onsets = file["intervals/flashes_presentations/start_time"][:]
        edges = onsets[:, None] + np.arange(-0.1, 0.501, 0.01)
        ends = np.r_[0, units["spike_times_index"][:].astype(int)]
        rows = np.flatnonzero(keep)
        n_spikes = 0
        for row in rows:
            train = units["spike_times"][ends[row]:ends[row + 1]]
            n_spikes += np.diff(np.searchsorted(train, edges.ravel()).reshape(edges.shape)).sum()
    done = time.perf_counter()
    print(json.dumps(dict(
        metadata=opened - begin, psth=done - opened, total=done - begin, spikes=int(n_spikes),
    )))
"""
)


def run(code: str, *arguments: object) -> dict[str, float]:
    """Run code in a fresh process and read what it prints."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(json.loads(printed.splitlines()[-1]))


def ask(server: FileServer, path: str) -> dict[str, int]:
    """Ask the server for its counts, or to forget them."""
    with urllib.request.urlopen(server.address + path) as response:
        return dict(json.loads(response.read() or b"{}"))


def measure(server: FileServer, code: str, repeats: int, *arguments: object) -> dict[str, float]:
    """Keep the fastest of several runs, with what it asked of the server."""
    runs = []
    for repeat in range(repeats):
        ask(server, "/_reset")
        given = [str(argument).format(repeat=repeat) for argument in arguments]
        runs.append({**run(code, *given), **ask(server, "/_stats")})
    return min(runs, key=lambda found: found["total"])


def main() -> None:
    """Measure, and print the rows of benchmarks/RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--session", type=Path)
    parser.add_argument("--latency", type=float, default=0.03)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only-ours", action="store_true")
    given = parser.parse_args()
    path = given.session
    if path is None:
        from spikehouse.demo import Survey

        path = Survey(size="full").session_file(900000001)
    needed = run(NEEDED, path)["needed"]
    server = FileServer(path.parent, latency=given.latency)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"{server.address}/{path.name}"
    with tempfile.TemporaryDirectory() as folder:
        rows = {
            "spikehouse, nothing cached": measure(
                server, OURS, given.repeats, url, folder + "/{repeat}"
            ),
            "spikehouse, second time": measure(server, OURS, given.repeats, url, folder + "/0"),
            "spikehouse, file on disk": measure(server, LOCAL, given.repeats, path, folder),
        }
    if not given.only_ours:
        rows["spikehouse's reads over fsspec"] = measure(server, THROUGH_FSSPEC, 1, url)
        rows["h5py over fsspec, needed columns only"] = measure(
            server, PLAIN.replace("OPTIONS", "{}"), 1, url
        )
        blocks = '{"cache_type": "blockcache", "block_size": 1 << 18}'
        rows["the same, block cache of 256 KiB"] = measure(
            server, PLAIN.replace("OPTIONS", blocks), 1, url
        )
    print(
        f"{path.name}, {path.stat().st_size / 1e9:.2f} GB, {1000 * given.latency:.0f} ms a request"
    )
    print(f"needed: {needed / 1e6:.1f} MB")
    print("| | open, metadata [s] | flash PSTH [s] | all [s] | requests | MB | MB / needed |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, found in rows.items():
        seconds = " | ".join(f"{found[key]:.2f}" for key in ("metadata", "psth", "total"))
        megabytes = f"{found['bytes'] / 1e6:.1f} | {found['bytes'] / needed:.2f}"
        print(f"| {name} | {seconds} | {found['requests']} | {megabytes} |")
    n_spikes = {found["spikes"] for found in rows.values()}
    print(f"spikes counted: {', '.join(map(str, sorted(n_spikes)))}")


if __name__ == "__main__":
    main()
