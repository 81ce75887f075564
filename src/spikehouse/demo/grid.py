"""Divide a session into bins, in which rates are computed.

Every presentation, and every pause between two, is divided into bins of equal length, so a response
starts exactly with its stimulus (the latency is added to the spikes afterwards).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikehouse.demo.behavior import AROUSAL_STEP_S, Running
from spikehouse.demo.neurons import N_FEATURES
from spikehouse.demo.sessions import make_rng
from spikehouse.demo.timeline import Timeline

__all__ = ["N_PROFILE_BINS", "PROFILE_STEP_S", "RateGrid", "make_grid", "make_movie_features"]

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
