"""What the parity suite asks AllenSDK's classes of stimulus analysis, and ours.

Both sides have the same interface, so both are asked by the same code. It runs with the numpy and
pandas of either side (1.23 and 1.5 there) and imports neither package.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

# session files that are asked, beside the simulated Repeats
FILES = ("session_900000001", "session_900000002", "session_900000009", "session_999000001")
REPEATS = "repeats"
N_UNITS = 12
N_ROWS = 120
SEED = 20191003
# classes whose metrics are published, and what the released tables were made with
PUBLISHED: dict[str, dict[str, Any]] = {
    "DriftingGratings": {},
    "StaticGratings": {},
    "NaturalScenes": {},
    "Flashes": {},
    "ReceptiveFieldMapping": {"mask_threshold": 1.0},
}
# recordings whose metrics are asked for as published, of all units and with spikes on edges
PUBLISHED_STEMS = ("session_999000001", REPEATS)

# class → arguments, and the attributes that only it has
CLASSES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "DriftingGratings": (
        {},
        ("orivals", "number_ori", "tfvals", "number_tf", "contrastvals", "number_contrast"),
    ),
    "StaticGratings": (
        {},
        ("orivals", "number_ori", "sfvals", "number_sf", "phasevals", "number_phase"),
    ),
    "NaturalScenes": (
        {},
        ("images", "images_nonblank", "frames", "number_images", "number_nonblank"),
    ),
    # none of the released names is known there, and it has no duration of its own
    "NaturalMovies": ({"trial_duration": 1 / 30}, ()),
    "DotMotion": ({}, ("directions", "number_directions", "speeds", "number_speeds")),
    "Flashes": ({}, ("colors", "number_colors")),
    "ReceptiveFieldMapping": (
        {},
        ("azimuths", "number_azimuths", "elevations", "number_elevations"),
    ),
}
COMMON = (
    "name",
    "unit_count",
    "trial_duration",
    "total_presentations",
    "metrics_names",
    "known_spontaneous_keys",
    "null_condition",
    "stimulus_conditions",
)


# ---- a recording with many repeats of every condition, which small files do not have


class Shifted:
    """An adapter whose spikes come a little later: none lies at the very edge of a presentation.

    There a spike at the start of a presentation belongs to the one before, here to the one it
    starts; tests/parity/test_session.py has that difference.
    """

    def __init__(self, api: Any) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def get_spike_times(self) -> dict[int, Any]:
        return {unit: times + 1.23e-5 for unit, times in self._api.get_spike_times().items()}


def digest_spikes(spike_times: dict[int, Any]) -> str:
    """Tell whether the simulation came out alike: numpy may draw otherwise one day."""
    found = hashlib.sha256()
    for unit in sorted(spike_times):
        found.update(np.round(spike_times[unit], 9).tobytes())
    return found.hexdigest()


def product(**values: Any) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = [{}]
    for name, choices in values.items():
        rows = [{**row, name: choice} for row in rows for choice in choices]
    return rows


class Repeats:
    """An adapter, with what either package asks of one: every stimulus, 12 units."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(SEED)
        self.presentations = self._show_all()
        self.spikes = {10 + n: self._fire(n) for n in range(N_UNITS)}

    def __getattr__(self, name: str) -> Any:
        # AllenSDK takes hold of methods that are never called here
        if name.startswith("get_"):
            return lambda *_, **__: None
        raise AttributeError(name)

    def _show_all(self) -> pd.DataFrame:
        angles = np.arange(0.0, 360, 45)
        blank = {"temporal_frequency": np.nan}
        gratings = product(
            orientation=angles, temporal_frequency=[1.0, 2, 4, 8, 15], contrast=[0.8]
        )
        contrasts = product(
            orientation=angles[:4],
            contrast=[0.01, 0.02, 0.04, 0.08, 0.13, 0.2, 0.35, 0.6, 1.0],
            temporal_frequency=[2.0],
        )
        still = product(
            orientation=np.arange(0.0, 180, 30),
            spatial_frequency=[0.02, 0.04, 0.08, 0.16, 0.32],
            phase=[0.0, 0.25, 0.5, 0.75],
        )
        places = np.arange(-40.0, 50, 10)
        gabors = product(x_position=places, y_position=places, orientation=[0.0, 45, 90])
        dots = product(Dir=angles[:4], Speed=[0.001, 0.005, 0.01, 0.02, 0.04])
        shown = [
            ("gabors", gabors * 4, 0.25, 0.0),
            ("flashes", product(color=[-1.0, 1.0]) * 40, 0.25, 1.75),
            ("drifting_gratings", gratings * 5 + [blank] * 10, 2.0, 1.0),
            ("dot_motion", dots * 5, 1.0, 0.5),
            ("static_gratings", still * 6 + [{"spatial_frequency": np.nan}] * 20, 0.25, 0.0),
            ("natural_scenes", product(frame=np.arange(-1.0, 30)) * 10, 0.25, 0.0),
            ("drifting_gratings", gratings * 2, 2.0, 1.0),
            ("drifting_gratings_contrast", contrasts * 5, 0.5, 0.5),
            ("natural_movie_one", product(frame=np.arange(0.0, 60)) * 10, 1 / 30, 0.0),
        ]
        rows = []
        now = 1.0
        for block, (name, conditions, length, pause) in enumerate(shown):
            rows.append({"stimulus_name": "spontaneous", "start_time": now, "length": 20.0})
            now += 20.0
            # a movie is shown in order
            is_movie = name.startswith("natural_movie")
            order = range(len(conditions)) if is_movie else self.random.permutation(len(conditions))
            for n in order:
                # as on the screen, a little longer or shorter than planned
                spent = length + 0.0004 * self.random.standard_normal()
                row = {"stimulus_name": name, "stimulus_block": float(block), "start_time": now}
                rows.append({**row, "length": spent, **conditions[n]})
                now += spent + pause
        table = pd.DataFrame(rows)
        table["stop_time"] = table["start_time"] + table.pop("length")
        table["stimulus_index"] = 0
        table.index.name = "id"
        return table

    def _fire(self, number: int) -> np.ndarray:
        """Give a unit's spikes: 0 never fires, 1 hardly, 2 only without a stimulus."""
        table = self.presentations
        random = self.random
        if number == 0:
            return np.array([])
        if number == 2:
            return np.sort(random.uniform(1.0, 21.0, 40))
        rate = np.full(len(table), 0.05 if number == 1 else 1.0 + number)
        if number > 2:
            rate *= self._tune(number)
        # one unit is driven by running
        length = (table["stop_time"] - table["start_time"]).to_numpy()
        start = table["start_time"].to_numpy()
        if number in (5, 8):
            rate *= np.where(np.sin(start / 4) > 0, 1.8, 0.6)
        counts = random.poisson(rate * length)
        within = 0.15 + 0.75 * random.random(int(counts.sum())) ** (1 + number % 3)
        return np.sort(np.repeat(start, counts) + within * np.repeat(length, counts))

    def _tune(self, number: int) -> np.ndarray:
        table = self.presentations
        angle = np.deg2rad(table["orientation"].fillna(0.0) - 45 * number)
        gain = np.exp(1.5 * (np.cos(angle) - 1)) + 0.3
        contrast = table["contrast"].fillna(0.8)
        gain = gain * contrast**2 / (contrast**2 + (0.05 * number) ** 2)
        for name, centre, width in (
            ("x_position", 10.0 * (number % 4), 12.0),
            ("y_position", -10.0 * (number % 3), 14.0),
            ("frame", 3.0 * number, 4.0),
            ("color", 1.0 if number % 2 else -1.0, 1.0),
            ("temporal_frequency", 2.0, 4.0),
            ("spatial_frequency", 0.08, 0.08),
        ):
            away = (table[name] - centre) / width
            gain = gain * (0.2 + 1.8 * np.exp(-(away**2) / 2)).fillna(1.0)
        return np.asarray(gain, dtype=float)

    def get_ecephys_session_id(self) -> int:
        return 1

    def get_session_start_time(self) -> dt.datetime:
        return dt.datetime(2026, 1, 2)

    def get_stimulus_presentations(self) -> pd.DataFrame:
        return self.presentations.copy()

    def get_invalid_times(self) -> pd.DataFrame:
        return pd.DataFrame({"start_time": [], "stop_time": [], "label": [], "tags": []})

    def get_spike_times(self) -> dict[int, Any]:
        return {unit: times.copy() for unit, times in self.spikes.items()}

    def get_running_speed(self) -> pd.DataFrame:
        end = float(self.presentations["stop_time"].iloc[-1])
        times = np.arange(0.0, end, 1 / 60) + 0.0012345
        velocity = 8 * np.sin(times / 4) + 4 * np.sin(times / 60)
        velocity[1000:1010] = np.nan
        return pd.DataFrame({"start_time": times, "end_time": times + 1 / 60, "velocity": velocity})

    def get_probes(self) -> pd.DataFrame:
        columns = {
            "description": ["probeA"], "location": ["VISp"], "sampling_rate": [30_000.0],
            "lfp_sampling_rate": [1250.0], "has_lfp_data": [False],
        }  # fmt: skip
        return pd.DataFrame(columns, index=pd.Index([7], name="id"))

    def get_channels(self) -> pd.DataFrame:
        rows = np.arange(N_UNITS)
        columns = {
            "probe_id": 7, "probe_channel_number": rows, "probe_vertical_position": 20 * rows,
            "probe_horizontal_position": 11, "structure_acronym": np.where(rows < 6, "CA1", "VISp"),
        }  # fmt: skip
        return pd.DataFrame(columns, index=pd.Index(100 + rows, name="id"))

    def get_units(self) -> pd.DataFrame:
        rows = np.arange(N_UNITS)
        columns = {"peak_channel_id": 100 + rows, "snr": 1.0 + rows}
        return pd.DataFrame(columns, index=pd.Index(10 + rows, name="id"))


class OnEdges(Repeats):
    """The same recording with every spike on an edge of a bin, a start or a stop."""

    def get_spike_times(self) -> dict[int, Any]:
        start, stop = (self.presentations[f"{name}_time"].to_numpy() for name in ("start", "stop"))
        steps = np.arange(0, 20.0, 0.001)
        moved = {}
        for unit, times in self.spikes.items():
            row = np.searchsorted(start, times, side="right") - 1
            on_edge = start[row] + steps[np.rint((times - start[row]) * 1000).astype(int)]
            on_edge[::10] = stop[row][::10]
            on_edge[5::10] = start[row][5::10]
            moved[unit] = np.unique(on_edge)
        return moved


# ---- what is asked of a class


def make_analysis(make: Any, name: str, session: Any, **more: Any) -> Any:
    """Make one of a class for the first units of a session."""
    options = dict(CLASSES[name][0])
    if name == "NaturalMovies":
        movies = ("natural_movie_one", "natural_movie_one_more_repeats")
        options["stimulus_key"] = next(m for m in movies if m in session.stimulus_names)
    units = session.units.index.values[:N_UNITS].tolist()
    return make(session, filter=units, **options, **more)


def cut(answer: Any) -> Any:
    """Keep so much of an answer as can be written down number by number."""
    if isinstance(answer, pd.Index):
        return answer.to_numpy()
    if isinstance(answer, (pd.DataFrame, np.ndarray)):
        return answer[:N_ROWS]
    if isinstance(answer, xr.DataArray):
        return answer[tuple(slice(0, size) for size in (3, 20, 3)[: answer.ndim])]
    return answer


def ask_metrics(one: Any) -> pd.DataFrame:
    # the shuffles there draw from the one generator of all
    np.random.seed(SEED)  # noqa: NPY002
    return one.metrics


def ask_psth(one: Any) -> dict[str, Any]:
    psth = one.conditionwise_psth
    dims = ("stimulus_condition_id", "time_relative_to_stimulus_onset", "unit_id")
    psth = psth.transpose(*dims).sortby("stimulus_condition_id")
    return {
        "corner": psth[:3, :20, :3].values,
        "means": psth.mean("time_relative_to_stimulus_onset")[:10].values,
        "bins": psth["time_relative_to_stimulus_onset"].values[:20],
        "number of bins": psth.shape[1],
        "conditions": psth["stimulus_condition_id"].values[:N_ROWS],
    }


def ask_presentations(one: Any) -> pd.DataFrame:
    table = one.presentationwise_statistics
    return table.sort_index()


def ask_fields(one: Any) -> dict[str, Any]:
    found = {str(unit): one.get_receptive_field(unit) for unit in one.unit_ids[:6]}
    fields = one.receptive_fields
    rows = {name: fields[name].values for name in ("x_position", "y_position", "unit_id")}
    return {**found, **rows, "dims": list(fields["spike_counts"].dims)}


def list_class_questions(name: str) -> dict[str, Callable[[Any], Any]]:
    """Name every question a class is asked, given one of it."""
    questions: dict[str, Callable[[Any], Any]] = {
        "METRICS_COLUMNS": lambda one: [[c, np.dtype(t).name] for c, t in one.METRICS_COLUMNS],
        "metrics": ask_metrics,
        "stim_table": lambda one: one.stim_table[["start_time", "stop_time", "stimulus_name"]],
        "stim_table columns": lambda one: sorted(one.stim_table.columns),
        "known_stimulus_keys": lambda one: one.known_stimulus_keys(),
        "unit_ids": lambda one: np.asarray(one.unit_ids),
        "conditionwise_statistics": lambda one: one.conditionwise_statistics.sort_index(),
        "presentationwise_statistics": ask_presentations,
        "running_speed": lambda one: one.running_speed,
        "conditionwise_psth": ask_psth,
        "number of spikes": lambda one: len(one.presentationwise_spike_times),
        "stim_table_spontaneous": lambda one: list(one.stim_table_spontaneous.index),
        "empty_metrics_table": lambda one: one.empty_metrics_table(),
        "spikes": lambda one: sorted(one.spikes),
    }
    for member in (*COMMON, *CLASSES[name][1]):
        questions[member] = lambda one, member=member: getattr(one, member)
    if name == "ReceptiveFieldMapping":
        # last: there it turns the elevations in the table itself
        questions["fields"] = ask_fields
    if name == "Flashes":
        questions["intrinsic timescale"] = lambda one: one.get_intrinsic_timescale(one.unit_ids[3:])
    if name == "DriftingGratings":
        questions["contrast conditions"] = lambda one: one.stimulus_conditions_contrast
        questions["contrast statistics"] = lambda one: (
            one.conditionwise_statistics_contrast.sort_index()
        )
        questions["contrast presentations"] = lambda one: list(one.stim_table_contrast.index)
    return {
        key: lambda one, question=question: cut(question(one))
        for key, question in questions.items()
    }


# ---- what is asked of the functions


def make_field(centre: tuple[float, float], random: Any) -> np.ndarray:
    y, x = np.indices((9, 9))
    bump = 20 * np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / 4)
    return random.poisson(bump + 2).astype(float)


def list_function_questions() -> dict[str, Callable[[Any], Any]]:
    """Name every question about a function; it is asked of a lookup name → function."""
    random = np.random.default_rng(7)
    counts, speeds = random.poisson(4.0, 40).astype(float), random.normal(1.0, 3.0, 40)
    angles = np.deg2rad(np.arange(0.0, 360, 45)).astype("complex128")
    tuning, means = random.random(8), random.random(50)
    sweeps = [np.sort(random.uniform(0, 2.0, n)) for n in (5, 9, 12, 7)]
    trials = random.poisson(0.02, (15, 1999))
    psth = trials.mean(axis=0)
    contrasts = np.array([0.01, 0.02, 0.04, 0.08, 0.13, 0.2, 0.35, 0.6, 1.0])
    curve = 10 * contrasts**2 / (contrasts**2 + 0.2**2) + random.normal(0, 0.2, 9)
    spikes = np.sort(random.uniform(0, 100, 500))
    fields = [make_field(place, random) for place in ((4, 4), (2.2, 6.1), (1.4, 6.8), (7, 3))]
    binned = xr.DataArray(
        random.poisson(2.0, (60, 10, 5)),
        dims=("stimulus_presentation_id", "time_relative_to_stimulus_onset", "unit_id"),
        coords={"unit_id": np.arange(5), "time_relative_to_stimulus_onset": np.arange(10) * 0.025},
    )
    lags = np.arange(12)[None, :] - np.arange(12)[:, None]
    decaying = np.where(lags > 0, 0.5 * np.exp(-lags / 3) + 0.1, np.nan)[None].repeat(4, axis=0)
    decaying += random.normal(0, 0.001, decaying.shape)
    questions: dict[str, Callable[[Any], Any]] = {
        "running_modulation": lambda f: f("running_modulation")(counts, speeds),
        "running_modulation fast": lambda f: f("running_modulation")(counts, speeds, 3.0),
        "running_modulation standing": lambda f: f("running_modulation")(counts, speeds * 0),
        "running_modulation silent": lambda f: f("running_modulation")(counts * 0, speeds),
        "running_modulation unequal": lambda f: f("running_modulation")(counts, speeds[1:]),
        "lifetime_sparseness": lambda f: f("lifetime_sparseness")(means),
        "lifetime_sparseness flat": lambda f: f("lifetime_sparseness")(np.ones(5)),
        "lifetime_sparseness zero": lambda f: f("lifetime_sparseness")(np.zeros(5)),
        "lifetime_sparseness one": lambda f: f("lifetime_sparseness")(np.ones(1)),
        "fano_factor": lambda f: f("fano_factor")(counts),
        "fano_factor zero": lambda f: f("fano_factor")(np.zeros(4)),
        "overall_firing_rate": lambda f: f("overall_firing_rate")(
            np.array([1.0, 30]), np.array([20.0, 90]), spikes
        ),
        "overall_firing_rate silent": lambda f: f("overall_firing_rate")(
            np.array([1.0]), np.array([20.0]), np.array([])
        ),
        "overall_firing_rate backwards": lambda f: f("overall_firing_rate")(
            np.array([20.0]), np.array([1.0]), spikes
        ),
        "overall_firing_rate unequal": lambda f: f("overall_firing_rate")(
            np.array([1.0, 2.0]), np.array([20.0]), spikes
        ),
        "get_fr": lambda f: f("get_fr")(sweeps[1]),
        "get_fr fine": lambda f: f("get_fr")(sweeps[2], 100, 2.5, 0.05),
        "reliability": lambda f: f("reliability")(np.array([s[:5] for s in sweeps])),
        "reliability window": lambda f: f("reliability")(
            np.array([s[:5] for s in sweeps]), 0.5, 60, 0.05, 10, 80
        ),
        "osi": lambda f: f("osi")(angles, tuning),
        "osi zero": lambda f: f("osi")(angles, tuning * 0),
        "osi unequal": lambda f: f("osi")(angles, tuning[1:]),
        "dsi": lambda f: f("dsi")(angles, tuning),
        "dsi empty": lambda f: f("dsi")(angles[:0], tuning[:0]),
        "deg2rad": lambda f: f("deg2rad")(np.arange(0.0, 360, 30)),
        "image_selectivity": lambda f: f("image_selectivity")(means),
        "image_selectivity steps": lambda f: f("image_selectivity")(means, 20),
        "image_selectivity flat": lambda f: f("image_selectivity")(np.ones(4)),
        "image_selectivity one": lambda f: f("image_selectivity")(np.ones(1)),
        "f1_f0": lambda f: f("f1_f0")(trials, 2.0, 1.9985),
        "f1_f0 fast": lambda f: f("f1_f0")(trials, 15.0, 1.9985),
        "f1_f0 one trial": lambda f: f("f1_f0")(trials[0], 4.0, 1.9985),
        "f1_f0 silent": lambda f: f("f1_f0")(trials * 0, 4.0, 1.9985),
        "f1_f0 empty": lambda f: f("f1_f0")(np.empty((0, 0)), 4.0, 1.9985),
        "modulation_index": lambda f: f("modulation_index")(psth, 4.0, 1000.0),
        "modulation_index silent": lambda f: f("modulation_index")(psth * 0, 4.0, 1000.0),
        "modulation_index empty": lambda f: f("modulation_index")(psth[:0], 4.0, 1000.0),
        "modulation_index beyond": lambda f: f("modulation_index")(psth, 900.0, 1000.0),
        "c50": lambda f: f("c50")(contrasts, curve),
        "c50 falling": lambda f: f("c50")(contrasts, 12 - curve),
        "c50 empty": lambda f: f("c50")(contrasts[:0], curve[:0]),
        "calculate_time_delayed_correlation": lambda f: f("calculate_time_delayed_correlation")(
            binned
        ),
        "fit_exp": lambda f: f("fit_exp")(decaying),
        "convert_elevation_to_degrees": lambda f: f("convert_elevation_to_degrees")(3.2),
        "convert_azimuth_to_degrees": lambda f: f("convert_azimuth_to_degrees")(3.2),
        "convert_pixels_to_degrees": lambda f: f("convert_pixels_to_degrees")(3.2),
        "convert_pixel_area_to_degrees": lambda f: f("convert_pixel_area_to_degrees")(3.2),
    }
    for n, field in enumerate(fields):
        for name in ("gaussian_moments_2d", "fit_2d_gaussian", "invert_rf"):
            questions[f"{name} {n}"] = lambda f, name=name, field=field: f(name)(field)
        questions[f"threshold_rf {n}"] = lambda f, field=field: f("threshold_rf")(field, 0.5)
        questions[f"rf_on_screen {n}"] = lambda f, field=field: f("rf_on_screen")(
            field, *f("fit_2d_gaussian")(field)[0][1:3]
        )
        questions[f"is_rf_inverted {n}"] = lambda f, field=field: f("is_rf_inverted")(
            f("threshold_rf")(field.max() - field, 0.5)[0]
        )
    questions["gaussian_moments_2d empty"] = lambda f: f("gaussian_moments_2d")(np.zeros((9, 9)))
    questions["fit_2d_gaussian empty"] = lambda f: f("fit_2d_gaussian")(np.zeros((9, 9)))
    return questions


def tidy(value: Any) -> Any:
    """Take the numbers out of labelled arrays."""
    if isinstance(value, (list, tuple)):
        return tuple(tidy(v) for v in value)
    if isinstance(value, xr.DataArray):
        value = value.values
    return value


def name_edition(path: Path) -> str:
    """The demo survey keeps its files in a folder named after its own source."""
    return Path(path).parent.name
