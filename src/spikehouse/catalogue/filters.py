"""Quality limits of units."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spikehouse.errors import InvalidArgumentError, describe_choices

_LIMITS = ("amplitude_cutoff_maximum", "presence_ratio_minimum", "isi_violations_maximum")


@dataclass(frozen=True)
class UnitFilter:
    """Limits that a unit must meet to be listed; None is no limit."""

    # a unit whose metric is missing fails every limit, an infinite one included
    amplitude_cutoff_maximum: float | None = 0.1
    presence_ratio_minimum: float | None = 0.95
    isi_violations_maximum: float | None = 0.5
    # keep only units of quality "good"
    filter_by_validity: bool = True
    # drop units whose peak channel lies in no structure
    filter_out_of_brain_units: bool = True

    def __post_init__(self) -> None:
        for name in _LIMITS:
            value = getattr(self, name)
            is_number = isinstance(value, (int, float, np.integer, np.floating))
            is_valid = is_number and not isinstance(value, bool) and not math.isnan(value)
            if value is not None and not is_valid:
                raise InvalidArgumentError(
                    f"{name}={value!r} is not valid: a number, inf or -inf, or None for no limit"
                )

    @classmethod
    def from_arguments(cls, filter_by_validity: bool = True, **limits: object) -> UnitFilter:
        """Return a filter from the keyword arguments of the public methods."""
        known = [field.name for field in fields(cls)]
        for name in limits:
            if name not in known:
                raise InvalidArgumentError(
                    f"unknown unit filter {name!r}: {describe_choices(name, known)}"
                )
        return cls(filter_by_validity=bool(filter_by_validity), **limits)  # type: ignore[arg-type]


# the published numbers (40 010 units, 99 180 without limits) include units outside the brain
LISTED_UNITS = UnitFilter(filter_out_of_brain_units=False)

_NO_FLAGS = {"filter_by_validity": False, "filter_out_of_brain_units": False}
NO_FILTER = UnitFilter(None, None, None, **_NO_FLAGS)
# each limit in words
_CONDITIONS = {
    "amplitude_cutoff_maximum": "amplitude_cutoff ≤ {:g}",
    "presence_ratio_minimum": "presence_ratio ≥ {:g}",
    "isi_violations_maximum": "isi_violations ≤ {:g}",
    "filter_by_validity": "quality is good",
    "filter_out_of_brain_units": "in a structure of the brain",
}


def is_limit(filters: UnitFilter, name: str) -> bool:
    """Check whether a limit is in force."""
    limit = getattr(filters, name)
    return limit is not None and limit is not False


def filter_units(
    units: pd.DataFrame,
    *,
    filters: UnitFilter,
    brain_channel_ids: pd.Index | None = None,
    channel_column: str = "ecephys_channel_id",
) -> pd.DataFrame:
    """Return the units that meet every limit, without ``quality`` if it was filtered by."""
    keep = mask_units(
        units, filters=filters, brain_channel_ids=brain_channel_ids, channel_column=channel_column
    )
    if not filters.filter_by_validity or "quality" not in units.columns:
        return units.loc[keep].copy()
    # every remaining value is "good"
    return units.loc[keep].drop(columns="quality")


def mask_units(
    units: pd.DataFrame,
    *,
    filters: UnitFilter,
    brain_channel_ids: pd.Index | None = None,
    channel_column: str = "ecephys_channel_id",
) -> NDArray[np.bool_]:
    """Return a mask of the units that meet every limit."""
    keep = np.ones(len(units), dtype=bool)
    if filters.amplitude_cutoff_maximum is not None:
        keep &= units["amplitude_cutoff"].to_numpy() <= filters.amplitude_cutoff_maximum
    if filters.presence_ratio_minimum is not None:
        keep &= units["presence_ratio"].to_numpy() >= filters.presence_ratio_minimum
    if filters.isi_violations_maximum is not None:
        keep &= units["isi_violations"].to_numpy() <= filters.isi_violations_maximum
    # without the positions of the channels no unit is dropped for its position
    if filters.filter_out_of_brain_units and brain_channel_ids is not None:
        keep &= units[channel_column].isin(brain_channel_ids).to_numpy()
    if filters.filter_by_validity and "quality" in units.columns:
        keep &= (units["quality"] == "good").to_numpy(dtype=bool)
    return keep


def count_filtered(
    units: pd.DataFrame,
    *,
    filters: UnitFilter,
    brain_channel_ids: pd.Index | None = None,
    channel_column: str = "ecephys_channel_id",
) -> pd.DataFrame:
    """Count for each limit the units that fail it, and those that meet it and all before it.

    The first row is of all units, before any limit.
    """
    kept = np.ones(len(units), dtype=bool)
    rows = [("", "sorted", 0, len(units))]
    for name, condition in _CONDITIONS.items():
        if not is_limit(filters, name):
            continue
        limit = getattr(filters, name)
        alone = UnitFilter(**{**dict.fromkeys(_LIMITS), **_NO_FLAGS, name: limit})
        meets = mask_units(
            units, filters=alone, brain_channel_ids=brain_channel_ids, channel_column=channel_column
        )
        kept &= meets
        rows.append((name, condition.format(limit), int((~meets).sum()), int(kept.sum())))
    columns = ["filter", "condition", "failing_count", "remaining_count"]
    return pd.DataFrame(rows, columns=columns).set_index("filter")
