"""First spikes, decay timescales and area statistics against brute force."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal, stats

from spikehouse.analysis import (
    HIERARCHY_SCORES,
    compute_area_comparisons,
    compute_area_statistics,
    compute_hierarchy_correlation,
    compute_time_to_first_spike,
)
from spikehouse.analysis.decay import _correlate_trials
from spikehouse.analysis.hierarchy import _fit_lines

SEEDS = st.integers(0, 2**32 - 1)
NAMES = [*HIERARCHY_SCORES]


@given(SEEDS)
def test_compute_time_to_first_spike__is_the_median_of_first_bins(seed: int) -> None:
    rng = np.random.default_rng(seed)
    onsets = np.cumsum(rng.uniform(0.1, 1.0, rng.integers(1, 12)))
    spikes = {u: np.sort(rng.uniform(0, 12, rng.integers(0, 200))) for u in (4, 2)}
    table = compute_time_to_first_spike(spikes, [4, 2], onsets)
    edges = 0.03 + np.arange(171) * 0.001
    for unit, times in spikes.items():
        found = []
        for onset in onsets:
            counts = np.histogram(times, onset + edges)[0]
            found += [edges[np.flatnonzero(counts)[0]]] if counts.any() else []
        assert table.loc[unit, "n_trials"] == len(found)
        expected = np.percentile(found, 50, method="lower") if found else np.nan
        np.testing.assert_allclose(table.loc[unit, "time_to_first_spike"], expected)


@given(SEEDS, st.integers(2, 9), st.integers(7, 12))
def test_correlate_trials__is_the_correlation_of_scipy(seed: int, n: int, n_bins: int) -> None:
    counts = np.random.default_rng(seed).poisson(0.6, (3, n, n_bins)).astype(float)
    for own, found in zip(counts, _correlate_trials(counts), strict=True):
        both = signal.correlate(own, own, mode="same", method="direct")
        shifted = np.delete(both, n // 2, axis=0)
        np.testing.assert_allclose(found, shifted.mean(axis=0)[n_bins // 2 :], atol=1e-9)


def draw(seed: int) -> pd.DataFrame:
    """Draw units of some areas in some sessions, not every area in every session."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 80))
    areas = rng.choice(NAMES[: rng.integers(3, 9)], n)
    value = rng.normal(size=n) + [2 * HIERARCHY_SCORES[name] for name in areas]
    return pd.DataFrame({"area": areas, "value": value, "session": rng.integers(0, 6, n) + 70})


@given(SEEDS)
def test_compute_hierarchy_correlation__is_that_of_scipy_over_means(seed: int) -> None:
    units = draw(seed)
    found = compute_hierarchy_correlation(units["value"], units["area"], n_resamples=0)
    means = units.groupby("area")["value"].mean()
    assert found["n_areas"] == len(means)
    if len(means) < 3:
        assert np.isnan(found["pearson_r"])
        return
    line = stats.linregress([HIERARCHY_SCORES[name] for name in means.index], means)
    expected = [line.rvalue, line.pvalue, line.slope, line.intercept]
    ours = found[["pearson_r", "pearson_p", "slope", "intercept"]]
    np.testing.assert_allclose(ours.to_numpy(), expected, rtol=1e-6, atol=1e-9)
    ranks = stats.spearmanr([HIERARCHY_SCORES[name] for name in means.index], means)
    np.testing.assert_allclose(found["spearman_r"], ranks.statistic)
    if abs(ranks.statistic) < 1 - 1e-9:
        np.testing.assert_allclose(found["spearman_p"], ranks.pvalue)


@given(SEEDS)
def test_compute_area_comparisons__are_adjusted_rank_sums(seed: int) -> None:
    units = draw(seed)
    table = compute_area_comparisons(units["value"], units["area"])
    groups = dict(list(units.groupby("area")["value"]))
    assert len(table) == len(groups) * (len(groups) - 1) // 2
    p = [stats.ranksums(groups[r.area], groups[r.other_area]).pvalue for r in table.itertuples()]
    np.testing.assert_allclose(table["p_value"], p)
    if p:
        np.testing.assert_allclose(table["p_adjusted"], stats.false_discovery_control(p))


@given(SEEDS)
def test_compute_area_statistics__intervals_are_about_normal(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(5.0, 2.0, 400)
    row = compute_area_statistics(values, ["VISp"] * 400, seed=seed % 1000).loc["VISp"]
    error = 1.96 * values.std() / 20
    assert row["n"] == 400
    np.testing.assert_allclose(row["mean"], values.mean())
    np.testing.assert_allclose(row["half_width"], error, rtol=0.25)
    np.testing.assert_allclose((row["ci_high"] - row["ci_low"]) / 2, error, rtol=0.25)


@given(SEEDS)
def test_omega_squared__is_that_of_a_balanced_table(seed: int) -> None:
    """With every area in every session, sums of squares need no model."""
    rng = np.random.default_rng(seed)
    n_areas, n_sessions = (int(n) for n in rng.integers(3, 7, 2))
    cells = rng.normal(size=(n_areas, n_sessions)) + rng.normal(size=n_areas)[:, None]
    area, session = np.indices(cells.shape)
    names = np.array(NAMES)[area.ravel()]
    found = compute_hierarchy_correlation(
        cells.ravel(), names, session.ravel() + 100, n_resamples=0
    )
    grand = cells.mean()
    ss_area = n_sessions * ((cells.mean(axis=1) - grand) ** 2).sum()
    ss_session = n_areas * ((cells.mean(axis=0) - grand) ** 2).sum()
    df_area, df_error = n_areas - 1, (n_areas - 1) * (n_sessions - 1)
    ms_error = (((cells - grand) ** 2).sum() - ss_area - ss_session) / df_error
    np.testing.assert_allclose(found["area_f"], ss_area / df_area / ms_error, rtol=1e-8)
    above = ss_area - df_area * ms_error
    expected = above / (ss_area + (cells.size - df_area) * ms_error)
    np.testing.assert_allclose(found["omega_squared"], expected, rtol=1e-8)
    # sessions of one area cannot tell areas apart, and change nothing
    n_more = int(rng.integers(1, 40))
    more = compute_hierarchy_correlation(
        np.append(cells.ravel(), rng.normal(size=n_more)),
        np.append(names, rng.choice(names, n_more)),
        np.append(session.ravel() + 100, np.arange(n_more) + 200),
        n_resamples=0,
    )
    effect = ["omega_squared", "area_f", "area_p"]
    np.testing.assert_allclose(more[effect], found[effect], rtol=1e-8)


@given(SEEDS)
def test_fit_lines__as_one_row_at_a_time(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.broadcast_to(rng.normal(size=6), (4, 6))
    y = rng.normal(size=(4, 6))
    y[rng.random((4, 6)) < 0.4] = np.nan
    for row, (r, slope) in enumerate(zip(*_fit_lines(x, y), strict=True)):
        known = np.isfinite(y[row])
        if known.sum() < 3:
            assert np.isnan(r)
            continue
        line = stats.linregress(x[row, known], y[row, known])
        np.testing.assert_allclose([r, slope], [line.rvalue, line.slope], rtol=1e-6, atol=1e-9)
