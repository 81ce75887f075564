"""How many of the units called responsive are not: the false discovery rate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spikehouse.errors import InvalidArgumentError, guard_public

__all__ = ["adjust_p_values"]


def adjust_p_values(p_values: npt.ArrayLike, *, axis: int = -1) -> npt.NDArray[np.float64]:
    """Adjust p-values of many tests so that a limit on them limits the false discovery rate.

    Parameters
    ----------
    p_values
        Any shape, in [0, 1]; NaN where there was no test.
    axis
        Along which the tests belong together, usually the units.

    Returns
    -------
    ndarray of float64, same shape
        q(k) = min over j ≥ k of p(j) · m / j, with p sorted and m tests: calling those with
        q ≤ 0.05 discoveries, at most 5 % of them are false on average. NaN stays NaN and does not
        count as a test.

    Raises
    ------
    InvalidArgumentError
        If a value is below 0 or above 1, or there is a single number instead of an array.

    Notes
    -----
    The procedure of Benjamini and Hochberg, for tests that are independent or positively
    dependent. AllenSDK has no such function; its p-values are not adjusted.

    References
    ----------
    Benjamini & Hochberg (1995), J. R. Stat. Soc. B 57, 289,
    doi:10.1111/j.2517-6161.1995.tb02031.x.

    Examples
    --------
    >>> adjust_p_values([0.01, 0.04, float("nan"), 0.03]).round(3).tolist()
    [0.03, 0.04, nan, 0.04]
    """
    given = np.asarray(p_values, dtype=np.float64)
    if not given.ndim:
        raise InvalidArgumentError(
            f"p_values is the single number {given:g}; give those of all tests together, for "
            "instance [0.01, 0.2]"
        )
    is_wrong = (given < 0) | (given > 1)
    if is_wrong.any():
        raise InvalidArgumentError(
            f"{int(is_wrong.sum())} p-values lie outside [0, 1], the first is "
            f"{given[is_wrong].ravel()[0]:g}"
        )
    if not given.size:
        return given.copy()
    moved = np.moveaxis(given, axis, -1)
    order = np.argsort(moved, axis=-1)  # NaN last
    ordered = np.take_along_axis(moved, order, axis=-1)
    n_tests = np.isfinite(moved).sum(axis=-1, keepdims=True)
    scaled = ordered * (n_tests / np.arange(1, moved.shape[-1] + 1))
    # the smallest of all from here on; fmin passes over NaN
    lowest = np.fmin.accumulate(scaled[..., ::-1], axis=-1)[..., ::-1]
    adjusted = np.empty_like(lowest)
    np.put_along_axis(adjusted, order, lowest, axis=-1)
    adjusted[np.isnan(moved)] = np.nan
    return np.moveaxis(adjusted, -1, axis)


guard_public(globals())
