"""AllenSDK's functions on the intrinsic timescale, with its arguments."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr

from spikehouse.analysis.timescale import delayed_correlations
from spikehouse.errors import InvalidArgumentError

__all__ = ["calculate_time_delayed_correlation", "fit_exp"]

Floats = npt.NDArray[np.float64]


def calculate_time_delayed_correlation(dataset: xr.DataArray) -> Floats:
    """Correlate counts of every two bins over trials with spikes in both: (units, bins, bins)."""
    dims = ("unit_id", "stimulus_presentation_id", "time_relative_to_stimulus_onset")
    counts = dataset.transpose(*dims).to_numpy()
    return delayed_correlations(counts, is_active_only=True)


def fit_exp(
    rsc_time_matrix: npt.ArrayLike,
) -> tuple[npt.NDArray[np.int64], Floats, Floats, float, float, float]:
    """Fit one exponential decay to the mean autocorrelation of all units, as AllenSDK does."""
    # a exp(−t / b) + c over lags in bins; returns lags, mean and its standard error at each lag,
    # a, b and c. `spikehouse.analysis.timescale.fit_timescale` fits every unit, in seconds.
    from scipy.ndimage import gaussian_filter
    from scipy.optimize import curve_fit

    matrix = np.abs(np.asarray(rsc_time_matrix, dtype=np.float64))
    by_pair = _mean_known(matrix, axis=0)
    by_lag = _mean_known(by_pair, axis=0)[1:]
    smooth = gaussian_filter(by_lag, 0.8)
    if smooth.size < 3 or not np.isfinite(smooth).all():
        raise InvalidArgumentError(
            f"{int(np.isfinite(smooth).sum())} of {smooth.size} lags have a correlation; a decay "
            "needs all of at least three. Use longer trials, or units that fire more"
        )
    lags = np.arange(1, len(by_lag) + 1)
    spread = np.sqrt(_mean_known((by_pair - _mean_known(by_pair, axis=0)) ** 2, axis=0))[1:]

    def decay(t: Floats, a: float, b: float, c: float) -> Floats:
        return np.asarray(a * np.exp(-1 / b * t) + c)

    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        (a, b, c), _ = curve_fit(decay, lags, smooth, p0=(-4, 2, 1), maxfev=100_000)
    return lags, smooth, spread / np.sqrt(len(matrix)), float(a), float(b), float(c)


def _mean_known(values: Floats, axis: int) -> Floats:
    """Average without NaN; NaN if all values are NaN."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Floats = np.where(known, values, 0.0).sum(axis=axis) / known.sum(axis=axis)
    return means
