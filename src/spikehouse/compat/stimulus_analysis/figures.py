"""The figures of AllenSDK's classes, drawn by `spikehouse.plots`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from spikehouse.compat.stimulus_analysis.base import StimulusAnalysis

__all__ = ["draw_gratings", "draw_raster", "draw_tuning"]


def draw_raster(
    analysis: StimulusAnalysis,
    stimulus_condition_id: int,
    unit_id: int,
    panel: tuple[int, int, int],
) -> Axes:
    """Draw the spikes of a unit in the presentations of a condition, on a panel of the figure."""
    import matplotlib.pyplot as plt

    from spikehouse.plots import plot_raster

    table = analysis.stim_table
    shown = table.index[table["stimulus_condition_id"] == stimulus_condition_id]
    spikes = analysis.presentationwise_spike_times
    spikes = spikes[spikes["unit_id"] == unit_id]
    spikes = spikes[spikes["stimulus_presentation_id"].isin(shown)]
    ax = plot_raster(spikes, row_order=shown, ax=plt.subplot(*panel))
    ax.set_axis_off()
    return ax


def draw_gratings(
    analysis: StimulusAnalysis, unit_id: int, *, angle: str, rings: str, period: float
) -> Axes:
    """Draw the mean spike count of every grating as a wedge."""
    from spikehouse.plots import plot_star

    counts = _list_counts(analysis, unit_id).assign(
        orientation=lambda table: table[angle], ring=lambda table: table[rings]
    )
    blank = counts["spike_counts"][counts["orientation"].isna() | counts["ring"].isna()]
    means = counts.groupby(["orientation", "ring"])["spike_counts"].mean().to_xarray()
    return plot_star(
        means.rename(ring=rings),
        rings=rings,
        blank=float(blank.mean()) if len(blank) else None,
        period=period,
        response_label="spikes per presentation",
        title=f"unit {unit_id}",
    )


def draw_tuning(analysis: StimulusAnalysis, unit_id: int, labels: dict[str, str]) -> None:
    """Draw the mean spike count against parameters, one panel for each."""
    import matplotlib.pyplot as plt

    from spikehouse.plots import plot_tuning_curve

    counts = _list_counts(analysis, unit_id)
    for number, (column, label) in enumerate(labels.items(), start=1):
        plot_tuning_curve(
            counts["spike_counts"].to_numpy(dtype=np.float64),
            counts[column].to_numpy(dtype=np.float64),
            ax=plt.subplot(len(labels), 1, number),
            value_label=label,
            response_label="spikes per presentation",
        )


def _list_counts(analysis: StimulusAnalysis, unit_id: int) -> pd.DataFrame:
    """Join the spike counts of a unit with the numeric parameters of each presentation."""
    counts = analysis.presentationwise_statistics.xs(unit_id, level="unit_id")
    table = analysis.stim_table.drop(columns="stimulus_condition_id")
    parameters = table.apply(pd.to_numeric, errors="coerce")
    return counts.join(parameters)
