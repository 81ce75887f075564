"""Labels of tables and arrays: the ids in them, and two labelled things put in one order."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.errors import InvalidArgumentError

if TYPE_CHECKING:
    import xarray as xr

Ids = npt.ArrayLike | pd.DataFrame | pd.Index | Iterable[int]
Onsets = npt.ArrayLike | pd.Series | pd.DataFrame
ROW_NAMES = ("stimulus_presentation_id", "stimulus_condition_id")
COLUMN_NAME = "unit_id"


def to_ids(given: Any, name: str) -> npt.NDArray[Any]:  # noqa: ANN401 - ids of any kind
    """Return the ids in an argument that takes ids, as an array of one dimension.

    A table means its index, or the column or level called ``name`` where it was moved there.
    Whole numbers of any type become int64; fractions and truth values are refused.
    """
    if isinstance(given, pd.DataFrame):
        if given.index.nlevels > 1 and name in given.index.names:
            given = given.index.get_level_values(name).unique()
        else:
            is_moved = given.index.name is None and name in given.columns
            given = given[name] if is_moved else given.index
    elif isinstance(given, Iterable) and not isinstance(given, Sequence):
        # numpy makes one object of a set, of the keys of a dictionary or of a generator
        given = given if hasattr(given, "__array__") else list(given)
    ids = np.atleast_1d(np.asarray(given))
    if ids.ndim != 1 or ids.dtype.kind == "b":
        what = "truth values" if ids.dtype.kind == "b" else f"an array of shape {ids.shape}"
        raise InvalidArgumentError(f"{name} takes ids, not {what}: table.index[mask] has the ids")
    if ids.dtype.kind in "uf" or pd.api.types.infer_dtype(ids) == "integer":
        fits = fits_int64(ids)
        if not fits.all():
            wrong = ids[~fits][0]
            raise InvalidArgumentError(
                f"{name} takes whole numbers{' below 2**63' if abs(wrong) >= 2**63 else ''}, but "
                f"{wrong} is among the {ids.size}; pd.factorize(values)[0] numbers values that are "
                "none"
            )
        ids = ids.astype(np.int64)
    return ids


def fits_int64(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which numbers are whole and within int64, so that a cast does not change them."""
    fits = np.ones(values.shape, dtype=np.bool_)
    if values.dtype.kind == "f":
        # comparisons are false for NaN; 2.0**63 is the first float that is too large
        fits &= (values == np.floor(values)) & (values >= -(2.0**63)) & (values < 2.0**63)
    elif values.dtype.kind in "uO":
        fits &= np.array([-(2**63) <= int(value) < 2**63 for value in values], dtype=np.bool_)
    return fits


def to_id(given: Any, name: str) -> Any:  # noqa: ANN401
    """Return the one id in an argument that takes one; a table of one row will do."""
    ids = to_ids(given, name)
    if ids.size != 1:
        raise InvalidArgumentError(f"{name} takes one id, not {ids.size}: choose one of them")
    return ids[0].item() if isinstance(ids[0], np.generic) else ids[0]


def read_onsets(events: Onsets) -> pd.Series[float]:
    """Return onsets [s] by label: times, times with labels, or the start_time of a table.

    Labels are the index, of presentations the column stimulus_presentation_id where it was moved
    there; times without labels are numbered.
    """
    if isinstance(events, pd.DataFrame):
        if "start_time" not in events.columns:
            raise InvalidArgumentError(
                f"a table of events needs a column start_time [s]; this one has "
                f"{', '.join(map(str, events.columns)) or 'no column'}. Give the times themselves, "
                'such as events["time"]'
            )
        is_moved = events.index.name is None and ROW_NAMES[0] in events.columns
        events = (events.set_index(ROW_NAMES[0]) if is_moved else events)["start_time"]
    labels = labels_of(events, 0)
    times = np.atleast_1d(np.asarray(events))
    if times.ndim != 1:
        raise InvalidArgumentError(f"onsets has shape {times.shape}; give a list of times [s]")
    labels = pd.RangeIndex(len(times)) if labels is None else labels
    if labels.nlevels > 1:
        raise InvalidArgumentError(
            f"onsets have labels of {labels.nlevels} levels; keep one: events.droplevel(0)"
        )
    times = to_seconds(times, "onsets")
    is_wrong = ~np.isfinite(times)
    if is_wrong.any():
        first = int(is_wrong.argmax())
        where = f"at position {first}" if counts_rows(labels) else f"that of {labels[first]}"
        raise InvalidArgumentError(
            f"{is_wrong.sum()} of {len(times)} onsets are not finite, the first {where}; "
            "leave them out"
        )
    return pd.Series(times, labels, name="start_time")


def to_seconds(given: Any, what: str) -> npt.NDArray[np.float64]:  # noqa: ANN401
    """Return times [s], absent ones as NaN; dates, durations and text are refused."""
    times = np.asarray(given)
    if times.dtype.kind in "iuf":
        return times.astype(np.float64, copy=False)
    try:
        if times.size and times.dtype.kind != "O":
            raise TypeError
        return np.where(pd.isna(times), np.nan, times).astype(np.float64)
    except (TypeError, ValueError):
        raise InvalidArgumentError(
            f"{what} must be numbers, times [s], and not {times.dtype}: "
            f"{str(times.ravel()[:3].tolist())[:80]}"
        ) from None


def name_events(labels: pd.Index, usual: str, taken: Iterable[str]) -> str:
    """Return what a result calls the labels of events: their own name, if it is free."""
    name = str(labels.name or usual)
    if name in taken:
        raise InvalidArgumentError(
            f"the index of the events is called {name!r}, as is another part of the result; "
            "rename it: events.rename_axis('event')"
        )
    return name


def rows_first(array: Any) -> Any:  # noqa: ANN401 - given back as it came
    """Transpose what is named as units × presentations (or conditions); return others unchanged."""
    if _is_data_array(array):
        if COLUMN_NAME in array.dims:
            return array.transpose(..., COLUMN_NAME)
        rows = [name for name in ROW_NAMES if name in array.dims]
        return array.transpose(rows[0], ...) if rows else array
    if isinstance(array, pd.DataFrame) and (
        array.index.name == COLUMN_NAME or array.columns.name in ROW_NAMES
    ):
        return array.T
    return array


def align(**things: Any) -> list[Any]:  # noqa: ANN401 - arrays and tables
    """Return things that belong together in the order of the first one's labels.

    Labels are the index and the columns of pandas' objects and the coordinates of a DataArray.
    What has none is in order already, and so is what has row numbers (0, 1, 2, … without a name)
    beside other labels. Any other difference of labels is an error.
    """
    aligned = list(things.values())
    names = list(things)
    dims = getattr(aligned[0], "dims", ())
    for place, thing in enumerate(aligned):
        if _is_data_array(thing) and set(thing.dims) == set(dims):
            aligned[place] = thing.transpose(*dims)
    for axis in range(2):
        reference: tuple[str, pd.Index] | None = None
        for place, name in enumerate(names):
            own = labels_of(aligned[place], axis)
            if own is None:
                continue
            if reference is None:
                reference = name, own
                continue
            order = _find_order(*reference, name, own)
            if order is not None:
                aligned[place] = _take(aligned[place], order, axis)
            elif counts_rows(reference[1]):
                reference = name, own
    return aligned


def look_up(ids: npt.ArrayLike | pd.Index, table: pd.Series, *, name: str) -> pd.Series:
    """Return the rows of a table by id, in the order of the ids."""
    wanted = pd.Index(np.asarray(ids))
    if not table.index.is_unique:
        raise InvalidArgumentError(f"{name} has several values for one id; keep one of them")
    unknown = wanted.difference(table.index)
    if len(unknown):
        raise InvalidArgumentError(
            f"{name} has no value for {len(unknown)} of {len(wanted)} ids, such as {unknown[0]}; "
            "its index must hold these ids"
        )
    found: pd.Series = table.loc[wanted]
    return found


def _is_data_array(thing: Any) -> TypeGuard[xr.DataArray]:  # noqa: ANN401
    # there is none before xarray is imported, which takes longer than all the tables of a survey
    xarray = sys.modules.get("xarray")
    return xarray is not None and isinstance(thing, xarray.DataArray)


def labels_of(thing: Any, axis: int) -> pd.Index | None:  # noqa: ANN401
    """Return the labels of rows (axis 0) or columns (1); None without labels."""
    if isinstance(thing, pd.Series | pd.DataFrame) and thing.ndim > axis:
        return thing.axes[axis]
    if _is_data_array(thing) and thing.ndim > axis:
        return thing.indexes.get(thing.dims[axis])
    return None


def _find_order(
    first: str, wanted: pd.Index, name: str, own: pd.Index
) -> npt.NDArray[np.intp] | None:
    """Find where the wanted labels are; None if things are in order as they are."""
    if own.equals(wanted):
        return None
    are_unique = own.is_unique and wanted.is_unique
    if are_unique and len(own) == len(wanted):
        order: npt.NDArray[np.intp] = own.get_indexer(wanted)
        if (order >= 0).all():
            return order
    if counts_rows(own) or counts_rows(wanted):
        return None
    absent, extra = wanted[~wanted.isin(own)], own[~own.isin(wanted)]
    found = "has one label several times"
    if len(absent) or len(extra):
        label, owner, other = (absent[0], first, name) if len(absent) else (extra[0], name, first)
        found = f"{owner} has {label} and {other} has not"
    raise InvalidArgumentError(
        f"{first} ({len(wanted)} labels) and {name} ({len(own)}) are labelled differently: "
        f"{found}; select the same labels of both, or pass {name}.to_numpy() if the order is "
        "the same"
    )


def counts_rows(labels: pd.Index) -> bool:
    """Check for the labels that pandas gives by itself; those with a name are somebody's ids."""
    is_plain = labels.nlevels == 1 and labels.name is None
    return is_plain and labels.equals(pd.RangeIndex(len(labels)))


def _take(thing: Any, order: npt.NDArray[np.intp], axis: int) -> Any:  # noqa: ANN401
    if _is_data_array(thing):
        return thing.isel({thing.dims[axis]: order})
    return thing.iloc[order] if axis == 0 else thing.iloc[:, order]
