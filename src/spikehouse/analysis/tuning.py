"""How a response depends on one parameter of the stimulus: preferred values, selectivity.

Responses have their conditions (or values) in the first axis and their units in the second, as
``StimulusResponses.condition_means`` has.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spikehouse.analysis._ranges import check_not_negative
from spikehouse.analysis.definitions import Definition
from spikehouse.errors import InvalidArgumentError, guard_public
from spikehouse.labelled import align, rows_first

__all__ = [
    "direction_selectivity",
    "has_ties",
    "mean_by_value",
    "orientation_selectivity",
    "preferred_position",
    "preferred_value",
    "resultant_length",
]

Floats = npt.NDArray[np.float64]

# Means of equal responses differ by rounding, about 1e-15; those of different ones, which are
# fractions of spike counts, by more than one over the number of presentations.
TIE_TOLERANCE = 1e-9
# Angles closer to balance than this sum to nothing but rounding.
BALANCE_TOLERANCE = 1e-6


def resultant_length(angles: npt.ArrayLike, responses: npt.ArrayLike, *, harmonic: int) -> Floats:
    """Add responses as vectors that point along the stimulus.

    ``|Σ r(θ) exp(i k θ)| / Σ r(θ)``: one minus the circular variance.

    Parameters
    ----------
    angles
        θ [degrees], shape (n_angles,).
    responses
        r, not negative, shape (n_angles,) or (n_angles, n_units).
    harmonic
        k: 1 for directions, 2 for orientations.

    Returns
    -------
    ndarray, shape () or (n_units,)
        0 (no preference) to 1 (answers one angle only). NaN where there is no response, or one
        is NaN.

    Raises
    ------
    InvalidArgumentError
        If angles and responses differ in length, or a response is negative.

    Notes
    -----
    AllenSDK's ``osi`` (k = 2) and ``dsi`` (k = 1) give the same numbers; they take radians.

    References
    ----------
    Ringach, Shapley & Hawken 2002, doi:10.1523/JNEUROSCI.22-13-05639.2002.
    """
    angles, responses = align(angles=angles, responses=rows_first(responses))
    theta, values = np.asarray(angles, np.float64), np.asarray(responses, np.float64)
    _check_lengths(theta, values, what="angles")
    check_not_negative(values, "responses")
    vectors = np.exp(1j * harmonic * np.deg2rad(theta))
    with np.errstate(invalid="ignore", divide="ignore"):
        lengths = np.abs(np.tensordot(vectors, values, axes=1)) / values.sum(axis=0)
    return np.asarray(lengths, dtype=np.float64)


def orientation_selectivity(
    angles: npt.ArrayLike, responses: npt.ArrayLike, *, definition: Definition = "corrected"
) -> Floats:
    """Compute the global orientation selectivity index (g_osi).

    ``|Σ r(θ) exp(2iθ)| / Σ r(θ)``, one minus the circular variance of orientation.

    Parameters
    ----------
    angles
        θ, orientations or directions [degrees], shape (n_angles,).
    responses
        r, mean responses, shape (n_angles,) or (n_angles, n_units).
    definition
        ``"published"`` gives a number for angles that are not balanced, too.

    Returns
    -------
    ndarray, shape () or (n_units,)
        0 (all orientations alike) to 1 (answers one only). NaN where there is no response, where
        one is NaN (an angle never shown), or for all if the angles are not balanced.

    Raises
    ------
    InvalidArgumentError
        If angles and responses differ in length, or a response is negative.

    Notes
    -----
    Balanced means that equal responses give 0, as they do for angles evenly spaced over 180° or
    360°. For others the published number, that of `resultant_length`, is biased.

    References
    ----------
    Ringach, Shapley & Hawken 2002, doi:10.1523/JNEUROSCI.22-13-05639.2002.

    Examples
    --------
    >>> import numpy as np
    >>> responses = np.array([[1, 4], [1, 0], [1, 0], [1, 0]])
    >>> orientation_selectivity([0, 45, 90, 135], responses).round(6)
    array([0., 1.])
    """
    return _balanced_length(angles, responses, harmonic=2, definition=definition)


def direction_selectivity(
    angles: npt.ArrayLike, responses: npt.ArrayLike, *, definition: Definition = "corrected"
) -> Floats:
    """Compute the global direction selectivity index (g_dsi).

    ``|Σ r(θ) exp(iθ)| / Σ r(θ)``, one minus the circular variance of direction.

    Parameters
    ----------
    angles
        θ, directions of motion [degrees], shape (n_angles,).
    responses
        r, mean responses, shape (n_angles,) or (n_angles, n_units).
    definition
        ``"published"`` gives a number for directions that are not balanced, too.

    Returns
    -------
    ndarray, shape () or (n_units,)
        0 (opposite directions alike) to 1 (answers one only). NaN where there is no response,
        where one is NaN (an angle never shown), or for all if the angles are not balanced.

    Raises
    ------
    InvalidArgumentError
        If angles and responses differ in length, or a response is negative.

    Notes
    -----
    Directions of half a circle, as 0, 45, 90 and 135° of drifting_gratings_75_repeats, say
    nothing about direction selectivity: the index of a unit that answers all alike would be 0.65.
    They give NaN; published tables have that number.

    References
    ----------
    Ringach, Shapley & Hawken 2002, doi:10.1523/JNEUROSCI.22-13-05639.2002;
    Mazurek, Kager & Van Hooser 2014, doi:10.3389/fncir.2014.00092.
    """
    return _balanced_length(angles, responses, harmonic=1, definition=definition)


def mean_by_value(responses: npt.ArrayLike, values: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Average the responses to all conditions that share a value of one parameter.

    Parameters
    ----------
    responses
        Mean response to each condition, shape (n_conditions, n_units).
    values
        The parameter in each condition, shape (n_conditions,); conditions with NaN (blank
        sweeps) are left out.

    Returns
    -------
    values : ndarray, shape (n_values,)
        The values there are, increasing.
    means : ndarray, shape (n_values, n_units)
        Each condition counts the same, however often it was shown, as in AllenSDK. A response
        that is NaN makes the mean NaN.

    Raises
    ------
    InvalidArgumentError
        If responses and values differ in length.

    Notes
    -----
    Where combinations with other parameters were not all shown, values are compared over
    different sets of them, here as in AllenSDK.
    """
    values, responses = align(values=values, responses=rows_first(responses))
    parameter, means = np.asarray(values, np.float64), np.asarray(responses, np.float64)
    _check_lengths(parameter, means, what="values")
    is_known = ~np.isnan(parameter)
    known, value_of = np.unique(parameter[is_known], return_inverse=True)
    averages = np.empty((len(known), *means.shape[1:]))
    for position in range(len(known)):
        of_value = means[is_known][value_of == position]
        # added up in the order in which numpy adds a single unit's: published ties hang on it
        averages[position] = np.moveaxis(of_value, 0, -1).copy("C").mean(axis=-1)
    return known, averages


def preferred_position(
    means: npt.ArrayLike, *, definition: Definition = "corrected"
) -> npt.NDArray[np.intp]:
    """Find the largest response of every unit, the first of equal ones.

    Parameters
    ----------
    means
        Mean responses, shape (n_values, n_units); NaN never wins.
    definition
        ``"published"`` lets the last bit decide which response is largest.

    Returns
    -------
    ndarray of int, shape (n_units,)
        Position of the first response within one part in 10⁹ of the largest; 0 if all are NaN.

    Raises
    ------
    InvalidArgumentError
        If there is no value at all.
    """
    return np.asarray(_is_largest(means, definition).argmax(axis=0), dtype=np.intp)


def preferred_value(
    values: npt.ArrayLike, means: npt.ArrayLike, *, definition: Definition = "corrected"
) -> Floats:
    """Find the value of a parameter that every unit answers most.

    Parameters
    ----------
    values
        Increasing, shape (n_values,).
    means
        Mean responses to them, shape (n_values, n_units), as `mean_by_value` gives; NaN never
        wins.
    definition
        ``"published"`` lets the last bit decide which response is largest, and gives the smallest
        value to units without spikes.

    Returns
    -------
    ndarray, shape (n_units,)
        The smallest of equally good values (`has_ties` says where there are several). NaN where
        there is no response: a unit that never fired prefers nothing.

    Raises
    ------
    InvalidArgumentError
        If there is no value at all, or values and means differ in length.

    Notes
    -----
    Responses are equal if they differ by less than one part in 10⁹.
    """
    values, means = align(values=values, means=rows_first(means))
    chosen, responses = np.asarray(values, np.float64), np.asarray(means, np.float64)
    _check_lengths(chosen, responses, what="values")
    preferred = chosen[preferred_position(responses, definition=definition)]
    if definition == "published":
        return preferred
    return np.where(np.nan_to_num(responses).max(axis=0) > 0, preferred, np.nan)


def has_ties(
    means: npt.ArrayLike, *, definition: Definition = "corrected"
) -> npt.NDArray[np.bool_]:
    """Say which units answer several values equally well.

    Parameters
    ----------
    means
        Mean responses, shape (n_values, n_units).
    definition
        ``"published"`` asks for equality to the last bit and so misses some.

    Returns
    -------
    ndarray of bool, shape (n_units,)
        True if two or more responses are within one part in 10⁹ of the largest; so it is for
        units that never fired, if there are two values. False where all are NaN.

    Raises
    ------
    InvalidArgumentError
        If there is no value at all.
    """
    return np.asarray(_is_largest(means, definition).sum(axis=0) > 1, dtype=np.bool_)


def _balanced_length(
    angles: npt.ArrayLike, responses: npt.ArrayLike, *, harmonic: int, definition: Definition
) -> Floats:
    lengths = resultant_length(angles, responses, harmonic=harmonic)
    if definition == "published":
        return lengths
    theta = np.asarray(angles, np.float64)
    leaning = np.abs(np.exp(1j * harmonic * np.deg2rad(theta)).sum())
    return lengths if leaning <= BALANCE_TOLERANCE * len(theta) else np.full_like(lengths, np.nan)


def _is_largest(means: npt.ArrayLike, definition: Definition) -> npt.NDArray[np.bool_]:
    responses = np.asarray(means, np.float64)
    if not responses.shape[0]:
        raise InvalidArgumentError("there is no value to prefer; give responses to one or more")
    largest = np.where(np.isnan(responses), -np.inf, responses).max(axis=0)
    tolerance = 0.0 if definition == "published" else TIE_TOLERANCE
    return np.asarray(responses >= largest - tolerance * np.abs(largest), dtype=np.bool_)


def _check_lengths(values: Floats, responses: Floats, *, what: str) -> None:
    if values.ndim != 1 or not responses.ndim or len(values) != len(responses):
        raise InvalidArgumentError(
            f"{what} need one dimension and as many entries as responses have rows, not shapes "
            f"{values.shape} and {responses.shape}; responses are conditions × units"
        )


guard_public(globals())
