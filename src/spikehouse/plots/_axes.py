"""Helpers shared by all figures: axes, colours, titles, the stimulus bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from spikehouse.errors import InvalidArgumentError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.projections.polar import PolarAxes

# Okabe & Ito's palette, which can be told apart with the common kinds of colour blindness
# (https://jfly.uni-koeln.de/color/), without its yellow, which is too light on white
CONDITION_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STIMULUS_COLOR = "#4D4D4D"
INK = "#333333"
FAINT = "#bbbbbb"
# for missing values: no colour of a map is similar
NO_VALUE_COLOR = "#d9d9d9"
# both are safe for colour blindness; the second is white at zero
SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"
LINE_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def null_as_nan(values: npt.ArrayLike) -> npt.NDArray[np.object_]:
    """Replace the "null" of stimulus tables, such as in blank sweeps, with NaN."""
    array = np.asarray(values, dtype=object)
    return np.where(array == "null", np.nan, array)


def short(name: object) -> str:
    """Return a name as text, numbers with a fraction in few digits."""
    return f"{name:g}" if isinstance(name, float) else str(name)


def count(n: int, noun: str) -> str:
    """Return a number with its noun, in the plural where there is not one."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def get_axes(ax: Axes | None, *, size: tuple[float, float]) -> Axes:
    """Return the given axes, or those of a new figure (size in inches)."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]


def get_polar_axes(ax: Axes | None, *, size: tuple[float, float]) -> PolarAxes:
    """Return the given polar axes, or those of a new figure (size in inches)."""
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
    """Return n colours from the palette, or from viridis if there are more."""
    if n_lines <= len(CONDITION_COLORS):
        return list(CONDITION_COLORS[:n_lines])
    import matplotlib as mpl

    return [tuple(color) for color in mpl.colormaps[SEQUENTIAL](np.linspace(0, 0.95, n_lines))]


def write_centered(ax: Axes, text: str) -> None:
    """Write in the middle of the axes why nothing is drawn."""
    ax.text(
        0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=INK,
        fontsize="small",
    )  # fmt: skip


def tidy(ax: Axes, *, title: str | None = None, is_marked: bool = False) -> Axes:
    """Remove the upper and right spines and set the title, above the bar of a marked stimulus."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize="small")
    if title:
        ax.set_title(title, loc="left", fontsize="medium", pad=11 if is_marked else 6)
    return ax


def mark_stimulus(
    ax: Axes, duration: float | None, *, is_on_colors: bool = False, color: str = "white"
) -> None:
    """Mark the stimulus, from 0 to its duration [s], by a bar above the axes.

    On a white background the interval is also shaded; on a heat map lines mark its ends.
    """
    from matplotlib.patches import Rectangle

    if duration is None:
        return
    if is_on_colors:
        for time in (0.0, duration):
            ax.axvline(time, color=color, linewidth=1.0, linestyle=(0, (4, 3)))
    else:
        ax.axvspan(0.0, duration, color="#f1efe9", linewidth=0, zorder=0)
    # x in seconds, y in fractions of the axes: the bar stays on the upper edge
    across = ax.get_xaxis_transform()
    bar = ax.plot(
        [0.0, duration], [1.012, 1.012],
        transform=across, color=STIMULUS_COLOR, linewidth=4.0, solid_capstyle="butt",
    )[0]  # fmt: skip
    # above the axes, but not beyond their sides
    bar.set_clip_path(Rectangle((0.0, 0.0), 1.0, 1.1, transform=ax.transAxes))


def draw_scale(ax: Axes, size: float, *, x: float) -> None:
    """Draw a vertical scale bar [µV] to the right of the axes."""
    across = ax.get_yaxis_transform()
    ax.plot(
        [x, x], [0.0, size], transform=across, color=INK, linewidth=2.0, solid_capstyle="butt",
        clip_on=False,
    )  # fmt: skip
    ax.annotate(
        f"{size:g} µV", (x, size / 2), xycoords=across, xytext=(4, 0), textcoords="offset points",
        va="center", fontsize="small", color=INK, annotation_clip=False,
    )  # fmt: skip


def add_legend(ax: Axes, **options: Any) -> None:  # noqa: ANN401 - of Axes.legend
    """Draw a legend to the right of the axes."""
    ax.legend(
        frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0), **options
    )


def add_colorbar(
    mappable: ScalarMappable,
    ax: Axes,
    label: str,
    *,
    is_cut: bool = False,
    is_cut_below: bool = False,
    pad: float = 0.02,
    cax: Axes | None = None,
) -> None:
    """Draw a slim colour bar, with a pointed end if values are off the scale."""
    figure = ax.get_figure()
    if figure is None:  # Axes that were removed from their figure
        return
    extend = ("both" if is_cut else "min") if is_cut_below else ("max" if is_cut else "neither")
    place: dict[str, Any] = {"ax": ax, "pad": pad, "fraction": 0.05, "aspect": 30}
    bar = figure.colorbar(mappable, extend=extend, **(place if cax is None else {"cax": cax}))
    bar.set_label(label, fontsize="small")
    bar.ax.tick_params(labelsize="small")
