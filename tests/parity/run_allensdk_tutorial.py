"""Let AllenSDK's own client run the tutorial against the demo warehouse, and check what it gets.

    python tests/parity/run_allensdk_tutorial.py --allensdk-python VENV/bin/python
        [--size tiny|small] [--survey-folder DIR] [--quickstart PATH/quickstart.py]

AllenSDK needs an environment of its own, with Python 3.11:

    python3.11 -m venv VENV
    VENV/bin/pip install "allensdk==2.16.2" "hdmf<4" "ndx-events<0.3" scikit-learn

This script starts the warehouse, writes down what the survey holds, and runs
``allensdk_tutorial_client.py`` beside it in that environment, then the quick start script with
AllenSDK's import line. It ends with 0 if everything agrees, else with 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from spikehouse.demo import Survey

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "standins"))

from warehouse_server import DemoWarehouse  # noqa: E402

OUR_IMPORT = "from spikehouse import EcephysProjectCache"
ALLENSDK_IMPORT = (
    "from allensdk.brain_observatory.ecephys.ecephys_project_cache import EcephysProjectCache"
)
SCENES = (0, 57, 117)
MOVIES = (1, 3)
TABLES = ("sessions", "probes", "channels", "units")


def main() -> int:
    arguments = read_arguments()
    survey = Survey(size=arguments.size, folder=arguments.survey_folder)
    with (
        tempfile.TemporaryDirectory(prefix="allensdk_tutorial_") as name,
        DemoWarehouse(survey) as warehouse,
    ):
        folder = Path(name)
        print(f"demo warehouse ({arguments.size}) at {warehouse.url}")
        write_expected(survey, folder / "expected")
        client = [str(HERE / "allensdk_tutorial_client.py"), str(folder / "expected")]
        steps = [run(arguments.allensdk_python, *client, warehouse.address, str(folder / "cache"))]
        if arguments.quickstart is not None:
            script = folder / "quickstart.py"
            write_quickstart(arguments.quickstart, script)
            options = ["--host", warehouse.address, "--cache", str(folder / "cache")]
            steps.append(
                run(arguments.allensdk_python, str(script), *options, "--out", str(folder / "out"))
            )
            steps.append(check_figures(folder / "out"))
        else:
            print("no quickstart.py given (--quickstart): its steps are left out")
    print("AllenSDK's client agrees" if all(steps) else "AllenSDK's client DISAGREES")
    return 0 if all(steps) else 1


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--allensdk-python", required=True, help="Python that has AllenSDK 2.16.2")
    parser.add_argument("--size", choices=["tiny", "small"], default="tiny")
    parser.add_argument("--survey-folder", type=Path, help="where simulated files are kept")
    parser.add_argument("--quickstart", type=Path, default=find_quickstart())
    return parser.parse_args()


def find_quickstart() -> Path | None:
    shared = os.environ.get("SPIKEHOUSE_SHARED")
    folder = Path(shared) if shared else HERE.parents[2] / "shared"
    path = folder / "tutorial" / "quickstart.py"
    return path if path.is_file() else None


def write_expected(survey: Survey, folder: Path) -> None:
    """Write what the client should get, so that it can be compared without this package."""
    folder.mkdir()
    for name in TABLES:
        survey.read_table(name).to_csv(folder / f"{name}.csv")
    for session_id in survey.session_ids:
        metrics = survey.read_analysis_metrics(session_id)
        metrics.to_csv(folder / f"session_{session_id}_analysis_metrics.csv")
    (folder / "expected.json").write_text(json.dumps(choose_examples(survey)))


def choose_examples(survey: Survey) -> dict[str, Any]:
    """Choose what is downloaded, and take the hashes of the files it comes from."""
    sessions, probes = survey.read_table("sessions"), survey.read_table("probes")
    session_id = int(sessions.index[sessions["session_type"] == "brain_observatory_1.1"][0])
    has_lfp = probes["has_lfp_data"].astype(bool)
    of_session = probes["ecephys_session_id"] == session_id
    probe_id = int(probes.index[has_lfp & of_session][0])
    files = {
        "session": survey.session_file(session_id),
        "lfp": survey.lfp_file(probe_id),
        **{f"scene {number}": survey.scene_file(number) for number in SCENES},
        **{f"movie {number}": survey.movie_file(number) for number in MOVIES},
    }
    return {
        "session_id": session_id,
        "probe_id": probe_id,
        "probe_ids_without_lfp": [int(probe) for probe in probes.index[~has_lfp]],
        "scenes": list(SCENES),
        "movies": list(MOVIES),
        "sha256": {
            name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()
        },
    }


def write_quickstart(source: Path, script: Path) -> None:
    text = source.read_text()
    if text.count(OUR_IMPORT) != 1:
        raise SystemExit(f"{source} does not have the line {OUR_IMPORT!r} once")
    script.write_text(text.replace(OUR_IMPORT, ALLENSDK_IMPORT))


def run(python: str, *arguments: str) -> bool:
    started = time.perf_counter()
    print(f"--- {Path(arguments[0]).name}", flush=True)
    # its libraries warn about their own deprecated parts; AllenSDK itself talks by warnings
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "MPLBACKEND": "agg"}
    code = subprocess.run([python, *arguments], check=False, env=environment).returncode
    print(f"--- ended with {code} after {time.perf_counter() - started:.1f} s", flush=True)
    return code == 0


def check_figures(folder: Path) -> bool:
    missing = [
        name
        for name in ("psth.png", "confusion.png", "images.png")
        if not (folder / name).is_file() or (folder / name).stat().st_size < 1000
    ]
    print(f"figures missing: {missing}" if missing else "all figures are there")
    return not missing


if __name__ == "__main__":
    sys.exit(main())
