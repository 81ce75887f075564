"""Power of the field potential in frequency bands, read a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError
from spikehouse.lfp.alignment import check_times, check_volts, find_interval

# Oscillations of the cortex, as Buzsáki & Draguhn (2004), Science 304, 1926, Fig. 1,
# doi:10.1126/science.1099745 draw the limits [Hz].
BANDS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "delta": (1.5, 4.0),
        "theta": (4.0, 10.0),
        "beta": (10.0, 30.0),
        "gamma": (30.0, 80.0),
        "fast": (80.0, 200.0),
    }
)
# how much of a recording is in memory at a time, about
BATCH_BYTES = 16 * 1024 * 1024
# samples further apart than this many intervals have a gap between them
GAP = 1.5


def compute_spectrum(lfp: xr.DataArray, *, segment_length: float = 2.0) -> xr.DataArray:
    """Estimate the power spectral density of every channel, by Welch's method.

    Parameters
    ----------
    lfp
        A recording with a dimension ``time`` [s], increasing; read on selection or in memory.
    segment_length
        Length of a segment [s]: frequencies are its inverse apart.

    Returns
    -------
    DataArray
        ``power_spectral_density`` (frequency [Hz], channel) [V²/Hz], one-sided, float64;
        ``attrs`` has ``n_segments``. NaN for a channel without a segment free of NaN.

    Notes
    -----
    Segments overlap by half; the mean of each is taken away, and it is multiplied by a Hann
    window: with a recording free of NaN and gaps, what ``scipy.signal.welch(lfp, 1 / interval,
    nperseg=n, detrend="constant")`` gives. Of a channel, segments that hold NaN (masked
    intervals) are left out; of all channels, segments across a gap in the times.

    About 16 MB are in memory at a time, whatever the length of the recording; all of it is read
    once, and its time axis. Select time first to have less: ``lfp.sel(time=slice(a, b))``.

    References
    ----------
    Welch (1967), IEEE Trans. Audio Electroacoust. 15, 70, doi:10.1109/TAU.1967.1161901.

    Examples
    --------
    >>> import xarray as xr
    >>> time = np.arange(10_000) / 1250
    >>> wave = 1e-4 * np.sin(2 * np.pi * 7 * time)  # 7 Hz
    >>> lfp = xr.DataArray(wave[:, None], {"time": time, "channel": [0]})
    >>> compute_spectrum(lfp).idxmax("frequency").values.round(3)
    array([7.])
    """
    from scipy.signal import get_window

    times = check_times(lfp)
    check_volts(lfp)
    interval, n_segment = _check_segment(times, segment_length)
    window = get_window("hann", n_segment)
    frequencies = np.fft.rfftfreq(n_segment, interval)
    others = [dim for dim in lfp.dims if dim != "time"]
    shape = tuple(lfp.sizes[dim] for dim in others)
    total = np.zeros((len(frequencies), *shape))
    n_segments = np.zeros(shape, dtype=np.int64)
    for segments in _iterate_segments(lfp, times, interval, n_segment):
        is_whole = np.asarray(np.isfinite(segments).all(axis=1))
        centred = np.where(is_whole[:, None], segments, 0.0)
        centred -= centred.mean(axis=1, keepdims=True)
        shaped = window.reshape(-1, *(1,) * len(shape))
        transformed = np.fft.rfft(centred * shaped, axis=1)
        total += (transformed.real**2 + transformed.imag**2).sum(axis=0)
        n_segments += is_whole.sum(axis=0)
    # one-sided: what is at negative frequencies belongs here as well
    factor = np.full(len(frequencies), 2.0)
    factor[0] = 1.0
    if n_segment % 2 == 0:
        factor[-1] = 1.0
    factor *= interval / (window**2).sum()
    known = np.where(n_segments > 0, n_segments, np.nan)
    coords = {name: part for name, part in lfp.coords.items() if "time" not in part.dims}
    return xr.DataArray(
        total * factor.reshape(-1, *(1,) * len(shape)) / known,
        dims=("frequency", *others),
        coords={"frequency": frequencies, **coords},
        name="power_spectral_density",
        attrs={
            "units": "V^2/Hz",
            "n_segments": int(n_segments.max(initial=0)),
            "segment_length": n_segment * interval,
            "window": "hann",
        },
    )


def compute_band_power(
    lfp: xr.DataArray,
    *,
    bands: Mapping[str, tuple[float, float]] = BANDS,
    segment_length: float = 2.0,
) -> xr.DataArray:
    """Compute the power of every channel in frequency bands.

    Parameters
    ----------
    lfp
        A recording with a dimension ``time`` [s], increasing; read on selection or in memory.
    bands
        Name → lower and upper limit [Hz]; a frequency belongs to a band in [lower, upper).
        :data:`spikehouse.lfp.BANDS` if not given.
    segment_length
        Length of the segments over which the spectrum is averaged [s].

    Returns
    -------
    DataArray
        ``band_power`` (band, channel) [V²], with ``low`` and ``high`` [Hz]; NaN for a channel
        without a segment free of NaN.

    Notes
    -----
    The spectral density's sum over the frequencies of a band, times their distance: bands that
    touch add up to the power of all of them together. Reading and memory are those of
    :func:`compute_spectrum`.

    References
    ----------
    Buzsáki & Draguhn (2004), Science 304, 1926, doi:10.1126/science.1099745, for the limits of
    the bands.

    Examples
    --------
    >>> import xarray as xr
    >>> time = np.arange(10_000) / 1250
    >>> wave = 1e-4 * np.sin(2 * np.pi * 7 * time)  # 7 Hz
    >>> lfp = xr.DataArray(wave[:, None], {"time": time, "channel": [0]})
    >>> compute_band_power(lfp).idxmax("band").item()
    'theta'
    """
    if not isinstance(bands, Mapping) or not bands:
        raise InvalidArgumentError(
            f"bands is {bands!r:.80}; name at least one with its limits [Hz], for instance "
            "{'theta': (4, 10)}"
        )
    interval, n_segment = _check_segment(check_times(lfp), segment_length)
    grid = np.fft.rfftfreq(n_segment, interval)
    for name, (low, high) in bands.items():
        if not (0 <= low < high <= 0.5 / interval) or not ((grid >= low) & (grid < high)).any():
            raise InvalidArgumentError(
                f"band {name!r} from {low:g} to {high:g} Hz: it must rise from 0 Hz or more to "
                f"{0.5 / interval:g} Hz or less, half the sampling rate, and hold a multiple of "
                f"{grid[1]:g} Hz, the inverse of segment_length"
            )
    spectrum = compute_spectrum(lfp, segment_length=segment_length)
    is_inside = np.array([(grid >= low) & (grid < high) for low, high in bands.values()])
    power = np.tensordot(is_inside.astype(np.float64), spectrum.to_numpy(), axes=1) * grid[1]
    limits = np.array(list(bands.values()), dtype=np.float64).reshape(-1, 2)
    coords = {name: part for name, part in spectrum.coords.items() if name != "frequency"}
    return xr.DataArray(
        power,
        dims=("band", *spectrum.dims[1:]),
        coords={
            "band": list(bands),
            "low": ("band", limits[:, 0]),
            "high": ("band", limits[:, 1]),
            **coords,
        },
        name="band_power",
        attrs={**spectrum.attrs, "units": "V^2"},
    )


def _check_segment(times: pd.Index, segment_length: float) -> tuple[float, int]:
    interval = find_interval(times)
    n_segment = round(segment_length / interval) if np.isfinite(segment_length) else 0
    if not 4 <= n_segment <= len(times):
        raise InvalidArgumentError(
            f"segment_length is {segment_length:g} s, {n_segment} samples of {interval:g} s; give "
            f"four samples or more, and no more than the {len(times)} there are "
            f"({len(times) * interval:g} s)"
        )
    return interval, n_segment


def _iterate_segments(
    lfp: xr.DataArray, times: pd.Index, interval: float, n_segment: int
) -> Iterator[npt.NDArray[np.float64]]:
    """Read segments (segments, samples, channels), a few at a time."""
    step = n_segment - n_segment // 2
    # every segment is held as float64 four times while it is transformed
    n_others = max(lfp.size // max(len(times), 1), 1)
    n_batch = max(BATCH_BYTES // (32 * n_segment * n_others), 1)
    last = len(times) - n_segment
    for start in range(0, last + 1, step * n_batch):
        stop = min(start + step * (n_batch - 1), last) + n_segment
        values = lfp.isel(time=slice(start, stop)).transpose("time", ...).to_numpy()
        at = times[start:stop].to_numpy()
        first = np.arange(0, len(values) - n_segment + 1, step)
        rows = first[:, None] + np.arange(n_segment)
        has_gap = np.append(0, np.cumsum(np.diff(at) > GAP * interval))
        first_kept = has_gap[rows[:, 0]] == has_gap[rows[:, -1]]
        yield values[rows[first_kept]].astype(np.float64)
