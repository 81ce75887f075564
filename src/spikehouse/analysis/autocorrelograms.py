"""Autocorrelograms: how often a unit fires at every time from one of its own spikes."""

from __future__ import annotations

import numpy as np
import xarray as xr

from spikehouse.analysis.responses import check_unit_ids
from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import Ids
from spikehouse.spikes import Spikes
from spikehouse.spikes.trains import ReadAhead, get_spike_times


def compute_autocorrelograms(
    spikes_or_session: Spikes,
    unit_ids: Ids,
    *,
    max_lag: float = 0.1,
    bin_width: float = 0.001,
) -> xr.DataArray:
    """Average the firing rate of units around each of their own spikes.

    Parameters
    ----------
    spikes_or_session, unit_ids
        Unit id → sorted times [s], or a session, and ids of the units, in that order.
    max_lag
        Largest lag to either side [s].
    bin_width
        Width of a bin [s]; ``max_lag`` is a multiple of it.

    Returns
    -------
    DataArray, shape (n_units, n_lags)
        ``autocorrelogram`` [spikes/s] (unit_id, time_lag), lags the centres of bins [s]. Symmetric
        around lag 0. At large lags it is about the mean rate, within the refractory period 0, and
        NaN for a unit without spikes.

    Notes
    -----
    A(τ) = pairs of spikes with a lag in the bin of τ / (n_spikes · bin_width). The spike at lag 0
    itself is left out. Pairs are counted over the whole train, and nothing is corrected at its
    ends. Time is linear in the pairs.

    Examples
    --------
    >>> spikes = {7: np.arange(0, 100, 0.25)}
    >>> found = compute_autocorrelograms(spikes, [7], max_lag=0.6, bin_width=0.1)
    >>> found.sel(unit_id=7, time_lag=slice(0, 1)).values.round().tolist()
    [0.0, 0.0, 10.0, 0.0, 0.0, 10.0]
    """
    if not (np.isfinite(bin_width) and bin_width > 0):
        raise InvalidArgumentError(f"bin_width is {bin_width}; give it in s, for instance 0.001")
    n_bins = round(max_lag / bin_width)
    if n_bins < 1 or abs(max_lag / bin_width - n_bins) > 1e-6:
        raise InvalidArgumentError(
            f"max_lag is {max_lag:g} s and bin_width {bin_width:g} s; max_lag must be a multiple "
            f"of it, from {bin_width:g} s up"
        )
    units = check_unit_ids(unit_ids)
    trains = ReadAhead(get_spike_times(spikes_or_session), units)
    rates = np.full((len(units), n_bins), np.nan)
    for place in range(len(units)):
        train = np.asarray(trains[place], dtype=np.float64)
        if not train.size:
            continue
        rates[place] = 0.0
        # the n-th next spike of every spike, until none is near
        for n in range(1, train.size):
            lags = train[n:] - train[:-n]
            near = lags[lags < max_lag]
            if not near.size:
                break
            rates[place] += np.histogram(near, bins=n_bins, range=(0.0, max_lag))[0]
        rates[place] /= train.size * bin_width
    centres = (np.arange(n_bins) + 0.5) * bin_width
    return xr.DataArray(
        np.concatenate([rates[:, ::-1], rates], axis=1),
        dims=("unit_id", "time_lag"),
        coords={
            "unit_id": np.asarray(units, dtype=np.int64),
            "time_lag": np.concatenate([-centres[::-1], centres]),
        },
        name="autocorrelogram",
        attrs={"units": "spikes/s", "bin_width": float(bin_width)},
    )
