"""Figures: labelled arrays and tables in, matplotlib Axes out.

Every function draws on the Axes given as ``ax``, or on a new pyplot figure if it is None, and
changes no setting of matplotlib. Data are arrays and tables, never a session. Invalid data raise
InvalidArgumentError before a figure is made; the message says what is valid.

Colours can be told apart with the common kinds of colour blindness: Okabe and Ito's palette for
lines and dots, viridis for values from 0 up, blue–white–red for values around 0.
"""

from __future__ import annotations

from spikehouse.errors import guard_public
from spikehouse.plots._axes import CONDITION_COLORS
from spikehouse.plots._behavior import plot_behavior
from spikehouse.plots._connections import plot_correlogram, plot_directionality
from spikehouse.plots._decoding import (
    plot_class_accuracies,
    plot_confusion,
    plot_decoding_curve,
    plot_image,
)
from spikehouse.plots._hierarchy import AREA_COLORS, plot_fractions, plot_funnel, plot_hierarchy
from spikehouse.plots._lfp import plot_csd, plot_lfp_heatmap, plot_lfp_traces
from spikehouse.plots._maps import plot_receptive_field
from spikehouse.plots._probes import plot_probes
from spikehouse.plots._spikes import plot_population_psth, plot_psth_heatmap, plot_raster
from spikehouse.plots._tuning import plot_star, plot_tuning_curve
from spikehouse.plots._waveforms import (
    plot_waveform_classes,
    plot_waveform_heatmap,
    plot_waveform_lines,
)

__all__ = [
    "AREA_COLORS",
    "CONDITION_COLORS",
    "plot_behavior",
    "plot_class_accuracies",
    "plot_confusion",
    "plot_correlogram",
    "plot_csd",
    "plot_decoding_curve",
    "plot_directionality",
    "plot_fractions",
    "plot_funnel",
    "plot_hierarchy",
    "plot_image",
    "plot_lfp_heatmap",
    "plot_lfp_traces",
    "plot_population_psth",
    "plot_probes",
    "plot_psth_heatmap",
    "plot_raster",
    "plot_receptive_field",
    "plot_star",
    "plot_tuning_curve",
    "plot_waveform_classes",
    "plot_waveform_heatmap",
    "plot_waveform_lines",
]

guard_public(globals())
