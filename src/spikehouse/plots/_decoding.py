"""Figures of decoding results and of the decoded images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError
from spikehouse.plots._axes import (
    CONDITION_COLORS,
    INK,
    NO_VALUE_COLOR,
    SEQUENTIAL,
    add_colorbar,
    get_axes,
    tidy,
)

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

    Raises
    ------
    InvalidArgumentError
        If ``confusion`` does not have the dims ``actual`` and ``predicted``, or is empty.
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

    Raises
    ------
    InvalidArgumentError
        If no class has an accuracy, or a marked class has none.
    """
    ranked = accuracies.dropna().sort_values(ascending=False, kind="stable")
    absent = [label for label in marked or {} if label not in ranked.index]
    if ranked.empty or absent:
        what = f"no {class_name} {absent[0]!r}" if absent else "no class with an accuracy"
        raise InvalidArgumentError(f"accuracies has {what}; it has {len(ranked)} values")
    ax = get_axes(ax, size=(7.0, 3.0))
    ranks = np.arange(1, len(ranked) + 1)
    ax.plot(ranks, 100 * ranked.to_numpy(), "o", markersize=3.5, color=CONDITION_COLORS[0])
    ax.axhline(100 * chance, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
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

    Raises
    ------
    InvalidArgumentError
        If the template is not two-dimensional.
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
