"""Figures of how decoding depends on when, and on how many units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from spikehouse.errors import InvalidArgumentError, describe_choices
from spikehouse.plots._axes import FAINT, INK, LINE_MARKERS, get_axes, line_colors, tidy
from spikehouse.plots._grid import TIMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Spread = Literal["sd", "sem", "range"]
SPREADS = {"sd": "± SD", "sem": "± SEM", "range": "and range"}
ALONG_LABELS = {
    "n_units": "number of units",
    "window": "middle of the window from stimulus onset (s)",
    **dict.fromkeys(TIMES, "middle of the window from stimulus onset (s)"),
}
MAX_LOG_TICKS = 10
SHUFFLED_QUANTILES = (0.025, 0.975)


def plot_decoding_curve(
    accuracies: xr.DataArray | Mapping[str, xr.DataArray],
    *,
    along: str,
    chance: float | None = None,
    shuffled: xr.DataArray | None = None,
    spread: Spread = "sd",
    is_log: bool = False,
    ax: Axes | None = None,
    along_label: str | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the accuracy of decoding against the time window or the number of units.

    Parameters
    ----------
    accuracies
        Fraction right, with the dimension ``along``; all other dimensions (folds, repeats,
        resampled units) are what mean and band are taken over. Several of them by name, one line
        each: a structure, an estimator. NaN is left out.
    along
        The dimension to draw against: ``"n_units"``, or the middles of the time windows [s].
    chance
        What guessing gets; a dashed line. By default ``attrs["chance"]``, where all have the same.
    shuffled
        Accuracies with shuffled labels, with or without the dimension ``along``; the grey band
        holds 95 % of them.
    spread
        The band around each line: standard deviation, standard error of the mean, or from the
        least to the most.
    is_log
        Draw ``along`` on a logarithmic axis.
    ax
        Where to draw; a new figure if None.
    along_label
        What ``along`` is, with its unit; said for the usual ones.
    title
        What was decoded from what.

    Returns
    -------
    Axes
        Accuracy in percent of the presentations, from 0.

    Raises
    ------
    InvalidArgumentError
        If there is nothing to draw, the dimension ``along`` or its coordinate is missing, the
        spread is unknown, or a logarithmic axis gets a value that is not positive.

    Notes
    -----
    Folds of one cross-validation share training data, and resampled sets share units: neither is
    an independent sample, so a standard error over them is too small. Hence the standard
    deviation unless asked otherwise.
    """
    if spread not in SPREADS:
        raise InvalidArgumentError(f"spread={spread!r}: {describe_choices(spread, SPREADS)}")
    curves = {"": accuracies} if isinstance(accuracies, xr.DataArray) else dict(accuracies)
    if not curves:
        raise InvalidArgumentError("accuracies is empty; at least one DataArray is needed")
    for name, curve in curves.items():
        _check_curve(curve, along, name=f"accuracies[{name!r}]" if name else "accuracies")
        if is_log and float(curve[along].min()) <= 0:
            raise InvalidArgumentError(f"is_log needs {along} above 0")
    stated = {curve.attrs.get("chance") for curve in curves.values()}
    if chance is None and len(stated) == 1:
        chance = stated.pop()
    ax = get_axes(ax, size=(5.6, 3.6))
    if shuffled is not None:
        _draw_shuffled(ax, shuffled, along, curves)
    colors = line_colors(len(curves))
    for number, (name, curve) in enumerate(curves.items()):
        _draw_curve(
            ax, curve.sortby(along), along, spread=spread, color=colors[number],
            marker=LINE_MARKERS[number % len(LINE_MARKERS)], name=name,
        )  # fmt: skip
    if chance is not None:
        _draw_chance(ax, chance)
    if is_log:
        drawn = np.unique(np.concatenate([curve[along].to_numpy() for curve in curves.values()]))
        ax.set_xscale("log")
        ax.minorticks_off()
        every = -(-len(drawn) // MAX_LOG_TICKS)
        ax.set_xticks(drawn[::every], [f"{value:g}" for value in drawn[::every]])
    ax.set_ylim(bottom=0.0)
    ax.set_xlabel(along_label or ALONG_LABELS.get(along, along))
    n_repeats = max(int(curve.size / curve.sizes[along]) for curve in curves.values())
    what = f"\nmean {SPREADS[spread]} of {n_repeats}" if n_repeats > 1 else ""
    ax.set_ylabel(f"decoded right (% of presentations){what}")
    if any(curves) or shuffled is not None or chance is not None:
        ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return tidy(ax, title=title)


def _check_curve(curve: xr.DataArray, along: str, *, name: str) -> None:
    if not isinstance(curve, xr.DataArray) or along not in curve.dims:
        has = getattr(curve, "dims", f"no dimensions, being a {type(curve).__name__}")
        raise InvalidArgumentError(f"{name} has no dimension {along!r}; it has {has}")
    if along not in curve.coords:
        raise InvalidArgumentError(
            f"{name} does not say what its {curve.sizes[along]} entries along {along!r} are: "
            f"{name}.assign_coords({along}=…)"
        )
    if curve[along].dtype.kind not in "iuf":
        raise InvalidArgumentError(
            f"{along} of {name} is not a number (it holds {curve[along].to_numpy()[:1].tolist()}); "
            "a line between names would mean nothing"
        )
    if not np.isfinite(curve.to_numpy().astype(np.float64)).any():
        raise InvalidArgumentError(f"{name} holds no finite accuracy: nothing to draw")


def _draw_curve(
    ax: Axes,
    curve: xr.DataArray,
    along: str,
    *,
    spread: Spread,
    color: str,
    marker: str,
    name: str,
) -> None:
    percent = 100 * curve.astype(np.float64)
    repeats = [dim for dim in curve.dims if dim != along]
    x, mean = percent[along].to_numpy(), percent.mean(repeats)
    ax.plot(
        x, mean.to_numpy(), color=color, marker=marker, markersize=4, linewidth=1.4,
        label=name or "decoded",
    )  # fmt: skip
    if not repeats:
        return
    if spread == "range":
        low, high = percent.min(repeats), percent.max(repeats)
    else:
        # one repeat has no spread: its band is as thin as its line
        count = percent.count(repeats)
        deviation = np.sqrt(((percent - mean) ** 2).sum(repeats) / np.maximum(count - 1, 1))
        half = deviation / np.sqrt(np.maximum(count, 1)) if spread == "sem" else deviation
        low, high = mean - half, mean + half
    ax.fill_between(x, low.to_numpy(), high.to_numpy(), color=color, alpha=0.2, linewidth=0)


def _draw_shuffled(
    ax: Axes, shuffled: xr.DataArray, along: str, curves: Mapping[str, xr.DataArray]
) -> None:
    repeats = [dim for dim in shuffled.dims if dim != along]
    low, high = (
        100 * shuffled.astype(np.float64).quantile(share, repeats) for share in SHUFFLED_QUANTILES
    )
    label = "95 % of shuffled labels"
    style: dict[str, Any] = {
        "color": FAINT,
        "alpha": 0.45,
        "linewidth": 0,
        "zorder": 0,
        "label": label,
    }
    if along in shuffled.dims:
        _check_curve(shuffled, along, name="shuffled")
        low, high = low.sortby(along), high.sortby(along)
        ax.fill_between(low[along].to_numpy(), low.to_numpy(), high.to_numpy(), **style)
        return
    drawn = np.concatenate([curve[along].to_numpy() for curve in curves.values()])
    ends = [float(drawn.min()), float(drawn.max())]
    ax.fill_between(ends, float(low), float(high), **style)


def _draw_chance(ax: Axes, chance: float) -> None:
    # named in the legend: beside the line it would stand on a curve near chance
    ax.axhline(
        100 * chance, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1,
        label=f"chance {chance:.1%}",
    )  # fmt: skip
