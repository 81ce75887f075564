"""Print the matrix of faults as ``docs/reliability.md`` shows it.

``python tests/faults/print_matrix.py`` prints it; with ``--write`` it goes into the page.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "standins"))

from fault_matrix import tabulate

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
BEGIN = "<!-- matrix: written by tests/faults/print_matrix.py, not by hand -->\n"
END = "<!-- end of the matrix -->\n"


def read_page() -> tuple[str, str, str]:
    """Split the page into what is before, in and behind the matrix."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    matrix, behind = rest.split(END)
    return before, matrix.strip(), behind


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        before, _, behind = read_page()
        PAGE.write_text(f"{before}{BEGIN}\n{tabulate()}\n\n{END}{behind}", encoding="utf-8")
    else:
        print(tabulate())
