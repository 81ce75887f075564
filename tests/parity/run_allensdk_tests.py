"""Run AllenSDK's own tests of the session and the stimulus analysis against spikehouse.

    python tests/parity/run_allensdk_tests.py CHECKOUT

CHECKOUT is a checkout of AllenSDK's repository:

    git clone --depth 1 https://github.com/AllenInstitute/AllenSDK CHECKOUT

``test_ecephys_session.py`` and ``stimulus_analysis/test_*.py`` run in a temporary folder, with
AllenSDK's import paths resolved as ``python -m spikehouse.compat`` resolves them. The script prints
a table and ends with 1 if a test fails that is not listed below.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

TESTS = Path("allensdk/test/brain_observatory/ecephys")

# the reasons are words of rows of docs/differences-from-allensdk.md
PRIVATE = "private names"
BOUNDS = "presentations (start, stop], bins closed at both ends"
OVERLAPS = "needs sorted presentations that do not overlap"
UNSORTED = "spike times of an adapter that are out of order"
UNCHANGED = "an adapter's tables"
EXPECTED = {
    "test_ecephys_session.py": {
        "test_conditionwise_spike_statistics_using_rates": "units that never fired are missing",
        "test_get_stimulus_table[True]": UNCHANGED,
        "test_get_stimulus_table[False]": UNCHANGED,
        "test_filter_owned_df": PRIVATE,
        "test_filter_owned_df_scalar": PRIVATE,
    },
    "test_drifting_gratings.py": {
        "test_metrics": UNSORTED,
        "test_metric_with_contrast": OVERLAPS,
    },
    "test_flashes.py": {"test_metrics": UNSORTED},
    "test_natural_scenes.py": {"test_metrics": OVERLAPS},
    "test_receptive_field_mapping.py": {
        "test_receptive_fields": "the coordinate is the position",
    },
    "test_stimulus_analysis.py": {
        "test_conditionwise_statistics": BOUNDS,
        "test_presentationwise_statistics": BOUNDS,
        "test_get_preferred_condition": PRIVATE,
        "test_check_multiple_preferred_conditions": PRIVATE,
        "test_get_time_to_peak": PRIVATE,
    },
}
"""File → test → the row that says why it fails."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path, help="a checkout of AllenSDK's repository")
    source = parser.parse_args().checkout / TESTS
    files = [source / "test_ecephys_session.py", *source.glob("stimulus_analysis/test_*.py")]
    if len(files) < 2 or not files[0].is_file():
        print(f"{source} does not hold AllenSDK's tests; give a checkout of its repository")
        return 2
    with tempfile.TemporaryDirectory(prefix="allensdk_tests_") as name:
        outcomes = run_tests(source, Path(name))
    print_table(outcomes)
    return 1 if any(outcome == "failed" for outcome, _ in outcomes.values()) else 0


def run_tests(source: Path, folder: Path) -> dict[tuple[str, str], tuple[str, str]]:
    """Return for each (file, test) passed, skipped, failed or expected, and the message."""
    package = folder / "tests"
    shutil.copytree(source / "stimulus_analysis", package / "stimulus_analysis")
    shutil.copy(source / "test_ecephys_session.py", package)
    (package / "__init__.py").touch()
    (package / "conftest.py").write_text("import spikehouse.compat.allensdk\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", str(package)]
    done = subprocess.run(
        command,
        cwd=folder,
        env={"MPLBACKEND": "agg", **os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    if not report.is_file():
        raise SystemExit(f"pytest did not run:\n{done.stdout}\n{done.stderr}")
    outcomes = {}
    for case in ElementTree.parse(report).iter("testcase"):
        file = f"{(case.get('classname') or case.get('name', '')).rpartition('.')[2]}.py"
        outcomes[file, case.get("name", "")] = judge(case, file)
    return outcomes


def judge(case: ElementTree.Element, file: str) -> tuple[str, str]:
    if case.find("skipped") is not None:
        return "skipped", ""
    wrong = next((found for tag in ("failure", "error") for found in case.iter(tag)), None)
    if wrong is None:
        return "passed", ""
    reason = EXPECTED.get(file, {}).get(case.get("name", ""))
    if reason is not None:
        return "expected", reason
    return "failed", (wrong.get("message") or "").partition("\n")[0]


def print_table(outcomes: dict[tuple[str, str], tuple[str, str]]) -> None:
    columns = ("passed", "failed", "expected", "skipped")
    counts: dict[str, Counter[str]] = {}
    for (file, _), (outcome, _) in outcomes.items():
        counts.setdefault(file, Counter())[outcome] += 1
    counts["in total"] = sum(counts.values(), Counter())
    print(f"{'file':<32}" + "".join(f"{name:>10}" for name in columns))
    for file, count in counts.items():
        print(f"{file:<32}" + "".join(f"{count[name]:>10}" for name in columns))
    for wanted, heading in (
        ("expected", "Expected differences, with their row in docs/differences-from-allensdk.md:"),
        ("failed", "Failed:"),
    ):
        listed = [
            f"  {file}::{test}: {text}"
            for (file, test), (outcome, text) in outcomes.items()
            if outcome == wanted
        ]
        if listed:
            print("", heading, *listed, sep="\n")
    held = [
        f"  {file}::{test}"
        for file, tests in EXPECTED.items()
        for test in tests
        if outcomes.get((file, test), ("absent", ""))[0] != "expected"
    ]
    if held:
        print("", "Listed as expected differences, and none in this run:", *held, sep="\n")


if __name__ == "__main__":
    sys.exit(main())
