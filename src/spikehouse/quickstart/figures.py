"""The four figures of the quick start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.decoding import DecodingResult
from spikehouse.quickstart.survey import Decodable, Recording

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

N_RASTER_CLASSES = 4
N_SHOWN_PRESENTATIONS = 16
N_DEPTH_TICKS = 9


def draw_psth(
    recording: Recording,
    overall: xr.DataArray,
    by_condition: dict[str, xr.DataArray],
    *,
    duration: float,
    n_flashes: int,
) -> Figure:
    """Draw the response to flashes: population rate above a heat map of the units."""
    from matplotlib.figure import Figure

    from spikehouse.plots import plot_population_psth, plot_psth_heatmap

    figure = Figure(figsize=(7.2, 8.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2.6))
    depths = recording.units["probe_vertical_position"]
    plot_population_psth(
        by_condition,
        ax=above,
        stimulus_duration=duration,
        title=f"{recording.title}: response to {n_flashes} full-field flashes of {duration:.2f} s",
    )
    above.set_xlabel("")
    plot_psth_heatmap(
        overall,
        ax=below,
        depths=depths,
        stimulus_duration=duration,
        title="mean over all flashes, one row per unit",
    )
    return figure


def draw_raster(
    recording: Recording,
    spikes: pd.DataFrame,
    design: xr.DataArray,
    presentations: pd.DataFrame,
    stimulus: Decodable,
) -> Figure:
    """Draw one selective unit in many presentations, and all units in a few."""
    from matplotlib.figure import Figure

    classes = presentations[stimulus.parameter]
    figure = Figure(figsize=(11.0, 6.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
    _draw_selective_unit(left, spikes, design, classes, stimulus)
    _draw_population(right, recording, spikes, presentations, stimulus)
    figure.suptitle(
        f"{recording.title}: spikes during {stimulus.title}", x=0.01, ha="left", fontsize="large"
    )
    return figure


def draw_confusion(recording: Recording, result: DecodingResult, stimulus: Decodable) -> Figure:
    """Draw the confusion matrix."""
    from matplotlib.figure import Figure

    from spikehouse.plots import plot_confusion

    figure = Figure(figsize=(7.4, 6.8), layout="constrained")
    plot_confusion(
        result.confusion,
        ax=figure.subplots(),
        class_name=stimulus.class_name,
        label_names=stimulus.names(result.labels),
        title=(
            f"{recording.title}: {stimulus.class_name} decoded from {result.n_units} units\n"
            f"right {result.mean_accuracy:.1%} (mean of {len(result.accuracies)} folds), "
            f"chance {result.chance:.1%}"
        ),
    )
    return figure


def draw_images(
    recording: Recording,
    result: DecodingResult,
    stimulus: Decodable,
    *,
    marked: dict[Any, str],
    templates: dict[Any, npt.NDArray[Any]],
) -> Figure:
    """Draw the accuracy of each class, and the images of the best and the worst class."""
    from matplotlib.figure import Figure

    from spikehouse.plots import plot_class_accuracies, plot_image

    has_images = bool(templates)
    figure = Figure(figsize=(10.0, 7.4 if has_images else 3.4), layout="constrained")
    if has_images:
        grid = figure.add_gridspec(2, len(templates), height_ratios=(2, 1))
        for column, (label, template) in enumerate(templates.items()):
            share = result.per_class_accuracy.loc[label]
            n_shown = int(result.confusion.sel(actual=label).sum())
            title = f"{marked[label]}, {share:.0%} of {n_shown} presentations right"
            plot_image(template, ax=figure.add_subplot(grid[0, column]), title=title)
        below = figure.add_subplot(grid[1, :])
    else:
        below = figure.subplots()
    title = f"{recording.title}: how well each {stimulus.class_name} is decoded"
    plot_class_accuracies(
        result.per_class_accuracy,
        chance=result.chance,
        ax=below,
        class_name=stimulus.class_name,
        marked=marked,
        title=None if has_images else title,
    )
    if has_images:
        figure.suptitle(title, x=0.01, ha="left", fontsize="large")
    return figure


def find_selective_unit(design: xr.DataArray, classes: pd.Series) -> int:
    """Return the unit with the largest variance between relative to within classes."""
    counts = pd.DataFrame(design.to_numpy(), columns=design["unit_id"].to_numpy())
    grouped = counts.groupby(classes.to_numpy())
    between, within = grouped.mean().var(), grouped.var().mean()
    # units that never vary within a class are mostly silent and no good example
    ratio = (between / within).where(within > 0, 0.0)
    return int(ratio.index[int(ratio.to_numpy().argmax())])


def _draw_selective_unit(
    ax: Axes, spikes: pd.DataFrame, design: xr.DataArray, classes: pd.Series, stimulus: Decodable
) -> None:
    from spikehouse.plots import plot_raster

    unit_id = find_selective_unit(design, classes)
    counts = design.sel(unit_id=unit_id).to_series()
    means = counts.groupby(classes).mean().sort_values(ascending=False, kind="stable")
    n_best = min(N_RASTER_CLASSES, len(means)) - 1
    shown = [*means.index[:n_best], means.index[-1]]
    names = stimulus.names(means.index.to_numpy())
    groups = pd.concat([classes[classes == label] for label in shown])
    plot_raster(
        spikes[spikes["unit_id"] == unit_id],
        groups=groups.map(names).astype(pd.CategoricalDtype([names[label] for label in shown])),
        ax=ax,
        title=f"unit {unit_id}: its best {len(shown) - 1} and its worst",
    )
    ax.set_xlim(0.0, stimulus.duration)
    ax.set_ylabel(f"{len(groups)} presentations, by {stimulus.class_name}")


def _draw_population(
    ax: Axes,
    recording: Recording,
    spikes: pd.DataFrame,
    presentations: pd.DataFrame,
    stimulus: Decodable,
) -> None:
    from spikehouse.plots import plot_raster

    first = presentations.iloc[:N_SHOWN_PRESENTATIONS]
    start = float(first["start_time"].iloc[0])
    some = spikes[spikes["stimulus_presentation_id"].isin(first.index)]
    plot_raster(
        some.assign(time_since_stimulus_presentation_onset=some.index.to_numpy() - start),
        rows="unit_id",
        row_order=recording.units.index,
        ax=ax,
        title=f"all units, first {len(first)} presentations ({stimulus.class_name} above)",
    )
    starts = first["start_time"].to_numpy() - start
    stops = first["stop_time"].to_numpy() - start
    names = stimulus.names(first[stimulus.parameter].to_numpy())
    is_shaded = False
    for number, label in enumerate(first[stimulus.parameter]):
        # every second presentation if they follow each other, all of them if there are gaps
        is_after_pause = number == 0 or starts[number] - stops[number - 1] > 0.01
        is_shaded = is_after_pause or not is_shaded
        if is_shaded:
            ax.axvspan(starts[number], stops[number], color="#f1efe9", linewidth=0, zorder=0)
        ax.text(
            (starts[number] + stops[number]) / 2, 1.0, names[label],
            transform=ax.get_xaxis_transform(), ha="center", va="bottom", fontsize="x-small",
        )  # fmt: skip
    ax.set_title(ax.get_title(loc="left"), loc="left", fontsize="medium", pad=14)
    ax.set_xlim(0.0, stops[-1])
    ax.set_xlabel("time from the first onset (s)")
    depths = recording.units["probe_vertical_position"]
    at = np.unique(np.linspace(0, len(depths) - 1, min(N_DEPTH_TICKS, len(depths))).astype(int))
    ax.set_yticks(at, [f"{depth:.0f}" for depth in depths.iloc[at]])
    ax.set_ylabel(f"{len(depths)} units, by position on the probe (µm from the tip)")
