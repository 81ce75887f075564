"""Figures of waveforms: of one unit along the probe, and the durations of many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.analysis import classify_waveforms
from spikehouse.errors import InvalidArgumentError, describe_choices
from spikehouse.plots._axes import (
    CONDITION_COLORS,
    DIVERGING,
    INK,
    NO_VALUE_COLOR,
    add_colorbar,
    count,
    draw_scale,
    get_axes,
    tidy,
)
from spikehouse.plots._grid import (
    TIP_LABEL,
    edges_around,
    find_known,
    largest_size,
    look_up,
    select_dims,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VOLTAGE_LABEL = "voltage (µV)"
MAX_CHANNEL_TICKS = 12
MAX_BINS = 2000
TIME_MS_LABEL = "time (ms)"
# durations in the survey's files are multiples of this [ms]
DURATION_STEP = 82 / 30 / 199


def plot_waveform_classes(
    units: pd.DataFrame,
    *,
    threshold: float = 0.4,
    bin_width: float = 2 * DURATION_STEP,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw how many units have which duration of their waveform, and their classes.

    Parameters
    ----------
    units
        Index unit_id; column waveform_duration [ms]. Missing ones are left out.
    threshold
        Units with a shorter waveform are fast-spiking [ms].
    bin_width
        Width of the bins [ms]. The default is two steps of the durations in the survey's files;
        other widths make some bins too high.
    ax, title
        Axes to draw on (None makes a new figure), and their title.

    Returns
    -------
    Axes
        A histogram with the threshold as a dashed line, and the number of units in its legend.
    """
    classes = classify_waveforms(units, threshold=threshold)
    durations = pd.to_numeric(units["waveform_duration"])
    longest = float(durations.max()) if durations.notna().any() else threshold
    if not bin_width > 0 or longest / bin_width > MAX_BINS:
        raise InvalidArgumentError(
            f"bin_width={bin_width:g} ms for durations up to {longest:g} ms; valid: above 0, and "
            f"{MAX_BINS} bins at most"
        )
    ax = get_axes(ax, size=(5.2, 3.2))
    # edges between the steps
    edges = np.arange(-DURATION_STEP / 2, longest + bin_width, bin_width)
    names = ("fast-spiking", "regular-spiking")
    groups = [durations[(classes == name).to_numpy()] for name in names]
    n = max(sum(map(len, groups)), 1)
    ax.hist(
        groups, edges.tolist(), stacked=True, color=[CONDITION_COLORS[1], CONDITION_COLORS[0]],
        label=[f"{name} (n = {len(group)}, {len(group) / n:.0%})"
               for name, group in zip(names, groups, strict=True)],
    )  # fmt: skip
    # the legend is above what is drawn
    ax.axvline(threshold, 0, 0.76, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
    ax.set_ylim(0, ax.get_ylim()[1] / 0.76)
    ax.set_xlim(left=0)
    ax.set_xlabel("time from trough to peak (ms)")
    ax.set_ylabel("number of units")
    ax.legend(frameon=False, fontsize="small", loc="upper right")
    return tidy(ax, title=title)


def plot_waveform_lines(
    waveform: xr.DataArray,
    *,
    depths: pd.Series | None = None,
    peak_channel: int | None = None,
    n_channels: int = 12,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the mean waveform of one unit as lines, for the channels around its peak channel.

    Parameters
    ----------
    waveform
        Mean waveform [µV], dims ``(channel_id, time)``, time in s: a value of
        ``session.mean_waveforms``.
    depths
        Position of each channel along the probe [µm from the tip]; index: channel ids. Lines are
        sorted by depth, the tip at the bottom. Default: in the given order, the first at the
        bottom.
    peak_channel
        Id of the channel in the middle, drawn in colour; default: the channel with the largest
        peak-to-peak amplitude.
    n_channels
        Maximum number of channels to draw.
    ax, title
        Axes to draw on (None makes a new figure), and their title.

    Returns
    -------
    Axes
        Lines over time [ms], and a scale bar [µV].
    """
    rows, labels, at = _around_peak(waveform, depths, peak_channel, n_channels)
    ax = get_axes(ax, size=(4.2, 5.2))
    values = rows.to_numpy().astype(np.float64)
    time_ms = 1000 * rows["time"].to_numpy()
    # the largest line overlaps two of its neighbours, as in the usual stacked plots
    step = _round_down(float(np.nanmax(np.ptp(_known(values), axis=1))) / 2.0)
    for number, row in enumerate(values):
        is_peak = number == at
        ax.plot(
            time_ms, number * step + row, linewidth=1.8 if is_peak else 1.0,
            color=CONDITION_COLORS[1] if is_peak else INK, zorder=3 if is_peak else 2,
        )  # fmt: skip
    _label_rows(ax, labels, step=step, has_depths=depths is not None)
    draw_scale(ax, step, x=1.03)
    ax.set_xlim(time_ms[0], time_ms[-1])
    ax.set_xlabel(TIME_MS_LABEL)
    return tidy(ax, title=title)


def plot_waveform_heatmap(
    waveform: xr.DataArray,
    *,
    depths: pd.Series | None = None,
    peak_channel: int | None = None,
    n_channels: int = 40,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the mean waveform of one unit on the channels around its peak channel as a heat map.

    Parameters
    ----------
    waveform, depths, peak_channel, n_channels, ax, title
        As for :func:`plot_waveform_lines`.

    Returns
    -------
    Axes
        Heat map with one row per channel, the peak channel marked by a triangle; white is 0 µV,
        grey is NaN.
    """
    rows, labels, at = _around_peak(waveform, depths, peak_channel, n_channels)
    edges = edges_around(1000 * rows["time"].to_numpy(), name="time")
    values = rows.to_numpy().astype(np.float64)
    reach = largest_size(values, name="waveform")
    ax = get_axes(ax, size=(5.0, 5.2))
    mesh = ax.pcolormesh(
        edges, np.arange(len(values) + 1) - 0.5, values, cmap=DIVERGING, vmin=-reach, vmax=reach,
        rasterized=True,
    )  # fmt: skip
    ax.set_facecolor(NO_VALUE_COLOR)
    add_colorbar(mesh, ax, VOLTAGE_LABEL)
    ax.plot(
        [0.0], [at], marker=">", markersize=7, color=INK, clip_on=False,
        transform=ax.get_yaxis_transform(), zorder=4,
    )  # fmt: skip
    _label_rows(ax, labels, step=1.0, has_depths=depths is not None)
    ax.set_xlabel(TIME_MS_LABEL)
    return tidy(ax, title=title)


def _around_peak(
    waveform: xr.DataArray, depths: pd.Series | None, peak_channel: int | None, n_channels: int
) -> tuple[xr.DataArray, list[str], int]:
    """Return the rows to draw from the tip up, their labels, and the position of the peak."""
    if n_channels < 1:
        raise InvalidArgumentError(f"n_channels must be 1 or more, not {n_channels}")
    rows = select_dims(waveform, ("channel_id", "time"), name="waveform")
    channels = rows["channel_id"].to_numpy()
    names = [str(channel) for channel in channels]
    if depths is not None:
        heights = look_up(channels, depths, name="depths")
        order = np.argsort(heights, kind="stable")
        rows, names = rows.isel(channel_id=order), [f"{heights[i]:.0f}" for i in order]
        channels = channels[order]
    values = rows.to_numpy().astype(np.float64)
    find_known(values, name="waveform")
    if peak_channel is None:
        peak = int(np.ptp(_known(values), axis=1).argmax())
    elif peak_channel in channels:
        peak = int(np.flatnonzero(channels == peak_channel)[0])
    else:
        raise InvalidArgumentError(
            f"waveform has no channel {peak_channel}: "
            f"{describe_choices(peak_channel, channels.tolist())}"
        )
    first = int(np.clip(peak - n_channels // 2, 0, max(len(channels) - n_channels, 0)))
    shown = slice(first, first + n_channels)
    return rows.isel(channel_id=shown), names[shown], peak - first


def _known(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(np.isfinite(values), values, 0.0)


def _round_down(size: float) -> float:
    """Return the next lower round number; 1 if the size is not positive."""
    if size <= 0:
        return 1.0
    decade = 10.0 ** np.floor(np.log10(size))
    return float(max(step for step in (1, 2, 5) if step * decade <= size) * decade)


def _label_rows(ax: Axes, labels: list[str], *, step: float, has_depths: bool) -> None:
    every = -(-len(labels) // MAX_CHANNEL_TICKS)
    at = list(range(0, len(labels), every))
    ax.set_yticks([step * row for row in at], [labels[row] for row in at])
    where = f", {TIP_LABEL}" if has_depths else " (channel_id)"
    ax.set_ylabel(f"{count(len(labels), 'channel')}{where}")
