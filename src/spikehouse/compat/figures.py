"""The figures of a session in AllenSDK's notebooks.

Names and arguments are AllenSDK's. Unlike those of `spikehouse.plots`, these functions make a new
figure and return it, as the notebooks expect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError, NotFoundError, describe_choices, guard_public
from spikehouse.labelled import Ids, align, rows_first, to_ids
from spikehouse.plots._axes import CONDITION_COLORS, SEQUENTIAL, add_colorbar, line_colors, tidy
from spikehouse.plots._grid import edges_around
from spikehouse.plots._waveforms import VOLTAGE_LABEL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

__all__ = ["plot_mean_waveforms", "plot_running_speed", "plot_spike_counts", "raster_plot"]

MAX_NAMED_UNITS = 20
MAX_TICKED_UNITS = 40


def plot_mean_waveforms(
    mean_waveforms: Mapping[int, xr.DataArray],
    unit_ids: Ids,
    peak_channels: Mapping[int, int] | pd.Series,
) -> Figure:
    """Draw the mean waveform [µV] of units, each on its peak channel."""
    units = to_ids(unit_ids, "unit_id").tolist()
    if not units:
        raise InvalidArgumentError("unit_ids is empty; at least one unit is needed")
    figure, ax = _new_figure((7.0, 5.0))
    colors = line_colors(len(units))
    for unit, color in zip(units, colors, strict=True):
        waveform = _on_peak_channel(mean_waveforms[unit], unit, peak_channels)
        time_ms = 1000 * waveform["time"].to_numpy()
        ax.plot(time_ms, waveform.to_numpy(), color=color, linewidth=1.4, label=str(unit))
    ax.axhline(0.0, color="#bbbbbb", linewidth=0.6, zorder=0)
    ax.set_xlabel("time (ms)")
    ax.set_ylabel(VOLTAGE_LABEL)
    if len(units) <= MAX_NAMED_UNITS:
        ax.legend(title="unit", frameon=False, fontsize="small", title_fontsize="small")
    noun = "unit" if len(units) == 1 else "units"
    tidy(ax, title=f"mean waveform on the peak channel, {len(units)} {noun}")
    return figure


def plot_spike_counts(
    data_array: xr.DataArray | npt.NDArray[Any],
    time_coords: npt.ArrayLike,
    cbar_label: str,
    title: str,
    xlabel: str = "time relative to stimulus onset (s)",
    ylabel: str = "unit",
    xtick_step: int = 20,
) -> Figure:
    """Draw spike counts (bins, units) as a heat map."""
    data_array, time_coords = align(data_array=rows_first(data_array), time_coords=time_coords)
    values = np.asarray(data_array)
    times = np.asarray(time_coords, dtype=np.float64)
    edges = edges_around(times, name="time_coords")
    if values.ndim != 2 or values.shape[0] != times.size or values.shape[1] == 0:
        raise InvalidArgumentError(
            f"data_array must be bins × units, at least one unit, with {times.size} bins as in "
            f"time_coords; it has the shape {values.shape}"
        )
    if xtick_step < 1:
        raise InvalidArgumentError(f"xtick_step must be 1 or more, not {xtick_step}")
    figure, ax = _new_figure((8.0, 7.0))
    n_units = values.shape[1]
    mesh = ax.pcolormesh(edges, np.arange(n_units + 1), values.T, cmap=SEQUENTIAL, rasterized=True)
    add_colorbar(mesh, ax, cbar_label)
    ax.invert_yaxis()
    ax.set_yticks([])
    ticks = times[::xtick_step]
    ax.set_xticks(ticks, [f"{time:.3f}" for time in ticks], rotation=45)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(f"{ylabel} ({n_units})")
    tidy(ax, title=title)
    return figure


def raster_plot(
    spike_times: pd.DataFrame,
    figsize: tuple[float, float] = (8, 8),
    cmap: Colormap | str = "tab20",
    title: str = "spike raster",
    cycle_colors: bool = False,
) -> Figure:
    """Draw every spike as a tick, one row per unit."""
    if "unit_id" not in spike_times.columns:
        raise InvalidArgumentError(
            f"spike_times has no column 'unit_id'; it has "
            f"{', '.join(map(repr, spike_times.columns)) or 'none'}"
        )
    units, rows = np.unique(spike_times["unit_id"].to_numpy(), return_inverse=True)
    figure, ax = _new_figure(figsize)
    colors = _map_colors(cmap, len(units), is_cycled=cycle_colors)
    times = spike_times.index.to_numpy(dtype=np.float64)
    for row in range(len(units)):
        # one collection per unit, so that a colour is stored once, not for every spike
        ax.vlines(times[rows == row], row - 0.45, row + 0.45, colors=colors[row], linewidth=0.8)
    ax.set_ylim(-0.5, max(len(units), 1) - 0.5)
    ax.margins(x=0.01)
    is_ticked = 0 < len(units) <= MAX_TICKED_UNITS
    ax.set_yticks(np.arange(len(units)) if is_ticked else [])
    if is_ticked:
        ax.set_yticklabels([str(unit) for unit in units])
    ax.ticklabel_format(axis="x", useOffset=False)  # times of the session, not from its "+1.288e3"
    ax.set_xlabel("time (s)")
    ax.set_ylabel(f"unit ({len(units)})")
    tidy(ax, title=title)
    return figure


def plot_running_speed(
    timestamps: npt.ArrayLike,
    values: npt.ArrayLike,
    start_index: int = 0,
    stop_index: int | None = None,
    step: int = 1,
    ylabel: str = "running speed (cm/s)",
    xlabel: str = "time (s)",
    title: str | None = None,
) -> Figure:
    """Draw the running speed [cm/s] over time [s]."""
    times, speeds = map(np.asarray, align(timestamps=timestamps, values=values))
    if times.shape != speeds.shape or times.ndim != 1:
        raise InvalidArgumentError(
            f"timestamps and values must be equally long, in one dimension; their shapes are "
            f"{times.shape} and {speeds.shape}"
        )
    shown = slice(start_index, stop_index, step)
    figure, ax = _new_figure((8.0, 3.0))
    ax.plot(times[shown], speeds[shown], color=CONDITION_COLORS[0], linewidth=0.8)
    ax.axhline(0.0, color="#bbbbbb", linewidth=0.6, zorder=0)
    ax.margins(x=0.01)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    tidy(ax, title=title)
    return figure


def _new_figure(size: tuple[float, float]) -> tuple[Figure, Axes]:
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")


def _on_peak_channel(
    waveform: xr.DataArray, unit: int, peak_channels: Mapping[int, int] | pd.Series
) -> xr.DataArray:
    if unit not in peak_channels:  # of a Series, too, `in` asks the index
        known = list(peak_channels.keys())
        raise NotFoundError(
            f"peak_channels has no channel for unit {unit}: {describe_choices(unit, known)}"
        )
    channel = peak_channels[unit]
    channels = waveform["channel_id"].to_numpy()
    if channel not in channels:
        raise NotFoundError(
            f"the mean waveform of unit {unit} has no channel {channel}: "
            f"{describe_choices(channel, channels.tolist())}"
        )
    return waveform.sel(channel_id=channel)


def _map_colors(cmap: Colormap | str, n_rows: int, *, is_cycled: bool) -> npt.NDArray[Any]:
    import matplotlib as mpl

    colors = mpl.colormaps[cmap] if isinstance(cmap, str) else cmap
    if is_cycled:
        return np.asarray(colors(np.arange(n_rows) % colors.N))
    # seeded, so that the same table gives the same figure
    return np.asarray(colors(np.random.default_rng(0).integers(colors.N, size=n_rows)))


guard_public(globals())
