"""The survey's tables from a warm cache folder, each job in one fresh process.

    python benchmarks/tables.py [--folder FOLDER] [--facts FOLDER] [--allensdk PYTHON] [--runs N]

A made-up survey of the released one's size is written first: 58 sessions, 332 probes, 123 224
channels, 99 180 units, with its columns and kinds of values. ``--folder`` keeps it for the next
run. ``--facts`` is a folder with the released ``sessions.csv`` and ``probes.csv``, used instead of
made-up ones. ``--allensdk`` is the Python of a virtual environment with AllenSDK 2.16.2.

Imports are not counted. The best of N processes is shown, for other people work on the machine too.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

N_SESSIONS, N_PROBES, N_CHANNELS, N_UNITS = 58, 332, 123_224, 99_180
STRUCTURES = ["APN", "CA1", "CA3", "DG", "LGd", "LP", "SUB", "VISal", "VISam", "VISl", "VISp"]
LIMITS = {
    "amplitude_cutoff_maximum": None,
    "presence_ratio_minimum": None,
    "isi_violations_maximum": None,
}
SESSIONS, UNITS, ALL_UNITS = (
    "get_session_table()",
    "get_units()",
    "get_units() of all 99 180 units",
)
CHANNELS, PROBES = "get_channels()", "get_probes()"
# seconds, as the project wants them
BARS = {SESSIONS: 0.050, UNITS: 0.150, ALL_UNITS: 0.150}


def make_sessions(rng: np.random.Generator) -> pd.DataFrame:
    genotypes = ["wt", "Sst-IRES-Cre/wt;Ai32(RCL-ChR2(H134R)_EYFP)/wt", "wt/wt"]
    ids = np.sort(rng.choice(200_000_000, N_SESSIONS, replace=False)) + 715_093_703
    return pd.DataFrame(
        {
            "date_of_acquisition": "2019-01-19T00:54:18Z",
            "isi_experiment_id": rng.integers(600_000_000, 800_000_000, N_SESSIONS),
            "published_at": "2019-10-03T00:00:00Z",
            "specimen_id": rng.integers(600_000_000, 800_000_000, N_SESSIONS),
            "session_type": ["brain_observatory_1.1"] * 32 + ["functional_connectivity"] * 26,
            "age_in_days": rng.integers(90, 150, N_SESSIONS).astype(float),
            "sex": rng.choice(["M", "F"], N_SESSIONS),
            "genotype": rng.choice(genotypes, N_SESSIONS),
            "has_nwb": True,
        },
        index=pd.Index(ids, name="id"),
    )


def make_probes(rng: np.random.Generator, sessions: pd.DataFrame) -> pd.DataFrame:
    number = np.arange(N_PROBES)
    has_lfp = number >= 3
    return pd.DataFrame(
        {
            "air_channel_index": rng.integers(300, 384, N_PROBES),
            "ecephys_session_id": sessions.index.to_numpy()[number % len(sessions)],
            "lfp_sampling_rate": rng.normal(2500, 0.01, N_PROBES),
            "lfp_temporal_subsampling_factor": np.where(has_lfp, 2.0, np.nan),
            "name": [f"probe{'ABCDEF'[i // len(sessions) % 6]}" for i in number],
            "phase": rng.choice(["3a", "PXI"], N_PROBES),
            "sampling_rate": rng.normal(30000, 0.1, N_PROBES),
            "surface_channel_index": rng.integers(250, 300, N_PROBES),
            "has_lfp_data": has_lfp,
        },
        index=pd.Index(rng.permutation(N_PROBES) + 729_445_648, name="id"),
    )


def make_channels(rng: np.random.Generator, probes: pd.DataFrame) -> pd.DataFrame:
    probe = np.arange(N_CHANNELS) * len(probes) // N_CHANNELS
    local = np.arange(N_CHANNELS) % 383
    structure = rng.integers(-1, len(STRUCTURES), N_CHANNELS)
    names = np.array([*STRUCTURES, None], dtype=object)
    registered = rng.random(N_CHANNELS) > 0.1
    columns: dict[str, Any] = {
        "ecephys_probe_id": probes.index.to_numpy()[probe],
        "local_index": local,
        "probe_horizontal_position": rng.choice([11, 27, 43, 59], N_CHANNELS),
        "probe_vertical_position": 20 * (local // 2 + 1),
    }
    for axis in ["anterior_posterior", "dorsal_ventral", "left_right"]:
        place = rng.integers(0, 10_000, N_CHANNELS)
        columns[f"{axis}_ccf_coordinate"] = np.where(registered, place, -1000)
    columns["ecephys_structure_id"] = np.where(structure < 0, np.nan, 200.0 + structure)
    columns["ecephys_structure_acronym"] = names[structure]
    ids = 849_705_558 + 2 * np.arange(N_CHANNELS)
    return pd.DataFrame(columns, index=pd.Index(ids, name="id"))


def make_units(rng: np.random.Generator, channels: pd.DataFrame) -> pd.DataFrame:
    from spikehouse.schema.cache_tables import UNITS as DECLARED

    columns: dict[str, Any] = {}
    for column in DECLARED.columns:
        if column.kind == "float":
            values = np.abs(rng.normal(1, 1, N_UNITS)).round(9)
            columns[column.name] = np.where(rng.random(N_UNITS) < 0.01, np.nan, values)
        else:
            columns[column.name] = "complete_session"
    place = np.sort(rng.integers(0, len(channels), N_UNITS))
    columns["ecephys_channel_id"] = channels.index.to_numpy()[place]
    columns["amplitude_cutoff"] = rng.uniform(0, 0.15, N_UNITS).round(9)
    columns["presence_ratio"] = rng.choice([0.9, 0.99], N_UNITS, p=[0.2, 0.8])
    columns["isi_violations"] = rng.exponential(0.3, N_UNITS).round(9)
    columns["quality"] = np.where(rng.random(N_UNITS) < 0.05, "noise", "good")
    ids = np.sort(rng.choice(3 * N_UNITS, N_UNITS, replace=False)) + 915_956_271
    return pd.DataFrame(columns, index=pd.Index(ids, name="id"))


def make_folder(folder: Path, facts: Path | None) -> None:
    """Write the manifest and the four tables of a survey of the released one's size."""
    from spikehouse.survey.manifest import create_manifest

    rng = np.random.default_rng(99_180)
    create_manifest(folder / "manifest.json")
    sessions, probes = make_sessions(rng), None
    if facts is not None:
        sessions = pd.read_csv(facts / "sessions.csv", index_col="id")
        probes = pd.read_csv(facts / "probes.csv", index_col="id")
    if probes is None:
        probes = make_probes(rng, sessions)
    channels = make_channels(rng, probes)
    tables = {"sessions": sessions, "probes": probes, "channels": channels}
    for name, table in {**tables, "units": make_units(rng, channels)}.items():
        table.to_csv(folder / f"{name}.csv")


def time_once(job: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    job()
    return time.perf_counter() - begin


def run_job(folder: Path, job: str, *, ours: bool) -> float:
    """Time one job in this process, from the object that is made to the table it gives [s]."""
    manifest = str(folder / "manifest.json")
    options: dict[str, Any] = {}
    if ours:
        import pyarrow.parquet  # noqa: F401

        import spikehouse.survey.sources.warehouse  # noqa: F401
        from spikehouse.cache import EcephysProjectCache

        make = EcephysProjectCache.fixed
    else:
        from allensdk.brain_observatory.ecephys.ecephys_project_api import EcephysProjectFixedApi
        from allensdk.brain_observatory.ecephys.ecephys_project_cache import EcephysProjectCache

        # its fixed() asks its source for a writer, which that has not
        make = EcephysProjectCache
        options = {"fetch_api": EcephysProjectFixedApi(), "stream_writer": open}
    begin = time.perf_counter()
    cache = make(manifest=manifest, **options)
    limits = {**LIMITS, "filter_by_validity": False}
    jobs: dict[str, Callable[[], Any]] = {
        SESSIONS: cache.get_session_table,
        UNITS: cache.get_units,
        ALL_UNITS: lambda: cache.get_units(**limits),
        CHANNELS: cache.get_channels,
        PROBES: cache.get_probes,
    }
    jobs[job]()
    return time.perf_counter() - begin


def measure(python: str, folder: Path, job: str, *, runs: int, cold: bool = False) -> float:
    """Run a job in fresh processes; the best time [s]."""
    side = "ours" if python == sys.executable else "theirs"
    best = float("inf")
    for _ in range(runs):
        if cold:
            shutil.rmtree(folder / ".spikehouse" / "tables", ignore_errors=True)
        command = [python, __file__, "--job", json.dumps([str(folder), job, side])]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        best = min(best, float(done.stdout.split()[-1]))
    return best


def report(folder: Path, *, allensdk: str | None, runs: int) -> None:
    heads = ["job", "CSV, first time", "warm", "bar", "AllenSDK"]
    print("| " + " | ".join(heads) + " |")
    print("|---" * len(heads) + "|")
    for job in [SESSIONS, PROBES, CHANNELS, UNITS, ALL_UNITS]:
        cold = measure(sys.executable, folder, job, runs=1, cold=True)
        measure(sys.executable, folder, job, runs=1)
        warm = measure(sys.executable, folder, job, runs=runs)
        theirs = "" if allensdk is None else show(measure(allensdk, folder, job, runs=1))
        bar = show(BARS[job]) if job in BARS else ""
        print(f"| {job} | {show(cold)} | {show(warm)} | {bar} | {theirs} |", flush=True)


def show(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--facts", type=Path)
    parser.add_argument("--allensdk")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        folder, job, side = json.loads(options.job)
        print(run_job(Path(folder), job, ours=side == "ours"))
        return
    with tempfile.TemporaryDirectory(prefix="tables-") as scratch:
        folder = options.folder or Path(scratch)
        if not (folder / "units.csv").exists():
            make_folder(folder, options.facts)
        report(folder, allensdk=options.allensdk, runs=options.runs)


if __name__ == "__main__":
    main()
