"""The data dictionary (dtype, unit, meaning, source of every column) and known faults."""

from __future__ import annotations

from spikehouse.schema._core import Column as Column
from spikehouse.schema._core import Table as Table
from spikehouse.schema._core import require_columns as require_columns
from spikehouse.schema.data_notes import list_data_notes
from spikehouse.schema.session_tables import (
    CHANNELS,
    INVALID_TIMES,
    OPTOGENETIC_EPOCHS,
    PRESENTATIONWISE_SPIKE_TIMES,
    PROBES,
    UNITS,
)

# how the tables are checked is the package's own
__all__ = [
    "CHANNELS",
    "INVALID_TIMES",
    "OPTOGENETIC_EPOCHS",
    "PRESENTATIONWISE_SPIKE_TIMES",
    "PROBES",
    "UNITS",
    "list_data_notes",
]
