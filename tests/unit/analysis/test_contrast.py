from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit

from spikehouse.analysis.contrast import c50, contrast_curve, fit_contrast_curves
from spikehouse.errors import InvalidArgumentError

CONTRASTS = np.array([0.01, 0.02, 0.04, 0.08, 0.13, 0.2, 0.35, 0.6, 1.0])


def curve(x, b, c, d, e):
    with np.errstate(invalid="ignore", over="ignore"):
        return c + (d - c) / (1 + np.exp(b * (np.log(x) - np.log(e))))


def test_contrast_curve__is_the_hyperbolic_ratio():
    x = np.array([0.0, 0.2, 1.0])
    # 2 at no contrast, 6 at full, half-way at 0.2
    np.testing.assert_allclose(contrast_curve(x, [3, 6, 2, 0.2]), [2, 4, 6 - 4 / (1 + 125)])
    assert np.isnan(contrast_curve(x, [3, 6, 2, -0.2])).all()


def test_fit_contrast_curves__recovers_a_curve_without_noise():
    truth = np.array([[2.0, 8.0, 1.0, 0.2], [3.0, 1.0, 0.5, 0.1], [1.5, 2.0, 9.0, 0.3]])
    fitted = fit_contrast_curves(CONTRASTS, contrast_curve(CONTRASTS, truth).T)
    np.testing.assert_allclose(
        contrast_curve(CONTRASTS, fitted), contrast_curve(CONTRASTS, truth), rtol=1e-6
    )
    np.testing.assert_allclose(fitted[:, 3], truth[:, 3], rtol=1e-5)


def test_fit_contrast_curves__ends_in_the_minimum_of_curve_fit():
    rng = np.random.default_rng(5)
    half, gain = rng.uniform(0.1, 0.5, 25), rng.uniform(3, 9, 25)
    mean = 1 + gain * CONTRASTS[:, None] ** 2 / (CONTRASTS[:, None] ** 2 + half**2)
    responses = rng.poisson(mean, (15, *mean.shape)).mean(axis=0)
    fitted = fit_contrast_curves(CONTRASTS, responses)
    n_determined = 0
    for unit in range(25):
        try:
            expected, _ = curve_fit(curve, CONTRASTS, responses[:, unit], maxfev=2000)
        except RuntimeError:
            continue
        best = ((curve(CONTRASTS, *expected) - responses[:, unit]) ** 2).sum()
        ours = ((contrast_curve(CONTRASTS, fitted[unit]) - responses[:, unit]) ** 2).sum()
        # a curve that only begins to rise has a valley instead of a minimum, and stops anywhere
        is_determined = 0.02 < expected[3] < 0.9
        n_determined += is_determined
        assert ours == pytest.approx(best, rel=1e-6 if is_determined else 1e-3)
    assert n_determined >= 20


def test_c50__is_the_contrast_half_way_between_the_extremes():
    rising = contrast_curve(CONTRASTS, [4, 6, 2, 0.2])
    falling = contrast_curve(CONTRASTS, [4, 1, 5, 0.2])
    step = 1.091 / 255
    found = c50(CONTRASTS, np.column_stack([rising, falling]))
    np.testing.assert_allclose(found, 0.2, atol=step)


def test_c50__of_a_jump_lies_between_the_contrasts_around_it():
    up = (CONTRASTS > 0.1).astype(float)
    found = c50(CONTRASTS, np.column_stack([up, 1 - up]))
    known = found[np.isfinite(found)]
    assert ((known > 0.08) & (known < 0.135)).all()


def test_c50__is_nan_where_nothing_can_be_fitted():
    responses = np.ones((9, 3))
    responses[:, 1] = 0
    responses[:, 2] = np.arange(9)
    responses[4, 2] = np.nan
    assert np.isnan(c50(CONTRASTS, responses)).all()
    assert np.isnan(c50(CONTRASTS[:3], np.arange(6.0).reshape(3, 2))).all()
    assert np.isnan(c50([], np.empty((0, 2)))).all()
    assert c50(CONTRASTS, np.empty((9, 0))).shape == (0,)


def test_fit_contrast_curves__gives_up_after_the_evaluations_allowed():
    responses = contrast_curve(CONTRASTS, [[2.0, 8.0, 1.0, 0.2]]).T
    assert np.isnan(fit_contrast_curves(CONTRASTS, responses, max_evaluations=10)).all()


def test_fit_contrast_curves__leaves_its_arguments_alone():
    responses = np.sqrt(CONTRASTS)[:, None] * [1.0, 2.0]
    kept = responses.copy()
    fit_contrast_curves(CONTRASTS, responses)
    np.testing.assert_array_equal(responses, kept)


def test_c50__says_what_is_wrong():
    with pytest.raises(InvalidArgumentError, match=r"not shapes \(9,\) and \(4, 2\)"):
        c50(CONTRASTS, np.ones((4, 2)))
    with pytest.raises(InvalidArgumentError, match=r"from 0 up, and one is -0\.5"):
        c50([-0.5, 0.1, 0.2, 0.3], np.ones((4, 2)))
