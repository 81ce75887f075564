"""Figures of connections: one correlogram, and the direction between areas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.analysis import compute_directionality_correlation, find_connections
from spikehouse.errors import InvalidArgumentError, describe_choices
from spikehouse.plots._axes import (
    CONDITION_COLORS,
    DIVERGING,
    FAINT,
    INK,
    NO_VALUE_COLOR,
    add_colorbar,
    get_axes,
    tidy,
)
from spikehouse.schema import require_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Measure = Literal["score", "median_lag"]
# factor, label, format of a cell
_MEASURES: dict[str, tuple[float, str, str]] = {
    "score": (1.0, "directionality score", ".2f"),
    "median_lag": (1000.0, "median lag of the peak (ms)", ".1f"),
}


def plot_correlogram(
    correlogram: xr.DataArray,
    *,
    limit: float = 0.01,
    flank: tuple[float, float] = (0.05, 0.1),
    n_sd: float = 7.0,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the correlogram of one pair of units, with the height its peak has to pass.

    Parameters
    ----------
    correlogram
        One pair of what ``analysis.compute_correlograms`` gives, such as ``correlograms[0]``.
    limit, flank, n_sd
        Lags of the peak and of the flanks [s], and the limit in standard deviations, as for
        ``analysis.find_connections``.
    ax, title
        Axes to draw on (None makes a new figure), and their title.

    Returns
    -------
    Axes
        Coincidences per spike against the lag in ms; the target fires after the source to the
        right of 0. The flanks are shaded, the dashed line is the limit, and a circle marks the
        peak, filled if it is significant.
    """
    pairs = correlogram if "pair" in correlogram.dims else correlogram.expand_dims("pair")
    if pairs.sizes["pair"] != 1:
        raise InvalidArgumentError(
            f"correlogram has {pairs.sizes['pair']} pairs; choose one, such as correlograms[0]"
        )
    found = find_connections(pairs, limit=limit, flank=flank, n_sd=n_sd).iloc[0]
    if "bin_width" not in correlogram.attrs or not np.isfinite(found["peak_lag"]):
        raise InvalidArgumentError(
            f"the correlogram of unit {found['source_unit_id']} with {found['target_unit_id']} "
            "needs values that are finite (a silent unit has none) and the attribute bin_width, as "
            "analysis.compute_correlograms gives them"
        )
    # per spike: as the values are per (spike/s) and bin
    scale = 1 / float(correlogram.attrs["bin_width"])
    lags = 1000 * correlogram["time_lag"].to_numpy()
    ax = get_axes(ax, size=(5.0, 3.2))
    for side in (-1, 1):
        ax.axvspan(*sorted(side * 1000 * bound for bound in flank), color="#f1efe9", linewidth=0)
    ax.axhline(0, color=FAINT, linewidth=0.8)
    ax.axvline(0, color=FAINT, linewidth=0.8)
    ax.plot(lags, scale * pairs.squeeze("pair").to_numpy(), color=INK, linewidth=1.0)
    height = scale * n_sd * found["flank_sd"]
    ends = [-1000 * limit, 1000 * limit]
    ax.plot(ends, [height, height], color=CONDITION_COLORS[1], linewidth=1.3, linestyle=(0, (4, 2)))
    ax.text(
        1000 * limit, height, f" {n_sd:g} SD of the flanks", color=CONDITION_COLORS[1],
        fontsize="small", va="bottom" if found["is_significant"] else "center",
    )  # fmt: skip
    ax.plot(
        1000 * found["peak_lag"], scale * found["peak"], "o", markersize=6, mew=1.4,
        mec=CONDITION_COLORS[0], mfc=CONDITION_COLORS[0] if found["is_significant"] else "none",
    )  # fmt: skip
    ax.set_xlim(lags[0], lags[-1])
    source, target = found["source_unit_id"], found["target_unit_id"]
    ax.set_xlabel(f"lag of unit {target} after unit {source} (ms)")
    is_corrected = correlogram.attrs.get("jitter_window", 0) > 0
    ax.set_ylabel(f"coincidences per spike\n{'less jittered' if is_corrected else 'uncorrected'}")
    return tidy(ax, title=title)


def plot_directionality(
    directionality: pd.DataFrame,
    *,
    hierarchy: Mapping[str, float],
    measure: Measure = "score",
    order: Sequence[str] | None = None,
    names: Mapping[str, str] | None = None,
    axes: Sequence[Axes] | npt.NDArray[Any] | None = None,
    title: str | None = None,
) -> npt.NDArray[Any]:
    """Draw which area leads which, as a matrix and against their distance in the hierarchy.

    Parameters
    ----------
    directionality
        What ``analysis.compute_directionality`` gives. With a column n_significant, the number of
        pairs of units stands below each value.
    hierarchy
        Acronym of an area → its hierarchy score, such as ``analysis.HIERARCHY_SCORES``. Other
        areas are not drawn.
    measure
        ``"score"``, or ``"median_lag"``.
    order
        Acronyms of the areas to draw, in this order; those of ``hierarchy`` in its order if None.
        Of two areas the first is the source of their dot, and r depends on that where their scores
        hardly differ.
    names
        Acronym of an area → the name to write.
    axes
        Two Axes, for the matrix and for the dots; None makes a new figure.
    title
        Title of the matrix, left-aligned.

    Returns
    -------
    ndarray of Axes, shape (2,)
        Left, a cell for each pair of areas, grey without a value: red where the source (columns)
        leads. Right, a dot for each pair of areas against the
        difference of their hierarchy scores, with Pearson's correlation; rings are areas with
        themselves, which are 0 by construction and not in it.
    """
    if measure not in _MEASURES:
        raise InvalidArgumentError(f"measure={measure!r}: {describe_choices(measure, _MEASURES)}")
    require_columns(directionality, measure, what="the table of directionality")
    scale, label, cell = _MEASURES[measure]
    square = directionality[measure].unstack(0)
    order = sorted(hierarchy, key=hierarchy.__getitem__) if order is None else list(order)
    if unknown := [area for area in order if area not in hierarchy]:
        raise InvalidArgumentError(
            f"order has {unknown[0]!r}, which has no hierarchy score: "
            f"{describe_choices(unknown[0], hierarchy)}"
        )
    areas = [area for area in order if area in square.index]
    square = square.reindex(index=areas, columns=areas)
    values = scale * square.to_numpy(dtype=np.float64)
    if not np.isfinite(values).any():
        raise InvalidArgumentError(
            f"no pair of areas with a hierarchy score has a {measure}: the table has "
            f"{sorted({str(key[0]) for key in directionality.index})}, and hierarchy "
            f"{sorted(hierarchy)}"
        )
    if axes is None:
        from matplotlib import pyplot as plt

        axes = plt.subplots(1, 2, figsize=(9.0, 3.8), layout="constrained")[1]
    left, right = panels = np.asarray(axes, dtype=object).ravel()
    n_pairs: npt.NDArray[np.float64] | None = None
    if "n_significant" in directionality:
        numbers = directionality["n_significant"].unstack(0).reindex(index=areas, columns=areas)
        n_pairs = numbers.to_numpy(dtype=np.float64)
    largest = 1.0 if measure == "score" else max(float(np.nanmax(abs(values))), 1.0)
    image = left.imshow(values, cmap=DIVERGING, vmin=-largest, vmax=largest)
    left.set_facecolor(NO_VALUE_COLOR)
    shown = [(names or {}).get(area, area) for area in areas]
    left.set_xticks(range(len(areas)), shown)
    left.set_yticks(range(len(areas)), shown)
    left.set_xlabel("source")
    left.set_ylabel("target")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            color = "white" if abs(value) > 0.6 * largest else INK
            left.text(
                column, row, format(value, cell).replace("-", "−"), ha="center", color=color,
                va="center" if n_pairs is None else "bottom", fontsize="x-small",
            )  # fmt: skip
            if n_pairs is not None:
                number = f"{n_pairs[row, column]:,.0f}".replace(",", " ")
                left.text(column, row + 0.06, number, ha="center", va="top", color=color,
                          fontsize="xx-small")  # fmt: skip
    add_colorbar(image, left, label)
    tidy(left, title=title)
    _draw_against_hierarchy(right, square, hierarchy, scale)
    right.set_ylabel(label)
    return panels


def _draw_against_hierarchy(
    ax: Axes, square: pd.DataFrame, hierarchy: Mapping[str, float], scale: float
) -> None:
    """Draw a dot for every pair of areas, the first one as the source."""
    scores = np.array([hierarchy[area] for area in square.index])
    target, source = np.tril_indices(len(scores))
    x, y = scores[target] - scores[source], scale * square.to_numpy()[target, source]
    is_same = target == source
    ax.axhline(0, color=FAINT, linewidth=0.8)
    ax.plot(x[is_same], y[is_same], "o", markersize=5, mfc="none", mec=FAINT)
    ax.plot(x[~is_same], y[~is_same], "o", markersize=5, color=CONDITION_COLORS[0])
    ax.set_xlabel("hierarchy score, target − source")
    is_known = np.isfinite(y) & ~is_same
    text = "1 pair of areas" if is_known.sum() == 1 else f"{is_known.sum()} pairs of areas"
    if is_known.sum() > 2 and np.ptp(y[is_known]) > 0:
        r = compute_directionality_correlation(square, hierarchy, with_diagonal=False)["pearson_r"]
        slope, at_0 = np.polyfit(x[is_known], y[is_known], 1)
        ends = np.array([x[is_known].min(), x[is_known].max()])
        ax.plot(ends, at_0 + slope * ends, color=INK, linewidth=1.0, linestyle=(0, (4, 2)))
        text = f"r = {r:.2f}, {text}".replace("-", "−")
    tidy(ax, title=text)
