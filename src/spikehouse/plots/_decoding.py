"""Figures of decoding: accuracy by time or number of units, confusions, classes, images."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError, describe_choices
from spikehouse.plots._axes import (
    CONDITION_COLORS,
    FAINT,
    INK,
    LINE_MARKERS,
    NO_VALUE_COLOR,
    SEQUENTIAL,
    add_colorbar,
    add_legend,
    get_axes,
    line_colors,
    tidy,
)
from spikehouse.plots._grid import TIMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_WRITTEN_LABELS = 24
MAX_WRITTEN_COUNTS = 12
TICK_EVERY = 10


def plot_confusion(
    confusion: xr.DataArray,
    *,
    class_name: str = "class",
    label_names: Mapping[Any, str] | None = None,
    is_normalized: bool = False,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw a confusion matrix.

    Parameters
    ----------
    confusion
        Number of presentations, dims ``(actual, predicted)``: ``DecodingResult.confusion``.
    class_name
        Name of a class for the axis labels, such as "image" or "orientation (°)".
    label_names
        Text for some labels, such as ``{-1: "blank"}``.
    is_normalized
        Draw percentages of the presentations of each actual class instead of counts; the row of a
        class without test presentations is grey.
    ax, title
        Axes to draw on (None makes a new figure), and their title.

    Returns
    -------
    Axes
        One cell per pair of classes; small matrices show their numbers.
    """
    if set(confusion.dims) != {"actual", "predicted"}:
        raise InvalidArgumentError(
            f"confusion has the dimensions {tuple(confusion.dims)}; valid: ('actual', 'predicted')"
        )
    counts = confusion.transpose("actual", "predicted")
    values = counts.to_numpy()
    if not values.size:
        raise InvalidArgumentError(f"confusion is empty: it has the shape {values.shape}")
    label, top = "presentations", float(values.max()) or 1.0
    if is_normalized:
        totals = values.sum(axis=1, keepdims=True)
        values = np.where(totals > 0, 100 * values / np.maximum(totals, 1), np.nan)
        label, top = "share of the actual class (%)", 100.0
    ax = get_axes(ax, size=(7.0, 6.2))
    image = ax.imshow(values, interpolation="nearest", cmap=SEQUENTIAL, vmin=0, vmax=top)
    ax.set_facecolor(NO_VALUE_COLOR)
    add_colorbar(image, ax, label)
    names = {label: str(label) for label in counts["actual"].to_numpy()} | dict(label_names or {})
    at, shown = _ticks([names[label] for label in counts["actual"].to_numpy()])
    ax.set_xticks(at, shown)
    ax.set_yticks(at, shown)
    ax.set_xlabel(f"predicted {class_name}")
    ax.set_ylabel(f"actual {class_name}")
    if len(values) <= MAX_WRITTEN_COUNTS:
        _write_counts(ax, values, top, ".0f" if is_normalized else ".3g")
    return tidy(ax, title=title)


def plot_class_accuracies(
    accuracies: pd.Series,
    *,
    chance: float,
    class_name: str = "class",
    marked: Mapping[Any, str] | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the accuracy of each class, sorted from best to worst.

    Parameters
    ----------
    accuracies
        Fraction correct for each class: ``DecodingResult.per_class_accuracy``. NaN is left out.
    chance
        Chance level, a dashed line.
    class_name
        Name of a class for the axis label, such as "image".
    marked
        Classes to highlight → text to write beside them.
    ax, title
        Axes to draw on (None makes a new figure), and their title.

    Returns
    -------
    Axes
        One dot per class, in order of rank.
    """
    ranked = accuracies.dropna().sort_values(ascending=False, kind="stable")
    absent = [label for label in marked or {} if label not in ranked.index]
    if ranked.empty or absent:
        what = f"no {class_name} {absent[0]!r}" if absent else "no class with an accuracy"
        raise InvalidArgumentError(f"accuracies has {what}; it has {len(ranked)} values")
    ax = get_axes(ax, size=(7.0, 3.0))
    ranks = np.arange(1, len(ranked) + 1)
    ax.plot(ranks, 100 * ranked.to_numpy(), "o", markersize=3.5, color=CONDITION_COLORS[0])
    _draw_chance(ax, chance)
    ax.text(1, 100 * chance, f"chance {chance:.1%}", fontsize="small", color=INK, va="bottom")
    for label, text in (marked or {}).items():
        rank = int(np.flatnonzero(ranked.index == label)[0]) + 1
        height = 100 * float(ranked.to_numpy()[rank - 1])
        ax.plot(rank, height, "o", markersize=8, mfc="none", mec=CONDITION_COLORS[1], mew=1.6)
        is_left = rank <= len(ranked) / 2
        ax.annotate(
            text, (rank, height), xytext=(9 if is_left else -9, 4), textcoords="offset points",
            ha="left" if is_left else "right", fontsize="small", color=CONDITION_COLORS[1],
        )  # fmt: skip
    ax.set_ylim(-4, 104)
    ax.set_xlabel(f"rank of the {class_name}, best decoded first")
    ax.set_ylabel("decoded right\n(% of presentations)")
    return tidy(ax, title=title)


def plot_image(
    template: npt.NDArray[Any], *, ax: Axes | None = None, title: str | None = None
) -> Axes:
    """Draw a grayscale stimulus image.

    Parameters
    ----------
    template
        Image, rows × columns, 0 (black) to 255 (white).
    ax, title
        Axes to draw on (None makes a new figure), and their title.

    Returns
    -------
    Axes
        The image, without ticks.
    """
    values = np.asarray(template)
    if values.ndim != 2:
        raise InvalidArgumentError(
            f"template must be rows × columns, but has the shape {values.shape}"
        )
    ax = get_axes(ax, size=(6.0, 4.8))
    ax.imshow(values, cmap="gray", vmin=0, vmax=255)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    if title:
        ax.set_title(title, loc="left", fontsize="medium")
    return ax


def _ticks(names: list[str]) -> tuple[list[int], list[str]]:
    if len(names) <= MAX_WRITTEN_LABELS:
        return list(range(len(names))), names
    # if the first label is the blank screen, the ticks are at images 0, 10, 20, …
    offset = 0 if names[0] in ("0", "1") else 1
    at = [0] * offset + list(range(offset, len(names), TICK_EVERY))
    if offset and len(names) > 1:
        at = [i for i in at if i != 1]
    return at, [names[i] for i in at]


def _write_counts(ax: Axes, values: npt.NDArray[Any], top: float, form: str) -> None:
    for row, column in np.ndindex(values.shape):
        count = values[row, column]
        if count == 0 or np.isnan(count):
            continue
        color = "black" if count > top / 2 else "white"
        text = format(count, form)
        ax.text(column, row, text, ha="center", va="center", fontsize="small", color=color)


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
    along_label: str | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the accuracy of decoding against the time window or the number of units.

    Parameters
    ----------
    accuracies
        Fraction correct, with the dimension ``along``. Mean and band are taken over all other
        dimensions (folds, repeats, draws of units). A mapping of name → DataArray gives one line
        each. NaN is left out.
    along
        Dimension of the x axis: ``"n_units"``, or the centres of the time windows [s].
    chance
        Chance level, a dashed line; default: ``attrs["chance"]`` if it is the same for all.
    shuffled
        Accuracies with shuffled labels, with or without the dimension ``along``; a grey band
        shows the central 95 %.
    spread
        Band around each line: ``"sd"`` standard deviation, ``"sem"`` standard error of the mean,
        ``"range"`` minimum to maximum.
    is_log
        Use a logarithmic x axis.
    along_label
        Label of the x axis with its unit; there are defaults for the usual dimensions.
    ax, title
        Axes to draw on (None makes a new figure), and their title.

    Returns
    -------
    Axes
        Accuracy [% of presentations], from 0.

    Notes
    -----
    The default is the standard deviation, because a standard error would be too small: folds of
    one cross-validation share training data and draws share units, so they are not independent.
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
        add_legend(ax)
    return tidy(ax, title=title)


def _check_curve(curve: xr.DataArray, along: str, *, name: str) -> None:
    if not isinstance(curve, xr.DataArray) or along not in curve.dims:
        has = getattr(curve, "dims", f"no dimensions, being a {type(curve).__name__}")
        raise InvalidArgumentError(f"{name} has no dimension {along!r}; it has {has}")
    if along not in curve.coords:
        raise InvalidArgumentError(
            f"{name} has no coordinate for its {curve.sizes[along]} entries along {along!r}; "
            f"add it with {name}.assign_coords({along}=…)"
        )
    if curve[along].dtype.kind not in "iuf":
        raise InvalidArgumentError(
            f"{along} of {name} is not a number (it holds {curve[along].to_numpy()[:1].tolist()}); "
            "a line needs numbers"
        )
    if not np.isfinite(curve.to_numpy().astype(np.float64)).any():
        raise InvalidArgumentError(f"{name} holds no finite accuracy: nothing to draw")


def _draw_curve(
    ax: Axes, curve: xr.DataArray, along: str, *, spread: Spread, color: str, marker: str, name: str
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
        # a single repeat has no spread
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
    fill = partial(
        ax.fill_between, color=FAINT, alpha=0.45, linewidth=0, zorder=0,
        label="95 % of shuffled labels",
    )  # fmt: skip
    if along in shuffled.dims:
        _check_curve(shuffled, along, name="shuffled")
        low, high = low.sortby(along), high.sortby(along)
        fill(low[along].to_numpy(), low.to_numpy(), high.to_numpy())
        return
    drawn = np.concatenate([curve[along].to_numpy() for curve in curves.values()])
    ends = [float(drawn.min()), float(drawn.max())]
    fill(ends, float(low), float(high))


def _draw_chance(ax: Axes, chance: float) -> None:
    # named in the legend, because text beside the line would cover curves near chance
    ax.axhline(
        100 * chance, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1,
        label=f"chance {chance:.1%}",
    )  # fmt: skip
