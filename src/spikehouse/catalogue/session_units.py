"""Units joined with their peak channels and probes."""

from __future__ import annotations

import pandas as pd

from spikehouse.schema import UNITS, require_columns
from spikehouse.schema.cache_tables import UNIT_RENAMES

# what the joined tables would otherwise say twice, or not say whose it is
_JOINED_RENAMES = {
    "description": "probe_description",
    "sampling_rate": "probe_sampling_rate",
    "lfp_sampling_rate": "probe_lfp_sampling_rate",
    "has_lfp_data": "probe_has_lfp_data",
}

_POSITION = ("probe_vertical_position", "probe_horizontal_position")


def join_units(units: pd.DataFrame, channels: pd.DataFrame, probes: pd.DataFrame) -> pd.DataFrame:
    """Join units with their peak channels and probes.

    Parameters
    ----------
    units
        By unit id; peak_channel_id among the columns.
    channels
        By channel id; probe_id among the columns.
    probes
        By probe id.

    Returns
    -------
    DataFrame
        Index ``unit_id``; the columns of ``schema.UNITS`` that there are, then others; sorted by
        probe, then from the tip up. Units whose channel is not in ``channels`` are left out.

    Raises
    ------
    InvalidArgumentError
        If a table lacks a column that is needed for this.
    """
    require_columns(units, "peak_channel_id", what="the table of units")
    require_columns(channels, "probe_id", *_POSITION, what="the table of channels")
    require_columns(probes, "description", what="the table of probes")
    joined = units.merge(
        channels, left_on="peak_channel_id", right_index=True, suffixes=("", "_channel")
    ).merge(probes, left_on="probe_id", right_index=True, suffixes=("", "_probe"))
    joined = joined.rename(columns={**UNIT_RENAMES, **_JOINED_RENAMES})
    joined.index.name = "unit_id"
    known = [name for name in UNITS.column_names if name in joined]
    others = [name for name in joined if name not in known]
    return joined[known + others].sort_values(["probe_description", *_POSITION], kind="stable")
