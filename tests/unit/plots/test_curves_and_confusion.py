"""Decoding against time and number of units; what is new of confusion, raster and psth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib import pyplot as plt

from spikehouse import plots
from spikehouse.errors import InvalidArgumentError

TIME = "time_relative_to_stimulus_onset"
SINCE = "time_since_stimulus_presentation_onset"


def curve(values, *, along="n_units", at=(5, 10), dims=("n_units", "fold")):
    return xr.DataArray(np.array(values), coords={along: list(at)}, dims=dims)


def band(collection):
    return collection.get_paths()[0].get_extents().intervaly


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_plot_decoding_curve__means_and_spread(ax, render):
    data = curve([[0.2, 0.4], [0.5, 0.5]])
    drawn = plots.plot_decoding_curve(data, along="n_units", chance=0.25, ax=ax)
    assert drawn is ax
    render(ax)
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[5, 30], [10, 50]])
    sd = 100 * np.std([0.2, 0.4], ddof=1)
    np.testing.assert_allclose(band(ax.collections[0]), [30 - sd, 50])
    assert labels(ax) == ["decoded", "chance 25.0%"]
    assert ax.get_ylim()[0] == 0
    assert ax.get_xlabel() == "number of units"
    assert ax.get_ylabel() == "decoded right (% of presentations)\nmean ± SD of 2"


@pytest.mark.parametrize(
    ("spread", "low", "high"),
    [("sem", 30 - 10.0, 50.0), ("range", 20.0, 50.0)],
)
def test_plot_decoding_curve__other_spreads(ax, spread, low, high):
    data = curve([[0.2, 0.4], [0.5, 0.5]])
    plots.plot_decoding_curve(data, along="n_units", spread=spread, ax=ax)
    np.testing.assert_allclose(band(ax.collections[0]), [low, high])


def test_plot_decoding_curve__sorts_skips_nan_and_draws_one_repeat(ax, render):
    data = curve([[0.5, np.nan], [0.2, 0.4]], at=(10, 5))
    plots.plot_decoding_curve(data, along="n_units", ax=ax)
    render(ax)
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[5, 30], [10, 50]])
    assert ax.get_legend() is None


def test_plot_decoding_curve__several_with_shuffled(ax, render):
    one = xr.DataArray([0.2, 0.4, 0.3], coords={TIME: [0.0, 0.1, 0.2]}, dims=TIME)
    shuffled = xr.DataArray(np.linspace(0, 1, 41), dims="shuffle")
    plots.plot_decoding_curve({"VISp": one, "LGd": one / 2}, along=TIME, shuffled=shuffled, ax=ax)
    render(ax)
    assert labels(ax) == ["95 % of shuffled labels", "VISp", "LGd"]
    assert len(ax.collections) == 1  # without repeats the lines have no bands
    np.testing.assert_allclose(band(ax.collections[0]), [2.5, 97.5])
    assert ax.get_xlabel() == "middle of the window from stimulus onset (s)"
    assert ax.get_ylabel() == "decoded right (% of presentations)"


def test_plot_decoding_curve__knows_the_chance_of_its_data(ax):
    data = curve([[0.2], [0.5]]).assign_attrs(chance=0.1)
    plots.plot_decoding_curve(data, along="n_units", ax=ax)
    assert labels(ax) == ["decoded", "chance 10.0%"]


def test_plot_decoding_curve__shuffled_along_and_log(ax, render):
    data = curve([[0.2, 0.4], [0.5, 0.5]])
    plots.plot_decoding_curve(data, along="n_units", shuffled=data, is_log=True, ax=ax)
    render(ax)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["5", "10"]


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ({}, {}, "accuracies is empty"),
        (curve([[0.1], [0.2]]).rename(n_units="n"), {}, "no dimension 'n_units'; it has"),
        ({"VISp": [0.1]}, {}, r"accuracies\['VISp'\] has no dimension .* being a list"),
        (xr.DataArray([0.1], dims="n_units"), {}, r"its 1 entries .*assign_coords\(n_units"),
        (curve([[np.nan], [np.nan]]), {}, "no finite accuracy"),
        (curve([[0.1], [0.2]], at=("VISp", "LGd")), {}, r"is not a number \(it holds \['VISp'\]"),
        (curve([[0.1], [0.2]], at=(0, 1)), {"is_log": True}, "is_log needs n_units above 0"),
        (curve([[0.1], [0.2]]), {"spread": "std"}, "spread='std': "),
    ],
)
def test_plot_decoding_curve__refuses(data, options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        plots.plot_decoding_curve(data, along="n_units", **options)
    assert not plt.get_fignums()


def test_plot_confusion__in_percent(ax, render):
    confusion = xr.DataArray(
        [[3, 1], [0, 0]],
        coords={"actual": ["a", "b"], "predicted": ["a", "b"]},
        dims=("actual", "predicted"),
    )
    plots.plot_confusion(confusion, is_normalized=True, ax=ax)
    render(ax)
    image = ax.images[0]
    np.testing.assert_allclose(np.ma.filled(image.get_array(), -1), [[75, 25], [-1, -1]])
    assert image.get_clim() == (0, 100)
    assert [text.get_text() for text in ax.texts] == ["75", "25"]
    assert ax.figure.axes[1].get_ylabel() == "share of the actual class (%)"
    with pytest.raises(InvalidArgumentError, match="confusion is empty"):
        plots.plot_confusion(confusion.isel(actual=[], predicted=[]))


def test_plot_confusion__where_nothing_was_tested(ax, render):
    confusion = xr.DataArray(np.zeros((2, 2)), dims=("actual", "predicted"))
    plots.plot_confusion(confusion, ax=ax)
    assert render(ax).images[0].get_clim() == (0, 1)


def test_plot_raster__without_a_spike_says_so(ax, render):
    spikes = pd.DataFrame({"unit_id": [], "stimulus_presentation_id": [], SINCE: []})
    plots.plot_raster(spikes, row_order=[1, 2], ax=ax)
    assert [text.get_text() for text in render(ax).texts] == ["no spikes"]


@pytest.fixture
def counts():
    """Unit 7 is highest in the last bin, 8 in the first, 9 never fires."""
    return xr.DataArray(
        [[1.0, 4.0, 0.0], [2.0, 1.0, 0.0]],
        coords={TIME: [-0.05, 0.05], "unit_id": [7, 8, 9]},
        dims=(TIME, "unit_id"),
    )


def drawn_rows(ax):
    """The rows of the heat map from the top."""
    return ax.collections[0].get_array().reshape(3, 2)[::-1]


def test_plot_psth_heatmap__by_peak(counts, ax, render):
    plots.plot_psth_heatmap(counts, order="peak", is_normalized=True, ax=ax)
    render(ax)
    np.testing.assert_allclose(drawn_rows(ax), [[1, 0.25], [0.5, 1], [0, 0]])
    assert ax.get_ylabel() == "3 units, earliest peak at the top"
    assert ax.figure.axes[1].get_ylabel() == "firing rate (share of the peak)"


def test_plot_psth_heatmap__in_an_order_given(counts, ax):
    plots.plot_psth_heatmap(counts, order=[9, 7, 8], ax=ax)
    np.testing.assert_allclose(drawn_rows(ax), [[0, 0], [10, 20], [40, 10]])


def test_plot_psth_heatmap__does_not_divide_rates_again(counts, ax):
    rates = counts.assign_attrs(units="spikes/s")
    plots.plot_psth_heatmap(rates, order=[9, 7, 8], ax=ax)
    np.testing.assert_allclose(drawn_rows(ax), [[0, 0], [1, 2], [4, 1]])


def test_plot_psth_heatmap__says_so_itself_that_they_are_rates(counts, ax):
    plots.plot_psth_heatmap(counts, order=[9, 7, 8], are_rates=True, ax=ax)
    np.testing.assert_allclose(drawn_rows(ax), [[0, 0], [1, 2], [4, 1]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": "peaks"}, "order='peaks'; valid: 'given', 'peak' or"),
        ({"order": [7, 1]}, "unit 1 is not in mean_counts"),
        ({"order": []}, "order is empty"),
        (
            {"order": "peak", "depths": pd.Series({7: 1.0, 8: 2.0, 9: 3.0})},
            "depths and order cannot be combined",
        ),
    ],
)
def test_plot_psth_heatmap__refuses_orders(counts, options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        plots.plot_psth_heatmap(counts, **options)
    assert not plt.get_fignums()
