"""Moments of receptive-field maps, and Gaussians fitted to them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spikehouse.analysis.checks import Definition
from spikehouse.analysis.rf_shapes import stack_maps
from spikehouse.errors import guard_public

__all__ = ["GaussianFit", "GaussianMoments", "fit_2d_gaussian", "gaussian_moments_2d"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

# Full width at half height of a Gaussian, in standard deviations.
HALF_HEIGHT_WIDTH = np.sqrt(8 * np.log(2))


class GaussianMoments(NamedTuple):
    """Peak height, centre of mass and widths of maps, in pixels; NaN for a map without spikes."""

    peak_height: Floats
    center_y: Floats
    center_x: Floats
    width_y: Floats
    width_x: Floats


class GaussianFit(NamedTuple):
    """Gaussians fitted to maps, in pixels.

    ``is_fitted`` tells whether the fit converged and, with a baseline, whether the map determines
    the Gaussian; elsewhere the numbers are those of the last step.
    """

    peak_height: Floats
    center_y: Floats
    center_x: Floats
    width_y: Floats
    width_x: Floats
    baseline: Floats
    is_fitted: Bools


def gaussian_moments_2d(
    data: npt.ArrayLike, *, definition: Definition = "corrected"
) -> GaussianMoments:
    """Compute the centre of mass and the widths of maps (…, n_rows, n_columns).

    Centre: ȳ = Σ y·r(y, x) / Σ r; width: √(Σ (y − ȳ)² r(y, ⌊x̄⌋) / Σ r(y, ⌊x̄⌋)), and the same
    along x. ``definition="published"`` takes the width along y from the row and that along x from
    the column.
    """
    values, shape = stack_maps(data)
    n_rows, n_columns = shape[-2:]
    y, x = np.indices((n_rows, n_columns))
    every = np.arange(len(values))
    with np.errstate(all="ignore"):
        total = values.sum(axis=(1, 2))
        center_y = (y * values).sum(axis=(1, 2)) / total
        center_x = (x * values).sum(axis=(1, 2)) / total
        is_known = np.isfinite(center_y) & np.isfinite(center_x)
        at_y = np.clip(np.where(is_known, center_y, 0), 0, n_rows - 1).astype(np.intp)
        at_x = np.clip(np.where(is_known, center_x, 0), 0, n_columns - 1).astype(np.intp)
        column, row = values[every, :, at_x], values[every, at_y, :]
        along_y, along_x = (row, column) if definition == "published" else (column, row)
        widths = [
            np.sqrt(
                np.abs((np.arange(line.shape[1]) - center[:, None]) ** 2 * line).sum(axis=1)
                / line.sum(axis=1)
            )
            for line, center in ((along_y, center_y), (along_x, center_x))
        ]
    found = [center_y, center_x, *widths]
    columns = [np.where(is_known, a, np.nan).reshape(shape[:-2]) for a in found]
    return GaussianMoments(values.max(axis=(1, 2)).reshape(shape[:-2]), *columns)


def fit_2d_gaussian(matrix: npt.ArrayLike, *, definition: Definition = "corrected") -> GaussianFit:
    """Fit a Gaussian with axes along rows and columns to maps (…, n_rows, n_columns).

    Least squares of h·exp(−((y − y₀)/w_y)²/2 − ((x − x₀)/w_x)²/2) + b over the known pixels, by
    MINPACK's Levenberg–Marquardt method (Moré 1978, doi:10.1007/BFb0067700) from
    `gaussian_moments_2d`; about 1 ms per map. NaN for maps without spikes or with fewer known
    pixels than parameters.

    ``is_fitted`` requires a centre on the map and, along both axes, a full width at half height of
    at least the distance of two pixels and at most the extent of the map: fits to noise end in a
    constant or in a single pixel. ``definition="published"`` has no baseline b, so that its widths
    grow with the rate far from the field (62° instead of 12° for a field three times as strong as
    its surround).
    """
    values, shape = stack_maps(matrix)
    has_baseline = definition == "corrected"
    n_parameters = 6 if has_baseline else 5
    found = np.full((len(values), 6), np.nan)
    is_fitted = np.zeros(len(values), bool)
    is_known = np.isfinite(values)
    starts = _start_values(np.where(is_known, values, 0.0), definition)
    y, x = np.indices(shape[-2:]).astype(np.float64)
    # the search tries widths for which the exponential overflows
    with np.errstate(all="ignore"):
        for unit, (known, start) in enumerate(zip(is_known, starts, strict=True)):
            if known.sum() >= n_parameters and np.isfinite(start[:3]).all():
                found[unit, :n_parameters], is_fitted[unit] = _fit_one(
                    values[unit][known], y[known], x[known], start[:n_parameters]
                )
    if has_baseline:
        found[:, 3:5] = np.abs(found[:, 3:5])
    else:
        found[:, 5] = 0.0
    height, y_0, x_0, width_y, width_x, base = (a.reshape(shape[:-2]) for a in found.T)
    is_done = is_fitted.reshape(shape[:-2])
    if has_baseline:
        is_done &= _is_resolved(y_0, width_y, shape[-2]) & _is_resolved(x_0, width_x, shape[-1])
    return GaussianFit(height, y_0, x_0, width_y, width_x, base, is_done)


def _is_resolved(center: Floats, width: Floats, n_pixels: int) -> Bools:
    """Return whether so many pixels in a row can determine each Gaussian."""
    full = HALF_HEIGHT_WIDTH * width
    on_map = (center >= -0.5) & (center <= n_pixels - 0.5)
    return np.asarray(on_map & (full >= 1) & (full <= n_pixels))


def _start_values(values: Floats, definition: Definition) -> Floats:
    """Return the six parameters that each fit starts from, (n_maps, 6)."""
    baseline, above = np.zeros(len(values)), values
    if definition == "corrected" and len(values):
        baseline = np.median(values, axis=(1, 2))
        above = np.clip(values - baseline[:, None, None], 0, None)
    moments = gaussian_moments_2d(above, definition=definition)
    return np.stack([*moments, baseline], axis=1)


def _fit_one(values: Floats, y: Floats, x: Floats, start: Floats) -> tuple[Floats, bool]:
    from scipy import optimize

    from spikehouse.analysis._kernels import gaussian_residuals

    # with full_output a fit that does not converge is told by its status, not by a warning
    parameters, *_, status = optimize.leastsq(
        gaussian_residuals, start, args=(y, x, values), full_output=True
    )
    return parameters, status < 5 and bool(np.isfinite(parameters).all())


guard_public(globals())
