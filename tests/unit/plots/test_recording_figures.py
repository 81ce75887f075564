"""Waveforms, probes, LFP and CSD, behaviour."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from spikehouse import plots
from spikehouse.errors import InvalidArgumentError
from spikehouse.plots import CONDITION_COLORS


@pytest.fixture
def waveform():
    """Channel 11 is the largest; it lies above 12."""
    return xr.DataArray(
        [[0.0, -10.0, 0.0], [0.0, -80.0, 20.0], [0.0, -40.0, 10.0]],
        coords={"channel_id": [10, 11, 12], "time": [0.0, 0.001, 0.002]},
        dims=("channel_id", "time"),
    )


DEPTHS = pd.Series({10: 20.0, 11: 60.0, 12: 40.0, 13: 80.0})


def tick_labels(ax):
    return [tick.get_text() for tick in ax.get_yticklabels()]


def test_plot_waveform_lines__from_the_tip_up_to_one_scale(waveform, ax, render):
    assert plots.plot_waveform_lines(waveform, depths=DEPTHS, ax=ax) is ax
    render(ax)
    lines = ax.lines[:3]
    # the largest reaches over 100 µV: the lines are 50 µV apart
    np.testing.assert_allclose(lines[0].get_ydata(), [0, -10, 0])
    np.testing.assert_allclose(lines[1].get_ydata(), [50, 10, 60])
    np.testing.assert_allclose(lines[2].get_ydata(), [100, 20, 120])
    np.testing.assert_allclose(lines[0].get_xdata(), [0, 1, 2])
    assert [line.get_color() for line in lines].index(CONDITION_COLORS[1]) == 2
    assert tick_labels(ax) == ["20", "40", "60"]
    assert [text.get_text() for text in ax.texts] == ["50 µV"]
    assert ax.get_xlabel() == "time (ms)"
    assert ax.get_ylabel() == "3 channels, position on the probe (µm from the tip)"


def test_plot_waveform_lines__around_a_peak_given(waveform, ax, render):
    plots.plot_waveform_lines(waveform, peak_channel=10, n_channels=2, ax=ax)
    assert tick_labels(render(ax)) == ["10", "11"]
    assert ax.lines[0].get_color() == CONDITION_COLORS[1]
    assert ax.get_ylabel() == "2 channels (channel_id)"


def test_plot_waveform_heatmap__is_white_at_zero(waveform, ax, render):
    plots.plot_waveform_heatmap(waveform.T, depths=DEPTHS, ax=ax)
    render(ax)
    mesh = ax.collections[0]
    np.testing.assert_allclose(
        mesh.get_array().reshape(3, 3), [[0, -10, 0], [0, -40, 10], [0, -80, 20]]
    )
    assert mesh.get_clim() == (-80, 80)
    assert ax.figure.axes[1].get_ylabel() == "voltage (µV)"
    assert ax.lines[0].get_ydata() == [2]  # the mark of the peak
    np.testing.assert_allclose(ax.get_xlim(), (-0.5, 2.5))


@pytest.mark.parametrize("plot", [plots.plot_waveform_lines, plots.plot_waveform_heatmap])
@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda w: w * np.nan, {}, "waveform holds no finite value"),
        (lambda w: w.rename(time="t"), {}, "no dimension 'time'"),
        (lambda w: w, {"peak_channel": 99}, "waveform has no channel 99: "),
        (lambda w: w, {"n_channels": 0}, "n_channels must be 1 or more, not 0"),
        (lambda w: w, {"depths": DEPTHS[:2]}, "no value for 1 of 3 ids, such as 12"),
        (lambda w: w, {"depths": DEPTHS * np.nan}, "depths of 10 is not a finite number"),
        (lambda w: w, {"depths": pd.concat([DEPTHS, DEPTHS])}, "several values for one id"),
    ],
)
def test_plot_waveform__refuses(waveform, plot, change, options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        plot(change(waveform), **options)
    assert not plt.get_fignums()


@pytest.mark.parametrize("plot", [plots.plot_waveform_lines, plots.plot_waveform_heatmap])
def test_plot_waveform__with_a_dead_channel_or_all_flat(waveform, plot, render):
    first, second = Figure().subplots(1, 2)
    plot(waveform.where(waveform["channel_id"] != 12), ax=first)
    plot(waveform * 0, ax=second)
    render(first)
    for drawn in (first, second):
        assert len(drawn.collections) + len(drawn.lines) > 0


def probe_table(rows):
    columns = ["probe_id", "probe_vertical_position", "ecephys_structure_acronym"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(probe_description=table["probe_id"].map({1: "probeA", 2: "probeB"}))


UNITS = probe_table([(2, 40, "LP"), (1, 100, "VISp"), (1, 100, "VISp"), (1, 20, np.nan)])
CHANNELS = probe_table(
    [(1, 20, None), (1, 80, "VISp"), (1, 40, "LP"), (1, 60, "LP"), (2, 20, "LP"), (2, 40, "LP")]
)


def test_plot_probes__dots_boundaries_and_names(ax, render):
    assert plots.plot_probes(UNITS, CHANNELS, ax=ax) is ax
    render(ax)
    dots = np.concatenate([c.get_offsets() for c in ax.collections if len(c.get_offsets()) > 0])
    is_dot = np.isin(dots[:, 1], [40, 100, 20])
    assert is_dot.sum() == 4
    beside = np.sort(dots[dots[:, 1] == 100][:, 0])
    assert beside[0] == pytest.approx(-beside[1])  # two at one depth stand side by side
    texts = {text.get_text(): text for text in ax.texts}
    assert list(texts) == ["LP", "VISp"]
    assert texts["LP"].get_color() != texts["VISp"].get_color()
    assert sorted(text.get_text() for text in ax.texts) == ["LP", "LP", "VISp"]
    heights = sorted(
        c.get_segments()[0][0, 1] for c in ax.collections if hasattr(c, "get_segments")
    )
    assert heights == [30, 70]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["probeA\n3 units", "probeB\n1 unit"]
    assert ax.get_ylabel() == "position on the probe (µm from the tip)"
    assert ax.get_legend() is None


def test_plot_probes__without_channels_has_a_legend_that_tells_apart(ax, render):
    names = [f"S{number}" for number in range(9)]
    units = probe_table([(1, 20 * number, name) for number, name in enumerate(names)])
    plots.plot_probes(units, ax=ax)
    render(ax)
    handles = ax.get_legend().get_lines()
    assert [handle.get_label() for handle in handles] == names
    assert len({(h.get_color(), h.get_marker()) for h in handles}) == 9


def test_plot_probes__neighbours_differ(ax):
    names = [f"S{number}" for number in range(20)]
    channels = probe_table([(1, 20 * number, name) for number, name in enumerate(names)])
    plots.plot_probes(channels, channels, ax=ax)
    colors = [to_rgba(text.get_color()) for text in ax.texts]
    assert len(colors) > 10
    assert all(below != above for below, above in itertools.pairwise(colors))


def test_plot_probes__names_stand_for_missing_ids(ax):
    units = UNITS.assign(probe_id=np.nan)
    plots.plot_probes(units, ax=ax)
    names = [label.get_text().split("\n")[0] for label in ax.get_xticklabels()]
    assert names == sorted(units["probe_description"].unique())
    with pytest.raises(InvalidArgumentError, match="have neither probe_id nor probe_description"):
        plots.plot_probes(units.assign(probe_description=None))


def test_plot_probes__refuses():
    with pytest.raises(InvalidArgumentError, match="units has no column 'probe_id'; it has"):
        plots.plot_probes(UNITS.drop(columns="probe_id"))
    with pytest.raises(InvalidArgumentError, match="channels has no column 'ecephys_structure"):
        plots.plot_probes(UNITS, CHANNELS.drop(columns="ecephys_structure_acronym"))
    with pytest.raises(InvalidArgumentError, match="units has no rows"):
        plots.plot_probes(UNITS.iloc[:0])
    with pytest.raises(InvalidArgumentError, match="1 of 4 rows of units is not a finite number"):
        plots.plot_probes(UNITS.assign(probe_vertical_position=[1.0, np.nan, 2.0, 3.0]))
    assert not plt.get_fignums()


@pytest.fixture
def lfp():
    """Three channels [V]; 5 lies above 6."""
    return xr.DataArray(
        np.array([[1.0, 2.0, np.nan, 4.0], [-8.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]).T / 1e6,
        coords={"time": [100.0, 100.1, 100.2, 100.3], "channel": [5, 6, 7]},
        dims=("time", "channel"),
    )


LFP_DEPTHS = pd.Series({5: 80.0, 6: 40.0, 7: 120.0})


def test_plot_lfp_heatmap__by_depth_in_microvolts(lfp, ax, render):
    assert plots.plot_lfp_heatmap(lfp, depths=LFP_DEPTHS, reach=5.0, ax=ax) is ax
    render(ax)
    mesh = ax.collections[0]
    drawn = np.ma.filled(mesh.get_array(), -99).reshape(3, 4)
    np.testing.assert_allclose(drawn, [[-8, 0, 0, 0], [1, 2, -99, 4], [1, 1, 1, 1]])
    assert mesh.get_clim() == (-5, 5)
    np.testing.assert_allclose(ax.get_ylim(), (20, 140))
    np.testing.assert_allclose(ax.get_xlim(), (99.95, 100.35))
    bar = ax.figure.axes[1]
    assert bar.get_ylabel() == "local field potential (µV)"
    assert (ax.get_xlabel(), ax.get_ylabel()) == (
        "time (s)", "position on the probe (µm from the tip)",
    )  # fmt: skip
    assert "e" not in "".join(tick.get_text() for tick in ax.get_xticklabels())


def test_plot_lfp_heatmap__without_depths_around_an_onset(lfp, ax, render):
    around = lfp.rename(time="time_relative_to_onset").assign_coords(
        time_relative_to_onset=[-0.1, 0.0, 0.1, 0.2]
    )
    plots.plot_lfp_heatmap(around, stimulus_duration=0.1, ax=ax)
    assert tick_labels(render(ax)) == ["5", "6", "7"]
    assert ax.get_xlabel() == "time from stimulus onset (s)"
    assert ax.get_ylabel() == "3 channels"
    assert plots.plot_lfp_traces(lfp[:, :1]).get_ylabel() == "1 channel"


def test_plot_lfp_traces__around_their_means(lfp, ax, render):
    plots.plot_lfp_traces(lfp, depths=LFP_DEPTHS, spacing=10.0, ax=ax)
    render(ax)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [-6, 2, 2, 2])
    mean = 7 / 3
    np.testing.assert_allclose(ax.lines[1].get_ydata(), 10 + np.array([1, 2, np.nan, 4]) - mean)
    np.testing.assert_allclose(ax.lines[2].get_ydata(), [20] * 4)
    assert tick_labels(ax) == ["40", "80", "120"]
    assert [text.get_text() for text in ax.texts] == ["10 µV"]


@pytest.mark.parametrize("plot", [plots.plot_lfp_heatmap, plots.plot_lfp_traces])
@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda d: d.rename(time="t"), {}, "lfp has no time dimension; it has"),
        (lambda d: d.rename(channel="c"), {}, "no dimension 'channel'"),
        (lambda d: d * np.nan, {}, "lfp holds no finite value"),
        (lambda d: d.isel(time=[]), {}, "lfp is empty along 'time'"),
        (lambda d: d, {"depths": LFP_DEPTHS[:1]}, "no value for 2 of 3 ids, such as 6"),
        (lambda d: d, {"depths": LFP_DEPTHS * 0}, "does not increase"),
    ],
)
def test_plot_lfp__refuses(lfp, plot, change, options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        plot(change(lfp), **options)
    assert not plt.get_fignums()


def test_plot_lfp__refuses_a_whole_recording_and_impossible_scales(lfp):
    much = xr.DataArray(
        np.broadcast_to(0.0, (12_000_000, 95)), dims=("time", "channel")
    )  # takes no memory
    with pytest.raises(
        InvalidArgumentError, match=r"1,140,000,000 values; .* Select a time window"
    ):
        plots.plot_lfp_heatmap(much)
    with pytest.raises(InvalidArgumentError, match="reach must be a number above 0, not 0"):
        plots.plot_lfp_heatmap(lfp, reach=0.0)
    with pytest.raises(InvalidArgumentError, match="spacing must be a number above 0, not -1"):
        plots.plot_lfp_traces(lfp, spacing=-1.0)


@pytest.fixture
def csd():
    return xr.DataArray(
        [[1.0, 2.0, 3.0], [-4.0, 0.0, np.nan]],
        coords={
            "virtual_channel_index": [0, 1],
            "time": [-0.1, 0.0, 0.1],
            "vertical_position": ("virtual_channel_index", [60.0, 20.0]),
        },
        dims=("virtual_channel_index", "time"),
    )


def test_plot_csd__says_what_sinks_and_sources_are(csd, ax, render):
    assert plots.plot_csd(csd, density_unit="V/cm²", reach=4.0, stimulus_duration=0.05, ax=ax) is ax
    render(ax)
    mesh = ax.collections[0]
    drawn = np.ma.filled(mesh.get_array(), -99).reshape(2, 3)
    np.testing.assert_allclose(drawn, [[-4, 0, -99], [1, 2, 3]])
    assert mesh.get_clim() == (-4, 4)
    label = ax.figure.axes[1].get_ylabel()
    assert label == "sink  ←  current source density (V/cm²)  →  source"
    low, _, high = (mesh.cmap(value) for value in (0.0, 0.5, 1.0))
    assert low[2] > low[0]  # sinks are blue
    assert high[0] > high[2]


def test_plot_csd__takes_unit_and_depths_from_where_they_are(csd, ax, render):
    bare = csd.drop_vars("vertical_position").assign_attrs(units="A/m³")
    plots.plot_csd(bare, depths=[0.0, 40.0], ax=ax)
    assert "A/m³" in render(ax).figure.axes[1].get_ylabel()
    np.testing.assert_allclose(ax.get_ylim(), (-20, 60))


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda c: c, {"density_unit": None}, "csd has no attribute 'units'; add density_unit="),
        (lambda c: c.drop_vars("vertical_position"), {}, "no coordinate 'vertical_position'"),
        (lambda c: c, {"depths": [1.0]}, r"shape \(1,\); csd has 2 virtual channels"),
        (lambda c: c, {"depths": [1.0, 1.0]}, "does not increase"),
        (lambda c: c.expand_dims(probe=[1]), {}, "needed: one of virtual channels"),
        (lambda c: c * np.nan, {}, "csd holds no finite value"),
    ],
)
def test_plot_csd__refuses(csd, change, options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        plots.plot_csd(change(csd), **({"density_unit": "V/cm²"} | options))
    assert not plt.get_fignums()


@pytest.fixture
def activity():
    return xr.DataArray(
        [[1.0, 2.0], [3.0, 4.0], [5.0, 60.0]],
        coords={"time": [0.5, 1.5, 2.5], "unit_id": [7, 8]},
        dims=("time", "unit_id"),
    )


RUNNING = pd.Series([1.0, 2.0, 3.0, 4.0], index=[-1.0, 0.5, 2.0, 9.0])
EPOCHS = pd.DataFrame(
    {"start_time": [0.0, 1.5], "stop_time": [1.5, 9.0], "stimulus_name": ["gabors", "dot_motion"]}
)


def test_plot_behavior__aligns_the_panels(activity, render):
    pupil = pd.Series([5.0, np.nan, 7.0], index=[0.0, 1.0, 2.0])
    axes = Figure(figsize=(8, 5), layout="constrained").subplots(3, 1)
    drawn = plots.plot_behavior(
        activity, running=RUNNING, pupil=pupil, epochs=EPOCHS, rate_max=10.0, axes=axes
    )
    assert list(drawn) == list(axes)
    render(axes[0])
    assert {panel.get_xlim() for panel in drawn} == {(0.0, 3.0)}
    np.testing.assert_allclose(drawn[0].lines[0].get_xydata(), [[0.5, 2], [2, 3]])
    np.testing.assert_allclose(drawn[1].lines[0].get_ydata(), [5, np.nan, 7])
    mesh = drawn[2].collections[0]
    np.testing.assert_allclose(mesh.get_array().reshape(2, 3), [[1, 3, 5], [2, 4, 60]])
    assert mesh.get_clim() == (0, 10)
    assert drawn[2].get_ylim() == (2, 0)
    assert [panel.get_ylabel() for panel in drawn] == [
        "running speed\n(cm/s)", "pupil area\n(px²)", "2 units",
    ]  # fmt: skip
    assert [text.get_text() for text in drawn[0].texts] == ["gabors", "dot motion"]
    assert drawn[2].get_xlabel() == "time (s)"
    ends = {round(panel.get_position().x1, 6) for panel in drawn}
    assert len(ends) == 1  # the colour bar takes no room from one panel only


def test_plot_behavior__of_a_mean_rate_on_a_figure_of_its_own(activity, render):
    (panel,) = plots.plot_behavior(activity.mean("unit_id"), title="VISp")
    render(panel)
    np.testing.assert_allclose(panel.lines[0].get_xydata(), [[0.5, 1.5], [1.5, 3.5], [2.5, 32.5]])
    assert panel.get_ylabel() == "firing rate\n(spikes/s)"
    assert panel.get_title(loc="left") == "VISp"


def test_plot_behavior__says_where_nothing_was_measured(activity, render):
    panels = plots.plot_behavior(activity, pupil=pd.Series([np.nan], index=[1.0]))
    render(panels[0])
    assert [text.get_text() for text in panels[0].texts] == ["no pupil in this interval"]


def test_plot_behavior__refuses(activity, ax):
    with pytest.raises(InvalidArgumentError, match="axes holds 1 Axes; 2 are needed"):
        plots.plot_behavior(activity, running=RUNNING, axes=[ax])
    with pytest.raises(InvalidArgumentError, match="epochs has no column 'stop_time'"):
        plots.plot_behavior(activity, epochs=EPOCHS.drop(columns="stop_time"))
    with pytest.raises(InvalidArgumentError, match="is empty along 'unit_id'"):
        plots.plot_behavior(activity.isel(unit_id=[]))
    with pytest.raises(InvalidArgumentError, match="activity holds no finite value"):
        plots.plot_behavior(activity * np.nan)
    with pytest.raises(InvalidArgumentError, match="time of activity must be two or more"):
        plots.plot_behavior(activity.isel(time=[0]))
    assert not plt.get_fignums()
