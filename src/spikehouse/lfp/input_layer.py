"""Where the first sink of a response is: the layer that has the input from the thalamus."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError
from spikehouse.lfp.csd import POSITIONS


def find_input_layer(
    csd: xr.DataArray,
    *,
    window: tuple[float, float] = (0.0, 0.15),
    fraction: float = 0.3,
    n_sd: float = 5.0,
    tolerance: float = 0.005,
) -> pd.Series[float]:
    """Find the depth of the earliest sink after a stimulus: in visual cortex, layer 4.

    Parameters
    ----------
    csd
        Current source density, sinks negative: one dimension of times [s from stimulus onset],
        with times before 0, and one of positions with the coordinate ``vertical_position`` [µm
        above the tip]. ``session.get_current_source_density(probe_id)``, or `compute_csd` of a mean
        response to flashes. Leave out positions that are not in the cortex.
    window
        First and last time of the response [s].
    fraction
        A sink begins when it has this fraction of the largest sink of the window.
    n_sd
        Sinks are at least so many standard deviations of the density before 0.
    tolerance
        Positions belong to the first sink if they begin at most so much later [s], without a gap.

    Returns
    -------
    Series
        onset [s]; vertical_position, the centre of the first sink, and its ends, lowest and highest
        [µm above the tip]; density, its minimum in the window, in the unit of ``csd``. All NaN if
        nothing is large enough.

    Notes
    -----
    With s = −CSD, less its mean before 0 at each position, a position begins at the first time of
    the window at which s ≥ max(fraction · max s, n_sd · SD). The centre is the mean position of the
    first sink, weighted by the mean of s from its onset until the tolerance later. Layer 4 need not
    have the largest sink. The white matter and other structures have sinks, too.

    The SD before 0 is that of noise which does not drift. Slow noise, of which a mean of few
    flashes has much, leaves its baseline and passes for a sink: nearly every random walk has one,
    1 in 200 samples of white noise.

    References
    ----------
    Schroeder, Mehta & Givre (1998), Cereb. Cortex 8, 575, doi:10.1093/cercor/8.7.575. Senzai,
    Fernandez-Ruiz & Buzsáki (2019), Neuron 101, 500, doi:10.1016/j.neuron.2018.12.009, in mice.

    Examples
    --------
    >>> probe_id = session.units["probe_id"].iloc[0]
    >>> found = find_input_layer(session.get_current_source_density(probe_id))
    >>> found[["onset", "vertical_position"]].round(3).to_dict()
    {'onset': 0.069, 'vertical_position': 2855.311}
    """
    dims, coords = (tuple(getattr(csd, name, ())) for name in ("dims", "coords"))
    times = [str(dim) for dim in dims if str(dim).startswith("time")]
    names = [name for name in POSITIONS if name in coords]
    if not isinstance(csd, xr.DataArray) or csd.ndim != 2 or len(times) != 1 or not names:
        raise InvalidArgumentError(
            f"csd is a {type(csd).__name__} with the dimensions {dims} and the "
            f"coordinates {coords}; needed: a DataArray with a dimension of times and "
            "one of positions, with vertical_position [µm]"
        )
    if not (0 < fraction <= 1 and n_sd >= 0 and tolerance >= 0):
        raise InvalidArgumentError(
            f"fraction={fraction:g}, n_sd={n_sd:g}, tolerance={tolerance:g} s; valid: a fraction "
            "above 0 and at most 1, the others not negative"
        )
    time = csd[times[0]].to_numpy().astype(np.float64)
    order = np.argsort(csd[names[0]].to_numpy(), kind="stable")
    heights = csd[names[0]].to_numpy().astype(np.float64)[order]
    sink = -csd.transpose(times[0], ...).to_numpy().astype(np.float64)[:, order]
    # the outermost positions of compute_csd are unknown
    known = np.isfinite(sink).all(axis=0)
    heights, sink = heights[known], sink[:, known]
    is_before, is_inside = time < 0, (time >= window[0]) & (time <= window[1])
    if is_before.sum() < 2 or not is_inside.any() or not len(heights):
        raise InvalidArgumentError(
            f"csd has {is_before.sum()} times before 0, {is_inside.sum()} in "
            f"window=({window[0]:g}, {window[1]:g}) s, and {len(heights)} positions without NaN; "
            "needed: two times before 0, one in the window and one position"
        )
    sink = sink - sink[is_before].mean(axis=0)
    time, noise, sink = time[is_inside], float(sink[is_before].std()), sink[is_inside]
    limit = max(fraction * float(sink.max()), n_sd * noise)
    is_sink = sink >= limit
    if not is_sink.any() or limit <= 0:
        fields = ("onset", "vertical_position", "lowest", "highest", "density")
        return pd.Series(np.nan, index=list(fields))
    onsets = np.where(is_sink.any(axis=0), time[is_sink.argmax(axis=0)], np.inf)
    onset = float(onsets.min())
    is_now = (time >= onset) & (time <= onset + tolerance)
    weights = sink[is_now].mean(axis=0)
    # of positions that begin at the same time, around the strongest
    seed = int(np.argmax(np.where(onsets == onset, weights, -np.inf)))
    is_late = onsets > onset + tolerance
    first = int(np.flatnonzero(np.append(True, is_late[:seed]))[-1])
    last = seed + int(np.flatnonzero(np.append(is_late[seed + 1 :], True))[0])
    own = slice(first, last + 1)
    return pd.Series(
        {
            "onset": onset,
            "vertical_position": float(np.average(heights[own], weights=weights[own])),
            "lowest": float(heights[first]),
            "highest": float(heights[last]),
            "density": -float(sink[:, own].max()),
        }
    )
