"""Time the counting engine on a full-size session, against the write floor and AllenSDK.

    python benchmarks/counting.py SESSION.nwb [--allensdk PYTHON] [--repeats 3]

Prints three tables: the jobs, how their time grows with units, presentations and bins, and the
streaming mean over 70 000 presentations. Spikes are in memory before the clock starts (reading
them is timed by open_and_psth.py); the fastest of the repeats counts, and the first call, which
loads or compiles the loops, stands beside it. The write floor is the time to make a zeroed array of
the result's size and to write it once, in the same process. ``--allensdk`` is the Python of a
virtual environment with AllenSDK 2.16.2; its session is open and its spikes are read before its
clock starts, too.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from spikehouse.session import EcephysSession
from spikehouse.spikes import (
    align_spikes,
    compute_condition_statistics,
    compute_mean_counts,
    compute_time_domain,
    concatenate_spikes,
    count_spikes,
)

EDGES = np.linspace(0, 0.25, 51)
N_UNITS = 45
ALLENSDK = """
    import json, sys, time, warnings
    warnings.simplefilter("ignore")
    import numpy as np
    from allensdk.brain_observatory.ecephys.ecephys_session import EcephysSession
    session = EcephysSession.from_nwb_path(sys.argv[1])
    units = json.loads(sys.argv[2])
    scenes = session.get_stimulus_table("natural_scenes").index.values
    edges = np.linspace(0, 0.25, 51)
    session.spike_times, session.units
    seconds = {}
    def clock(name, job):
        begin = time.perf_counter()
        job()
        seconds[name] = time.perf_counter() - begin
    clock("align", lambda: session.presentationwise_spike_times(scenes, units))
    clock("statistics", lambda: session.conditionwise_spike_statistics(scenes, units))
    clock("counts", lambda: session.presentationwise_spike_counts(
        edges, scenes, session.units.index.values))
    print(json.dumps(seconds))
"""


def clock(job: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Give the seconds of the first call, and of the fastest of those after it."""
    seconds = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        result = job()
        seconds.append(time.perf_counter() - begin)
        del result
    return seconds[0], min(seconds[1:])


def write(shape: tuple[int, ...], dtype: type) -> None:
    """Make a zeroed array and write it once."""
    np.zeros(shape, dtype).fill(1)


def measure_allensdk(python: str, path: Path, units: list[int]) -> dict[str, float]:
    """Run the same jobs there, once."""
    command = [python, "-c", textwrap.dedent(ALLENSDK), str(path), json.dumps(units)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(printed.splitlines()[-1])


def print_jobs(spikes, scenes, theirs: dict[str, float], repeats: int) -> None:
    """Print the table of jobs."""
    units = list(spikes)
    few = units[:: max(len(units) // N_UNITS, 1)][:N_UNITS]
    domain = compute_time_domain(EDGES, scenes["start_time"])
    shape = (len(units), len(scenes), len(EDGES) - 1)
    n_spikes = len(align_spikes(spikes, few, scenes))
    jobs: dict[str, tuple[str, Callable[[], object], Callable[[], object] | None]] = {
        "align": (
            f"align_spikes, {len(scenes)} scenes × {len(few)} units, {n_spikes} rows",
            lambda: align_spikes(spikes, few, scenes),
            lambda: write((n_spikes, 4), np.float64),
        ),
        "statistics": (
            f"compute_condition_statistics, {len(scenes)} scenes × {len(few)} units",
            lambda: compute_condition_statistics(spikes, few, scenes),
            None,
        ),
        "counts": (
            f"count_spikes, {len(scenes)} scenes × {len(EDGES) - 1} bins × {len(units)} units",
            lambda: count_spikes(spikes, units, domain),
            lambda: write(shape, np.uint16),
        ),
        "mean": (
            "compute_mean_counts, the same",
            lambda: compute_mean_counts(spikes, units, domain),
            None,
        ),
        "flat": ("concatenate_spikes, all", lambda: concatenate_spikes(spikes, units), None),
    }
    print("| job | AllenSDK [s] | first call [s] | ours [s] | ratio | write floor [s] | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, (label, job, floor) in jobs.items():
        first, ours = clock(job, repeats)
        cells = [f"{theirs[name]:.2f}" if name in theirs else "–", f"{first:.2f}", f"{ours:.3f}"]
        cells.append(f"{theirs[name] / ours:.0f}" if name in theirs else "–")
        written = clock(floor, repeats)[1] if floor else None
        cells += [f"{written:.3f}", f"{ours / written:.1f}"] if written else ["–", "–"]
        print(f"| {label} | {' | '.join(cells)} |")


def print_scaling(spikes, onsets: np.ndarray, repeats: int) -> None:
    """Print how the time of count_spikes grows."""
    units = list(spikes)
    print("\n| units | presentations | bins | million bins | ours [s] | ns a bin |")
    print("| --- | --- | --- | --- | --- | --- |")
    whole = (len(units), len(onsets), 50)
    cases = [whole] + [
        tuple(size // part if axis == changed else size for axis, size in enumerate(whole))
        for changed in range(3)
        for part in (2, 5)
    ]
    for n_units, n_rows, n_bins in cases:
        domain = compute_time_domain(np.linspace(0, 0.25, n_bins + 1), onsets[:n_rows])
        chosen = units[:n_units]
        seconds = clock(lambda d=domain, u=chosen: count_spikes(spikes, u, d), repeats)[1]
        size = n_units * n_rows * n_bins
        print(
            f"| {n_units} | {n_rows} | {n_bins} | {size / 1e6:.0f} | {seconds:.3f} "
            f"| {seconds / size * 1e9:.2f} |"
        )


def print_streaming(spikes, onsets: np.ndarray, repeats: int) -> None:
    """Print time and memory of the mean over every presentation of the session."""
    units = list(spikes)[:600]
    domain = compute_time_domain(np.linspace(-0.1, 0.5, 61), onsets)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = clock(lambda: compute_mean_counts(spikes, units, domain), repeats)[1]
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    cube = len(onsets) * 60 * len(units) * 2 / 1e9
    print("\n| mean counts | s | memory beyond what was there [MB] | the array not built [GB] |")
    print("| --- | --- | --- | --- |")
    print(
        f"| {len(onsets)} presentations × 60 bins × {len(units)} units | {seconds:.2f} "
        f"| {more:.0f} | {cube:.1f} |"
    )


def main() -> None:
    """Measure, and print the tables of benchmarks/RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("session", type=Path)
    parser.add_argument("--allensdk", help="Python of an environment with AllenSDK")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with EcephysSession.from_nwb_path(options.session) as session:
        spikes = {int(unit): session.spike_times[unit] for unit in session.units.index}
        scenes = session.get_stimulus_table("natural_scenes")
        onsets = session.stimulus_presentations["start_time"].to_numpy(float)
    few = list(spikes)[:: max(len(spikes) // N_UNITS, 1)][:N_UNITS]
    theirs = {}
    if options.allensdk:
        theirs = measure_allensdk(options.allensdk, options.session, few)
    # first, as the peak of memory only ever rises
    print_streaming(spikes, onsets, options.repeats)
    print()
    print_jobs(spikes, scenes, theirs, options.repeats)
    print_scaling(spikes, scenes["start_time"].to_numpy(float), options.repeats)


if __name__ == "__main__":
    main()
