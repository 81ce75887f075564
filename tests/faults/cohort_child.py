"""A process that computes a cohort, to be stopped, killed, or put on a small disk.

    python cohort_child.py '{"function": "slow", "manifest": …, "results": …}'

The last line on stdout is the run's repr, or the error.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spikehouse import EcephysProjectCache
from spikehouse.errors import SpikehouseError


def slow(session: Any, seconds: float = 0.3) -> pd.DataFrame:
    time.sleep(seconds)
    return session.units[["firing_rate"]]


def large(session: Any) -> pd.DataFrame:
    """Return 800 kB that no compression makes smaller."""
    return pd.DataFrame({"noise": np.random.default_rng(1).random(100_000)})


def log_call(session: Any, log: str) -> int:
    with Path(log).open("a") as file:
        file.write(f"{session.ecephys_session_id}\n")
    time.sleep(0.3)
    return 1


def main(task: dict[str, Any]) -> None:
    if "disk" in task:
        command = ["mount", "-t", "tmpfs", "-o", task["disk"], "tmpfs", task["results"]]
        subprocess.run(command, check=True, capture_output=True)
    project = EcephysProjectCache.from_demo(task["manifest"], size="tiny", folder=task["folder"])
    try:
        run = project.cohort(session_ids=task["ids"]).map(
            globals()[task["function"]], results=task["results"], **task.get("options", {})
        )
        print(run)
    except SpikehouseError as error:
        print(f"{type(error).__name__}: {error}")
        if "disk" in task:
            print(sorted(path.name for path in Path(task["results"]).rglob("*.part*")))
            subprocess.run(["mount", "-o", "remount,size=64m", task["results"]], check=True)
            again = project.cohort(session_ids=task["ids"]).map(large, results=task["results"])
            print(again.frame().groupby("session_id").size().to_dict())


# without a guard: a script like many
main(json.loads(sys.argv[1]))
