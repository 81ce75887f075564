"""Figures: labelled data in, matplotlib Axes out.

Every function draws on the Axes given as ``ax``, or on a new figure of pyplot's when none is,
and changes no setting of matplotlib. Those with AllenSDK's names (``plot_mean_waveforms``,
``plot_running_speed``, ``plot_spike_counts``, ``raster_plot``) have its arguments, too: they make
a figure of their own and return it.
"""

from __future__ import annotations

from spikehouse.plots._axes import CONDITION_COLORS
from spikehouse.plots._decoding import plot_class_accuracies, plot_confusion, plot_image
from spikehouse.plots._session import (
    plot_mean_waveforms,
    plot_running_speed,
    plot_spike_counts,
    raster_plot,
)
from spikehouse.plots._spikes import plot_population_psth, plot_psth_heatmap, plot_raster

__all__ = [
    "CONDITION_COLORS",
    "plot_class_accuracies",
    "plot_confusion",
    "plot_image",
    "plot_mean_waveforms",
    "plot_population_psth",
    "plot_psth_heatmap",
    "plot_raster",
    "plot_running_speed",
    "plot_spike_counts",
    "raster_plot",
]
