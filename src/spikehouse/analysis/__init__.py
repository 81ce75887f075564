"""Tuning metrics, responses and correlations: arrays and tables in, labelled results out.

Functions load when first used: most of them need scipy or compiled loops, a session does not.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikehouse.analysis.correlations import (
        compute_noise_correlations,
        compute_signal_correlations,
    )
    from spikehouse.analysis.dots import compute_dot_motion_metrics
    from spikehouse.analysis.evoked import adjust_p_values, compute_evoked_responses
    from spikehouse.analysis.flashes import compute_flashes_metrics
    from spikehouse.analysis.gratings import (
        compute_drifting_gratings_metrics,
        compute_static_gratings_metrics,
    )
    from spikehouse.analysis.inputs import StimulusResponses, compute_average_speed
    from spikehouse.analysis.latency import LatencyOptions, compute_onset_latency
    from spikehouse.analysis.metrics import ANALYSES, MetricOptions, compute_metrics, list_analyses
    from spikehouse.analysis.movies import compute_natural_movies_metrics
    from spikehouse.analysis.optotagging import OptotagOptions, compute_optotagging
    from spikehouse.analysis.receptive_fields import (
        compute_receptive_field_maps,
        compute_receptive_field_metrics,
    )
    from spikehouse.analysis.responses import (
        compute_conditionwise_psth,
        compute_rasters_by_condition,
        smooth_rates,
    )
    from spikehouse.analysis.scenes import compute_natural_scenes_metrics
    from spikehouse.analysis.timescale import compute_timescales
    from spikehouse.analysis.tuning import (
        compute_direction_selectivity,
        compute_orientation_selectivity,
    )
    from spikehouse.analysis.variability import compute_fano_factor, compute_lifetime_sparseness

__all__ = [
    "ANALYSES",
    "LatencyOptions",
    "MetricOptions",
    "OptotagOptions",
    "StimulusResponses",
    "adjust_p_values",
    "compute_average_speed",
    "compute_conditionwise_psth",
    "compute_direction_selectivity",
    "compute_dot_motion_metrics",
    "compute_drifting_gratings_metrics",
    "compute_evoked_responses",
    "compute_fano_factor",
    "compute_flashes_metrics",
    "compute_lifetime_sparseness",
    "compute_metrics",
    "compute_natural_movies_metrics",
    "compute_natural_scenes_metrics",
    "compute_noise_correlations",
    "compute_onset_latency",
    "compute_optotagging",
    "compute_orientation_selectivity",
    "compute_rasters_by_condition",
    "compute_receptive_field_maps",
    "compute_receptive_field_metrics",
    "compute_signal_correlations",
    "compute_static_gratings_metrics",
    "compute_timescales",
    "list_analyses",
    "smooth_rates",
]

_HOMES = {
    "ANALYSES": "metrics",
    "LatencyOptions": "latency",
    "MetricOptions": "metrics",
    "OptotagOptions": "optotagging",
    "StimulusResponses": "inputs",
    "adjust_p_values": "evoked",
    "compute_average_speed": "inputs",
    "compute_conditionwise_psth": "responses",
    "compute_direction_selectivity": "tuning",
    "compute_dot_motion_metrics": "dots",
    "compute_drifting_gratings_metrics": "gratings",
    "compute_evoked_responses": "evoked",
    "compute_fano_factor": "variability",
    "compute_flashes_metrics": "flashes",
    "compute_lifetime_sparseness": "variability",
    "compute_metrics": "metrics",
    "compute_natural_movies_metrics": "movies",
    "compute_natural_scenes_metrics": "scenes",
    "compute_noise_correlations": "correlations",
    "compute_onset_latency": "latency",
    "compute_optotagging": "optotagging",
    "compute_orientation_selectivity": "tuning",
    "compute_rasters_by_condition": "responses",
    "compute_receptive_field_maps": "receptive_fields",
    "compute_receptive_field_metrics": "receptive_fields",
    "compute_signal_correlations": "correlations",
    "compute_static_gratings_metrics": "gratings",
    "compute_timescales": "timescale",
    "list_analyses": "metrics",
    "smooth_rates": "responses",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - what a module attribute is, only it knows
    if name not in _HOMES:
        raise AttributeError(f"module 'spikehouse.analysis' has no attribute {name!r}")
    return getattr(importlib.import_module(f"spikehouse.analysis.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
