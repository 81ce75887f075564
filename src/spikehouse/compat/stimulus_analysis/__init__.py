"""AllenSDK's classes and functions of stimulus analysis, as views of `spikehouse.analysis`."""

from __future__ import annotations

from spikehouse.compat.stimulus_analysis.base import StimulusAnalysis
from spikehouse.compat.stimulus_analysis.gratings import (
    DotMotion,
    DriftingGratings,
    StaticGratings,
)
from spikehouse.compat.stimulus_analysis.images import Flashes, NaturalMovies, NaturalScenes
from spikehouse.compat.stimulus_analysis.receptive_field_mapping import ReceptiveFieldMapping

__all__ = [
    "DotMotion",
    "DriftingGratings",
    "Flashes",
    "NaturalMovies",
    "NaturalScenes",
    "ReceptiveFieldMapping",
    "StaticGratings",
    "StimulusAnalysis",
]
