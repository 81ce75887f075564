"""AllenSDK's functions of stimulus analysis, with its arguments, for one unit at a time.

The formulas are in `spikehouse.analysis`, which takes all units at once. As in AllenSDK, arrays
of different lengths give a warning and NaN.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from spikehouse.analysis import contrast as _contrast
from spikehouse.analysis import images as _images
from spikehouse.analysis import temporal as _temporal
from spikehouse.analysis import tuning as _tuning
from spikehouse.analysis import variability as _variability
from spikehouse.analysis.timescale import delayed_correlations
from spikehouse.errors import InvalidArgumentError

Floats = npt.NDArray[np.float64]

# five spatial frequencies, an octave apart, begin here [cycles/degree]; steps of 0.1 octaves
_LOWEST_FREQUENCY = 0.02
_OCTAVES = np.arange(0.0, 4.1, 0.1)


def _have_equal_length(**arrays: npt.ArrayLike) -> bool:
    """Check that arrays have equal length and are not empty; warn otherwise."""
    lengths = {name: np.size(values) for name, values in arrays.items()}
    if len(set(lengths.values())) == 1 and all(lengths.values()):
        return True
    sizes = " and ".join(f"{n} {name}" for name, n in lengths.items())
    warnings.warn(f"there are {sizes}, which should be equally many: NaN", stacklevel=3)
    return False


def running_modulation(
    spike_counts: npt.ArrayLike, running_speeds: npt.ArrayLike, speed_threshold: float = 1.0
) -> tuple[float, float]:
    """Compute p-value and relative difference of spike counts with and without running [cm/s]."""
    if not _have_equal_length(spike_counts=spike_counts, running_speeds=running_speeds):
        return float("nan"), float("nan")
    found = _variability.running_modulation(
        spike_counts, running_speeds, speed_threshold=speed_threshold, definition="published"
    )
    return float(found.p_value), float(found.run_mod)


def lifetime_sparseness(responses: npt.ArrayLike) -> float:
    """Compute the lifetime sparseness of responses to conditions."""
    return float(_variability.compute_lifetime_sparseness(responses))


def fano_factor(spike_counts: npt.ArrayLike) -> float:
    """Compute the Fano factor of spike counts: variance divided by mean."""
    return float(_variability.compute_fano_factor(spike_counts, definition="published"))


def overall_firing_rate(
    start_times: npt.ArrayLike, stop_times: npt.ArrayLike, spike_times: npt.ArrayLike
) -> float:
    """Compute the firing rate [spikes/s] in blocks; NaN if the blocks have no duration."""
    if not _have_equal_length(start_times=start_times, stop_times=stop_times):
        return float("nan")
    starts, stops = np.asarray(start_times, np.float64), np.asarray(stop_times, np.float64)
    times = np.asarray(spike_times, dtype=np.float64)
    seconds = (stops - starts).sum()
    if not seconds > 0:
        return 0.0 if not times.size else float("nan")
    return float((times.searchsorted(stops) - times.searchsorted(starts)).sum() / seconds)


def get_fr(
    spikes: npt.ArrayLike,
    num_timestep_second: float = 30,
    sweep_length: float = 3.1,
    filter_width: float = 0.1,
) -> Floats:
    """Smooth the presence of spikes in bins with a Gaussian of ``filter_width`` [s]."""
    # not a rate: several spikes in a bin count as one, and the result is not divided by the bin's
    # length; a spike outside the sweep raises, where AllenSDK wraps negative times around
    times = np.asarray(spikes, dtype=np.float64)
    train = np.zeros(int(sweep_length * num_timestep_second))
    places = np.floor(times * num_timestep_second)
    outside = ~((places >= 0) & (places < len(train)))
    if outside.any():
        raise InvalidArgumentError(
            f"a spike at {times[outside][0]:g} s is outside the sweep of {sweep_length:g} s; pass "
            "times from its beginning, or a longer sweep_length"
        )
    train[places.astype(np.intp)] = 1
    from scipy.ndimage import gaussian_filter

    smooth: Floats = gaussian_filter(train, int(filter_width * num_timestep_second))
    return smooth


def reliability(
    unit_sweeps: Sequence[npt.ArrayLike] | npt.NDArray[Any],
    padding: float = 1.0,
    num_timestep_second: float = 30,
    filter_width: float = 0.1,
    window_beg: int = 0,
    window_end: int | None = None,
) -> float:
    """Compute the mean correlation between the smoothed spikes of every two sweeps."""
    rates = [
        get_fr(
            np.asarray(sweep, dtype=np.float64) + padding,
            num_timestep_second=num_timestep_second,
            filter_width=filter_width,
        )
        for sweep in unit_sweeps
    ]
    return float(_variability.reliability(np.stack(rates)[:, window_beg:window_end]))


def osi(orivals: npt.ArrayLike, tuning: npt.ArrayLike) -> float:
    """Compute the global orientation selectivity index; ``orivals`` in radians."""
    if not _have_equal_length(orivals=orivals, tuning=tuning):
        return float("nan")
    degrees = np.rad2deg(np.real(np.asarray(orivals)))
    return float(_tuning.resultant_length(degrees, tuning, harmonic=2))


def dsi(orivals: npt.ArrayLike, tuning: npt.ArrayLike) -> float:
    """Compute the global direction selectivity index; ``orivals`` in radians."""
    if not _have_equal_length(orivals=orivals, tuning=tuning):
        return float("nan")
    degrees = np.rad2deg(np.real(np.asarray(orivals)))
    return float(_tuning.resultant_length(degrees, tuning, harmonic=1))


def get_sfdi(
    sf_tuning_responses: npt.ArrayLike, mean_sweeps_trials: npt.ArrayLike, bias: int = 5
) -> float:
    """Compute the spatial frequency discrimination index, 0 (no discrimination) to 1."""
    # R / (R + 2 √(S / (n_trials − bias))), with R the range of the mean responses and S the sum of
    # squares of the trials around their mean; ``bias`` is the number of mean responses
    spread = np.ptp(np.asarray(sf_tuning_responses, dtype=np.float64))
    trials = np.asarray(mean_sweeps_trials, dtype=np.float64)
    squares = ((trials - trials.mean()) ** 2).sum()
    return float(spread / (spread + 2 * np.sqrt(squares / (trials.size - bias))))


def fit_sf_tuning(
    sf_tuning_responses: npt.ArrayLike, sf_values: npt.ArrayLike, pref_sf_index: int
) -> tuple[float, float, float, float]:
    """Fit a curve to the responses to spatial frequencies of 0.02, 0.04, … 0.32 cycles/degree."""
    # Returns position and frequency of the peak, then the lower and upper frequency at half of the
    # peak (NaN if there is none). The curve is a Gaussian in octaves or, if the first or the last
    # frequency is preferred, an exponential with its peak there. As in AllenSDK no upper cutoff is
    # looked for when there is a lower one.
    from scipy.optimize import OptimizeWarning, curve_fit

    responses = np.asarray(sf_tuning_responses, dtype=np.float64)
    values = np.asarray(sf_values, dtype=np.float64)
    is_inside = 0 < pref_sf_index < len(values) - 1
    curve: Callable[..., Floats] = _gaussian if is_inside else _exponential
    start = (
        (responses.max(), pref_sf_index, 1.0)
        if is_inside
        else (responses.max(), 2.0, responses.min())
    )
    nan = float("nan")
    unfitted = (nan, nan) if is_inside else (float(pref_sf_index), float(values[pref_sf_index]))
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)
            fitted = curve_fit(curve, np.arange(len(values)), responses, p0=start, maxfev=2000)[0]
            heights = curve(_OCTAVES, *fitted)
    except (RuntimeError, ValueError):  # the fit failed, or a response is NaN
        return *unfitted, nan, nan
    peak = (float(fitted[1]), _to_frequency(fitted[1])) if is_inside else unfitted
    top = int(heights.argmax())
    off_half = np.abs(heights - heights.max() / 2)
    low = int(off_half[:top].argmin()) if top else None
    high = top + int(off_half[top:].argmin())
    if is_inside:
        # the bounds are AllenSDK's: 4 is compared with steps of the curve, not frequencies
        has_low, has_high = bool(low), low == 0 and high < 4
    else:
        has_low, has_high = pref_sf_index > 0 and low is not None, pref_sf_index == 0
    return (
        *peak,
        _to_frequency(_OCTAVES[low]) if has_low and low is not None else nan,
        _to_frequency(_OCTAVES[high]) if has_high else nan,
    )


def _gaussian(x: Floats, height: float, center: float, width: float) -> Floats:
    return np.asarray(height * np.exp(-((x - center) ** 2) / (2 * width**2)))


def _exponential(x: Floats, height: float, rate: float, offset: float) -> Floats:
    return np.asarray(height * np.exp(-rate * x) + offset)


def _to_frequency(octaves: float) -> float:
    return float(_LOWEST_FREQUENCY * 2.0**octaves)


def deg2rad(arr: npt.ArrayLike) -> Any:  # noqa: ANN401 - a number for a number, else an array
    """Convert degrees to radians."""
    return np.deg2rad(arr)


def image_selectivity(spike_means: npt.ArrayLike, num_steps: int = 1000) -> float:
    """Compute the image selectivity from the mean responses to images."""
    return float(_images.image_selectivity(spike_means, n_steps=num_steps))


def f1_f0(arr: npt.ArrayLike, tf: float, trial_duration: float) -> float:
    """Compute F1/F0: response at the temporal frequency [Hz] of a grating over mean response."""
    counts = np.atleast_2d(np.asarray(arr, dtype=np.float64))
    if not counts.size:
        return float("nan")
    # AllenSDK passes the centre of the last bin as trial_duration
    bin_width = float(trial_duration) / (counts.shape[1] - 0.5)
    ratios = _temporal.f1_f0(counts, float(tf), bin_width=bin_width, definition="published")
    known = ratios[np.isfinite(ratios)]
    return float(known.mean()) if known.size else float("nan")


def modulation_index(response_psth: npt.ArrayLike, tf: float, sample_rate: float) -> float:
    """Compute the modulation index: power at a grating's frequency relative to the spectrum."""
    psth = np.asarray(response_psth, dtype=np.float64)
    if not psth.size:
        return float("nan")
    bin_width = 1 / float(sample_rate)
    index = _temporal.modulation_index(psth, float(tf), bin_width=bin_width, definition="published")
    return float(index)


def c50(contrasts: npt.ArrayLike, responses: npt.ArrayLike) -> float:
    """Find the contrast at half of the maximal response."""
    if not _have_equal_length(contrasts=contrasts, responses=responses):
        return float("nan")
    values = np.asarray(responses, dtype=np.float64)
    return float(_contrast.c50(contrasts, values.reshape(-1, 1), definition="published")[0])


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
