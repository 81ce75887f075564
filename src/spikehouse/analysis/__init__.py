"""Tuning metrics, responses and correlations: arrays and tables in, labelled results out."""

from __future__ import annotations

from spikehouse.analysis.inputs import StimulusResponses, average_speed

__all__ = ["StimulusResponses", "average_speed"]
