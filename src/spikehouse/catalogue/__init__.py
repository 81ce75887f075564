"""Join, filter and count the tables of the survey: frames in, new frames out."""

from __future__ import annotations

from spikehouse.catalogue.filters import (
    LISTED_UNITS,
    UnitFilter,
    count_filtered,
    filter_units,
)
from spikehouse.catalogue.metrics import annotate_metrics, join_units, tidy_metrics
from spikehouse.catalogue.tables import (
    COUNTED_COLUMNS,
    SurveyTables,
    list_channels,
    list_probes,
    list_sessions,
    list_units,
)

__all__ = [
    "COUNTED_COLUMNS",
    "LISTED_UNITS",
    "SurveyTables",
    "UnitFilter",
    "annotate_metrics",
    "count_filtered",
    "filter_units",
    "join_units",
    "list_channels",
    "list_probes",
    "list_sessions",
    "list_units",
    "tidy_metrics",
]
