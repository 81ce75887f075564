"""Metrics of flashes, natural scenes and natural movies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis.checks import Definition, check_not_negative, divide
from spikehouse.analysis.common import common_metrics, peak_times, preferred_psth, psth_edges
from spikehouse.analysis.gratings import condition_values
from spikehouse.analysis.inputs import StimulusResponses
from spikehouse.analysis.tuning import has_ties
from spikehouse.analysis.variability import reliability
from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import align, rows_first
from spikehouse.spikes import count_spikes

Floats = npt.NDArray[np.float64]

# Units whose smoothed rates are held at a time: movie three has 36 000 frames, 0.3 MB a unit.
N_UNITS_AT_ONCE = 64


def on_off_ratio(means: npt.ArrayLike, colors: npt.ArrayLike) -> Floats:
    """Divide the mean response to bright flashes by that to dark ones: R(on) / R(off).

    ``means`` has the shape (n_conditions, …); ``colors`` is 1 for bright and −1 for dark flashes.
    Both responses include the spontaneous rate. NaN where there is no response to dark flashes, or
    one of the two was not shown. Siegle et al. 2021, doi:10.1038/s41586-020-03171-x.
    """
    colors, means = align(colors=colors, means=rows_first(means))
    values = np.asarray(means, dtype=np.float64)
    check_not_negative(values, "means")
    shown = np.asarray(colors, dtype=np.float64)
    bright, dark = np.flatnonzero(shown == 1), np.flatnonzero(shown == -1)
    if not bright.size or not dark.size:
        return np.full(values.shape[1:], np.nan)
    ratio = divide(values[bright[0]], values[dark[0]])
    return np.where(values[dark[0]] > 0, ratio, np.nan)


def sustained_index(psth: npt.ArrayLike) -> Floats:
    """Divide the mean of a histogram (…, n_bins) by its maximum: mean(psth) / max(psth).

    Near 0 for a brief response, 1 for a constant one; NaN without spikes. In bins of 1 ms the
    maximum of a unit with few spikes is mostly noise and its index low: smooth the histogram first,
    as `compute_flashes_metrics` does. Siegle et al. 2021, doi:10.1038/s41586-020-03171-x.
    """
    values = np.asarray(psth, dtype=np.float64)
    check_not_negative(values, "psth")
    largest = values.max(axis=-1, initial=0.0)
    index = divide(divide(values.sum(axis=-1), values.shape[-1]), largest)
    return np.where(largest > 0, index, np.nan)


def compute_flashes_metrics(
    responses: StimulusResponses,
    *,
    definition: Definition = "corrected",
    color_column: str = "color",
    bin_width: float = 0.001,
) -> pd.DataFrame:
    """Compute the metrics of every unit from the flashes.

    Parameters
    ----------
    responses
        Responses to ``flashes``.
    definition
        ``"corrected"``, or ``"published"`` for the numbers of the released tables.
    color_column
        Parameter that is 1 for a bright and −1 for a dark flash.
    bin_width
        Bins of the histogram for sustained_idx_fl and time_to_peak_fl [s].

    Returns
    -------
    DataFrame
        Index ``unit_id``; float64 columns on_off_ratio_fl (`on_off_ratio`), sustained_idx_fl
        (`sustained_index` of the response to the preferred flash, smoothed by a Gaussian of 10 ms
        unless published) and those of `common_metrics`, with the suffix ``fl``. firing_rate_fl is
        the rate during flashes, without the grey in between.

    Examples
    --------
    >>> metrics = compute_flashes_metrics(session.get_responses("flashes", 0.25))
    >>> metrics[["on_off_ratio_fl", "time_to_peak_fl", "firing_rate_fl"]].round(2).head(3)
               on_off_ratio_fl  time_to_peak_fl  firing_rate_fl
    unit_id
    950100383             2.50             0.07            3.50
    950100404             0.83             0.16           16.49
    950100393             4.50             0.17            5.50
    """
    responses = responses.defined_as(definition)
    colors = condition_values(responses, color_column)
    preferred = responses.preferred_conditions()
    edges = psth_edges(responses.trial_duration, resolution=bin_width)
    psth = preferred_psth(responses, preferred, edges)
    ratios = on_off_ratio(responses.condition_means, colors)
    own = {"on_off_ratio": ratios, "sustained_idx": sustained_index(psth)}
    names = ("firing_rate", "fano", "lifetime_sparseness", "run_pval", "run_mod")
    table = common_metrics(responses, suffix="fl", preferred=preferred, own=own, names=names)
    table.insert(3, "time_to_peak_fl", peak_times(psth, edges, definition=definition))
    return table


def image_selectivity(means: npt.ArrayLike, *, n_steps: int = 1000) -> Floats:
    """Measure how few of the images, the first axis of ``means``, evoke a strong response.

    S = 1 − 2A, A the mean over thresholds θⱼ = min + j (max − min) / n_steps, j = 0 … n_steps − 1,
    of the share of images with a response above θⱼ (Quian Quiroga et al. 2007,
    doi:10.1152/jn.00125.2007). One outstanding image of n gives 1 − 2/n; 0 where half of the range
    is exceeded on average, or all responses are equal; negative where most images evoke nearly the
    largest response. NaN with fewer than two images.
    """
    values = np.asarray(means, dtype=np.float64)
    if not np.isfinite(values).all():
        raise InvalidArgumentError(
            "a mean response is not a finite number; leave out the images that were never shown"
        )
    if len(values) < 2 or n_steps < 2:
        return np.full(values.shape[1:], np.nan)
    # the thresholds below a response are counted from its place in the range, not tried one by one
    lowest, highest = values.min(axis=0), values.max(axis=0)
    step = (highest - lowest) / n_steps
    below = np.nan_to_num(np.ceil(divide(values - lowest, step)), nan=0.0, posinf=0.0)
    # the division may be off by a rounding: ask the thresholds themselves
    below -= (below > 0) & ~(lowest + (below - 1) * step < values)
    below += lowest + below * step < values
    selectivity: Floats = 1 - 2 * np.clip(below, 0, n_steps).mean(axis=0) / n_steps
    return np.where(highest > lowest, selectivity, 0.0)


def compute_natural_scenes_metrics(
    responses: StimulusResponses,
    *,
    definition: Definition = "corrected",
    image_column: str = "frame",
) -> pd.DataFrame:
    """Compute the metrics of every unit from the natural scenes.

    Parameters
    ----------
    responses
        Responses to ``natural_scenes``.
    definition
        ``"corrected"``, or ``"published"`` for the numbers of the released tables.
    image_column
        Parameter with the number of the image; negative or missing for a blank sweep.

    Returns
    -------
    DataFrame
        Index ``unit_id``; pref_image_ns (int64: number of the image with the largest mean
        response), pref_images_multi_ns (bool: whether several images share it),
        image_selectivity_ns (`image_selectivity` of the mean responses) and the columns of
        `common_metrics`, with the suffix ``ns``. Blank sweeps are neither preferred nor part of
        image_selectivity_ns and lifetime_sparseness_ns.

    Notes
    -----
    In published tables pref_image_ns is the id of the stimulus condition, another number in
    every session, instead of the image. Of several equally good images the one first shown in the
    session is named. A unit without spikes has some pref_image_ns, with pref_images_multi_ns true.

    Examples
    --------
    >>> metrics = compute_natural_scenes_metrics(session.get_responses("natural_scenes", 0.25))
    >>> metrics[["pref_image_ns", "image_selectivity_ns"]].round(2).head(3)
               pref_image_ns  image_selectivity_ns
    unit_id
    950100383              0                  0.07
    950100404              3                 -0.49
    950100393              3                 -0.00
    """
    responses = responses.defined_as(definition)
    images = condition_values(responses, image_column)
    is_blank = ~(images >= 0)
    preferred = responses.preferred_conditions(~is_blank)
    means = responses.condition_means[~is_blank]
    named = responses.condition_ids if definition == "published" else images
    own = {
        "pref_image": named[preferred].astype(np.int64),
        "pref_images_multi": has_ties(means, definition=definition),
        "image_selectivity": image_selectivity(means),
    }
    names = ("firing_rate", "fano", "time_to_peak", "lifetime_sparseness", "run_pval", "run_mod")
    return common_metrics(
        responses, suffix="ns", preferred=preferred, is_blank=is_blank, own=own, names=names
    )


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
        run_mod (`common_metrics`; each frame is a condition) and reliability
        (`movie_reliability`), each with the suffix.

    Notes
    -----
    A response is counted for ``responses.trial_duration`` from the onset of a frame: 1/30 s is the
    frame itself. The published tables have no metrics of movies; the published functions give the
    same numbers.

    Examples
    --------
    >>> movie = session.get_responses("natural_movie_one", 1 / 30)
    >>> metrics = compute_natural_movies_metrics(movie, suffix="nm1")
    >>> metrics[["firing_rate_nm1", "lifetime_sparseness_nm1"]].round(2).head(3)
               firing_rate_nm1  lifetime_sparseness_nm1
    unit_id
    950100383             1.00                     0.97
    950100404            18.48                     0.47
    950100393             2.00                     0.90
    """
    responses = responses.defined_as(definition)
    preferred = responses.preferred_conditions()
    names = ("fano", "firing_rate", "lifetime_sparseness", "run_pval", "run_mod")
    table = common_metrics(responses, suffix=suffix, preferred=preferred, names=names)
    table[f"reliability_{suffix}"] = movie_reliability(responses, sigma=sigma, delay=delay)
    return table
