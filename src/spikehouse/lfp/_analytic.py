"""The analytic signal of a band: a Butterworth filter, forward and backward, and Hilbert."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spikehouse.errors import InvalidArgumentError, describe_choices
from spikehouse.lfp.bands import BANDS

# what the kernel leaves out at its ends, as a share of its energy
TAIL = 1e-7

Complex = npt.NDArray[np.complex64]


def make_kernel(band: tuple[float, float] | str, order: int, interval: float) -> Complex:
    """Return the kernel, of odd length, whose convolution is the analytic signal of a band."""
    from scipy.signal import butter, sosfreqz

    low, high = read_band(band, interval)
    if isinstance(order, bool) or not isinstance(order, int | np.integer) or not 1 <= order <= 12:
        raise InvalidArgumentError(f"order is {order!r}; give the order of a filter, 1 to 12")
    sections = butter(order, (low, high), "bandpass", fs=1 / interval, output="sos")
    # long enough for the response to die away: some cycles of the width of the band
    n = 2 ** int(np.ceil(np.log2(40 * order / (high - low) / interval + 64)))
    response = sosfreqz(sections, n // 2, fs=1 / interval)[1]
    gains = np.zeros(n)
    gains[: n // 2] = 2 * np.abs(response) ** 2
    kernel = np.fft.fftshift(np.fft.ifft(gains))
    middle = n // 2
    energy = np.abs(kernel[middle:]) ** 2
    left = energy[::-1].cumsum()[::-1]
    half = min(int(np.flatnonzero(left > TAIL * left[0])[-1]) + 1, middle - 1)
    kernel = kernel[middle - half : middle + half + 1]
    # cut off with a slope, and blind to a constant
    ends = np.hanning(2 * half + 3)[1:-1]
    slope = np.minimum(1, ends * 20)
    kernel = kernel * slope
    kernel -= slope * kernel.sum() / slope.sum()
    return kernel.astype(np.complex64)


def read_band(band: tuple[float, float] | str, interval: float) -> tuple[float, float]:
    """Return the limits of a band [Hz], which may be a name of BANDS."""
    if isinstance(band, str):
        if band not in BANDS:
            raise InvalidArgumentError(f"band={band!r}: {describe_choices(band, BANDS)}")
        band = BANDS[band]
    limits = np.asarray(band, dtype=np.float64)
    nyquist = 0.5 / interval
    if limits.shape != (2,) or not 0 < limits[0] < limits[1] < nyquist:
        raise InvalidArgumentError(
            f"band={band!r}: give its lower and upper limit [Hz], rising between 0 and "
            f"{nyquist:g} Hz, half the sampling rate, for instance (4, 10)"
        )
    return float(limits[0]), float(limits[1])


def to_analytic(values: npt.NDArray[np.float32], kernel: Complex) -> Complex:
    """Return the analytic signal (samples − length of the kernel + 1, channels)."""
    from scipy.signal import oaconvolve

    if len(values) < len(kernel):
        return np.empty((0, values.shape[1]), dtype=np.complex64)
    # a constant is nothing to the kernel, but costs digits
    centred = values - values.mean(axis=0, dtype=np.float64).astype(np.float32)
    signal: Complex = oaconvolve(centred, kernel[:, np.newaxis], mode="valid", axes=0)
    return signal
