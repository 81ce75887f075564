"""Run the notebooks that AllenSDK publishes, as they stand, against the demo warehouse.

    python tests/parity/run_published_notebooks.py NOTEBOOKS [--only ecephys_quickstart …]
        [--size small|tiny] [--survey-folder DIR]

NOTEBOOKS is a folder of ``.ipynb`` files or a checkout of AllenSDK; the notebooks are not part of
this repository:

    git clone --depth 1 https://github.com/AllenInstitute/AllenSDK

Changed are the folder of the cache, the host, and what only the real survey has: ids, the name of
a probe or a structure, and moments within a recording. Every change is printed. Each notebook then
goes through ``python -m spikehouse.compat`` in a process of its own. This script ends with 0 if
all ran, else with 1.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from spikehouse.compat.running import list_cells
from spikehouse.demo import Survey
from spikehouse.session import EcephysSession

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "standins"))

from warehouse_server import DemoWarehouse

IN_CHECKOUT = Path("doc_template", "examples_root", "examples", "nb")
TIMEOUT_S = 1800
_CELL = re.compile(r'File "[^"]+\.ipynb, code cell (\d+) of \d+", line (\d+)')


@dataclass(frozen=True)
class Demo:
    """Where the demo is, and what of it stands in for the real survey."""

    survey: Survey
    address: str
    cache: Path

    @cached_property
    def lfp_probe(self) -> tuple[int, str]:
        """Session and name of a probe with LFP and a clear, fast unit in visual cortex."""
        owners = [
            (self.survey.read_table("channels"), "ecephys_channel_id"),
            (self.survey.read_table("probes"), "ecephys_probe_id"),
        ]
        units = self.survey.read_table("units").reset_index()
        for table, key in owners:
            new = table[table.columns.difference(units.columns)]
            units = units.merge(new, left_on=key, right_index=True)
        names = self.survey.read_table("probes")["name"]
        found = units[
            (units["quality"] == "good")
            & (units["amplitude_cutoff"] <= 0.1)
            & (units["presence_ratio"] >= 0.95)
            & (units["isi_violations"] <= 0.5)
            & (units["firing_rate"] > 10)
            & (units["nn_hit_rate"] > 0.95)
            & units["ecephys_structure_acronym"].astype(str).str.contains("VIS")
            & units["has_lfp_data"].astype(bool)
        ].iloc[0]
        return int(found["ecephys_session_id"]), str(names.loc[found["ecephys_probe_id"]])

    @cached_property
    def flash_time(self) -> float:
        """When that session's first flash came on [s]: the LFP of small demos is cut around it."""
        session = EcephysSession.from_nwb_path(self.survey.session_file(self.lfp_probe[0]))
        shown = session.stimulus_presentations
        first: pd.Series = shown.loc[shown["stimulus_name"] == "flashes", "start_time"]
        return round(float(first.iloc[0]), 1)


@dataclass(frozen=True)
class Change:
    """What is written in a notebook (a regular expression), and the code in its place."""

    old: str
    choose: Callable[[Demo], str]


CACHE = Change(r"(?<=output_dir = )'[^']*'", lambda demo: repr(str(demo.cache)))
HOST = Change(
    r"(?<=EcephysProjectCache\.from_warehouse\()",
    lambda demo: f"scheme='http', host={demo.address!r}, ",
)
CHANGES: dict[str, tuple[Change, ...]] = {
    "ecephys_data_access": (
        Change(r"(?<=host=)\"api\.brain-map\.org\"", lambda demo: repr(demo.address)),
        # a tiny session has no probe there
        Change(r"'VISl'", lambda demo: repr("VISp" if demo.survey.size == "tiny" else "VISl")),
    ),
    "ecephys_lfp_analysis": (
        Change(r"sessions\.index\.values\[0\]", lambda demo: str(demo.lfp_probe[0])),
        Change(r"'probeE'", lambda demo: repr(demo.lfp_probe[1])),
        Change(
            r"(?<=slice\()100,101(?=\))",
            lambda demo: f"{demo.flash_time}, {demo.flash_time + 1}",
        ),
        Change(r"(?<=start_time = )500\b", lambda demo: str(demo.flash_time)),
        Change(r"(?<=end_time = )510\b", lambda demo: str(demo.flash_time + 10)),
    ),
    "ecephys_optotagging": (
        Change(r"\b789848216\b", lambda demo: str(demo.survey.session_ids[5])),
    ),
    "ecephys_quality_metrics": (),
    "ecephys_quickstart": (
        # in the first, the blank sweep is told best of all images, and the notebook asks for the
        # template of whichever that is; AllenSDK fails on it as well
        Change(r"\b791319847\b", lambda demo: str(demo.survey.session_ids[1])),
    ),
    # the demo has 12 sessions
    "ecephys_receptive_fields": (Change(r"(?<=sessions\.index\.values)\[20\]", lambda _: "[0]"),),
}


def main() -> int:
    arguments = read_arguments()
    folder = find_notebooks(arguments.notebooks)
    survey = Survey(size=arguments.size, folder=arguments.survey_folder)
    with (
        tempfile.TemporaryDirectory(prefix="published_notebooks_") as name,
        DemoWarehouse(survey) as warehouse,
    ):
        print(f"demo warehouse ({arguments.size}) at {warehouse.url}")
        demo = Demo(survey, warehouse.address, Path(name) / "cache")
        done = [try_notebook(folder / f"{each}.ipynb", demo) for each in arguments.only]
    print(f"{sum(done)} of {len(done)} notebooks ran")
    return 0 if all(done) else 1


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", type=Path, help="folder of .ipynb, or checkout of AllenSDK")
    parser.add_argument("--only", nargs="+", choices=list(CHANGES), default=list(CHANGES))
    # in a tiny session images cannot be told apart: the quick start ends with the blank sweep
    parser.add_argument("--size", choices=["tiny", "small"], default="small")
    parser.add_argument("--survey-folder", type=Path, help="where simulated files are kept")
    return parser.parse_args()


def find_notebooks(folder: Path) -> Path:
    for place in (folder, folder / IN_CHECKOUT):
        if any(place.glob("ecephys_*.ipynb")):
            return place
    raise SystemExit(f"there is no ecephys_*.ipynb in {folder}, nor in {folder / IN_CHECKOUT}")


def try_notebook(source: Path, demo: Demo) -> bool:
    print(f"--- {source.stem}", flush=True)
    if not source.is_file():
        print("    failed: there is no such file")
        return False
    changed = demo.cache.parent / source.name
    try:
        n_cells = write_changed(source, changed, demo)
    except ValueError as error:
        print(f"    failed: {error}")
        return False
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "spikehouse.compat", str(changed)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={
            **os.environ,
            "MPLBACKEND": "Agg",
            "PYTHONIOENCODING": "utf-8",
            "SPIKEHOUSE_PROGRESS": "0",
        },
        cwd=changed.parent,
        timeout=TIMEOUT_S,
    )
    seconds = time.perf_counter() - started
    for line in done.stderr.splitlines():
        # what the runner itself did to the notebook
        if line.startswith(f"{source.name}, code cell") and "Warning: " not in line:
            print(f"    {line.removeprefix(f'{source.name}, ')}")
    if done.returncode == 0:
        print(f"    ran: {n_cells} cells in {seconds:.1f} s")
        return True
    print(f"    FAILED {describe_failure(done.stderr)} (exit code {done.returncode})")
    return False


def write_changed(source: Path, target: Path, demo: Demo) -> int:
    """Write a notebook with its changes, print them, and say how many cells of code it has."""
    texts = list_cells(source)
    for change in (CACHE, HOST, *CHANGES[source.stem]):
        new = change.choose(demo)
        matches = [found[0] for text in texts for found in re.finditer(change.old, text)]
        if not matches:
            raise ValueError(
                f"nothing in it looks like {change.old!r}: it is another edition of the notebook "
                "than this script knows"
            )
        if matches[0] != new:
            print(f"    changed {matches[0] or '(put in)'} → {new} ({len(matches)} times)")
        texts = [re.sub(change.old, lambda _, new=new: new, text) for text in texts]
    cells = [
        {
            "cell_type": "code",
            "execution_count": None,
            "metadata": {},
            "outputs": [],
            "source": text.splitlines(keepends=True),
        }
        for text in texts
    ]
    document = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    target.write_text(json.dumps(document), encoding="utf-8")
    return len(cells)


def describe_failure(stderr: str) -> str:
    # the traceback names the cell that was running first, and the functions of cells after it
    places = _CELL.findall(stderr.rpartition("Traceback (most recent call last)")[2])
    where = f"at cell {places[0][0]}, line {places[0][1]}" if places else "outside of its cells"
    lines = stderr.strip().splitlines()
    return f"{where}: {lines[-1] if lines else 'without a word'}"


if __name__ == "__main__":
    sys.exit(main())
