"""Checks of labelled arrays for figures: dimensions, edges, depths, colour limits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse import labelled
from spikehouse.errors import InvalidArgumentError

Floats = npt.NDArray[np.float64]

TIP_LABEL = "position on the probe (µm from the tip)"
ONSET_TIMES = (
    "time_relative_to_stimulus_onset",
    "time_relative_to_onset",
    "time_from_presentation_onset",
)
TIMES = ("time", *ONSET_TIMES)


def select_dims(array: xr.DataArray, dims: Sequence[str], *, name: str) -> xr.DataArray:
    """Return the array with these dimensions in this order; others must have one entry."""
    if not isinstance(array, xr.DataArray):
        raise InvalidArgumentError(
            f"{name} must be a DataArray with the dimensions {tuple(dims)}, not "
            f"{type(array).__name__}; xarray.DataArray(values, coords=…, dims={tuple(dims)!r})"
        )
    missing = [dim for dim in dims if dim not in array.dims]
    if missing:
        raise InvalidArgumentError(
            f"{name} has no dimension {missing[0]!r}; it has {tuple(array.dims)}, "
            f"needed: {tuple(dims)}"
        )
    others = {str(dim): array.sizes[dim] for dim in array.dims if dim not in dims}
    for dim, size in others.items():
        if size != 1:
            raise InvalidArgumentError(
                f"{name} has {size} entries along {dim!r}; choose one, {name}.sel({dim}=…), or "
                f"average, {name}.mean({dim!r})"
            )
    empty = [dim for dim in dims if array.sizes[dim] == 0]
    if empty:
        raise InvalidArgumentError(f"{name} is empty along {empty[0]!r}: nothing to draw")
    return array.squeeze(list(others)).transpose(*dims)


def find_time(array: xr.DataArray, *, name: str) -> str:
    """Return the name of the time dimension."""
    dims = tuple(getattr(array, "dims", ()))
    for dim in TIMES:
        if dim in dims:
            return dim
    raise InvalidArgumentError(
        f"{name} has no time dimension; it has {dims}, valid: {', '.join(map(repr, TIMES))}"
    )


def edges_around(centres: npt.ArrayLike, *, name: str) -> Floats:
    """Return bin edges half-way between neighbours and as far outside the ends."""
    values = np.asarray(centres, dtype=np.float64)
    steps = np.diff(values) if values.ndim == 1 else np.empty(0)
    if values.ndim != 1 or values.size < 2 or not (steps > 0).all():
        raise InvalidArgumentError(
            f"{name} must be two or more increasing numbers, not an array of shape {values.shape}"
            + (" that does not increase" if steps.size else "")
        )
    inner = values[:-1] + steps / 2
    ends = values[0] - steps[0] / 2, values[-1] + steps[-1] / 2
    edges: Floats = np.concatenate([[ends[0]], inner, [ends[1]]])
    return edges


def look_up(ids: npt.ArrayLike, table: pd.Series, *, name: str) -> Floats:
    """Return the finite number of each id in a table."""
    found: Floats
    found = labelled.look_up(ids, table, name=name).to_numpy(dtype=np.float64)
    if not np.isfinite(found).all():
        first = np.asarray(ids)[~np.isfinite(found)][0]
        raise InvalidArgumentError(f"{name} of {first} is not a finite number")
    return found


def find_known(values: Floats, *, name: str) -> Floats:
    """Return the finite values; raise InvalidArgumentError if there are none."""
    known: Floats = values[np.isfinite(values)]
    if not known.size:
        raise InvalidArgumentError(f"{name} holds no finite value: nothing to draw")
    return known


def highest_rate(known: Floats, rate_max: float | None) -> float:
    """Return the rate [spikes/s] at the end of the colours: the 98th percentile, 1 at least."""
    return rate_max if rate_max is not None else max(float(np.percentile(known, 98)), 1.0)


def largest_size(values: Floats, *, name: str, quantile: float = 1.0) -> float:
    """Return the limit of a symmetric colour scale; 1 if all values are zero."""
    sizes = np.abs(find_known(values, name=name))
    return float(np.quantile(sizes, quantile)) or float(sizes.max()) or 1.0
