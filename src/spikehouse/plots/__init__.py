"""Figures: labelled data in, matplotlib Axes out.

Every function draws on the Axes given as ``ax``, or on a new figure of pyplot's when none is,
and changes no setting of matplotlib.
"""

from __future__ import annotations

from spikehouse.plots._axes import CONDITION_COLORS
from spikehouse.plots._decoding import plot_class_accuracies, plot_confusion, plot_image
from spikehouse.plots._spikes import plot_population_psth, plot_psth_heatmap, plot_raster

__all__ = [
    "CONDITION_COLORS",
    "plot_class_accuracies",
    "plot_confusion",
    "plot_image",
    "plot_population_psth",
    "plot_psth_heatmap",
    "plot_raster",
]
