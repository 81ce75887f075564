"""Figures of the studies, composed of those of `spikehouse.plots`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# the width of a page in a journal [inch]
PAGE = 7.1


class Panel(NamedTuple):
    """A measure against the hierarchy: label, means of areas, and their correlation."""

    label: str
    statistics: pd.DataFrame
    correlation: pd.Series[float]


def draw_panels(panels: Sequence[Panel]) -> Figure:
    """Draw measures against the hierarchy, two a row."""
    from spikehouse.plots import plot_hierarchy

    figure, axes = _lay_out(len(panels))
    for letter, panel, ax in zip("abcdefgh", panels, axes, strict=False):
        plot_hierarchy(panel.statistics, correlation=panel.correlation, ax=ax, ylabel=panel.label)
        _mark(ax, letter)
    return figure


def draw_layers(panels: Sequence[tuple[str, Mapping[str, pd.DataFrame]]]) -> Figure:
    """Draw the means of areas by layer, one line a layer."""
    import matplotlib as mpl

    from spikehouse.plots import plot_hierarchy

    figure, axes = _lay_out(len(panels))
    names = list(dict.fromkeys(layer for _, lines in panels for layer in lines))
    # from the surface down: light to dark
    shades = mpl.colormaps["viridis_r"](np.linspace(0.12, 1.0, max(len(names), 2)))
    colors = {name: mpl.colors.to_hex(shade) for name, shade in zip(names, shades, strict=False)}
    for letter, (label, lines), ax in zip("abcdefgh", panels, axes, strict=False):
        for layer, statistics in lines.items():
            plot_hierarchy(statistics, color=colors[layer], ax=ax, ylabel=label)
        _mark(ax, letter)
    for place, name in enumerate(names):
        axes[0].text(
            0.03 + 0.13 * place, 1.0, name, transform=axes[0].transAxes, color=colors[name],
            fontsize="small", fontweight="bold", va="top",
        )  # fmt: skip
    return figure


def draw_fractions(
    panels: Mapping[str, pd.DataFrame], published: pd.Series[float] | None
) -> Figure:
    """Draw fractions of tuned units by area, by title; the published ones belong to the first."""
    from spikehouse.plots import plot_fractions

    figure, axes = _lay_out(len(panels))
    for letter, (label, table), ax in zip("abcdefgh", panels.items(), axes, strict=False):
        reference = published if letter == "a" else None
        plot_fractions(table, reference=reference, ax=ax, ylabel="fraction tuned", title=label)
        _mark(ax, letter)
    return figure


def draw_funnel(counts: pd.Series[float], published: pd.Series[float] | None) -> Figure:
    """Draw the units after each step of the selection, ours and, if given, the published."""
    from matplotlib.figure import Figure

    from spikehouse.plots import plot_funnel

    figure = Figure(figsize=(PAGE, 0.5 + 0.34 * len(counts)), layout="constrained")
    plot_funnel(counts, reference=published, ax=figure.subplots())
    return figure


def draw_directionality(table: pd.DataFrame, areas: Sequence[str]) -> Figure:
    """Draw the score of every pair of areas, and the median lag, by matrix and by hierarchy."""
    from matplotlib.figure import Figure

    from spikehouse.analysis import HIERARCHY_SCORES
    from spikehouse.plots import plot_directionality

    figure = Figure(figsize=(PAGE, 6.4), layout="constrained")
    above, below = figure.subplots(2, 2)
    draw = partial(plot_directionality, table, hierarchy=HIERARCHY_SCORES, order=areas)
    draw(axes=above)
    draw(measure="median_lag", axes=below)
    for letter, ax in zip("abcd", (*above, *below), strict=True):
        _mark(ax, letter)
    return figure


def mark_simulated(figure: Figure) -> None:
    """Write above everything that is drawn that the data are simulated."""
    figure.suptitle("simulated", x=0.99, ha="right", color="#b35900", fontsize="small")


def _lay_out(n_panels: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    n_rows = -(-n_panels // 2)
    figure = Figure(figsize=(PAGE, 2.9 * n_rows), layout="constrained")
    axes = figure.subplots(n_rows, 2, squeeze=False).ravel().tolist()
    for ax in axes[n_panels:]:
        ax.remove()
    return figure, axes[:n_panels]


def _mark(ax: Axes, letter: str) -> None:
    # no title: some panels have one of their own
    ax.text(-0.17, 1.03, letter, transform=ax.transAxes, va="bottom", fontweight="bold")
