"""The tables and signals of a session as objects of other packages."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Set
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.errors import NotFoundError
from spikehouse.schema import STIMULUS_PRESENTATIONS, UNITS, require_columns
from spikehouse.spikes.trains import ReadAhead

Floats = npt.NDArray[np.float64]

# pynapple joins intervals that touch and drops their metadata; this far apart they stay two [s]
_GAP = 1e-6
_COLUMNS = {column.name: column for column in (*UNITS.columns, *STIMULUS_PRESENTATIONS.columns)}


class LazyRows:
    """Rows of an LFP that are read when they are selected, as NumPy arrays."""

    def __init__(self, lfp: xr.DataArray) -> None:
        self._lfp = lfp
        self.shape, self.dtype, self.ndim = lfp.shape, lfp.dtype, lfp.ndim

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:  # noqa: ANN401 - as of an array
        return self._lfp[key].values

    def __len__(self) -> int:
        return len(self._lfp)

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        return np.asarray(self._lfp.values, dtype=dtype)


def make_pynapple(
    spike_times: Mapping[int, Floats],
    units: pd.DataFrame,
    intervals: Mapping[str, pd.DataFrame],
    traces: Mapping[str, pd.DataFrame | pd.Series[Any]],
    lfp: Mapping[str, xr.DataArray],
    *,
    channels: pd.DataFrame,
    invalid_times: pd.DataFrame,
) -> dict[str, Any]:
    """Make a TsGroup of the units, an IntervalSet of each table and a Tsd(Frame) of each signal."""
    nap = _import("pynapple", "to_pynapple")
    for name, table in intervals.items():
        require_columns(table, "start_time", "stop_time", what=f"the table {name}")
    ahead = ReadAhead(spike_times, units.index.tolist())
    trains = {unit: ahead[place] for place, unit in enumerate(units.index)}
    times = [*trains.values(), *(trace.index.to_numpy() for trace in traces.values())]
    bounds = [table[["start_time", "stop_time"]].to_numpy().ravel() for table in intervals.values()]
    ends = [edge for some in (*times, *bounds) if len(some) for edge in (some.min(), some.max())]
    if not ends or min(ends) == max(ends):
        raise NotFoundError(
            f"none of the {len(units)} units has two spikes, and there is no interval: pynapple "
            "needs a time from which and until which was recorded"
        )
    tables = {name: _separate(table, name) for name, table in intervals.items()}
    with warnings.catch_warnings():
        # of names of metadata that are pynapple's own, and of invalid intervals that touch
        warnings.simplefilter("ignore", UserWarning)
        wrong = nap.IntervalSet(*invalid_times[["start_time", "stop_time"]].to_numpy().T)
        valid = nap.IntervalSet(min(ends), max(ends)).set_diff(wrong)
        # between invalid intervals that touch, pynapple leaves 1 µs
        valid = valid.drop_short_intervals(2 * _GAP)
        found = {
            "units": nap.TsGroup(
                {unit: nap.Ts(train, time_support=valid) for unit, train in trains.items()},
                time_support=valid,
                # its order is that of the ids, and a table is matched by id
                metadata=pd.DataFrame(_read_columns(units, "unit", {"rate"}), index=units.index),
            )
        }
        for name, table in tables.items():
            metadata = table.drop(columns=["start_time", "stop_time"])
            metadata = metadata.reset_index(drop=table.index.name is None)
            found[name] = nap.IntervalSet(
                table["start_time"].to_numpy(),
                table["stop_time"].to_numpy(),
                metadata=_read_columns(metadata),
            )
        for name, trace in traces.items():
            kind = nap.TsdFrame if isinstance(trace, pd.DataFrame) else nap.Tsd
            found[name] = kind(trace, time_support=valid)
        for name, signal in lfp.items():
            ids = signal["channel"].to_numpy()
            found[name] = nap.TsdFrame(
                t=signal["time"].to_numpy(),
                d=LazyRows(signal),
                columns=ids,
                load_array=False,
                metadata=pd.DataFrame(_read_columns(channels.reindex(ids)), index=ids),
            )
    return found


def make_dataset(
    counts: xr.DataArray,
    presentations: pd.DataFrame,
    units: pd.DataFrame,
    behavior: pd.DataFrame | None = None,
) -> xr.Dataset:
    """Put behavior beside counts, and the columns of presentations and units as coordinates."""
    dataset = counts.to_dataset()
    if behavior is not None:
        dataset = dataset.merge(behavior.to_xarray())
    for label, table in (("stimulus_presentation_id", presentations), ("unit_id", units)):
        columns = _read_columns(table, label.removesuffix("_id"), set(dataset.variables))
        coords = {}
        for name, values in columns.items():
            unit = _COLUMNS[name].unit if name in _COLUMNS else ""
            coords[name] = xr.Variable([label], values, {"units": unit} if unit else {})
        dataset = dataset.assign_coords(coords)
    return dataset


def make_sorting(
    spike_times: Mapping[int, Floats], units: pd.DataFrame, sampling_frequency: float
) -> Any:  # noqa: ANN401 - a class of a package that may be absent
    """Make a NumpySorting of one segment, with the columns of units as properties."""
    core = _import("spikeinterface.core", "to_spikeinterface")
    ids = units.index.to_numpy()
    ahead = ReadAhead(spike_times, ids.tolist())
    trains = [ahead[place] for place in range(len(ids))]
    unit_index = np.repeat(np.arange(len(ids)), [len(train) for train in trains])
    first = min((train[0] for train in trains if len(train)), default=0.0)
    # samples count from 0, and data of one's own may be aligned to an event
    start = min(0.0, np.floor(first))
    samples = [np.round((train - start) * sampling_frequency).astype(np.int64) for train in trains]
    sample_index = np.concatenate([np.empty(0, np.int64), *samples])
    order = np.argsort(sample_index, kind="stable")
    spikes = np.zeros(len(order), dtype=core.base.minimum_spike_dtype)
    spikes["sample_index"] = sample_index[order]
    spikes["unit_index"] = unit_index[order]
    sorting = core.NumpySorting(spikes, sampling_frequency, ids)
    sorting.shift_times(start)
    for name, values in _read_columns(units).items():
        sorting.set_property(name, values)
    return sorting


def _read_columns(
    table: pd.DataFrame, prefix: str = "", taken: Set[Any] = frozenset()
) -> dict[str, npt.NDArray[Any]]:
    """Return the columns with one number or text a row; a missing text is empty.

    The prefix is put before names that are taken by another part of the result.
    """
    columns: dict[str, npt.NDArray[Any]] = {}
    for label, column in table.items():
        name = str(label)
        while name in taken or name in columns:
            name = f"{prefix}_{name}"
        if pd.api.types.is_numeric_dtype(column):  # truth values, too
            numbers = column.astype(np.float64) if column.hasnans else column
            columns[name] = numbers.to_numpy()
        elif not column.map(pd.api.types.is_list_like).any():
            texts = column.astype(object).where(column.notna(), "")
            columns[name] = texts.to_numpy().astype(str)
    return columns


def _separate(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return intervals in order of time, each ending before the next one begins."""
    table = table.sort_values("start_time", kind="stable")
    starts, stops = table[["start_time", "stop_time"]].to_numpy(dtype=np.float64).T
    stops = np.minimum(stops, np.append(starts[1:], np.inf) - _GAP)
    lasts = stops - starts > _GAP
    if not lasts.all():
        warnings.warn(
            f"{int((~lasts).sum())} of {len(table)} intervals of {name!r} are left out, because "
            "they have no duration or begin together with another: pynapple cannot hold them",
            stacklevel=4,
        )
    kept: pd.DataFrame = table.assign(stop_time=stops)[lasts]
    return kept


def _import(package: str, method: str) -> Any:  # noqa: ANN401 - a module
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        name = package.partition(".")[0]
        raise ModuleNotFoundError(
            f"{method} needs the package {name}: pip install {name}"
        ) from error
