"""The data dictionary: dtype, unit, meaning and source of every column."""

from __future__ import annotations

from spikehouse.schema._core import Column, Kind, Table, require_columns
from spikehouse.schema.session_tables import (
    CHANNELS,
    INVALID_TIMES,
    OPTOGENETIC_EPOCHS,
    PRESENTATIONWISE_SPIKE_TIMES,
    PROBES,
    UNITS,
)

__all__ = [
    "CHANNELS",
    "INVALID_TIMES",
    "OPTOGENETIC_EPOCHS",
    "PRESENTATIONWISE_SPIKE_TIMES",
    "PROBES",
    "UNITS",
    "Column",
    "Kind",
    "Table",
    "require_columns",
]
