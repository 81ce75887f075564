"""The data dictionary: dtype, unit, meaning and source of every column."""

from __future__ import annotations

from spikehouse.schema._core import Column as Column
from spikehouse.schema._core import Table as Table
from spikehouse.schema._core import require_columns as require_columns
from spikehouse.schema.session_tables import (
    CHANNELS,
    INVALID_TIMES,
    OPTOGENETIC_EPOCHS,
    PRESENTATIONWISE_SPIKE_TIMES,
    PROBES,
    UNITS,
)

# the tables; how they are checked is the package's own
__all__ = [
    "CHANNELS",
    "INVALID_TIMES",
    "OPTOGENETIC_EPOCHS",
    "PRESENTATIONWISE_SPIKE_TIMES",
    "PROBES",
    "UNITS",
]
