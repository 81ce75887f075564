"""The contrast that halves a unit's response."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spikehouse.analysis.checks import Definition
from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import align, rows_first

Floats = npt.NDArray[np.float64]

N_PARAMETERS = 4
CONVERGED = (1, 2, 3, 4)  # MINPACK's status
# The limit behind the published tables; about one noisy unit in ten reaches it without a minimum.
MAX_EVALUATIONS = 100_000
# Where the fitted curve is looked at: as many contrasts, from a tenth below to a tenth above.
N_GRID = 256
GRID_MARGIN = 0.1
# A curve that varies less than this share of its height is flat but for rounding.
FLATNESS = 1e-9


def contrast_curve(contrasts: npt.ArrayLike, parameters: npt.ArrayLike) -> Floats:
    """Compute hyperbolic-ratio curves ``r(x) = c + (d − c) / (1 + (x / e)ᵇ)`` of contrast x.

    ``parameters`` holds b, c, d, e in its last axis, shape (…, 4): steepness, the responses at
    infinite and at no contrast (if b > 0), and the contrast half-way between them. The result has
    the shape (…, n_contrasts); NaN where e is negative. Albrecht & Hamilton 1982,
    doi:10.1152/jn.1982.48.1.217.
    """
    given = np.asarray(parameters, np.float64)
    steepness, last, first, middle = (given[..., j, None] for j in range(N_PARAMETERS))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        apart = np.log(np.asarray(contrasts, np.float64)) - np.log(middle)
        return np.asarray(last + (first - last) / (1 + np.exp(steepness * apart)), np.float64)


def fit_contrast_curves(
    contrasts: npt.ArrayLike, responses: npt.ArrayLike, *, max_evaluations: int = MAX_EVALUATIONS
) -> Floats:
    """Fit a hyperbolic-ratio curve to each column of (n_contrasts, n_units) responses.

    Least squares by MINPACK's Levenberg–Marquardt method (Moré 1978, doi:10.1007/BFb0067700), from
    (1, 1, 1, 1). Returns the parameters of `contrast_curve`, shape (n_units, 4). NaN where the fit
    does not converge within ``max_evaluations``, where a response is NaN or all are equal, and with
    fewer than four contrasts.
    """
    contrasts, responses = align(contrasts=contrasts, responses=rows_first(responses))
    shown, values = np.asarray(contrasts, np.float64), np.asarray(responses, np.float64)
    if shown.ndim != 1 or values.ndim != 2 or len(shown) != len(values):
        raise InvalidArgumentError(
            f"contrasts need one dimension and responses one row for each of them, not shapes "
            f"{shown.shape} and {values.shape}"
        )
    if not (shown >= 0).all():
        raise InvalidArgumentError(
            f"contrasts must be numbers from 0 up, and one is {shown[~(shown >= 0)][0]}; leave "
            "blank sweeps out"
        )
    fitted = np.full((values.shape[1], N_PARAMETERS), np.nan)
    if len(shown) < N_PARAMETERS:
        return fitted
    chosen = np.flatnonzero(np.isfinite(values).all(axis=0) & (np.ptp(values, axis=0) > 0))
    if chosen.size:
        from scipy.optimize import leastsq

        from spikehouse.analysis._kernels import contrast_residuals

        with np.errstate(divide="ignore"):
            log_contrasts = np.log(shown)
        for unit in chosen:
            # with full_output a fit that does not converge has a status, not a warning
            found, *_, status = leastsq(
                contrast_residuals,
                np.ones(N_PARAMETERS),
                args=(log_contrasts, np.ascontiguousarray(values[:, unit])),
                full_output=True,
                maxfev=max_evaluations,
            )
            if status in CONVERGED:
                fitted[unit] = found
    return fitted


def c50(
    contrasts: npt.ArrayLike, responses: npt.ArrayLike, *, definition: Definition = "corrected"
) -> Floats:
    """Find the contrast at which each unit's fitted response is half-way between its extremes.

    The fitted curve (`fit_contrast_curves`) is evaluated on 256 even steps from 0.9 times the
    lowest to 1.1 times the highest contrast, and the result is one of these steps: its resolution
    is 0.5 % of that range. NaN where there is no fit or the curve is flat.
    ``definition="published"`` gives the lowest contrast for a flat curve, and 0.36 for a unit
    without spikes.

    In 5 to 10 of 100 units the published tables have a contrast a few steps away: where a curve
    jumps between two contrasts the position of the jump is not determined, and the fit ends by the
    last digit of an exponential. Albrecht & Hamilton 1982, doi:10.1152/jn.1982.48.1.217.
    """
    parameters = fit_contrast_curves(contrasts, responses)
    shown, values = np.asarray(contrasts, np.float64), np.asarray(responses, np.float64)
    if not shown.size:
        return np.full(len(parameters), np.nan)
    if definition == "published" and len(shown) >= N_PARAMETERS:
        # the published search leaves silence at the curve it starts from, and other equal
        # responses flat
        is_equal = (values == values[0]).all(axis=0)
        parameters[is_equal] = 1, 0, 0, 1
        parameters[is_equal, 2] = values[0, is_equal] == 0
    grid = np.linspace(shown.min() * (1 - GRID_MARGIN), shown.max() * (1 + GRID_MARGIN), N_GRID)
    curves = contrast_curve(grid, parameters)
    lowest, highest = curves.min(axis=1), curves.max(axis=1)
    middle = (highest - lowest) / 2 + lowest
    n_below = (curves < middle[:, None]).sum(axis=1)
    # the curve never turns: it is below the middle first or last
    is_rising = curves[:, -1] > curves[:, 0]
    found = grid[np.where(is_rising, n_below, N_GRID - 1 - n_below) % N_GRID]
    is_steep = highest - lowest > FLATNESS * np.maximum(np.abs(highest), np.abs(lowest))
    if definition == "published":
        is_fitted = np.isfinite(parameters).all(axis=1)
        return np.where(is_steep, found, np.where(is_fitted, grid[0], np.nan))
    return np.where(is_steep, found, np.nan)
