"""What all figures share: a place to draw, colours, the marked stimulus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from spikehouse.errors import InvalidArgumentError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.projections.polar import PolarAxes

# Okabe & Ito's palette without its yellow, which is too light on white: told apart with every
# common kind of colour blindness (https://jfly.uni-koeln.de/color/)
CONDITION_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STIMULUS_COLOR = "#4D4D4D"
INK = "#333333"
FAINT = "#bbbbbb"
# where there is no value: no colour of a map comes near it
NO_VALUE_COLOR = "#d9d9d9"
# both pass the common kinds of colour blindness; the second is white at zero
SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"
LINE_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def null_as_nan(values: npt.ArrayLike) -> npt.NDArray[np.object_]:
    """Put NaN where a stimulus table has "null", such as in blank sweeps."""
    array = np.asarray(values, dtype=object)
    return np.where(array == "null", np.nan, array)


def get_axes(ax: Axes | None, *, size: tuple[float, float]) -> Axes:
    """Give the axes to draw on, a new figure's (size in inches) where there are none."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]


def get_polar_axes(ax: Axes | None, *, size: tuple[float, float]) -> PolarAxes:
    """Give the polar axes to draw on, a new figure's where there are none."""
    from matplotlib.projections.polar import PolarAxes

    if ax is None:
        from matplotlib import pyplot as plt

        figure = plt.figure(figsize=size, layout="constrained")
        ax = figure.add_subplot(projection="polar")
    if not isinstance(ax, PolarAxes):
        raise InvalidArgumentError(
            "ax is not polar; make one with figure.add_subplot(projection='polar')"
        )
    return ax


def line_colors(n_lines: int) -> list[Any]:
    """Give as many colours: the palette's while they last, else steps of viridis."""
    if n_lines <= len(CONDITION_COLORS):
        return list(CONDITION_COLORS[:n_lines])
    import matplotlib as mpl

    return [tuple(color) for color in mpl.colormaps[SEQUENTIAL](np.linspace(0, 0.95, n_lines))]


def say(ax: Axes, text: str) -> None:
    """Write in the middle of the axes why nothing is drawn."""
    ax.text(
        0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=INK,
        fontsize="small",
    )  # fmt: skip


def tidy(ax: Axes, *, title: str | None = None, is_marked: bool = False) -> Axes:
    """Take away the frame's upper and right line and set the title, left-aligned.

    A title over a marked stimulus is lifted above the mark.
    """
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize="small")
    if title:
        ax.set_title(title, loc="left", fontsize="medium", pad=11 if is_marked else 6)
    return ax


def mark_stimulus(
    ax: Axes, duration: float | None, *, is_on_colors: bool = False, color: str = "white"
) -> None:
    """Mark the time the stimulus is on, from 0 to its duration [s], by a bar above the axes.

    On a white ground that time is shaded too, on a heat map it is set off by lines of a colour.
    """
    if duration is None:
        return
    if is_on_colors:
        for time in (0.0, duration):
            ax.axvline(time, color=color, linewidth=1.0, linestyle=(0, (4, 3)))
    else:
        ax.axvspan(0.0, duration, color="#f1efe9", linewidth=0, zorder=0)
    # x in seconds, y in fractions of the axes: the bar sits on the upper edge whatever is drawn
    across = ax.get_xaxis_transform()
    ax.plot(
        [0.0, duration], [1.012, 1.012],
        transform=across, color=STIMULUS_COLOR, linewidth=4.0, solid_capstyle="butt",
        clip_on=False,
    )  # fmt: skip


def add_colorbar(
    mappable: ScalarMappable,
    ax: Axes,
    label: str,
    *,
    is_cut: bool = False,
    is_cut_below: bool = False,
    pad: float = 0.02,
) -> None:
    """Draw a slim colour bar beside the axes, pointed where values off the scale are drawn."""
    figure = ax.get_figure()
    if figure is None:  # an Axes taken out of its figure has no room for a bar
        return
    extend = ("both" if is_cut else "min") if is_cut_below else ("max" if is_cut else "neither")
    bar = figure.colorbar(mappable, ax=ax, extend=extend, pad=pad, fraction=0.05, aspect=30)
    bar.set_label(label, fontsize="small")
    bar.ax.tick_params(labelsize="small")
