"""Figures of behavior together with neuronal activity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError
from spikehouse.plots._axes import (
    CONDITION_COLORS,
    INK,
    SEQUENTIAL,
    add_colorbar,
    count,
    tidy,
    write_centered,
)
from spikehouse.plots._grid import edges_around, find_known, find_time, highest_rate, select_dims
from spikehouse.schema import require_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RUNNING_LABEL = "running speed\n(cm/s)"
PUPIL_LABEL = "pupil area\n(px²)"
RATE_LABEL = "firing rate\n(spikes/s)"
# width of a letter in the names of epochs [points], slightly above average
LETTER_WIDTH = 4.4


def plot_behavior(
    activity: xr.DataArray,
    *,
    running: pd.Series | None = None,
    pupil: pd.Series | None = None,
    epochs: pd.DataFrame | None = None,
    rate_max: float | None = None,
    axes: Sequence[Axes] | npt.NDArray[Any] | None = None,
    pupil_label: str = PUPIL_LABEL,
    title: str | None = None,
) -> npt.NDArray[Any]:
    """Draw running speed and pupil size above the neuronal activity, with a shared time axis.

    Parameters
    ----------
    activity
        Firing rates [spikes/s], dims ``time`` (bin centres [s], increasing) and ``unit_id``: a
        heat map with the first unit at the top. Without ``unit_id``, a line.
    running
        Running speed [cm/s]; index: times [s].
    pupil
        Pupil size; index: times [s]. NaN (blinks) leaves a gap.
    epochs
        Stimulus epochs with ``start_time``, ``stop_time`` [s] and ``stimulus_name``, such as
        ``session.get_stimulus_epochs()``. Every second one is shaded; names are written if they
        fit.
    rate_max
        Firing rate at the upper end of the colours [spikes/s]; default: the 98th percentile.
    axes
        One Axes for each of running, pupil (those that are given) and activity, in this order;
        None makes a new figure.
    pupil_label
        Axis label of the pupil size, with its unit.
    title
        Title of the axes, left-aligned.

    Returns
    -------
    ndarray of Axes
        The panels from top to bottom. All show the times of ``activity``; samples outside are not
        drawn.
    """
    dim = find_time(activity, name="activity")
    has_units = "unit_id" in activity.dims
    rates = select_dims(activity, (dim, "unit_id") if has_units else (dim,), name="activity")
    edges = edges_around(rates[dim].to_numpy(), name=f"{dim} of activity")
    known = find_known(rates.to_numpy().astype(np.float64), name="activity")
    behavior = [
        (series, what, label, color)
        for series, what, label, color in (
            (running, "running speed", RUNNING_LABEL, CONDITION_COLORS[0]),
            (pupil, "pupil", pupil_label, CONDITION_COLORS[1]),
        )
        if series is not None
    ]
    if epochs is not None:
        require_columns(epochs, *_EPOCH_COLUMNS, what="epochs")
    panels = _get_panels(axes, len(behavior), has_units=has_units)
    for ax, (series, what, label, color) in zip(panels, behavior, strict=False):
        _draw_series(ax, series, (edges[0], edges[-1]), what=what, color=color)
        ax.set_ylabel(label)
    if has_units:
        _draw_units(panels[-1], rates, edges, highest_rate(known, rate_max))
    else:
        centres = rates[dim].to_numpy()
        panels[-1].plot(centres, rates.to_numpy(), color=INK, linewidth=1.0)
        panels[-1].set_ylim(bottom=0.0)
        panels[-1].set_ylabel(RATE_LABEL)
    _finish(panels, edges, dim, title=title, has_epochs=epochs is not None)
    if epochs is not None:
        _draw_epochs(panels, epochs, (edges[0], edges[-1]), has_map=has_units)
    return panels


_EPOCH_COLUMNS = ("start_time", "stop_time", "stimulus_name")


def _get_panels(
    axes: Sequence[Axes] | npt.NDArray[Any] | None, n_behavior: int, *, has_units: bool
) -> npt.NDArray[Any]:
    n_panels = n_behavior + 1
    if axes is not None:
        panels = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
        if len(panels) != n_panels:
            raise InvalidArgumentError(
                f"axes holds {len(panels)} Axes; {n_panels} are needed: one for each of running "
                "and pupil that is given, and one for activity"
            )
        return panels
    from matplotlib import pyplot as plt

    ratios = [1.0] * n_behavior + [3.0 if has_units else 1.0]
    size = (8.0, 0.8 + 1.2 * sum(ratios))
    figure = plt.figure(figsize=size, layout="constrained")
    panels = figure.subplots(n_panels, 1, sharex=True, height_ratios=ratios, squeeze=False)
    return np.asarray(panels[:, 0])


def _draw_series(
    ax: Axes, series: pd.Series, window: tuple[float, float], *, what: str, color: str
) -> None:
    series = series.sort_index()
    times = series.index.to_numpy(dtype=np.float64)
    is_shown = (times >= window[0]) & (times <= window[1])
    values = series.to_numpy(dtype=np.float64)[is_shown]
    if not np.isfinite(values).any():
        write_centered(ax, f"no {what} in this interval")
        ax.set_yticks([])
        return
    ax.plot(times[is_shown], values, color=color, linewidth=0.9)


def _draw_units(ax: Axes, rates: xr.DataArray, edges: npt.NDArray[np.float64], top: float) -> None:
    values = rates.to_numpy().astype(np.float64)
    n_units = values.shape[1]
    mesh = ax.pcolormesh(
        edges, np.arange(n_units + 1), values.T, cmap=SEQUENTIAL, vmin=0.0, vmax=top,
        rasterized=True,
    )  # fmt: skip
    ax.set_ylim(n_units, 0)
    ax.set_yticks([])
    ax.set_ylabel(count(n_units, "unit"))
    # outside the axes, so that the panels stay aligned
    place = ax.inset_axes((1.01, 0.0, 0.012, 1.0))
    is_cut = bool(np.nanmax(values) > top)
    add_colorbar(mesh, ax, "firing rate (spikes/s)", is_cut=is_cut, cax=place)


def _finish(
    panels: npt.NDArray[Any],
    edges: npt.NDArray[np.float64],
    dim: str,
    *,
    title: str | None,
    has_epochs: bool,
) -> None:
    from matplotlib.ticker import ScalarFormatter

    for ax in panels:
        tidy(ax)
        ax.set_xlim(edges[0], edges[-1])
        ax.tick_params(labelbottom=ax is panels[-1])
    # without an offset: "1288.5", not "+1.288e3"
    panels[-1].xaxis.set_major_formatter(ScalarFormatter(useOffset=False))
    panels[-1].set_xlabel("time (s)" if dim == "time" else "time from stimulus onset (s)")
    if title:
        panels[0].set_title(title, loc="left", fontsize="medium", pad=17 if has_epochs else 6)


def _draw_epochs(
    panels: npt.NDArray[Any], epochs: pd.DataFrame, window: tuple[float, float], *, has_map: bool
) -> None:
    ordered = epochs.sort_values("start_time", kind="stable")
    is_seen = (ordered["stop_time"] > window[0]) & (ordered["start_time"] < window[1])
    plain = panels[:-1] if has_map else panels
    box = panels[0].get_window_extent()
    width = 72 * box.width / panels[0].get_figure().dpi
    for number, (start, stop, name) in enumerate(
        ordered.loc[is_seen, list(_EPOCH_COLUMNS)].itertuples(index=False, name=None)
    ):
        first, last = max(start, window[0]), min(stop, window[1])
        for ax in plain if number % 2 else ():
            ax.axvspan(first, last, color="#f1efe9", linewidth=0, zorder=0)
        if has_map and first > window[0]:
            panels[-1].axvline(first, color="white", linewidth=0.8, linestyle=(0, (4, 3)))
        text = str(name).replace("_", " ")
        if LETTER_WIDTH * len(text) > width * (last - first) / (window[1] - window[0]):
            continue
        panels[0].text(
            (first + last) / 2, 1.01, text, ha="center", va="bottom",
            transform=panels[0].get_xaxis_transform(), fontsize="x-small", color=INK,
        )  # fmt: skip
