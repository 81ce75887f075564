"""Receptive fields: maps, shapes, tests of significance, metrics."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spikehouse.analysis.inputs import StimulusResponses
from spikehouse.analysis.receptive_fields import (
    RF_COLUMNS,
    compute_receptive_field_maps,
    compute_receptive_field_metrics,
    fit_receptive_fields,
)
from spikehouse.analysis.rf_shapes import (
    fit_2d_gaussian,
    gaussian_moments_2d,
    invert_rf,
    is_rf_inverted,
    rf_on_screen,
    smooth_maps,
    threshold_rf,
)
from spikehouse.analysis.rf_significance import permutation_p_values, resampling_p_values
from spikehouse.errors import InvalidArgumentError
from spikehouse.session import EcephysSession

GRID = np.arange(-40.0, 41.0, 10.0)
SHAPE_COLUMNS = list(RF_COLUMNS[:6])


def gaussian(center_y, center_x, width_y, width_x, *, peak=20.0, baseline=0.0, shape=(9, 9)):
    y, x = np.indices(shape)
    apart = ((y - center_y) / width_y) ** 2 + ((x - center_x) / width_x) ** 2
    return peak * np.exp(-apart / 2) + baseline


def make_responses(counts_at, *, x=GRID, y=GRID, n_each=3, order=None, skip=(), orientations=(0,)):
    """Make presentations at a grid, and units that fire ``counts_at(x, y)`` spikes in each."""
    shown = [(a, b, o) for o in orientations for b in y for a in x if (a, b) not in skip]
    shown = np.array(shown * n_each)
    if order is not None:
        shown = shown[order.permutation(len(shown))]
    start = 1.0 + 0.25 * np.arange(len(shown))
    presentations = pd.DataFrame(
        {
            "start_time": start,
            "stop_time": start + 0.25,
            "x_position": shown[:, 0],
            "y_position": shown[:, 1],
            "orientation": shown[:, 2],
            "stimulus_condition_id": np.unique(shown, axis=0, return_inverse=True)[1].ravel(),
        },
        index=pd.RangeIndex(len(shown), name="stimulus_presentation_id"),
    )
    spike_times = {}
    for unit, count in enumerate(counts_at):
        n = [int(count(a, b)) for a, b, _ in shown]
        trains = [t + 0.01 + 0.2 * np.arange(k) / max(k, 1) for t, k in zip(start, n, strict=True)]
        spike_times[100 + unit] = np.concatenate(trains)
    return StimulusResponses("gabors", presentations, list(spike_times), spike_times, 0.25)


def bump(center_x, center_y, *, peak=20):
    """Make the spikes of a field with a standard deviation of 12°, to the next whole number."""

    def count(x, y):
        apart = ((x - center_x) ** 2 + (y - center_y) ** 2) / 12.0**2
        return round(peak * np.exp(-apart / 2))

    return count


# --- maps


def test_receptive_field_maps__have_the_top_of_the_screen_in_row_0():
    responses = make_responses(
        [lambda x, y: 4 * (x == -40 and y == 40), lambda x, y: 2 * (x == 40 and y == -30)]
    )
    maps = compute_receptive_field_maps(responses)
    assert maps.dims == ("unit_id", "y_position", "x_position")
    expected = np.zeros((2, 9, 9))
    expected[0, 0, 0], expected[1, 7, 8] = 4, 2
    np.testing.assert_array_equal(maps, expected)
    np.testing.assert_array_equal(maps["y_position"], GRID[::-1])
    np.testing.assert_array_equal(maps["elevation"], np.arange(50.0, -31.0, -10.0))
    np.testing.assert_array_equal(maps["azimuth"], np.arange(10.0, 91.0, 10.0))
    assert maps.attrs["units"] == "spikes per presentation"
    assert maps["azimuth"].attrs["units"] == "degrees"


def test_receptive_field_maps__average_positions_that_were_shown_more_often():
    responses = make_responses([lambda x, y: 3], x=[-10.0, 10.0], y=[0.0], n_each=2)
    shown = responses.presentations.iloc[[0, 1, 2]]
    fewer = StimulusResponses("gabors", shown, responses.unit_ids, responses.spike_times, 0.25)
    np.testing.assert_array_equal(compute_receptive_field_maps(fewer), [[[3.0, 3.0]]])


def test_receptive_field_maps__are_nan_where_nothing_was_shown():
    maps = compute_receptive_field_maps(
        make_responses([lambda x, y: 1], skip={(0, 10), (-40, -40)})
    )
    is_missing = np.isnan(maps.values[0])
    assert is_missing.sum() == 2
    assert is_missing[3, 4]
    assert is_missing[8, 0]


def test_receptive_field_maps__count_in_the_window_only():
    responses = make_responses([lambda x, y: 0], x=[0.0, 10.0], y=[0.0, 10.0], n_each=1)
    onset = responses.onsets[0]
    trains = {100: np.array([onset - 1e-6, onset, onset + 0.2489, onset + 0.249])}
    one = StimulusResponses("gabors", responses.presentations, [100], trains, 0.25)
    assert compute_receptive_field_maps(one).values.sum() == 2
    assert compute_receptive_field_maps(one, duration=0.25).values.sum() == 3
    assert compute_receptive_field_maps(one, duration=0.1).attrs["duration_s"] == 0.1
    with pytest.raises(InvalidArgumentError, match=r"duration is 0\.0; give how long"):
        compute_receptive_field_maps(one, duration=0.0)


def test_receptive_field_maps__say_when_there_are_no_positions():
    responses = make_responses([lambda x, y: 1], n_each=1)
    table = responses.presentations
    without = StimulusResponses("flashes", table.drop(columns="x_position"), [], {}, 0.25)
    with pytest.raises(InvalidArgumentError, match="flashes has no x_position: receptive fields"):
        compute_receptive_field_maps(without)
    blank = StimulusResponses("gabors", table.assign(y_position=np.nan), [], {}, 0.25)
    with pytest.raises(InvalidArgumentError, match="no presentation of gabors has a position"):
        compute_receptive_field_maps(blank)


# --- threshold, smoothing, inversion


def test_smooth_maps__keeps_the_sum_and_does_not_mix_units():
    maps = np.zeros((2, 9, 9))
    maps[0, 4, 4] = 100
    smooth = smooth_maps(maps)
    assert smooth[0].sum() == pytest.approx(100)
    assert not smooth[1].any()
    # the middle of a Gaussian of one pixel, in both directions
    assert smooth[0, 4, 4] == pytest.approx(100 * 0.3989**2, rel=1e-3)


def test_smooth_maps__published_truncates_whole_numbers():
    maps = np.zeros((9, 9), int)
    maps[4, 4] = 6
    # 6 · 0.399 = 2.39 → 2 after the columns, 2 · 0.399 = 0.798 → 0 after the rows
    assert not smooth_maps(maps, definition="published").any()
    assert threshold_rf(maps, definition="published").area == 0
    floats = maps.astype(float)
    np.testing.assert_array_equal(smooth_maps(floats, definition="published"), smooth_maps(floats))
    floats[0, 0] = np.nan
    assert np.isnan(smooth_maps(floats, definition="published")).all()
    assert threshold_rf(floats, definition="published").area == 0


def test_smooth_maps__leaves_unknown_pixels_out():
    maps = np.full((9, 9), 7.0)
    maps[0, :3] = np.nan
    np.testing.assert_allclose(smooth_maps(maps), 7.0)
    assert np.isnan(smooth_maps(np.full((3, 3), np.nan))).all()


def test_threshold_rf__finds_the_part_with_the_highest_peak():
    maps = np.stack([gaussian(2, 6, 1, 1), gaussian(6, 2, 1, 1), np.full((9, 9), 3.0)])
    maps[0] += gaussian(6, 2, 1, 1, peak=19)
    found = threshold_rf(maps)
    assert found.center_y[:2].tolist() == pytest.approx([2, 6], abs=0.01)
    assert found.center_x[:2].tolist() == pytest.approx([6, 2], abs=0.01)
    assert found.mask[0, 2, 6]
    assert not found.mask[0, 6, 2]
    assert found.area[0] == found.mask[0].sum() > 0
    # the same everywhere
    assert found.area[2] == 0
    assert np.isnan(found.center_x[2])


def test_threshold_rf__one_map_gives_numbers_without_axes():
    found = threshold_rf(gaussian(4, 4, 1.5, 1.5))
    assert found.mask.shape == (9, 9)
    assert found.center_x.shape == ()
    assert (found.center_x, found.center_y) == (4, 4)


def test_threshold_rf__diagonal_neighbours_are_not_connected():
    maps = np.zeros((40, 40))
    maps[10, 10], maps[30, 30] = 100, 100
    # two equal peaks: the first from the top left
    assert threshold_rf(maps).center_y == 10


def test_is_rf_inverted__when_more_than_half_of_the_edge_is_in_the_mask():
    masks = np.zeros((3, 9, 9), bool)
    masks[0, 4, 4] = True
    masks[1, 0], masks[1, :, 0] = True, True  # 17 of 32
    masks[2, 0], masks[2, 1:8, 0] = True, True  # 16 of 32
    assert is_rf_inverted(masks).tolist() == [False, True, False]
    assert is_rf_inverted(np.ones((1, 5), bool)).item()


def test_invert_rf__turns_each_map_by_its_own_largest_value():
    maps = np.array([[[1.0, 5.0]], [[2.0, np.nan]]])
    np.testing.assert_array_equal(invert_rf(maps), [[[4.0, 0.0]], [[0.0, np.nan]]])


def test_rf_on_screen__is_strictly_inside():
    y = [0, 0.1, 8.9, 9, np.nan, 4]
    x = [4, 4, 4, 4, 4, -1]
    assert rf_on_screen((9, 9), y, x).tolist() == [False, True, True, False, False, False]


def test_invert_rf__needs_maps():
    with pytest.raises(InvalidArgumentError, match=r"shape \(3,\) has no rows or columns"):
        invert_rf([1, 2, 3])


# --- Gaussians


def test_gaussian_moments_2d__of_a_gaussian():
    moments = gaussian_moments_2d(gaussian(4, 3.5, 0.8, 1.0)[None])
    assert moments.center_y == pytest.approx(4, abs=0.01)
    assert moments.center_x == pytest.approx(3.5, abs=0.01)
    assert moments.width_y == pytest.approx(0.8, abs=0.02)
    assert moments.width_x == pytest.approx(1.0, abs=0.02)
    crossed = gaussian_moments_2d(gaussian(4, 4, 0.8, 1.2), definition="published")
    assert crossed.width_y == pytest.approx(1.2, abs=0.02)


def test_gaussian_moments_2d__of_silence_are_nan():
    moments = gaussian_moments_2d(np.zeros((2, 9, 9)))
    assert moments.peak_height.tolist() == [0, 0]
    assert np.isnan(moments.center_x).all()
    assert np.isnan(moments.width_y).all()


@pytest.mark.parametrize("shape", [(9, 9), (7, 12)])
def test_fit_2d_gaussian__recovers_its_parameters(shape):
    maps = np.stack([gaussian(3.3, 4.6, 1.2, 2.1, shape=shape), np.zeros(shape)])
    fit = fit_2d_gaussian(maps, definition="published")
    found = [fit.peak_height[0], fit.center_y[0], fit.center_x[0], fit.width_y[0], fit.width_x[0]]
    assert found == pytest.approx([20, 3.3, 4.6, 1.2, 2.1], rel=1e-6)
    assert fit.is_fitted.tolist() == [True, False]
    assert np.isnan(fit.width_x[1])


def test_fit_2d_gaussian__fits_a_baseline_and_leaves_unknown_pixels_out():
    matrix = gaussian(3.3, 4.6, 1.2, 2.1, baseline=5.0)
    matrix[2, 2:4] = np.nan
    fit = fit_2d_gaussian(matrix)
    assert fit.is_fitted
    assert fit.baseline == pytest.approx(5, rel=1e-6)
    assert [fit.width_y.item(), fit.width_x.item()] == pytest.approx([1.2, 2.1], rel=1e-6)
    # without it the background makes the Gaussian wider
    assert fit_2d_gaussian(matrix, definition="published").width_y > 2


def test_fit_2d_gaussian__finds_none_where_the_map_does_not_determine_one(rng):
    y, x = np.indices((9, 9))
    flat = np.full((9, 9), 3.0)
    one_pixel = flat + 4 * ((y == 4) & (x == 4))
    slope = 0.5 * x + 0.1
    beyond = gaussian(4.0, 12.0, 1.5, 2.0, baseline=5.0)
    wide = gaussian(4.0, 4.0, 7.0, 7.0, baseline=5.0)
    field = gaussian(4.0, 4.0, 1.2, 1.2, baseline=5.0)
    maps = np.stack([flat, one_pixel, slope, beyond, wide, field])
    assert fit_2d_gaussian(maps).is_fitted.tolist() == [False] * 5 + [True]
    # of maps of noise, few look like a Gaussian, and none of those is larger than the screen
    fit = fit_2d_gaussian(rng.poisson(12, (200, 9, 9)))
    assert fit.is_fitted.mean() < 0.5
    assert fit.width_x[fit.is_fitted].max() < 4


def test_fit_2d_gaussian__of_too_few_pixels_is_nan():
    matrix = np.full((9, 9), np.nan)
    matrix[4, 3:7] = 1.0, 2.0, 3.0, 1.0
    assert np.isnan(fit_2d_gaussian(matrix).center_x)


# --- significance


def test_permutation_p_values__says_who_responds(rng):
    group = rng.permutation(np.repeat(np.arange(12), 10))
    counts = rng.poisson(2.0, (120, 30))
    counts[:, 0] = rng.poisson(np.where(group == 5, 8.0, 2.0))
    p = permutation_p_values(counts, group, n_resamples=999)
    assert p[0] == 0.001
    assert (p[1:] > 0.001).all()
    assert 0.3 < p[1:].mean() < 0.7
    other = permutation_p_values(counts, group, n_resamples=999, seed=1)
    np.testing.assert_allclose(other, p, atol=0.08)
    assert (other != p).any()


def test_permutation_p_values__is_exact_in_ties():
    # two presentations of two groups: the two ways to deal out differ only by name
    p = permutation_p_values([[3], [3], [0], [0]], [0, 0, 1, 1], n_resamples=3000, seed=4)
    # of 6 deals 2 are as large as the data
    assert p[0] == pytest.approx(1 / 3, abs=0.03)
    # every deal has the same statistic
    assert permutation_p_values([[1], [1]], [0, 1], n_resamples=10).tolist() == [1.0]


def test_permutation_p_values__where_nothing_can_be_learnt():
    counts = np.column_stack([np.zeros(12), np.full(12, 4), np.arange(12)]).astype(int)
    assert permutation_p_values(counts, np.arange(12) % 3, n_resamples=50)[:2].tolist() == [1, 1]
    assert permutation_p_values(counts, np.zeros(12), n_resamples=50).tolist() == [1, 1, 1]
    assert permutation_p_values(counts, np.arange(12), n_resamples=50).tolist() == [1, 1, 1]
    assert permutation_p_values(np.zeros((5, 0), int), np.zeros(5)).shape == (0,)


def test_permutation_p_values__counts_of_any_size(rng):
    group = np.arange(60) % 6
    small = rng.poisson(3.0, (60, 4))
    expected = permutation_p_values(small, group, n_resamples=300)
    for factor in (100, 50_000, 10_000_000):
        found = permutation_p_values(small * factor, group, n_resamples=300)
        np.testing.assert_array_equal(found, expected)


def test_permutation_p_values__tells_its_progress():
    seen = []
    permutation_p_values(
        [[1], [2], [0]], [0, 0, 1], n_resamples=250, progress=lambda *a: seen.append(a)
    )
    assert seen == [(100, 250), (200, 250), (250, 250)]


@pytest.mark.parametrize("test", [permutation_p_values, resampling_p_values])
def test_p_values__refuse_what_cannot_be_meant(test):
    with pytest.raises(InvalidArgumentError, match=r"shape \(2, 1\) and groups of shape \(3,\)"):
        test([[1], [2]], [0, 1, 2])
    with pytest.raises(InvalidArgumentError, match="counts have to be whole numbers, 0 or more"):
        test([[1.5], [2]], [0, 1])
    with pytest.raises(InvalidArgumentError, match="counts have to be whole numbers, 0 or more"):
        test([[np.nan], [2]], [0, 1])
    with pytest.raises(InvalidArgumentError, match="counts have to be whole numbers, 0 or more"):
        test([[-1], [2]], [0, 1])
    with pytest.raises(InvalidArgumentError, match="is 0; give 1 or more, for instance 1000"):
        test([[1], [2]], [0, 1], n_resamples=0)


def test_permutation_p_values__refuses_a_negative_seed():
    with pytest.raises(InvalidArgumentError, match="seed is -1; give 0 or more"):
        permutation_p_values([[1], [2]], [0, 1], seed=-1)


def test_resampling_p_values__draws_as_numpy_choice_does(rng):
    counts, group = rng.poisson(1.0, (30, 3)), np.arange(30) % 5
    legacy = np.random.RandomState(7)
    expected = []
    for own in counts.T:
        n = np.bincount(group)

        def chi_square(sample, n=n):
            observed = np.bincount(group, weights=sample)
            expect = n * sample.mean()
            return ((observed - expect) ** 2 / expect).sum()

        draws = [chi_square(own[legacy.choice(30, size=(30,))]) for _ in range(150)]
        expected.append(np.mean(chi_square(own) < np.array(draws)))
    seen = []
    found = resampling_p_values(
        counts, group, n_resamples=150, seed=7, progress=lambda *a: seen.append(a)
    )
    np.testing.assert_array_equal(found, expected)
    given = resampling_p_values(counts, group, n_resamples=150, seed=np.random.RandomState(7))
    np.testing.assert_array_equal(given, expected)
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_resampling_p_values__of_a_unit_that_never_varies_is_0():
    counts = np.column_stack([np.zeros(12), np.full(12, 4)])
    assert resampling_p_values(counts, np.arange(12) % 3, n_resamples=20).tolist() == [0, 0]


# --- metrics


def test_compute_receptive_field_metrics__gives_degrees(rng):
    responses = make_responses(
        [bump(20, -10), bump(-20, 20), lambda x, y: 0], order=rng, n_each=3, orientations=(0, 45)
    )
    table = compute_receptive_field_metrics(responses, n_resamples=200)
    assert list(table) == list(RF_COLUMNS)
    assert table.index.tolist() == [100, 101, 102]
    assert table.index.name == "unit_id"
    dtypes = table.dtypes.astype(str).to_dict()
    assert dtypes.pop("on_screen_rf") == "bool"
    assert set(dtypes.values()) == {"float64"}
    assert table["azimuth_rf"].iloc[:2].tolist() == pytest.approx([70, 30], abs=0.5)
    assert table["elevation_rf"].iloc[:2].tolist() == pytest.approx([0, 30], abs=0.5)
    assert table["width_rf"].iloc[:2].tolist() == pytest.approx([12, 12], abs=0.7)
    assert table["height_rf"].iloc[:2].tolist() == pytest.approx([12, 12], abs=0.7)
    assert table["p_value_rf"].iloc[:2].tolist() == [1 / 201, 1 / 201]
    assert (table["area_rf"].iloc[:2] % 100 == 0).all()
    assert table["on_screen_rf"].tolist() == [True, True, False]
    assert table.loc[102, SHAPE_COLUMNS].isna().all()


def test_compute_receptive_field_metrics__needs_a_few_spikes():
    responses = make_responses([lambda x, y: 3 * (x == y == 0), lambda x, y: 4 * (x == y == 0)])
    table = compute_receptive_field_metrics(responses, n_resamples=20)
    assert table["azimuth_rf"].isna().tolist() == [True, False]
    every = compute_receptive_field_metrics(responses, n_resamples=20, minimum_spike_count=9)
    assert every["azimuth_rf"].tolist() == [50, 50]


def test_compute_receptive_field_metrics__same_count_everywhere():
    table = compute_receptive_field_metrics(make_responses([lambda x, y: 2]), n_resamples=20)
    assert np.isnan(table["azimuth_rf"].iloc[0])
    assert table["area_rf"].tolist() == [0]
    assert table["p_value_rf"].tolist() == [1]


def test_compute_receptive_field_metrics__fits_the_hole_of_a_suppressed_unit():
    responses = make_responses([lambda x, y: 20 - bump(10, 0)(x, y)])
    table = compute_receptive_field_metrics(responses, n_resamples=20)
    assert table["width_rf"].iloc[0] == pytest.approx(12, abs=0.7)
    assert table["on_screen_rf"].iloc[0]
    assert table["area_rf"].iloc[0] > 4000


def test_compute_receptive_field_metrics__with_missing_positions():
    skip = {(0, 10), (-40, -40), (30, 30)}
    responses = make_responses([bump(10, -10)], skip=skip)
    table = compute_receptive_field_metrics(responses, n_resamples=20)
    assert table["azimuth_rf"].iloc[0] == pytest.approx(60, abs=2)
    assert table["elevation_rf"].iloc[0] == pytest.approx(0, abs=2)
    assert table["width_rf"].iloc[0] == pytest.approx(12, abs=0.7)
    published = compute_receptive_field_metrics(responses, definition="published")
    assert published["area_rf"].tolist() == [0]
    assert published[["azimuth_rf", "elevation_rf", "width_rf"]].isna().all(axis=None)
    assert not published["on_screen_rf"].any()


def test_compute_receptive_field_metrics__uses_the_grid_that_was_shown():
    responses = make_responses(
        [bump(15, -5)], x=np.arange(-30.0, 31.0, 5.0), y=np.arange(-20.0, 21.0, 5.0)
    )
    table = compute_receptive_field_metrics(responses, n_resamples=20)
    assert table["azimuth_rf"].iloc[0] == pytest.approx(65, abs=1)
    assert table["elevation_rf"].iloc[0] == pytest.approx(5, abs=1)
    assert table["width_rf"].iloc[0] == pytest.approx(12, abs=0.7)
    assert table["height_rf"].iloc[0] == pytest.approx(12, abs=0.7)
    assert table["area_rf"].iloc[0] % 25 == 0


def test_compute_receptive_field_metrics__on_a_line_of_positions():
    responses = make_responses([bump(15, 0)], y=[0.0])
    table = compute_receptive_field_metrics(responses, n_resamples=20)
    assert table["azimuth_rf"].iloc[0] == pytest.approx(65, abs=5)
    assert table["elevation_rf"].iloc[0] == 10
    assert table[["height_rf", "area_rf"]].isna().all(axis=None)


def test_compute_receptive_field_metrics__leaves_blank_sweeps_out():
    responses = make_responses([bump(10, 0)])
    table = responses.presentations
    blank = table.iloc[:5].assign(x_position=np.nan, y_position=np.nan, stimulus_condition_id=99)
    blank[["start_time", "stop_time"]] += 100
    table = pd.concat([table, blank.set_index(1000 + blank.index)])
    more = StimulusResponses("gabors", table, responses.unit_ids, responses.spike_times, 0.25)
    found = compute_receptive_field_metrics(more, n_resamples=20)[SHAPE_COLUMNS]
    expected = compute_receptive_field_metrics(responses, n_resamples=20)[SHAPE_COLUMNS]
    pd.testing.assert_frame_equal(found, expected)


def test_compute_receptive_field_metrics__one_presentation_each():
    responses = make_responses([bump(10, 0)], n_each=1)
    table = compute_receptive_field_metrics(responses, n_resamples=20)
    # no permutation can tell one order of single presentations from another
    assert table["p_value_rf"].tolist() == [1]
    assert table["azimuth_rf"].iloc[0] == pytest.approx(60, abs=0.5)


def test_compute_receptive_field_metrics__without_units():
    responses = make_responses([bump(10, 0)], n_each=1)
    nobody = StimulusResponses("gabors", responses.presentations, [], {}, 0.25)
    table = compute_receptive_field_metrics(nobody, n_resamples=20)
    expected = compute_receptive_field_metrics(responses, n_resamples=20)
    pd.testing.assert_frame_equal(table, expected.iloc[:0])
    assert compute_receptive_field_maps(nobody).shape == (0, 9, 9)


def test_compute_receptive_field_metrics__refuses_what_cannot_be_meant():
    responses = make_responses([bump(10, 0)], n_each=1)
    with pytest.raises(InvalidArgumentError, match=r"no definition 'publish' .* mean 'published'"):
        compute_receptive_field_metrics(responses, definition="publish")
    with pytest.raises(InvalidArgumentError, match="a RandomState is for definition='published'"):
        compute_receptive_field_metrics(responses, seed=np.random.RandomState(1))


@pytest.fixture(scope="module")
def demo(small_survey):
    session_id = small_survey.session_ids[0]
    session = EcephysSession.from_nwb_path(small_survey.session_file(session_id))
    table = session.get_stimulus_table("gabors", missing="nan")
    unit_ids = session.units.index.tolist()
    trains = {unit: session.spike_times[unit] for unit in unit_ids}
    responses = StimulusResponses("gabors", table, unit_ids, trains, 0.25)
    return responses, small_survey.truth(session_id).loc[unit_ids]


def test_compute_receptive_field_metrics__finds_the_true_centres_of_simulated_units(demo):
    responses, truth = demo
    table = compute_receptive_field_metrics(responses, n_resamples=2000)
    is_visual = truth["is_visual"].to_numpy(dtype=bool)
    responds = (table["p_value_rf"] < 0.01).to_numpy()
    # 12 presentations a position: half of the visual units answer clearly, none of the others
    assert responds[is_visual].mean() >= 0.4
    assert not responds[~is_visual].any()
    off_x = (table["azimuth_rf"] - 50 - truth["rf_x_position"])[responds].abs()
    off_y = (table["elevation_rf"] - 10 - truth["rf_y_position"])[responds].abs()
    # half a position of the grid, in degrees
    assert off_x.median() < 5
    assert off_y.median() < 5
    assert max(off_x.quantile(0.9), off_y.quantile(0.9)) < 10


def test_fit_2d_gaussian__finds_the_true_sizes_of_simulated_units(demo):
    responses, truth = demo
    table = compute_receptive_field_metrics(responses, n_resamples=1000)
    responds = (table["p_value_rf"] < 0.01).to_numpy()
    maps = compute_receptive_field_maps(responses)
    fit = fit_2d_gaussian(maps.values[responds])
    # what is seen of a field with a stimulus that has a size itself
    seen = np.sqrt(truth["rf_width"] ** 2 + 7.0**2)[responds]
    size = 10 * np.sqrt(fit.width_x * fit.width_y)
    assert np.median(size / seen) == pytest.approx(1, abs=0.15)
    off_x = np.abs(10 * fit.center_x - 40 - truth["rf_x_position"][responds])
    assert off_x.median() < 3


# --- fits of maps


def test_fit_receptive_fields__finds_a_planted_field_and_its_size():
    maps = compute_receptive_field_maps(make_responses([bump(-10, 20)]))
    found = fit_receptive_fields(maps).sel(unit_id=100)
    assert bool(found["is_fitted"])
    assert not bool(found["is_suppressed"])
    # the middle of the screen is called 50, 10
    assert abs(found["center_azimuth"].item() - 40) < 0.5
    assert abs(found["center_elevation"].item() - 30) < 0.5
    assert abs(found["width"].item() - 12) < 0.5
    assert abs(found["peak"].item() - 20) < 0.5
    assert abs(found["baseline"].item()) < 0.5
    assert found["mask"].sel(x_position=-10, y_position=20)
    assert not found["mask"].sel(x_position=40, y_position=-40)


def test_fit_receptive_fields__agrees_with_the_metrics_of_the_same_responses():
    responses = make_responses([bump(0, 0), bump(10, -20, peak=40), lambda x, y: 3])
    found = fit_receptive_fields(compute_receptive_field_maps(responses))
    metrics = compute_receptive_field_metrics(responses, n_resamples=10)
    # heights of maps differ, sums there and means here: the fits end within rounding
    np.testing.assert_allclose(found["width"], metrics["width_rf"], rtol=1e-4)
    np.testing.assert_allclose(found["height"], metrics["height_rf"], rtol=1e-4)
    np.testing.assert_array_equal(found["is_fitted"], metrics["on_screen_rf"])
    np.testing.assert_array_equal(
        found["mask"].sum(["y_position", "x_position"]) * 100, metrics["area_rf"]
    )


def test_fit_receptive_fields__of_a_suppressed_unit_is_where_it_fires_less():
    dip = bump(20, 10)
    maps = compute_receptive_field_maps(make_responses([lambda x, y: 25 - dip(x, y)]))
    found = fit_receptive_fields(maps).sel(unit_id=100)
    assert bool(found["is_suppressed"])
    assert abs(found["center_azimuth"].item() - 70) < 0.5
    assert abs(found["peak"].item() - 5) < 0.5
    assert abs(found["baseline"].item() - 25) < 0.5


def test_fit_receptive_fields__of_silent_units_is_nan_and_of_no_units_empty():
    maps = compute_receptive_field_maps(make_responses([lambda x, y: 0]))
    found = fit_receptive_fields(maps)
    assert not found["is_fitted"].any()
    assert not found["mask"].any()
    assert np.isnan(found["center_azimuth"]).all()
    assert fit_receptive_fields(maps[:0]).sizes["unit_id"] == 0


def test_fit_receptive_fields__of_another_array_says_what_to_give():
    maps = compute_receptive_field_maps(make_responses([bump(0, 0)]))
    with pytest.raises(InvalidArgumentError, match="give what compute_receptive_field_maps"):
        fit_receptive_fields(maps.sel(unit_id=100))
