"""Figures of receptive fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import align
from spikehouse.plots._axes import NO_VALUE_COLOR, SEQUENTIAL, add_colorbar, get_axes, tidy
from spikehouse.plots._grid import edges_around, find_known, select_dims

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_DEGREE_TICKS = 9
PLACE = ("elevation", "azimuth")


def plot_receptive_field(
    receptive_field: xr.DataArray,
    *,
    mask: npt.ArrayLike | None = None,
    center: tuple[float, float] | None = None,
    widths: tuple[float, float] | None = None,
    angle: float = 0.0,
    response_label: str = "spikes per presentation",
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the receptive field of one unit.

    Parameters
    ----------
    receptive_field
        Response at each position, dims ``(elevation, azimuth)`` with coordinates in degrees,
        increasing or decreasing; or other dimensions with these coordinates, as returned by
        ``analysis.compute_receptive_field_maps``. The centre of the screen is at azimuth 50° and
        elevation 10°, as for the metrics azimuth_rf and elevation_rf. Select one unit with
        ``.sel(unit_id=…)``.
    mask
        Mask of the receptive field, elevation × azimuth; it is outlined.
    center
        Azimuth and elevation of the centre [°], marked by a cross.
    widths
        Semi-axes along azimuth and elevation of an ellipse around ``center`` [°], such as the
        standard deviations of a fit.
    angle
        Anticlockwise rotation of the ellipse [°].
    response_label
        Label of the colour bar, with the unit of the response.
    ax, title
        Axes to draw on (None makes a new figure), and their title.

    Returns
    -------
    Axes
        Heat map with azimuth to the right and elevation upwards, at equal scale. Colours start at
        0; grey is NaN.
    """
    field = select_dims(_in_degrees(receptive_field), PLACE, name="receptive_field")
    mask = _in_degrees(mask) if isinstance(mask, xr.DataArray) else mask
    field, mask = align(receptive_field=field, mask=mask)
    inside = None if mask is None else np.asarray(mask, dtype=bool)
    if inside is not None and inside.shape != field.shape:
        raise InvalidArgumentError(
            f"mask has the shape {inside.shape}; receptive_field has {field.shape} "
            "(elevation × azimuth)"
        )
    # many maps have their rows from the top of the screen down
    goes_down = [field.sizes[name] > 1 and field[name][0] > field[name][-1] for name in PLACE]
    turned = tuple(slice(None, None, -1 if is_down else 1) for is_down in goes_down)
    field, inside = field[turned], None if inside is None else inside[turned]
    values = field.to_numpy().astype(np.float64)
    find_known(values, name="receptive_field")
    azimuth = edges_around(field["azimuth"].to_numpy(), name="azimuth")
    elevation = edges_around(field["elevation"].to_numpy(), name="elevation")
    if widths is not None and center is None:
        raise InvalidArgumentError("widths needs a center, such as center=(0.0, 0.0)")
    ax = get_axes(ax, size=(4.8, 4.0))
    bottom, top = min(0.0, float(np.nanmin(values))), float(np.nanmax(values))
    mesh = ax.pcolormesh(
        azimuth, elevation, values, cmap=SEQUENTIAL, vmin=bottom, vmax=top if top > bottom else 1.0
    )
    ax.set_facecolor(NO_VALUE_COLOR)
    add_colorbar(mesh, ax, response_label)
    if inside is not None:
        _outline(ax, inside, azimuth, elevation)
    if center is not None:
        _draw_fit(ax, center, widths, angle)
    ax.set_aspect("equal")
    ax.set_xlim(azimuth[0], azimuth[-1])
    ax.set_ylim(elevation[0], elevation[-1])
    for axis, name in ((ax.yaxis, "elevation"), (ax.xaxis, "azimuth")):
        degrees = field[name].to_numpy()
        axis.set_ticks(degrees[:: -(-len(degrees) // MAX_DEGREE_TICKS)])
        axis.set_label_text(f"{name} (°)")
    return tidy(ax, title=title)


def _in_degrees(receptive_field: xr.DataArray) -> xr.DataArray:
    """Make elevation and azimuth dimensions if they are coordinates of others."""
    coords = getattr(receptive_field, "coords", {})
    along = {
        coords[name].dims[0]: name
        for name in PLACE
        if name in coords and coords[name].ndim == 1 and coords[name].dims != (name,)
    }
    return receptive_field.swap_dims(along) if along else receptive_field


def _outline(
    ax: Axes,
    inside: npt.NDArray[np.bool_],
    azimuth: npt.NDArray[np.float64],
    elevation: npt.NDArray[np.float64],
) -> None:
    """Draw the outline of the mask along the edges of the cells."""
    padded = np.pad(inside, 1)
    rows, columns = np.nonzero(padded[1:-1, 1:] != padded[1:-1, :-1])
    upright = [
        [(azimuth[c], elevation[r]), (azimuth[c], elevation[r + 1])]
        for r, c in zip(rows, columns, strict=True)
    ]
    rows, columns = np.nonzero(padded[1:, 1:-1] != padded[:-1, 1:-1])
    level = [
        [(azimuth[c], elevation[r]), (azimuth[c + 1], elevation[r])]
        for r, c in zip(rows, columns, strict=True)
    ]
    from matplotlib.collections import LineCollection

    # black and white, so that it is visible on dark and bright colours
    for color, width in (("black", 3.2), ("white", 1.6)):
        ax.add_collection(
            LineCollection(upright + level, colors=color, linewidths=width, capstyle="projecting")
        )


def _draw_fit(
    ax: Axes, center: tuple[float, float], widths: tuple[float, float] | None, angle: float
) -> None:
    for color, width in (("black", 3.4), ("white", 1.6)):
        ax.plot(*center, "+", color=color, markersize=11, markeredgewidth=width)
    if widths is None:
        return
    from matplotlib.patches import Ellipse

    for color, width in (("black", 2.6), ("white", 1.4)):
        ax.add_patch(
            Ellipse(
                center, 2 * widths[0], 2 * widths[1], angle=angle, fill=False, edgecolor=color,
                linewidth=width, linestyle=(0, (5, 2)),
            )
        )  # fmt: skip
