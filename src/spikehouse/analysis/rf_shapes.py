"""The shape of receptive fields: where, how large, and whether on the screen. Maps in, numbers out.

A map has rows from the top of the screen down and columns from left to right; its pixel (0, 0) is
the upper left one, as ``matplotlib.pyplot.imshow`` shows it. Every function takes one map, shape
(n_rows, n_columns), or the maps of many units, shape (..., n_rows, n_columns).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spikehouse.analysis.definitions import Definition
from spikehouse.errors import InvalidArgumentError, guard_public
from spikehouse.labelled import align

__all__ = [
    "AZIMUTH_OFFSET_DEGREES",
    "DEGREES_PER_PIXEL",
    "ELEVATION_OFFSET_DEGREES",
    "ThresholdedMap",
    "convert_azimuth_to_degrees",
    "convert_elevation_to_degrees",
    "convert_pixel_area_to_degrees",
    "convert_pixels_to_degrees",
    "invert_rf",
    "is_rf_inverted",
    "rf_on_screen",
    "smooth_maps",
    "stack_maps",
    "threshold_rf",
]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

DEGREES_PER_PIXEL = 10.0
# of the first column and of the lowest of nine rows, from the animal's centre of gaze
AZIMUTH_OFFSET_DEGREES, ELEVATION_OFFSET_DEGREES = 10.0, -30.0
N_ROWS = 9
N_DECIMALS = 4


class ThresholdedMap(NamedTuple):
    """The largest part of maps, in pixels.

    Attributes
    ----------
    mask
        True in the part, shape (..., n_rows, n_columns).
    center_x, center_y
        Centre of mass of the mask [pixels], shape (...); NaN where the mask is empty.
    area
        Pixels of the mask, shape (...).
    """

    mask: Bools
    center_x: Floats
    center_y: Floats
    area: Floats


def smooth_maps(
    maps: npt.ArrayLike, *, sigma: float = 1.0, definition: Definition = "corrected"
) -> Floats:
    """Smooth maps with a Gaussian.

    Parameters
    ----------
    maps
        Shape (..., n_rows, n_columns); NaN where nothing is known.
    sigma
        Standard deviation [pixels].
    definition
        ``"published"`` smooths maps of an integer type in whole numbers: decimals are cut off
        after smoothing the columns and again after the rows, which gives 0 for a unit that fires
        less than once a pixel. Maps with an unknown pixel are unknown everywhere.

    Returns
    -------
    ndarray, shape (..., n_rows, n_columns)
        The unit is that of the maps. Unknown pixels are left out of the average and come out
        as the average of those around them; NaN where the whole map is unknown.

    Raises
    ------
    InvalidArgumentError
        If a map has no rows or columns.

    Notes
    -----
    Maps are reflected at their edges.
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
    with np.errstate(invalid="ignore", divide="ignore"):
        average: Floats = np.where(share > 0, smooth / share, np.nan)
    return average.reshape(shape)


def threshold_rf(
    rf: npt.ArrayLike, threshold: float = 0.5, *, definition: Definition = "corrected"
) -> ThresholdedMap:
    """Find the connected part of smoothed maps that holds the peak.

    Parameters
    ----------
    rf
        Maps, shape (..., n_rows, n_columns); NaN where nothing is known.
    threshold
        How far below the peak the part reaches, in standard deviations of the smoothed map.
    definition
        Of the smoothed map; see `smooth_maps`.

    Returns
    -------
    ThresholdedMap
        Empty, with area 0 and centre NaN, for a map that is the same everywhere.

    Notes
    -----
    The mask is where G₁ * r > max(G₁ * r) − threshold · sd(G₁ * r), G₁ a Gaussian of 1 pixel and r
    the map; of its parts, connected along rows and columns, the one with the highest peak, the
    first from the top left if several are equal [1]_. Centres are rounded to 4 decimals.

    References
    ----------
    .. [1] Siegle, J. H. et al. (2021). Survey of spiking in the mouse visual system reveals
       functional hierarchy. Nature 592, 86–92. https://doi.org/10.1038/s41586-020-03171-x
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
    with np.errstate(invalid="ignore", divide="ignore"):
        center_y = np.around((mask * y).sum(axis=(1, 2)) / area, N_DECIMALS)
        center_x = np.around((mask * x).sum(axis=(1, 2)) / area, N_DECIMALS)
    lead = shape[:-2]
    return ThresholdedMap(
        mask.reshape(shape), center_x.reshape(lead), center_y.reshape(lead), area.reshape(lead)
    )


def _peak_and_spread(flat: Floats) -> tuple[Floats, Floats]:
    """Give the largest value and the standard deviation of every row, unknown ones left out."""
    is_known = np.isfinite(flat)
    if is_known.all():
        return flat.max(axis=1), flat.std(axis=1)
    n_known = is_known.sum(axis=1)
    peak = np.where(is_known, flat, -np.inf).max(axis=1, initial=-np.inf)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(is_known, flat, 0.0).sum(axis=1) / n_known
        apart = np.where(is_known, flat - mean[:, None], 0.0)
        return peak, np.sqrt((apart**2).sum(axis=1) / n_known)


def is_rf_inverted(rf_thresh: npt.ArrayLike) -> Bools:
    """Say whether a mask covers more than half of the edge of its map.

    Parameters
    ----------
    rf_thresh
        Masks, shape (..., n_rows, n_columns), such as ``threshold_rf(maps).mask``.

    Returns
    -------
    ndarray of bool, shape (...)
        True where the surround answers rather than a centre: the stimulus suppresses the unit.

    Raises
    ------
    InvalidArgumentError
        If a mask has no rows or columns.

    Notes
    -----
    AllenSDK's answer is the same.
    """
    masks, shape = stack_maps(rf_thresh)
    is_edge = np.ones(shape[-2:], bool)
    is_edge[1:-1, 1:-1] = False
    n_on_edge = masks[:, is_edge].sum(axis=1)
    inverted: Bools = n_on_edge > is_edge.sum() / 2
    return inverted.reshape(shape[:-2])


def invert_rf(rf: npt.ArrayLike) -> Floats:
    """Turn maps upside down: what suppresses becomes the peak.

    Parameters
    ----------
    rf
        Maps, shape (..., n_rows, n_columns); NaN where nothing is known.

    Returns
    -------
    ndarray, shape (..., n_rows, n_columns)
        Largest value of the map minus the map.

    Raises
    ------
    InvalidArgumentError
        If a map has no rows or columns.

    Notes
    -----
    AllenSDK's numbers are the same where all pixels are known.
    """
    values, shape = stack_maps(rf)
    largest = np.where(np.isfinite(values), values, -np.inf).max(axis=(1, 2), keepdims=True)
    inverted: Floats = largest - values
    return inverted.reshape(shape)


def rf_on_screen(
    rf_shape: tuple[int, ...], center_y: npt.ArrayLike, center_x: npt.ArrayLike
) -> Bools:
    """Say whether centres lie on the screen.

    Parameters
    ----------
    rf_shape
        Shape of the maps; the last two are rows and columns.
    center_y, center_x
        In pixels, shape (...).

    Returns
    -------
    ndarray of bool, shape (...)
        0 < center_y < n_rows and 0 < center_x < n_columns; False for NaN.

    Notes
    -----
    AllenSDK's answer is the same. Pixel 0 is the *middle* of the first position, so that a centre
    within the outer half of the first row or column is off the screen, and one up to half a
    position beyond the last is on it.
    """
    y, x = map(np.asarray, align(center_y=center_y, center_x=center_x))
    inside: Bools = (y > 0) & (y < rf_shape[-2]) & (x > 0) & (x < rf_shape[-1])
    return inside


def convert_pixels_to_degrees(
    value_in_pixels: npt.ArrayLike, degrees_to_pixels_ratio: float = DEGREES_PER_PIXEL
) -> Floats:
    """Turn a distance in pixels into degrees.

    Parameters
    ----------
    value_in_pixels
        Any shape.
    degrees_to_pixels_ratio
        Between the middles of neighbouring pixels [degrees].

    Returns
    -------
    ndarray
        [degrees].
    """
    return np.asarray(np.asarray(value_in_pixels, dtype=np.float64) * degrees_to_pixels_ratio)


def convert_azimuth_to_degrees(
    azimuth_in_pixels: npt.ArrayLike, azimuth_offset_degrees: float = AZIMUTH_OFFSET_DEGREES
) -> Floats:
    """Turn a column of the 9 × 9 map into an azimuth.

    Parameters
    ----------
    azimuth_in_pixels
        Any shape.
    azimuth_offset_degrees
        Of the first column.

    Returns
    -------
    ndarray
        [degrees] from the centre of gaze; the middle of the screen is at 50.
    """
    return convert_pixels_to_degrees(azimuth_in_pixels) + azimuth_offset_degrees


def convert_elevation_to_degrees(
    elevation_in_pixels: npt.ArrayLike, elevation_offset_degrees: float = ELEVATION_OFFSET_DEGREES
) -> Floats:
    """Turn a row of the 9 × 9 map into an elevation.

    Parameters
    ----------
    elevation_in_pixels
        Any shape; row 0 is the highest.
    elevation_offset_degrees
        Of the lowest row.

    Returns
    -------
    ndarray
        [degrees] from the centre of gaze; the middle of the screen is at 10.
    """
    from_below = (N_ROWS - 1) - np.asarray(elevation_in_pixels, dtype=np.float64)
    return convert_pixels_to_degrees(from_below) + elevation_offset_degrees


def convert_pixel_area_to_degrees(area_in_pixels: npt.ArrayLike) -> Floats:
    """Turn an area in pixels into square degrees.

    Parameters
    ----------
    area_in_pixels
        Any shape.

    Returns
    -------
    ndarray
        [degrees²], 100 a pixel.
    """
    return np.asarray(np.asarray(area_in_pixels, dtype=np.float64) * DEGREES_PER_PIXEL**2)


def stack_maps(maps: npt.ArrayLike) -> tuple[Floats, tuple[int, ...]]:
    """Line maps up along one axis.

    Parameters
    ----------
    maps
        Shape (..., n_rows, n_columns).

    Returns
    -------
    stacked
        Shape (n_maps, n_rows, n_columns).
    shape
        What the maps had.

    Raises
    ------
    InvalidArgumentError
        If a map has no rows or columns.
    """
    values = np.asarray(maps, dtype=np.float64)
    if values.ndim < 2 or 0 in values.shape[-2:]:
        raise InvalidArgumentError(
            f"a map of shape {values.shape} has no rows or columns; "
            "give the shape (..., n_rows, n_columns)"
        )
    return values.reshape(-1, *values.shape[-2:]), values.shape


guard_public(globals())
