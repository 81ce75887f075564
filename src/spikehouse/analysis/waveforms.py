"""Classes of units by the shape of their waveform, and whether there are two of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.errors import InvalidArgumentError
from spikehouse.schema import require_columns

Floats = npt.NDArray[np.float64]

# of cells the median is between; in seconds, microseconds or samples it is not [ms]
MEDIANS_IN_MS = (0.05, 3.0)
# fewer say nothing about modes
FEWEST = 10
N_POINTS = 512
N_HALVINGS = 20


def classify_waveforms(units: pd.DataFrame, *, threshold: float = 0.4) -> pd.Series[str]:
    """Call units fast-spiking or regular-spiking by the time from trough to peak.

    Parameters
    ----------
    units
        Index unit_id; column waveform_duration, from trough to peak of the mean waveform [ms].
    threshold
        Units with a shorter waveform are fast-spiking [ms].

    Returns
    -------
    Series
        Index that of units: ``"fast-spiking"``, ``"regular-spiking"``, or missing where the
        duration is.

    Notes
    -----
    In the cortex most fast-spiking units are inhibitory interneurons with parvalbumin; of the
    regular-spiking ones some are inhibitory, too. In the thalamus and the hippocampus the border
    does not have this meaning. Of the survey's 36 430 units in the visual cortex, fewest are
    between 0.39 and 0.47 ms.

    References
    ----------
    Both classes in the mouse's visual cortex, on the same probes: Jia et al. (2019),
    J. Neurophysiol. 121, 1831, doi:10.1152/jn.00680.2018. The waveforms of neurons that were shown
    to be inhibitory: Barthó et al. (2004), J. Neurophysiol. 92, 600, doi:10.1152/jn.01170.2003.

    Examples
    --------
    >>> classify_waveforms(session.units).value_counts().to_dict()
    {'regular-spiking': 12, 'fast-spiking': 4}
    """
    require_columns(units, "waveform_duration", what="the table of units")
    if not 0 < threshold < np.inf:
        raise InvalidArgumentError(f"threshold={threshold:g} ms; valid: a time above 0 ms")
    durations = pd.to_numeric(units["waveform_duration"])
    least, median, most = durations.min(), durations.median(), durations.max()
    if least < 0 or most == np.inf or median < MEDIANS_IN_MS[0] or median > MEDIANS_IN_MS[1]:
        raise InvalidArgumentError(
            f"waveform_duration is from {least:g} to {most:g}, with the median {median:g}; valid: "
            f"milliseconds, not negative, with a median of {MEDIANS_IN_MS[0]:g} to "
            f"{MEDIANS_IN_MS[1]:g}; multiply seconds by 1000, divide microseconds by 1000 and "
            "samples by the rate in kHz"
        )
    classes = np.where(durations < threshold, "fast-spiking", "regular-spiking").astype(object)
    # not pandas' own strings, which xarray and files do not take as coordinates
    return pd.Series(classes, units.index, object, name="waveform_class").where(durations.notna())


def compute_bimodality(
    values: npt.ArrayLike, *, n_resamples: int = 500, seed: int = 0
) -> pd.Series[float]:
    """Test whether values have more than one mode, and find the valley between two.

    Parameters
    ----------
    values
        Shape (n,), 10 or more, such as durations of waveforms; missing ones are left out.
    n_resamples, seed
        Number of samples that are drawn for the p-value, and the seed to draw them with.

    Returns
    -------
    Series
        n, the number of values; p_value, of the hypothesis that they have one mode;
        critical_bandwidth, the least smoothing that leaves one; low_mode, valley and high_mode of
        the density that is smoothed until it has two, NaN if it never has.

    Notes
    -----
    Silverman's test. A density with a Gaussian kernel has fewer modes the larger its bandwidth is.
    From the density with the critical bandwidth, scaled to the variance of the values, samples of
    the same size are drawn; p_value is the fraction of them that have more than one mode at this
    bandwidth, and itself counts as one. Values may be on a grid, such as durations in steps of
    14 µs, which Hartigan's dip takes for modes. A few values far from the rest are a mode: leave
    them out before, such as durations above 1 ms. Takes about 1 s for 36 000 values.

    References
    ----------
    Silverman (1981), J. R. Stat. Soc. B 43, 97, doi:10.1111/j.2517-6161.1981.tb01155.x.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> values = np.append(rng.normal(0.26, 0.05, 80), rng.normal(0.62, 0.08, 320))
    >>> compute_bimodality(values)[["p_value", "low_mode", "valley", "high_mode"]].round(2).tolist()
    [0.0, 0.27, 0.4, 0.59]
    """
    x = np.asarray(values, dtype=np.float64).ravel()
    x = x[~np.isnan(x)]
    if n_resamples < 1:
        raise InvalidArgumentError(f"n_resamples={n_resamples}; valid: 1 or more")
    if len(x) < FEWEST or len(np.unique(x)) < 3 or not np.isfinite(x).all():
        raise InvalidArgumentError(
            f"values has {len(x)} numbers, {len(np.unique(x))} different ones, from "
            f"{x.min(initial=np.inf):g} to {x.max(initial=-np.inf):g}; give {FEWEST} or more, "
            "three different ones, all of them finite"
        )
    span = float(np.ptp(x))
    grid = np.linspace(x.min() - span / 4, x.max() + span / 4, N_POINTS)
    step = grid[1] - grid[0]
    edges = np.append(grid - step / 2, grid[-1] + step / 2)
    apart = np.abs(np.subtract.outer(np.arange(N_POINTS), np.arange(N_POINTS)))

    def smooth(counts: Floats, bandwidth: float) -> Floats:
        kernel = np.exp(-0.5 * (step * np.arange(N_POINTS) / bandwidth) ** 2)
        return np.asarray(counts @ kernel[apart])

    def find_bandwidth(n_modes: int) -> float:
        low, high = np.log([step, span])
        for _ in range(N_HALVINGS):
            middle = (low + high) / 2
            has_more = len(_find_modes(smooth(counts, np.exp(middle)))) > n_modes
            low, high = (middle, high) if has_more else (low, middle)
        return float(np.exp(high))

    counts = np.histogram(x, edges)[0].astype(np.float64)
    one = find_bandwidth(1)
    rng = np.random.default_rng(seed)
    shrink = 1 / np.sqrt(1 + one**2 / x.var())
    drawn = np.empty((n_resamples, N_POINTS))
    for row in drawn:
        sample = rng.choice(x, len(x)) + one * rng.standard_normal(len(x))
        row[:] = np.histogram(x.mean() + shrink * (sample - x.mean()), edges)[0]
    n_more = sum(len(_find_modes(row)) > 1 for row in smooth(drawn, one))
    density = smooth(counts, find_bandwidth(2))
    modes = _find_modes(density)
    valley = modes[0] + np.argmin(density[modes[0] : modes[-1] + 1])
    places = grid[[modes[0], valley, modes[-1]]] if len(modes) == 2 else np.full(3, np.nan)
    return pd.Series(
        {
            "n": float(len(x)),
            "p_value": (n_more + 1) / (n_resamples + 1),
            "critical_bandwidth": one,
            **dict(zip(("low_mode", "valley", "high_mode"), places.tolist(), strict=True)),
        }
    )


def _find_modes(density: Floats) -> npt.NDArray[np.int64]:
    """Find the places of the maxima of a density, which may be at its ends."""
    slope = np.sign(np.diff(density))
    at = np.flatnonzero(slope)
    # level parts are left out: what is before and after them tells a maximum
    signs = np.concatenate([[1.0], slope[at], [-1.0]])
    return np.append(at, len(density) - 1)[(signs[:-1] > 0) & (signs[1:] < 0)]
