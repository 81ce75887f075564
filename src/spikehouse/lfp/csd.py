"""Current source density: the second derivative of the potential along the probe."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError, describe_choices
from spikehouse.labelled import look_up
from spikehouse.lfp.alignment import check_volts

Edges = Literal["nan", "repeat"]

METHODS: tuple[Edges, ...] = ("nan", "repeat")
POSITIONS = ("vertical_position", "probe_vertical_position")
UM = 1e-6


def compute_csd(
    lfp: xr.DataArray,
    depths: pd.Series | npt.ArrayLike | None = None,
    *,
    dim: str = "channel",
    conductivity: float | None = None,
    sigma_um: float = 0.0,
    edges: Edges = "nan",
) -> xr.DataArray:
    """Compute the current source density from a potential along a probe.

    Parameters
    ----------
    lfp
        Potential [V] with a dimension of channels, best the response averaged over presentations:
        :func:`spikehouse.lfp.compute_evoked_lfp`.
    depths
        Positions of the channels [µm] above the probe's tip: a Series by channel id, such as
        ``session.channels["probe_vertical_position"]``, which may have further channels; or an
        array, shape (n_channels,). If None, the coordinate ``vertical_position`` of ``lfp``.
    dim
        Name of the dimension of channels.
    conductivity
        Conductivity of the tissue [S/m], assumed the same everywhere; about 0.3 in cortex. If
        None, the result is not multiplied by it.
    sigma_um
        Standard deviation of a Gaussian that smooths the potential in depth first [µm]; 0 for
        none.
    edges
        The lowest and highest position have one neighbour only: ``"nan"`` leaves them unknown;
        ``"repeat"`` assumes that the potential goes on unchanged beyond them.

    Returns
    -------
    DataArray
        ``CSD``, other dimensions first as in ``lfp``, then ``virtual_channel_index``, from the
        tip up, with ``vertical_position`` [µm]: evenly spaced by the channels' usual (median)
        distance. In V/m², or A/m³ with a conductivity: ``attrs["units"]``. Sinks, where current
        leaves the space between cells, are negative. ``attrs`` has the other options too.

    Notes
    -----
    CSD(z) = −σ ∂²φ/∂z² ≈ −σ (φ(z + h) − 2 φ(z) + φ(z − h)) / h², without σ if none is given.
    1 V/cm², the unit of the density stored in the released files, is 10⁴ V/m².

    Channels at the same depth are averaged. A channel that is NaN all the time, or missing (a gap
    in the depths), is interpolated by a cubic spline over depth from all that are known; a
    sample with any further NaN (a masked interval) is NaN at all depths. All this, the smoothing
    and the derivative are one matrix, positions × channels. Smoothing is cut off at the ends and
    scaled to a sum of 1.

    Differences over h see the peak of a sink of standard deviation s as √(1 + h²/(6 s²)) times
    smaller, and noise of each channel as √6/h² times as large. The current is assumed not to vary
    across the plane of the layer.

    The density stored in the files is made from a potential interpolated to 384 positions.

    References
    ----------
    Nicholson & Freeman (1975), J. Neurophysiol. 38, 356, doi:10.1152/jn.1975.38.2.356. Mitzdorf
    (1985), Physiol. Rev. 65, 37, doi:10.1152/physrev.1985.65.1.37. Vaknin, DiScenna & Teyler
    (1988), J. Neurosci. Methods 24, 131, doi:10.1016/0165-0270(88)90056-8, for repeating edges.

    Examples
    --------
    >>> import xarray as xr
    >>> depths = np.arange(5) * 40.0  # µm
    >>> lfp = xr.DataArray((depths * 1e-6) ** 2, {"channel": range(5)})
    >>> csd = compute_csd(lfp, depths)
    >>> csd.values, csd.attrs["units"]
    (array([nan, -2., -2., -2., nan]), 'V/m^2')
    """
    if edges not in METHODS:
        raise InvalidArgumentError(f"edges={edges!r}; {describe_choices(edges, METHODS)}")
    if not (np.isfinite(sigma_um) and sigma_um >= 0):
        raise InvalidArgumentError(f"sigma_um is {sigma_um}; give a width [µm], or 0 for none")
    if conductivity is not None and not (np.isfinite(conductivity) and conductivity > 0):
        raise InvalidArgumentError(f"conductivity is {conductivity}; give it in S/m, such as 0.3")
    check_volts(lfp)
    positions = _find_positions(lfp, depths, dim)
    moved = lfp.transpose(..., dim)
    values = moved.to_numpy().astype(np.float64)
    if np.isinf(values).any():
        raise InvalidArgumentError(
            f"the potential is infinite in {int(np.isinf(values).sum())} of {values.size} places; "
            "put NaN where it is not known: lfp.where(np.isfinite(lfp))"
        )
    is_known = np.asarray(np.isfinite(values.reshape(-1, len(positions))).any(axis=0))
    depths, operator = _make_operator(positions, is_known, sigma_um, edges)
    # channels that are never known have no weight, and 0 times NaN would be NaN
    density = values[..., is_known] @ operator.T * (1.0 if conductivity is None else conductivity)
    others = moved.dims[:-1]
    result = xr.DataArray(
        density,
        dims=(*others, "virtual_channel_index"),
        coords={
            **{name: part for name, part in lfp.coords.items() if dim not in part.dims},
            "virtual_channel_index": np.arange(len(depths)),
            "vertical_position": ("virtual_channel_index", depths),
        },
        name="CSD",
    )
    result.attrs = {
        "units": "V/m^2" if conductivity is None else "A/m^3",
        "sign": "sinks are negative",
        "spacing_um": float(depths[1] - depths[0]),
        "sigma_um": float(sigma_um),
        "edges": edges,
        "n_interpolated": int((~is_known).sum()),
    }
    return result


def _find_positions(
    lfp: xr.DataArray, given: pd.Series | npt.ArrayLike | None, dim: str
) -> npt.NDArray[np.float64]:
    if dim not in lfp.dims:
        raise InvalidArgumentError(
            f"this array has the dimensions {tuple(lfp.dims)} and none of channels; "
            f"{describe_choices(dim, [str(name) for name in lfp.dims])}"
        )
    if given is None:
        names = [name for name in POSITIONS if name in lfp.coords]
        if not names:
            raise InvalidArgumentError(
                "the depths of the channels are not known: give depths [µm], "
                "session.channels['probe_vertical_position']"
            )
        given = lfp[names[0]].to_numpy()
    if isinstance(given, pd.Series) and dim in lfp.indexes:
        given = look_up(lfp.indexes[dim], given, name="depths")
    positions = np.asarray(given, dtype=np.float64)
    if positions.shape != (lfp.sizes[dim],) or not np.isfinite(positions).all():
        raise InvalidArgumentError(
            f"{lfp.sizes[dim]} channels need as many finite positions [µm]; there are positions "
            f"of the shape {positions.shape}, {int((~np.isfinite(positions)).sum())} not finite"
        )
    return positions


def _make_operator(
    positions: npt.NDArray[np.float64],
    is_known: npt.NDArray[np.bool_],
    sigma_um: float,
    edges: Edges,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the depths [µm] and the matrix (depths × known channels) from potential to density."""
    from scipy.interpolate import CubicSpline

    every = np.unique(positions)
    known, place, n_same = np.unique(positions[is_known], return_inverse=True, return_counts=True)
    if len(known) < 3:
        raise InvalidArgumentError(
            f"a second derivative needs potentials at three depths or more; {len(known)} of the "
            f"{len(every)} depths here have any"
        )
    averages = np.zeros((len(known), int(is_known.sum())))
    averages[place, np.arange(averages.shape[1])] = 1 / n_same[place]
    step = float(np.median(np.diff(every)))
    # beyond the outermost known channels a spline would be a guess
    n_steps = max(round((known[-1] - known[0]) / step), 2)
    depths = np.linspace(known[0], known[-1], n_steps + 1)
    spline = CubicSpline(known, np.eye(len(known)))
    operator = spline(depths) @ averages
    if sigma_um:
        apart = (depths[:, None] - depths) / sigma_um
        weights = np.exp(-0.5 * apart**2)
        operator = weights / weights.sum(axis=1, keepdims=True) @ operator
    spacing = (depths[1] - depths[0]) * UM
    padded = np.pad(operator, ((1, 1), (0, 0)), mode="edge")
    # the sum of the two steps away: exactly zero for a potential that does not change
    density = (padded[1:-1] - padded[2:] + (padded[1:-1] - padded[:-2])) / spacing**2
    if edges == "nan":
        density[[0, -1]] = np.nan
    return depths, density
