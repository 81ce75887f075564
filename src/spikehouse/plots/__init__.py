"""Figures: labelled data in, matplotlib Axes out.

Every function draws on the Axes given as ``ax``, or on a new figure of pyplot's when none is,
and changes no setting of matplotlib. Data are plain arrays and tables, never a session. What does
not fit is refused before a figure is made. Those with AllenSDK's names (``plot_mean_waveforms``,
``plot_running_speed``, ``plot_spike_counts``, ``raster_plot``) have its arguments, too: they make
a figure of their own and return it.

Colours are told apart with the common kinds of colour blindness: Okabe and Ito's for lines and
dots, viridis for what starts at 0, blue–white–red where 0 is in the middle.
"""

from __future__ import annotations

from spikehouse.plots._axes import CONDITION_COLORS
from spikehouse.plots._behavior import plot_behavior
from spikehouse.plots._curves import plot_decoding_curve
from spikehouse.plots._decoding import plot_class_accuracies, plot_confusion, plot_image
from spikehouse.plots._lfp import plot_csd, plot_lfp_heatmap, plot_lfp_traces
from spikehouse.plots._maps import plot_receptive_field
from spikehouse.plots._probes import plot_probes
from spikehouse.plots._session import (
    plot_mean_waveforms,
    plot_running_speed,
    plot_spike_counts,
    raster_plot,
)
from spikehouse.plots._spikes import plot_population_psth, plot_psth_heatmap, plot_raster
from spikehouse.plots._tuning import plot_star, plot_tuning_curve
from spikehouse.plots._waveforms import plot_waveform_heatmap, plot_waveform_lines

__all__ = [
    "CONDITION_COLORS",
    "plot_behavior",
    "plot_class_accuracies",
    "plot_confusion",
    "plot_csd",
    "plot_decoding_curve",
    "plot_image",
    "plot_lfp_heatmap",
    "plot_lfp_traces",
    "plot_mean_waveforms",
    "plot_population_psth",
    "plot_probes",
    "plot_psth_heatmap",
    "plot_raster",
    "plot_receptive_field",
    "plot_running_speed",
    "plot_spike_counts",
    "plot_star",
    "plot_tuning_curve",
    "plot_waveform_heatmap",
    "plot_waveform_lines",
    "raster_plot",
]
