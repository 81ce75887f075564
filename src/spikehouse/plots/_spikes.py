"""Figures of spikes around stimuli."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError, describe_value
from spikehouse.labelled import Ids, to_ids
from spikehouse.plots._axes import (
    CONDITION_COLORS,
    INK,
    NO_VALUE_COLOR,
    SEQUENTIAL,
    add_colorbar,
    add_legend,
    count,
    get_axes,
    mark_stimulus,
    null_as_nan,
    short,
    tidy,
    write_centered,
)
from spikehouse.plots._grid import find_known, highest_rate, look_up
from spikehouse.schema import require_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Positions = npt.NDArray[np.intp]

TIME = "time_relative_to_stimulus_onset"
PRESENTATION = "stimulus_presentation_id"
SINCE_ONSET = "time_since_stimulus_presentation_onset"
N_DEPTH_TICKS = 9
MAX_GROUP_TICKS = 24
MISSING_COLOR = "#8a8a8a"


def plot_psth_heatmap(
    mean_counts: xr.DataArray,
    *,
    depths: pd.Series | None = None,
    order: Literal["given", "peak"] | Ids = "given",
    are_rates: bool | None = None,
    is_normalized: bool = False,
    stimulus_duration: float | None = None,
    rate_max: float | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the peristimulus time histogram of many units as one heat map.

    Parameters
    ----------
    mean_counts
        Mean spike counts per presentation, dims ``time_relative_to_stimulus_onset`` (bin centres
        [s], equally spaced) and ``unit_id``: the mean over presentations of
        ``presentationwise_spike_counts``.
    depths
        Position of each unit along the probe [µm from the tip]; index: unit ids. Units are sorted
        by depth, the tip at the bottom.
    order
        Order of the units without ``depths``: ``"given"``, the first at the bottom; ``"peak"``, the
        earliest peak at the top and silent units at the bottom; or unit ids from top to bottom.
    are_rates
        Whether ``mean_counts`` holds rates [spikes/s] and must not be divided by the bin width.
        Default: whether ``attrs["units"]`` is "spikes/s", as in the results of
        :func:`spikehouse.analysis.compute_conditionwise_psth`; arithmetic may drop attributes.
    is_normalized
        Divide the rates of each unit by its maximum, to compare the time of responses. Silent units
        stay 0.
    stimulus_duration
        Duration of the stimulus [s]; marked above the axes.
    rate_max
        Firing rate at the upper end of the colours [spikes/s]; default: the 98th percentile, so
        that one fast unit does not leave all others dark.
    ax, title
        Axes to draw on (None makes a new figure), and their title.

    Returns
    -------
    Axes
        Heat map with a colour bar [spikes/s, or fraction of each unit's peak].

    Notes
    -----
    Sorting by the peak and drawing the same presentations makes even noise look like a sequence of
    peaks: find the order in half of the presentations and draw the other half.
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
    ax.set_xlabel(_label_time(mean_counts))
    if depths is not None:
        ticks = np.unique(np.linspace(0, len(units) - 1, min(N_DEPTH_TICKS, len(units))).round())
        at = ticks.astype(int)
        ax.set_yticks(at + 0.5, [f"{d:.0f}" for d in look_up(units[at], depths, name="depths")])
        ax.set_ylabel(f"{count(len(units), 'unit')}, by position on the probe (µm from the tip)")
    else:
        is_by_peak = isinstance(order, str) and order == "peak"
        how = ", earliest peak at the top" if is_by_peak else ""
        ax.set_ylabel(f"{count(len(units), 'unit')}{how}")
        ax.set_yticks([])
    return tidy(ax, title=title, is_marked=stimulus_duration is not None)


def plot_population_psth(
    mean_counts: Mapping[str, xr.DataArray],
    *,
    stimulus_duration: float | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the mean firing rate of a population over time, one line per condition.

    Parameters
    ----------
    mean_counts
        Name of each condition → mean spike counts per presentation, as in
        :func:`plot_psth_heatmap`.
    stimulus_duration
        Duration of the stimulus [s]; marked above the axes.
    ax, title
        Axes to draw on (None makes a new figure), and their title.

    Returns
    -------
    Axes
        Lines are means over units, bands ± one standard error over units (none of a single unit).
    """
    if not isinstance(mean_counts, Mapping):
        raise InvalidArgumentError(
            f"mean_counts is {describe_value(mean_counts)}; give the name of each condition with "
            "its counts, {'flashes': counts}"
        )
    if not mean_counts:
        raise InvalidArgumentError("mean_counts is empty; at least one condition is needed")
    converted = {name: _as_rates(counts) for name, counts in mean_counts.items()}
    sizes = {name: rates.sizes["unit_id"] for name, (rates, _) in converted.items()}
    is_same = len(set(sizes.values())) == 1
    ax = get_axes(ax, size=(7.0, 3.0))
    for number, (name, (rates, edges)) in enumerate(converted.items()):
        n_units = sizes[name]
        color = CONDITION_COLORS[number % len(CONDITION_COLORS)]
        mean = rates.mean("unit_id").to_numpy()
        centres = (edges[:-1] + edges[1:]) / 2
        label = name if is_same else f"{name} ({count(n_units, 'unit')})"
        ax.plot(centres, mean, color=color, linewidth=1.4, label=label)
        if n_units > 1:
            error = rates.std("unit_id", ddof=1).to_numpy() / np.sqrt(n_units)
            low, high = mean - error, mean + error
            ax.fill_between(centres, low, high, color=color, alpha=0.2, linewidth=0)
        ax.set_xlim(edges[0], edges[-1])
    ax.axvline(0.0, color=INK, linewidth=0.8, zorder=1)
    ax.set_ylim(bottom=0.0)
    mark_stimulus(ax, stimulus_duration)
    ax.set_xlabel(_label_time(*mean_counts.values()))
    which = count(n_units, "unit") if is_same else "units"
    how = f"\nmean of {which} ± SEM" if max(sizes.values()) > 1 else ""
    ax.set_ylabel(f"firing rate (spikes/s){how}")
    add_legend(ax)
    return tidy(ax, title=title, is_marked=stimulus_duration is not None)


def plot_raster(
    spikes: pd.DataFrame,
    *,
    rows: str | None = None,
    row_order: Ids | None = None,
    groups: pd.Series | None = None,
    stimulus_duration: float | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw every spike as a tick, one row per presentation or unit.

    Parameters
    ----------
    spikes
        Table of ``presentationwise_spike_times``: ``stimulus_presentation_id``, ``unit_id`` and
        ``time_since_stimulus_presentation_onset`` [s]; or, with a baseline before the onset and of
        any events, that of :func:`spikehouse.spikes.align_spikes` with ``window``.
    rows
        Column that defines the rows, such as ``"unit_id"``. Default: ``"stimulus_presentation_id"``
        or, of other events, the first column.
    row_order
        Rows to draw from top to bottom, including rows without spikes. Default: the index of
        ``groups``, or all rows with a spike.
    groups
        Condition of each row; index: the rows. Rows of one condition are drawn together in one
        colour, with a label. Conditions are sorted by value, or by category if ``groups`` is
        categorical. Rows without a value (NaN or "null", such as blank sweeps) come last, in grey.
    stimulus_duration
        Duration of the stimulus [s]; marked above the axes.
    ax, title
        Axes to draw on (None makes a new figure), and their title.

    Returns
    -------
    Axes
        Raster with the first row at the top, over ``spikes.attrs["window"]`` if it is there; a
        text if there are no spikes.
    """
    require_columns(spikes, SINCE_ONSET, what="spikes")
    if rows is None:
        first = [PRESENTATION, *spikes.columns[:1].drop("unit_id", errors="ignore")]
        rows = next((name for name in first if name in spikes), PRESENTATION)
    require_columns(spikes, rows, what="spikes")
    if groups is not None and not isinstance(groups, pd.Series):
        raise InvalidArgumentError(
            f"groups is {describe_value(groups)}; give the condition of each row, a column by "
            'row such as presentations["orientation"]'
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
    ax.set_ylim(max(len(order), 1) - 0.5, -0.5)
    window = spikes.attrs.get("window") or drawn[SINCE_ONSET].agg(["min", "max"]).dropna()
    times = [0.0, stimulus_duration or 0.0, *window]
    if min(times) < max(times):
        ax.set_xlim(min(times), max(times))
    if drawn.empty:
        write_centered(ax, "no spikes in these rows" if len(spikes) else "no spikes")
    if codes is not None:
        missing = "blank" if rows == "stimulus_presentation_id" else "none"
        _name_groups(ax, codes, [missing if pd.isna(name) else short(name) for name in names])
    nouns = {PRESENTATION: "presentations", "unit_id": "units", "onset": "onsets"}
    several = "unit_id" in drawn and rows != "unit_id" and drawn["unit_id"].nunique() > 1
    of_units = f", {count(drawn['unit_id'].nunique(), 'unit')}" if several else ""
    ax.set_ylabel(f"{len(order)} {nouns.get(rows, rows)}{of_units}")
    which = "stimulus onset" if PRESENTATION in spikes else "onset"
    ax.set_xlabel(f"time from {which} (s)")
    mark_stimulus(ax, stimulus_duration)
    return tidy(ax, title=title, is_marked=stimulus_duration is not None)


def _label_time(*counts: xr.DataArray) -> str:
    """Return what times are from: count_events says so of events that are no presentations."""
    names = {array[TIME].attrs.get("long_name", "time from stimulus onset") for array in counts}
    return f"{names.pop() if len(names) == 1 else 'time from onset'} (s)"


def _unit_order(rates: xr.DataArray, depths: pd.Series | None, order: object) -> Positions:
    """Return the positions of the units from the bottom up."""
    units = pd.Index(rates["unit_id"].to_numpy())
    word = order if isinstance(order, str) else None
    if word not in (None, "given", "peak"):
        raise InvalidArgumentError(
            f"order={order!r}; valid: 'given', 'peak' or the ids of the units from the top down"
        )
    if depths is not None:
        if word != "given":
            raise InvalidArgumentError("depths and order cannot be combined")
        return np.argsort(look_up(units, depths, name="depths"), kind="stable")
    if word == "given":
        return np.arange(len(units))
    if word == "peak":
        known = rates.fillna(0.0).transpose(TIME, "unit_id").to_numpy()
        # silent units have no peak and come last
        peaks = np.where(known.max(axis=0) > 0, known.argmax(axis=0), len(known))
        return np.argsort(peaks, kind="stable")[::-1]
    wanted = pd.Index(to_ids(order, "unit_id"))
    unknown = wanted.difference(units)
    if len(unknown) or wanted.empty:
        what = f"unit {unknown[0]} is not in mean_counts" if len(unknown) else "order is empty"
        raise InvalidArgumentError(f"{what}; valid: ids of its {len(units)} units")
    places: Positions = units.get_indexer(wanted)[::-1]
    return places


def _scale_rates(
    values: npt.NDArray[np.float64], rate_max: float | None, *, is_normalized: bool
) -> tuple[npt.NDArray[np.float64], float, str]:
    """Return the values to draw, the upper end of the colours, and the label of the colours."""
    known = find_known(values, name="mean_counts")
    if is_normalized:
        peaks = np.where(np.isfinite(values), values, 0.0).max(axis=1, keepdims=True)
        return values / np.where(peaks > 0, peaks, 1.0), 1.0, "firing rate (share of the peak)"
    return values, highest_rate(known, rate_max), "firing rate (spikes/s)"


def _as_rates(
    mean_counts: xr.DataArray, *, are_rates: bool | None = None
) -> tuple[xr.DataArray, npt.NDArray[np.float64]]:
    """Convert counts to spikes/s and bin centres to edges."""
    if not isinstance(mean_counts, xr.DataArray):
        raise InvalidArgumentError(
            f"mean_counts is {describe_value(mean_counts)}, not a DataArray; the mean over "
            "presentations of presentationwise_spike_counts is one"
        )
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
            "a figure needs at least one unit and two bins"
        )
    steps = np.diff(centres)
    width = float(steps.mean())
    if "window_start" in mean_counts.coords:
        steps = np.append(steps, mean_counts["window_stop"] - mean_counts["window_start"])
    if not np.allclose(steps, width, rtol=1e-3) or width <= 0:
        raise InvalidArgumentError(
            "the bins of mean_counts are not equally wide, or have gaps: "
            f"{steps.min():g} to {steps.max():g} s"
        )
    edges = np.append(centres - width / 2, centres[-1] + width / 2)
    if are_rates is None:
        are_rates = mean_counts.attrs.get("units") == "spikes/s"
    return (mean_counts if are_rates else mean_counts / width), edges


def _row_order(present: pd.Series, row_order: Ids | None, groups: pd.Series | None) -> pd.Index:
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


def _number_groups(groups: pd.Series) -> tuple[Positions, list[Any]]:
    """Return the group number of each row and the groups, by value, missing values last."""
    is_ordered = isinstance(groups.dtype, pd.CategoricalDtype)
    # converted to numbers, because pandas does not sort NaN among objects
    values = groups if is_ordered else pd.Series(null_as_nan(groups)).infer_objects()
    codes, names = pd.factorize(values, sort=True, use_na_sentinel=False)
    return codes, list(names)


def _row_colors(
    n_rows: int, codes: Positions | None, names: Sequence[Any]
) -> npt.NDArray[np.float64]:
    from matplotlib.colors import to_rgba_array

    if codes is None:
        return np.tile(to_rgba_array(INK), (n_rows, 1))
    palette = to_rgba_array(CONDITION_COLORS)
    colors = np.asarray(palette[codes % len(palette)])
    colors[pd.isna(np.asarray(names, dtype=object))[codes]] = to_rgba_array(MISSING_COLOR)
    return colors


def _name_groups(ax: Axes, codes: Positions, names: Sequence[str]) -> None:
    """Write the name of each condition beside its rows and separate conditions by lines."""
    firsts = np.searchsorted(codes, np.arange(len(names)))
    ends = np.append(firsts[1:], len(codes))
    for edge in firsts[1:]:
        ax.axhline(edge - 0.5, color="#bbbbbb", linewidth=0.6, zorder=0.5)
    if len(names) <= MAX_GROUP_TICKS:
        ax.set_yticks((firsts + ends - 1) / 2, names)
        ax.tick_params(axis="y", length=0)
