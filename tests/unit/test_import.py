"""Importing costs nothing and changes nothing."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("numpy", "pandas", "xarray", "h5py", "scipy", "sklearn", "matplotlib", "numba", "typer")


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


def test_import__loads_nothing_heavy() -> None:
    loaded = run(f"import sys, spikehouse; print([m for m in {HEAVY} if m in sys.modules])")
    assert loaded.strip() == "[]"


def test_import__session_needs_no_plots_no_sklearn_no_numba() -> None:
    loaded = run(
        "import sys, spikehouse; spikehouse.EcephysSession, spikehouse.EcephysProjectCache;"
        "print([m for m in ('matplotlib', 'sklearn', 'numba', 'scipy') if m in sys.modules])"
    )
    assert loaded.strip() == "[]"


def test_import__the_tables_of_a_survey_need_no_xarray() -> None:
    loaded = run("import sys, spikehouse.cache; print('xarray' in sys.modules)")
    assert loaded.strip() == "False"


def test_import__prints_nothing_and_leaves_warnings_alone() -> None:
    out = run(
        "import warnings; before = list(warnings.filters)\n"
        "import spikehouse.session, spikehouse.cache, spikehouse.demo, spikehouse.decoding\n"
        "import spikehouse.plots\n"
        "ours = [f for f in warnings.filters if f not in before]\n"
        "quiet = [f for f in ours if f[0] == 'ignore']\n"
        "assert not [f for f in quiet if f[2] in (RuntimeWarning, FutureWarning)]"
    )
    assert out == ""


def test_dir__lists_the_public_names() -> None:
    import spikehouse

    assert "EcephysSession" in dir(spikehouse)
    assert spikehouse.EcephysSession.__name__ == "EcephysSession"


def test_getattr__unknown_name() -> None:
    out = run(
        "import spikehouse\n"
        "try:\n    spikehouse.EcephysSesion\n"
        "except AttributeError as error:\n    print(error)"
    )
    assert "no attribute 'EcephysSesion'" in out
