"""One correlogram, and the direction between areas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.figure import Figure

from spikehouse import plots
from spikehouse.errors import InvalidArgumentError

HIERARCHY = {"high": 0.5, "low": 0.0, "middle": 0.1}


@pytest.fixture
def correlogram():
    lags = np.arange(-100, 101) * 0.001
    values = 1e-6 * np.cos(np.arange(201) * np.pi)
    values[104] = 2e-5
    return xr.DataArray(
        values,
        dims="time_lag",
        coords={"time_lag": lags, "source_unit_id": 7, "target_unit_id": 9},
        attrs={"bin_width": 0.001, "jitter_window": 0.025},
    )


@pytest.fixture
def directionality():
    """As `compute_directionality` gives it; one pair of areas has no score."""
    areas = ["high", "low", "middle", "elsewhere"]
    index = pd.MultiIndex.from_product(
        [areas, areas], names=["source_structure", "target_structure"]
    )
    scores = {("low", "high"): 0.8, ("low", "middle"): 0.2, ("middle", "high"): 0.5}
    table = pd.DataFrame({"score": 0.0, "median_lag": 0.0}, index=index)
    for (source, target), score in scores.items():
        table.loc[(source, target)] = [score, score / 100]
        table.loc[(target, source)] = [-score, -score / 100]
    table.loc[("elsewhere", "elsewhere")] = np.nan
    return table


def test_plot_correlogram__marks_the_peak_and_the_limit(ax, render, correlogram):
    assert plots.plot_correlogram(correlogram, ax=ax, title="a pair") is ax
    render(ax)
    *_, curve, limit, peak = ax.lines
    # per spike: 2e-5 a bin and (spike/s), in bins of 1 ms
    np.testing.assert_allclose(peak.get_xydata(), [[4, 0.02]])
    assert peak.get_markerfacecolor() != "none"
    np.testing.assert_allclose(curve.get_xdata()[[0, -1]], [-100, 100])
    np.testing.assert_allclose(limit.get_xydata(), [[-10, 0.007], [10, 0.007]], rtol=1e-3)
    assert ax.get_xlabel() == "lag of unit 9 after unit 7 (ms)"
    assert ax.get_ylabel() == "coincidences per spike\nless jittered"


def test_plot_correlogram__a_peak_below_the_limit_is_hollow(ax, render, correlogram):
    plots.plot_correlogram(correlogram.expand_dims("pair"), n_sd=50.0, ax=ax)
    render(ax)
    assert ax.lines[-1].get_markerfacecolor() == "none"
    uncorrected = correlogram.assign_attrs(jitter_window=0.0)
    assert plots.plot_correlogram(uncorrected).get_ylabel().endswith("uncorrected")


def test_plot_correlogram__invalid(correlogram):
    two = xr.concat([correlogram, correlogram], "pair")
    with pytest.raises(InvalidArgumentError, match="has 2 pairs; choose one"):
        plots.plot_correlogram(two)
    with pytest.raises(InvalidArgumentError, match="unit 7 with 9 needs values that are finite"):
        plots.plot_correlogram(correlogram * np.nan)


def test_plot_directionality__matrix_and_dots(render, directionality):
    axes = Figure(layout="constrained").subplots(1, 2)
    left, right = plots.plot_directionality(
        directionality, hierarchy=HIERARCHY, names={"low": "V1"}, axes=axes, title="scores"
    )
    render(left)
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["V1", "middle", "high"]
    # rows are targets: the last one follows the others
    expected = [[0, -0.2, -0.8], [0.2, 0, -0.5], [0.8, 0.5, 0]]
    np.testing.assert_allclose(left.images[0].get_array(), expected)
    rings, dots, _ = right.lines[1:]
    np.testing.assert_allclose(dots.get_xydata(), [[0.1, 0.2], [0.5, 0.8], [0.4, 0.5]])
    np.testing.assert_allclose(rings.get_xydata(), np.zeros((3, 2)))
    r = np.corrcoef([0.1, 0.5, 0.4], [0.2, 0.8, 0.5])[0, 1]
    assert right.get_title(loc="left") == f"r = {r:.2f}, 3 pairs of areas"


def test_plot_directionality__lags_in_ms_and_gaps(render, directionality):
    table = directionality.drop([("low", "high"), ("high", "low")])
    left, right = plots.plot_directionality(table, hierarchy=HIERARCHY, measure="median_lag")
    render(left)
    assert np.isnan(left.images[0].get_array().filled(np.nan)[2, 0])
    assert left.images[0].get_array()[1, 0] == 2.0
    assert right.get_ylabel() == "median lag of the peak (ms)"
    assert right.get_title(loc="left") == "2 pairs of areas"


def test_plot_directionality__numbers_of_pairs_and_one_kind_of_minus(render, directionality):
    table = directionality.assign(n_significant=np.arange(len(directionality)))
    table.loc[[("low", "middle"), ("middle", "low")], "score"] = np.nan
    table.loc[[("low", "high"), ("high", "low")], "score"] = np.nan
    left, right = plots.plot_directionality(table, hierarchy=HIERARCHY)
    render(left)
    texts = {text.get_text() for text in left.texts}
    assert {"0.50", "−0.50"} <= texts
    number = table.loc[("middle", "high"), "n_significant"]
    assert str(number) in texts
    assert right.get_title(loc="left") == "1 pair of areas"


def test_plot_directionality__in_an_order_of_its_own(render, directionality):
    order = ["middle", "low", "absent"]
    hierarchy = HIERARCHY | {"absent": 1.0}
    left, right = plots.plot_directionality(directionality, hierarchy=hierarchy, order=order)
    render(left)
    np.testing.assert_allclose(left.images[0].get_array(), [[0, 0.2], [-0.2, 0]])
    np.testing.assert_allclose(right.lines[2].get_xydata(), [[-0.1, -0.2]])


def test_plot_directionality__invalid(directionality):
    with pytest.raises(InvalidArgumentError, match="order has 'lower', which has no hierarchy sc"):
        plots.plot_directionality(directionality, hierarchy=HIERARCHY, order=["lower"])
    with pytest.raises(InvalidArgumentError, match="no pair of areas with a hierarchy score has"):
        plots.plot_directionality(directionality, hierarchy={"VISp": 0.0})
    with pytest.raises(InvalidArgumentError, match="measure='peak': "):
        plots.plot_directionality(directionality, hierarchy=HIERARCHY, measure="peak")
