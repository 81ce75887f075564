"""Tuning metrics, responses and correlations: arrays and tables in, labelled results out.

Loaded when first used: most of it needs scipy or compiled loops, a session does not.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikehouse.analysis.correlations import noise_correlations, signal_correlations
    from spikehouse.analysis.evoked import evoked_responses
    from spikehouse.analysis.fdr import adjust_p_values
    from spikehouse.analysis.inputs import StimulusResponses, average_speed
    from spikehouse.analysis.latency import LatencyOptions, onset_latency
    from spikehouse.analysis.metrics import (
        ANALYSES,
        MetricOptions,
        compute_metrics,
        list_analyses,
    )
    from spikehouse.analysis.optotagging import OptotagOptions, optotag
    from spikehouse.analysis.receptive_fields import receptive_field_maps
    from spikehouse.analysis.responses import (
        conditionwise_psth,
        rasters_by_condition,
        smooth_rates,
    )

__all__ = [
    "ANALYSES",
    "LatencyOptions",
    "MetricOptions",
    "OptotagOptions",
    "StimulusResponses",
    "adjust_p_values",
    "average_speed",
    "compute_metrics",
    "conditionwise_psth",
    "evoked_responses",
    "list_analyses",
    "noise_correlations",
    "onset_latency",
    "optotag",
    "rasters_by_condition",
    "receptive_field_maps",
    "signal_correlations",
    "smooth_rates",
]

_HOMES = {
    "ANALYSES": "metrics",
    "LatencyOptions": "latency",
    "MetricOptions": "metrics",
    "OptotagOptions": "optotagging",
    "StimulusResponses": "inputs",
    "adjust_p_values": "fdr",
    "average_speed": "inputs",
    "compute_metrics": "metrics",
    "conditionwise_psth": "responses",
    "evoked_responses": "evoked",
    "list_analyses": "metrics",
    "noise_correlations": "correlations",
    "onset_latency": "latency",
    "optotag": "optotagging",
    "rasters_by_condition": "responses",
    "receptive_field_maps": "receptive_fields",
    "signal_correlations": "correlations",
    "smooth_rates": "responses",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - what a module attribute is, only it knows
    if name not in _HOMES:
        raise AttributeError(f"module 'spikehouse.analysis' has no attribute {name!r}")
    return getattr(importlib.import_module(f"spikehouse.analysis.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
