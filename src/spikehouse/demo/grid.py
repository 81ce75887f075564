"""The clock on which rates are built: bins that begin with the presentations.

Every presentation, and every pause between two, is cut into bins of equal length, so a response
starts exactly with its stimulus (plus the latency, which is added to the spikes afterwards).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikehouse.demo.behavior import AROUSAL_STEP_S, Running
from spikehouse.demo.neurons import N_FEATURES
from spikehouse.demo.streams import make_rng
from spikehouse.demo.timeline import Timeline

__all__ = ["N_PROFILE_BINS", "PROFILE_STEP_S", "RateGrid", "make_grid", "make_movie_features"]

PROFILE_STEP_S = 0.0125
N_PROFILE_BINS = 200
GAP_STEP_S = 0.025
N_OFF_BINS = 16
# A pulse of light that ends leaves an answer of its own; movies flow on without one.
STATIC_STIMULI = ("flashes",)
MOVIES = ("natural_movie_one", "natural_movie_three")


@dataclass(frozen=True)
class RateGrid:
    """Bins of the session and what they have in common for all units.

    Attributes
    ----------
    edges
        (bins + 1) [s].
    n_bins_of
        Bins of each segment; segments are presentations and the pauses between them, in order.
    profile
        (bins) index into a unit's response profile: rest, then after onset, then after offset.
    segment_of
        (presentations) the segment of each presentation.
    off_segment_of
        Presentation row → segment after it, for the stimuli that leave an off response.
    knot_of
        (bins) index into the half-second knots of slow gain.
    modulated
        Bins of drifting gratings.
    cosine, sine
        (those bins) of the grating's temporal phase.
    speed
        (knots) running speed, standardised.
    arousal
        (knots) shared fluctuation, standardised.
    scene_features
        (natural scene presentations, features) what was on the retina, eye movements included.
    """

    edges: np.ndarray
    n_bins_of: np.ndarray
    profile: np.ndarray
    segment_of: np.ndarray
    off_segment_of: dict[int, int]
    knot_of: np.ndarray
    modulated: np.ndarray
    cosine: np.ndarray
    sine: np.ndarray
    speed: np.ndarray
    arousal: np.ndarray
    scene_features: np.ndarray


def make_movie_features(seed: int, n_frames: int, movie: str) -> np.ndarray:
    """Give what each movie frame is like in the space neurons are tuned in.

    Parameters
    ----------
    seed
        Seed of the survey.
    n_frames
        Frames of the movie.
    movie
        Which movie.

    Returns
    -------
    numpy.ndarray
        (frames, features), smooth in time, standard deviation about 1.
    """
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
    """Cut a session into bins.

    Parameters
    ----------
    seed, session_id
        Which session.
    timeline
        What is shown.
    running, arousal
        What the mouse does.
    image_features
        (118, features) of the natural scenes.
    feature_jitter
        Standard deviation of their scatter from trial to trial. All neurons share it, as they
        share eye movements: it bounds how well any population can tell images apart.

    Returns
    -------
    RateGrid
        About half a million bins in the full size.
    """
    edges, n_bins_of, profile, segment_of, off_segment_of = _cut(timeline)
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


def _cut(
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
    leaves_off[pause] = np.isin(names[has_pause], STATIC_STIMULI)
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
    # a movie frame is answered steadily: the last bin of the profile
    profile = np.where(np.repeat(is_movie, n_bins_of), N_PROFILE_BINS, profile)
    rows = np.flatnonzero(has_pause & np.isin(names, STATIC_STIMULI))
    off_segment_of = {int(row): int(position[row]) + 1 for row in rows}
    return edges, n_bins_of, profile.astype(np.int32), position, off_segment_of


def _find_modulated(
    timeline: Timeline, n_bins_of: np.ndarray, segment_of: np.ndarray, centre: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the bins of drifting gratings and the gratings' temporal phase there."""
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
