"""Figures of measures against the anatomical hierarchy of areas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis import HIERARCHY_SCORES
from spikehouse.errors import InvalidArgumentError, describe_choices
from spikehouse.plots._axes import CONDITION_COLORS, INK, get_axes, tidy, write_centered
from spikehouse.schema import require_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito's palette and a wine red, which is as easy to tell apart
AREA_COLORS: Mapping[str, str] = {
    "LGd": "#CC79A7", "VISp": "#0072B2", "VISl": "#56B4E9", "VISrl": "#009E73",
    "LP": "#000000", "VISal": "#E69F00", "VISpm": "#D55E00", "VISam": "#882255",
}  # fmt: skip
"""Colours of the areas, the same in every figure."""

THALAMUS = ("LGd", "LP")
# where the name of an area may stand beside its dot [points], the best place first
NAME_PLACES = tuple((side * 6.0, up) for up in (0.0, 7.0, -7.0, 14.0, -14.0) for side in (1, -1))
# of a name [points]: width of a letter, height
LETTER, HEIGHT = 4.6, 7.0
GREY = "#8c8c8c"


def plot_hierarchy(
    statistics: pd.DataFrame,
    *,
    correlation: Mapping[str, Any] | pd.Series[float] | None = None,
    scores: Mapping[str, float] = HIERARCHY_SCORES,
    color: str | None = None,
    ax: Axes | None = None,
    ylabel: str = "",
    title: str | None = None,
) -> Axes:
    """Draw the mean of a measure in every area against the area's hierarchy score.

    Parameters
    ----------
    statistics
        Index area; columns mean and half_width, as
        `spikehouse.analysis.compute_area_statistics` returns. Bars reach half_width up and down.
    correlation
        Result of `spikehouse.analysis.compute_hierarchy_correlation`: its line is drawn, and r and
        P are written in the corner, with the interval over sessions if there is one.
    scores
        Area → hierarchy score.
    color
        One colour for all areas, which are then joined by a line and not named. If None, each
        area has its own and its name; squares are thalamic.
    ax
        Axes to draw on; a new figure if None.
    ylabel, title
        Label and title.

    Returns
    -------
    Axes
        The Axes drawn on.
    """
    require_columns(statistics, "mean", "half_width", what="the table of areas")
    unknown = [name for name in statistics.index if name not in scores]
    if unknown:
        raise InvalidArgumentError(
            f"area {unknown[0]!r} has no hierarchy score: {describe_choices(unknown[0], scores)}. "
            "Leave it out, or give scores"
        )
    ax = get_axes(ax, size=(3.5, 2.8))
    x = pd.Series({name: float(scores[name]) for name in statistics.index}, dtype=np.float64)
    x = x.sort_values(kind="stable")
    table = statistics.loc[x.index]
    if correlation is not None and np.isfinite(float(correlation["slope"])):
        ends = np.array([x.min() - 0.06, x.max() + 0.06])
        line = correlation["slope"] * ends + correlation["intercept"]
        ax.plot(ends, line, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    if color is not None:
        ax.errorbar(
            x, table["mean"], yerr=table["half_width"].fillna(0), color=color, linewidth=1.2,
            marker="o", markersize=4, elinewidth=1.0, zorder=3,
        )  # fmt: skip
    for name in x.index if color is None else ():
        row, own = table.loc[name], AREA_COLORS.get(name, INK)
        ax.errorbar(
            x[name], row["mean"], yerr=np.nan_to_num(row["half_width"]), color=own, linestyle="",
            marker="s" if name in THALAMUS else "o", markersize=4.5, elinewidth=1.2, zorder=3,
        )  # fmt: skip
    if table.empty:
        write_centered(ax, "no units")
    ax.set_xlim(-0.68, 0.68) if scores is HIERARCHY_SCORES else ax.margins(x=0.15)
    ax.margins(y=0.12)
    ax.set_xlabel("anatomical hierarchy score", fontsize="small")
    ax.set_ylabel(ylabel, fontsize="small")
    if correlation is not None:
        _write_correlation(ax, correlation)
    if color is None:
        _write_names(ax, x, table)
    return tidy(ax, title=title)


def _write_names(ax: Axes, x: pd.Series[float], table: pd.DataFrame) -> None:
    """Write the names of areas beside their dots, where they hide least of the rest."""
    from matplotlib.patheffects import Normal, Stroke

    figure = ax.get_figure()
    if figure is None:  # Axes that were removed from their figure
        return

    def to_points(data: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(ax.transData.transform(data)) * 72 / figure.dpi

    mean, half = table["mean"].to_numpy(), np.nan_to_num(table["half_width"].to_numpy())
    dots = to_points(np.column_stack([x, mean]))
    bars = np.hstack(
        [to_points(np.column_stack([x, mean - half])), to_points(np.column_stack([x, mean + half]))]
    )
    # left, lower, right and upper end: bars and dots, then short pieces of the dashed line
    taken = list(bars + np.array([-3, -3, 3, 3]))
    for line in ax.lines:
        ends = np.asarray(line.get_xydata(), dtype=np.float64)[[0, -1]]
        if ends[0, 0] < ends[1, 0]:
            along = to_points(np.linspace(ends[0], ends[1], 60))
            taken += list(np.hstack([along, along]))
    for name, dot in zip(x.index, dots, strict=True):
        boxes = []
        for right, up in NAME_PLACES:
            sides = sorted([dot[0] + right, dot[0] + right + np.sign(right) * LETTER * len(name)])
            boxes.append([sides[0], dot[1] + up - HEIGHT / 2, sides[1], dot[1] + up + HEIGHT / 2])
        hidden = [
            sum(
                (box[0] < t[2]) & (t[0] < box[2]) & (box[1] < t[3]) & (t[1] < box[3]) for t in taken
            )
            for box in boxes
        ]
        best = int(np.argmin(hidden))
        # names on names are worst
        taken += [np.array(boxes[best])] * 5
        text = ax.annotate(
            name, (x[name], table.loc[name, "mean"]), xytext=NAME_PLACES[best],
            textcoords="offset points", ha="left" if NAME_PLACES[best][0] > 0 else "right",
            va="center", fontsize="x-small", color=AREA_COLORS.get(name, INK), zorder=4,
        )  # fmt: skip
        # readable where the line runs under it
        text.set_path_effects([Stroke(linewidth=2, foreground="white"), Normal()])


def _write_correlation(ax: Axes, correlation: Mapping[str, Any] | pd.Series[float]) -> None:
    """Write r and P in the corner that the line leaves free."""
    lines = []
    for kind, letter in (("pearson", "P"), ("spearman", "S")):
        r, p = (float(correlation[f"{kind}_{name}"]) for name in ("r", "p"))
        if np.isfinite(r):
            lines.append(f"$r_{letter}$ = {r:.2f}, $P_{letter}$ = {p:.2g}".replace("-", "−"))
    low, high = (float(correlation.get(f"pearson_r_{end}", np.nan)) for end in ("low", "high"))
    if np.isfinite(low):
        between = f"{low:.2f} to {high:.2f}".replace("-", "−")
        lines.append(f"over sessions: {between}")
    is_rising = not float(correlation["slope"]) < 0
    ax.text(
        0.03 if is_rising else 0.97, 0.98, "\n".join(lines), transform=ax.transAxes, va="top",
        ha="left" if is_rising else "right", fontsize="x-small", color=INK, linespacing=1.4,
    )  # fmt: skip
    # room for the text above what is drawn
    low_y, high_y = ax.get_ylim()
    ax.set_ylim(low_y, high_y + 0.06 * len(lines) * (high_y - low_y))


def plot_funnel(
    counts: pd.Series[float],
    *,
    reference: pd.Series[float] | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw how many units remain after each step of a selection.

    Parameters
    ----------
    counts
        Number of units after each step, in order; the index names the steps. NaN where a step was
        not possible.
    reference
        Numbers to compare with, such as published ones, by the same names; drawn as strokes.
    ax
        Axes to draw on; a new figure if None.
    title
        Title.

    Returns
    -------
    Axes
        The Axes drawn on.
    """
    numbers = counts.astype(np.float64)
    if not len(numbers) or (numbers < 0).any():
        raise InvalidArgumentError(
            f"counts has {len(numbers)} steps, the smallest {numbers.min():g} units; give one step "
            "or more, and no negative numbers"
        )
    ax = get_axes(ax, size=(5.4, 0.5 + 0.36 * len(numbers)))
    places = np.arange(len(numbers))
    others = None if reference is None else reference.reindex(numbers.index).astype(np.float64)
    ax.barh(places, numbers.fillna(0), height=0.62, color=CONDITION_COLORS[0], alpha=0.85)
    for place, number in zip(places, numbers, strict=True):
        text = "not known here" if np.isnan(number) else f"{number:,.0f}".replace(",", " ")
        other = np.nan if others is None else others.iloc[place]
        if np.isfinite(other):
            ax.plot([other, other], [place - 0.4, place + 0.4], color=INK, linewidth=1.6)
            text += f"  (published {other:,.0f})".replace(",", " ")
        # ends of strokes and bars, whichever is further
        end = np.nanmax([np.nan_to_num(number), np.nan_to_num(other)])
        ax.annotate(text, (end, place), xytext=(5, 0), textcoords="offset points", va="center",
                    fontsize="x-small", color=INK)  # fmt: skip
    ax.set_yticks(places, list(map(str, numbers.index)), fontsize="small")
    ax.invert_yaxis()
    largest = np.nanmax([1.0, *numbers.fillna(0), *([] if others is None else others.fillna(0))])
    # room for the longest text
    ax.set_xlim(0, (1.55 if others is None else 2.0) * largest)
    ax.set_xticks([])
    ax.set_xlabel("number of units", fontsize="small")
    tidy(ax, title=title)
    ax.spines["bottom"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax


def plot_fractions(
    fractions: pd.DataFrame,
    *,
    reference: pd.Series[float] | None = None,
    ax: Axes | None = None,
    ylabel: str = "",
    title: str | None = None,
) -> Axes:
    """Draw which fraction of the units of every area has a property.

    Parameters
    ----------
    fractions
        Index area, in the order to be drawn; column fraction, 0–1, NaN where it is not known. If
        there are columns low and high, a bar goes from one to the other; n, the number of units,
        is written below the area, in brackets.
    reference
        Fractions to compare with, such as published ones, by the same areas; drawn as strokes.
    ax
        Axes to draw on; a new figure if None.
    ylabel, title
        Label and title.

    Returns
    -------
    Axes
        The Axes drawn on.
    """
    require_columns(fractions, "fraction", what="the table of fractions")
    values = fractions["fraction"].astype(np.float64)
    if not len(values) or ((values < 0) | (values > 1)).any():
        raise InvalidArgumentError(
            f"fractions has {len(values)} areas, from {values.min():g} to {values.max():g}; give "
            "one area or more, and fractions from 0 to 1"
        )
    ax = get_axes(ax, size=(1.2 + 0.62 * len(values), 3.2))
    places = np.arange(len(values))
    ax.bar(places, values.fillna(0), width=0.62, color=CONDITION_COLORS[0], alpha=0.85)
    if {"low", "high"} <= set(fractions):
        ax.vlines(places, fractions["low"], fractions["high"], color=INK, linewidth=1.2)
    if reference is not None:
        others = reference.reindex(values.index).astype(np.float64)
        ax.hlines(others, places - 0.42, places + 0.42, color=INK, linewidth=1.6)
    names = list(map(str, values.index))
    if "n" in fractions:
        names = [f"{name}\n({n:g})" for name, n in zip(names, fractions["n"], strict=True)]
        ax.set_xlabel("area (number of units)", fontsize="small")
    ax.set_xticks(places, names, fontsize="small")
    ax.tick_params(axis="x", length=0)
    ax.set_ylim(0, 1.02)
    ax.set_ylabel(ylabel)
    return tidy(ax, title=title)
