"""A compiled least-squares fit of contrast curves; imported only where there is one to make.

The method is Moré's Levenberg–Marquardt, with a trust region scaled by the columns of the Jacobian
and derivatives by forward differences, as in MINPACK and so in ``scipy.optimize.curve_fit``. It is
written out here because a call from compiled code costs a hundredth of one through Python, and
because a fit that starts at the same point and takes the same steps ends in the same minimum.

References
----------
Moré 1978, doi:10.1007/BFb0067700.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spikehouse.spikes.compiling import compiled

Floats = npt.NDArray[np.float64]
Order = npt.NDArray[np.int64]

N_PARAMETERS = 4
EPSILON = float(np.finfo(np.float64).eps)
TINY = float(np.finfo(np.float64).tiny)
# Relative change of the sum of squares, and of the parameters, at which a fit has converged: the
# square root of EPSILON as curve_fit writes it.
TOLERANCE = 1.49012e-8
STEP = EPSILON**0.5
FIRST_RADIUS = 100.0
N_DAMPING_TRIES = 10
# A step that gains less of what was foreseen is not taken.
LEAST_RATIO = 1e-4


@compiled
def _norm(vector: Floats, first: int) -> float:
    total = 0.0
    for i in range(first, len(vector)):
        total += vector[i] * vector[i]
    return float(np.sqrt(total))


@compiled
def _scaled_norm(vector: Floats, scale: Floats) -> float:
    total = 0.0
    for j in range(N_PARAMETERS):
        total += (scale[j] * vector[j]) ** 2
    return float(np.sqrt(total))


@compiled
def _residuals(parameters: Floats, log_contrasts: Floats, responses: Floats, out: Floats) -> None:
    slope, first, last, middle = parameters[0], parameters[1], parameters[2], parameters[3]
    # the logarithm of a negative contrast is NaN, which no step survives
    log_middle = np.log(middle) if middle >= 0 else np.nan
    for i in range(len(out)):
        rise = 1 + np.exp(slope * (log_contrasts[i] - log_middle))
        out[i] = first + (last - first) / rise - responses[i]


@compiled
def _differentiate(
    parameters: Floats, log_contrasts: Floats, responses: Floats, here: Floats, out: Floats
) -> None:
    """Fill the Jacobian, parameters × contrasts, by forward differences."""
    for j in range(N_PARAMETERS):
        kept = parameters[j]
        step = STEP * abs(kept)
        if step == 0:
            step = STEP
        parameters[j] = kept + step
        _residuals(parameters, log_contrasts, responses, out[j])
        parameters[j] = kept
        for i in range(len(here)):
            out[j, i] = (out[j, i] - here[i]) / step


@compiled
def _swap_largest(matrix: Floats, order: Order, j: int) -> None:
    """Bring the column that is longest from row j on to place j."""
    largest, longest = j, _norm(matrix[j], j)
    for k in range(j + 1, N_PARAMETERS):
        length = _norm(matrix[k], j)
        if length > longest * (1 + 8 * EPSILON):
            largest, longest = k, length
    if largest != j:
        for i in range(matrix.shape[1]):
            matrix[j, i], matrix[largest, i] = matrix[largest, i], matrix[j, i]
        order[j], order[largest] = order[largest], order[j]


@compiled
def _reflect(reflector: Floats, vector: Floats, first: int) -> None:
    along = 0.0
    for i in range(first, len(vector)):
        along += reflector[i] * vector[i]
    along /= reflector[first]
    for i in range(first, len(vector)):
        vector[i] -= along * reflector[i]


@compiled
def _reduce_column(matrix: Floats, right: Floats, j: int) -> None:
    """Clear a column below its diagonal by a Householder reflection of what is right of it.

    The matrix is given column by column: its first index is the column.
    """
    length = _norm(matrix[j], j)
    if length == 0:
        return
    if matrix[j, j] < 0:
        length = -length
    for i in range(j, matrix.shape[1]):
        matrix[j, i] /= length
    matrix[j, j] += 1
    for k in range(j + 1, N_PARAMETERS):
        _reflect(matrix[j], matrix[k], j)
    _reflect(matrix[j], right, j)
    matrix[j, j] = -length
    for i in range(j + 1, matrix.shape[1]):
        matrix[j, i] = 0.0


@compiled
def _solve_upper(triangle: Floats, right: Floats, out: Floats) -> bool:
    """Solve for the columns before the first without a diagonal; say whether these are all."""
    n_sound = N_PARAMETERS
    for j in range(N_PARAMETERS - 1, -1, -1):
        if triangle[j, j] == 0:
            n_sound = j
    for j in range(N_PARAMETERS - 1, -1, -1):
        left = right[j]
        for k in range(j + 1, n_sound):
            left -= triangle[k, j] * out[k]
        out[j] = left / triangle[j, j] if j < n_sound else 0.0
    return n_sound == N_PARAMETERS


@compiled
def _newton(triangle: Floats, step: Floats, scale: Floats, length: float, radius: float) -> float:
    """How much more damping would bring the step's length to the radius, to first order."""
    total = 0.0
    work = np.empty(N_PARAMETERS)
    for j in range(N_PARAMETERS):
        left = scale[j] * scale[j] * step[j] / length
        for k in range(j):
            left -= triangle[j, k] * work[k]
        work[j] = left / triangle[j, j]
        total += work[j] * work[j]
    return float((length - radius) / radius / total)


@compiled
def _solve_damped(
    triangle: Floats, right: Floats, scale: Floats, damping: float, stacked: Floats, out: Floats
) -> None:
    """Solve the least squares with a damping; leave their triangle in stacked."""
    rotated = np.zeros(2 * N_PARAMETERS)
    for j in range(N_PARAMETERS):
        rotated[j] = right[j]
        for i in range(N_PARAMETERS):
            stacked[j, i] = triangle[j, i]
            stacked[j, N_PARAMETERS + i] = 0.0
        stacked[j, N_PARAMETERS + j] = np.sqrt(damping) * scale[j]
    for j in range(N_PARAMETERS):
        _reduce_column(stacked, rotated, j)
    _solve_upper(stacked, rotated, out)


@compiled
def _steepness(triangle: Floats, right: Floats, scale: Floats) -> float:
    """Length of the gradient in scaled parameters."""
    total = 0.0
    for j in range(N_PARAMETERS):
        along = 0.0
        for i in range(j + 1):
            along += triangle[j, i] * right[i]
        total += (along / scale[j]) ** 2
    return float(np.sqrt(total))


@compiled
def _choose_step(
    triangle: Floats, right: Floats, scale: Floats, radius: float, damping: float, step: Floats
) -> float:
    """Fill the step whose scaled length is within a tenth of the radius; give its damping.

    All is in the order of the triangle's columns.
    """
    is_sound = _solve_upper(triangle, right, step)
    length = _scaled_norm(step, scale)
    excess = length - radius
    if excess <= 0.1 * radius:
        return 0.0
    lower = _newton(triangle, step, scale, length, radius) if is_sound else 0.0
    steepness = _steepness(triangle, right, scale)
    upper = steepness / radius
    if upper == 0:
        upper = TINY / min(radius, 0.1)
    damping = min(max(damping, lower), upper)
    if damping == 0:
        damping = steepness / length
    stacked = np.empty((N_PARAMETERS, 2 * N_PARAMETERS))
    for turn in range(N_DAMPING_TRIES):
        if damping == 0:
            damping = max(TINY, 0.001 * upper)
        _solve_damped(triangle, right, scale, damping, stacked, step)
        length = _scaled_norm(step, scale)
        before, excess = excess, length - radius
        is_stuck = lower == 0 and excess <= before and before < 0
        if abs(excess) <= 0.1 * radius or is_stuck or turn == N_DAMPING_TRIES - 1:
            break
        if excess > 0:
            lower = max(lower, damping)
        elif excess < 0:
            upper = min(upper, damping)
        damping = max(lower, damping + _newton(stacked, step, scale, length, radius))
    return damping


@compiled
def _predict(triangle: Floats, step: Floats, norm: float) -> float:
    """How much of the sum of squares the step removes if the curve is linear, as a share."""
    total = 0.0
    for i in range(N_PARAMETERS):
        along = 0.0
        for j in range(i, N_PARAMETERS):
            along += triangle[j, i] * step[j]
        total += along * along
    return total / norm / norm


@compiled
def _find_gradient(triangle: Floats, right: Floats, lengths: Floats, norm: float) -> float:
    """Largest cosine of the angle between the residuals and a column."""
    largest = 0.0
    for j in range(N_PARAMETERS):
        along = 0.0
        for i in range(j + 1):
            along += triangle[j, i] * right[i]
        if lengths[j] != 0 and norm != 0:
            largest = max(largest, abs(along / norm / lengths[j]))
    return largest


@compiled
def _adapt(
    gained: float, by_line: float, by_damping: float, reach: float, radius: float, damping: float
) -> tuple[float, float]:
    """Change the radius and the damping after a step, by how well its gain was foreseen."""
    expected = by_line + 2 * by_damping
    ratio = gained / expected if expected != 0 else 0.0
    if ratio <= 0.25:
        slope = -(by_line + by_damping)
        shrink = 0.5 if gained >= 0 else 0.5 * slope / (slope + 0.5 * gained)
        # a step that made the residuals ten times as long has no gain, but this one
        if gained == -1.0 or shrink < 0.1:
            shrink = 0.1
        return shrink * min(radius, reach / 0.1), damping / shrink
    if damping == 0 or ratio >= 0.75:
        return reach / 0.5, damping * 0.5
    return radius, damping


@compiled
def _factor(
    jacobian: Floats, here: Floats, scale: Floats, order: Order, rotated: Floats, norm: float
) -> float:
    """Triangulate the Jacobian, keep the largest length of its columns, give the gradient."""
    lengths, sorted_lengths = np.empty(N_PARAMETERS), np.empty(N_PARAMETERS)
    for j in range(N_PARAMETERS):
        order[j] = j
        lengths[j] = _norm(jacobian[j], 0)
        if scale[j] < 0:
            scale[j] = lengths[j] if lengths[j] != 0 else 1.0
        scale[j] = max(scale[j], lengths[j])
    for i in range(len(here)):
        rotated[i] = here[i]
    for j in range(N_PARAMETERS):
        _swap_largest(jacobian, order, j)
        _reduce_column(jacobian, rotated, j)
    for j in range(N_PARAMETERS):
        sorted_lengths[j] = lengths[order[j]]
    return _find_gradient(jacobian, rotated, sorted_lengths, norm)


@compiled
def _move(
    parameters: Floats, step: Floats, order: Order, sorted_scale: Floats, out: Floats
) -> float:
    """Fill the parameters after a step; give its scaled length."""
    for j in range(N_PARAMETERS):
        out[order[j]] = parameters[order[j]] - step[j]
    return _scaled_norm(step, sorted_scale)


@compiled
def fit_curve(
    log_contrasts: Floats, responses: Floats, parameters: Floats, max_evaluations: int
) -> bool:
    """Fit ``c + (d − c) / (1 + exp(b (ln x − ln e)))`` to the responses of one unit.

    Parameters
    ----------
    log_contrasts
        ln x, shape (n_contrasts,), four or more.
    responses
        Shape (n_contrasts,).
    parameters
        Where to start: b, c, d, e; changed to where the fit ended.
    max_evaluations
        How often the curve may be computed.

    Returns
    -------
    bool
        Whether it has converged.
    """
    here, there, rotated = np.empty((3, len(responses)))
    jacobian = np.empty((N_PARAMETERS, len(responses)))
    step, moved, sorted_scale = np.empty((3, N_PARAMETERS))
    order, scale = np.empty(N_PARAMETERS, np.int64), np.full(N_PARAMETERS, -1.0)
    _residuals(parameters, log_contrasts, responses, here)
    norm, damping, radius, n_evaluations = _norm(here, 0), 0.0, -1.0, 1
    is_first = True
    while True:
        _differentiate(parameters, log_contrasts, responses, here, jacobian)
        n_evaluations += N_PARAMETERS
        gradient = _factor(jacobian, here, scale, order, rotated, norm)
        if gradient == 0:
            return True
        if is_first:
            radius = FIRST_RADIUS * _scaled_norm(parameters, scale)
        for j in range(N_PARAMETERS):
            sorted_scale[j] = scale[order[j]]
        ratio = 0.0
        while ratio < LEAST_RATIO:
            damping = _choose_step(jacobian, rotated, sorted_scale, radius, damping, step)
            reach = _move(parameters, step, order, sorted_scale, moved)
            radius = min(radius, reach) if is_first else radius
            _residuals(moved, log_contrasts, responses, there)
            n_evaluations += 1
            new_norm = _norm(there, 0)
            # not a number where the step led to a negative contrast
            gained = 1 - (new_norm / norm) ** 2 if 0.1 * new_norm < norm else -1.0
            by_line, by_damping = _predict(jacobian, step, norm), damping * (reach / norm) ** 2
            expected = by_line + 2 * by_damping
            ratio = gained / expected if expected != 0 else 0.0
            radius, damping = _adapt(gained, by_line, by_damping, reach, radius, damping)
            if ratio >= LEAST_RATIO:
                parameters[:], here[:] = moved, there
                norm, is_first = new_norm, False
            is_level = abs(gained) <= TOLERANCE and expected <= TOLERANCE and ratio <= 2
            if is_level or radius <= TOLERANCE * _scaled_norm(parameters, scale):
                return True
            if n_evaluations >= max_evaluations or gradient <= EPSILON:
                return False
