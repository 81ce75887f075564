"""Stimulus presentations, conditions, epochs: tables in, tables out."""

from __future__ import annotations

from spikehouse.stimuli.presentations import (
    Presentations,
    build_presentations,
    condition_table,
    intervals_with_tag,
    presentation_table,
    stimulus_names,
)

__all__ = [
    "Presentations",
    "build_presentations",
    "condition_table",
    "intervals_with_tag",
    "presentation_table",
    "stimulus_names",
]
