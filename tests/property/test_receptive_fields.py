"""Receptive fields against brute force, whatever the maps and counts."""

from __future__ import annotations

import numpy as np
import scipy.ndimage as ndi
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikehouse.analysis import _kernels
from spikehouse.analysis.checks import DEFINITIONS
from spikehouse.analysis.rf_shapes import smooth_maps, threshold_rf
from spikehouse.analysis.rf_significance import permutation_p_values, resampling_p_values

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 7))
MAPS = SHAPES.flatmap(lambda s: hnp.arrays(np.int64, s, elements=st.integers(0, 40)))
COUNTS = st.tuples(st.integers(2, 14), st.integers(1, 5)).flatmap(
    lambda s: hnp.arrays(np.int64, s, elements=st.integers(0, 300))
)


def threshold_one(smooth, threshold):
    """Find the part of one map, component by component."""
    is_above = smooth > smooth.max() - smooth.std() * threshold
    labels, n = ndi.label(is_above)
    if n == 0:
        return np.zeros(smooth.shape, bool)
    peaks = [smooth[labels == label].max() for label in range(1, n + 1)]
    return labels == 1 + int(np.argmax(peaks))


@given(maps=MAPS, threshold=st.floats(0.05, 3), definition=st.sampled_from(DEFINITIONS))
def test_threshold_rf__is_each_map_by_itself(maps, threshold, definition):
    found = threshold_rf(maps, threshold, definition=definition)
    for unit, own in enumerate(maps):
        smooth = ndi.gaussian_filter(own if definition == "published" else own.astype(float), 1)
        mask = threshold_one(smooth.astype(float), threshold)
        np.testing.assert_array_equal(found.mask[unit], mask)
        assert found.area[unit] == mask.sum()
        if mask.any():
            center_y, center_x = ndi.center_of_mass(mask)
            assert found.center_y[unit] == np.around(center_y, 4)
            assert found.center_x[unit] == np.around(center_x, 4)


@given(maps=MAPS, data=st.data())
def test_smooth_maps__stays_between_the_known_values(maps, data):
    is_known = data.draw(hnp.arrays(bool, maps.shape))
    smooth = smooth_maps(np.where(is_known, maps, np.nan))
    for own, known, values in zip(smooth, is_known, maps, strict=True):
        if known.any():
            seen = own[np.isfinite(own)]
            assert seen.size
            assert seen.min() >= values[known].min() - 1e-9
            assert seen.max() <= values[known].max() + 1e-9
        else:
            assert np.isnan(own).all()


@given(counts=COUNTS, data=st.data())
def test_count_as_large__is_the_sum_over_groups(counts, data):
    n = len(counts)
    n_shown = np.bincount(data.draw(hnp.arrays(np.int64, n, elements=st.integers(0, 3))))
    n_shown = n_shown[n_shown > 0]
    first = np.r_[0, np.cumsum(n_shown)].astype(np.int64)
    weights = data.draw(hnp.arrays(np.float64, len(n_shown), elements=st.integers(1, 9).map(float)))
    orders = np.array([data.draw(st.permutations(range(n))) for _ in range(4)], dtype=np.int32)
    sums = np.array([np.add.reduceat(counts[order], first[:-1], axis=0) for order in orders])
    statistics = (weights[:, None] * sums.astype(float) ** 2).sum(axis=1)
    least = statistics[0]
    found = _kernels.count_as_large(
        counts.astype(np.uint16),
        orders,
        first,
        weights,
        least,
        np.empty(counts.shape[1], np.uint16),
    )
    np.testing.assert_array_equal(found, (statistics >= least).sum(axis=0))


@given(counts=COUNTS, data=st.data())
def test_permutation_p_values__does_not_depend_on_the_company_or_names(counts, data):
    group = data.draw(hnp.arrays(np.int64, len(counts), elements=st.integers(0, 3)))
    p = permutation_p_values(counts, group, n_resamples=120)
    assert ((p >= 1 / 121) & (p <= 1)).all()
    order = data.draw(st.permutations(range(counts.shape[1])))
    again = permutation_p_values(counts[:, order], 7 + group * 10, n_resamples=120)
    np.testing.assert_array_equal(again, p[order])


@given(counts=COUNTS, data=st.data())
def test_resampling_p_values__is_what_plain_numpy_gives(counts, data):
    group = data.draw(hnp.arrays(np.int64, len(counts), elements=st.integers(0, 3)))
    shown = np.unique(group, return_inverse=True)[1]
    is_in = shown == np.arange(shown.max() + 1)[:, None]
    legacy = np.random.RandomState(3)

    def chi_square(sample):
        observed = (is_in * sample).sum(axis=1).astype(float)
        expected = is_in.sum(axis=1) * sample.mean()
        with np.errstate(all="ignore"):
            terms = (observed - expected) ** 2 / expected
        return np.where(expected > 0, terms, 0.0).sum()

    expected = []
    for own in counts.T:
        draws = [chi_square(own[legacy.choice(len(own), size=len(own))]) for _ in range(20)]
        expected.append(np.mean(chi_square(own) < np.array(draws)))
    found = resampling_p_values(counts, group, n_resamples=20, seed=3)
    np.testing.assert_array_equal(found, expected)
