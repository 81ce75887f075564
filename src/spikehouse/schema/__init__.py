"""The data dictionary (dtype, unit, meaning, source of columns), known faults, structures."""

from __future__ import annotations

from spikehouse.schema._core import Column as Column
from spikehouse.schema._core import Table as Table
from spikehouse.schema._core import require_columns as require_columns
from spikehouse.schema.cache_tables import METRICS
from spikehouse.schema.data_notes import list_data_notes
from spikehouse.schema.session_tables import (
    CHANNELS,
    INVALID_TIMES,
    OPTOGENETIC_EPOCHS,
    PRESENTATIONWISE_SPIKE_TIMES,
    PROBES,
    PUPIL_DATA,
    RUNNING_SPEED,
    SCREEN_GAZE,
    STIMULUS_PRESENTATIONS,
    UNITS,
)
from spikehouse.schema.structures import list_structures

# how the tables are checked is the package's own
__all__ = [
    "CHANNELS",
    "INVALID_TIMES",
    "METRICS",
    "OPTOGENETIC_EPOCHS",
    "PRESENTATIONWISE_SPIKE_TIMES",
    "PROBES",
    "PUPIL_DATA",
    "RUNNING_SPEED",
    "SCREEN_GAZE",
    "STIMULUS_PRESENTATIONS",
    "UNITS",
    "list_data_notes",
    "list_structures",
]
