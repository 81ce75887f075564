"""Stimulus presentations, conditions, epochs: tables in, tables out."""

from __future__ import annotations

from spikehouse.errors import guard_public
from spikehouse.stimuli.epochs import (
    array_intervals,
    inter_presentation_intervals,
    nan_intervals,
    parameter_values,
    stimulus_epochs,
)
from spikehouse.stimuli.presentations import (
    Missing,
    Presentations,
    build_presentations,
    condition_table,
    intervals_with_tag,
    presentation_table,
    stimulus_names,
)

__all__ = [
    "Missing",
    "Presentations",
    "array_intervals",
    "build_presentations",
    "condition_table",
    "inter_presentation_intervals",
    "intervals_with_tag",
    "nan_intervals",
    "parameter_values",
    "presentation_table",
    "stimulus_epochs",
    "stimulus_names",
]

guard_public(globals())
