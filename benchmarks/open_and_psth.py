"""Open a session, print its metadata, make the flash PSTHs of VISp: one fresh process each.

    python benchmarks/open_and_psth.py [--session FILE.nwb] [--allensdk PYTHON] [--repeats 3]

Without ``--session`` the full-size demo session is simulated first (about a minute and 2 GB).
``--allensdk`` is the Python of a virtual environment with AllenSDK 2.16.2;
tests/parity/freeze_session.py says how to make one. The file is read once beforehand, so that every
process finds it in the page cache. The fastest of the repeats counts; the ratio is against AllenSDK
in the same run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import textwrap
from pathlib import Path

STEPS = """
    import json, resource, sys, time, warnings
    warnings.simplefilter("ignore")
    begin = time.perf_counter()
    import numpy as np
    {imports}
    imported = time.perf_counter()
    session = EcephysSession.from_nwb_path(sys.argv[1])
    {structures}
    metadata = session.metadata
    opened = time.perf_counter()
    presentations = session.get_stimulus_table("flashes")
    units = session.units[session.units["ecephys_structure_acronym"] == "VISp"]
    counts = session.presentationwise_spike_counts(
        bin_edges=np.arange(-0.1, 0.501, 0.01),
        stimulus_presentation_ids=presentations.index.values,
        unit_ids=units.index.values,
    )
    mean = counts.mean(dim="stimulus_presentation_id")
    done = time.perf_counter()
    print(json.dumps(dict(
        imports=imported - begin, metadata=opened - imported, psth=done - opened,
        total=done - begin, shape=counts.shape, spikes=int(counts.sum()),
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )))
"""
OURS = {"imports": "from spikehouse import EcephysSession", "structures": ""}
# opened by path, AllenSDK has no ecephys_structure_acronym and its metadata raises without it
ALLENSDK = {
    "imports": "from allensdk.brain_observatory.ecephys.ecephys_session import EcephysSession",
    "structures": (
        "session.channels['ecephys_structure_acronym'] = session.channels['structure_acronym']"
    ),
}
FLOOR = """
    import json, resource, sys, time
    begin = time.perf_counter()
    import h5py, numpy as np, pandas, xarray
    imported = time.perf_counter()
    with h5py.File(sys.argv[1], "r") as file:
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
        counts = np.zeros((len(rows), *edges.shape), dtype=np.uint16)[:, :, 1:]
        for n, row in enumerate(rows):
            train = units["spike_times"][ends[row]:ends[row + 1]]
            counts[n] = np.diff(np.searchsorted(train, edges.ravel()).reshape(edges.shape), axis=1)
    done = time.perf_counter()
    print(json.dumps(dict(
        imports=imported - begin, metadata=opened - imported, psth=done - opened,
        total=done - begin, shape=counts.shape, spikes=int(counts.sum()),
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )))
"""


def measure(python: str, code: str, path: Path, repeats: int) -> dict[str, float]:
    """Run the steps in fresh processes and keep the fastest run."""
    runs = []
    for _ in range(repeats):
        printed = subprocess.run(
            [python, "-c", textwrap.dedent(code), str(path)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        runs.append(json.loads(printed.splitlines()[-1]))
    return min(runs, key=lambda run: run["total"])


def main() -> None:
    """Measure, and print the rows of benchmarks/RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--session", type=Path)
    parser.add_argument("--allensdk")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    path = given.session
    if path is None:
        from spikehouse.demo import Survey

        path = Survey(size="full").session_file(900000001)
    with path.open("rb") as handle:
        while handle.read(1 << 24):
            pass
    results = {
        "spikehouse": measure(sys.executable, STEPS.format(**OURS), path, given.repeats),
        "plain h5py and numpy": measure(sys.executable, FLOOR, path, given.repeats),
    }
    if given.allensdk:
        results["AllenSDK"] = measure(given.allensdk, STEPS.format(**ALLENSDK), path, 1)
    print(f"{path.name}, {path.stat().st_size / 1e9:.2f} GB")
    print("| | import [s] | open, metadata [s] | flash PSTH [s] | all [s] | peak memory [MB] |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, run in results.items():
        steps = " | ".join(f"{run[key]:.2f}" for key in ("imports", "metadata", "psth", "total"))
        print(f"| {name} | {steps} | {run['peak_mb']:.0f} |")
    if given.allensdk:
        ours, theirs = results["spikehouse"], results["AllenSDK"]
        print(
            f"counts {tuple(ours['shape'])}; ratio in all {theirs['total'] / ours['total']:.0f}, "
            f"without imports "
            f"{(theirs['total'] - theirs['imports']) / (ours['total'] - ours['imports']):.0f}, "
            f"memory {theirs['peak_mb'] / ours['peak_mb']:.0f}"
        )


if __name__ == "__main__":
    main()
