"""Which units count as well isolated."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spikehouse.errors import InvalidArgumentError, describe_choices

__all__ = ["LISTED_UNITS", "UnitFilter", "filter_units", "mask_units"]

_LIMITS = ("amplitude_cutoff_maximum", "presence_ratio_minimum", "isi_violations_maximum")


@dataclass(frozen=True)
class UnitFilter:
    """The limits a unit must keep to be listed.

    Attributes
    ----------
    amplitude_cutoff_maximum
        Largest share of spikes that may be missing; None is no limit.
    presence_ratio_minimum
        Smallest share of the session in which the unit must fire; None is no limit.
    isi_violations_maximum
        Largest rate of refractory violations; 0 is 0, None is no limit.
    filter_by_validity
        Keep only units whose ``quality`` is "good".
    filter_out_of_brain_units
        Drop units whose peak channel lies in no structure.

    Notes
    -----
    A limit is compared with the value as it is: a unit whose metric is missing fails every
    limit, an infinite one included. Only None lets it through.
    """

    amplitude_cutoff_maximum: float | None = 0.1
    presence_ratio_minimum: float | None = 0.95
    isi_violations_maximum: float | None = 0.5
    filter_by_validity: bool = True
    filter_out_of_brain_units: bool = True

    def __post_init__(self) -> None:
        for name in _LIMITS:
            _check_limit(name, getattr(self, name))

    @classmethod
    def from_arguments(cls, filter_by_validity: bool = True, **limits: object) -> UnitFilter:
        """Make a filter from the keyword arguments of the public methods.

        Parameters
        ----------
        filter_by_validity
            Keep only units whose ``quality`` is "good".
        **limits
            Any of the other attributes.

        Returns
        -------
        UnitFilter
            The defaults where nothing was given.

        Raises
        ------
        InvalidArgumentError
            If a name is not one of a filter, or a limit is not a number.
        """
        known = [field.name for field in fields(cls)]
        for name in limits:
            if name not in known:
                raise InvalidArgumentError(
                    f"there is no unit filter {name!r}: {describe_choices(name, known)}"
                )
        return cls(filter_by_validity=bool(filter_by_validity), **limits)  # type: ignore[arg-type]


def _check_limit(name: str, value: object) -> None:
    if value is None:
        return
    is_number = isinstance(value, (int, float, np.integer, np.floating))
    if not is_number or isinstance(value, bool) or math.isnan(float(value)):  # type: ignore[arg-type]
        raise InvalidArgumentError(
            f"{name} is {value!r}; give a number, inf or -inf, or None for no limit"
        )


LISTED_UNITS = UnitFilter(filter_out_of_brain_units=False)
"""What the survey's tables list: AllenSDK's cache never looks where a unit lies, although it
offers to, and the published numbers (40 010 units, 99 180 without limits) are counted that way."""


def filter_units(
    units: pd.DataFrame,
    *,
    filters: UnitFilter,
    brain_channel_ids: pd.Index | None = None,
    channel_column: str = "ecephys_channel_id",
) -> pd.DataFrame:
    """Keep the units inside every limit.

    Parameters
    ----------
    units
        One row per unit, with ``amplitude_cutoff``, ``presence_ratio``, ``isi_violations``,
        the peak channel and, if it was recorded, ``quality``.
    filters
        The limits.
    brain_channel_ids
        Ids of the channels that lie in a structure; None where that is not known, and then no
        unit is dropped for its place.
    channel_column
        Which column holds the peak channel: the tables and the files name it differently.

    Returns
    -------
    DataFrame
        The rows kept, in the same order; ``quality`` is dropped when it was filtered by, since
        it then says "good" in every row.
    """
    keep = mask_units(
        units, filters=filters, brain_channel_ids=brain_channel_ids, channel_column=channel_column
    )
    if not filters.filter_by_validity or "quality" not in units.columns:
        return units.loc[keep].copy()
    return units.loc[keep].drop(columns="quality")


def mask_units(
    units: pd.DataFrame,
    *,
    filters: UnitFilter,
    brain_channel_ids: pd.Index | None = None,
    channel_column: str = "ecephys_channel_id",
) -> NDArray[np.bool_]:
    """Say which units are inside every limit.

    Parameters
    ----------
    units, filters, brain_channel_ids, channel_column
        As for :func:`filter_units`.

    Returns
    -------
    ndarray
        One truth value per unit.
    """
    keep = np.ones(len(units), dtype=bool)
    if filters.amplitude_cutoff_maximum is not None:
        keep &= units["amplitude_cutoff"].to_numpy() <= filters.amplitude_cutoff_maximum
    if filters.presence_ratio_minimum is not None:
        keep &= units["presence_ratio"].to_numpy() >= filters.presence_ratio_minimum
    if filters.isi_violations_maximum is not None:
        keep &= units["isi_violations"].to_numpy() <= filters.isi_violations_maximum
    if filters.filter_out_of_brain_units and brain_channel_ids is not None:
        keep &= units[channel_column].isin(brain_channel_ids).to_numpy()
    if filters.filter_by_validity and "quality" in units.columns:
        keep &= (units["quality"] == "good").to_numpy(dtype=bool)
    return keep
