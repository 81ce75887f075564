"""Paths of the files in a cache folder, and in the public bucket with the same layout."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from spikehouse.errors import NotFoundError, describe_choices
from spikehouse.survey.protocol import TABLE_FILES, TableFile

__all__ = [
    "METRICS_FILES",
    "lfp_key",
    "movie_key",
    "scene_key",
    "session_key",
    "session_metrics_key",
    "table_key",
]

# session type → the CSV with the metrics of its units
METRICS_FILES: Mapping[str, TableFile] = MappingProxyType(
    {
        name.removesuffix("_analysis_metrics"): name
        for name in TABLE_FILES
        if name.endswith("_analysis_metrics")
    }
)


def table_key(name: str) -> str:
    """Return the path of a table."""
    if name not in TABLE_FILES:
        raise NotFoundError(f"there is no table {name!r}: {describe_choices(name, TABLE_FILES)}")
    return f"{name}.csv"


def session_key(session_id: int) -> str:
    """Return the path of the file of a session."""
    return f"session_{session_id:d}/session_{session_id:d}.nwb"


def session_metrics_key(session_id: int) -> str:
    """Return the path of the analysis metrics of the units of a session."""
    return f"session_{session_id:d}/session_{session_id:d}_analysis_metrics.csv"


def lfp_key(session_id: int, probe_id: int) -> str:
    """Return the path of the LFP file of a probe."""
    return f"session_{session_id:d}/probe_{probe_id:d}_lfp.nwb"


def scene_key(number: int) -> str:
    """Return the path of an image."""
    return f"natural_scene_templates/natural_scene_{number:d}.tiff"


def movie_key(number: int) -> str:
    """Return the path of a movie."""
    return f"natural_movie_templates/natural_movie_{number:d}.h5"
