"""Tuning curves, stars and receptive fields."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from spikehouse import plots
from spikehouse.errors import InvalidArgumentError

RESPONSES = [2.0, 4.0, 5.0, 7.0, 1.0, 3.0]
ORIENTATION = [0.0, 0.0, 90.0, 90.0, np.nan, np.nan]


def bars_of(container):
    """Lower and upper end of each error bar."""
    return [(low, high) for (_, low), (_, high) in container[2][0].get_segments()]


def test_plot_tuning_curve__draws_means_errors_and_blank(ax, render):
    assert plots.plot_tuning_curve(RESPONSES, ORIENTATION, ax=ax, title="unit 7") is ax
    render(ax)
    (curve,) = ax.containers
    np.testing.assert_allclose(curve[0].get_xydata(), [[0, 3], [90, 6]])
    # sd √2, two presentations: SEM 1
    np.testing.assert_allclose(bars_of(curve), [(2, 4), (5, 7)])
    blank = next(line for line in ax.lines if line.get_label() == "blank")
    assert set(blank.get_ydata()) == {2.0}
    assert [text.get_text() for text in ax.texts] == ["blank"]
    assert ax.get_ylim()[0] == 0
    assert ax.get_xlabel() == "orientation (°)"
    assert ax.get_ylabel() == "firing rate (spikes/s)\nmean ± SEM"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0", "90"]


def test_plot_tuning_curve__of_single_presentations_has_no_bars(ax, render):
    plots.plot_tuning_curve([1.0, 2.0, 3.0], [1.0, 2.0, np.nan], ax=ax)
    render(ax)
    np.testing.assert_allclose(ax.containers[0][0].get_ydata(), [1, 2])
    bars = ax.containers[0][2][0].get_segments()
    assert [len(bar) for bar in bars] == [0, 0]
    assert not ax.patches  # nor has the blank a band


def test_plot_tuning_curve__a_line_a_group(ax, render):
    groups = [2.0, 4.0, 2.0, 4.0, np.nan, np.nan]
    plots.plot_tuning_curve(
        RESPONSES, ORIENTATION, groups=groups, ax=ax, group_label="temporal frequency (Hz)"
    )
    render(ax)
    first, second = ax.containers
    np.testing.assert_allclose(first[0].get_ydata(), [2, 5])
    np.testing.assert_allclose(second[0].get_ydata(), [4, 7])
    assert first[0].get_marker() != second[0].get_marker()
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["blank", "2", "4"]
    assert ax.get_legend().get_title().get_text() == "temporal frequency (Hz)"


def test_plot_tuning_curve__blank_sweeps_of_each_group(ax, render):
    state = ["rest", "run", "rest", np.nan, "rest", np.nan]
    plots.plot_tuning_curve(RESPONSES, ORIENTATION, groups=state, ax=ax)
    render(ax)
    rest, _ = ax.containers
    # the blank sweep without a state, 3.0, is left out, and no blank sweep was in "run"
    (blank,) = (line for line in ax.lines if "blank" in line.get_label())
    assert (blank.get_label(), *blank.get_ydata()) == ("rest, blank", 1.0, 1.0)
    assert blank.get_color() == rest[0].get_color()
    plots.plot_tuning_curve(RESPONSES, ORIENTATION, groups=[*state[:4], np.nan, np.nan], ax=ax)
    assert sum("blank" in line.get_label() for line in ax.lines) == 1


def test_plot_tuning_curve__scales(ax, render):
    values = [0.02, 0.32, 0.04]
    plots.plot_tuning_curve([1.0, 2.0, 3.0], values, scale="even", ax=ax)
    np.testing.assert_allclose(ax.containers[0][0].get_xydata(), [[0, 1], [1, 3], [2, 2]])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0.02", "0.04", "0.32"]
    other = Figure().subplots()
    plots.plot_tuning_curve([-1.0, 2.0, 3.0], values, scale="log", ax=other)
    render(other)
    assert other.get_xscale() == "log"
    assert [tick.get_text() for tick in other.get_xticklabels()] == ["0.02", "0.04", "0.32"]
    assert other.get_ylim()[0] < -1


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (
            ([1.0], [1.0, 2.0]),
            {},
            r"the same length, one entry per presentation; .* \(1,\), \(2,\)",
        ),
        (([[1.0]], [[1.0]]), {}, r"responses, values must have the same length"),
        (([1.0], [1.0]), {"groups": [1, 2]}, r"values and groups .* \(1,\), \(1,\), \(2,\)"),
        (([], []), {}, "no response to draw: of 0 presentations"),
        (([1.0, 2.0], [np.nan, np.nan]), {}, "of 2 presentations 2 are blank sweeps"),
        (([np.nan], [0.0]), {}, "no response to draw"),
        (([1.0], [0.0]), {"scale": "log"}, "scale='log' needs values above 0, not 0"),
        (([1.0], [0.0]), {"scale": "logs"}, "scale='logs': .*log"),
    ],
)
def test_plot_tuning_curve__refuses(arguments, options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        plots.plot_tuning_curve(*arguments, **options)
    assert not plt.get_fignums()


@pytest.fixture
def means():
    return xr.DataArray(
        [[1.0, 2.0], [3.0, np.nan], [5.0, 6.0], [7.0, 8.0]],
        coords={"orientation": [0, 90, 180, 270], "temporal_frequency": [1, 15]},
        dims=("orientation", "temporal_frequency"),
    )


def polar():
    return Figure(layout="constrained").add_subplot(projection="polar")


def test_plot_star__has_a_wedge_a_grating(means, render):
    ax = polar()
    assert plots.plot_star(means.T, ax=ax) is ax
    render(ax)
    wedges = {
        (round(np.rad2deg(p.get_x() + p.get_width() / 2)), p.get_y()): p.get_facecolor()
        for p in ax.patches
    }
    assert len(ax.patches) == 8
    assert set(wedges) == {(angle, ring) for angle in (0, 90, 180, 270) for ring in (1, 2)}
    # the largest has the end of the map, the missing one is grey
    assert wedges[270, 2] == pytest.approx(plt.get_cmap("viridis")(1.0))
    assert wedges[90, 2] == pytest.approx((0xD9 / 255,) * 3 + (1,))
    assert ax.get_xlabel() == "rings from inside: temporal frequency (Hz)\n1, 15"
    assert ax.figure.axes[1].get_ylabel() == "firing rate (spikes/s)"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0°", "90°", "180°", "270°"]


def test_plot_star__of_static_gratings_is_drawn_twice(render):
    means = xr.DataArray(
        [[1.0], [2.0]],
        coords={"orientation": [0, 90], "spatial_frequency": [0.04]},
        dims=("orientation", "spatial_frequency"),
    )
    ax = polar()
    plots.plot_star(means, rings="spatial_frequency", period=180, blank=0.5, ax=ax)
    render(ax)
    assert len(ax.patches) == 4 + 1  # and the disc of the blank
    assert [text.get_text() for text in ax.texts] == ["blank"]
    labels = [tick.get_text() for tick in ax.get_xticklabels()]
    assert labels == ["0°", "90°", "0°", "90°"]
    first, opposite = ax.patches[0].get_facecolor(), ax.patches[1].get_facecolor()
    assert first == opposite


def test_plot_star__refuses(means, ax):
    with pytest.raises(InvalidArgumentError, match="ax is not polar; make one with"):
        plots.plot_star(means, ax=ax)
    with pytest.raises(InvalidArgumentError, match="no dimension 'phase'; it has"):
        plots.plot_star(means, rings="phase")
    with pytest.raises(InvalidArgumentError, match="equal modulo 180°: 0, 90, 180, 270"):
        plots.plot_star(means, period=180)
    with pytest.raises(InvalidArgumentError, match=r"360 or 180 .* not 90"):
        plots.plot_star(means, period=90)
    with pytest.raises(InvalidArgumentError, match="means holds no finite value"):
        plots.plot_star(means * np.nan)
    with pytest.raises(InvalidArgumentError, match=r"must be a DataArray .* not ndarray"):
        plots.plot_star(means.to_numpy())
    assert not plt.get_fignums()


@pytest.fixture
def field():
    return xr.DataArray(
        [[[0.0, 1.0, 2.0], [3.0, 4.0, np.nan]]],
        coords={"unit_id": [7], "elevation": [-10, 0], "azimuth": [-10, 0, 10]},
        dims=("unit_id", "elevation", "azimuth"),
    )


def test_plot_receptive_field__is_in_degrees(field, ax, render):
    mask = [[False, False, False], [False, True, False]]
    plots.plot_receptive_field(
        field, mask=mask, center=(1.0, 2.0), widths=(3.0, 4.0), angle=30, ax=ax
    )
    render(ax)
    mesh = ax.collections[0]
    np.testing.assert_allclose(mesh.get_array().filled(-1), [[0, 1, 2], [3, 4, -1]])
    assert mesh.get_clim() == (0, 4)
    assert (ax.get_xlim(), ax.get_ylim()) == ((-15, 15), (-15, 5))
    assert ax.get_aspect() == 1
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("azimuth (°)", "elevation (°)")
    assert ax.figure.axes[1].get_ylabel() == "spikes per presentation"
    outline = next(c for c in ax.collections if isinstance(c, LineCollection))
    corners = {tuple(point) for line in outline.get_segments() for point in line.tolist()}
    assert len(outline.get_segments()) == 4
    assert corners == {(-5, -5), (5, -5), (-5, 5), (5, 5)}
    ellipse = next(p for p in ax.patches if isinstance(p, Ellipse))
    assert (ellipse.center, ellipse.width, ellipse.height) == ((1.0, 2.0), 6.0, 8.0)


def test_plot_receptive_field__takes_degrees_along_other_dimensions(field, ax):
    swapped = field.rename(elevation="y_position", azimuth="x_position").assign_coords(
        elevation=("y_position", [10.0, 20.0]), azimuth=("x_position", [0.0, 10.0, 20.0])
    )
    plots.plot_receptive_field(swapped, ax=ax)
    assert (ax.get_xlim(), ax.get_ylim()) == ((-5, 25), (5, 25))


def test_plot_receptive_field__turns_rows_from_the_top_over(field, ax):
    mask = np.array([[False, False, True], [False, False, False]])
    plots.plot_receptive_field(field.isel(elevation=[1, 0]), mask=mask, ax=ax)
    np.testing.assert_allclose(ax.collections[0].get_array().filled(-1), [[0, 1, 2], [3, 4, -1]])
    outline = next(c for c in ax.collections if isinstance(c, LineCollection))
    corners = {tuple(point) for line in outline.get_segments() for point in line.tolist()}
    assert corners == {(5, -5), (15, -5), (5, 5), (15, 5)}


def test_plot_receptive_field__of_a_silent_unit(field, ax, render):
    plots.plot_receptive_field(field.fillna(0) * 0, ax=ax)
    render(ax)
    assert ax.collections[0].get_clim() == (0, 1)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda f: f.rename(elevation="y"), {}, "no dimension 'elevation'; it has"),
        (lambda f: xr.concat([f, f], "unit_id"), {}, r"2 entries along 'unit_id'; choose one, "),
        (lambda f: f.isel(azimuth=[]), {}, "is empty along 'azimuth'"),
        (
            lambda f: f.isel(azimuth=[1, 0, 2]),
            {},
            "azimuth must be two or more .* does not increase",
        ),
        (lambda f: f * np.nan, {}, "no finite value"),
        (lambda f: f, {"mask": [True]}, r"mask has the shape \(1,\); .* \(2, 3\)"),
        (lambda f: f, {"widths": (1.0, 1.0)}, "widths needs a center"),
    ],
)
def test_plot_receptive_field__refuses(field, change, options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        plots.plot_receptive_field(change(field), **options)
    assert not plt.get_fignums()


def test_plot_tuning_curve__null_is_a_blank_sweep():
    with_null = plots.plot_tuning_curve(
        [1.0, 2.0, 5.0, 7.0], pd.Series([0.0, 90.0, "null", "null"])
    )
    with_nan = plots.plot_tuning_curve([1.0, 2.0, 5.0, 7.0], [0.0, 90.0, np.nan, np.nan])
    for one, other in zip(with_null.lines, with_nan.lines, strict=True):
        np.testing.assert_array_equal(one.get_xydata(), other.get_xydata())
    assert "blank" in [line.get_label() for line in with_null.lines]


def test_plot_receptive_field__takes_a_mask_made_of_its_map():
    field = xr.DataArray(
        [[0.0, 1.0], [2.0, 3.0]],
        coords={
            "y_position": [10.0, 0.0],
            "x_position": [0.0, 10.0],
            "elevation": ("y_position", [20.0, 10.0]),
            "azimuth": ("x_position", [50.0, 60.0]),
        },
        dims=("y_position", "x_position"),
    )
    ax = plots.plot_receptive_field(field, mask=field > 2.5)
    outline = [c for c in ax.collections if isinstance(c, LineCollection)][-1]
    corners = np.concatenate(outline.get_segments())
    assert corners.min(axis=0).tolist() == [55.0, 5.0]
