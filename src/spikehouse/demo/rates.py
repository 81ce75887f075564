"""Compute the firing rate of a unit in the bins of a session, from its tuning.

Every presentation, and every pause between two, is divided into bins of equal length, so a response
starts exactly with its stimulus (the latency is added to the spikes afterwards).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from spikehouse.demo.behavior import AROUSAL_STEP_S, Running
from spikehouse.demo.neurons import N_FEATURES
from spikehouse.demo.sessions import make_rng
from spikehouse.demo.timeline import Timeline

PROFILE_STEP_S = 0.0125
N_PROFILE_BINS = 200
GAP_STEP_S = 0.025
N_OFF_BINS = 16
# Stimuli with an off response.
OFF_STIMULI = ("flashes",)


@dataclass(frozen=True)
class RateGrid:
    """Bins of the session, and the quantities per bin that all units share."""

    # (bins + 1) [s]
    edges: np.ndarray
    # number of bins of each segment; segments are presentations and pauses, in order
    n_bins_of: np.ndarray
    # (bins) index into the response profile of a unit: rest, after onset, after offset
    profile: np.ndarray
    # (presentations) segment of each presentation
    segment_of: np.ndarray
    # row of a presentation with an off response → segment after it
    off_segment_of: dict[int, int]
    # (bins) index of the half-second knots of slow gain
    knot_of: np.ndarray
    # bins of drifting gratings, and the temporal phase of the grating in each
    modulated: np.ndarray
    cosine: np.ndarray
    sine: np.ndarray
    # (knots) running speed, standardized
    speed: np.ndarray
    # (knots) shared fluctuation, standardized
    arousal: np.ndarray
    # (presentations of natural scenes, features), with jitter
    scene_features: np.ndarray


def make_movie_features(seed: int, n_frames: int, movie: str) -> np.ndarray:
    """Draw the features of each movie frame: (frames, features), smooth in time."""
    rng = make_rng(seed, "movie features", movie)
    n_knots = n_frames // 9 + 4
    knots = rng.standard_normal((n_knots, N_FEATURES)) * 1.25
    at = np.linspace(0, n_knots - 1, n_frames)
    return np.column_stack([np.interp(at, np.arange(n_knots), column) for column in knots.T])


def make_grid(
    seed: int,
    session_id: int,
    timeline: Timeline,
    running: Running,
    arousal: np.ndarray,
    image_features: np.ndarray,
    *,
    feature_jitter: float,
) -> RateGrid:
    """Divide a session into bins, about half a million in the full size."""
    # all units share the jitter of the image features, as they share eye movements: it limits how
    # well any population can discriminate images
    edges, n_bins_of, profile, segment_of, off_segment_of = _make_bins(timeline)
    centre = (edges[:-1] + edges[1:]) / 2
    knot_of = np.minimum((centre / AROUSAL_STEP_S).astype(np.int32), arousal.size - 1)
    at = AROUSAL_STEP_S * np.arange(arousal.size)
    speed = np.interp(at, running.times[:-1], np.maximum(running.speed, 0))
    modulated, angle = _find_modulated(timeline, n_bins_of, segment_of, centre)
    rng = make_rng(seed, session_id, "eye movements")
    return RateGrid(
        edges=edges,
        n_bins_of=n_bins_of,
        profile=profile,
        segment_of=segment_of,
        off_segment_of=off_segment_of,
        knot_of=knot_of,
        modulated=modulated,
        cosine=np.cos(angle).astype(np.float32),
        sine=np.sin(angle).astype(np.float32),
        speed=(speed - speed.mean()) / (speed.std() + 1e-9),
        arousal=arousal,
        scene_features=_jitter_scenes(rng, timeline, image_features, feature_jitter),
    )


def _jitter_scenes(
    rng: np.random.Generator, timeline: Timeline, image_features: np.ndarray, jitter: float
) -> np.ndarray:
    scenes = timeline.sequences.get("natural_scenes")
    if scenes is None:
        return np.empty((0, N_FEATURES))
    frame = scenes.shown["frame"].astype(int)
    seen = image_features[np.maximum(frame, 0)]
    seen = seen + jitter * rng.standard_normal(seen.shape)
    return np.asarray(np.where(frame[:, None] < 0, np.nan, seen))


def _make_bins(
    timeline: Timeline,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[int, int]]:
    shown = timeline.presentations
    start = shown["start_time"].to_numpy()
    stop = shown["stop_time"].to_numpy()
    names = shown["name"].to_numpy(dtype=object)
    # segments: [lead-in] presentation [pause] presentation … [tail]
    after = np.append(start[1:], timeline.duration_s)
    has_pause = after - stop > 1e-6
    n = len(shown)
    position = 1 + np.arange(n) + np.concatenate([[0], np.cumsum(has_pause[:-1])])
    n_segments = int(position[-1]) + 1 + int(has_pause[-1])
    begin = np.zeros(n_segments)
    begin[position] = start
    pause = position[has_pause] + 1
    begin[pause] = stop[has_pause]
    end = np.append(begin[1:], timeline.duration_s)
    is_stimulus = np.zeros(n_segments, dtype=bool)
    is_stimulus[position] = names != "spontaneous"
    is_movie = np.zeros(n_segments, dtype=bool)
    is_movie[position] = [name.startswith("natural_movie") for name in names]
    leaves_off = np.zeros(n_segments, dtype=bool)
    leaves_off[pause] = np.isin(names[has_pause], OFF_STIMULI)
    step = np.where(is_stimulus | leaves_off, PROFILE_STEP_S, GAP_STEP_S)
    n_bins_of = np.maximum(1, np.rint((end - begin) / step)).astype(np.int64)
    n_bins_of[is_movie] = 1
    first = np.concatenate([[0], np.cumsum(n_bins_of)])
    within = np.arange(first[-1]) - np.repeat(first[:-1], n_bins_of)
    width = np.repeat((end - begin) / n_bins_of, n_bins_of)
    edges = np.append(np.repeat(begin, n_bins_of) + within * width, timeline.duration_s)
    after_onset = 1 + np.minimum(within, N_PROFILE_BINS - 1)
    profile = np.where(np.repeat(is_stimulus, n_bins_of), after_onset, 0)
    off = np.repeat(leaves_off, n_bins_of) & (within < N_OFF_BINS)
    profile = np.where(off, 1 + N_PROFILE_BINS + within, profile)
    # the response to a movie frame is the steady one: the last bin of the profile
    profile = np.where(np.repeat(is_movie, n_bins_of), N_PROFILE_BINS, profile)
    rows = np.flatnonzero(has_pause & np.isin(names, OFF_STIMULI))
    off_segment_of = {int(row): int(position[row]) + 1 for row in rows}
    return edges, n_bins_of, profile.astype(np.int32), position, off_segment_of


def _find_modulated(
    timeline: Timeline, n_bins_of: np.ndarray, segment_of: np.ndarray, centre: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bins of drifting gratings and the temporal phase of the grating in each."""
    shown = timeline.presentations
    first = np.concatenate([[0], np.cumsum(n_bins_of)])
    bins, angles = [], []
    for name, sequence in timeline.sequences.items():
        if "tf" not in sequence.shown:
            continue
        here = np.flatnonzero((shown["name"] == name).to_numpy())
        segments = segment_of[here]
        tf = np.nan_to_num(sequence.shown["tf"])[shown["row"].to_numpy()[here]]
        start = shown["start_time"].to_numpy()[here]
        for segment, frequency, onset in zip(segments, tf, start, strict=True):
            of_segment = np.arange(first[segment], first[segment + 1])
            bins.append(of_segment)
            angles.append(2 * np.pi * frequency * (centre[of_segment] - onset))
    if not bins:
        return np.empty(0, dtype=np.int64), np.empty(0)
    return np.concatenate(bins), np.concatenate(angles)


# ---- rates

# One row of the plan's units, as a mapping from column to value.
Unit = Mapping[str, float]
Shown = Mapping[str, np.ndarray]
GABOR_RADIUS_DEG = 7.0
FLASH_SHARE, GRATING_SHARE, GABOR_SHARE, SCENE_SHARE, MOVIE_SHARE = 1.8, 2.4, 1.8, 4.5, 1.5
FLOOR = 0.02
# Size of the transient part of a response relative to the drive.
ONSET_GAIN = 7.5


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
    # bins of movies, and the block of each: −1/2 for the first of two and 1/2 for the second
    movie_bins: np.ndarray
    movie_blocks: np.ndarray
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
    first_bin = np.cumsum(grid.n_bins_of) - grid.n_bins_of
    movie_bins: list[np.ndarray] = [np.empty(0, dtype=np.int64)]
    movie_blocks: list[np.ndarray] = [np.empty(0)]
    block = timeline.presentations["stimulus_block"].to_numpy()
    for name, sequence in timeline.sequences.items():
        rows = np.flatnonzero(names == name)
        rows_of[name] = rows
        shown[name] = {key: np.asarray(v[row[rows]]) for key, v in sequence.shown.items()}
        if name.startswith("natural_movie"):
            frame = shown[name]["frame"].astype(int)
            clip = "three" if name == "natural_movie_three" else "one"
            movies[name] = get_movie(clip, int(frame.max()) + 1)[frame]
            blocks, which = np.unique(block[rows], return_inverse=True)
            movie_bins.append(first_bin[grid.segment_of[rows]])
            movie_blocks.append(which - (blocks.size - 1) / 2)
    off_rows = np.array(list(grid.off_segment_of), dtype=np.int64)
    off_segments = np.array(list(grid.off_segment_of.values()), dtype=np.int64)
    return RateModel(
        grid,
        rows_of,
        shown,
        movies,
        np.concatenate(movie_bins),
        np.concatenate(movie_blocks),
        off_rows,
        off_segments,
        grid.n_bins_of.size,
    )


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


def _respond_to_features(unit: Unit, features: np.ndarray, share: float) -> np.ndarray:
    weights = np.array([unit[f"feature_{i}"] for i in range(N_FEATURES)])
    score = np.einsum("pf,f->p", features, weights)
    gain = unit["image_gain"]
    return np.asarray(share * np.exp(gain * score - gain**2 / 2))


def _compute_response(name: str, unit: Unit, model: RateModel) -> np.ndarray:
    """Compute the responses of a unit to the presentations of a stimulus, relative to its drive."""
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
    onset = 1 + transience * (ONSET_GAIN * np.exp(-at / unit["decay_s"]) - 0.8)
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
        # the parameters of blank sweeps are NaN; no unit responds to them
        response = np.nan_to_num(_compute_response(name, unit, model))
        amplitude[grid.segment_of[rows]] = drive * response
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
    if unit["movie_drift"]:
        rate[model.movie_bins] *= np.exp(unit["movie_drift"] * model.movie_blocks)
    rate *= _make_gain(unit, grid, rng, float(grid.edges[-1]))[grid.knot_of]
    return rate
