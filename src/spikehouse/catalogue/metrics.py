"""Units joined with their channels, probes and published metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from spikehouse.errors import InvalidFileError
from spikehouse.schema import UNITS, require_columns
from spikehouse.schema._core import TRUTH_WORDS
from spikehouse.schema.cache_tables import METRICS, UNIT_RENAMES

_WORDS = {**TRUTH_WORDS, **dict.fromkeys(("nan", "none", "", "<na>"), np.nan)}


def tidy_metrics(metrics: pd.DataFrame, *, origin: str) -> pd.DataFrame:
    """Convert every known metric to its declared type and restore swapped columns."""
    metrics = _restore_swapped(metrics)
    flags: dict[str, pd.Series[Any]] = {}
    for column in METRICS.columns:
        if column.kind == "mixed" and column.name in metrics.columns:
            flags[column.name] = _to_flags(metrics[column.name], origin=origin)
    return METRICS.conform(metrics.assign(**flags), origin=origin)


def annotate_metrics(units: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """Join units with their metrics; keep units that are in both, in the order of ``units``."""
    joined = units.merge(metrics, how="inner", left_index=True, right_index=True)
    joined = joined.loc[units.index[units.index.isin(joined.index)]]
    return joined.rename_axis(index="ecephys_unit_id")


def _restore_swapped(metrics: pd.DataFrame) -> pd.DataFrame:
    # The released tables hold p_value_rf and on_screen_rf, and width_rf and height_rf, under each
    # other's name. They are swapped back only if the p values hold nothing but true and false, so
    # a correct table stays as it is.
    p_value, on_screen, width, height = "p_value_rf", "on_screen_rf", "width_rf", "height_rf"
    if not {p_value, on_screen} <= set(metrics.columns):
        return metrics
    if not _holds_only_flags(metrics[p_value]) or _holds_only_flags(metrics[on_screen]):
        return metrics
    partner = {p_value: on_screen, on_screen: p_value}
    if {width, height} <= set(metrics.columns):
        partner |= {width: height, height: width}
    return metrics.assign(**{name: metrics[other] for name, other in partner.items()})


def _holds_only_flags(values: pd.Series[Any]) -> bool:
    words = set(values.dropna().astype(str).str.casefold())
    return bool(words) and words <= {"true", "false"}


def _to_flags(values: pd.Series[Any], *, origin: str) -> pd.Series[Any]:
    if values.dtype == np.bool_:
        return values
    words = values.astype(object).map(lambda value: str(value).casefold())
    unknown = sorted(set(words) - set(_WORDS))
    if unknown:
        raise InvalidFileError(
            f"{origin}: column {values.name!r} should hold true or false, not {unknown[0]!r}"
        )
    flags = words.map(_WORDS)
    return flags.astype(np.bool_) if flags.notna().all() else flags.astype(object)


# what the joined tables would otherwise say twice, or not say whose it is
_JOINED_RENAMES = {
    "description": "probe_description",
    "sampling_rate": "probe_sampling_rate",
    "lfp_sampling_rate": "probe_lfp_sampling_rate",
    "has_lfp_data": "probe_has_lfp_data",
}

_POSITION = ("probe_vertical_position", "probe_horizontal_position")


def join_units(
    units: pd.DataFrame,
    channels: pd.DataFrame,
    probes: pd.DataFrame,
    *,
    renames: Mapping[str, str] = UNIT_RENAMES,
) -> pd.DataFrame:
    """Join units with their peak channels and probes, sorted by probe, then from the tip up."""
    # Columns of schema.UNITS first, then others. Units whose channel is not in ``channels`` are
    # left out; those without a peak_channel_id, as in data of other sources, are kept.
    require_columns(units, "peak_channel_id", what="the table of units")
    require_columns(channels, "probe_id", *_POSITION, what="the table of channels")
    require_columns(probes, "description", what="the table of probes")
    probes = probes.rename(columns=_JOINED_RENAMES)
    how: Literal["inner", "left"] = "inner"
    if units["peak_channel_id"].isna().any():
        how = "left"
        at = units["peak_channel_id"]
        units = units[at.isna() | at.isin(channels.index)]
        # such a unit may say itself where it is
        channels, probes = (
            table[table.columns.difference(units.columns, sort=False)]
            for table in (channels, probes)
        )
    joined = units.merge(
        channels,
        how=how,
        left_on="peak_channel_id",
        right_index=True,
        suffixes=("", "_channel"),
    ).merge(probes, how=how, left_on="probe_id", right_index=True, suffixes=("", "_probe"))
    joined = joined.rename(columns=renames)
    joined.index.name = "unit_id"
    known = [name for name in UNITS.column_names if name in joined]
    others = [name for name in joined if name not in known]
    return joined[known + others].sort_values(["probe_description", *_POSITION], kind="stable")
