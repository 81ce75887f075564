"""Time the tuning metrics of a session, stimulus by stimulus, here and with AllenSDK's classes.

    python benchmarks/analysis.py --session FILE --allensdk PYTHON

PYTHON is the interpreter of an environment with AllenSDK 2.16.2. Both sides run in fresh processes
of the same run, on the same units of one structure; then all units here. Without --session, a
full-size simulated session is made, 1.6 GB.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

# our name, AllenSDK's class
CLASSES = {
    "drifting_gratings": "DriftingGratings",
    "static_gratings": "StaticGratings",
    "natural_scenes": "NaturalScenes",
    "flashes": "Flashes",
    "gabors": "ReceptiveFieldMapping",
}
WANTED = "30"


def peak_mb() -> float:
    """Give the highest resident memory of this process so far [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_ours(path: Path, stimuli: list[str], structure: str, n_units: int | None) -> dict[str, Any]:
    """Compute the metrics of one structure, then of all units."""
    from spikehouse.analysis import list_analyses
    from spikehouse.session import EcephysSession

    session = EcephysSession.from_nwb_path(path)
    table = session.units
    units = [int(u) for u in table.index[table["ecephys_structure_acronym"] == structure][:n_units]]
    _ = session.stimulus_presentations, session.running_speed
    seconds: dict[str, float] = {}
    for name in stimuli:
        # imports are not counted, AllenSDK's neither; loading compiled loops is one
        session.analyze(name, unit_ids=units[:1])
        begin = time.perf_counter()
        session.analyze(name, unit_ids=units)
        seconds[name] = time.perf_counter() - begin
    every: dict[str, float] = {}
    for name in list_analyses(session.stimulus_names):
        begin = time.perf_counter()
        session.analyze(name)
        every[name] = time.perf_counter() - begin
    return {
        "seconds": seconds,
        "all": every,
        "n_units": len(units),
        "n_all": len(session.units),
        "peak_mb": peak_mb(),
    }


def run_allensdk(path: Path, stimuli: list[str], units: list[int]) -> dict[str, Any]:
    """Compute the metrics with AllenSDK's classes."""
    from allensdk.brain_observatory.ecephys import stimulus_analysis
    from allensdk.brain_observatory.ecephys.ecephys_session import EcephysSession

    session = EcephysSession.from_nwb_path(str(path))
    _ = session.stimulus_presentations, session.running_speed, session.spike_times
    seconds = {}
    for name in stimuli:
        begin = time.perf_counter()
        made = getattr(stimulus_analysis, CLASSES[name])(session, filter=units)
        _ = made.metrics
        seconds[name] = time.perf_counter() - begin
        print(f"{name}: {seconds[name]:.1f} s", file=sys.stderr)
    return {"seconds": seconds, "peak_mb": peak_mb()}


def list_units(path: Path, structure: str, n_units: int | None) -> list[int]:
    """List the units that both sides take."""
    from spikehouse.session import EcephysSession

    table = EcephysSession.from_nwb_path(path).units
    found = table.index[table["ecephys_structure_acronym"] == structure][:n_units]
    return [int(unit) for unit in found]


def start(python: str, *words: str) -> dict[str, Any]:
    """Run this script as a worker."""
    run = subprocess.run([python, __file__, *words], stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return result


def format_tables(ours: dict[str, Any], theirs: dict[str, Any] | None) -> str:
    """Write the tables of RESULTS.md."""
    lines = [
        f"| stimulus, {ours['n_units']} units | AllenSDK [s] | spikehouse [s] | ratio | wanted |",
        "| --- " * 5 + "|",
    ]
    other = theirs["seconds"] if theirs else {}
    for name, seconds in ours["seconds"].items():
        before = other.get(name)
        ratio = "–" if before is None else f"{before / seconds:.0f}"
        shown = "–" if before is None else f"{before:.1f}"
        lines.append(f"| {name} | {shown} | {seconds:.2f} | {ratio} | ≥ {WANTED} |")
    lines += ["", f"| all {ours['n_all']} units | [s] |", "| --- | --- |"]
    lines += [f"| {name} | {seconds:.2f} |" for name, seconds in ours["all"].items()]
    lines.append(f"| in all (wanted: ≤ 60) | {sum(ours['all'].values()):.1f} |")
    lines.append(f"| peak memory [MB] (wanted: ≤ 2000) | {ours['peak_mb']:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--session", type=Path)
    parser.add_argument("--allensdk")
    parser.add_argument("--structure", default="VISp")
    parser.add_argument("--n-units", type=int, help="only so many of them")
    parser.add_argument("--stimulus", action="append", choices=sorted(CLASSES))
    parser.add_argument("--worker", choices=["spikehouse", "allensdk"], help=argparse.SUPPRESS)
    parser.add_argument("--units", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    stimuli = given.stimulus or list(CLASSES)
    if given.worker:
        warnings.simplefilter("ignore")
        if given.worker == "allensdk":
            units = [int(unit) for unit in given.units.split(",")]
            print(json.dumps(run_allensdk(given.session, stimuli, units)))
        else:
            print(json.dumps(run_ours(given.session, stimuli, given.structure, given.n_units)))
        return
    path = given.session
    if path is None:
        from spikehouse.demo import Survey

        path = Survey(size="full").session_file(900000001)
    words = ["--session", str(path), "--structure", given.structure]
    words += [word for name in stimuli for word in ("--stimulus", name)]
    if given.n_units:
        words += ["--n-units", str(given.n_units)]
    ours = start(sys.executable, "--worker", "spikehouse", *words)
    theirs = None
    if given.allensdk:
        units = ",".join(map(str, list_units(path, given.structure, given.n_units)))
        theirs = start(given.allensdk, "--worker", "allensdk", "--units", units, *words)
    print(format_tables(ours, theirs))


if __name__ == "__main__":
    main()
