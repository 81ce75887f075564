"""AllenSDK's classes and functions of stimulus analysis, as views of `spikehouse.analysis`."""

from __future__ import annotations

from spikehouse.compat.stimulus_analysis.base import StimulusAnalysis
from spikehouse.compat.stimulus_analysis.classes import (
    DotMotion,
    DriftingGratings,
    Flashes,
    NaturalMovies,
    NaturalScenes,
    ReceptiveFieldMapping,
    StaticGratings,
)

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
