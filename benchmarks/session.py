"""Every job of a session timed beside AllenSDK, each side in one fresh process.

    python benchmarks/session.py [--session FILE.nwb] [--lfp FILE.nwb] [--allensdk PYTHON]

Without ``--session`` the full-size demo session is simulated first (about a minute and 2 GB).
``--lfp`` is an LFP file (``probe_<id>_lfp.nwb``) of a probe of that session.
``--allensdk`` is the Python of a virtual environment with AllenSDK 2.16.2 (it takes two to four
minutes); tests/parity/freeze_session.py says how to make one. The files are read once beforehand,
so that they are in the page cache. The jobs run in the order of the table on one open session, as a
notebook's would; imports are not counted.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

N_BINS = 50
WINDOW = 0.25
OPEN = "open, metadata, units, stimulus_presentations"
TABLE = "all presentations to a table with conditions, from the open file"
SPIKES = "spike_times of the VISp units"
COUNTS = "counts, scenes × bins × all units: first call"
COUNTS_AGAIN = "counts: second call"
WRITE = "(writing an array of that size)"
ALIGNED = "presentationwise_spike_times, scenes × VISp"
STATISTICS = "conditionwise_spike_statistics, scenes × VISp"
WAVEFORM = "one unit's mean waveform"
LFP = "one second of LFP, one probe"
# seconds, as the project wants them
BARS = {
    OPEN: 0.30,
    TABLE: 0.25,
    SPIKES: 0.05,
    COUNTS_AGAIN: 0.5,
    ALIGNED: 0.10,
    STATISTICS: 0.10,
    WAVEFORM: 0.02,
    LFP: 0.05,
}


class Stopwatch:
    """Time jobs by name, and keep what they give."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def run(self, name: str, job: Callable[[], Any]) -> Any:
        """Run one job and note how long it took [s]."""
        begin = time.perf_counter()
        result = job()
        self.seconds[name] = time.perf_counter() - begin
        return result


def peak_mb() -> float:
    """Give the highest resident memory of this process so far [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def bytes_read() -> int:
    """Give the bytes this process has asked of files so far, from the page cache or not."""
    text = Path("/proc/self/io").read_text()
    return int(dict(line.split(": ") for line in text.splitlines())["rchar"])


# ---- inside the fresh process


def open_session(session_class: Any, path: Path, *, is_ours: bool) -> Any:
    """Open, and read what the first cells of a notebook read."""
    session = session_class.from_nwb_path(path)
    if not is_ours:
        # opened by path, AllenSDK has no ecephys_structure_acronym and metadata raises without it
        channels = session.channels
        channels["ecephys_structure_acronym"] = channels["structure_acronym"]
    _ = session.metadata, session.units, session.stimulus_presentations
    return session


def read_second_of_lfp(session: Any, probe_id: int, start: float) -> Any:
    """Take one second of one probe."""
    lfp = session.get_lfp(probe_id)
    return lfp.sel(time=slice(start, start + 1.0)).load()


def run_jobs(side: str, path: Path, lfp_path: Path | None) -> dict[str, Any]:
    """Run all jobs with one library."""
    import numpy as np

    is_ours = side == "spikehouse"
    if is_ours:
        from spikehouse.session import EcephysSession
    else:
        from allensdk.brain_observatory.ecephys.ecephys_session import EcephysSession
    watch = Stopwatch()
    session = watch.run(OPEN, lambda: open_session(EcephysSession, path, is_ours=is_ours))
    if is_ours:
        watch.run(TABLE, lambda: make_tables(EcephysSession.from_nwb_path(path)))
    units = session.units
    visp = units.index.values[(units["ecephys_structure_acronym"] == "VISp").values]
    times = watch.run(SPIKES, lambda: [session.spike_times[unit] for unit in visp])
    scenes = session.get_stimulus_table("natural_scenes").index.values
    edges = np.linspace(0, WINDOW, N_BINS + 1)

    def count(n_scenes: int | None = None, n_units: int | None = None, step: int = 1) -> Any:
        return session.presentationwise_spike_counts(
            edges[::step], scenes[:n_scenes], units.index.values[:n_units]
        )

    counts = watch.run(COUNTS, count)
    given = {
        "peak_mb": peak_mb(),
        "result_mb": counts.nbytes / 1e6,
        "shape": list(counts.shape),
        "n_visp": len(visp),
        "visp_spikes": sum(len(train) for train in times),
    }
    shape, dtype, scaling = counts.shape, counts.dtype, []
    del counts
    if is_ours:
        watch.run(COUNTS_AGAIN, count)
        watch.run(WRITE, lambda: np.empty(shape, dtype).fill(1))
        scaling = measure_scaling(count, shape)
    watch.run(ALIGNED, lambda: session.presentationwise_spike_times(scenes, visp))
    watch.run(STATISTICS, lambda: session.conditionwise_spike_statistics(scenes, visp))
    watch.run(WAVEFORM, lambda: session.mean_waveforms[visp[0]].values)
    if lfp_path is not None:
        given.update(measure_lfp(EcephysSession, path, lfp_path, watch, is_ours=is_ours))
    return {**given, "seconds": watch.seconds, "scaling": scaling}


def make_tables(session: Any) -> Any:
    """Make the table of presentations and that of conditions."""
    return session.stimulus_presentations, session.stimulus_conditions


def measure_scaling(count: Callable[..., Any], shape: tuple[int, ...]) -> list[dict[str, Any]]:
    """Time the counts with one of the three sizes made smaller at a time."""
    rows = []
    for part in (4, 2, 1):
        sizes = {
            "units": {"n_units": shape[2] // part},
            "presentations": {"n_scenes": shape[0] // part},
            "bins": {"step": {4: 5, 2: 2, 1: 1}[part]},
        }
        for axis, options in sizes.items():
            begin = time.perf_counter()
            counted = count(**options)
            elapsed = time.perf_counter() - begin
            rows.append({"axis": axis, "shape": list(counted.shape), "seconds": elapsed})
            del counted
    return sorted(rows, key=lambda row: (row["axis"], row["shape"]))


def measure_lfp(
    session_class: Any,
    path: Path,
    lfp_path: Path,
    watch: Stopwatch,
    *,
    is_ours: bool,
) -> dict[str, Any]:
    """Time a second in the middle of an LFP file, with the bytes that were read for it."""
    import h5py

    probe_id = int(lfp_path.name.split("_")[1])
    with h5py.File(lfp_path, "r") as file:
        series = f"acquisition/probe_{probe_id}_lfp/probe_{probe_id}_lfp_data/timestamps"
        stamps = file[series]
        start = float(stamps[len(stamps) // 2])
    give = (lambda: lfp_path) if is_ours else (lambda: read_nwb(lfp_path))
    session = session_class.from_nwb_path(path, api_kwargs={"probe_lfp_paths": {probe_id: give}})
    if probe_id not in session.probes.index:
        raise SystemExit(f"{path.name} has no probe {probe_id}: give an LFP file of its own")
    _ = session.invalid_times
    before = bytes_read()
    second = watch.run(LFP, lambda: read_second_of_lfp(session, probe_id, start))
    return {"lfp_bytes": bytes_read() - before, "lfp_shape": list(second.shape)}


def read_nwb(path: Path) -> Any:
    """Read a file the way AllenSDK's cache hands it to a session."""
    from pynwb import NWBHDF5IO

    return NWBHDF5IO(str(path), "r", load_namespaces=True).read()


# ---- the process that starts the two


def measure(python: str, side: str, path: Path, lfp_path: Path | None) -> dict[str, Any]:
    """Run one side's jobs in a fresh process."""
    command = [python, __file__, "--worker", side, "--session", str(path)]
    if lfp_path is not None:
        command += ["--lfp", str(lfp_path)]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return result


def format_table(ours: dict[str, Any], theirs: dict[str, Any] | None) -> str:
    """Write the table of RESULTS.md."""
    lines = ["| job | AllenSDK [s] | spikehouse [s] | bar [s] | ratio |", "| --- " * 5 + "|"]
    other = theirs["seconds"] if theirs else {}
    for name, seconds in ours["seconds"].items():
        before = other.get(COUNTS if name == COUNTS_AGAIN else name)
        cells = [
            name,
            "–" if before is None else f"{before:.2f}",
            f"{seconds:.4f}",
            f"≤ {BARS[name]:g}" if name in BARS else "",
            "–" if before is None else f"{before / seconds:.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    memory = f"{theirs['peak_mb']:.0f} MB" if theirs else "–"
    ratio = f"{theirs['peak_mb'] / ours['peak_mb']:.1f}" if theirs else "–"
    lines.append(
        f"| peak memory of the first four | {memory} | {ours['peak_mb']:.0f} MB | "
        f"≤ {300 + ours['result_mb']:.0f} MB | {ratio} |"
    )
    if "lfp_bytes" in ours:
        before = f"{theirs['lfp_bytes'] / 1e6:.1f} MB" if theirs else "–"
        lines.append(
            f"| bytes read for the second of LFP | {before} | {ours['lfp_bytes'] / 1e6:.2f} MB | "
            "≤ 5 MB | |"
        )
    return "\n".join(lines)


def format_scaling(ours: dict[str, Any]) -> str:
    """Write how the counts grow with each size."""
    lines = ["| along | presentations × bins × units | [s] | ns a bin |", "| --- " * 4 + "|"]
    for row in ours["scaling"]:
        n_values = row["shape"][0] * row["shape"][1] * row["shape"][2]
        size = " × ".join(str(n) for n in row["shape"])
        lines.append(
            f"| {row['axis']} | {size} | {row['seconds']:.3f} | "
            f"{row['seconds'] / max(n_values, 1) * 1e9:.2f} |"
        )
    return "\n".join(lines)


def warm(path: Path) -> None:
    """Read a file through, so that it is in the page cache."""
    with path.open("rb") as handle:
        while handle.read(1 << 24):
            pass


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--session", type=Path)
    parser.add_argument("--lfp", type=Path)
    parser.add_argument("--allensdk")
    parser.add_argument("--worker", choices=["spikehouse", "allensdk"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        # AllenSDK warns of overlaps pair by pair, by the megabyte
        warnings.simplefilter("ignore")
        print(json.dumps(run_jobs(given.worker, given.session, given.lfp)))
        return
    path = given.session
    if path is None:
        from spikehouse.demo import Survey

        path = Survey(size="full").session_file(900000001)
    for file in [path] if given.lfp is None else [path, given.lfp]:
        warm(file)
    ours = measure(sys.executable, "spikehouse", path, given.lfp)
    theirs = measure(given.allensdk, "allensdk", path, given.lfp) if given.allensdk else None
    print(f"{path.name}, {path.stat().st_size / 1e9:.2f} GB; counts {tuple(ours['shape'])},")
    print(f"{ours['n_visp']} VISp units with {ours['visp_spikes']} spikes\n")
    print(format_table(ours, theirs))
    print()
    print(format_scaling(ours))


if __name__ == "__main__":
    main()
