"""Tuning to one parameter of the stimulus: preferred values and selectivity.

Responses have their conditions (or values) in the first axis and their units in the second, as
``StimulusResponses.condition_means`` has.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spikehouse.analysis.checks import Definition, check_not_negative, divide
from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import align, rows_first

Floats = npt.NDArray[np.float64]

# Means of equal responses differ by rounding, about 1e-15; those of different ones, which are
# fractions of spike counts, by more than one over the number of presentations.
TIE_TOLERANCE = 1e-9
# Angles closer to balance than this sum to nothing but rounding.
BALANCE_TOLERANCE = 1e-6


def resultant_length(angles: npt.ArrayLike, responses: npt.ArrayLike, *, harmonic: int) -> Floats:
    """Compute ``|Σ r(θ) exp(i k θ)| / Σ r(θ)``: one minus the circular variance.

    ``angles`` θ in degrees, ``responses`` r of shape (n_angles,) or (n_angles, n_units),
    ``harmonic`` k: 1 for directions, 2 for orientations. From 0 (no preference) to 1 (a response to
    one angle only); NaN where there is no response, or one is NaN. Ringach et al. 2002,
    doi:10.1523/JNEUROSCI.22-13-05639.2002.
    """
    angles, responses = align(angles=angles, responses=rows_first(responses))
    theta, values = np.asarray(angles, np.float64), np.asarray(responses, np.float64)
    _check_lengths(theta, values, what="angles")
    check_not_negative(values, "responses")
    vectors = np.exp(1j * harmonic * np.deg2rad(theta))
    return divide(np.abs(np.tensordot(vectors, values, axes=1)), values.sum(axis=0))


def compute_orientation_selectivity(
    angles: npt.ArrayLike, responses: npt.ArrayLike, *, definition: Definition = "corrected"
) -> Floats:
    """Compute the global orientation selectivity index (g_osi) of units.

    Parameters
    ----------
    angles
        Angles θ of the stimulus [degrees], shape (n_angles,).
    responses
        Responses r to them, shape (n_angles,) or (n_angles, n_units), not negative.
    definition
        ``"corrected"``: NaN where the angles are not balanced, because equal responses to them
        would not give 0. ``"published"``: a (biased) number then.

    Returns
    -------
    ndarray of float64, shape () or (n_units,)
        ``|Σ r(θ) exp(2iθ)| / Σ r(θ)``, one minus the circular variance: from 0 (all orientations
        alike) to 1 (a response to one only). NaN without a response, or where one is NaN.

    References
    ----------
    Ringach et al. (2002), J. Neurosci. 22, 5639, doi:10.1523/JNEUROSCI.22-13-05639.2002.

    Examples
    --------
    >>> responses = np.array([[1, 4], [1, 0], [1, 0], [1, 0]])
    >>> compute_orientation_selectivity([0, 45, 90, 135], responses).round(6)
    array([0., 1.])
    """
    return _balanced_length(angles, responses, harmonic=2, definition=definition)


def compute_direction_selectivity(
    angles: npt.ArrayLike, responses: npt.ArrayLike, *, definition: Definition = "corrected"
) -> Floats:
    """Compute the global direction selectivity index (g_dsi) of units.

    Parameters
    ----------
    angles
        Directions θ of movement [degrees], shape (n_angles,).
    responses
        Responses r to them, shape (n_angles,) or (n_angles, n_units), not negative.
    definition
        As for :func:`compute_orientation_selectivity`. The directions 0, 45, 90 and 135° of
        drifting_gratings_75_repeats are not balanced: published tables have 0.65 for a unit that
        responds to all alike.

    Returns
    -------
    ndarray of float64, shape () or (n_units,)
        ``|Σ r(θ) exp(iθ)| / Σ r(θ)``: from 0 (opposite directions alike) to 1 (a response to one
        only). NaN as for :func:`compute_orientation_selectivity`.

    References
    ----------
    Ringach et al. (2002), doi:10.1523/JNEUROSCI.22-13-05639.2002; Mazurek et al. (2014),
    doi:10.3389/fncir.2014.00092.

    Examples
    --------
    >>> responses = np.array([[8, 8], [2, 2], [0, 8], [2, 2]])
    >>> compute_direction_selectivity([0, 90, 180, 270], responses).round(3)
    array([0.667, 0.   ])
    """
    return _balanced_length(angles, responses, harmonic=1, definition=definition)


def mean_by_value(responses: npt.ArrayLike, values: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Average the responses (n_conditions, n_units) to all conditions that share a value.

    Returns the values, increasing, and the means (n_values, n_units). Each condition counts the
    same, however often it was shown; conditions whose value is NaN (blank sweeps) are left out.
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
    """Find the position of each unit's largest response, the first of equal ones.

    Responses within one part in 10⁹ are equal; with ``definition="published"`` the last bit
    decides.
    """
    return np.asarray(_is_largest(means, definition).argmax(axis=0), dtype=np.intp)


def preferred_value(
    values: npt.ArrayLike, means: npt.ArrayLike, *, definition: Definition = "corrected"
) -> Floats:
    """Find the value of a parameter that evokes each unit's largest mean response.

    The smallest of equally good values (`has_ties`). NaN for a unit without spikes, for which
    ``definition="published"`` gives the smallest value.
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
    """Return whether several values evoke each unit's largest response, within one part in 10⁹.

    True for units without spikes. ``definition="published"`` compares to the last bit, and misses
    some.
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
