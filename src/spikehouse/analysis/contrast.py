"""The contrast that halves a unit's response."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spikehouse.analysis.definitions import Definition
from spikehouse.errors import InvalidArgumentError, guard_public
from spikehouse.labelled import align, rows_first

__all__ = ["c50", "contrast_curve", "fit_contrast_curves"]

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
    """Compute hyperbolic-ratio curves of contrast.

    ``r(x) = c + (d − c) / (1 + (x / e)ᵇ)``

    Parameters
    ----------
    contrasts
        x, not negative, shape (n_contrasts,).
    parameters
        b, c, d, e in the last axis, shape (…, 4): steepness, the responses at infinite and at no
        contrast (if b > 0), and the contrast half-way between them.

    Returns
    -------
    ndarray, shape (…, n_contrasts)
        Responses; NaN where e is negative.

    References
    ----------
    Albrecht & Hamilton 1982, doi:10.1152/jn.1982.48.1.217.
    """
    given = np.asarray(parameters, np.float64)
    steepness, last, first, middle = (given[..., j, None] for j in range(N_PARAMETERS))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        apart = np.log(np.asarray(contrasts, np.float64)) - np.log(middle)
        return np.asarray(last + (first - last) / (1 + np.exp(steepness * apart)), np.float64)


def fit_contrast_curves(
    contrasts: npt.ArrayLike, responses: npt.ArrayLike, *, max_evaluations: int = MAX_EVALUATIONS
) -> Floats:
    """Fit a hyperbolic-ratio curve to every unit's responses, by least squares.

    Parameters
    ----------
    contrasts
        Not negative, shape (n_contrasts,).
    responses
        Mean responses, shape (n_contrasts, n_units).
    max_evaluations
        How often a unit's curve may be computed before its fit is given up.

    Returns
    -------
    ndarray, shape (n_units, 4)
        The parameters of `contrast_curve`; NaN where the fit did not converge, where a response
        is NaN or all are equal, and everywhere if there are fewer than four contrasts.

    Raises
    ------
    InvalidArgumentError
        If contrasts and responses differ in length, or a contrast is negative or NaN.

    Notes
    -----
    Levenberg–Marquardt (MINPACK) from (1, 1, 1, 1): 0.1 ms a unit, 0.2 s for one that does not
    converge.
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
    """Find the contrast at which the fitted response is half-way between its extremes.

    Parameters
    ----------
    contrasts
        Not negative, shape (n_contrasts,); 0 to 1.
    responses
        Mean responses, shape (n_contrasts, n_units).
    definition
        ``"published"`` gives the lowest contrast for a flat curve, and a little more than a third
        for a unit without spikes.

    Returns
    -------
    ndarray, shape (n_units,)
        A contrast; responses above the middle lie on its one side, those below on the other.
        NaN where `fit_contrast_curves` gives none, or the fitted curve is flat.

    Raises
    ------
    InvalidArgumentError
        If contrasts and responses differ in length, or a contrast is negative or NaN.

    Notes
    -----
    The extremes are those of the curve over 256 even steps from 0.9 times the lowest to 1.1 times
    the highest contrast, and the answer is one of these steps, as in AllenSDK: it is no finer
    than 0.5 % of that range, and above the highest contrast for responses that go on rising.

    AllenSDK's number is that of the published definition, but a few steps off in 5 to 10 of 100
    units, those whose curve jumps between two contrasts: where exactly is not determined, and fits
    end there by the last digit of an exponential, which differs between processors, too. It also
    differs where the response falls in a single jump (AllenSDK: any step before it), by a step for
    units without spikes, and in the rare fits that end near the limit of evaluations. With fewer
    than four contrasts AllenSDK raises an error.

    References
    ----------
    Albrecht & Hamilton 1982, doi:10.1152/jn.1982.48.1.217.
    """
    parameters = fit_contrast_curves(contrasts, responses)
    shown, values = np.asarray(contrasts, np.float64), np.asarray(responses, np.float64)
    if not shown.size:
        return np.full(len(parameters), np.nan)
    if definition == "published" and len(shown) >= N_PARAMETERS:
        # AllenSDK's search leaves silence at the shape it starts from, other equal responses flat
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


guard_public(globals())
