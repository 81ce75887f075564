"""Functions of two labelled things go by the labels: another order gives the same answer."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikehouse import analysis, decoding, lfp, plots, spikes
from spikehouse.analysis import (
    contrast,
    images,
    rf_shapes,
    rf_significance,
    temporal,
    timescale,
    tuning,
    variability,
)
from spikehouse.compat import figures
from spikehouse.errors import InvalidArgumentError

RNG = np.random.default_rng(20191003)
N = 40
SHOWN = pd.Index(700 + np.arange(N) * 3, name="stimulus_presentation_id")
CONDITIONS = pd.Index(np.arange(8) + 50, name="stimulus_condition_id")
UNITS = pd.Index([12, 15, 11, 19, 17, 13], name="unit_id")
CHANNELS = pd.Index([7, 3, 9, 5, 1, 4], name="channel")
ORIENTATION = pd.Series(np.tile([0.0, 45.0, 90.0, 135.0], 10), SHOWN)
BLOCK = pd.Series(np.repeat([1, 2, 3, 4, 5], 8), SHOWN)
LEVEL = pd.Series(np.arange(8) * 45.0, CONDITIONS)
STARTS = pd.Series(np.arange(N) * 1.0, SHOWN)
STOPS = STARTS + RNG.uniform(0.2, 0.9, N)
TIMES = {unit: np.sort(RNG.uniform(0, N, 200)) for unit in UNITS}
FREQUENCY = pd.Series([1, 2, 4, 1, 2, 4], UNITS)
EDGES = pd.DataFrame({0: STARTS, 1: STARTS + 0.1, 2: STOPS})
TABLE = pd.DataFrame({"start_time": STARTS, "stop_time": STOPS, "stimulus_condition_id": BLOCK})
SAMPLES = np.arange(0, N, 0.02)


def table(rows: pd.Index, columns: pd.Index, low: int = 2) -> pd.DataFrame:
    means = RNG.uniform(low, 30, (len(rows), len(columns)))
    return pd.DataFrame(RNG.poisson(means).astype(float), rows, columns)


COUNTS, MEANS = table(SHOWN, UNITS), table(CONDITIONS, UNITS)
LFP = xr.DataArray(
    RNG.standard_normal((len(SAMPLES), 6)),
    {"time": SAMPLES, "channel": CHANNELS},
    ("time", "channel"),
)
DEPTH = pd.Series([10.0, 50.0, 20.0, 60.0, 40.0, 30.0], CHANNELS)
PSTH = xr.DataArray(
    RNG.poisson(4, (20, 6)) / 10,
    {"time_relative_to_stimulus_onset": np.arange(20) / 100, "unit_id": UNITS},
    ("time_relative_to_stimulus_onset", "unit_id"),
)
WAVEFORM = xr.DataArray(
    RNG.standard_normal((6, 30)),
    {"channel_id": CHANNELS.to_numpy(), "time": np.arange(30) / 1e4},
    ("channel_id", "time"),
)
FIELD = xr.DataArray(
    RNG.poisson(5, (4, 5)).astype(float),
    {"elevation": [-20, -10, 0, 10], "azimuth": [10, 20, 30, 40, 50]},
    ("elevation", "azimuth"),
)
AREA = pd.Series(np.tile(["VISp", "VISl", "VISam", "LGd"], 10), SHOWN)
CONNECTIONS = pd.DataFrame(
    {
        "source_unit_id": UNITS[:-1], "target_unit_id": UNITS[1:], "is_significant": True,
        "peak_lag": [0.001, 0.002, -0.003, 0.0, 0.004],
    }
)  # fmt: skip
SPIKES = spikes.align_spikes(TIMES, UNITS, TABLE)
CSD = lfp.compute_csd(LFP[:50], DEPTH).rename(time="time_from_presentation_onset")
PUPIL = pd.DataFrame(
    {f"pupil_{name}": RNG.uniform(1, 3, N) for name in ("width", "height", "center_x", "center_y")},
    SAMPLES[:N],
)
GAZE = pd.DataFrame(
    {f"raw_screen_coordinates_spherical_{axis}_deg": RNG.uniform(-9, 9, N) for axis in "xy"},
    SAMPLES[:N],
)
ACCURACIES = xr.DataArray(
    RNG.uniform(0, 1, (4, 5)), {"n_units": [1, 2, 5, 10], "draw": np.arange(5)}, ("n_units", "draw")
)


def of_area(**given: Any) -> Any:
    return decoding.decode_by_area(**given, n_units=2, n_draws=2, min_units=2, n_jobs=1)


def spiking(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda **given: function(TIMES, UNITS, **given)


# function → how it is called, and its labelled things; the first keeps its order
Case = tuple[Callable[..., Any], dict[str, Any]]
CASES: dict[str, Case] = {
    "analysis.StimulusResponses": (
        lambda presentations, counts: analysis.StimulusResponses.from_counts(
            counts, presentations, UNITS
        ).condition_means,
        {"presentations": TABLE, "counts": COUNTS},
    ),
    "analysis.compute_eye_traces": (
        lambda **given: analysis.compute_eye_traces(**given).astype(float),
        {"pupil_data": PUPIL, "screen_gaze": GAZE}
    ),
    "analysis.compute_noise_correlations": (
        analysis.compute_noise_correlations, {"counts": COUNTS, "conditions": ORIENTATION}
    ),
    "analysis.compute_communication": (
        lambda **given: analysis.compute_communication(**given).performance,
        {"source": COUNTS, "target": COUNTS[UNITS[:3]].rename(columns=lambda unit: unit + 9)},
    ),
    "analysis.compute_representational_drift": (
        lambda **given: analysis.compute_representational_drift(**given).astype(float),
        {"counts": COUNTS, "conditions": BLOCK % 2, "times": STARTS, "repeats": BLOCK // 4},
    ),
    "analysis.compute_shared_variance": (
        lambda **given: analysis.compute_shared_variance(**given, n_factors=1).percent_shared,
        {"counts": COUNTS, "groups": BLOCK},
    ),
    "analysis.compute_split_half_reliability": (
        lambda **given: analysis.compute_split_half_reliability(**given, n_resamples=3),
        {"counts": COUNTS, "conditions": ORIENTATION},
    ),
    "analysis.summarize_correlations": (
        lambda **given: analysis.summarize_correlations(**given, by="area"),
        {
            "correlations": analysis.compute_noise_correlations(COUNTS, ORIENTATION),
            "units": pd.DataFrame({"ecephys_structure_acronym": ["VISp", "VISl"] * 3}, UNITS),
        },
    ),
    "analysis.compute_residual_counts": (
        analysis.compute_residual_counts, {"counts": COUNTS, "conditions": ORIENTATION}
    ),
    "analysis.compute_signal_correlations": (
        analysis.compute_signal_correlations, {"counts": COUNTS, "conditions": ORIENTATION}
    ),
    "analysis.compute_area_comparisons": (
        lambda **given: analysis.compute_area_comparisons(**given)[["statistic", "p_adjusted"]],
        {"values": STOPS, "areas": AREA},
    ),
    "analysis.compute_area_statistics": (
        lambda **given: analysis.compute_area_statistics(**given, n_resamples=5),
        {"values": STOPS, "areas": AREA, "sessions": BLOCK},
    ),
    "analysis.compute_hierarchy_correlation": (
        lambda **given: analysis.compute_hierarchy_correlation(**given, n_resamples=5).to_frame(),
        {"values": STOPS, "areas": AREA, "sessions": BLOCK},
    ),
    "analysis.compute_connections": (
        lambda **given: analysis.compute_connections(
            TIMES, UNITS, **given, duration=0.5
        ).astype(float),
        {"onsets": STARTS, "conditions": BLOCK},
    ),
    "analysis.compute_correlograms": (
        lambda **given: analysis.compute_correlograms(TIMES, UNITS, **given, duration=0.5),
        {"onsets": STARTS, "conditions": BLOCK},
    ),
    "analysis.compute_directionality": (
        analysis.compute_directionality,
        {"connections": CONNECTIONS, "structures": pd.Series(["VISp", "VISl"] * 3, UNITS)},
    ),
    "contrast.c50": (contrast.c50, {"contrasts": LEVEL / 400, "responses": MEANS}),
    "contrast.fit_contrast_curves": (
        contrast.fit_contrast_curves, {"contrasts": LEVEL / 400, "responses": MEANS}
    ),
    "images.on_off_ratio": (
        images.on_off_ratio, {"means": MEANS[:2], "colors": pd.Series([1, -1], CONDITIONS[:2])}
    ),
    "rf_shapes.rf_on_screen": (
        lambda **given: rf_shapes.rf_on_screen((200, 10), **given),
        {"center_y": MEANS[12], "center_x": MEANS[15]},
    ),
    "rf_significance.permutation_p_values": (
        lambda **given: rf_significance.permutation_p_values(**given, n_resamples=50),
        {"counts": COUNTS, "group_of": ORIENTATION},
    ),
    "rf_significance.resampling_p_values": (
        lambda **given: rf_significance.resampling_p_values(**given, n_resamples=50),
        {"counts": COUNTS, "group_of": ORIENTATION},
    ),
    "variability.running_modulation": (
        variability.running_modulation,
        {"counts": COUNTS, "speeds": STOPS % 3, "is_trial": COUNTS > 5},
    ),
    "temporal.f1_f0": (
        lambda **given: temporal.f1_f0(**given, bin_width=0.1),
        {"psth": table(UNITS, pd.Index(range(10))), "frequency": FREQUENCY},
    ),
    "temporal.modulation_index": (
        lambda **given: temporal.modulation_index(**given, bin_width=0.1),
        {"psth": table(UNITS, pd.Index(range(10))), "frequency": FREQUENCY},
    ),
    "timescale.fit_timescale": (
        lambda **given: timescale.fit_timescale(np.arange(1, 9) / 10, **given),
        {"autocorrelation": 1 / MEANS.T, "weights": MEANS.T},
    ),
    "analysis.compute_direction_selectivity": (
        tuning.compute_direction_selectivity, {"responses": MEANS, "angles": LEVEL}
    ),
    "tuning.mean_by_value": (tuning.mean_by_value, {"responses": MEANS, "values": LEVEL // 90}),
    "analysis.compute_orientation_selectivity": (
        tuning.compute_orientation_selectivity, {"responses": MEANS, "angles": LEVEL}
    ),
    "tuning.preferred_value": (tuning.preferred_value, {"values": LEVEL, "means": MEANS}),
    "tuning.resultant_length": (
        lambda **given: tuning.resultant_length(**given, harmonic=1),
        {"responses": MEANS, "angles": LEVEL},
    ),
    "analysis.compute_fano_factor": (
        variability.compute_fano_factor, {"counts": COUNTS, "is_trial": COUNTS > 5}
    ),
    "variability.stimulus_blocks": (
        lambda **given: variability.stimulus_blocks(**given, longest_interval=1.1),
        {"start_time": STARTS, "stop_time": STOPS},
    ),
    "decoding.decode": (
        lambda **given: decoding.decode(**given, cv="blocked", n_jobs=1),
        {"design": COUNTS, "targets": ORIENTATION, "groups": BLOCK},
    ),
    "decoding.decode folds": (
        lambda design, targets, train, test: decoding.decode(
            design, targets, cv=[(train, test)], n_jobs=1
        ),
        {"design": COUNTS, "targets": ORIENTATION, "train": BLOCK > 2, "test": BLOCK < 3},
    ),
    "decoding.decode_against_chance": (
        lambda **given: decoding.decode_against_chance(**given, n_resamples=3, n_jobs=1),
        {"design": COUNTS, "targets": ORIENTATION, "groups": BLOCK},
    ),
    "decoding.decode_by_unit_count": (
        lambda **given: decoding.decode_by_unit_count(**given, n_draws=2, n_jobs=1),
        {"design": COUNTS, "targets": ORIENTATION, "groups": BLOCK},
    ),
    "decoding.decode_by_area": (
        of_area,
        {
            "design": COUNTS, "targets": ORIENTATION, "groups": BLOCK,
            "areas": pd.Series(["VISp", "CA1"] * 3, UNITS),
        },
    ),
    "decoding.decode_over_time": (
        lambda presentations, **given: decoding.decode_over_time(
            TIMES, UNITS, presentations, **given, span=(0, 0.2), bin_width=0.1, n_jobs=1
        ),
        {"presentations": STARTS.to_frame("start_time"), "targets": ORIENTATION, "groups": BLOCK},
    ),
    "spikes.align_spikes": (
        lambda presentations, window: spikes.align_spikes(
            TIMES, UNITS, presentations, window=window
        ),
        {"presentations": STARTS, "window": EDGES[[0, 2]] - STARTS.to_numpy()[:, np.newaxis]},
    ),
    "spikes.count_events": (
        spiking(spikes.count_events),
        {"events": STARTS, "bins": EDGES.sub(STARTS, axis=0)},
    ),
    "spikes.compute_mean_counts": (
        spiking(spikes.compute_mean_counts), {"domain": EDGES, "groups": BLOCK}
    ),
    "lfp.compute_csd": (
        lambda **given: lfp.compute_csd(LFP[:50], **given), {"depths": DEPTH}
    ),
    "lfp.compute_evoked_lfp": (
        lambda **given: lfp.compute_evoked_lfp(LFP, **given, window=(0, 0.1))["mean"],
        {"onsets": STARTS, "conditions": BLOCK},
    ),
    "lfp.compute_spike_phases": (
        lambda **given: lfp.compute_spike_phases(LFP, TIMES, UNITS, **given, band=(8, 20)),
        {"channels": pd.Series(CHANNELS, UNITS)},
    ),
    "lfp.mask_intervals": (
        lambda **given: lfp.mask_intervals(LFP, **given),
        {"start_time": STARTS, "stop_time": STARTS + (STOPS - STARTS) / 2},
    ),
    "plots.plot_behavior": (
        lambda **given: plots.plot_behavior(LFP[:, 0].drop_vars("channel"), **given)[0],
        {"running": STOPS.set_axis(STARTS.to_numpy())},
    ),
    "plots.plot_csd": (
        lambda **given: plots.plot_csd(CSD, **given),
        {"depths": pd.Series(np.arange(6) * 20.0, CSD["virtual_channel_index"].to_numpy())},
    ),
    "plots.plot_decoding_curve": (
        lambda **given: plots.plot_decoding_curve(ACCURACIES, **given, along="n_units"),
        {"shuffled": ACCURACIES / 2},
    ),
    "plots.plot_lfp_heatmap": (
        lambda **given: plots.plot_lfp_heatmap(LFP[:50], **given), {"depths": DEPTH}
    ),
    "plots.plot_lfp_traces": (
        lambda **given: plots.plot_lfp_traces(LFP[:50], **given), {"depths": DEPTH}
    ),
    "compat plots.plot_mean_waveforms": (
        lambda **given: figures.plot_mean_waveforms(dict.fromkeys((12, 15), WAVEFORM), **given),
        {"unit_ids": [12, 15], "peak_channels": pd.Series([7, 9, 1], [12, 15, 20])},
    ),
    "plots.plot_fractions": (
        plots.plot_fractions,
        {"fractions": pd.DataFrame({"fraction": [0.2, 0.5, 0.9]}, index=["DG", "CA1", "VISp"]),
         "reference": pd.Series({"DG": 0.3, "CA1": 0.4, "VISp": 0.8})},
    ),
    "plots.plot_funnel": (
        plots.plot_funnel,
        {"counts": pd.Series({"all": 9, "good": 5}), "reference": pd.Series({"all": 8, "good": 6})},
    ),
    "plots.plot_psth_heatmap": (
        lambda **given: plots.plot_psth_heatmap(PSTH, **given),
        {"depths": DEPTH.set_axis(UNITS)},
    ),
    "plots.plot_receptive_field": (
        plots.plot_receptive_field, {"receptive_field": FIELD, "mask": FIELD > 5}
    ),
    "compat plots.plot_running_speed": (
        figures.plot_running_speed, {"timestamps": STARTS, "values": STOPS}
    ),
    "compat plots.plot_spike_counts": (
        lambda **given: figures.plot_spike_counts(**given, cbar_label="", title=""),
        {"data_array": PSTH, "time_coords": PSTH["time_relative_to_stimulus_onset"]},
    ),
    "plots.plot_tuning_curve": (
        plots.plot_tuning_curve, {"responses": COUNTS[12], "values": ORIENTATION, "groups": BLOCK}
    ),
    "plots.plot_waveform_heatmap": (
        lambda **given: plots.plot_waveform_heatmap(WAVEFORM, **given), {"depths": DEPTH}
    ),
    "plots.plot_waveform_lines": (
        lambda **given: plots.plot_waveform_lines(WAVEFORM, **given), {"depths": DEPTH}
    ),
}  # fmt: skip
# arrays or tables that do not belong together row by row
APART = {
    "analysis.compute_cortical_layers",
    "analysis.compute_conditionwise_psth", "common.peak_times", "contrast.contrast_curve",
    "gratings.preferred_columns", "gratings.tuning_curves", "variability.firing_rate",
    "variability.moments", "checks.divide", "correlations.read_counts",
    "correlations.sum_by_condition", "correlograms.choose_pairs",
    "correlograms.place_trains", "timescale.project_curve", "timescale.search_timescale",
    "plots.plot_directionality", "plots.plot_hierarchy",
    "analysis.compute_trace_means", "analysis.compute_triggered_average",
    "analysis.find_states", "analysis.label_presentations", "traces.average_samples",
    "traces.integrate", "spikes.compute_time_domain", "lfp.align_lfp",
    "lfp.choose_field_channels", "lfp.find_ripples",
    "plots.plot_probes",
    "plots.plot_raster", "stimuli.build_presentations",
}  # fmt: skip
LABELLED = (
    "ArrayLike",
    "Onsets",
    "NDArray",
    "Floats",
    "DataArray",
    "DataFrame",
    "Series",
    "Design",
)


def find_functions() -> set[str]:
    """Name the public functions that take two arrays or tables."""
    found: dict[Any, str] = {}
    for room in ("analysis", "decoding", "spikes", "lfp", "plots", "stimuli"):
        package = importlib.import_module(f"spikehouse.{room}")
        parts = [part.name for part in pkgutil.iter_modules(package.__path__)]
        for name in ("", *parts):
            module = importlib.import_module(
                ".".join(["spikehouse", room, *([name] if name else [])])
            )
            # the modules of analysis have no list: public is what they define without underscore
            own = [n for n in vars(module) if room == "analysis" and not n.startswith("_")]
            for public in getattr(module, "__all__", own):
                function = getattr(module, public)
                if not inspect.isfunction(function) or not function.__module__.endswith(name):
                    continue
                kinds = [str(p.annotation) for p in inspect.signature(function).parameters.values()]
                if sum(any(word in kind for word in LABELLED) for kind in kinds) > 1:
                    found.setdefault(function, f"{name or room}.{public}")
    return set(found.values())


def test_cases__are_all_functions_that_take_two() -> None:
    covered = {name.split()[0] for name in CASES} | APART
    assert find_functions() <= covered


def flat(answer: Any) -> Any:
    if isinstance(answer, Axes):
        answer = answer.get_figure()
    if isinstance(answer, Figure):
        answer.canvas.draw()
        return np.asarray(answer.canvas.buffer_rgba())
    if isinstance(answer, tuple):
        return np.concatenate([np.ravel(part) for part in answer])
    is_array = isinstance(answer, np.ndarray | xr.DataArray | pd.DataFrame)
    return np.asarray(answer) if is_array else str(answer)


def shuffle(thing: Any, rng: np.random.Generator) -> Any:
    order = rng.permutation(len(thing))
    if isinstance(thing, xr.DataArray):
        return thing[order]
    return thing.iloc[order]


def to_xarray(thing: Any) -> Any:
    if isinstance(thing, xr.DataArray):
        return thing
    return xr.DataArray(thing, dims=[axis.name or f"dim_{n}" for n, axis in enumerate(thing.axes)])


def is_same(name: str, things: dict[str, Any], expected: Any) -> bool:
    answer = flat(CASES[name][0](**things))
    if isinstance(expected, str):
        return bool(answer == expected)
    return bool(np.allclose(answer, expected, rtol=1e-9, atol=1e-12, equal_nan=True))


@pytest.fixture(autouse=True)
def _closed_figures() -> Any:
    mpl.use("Agg")
    yield
    plt.close("all")


@pytest.mark.parametrize("name", CASES)
def test_functions__give_the_same_answer_for_shuffled_labels(name: str) -> None:
    call, things = CASES[name]
    rng = np.random.default_rng(1)
    first, *others = things
    if not others:
        first = ""
    expected = flat(call(**things))
    shuffled = {
        key: thing if key == first else shuffle(thing, rng) for key, thing in things.items()
    }
    assert is_same(name, shuffled, expected)


@pytest.mark.parametrize("name", [name for name in CASES if "plots" not in name])
def test_functions__refuse_labels_of_others(name: str) -> None:
    call, things = CASES[name]
    last = list(things)[-1]
    other = things[last].copy()
    other.index = other.index[:-1].append(pd.Index([other.index.max() + 1]))
    with pytest.raises(
        InvalidArgumentError, match=r"labelled differently|has no value for 1|lacks pres"
    ):
        call(**things | {last: other})


@pytest.mark.parametrize(
    "name", ["analysis.compute_noise_correlations", "analysis.compute_signal_correlations",
             "decoding.decode", "analysis.compute_orientation_selectivity", "tuning.mean_by_value",
             "analysis.compute_fano_factor"]
)  # fmt: skip
def test_functions__go_by_names_of_dimensions(name: str) -> None:
    call, things = CASES[name]
    first, *others = things
    expected = flat(call(**things))
    rng = np.random.default_rng(2)
    labelled = {key: to_xarray(thing) for key, thing in things.items()}
    moved = {first: labelled[first]} | {key: shuffle(labelled[key], rng) for key in others}
    assert is_same(name, moved, expected)
    if name != "analysis.compute_fano_factor":
        assert is_same(name, moved | {first: moved[first].T}, expected)
        assert is_same(name, things | {first: things[first].T}, expected)
