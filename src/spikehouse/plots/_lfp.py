"""Figures of the local field potential and its current source density."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import align
from spikehouse.plots._axes import (
    DIVERGING,
    INK,
    NO_VALUE_COLOR,
    add_colorbar,
    count,
    draw_scale,
    get_axes,
    mark_stimulus,
    short,
    tidy,
)
from spikehouse.plots._grid import (
    TIP_LABEL,
    edges_around,
    find_known,
    find_time,
    largest_size,
    look_up,
    select_dims,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.float64]

ONSET_LABEL = "time from stimulus onset (s)"
LFP_LABEL = "local field potential (µV)"
MAX_DRAWN_VALUES = 20_000_000
MAX_TRACE_TICKS = 12
MAX_TIME_TICKS = 5
MICROVOLTS = 1e6


def plot_lfp_heatmap(
    lfp: xr.DataArray,
    *,
    depths: pd.Series | None = None,
    stimulus_duration: float | None = None,
    reach: float | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the local field potential as a heat map, channels by time.

    Parameters
    ----------
    lfp
        Potential [V], dims ``channel`` and time [s]: a part of ``session.get_lfp(probe_id)``, or
        the mean over windows of :func:`spikehouse.lfp.align_lfp`.
    depths
        Position of each channel along the probe [µm from the tip], all different; index:
        channels. Default: channels in the given order, the first at the bottom.
    stimulus_duration
        Duration of the stimulus [s], if times are relative to its onset; marked above the axes.
    reach
        Potential at both ends of the colours [µV]; default: the 99.5th percentile of the absolute
        values.
    ax, title
        Axes to draw on (None makes a new figure), and their title.

    Returns
    -------
    Axes
        Heat map with the tip of the probe at the bottom; white is 0 µV, grey is NaN. The rows of
        neighbours fill the gap of a missing channel.
    """
    dim = find_time(lfp, name="lfp")
    potential = _load(lfp, ("channel", dim), name="lfp")
    values, edges, heights = _sort_channels(potential, depths)
    _check_reach(reach)
    top = reach or largest_size(values, name="lfp", quantile=0.995)
    times = edges_around(potential[dim].to_numpy(), name=dim)
    ax = get_axes(ax, size=(7.0, 4.6))
    _draw_map(ax, times, edges, values, top, LFP_LABEL)
    # dark lines, because white ones are invisible on a map that is white at zero
    mark_stimulus(ax, stimulus_duration, is_on_colors=True, color=INK)
    if heights is None:
        _tick_channels(ax, potential["channel"].to_numpy(), 1.0)
    _label_axes(ax, dim, TIP_LABEL if heights is not None else count(len(values), "channel"))
    return tidy(ax, title=title, is_marked=stimulus_duration is not None)


def plot_lfp_traces(
    lfp: xr.DataArray,
    *,
    depths: pd.Series | None = None,
    stimulus_duration: float | None = None,
    spacing: float | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the local field potential as lines, one per channel.

    Parameters
    ----------
    lfp, depths, stimulus_duration
        As for :func:`plot_lfp_heatmap`. Select at most about 30 channels, or lines overlap; they
        are in the order of the depths, equally spaced.
    spacing
        Distance between lines [µV]; default: twice the 99th percentile of the absolute deviations
        from each channel's mean.
    ax, title
        Axes to draw on (None makes a new figure), and their title.

    Returns
    -------
    Axes
        Lines with the tip of the probe at the bottom, and a scale bar [µV]; NaN leaves gaps.

    Notes
    -----
    The mean of each channel is subtracted, so constant offsets are not visible.
    """
    dim = find_time(lfp, name="lfp")
    potential = _load(lfp, ("channel", dim), name="lfp")
    values, _, heights = _sort_channels(potential, depths)
    _check_reach(spacing, name="spacing")
    known = np.isfinite(values)
    counts = np.maximum(known.sum(axis=1, keepdims=True), 1)
    values = values - np.where(known, values, 0.0).sum(axis=1, keepdims=True) / counts
    distance = spacing
    if distance is None:
        size = 2 * largest_size(values, name="lfp", quantile=0.99)
        decade = 10.0 ** np.floor(np.log10(size))
        distance = float(np.ceil(size / decade) * decade)
    ax = get_axes(ax, size=(7.0, 4.6))
    times = potential[dim].to_numpy()
    for number, row in enumerate(values):
        ax.plot(times, number * distance + row, color=INK, linewidth=0.7)
    mark_stimulus(ax, stimulus_duration)
    ax.set_xlim(times[0], times[-1] if len(times) > 1 else times[0] + 1.0)
    names: npt.NDArray[Any] = potential["channel"].to_numpy() if heights is None else heights
    _tick_channels(ax, names, distance)
    _label_axes(ax, dim, TIP_LABEL if heights is not None else count(len(values), "channel"))
    draw_scale(ax, distance, x=1.02)
    return tidy(ax, title=title, is_marked=stimulus_duration is not None)


def plot_csd(
    csd: xr.DataArray,
    *,
    depths: npt.ArrayLike | None = None,
    density_unit: str | None = None,
    stimulus_duration: float | None = None,
    reach: float | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw a current source density, depth by time.

    Parameters
    ----------
    csd
        Current source density, dims time [s from stimulus onset] and virtual channels, with the
        coordinate ``vertical_position`` [µm from the tip]:
        ``session.get_current_source_density(probe_id)``. Negative values are sinks: current that
        flows from the extracellular space into cells.
    depths
        Position of each virtual channel along the probe [µm from the tip], all different; replaces
        the coordinate.
    density_unit
        Unit of ``csd``, such as ``"V/cm²"``; default: ``csd.attrs["units"]``.
    stimulus_duration
        Duration of the stimulus [s]; marked above the axes.
    reach
        Density at both ends of the colours; default: the 99.5th percentile of the absolute values.
    ax, title
        Axes to draw on (None makes a new figure), and their title.

    Returns
    -------
    Axes
        Heat map with the tip of the probe at the bottom; sinks are blue, sources red, 0 is white,
        NaN grey.
    """
    dim = find_time(csd, name="csd")
    others = [str(name) for name in csd.dims if name != dim]
    if len(others) != 1:
        raise InvalidArgumentError(
            f"csd has the dimensions {tuple(csd.dims)}; needed: one of virtual channels and {dim!r}"
        )
    density = _load(csd, (others[0], dim), name="csd", scale=1.0)
    measured_in = density_unit or csd.attrs.get("units")
    if not measured_in:
        raise InvalidArgumentError("csd has no attribute 'units'; add density_unit='V/cm²'")
    _check_reach(reach)
    heights = _csd_depths(density, others[0], depths)
    order = np.argsort(heights, kind="stable")
    values = density.to_numpy()[order]
    edges = edges_around(heights[order], name="the depths of csd")
    times = edges_around(density[dim].to_numpy(), name=dim)
    top = reach or largest_size(values, name="csd", quantile=0.995)
    ax = get_axes(ax, size=(7.0, 4.6))
    label = f"sink  ←  current source density ({measured_in})  →  source"
    _draw_map(ax, times, edges, values, top, label)
    mark_stimulus(ax, stimulus_duration, is_on_colors=True, color=INK)
    _label_axes(ax, dim, TIP_LABEL)
    ax.set_xlabel(ONSET_LABEL)
    return tidy(ax, title=title, is_marked=stimulus_duration is not None)


def _load(
    array: xr.DataArray, dims: tuple[str, str], *, name: str, scale: float = MICROVOLTS
) -> xr.DataArray:
    if array.size > MAX_DRAWN_VALUES:
        raise InvalidArgumentError(
            f"{name} has {array.size:,} values; the limit of a figure is {MAX_DRAWN_VALUES:,}. "
            f"Select a time window first: {name}.sel({dims[1]}=slice(100, 101))"
        )
    loaded = select_dims(array, dims, name=name).astype(np.float64) * scale
    find_known(loaded.to_numpy(), name=name)
    return loaded


def _sort_channels(
    potential: xr.DataArray, depths: pd.Series | None
) -> tuple[Floats, Floats, Floats | None]:
    """Return the rows from the tip up, the edges between them, and their depths if known."""
    values = potential.to_numpy()
    if depths is None:
        edges: Floats = np.arange(len(values) + 1, dtype=np.float64) - 0.5
        return values, edges, None
    heights = look_up(potential["channel"].to_numpy(), depths, name="depths")
    order = np.argsort(heights, kind="stable")
    heights = heights[order]
    return values[order], edges_around(heights, name="depths, in order,"), heights


def _csd_depths(density: xr.DataArray, dim: str, depths: npt.ArrayLike | None) -> Floats:
    if depths is None:
        if "vertical_position" not in density.coords:
            raise InvalidArgumentError(
                "csd has no coordinate 'vertical_position'; add depths=… [µm from the tip], one "
                f"for each of its {density.sizes[dim]} virtual channels"
            )
        depths = density["vertical_position"].to_numpy()
    _, depths = align(csd=density, depths=depths)
    heights = np.asarray(depths, dtype=np.float64)
    if heights.shape != (density.sizes[dim],):
        raise InvalidArgumentError(
            f"depths has the shape {heights.shape}; csd has {density.sizes[dim]} virtual channels"
        )
    return heights


def _check_reach(reach: float | None, *, name: str = "reach") -> None:
    if reach is not None and not (np.isfinite(reach) and reach > 0):
        raise InvalidArgumentError(f"{name} must be a number above 0, not {reach}")


def _draw_map(
    ax: Axes, times: Floats, edges: Floats, values: Floats, top: float, label: str
) -> None:
    mesh = ax.pcolormesh(times, edges, values, cmap=DIVERGING, vmin=-top, vmax=top, rasterized=True)
    ax.set_facecolor(NO_VALUE_COLOR)
    known = values[np.isfinite(values)]
    add_colorbar(
        mesh, ax, label, is_cut=bool(known.max() > top), is_cut_below=bool(known.min() < -top)
    )
    ax.set_xlim(times[0], times[-1])
    ax.set_ylim(edges[0], edges[-1])


def _tick_channels(ax: Axes, names: npt.NDArray[Any], step: float) -> None:
    every = -(-len(names) // MAX_TRACE_TICKS)
    at = np.arange(0, len(names), every)
    ax.set_yticks(at * step, [short(names[row]) for row in at])


def _label_axes(ax: Axes, dim: str, label: str) -> None:
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    # without an offset ("1288.5", not "+1.288e3"); labels are long, so there are few ticks
    ax.xaxis.set_major_formatter(ScalarFormatter(useOffset=False))
    ax.xaxis.set_major_locator(MaxNLocator(MAX_TIME_TICKS))
    ax.set_xlabel("time (s)" if dim == "time" else ONSET_LABEL)
    ax.set_ylabel(label)
