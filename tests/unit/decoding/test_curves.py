"""Decoding again and again: windows, draws of units, areas, shuffled labels."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_info

from spikehouse.decoding import (
    _engine,
    decode,
    decode_against_chance,
    decode_by_area,
    decode_by_unit_count,
    decode_over_time,
)
from spikehouse.errors import InvalidArgumentError, NotFoundError
from spikehouse.spikes import count_spikes

FAST = "poisson-naive-bayes"
LATENCY = 0.1


def tuned_counts(rng, n_repeats=12, n_classes=4, n_units=10):
    targets = np.tile(np.arange(n_classes), n_repeats)
    rates = rng.uniform(1, 9, (n_classes, n_units))
    return rng.poisson(rates[targets]), targets


@pytest.fixture
def recording(rng):
    """Give spike times of 6 units that tell an orientation from 0.1 to 0.2 s, and what was shown.

    Two blocks; presentations of 0.25 s, one a second.
    """
    shown = pd.DataFrame(
        {
            "start_time": np.arange(60.0),
            "stop_time": np.arange(60.0) + 0.25,
            "orientation": np.tile([0.0, 45.0, 90.0], 20),
            "stimulus_block": np.repeat([2, 5], 30),
        },
        index=pd.Index(np.arange(60) + 700, name="stimulus_presentation_id"),
    )
    times = {}
    for unit in range(6):
        rest = rng.uniform(-1, 61, 400)
        prefers = shown["orientation"] == 45.0 * (unit % 3)
        starts = shown["start_time"].to_numpy()[prefers] + LATENCY
        driven = (starts[:, None] + rng.uniform(0, 0.1, (starts.size, 6))).ravel()
        times[100 + unit] = np.sort(np.concatenate([rest, driven]))
    return times, shown


def test_decode_over_time__rises_at_the_latency(recording):
    times, shown = recording
    curve = decode_over_time(times, list(times), shown, "orientation", span=(-0.1, 0.25), cv=4)
    assert curve.dims == ("time_relative_to_stimulus_onset", "fold")
    np.testing.assert_allclose(curve.window_start, [-0.1, -0.05, 0, 0.05, 0.1, 0.15, 0.2])
    np.testing.assert_allclose(curve.window_stop - curve.window_start, 0.05)
    means = curve.mean("fold").to_numpy()
    assert means[:4].max() < 0.6
    assert means[4:6].min() > 0.9
    assert curve.attrs["chance"] == pytest.approx(1 / 3)
    assert (curve.attrs["n_units"], curve.attrs["n_presentations"]) == (6, 60)
    assert curve.attrs["estimator"] == "SVC(kernel='rbf', gamma='scale')"
    assert "<xarray.DataArray 'accuracy'" in repr(curve)


def test_decode_over_time__each_window_is_a_decode_of_its_counts(recording):
    times, shown = recording
    windows = [(0.0, 0.1), (0.05, 0.2), (0.0, 0.25), (-0.2, -0.1)]
    curve = decode_over_time(
        times, list(times), shown, shown["orientation"], windows=windows, cv="blocked",
        groups="stimulus_block",
    )  # fmt: skip
    for window, accuracies in zip(windows, curve, strict=True):
        domain = shown["start_time"].to_numpy()[:, None] + np.array(window)
        counts = count_spikes(times, list(times), domain)[:, 0]
        expected = decode(
            counts, shown["orientation"].to_numpy(), cv="blocked", groups=shown["stimulus_block"]
        )
        np.testing.assert_array_equal(accuracies, expected.accuracies)
    assert curve.attrs["cv"] == "BlockedKFold(n_splits=2, gap=0)"


def test_decode_over_time__default_windows_end_with_the_shortest_presentation(recording):
    times, shown = recording
    shown.loc[703, "stop_time"] -= 0.02
    curve = decode_over_time(times, [100], shown, "orientation", step=0.025, estimator=FAST)
    np.testing.assert_allclose(curve.window_stop[[0, -1]], [0.05, 0.225])
    assert curve.sizes["time_relative_to_stimulus_onset"] == 8


def test_decode_over_time__takes_whatever_has_spike_times(recording):
    class Session:
        spike_times = recording[0]

    options = {"span": (0, 0.2), "estimator": FAST}
    by_session = decode_over_time(Session(), [100, 103], recording[1], "orientation", **options)
    by_times = decode_over_time(recording[0], [100, 103], recording[1], "orientation", **options)
    xr.testing.assert_identical(by_session, by_times)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"windows": [(0, 0.1)], "span": (0, 1)}, "windows cannot be combined"),
        ({"windows": [0, 0.1]}, r"pairs of \(start, stop\) in s.*shape \(2,\)"),
        ({"windows": []}, "these have the shape"),
        ({"windows": [(0, 0.1), (0.2, 0.1)]}, r"window 1 is \(0.2, 0.1\); a window must stop"),
        ({"windows": [(0, np.nan)]}, "window 0 is"),
        ({"span": (0, 0.01)}, r"no window of bin_width=0.05 s fits into \(0, 0.01\) s"),
        ({"bin_width": 0}, "bin_width=0 and step=None; valid: lengths above 0 s"),
        ({"step": -1}, "step=-1; valid"),
        ({"targets": "orientatoin"}, "is no column of presentations; did you mean 'orientation'"),
        ({"groups": "block"}, "groups='block' is no column"),
        ({"targets": [1, 2]}, "design has 60 rows"),
    ],
)
def test_decode_over_time__refuses_invalid_arguments(recording, options, message):
    times, shown = recording
    options = {"targets": "orientation"} | options
    with pytest.raises(InvalidArgumentError, match=message):
        decode_over_time(times, list(times), shown, options.pop("targets"), **options)


def test_decode_over_time__refuses_unknown_units_and_missing_times(recording):
    times, shown = recording
    with pytest.raises(NotFoundError, match="no unit 9; did you mean 100"):
        decode_over_time(times, [9], shown, "orientation")
    with pytest.raises(InvalidArgumentError, match="presentations has no column 'stop_time'"):
        decode_over_time(times, [100], shown.drop(columns="stop_time"), "orientation")
    shown.loc[705, "start_time"] = np.nan
    with pytest.raises(
        InvalidArgumentError, match="1 of 60 onsets are not finite, the first that of 705"
    ):
        decode_over_time(times, [100], shown, "orientation", span=(0, 1))


def test_decode_by_unit_count__more_units_tell_more(rng):
    design, targets = tuned_counts(rng, n_units=24)
    curve = decode_by_unit_count(design, targets, n_draws=4, cv="stratified")
    assert curve.dims == ("n_units", "draw")
    assert curve.n_units.to_numpy().tolist() == [1, 2, 5, 10, 20, 24]
    means = curve.mean("draw").to_numpy()
    assert means[0] < means[3] < means[-1] + 1e-9
    whole = decode(design, targets, cv="stratified").mean_accuracy
    np.testing.assert_array_equal(curve.sel(n_units=24), whole)
    assert curve.attrs["n_units_available"] == 24


def test_decode_by_unit_count__is_the_same_for_a_seed(rng):
    design, targets = tuned_counts(rng)
    first = decode_by_unit_count(design, targets, n_units=[2, 5], n_draws=3, seed=4)
    other = decode_by_unit_count(design, targets, n_units=[5], n_draws=6, seed=4, n_jobs=1)
    np.testing.assert_array_equal(first.sel(n_units=5), other.sel(n_units=5)[:3])
    another = decode_by_unit_count(design, targets, n_units=[2, 5], n_draws=3, seed=5)
    assert (first != another).any()


@pytest.mark.parametrize("value", [0, 11, 2.5, "many", []])
def test_decode_by_unit_count__refuses_numbers_it_has_not(rng, value):
    design, targets = tuned_counts(rng)
    with pytest.raises(InvalidArgumentError, match="from 1 to the 10 units of the design"):
        decode_by_unit_count(design, targets, n_units=value)


@pytest.mark.parametrize("value", [0, 1.5, True])
def test_decode_by_unit_count__refuses_no_draws(rng, value):
    design, targets = tuned_counts(rng)
    with pytest.raises(InvalidArgumentError, match=r"n_draws=.*; valid: a whole number from 1"):
        decode_by_unit_count(design, targets, n_draws=value)


@pytest.mark.parametrize("estimator", ["svc", FAST, "ridge"])
@pytest.mark.parametrize("n_jobs", [1, 2, None])
def test_run__progress_counts_up(rng, estimator, n_jobs):
    design, targets = tuned_counts(rng)
    seen = []
    decode_by_unit_count(
        design, targets, n_units=[2, 3], n_draws=3, estimator=estimator, n_jobs=n_jobs,
        progress=lambda done, n: seen.append((done, n)),
    )  # fmt: skip
    assert seen == [(done, 6) for done in range(1, 7)]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_run__stops_when_progress_raises(rng, n_jobs):
    design, targets = tuned_counts(rng)

    def stop(done, n):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decode_by_unit_count(design, targets, n_units=[2], n_jobs=n_jobs, progress=stop)


def test_run__processes_do_not_change_a_bit_and_keep_notes(rng, monkeypatch):
    design, targets = tuned_counts(rng)
    model = LinearSVC(random_state=3, dual=True, max_iter=1)
    options = {"n_units": [3, 6], "n_draws": 2, "estimator": model}
    alone = decode_by_unit_count(design, targets, n_jobs=1, **options)
    monkeypatch.setattr(_engine, "WORTH_A_PROCESS_SECONDS", 0.0)
    apart = decode_by_unit_count(design, targets, n_jobs=2, **options)
    xr.testing.assert_identical(apart, alone)
    assert alone.attrs["notes"].startswith("20 warnings in 20 fits that a model did not converge")


class CountsThreads(ClassifierMixin, BaseEstimator):
    """Notes how many threads linear algebra may use while it is fitted."""

    seen: ClassVar[list[int]] = []

    def fit(self, X, y):
        blas = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
        self.seen.extend(pool["num_threads"] for pool in blas)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_run__linear_algebra_stays_on_one_thread(rng, n_jobs):
    design, targets = tuned_counts(rng)
    CountsThreads.seen.clear()
    before = [pool["num_threads"] for pool in threadpool_info()]
    decode(design, targets, estimator=CountsThreads(), n_jobs=n_jobs)
    decode_by_unit_count(design, targets, estimator=CountsThreads(), n_units=[3], n_jobs=n_jobs)
    assert set(CountsThreads.seen) == {1}
    assert [pool["num_threads"] for pool in threadpool_info()] == before


@pytest.fixture
def areas(rng):
    """Give counts of 12 units in VISp that tell the class, 15 in CA1 that do not, and a table."""
    targets = np.tile([0, 1], 40)
    tells = np.repeat([True, False], [12, 18])
    design = rng.poisson(np.where((targets[:, None] == 1) & tells, 8, 3))
    units = pd.DataFrame(
        {"ecephys_structure_acronym": ["VISp"] * 12 + ["CA1"] * 15 + ["", None, "LP"]},
        index=pd.Index(np.arange(30) + 500, name="unit_id"),
    )
    counts = xr.DataArray(
        design,
        dims=("stimulus_presentation_id", "unit_id"),
        coords={"stimulus_presentation_id": np.arange(80) + 9, "unit_id": units.index},
    )
    return counts, targets, units


def test_decode_by_area__compares_equal_numbers(areas):
    counts, targets, units = areas
    result = decode_by_area(counts, targets, units, n_draws=5, cv="stratified")
    assert result.area.to_numpy().tolist() == ["CA1", "VISp"]
    assert result.n_units_available.to_numpy().tolist() == [15, 12]
    assert result.attrs["n_units"] == 12
    means = result.mean("draw")
    assert float(means.sel(area="VISp")) > 0.95
    assert float(means.sel(area="CA1")) < 0.65
    # all of VISp: every draw is the same twelve
    alone = decode(counts[:, :12], targets, cv="stratified").mean_accuracy
    np.testing.assert_array_equal(result.sel(area="VISp"), alone)
    assert "left out for too few units: LP 1" in result.attrs["notes"]
    assert "VISp: all 5 draws take all 12 units, so they are equal" in result.attrs["notes"]


def test_decode_by_area__areas_follow_the_unit_ids(areas):
    counts, targets, units = areas
    expected = decode_by_area(counts, targets, units, n_draws=2, estimator=FAST)
    mixed = units.sample(frac=1, random_state=0)
    for given in (mixed, mixed["ecephys_structure_acronym"]):
        found = decode_by_area(counts, targets, given, n_draws=2, estimator=FAST)
        xr.testing.assert_identical(found, expected)
    plain = units["ecephys_structure_acronym"].to_numpy()
    found = decode_by_area(counts.to_numpy(), targets, plain, n_draws=2, estimator=FAST)
    xr.testing.assert_identical(found, expected)
    renamed = units.rename(columns={"ecephys_structure_acronym": "area"})
    found = decode_by_area(
        counts.to_pandas(), targets, renamed, n_draws=2, estimator=FAST, area_column="area"
    )
    xr.testing.assert_identical(found, expected)


def test_decode_by_area__one_area_does_not_change_another(areas):
    counts, targets, units = areas
    both = decode_by_area(counts, targets, units, n_units=5, n_draws=3, estimator=FAST)
    alone = decode_by_area(
        counts[:, 12:], targets, units.iloc[12:], n_units=5, n_draws=3, estimator=FAST
    )
    np.testing.assert_array_equal(both.sel(area="CA1"), alone.sel(area="CA1"))


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda u: u, {"min_units": 16}, r"no area has 16 units \(CA1 15, LP 1, VISp 12\)"),
        (lambda u: u, {"n_units": 20}, "use a smaller n_units"),
        (lambda u: u, {"n_units": 0}, "n_units=0; valid: a whole number from 1"),
        (lambda u: u, {"area_column": "structure"}, "areas has no column 'structure'; did you"),
        (lambda u: u.iloc[:-2], {}, "areas has no value for 2 of 30 ids, such as 528"),
        (lambda u: pd.concat([u, u]), {}, "areas has several values for one id"),
        (lambda u: ["VISp"] * 3, {}, r"design has 30 columns \(units\) and areas 3 values"),
        (lambda u: [""] * 30, {}, "no unit has an area"),
    ],
)
def test_decode_by_area__refuses_what_does_not_fit(areas, change, options, message):
    counts, targets, units = areas
    with pytest.raises(InvalidArgumentError, match=message):
        decode_by_area(counts, targets, change(units), **options)


def test_decode_against_chance__tuned_units_beat_every_shuffle(rng):
    design, targets = tuned_counts(rng)
    result = decode_against_chance(
        design, targets, n_resamples=49, estimator=FAST, cv="stratified", seed=1
    )
    expected = decode(design, targets, estimator=FAST, cv="stratified", seed=1)
    assert result.accuracy == expected.mean_accuracy
    assert result.p_value == 1 / 50
    assert result.chance == pytest.approx(0.25, abs=0.05)
    assert result.shuffled.shape == (49,)
    assert not result.is_within_blocks
    text = str(result)
    assert text.startswith("ChanceResult: 49 shuffles over all presentations")
    assert "p-value          0.02" in text
    assert repr(result) == text
    assert "<table>" in result._repr_html_()
    with pytest.raises(AttributeError):
        result.p_value = 0.0


def test_decode_against_chance__p_counts_ties_and_the_true_labels(rng):
    # constant counts: every shuffle is as good as the truth
    result = decode_against_chance(
        np.ones((20, 2)), np.tile([0, 1], 10), n_resamples=9, estimator=FAST, cv="stratified"
    )
    assert result.p_value == 1.0


def test_decode_against_chance__is_the_same_for_a_seed_however_run(rng):
    design, targets = tuned_counts(rng)
    one = decode_against_chance(design, targets, n_resamples=8, n_jobs=1)
    two = decode_against_chance(design, targets, n_resamples=12, n_jobs=2)
    np.testing.assert_array_equal(one.shuffled, two.shuffled[:8])
    other = decode_against_chance(design, targets, n_resamples=8, seed=1)
    assert (other.shuffled.to_numpy() != one.shuffled.to_numpy()).any()


def test_decode_against_chance__shuffles_stay_within_blocks(rng):
    # blocks differ in rate and in how frequent a label is; within a block nothing is told
    block = np.repeat(np.arange(4), 30)
    targets = (rng.random(120) < np.where(block % 2, 0.9, 0.1)).astype(int)
    design = rng.poisson(np.where(block % 2, 9, 2)[:, None] * np.ones((1, 5)))
    options = {"n_resamples": 39, "estimator": FAST, "cv": "stratified"}
    blind = decode_against_chance(design, targets, **options)
    honest = decode_against_chance(design, targets, groups=block, **options)
    assert honest.is_within_blocks
    assert "within blocks" in str(honest)
    assert blind.p_value == 1 / 40
    assert honest.p_value > 0.1
    assert honest.chance == pytest.approx(honest.accuracy, abs=0.05)


def test_decode_against_chance__takes_splitters_and_given_folds(rng):
    design, targets = tuned_counts(rng)
    splitter = StratifiedKFold(4, shuffle=True, random_state=0)
    pairs = splitter.split(design, targets)
    result = decode_against_chance(design, targets, n_resamples=5, estimator=FAST, cv=pairs)
    assert result.cv == "given folds"
    assert result.accuracy == decode(design, targets, estimator=FAST, cv=splitter).mean_accuracy


def test_decode_against_chance__refuses_blocks_of_one_label():
    message = "each of the 2 blocks holds one label only: shuffling within blocks changes nothing"
    with pytest.raises(InvalidArgumentError, match=message):
        decode_against_chance(np.ones((8, 2)), [0, 0, 1, 1] * 2, groups=[3, 3, 4, 4] * 2, cv=2)


@pytest.mark.parametrize("missing", [np.nan, None, ""])
@pytest.mark.parametrize("make", [list, np.array, pd.Series, pd.Categorical])
def test_decode_by_area__makes_no_area_of_missing_names(rng, make, missing):
    design, targets = tuned_counts(rng, n_units=9)
    areas = make(["VISp"] * 3 + ["CA1"] * 3 + [missing] * 3)
    by_area = decode_by_area(design, targets, areas, n_units=2, n_draws=1, n_jobs=1)
    assert by_area["area"].to_numpy().tolist() == ["CA1", "VISp"]


@pytest.mark.parametrize("n_jobs", [0, float("nan"), 1.5, "all"])
def test_decode__refuses_a_number_of_cores_that_is_none(rng, n_jobs):
    design, targets = tuned_counts(rng)
    with pytest.raises(InvalidArgumentError, match="valid: a number of cores from 1"):
        decode(design, targets, n_jobs=n_jobs)
