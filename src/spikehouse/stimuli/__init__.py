"""Stimulus presentations, conditions and epochs: tables in, tables out.

A table that lacks a column raises InvalidArgumentError, an unknown stimulus NotFoundError; the
message says what is valid.
"""

from __future__ import annotations

from spikehouse.errors import guard_public
from spikehouse.stimuli.epochs import (
    compute_inter_presentation_intervals,
    find_run_bounds,
    find_stimulus_epochs,
    list_parameter_values,
)
from spikehouse.stimuli.presentations import (
    Missing,
    Presentations,
    build_presentations,
    list_conditions,
    list_presentations,
    list_stimulus_names,
    select_tagged_intervals,
)

__all__ = [
    "Missing",
    "Presentations",
    "build_presentations",
    "compute_inter_presentation_intervals",
    "find_run_bounds",
    "find_stimulus_epochs",
    "list_conditions",
    "list_parameter_values",
    "list_presentations",
    "list_stimulus_names",
    "select_tagged_intervals",
]

guard_public(globals())
