"""Convert the arguments of AllenSDK's classes: three kinds of session, two kinds of filter."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse import session
from spikehouse.compat.sessions import EcephysSession
from spikehouse.errors import InvalidArgumentError, NotFoundError, describe_choices
from spikehouse.labelled import to_ids

__all__ = ["UnitFilter", "filter_units", "open_session"]

UnitFilter = Mapping[str, Any] | Sequence[int] | npt.NDArray[Any] | pd.Series


def open_session(given: Any) -> session.EcephysSession:  # noqa: ANN401 - three kinds
    """Return a session from a session, the path of its NWB file, or an adapter."""
    if isinstance(given, session.EcephysSession):
        return given
    if isinstance(given, (str, os.PathLike)):
        return EcephysSession.from_nwb_path(given)
    if hasattr(given, "get_stimulus_presentations"):
        return EcephysSession(api=given)
    raise TypeError(
        f"a stimulus analysis cannot be made of a {type(given).__name__}: pass an EcephysSession, "
        "the path of its NWB file, or an adapter (EcephysSessionApi)"
    )


def filter_units(units: pd.DataFrame, chosen: UnitFilter | None) -> pd.DataFrame:
    """Select units by ids, or by a mapping of columns to one or several values."""
    if chosen is None:
        return units
    if not isinstance(chosen, Mapping):
        return _pick_units(units, chosen)
    if "unit_id" in chosen:
        return _pick_units(units, chosen["unit_id"])
    for column, value in chosen.items():
        if column not in units:
            raise NotFoundError(
                f"units have no column {column!r} to filter by: {describe_choices(column, units)}"
            )
        values = [value] if np.isscalar(value) or value is None else value
        units = units[units[column].isin(values)]
    return units


def _pick_units(units: pd.DataFrame, ids: Any) -> pd.DataFrame:  # noqa: ANN401 - ids of any kind
    wanted = to_ids(ids, "unit_id")
    if len(np.unique(wanted)) < len(wanted):
        raise InvalidArgumentError("the filter holds a unit more than once; pass each id once")
    absent = [unit for unit in wanted.tolist() if unit not in units.index]
    if absent:
        raise NotFoundError(
            f"{len(absent)} of {len(wanted)} units of the filter are not in this session; there is "
            f"no unit {absent[0]!r}: {describe_choices(absent[0], units.index.tolist())}"
        )
    return units.loc[wanted]
