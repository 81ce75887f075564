"""Whatever a public function is given: it answers, or raises an error of this package."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pickle
import pkgutil
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from spikehouse import analysis, decoding, lfp, spikes
from spikehouse.errors import InvalidArgumentError, NotFoundError, SpikehouseError
from spikehouse.session import EcephysSession

UNITS = [3, 1, 7, 5]
N = 16
ONSETS = np.arange(N) * 2.0 + 1.0
IDS = np.arange(N) + 100
LABELS = np.arange(N) % 4
SPIKES = {unit: np.arange(unit / 10, 40.0, 0.1 + unit / 100) for unit in UNITS}
COUNTS = np.random.default_rng(0).poisson(4.0, (N, len(UNITS)))
TABLE = pd.DataFrame(
    {
        "start_time": ONSETS,
        "stop_time": ONSETS + 1.0,
        "stimulus_condition_id": LABELS,
        "orientation": LABELS * 45.0,
    },
    index=pd.Index(IDS, name="stimulus_presentation_id"),
)
DESIGN = xr.DataArray(
    COUNTS,
    dims=("stimulus_presentation_id", "unit_id"),
    coords={"stimulus_presentation_id": IDS, "unit_id": UNITS},
)
TIMES = np.arange(0.0, 4.0, 1 / 250)
CHANNELS = np.arange(10, 16)
LFP = xr.DataArray(
    1e-4 * np.random.default_rng(1).normal(size=(TIMES.size, CHANNELS.size)),
    dims=("time", "channel"),
    coords={"time": TIMES, "channel": CHANNELS},
)
POSITIONS = np.arange(6) * 40.0
DEPTHS = pd.Series(POSITIONS, index=CHANNELS)
WAVEFORM = xr.DataArray(
    np.random.default_rng(2).normal(size=(6, 20)),
    dims=("channel_id", "time"),
    coords={"channel_id": CHANNELS, "time": np.arange(20) / 3e4},
)
PROBE = pd.DataFrame(
    {"probe_id": 1, "ecephys_structure_acronym": ["CA1", "VISp", "VISp", "VISp", None],
     "probe_vertical_position": np.arange(5) * 20.0}
)  # fmt: skip
DURATIONS = pd.DataFrame({"waveform_duration": [0.2, 0.4, 0.7, np.nan]}, index=UNITS)
EDGES = np.arange(0, 0.51, 0.1)
SPIKE = {"spikes_or_session": SPIKES, "unit_ids": UNITS}
CORRELOGRAM = {"duration": 0.5, "max_lag": 0.05, "bin_width": 0.01, "jitter_window": 0.05}
PEAKS = {"limit": 0.01, "flank": (0.02, 0.05), "n_sd": 2.0}


@dataclasses.dataclass
class Measured:
    """A session that has behavior and nothing else."""

    running_speed: pd.DataFrame
    pupil: pd.DataFrame | None
    gaze: pd.DataFrame | None

    def get_pupil_data(self) -> pd.DataFrame | None:
        return self.pupil

    def get_screen_gaze_data(self, include_filtered_data: bool) -> pd.DataFrame | None:
        return self.gaze


# of one stimulus each
METRICS = ("dot_motion", "drifting_gratings", "flashes", "natural_movies", "natural_scenes",
           "receptive_field", "static_gratings")  # fmt: skip


def call_analysis() -> dict[str, dict[str, Any]]:
    psth = analysis.compute_conditionwise_psth(SPIKES, UNITS, TABLE, bin_edges=EDGES)
    light = pd.DataFrame(
        {"start_time": ONSETS, "stop_time": ONSETS + 0.01, "condition": "a", "level": 1.0,
         "stimulus_name": "pulse", "duration": 0.01}
    )  # fmt: skip
    # the parameters of all stimuli: every metric finds its own
    gabors = TABLE.assign(
        x_position=LABELS // 2 * 10.0, y_position=LABELS % 2 * 10.0, frame=LABELS * 1.0,
        color=LABELS % 2 * 2.0 - 1, temporal_frequency=2.0, spatial_frequency=0.04, phase=0.0,
        Dir=LABELS * 45.0, Speed=1.0,
    )  # fmt: skip
    responses = {"stimulus_name": "gabors", "presentations": gabors, "unit_ids": UNITS,
                 "spike_times": SPIKES, "trial_duration": 0.5}  # fmt: skip
    made = analysis.StimulusResponses(**responses)
    fired = analysis.compute_correlograms(SPIKES, UNITS, ONSETS, **CORRELOGRAM)
    linked = analysis.find_connections(fired, **PEAKS).assign(is_significant=True)
    square = pd.DataFrame(np.arange(9.0).reshape(3, 3), index=list("abc"), columns=list("abc"))
    running = pd.DataFrame({"start_time": TIMES, "velocity": TIMES}, index=TIMES)
    pupil = pd.DataFrame({f"pupil_{name}": TIMES for name in
                          ("width", "height", "center_x", "center_y")}, index=TIMES)  # fmt: skip
    gaze = pd.DataFrame({f"raw_screen_coordinates_spherical_{axis}_deg": TIMES for axis in "xy"},
                        index=TIMES)  # fmt: skip
    area = {"values": ONSETS, "areas": ["VISp", "VISl", "LP", "VISam"] * 4}
    return {
        "LatencyOptions": dataclasses.asdict(analysis.LatencyOptions()),
        "MetricOptions": dataclasses.asdict(analysis.MetricOptions()),
        "OptotagOptions": dataclasses.asdict(analysis.OptotagOptions()),
        "StimulusResponses": responses,
        "adjust_p_values": {"p_values": np.array([0.1, 0.2, np.nan]), "axis": -1},
        "compute_eye_traces": {"pupil_data": pupil, "screen_gaze": gaze},
        "compute_trace_means": {"trace": running, "presentations": TABLE,
                                "definition": "published"},
        "compute_triggered_average": {"trace": running["velocity"], "events": ONSETS,
                                      "bin_edges": [-0.5, 0.0, 0.5]},
        "find_states": {"trace": running["velocity"], "thresholds": [(1.0, 2.0)], "quantiles": None,
                        "names": ["a", "b"], "min_duration": 0.1, "invalid_times": TABLE[:3]},
        "label_presentations": {"presentations": TABLE, "min_overlap": 0.9,
                                "states": TABLE[["start_time", "stop_time"]].assign(state="a")},
        "summarize_behavior": {"session": Measured(running, pupil, gaze), "presentations": TABLE},
        "compute_metrics": {"analyses": "gabors", "respond": lambda name, trial_duration: made,
                            "shown": ["gabors"]},
        "compute_autocorrelograms": SPIKE | {"max_lag": 0.1, "bin_width": 0.01},
        "compute_conditionwise_psth": SPIKE | {"presentations": TABLE, "bin_edges": [0.0, 0.1]},
        "compute_evoked_responses": SPIKE | {"onsets": ONSETS, "alpha": 0.05,
                                             "window": (0.0, 0.25)},
        **{f"compute_{name}_metrics": {"responses": made} for name in METRICS},
        "compute_direction_selectivity": {"angles": LABELS * 45.0, "responses": COUNTS},
        "compute_orientation_selectivity": {"angles": LABELS * 45.0, "responses": COUNTS},
        "compute_fano_factor": {"counts": COUNTS, "is_trial": None, "ddof": 0},
        "compute_lifetime_sparseness": {"responses": COUNTS},
        "compute_area_comparisons": area,
        "compute_area_statistics": area | {"n_resamples": 5},
        "compute_connections": SPIKE | CORRELOGRAM | PEAKS | {"onsets": ONSETS,
                                                              "conditions": LABELS},
        "compute_correlograms": SPIKE | {"onsets": ONSETS, "pairs": [[3, 1]]} | CORRELOGRAM,
        "compute_directionality": {"connections": linked,
                                   "structures": dict(zip(UNITS, "aabb", strict=True))},
        "compute_directionality_correlation": {"matrix": square,
                                               "hierarchy": {"a": 0.0, "b": 1.0, "c": 3.0}},
        "find_connections": {"correlograms": fired} | PEAKS,
        "classify_waveforms": {"units": DURATIONS, "threshold": 0.4},
        "compute_bimodality": {"values": ONSETS, "n_resamples": 2, "seed": 0},
        "compute_cortical_layers": {"units": PROBE, "channels": PROBE},
        "compute_decay_timescales": SPIKE | {"onsets": ONSETS, "window": (0.0, 0.25),
                                             "bin_width": 0.01, "definition": "corrected"},
        "compute_hierarchy_correlation": area | {"sessions": LABELS, "n_resamples": 5,
                                                 "scores": analysis.HIERARCHY_SCORES},
        "compute_intrinsic_timescales": SPIKE | {"onsets": ONSETS, "max_lag": 0.1},
        "compute_time_to_first_spike": SPIKE | {"onsets": ONSETS, "window": (0.03, 0.2),
                                                "bin_width": 0.001},
        "compute_timescales": {"responses": made, "bin_width": 0.025},
        "compute_movie_tuning": {"responses": made, "delay": 0.0, "n_resamples": 2},
        "list_analyses": {"shown": ["gabors"]},
        "compute_noise_correlations": {"counts": DESIGN, "conditions": LABELS, "unit_ids": UNITS},
        "compute_onset_latency": SPIKE | {"onsets": ONSETS, "options": None},
        "compute_optotagging": {"spikes_or_session": SPIKES, "unit_ids": UNITS, "epochs": light},
        "compute_rasters_by_condition": SPIKE | {"presentations": TABLE, "window": None},
        "compute_receptive_field_maps": {"responses": made, "duration": 0.249},
        "compute_communication": {"source": DESIGN[:, :2], "target": DESIGN[:, 2:], "n_folds": 2,
                                  "n_dimensions": 1, "ridge": None},
        "compute_representational_drift": {"counts": DESIGN, "conditions": LABELS, "repeats": None,
                                           "times": ONSETS, "blocks": LABELS * 0},
        "compute_shared_variance": {"counts": DESIGN, "n_factors": 1, "n_folds": 2,
                                    "groups": LABELS, "conditions": LABELS},
        "compute_split_half_reliability": {"counts": DESIGN, "conditions": LABELS, "n_splits": 2,
                                           "n_resamples": 2},
        "summarize_correlations": {
            "correlations": analysis.compute_noise_correlations(DESIGN, LABELS), "by": "area",
            "units": pd.DataFrame({"ecephys_structure_acronym": list("aabb")}, index=UNITS),
            "distance_edges": None,
        },
        "compute_residual_counts": {"counts": DESIGN, "conditions": LABELS, "slower_than": 8},
        "compute_signal_correlations": {"counts": DESIGN, "conditions": LABELS},
        "fit_receptive_fields": {"maps": analysis.compute_receptive_field_maps(made),
                                 "mask_threshold": 0.5},
        "smooth_rates": {"rates": psth, "sigma": 0.2},
    }  # fmt: skip


def call_decoding() -> dict[str, dict[str, Any]]:
    task = {"design": DESIGN, "targets": LABELS, "estimator": "lda", "cv": 3, "n_jobs": 1}
    draws = task | {"n_units": 2, "n_draws": 1}
    return {
        "BlockedKFold": {"n_splits": 5, "gap": 0},
        "decode": task | {"groups": None},
        "decode_against_chance": task | {"n_resamples": 2},
        "decode_by_area": draws | {"areas": ["a", "a", "b", "b"], "min_units": 2},
        "decode_by_unit_count": draws | {"n_units": [2]},
        "decode_over_time": {
            "spikes_or_session": SPIKES, "presentations": TABLE, "unit_ids": UNITS,
            "targets": "orientation", "windows": [(0.0, 0.5)], "cv": 3, "n_jobs": 1,
        },
    }  # fmt: skip


def call_lfp() -> dict[str, dict[str, Any]]:
    windows = {"lfp": LFP, "onsets": [1.0, 2.0], "window": (-0.1, 0.3)}
    at = {"probe_id": 1, "probe_horizontal_position": 11.0}
    placed = pd.DataFrame(at | {"probe_vertical_position": POSITIONS}, CHANNELS)
    places = placed[: len(UNITS)].set_axis(UNITS)
    phases = pd.DataFrame({"unit_id": UNITS, "spike_time": 1.0, "phase": [0.0, 1.0, 2.0, 3.0]})
    return {
        "align_lfp": windows,
        "compute_band_power": {"lfp": LFP, "bands": {"a": (4, 10)}, "segment_length": 1.0},
        "compute_csd": {"lfp": LFP, "depths": POSITIONS, "sigma_um": 0.0},
        "compute_evoked_lfp": windows | {"conditions": [0, 1]},
        "compute_spectrum": {"lfp": LFP, "segment_length": 1.0},
        "find_input_layer": {
            "csd": lfp.compute_csd(LFP.assign_coords(time=TIMES - 1), POSITIONS),
            "window": (0.0, 0.15),
            "fraction": 0.3,
            "n_sd": 5.0,
            "tolerance": 0.005,
        },
        "choose_field_channels": {"lfp": LFP, "units": places, "channels": placed,
                                  "min_distance_um": 40.0},
        "compute_spike_phases": {"lfp": LFP, "band": (20.0, 60.0), "order": 2,
                                 "channels": pd.Series([11, 12, 13, 10], UNITS)} | SPIKE,
        "compute_phase_consistency": {"phases": phases, "unit_ids": UNITS, "block_length": 1.0},
        "compute_spike_triggered_lfp": {"lfp": LFP, "window": (-0.1, 0.1)} | SPIKE,
        "compute_ripple_profile": {"lfp": LFP, "band": (60.0, 100.0)},
        "find_ripples": {"lfp": LFP, "exclude": TABLE, "band": (60.0, 100.0), "threshold": 2.0,
                         "edge_threshold": 1.0, "duration": (0.01, 0.2), "min_distance": 0.05,
                         "min_frequency": 50.0, "min_power": 0.0},
        "mask_intervals": {"lfp": LFP, "start_time": [1.0], "stop_time": [2.0]},
    }  # fmt: skip


def call_plots() -> dict[str, dict[str, Any]]:
    psth = analysis.compute_conditionwise_psth(SPIKES, UNITS, TABLE, bin_edges=EDGES)
    mean = psth.mean("stimulus_condition_id")
    evoked = LFP.isel(time=slice(0, 100))
    csd = lfp.compute_csd(evoked, POSITIONS)
    confusion = decoding.decode(COUNTS, LABELS, n_jobs=1).confusion
    curve = decoding.decode_by_unit_count(COUNTS, LABELS, n_units=[2, 3], n_draws=2, n_jobs=1)
    listed = spikes.align_spikes(SPIKES, UNITS, TABLE)
    field = xr.DataArray(np.eye(3), {"elevation": [0, 10, 20], "azimuth": [0, 10, 20]})
    means = pd.DataFrame({"mean": [1.0, 2.0], "half_width": 0.1}, index=["VISp", "LP"])
    star = xr.DataArray(np.ones((4, 2)), {"orientation": [0, 90, 180, 270],
                                          "temporal_frequency": [1, 2]})  # fmt: skip
    units = pd.DataFrame({"probe_description": "probeA", "probe_vertical_position": [20.0, 40.0],
                          "probe_horizontal_position": 11, "probe_id": 1,
                          "ecephys_structure_acronym": "VISp"})  # fmt: skip
    waveform = {"waveform": WAVEFORM, "depths": None, "peak_channel": None, "n_channels": 4}
    fired = analysis.compute_correlograms(SPIKES, UNITS, ONSETS, **CORRELOGRAM)
    areas = pd.MultiIndex.from_product([["VISp", "VISl"]] * 2)
    directed = pd.DataFrame({"score": [0.0, 0.5, -0.5, 0.0]}, index=areas)
    return {
        "plot_behavior": {"activity": mean, "running": None, "rate_max": None},
        "plot_class_accuracies": {"accuracies": pd.Series([0.1, 0.2]), "chance": 0.5},
        "plot_confusion": {"confusion": confusion, "label_names": None},
        "plot_correlogram": {"correlogram": fired[0]} | PEAKS,
        "plot_directionality": {"directionality": directed, "axes": None,
                                "hierarchy": dict(analysis.HIERARCHY_SCORES)},
        "plot_csd": {"csd": csd, "depths": None},
        "plot_decoding_curve": {"accuracies": curve, "along": "n_units", "chance": 0.25},
        "plot_fractions": {"fractions": pd.DataFrame({"fraction": [0.2, 0.9]}, index=["a", "b"]),
                           "reference": None},
        "plot_funnel": {"counts": pd.Series({"all": 9.0, "some": 3.0}), "reference": None},
        "plot_hierarchy": {"statistics": means, "correlation": None, "color": None},
        "plot_image": {"template": np.zeros((5, 6))},
        "plot_lfp_heatmap": {"lfp": evoked, "depths": DEPTHS},
        "plot_lfp_traces": {"lfp": evoked, "depths": DEPTHS},
        "plot_population_psth": {"mean_counts": {"a": mean}},
        "plot_probes": {"units": units, "channels": None},
        "plot_psth_heatmap": {"mean_counts": mean, "depths": None, "order": "given"},
        "plot_raster": {"spikes": listed, "row_order": None, "groups": None},
        "plot_receptive_field": {"receptive_field": field, "mask": None, "center": None},
        "plot_star": {"means": star},
        "plot_tuning_curve": {"responses": COUNTS[:, 0], "values": LABELS * 45.0},
        "plot_waveform_classes": {"units": DURATIONS, "threshold": 0.4, "bin_width": 0.1},
        "plot_waveform_heatmap": waveform,
        "plot_waveform_lines": waveform,
    }  # fmt: skip


def call_spikes() -> dict[str, dict[str, Any]]:
    shown = SPIKE | {"presentations": TABLE}
    domain = ONSETS[:, None] + [0.0, 0.5, 1.0]
    return {
        "align_spikes": shown | {"window": (-0.1, 0.3)},
        "compute_bin_centres": {"bin_edges": np.array([0.0, 1.0])},
        "check_bin_edges": {"bin_edges": [0.0, 1.0]},
        "concatenate_spikes": SPIKE,
        "compute_condition_statistics": shown,
        "count_events": SPIKE | {"events": ONSETS, "bins": [0.0, 0.5, 1.0]},
        "count_spikes": SPIKE | {"domain": domain, "dtype": None},
        "compute_design_matrix": shown,
        "compute_mean_counts": SPIKE | {"domain": domain, "groups": LABELS},
        "compute_time_domain": {"bin_edges": [0.0, 1.0], "onsets": ONSETS, "callback": None},
    }  # fmt: skip


CALLS: dict[str, Callable[[], dict[str, dict[str, Any]]]] = {
    "analysis": call_analysis,
    "decoding": call_decoding,
    "lfp": call_lfp,
    "plots": call_plots,
    "spikes": call_spikes,
}
ANYTHING = (
    None, "null", [], {}, float("nan"), float("inf"), -1, 0, 2.5, object(), [None], [1, 2, 3],
    (2.0, 1.0), ["null", "a"], [1j], np.zeros((2, 3, 4)), np.array(0.5),
)  # fmt: skip


def distort(value: Any) -> Iterator[Any]:
    """Go through what is nearly right: shorter, reordered, with values that are none."""
    if isinstance(value, xr.DataArray):
        yield from (value[:0], value[..., :0], value.transpose(*value.dims[::-1]), value.to_numpy())
        yield value.rename({value.dims[0]: "elsewhere"})
        yield value.drop_vars([name for name in value.dims if name in value.coords])
        values = value.to_numpy()
        yield from (
            value.copy(data=array) for array in distort(values) if array.shape == values.shape
        )
    elif isinstance(value, np.ndarray):
        yield from (
            value[:0],
            value[:-1],
            value.T,
            value[::-1],
            -1.0 * value,
            np.zeros(value.shape),
        )
        for wrong in (np.nan, np.inf, None, "null"):
            one = value.astype(float if isinstance(wrong, float) else object)
            one.flat[0] = wrong
            yield from (one, np.full_like(one, wrong))
    elif isinstance(value, pd.DataFrame | pd.Series):
        yield from (value[:0], value[:-1], pd.concat([value, value]))
        columns = value.columns if isinstance(value, pd.DataFrame) else ()
        for name in columns:
            yield value.drop(columns=name)
            yield from (value.assign(**{name: wrong}) for wrong in ("null", np.nan, None))
    elif isinstance(value, dict):
        first, *others = value
        yield {key: value[key] for key in others}
        yield from ({**value, first: wrong} for wrong in ANYTHING)
    elif isinstance(value, list | tuple):
        yield [*value, *value]
        yield from ([*value[:-1], wrong] for wrong in (99, None, "null", float("nan")))


def find_foreign(call: Callable[[], object]) -> Exception | None:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - which one it is, is the question
        return None if isinstance(error, SpikehouseError) and len(str(error)) > 10 else error
    return None


@pytest.fixture
def quiet() -> Iterator[None]:
    """Let warnings be, draw nothing, and close every figure."""
    import matplotlib.pyplot as plt

    backend = mpl.get_backend()
    plt.switch_backend("Agg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    plt.close("all")
    plt.switch_backend(backend)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("package", CALLS)
def test_public_functions__raise_no_foreign_errors(package: str) -> None:
    import matplotlib.pyplot as plt

    module = importlib.import_module(f"spikehouse.{package}")
    foreign = []
    for name, valid in CALLS[package]().items():
        function = getattr(module, name)
        function(**valid)
        for argument, value in valid.items():
            for odd in (*ANYTHING, *distort(value)):
                given = valid | {argument: odd}
                error = find_foreign(lambda f=function, given=given: f(**given))
                if error is not None:
                    foreign.append(f"{name}({argument}={odd!r:.60}): {error!r:.100}")
                plt.close("all")
    assert foreign == []


@pytest.mark.parametrize("package", CALLS)
def test_calls__are_of_every_public_function(package: str) -> None:
    module = importlib.import_module(f"spikehouse.{package}")
    functions = {
        name for name in module.__all__
        if inspect.isfunction(getattr(module, name)) and not name.startswith("warn_")
    }  # fmt: skip
    assert functions <= set(CALLS[package]())


def list_functions() -> Iterator[tuple[str, Any]]:
    """Go through the public functions of the packages and of the modules of analysis."""
    parts = [part.name for part in pkgutil.iter_modules(analysis.__path__)]
    names = ["compat.figures", *CALLS, *(f"analysis.{name}" for name in parts if name[0] != "_")]
    for module in (importlib.import_module(f"spikehouse.{name}") for name in names):
        for name in getattr(module, "__all__", vars(module)):
            thing = getattr(module, name)
            is_own = (
                hasattr(module, "__all__") or getattr(thing, "__module__", "") == module.__name__
            )
            if inspect.isfunction(thing) and is_own and not name.startswith(("_", "warn_")):
                yield f"{module.__name__}.{name}", thing


def test_public_functions__are_guarded() -> None:
    functions = dict(list_functions())
    assert len(functions) > 100
    assert [name for name, f in functions.items() if not hasattr(f, "__wrapped__")] == []
    for function in functions.values():
        assert pickle.loads(pickle.dumps(function)) is function


@pytest.mark.usefixtures("quiet")
def test_from_arrays__raises_no_foreign_errors() -> None:
    running = pd.DataFrame({"start_time": TIMES, "velocity": 1.0})
    valid = {
        "spike_times": SPIKES,
        "units": pd.DataFrame({"peak_channel_id": 10, "snr": 1.0}, index=UNITS),
        "presentations": TABLE[["start_time", "stop_time", "orientation"]],
        "channels": pd.DataFrame({"probe_id": 0, "probe_vertical_position": 1.0}, index=CHANNELS),
        "probes": pd.DataFrame({"description": "a", "sampling_rate": 3e4}, index=[0]),
        "running_speed": running,
        "invalid_times": TABLE[["start_time", "stop_time"]],
        "mean_waveforms": {3: WAVEFORM.to_numpy()},
        "session_id": 1,
    }

    def use(given: dict[str, Any]) -> None:
        session = EcephysSession.from_arrays(**given)
        repr(session)
        session.presentationwise_spike_counts(EDGES)
        assert len(dict(session.mean_waveforms)) <= 1

    use(valid)
    foreign = []
    for argument, value in valid.items():
        for odd in (*ANYTHING, *distort(value)):
            error = find_foreign(lambda given=valid | {argument: odd}: use(given))
            # a text is the path of a file
            if error is not None and not isinstance(error, FileNotFoundError):
                foreign.append(f"{argument}={odd!r:.300}: {error!r:.100}")
    assert foreign == []


def test_guard__says_what_was_given_and_keeps_the_cause() -> None:
    with pytest.raises(
        InvalidArgumentError,
        match=r"compute_noise_correlations cannot use what it was given: ValueError: could not "
        r"convert string to float: 'null'. It was given counts=a ndarray of shape \(2, 1\), "
        r"conditions=\[",
    ) as caught:
        analysis.compute_noise_correlations(np.array([[1], ["null"]], dtype=object), [0, 0])
    assert isinstance(caught.value.__cause__, ValueError)


def test_guard__leaves_wrong_calls_to_python() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'axes'"):
        analysis.adjust_p_values([0.1], axes=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: analysis.adjust_p_values(0.5), "p_values is the single number 0.5; give those"),
        (lambda: lfp.compute_band_power(LFP, bands=["theta"]), r"\['theta'\]; name at least one"),
        (lambda: lfp.compute_csd(LFP / 0, POSITIONS), "the potential is infinite in"),
        (
            lambda: analysis.compute_noise_correlations(COUNTS, LABELS, slower_than="40"),
            "compute_noise_correlations cannot use what it was given: .*'>' not supported between",
        ),
        (lambda: EcephysSession.from_nwb_path("a.nwb", None), "nwb_version is None; only 2"),
        (lambda: EcephysSession.from_nwb_path("a.nwb", api_kwargs=3), "api_kwargs is 3; pass a di"),
    ],
)
def test_errors__of_unusable_arguments(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message), np.errstate(all="ignore"):
        call()


def test_compute_timescales__without_presentations() -> None:
    from spikehouse.analysis.timescale import compute_timescales

    responses = analysis.StimulusResponses("gratings", TABLE[:0], UNITS, SPIKES, 0.5)
    assert responses.condition_means.shape == (0, 4)
    with pytest.raises(InvalidArgumentError, match="gratings has no presentations here"):
        compute_timescales(responses)


def test_decode__refuses_what_is_no_classifier() -> None:
    from sklearn.base import BaseEstimator
    from sklearn.cluster import KMeans
    from sklearn.linear_model import LinearRegression

    with pytest.raises(InvalidArgumentError, match=r"LinearRegression\(\) is a regressor: give"):
        decoding.decode(COUNTS, LABELS, estimator=LinearRegression())
    with pytest.raises(InvalidArgumentError, match="KMeans does not predict one of the labels"):
        decoding.decode(COUNTS, LABELS + 50, estimator=KMeans(2, n_init=1), n_jobs=1)

    class Means(BaseEstimator):
        def fit(self, X: Any, y: Any) -> Means:
            return self

        def predict(self, X: Any) -> Any:
            return X.mean(axis=1)

    with pytest.raises(InvalidArgumentError, match=r"Means does not predict .* but \["):
        decoding.decode(COUNTS + 0.3, LABELS, estimator=Means(), n_jobs=1)


def test_to_pynapple__without_two_spikes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        def get_units(self) -> pd.DataFrame:
            return pd.DataFrame({"peak_channel_id": [1]}, index=[4])

        def get_channels(self) -> pd.DataFrame:
            return pd.DataFrame(
                {"probe_id": [0], "probe_vertical_position": 1, "probe_horizontal_position": 1},
                index=[1],
            )

        def get_probes(self) -> pd.DataFrame:
            return pd.DataFrame({"description": ["probeA"]}, index=[0])

        def get_spike_times(self) -> dict[int, np.ndarray]:
            return {4: np.array([0.5])}

    # never called: what it would raise is not this package's
    monkeypatch.setitem(__import__("sys").modules, "pynapple", object())
    with pytest.raises(NotFoundError, match="none of the 1 units has two spikes"):
        EcephysSession(api=Silent()).to_pynapple()


def test_get_stimulus_table__of_what_is_no_name() -> None:
    class Lab:
        def get_stimulus_presentations(self) -> pd.DataFrame:
            return pd.DataFrame({"start_time": [0.0], "stop_time": [1.0], "stimulus_name": ["a"]})

    session = EcephysSession(api=Lab())
    with pytest.raises(InvalidArgumentError, match=r"stimulus_names is 2.5; pass a name, a list"):
        session.get_stimulus_table(2.5)
    with pytest.raises(InvalidArgumentError, match="stimulus_epochs cannot use what it was given"):
        session.get_stimulus_epochs(2.5)
