"""Stimulus presentations, conditions and epochs: tables in, tables out."""

from __future__ import annotations

from spikehouse.errors import guard_public
from spikehouse.stimuli.epochs import (
    inter_presentation_intervals,
    parameter_values,
    run_bounds,
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
    "build_presentations",
    "condition_table",
    "inter_presentation_intervals",
    "intervals_with_tag",
    "parameter_values",
    "presentation_table",
    "run_bounds",
    "stimulus_epochs",
    "stimulus_names",
]

guard_public(globals())
