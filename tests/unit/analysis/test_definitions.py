"""What the two definitions of a metric give where they differ."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from spikehouse.analysis.checks import DEFINITIONS, Definition
from spikehouse.analysis.common import peak_times
from spikehouse.analysis.contrast import c50
from spikehouse.analysis.rf_shapes import fit_2d_gaussian
from spikehouse.analysis.temporal import modulation_index
from spikehouse.analysis.tuning import (
    compute_direction_selectivity,
    compute_orientation_selectivity,
    has_ties,
    preferred_value,
)
from spikehouse.analysis.variability import compute_fano_factor, running_modulation

NAN = float("nan")
CONTRASTS = [0.01, 0.02, 0.04, 0.08, 0.13, 0.2, 0.35, 0.6, 1.0]
# equal but for rounding
NEARLY = [[0.3], [0.1 + 0.2]]
ONE_PIXEL = 3.0 * (np.arange(81).reshape(9, 9) == 40)

# what is computed, the corrected number, the published one
CASES: dict[str, tuple[Callable[[Definition], object], float, float]] = {
    "fano of one trial": (lambda d: compute_fano_factor([[3]], definition=d), NAN, 0),
    "time to peak without spikes": (
        lambda d: peak_times(np.zeros((1, 2)), [0, 0.1, 0.2], definition=d),
        NAN,
        0.05,
    ),
    "unknown running speed": (
        lambda d: running_modulation([8, 8, 2, 2], [9, 9, 0, NAN], definition=d).run_mod,
        NAN,
        0.75,
    ),
    "preferred value without spikes": (
        lambda d: preferred_value([1, 2], [[0], [0]], definition=d),
        NAN,
        1,
    ),
    "preferred value of a tie": (lambda d: preferred_value([1, 2], NEARLY, definition=d), 1, 2),
    "whether there is a tie": (lambda d: has_ties(NEARLY, definition=d), 1, 0),
    "half of the directions": (
        lambda d: compute_direction_selectivity([0, 45, 90, 135], [2, 2, 2, 2], definition=d),
        NAN,
        0.6533,
    ),
    "half of the orientations": (
        lambda d: compute_orientation_selectivity([0, 45], [2, 2], definition=d),
        NAN,
        0.7071,
    ),
    "modulation without spikes": (
        lambda d: modulation_index(np.zeros(2000), 2.0, bin_width=0.001, definition=d),
        NAN,
        0,
    ),
    "c50 without spikes": (lambda d: c50(CONTRASTS, np.zeros((9, 1)), definition=d), NAN, 0.3598),
    "c50 of equal responses": (lambda d: c50(CONTRASTS, np.ones((9, 1)), definition=d), NAN, 0.009),
    "baseline of a field": (
        lambda d: fit_2d_gaussian(ONE_PIXEL + 5, definition=d).baseline,
        5,
        0,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_definitions__give_numbers_of_their_own(case: str) -> None:
    compute, *expected = CASES[case]
    found = [float(np.asarray(compute(definition)).squeeze()) for definition in DEFINITIONS]
    assert found == pytest.approx(expected, rel=1e-3, nan_ok=True)
