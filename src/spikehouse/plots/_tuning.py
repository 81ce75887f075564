"""Figures of tuning: curves over a parameter, and star plots of gratings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError, describe_choices
from spikehouse.labelled import align
from spikehouse.plots._axes import (
    INK,
    LINE_MARKERS,
    NO_VALUE_COLOR,
    SEQUENTIAL,
    add_colorbar,
    add_legend,
    get_axes,
    get_polar_axes,
    line_colors,
    null_as_nan,
    short,
    tidy,
)
from spikehouse.plots._grid import find_known, select_dims

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.projections.polar import PolarAxes

Scale = Literal["linear", "log", "even"]
SCALES = ("linear", "log", "even")
MAX_VALUE_TICKS = 12
RATE_LABEL = "firing rate (spikes/s)"
CAPTIONS = {
    "temporal_frequency": "temporal frequency (Hz)",
    "spatial_frequency": "spatial frequency (cycles/°)",
    "phase": "phase (cycles)",
    "contrast": "contrast",
    "speed": "speed",
}


def plot_tuning_curve(
    responses: npt.ArrayLike,
    values: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    value_label: str = "orientation (°)",
    response_label: str = RATE_LABEL,
    group_label: str = "",
    scale: Scale = "linear",
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the mean response of one unit against a parameter of the stimulus.

    Parameters
    ----------
    responses
        Response in each presentation, such as the firing rate [spikes/s], shape
        (n_presentations,). NaN is left out.
    values
        Stimulus parameter in each presentation, shape (n_presentations,); NaN is a blank sweep.
    groups
        Second parameter of the stimulus, or state of the animal, shape (n_presentations,), one line
        for each value. Presentations with NaN are left out, except blank sweeps if they are the
        only ones, as with a parameter of the stimulus.
    value_label, response_label, group_label
        Labels of the parameter, the response and the second parameter, with their units.
    scale
        Scale of the x axis: ``"linear"``, ``"log"``, or ``"even"`` for equally spaced values.
    ax, title
        Axes to draw on (None makes a new figure), and their title.

    Returns
    -------
    Axes
        Means over presentations with bars of ± one standard error (none for a single
        presentation). A dashed line and its band show the blank sweeps; in its colour for each
        group that has some.
    """
    if scale not in SCALES:
        raise InvalidArgumentError(f"scale={scale!r}: {describe_choices(scale, SCALES)}")
    table = _as_table(responses, values, groups)
    shown = table.dropna(subset=["response", "value", "group"])
    if shown.empty:
        raise InvalidArgumentError(
            f"there is no response to draw: of {len(table)} presentations "
            f"{int(table['value'].isna().sum())} are blank sweeps (values is NaN)"
        )
    places = np.unique(shown["value"])
    if scale == "log" and places[0] <= 0:
        raise InvalidArgumentError(f"scale='log' needs values above 0, not {places[0]:g}")
    ax = get_axes(ax, size=(5.0, 3.4))
    lines = list(shown.groupby("group"))
    has_legend = len(lines) > 1
    is_blank = table["value"].isna()
    blanks = table[is_blank].dropna(subset="response")
    for number, (color, (name, part)) in enumerate(
        zip(line_colors(len(lines)), lines, strict=True)
    ):
        by_value = part.groupby("value")["response"]
        mean = by_value.mean()
        # the error of a single presentation is NaN
        error: pd.Series[float] = by_value.std() / np.sqrt(by_value.size())
        x = np.searchsorted(places, mean.index) if scale == "even" else mean.index.to_numpy()
        marker = LINE_MARKERS[number % len(LINE_MARKERS)]
        ax.errorbar(
            x, mean.to_numpy(), yerr=error.to_numpy(), label=short(name),
            color=color, marker=marker, markersize=4.5, linewidth=1.3, elinewidth=1.0, capsize=2.0,
        )  # fmt: skip
        of_group = blanks.loc[blanks["group"] == name, "response"]
        _draw_blank(ax, of_group, color, label=f"{short(name)}, blank" if has_legend else None)
    if table["group"].isna().equals(is_blank):
        _draw_blank(ax, blanks["response"], INK, label="blank" if has_legend else None)
    _set_value_ticks(ax, places, scale)
    # rates are shown from zero
    ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]) if shown["response"].min() < 0 else 0.0)
    ax.set_xlabel(value_label)
    ax.set_ylabel(f"{response_label}\nmean ± SEM")
    if has_legend:
        add_legend(ax, title=group_label or None, title_fontsize="small")
    return tidy(ax, title=title)


def plot_star(
    means: xr.DataArray,
    *,
    rings: str = "temporal_frequency",
    blank: float | None = None,
    period: float = 360.0,
    response_label: str = RATE_LABEL,
    ax: Axes | None = None,
    title: str | None = None,
) -> PolarAxes:
    """Draw the mean responses of one unit to gratings as a star.

    Parameters
    ----------
    means
        Mean response to each grating, dims ``orientation`` [°] and the one named by ``rings``; NaN
        if a grating was not shown. From presentations: ``rates.groupby([table.orientation,
        table.temporal_frequency]).mean().to_xarray()``.
    rings
        Parameter that increases outwards, such as ``"temporal_frequency"`` [Hz] or
        ``"spatial_frequency"`` [cycles/°]. All rings have the same width.
    blank
        Mean response to blank sweeps, the colour of the disc in the middle.
    period
        Period of the orientation [°]: 360 for drifting gratings, 180 for static ones (each is drawn
        twice).
    response_label
        Label of the colour bar, with the unit of the response.
    ax, title
        Polar axes to draw on (None makes a new figure), and their title.

    Returns
    -------
    PolarAxes
        One wedge per grating, with the orientation anticlockwise from the right; grey is NaN.

    Notes
    -----
    Angles are the values of the stimulus table, not the direction of movement on the screen.
    """
    import matplotlib as mpl
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    grid = select_dims(means, ("orientation", rings), name="means")
    angles, width = _wedges(grid["orientation"].to_numpy(), period)
    values = grid.to_numpy().astype(np.float64)
    known = find_known(values, name="means")
    given = known if blank is None else np.append(known, blank)
    norm = Normalize(min(0.0, float(np.nanmin(given))), float(np.nanmax(given)) or 1.0)
    polar = get_polar_axes(ax, size=(5.4, 4.6))
    cmap = mpl.colormaps[SEQUENTIAL].with_extremes(bad=NO_VALUE_COLOR)
    colors = ScalarMappable(norm=norm, cmap=cmap)
    for angle, row in zip(angles, values, strict=True):
        for turn in range(round(360 / period)):
            at = np.full(row.size, angle + np.deg2rad(period * turn))
            polar.bar(
                at, np.ones(row.size), width=width, bottom=1.0 + np.arange(row.size),
                color=_colors_of(colors, row), edgecolor="white", linewidth=0.8,
            )  # fmt: skip
    if blank is not None:
        polar.bar(
            [0.0], [0.9], width=2 * np.pi, color=_colors_of(colors, np.array([blank])), linewidth=0
        )
        polar.text(
            0, 0, "blank", ha="center", va="center", fontsize="x-small",
            color="black" if norm(blank) > 0.5 else "white",
        )  # fmt: skip
    _label_star(polar, grid[rings].to_numpy(), angles, period)
    add_colorbar(colors, polar, response_label, pad=0.1)
    caption = f"rings from inside: {CAPTIONS.get(rings, rings)}"
    polar.set_xlabel(f"{caption}\n" + ", ".join(f"{ring:g}" for ring in grid[rings].to_numpy()))
    if title:
        polar.set_title(title, loc="left", fontsize="medium", pad=14)
    return polar


def _as_table(
    responses: npt.ArrayLike, values: npt.ArrayLike, groups: npt.ArrayLike | None
) -> pd.DataFrame:
    responses, values, groups = align(responses=responses, values=values, groups=groups)
    columns: dict[str, npt.NDArray[Any]] = {
        "response": np.asarray(responses, dtype=np.float64),
        "value": null_as_nan(values).astype(np.float64),
    }
    # blank sweeps have no second parameter
    columns["group"] = 0 * columns["value"] if groups is None else null_as_nan(groups)
    shapes = [column.shape for column in columns.values()]
    if len(set(shapes)) > 1 or columns["value"].ndim != 1:
        names = "responses, values" + ("" if groups is None else " and groups")
        raise InvalidArgumentError(
            f"{names} must have the same length, one entry per presentation; their shapes are "
            f"{', '.join(str(shape) for shape in shapes[: 2 if groups is None else 3])}"
        )
    return pd.DataFrame(columns)


def _draw_blank(
    ax: Axes,
    responses: pd.Series,
    color: Any,  # noqa: ANN401 - of matplotlib
    *,
    label: str | None,
) -> None:
    """Draw a line, named beside it if there is no label for the legend."""
    if responses.empty:
        return
    mean = float(responses.mean())
    if len(responses) > 1:
        error = float(responses.std() / np.sqrt(len(responses)))
        ax.axhspan(mean - error, mean + error, color=color, alpha=0.15, linewidth=0, zorder=0)
    style = (0, (4, 3))
    ax.axhline(mean, color=color, linewidth=1.0, linestyle=style, zorder=1, label=label or "blank")
    if label is None:
        ax.annotate(
            "blank", (1.0, mean), xycoords=("axes fraction", "data"), xytext=(4, 0),
            textcoords="offset points", va="center", fontsize="small", color=INK,
            annotation_clip=False,
        )  # fmt: skip


def _set_value_ticks(ax: Axes, places: npt.NDArray[np.float64], scale: str) -> None:
    if scale == "log":
        ax.set_xscale("log")
        ax.minorticks_off()
    every = -(-len(places) // MAX_VALUE_TICKS)
    at = (np.arange(len(places)) if scale == "even" else places)[::every]
    ax.set_xticks(at, [f"{value:g}" for value in places[::every]])


def _wedges(orientations: npt.NDArray[Any], period: float) -> tuple[npt.NDArray[np.float64], float]:
    """Return the angle of each wedge and their common width [rad], the smallest distance."""
    if period not in (180, 360):
        raise InvalidArgumentError(f"period must be 360 or 180 (degrees), not {period:g}")
    degrees = orientations.astype(np.float64)
    around = np.sort(degrees % period)
    gaps = np.diff(np.append(around, around[0] + period))
    if gaps.min() <= 0:
        raise InvalidArgumentError(
            f"two orientations are equal modulo {period:g}°: "
            f"{', '.join(f'{value:g}' for value in degrees)}"
        )
    return np.deg2rad(degrees), float(np.deg2rad(gaps.min()))


def _colors_of(colors: Any, row: npt.NDArray[np.float64]) -> Any:  # noqa: ANN401 - RGBA rows
    return colors.to_rgba(np.ma.masked_invalid(row))


def _label_star(
    polar: PolarAxes, rings: npt.NDArray[Any], angles: npt.NDArray[np.float64], period: float
) -> None:
    turns = np.concatenate([angles + np.deg2rad(period * k) for k in range(round(360 / period))])
    degrees = np.rad2deg(np.sort(turns))
    polar.set_thetagrids(degrees.tolist(), [f"{degree % period:g}°" for degree in degrees])
    polar.set_rgrids([])
    polar.set_ylim(0, 1.0 + len(rings))
    polar.set_xlim(0, 2 * np.pi)
    polar.grid(visible=False)
    polar.spines["polar"].set_visible(False)
    polar.tick_params(labelsize="small")
