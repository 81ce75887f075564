"""The shape of receptive fields: position, size, and whether they are on the screen.

A map has rows from the top of the screen down and columns from left to right; its pixel (0, 0) is
the upper left one, as ``matplotlib.pyplot.imshow`` shows it. Every function takes one map, shape
(n_rows, n_columns), or the maps of many units, shape (..., n_rows, n_columns).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spikehouse.analysis.checks import Definition, divide
from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import align

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

N_DECIMALS = 4
# Full width at half height of a Gaussian, in standard deviations.
HALF_HEIGHT_WIDTH = np.sqrt(8 * np.log(2))


class ThresholdedMap(NamedTuple):
    """The largest part of maps: mask, centre of mass and area, in pixels."""

    mask: Bools
    center_x: Floats
    center_y: Floats
    area: Floats


def smooth_maps(
    maps: npt.ArrayLike, *, sigma: float = 1.0, definition: Definition = "corrected"
) -> Floats:
    """Smooth maps with a Gaussian of ``sigma`` pixels, reflected at their edges.

    Unknown pixels (NaN) are left out, and take the average of those around them. With
    ``definition="published"`` maps of whole numbers are smoothed in whole numbers: decimals are cut
    off after the columns and again after the rows, which gives 0 for a unit that fires less than
    once a pixel; a map with an unknown pixel is unknown everywhere.
    """
    from scipy import ndimage

    values, shape = stack_maps(maps)
    sigmas = (0.0, sigma, sigma)
    is_known = np.isfinite(values)
    if definition == "published":
        if np.asarray(maps).dtype.kind in "iu":
            whole: npt.NDArray[np.int64] = ndimage.gaussian_filter(values.astype(np.int64), sigmas)
            return whole.reshape(shape).astype(np.float64)
        values = np.where(is_known.all(axis=(1, 2), keepdims=True), values, np.nan)
        is_known = np.ones_like(is_known)
    if is_known.all():
        known: Floats = ndimage.gaussian_filter(values, sigmas)
        return known.reshape(shape)
    smooth = ndimage.gaussian_filter(np.where(is_known, values, 0.0), sigmas)
    share = ndimage.gaussian_filter(is_known.astype(np.float64), sigmas)
    return np.where(share > 0, divide(smooth, share), np.nan).reshape(shape)


def threshold_rf(
    rf: npt.ArrayLike, threshold: float = 0.5, *, definition: Definition = "corrected"
) -> ThresholdedMap:
    """Find the connected part of smoothed maps that holds the peak.

    The mask is where G₁ * r > max(G₁ * r) − ``threshold`` · sd(G₁ * r), with r the map and G₁ a
    Gaussian of 1 pixel (`smooth_maps`); of its parts, connected along rows and columns, the one
    with the highest peak. Area 0 and centre NaN for a map that is the same everywhere. Centres are
    rounded to 4 decimals. Siegle et al. 2021, doi:10.1038/s41586-020-03171-x.
    """
    from scipy import ndimage

    smooth, shape = stack_maps(smooth_maps(rf, definition=definition))
    values, _ = stack_maps(rf)
    flat = np.where(np.isfinite(values), smooth, np.nan).reshape(len(smooth), shape[-2] * shape[-1])
    peak, spread = _peak_and_spread(flat)
    is_above = (flat > (peak - spread * threshold)[:, None]).reshape(smooth.shape)
    # pixels of neighbouring maps are not neighbours
    cross = np.zeros((3, 3, 3), bool)
    cross[1] = ndimage.generate_binary_structure(2, 1)
    labels, n_labels = ndimage.label(is_above, structure=cross)
    by_unit = labels.reshape(len(smooth), shape[-2] * shape[-1])
    is_peak = is_above.reshape(by_unit.shape) & (flat == peak[:, None])
    best = np.where(is_peak, by_unit, n_labels + 1).min(axis=1, initial=n_labels + 1)
    mask = by_unit == best[:, None]
    mask = mask.reshape(smooth.shape)
    area = mask.sum(axis=(1, 2)).astype(np.float64)
    y, x = np.indices(smooth.shape[1:])
    center_y = np.around(divide((mask * y).sum(axis=(1, 2)), area), N_DECIMALS)
    center_x = np.around(divide((mask * x).sum(axis=(1, 2)), area), N_DECIMALS)
    lead = shape[:-2]
    return ThresholdedMap(
        mask.reshape(shape), center_x.reshape(lead), center_y.reshape(lead), area.reshape(lead)
    )


def _peak_and_spread(flat: Floats) -> tuple[Floats, Floats]:
    """Return the largest value and the standard deviation of every row, without unknown pixels."""
    is_known = np.isfinite(flat)
    if is_known.all():
        return flat.max(axis=1), flat.std(axis=1)
    n_known = is_known.sum(axis=1)
    peak = np.where(is_known, flat, -np.inf).max(axis=1, initial=-np.inf)
    mean = divide(np.where(is_known, flat, 0.0).sum(axis=1), n_known)
    apart = np.where(is_known, flat - mean[:, None], 0.0)
    return peak, np.sqrt(divide((apart**2).sum(axis=1), n_known))


def is_rf_inverted(rf_thresh: npt.ArrayLike) -> Bools:
    """Return whether masks cover over half of the edge of their map: a suppressed unit."""
    masks, shape = stack_maps(rf_thresh)
    is_edge = np.ones(shape[-2:], bool)
    is_edge[1:-1, 1:-1] = False
    n_on_edge = masks[:, is_edge].sum(axis=1)
    inverted: Bools = n_on_edge > is_edge.sum() / 2
    return inverted.reshape(shape[:-2])


def invert_rf(rf: npt.ArrayLike) -> Floats:
    """Subtract maps from their largest value, so that suppression becomes the peak."""
    values, shape = stack_maps(rf)
    largest = np.where(np.isfinite(values), values, -np.inf).max(axis=(1, 2), keepdims=True)
    inverted: Floats = largest - values
    return inverted.reshape(shape)


def rf_on_screen(
    rf_shape: tuple[int, ...], center_y: npt.ArrayLike, center_x: npt.ArrayLike
) -> Bools:
    """Return whether centres [pixels] lie on the screen: 0 < y < n_rows and 0 < x < n_columns.

    Pixel 0 is the middle of the first position: a centre in the outer half of the first row or
    column counts as off the screen, one up to half a position beyond the last as on it, as
    published.
    """
    y, x = map(np.asarray, align(center_y=center_y, center_x=center_x))
    inside: Bools = (y > 0) & (y < rf_shape[-2]) & (x > 0) & (x < rf_shape[-1])
    return inside


def stack_maps(maps: npt.ArrayLike) -> tuple[Floats, tuple[int, ...]]:
    """Return maps as (n_maps, n_rows, n_columns), and the shape that they had."""
    values = np.asarray(maps, dtype=np.float64)
    if values.ndim < 2 or 0 in values.shape[-2:]:
        raise InvalidArgumentError(
            f"a map of shape {values.shape} has no rows or columns; "
            "give the shape (..., n_rows, n_columns)"
        )
    return values.reshape(-1, *values.shape[-2:]), values.shape


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
