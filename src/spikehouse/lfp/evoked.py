"""The mean response of the field potential to onsets, read a few windows at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import Onsets, align, read_onsets
from spikehouse.lfp.alignment import align_lfp, read_unit

# what the windows that are in memory together take, about
BATCH_BYTES = 32 * 1024 * 1024


def compute_evoked_lfp(
    lfp: xr.DataArray,
    onsets: Onsets,
    *,
    window: tuple[float, float],
    conditions: npt.ArrayLike | None = None,
) -> xr.Dataset:
    """Average the field potential around onsets.

    Parameters
    ----------
    lfp, onsets, window
        As for :func:`spikehouse.lfp.align_lfp`.
    conditions
        The condition of each onset, shape (n_onsets,), to average each by itself; by label where
        both have labels.

    Returns
    -------
    Dataset
        ``mean`` and ``sem`` (time_relative_to_onset, channel) in the recording's units, float64,
        and ``n_onsets`` (time_relative_to_onset, channel), how many windows had a sample there.
        With conditions, stimulus_condition_id is the first dimension, increasing. ``mean`` is NaN
        where no window has a sample, ``sem`` (standard deviation with n − 1 in the denominator,
        divided by √n) where fewer than two have.

    Notes
    -----
    Samples that are NaN, in masked intervals or outside the recording, are left out, one by one.
    Windows are those of :func:`spikehouse.lfp.align_lfp`. About 32 MB of them are in memory at a
    time, in order of their onsets: of a probe's 4.6 GB only the windows are read. Means and sums
    of squares of the batches are put together exactly (Chan, Golub & LeVeque).

    References
    ----------
    Chan, Golub & LeVeque (1983), Am. Stat. 37, 242, doi:10.1080/00031305.1983.10483115.

    Examples
    --------
    >>> lfp = session.get_lfp(session.probes.index[0])
    >>> flashes = session.get_stimulus_table("flashes")
    >>> evoked = compute_evoked_lfp(
    ...     lfp, flashes["start_time"], window=(0.0, 0.2), conditions=flashes["color"]
    ... )
    >>> dict(evoked["mean"].sizes)
    {'stimulus_condition_id': 2, 'time_relative_to_onset': 250, 'channel': 24}
    """
    onsets, conditions = align(onsets=onsets, conditions=conditions)
    times = np.asarray(read_onsets(onsets), dtype=np.float64)
    if not times.size:
        raise InvalidArgumentError("there are no onsets to average around; give their times [s]")
    if conditions is None:
        return _average(lfp, times, window)
    given = np.asarray(conditions)
    if given.shape != times.shape:
        raise InvalidArgumentError(
            f"conditions has the shape {given.shape}, onsets {times.shape}: give one for each"
        )
    ids = np.unique(given)
    averages = [_average(lfp, times[given == condition], window) for condition in ids]
    labels = pd.Index(ids, name="stimulus_condition_id")
    result = xr.concat(averages, dim=labels)
    result.attrs = averages[0].attrs
    return result


def _average(
    lfp: xr.DataArray, onsets: npt.NDArray[np.float64], window: tuple[float, float]
) -> xr.Dataset:
    ordered = np.sort(onsets)
    # the first window by itself says how large they are
    first = align_lfp(lfp, ordered[:1], window=window)
    n, mean, squares = _summarise(first.to_numpy().astype(np.float64))
    n_batch = max(BATCH_BYTES // (8 * max(first.size, 1)), 1)
    for start in range(1, len(ordered), n_batch):
        windows = align_lfp(lfp, ordered[start : start + n_batch], window=window)
        n_here, mean_here, squares_here = _summarise(windows.to_numpy().astype(np.float64))
        n_both = n + n_here
        share = n_here / np.maximum(n_both, 1)
        change = mean_here - mean
        squares = squares + squares_here + change**2 * n * share
        mean, n = mean + change * share, n_both
    with np.errstate(divide="ignore", invalid="ignore"):
        sem = np.sqrt(squares / (n - 1) / n)
    dims = first.dims[1:]
    coords = {name: part for name, part in first.coords.items() if first.dims[0] not in part.dims}
    units = read_unit(lfp)
    return xr.Dataset(
        {
            "mean": (dims, np.where(n > 0, mean, np.nan), {"units": units}),
            "sem": (dims, np.where(n > 1, sem, np.nan), {"units": units}),
            "n_onsets": (dims, n),
        },
        coords=coords,
        attrs=dict(first.attrs),
    )


def _summarise(
    values: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return number, mean and sum of squared deviations of the samples that are not NaN."""
    is_known = np.isfinite(values)
    n = is_known.sum(axis=0)
    mean = np.where(is_known, values, 0.0).sum(axis=0) / np.maximum(n, 1)
    squares = (np.where(is_known, values - mean, 0.0) ** 2).sum(axis=0)
    return n, mean, squares
