"""Figures: what is drawn where, in which units, with which words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from spikehouse import plots
from spikehouse.errors import InvalidArgumentError

TIME = "time_relative_to_stimulus_onset"
SINCE = "time_since_stimulus_presentation_onset"


@pytest.fixture
def ax():
    return Figure(layout="constrained").subplots()


@pytest.fixture
def mean_counts():
    """Three units, two bins of 0.1 s: rates 10 20 / 0 30 / 50 0 spikes/s."""
    return xr.DataArray(
        [[1.0, 0.0, 5.0], [2.0, 3.0, 0.0]],
        coords={TIME: [-0.05, 0.05], "unit_id": [7, 8, 9]},
        dims=(TIME, "unit_id"),
    )


def spikes(rows):
    frame = pd.DataFrame(rows, columns=["stimulus_presentation_id", "unit_id", SINCE])
    return frame.rename_axis("spike_time")


def segments(ax):
    return [tuple(np.asarray(s)[0]) for s in ax.collections[0].get_segments()]


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_plot_psth_heatmap__draws_rates_from_the_tip_up(ax, mean_counts):
    depths = pd.Series({7: 300.0, 8: 100.0, 9: 200.0})
    plots.plot_psth_heatmap(mean_counts, ax=ax, depths=depths, title="VISp, session 1")
    values = ax.collections[0].get_array().reshape(3, 2)
    np.testing.assert_allclose(values, [[0, 30], [50, 0], [10, 20]])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["100", "200", "300"]
    np.testing.assert_allclose(ax.get_xlim(), [-0.1, 0.1])
    assert ax.get_title(loc="left") == "VISp, session 1"
    assert ax.get_xlabel() == "time from stimulus onset (s)"
    assert ax.get_ylabel() == "3 units, by position on the probe (µm from the tip)"
    assert ax.figure.axes[1].get_ylabel() == "firing rate (spikes/s)"


def test_plot_psth_heatmap__rate_max_and_order_given(ax, mean_counts):
    plots.plot_psth_heatmap(mean_counts.T, ax=ax, rate_max=25.0, stimulus_duration=0.05)
    assert ax.collections[0].get_clim() == (0.0, 25.0)
    np.testing.assert_allclose(ax.collections[0].get_array().reshape(3, 2)[2], [50, 0])
    bar = ax.lines[-1]
    assert list(bar.get_xdata()) == [0.0, 0.05]


def test_plot_psth_heatmap__silent_units_do_not_divide_by_nothing(ax, mean_counts):
    plots.plot_psth_heatmap(mean_counts * 0, ax=ax)
    assert ax.collections[0].get_clim() == (0.0, 1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.rename({TIME: "time"}), f"no dimension '{TIME}'; it has"),
        (lambda c: c.expand_dims(stimulus_presentation_id=[1]), "average over presentations first"),
        (lambda c: c.isel(unit_id=[]), "0 units and 2 bins"),
        (lambda c: c.isel({TIME: [0]}), "3 units and 1 bins"),
        (lambda c: c.isel({TIME: [1, 0]}), "not equally wide, or have gaps: -0.1 to -0.1 s"),
    ],
)
def test_plot_psth_heatmap__refuses_what_it_cannot_draw(ax, mean_counts, change, message):
    with pytest.raises(InvalidArgumentError, match=message):
        plots.plot_psth_heatmap(change(mean_counts), ax=ax)


def test_plot_psth_heatmap__units_without_depth(ax, mean_counts):
    with pytest.raises(InvalidArgumentError, match="no value for 2 of 3 ids, such as 8"):
        plots.plot_psth_heatmap(mean_counts, ax=ax, depths=pd.Series({7: 1.0}))


def test_plot_population_psth__means_and_errors_over_units(ax, mean_counts):
    plots.plot_population_psth({"dark": mean_counts, "bright": 2 * mean_counts}, ax=ax)
    dark, bright, onset = ax.lines
    assert onset.get_xdata() == [0, 0]
    np.testing.assert_allclose(dark.get_ydata(), [20, 50 / 3])
    np.testing.assert_allclose(bright.get_ydata(), [40, 100 / 3])
    top = ax.collections[0].get_paths()[0].vertices[:, 1].max()
    # rates 0 30 20 … in the second bin; 10 0 50 in the first: 20 + sd / √3
    expected = np.std([10, 0, 50], ddof=1) / np.sqrt(3) + 20
    assert top == pytest.approx(expected)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["dark", "bright"]
    assert ax.get_ylabel() == "firing rate (spikes/s)\nmean of 3 units ± SEM"


def test_plot_population_psth__populations_of_other_sizes_say_theirs(ax, mean_counts):
    plots.plot_population_psth({"a": mean_counts, "b": mean_counts.isel(unit_id=[0, 1])}, ax=ax)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["a (3 units)", "b (2 units)"]
    assert ax.get_ylabel() == "firing rate (spikes/s)\nmean of units ± SEM"


def test_plot_population_psth__one_unit_has_no_error(ax, mean_counts):
    plots.plot_population_psth({"all": mean_counts.isel(unit_id=[0])}, ax=ax, stimulus_duration=0.1)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [10, 20])
    assert not ax.collections
    assert ax.get_ylabel() == "firing rate (spikes/s)"


def test_plot_population_psth__legend_is_beside_the_axes(ax, mean_counts, render):
    plots.plot_population_psth({"dark": mean_counts, "bright": 2 * mean_counts}, ax=ax)
    render(ax)
    assert ax.get_legend().get_window_extent().x0 >= ax.get_window_extent().x1


def test_plot_population_psth__says_what_to_give(ax, mean_counts):
    with pytest.raises(InvalidArgumentError, match="mean_counts is empty"):
        plots.plot_population_psth({}, ax=ax)
    with pytest.raises(InvalidArgumentError, match=r"shape \(2, 3\); give the name of each condi"):
        plots.plot_population_psth(mean_counts, ax=ax)
    with pytest.raises(InvalidArgumentError, match=r"DataFrame of shape .*, not a DataArray; the"):
        plots.plot_population_psth({"a": mean_counts.to_pandas()}, ax=ax)


def test_plot_raster__a_row_a_presentation(ax):
    frame = spikes([(5, 1, 0.01), (5, 1, 0.2), (9, 1, 0.1)])
    plots.plot_raster(frame, ax=ax, stimulus_duration=0.25)
    np.testing.assert_allclose(segments(ax), [(0.01, -0.45), (0.2, -0.45), (0.1, 0.55)])
    assert ax.get_ylabel() == "2 presentations"
    assert ax.get_ylim() == (1.5, -0.5)
    # all of the stimulus, although its last spike was earlier
    assert ax.get_xlim() == (0.0, 0.25)


def test_plot_raster__the_bar_ends_where_the_axes_end(ax, render):
    plots.plot_raster(spikes([(5, 1, 0.01)]), ax=ax, stimulus_duration=0.25)
    ax.set_xlim(0.0, 0.1)
    pixels = np.asarray(render(ax).figure.canvas.buffer_rgba())
    (left, _), (right, top) = ax.get_window_extent().get_points()
    above = pixels[: len(pixels) - int(top) - 2, :, :3]
    bar = (above == 0x4D).all(axis=2).nonzero()[1]
    assert left - 1 <= bar.min() < bar.max() <= right + 1


def test_plot_raster__keeps_silent_rows_and_groups_conditions(ax):
    frame = spikes([(1, 7, 0.1), (2, 7, 0.2), (4, 7, 0.3)])
    groups = pd.Series({1: "a", 2: "b", 3: "a", 4: "b"})
    plots.plot_raster(frame, groups=groups, ax=ax)
    # rows from the top: presentations 1 3 (a), 2 4 (b)
    assert [round(y + 0.45) for _, y in segments(ax)] == [0, 2, 3]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    np.testing.assert_allclose(ax.get_yticks(), [0.5, 2.5])
    colors = ax.collections[0].get_colors()
    assert (colors[1] == colors[2]).all()
    assert (colors[0] != colors[1]).any()


@pytest.mark.parametrize(
    ("groups", "names", "rows"),
    [
        ([90.0, np.nan, 0.0, 90.0], ["0", "90", "blank"], [3, 1, 4, 2]),
        ([90.0, "null", 0.0, 90.0], ["0", "90", "blank"], [3, 1, 4, 2]),
        (pd.Categorical(["b", "a", "b", None], ["b", "a"]), ["b", "a", "blank"], [1, 3, 2, 4]),
    ],
)
def test_plot_raster__groups_in_order_of_value_and_blank_sweeps_last(ax, groups, names, rows):
    frame = spikes([(row, 7, row / 10) for row in (1, 2, 3, 4)])
    plots.plot_raster(frame, groups=pd.Series(groups, index=[1, 2, 3, 4]), ax=ax)
    assert [label.get_text() for label in ax.get_yticklabels()] == names
    drawn = sorted((round(y + 0.45), round(10 * x)) for x, y in segments(ax))
    assert [row for _, row in drawn] == rows


def test_plot_raster__a_row_a_unit_in_a_given_order(ax):
    frame = spikes([(1, 7, 0.1), (1, 8, 0.2), (1, 9, 0.3)])
    plots.plot_raster(frame, rows="unit_id", row_order=[9, 6, 7], ax=ax)
    assert [(x, round(y + 0.45)) for x, y in segments(ax)] == [(0.1, 2), (0.3, 0)]
    assert ax.get_ylabel() == "3 units"


def test_plot_raster__no_spikes(ax):
    plots.plot_raster(spikes([]), row_order=[1, 2], ax=ax)
    assert segments(ax) == []
    assert ax.get_ylim() == (1.5, -0.5)


def test_plot_raster__one_spike_at_the_onset(ax):
    plots.plot_raster(spikes([(1, 7, 0.0)]), ax=ax)
    assert segments(ax) == [(0.0, -0.45)]


def test_plot_raster__says_of_how_many_units_and_that_others_have_the_spikes(ax):
    several = spikes([(1, 7, 0.1), (1, 8, 0.2)])
    assert plots.plot_raster(several, ax=ax).get_ylabel() == "1 presentations, 2 units"
    other = plots.plot_raster(several, row_order=[5], ax=ax)
    assert other.texts[-1].get_text() == "no spikes in these rows"


def test_plot_raster__refuses_groups_without_rows(ax):
    with pytest.raises(InvalidArgumentError, match="groups is 'angle'; give the condition of each"):
        plots.plot_raster(spikes([(1, 7, 0.1)]), groups="angle", ax=ax)


def test_plot_raster__refuses_unknown_rows(ax):
    frame = spikes([(1, 7, 0.1)])
    with pytest.raises(InvalidArgumentError, match=r"spikes must be a table .*, not a Series"):
        plots.plot_raster(frame[SINCE], ax=ax)
    with pytest.raises(InvalidArgumentError, match="no column 'units'; it has 'stimulus_pres"):
        plots.plot_raster(frame, rows="units", ax=ax)
    with pytest.raises(
        InvalidArgumentError, match="groups has no value for 1 of 2 rows, such as 3"
    ):
        plots.plot_raster(frame, row_order=[1, 3], groups=pd.Series({1: "a"}), ax=ax)


def confusion_of(n):
    labels = np.arange(n) - 1
    values = np.eye(n, dtype=int) * 5
    coords = {"actual": labels, "predicted": labels}
    return xr.DataArray(values, coords=coords, dims=("actual", "predicted"))


def test_plot_confusion__small_ones_carry_counts(ax):
    confusion = confusion_of(3)
    confusion[0, 2] = 2
    plots.plot_confusion(confusion.T, ax=ax, class_name="image", label_names={-1: "blank"})
    np.testing.assert_array_equal(ax.images[0].get_array(), [[5, 0, 2], [0, 5, 0], [0, 0, 5]])
    assert texts(ax) == ["5", "2", "5", "5"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["blank", "0", "1"]
    assert ax.get_xlabel() == "predicted image"
    assert ax.get_ylabel() == "actual image"
    assert ax.figure.axes[1].get_ylabel() == "presentations"


def test_plot_confusion__large_ones_are_labelled_by_tens(ax):
    plots.plot_confusion(confusion_of(119), ax=ax, label_names={-1: "blank"})
    shown = [label.get_text() for label in ax.get_yticklabels()]
    assert shown == ["blank", *[str(n) for n in range(10, 118, 10)]]
    assert ax.get_yticks()[1] == 11
    assert texts(ax) == []


def test_plot_confusion__needs_actual_and_predicted(ax):
    with pytest.raises(InvalidArgumentError, match=r"\('a', 'predicted'\); valid: \('actual'"):
        plots.plot_confusion(confusion_of(3).rename(actual="a"), ax=ax)


def test_plot_class_accuracies__ranks_and_marks(ax):
    accuracies = pd.Series({0: 0.2, 1: np.nan, 2: 0.8, 3: 0.5})
    plots.plot_class_accuracies(accuracies, chance=0.25, ax=ax, marked={2: "best", 0: "worst"})
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [80, 50, 20])
    assert {"best", "worst", "chance 25.0%"} <= set(texts(ax))
    with pytest.raises(InvalidArgumentError, match="no class 1; it has 3 values"):
        plots.plot_class_accuracies(accuracies, chance=0.25, ax=ax, marked={1: "?"})
    with pytest.raises(InvalidArgumentError, match="no class with an accuracy"):
        plots.plot_class_accuracies(accuracies * np.nan, chance=0.25, ax=ax)


def test_plot_image__shows_grey_as_it_was(ax):
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    plots.plot_image(image, ax=ax, title="image 5")
    assert ax.images[0].get_clim() == (0, 255)
    assert ax.images[0].cmap.name == "gray"
    with pytest.raises(InvalidArgumentError, match=r"shape \(3, 4, 3\)"):
        plots.plot_image(np.zeros((3, 4, 3)), ax=ax)


def test_plots__without_axes_make_a_figure_of_pyplots():
    plt.get_backend()  # settles which one it is
    before = plt.rcParams.copy()
    drawn = plots.plot_image(np.zeros((2, 2), np.uint8))
    try:
        assert drawn.figure.number in plt.get_fignums()
    finally:
        plt.close(drawn.figure)
    assert plt.rcParams == before
