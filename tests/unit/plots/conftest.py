"""Axes to draw on, and a check that no figure outlives its test."""

from __future__ import annotations

import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure


@pytest.fixture(autouse=True)
def drawn_without_a_screen():
    before = mpl.get_backend()
    plt.switch_backend("agg")
    settings = mpl.rcParams.copy()
    yield
    changed = {name for name in settings if mpl.rcParams[name] != settings[name]}
    plt.close("all")
    plt.switch_backend(before)
    assert not changed


@pytest.fixture
def ax():
    return Figure(layout="constrained").subplots()


@pytest.fixture
def render():
    """Draw it, so that what only fails then does (warnings are errors)."""

    def draw(ax):
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        FigureCanvasAgg(ax.figure).draw()
        return ax

    return draw
