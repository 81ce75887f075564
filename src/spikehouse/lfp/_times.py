"""The time axis of a recording."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError
from spikehouse.lfp.lazy_times import LazyTimes


def time_index(lfp: xr.DataArray) -> pd.Index:
    """Return the times [s] of a recording; raise InvalidArgumentError if it has none."""
    if "time" not in lfp.dims or "time" not in lfp.coords:
        raise InvalidArgumentError(
            f"an LFP has a dimension 'time' with coordinates in seconds; this array has dimensions "
            f"{tuple(lfp.dims)} and coordinates {tuple(lfp.coords)}"
        )
    return lfp.get_index("time")


def is_increasing(times: pd.Index) -> bool:
    """Return whether times are in order; of a lazy axis, as far as it was read."""
    if isinstance(times, LazyTimes) and times.is_increasing:
        return True
    return bool(times.is_monotonic_increasing)


def search_times(
    times: pd.Index, wanted: npt.NDArray[np.float64], side: Literal["left", "right"]
) -> npt.NDArray[np.int64] | None:
    """Return how many times are below each value; None if the times are out of order."""
    found = times.find(wanted, side) if isinstance(times, LazyTimes) else None
    if found is not None:
        return found
    if not times.is_monotonic_increasing:
        return None
    return np.searchsorted(times.to_numpy(), wanted, side).astype(np.int64)
