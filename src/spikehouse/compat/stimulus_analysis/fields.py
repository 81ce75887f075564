"""AllenSDK's functions of receptive fields, with its arguments, for one map at a time.

Row 0 of a map is the top of the screen. The formulas are in `spikehouse.analysis`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spikehouse.analysis import rf_shapes as _shapes

invert_rf = _shapes.invert_rf
Moments = tuple[float, float, float, float, float]

DEGREES_PER_PIXEL = 10.0
# of the first column and of the lowest of nine rows, from the animal's centre of gaze
AZIMUTH_OFFSET_DEGREES, ELEVATION_OFFSET_DEGREES = 10.0, -30.0
N_ROWS = 9


def gaussian_moments_2d(data: npt.ArrayLike) -> Moments | None:
    """Compute peak, centre (y, x) and width (y, x) of a map in pixels; None without spikes."""
    # as in AllenSDK the width along y is that of the row, and the one along x that of the column
    found = _shapes.gaussian_moments_2d(data, definition="published")
    if not np.isfinite(found.center_y):
        return None
    height, y, x, width_y, width_x = (float(value) for value in found)
    return height, y, x, width_y, width_x


def fit_2d_gaussian(matrix: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], bool]:
    """Fit a Gaussian to a map; returns peak, centre (y, x), width (y, x) and convergence."""
    fit = _shapes.fit_2d_gaussian(matrix, definition="published")
    parameters = np.array([fit.peak_height, fit.center_y, fit.center_x, fit.width_y, fit.width_x])
    return parameters, bool(fit.is_fitted)


def is_rf_inverted(rf_thresh: npt.ArrayLike) -> bool:
    """Check whether a mask covers more than half of the edge of its map: the unit is suppressed."""
    return bool(_shapes.is_rf_inverted(rf_thresh))


def threshold_rf(
    rf: npt.ArrayLike, threshold: float
) -> tuple[npt.NDArray[np.int32], float, float, float]:
    """Find the region around the peak of the smoothed map; returns mask, centre (x, y), area."""
    # ``threshold`` is in standard deviations below the peak. Integer maps are smoothed in integers,
    # as AllenSDK does.
    found = _shapes.threshold_rf(rf, threshold, definition="published")
    mask = found.mask.astype(np.int32)
    return mask, float(found.center_x), float(found.center_y), float(found.area)


def rf_on_screen(rf: npt.ArrayLike, center_y: float, center_x: float) -> bool:
    """Check whether a centre [pixels] is on the screen; False for NaN."""
    return bool(_shapes.rf_on_screen(np.shape(rf), center_y, center_x))


def convert_elevation_to_degrees(
    elevation_in_pixels: npt.ArrayLike, elevation_offset_degrees: float = ELEVATION_OFFSET_DEGREES
) -> Any:  # noqa: ANN401 - a number for a number, else an array
    """Convert a row of the 9 × 9 map (0 at the top) to an elevation [degrees]."""
    from_below = (N_ROWS - 1) - np.asarray(elevation_in_pixels, dtype=np.float64)
    return (from_below * DEGREES_PER_PIXEL + elevation_offset_degrees)[()]


def convert_azimuth_to_degrees(
    azimuth_in_pixels: npt.ArrayLike, azimuth_offset_degrees: float = AZIMUTH_OFFSET_DEGREES
) -> Any:  # noqa: ANN401
    """Convert a column of the 9 × 9 map (0 on the left) to an azimuth [degrees]."""
    pixels = np.asarray(azimuth_in_pixels, dtype=np.float64)
    return (pixels * DEGREES_PER_PIXEL + azimuth_offset_degrees)[()]


def convert_pixels_to_degrees(
    value_in_pixels: npt.ArrayLike, degrees_to_pixels_ratio: float = DEGREES_PER_PIXEL
) -> Any:  # noqa: ANN401
    """Convert a distance in pixels to degrees."""
    return (np.asarray(value_in_pixels, dtype=np.float64) * degrees_to_pixels_ratio)[()]


def convert_pixel_area_to_degrees(area_in_pixels: npt.ArrayLike) -> Any:  # noqa: ANN401
    """Convert an area in pixels to degrees², 100 for a pixel."""
    return (np.asarray(area_in_pixels, dtype=np.float64) * DEGREES_PER_PIXEL**2)[()]
