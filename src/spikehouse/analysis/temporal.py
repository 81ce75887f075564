"""Modulation of a response by the cycles of a drifting grating."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spikehouse.analysis.checks import (
    Definition,
    check_definition,
    check_not_negative,
    divide,
    is_flat,
)
from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import align

Floats = npt.NDArray[np.float64]
# Length of the segments whose spectra are averaged [bins].
N_SEGMENT_BINS = 1024
# A whole number of cycles that rounding puts just below itself.
CYCLE_TOLERANCE = 1e-6


def f1_f0(
    psth: npt.ArrayLike,
    frequency: npt.ArrayLike,
    *,
    bin_width: float,
    definition: Definition = "corrected",
) -> Floats:
    """Compare the response at the temporal frequency of a grating with the mean response.

    ``F1/F0 = 2 |Σ r(t) exp(−2πi f t)| / Σ r(t)`` over the whole cycles from the onset; ``psth`` has
    the shape (…, n_bins). From 0 (no modulation) to 2 (all spikes at one phase); values above 1 are
    those of simple cells (Skottun et al. 1991, doi:10.1016/0042-6989(91)90033-2). NaN without
    spikes, and where the bins hold no whole cycle.

    The ratio of n spikes at random times is √(π / n) on average, with n the spikes of all trials.
    The published f1_f0_dg averages the ratios of single trials, and the ratio of any one spike is
    2: unmodulated units with 1, 2, 4, 8 and 32 spikes a trial have 1.6, 1.2, 0.9, 0.6 and 0.3.
    ``definition="published"`` also takes the centre of the last bin for the length of a trial,
    finds one cycle too few in it, and folds the bins into that many: for two seconds at 1, 2, 4, 8,
    15 Hz it measures at 0.5, 1.5, 3.5, 7.5 and 14.7 Hz.

    Examples
    --------
    >>> t = (np.arange(2000) + 0.5) / 1000
    >>> round(float(f1_f0(1 + np.cos(2 * np.pi * 4 * t), 4.0, bin_width=0.001)), 6)
    1.0
    """
    rates, frequencies = _check(psth, frequency, bin_width, definition)
    if definition == "corrected":
        check_not_negative(rates, "psth")
    ratios = np.full(np.broadcast_shapes(rates.shape[:-1], frequencies.shape), np.nan)
    rates = np.broadcast_to(rates, (*ratios.shape, rates.shape[-1]))
    frequencies = np.broadcast_to(frequencies, ratios.shape)
    for value in np.unique(frequencies[np.isfinite(frequencies) & (frequencies > 0)]):
        chosen = frequencies == value
        if definition == "published":
            ratios[chosen] = _fold(rates[chosen], value, bin_width)
        else:
            ratios[chosen] = _project(rates[chosen], value, bin_width)
    return ratios


def modulation_index(
    psth: npt.ArrayLike,
    frequency: npt.ArrayLike,
    *,
    bin_width: float,
    definition: Definition = "corrected",
) -> Floats:
    """Measure by how much the power at the frequency of a grating exceeds that of the spectrum.

    ``MI = |P(f) − ⟨P⟩| / √(⟨P²⟩ − ⟨P⟩²)`` with P the power spectral density of the mean response,
    shape (…, n_bins), by Welch's method: Hann windows of 1024 bins (or all), half overlapping, each
    minus its mean; P(f) is taken at the nearest frequency. Wypych et al. 2012, Vision Research 72,
    14–33; Matteucci et al. 2019, doi:10.1523/JNEUROSCI.1938-18.2018. NaN for a response without
    variation, and for frequencies above half the rate of the bins.

    ``definition="published"`` takes the next frequency above f, up to 1 Hz higher in bins of 1 ms
    (1.95 instead of 1 Hz), and gives 0 without spikes.
    """
    from scipy.signal import welch

    rates, frequencies = _check(psth, frequency, bin_width, definition)
    n_segment = min(N_SEGMENT_BINS, rates.shape[-1])
    at, power = welch(rates, fs=1 / bin_width, nperseg=n_segment)
    position = np.searchsorted(at, frequencies)
    if definition == "corrected":
        above = np.clip(position, 1, max(len(at) - 1, 1))
        lower = at[above - 1] + at[np.minimum(above, len(at) - 1)]
        position = np.where(frequencies > lower / 2, above, above - 1)
    is_inside = (frequencies <= at[-1]) & (frequencies >= 0)
    position = np.where(is_inside, position, 0)
    shape = np.broadcast_shapes(power.shape[:-1], position.shape)
    power = np.broadcast_to(power, (*shape, power.shape[-1]))
    position = np.broadcast_to(position, shape)[..., None]
    here = np.take_along_axis(power, position, axis=-1)[..., 0]
    mean = power.mean(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt(np.maximum((power**2).mean(axis=-1) - mean**2, 0))
        spread = np.where(is_flat(rates, axis=-1), 0.0, spread)
        index = np.abs(here - mean) / spread
    index = np.where(np.broadcast_to(is_inside, shape) & (spread > 0), index, np.nan)
    return np.where(mean == 0, 0.0, index) if definition == "published" else index


def _project(rates: Floats, frequency: float, bin_width: float) -> Floats:
    """Project on the frequency itself, over the bins whose centre is in a whole cycle."""
    n_cycles = np.floor(frequency * bin_width * rates.shape[-1] + CYCLE_TOLERANCE)
    if n_cycles < 1:
        return np.full(rates.shape[:-1], np.nan)
    at = (np.arange(rates.shape[-1]) + 0.5) * bin_width
    at = at[at * frequency < n_cycles]
    used = rates[..., : len(at)]
    angle = 2 * np.pi * frequency * at
    return _measure(used, angle)


def _measure(rates: Floats, angle: Floats) -> Floats:
    """Return twice the length of the projection on an angle, divided by the sum."""
    # two real products: a complex one would copy the counts to twice their size
    first = np.hypot(rates @ np.cos(angle), rates @ np.sin(angle))
    total = rates.sum(axis=-1)
    return np.where(total > 0, divide(2 * first, total), np.nan)


def _fold(rates: Floats, frequency: float, bin_width: float) -> Floats:
    """Fold into the published number of cycles and take the first harmonic of that."""
    n_bins = rates.shape[-1]
    n_cycles = int(frequency * (n_bins - 0.5) * bin_width)
    length = n_bins // n_cycles if n_cycles else 0
    if length < 2:
        return np.full(rates.shape[:-1], np.nan)
    angle = 2 * np.pi * (np.arange(n_cycles * length) % length) / length
    used = rates[..., : n_cycles * length]
    return _measure(used, angle)


def _check(
    psth: npt.ArrayLike, frequency: npt.ArrayLike, bin_width: float, definition: str
) -> tuple[Floats, Floats]:
    psth, frequency = align(psth=psth, frequency=frequency)
    rates, frequencies = np.asarray(psth, np.float64), np.asarray(frequency, np.float64)
    if not rates.ndim or not rates.shape[-1]:
        raise InvalidArgumentError(
            f"psth needs bins in its last axis, not the shape {rates.shape}; count spikes first"
        )
    if not (np.isfinite(bin_width) and bin_width > 0):
        raise InvalidArgumentError(
            f"bin_width is {bin_width}; give the width of a bin [s], for instance 0.001"
        )
    check_definition(definition)
    return rates, frequencies
