"""Measures against the hierarchy, and steps of a selection: what is drawn, what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from spikehouse.analysis import HIERARCHY_SCORES
from spikehouse.errors import InvalidArgumentError
from spikehouse.plots import AREA_COLORS, plot_funnel, plot_hierarchy

CORRELATION = {
    "pearson_r": -0.89, "pearson_p": 0.003, "spearman_r": -0.93, "spearman_p": 0.0009,
    "slope": -0.7, "intercept": 0.0, "pearson_r_low": -0.95, "pearson_r_high": -0.6,
}  # fmt: skip


@pytest.fixture
def ax():
    return Figure().subplots()


def means(*names):
    return pd.DataFrame({"mean": np.arange(len(names)) * 1.0, "half_width": 0.2}, index=names)


def test_plot_hierarchy__names_areas_in_their_colours(ax):
    assert plot_hierarchy(means("VISam", "LGd"), ax=ax, ylabel="time (ms)") is ax
    named = {text.get_text(): to_hex(text.get_color()) for text in ax.texts}
    assert named == {name: AREA_COLORS[name].lower() for name in ("VISam", "LGd")}
    at = {line.get_xdata()[0]: line.get_marker() for line in ax.lines if len(line.get_xdata()) == 1}
    assert at == {HIERARCHY_SCORES["LGd"]: "s", HIERARCHY_SCORES["VISam"]: "o"}


def test_plot_hierarchy__writes_the_correlation_where_the_line_is_not(ax):
    plot_hierarchy(means("LGd", "VISp", "LP"), correlation=CORRELATION, ax=ax)
    text = next(text for text in ax.texts if "over sessions" in text.get_text())
    assert text.get_ha() == "right"
    assert text.get_text().splitlines() == [
        "$r_P$ = −0.89, $P_P$ = 0.003", "$r_S$ = −0.93, $P_S$ = 0.0009",
        "over sessions: −0.95 to −0.60",
    ]  # fmt: skip


@pytest.mark.parametrize("spread", [0.0, 0.05, 1.0])
def test_plot_hierarchy__names_of_all_areas_overlap_nothing(spread):
    """At almost one height, where neighbours are closest, names still have places of their own."""
    figure = Figure(figsize=(3.5, 2.8), layout="constrained")
    ax = figure.subplots()
    table = means(*HIERARCHY_SCORES) * [spread, 1.0]
    plot_hierarchy(table, correlation=CORRELATION | {"slope": 0.0, "intercept": -0.3}, ax=ax)
    figure.draw_without_rendering()
    named = [text for text in ax.texts if text.get_text() in HIERARCHY_SCORES]
    assert len(named) == 8
    boxes = [text.get_window_extent() for text in named]
    for place, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[place + 1 :]), named[place]


def test_plot_hierarchy__one_colour_joins_areas_and_names_none(ax):
    plot_hierarchy(means("VISam", "VISp"), color="#123456", ax=ax)
    assert not ax.texts
    line = ax.lines[0].get_xdata()
    assert list(line) == [HIERARCHY_SCORES["VISp"], HIERARCHY_SCORES["VISam"]]


def test_area_colors__are_of_all_scored_areas_and_differ():
    assert {*AREA_COLORS} == {*HIERARCHY_SCORES}
    assert len({*AREA_COLORS.values()}) == len(AREA_COLORS)


def test_plot_hierarchy__refuses_areas_without_a_score(ax):
    with pytest.raises(InvalidArgumentError, match="area 'VISpx' has no hierarchy score: did you"):
        plot_hierarchy(means("VISp", "VISpx"), ax=ax)


def test_plot_funnel__counts_published_ones_and_gaps(ax):
    counts = pd.Series({"all": 12000.0, "some": np.nan})
    plot_funnel(counts, reference=pd.Series({"some": 15713.0}), ax=ax)
    assert [text.get_text() for text in ax.texts] == [
        "12 000", "not known here  (published 15 713)",
    ]  # fmt: skip
    assert [label.get_text() for label in ax.get_yticklabels()] == ["all", "some"]
    assert ax.get_xlabel() == "number of units"


def test_plot_funnel__no_text_is_cut_off():
    figure = Figure(figsize=(7.1, 2.5), layout="constrained")
    ax = figure.subplots()
    steps = ["field, signal, rate and first spike within limits", "some"]
    counts = pd.Series([np.nan, 1600.0], index=steps)
    plot_funnel(counts, reference=pd.Series([135_270.0, 15_713.0], index=steps), ax=ax)
    figure.draw_without_rendering()
    assert max(text.get_window_extent().x1 for text in ax.texts) < figure.bbox.x1


@pytest.mark.parametrize("counts", [[], [3.0, -1.0]])
def test_plot_funnel__refuses_what_counts_nothing(ax, counts):
    with pytest.raises(InvalidArgumentError, match="give one step or more, and no negative"):
        plot_funnel(pd.Series(counts, dtype=float), ax=ax)
