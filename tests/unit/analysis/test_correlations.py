from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from spikehouse.analysis.correlations import (
    compute_noise_correlations,
    compute_residual_counts,
    compute_signal_correlations,
    number_labels,
)
from spikehouse.errors import InvalidArgumentError


def test_noise_correlations__by_hand() -> None:
    # about their means of 1 and 11 the units differ by ∓1, ±1: the other way round
    counts = [[0, 3], [2, 1], [10, 9], [12, 7]]
    noise = compute_noise_correlations(counts, [5, 5, 6, 6])
    np.testing.assert_allclose(noise, [[1, -1], [-1, 1]])
    assert noise.dims == ("unit_id", "other_unit_id")
    # the means go up together
    np.testing.assert_allclose(compute_signal_correlations(counts, [5, 5, 6, 6]), 1)


def test_noise_correlations__recovers_what_is_shared(rng: np.random.Generator) -> None:
    conditions = np.repeat(np.arange(20), 100)
    shared, own = rng.standard_normal((2000, 1)), rng.standard_normal((2000, 4))
    scale = rng.uniform(1, 9, 20)[conditions][:, None]
    means = rng.uniform(0, 30, (20, 4))[conditions]
    counts = means + scale * (np.sqrt(0.3) * shared + np.sqrt(0.7) * own)
    noise = compute_noise_correlations(counts, conditions).values
    np.testing.assert_allclose(noise[~np.eye(4, dtype=bool)], 0.3, atol=0.06)


def test_correlations__silent_and_constant_units_are_nan(rng: np.random.Generator) -> None:
    counts = rng.poisson(3, (12, 4)).astype(float)
    counts[:, 1], counts[:, 3] = 0, 0.1
    conditions = np.arange(12) % 3
    for function in (compute_noise_correlations, compute_signal_correlations):
        result = function(counts, conditions)
        assert np.isnan(result[[1, 3]]).all()
        assert np.isnan(result[:, [1, 3]]).all()
        assert np.isfinite(result[[0, 2], [0, 2]]).all()


def test_noise_correlations__one_presentation_of_each_condition(
    rng: np.random.Generator,
) -> None:
    counts = rng.poisson(3, (5, 3))
    assert np.isnan(compute_noise_correlations(counts, range(5))).all()
    assert np.isnan(compute_signal_correlations(counts, [1] * 5)).all()
    assert np.isfinite(np.diag(compute_signal_correlations(counts, range(5)))).all()


def test_correlations__nothing() -> None:
    for function in (compute_noise_correlations, compute_signal_correlations):
        assert np.isnan(function(np.zeros((0, 2)), [])).all()
        assert function(np.zeros((4, 0)), [1, 1, 2, 2]).shape == (0, 0)


def test_correlations__labels() -> None:
    counts = xr.DataArray(
        np.eye(4)[:, :2], dims=("stimulus_presentation_id", "unit_id"), coords={"unit_id": [8, 9]}
    )
    assert compute_noise_correlations(counts, [1, 1, 2, 2]).other_unit_id.values.tolist() == [8, 9]
    named = compute_noise_correlations(counts.values, [1, 1, 2, 2], unit_ids=[3, 4])
    assert named.unit_id.values.tolist() == [3, 4]
    assert named.name == "noise_correlation"


def test_correlations__errors() -> None:
    counts = np.zeros((3, 2))
    with pytest.raises(InvalidArgumentError, match=r"3 presentations, but conditions has the shap"):
        compute_noise_correlations(counts, [1, 2])
    with pytest.raises(InvalidArgumentError, match=r"\(n_presentations, n_units\), not \(3,\)"):
        compute_signal_correlations(np.zeros(3), [1, 2, 3])
    with pytest.raises(InvalidArgumentError, match=r"2 units, but unit_ids has the shape \(1,\)"):
        compute_noise_correlations(counts, [1, 2, 3], unit_ids=[4])
    counts[1] = np.nan
    with pytest.raises(InvalidArgumentError, match="responses of 1 presentations are not finite"):
        compute_noise_correlations(counts, [1, 2, 3])


def draw_under_drift(rng, *, common=0.0, n=400):
    """Draw two units whose rates rise to five times as much during the presentations."""
    drift = np.exp(0.8 * np.linspace(-1, 1, n))
    shared = rng.standard_normal((n, 1)) * np.sqrt(common)
    own = rng.standard_normal((n, 2)) * np.sqrt(1 - common)
    tuning = np.array([0.0, 3.0, 1.0, 2.0])
    conditions = rng.integers(0, 4, n)
    return 10 * drift[:, None] + tuning[conditions][:, None] + 2 * (shared + own), conditions


@pytest.mark.parametrize("common", [0.0, 0.4])
def test_noise_correlations__without_slow_drift_is_what_presentations_share(rng, common):
    found = {None: [], 40: []}
    for _ in range(20):
        counts, conditions = draw_under_drift(rng, common=common)
        for slower_than, correlations in found.items():
            pairs = compute_noise_correlations(counts, conditions, slower_than=slower_than)
            correlations.append(float(pairs[0, 1]))
    assert np.mean(found[None]) > common + 0.3
    # standard error of the mean of 20 correlations of 400 presentations: 0.011
    assert np.mean(found[40]) == pytest.approx(common, abs=0.04)


def test_noise_correlations__of_constant_units_stay_undefined_without_drift(rng):
    counts, conditions = draw_under_drift(rng)
    counts[:, 1] = 0.1
    pairs = compute_noise_correlations(counts, conditions, slower_than=40)
    assert np.isnan(pairs[1]).all()
    assert pairs[0, 0] == 1


@pytest.mark.parametrize("slower_than", [0, -1, 2, np.nan])
def test_noise_correlations__refuses_to_remove_everything(slower_than):
    with pytest.raises(InvalidArgumentError, match="removes all that 6 presentations of 2 cond"):
        compute_noise_correlations(np.ones((6, 2)), [0, 1] * 3, slower_than=slower_than)


def test_residual_counts__are_what_a_regression_on_conditions_and_slow_cosines_leaves(rng):
    counts, conditions = draw_under_drift(rng, n=60)
    cosines = [np.cos(np.pi * (np.arange(60) + 0.5) / 60 * k) for k in range(1, 4)]
    means = [conditions == condition for condition in range(4)]
    for columns, slower_than in ((means, None), (means + cosines, 40)):
        predictors = np.array(columns, dtype=float).T
        expected = counts - predictors @ np.linalg.lstsq(predictors, counts, rcond=None)[0]
        found = compute_residual_counts(counts, conditions, slower_than=slower_than)
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_residual_counts__scored_by_condition():
    shown = pd.Index([7, 3, 9, 5], name="stimulus_presentation_id")
    counts = pd.DataFrame({21: [1.0, 3, 0.1, 0.1], 20: [2.0, 6, 1, 7]}, shown)
    scores = compute_residual_counts(counts, list("aabb"), is_scored=True)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(scores.sel(unit_id=21), [-half, half, np.nan, np.nan])
    np.testing.assert_allclose(scores.sel(unit_id=20), [-half, half, -half, half])
    assert scores.stimulus_presentation_id.values.tolist() == [7, 3, 9, 5]
    assert compute_residual_counts(counts, list("aabb")).sel(unit_id=21)[2:].values.tolist() == [
        0,
        0,
    ]


@pytest.mark.parametrize(
    "given",
    [
        ["null", 45.0, "null", 45.0, 0.0, 0.0],
        [None, 45.0, np.nan, 45.0, 0.0, 0.0],
        pd.array([None, "b", None, "b", "a", "a"], dtype="string"),
        pd.array([None, 45, None, 45, 0, 0], dtype="Int64"),
    ],
)
def test_correlations__take_conditions_of_any_kind(given):
    given = pd.Series(given, dtype=getattr(given, "dtype", object))
    counts = [[1, 5], [2, 8], [3, 5], [6, 4], [0, 2], [4, 3]]
    assert compute_residual_counts(counts, given).values.tolist() == [
        [-1, 0], [-2, 2], [1, 0], [2, -2], [-2, -0.5], [2, 0.5]
    ]  # fmt: skip
    assert number_labels(given.to_numpy()).tolist() == [2, 1, 2, 1, 0, 0]
    assert len(np.unique(compute_residual_counts(counts, given).condition)) == 3
    signal = compute_signal_correlations(counts, given)
    assert signal[0, 1] == pytest.approx(np.corrcoef([2, 4, 2], [2.5, 6, 5])[0, 1])


def test_residual_counts__know_the_order_of_presentations_by_id(rng):
    counts, conditions = draw_under_drift(rng, n=60)
    ids = pd.Index(range(300, 360), name="stimulus_presentation_id")
    table, shown = pd.DataFrame(counts, ids), pd.Series(conditions, ids)
    expected = compute_residual_counts(table, shown, slower_than=40)
    mixed = compute_residual_counts(table.sample(frac=1, random_state=3), shown, slower_than=40)
    assert mixed.stimulus_presentation_id[0] != 300
    np.testing.assert_allclose(mixed.sel(stimulus_presentation_id=ids), expected)
