"""Compute the firing rate of a unit over the session from its tuning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from spikehouse.demo.behavior import AROUSAL_STEP_S
from spikehouse.demo.grid import N_OFF_BINS, N_PROFILE_BINS, PROFILE_STEP_S, RateGrid
from spikehouse.demo.neurons import N_FEATURES
from spikehouse.demo.timeline import Timeline

__all__ = ["RateModel", "Unit", "compute_rate", "make_rate_model", "tune_orientation"]

# One row of the plan's units, as a mapping from column to value.
Unit = Mapping[str, float]
Shown = Mapping[str, np.ndarray]
GABOR_RADIUS_DEG = 7.0
FLASH_SHARE, GRATING_SHARE, GABOR_SHARE, SCENE_SHARE, MOVIE_SHARE = 1.8, 2.4, 1.8, 4.5, 1.5
FLOOR = 0.02


@dataclass(frozen=True)
class RateModel:
    """The stimuli of a session, as needed to compute the rate of any unit."""

    grid: RateGrid
    # stimulus → rows of its presentations
    rows_of: dict[str, np.ndarray]
    # stimulus → parameters of those presentations
    shown: dict[str, Shown]
    # stimulus → features of the frames of those presentations
    movies: dict[str, np.ndarray]
    # presentations with an off response, and the segments it falls into
    off_rows: np.ndarray
    off_segments: np.ndarray
    n_segments: int


def make_rate_model(
    grid: RateGrid, timeline: Timeline, get_movie: Callable[[str, int], np.ndarray]
) -> RateModel:
    """Collect the parameters of the stimuli that units respond to."""
    names = timeline.presentations["name"].to_numpy(dtype=object)
    row = timeline.presentations["row"].to_numpy()
    rows_of: dict[str, np.ndarray] = {}
    shown: dict[str, Shown] = {}
    movies: dict[str, np.ndarray] = {}
    for name, sequence in timeline.sequences.items():
        rows = np.flatnonzero(names == name)
        rows_of[name] = rows
        shown[name] = {key: np.asarray(v[row[rows]]) for key, v in sequence.shown.items()}
        if name.startswith("natural_movie"):
            frame = shown[name]["frame"].astype(int)
            clip = "three" if name == "natural_movie_three" else "one"
            movies[name] = get_movie(clip, int(frame.max()) + 1)[frame]
    off_rows = np.array(list(grid.off_segment_of), dtype=np.int64)
    off_segments = np.array(list(grid.off_segment_of.values()), dtype=np.int64)
    return RateModel(grid, rows_of, shown, movies, off_rows, off_segments, grid.n_bins_of.size)


def tune_orientation(unit: Unit, direction: np.ndarray, *, is_moving: bool) -> np.ndarray:
    """Compute the response to directions [degrees] relative to the best; 0 for blank sweeps."""
    apart = np.abs((direction - unit["preferred_direction"] + 180) % 360 - 180)
    width = unit["tuning_width"]
    same = np.exp(-0.5 * (apart / width) ** 2)
    opposite = np.exp(-0.5 * ((180 - apart) / width) ** 2)
    opposite *= 1 - unit["direction_strength"] if is_moving else 1.0
    strength = unit["orientation_strength"]
    return np.nan_to_num(1 - strength + strength * (same + opposite))


def _tune_log_gaussian(values: np.ndarray, preferred: float, width: float) -> np.ndarray:
    return np.asarray(np.exp(-0.5 * (np.log2(values / preferred) / width) ** 2))


def _get_weights(unit: Unit) -> np.ndarray:
    return np.array([unit[f"feature_{i}"] for i in range(N_FEATURES)])


def _respond_to_features(unit: Unit, features: np.ndarray, share: float) -> np.ndarray:
    score = np.einsum("pf,f->p", features, _get_weights(unit))
    gain = unit["image_gain"]
    return np.asarray(share * np.exp(gain * score - gain**2 / 2))


def _compute_response(name: str, unit: Unit, model: RateModel) -> np.ndarray:
    """Compute the response of a unit to every presentation of a stimulus, relative to its drive."""
    # the parameters of blank sweeps are NaN; no unit responds to them
    return np.asarray(np.nan_to_num(_compute_response_to_shown(name, unit, model)))


def _compute_response_to_shown(name: str, unit: Unit, model: RateModel) -> np.ndarray:
    shown = model.shown[name]
    if name in model.movies:
        return _respond_to_features(unit, model.movies[name], MOVIE_SHARE)
    if name == "natural_scenes":
        return _respond_to_features(unit, model.grid.scene_features, SCENE_SHARE)
    if name == "gabors":
        width = unit["rf_width"] ** 2 + GABOR_RADIUS_DEG**2
        apart = (shown["x"] - unit["rf_x_position"]) ** 2 + (
            shown["y"] - unit["rf_y_position"]
        ) ** 2
        tuned = 0.5 + 0.5 * tune_orientation(unit, shown["orientation"], is_moving=False)
        return np.asarray(GABOR_SHARE * np.exp(-0.5 * apart / width) * tuned)
    if name == "flashes":
        gain = np.where(shown["color"] > 0, unit["on_gain"], unit["off_gain"])
        return np.asarray(FLASH_SHARE * gain)
    if name == "static_gratings":
        tuned = tune_orientation(unit, shown["orientation"], is_moving=False)
        tuned = tuned * _tune_log_gaussian(shown["sf"], unit["preferred_sf"], 1.0)
        phase = np.cos(2 * np.pi * (shown["phase"] - unit["preferred_phase"]))
        return np.asarray(GRATING_SHARE * tuned * (1 + unit["f1_modulation"] * phase))
    tuned = tune_orientation(unit, shown["direction"], is_moving=True)
    if name == "dot_motion":
        return np.asarray(tuned * _tune_log_gaussian(shown["speed"], unit["preferred_speed"], 1.2))
    tuned = tuned * _tune_log_gaussian(shown["tf"], unit["preferred_tf"], 1.1)
    power = shown["contrast"] ** 2
    # relative to the usual contrast of 0.8
    saturated = power / (power + unit["contrast_50"] ** 2) * (1 + unit["contrast_50"] ** 2 / 0.64)
    return np.asarray(GRATING_SHARE * tuned * saturated)


def _make_profile(unit: Unit) -> np.ndarray:
    """Compute the time course of responses: rest, after onset, after offset."""
    at = PROFILE_STEP_S * np.arange(N_PROFILE_BINS)
    transience = unit["transience"]
    onset = 1 + transience * (2.5 * np.exp(-at / unit["decay_s"]) - 0.8)
    off = np.exp(-PROFILE_STEP_S * np.arange(N_OFF_BINS) / 0.06)
    return np.concatenate([[0.0], onset, off]).astype(np.float32)


def _make_gain(
    unit: Unit, grid: RateGrid, rng: np.random.Generator, duration_s: float
) -> np.ndarray:
    """Compute the slow gain at the knots from running, arousal, drift and presence."""
    n = grid.arousal.size
    at = AROUSAL_STEP_S * np.arange(n) / duration_s
    phase = rng.random(3)
    waves = sum(np.sin(2 * np.pi * (k * at * 0.8 + phase[k - 1])) / k for k in (1, 2, 3))
    log_gain = (
        unit["running_gain"] * np.clip(grid.speed, -2, 3)
        + unit["shared_gain"] * grid.arousal
        + unit["drift"] * waves
    )
    gain = np.exp(log_gain)
    present = unit["presence_ratio"]
    if present < 0.95:
        # the unit was lost, or first recorded, during the session
        edge = present if rng.random() < 0.5 else 1 - present
        sign = 1 if edge == present else -1
        gain = gain / (1 + np.exp(np.clip(sign * (at - edge) / 0.004, -60, 60)))
    return np.asarray(gain, dtype=np.float32)


def compute_rate(unit: Unit, model: RateModel, rng: np.random.Generator) -> np.ndarray:
    """Compute the rate of a unit in each bin, without latency; the resting rate is about 1."""
    grid = model.grid
    drive = unit["drive"]
    amplitude = np.zeros(model.n_segments, dtype=np.float32)
    for name, rows in model.rows_of.items():
        amplitude[grid.segment_of[rows]] = drive * _compute_response(name, unit, model)
    flashes = model.rows_of.get("flashes")
    if flashes is not None and model.off_rows.size:
        # at the end of a bright flash the screen gets darker, of a dark one brighter
        color = model.shown["flashes"]["color"][np.searchsorted(flashes, model.off_rows)]
        gain = np.where(color > 0, unit["off_gain"], unit["on_gain"])
        amplitude[model.off_segments] = 1.2 * drive * gain
    rate = np.repeat(amplitude, grid.n_bins_of)
    rate *= _make_profile(unit)[grid.profile]
    if grid.modulated.size:
        angle = 2 * np.pi * unit["preferred_phase"]
        wave = np.cos(angle) * grid.cosine - np.sin(angle) * grid.sine
        rate[grid.modulated] *= 1 + np.float32(unit["f1_modulation"]) * wave.astype(np.float32)
    rate += 1
    np.maximum(rate, FLOOR, out=rate)
    rate *= _make_gain(unit, grid, rng, float(grid.edges[-1]))[grid.knot_of]
    return rate
