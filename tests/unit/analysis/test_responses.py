from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr

from spikehouse.analysis import StimulusResponses
from spikehouse.analysis.evoked import adjust_p_values, compute_evoked_responses
from spikehouse.analysis.responses import (
    compute_conditionwise_psth,
    compute_rasters_by_condition,
    smooth_rates,
)
from spikehouse.errors import InvalidArgumentError
from spikehouse.spikes import compute_time_domain, count_spikes

TIME = "time_relative_to_stimulus_onset"


@pytest.fixture
def presentations() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "start_time": [0.0, 1.0, 2.0, 3.0],
            "stop_time": [0.5, 1.5, 2.5, 3.5],
            "stimulus_condition_id": [7, 4, 7, 4],
        },
        index=pd.Index([10, 11, 12, 13], name="stimulus_presentation_id"),
    )


SPIKES = {2: np.array([0.125, 0.25, 1.0, 2.0, 2.125, 3.9]), 1: np.array([])}


def test_conditionwise_psth__by_hand(presentations: pd.DataFrame) -> None:
    psth = compute_conditionwise_psth(SPIKES, [2, 1], presentations, bin_edges=[0, 0.25, 0.5])
    assert psth.dims == ("stimulus_condition_id", TIME, "unit_id")
    assert psth.stimulus_condition_id.values.tolist() == [4, 7]
    assert psth[TIME].values.tolist() == [0.125, 0.375]
    # condition 7: 0.125 and 2.0, 2.125 in the first bin; 0.25 in the second
    assert psth.sel(unit_id=2).values.tolist() == [[2.0, 0.0], [6.0, 2.0]]
    assert (psth.sel(unit_id=1) == 0).all()
    assert psth.n_presentations.values.tolist() == [2, 2]
    assert psth.attrs["units"] == "spikes/s"


def test_conditionwise_psth__counts_equal_those_of_every_presentation(
    rng: np.random.Generator, presentations: pd.DataFrame
) -> None:
    spikes = {unit: np.sort(rng.uniform(-1, 5, 80)) for unit in range(5)}
    edges = np.linspace(-0.5, 0.5, 21)
    psth = compute_conditionwise_psth(
        spikes, range(5), presentations, bin_edges=edges, use_rates=False
    )
    counts = count_spikes(spikes, range(5), compute_time_domain(edges, presentations["start_time"]))
    for position, condition in enumerate([4, 7]):
        shown = (presentations["stimulus_condition_id"] == condition).to_numpy()
        np.testing.assert_allclose(psth[position], counts[shown].mean(axis=0), rtol=1e-15)


def test_conditionwise_psth__without_condition_is_left_out(presentations: pd.DataFrame) -> None:
    presentations["stimulus_condition_id"] = [7.0, np.nan, 7.0, np.nan]
    psth = compute_conditionwise_psth(SPIKES, [2], presentations, bin_edges=[0, 0.5])
    assert psth.stimulus_condition_id.values.tolist() == [7]
    empty = compute_conditionwise_psth(SPIKES, [2], presentations.iloc[:0], bin_edges=[0, 0.5])
    assert empty.sizes == {"stimulus_condition_id": 0, TIME: 1, "unit_id": 1}


def test_conditionwise_psth__a_bin_of_no_width_has_no_rate(presentations: pd.DataFrame) -> None:
    psth = compute_conditionwise_psth(SPIKES, [2], presentations, bin_edges=[0, 0, 0.5])
    assert np.isnan(psth[:, 0]).all()
    assert np.isfinite(psth[:, 1]).all()


def test_compute_conditionwise_psth__gaps(presentations: pd.DataFrame) -> None:
    call = partial(compute_conditionwise_psth, SPIKES, [2, 1], presentations)
    psth = call(bin_edges=[(-0.2, 0.0), (0.1, 0.5)])
    np.testing.assert_array_equal(psth, call(bin_edges=[-0.2, 0.0, 0.1, 0.5])[:, [0, 2]])
    assert psth["window_start"].values.tolist() == [-0.2, 0.1]


def test_conditionwise_psth__missing_column(presentations: pd.DataFrame) -> None:
    table = presentations.drop(columns="stimulus_condition_id")
    with pytest.raises(InvalidArgumentError, match="no column 'stimulus_condition_id'; it has"):
        compute_conditionwise_psth(SPIKES, [2], table, bin_edges=[0, 0.5])


def make_rates(values: np.ndarray, step: float = 0.01) -> xr.DataArray:
    times = step * np.arange(values.shape[-1])
    return xr.DataArray(values, dims=("unit_id", TIME), coords={TIME: times}, attrs={"a": 1})


def test_smooth_rates__equals_brute_force(rng: np.random.Generator) -> None:
    values = rng.random((3, 40))
    smooth = smooth_rates(make_rates(values), sigma=0.02)
    apart = np.abs(np.arange(40)[:, None] - np.arange(40))
    weights = np.where(apart <= 8, np.exp(-0.5 * (apart / 2) ** 2), 0)
    expected = values @ (weights / weights.sum(axis=1, keepdims=True)).T
    np.testing.assert_allclose(smooth, expected, rtol=1e-12)
    assert smooth.attrs == {"a": 1, "sigma": 0.02}


def test_smooth_rates__constants_stay_and_nan_does_not_spread() -> None:
    values = np.full((2, 30), 7.0)
    values[0, 12:15] = np.nan
    smooth = smooth_rates(make_rates(values), sigma=0.05)
    np.testing.assert_array_equal(np.isnan(smooth), np.isnan(values))
    np.testing.assert_allclose(smooth.values[~np.isnan(values)], 7.0, rtol=1e-12)


def test_smooth_rates__errors() -> None:
    rates = make_rates(np.zeros((1, 5)))
    with pytest.raises(InvalidArgumentError, match="sigma is 0; give the standard devi"):
        smooth_rates(rates, sigma=0)
    uneven = rates.assign_coords({TIME: [0, 1, 2, 4, 5]})
    with pytest.raises(InvalidArgumentError, match="1 to 2 s apart; smoothing needs evenly"):
        smooth_rates(uneven, sigma=1)
    with pytest.raises(InvalidArgumentError, match="a dimension 'when' with two times or more"):
        smooth_rates(rates, sigma=1, dim="when")


def test_rasters_by_condition__by_hand(presentations: pd.DataFrame) -> None:
    raster = compute_rasters_by_condition(SPIKES, [1, 2], presentations)
    assert raster["unit_id"].tolist() == [2] * 5
    # rows: condition 4 at 1 s and 3 s, condition 7 at 0 s and 2 s
    assert raster["row"].tolist() == [0, 2, 2, 3, 3]
    assert raster["stimulus_condition_id"].tolist() == [4, 7, 7, 7, 7]
    assert raster["stimulus_presentation_id"].tolist() == [11, 10, 10, 12, 12]
    since = raster["time_since_stimulus_presentation_onset"]
    assert since.tolist() == [0.0, 0.125, 0.25, 0.0, 0.125]
    assert raster.attrs == {"n_rows": 4, "first_rows": {4: 0, 7: 2}}


def test_rasters_by_condition__windows_reach_before_the_onset(
    presentations: pd.DataFrame,
) -> None:
    raster = compute_rasters_by_condition(SPIKES, [2], presentations, window=(-0.125, 0.95))
    assert raster["time_since_stimulus_presentation_onset"].tolist() == pytest.approx(
        [0.0, 0.9, 0.125, 0.25, 0.0, 0.125]
    )
    nothing = compute_rasters_by_condition({1: np.array([])}, [1], presentations)
    assert nothing.empty
    assert list(nothing.columns) == list(raster.columns)


def test_rasters_by_condition__errors(presentations: pd.DataFrame) -> None:
    with pytest.raises(InvalidArgumentError, match=r"window=\(0.5, 0\): give the first and the"):
        compute_rasters_by_condition(SPIKES, [2], presentations, window=(0.5, 0))
    with pytest.raises(InvalidArgumentError, match="unit 2 is 2 times among the 2 unit_ids; give"):
        compute_rasters_by_condition(SPIKES, [2, 2], presentations)
    presentations["stimulus_condition_id"] = [1, 2, np.nan, np.nan]
    with pytest.raises(InvalidArgumentError, match="2 presentations have no stimulus_condition_id"):
        compute_rasters_by_condition(SPIKES, [2], presentations)


# ---- evoked against baseline


class Trials:
    """Units that fire the given numbers of spikes before and after each onset."""

    def __init__(self, before: np.ndarray, after: np.ndarray) -> None:
        self.onsets = np.arange(len(before)) * 1.0 + 1
        self.change = (after - before).astype(float)
        self.units = list(range(before.shape[1]))
        self.spikes = {}
        for unit in self.units:
            pieces = []
            for onset, n_before, n_after in zip(
                self.onsets, before[:, unit], after[:, unit], strict=True
            ):
                pieces.append(onset - 0.25 + 0.2 * np.linspace(0, 1, n_before))
                pieces.append(onset + 0.01 + 0.2 * np.linspace(0, 1, n_after))
            self.spikes[unit] = np.concatenate(pieces)


@pytest.fixture
def trials(rng: np.random.Generator) -> Trials:
    before = rng.poisson(3, (30, 6))
    after = rng.poisson([3, 4, 5, 3, 2, 8], (30, 6))
    before[:, 3] = after[:, 3] = 0
    return Trials(before, after)


def test_evoked_responses__equals_scipy(trials: Trials) -> None:
    change = trials.change
    ranks = compute_evoked_responses(trials.spikes, trials.units, trials.onsets)
    means = compute_evoked_responses(trials.spikes, trials.units, trials.onsets, test="t")
    for unit in [0, 1, 2, 4, 5]:
        expected = scipy.stats.wilcoxon(
            change[:, unit], zero_method="wilcox", correction=False, method="approx"
        )
        assert ranks.loc[unit, "p_value"] == pytest.approx(expected.pvalue, rel=1e-12)
        expected = scipy.stats.ttest_1samp(change[:, unit], 0)
        assert means.loc[unit, "p_value"] == pytest.approx(expected.pvalue, rel=1e-9)
        assert means.loc[unit, "statistic"] == pytest.approx(expected.statistic)
        size = change[:, unit].mean() / change[:, unit].std(ddof=1)
        assert ranks.loc[unit, "effect_size"] == pytest.approx(size)
    np.testing.assert_allclose(ranks["rate_change"], change.mean(axis=0) / 0.25, atol=1e-12)
    kept = ranks.index != 3
    np.testing.assert_allclose(
        ranks["p_adjusted"][kept], scipy.stats.false_discovery_control(ranks["p_value"][kept])
    )
    assert ranks["is_responsive"][5]


def test_evoked_responses__sign_flips_equal_all_flips(rng: np.random.Generator) -> None:
    trials = Trials(rng.poisson(2, (8, 3)), rng.poisson([2, 4, 6], (8, 3)))
    table = compute_evoked_responses(
        trials.spikes, trials.units, trials.onsets, test="sign-flip", n_resamples=40_000
    )
    signs = np.array(np.meshgrid(*[[-1, 1]] * 8)).reshape(8, -1).T
    exact = (np.abs(signs @ trials.change) >= np.abs(trials.change.sum(axis=0))).mean(axis=0)
    np.testing.assert_allclose(table["p_value"], exact, atol=0.01)
    again = compute_evoked_responses(
        trials.spikes, trials.units, trials.onsets, test="sign-flip", n_resamples=40_000
    )
    pd.testing.assert_frame_equal(table, again)
    with_all = (table["p_value"] * 40_001).to_numpy()
    np.testing.assert_allclose(with_all, np.rint(with_all))


@pytest.mark.parametrize("test", ["wilcoxon", "t", "sign-flip"])
def test_evoked_responses__what_cannot_be_tested_is_nan(test: str, trials: Trials) -> None:
    names = ["effect_size", "statistic", "p_value", "p_adjusted"]
    silent = compute_evoked_responses(trials.spikes, trials.units, trials.onsets, test=test).loc[3]
    assert silent[names].isna().all()
    assert not silent["is_responsive"]
    assert silent["evoked_rate"] == 0
    one = compute_evoked_responses(trials.spikes, trials.units, trials.onsets[:1], test=test)
    assert one[names].isna().all(axis=None)
    assert not one["is_responsive"].any()
    none = compute_evoked_responses(trials.spikes, trials.units, [], test=test)
    assert none.drop(columns="is_responsive").isna().all(axis=None)
    assert compute_evoked_responses(trials.spikes, [], trials.onsets, test=test).empty


def test_evoked_responses__constant_differences() -> None:
    trials = Trials(np.full((10, 1), 1), np.full((10, 1), 3))
    table = compute_evoked_responses(trials.spikes, [0], trials.onsets, test="t")
    assert table.loc[0, "effect_size"] == np.inf
    assert table.loc[0, "p_value"] == 0
    assert table.loc[0, "is_responsive"]


def test_evoked_responses__keeps_the_false_discovery_rate(rng: np.random.Generator) -> None:
    trials = Trials(rng.poisson(2, (40, 400)), rng.poisson(2, (40, 400)))
    table = compute_evoked_responses(trials.spikes, trials.units, trials.onsets)
    assert (table["p_value"] < 0.05).mean() == pytest.approx(0.05, abs=0.03)
    assert table["is_responsive"].sum() <= 2


def test_evoked_responses__errors(trials: Trials) -> None:
    with pytest.raises(InvalidArgumentError, match=r"window lasts 0.1 s and baseline 0.25 s: te"):
        compute_evoked_responses(trials.spikes, [0], trials.onsets, window=(0, 0.1))
    compute_evoked_responses(trials.spikes, [0], trials.onsets, window=(0, 0.1), test="t")
    with pytest.raises(InvalidArgumentError, match=r"test='tt'; did you mean 't'\? Valid: 'wilc"):
        compute_evoked_responses(trials.spikes, [0], trials.onsets, test="tt")
    with pytest.raises(InvalidArgumentError, match="not finite, the first at position 1; leave"):
        compute_evoked_responses(trials.spikes, [0], [1.0, np.nan])
    with pytest.raises(InvalidArgumentError, match="n_resamples is 0; give one or more"):
        compute_evoked_responses(trials.spikes, [0], trials.onsets, test="sign-flip", n_resamples=0)


def test_adjust_p_values__equals_scipy_and_passes_over_nan(rng: np.random.Generator) -> None:
    given = rng.random((3, 50)) ** 3
    expected = scipy.stats.false_discovery_control(given, axis=1)
    np.testing.assert_allclose(adjust_p_values(given), expected)
    np.testing.assert_allclose(adjust_p_values(given.T, axis=0), expected.T)
    with_nan = np.insert(given, 7, np.nan, axis=1)
    np.testing.assert_allclose(adjust_p_values(with_nan), np.insert(expected, 7, np.nan, axis=1))
    assert np.isnan(adjust_p_values([np.nan, np.nan])).all()
    assert adjust_p_values([]).shape == (0,)
    with pytest.raises(InvalidArgumentError, match=r"1 p-values lie outside \[0, 1\], the first"):
        adjust_p_values([0.5, 1.5])


@pytest.mark.parametrize(
    ("change", "counts", "units", "message"),
    [
        ({}, np.ones((4, 2)), [1, 1], "1"),
        ({}, np.full((4, 2), "a"), [1, 2], "counts must be numbers"),
        ({}, np.full((4, 2), None), [1, 2], "counts must be"),
        ({"start_time": np.nan}, np.ones((4, 2)), [1, 2], "presentation 10"),
        ({"stop_time": -1.0}, np.ones((4, 2)), [1, 2], "presentation 10"),
    ],
)
def test_from_counts__refuses(change, counts, units, message):
    start = np.arange(4.0)
    presentations = pd.DataFrame(
        {"start_time": start, "stop_time": start + 0.25, "stimulus_condition_id": 0},
        index=pd.Index([10, 11, 12, 13], name="stimulus_presentation_id"),
    ).assign(**change)
    with pytest.raises(InvalidArgumentError, match=message):
        StimulusResponses.from_counts(counts, presentations, units)
