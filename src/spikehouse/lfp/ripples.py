"""Sharp-wave ripples of the hippocampus: the channel where they are largest, and when they are."""

from __future__ import annotations

from typing import Any
from warnings import warn

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError
from spikehouse.lfp._analytic import Complex, make_kernel, to_analytic
from spikehouse.lfp._windows import BATCH_BYTES, find_whole
from spikehouse.lfp.alignment import check_times, check_volts, find_interval, list_channels
from spikehouse.schema import require_columns

Floats32 = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

RIPPLE_BAND = (120.0, 250.0)
ORDER = 6
# what the channels are compared on: pieces spread over the recording [s]
N_PIECES, PIECE = 60, 10.0
# peaks of the SD over depth count from this part of the largest
PART_OF_LARGEST = 0.5
SMOOTHING = 5
# envelopes above are artefacts [V]: ripples have some tenths of a millivolt
LARGEST = 1e-3


def compute_ripple_profile(
    lfp: xr.DataArray, *, band: tuple[float, float] | str = RIPPLE_BAND
) -> pd.DataFrame:
    """Compare the channels of a recording by their envelope in the band of ripples.

    Parameters
    ----------
    lfp
        A recording (time [s], channel) of the channels in CA1, in order of depth.
    band
        Lower and upper limit [Hz], or a name in ``spikehouse.lfp.BANDS``.

    Returns
    -------
    DataFrame
        Index channel; envelope_sd [V], envelope_skewness, is_best (True once).

    Notes
    -----
    The best channel has the largest standard deviation of the envelope. If that has several peaks
    over depth of at least half the largest (sharp waves in stratum radiatum, ripples in
    stratum pyramidale), it is the one of them with the largest skewness (De Filippo &
    Schmitz 2023; what a peak is, is our reading).

    Sixty pieces of 10 s spread over the recording are read, or all of a shorter one.

    References
    ----------
    De Filippo & Schmitz (2023), eLife 12, e85488, doi:10.7554/eLife.85488.

    Examples
    --------
    >>> lfp = session.get_lfp(session.probes.index[0])
    >>> int(compute_ripple_profile(lfp)["is_best"].sum())
    1
    """
    channels = list_channels(lfp)
    check_volts(lfp)
    samples = check_times(lfp)
    interval = find_interval(samples)
    kernel = make_kernel(band, ORDER, interval)
    n_piece = round(PIECE / interval)
    last = max(len(samples) - n_piece, 0)
    starts = np.linspace(0, last, N_PIECES).astype(np.int64) if last else np.zeros(1, np.int64)
    if last < (N_PIECES - 1) * n_piece:
        starts = np.arange(0, len(samples), n_piece)
    moments = np.zeros((4, len(channels)))
    for start in starts.tolist():
        stop = min(start + n_piece, len(samples))
        envelope, _ = _read_envelope(lfp, samples, kernel, interval, (start, stop))
        # in microvolts, whose cubes are no tiny numbers
        scaled = np.nan_to_num(envelope.astype(np.float64) * 1e6)
        moments += [
            np.isfinite(envelope).sum(axis=0),
            *((scaled**k).sum(axis=0) for k in (1, 2, 3)),
        ]
    if not moments[0].any():
        raise InvalidArgumentError(_describe_short(samples, kernel, interval))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean, square, cube = moments[1:] / moments[0]
        sd = np.sqrt(np.maximum(square - mean**2, 0))
        skewness = (cube - 3 * mean * square + 2 * mean**3) / sd**3
    _check_size(float(np.nanmedian(mean)) * 1e-6)
    size = np.nan_to_num(sd, nan=-1.0)
    padded = np.r_[-1.0, size, -1.0]
    is_peak = (size >= padded[:-2]) & (size >= padded[2:]) & (size >= PART_OF_LARGEST * size.max())
    best = np.argmax(np.where(is_peak, np.nan_to_num(skewness, nan=-np.inf), -np.inf))
    return pd.DataFrame(
        {
            "envelope_sd": sd * 1e-6,
            "envelope_skewness": skewness,
            "is_best": np.arange(len(channels)) == best,
        },
        index=pd.Index(channels, name="channel"),
    )


def find_ripples(
    lfp: xr.DataArray,
    *,
    exclude: pd.DataFrame | None = None,
    band: tuple[float, float] | str = RIPPLE_BAND,
    threshold: float = 5.0,
    edge_threshold: float = 2.0,
    duration: tuple[float, float] = (0.015, 0.25),
    min_distance: float = 0.05,
    min_frequency: float = 100.0,
    min_power: float = 2e-9,
) -> pd.DataFrame:
    """Find the sharp-wave ripples in a recording from CA1.

    Parameters
    ----------
    lfp
        A recording (time [s], channel), times increasing. Of several channels, in order of depth,
        the best of :func:`compute_ripple_profile` is taken.
    exclude
        Intervals whose ripples are left out, such as those of running: start_time, stop_time [s].
        A ripple is in an interval if its start is.
    band
        Lower and upper limit [Hz], or a name in ``spikehouse.lfp.BANDS``.
    threshold, edge_threshold
        Height of the envelope at the peak of a ripple, and of the smoothed envelope at its edges
        [standard deviations of the envelope].
    duration
        Shortest and longest duration of a candidate [s].
    min_distance
        Candidates whose starts are closer than this [s] are one ripple.
    min_frequency, min_power
        The periodogram of a ripple has a peak above this frequency [Hz], of at least this
        prominence [V²].

    Returns
    -------
    DataFrame
        A row for each ripple, in order: start_time, peak_time, stop_time, duration [s],
        amplitude [V], strength [V s], peak_sd [standard deviations], frequency [Hz], channel.

    Notes
    -----
    The detector of De Filippo & Schmitz (2023):

    1. a Butterworth band-pass of order 6, forward and backward; the envelope is the size of
       the analytic signal;
    2. a candidate is where the envelope, averaged over 5 samples, is above ``edge_threshold``
       standard deviations, and at its peak above ``threshold`` of them (0 is at 0 V, not at the
       mean);
    3. candidates too short or too long are dropped;
    4. candidates that start less than ``min_distance`` after the one before join it; the peak is
       the highest;
    5. ``frequency`` is that of the largest peak above ``min_frequency`` in the periodogram
       (``scipy.signal.periodogram`` of the potential without its mean, ``scaling="spectrum"``);
       without one, the candidate is dropped. 2·10⁻⁹ V² is a sine of 63 µV. A jump of the
       potential by a millivolt has such a peak, too: mask artefacts first. The frequencies are
       multiples of 1/duration (20 Hz of a ripple of 50 ms): those of ripples of 140 to 200 Hz have
       an error of about 8 Hz (standard deviation);
    6. those in ``exclude`` are dropped.

    ``amplitude`` is the 90th percentile of the envelope from start to stop, ``strength`` its
    integral.

    The paper leaves open, and we read as its code does: the standard deviation is that of all of
    the recording, running and artefacts included; durations are checked before candidates join. A
    warning tells if envelopes above 1 mV make the standard deviation more than a tenth larger:
    artefacts, which hide ripples. The paper's running is a standardised speed above the 10th
    percentile plus 0.06; where there was no running speed, ripples were dropped.

    Samples within 0.1 s of a NaN (masked intervals), of a gap or of an end have no envelope: no
    ripple is found there. All of the recording is read, 16 MB at a time. Memory: about 40 bytes a
    sample of one channel, 0.5 GB for a released probe.

    References
    ----------
    De Filippo & Schmitz (2023), eLife 12, e85488, doi:10.7554/eLife.85488.

    Examples
    --------
    >>> import xarray as xr
    >>> time = np.arange(25_000) / 1250
    >>> noise = 1e-5 * np.random.default_rng(0).standard_normal(len(time))
    >>> ripple = 2e-4 * np.sin(2 * np.pi * 170 * time) * np.exp(-(((time - 8) / 0.02) ** 2))
    >>> lfp = xr.DataArray((noise + ripple)[:, None], {"time": time, "channel": [0]})
    >>> find_ripples(lfp)[["peak_time", "frequency"]].round(1)
       peak_time  frequency
    0        8.0      171.9
    """
    shortest, longest = _check_options(
        duration, threshold=threshold, edge_threshold=edge_threshold, min_distance=min_distance,
        min_frequency=min_frequency, min_power=min_power,
    )  # fmt: skip
    channels = list_channels(lfp)
    check_volts(lfp)
    samples = check_times(lfp)
    interval = find_interval(samples)
    kernel = make_kernel(band, ORDER, interval)
    channel = channels[0] if len(channels) == 1 else None
    if channel is None:
        profile = compute_ripple_profile(lfp, band=band)
        channel = profile.index[profile["is_best"]][0]
    chosen = lfp.sel(channel=[channel])
    step = BATCH_BYTES // 4
    parts = [
        _read_envelope(chosen, samples, kernel, interval, (at, min(at + step, len(samples))))
        for at in range(0, len(samples), step)
    ]
    envelope, potential = (np.concatenate(arrays)[:, 0] for arrays in zip(*parts, strict=True))
    del parts
    if np.isnan(envelope).all():
        raise InvalidArgumentError(_describe_short(samples, kernel, interval))
    _check_size(float(np.nanmedian(envelope)))
    sd = float(np.nanstd(envelope, dtype=np.float64))
    is_artefact = envelope > LARGEST
    if is_artefact.any():
        sd_without = float(np.nanstd(envelope[~is_artefact], dtype=np.float64))
        if sd > 1.1 * sd_without:
            warn(
                f"the envelope of channel {channel} is above {LARGEST:g} V in {is_artefact.sum()} "
                f"of {len(envelope)} samples, which no ripple is; with them its standard deviation "
                f"is {sd:.2g} V, without {sd_without:.2g} V, and ripples are missed: mask "
                "artefacts first (mask_intervals)",
                stacklevel=3,
            )
    first, last = _find_candidates(envelope, threshold * sd, edge_threshold * sd)
    times = _read_times(samples, first), _read_times(samples, last)
    lengths = times[1] - times[0]
    is_kept = (lengths > shortest) & (lengths < longest)
    first, last, starts = first[is_kept], last[is_kept], times[0][is_kept]
    begins = np.flatnonzero(np.diff(starts, prepend=-np.inf) >= min_distance)
    first = first[begins]
    last = last[np.r_[begins[1:] - 1, len(last) - 1]] if len(begins) else last[:0]
    rows = []
    for begin, end in zip(first.tolist(), last.tolist(), strict=True):
        frequency = _find_frequency(
            potential[begin : end + 1], 1 / interval, min_frequency, min_power
        )
        inside = envelope[begin : end + 1]
        peak = begin + int(np.nanargmax(inside))
        amplitude, strength = np.nanquantile(inside, 0.9), np.nansum(inside) * interval
        rows.append((begin, peak, end, amplitude, strength, envelope[peak] / sd, frequency))
    table = np.array(rows, dtype=np.float64).reshape(-1, 7)
    at = [_read_times(samples, table[:, k].astype(np.int64)) for k in range(3)]
    ripples = pd.DataFrame(
        {"start_time": at[0], "peak_time": at[1], "stop_time": at[2], "duration": at[2] - at[0]}
        | {name: table[:, 3 + k] for k, name in enumerate(
            ("amplitude", "strength", "peak_sd", "frequency"))}
    )  # fmt: skip
    ripples["channel"] = channel
    is_kept = np.isfinite(table[:, 6])
    if exclude is not None:
        is_kept &= ~_is_within(at[0], exclude)
    return ripples[is_kept].reset_index(drop=True)


def _check_options(duration: tuple[float, float], **options: float) -> tuple[float, float]:
    for name, value in options.items():
        if not (np.isfinite(value) and value >= 0):
            raise InvalidArgumentError(f"{name} is {value}; give a number of 0 or more")
    if options["edge_threshold"] > options["threshold"]:
        raise InvalidArgumentError(
            f"edge_threshold={options['edge_threshold']} is above threshold="
            f"{options['threshold']}: the edges of a ripple are lower than its peak"
        )
    limits = np.asarray(duration, dtype=np.float64)
    if limits.shape != (2,) or not 0 <= limits[0] < limits[1]:
        raise InvalidArgumentError(
            f"duration={duration!r}: give the shortest and the longest duration [s], for instance "
            "(0.015, 0.25)"
        )
    return float(limits[0]), float(limits[1])


def _check_size(typical: float) -> None:
    if typical > LARGEST:
        raise InvalidArgumentError(
            f"the median of the envelope is {typical:.2g} V, and no ripple is above "
            f"{LARGEST:g} V: give the recording in volts, lfp * 1e-6 if it is in microvolts"
        )


def _describe_short(samples: pd.Index, kernel: Complex, interval: float) -> str:
    return (
        f"none of the {len(samples)} samples has an envelope: it takes {len(kernel)} samples "
        f"({len(kernel) * interval:.2g} s) without a NaN or a gap"
    )


def _read_envelope(
    lfp: xr.DataArray,
    samples: pd.Index,
    kernel: Complex,
    interval: float,
    span: tuple[int, int],
) -> tuple[Floats32, Floats32]:
    """Read the envelope (samples, channels) and the potential of rows start to stop."""
    half = len(kernel) // 2
    start, stop = span
    low, high = max(start - half, 0), min(stop + half, len(samples))
    values = lfp.isel(time=slice(low, high)).transpose("time", "channel").to_numpy()
    times = samples[low:high].to_numpy()
    envelope = np.full(values.shape, np.nan, dtype=np.float32)
    cleaned = np.nan_to_num(values, nan=0, posinf=0, neginf=0).astype(np.float32, copy=False)
    if len(values) >= len(kernel):
        centres = np.arange(half, len(values) - half)
        is_whole = find_whole(values, times, centres - half, centres + half, interval)
        envelope[centres] = np.where(is_whole, np.abs(to_analytic(cleaned, kernel)), np.nan)
    inside = slice(start - low, stop - low)
    return envelope[inside], cleaned[inside]


def _find_candidates(envelope: Floats32, height: float, edge: float) -> tuple[Ints, Ints]:
    """Return the first and last samples of where the smoothed envelope is high, and peaks."""
    from scipy.ndimage import uniform_filter1d

    known = np.nan_to_num(envelope)
    # a rolling sum of float32 would drift
    smooth = uniform_filter1d(known, SMOOTHING, output=np.float64, mode="nearest")
    is_high = np.r_[False, (smooth > edge) & np.isfinite(envelope), False]
    changes = np.flatnonzero(np.diff(is_high.astype(np.int8)))
    first, stop = changes[::2], changes[1::2]
    if not len(first):
        return first, stop
    # maxima of the stretches, and of those between, which are left out
    peaks = np.maximum.reduceat(np.append(known, 0), changes)[::2]
    is_peaked = peaks > height
    return first[is_peaked], stop[is_peaked] - 1


def _find_frequency(
    potential: Floats32, rate: float, min_frequency: float, min_power: float
) -> float:
    """Return the frequency of the largest peak of the periodogram above a limit; NaN without."""
    from scipy.signal import find_peaks, periodogram

    frequencies, power = periodogram(
        potential.astype(np.float64), rate, detrend="constant", scaling="spectrum"
    )
    peaks, _ = find_peaks(power, prominence=min_power)
    peaks = peaks[frequencies[peaks] > min_frequency]
    return float(frequencies[peaks[power[peaks].argmax()]]) if len(peaks) else np.nan


def _read_times(samples: pd.Index, rows: Ints) -> npt.NDArray[np.float64]:
    return np.asarray(samples[rows].to_numpy(), dtype=np.float64) if len(rows) else np.empty(0)


def _is_within(times: npt.NDArray[np.float64], intervals: pd.DataFrame) -> npt.NDArray[Any]:
    require_columns(intervals, "start_time", "stop_time", what="exclude")
    ends = intervals[["start_time", "stop_time"]].to_numpy(dtype=np.float64)
    is_wrong = ~(ends[:, 0] <= ends[:, 1])
    if is_wrong.any():
        wrong = ends[is_wrong][0]
        raise InvalidArgumentError(
            f"exclude has an interval from {wrong[0]:g} to {wrong[1]:g} s: it must not stop before "
            "it starts, and neither end may be NaN"
        )
    # every start that came is inside unless as many stops have come
    n_begun = np.searchsorted(np.sort(ends[:, 0]), times, "right")
    n_ended = np.searchsorted(np.sort(ends[:, 1]), times, "right")
    return np.asarray(n_begun > n_ended)
