"""Every index is in the range it documents, NaN, or an error that says what is not allowed."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spikehouse.analysis.correlations import compute_noise_correlations, compute_signal_correlations
from spikehouse.analysis.evoked import compute_evoked_responses
from spikehouse.analysis.images import image_selectivity, on_off_ratio, sustained_index
from spikehouse.analysis.temporal import f1_f0, modulation_index
from spikehouse.analysis.timescale import delayed_correlations, fit_timescale
from spikehouse.analysis.tuning import (
    compute_direction_selectivity,
    compute_orientation_selectivity,
)
from spikehouse.analysis.variability import (
    compute_fano_factor,
    compute_lifetime_sparseness,
    reliability,
    running_modulation,
)
from spikehouse.errors import InvalidArgumentError

Floats = npt.NDArray[np.float64]
Index = Callable[[Floats], npt.ArrayLike]

N = 8
ANGLES = np.arange(N) * 360 / N
# two values of a parameter, and speeds below and above the threshold
HALVES = np.repeat([0.0, 2.0], [3, 5])

# index of N responses of a unit, lowest and highest value, whether it is for responses from 0 up
INDICES: dict[str, tuple[Index, float, float, bool]] = {
    "compute_orientation_selectivity": (
        lambda r: compute_orientation_selectivity(ANGLES, r),
        0,
        1,
        True,
    ),
    "compute_direction_selectivity": (
        lambda r: compute_direction_selectivity(ANGLES, r),
        0,
        1,
        True,
    ),
    "compute_lifetime_sparseness": (compute_lifetime_sparseness, 0, 1, True),
    "compute_fano_factor": (compute_fano_factor, 0, np.inf, True),
    "reliability": (lambda r: reliability(r.reshape(2, -1)), -1, 1, False),
    "image_selectivity": (image_selectivity, -1, 1, False),
    "sustained_index": (sustained_index, 0, 1, True),
    "on_off_ratio": (lambda r: on_off_ratio(r[:2], [1, -1]), 0, np.inf, True),
    "f1_f0": (lambda r: f1_f0(r, 1.0, bin_width=1 / N), 0, 2, True),
    "modulation_index": (lambda r: modulation_index(r, 1.0, bin_width=1 / N), 0, np.inf, False),
    "run_mod": (lambda r: running_modulation(r, HALVES).run_mod, -1, 1, True),
    "run_pval": (lambda r: running_modulation(r, HALVES).p_value, 0, 1, True),
    "compute_signal_correlations": (
        lambda r: compute_signal_correlations(pair(r), HALVES),
        -1,
        1,
        False,
    ),
    "compute_noise_correlations": (
        lambda r: compute_noise_correlations(pair(r), HALVES),
        -1,
        1,
        False,
    ),
    "delayed_correlations": (lambda r: delayed_correlations(r.reshape(1, 4, 2)), -1, 1, False),
    "r_squared": (lambda r: fit_timescale(np.arange(1, N + 1), r[None]).r_squared, 0, 1, False),
}
# what says how far responses differ has nothing to say about equal ones
UNDEFINED_IF_EQUAL = (
    "reliability",
    "modulation_index",
    "run_pval",
    "compute_signal_correlations",
    "compute_noise_correlations",
    "delayed_correlations",
    "r_squared",
)

# silence, or rates whose squares neither underflow nor overflow
RESPONSES = arrays(np.float64, N, elements=st.just(0.0) | st.floats(1e-6, 1e3))


def pair(responses: Floats) -> Floats:
    return np.stack([responses, np.arange(N) % 3], axis=1)


@pytest.mark.parametrize("name", INDICES)
@given(responses=RESPONSES)
def test_index__is_in_its_range_or_nan(name: str, responses: Floats) -> None:
    index, lowest, highest, _ = INDICES[name]
    found = np.asarray(index(responses), dtype=np.float64)
    assert np.all(np.isnan(found) | ((found >= lowest - 1e-9) & (found <= highest + 1e-9)))


@pytest.mark.parametrize("name", [n for n, (*_, is_from_zero) in INDICES.items() if is_from_zero])
@given(responses=RESPONSES, place=st.integers(0, 1), below=st.floats(1e-6, 1e3))
def test_index_of_responses_from_zero_up__refuses_negative_ones(
    name: str, responses: Floats, place: int, below: float
) -> None:
    responses[place] = -below
    with pytest.raises(InvalidArgumentError, match="has negative values, the lowest -"):
        INDICES[name][0](responses)


@pytest.mark.parametrize("name", UNDEFINED_IF_EQUAL)
@given(value=st.floats(1e-3, 1e3), n_roundings=st.integers(0, 3))
def test_index_of_differences__is_nan_where_responses_differ_by_rounding(
    name: str, value: float, n_roundings: int
) -> None:
    responses = np.full(N, value)
    # the same number by another way, some roundings off
    responses[1::2] *= 1 + n_roundings * np.finfo(float).eps
    found = np.asarray(INDICES[name][0](responses), dtype=np.float64)
    if found.ndim > 1 and name != "delayed_correlations":
        found = found[0]
    assert np.isnan(found).all()


@given(n_before=st.lists(st.integers(0, 9), min_size=3, max_size=3), more=st.integers(1, 3))
def test_evoked_responses__equal_differences_have_no_spread(n_before: list[int], more: int) -> None:
    # rates of windows of 0.3 s: equal differences of counts become unequal by rounding
    onsets = 10.0 * np.arange(1, 4)
    times = [t - 0.25 + 0.01 * i for t, n in zip(onsets, n_before, strict=True) for i in range(n)]
    times += [
        t + 0.01 + 0.01 * i for t, n in zip(onsets, n_before, strict=True) for i in range(n + more)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        row = compute_evoked_responses(
            {1: np.sort(times)}, [1], onsets, window=(0, 0.3), baseline=(-0.3, 0), test="t"
        ).loc[1]
    assert row["effect_size"] == np.inf
