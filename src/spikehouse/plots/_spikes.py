"""Figures of spikes around stimuli."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import Ids, to_ids
from spikehouse.plots._axes import (
    CONDITION_COLORS,
    INK,
    NO_VALUE_COLOR,
    SEQUENTIAL,
    add_colorbar,
    get_axes,
    mark_stimulus,
    null_as_nan,
    say,
    tidy,
)
from spikehouse.plots._grid import look_up

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TIME = "time_relative_to_stimulus_onset"
SINCE_ONSET = "time_since_stimulus_presentation_onset"
TIME_LABEL = "time from stimulus onset (s)"
N_DEPTH_TICKS = 9
MAX_GROUP_TICKS = 24
MISSING_COLOR = "#8a8a8a"


def plot_psth_heatmap(
    mean_counts: xr.DataArray,
    *,
    ax: Axes | None = None,
    depths: pd.Series | None = None,
    order: Literal["given", "peak"] | Ids = "given",
    are_rates: bool | None = None,
    is_normalized: bool = False,
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
        drawn in that order, nearest the tip at the bottom.
    order
        Without ``depths``: ``"given"``, the first unit at the bottom; ``"peak"``, the unit whose
        rate is highest earliest at the top and silent ones at the bottom; or the ids of the units
        to draw, from the top down.
    are_rates
        ``mean_counts`` holds spikes/s already, and is not divided by the width of the bins. By
        default that is so where its ``attrs["units"]`` is "spikes/s", as
        :func:`spikehouse.analysis.compute_conditionwise_psth` has it; arithmetic may lose those.
    is_normalized
        Divide each unit's rates by its own highest one, to compare when units answer rather than
        how much. A silent unit stays 0.
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
        The heat map, with its colour bar [spikes/s, or share of each unit's peak] beside it.

    Raises
    ------
    InvalidArgumentError
        If a dimension is missing, the bins are not equally wide, there are no units, a unit has
        no depth, ``order`` names a unit that is not there, or both depths and an order are given.

    Notes
    -----
    An order found in the same presentations that are drawn makes even noise look like a wave of
    peaks: take it from half of the presentations and draw the other half.

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
    rates, edges = _as_rates(mean_counts, are_rates=are_rates)
    rates = rates.isel(unit_id=_unit_order(rates, depths, order))
    units = pd.Index(rates["unit_id"].to_numpy())
    values, top, label = _scale_rates(
        rates.transpose("unit_id", TIME).to_numpy(), rate_max, is_normalized=is_normalized
    )
    ax = get_axes(ax, size=(7.0, 6.0))
    rows = np.arange(len(units) + 1)
    mesh = ax.pcolormesh(edges, rows, values, cmap=SEQUENTIAL, vmin=0.0, vmax=top)
    ax.set_facecolor(NO_VALUE_COLOR)
    add_colorbar(mesh, ax, label, is_cut=bool(np.nanmax(values) > top))
    mark_stimulus(ax, stimulus_duration, is_on_colors=True)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_xlabel(TIME_LABEL)
    if depths is not None:
        ticks = np.unique(np.linspace(0, len(units) - 1, min(N_DEPTH_TICKS, len(units))).round())
        at = ticks.astype(int)
        ax.set_yticks(at + 0.5, [f"{d:.0f}" for d in look_up(units[at], depths, name="depths")])
        ax.set_ylabel(f"{len(units)} units, by position on the probe (µm from the tip)")
    else:
        how = ", earliest peak at the top" if _is_word(order, "peak") else ""
        ax.set_ylabel(f"{len(units)} units{how}")
        ax.set_yticks([])
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
    row_order: Ids | None = None,
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
        one colour, with the name of the condition beside them; conditions are in order of value,
        or of category where ``groups`` is categorical. Rows without a value (NaN or "null", such
        as blank sweeps) come last, in grey.
    ax
        Where to draw; a new figure if None.
    stimulus_duration
        How long the stimulus is on [s].
    title
        What was recorded where.

    Returns
    -------
    Axes
        The raster, first row at the top; without a spike it says so.

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
    codes, names = None, list[Any]()
    if groups is not None:
        codes, names = _number_groups(groups.loc[order])
        by_group = np.argsort(codes, kind="stable")
        order, codes = order.take(by_group), codes[by_group]
    ax = get_axes(ax, size=(7.0, 5.0))
    place = pd.Series(np.arange(len(order)), index=order)
    drawn = spikes[spikes[rows].isin(order)]
    colors = _row_colors(len(order), codes, names)
    y = place.loc[drawn[rows].to_numpy()].to_numpy()
    ax.vlines(drawn[SINCE_ONSET].to_numpy(), y - 0.45, y + 0.45, colors=colors[y], linewidth=0.8)
    ax.set_ylim(len(order) - 0.5, -0.5)
    if len(drawn):
        ax.set_xlim(min(0.0, drawn[SINCE_ONSET].min()), drawn[SINCE_ONSET].max())
    else:
        say(ax, "no spikes")
    if codes is not None:
        missing_name = "blank" if rows == "stimulus_presentation_id" else "none"
        _name_groups(
            ax,
            codes,
            [
                missing_name
                if pd.isna(name)
                else f"{name:g}"
                if isinstance(name, float)
                else str(name)
                for name in names
            ],
        )
    noun = {"stimulus_presentation_id": "presentations", "unit_id": "units"}.get(rows, rows)
    ax.set_ylabel(f"{len(order)} {noun}")
    ax.set_xlabel(TIME_LABEL)
    mark_stimulus(ax, stimulus_duration)
    return tidy(ax, title=title, is_marked=stimulus_duration is not None)


def _is_word(order: object, word: str) -> bool:
    return isinstance(order, str) and order == word


def _unit_order(
    rates: xr.DataArray, depths: pd.Series | None, order: object
) -> npt.NDArray[np.intp]:
    """Give the positions of the units from the bottom up."""
    units = pd.Index(rates["unit_id"].to_numpy())
    if isinstance(order, str) and order not in ("given", "peak"):
        raise InvalidArgumentError(
            f"order={order!r}; valid: 'given', 'peak' or the ids of the units from the top down"
        )
    if depths is not None:
        if not _is_word(order, "given"):
            raise InvalidArgumentError("depths already are an order; give one of depths and order")
        return np.argsort(look_up(units, depths, name="depths"), kind="stable")
    if _is_word(order, "given"):
        return np.arange(len(units))
    if _is_word(order, "peak"):
        known = rates.fillna(0.0).transpose(TIME, "unit_id").to_numpy()
        # a silent unit has no peak: it comes last
        peaks = np.where(known.max(axis=0) > 0, known.argmax(axis=0), len(known))
        return np.argsort(peaks, kind="stable")[::-1]
    wanted = pd.Index(to_ids(order, "unit_id"))
    unknown = wanted.difference(units)
    if len(unknown) or wanted.empty:
        what = f"unit {unknown[0]}, which mean_counts has not" if len(unknown) else "no unit"
        raise InvalidArgumentError(f"order names {what}; it holds {len(units)} units")
    places: npt.NDArray[np.intp] = units.get_indexer(wanted)[::-1]
    return places


def _scale_rates(
    values: npt.NDArray[np.float64], rate_max: float | None, *, is_normalized: bool
) -> tuple[npt.NDArray[np.float64], float, str]:
    """Give what to draw, the upper end of the colours, and what the colours are."""
    known = values[np.isfinite(values)]
    if not known.size:
        raise InvalidArgumentError("mean_counts holds no finite value: nothing to draw")
    if is_normalized:
        peaks = np.where(np.isfinite(values), values, 0.0).max(axis=1, keepdims=True)
        return values / np.where(peaks > 0, peaks, 1.0), 1.0, "firing rate (share of the peak)"
    top = rate_max if rate_max is not None else max(float(np.percentile(known, 98)), 1.0)
    return values, top, "firing rate (spikes/s)"


def _as_rates(
    mean_counts: xr.DataArray, *, are_rates: bool | None = None
) -> tuple[xr.DataArray, npt.NDArray[np.float64]]:
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
    if are_rates is None:
        are_rates = mean_counts.attrs.get("units") == "spikes/s"
    return (mean_counts if are_rates else mean_counts / width), edges


def _row_order(
    present: pd.Series,
    row_order: Ids | None,
    groups: pd.Series | None,
) -> pd.Index:
    order: pd.Index
    if row_order is not None:
        order = pd.Index(to_ids(row_order, str(present.name)))
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
    return order


def _number_groups(groups: pd.Series) -> tuple[npt.NDArray[np.intp], list[Any]]:
    """Give each row the number of its group, in order of value, missing values last."""
    is_ordered = isinstance(groups.dtype, pd.CategoricalDtype)
    # numbers as numbers: pandas does not sort NaN among objects
    values = groups if is_ordered else pd.Series(null_as_nan(groups)).infer_objects()
    codes, names = pd.factorize(values, sort=True, use_na_sentinel=False)
    return codes, list(names)


def _row_colors(
    n_rows: int, codes: npt.NDArray[np.intp] | None, names: Sequence[Any]
) -> npt.NDArray[np.float64]:
    from matplotlib.colors import to_rgba_array

    if codes is None:
        return np.tile(to_rgba_array(INK), (n_rows, 1))
    palette = to_rgba_array(CONDITION_COLORS)
    colors = np.asarray(palette[codes % len(palette)])
    colors[pd.isna(np.asarray(names, dtype=object))[codes]] = to_rgba_array(MISSING_COLOR)
    return colors


def _name_groups(ax: Axes, codes: npt.NDArray[np.intp], names: Sequence[str]) -> None:
    """Write each condition beside its rows, and part them by a thin line."""
    firsts = np.searchsorted(codes, np.arange(len(names)))
    ends = np.append(firsts[1:], len(codes))
    for edge in firsts[1:]:
        ax.axhline(edge - 0.5, color="#bbbbbb", linewidth=0.6, zorder=0.5)
    if len(names) <= MAX_GROUP_TICKS:
        ax.set_yticks((firsts + ends - 1) / 2, names)
        ax.tick_params(axis="y", length=0)
