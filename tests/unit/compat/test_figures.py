"""The figures with AllenSDK's names."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.figure import Figure

from spikehouse.compat.figures import (
    plot_mean_waveforms,
    plot_running_speed,
    plot_spike_counts,
    raster_plot,
)
from spikehouse.errors import InvalidArgumentError, NotFoundError


@pytest.fixture(autouse=True)
def on_agg():
    before = mpl.get_backend()
    plt.switch_backend("agg")
    yield
    plt.close("all")
    plt.switch_backend(before)


def draw(figure):
    """Draw it, so that what only fails then does; give its first axes."""
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    return figure.axes[0]


@pytest.fixture
def waveforms():
    values = np.arange(12.0).reshape(3, 4)
    coords = {"channel_id": [10, 11, 12], "time": np.arange(4) / 1000}
    return {
        unit: xr.DataArray(values * unit, coords=coords, dims=("channel_id", "time"))
        for unit in (1, 2)
    }


def test_plot_mean_waveforms__draws_the_peak_channel_over_ms(waveforms):
    ax = draw(plot_mean_waveforms(waveforms, np.array([2, 1]), pd.Series({1: 10, 2: 12})))
    first, second = ax.lines[:2]
    np.testing.assert_allclose(first.get_xdata(), [0, 1, 2, 3])
    np.testing.assert_allclose(first.get_ydata(), [16, 18, 20, 22])
    np.testing.assert_allclose(second.get_ydata(), [0, 1, 2, 3])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["2", "1"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (ms)", "voltage (µV)")


def test_plot_mean_waveforms__of_many_units_has_no_legend(waveforms):
    many = dict.fromkeys(range(30), waveforms[1])
    ax = draw(plot_mean_waveforms(many, list(many), dict.fromkeys(many, 11)))
    assert ax.get_legend() is None
    assert ax.get_title(loc="left") == "mean waveform on the peak channel, 30 units"


def test_plot_mean_waveforms__says_what_is_missing(waveforms):
    with pytest.raises(NotFoundError, match="no channel for unit 2"):
        plot_mean_waveforms(waveforms, [2], pd.Series({1: 10}))
    with pytest.raises(NotFoundError, match="unit 1 has no channel 99"):
        plot_mean_waveforms(waveforms, [1], {1: 99})
    with pytest.raises(InvalidArgumentError, match="unit_ids is empty"):
        plot_mean_waveforms(waveforms, [], {1: 10})


def test_plot_spike_counts__draws_units_over_bins():
    counts = xr.DataArray(np.arange(6).reshape(3, 2), dims=("time", "unit_id"))
    figure = plot_spike_counts(counts, [0.0, 0.1, 0.2], "spikes", "flashes", xtick_step=2)
    ax = draw(figure)
    (mesh,) = [found for found in ax.collections if isinstance(found, QuadMesh)]
    np.testing.assert_array_equal(np.asarray(mesh.get_array()).reshape(2, 3), counts.T)
    np.testing.assert_allclose(ax.get_xlim(), (-0.05, 0.25))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.000", "0.200"]
    assert ax.get_ylim() == (2, 0)
    assert ax.get_title(loc="left") == "flashes"
    assert figure.axes[1].get_ylabel() == "spikes"


@pytest.mark.parametrize(
    ("shape", "times", "message"),
    [
        ((3, 2), [0.0, 0.1], "with 2 bins"),
        ((3, 0), [0.0, 0.1, 0.2], "at least one unit"),
        ((3,), [0.0, 0.1, 0.2], "bins × units"),
        ((1, 2), [0.0], "two or more increasing numbers"),
        ((2, 2), [0.1, 0.0], "that does not increase"),
    ],
)
def test_plot_spike_counts__says_what_does_not_fit(shape, times, message):
    with pytest.raises(InvalidArgumentError, match=message):
        plot_spike_counts(np.zeros(shape), times, "spikes", "flashes")
    assert not plt.get_fignums()


def test_plot_spike_counts__checks_the_step():
    with pytest.raises(InvalidArgumentError, match="xtick_step must be 1 or more, not 0"):
        plot_spike_counts(np.zeros((2, 1)), [0, 1], "spikes", "flashes", xtick_step=0)


@pytest.fixture
def spikes():
    return pd.DataFrame(
        {"stimulus_presentation_id": 4, "unit_id": [9, 5, 9]},
        index=pd.Index([1.0, 1.5, 2.0], name="spike_time"),
    )


def test_raster_plot__has_a_row_a_unit(spikes):
    ax = draw(raster_plot(spikes, title="one flash"))
    rows = [found for found in ax.collections if isinstance(found, LineCollection)]
    found = [
        [(line[0][0], round(line[:, 1].mean())) for line in row.get_segments()] for row in rows
    ]
    assert found == [[(1.5, 0)], [(1.0, 1), (2.0, 1)]]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["5", "9"]
    assert ax.get_title(loc="left") == "one flash"


def test_raster_plot__colors_are_the_same_each_time(spikes):
    def colors(**options):
        ax = draw(raster_plot(spikes, **options))
        return [tuple(row.get_colors()[0]) for row in ax.collections]

    assert colors() == colors()
    cycled = colors(cmap=plt.cm.tab10, cycle_colors=True)
    assert cycled == [plt.cm.tab10(0), plt.cm.tab10(1)]


def test_raster_plot__of_nothing(spikes):
    ax = draw(raster_plot(spikes.iloc[:0]))
    assert not ax.collections
    with pytest.raises(InvalidArgumentError, match="no column 'unit_id'"):
        raster_plot(spikes.drop(columns="unit_id"))


def test_plot_running_speed__takes_a_slice():
    ax = draw(plot_running_speed(np.arange(10), np.arange(10) * 2, 2, 8, 3, title="run"))
    assert ax.lines[0].get_xdata().tolist() == [2, 5]
    assert ax.lines[0].get_ydata().tolist() == [4, 10]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (s)", "running speed (cm/s)")
    with pytest.raises(InvalidArgumentError, match=r"\(2,\) and \(3,\)"):
        plot_running_speed([0, 1], [1, 2, 3])
