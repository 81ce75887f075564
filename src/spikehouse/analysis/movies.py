"""Metrics of natural movies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis.checks import Definition
from spikehouse.analysis.common import trial_metrics
from spikehouse.analysis.inputs import StimulusResponses
from spikehouse.analysis.variability import reliability
from spikehouse.errors import InvalidArgumentError, guard_public
from spikehouse.spikes import count_spikes

__all__ = ["compute_natural_movies_metrics", "movie_reliability", "movie_repeats"]

Floats = npt.NDArray[np.float64]
# Units whose smoothed rates are held at a time: movie three has 36 000 frames, 0.3 MB a unit.
N_UNITS_AT_ONCE = 64


def movie_repeats(condition_of: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """Find the complete showings of a movie: rows of presentations, (n_repeats, n_frames).

    A showing begins with the first presentation and wherever a frame returns that the showing
    already had; showings that lack a frame are left out. A column is the same frame in every row,
    in the order of the first complete showing.
    """
    frames, shown = np.unique(np.asarray(condition_of), return_inverse=True)
    if not frames.size:
        return np.empty((0, 0), dtype=np.intp)
    order = np.argsort(shown, kind="stable")
    follows = np.r_[False, shown[order][1:] == shown[order][:-1]]
    before = np.full(len(shown), -1)
    before[order[follows]] = order[:-1][follows[1:]]
    starts = [0]
    while (again := np.flatnonzero(before[starts[-1] :] >= starts[-1])).size:
        starts.append(starts[-1] + int(again[0]))
    stops = [*starts[1:], len(shown)]
    complete = [(a, b) for a, b in zip(starts, stops, strict=True) if b - a == len(frames)]
    if not complete:
        return np.empty((0, len(frames)), dtype=np.intp)
    rows = np.stack([a + np.argsort(shown[a:b], kind="stable") for a, b in complete])
    return rows[:, np.argsort(rows[0], kind="stable")]


def movie_reliability(
    responses: StimulusResponses, *, sigma: float = 0.1, delay: float = 0.0
) -> Floats:
    """Correlate the responses to one showing of a movie with those to the others (`reliability`).

    The spikes during each frame are smoothed along the movie by a Gaussian of ``sigma`` [s] and
    correlated between showings, per unit. NaN with spikes in fewer than two complete showings.
    Where the frames come in another order in every showing, responses are compared frame by frame
    without smoothing, and need a ``delay`` [s] of about the unit's latency (0.05 s).
    """
    if not sigma >= 0:
        raise InvalidArgumentError(f"sigma is {sigma}; it must be 0 s or longer")
    from scipy.ndimage import gaussian_filter1d

    rows = movie_repeats(responses.condition_of)
    answer = np.full(responses.n_units, np.nan)
    if len(rows) < 2:
        return answer
    shown = responses.presentations[["start_time", "stop_time"]].to_numpy(dtype=np.float64)
    frame_duration = float(np.median(shown[:, 1] - shown[:, 0]))
    is_same_order = bool((np.diff(rows, axis=1) > 0).all())
    unit_ids = np.asarray(responses.unit_ids).tolist()
    for first in range(0, responses.n_units, N_UNITS_AT_ONCE):
        units = slice(first, first + N_UNITS_AT_ONCE)
        if delay == 0:
            counts = responses.shown_counts[:, units]
        else:
            counts = count_spikes(responses.spike_times, unit_ids[units], shown + delay)[:, 0]
        repeats = counts.T[:, rows].astype(np.float64)
        if sigma and is_same_order:
            repeats = gaussian_filter1d(repeats, sigma / frame_duration)
        answer[units] = reliability(repeats)
    return answer


def compute_natural_movies_metrics(
    responses: StimulusResponses,
    *,
    definition: Definition = "corrected",
    suffix: str = "nm",
    sigma: float = 0.1,
    delay: float = 0.0,
) -> pd.DataFrame:
    """Compute the metrics of every unit from a natural movie.

    Parameters
    ----------
    responses
        Responses to one movie: ``natural_movie_one``, ``natural_movie_three``,
        ``natural_movie_one_more_repeats`` or ``natural_movie_one_shuffled``.
    definition
        ``"corrected"``, or ``"published"`` for the numbers of the released tables.
    suffix
        Ending of the names of the columns.
    sigma, delay
        Smoothing and delay for `movie_reliability` [s].

    Returns
    -------
    DataFrame
        Index ``unit_id``; float64 columns fano, firing_rate, lifetime_sparseness, run_pval,
        run_mod (as `spikehouse.analysis.common.common_metrics`; each frame is a condition) and
        reliability (`movie_reliability`), each with the suffix.

    Notes
    -----
    A response is counted for ``responses.trial_duration`` from the onset of a frame: 1/30 s is the
    frame itself. The published tables have no metrics of movies; the published functions give the
    same numbers.
    """
    responses = responses.defined_as(definition)
    preferred = responses.preferred_conditions()
    table = trial_metrics(responses, suffix=suffix, preferred=preferred)
    table[f"reliability_{suffix}"] = movie_reliability(responses, sigma=sigma, delay=delay)
    return table


guard_public(globals())
