"""Tuning metrics, responses and correlations: arrays and tables in, labelled results out.

An argument that is not valid raises InvalidArgumentError, and an unknown unit or stimulus
NotFoundError; the message says what is valid.
"""

from __future__ import annotations

import sys

from spikehouse.analysis.autocorrelograms import compute_autocorrelograms
from spikehouse.analysis.behavior import compute_eye_traces, summarize_behavior
from spikehouse.analysis.connections import (
    compute_connections,
    compute_directionality,
    compute_directionality_correlation,
    find_connections,
)
from spikehouse.analysis.correlations import (
    compute_noise_correlations,
    compute_residual_counts,
    compute_signal_correlations,
)
from spikehouse.analysis.correlograms import compute_correlograms
from spikehouse.analysis.decay import compute_decay_timescales, compute_intrinsic_timescales
from spikehouse.analysis.evoked import adjust_p_values, compute_evoked_responses
from spikehouse.analysis.gratings import (
    compute_dot_motion_metrics,
    compute_drifting_gratings_metrics,
    compute_static_gratings_metrics,
)
from spikehouse.analysis.hierarchy import (
    HIERARCHY_SCORES,
    compute_area_comparisons,
    compute_area_statistics,
    compute_hierarchy_correlation,
)
from spikehouse.analysis.images import (
    compute_flashes_metrics,
    compute_natural_movies_metrics,
    compute_natural_scenes_metrics,
)
from spikehouse.analysis.inputs import StimulusResponses
from spikehouse.analysis.latency import (
    LatencyOptions,
    compute_onset_latency,
    compute_time_to_first_spike,
)
from spikehouse.analysis.layers import compute_cortical_layers
from spikehouse.analysis.metrics import ANALYSES, MetricOptions, compute_metrics, list_analyses
from spikehouse.analysis.movies import compute_movie_tuning
from spikehouse.analysis.optotagging import OptotagOptions, compute_optotagging
from spikehouse.analysis.pairs import summarize_correlations
from spikehouse.analysis.populations import compute_communication, compute_shared_variance
from spikehouse.analysis.receptive_fields import (
    compute_receptive_field_maps,
    compute_receptive_field_metrics,
    fit_receptive_fields,
)
from spikehouse.analysis.repeats import (
    compute_representational_drift,
    compute_split_half_reliability,
)
from spikehouse.analysis.responses import (
    compute_conditionwise_psth,
    compute_rasters_by_condition,
    smooth_rates,
)
from spikehouse.analysis.states import find_states, label_presentations
from spikehouse.analysis.timescale import compute_timescales
from spikehouse.analysis.traces import compute_trace_means, compute_triggered_average
from spikehouse.analysis.tuning import (
    compute_direction_selectivity,
    compute_orientation_selectivity,
)
from spikehouse.analysis.variability import compute_fano_factor, compute_lifetime_sparseness
from spikehouse.analysis.waveforms import classify_waveforms, compute_bimodality
from spikehouse.errors import guard_public

__all__ = [
    "ANALYSES",
    "HIERARCHY_SCORES",
    "LatencyOptions",
    "MetricOptions",
    "OptotagOptions",
    "StimulusResponses",
    "adjust_p_values",
    "classify_waveforms",
    "compute_area_comparisons",
    "compute_area_statistics",
    "compute_autocorrelograms",
    "compute_bimodality",
    "compute_communication",
    "compute_conditionwise_psth",
    "compute_connections",
    "compute_correlograms",
    "compute_cortical_layers",
    "compute_decay_timescales",
    "compute_direction_selectivity",
    "compute_directionality",
    "compute_directionality_correlation",
    "compute_dot_motion_metrics",
    "compute_drifting_gratings_metrics",
    "compute_evoked_responses",
    "compute_eye_traces",
    "compute_fano_factor",
    "compute_flashes_metrics",
    "compute_hierarchy_correlation",
    "compute_intrinsic_timescales",
    "compute_lifetime_sparseness",
    "compute_metrics",
    "compute_movie_tuning",
    "compute_natural_movies_metrics",
    "compute_natural_scenes_metrics",
    "compute_noise_correlations",
    "compute_onset_latency",
    "compute_optotagging",
    "compute_orientation_selectivity",
    "compute_rasters_by_condition",
    "compute_receptive_field_maps",
    "compute_receptive_field_metrics",
    "compute_representational_drift",
    "compute_residual_counts",
    "compute_shared_variance",
    "compute_signal_correlations",
    "compute_split_half_reliability",
    "compute_static_gratings_metrics",
    "compute_time_to_first_spike",
    "compute_timescales",
    "compute_trace_means",
    "compute_triggered_average",
    "find_connections",
    "find_states",
    "fit_receptive_fields",
    "label_presentations",
    "list_analyses",
    "smooth_rates",
    "summarize_behavior",
    "summarize_correlations",
]

# the functions of the modules as well, which `spikehouse.compat` calls
for _name in [name for name in sys.modules if name.startswith(f"{__name__}.")]:
    guard_public(vars(sys.modules[_name]))
guard_public(globals())
