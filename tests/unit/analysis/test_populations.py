from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import FactorAnalysis
from sklearn.linear_model import LinearRegression, RidgeCV

from spikehouse.analysis import (
    compute_communication,
    compute_residual_counts,
    compute_shared_variance,
)
from spikehouse.analysis.populations import (
    RIDGES,
    _describe_fold,
    _fit_factors,
    _score_factors,
)
from spikehouse.errors import InvalidArgumentError


def draw_factors(rng, n_factors, *, n=600, n_units=30):
    loadings = rng.normal(size=(n_factors, n_units))
    noise = rng.uniform(0.5, 2, n_units)
    counts = rng.normal(size=(n, n_factors)) @ loadings
    counts += rng.normal(size=counts.shape) * np.sqrt(noise)
    shared = (loadings**2).sum(axis=0)
    return counts, 100 * shared / (shared + noise)


@pytest.mark.parametrize("n_factors", [1, 3, 5])
def test_shared_variance__recovers_planted_factors(rng, n_factors):
    counts, percent = draw_factors(rng, n_factors)
    found = compute_shared_variance(counts)
    assert found.attrs["n_factors"] == n_factors
    assert n_factors - 1 <= int(found.d_shared) <= n_factors
    # of 20 such sets, the largest error of the mean was 1.5 and of a unit 11 percentage points
    assert float(found.percent_shared.mean()) == pytest.approx(percent.mean(), abs=3)
    np.testing.assert_allclose(found.percent_shared, percent, atol=15)


def test_shared_variance__of_independent_units_is_none(rng):
    found = [compute_shared_variance(rng.normal(size=(300, 20))) for _ in range(5)]
    assert sorted(each.attrs["n_factors"] for each in found)[:4] == [0, 0, 0, 0]
    alone = compute_shared_variance(rng.normal(size=(300, 20)), n_factors=0)
    assert int(alone.d_shared) == 0
    assert (alone.percent_shared == 0).all()


def test_shared_variance__likelihood_is_that_of_scikit_learn(rng):
    counts, _ = draw_factors(rng, 2, n=80, n_units=6)
    train, test = counts[:60], np.arange(60, 80)
    model = FactorAnalysis(2, tol=1e-8, svd_method="lapack").fit(train)
    parts, left = _describe_fold(counts, test)
    score = _score_factors(*_fit_factors(parts, 2), left)
    assert score == pytest.approx(model.score(counts[test]), abs=0.01)


def test_shared_variance__is_that_of_scikit_learn(rng):
    counts, _ = draw_factors(rng, 3, n=300, n_units=20)
    counts /= counts.std(axis=0)
    model = FactorAnalysis(3, tol=1e-8, max_iter=5000, svd_method="lapack").fit(counts)
    shared = (model.components_**2).sum(axis=0)
    expected = 100 * shared / (shared + model.noise_variance_)
    found = compute_shared_variance(counts, n_factors=3).percent_shared
    np.testing.assert_allclose(found, expected, atol=0.5)


def test_shared_variance__tries_few_numbers(rng):
    counts, _ = draw_factors(rng, 20, n=1000, n_units=60)
    found = compute_shared_variance(counts)
    assert found.attrs["n_factors"] == pytest.approx(20, abs=4)
    assert found.n_factors.values.tolist()[:6] == [0, 1, 2, 4, 8, 16]
    assert found.sizes["n_factors"] < 14


def test_shared_variance__constant_units_are_nan(rng):
    counts, _ = draw_factors(rng, 1, n_units=6)
    counts[:, 2] = 0.1
    found = compute_shared_variance(pd.DataFrame(counts, columns=range(50, 56)))
    assert np.flatnonzero(found.percent_shared.isnull()).tolist() == [2]
    assert found.unit_id.values.tolist() == list(range(50, 56))


def draw_areas(rng, rank, *, n=600, n_source=12, n_target=9):
    source = rng.normal(size=(n, n_source)) @ rng.normal(size=(n_source, n_source))
    weights = rng.normal(size=(n_source, rank)) @ rng.normal(size=(rank, n_target))
    signal = source @ weights
    return source, signal + rng.normal(size=signal.shape) * signal.std() if rank else (
        rng.normal(size=(n, n_target))
    )


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_communication__recovers_planted_ranks(rng, rank):
    found = []
    for _ in range(4):
        source, target = draw_areas(rng, rank)
        result = compute_communication(source, target)
        found.append(result.attrs["n_dimensions"])
        # half of the variance is noise
        assert float(result.full.mean()) == pytest.approx(0.5, abs=0.08)
    # with one standard error, dimensions that explain less than that are left out
    assert max(found) == rank
    assert np.mean(found) > rank - 0.6


def test_communication__of_independent_areas_is_none(rng):
    found = [compute_communication(*draw_areas(rng, 0)) for _ in range(8)]
    mean = [float(each.performance.mean("fold").max()) for each in found]
    assert max(mean) < 0.01
    # 47 of 60 such sets have 0 dimensions
    assert sum(each.attrs["n_dimensions"] == 0 for each in found) >= 4


def test_communication__is_ordinary_regression_with_rank(rng):
    source, target = draw_areas(rng, 3, n=100)
    found = compute_communication(source, target, ridge=0, n_folds=5)
    for fold, test in enumerate(np.array_split(np.arange(100), 5)):
        train = np.setdiff1d(np.arange(100), test)
        model = LinearRegression().fit(source[train], target[train])
        fitted = model.predict(source[train]) - target[train].mean(axis=0)
        axes = np.linalg.svd(fitted)[2]
        total = ((target[test] - target[train].mean(axis=0)) ** 2).sum()
        for rank in range(10):
            kept = axes[:rank].T @ axes[:rank]
            predicted = (model.predict(source[test]) - target[train].mean(axis=0)) @ kept
            error = target[test] - target[train].mean(axis=0) - predicted
            assert found.performance[rank, fold] == pytest.approx(1 - (error**2).sum() / total)
    np.testing.assert_allclose(found.performance[-1], found.full)


def test_communication__ridge_is_that_of_scikit_learn(rng):
    source, target = draw_areas(rng, 2, n=60)
    found = compute_communication(source, target)
    largest = np.linalg.norm(source - source.mean(axis=0), 2) ** 2
    model = RidgeCV(RIDGES * largest).fit(source, target)
    assert found.attrs["ridge"] == pytest.approx(model.alpha_)
    full = compute_communication(source, target, n_dimensions=9, ridge=model.alpha_)
    predicted = source @ full.source_weights.values @ full.target_weights.values.T
    expected = model.predict(source) @ full.target_weights.values @ full.target_weights.values.T
    np.testing.assert_allclose(predicted - predicted.mean(0), expected - expected.mean(0))


def test_communication__goes_by_presentation(rng):
    source, target = (pd.DataFrame(part) for part in draw_areas(rng, 2, n=50))
    for part in (source, target):
        part.index = pd.Index(range(300, 350), name="stimulus_presentation_id")
    target = target.add_prefix("target ")
    expected = compute_communication(source, target)
    mixed = compute_communication(source, target.sample(frac=1, random_state=3))
    np.testing.assert_allclose(mixed.performance, expected.performance)
    mixed = compute_communication(source.sample(frac=1, random_state=3), target)
    np.testing.assert_allclose(mixed.performance, expected.performance)
    groups = pd.Series(np.arange(50) // 5, source.index)
    expected = compute_shared_variance(source, groups=groups)
    mixed = compute_shared_variance(source.sample(frac=1, random_state=3), groups=groups)
    np.testing.assert_allclose(mixed.log_likelihood, expected.log_likelihood)


def test_populations__keep_groups_together(rng):
    counts = rng.normal(size=(40, 4))
    blocks = np.repeat([7, 3, 9, 5], 10)
    by_block = compute_communication(counts, counts[:, :2], n_folds=4, groups=blocks)
    assert by_block.performance.equals(
        compute_communication(counts, counts[:, :2], n_folds=4).performance
    )
    with pytest.raises(InvalidArgumentError, match="n_folds=5 of 4 groups; valid: 2 to 4 folds"):
        compute_shared_variance(counts, n_folds=5, groups=blocks)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: compute_shared_variance(x, n_factors=9), "n_factors=9: 4 units vary; valid"),
        (lambda x: compute_shared_variance(x, n_factors=[]), "n_factors is empty; give one number"),
        (lambda x: compute_communication(x, x[1:]), "source has 20 presentations and target 19"),
        (
            lambda x: compute_communication(x, x, n_dimensions=5),
            "n_dimensions=5: source has 4 units and target 4; valid: 0 to 4",
        ),
        (
            lambda x: compute_communication(pd.DataFrame(x), pd.DataFrame(x[:, 1:3])),
            r"2 units are in both source and target, such as \d, and would predict themselves",
        ),
        (lambda x: compute_shared_variance(x, n_factors=[1.0]), r"n_factors is .*1\.0.*; give a"),
        (lambda x: compute_shared_variance(x, n_factors=True), "n_factors is .*True.*; give a"),
        (lambda x: compute_shared_variance(x, n_factors=2.5), r"n_factors is .*2\.5.*; give a"),
        (lambda x: compute_shared_variance(x, n_folds=2.5), r"n_folds is .*2\.5.*; give a"),
        (lambda x: compute_communication(x, x, n_dimensions=1.5), r"n_dimensions is .*; give a"),
        (
            lambda x: compute_communication(x, x, groups=[np.nan] * 9 + [1] * 5 + [2] * 6),
            "groups is missing for 9 of 20 presentations; leave those presentations out, or give",
        ),
        (lambda x: compute_communication(x, x, ridge=-1), "ridge is -1; give a penalty from 0 up"),
    ],
)  # fmt: skip
def test_populations__errors(rng, call, message):
    with pytest.raises(InvalidArgumentError, match=message):
        call(rng.normal(size=(20, 4)))


def show(rng, n_conditions, n_repeats):
    return np.concatenate([rng.permutation(n_conditions) for _ in range(n_repeats)])


@pytest.mark.parametrize(("n_conditions", "n_repeats"), [(100, 2), (40, 15)])
def test_populations__residuals_of_independent_units_tell_nothing_of_each_other(
    rng, n_conditions, n_repeats
):
    n_dimensions, n_factors, best = [], [], []
    for _ in range(6):
        conditions = show(rng, n_conditions, n_repeats)
        tuning = rng.uniform(2, 8, (n_conditions, 50))
        residual = compute_residual_counts(rng.poisson(tuning[conditions]), conditions)
        found = compute_communication(residual[:, :30], residual[:, 30:])
        n_dimensions.append(found.attrs["n_dimensions"])
        best.append(float(found.performance.mean("fold").max()))
        n_factors.append(compute_shared_variance(residual).attrs["n_factors"])
    # about the mean of all presentations: 0.1 with 14 dimensions and 29 factors
    assert max(best) < 0.01
    assert n_dimensions.count(0) >= 3
    assert n_factors.count(0) >= 5


def test_populations__of_residuals_are_those_of_counts_and_conditions(rng):
    conditions = show(rng, 20, 6)
    counts = rng.poisson(rng.uniform(2, 8, (20, 7))[conditions] * rng.uniform(0.5, 2, (120, 1)))
    shuffled = pd.Series(conditions).map(lambda number: f"image {number}")
    residual = compute_residual_counts(counts, shuffled)
    for options in ({}, {"groups": conditions}):
        found, expected = (
            compute_communication(each[:, :4], each[:, 4:], **options, **given)
            for each, given in ((residual, {}), (counts, {"conditions": conditions}))
        )
        np.testing.assert_allclose(found.performance, expected.performance)
        assert float(found.full.mean()) > 0.1
        found, expected = (
            compute_shared_variance(each, **options, **given)
            for each, given in ((residual, {}), (counts, {"conditions": conditions}))
        )
        np.testing.assert_allclose(found.percent_shared, expected.percent_shared)
        np.testing.assert_allclose(found.log_likelihood, expected.log_likelihood)


def test_communication__folds_of_runs_keep_slow_drift_out(rng):
    conditions = show(rng, 40, 15)
    width = np.exp(-(np.linspace(-3, 3, 121) ** 2))
    slow = rng.normal(size=(720, 50))
    slow = np.stack([np.convolve(unit, width, "valid") for unit in slow.T], axis=1)
    counts = rng.normal(size=(600, 50)) + slow / np.linalg.norm(width)
    residual = compute_residual_counts(counts, conditions)
    source, target = residual[:, :30], residual[:, 30:]
    # of 8 such sets, the largest was 0.023 with runs and the smallest 0.19 with conditions
    assert compute_communication(source, target).performance.mean("fold").max() < 0.05
    leaking = compute_communication(source, target, groups=conditions)
    assert leaking.performance.mean("fold").max() > 0.1


def test_communication__subtracts_the_means_of_training(rng):
    conditions = np.array([0, 1, 2, 3] * 4 + [4, 4, 4])
    source, target = rng.normal(size=(19, 2)), rng.normal(size=(19, 1))
    found = compute_communication(source, target, conditions=conditions, n_folds=4, ridge=0)
    for fold, test in enumerate(np.array_split(np.arange(19), 4)):
        train = np.setdiff1d(np.arange(19), test)
        parts = []
        for values in (source, target):
            own, left = values.copy(), values.copy()
            for number in range(5):
                of_train, of_test = (rows[conditions[rows] == number] for rows in (train, test))
                n = len(of_train)
                if n:
                    own[of_train] -= values[of_train].mean(axis=0)
                if len(of_test):
                    mean = values[of_train if n else of_test].mean(axis=0)
                    left[of_test] -= mean
                    left[of_test] *= np.sqrt(n / (n + 1)) if n else 1
            parts += [own[train], left[test]]
        seen, asked, predictors, wanted = parts[0], parts[2], parts[1], parts[3]
        weights = np.linalg.lstsq(seen, asked, rcond=None)[0]
        expected = 1 - ((wanted - predictors @ weights) ** 2).sum() / (wanted**2).sum()
        assert found.full[fold] == pytest.approx(expected)


@pytest.mark.parametrize("n_repeats", [2, 5])
def test_shared_variance__within_conditions_is_what_was_planted(rng, n_repeats):
    counts, percent = draw_factors(rng, 3, n=1000)
    conditions = show(rng, 1000 // n_repeats, n_repeats)
    counts += rng.normal(0, 5, (1000, 30))[conditions]
    found = compute_shared_variance(counts, conditions=conditions)
    assert found.attrs["n_factors"] == 3
    np.testing.assert_allclose(found.percent_shared, percent, atol=15)
    # the likelihood of what is left out does not depend on how many are averaged
    true = compute_shared_variance(counts, conditions=conditions, n_folds=20, n_factors=3)
    few = compute_shared_variance(counts, conditions=conditions, n_folds=3, n_factors=3)
    assert float(few.log_likelihood[0]) == pytest.approx(float(true.log_likelihood[0]), abs=1)


def test_populations__need_two_presentations_of_a_condition(rng):
    counts = rng.normal(size=(20, 4))
    for conditions in (np.arange(20), np.tile(np.arange(10), 2)):
        with pytest.raises(InvalidArgumentError, match="a fold leaves 0 differences within condi"):
            compute_communication(counts[:, :2], counts[:, 2:], conditions=conditions, n_folds=2)
        with pytest.raises(InvalidArgumentError, match="give another n_folds, or the conditions a"):
            compute_shared_variance(counts, conditions=conditions, n_folds=2)
    once = np.r_[np.arange(1, 11), np.zeros(10)]
    with pytest.raises(
        InvalidArgumentError, match="9 differences within conditions to train on and 0 to"
    ):
        compute_shared_variance(counts, conditions=once, n_folds=2)


@pytest.mark.parametrize("conditions", [None, np.arange(40) % 10])
def test_communication__constant_units_predict_nothing(rng, conditions):
    source, target = np.full((40, 2), 0.1), rng.normal(size=(40, 3))
    for one, other in ((source, target), (target, source)):
        found = compute_communication(one, other, conditions=conditions, n_folds=5)
        assert found.attrs["n_dimensions"] == 0
    assert (compute_communication(source, target).performance == 0).all()
