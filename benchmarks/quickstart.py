"""Time `spikehouse quickstart` on the small demo: from nothing, and once more.

    python benchmarks/quickstart.py

Both runs are processes of their own, with an empty cache folder before the first; a loop of plain
Python beside them tells how fast the machine was at that moment.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def measure(command: list[str], environment: dict[str, str]) -> float:
    """Time one process [s]."""
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.perf_counter() - begin


def main() -> None:
    """Measure, and print the rows of benchmarks/RESULTS.md."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
        command = [sys.executable, "-m", "spikehouse", "quickstart", "--out", str(folder / "o")]
        first = measure(command, environment)
        second = measure(command, environment)
        imported = min(
            measure([sys.executable, "-c", "import spikehouse"], environment) for _ in range(5)
        )
        bare = min(measure([sys.executable, "-c", "pass"], environment) for _ in range(5))
    begin = time.perf_counter()
    for _ in range(10_000_000):
        pass
    loop = time.perf_counter() - begin
    print("| | time [s] |\n| --- | --- |")
    print(f"| quick start, small demo, the first time | {first:.1f} |")
    print(f"| the second time | {second:.1f} |")
    print(
        f"| `import spikehouse` (the interpreter's own start taken off) | {imported - bare:.3f} |"
    )
    print(f"| ten million turns of an empty loop | {loop:.2f} |")


if __name__ == "__main__":
    main()
