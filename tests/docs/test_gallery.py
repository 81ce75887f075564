"""The gallery's examples, which the build of the site runs, show every figure there is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from spikehouse import plots

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


def list_plots(example: Path) -> set[str]:
    """List the functions of `spikehouse.plots` that an example calls."""
    calls = [
        node.func
        for node in ast.walk(ast.parse(example.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    return {call.attr for call in calls if ast.unparse(call.value) == "plots"}


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_example__draws_what_its_name_says(example):
    # sphinx-gallery runs plot_*.py alone
    assert example.stem.startswith("plot_")
    assert list_plots(example)


def test_gallery__shows_every_plot():
    shown = set().union(*map(list_plots, EXAMPLES.glob("plot_*.py")))
    assert shown == {name for name in plots.__all__ if callable(getattr(plots, name))}
