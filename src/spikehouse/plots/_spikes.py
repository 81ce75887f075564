"""Figures of spikes around stimuli."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError
from spikehouse.plots._axes import (
    CONDITION_COLORS,
    INK,
    add_colorbar,
    get_axes,
    mark_stimulus,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TIME = "time_relative_to_stimulus_onset"
SINCE_ONSET = "time_since_stimulus_presentation_onset"
TIME_LABEL = "time from stimulus onset (s)"
N_DEPTH_TICKS = 9
MAX_GROUP_TICKS = 24


def plot_psth_heatmap(
    mean_counts: xr.DataArray,
    *,
    ax: Axes | None = None,
    depths: pd.Series | None = None,
    stimulus_duration: float | None = None,
    rate_max: float | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the peristimulus time histogram of many units as one heat map.

    Parameters
    ----------
    mean_counts
        Mean spike counts of one presentation, dims ``time_relative_to_stimulus_onset`` (bin
        centres [s], equally spaced) and ``unit_id``: a result of ``presentationwise_spike_counts``
        averaged over presentations.
    ax
        Where to draw; a new figure if None.
    depths
        Position of each unit along the probe [µm from its tip], index ``unit_id``. The units are
        drawn in that order, nearest the tip at the bottom; without, in the order given.
    stimulus_duration
        How long the stimulus is on [s]; marked above the map.
    rate_max
        The rate at the upper end of the colours [spikes/s]; default is the 98th percentile,
        so that a single fast unit does not leave the others dark.
    title
        What was recorded where.

    Returns
    -------
    Axes
        The heat map, with its colour bar [spikes/s] beside it.

    Raises
    ------
    InvalidArgumentError
        If a dimension is missing, the bins are not equally wide, there are no units, or a unit
        has no depth.

    Examples
    --------
    >>> counts = xr.DataArray(
    ...     np.full((60, 2), 0.1),
    ...     coords={"time_relative_to_stimulus_onset": np.arange(60) / 100, "unit_id": [7, 8]},
    ...     dims=("time_relative_to_stimulus_onset", "unit_id"),
    ... )
    >>> plot_psth_heatmap(counts).get_xlabel()
    'time from stimulus onset (s)'
    """
    rates, edges = _as_rates(mean_counts)
    ax = get_axes(ax, size=(7.0, 6.0))
    units = pd.Index(rates["unit_id"].to_numpy())
    if depths is not None:
        order = np.argsort(_depths_of(units, depths), kind="stable")
        rates, units = rates.isel(unit_id=order), units[order]
    values = rates.transpose("unit_id", TIME).to_numpy()
    top = rate_max if rate_max is not None else max(float(np.percentile(values, 98)), 1.0)
    mesh = ax.pcolormesh(edges, np.arange(len(units) + 1), values, vmin=0.0, vmax=top)
    add_colorbar(mesh, ax, "firing rate (spikes/s)", is_cut=bool(values.max() > top))
    mark_stimulus(ax, stimulus_duration, is_on_colors=True)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_xlabel(TIME_LABEL)
    if depths is not None:
        ticks = np.unique(np.linspace(0, len(units) - 1, min(N_DEPTH_TICKS, len(units))).round())
        at = ticks.astype(int)
        ax.set_yticks(at + 0.5, [f"{d:.0f}" for d in _depths_of(units[at], depths)])
        ax.set_ylabel(f"{len(units)} units, by position on the probe (µm from the tip)")
    else:
        ax.set_ylabel(f"{len(units)} units")
    return tidy(ax, title=title, is_marked=stimulus_duration is not None)


def plot_population_psth(
    mean_counts: Mapping[str, xr.DataArray],
    *,
    ax: Axes | None = None,
    stimulus_duration: float | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the mean firing rate of a population over time, one line a condition.

    Parameters
    ----------
    mean_counts
        Name of each condition and its mean spike counts of one presentation, as for
        :func:`plot_psth_heatmap`.
    ax
        Where to draw; a new figure if None.
    stimulus_duration
        How long the stimulus is on [s].
    title
        What was recorded where.

    Returns
    -------
    Axes
        Lines are means over units, bands ± one standard error over units.

    Raises
    ------
    InvalidArgumentError
        If there is no condition, a dimension is missing, the bins are not equally wide, or there
        are no units.
    """
    if not mean_counts:
        raise InvalidArgumentError("mean_counts is empty; at least one condition is needed")
    ax = get_axes(ax, size=(7.0, 3.0))
    n_units = 0
    for number, (name, counts) in enumerate(mean_counts.items()):
        rates, edges = _as_rates(counts)
        n_units = rates.sizes["unit_id"]
        color = CONDITION_COLORS[number % len(CONDITION_COLORS)]
        mean = rates.mean("unit_id").to_numpy()
        error = rates.std("unit_id", ddof=min(1, n_units - 1)).to_numpy() / np.sqrt(n_units)
        centres = (edges[:-1] + edges[1:]) / 2
        ax.plot(centres, mean, color=color, linewidth=1.4, label=name)
        ax.fill_between(centres, mean - error, mean + error, color=color, alpha=0.2, linewidth=0)
        ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(bottom=0.0)
    mark_stimulus(ax, stimulus_duration)
    ax.set_xlabel(TIME_LABEL)
    ax.set_ylabel(f"firing rate (spikes/s)\nmean of {n_units} units ± SEM")
    ax.legend(frameon=False, fontsize="small", loc="upper right")
    return tidy(ax, title=title, is_marked=stimulus_duration is not None)


def plot_raster(
    spikes: pd.DataFrame,
    *,
    rows: str = "stimulus_presentation_id",
    row_order: Sequence[Any] | npt.NDArray[Any] | pd.Index | None = None,
    groups: pd.Series | None = None,
    ax: Axes | None = None,
    stimulus_duration: float | None = None,
    title: str | None = None,
) -> Axes:
    """Draw every spike as a tick, one row a presentation or a unit.

    Parameters
    ----------
    spikes
        As ``presentationwise_spike_times`` gives them: ``stimulus_presentation_id``, ``unit_id``
        and ``time_since_stimulus_presentation_onset`` [s].
    rows
        The column whose values are the rows: ``"stimulus_presentation_id"`` or ``"unit_id"``.
    row_order
        The rows from top to bottom, silent ones too; others are left out. Default: those of
        ``groups``, or all that have a spike.
    groups
        The condition of each row (index: the rows). Rows of a condition are drawn together, in
        one colour, with the name of the condition beside them.
    ax
        Where to draw; a new figure if None.
    stimulus_duration
        How long the stimulus is on [s].
    title
        What was recorded where.

    Returns
    -------
    Axes
        The raster, first row at the top.

    Raises
    ------
    InvalidArgumentError
        If a column is missing, or ``groups`` says nothing about a row.
    """
    missing = [name for name in (rows, SINCE_ONSET) if name not in spikes.columns]
    if missing:
        raise InvalidArgumentError(
            f"spikes has no column {missing[0]!r}; it has {', '.join(map(repr, spikes.columns))}"
        )
    order = _row_order(spikes[rows], row_order, groups)
    ax = get_axes(ax, size=(7.0, 5.0))
    place = pd.Series(np.arange(len(order)), index=order)
    drawn = spikes[spikes[rows].isin(order)]
    colors = _row_colors(order, groups)
    y = place.loc[drawn[rows].to_numpy()].to_numpy()
    ax.vlines(drawn[SINCE_ONSET].to_numpy(), y - 0.45, y + 0.45, colors=colors[y], linewidth=0.8)
    ax.set_ylim(len(order) - 0.5, -0.5)
    if len(drawn):
        ax.set_xlim(min(0.0, drawn[SINCE_ONSET].min()), drawn[SINCE_ONSET].max())
    if groups is not None:
        _name_groups(ax, groups.loc[order])
    noun = {"stimulus_presentation_id": "presentations", "unit_id": "units"}.get(rows, rows)
    ax.set_ylabel(f"{len(order)} {noun}")
    ax.set_xlabel(TIME_LABEL)
    mark_stimulus(ax, stimulus_duration)
    return tidy(ax, title=title, is_marked=stimulus_duration is not None)


def _as_rates(mean_counts: xr.DataArray) -> tuple[xr.DataArray, npt.NDArray[np.float64]]:
    """Turn counts into spikes/s, and bin centres into edges."""
    for name in (TIME, "unit_id"):
        if name not in mean_counts.dims:
            raise InvalidArgumentError(
                f"mean_counts has no dimension {name!r}; it has {tuple(mean_counts.dims)}"
            )
    if mean_counts.ndim != 2:
        raise InvalidArgumentError(
            f"mean_counts has the dimensions {tuple(mean_counts.dims)}; average over "
            "presentations first: counts.mean('stimulus_presentation_id')"
        )
    centres = mean_counts[TIME].to_numpy().astype(np.float64)
    if mean_counts.sizes["unit_id"] == 0 or centres.size < 2:
        raise InvalidArgumentError(
            f"mean_counts holds {mean_counts.sizes['unit_id']} units and {centres.size} bins; "
            "a figure needs one unit and two bins at least"
        )
    steps = np.diff(centres)
    width = float(steps.mean())
    if not np.allclose(steps, width, rtol=1e-3) or width <= 0:
        raise InvalidArgumentError(
            f"the bins of mean_counts are not equally wide: {steps.min():g} to {steps.max():g} s"
        )
    edges = np.append(centres - width / 2, centres[-1] + width / 2)
    return mean_counts / width, edges


def _depths_of(units: pd.Index, depths: pd.Series) -> npt.NDArray[np.float64]:
    unknown = units.difference(depths.index)
    if len(unknown):
        raise InvalidArgumentError(
            f"depths has no value for {len(unknown)} of {len(units)} units, such as {unknown[0]}"
        )
    return depths.loc[units].to_numpy(dtype=np.float64)


def _row_order(
    present: pd.Series,
    row_order: Sequence[Any] | npt.NDArray[Any] | pd.Index | None,
    groups: pd.Series | None,
) -> pd.Index:
    order: pd.Index
    if row_order is not None:
        order = pd.Index(row_order)
    elif groups is not None:
        order = pd.Index(groups.index)
    else:
        order = pd.Index(np.unique(present.to_numpy()))
    if groups is None:
        return order
    unknown = order.difference(groups.index)
    if len(unknown):
        raise InvalidArgumentError(
            f"groups has no value for {len(unknown)} of {len(order)} rows, such as {unknown[0]}"
        )
    codes = pd.factorize(groups.loc[order])[0]
    return order.take(np.argsort(codes, kind="stable"))


def _row_colors(order: pd.Index, groups: pd.Series | None) -> npt.NDArray[np.float64]:
    from matplotlib.colors import to_rgba_array

    if groups is None:
        return np.tile(to_rgba_array(INK), (len(order), 1))
    palette = to_rgba_array(CONDITION_COLORS)
    codes = pd.factorize(groups.loc[order])[0]
    return np.asarray(palette[codes % len(palette)])


def _name_groups(ax: Axes, groups: pd.Series) -> None:
    """Write each condition beside its rows, and part them by a thin line."""
    codes, names = pd.factorize(groups)
    firsts = np.searchsorted(codes, np.arange(len(names)))
    ends = np.append(firsts[1:], len(codes))
    for edge in firsts[1:]:
        ax.axhline(edge - 0.5, color="#bbbbbb", linewidth=0.6, zorder=0)
    if len(names) <= MAX_GROUP_TICKS:
        ax.set_yticks((firsts + ends - 1) / 2, [str(name) for name in names])
        ax.tick_params(axis="y", length=0)
