"""What every function here needs to know of a recording's time axis."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError


def time_index(lfp: xr.DataArray) -> pd.Index:
    """Give the times of a recording.

    Parameters
    ----------
    lfp
        An array with a dimension ``time``.

    Returns
    -------
    Index
        Its times [s].

    Raises
    ------
    InvalidArgumentError
        If it has no dimension ``time`` with coordinates.
    """
    if "time" not in lfp.dims or "time" not in lfp.coords:
        raise InvalidArgumentError(
            f"an LFP has a dimension 'time' with coordinates in seconds; this array has dimensions "
            f"{tuple(lfp.dims)} and coordinates {tuple(lfp.coords)}"
        )
    return lfp.get_index("time")
