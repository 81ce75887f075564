"""Cut a recording into windows around onsets, by nearest samples."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError, describe_choices
from spikehouse.labelled import Onsets, name_events, read_onsets
from spikehouse.lfp.lazy_times import is_increasing, search_times, time_index

METHODS = ("nearest",)
# intervals looked at to find the sampling interval, in runs spread over the recording: the median
# needs no more, and a time axis on disk is read at so many places only
N_RUNS, RUN = 16, 625
# a window's end this close to a sample (in samples) is on it: 1/1250 s is no binary fraction
ON_A_SAMPLE = 0.01

VOLTS = ("V", "volt", "volts")

OUT_OF_ORDER = "the recording's times are out of order: lfp.sortby('time')"


def align_lfp(
    lfp: xr.DataArray,
    onsets: Onsets,
    *,
    window: tuple[float, float],
    method: Literal["nearest"] = "nearest",
) -> xr.DataArray:
    """Cut windows around onsets out of a recording.

    Parameters
    ----------
    lfp
        A recording with a dimension ``time`` [s], increasing. Only the windows are read where
        it is read on selection.
    onsets
        Times [s], a Series, or a table with start_time [s], such as presentations, in any order;
        windows may overlap. The index is kept.
    window
        First and last time relative to the onset [s].
    method
        Method that matches the time axes; ``"nearest"`` takes the sample closest in time, the later
        of two equally close ones.

    Returns
    -------
    DataArray
        (onset, time_relative_to_onset, channel) in the recording's units. The first dimension has
        the name of the index, ``"onset"`` without one; ``onset_time`` [s] goes with it.
        ``attrs`` has ``window`` and ``sampling_interval`` [s].

    Notes
    -----
    The window is sampled at ``window[0] + k * sampling_interval`` for all k that give a time
    before ``window[1]``: half-open, with the median interval between the recording's samples.
    Where no sample is within one sampling interval (before the recording, after it, in a gap of
    it) the result is NaN.

    A sample that several windows share is read once. Memory: the result and the samples read.
    Of the times of a recording that is read on selection, those around the windows and ten
    thousand more are read; times out of order elsewhere are not noticed. With Dask the result is
    not computed. Masking first (:func:`spikehouse.lfp.mask_intervals`) makes invalid samples NaN
    here.

    Examples
    --------
    >>> lfp = session.get_lfp(session.probes.index[0])
    >>> flashes = session.get_stimulus_table("flashes")
    >>> aligned = align_lfp(lfp, flashes["start_time"], window=(-0.05, 0.2))
    >>> dict(aligned.sizes)
    {'stimulus_presentation_id': 8, 'time_relative_to_onset': 313, 'channel': 24}
    """
    if method not in METHODS:
        raise InvalidArgumentError(f"method={method!r}; {describe_choices(method, METHODS)}")
    given = read_onsets(onsets)
    labels, times = given.index, given.to_numpy()
    samples = check_times(lfp)
    interval = find_interval(samples)
    relative = sample_window(window, interval)
    rows, is_found = _find_nearest(samples, times[:, np.newaxis] + relative, interval)
    taken = {*lfp.dims, *lfp.coords, "time_relative_to_onset", "onset_time"}
    dim = name_events(labels, "onset", map(str, taken))
    aligned = _take(lfp, rows, is_found, (dim, "time_relative_to_onset"))
    aligned = aligned.assign_coords(
        {dim: labels.to_numpy(), "time_relative_to_onset": relative, "onset_time": (dim, times)}
    )
    aligned.attrs = {
        **lfp.attrs,
        "window": (float(window[0]), float(window[1])),
        "sampling_interval": interval,
    }
    return aligned


def list_channels(lfp: xr.DataArray) -> npt.NDArray[Any]:
    """Return the ids of a recording's channels; raise InvalidArgumentError if they are no ids."""
    is_array = isinstance(lfp, xr.DataArray)
    if not is_array or set(lfp.dims) != {"time", "channel"} or "channel" not in lfp.coords:
        raise InvalidArgumentError(
            "an LFP is a DataArray with the dimensions ('time', 'channel') and ids of the channels,"
            f" such as session.get_lfp(probe_id); this {type(lfp).__name__} has dimensions "
            f"{tuple(getattr(lfp, 'dims', ()))} and coordinates "
            f"{tuple(getattr(lfp, 'coords', ()))}: select one channel as a list, "
            "lfp.sel(channel=[…])"
        )
    channels = lfp.get_index("channel")
    if not channels.is_unique:
        raise InvalidArgumentError(
            f"channel {channels[channels.duplicated()][0]} is there several times; keep one of "
            "each: lfp.drop_duplicates('channel')"
        )
    return np.asarray(channels)


def check_times(lfp: xr.DataArray) -> pd.Index:
    """Return the times [s] of a recording, which has two or more, in order."""
    index = time_index(lfp)
    if len(index) < 2:
        raise InvalidArgumentError(
            f"the recording has {len(index)} samples; it takes two to know their interval"
        )
    if not is_increasing(index):
        raise InvalidArgumentError(OUT_OF_ORDER)
    return index


def read_unit(lfp: xr.DataArray) -> str:
    """Return the unit of a recording: volts if it does not say."""
    return str(lfp.attrs.get("units", lfp.attrs.get("unit", "V")))


def check_volts(lfp: xr.DataArray) -> None:
    """Raise InvalidArgumentError if a recording is not in volts."""
    unit = read_unit(lfp)
    if unit not in VOLTS:
        raise InvalidArgumentError(
            f"the unit of the recording is {unit!r} (lfp.attrs['units']); valid: 'V'. From "
            "microvolts: (lfp * 1e-6).assign_attrs(units='V')"
        )


def find_interval(samples: pd.Index) -> float:
    """Return the median interval between samples [s], from runs spread over the recording."""
    n_gaps = len(samples) - 1
    first = np.linspace(0, n_gaps - RUN, N_RUNS).astype(np.int64)[:, np.newaxis]
    # neighbouring runs of a short recording would overlap
    rows = first + np.arange(RUN + 1) if n_gaps > N_RUNS * RUN else np.arange(n_gaps + 1)
    times = samples[rows.ravel()].to_numpy().reshape(rows.shape)
    interval = float(np.median(np.diff(times)))
    if not interval > 0:
        raise InvalidArgumentError("most samples of the recording have the time of the one before")
    return interval


def sample_window(window: tuple[float, float], interval: float) -> npt.NDArray[np.float64]:
    """Return the times relative to an onset at which a window is sampled."""
    limits = np.asarray(window, dtype=np.float64)
    if limits.shape != (2,) or not np.isfinite(limits).all() or limits[0] >= limits[1]:
        raise InvalidArgumentError(
            f"window={window!r:.80}: give the first and the last time relative to the onset [s], "
            "the first being the smaller, for instance (-0.1, 0.5)"
        )
    start, stop = float(limits[0]), float(limits[1])
    n_samples = max(math.ceil((stop - start) / interval - ON_A_SAMPLE), 1)
    # to the nanosecond, so that the onset is 0 and not 1e-16
    return np.round(start + interval * np.arange(n_samples, dtype=np.float64), 9)


def _find_nearest(
    samples: pd.Index, wanted: npt.NDArray[np.float64], tolerance: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    flat = wanted.ravel()
    found = search_times(samples, flat, "left")
    if found is None:
        raise InvalidArgumentError(OUT_OF_ORDER)
    after = np.clip(found, 1, len(samples) - 1)
    to_before = flat - samples[after - 1].to_numpy()
    to_after = samples[after].to_numpy() - flat
    is_before = to_before < to_after
    rows = np.where(is_before, after - 1, after)
    is_found = np.abs(np.where(is_before, to_before, to_after)) <= tolerance
    return rows.reshape(wanted.shape), is_found.reshape(wanted.shape)


def _take(
    lfp: xr.DataArray,
    rows: npt.NDArray[np.int64],
    is_found: npt.NDArray[np.bool_],
    dims: tuple[str, str],
) -> xr.DataArray:
    lfp = lfp.drop_vars([name for name in lfp.coords if "time" in lfp[name].dims])
    if lfp.chunks is not None:
        cut = lfp.transpose("time", ...).isel(time=xr.DataArray(rows, dims=dims))
        return cut.where(xr.DataArray(is_found, dims=dims))
    needed, inverse = np.unique(rows.ravel(), return_inverse=True)
    values = lfp.isel(time=needed).transpose("time", ...).to_numpy()
    # windows in order that do not overlap are already as they should be
    if not np.array_equal(needed, rows.ravel()):
        values = values[inverse]
    values = values.reshape(*rows.shape, *values.shape[1:])
    values = values.astype(np.result_type(values.dtype, np.float16), copy=False)
    values[~is_found] = np.nan
    others = [dim for dim in lfp.dims if dim != "time"]
    return xr.DataArray(values, dims=(*dims, *others), coords=lfp.coords, name=lfp.name)
